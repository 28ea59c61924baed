/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_xattr.c: extended attributes. Source: setxattr(2), getxattr(2), listxattr(2),
 * removexattr(2).
 */
#include <errno.h>

#include "base/abi/linux/xattr.h"
#include "base/cleanup.h"
#include "sentry/heap/heap.h"
#include "sentry/syscalls/sys_files.h"

/* What a call is about: a path, or (name 0) a descriptor. */
static int target(struct task *t, int fd, gva_t name, unsigned flags, struct path *ret) {
    if (name)
        return lookup_user(t, LINUX_AT_FDCWD, name, flags, ret);
    struct file *f = fd_get(t, fd);
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

static int64_t do_set(struct task *t, int fd, gva_t name, unsigned lookup, const struct syscall_args *a) {
    cleanup(freep) char *key = NULL;
    uint64_t size = a->arg[3];
    uint32_t flags = arg_u32(a, 4);
    char *value = NULL;
    struct path p;

    if (flags & ~(uint32_t)(LINUX_XATTR_CREATE | LINUX_XATTR_REPLACE))
        return -EINVAL;
    int r = copy_in_name(t, a->arg[1], &key);
    if (r < 0)
        return r;
    if (size > LINUX_XATTR_SIZE_MAX)
        return -E2BIG;
    if (size > 0) {
        value = heap_alloc_bytes(size);
        r = value ? copy_in(t, value, a->arg[2], size) : -ENOMEM;
    }
    if (r == 0)
        r = target(t, fd, name, lookup, &p);
    if (r == 0) {
        r = vfs_setxattr(&p, key, value, size, (int)flags, task_creds(t));
        path_put(&p);
    }
    heap_free(value);
    return r;
}

int64_t sys_setxattr(struct task *t, const struct syscall_args *a) {
    return do_set(t, -1, a->arg[0], LOOKUP_FOLLOW, a);
}

int64_t sys_lsetxattr(struct task *t, const struct syscall_args *a) {
    return do_set(t, -1, a->arg[0], 0, a);
}

int64_t sys_fsetxattr(struct task *t, const struct syscall_args *a) {
    return do_set(t, arg_int(a, 0), 0, 0, a);
}

static int64_t do_get(struct task *t, int fd, gva_t name, unsigned lookup, const struct syscall_args *a) {
    cleanup(freep) char *key = NULL;
    uint64_t size = MIN(a->arg[3], (uint64_t)LINUX_XATTR_SIZE_MAX);
    struct path p;
    int r = copy_in_name(t, a->arg[1], &key);

    if (r == 0)
        r = target(t, fd, name, lookup, &p);
    if (r < 0)
        return r;
    char *value = size > 0 ? heap_alloc_bytes(size) : NULL;
    ssize_t n = size > 0 && !value ? -ENOMEM : vfs_getxattr(&p, key, value, size, task_creds(t));
    path_put(&p);
    if (n > 0 && size > 0) {
        r = copy_out(t, a->arg[2], value, (size_t)n);
        if (r < 0)
            n = r;
    }
    heap_free(value);
    return n;
}

int64_t sys_getxattr(struct task *t, const struct syscall_args *a) {
    return do_get(t, -1, a->arg[0], LOOKUP_FOLLOW, a);
}

int64_t sys_lgetxattr(struct task *t, const struct syscall_args *a) {
    return do_get(t, -1, a->arg[0], 0, a);
}

int64_t sys_fgetxattr(struct task *t, const struct syscall_args *a) {
    return do_get(t, arg_int(a, 0), 0, 0, a);
}

static int64_t do_list(struct task *t, int fd, gva_t name, unsigned lookup, const struct syscall_args *a) {
    uint64_t size = MIN(a->arg[2], (uint64_t)LINUX_XATTR_LIST_MAX);
    struct path p;
    int r = target(t, fd, name, lookup, &p);

    if (r < 0)
        return r;
    char *list = size > 0 ? heap_alloc_bytes(size) : NULL;
    ssize_t n = size > 0 && !list ? -ENOMEM : vfs_listxattr(&p, list, size, task_creds(t));
    path_put(&p);
    if (n > 0 && size > 0) {
        r = copy_out(t, a->arg[1], list, (size_t)n);
        if (r < 0)
            n = r;
    }
    heap_free(list);
    return n;
}

int64_t sys_listxattr(struct task *t, const struct syscall_args *a) {
    return do_list(t, -1, a->arg[0], LOOKUP_FOLLOW, a);
}

int64_t sys_llistxattr(struct task *t, const struct syscall_args *a) {
    return do_list(t, -1, a->arg[0], 0, a);
}

int64_t sys_flistxattr(struct task *t, const struct syscall_args *a) {
    return do_list(t, arg_int(a, 0), 0, 0, a);
}

static int64_t do_remove(struct task *t, int fd, gva_t name, unsigned lookup, gva_t key_at) {
    cleanup(freep) char *key = NULL;
    struct path p;
    int r = copy_in_name(t, key_at, &key);

    if (r == 0)
        r = target(t, fd, name, lookup, &p);
    if (r < 0)
        return r;
    r = vfs_removexattr(&p, key, task_creds(t));
    path_put(&p);
    return r;
}

int64_t sys_removexattr(struct task *t, const struct syscall_args *a) {
    return do_remove(t, -1, a->arg[0], LOOKUP_FOLLOW, a->arg[1]);
}

int64_t sys_lremovexattr(struct task *t, const struct syscall_args *a) {
    return do_remove(t, -1, a->arg[0], 0, a->arg[1]);
}

int64_t sys_fremovexattr(struct task *t, const struct syscall_args *a) {
    return do_remove(t, arg_int(a, 0), 0, 0, a->arg[1]);
}
