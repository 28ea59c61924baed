/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/fuse/fuse_dir.c: names: looking up, making, removing, renaming; the operations table.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/limits.h"
#include "sentry/fs/fuse/fuse_internal.h"
#include "sentry/heap/heap.h"

enum { NAME_ROOM = LINUX_NAME_MAX + 1 };

static const char *terminated(char *room, const char *name, size_t len) {
    ASSERT(len < NAME_ROOM);
    memcpy(room, name, len);
    room[len] = '\0';
    return room;
}

/* A call that gives an entry. */
static int call_for_entry(struct inode *dir, struct fuse_args *a, struct inode **ret) {
    struct linux_fuse_entry_out e;

    a->nodeid = fuse_inode_of(dir)->node;
    a->out_min = MAX(a->out_min, (uint32_t)sizeof e);
    a->out_max = MAX(a->out_max, (uint32_t)sizeof e);
    int rc = fuse_call(fuse_conn_of(dir), a);
    if (rc < 0)
        return rc;
    memcpy(&e, a->out, sizeof e);
    if (e.nodeid == 0)
        rc = a->opcode == LINUX_FUSE_LOOKUP ? -ENOENT : -EIO;
    else
        rc = fuse_inode_get(fuse_fs_of(dir), &e, ret);
    if (rc < 0) {
        heap_free(a->out);
        a->out = NULL;
    }
    return rc;
}

static int fuse_lookup(struct inode *dir, const char *name, size_t len, struct inode **ret) {
    char room[NAME_ROOM];
    struct fuse_args a = {.opcode = LINUX_FUSE_LOOKUP, .in = {{terminated(room, name, len), len + 1}}};
    int rc = call_for_entry(dir, &a, ret);

    heap_free(a.out);
    return rc;
}

/* ---- making ---- */

/* The call made something of the kind that was asked for. */
static int make(struct inode *dir, struct fuse_args *a, uint32_t type, struct inode **ret) {
    struct inode *made;
    int rc = call_for_entry(dir, a, &made);

    if (rc < 0)
        return rc;
    fuse_attr_expire(dir);
    if (made->type == type) {
        *ret = made;
        return 0;
    }
    inode_unref(made);
    heap_free(a->out);
    a->out = NULL;
    return -EIO;
}

static uint32_t rdev32(uint64_t rdev) {
    uint64_t major = (rdev >> 8) & 0xfff, minor = (rdev & 0xff) | ((rdev >> 12) & 0xfff00);

    return (uint32_t)((minor & 0xff) | major << 8 | (minor & ~0xffull) << 12);
}

static int fuse_mknod(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev,
                      const struct creds *c, struct inode **ret) {
    const struct linux_fuse_mknod_in in = {.mode = mode, .rdev = rdev32(rdev)};
    char room[NAME_ROOM];
    struct fuse_args a = {.opcode = LINUX_FUSE_MKNOD,
                          .in = {{&in, sizeof in}, {terminated(room, name, len), len + 1}}};
    int rc = make(dir, &a, mode & LINUX_S_IFMT, ret);

    (void)c;
    heap_free(a.out);
    return rc;
}

/* A server that cannot make a file without opening it: what it opened is closed at once. */
static int create_by_open(struct inode *dir, const char *name, size_t len, uint32_t mode,
                          struct inode **ret) {
    const struct linux_fuse_create_in in = {.flags = LINUX_O_RDWR | LINUX_O_CREAT | LINUX_O_EXCL,
                                            .mode = LINUX_S_IFREG | mode};
    struct linux_fuse_create_out o;
    char room[NAME_ROOM];
    struct fuse_args a = {.opcode = LINUX_FUSE_CREATE,
                          .in = {{&in, sizeof in}, {terminated(room, name, len), len + 1}},
                          .out_min = sizeof o,
                          .out_max = sizeof o};
    int rc = make(dir, &a, LINUX_S_IFREG, ret);

    if (rc < 0)
        return rc;
    memcpy(&o, a.out, sizeof o);
    heap_free(a.out);
    const struct linux_fuse_release_in release = {.fh = o.open.fh, .flags = LINUX_O_RDWR};
    const struct fuse_args r = {.opcode = LINUX_FUSE_RELEASE,
                                .nodeid = fuse_inode_of(*ret)->node,
                                .in = {{&release, sizeof release}}};
    fuse_tell(fuse_conn_of(dir), &r);
    return 0;
}

static int fuse_create(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                       struct inode **ret) {
    struct fuse_fs *fs = fuse_fs_of(dir);
    int rc = -ENOSYS;

    if (!fs->no_mknod)
        rc = fuse_mknod(dir, name, len, LINUX_S_IFREG | mode, 0, c, ret);
    if (rc != -ENOSYS)
        return rc;
    fs->no_mknod = true;
    return create_by_open(dir, name, len, mode, ret);
}

static int fuse_mkdir(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                      struct inode **ret) {
    const struct linux_fuse_mkdir_in in = {.mode = mode};
    char room[NAME_ROOM];
    struct fuse_args a = {.opcode = LINUX_FUSE_MKDIR,
                          .in = {{&in, sizeof in}, {terminated(room, name, len), len + 1}}};
    int rc = make(dir, &a, LINUX_S_IFDIR, ret);

    (void)c;
    heap_free(a.out);
    return rc;
}

