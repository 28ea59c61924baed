/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_handle.c: file handles. Source: open_by_handle_at(2).
 *
 * A handle is the inode's number, which no file system here uses twice. Only those that can find an inode by
 * its number give handles that can be opened; all give those that AT_HANDLE_FID asks for. A regular file
 * opened so has no place in the tree: its name in /proc/self/fd is unreachable.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/sys_files.h"

enum { HANDLE_TYPE = 1 /* FILEID_INO32_GEN */, HANDLE_WORDS = 3, HANDLE_BYTES = 4 * HANDLE_WORDS };

static int encode(const struct inode *i, bool to_open, uint32_t words[HANDLE_WORDS]) {
    if (to_open && !i->fs->ops->find_inode)
        return -EOPNOTSUPP;
    words[0] = (uint32_t)i->fs->dev;
    words[1] = (uint32_t)i->ino;
    words[2] = (uint32_t)(i->ino >> 32);
    return 0;
}

static int64_t put_handle(struct task *t, const struct path *p, const struct syscall_args *a) {
    struct linux_file_handle head;
    uint32_t words[HANDLE_WORDS], flags = arg_u32(a, 4);
    int r = encode(p->dentry->inode, !(flags & LINUX_AT_HANDLE_FID), words);

    if (r == 0)
        r = copy_in(t, &head, a->arg[2], sizeof head);
    if (r < 0)
        return r;
    if (head.handle_bytes > LINUX_MAX_HANDLE_SZ)
        return -EINVAL;
    bool fits = head.handle_bytes >= HANDLE_BYTES;
    head = (struct linux_file_handle){.handle_bytes = HANDLE_BYTES, .handle_type = fits ? HANDLE_TYPE : 0};
    if (flags & LINUX_AT_HANDLE_MNT_ID_UNIQUE) {
        uint64_t id = mount_unique_id(p->mount);
        r = copy_out(t, a->arg[3], &id, sizeof id);
    } else {
        int32_t id = p->mount->id;
        r = copy_out(t, a->arg[3], &id, sizeof id);
    }
    if (r == 0)
        r = copy_out(t, a->arg[2], &head, sizeof head);
    if (r == 0 && fits)
        r = copy_out(t, a->arg[2] + sizeof head, words, sizeof words);
    return r < 0 ? r : fits ? 0 : -EOVERFLOW;
}

int64_t sys_name_to_handle_at(struct task *t, const struct syscall_args *a) {
    uint32_t flags = arg_u32(a, 4);
    struct path p;

    if (flags & ~(uint32_t)(LINUX_AT_SYMLINK_FOLLOW | LINUX_AT_EMPTY_PATH | LINUX_AT_HANDLE_FID |
                            LINUX_AT_HANDLE_MNT_ID_UNIQUE))
        return -EINVAL;
    int r = lookup_user(t, arg_int(a, 0), a->arg[1],
                        (flags & LINUX_AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0u) |
                            (flags & LINUX_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0u),
                        &p);
    if (r < 0)
        return r;
    int64_t n = put_handle(t, &p, a);
    path_put(&p);
    return n;
}

/* ---- opening ---- */

static int find_by_handle(struct mount *m, const struct linux_file_handle *head,
                          const uint32_t words[HANDLE_WORDS], struct path *ret) {
    struct filesystem *fs = m->fs;
    struct inode *i;

    if (!fs->ops->find_inode || head->handle_type != HANDLE_TYPE || head->handle_bytes != HANDLE_BYTES ||
        words[0] != (uint32_t)fs->dev)
        return -ESTALE;
    int r = fs->ops->find_inode(fs, words[1] | (uint64_t)words[2] << 32, &i);
    if (r < 0)
        return r;
    return path_of_inode(m, i, ret);
}

static int mount_of_fd(struct task *t, int fd, struct mount **ret) {
    struct vfs_view v;

    if (fd == LINUX_AT_FDCWD) {
        vfs_view_of(t, &v);
        *ret = mount_ref(v.cwd.mount);
        vfs_view_done(&v);
        return 0;
    }
    struct file *f = fd_get_any(t, fd);
    if (!f)
        return -EBADF;
    *ret = mount_ref(f->path.mount);
    file_unref(f);
    return 0;
}

static int open_path(struct task *t, const struct path *p, uint32_t flags) {
    struct vfs_view v;
    struct file *f;

    vfs_view_of(t, &v);
    int r = vfs_open_path(&v, p, flags & ~(uint32_t)LINUX_O_CLOEXEC, &f);
    vfs_view_done(&v);
    if (r < 0)
        return r;
    r = fd_install(t, f, 0, flags & LINUX_O_CLOEXEC);
    if (r < 0)
        file_unref(f);
    return r;
}

int64_t sys_open_by_handle_at(struct task *t, const struct syscall_args *a) {
    uint32_t words[HANDLE_WORDS] = {0};
    struct linux_file_handle head;
    struct mount *m;
    struct path p;
    int r = copy_in(t, &head, a->arg[1], sizeof head);

    if (r < 0)
        return r;
    if (head.handle_bytes == 0 || head.handle_bytes > LINUX_MAX_HANDLE_SZ)
        return -EINVAL;
    r = mount_of_fd(t, arg_int(a, 0), &m);
    if (r < 0)
        return r;
    if (!task_capable_in(t, t->kernel->root_user_ns, LINUX_CAP_DAC_READ_SEARCH))
        r = -EPERM;
    if (r == 0)
        r = copy_in(t, words, a->arg[1] + sizeof head, MIN(sizeof words, (size_t)head.handle_bytes));
    if (r == 0)
        r = find_by_handle(m, &head, words, &p);
    mount_unref(m);
    if (r < 0)
        return r;
    r = open_path(t, &p, arg_u32(a, 2));
    path_put(&p);
    return r;
}
