/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_xattr.c: extended attributes. Source: setxattr(2), getxattr(2), listxattr(2),
 * removexattr(2), and setxattrat(2) and its kind.
 */
#include <errno.h>

#include "base/abi/linux/xattr.h"
#include "base/cleanup.h"
#include "sentry/heap/heap.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/syscalls/sys_util.h"

enum { ARGS_FIRST = 16, NO_NAME = 1 << 30 /* of lookup: the file is the descriptor's */ };

/* Which file a call is about, and which attribute. */
struct xattr_call {
    int fd;
    gva_t path;
    unsigned lookup; /* LOOKUP_*, or NO_NAME */
    gva_t key;
    struct linux_xattr_args args;
};

/* An empty name with AT_EMPTY_PATH, or none: the descriptor's file. */
static bool nameless(struct task *t, const struct xattr_call *c) {
    char first;

    if (c->lookup == NO_NAME)
        return true;
    if (!(c->lookup & LOOKUP_EMPTY) || c->fd < 0)
        return false;
    return !c->path || (copy_in(t, &first, c->path, 1) == 0 && !first);
}

static int target(struct task *t, const struct xattr_call *c, struct path *ret) {
    if (!nameless(t, c))
        return lookup_user(t, c->fd, c->path, c->lookup, ret);
    struct file *f = fd_get(t, c->fd);
    if (!f)
        return -EBADF;
    *ret = path_get(&f->path);
    file_unref(f);
    return 0;
}

static int copy_in_name(struct task *t, gva_t from, char **ret) {
    int r = copy_in_string(t, from, LINUX_XATTR_NAME_MAX + 1, ret);

    if (r == -ENAMETOOLONG || (r == 0 && !**ret))
        return -ERANGE;
    return r;
}

static int64_t do_set(struct task *t, const struct xattr_call *c) {
    cleanup(freep) char *key = NULL;
    uint64_t size = c->args.size;
    char *value = NULL;
    struct path p;

    if (c->args.flags & ~(uint32_t)(LINUX_XATTR_CREATE | LINUX_XATTR_REPLACE))
        return -EINVAL;
    int r = copy_in_name(t, c->key, &key);
    if (r < 0)
        return r;
    if (size > LINUX_XATTR_SIZE_MAX)
        return -E2BIG;
    if (size > 0) {
        value = heap_alloc_bytes(size);
        r = value ? copy_in(t, value, c->args.value, size) : -ENOMEM;
    }
    if (r == 0)
        r = target(t, c, &p);
    if (r == 0) {
        r = vfs_setxattr(&p, key, value, size, (int)c->args.flags, task_creds(t));
        path_put(&p);
    }
    heap_free(value);
    return r;
}

static int64_t do_get(struct task *t, const struct xattr_call *c) {
    cleanup(freep) char *key = NULL;
    uint64_t size = MIN(c->args.size, (uint32_t)LINUX_XATTR_SIZE_MAX);
    struct path p;
    int r = copy_in_name(t, c->key, &key);

    if (r == 0)
        r = target(t, c, &p);
    if (r < 0)
        return r;
    char *value = size > 0 ? heap_alloc_bytes(size) : NULL;
    ssize_t n = size > 0 && !value ? -ENOMEM : vfs_getxattr(&p, key, value, size, task_creds(t));
    path_put(&p);
    if (n > 0 && size > 0) {
        r = copy_out(t, c->args.value, value, (size_t)n);
        if (r < 0)
            n = r;
    }
    heap_free(value);
    return n;
}

static int64_t do_list(struct task *t, const struct xattr_call *c) {
    uint64_t size = MIN(c->args.size, (uint32_t)LINUX_XATTR_LIST_MAX);
    struct path p;
    int r = target(t, c, &p);

    if (r < 0)
        return r;
    char *list = size > 0 ? heap_alloc_bytes(size) : NULL;
    ssize_t n = size > 0 && !list ? -ENOMEM : vfs_listxattr(&p, list, size, task_creds(t));
    path_put(&p);
    if (n > 0 && size > 0) {
        r = copy_out(t, c->args.value, list, (size_t)n);
        if (r < 0)
            n = r;
    }
    heap_free(list);
    return n;
}