static int fuse_symlink(struct inode *dir, const char *name, size_t len, const char *target,
                        const struct creds *c, struct inode **ret) {
    char room[NAME_ROOM];
    struct fuse_args a = {.opcode = LINUX_FUSE_SYMLINK,
                          .in = {{terminated(room, name, len), len + 1}, {target, strlen(target) + 1}}};
    int rc = make(dir, &a, LINUX_S_IFLNK, ret);

    (void)c;
    heap_free(a.out);
    return rc;
}

static int fuse_link(struct inode *dir, const char *name, size_t len, struct inode *target) {
    const struct linux_fuse_link_in in = {.oldnodeid = fuse_inode_of(target)->node};
    struct inode *there;
    char room[NAME_ROOM];
    struct fuse_args a = {.opcode = LINUX_FUSE_LINK,
                          .in = {{&in, sizeof in}, {terminated(room, name, len), len + 1}}};
    int rc = make(dir, &a, target->type, &there);

    heap_free(a.out);
    if (rc < 0)
        return rc == -ENOSYS ? -EPERM : rc;
    fuse_attr_expire(target);
    if (there != target) /* another file: the name is looked up again */
        atomic_fetch_add(&dir->names_changed, 1);
    inode_unref(there);
    return 0;
}

/* ---- removing, renaming ---- */

static int remove_name(struct inode *dir, uint32_t opcode, const char *name, size_t len,
                       struct inode *target) {
    char room[NAME_ROOM];
    struct fuse_args a = {
        .opcode = opcode, .nodeid = fuse_inode_of(dir)->node, .in = {{terminated(room, name, len), len + 1}}};
    int rc = fuse_call(fuse_conn_of(dir), &a);

    fuse_attr_expire(dir);
    fuse_attr_expire(target);
    return rc;
}

static int fuse_unlink(struct inode *dir, const char *name, size_t len, struct inode *target) {
    return remove_name(dir, LINUX_FUSE_UNLINK, name, len, target);
}

static int fuse_rmdir(struct inode *dir, const char *name, size_t len, struct inode *target) {
    return remove_name(dir, LINUX_FUSE_RMDIR, name, len, target);
}

static int fuse_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *target,
                       struct inode *new_dir, const char *new_name, size_t new_len, struct inode *replaced,
                       uint32_t flags) {
    struct fuse_fs *fs = fuse_fs_of(old_dir);
    const struct linux_fuse_rename2_in in2 = {.newdir = fuse_inode_of(new_dir)->node, .flags = flags};
    const struct linux_fuse_rename_in in = {.newdir = in2.newdir};
    char room[NAME_ROOM], new_room[NAME_ROOM];
    struct fuse_args a = {.opcode = flags ? LINUX_FUSE_RENAME2 : LINUX_FUSE_RENAME,
                          .nodeid = fuse_inode_of(old_dir)->node,
                          .in = {{flags ? (const void *)&in2 : &in, flags ? sizeof in2 : sizeof in},
                                 {terminated(room, old_name, old_len), old_len + 1},
                                 {terminated(new_room, new_name, new_len), new_len + 1}}};

    if (flags && fs->no_rename2)
        return -EINVAL;
    int rc = fuse_call(fs->conn, &a);
    if (rc == -ENOSYS && flags) {
        fs->no_rename2 = true;
        rc = -EINVAL;
    }
    fuse_attr_expire(old_dir);
    fuse_attr_expire(new_dir);
    fuse_attr_expire(target);
    if (replaced)
        fuse_attr_expire(replaced);
    return rc;
}

/* ---- links' targets ---- */

static int fuse_readlink(struct inode *inode, struct task *t, char **ret) {
    struct fuse_args a = {
        .opcode = LINUX_FUSE_READLINK, .nodeid = fuse_inode_of(inode)->node, .out_max = LINUX_PATH_MAX - 1};

    (void)t;
    if (inode->type != LINUX_S_IFLNK)
        return -EINVAL;
    int rc = fuse_call(fuse_conn_of(inode), &a);
    if (rc < 0)
        return rc;
    *ret = heap_strndup(a.out ? a.out : "", strnlen(a.out ? a.out : "", a.out_size));
    heap_free(a.out);
    return *ret ? 0 : -ENOMEM;
}

const struct inode_ops fuse_inode_ops = {
    .name = "fuse",
    .lookup = fuse_lookup,
    .create = fuse_create,
    .mkdir = fuse_mkdir,
    .mknod = fuse_mknod,
    .symlink = fuse_symlink,
    .link = fuse_link,
    .unlink = fuse_unlink,
    .rmdir = fuse_rmdir,
    .rename = fuse_rename,
    .readlink = fuse_readlink,
    .getattr = fuse_getattr,
    .setattr = fuse_setattr,
    .permission = fuse_permission,
    .open = fuse_open,
    .getxattr = fuse_getxattr,
    .setxattr = fuse_setxattr,
    .listxattr = fuse_listxattr,
    .removexattr = fuse_removexattr,
    .release = fuse_inode_release,
};
