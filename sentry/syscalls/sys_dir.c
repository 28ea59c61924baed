/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_dir.c: getdents, chdir, getcwd, chroot, umask. Source: getdents(2), chdir(2),
 * getcwd(2), chroot(2), umask(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/dirent.h"
#include "sentry/heap/heap.h"
#include "sentry/syscalls/sys_files.h"

enum { DENTS_BOUNCE = 32 << 10 };

struct collector {
    struct dir_emit emit;
    char *buf;
    size_t size, used;
    bool old; /* struct linux_dirent: the type in the last byte */
    bool too_small;
};

static int collect(struct dir_emit *e, const char *name, size_t len, uint64_t ino, unsigned type,
                   uint64_t next) {
    struct collector *c = container_of(e, struct collector, emit);
    size_t header = c->old ? offsetof(struct linux_dirent, name) : offsetof(struct linux_dirent64, name);
    size_t need = (header + len + 1 + (c->old ? 1 : 0) + 7) & ~(size_t)7;

    if (need > c->size - c->used) {
        c->too_small = c->used == 0;
        return 1;
    }
    char *at = c->buf + c->used;
    memset(at, 0, need);
    if (c->old) {
        struct linux_dirent d = {.ino = ino, .off = next, .reclen = (uint16_t)need};
        memcpy(at, &d, header);
        at[need - 1] = (char)type;
    } else {
        struct linux_dirent64 d = {
            .ino = ino, .off = (int64_t)next, .reclen = (uint16_t)need, .type = (uint8_t)type};
        memcpy(at, &d, header);
    }
    memcpy(at + header, name, len);
    c->used += need;
    return 0;
}

static int64_t do_getdents(struct task *t, const struct syscall_args *a, bool old) {
    struct collector c = {
        .emit.emit = collect, .size = MIN((size_t)arg_u32(a, 2), (size_t)DENTS_BOUNCE), .old = old};
    struct file *f = fd_get(t, arg_int(a, 0));

    if (!f)
        return -EBADF;
    if (!inode_is_dir(f->inode)) {
        file_unref(f);
        return -ENOTDIR;
    }
    c.buf = heap_alloc_bytes(MAX(c.size, (size_t)1));
    int64_t r = c.buf ? file_readdir(f, &c.emit) : -ENOMEM;
    if (r == 0 && c.too_small)
        r = -EINVAL;
    if (r == 0)
        r = copy_out(t, a->arg[1], c.buf, c.used);
    heap_free(c.buf);
    file_unref(f);
    return r < 0 ? r : (int64_t)c.used;
}

int64_t sys_getdents(struct task *t, const struct syscall_args *a) {
    return do_getdents(t, a, /* old= */ true);
}

int64_t sys_getdents64(struct task *t, const struct syscall_args *a) {
    return do_getdents(t, a, /* old= */ false);
}

/* ---- where a task is ---- */

int64_t sys_chdir(struct task *t, const struct syscall_args *a) {
    struct path p;
    int r = lookup_user(t, LINUX_AT_FDCWD, a->arg[0], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

    if (r < 0)
        return r;
    r = inode_permission(p.dentry->inode, task_creds(t), MAY_EXEC);
    if (r == 0)
        fs_context_set_cwd(t->fs, &p);
    path_put(&p);
    return r;
}

int64_t sys_fchdir(struct task *t, const struct syscall_args *a) {
    struct file *f = fd_get_any(t, arg_int(a, 0));

    if (!f)
        return -EBADF;
    int r = inode_is_dir(f->inode) ? inode_permission(f->inode, task_creds(t), MAY_EXEC) : -ENOTDIR;
    if (r == 0)
        fs_context_set_cwd(t->fs, &f->path);
    file_unref(f);
    return r;
}

int64_t sys_chroot(struct task *t, const struct syscall_args *a) {
    struct path p;
    int r = lookup_user(t, LINUX_AT_FDCWD, a->arg[0], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

    if (r < 0)
        return r;
    r = inode_permission(p.dentry->inode, task_creds(t), MAY_EXEC);
    if (r == 0 && !task_capable(t, LINUX_CAP_SYS_CHROOT))
        r = -EPERM;
    if (r == 0)
        fs_context_set_root(t->fs, &p);
    path_put(&p);
    return r;
}

int64_t sys_getcwd(struct task *t, const struct syscall_args *a) {
    struct path root, cwd;
    char *text = NULL;
    int64_t r = -ENOENT;

    fs_context_get(t->fs, &root, &cwd);
    if (!atomic_load(&cwd.dentry->unhashed) || cwd.dentry->parent == cwd.dentry)
        r = path_text(&cwd, &root, &text);
    path_put(&root);
    path_put(&cwd);
    if (r < 0)
        return r;
    size_t len = strlen(text) + 1;
    if (len > LINUX_PATH_MAX)
        r = -ENAMETOOLONG;
    else if (len > a->arg[1])
        r = -ERANGE;
    else
        r = copy_out(t, a->arg[0], text, len);
    heap_free(text);
    return r < 0 ? r : (int64_t)len;
}

int64_t sys_umask(struct task *t, const struct syscall_args *a) {
    return fs_context_set_umask(t->fs, arg_u32(a, 0));
}