static int64_t do_remove(struct task *t, const struct xattr_call *c) {
    cleanup(freep) char *key = NULL;
    struct path p;
    int r = copy_in_name(t, c->key, &key);

    if (r == 0)
        r = target(t, c, &p);
    if (r < 0)
        return r;
    r = vfs_removexattr(&p, key, task_creds(t));
    path_put(&p);
    return r;
}

/* ---- by path or descriptor: the file is argument 0 ---- */

static uint32_t size_of(uint64_t size) {
    return (uint32_t)MIN(size, (uint64_t)UINT32_MAX);
}

static struct xattr_call call_of(const struct syscall_args *a, unsigned lookup) {
    bool named = lookup != NO_NAME;

    return (struct xattr_call){
        .fd = named ? LINUX_AT_FDCWD : arg_int(a, 0),
        .path = named ? a->arg[0] : 0,
        .lookup = lookup,
        .key = a->arg[1],
        .args = {.value = a->arg[2], .size = size_of(a->arg[3]), .flags = arg_u32(a, 4)}};
}

/* listxattr has no key: buffer and size come one earlier. */
static struct xattr_call list_call_of(const struct syscall_args *a, unsigned lookup) {
    struct xattr_call c = call_of(a, lookup);

    c.args = (struct linux_xattr_args){.value = a->arg[1], .size = size_of(a->arg[2])};
    return c;
}

#define BY_NAME(name, fn, args_of, lookup)                                                                   \
    int64_t sys_##name(struct task *t, const struct syscall_args *a) {                                       \
        struct xattr_call c = args_of(a, lookup);                                                            \
        return fn(t, &c);                                                                                    \
    }
BY_NAME(setxattr, do_set, call_of, LOOKUP_FOLLOW)
BY_NAME(lsetxattr, do_set, call_of, 0)
BY_NAME(fsetxattr, do_set, call_of, NO_NAME)
BY_NAME(getxattr, do_get, call_of, LOOKUP_FOLLOW)
BY_NAME(lgetxattr, do_get, call_of, 0)
BY_NAME(fgetxattr, do_get, call_of, NO_NAME)
BY_NAME(listxattr, do_list, list_call_of, LOOKUP_FOLLOW)
BY_NAME(llistxattr, do_list, list_call_of, 0)
BY_NAME(flistxattr, do_list, list_call_of, NO_NAME)
BY_NAME(removexattr, do_remove, call_of, LOOKUP_FOLLOW)
BY_NAME(lremovexattr, do_remove, call_of, 0)
BY_NAME(fremovexattr, do_remove, call_of, NO_NAME)

/* ---- *at ---- */

static int at_call_of(const struct syscall_args *a, struct xattr_call *ret) {
    uint32_t flags = arg_u32(a, 2);

    if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
        return -EINVAL;
    *ret = (struct xattr_call){
        .fd = arg_int(a, 0), .path = a->arg[1], .lookup = lookup_flags_of_at(flags), .key = a->arg[3]};
    return 0;
}

static int copy_in_args(struct task *t, const struct syscall_args *a, struct xattr_call *c) {
    return copy_in_struct(t, &c->args, sizeof c->args, a->arg[4], a->arg[5], ARGS_FIRST);
}

int64_t sys_setxattrat(struct task *t, const struct syscall_args *a) {
    struct xattr_call c = {0};
    int r = copy_in_args(t, a, &c);
    struct linux_xattr_args args = c.args;

    if (r == 0)
        r = at_call_of(a, &c);
    c.args = args;
    return r < 0 ? r : do_set(t, &c);
}

int64_t sys_getxattrat(struct task *t, const struct syscall_args *a) {
    struct xattr_call c = {0};
    int r = copy_in_args(t, a, &c);
    struct linux_xattr_args args = c.args;

    if (r == 0)
        r = args.flags ? -EINVAL : at_call_of(a, &c);
    c.args = args;
    return r < 0 ? r : do_get(t, &c);
}

int64_t sys_listxattrat(struct task *t, const struct syscall_args *a) {
    struct xattr_call c = {0};
    int r = at_call_of(a, &c);

    c.args = (struct linux_xattr_args){.value = a->arg[3], .size = size_of(a->arg[4])};
    return r < 0 ? r : do_list(t, &c);
}

int64_t sys_removexattrat(struct task *t, const struct syscall_args *a) {
    struct xattr_call c = {0};
    int r = at_call_of(a, &c);

    return r < 0 ? r : do_remove(t, &c);
}
