/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/mqueue/mqueue_fs.c: the mqueue file system: one flat directory of queues for each IPC namespace.
 * Source: mq_overview(7), mq_open(3), getrlimit(2) "RLIMIT_MSGQUEUE", ipc_namespaces(7).
 *
 * A queue that is made by a name (open(2) with O_CREAT in the mounted directory) has the namespace's default
 * attributes; mq_open(3) gives its own. Names: the root's dir_lock, as vfs holds it.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/limits.h"
#include "base/abi/linux/resource.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/fs/mqueue/mqueue_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/layer.h"

HEAP_TYPE(mqueue_fs, struct mqueue_fs, 0);
HEAP_TYPE(mqueue_inode, struct mqueue_inode, 0);
HEAP_TYPE(mqueue_entry, struct mqueue_entry, 0);
HEAP_TYPE(mqueue_dir_file, struct file, 0);

enum {
    MQUEUE_MAGIC = 0x19800202,
    HARD_MESSAGES = 65536, /* with CAP_SYS_RESOURCE: mq_overview(7), "/proc interfaces" */
    HARD_MESSAGE_SIZE = 16 << 20,
    PRIORITIES = 32768,
    MESSAGE_HEAD = 48,
    NODE_SIZE = 48,         /* what Linux counts for a message and a priority */
    QUEUE_STATUS_SIZE = 80, /* st_size of a queue */
    ENTRY_SIZE = 20
};

static const struct inode_ops g_root_ops, g_queue_ops;
static const struct fs_type g_mqueue_type;

/* ---- inodes ---- */

static struct mqueue_inode *inode_new(struct mqueue_fs *fs, const struct inode_ops *ops, uint32_t mode,
                                      kuid_t uid, kgid_t gid) {
    struct mqueue_inode *i = heap_new(mqueue_inode);

    if (!i)
        return NULL;
    inode_init(&i->base, ops, &fs->base, atomic_fetch_add(&fs->next_ino, 1) + 1, mode, uid, gid);
    list_init(&i->entries);
    i->last_cookie = 2;
    mqueue_init(i);
    i->atime_ns = i->mtime_ns = i->ctime_ns = vfs_now(fs->base.kernel);
    return i;
}

static void uncharge(struct mqueue_inode *i) {
    struct mqueue_fs *fs = mqueue_fs_of(i->base.fs);

    if (!i->account)
        return;
    atomic_fetch_sub(&i->account->message_bytes, (int64_t)i->charged);
    user_account_put(fs->base.kernel->users, i->account);
    mutex_lock(&fs->lock);
    struct ipc_ns *ns = fs->ns;
    if (ns)
        atomic_fetch_sub(&ns->mq_count, 1);
    mutex_unlock(&fs->lock);
}

static void mqueue_release(struct inode *base) {
    struct mqueue_inode *i = mqueue_inode_of(base);
    struct mqueue_entry *e, *next;

    list_for_each_entry_safe(e, next, &i->entries, node) {
        list_del(&e->node);
        inode_unref(e->inode);
        heap_free(e);
    }
    mqueue_done(i);
    uncharge(i);
    inode_done(base);
    heap_free(i);
}

static int mqueue_getattr(struct inode *base, struct kstat *ret) {
    struct mqueue_inode *i = mqueue_inode_of(base);

    mutex_lock(&base->lock);
    ret->mode = base->type | base->mode;
    ret->nlink = i->nlink;
    ret->atime_ns = i->atime_ns;
    ret->mtime_ns = i->mtime_ns;
    ret->ctime_ns = i->ctime_ns;
    ret->size = inode_is_dir(base) ? 0 : QUEUE_STATUS_SIZE;
    mutex_unlock(&base->lock);
    if (!inode_is_dir(base))
        return 0;
    mutex_lock(&base->dir_lock);
    struct mqueue_entry *e;
    ret->size = 2 * ENTRY_SIZE;
    list_for_each_entry(e, &i->entries, node) {
        ret->size += ENTRY_SIZE;
    }
    mutex_unlock(&base->dir_lock);
    return 0;
}

static int mqueue_setattr(struct inode *base, const struct setattr *s) {
    struct mqueue_inode *i = mqueue_inode_of(base);
    int64_t now = vfs_now(base->fs->kernel);

    mutex_lock(&base->lock);
    if (s->mask & SETATTR_MODE)
        base->mode = s->mode;
    if (s->mask & SETATTR_UID)
        base->uid = s->uid;
    if (s->mask & SETATTR_GID)
        base->gid = s->gid;
    if (s->mask & (SETATTR_ATIME | SETATTR_ATIME_NOW))
        i->atime_ns = s->mask & SETATTR_ATIME ? s->atime_ns : now;
    if (s->mask & (SETATTR_MTIME | SETATTR_MTIME_NOW))
        i->mtime_ns = s->mask & SETATTR_MTIME ? s->mtime_ns : now;
    i->ctime_ns = now;
    mutex_unlock(&base->lock);
    return 0;
}

/* ---- making a queue ---- */

static int check_attr(const struct linux_mq_attr *a, const struct ipc_limits *limits, bool privileged) {
    uint64_t bytes;

    if (a->maxmsg <= 0 || a->msgsize <= 0)
        return -EINVAL;
    if (privileged) {
        if (a->maxmsg > HARD_MESSAGES || a->msgsize > HARD_MESSAGE_SIZE)
            return -EINVAL;
    } else if ((uint64_t)a->maxmsg > limits->mq_msg || (uint64_t)a->msgsize > limits->mq_msgsize) {
        return -EINVAL;
    }
    return __builtin_mul_overflow((uint64_t)a->maxmsg, (uint64_t)a->msgsize, &bytes) ? -EOVERFLOW : 0;
}

/* Counts the queue and its bytes. */
static int charge(struct ipc_ns *ns, struct mqueue_inode *i, const struct creds *c, uint64_t limit,
                  bool privileged) {
    struct user_account *a = user_account_get(ns->kernel->users, c->euid);
    uint64_t max = (uint64_t)i->max_messages;
    uint64_t bytes =
        max * MESSAGE_HEAD + MIN(max, (uint64_t)PRIORITIES) * NODE_SIZE + max * (uint64_t)i->message_size;

    if (!a)
        return -ENOMEM;
    if ((uint64_t)atomic_fetch_add(&a->message_bytes, (int64_t)bytes) + bytes > limit) {
        atomic_fetch_sub(&a->message_bytes, (int64_t)bytes);
        user_account_put(ns->kernel->users, a);
        return -EMFILE;
    }
    i->account = a;
    i->charged = bytes;
    if (atomic_fetch_add(&ns->mq_count, 1) >= ns->limits.mq_queues && !privileged)
        return -ENOSPC; /* its release takes it back */
    return 0;
}

struct making {
    const char *name;
    size_t len;
    uint32_t mode;
    const struct linux_mq_attr *attr; /* NULL: defaults */
    const struct creds *creds;
    uint64_t limit; /* RLIMIT_MSGQUEUE */
};

static int make_inode(struct ipc_ns *ns, struct inode *dir, const struct making *m,
                      struct mqueue_inode **ret) {
    bool privileged = creds_has_cap_in(m->creds, ns->kernel->root_user_ns, LINUX_CAP_SYS_RESOURCE);
    struct linux_mq_attr a;

    mutex_lock(&ns->lock);
    struct ipc_limits limits = ns->limits;
    mutex_unlock(&ns->lock);
    a.maxmsg = (int64_t)MIN(limits.mq_msg, limits.mq_msg_default);
    a.msgsize = (int64_t)MIN(limits.mq_msgsize, limits.mq_msgsize_default);
    if (m->attr)
        a = *m->attr;
    int result = check_attr(&a, &limits, privileged);
    if (result < 0)
        return result;
    struct mqueue_inode *i = inode_new(mqueue_fs_of(dir->fs), &g_queue_ops, LINUX_S_IFREG | m->mode,
                                       m->creds->fsuid, m->creds->fsgid);
    if (!i)
        return -ENOMEM;
    i->max_messages = a.maxmsg;
    i->message_size = a.msgsize;
    i->nlink = 1;
    result = charge(ns, i, m->creds, m->limit, privileged);
    if (result < 0) {
        inode_unref(&i->base);
        return result;
    }
    *ret = i;
    return 0;
}

/* dir_lock held; the name is not there. */
static int make_locked(struct inode *dir, const struct making *m, struct inode **ret) {
    struct mqueue_fs *fs = mqueue_fs_of(dir->fs);
    struct mqueue_inode *root = mqueue_inode_of(dir), *i;

    mutex_lock(&fs->lock);
    struct ipc_ns *ns = fs->ns && ipc_ns_tryref(fs->ns) ? fs->ns : NULL;
    mutex_unlock(&fs->lock);
    if (!ns)
        return -EACCES;
    struct mqueue_entry *e = heap_new(mqueue_entry);
    int result = e ? make_inode(ns, dir, m, &i) : -ENOMEM;
    ipc_ns_unref(ns);
    if (result < 0) {
        heap_free(e);
        return result;
    }
    memcpy(e->name, m->name, m->len);
    e->name_len = m->len;
    e->inode = inode_ref(&i->base);
    e->cookie = ++root->last_cookie;
    list_add_tail(&root->entries, &e->node);
    *ret = &i->base;
    return 0;
}

/* ---- the root ---- */

static struct mqueue_entry *find_locked(struct inode *dir, const char *name, size_t len) {
    struct mqueue_entry *e;

    list_for_each_entry(e, &mqueue_inode_of(dir)->entries, node) {
        if (e->name_len == len && memcmp(e->name, name, len) == 0)
            return e;
    }
    return NULL;
}

static int root_lookup(struct inode *dir, const char *name, size_t len, struct inode **ret) {
    struct mqueue_entry *e = find_locked(dir, name, len);

    if (!e)
        return -ENOENT;
    *ret = inode_ref(e->inode);
    return 0;
}

static int root_create(struct inode *dir, const char *name, size_t len, uint32_t mode, const struct creds *c,
                       struct inode **ret) {
    const struct making m = {.name = name, .len = len, .mode = mode, .creds = c, .limit = UINT64_MAX};

    return make_locked(dir, &m, ret);
}

static int root_unlink(struct inode *dir, const char *name, size_t len, struct inode *target) {
    struct mqueue_entry *e = find_locked(dir, name, len);

    if (!e || e->inode != target)
        return -ENOENT;
    mutex_lock(&target->lock);
    mqueue_inode_of(target)->nlink--;
    mutex_unlock(&target->lock);
    list_del(&e->node);
    inode_unref(e->inode); /* the caller has another */
    heap_free(e);
    return 0;
}

static int root_readdir(struct file *f, struct dir_emit *emit) {
    struct inode *dir = f->inode;
    struct mqueue_entry *e;

    for (; f->pos < 2; f->pos++)
        if (emit->emit(emit, "..", f->pos == 0 ? 1 : 2, dir->ino, LINUX_DT_DIR, f->pos + 1))
            return 0;
    mutex_lock(&dir->dir_lock);
    list_for_each_entry(e, &mqueue_inode_of(dir)->entries, node) {
        if (e->cookie <= f->pos)
            continue;
        if (emit->emit(emit, e->name, e->name_len, e->inode->ino, LINUX_DT_REG, e->cookie))
            break;
        f->pos = e->cookie;
    }
    mutex_unlock(&dir->dir_lock);
    return 0;
}

static void root_file_release(struct file *f) {
    file_done(f);
    heap_free(f);
}

static const struct file_ops g_root_file_ops = {
    .name = "mqueue directory", .readdir = root_readdir, .release = root_file_release};

static int root_open(struct inode *inode, const struct path *path, uint32_t flags, const struct creds *c,
                     struct file **ret) {
    struct file *f = heap_new(mqueue_dir_file);

    (void)inode;
    if (!f)
        return -ENOMEM;
    file_init(f, &g_root_file_ops, path, flags, FILE_READ | FILE_POS, c);
    *ret = f;
    return 0;
}

static const struct inode_ops g_root_ops = {.name = "mqueue",
                                            .lookup = root_lookup,
                                            .create = root_create,
                                            .unlink = root_unlink,
                                            .getattr = mqueue_getattr,
                                            .setattr = mqueue_setattr,
                                            .open = root_open,
                                            .release = mqueue_release};
static const struct inode_ops g_queue_ops = {.name = "mqueue",
                                             .getattr = mqueue_getattr,
                                             .setattr = mqueue_setattr,
                                             .open = mqueue_file_open,
                                             .release = mqueue_release};

/* ---- the file system ---- */

static int mqueue_statfs(struct filesystem *fs, struct kstatfs *ret) {
    (void)fs;
    (void)ret;
    return 0;
}

static void mqueue_fs_release(struct filesystem *base) {
    filesystem_done(base);
    heap_free(mqueue_fs_of(base));
}

static const struct filesystem_ops g_mqueue_fs_ops = {.statfs = mqueue_statfs, .release = mqueue_fs_release};

static int fs_new(struct ipc_ns *ns, struct filesystem **ret) {
    struct mqueue_fs *fs = heap_new(mqueue_fs);

    if (!fs)
        return -ENOMEM;
    int result = filesystem_init(&fs->base, ns->kernel, &g_mqueue_fs_ops, &g_mqueue_type, 0);
    if (result < 0) {
        heap_free(fs);
        return result;
    }
    mutex_init(&fs->lock, RANK_LEAF);
    fs->ns = ns;
    fs->base.magic = MQUEUE_MAGIC;
    fs->base.flags |= FS_NO_NEGATIVE;
    struct mqueue_inode *root = inode_new(fs, &g_root_ops, LINUX_S_IFDIR | 01777, make_kuid(ns->user_ns, 0),
                                          make_kgid(ns->user_ns, 0));
    if (root)
        root->nlink = 2;
    fs->base.root = root ? dentry_new_root(&fs->base, &root->base) : NULL;
    if (!fs->base.root) {
        if (root)
            inode_unref(&root->base);
        filesystem_unref(&fs->base);
        return -ENOMEM;
    }
    *ret = &fs->base;
    return 0;
}

/* The namespace's own mount of it: borrowed; made now if there is none. May block. */
static int mount_of(struct ipc_ns *ns, struct mount **ret) {
    struct filesystem *fs;
    struct mount *fresh, *there;

    mutex_lock(&ns->lock);
    *ret = ns->mq_mount;
    mutex_unlock(&ns->lock);
    if (*ret)
        return 0;
    int result = fs_new(ns, &fs);
    if (result < 0)
        return result;
    result = vfs_layer_mount(fs, &fresh);
    filesystem_unref(fs);
    if (result < 0)
        return result;
    mutex_lock(&ns->lock);
    there = ns->mq_mount;
    if (!there)
        ns->mq_mount = TAKE(fresh);
    *ret = ns->mq_mount;
    mutex_unlock(&ns->lock);
    mount_unref(fresh);
    return 0;
}

void mqueue_end_ns(struct ipc_ns *ns) {
    if (!ns->mq_mount)
        return;
    struct mqueue_fs *fs = mqueue_fs_of(ns->mq_mount->fs);
    mutex_lock(&fs->lock);
    fs->ns = NULL;
    mutex_unlock(&fs->lock);
    mount_unref(TAKE(ns->mq_mount));
}

static int mqueue_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *o,
                        struct filesystem **ret) {
    struct mount *m;

    (void)k;
    (void)type;
    struct ipc_ns *ns = o->ipc_ns ? o->ipc_ns : o->view_task ? task_ipc_ns(o->view_task) : NULL;
    if (!ns)
        return -EINVAL;
    int result = mount_of(ns, &m);
    if (result == 0)
        *ret = filesystem_ref(m->fs);
    return result;
}

static const struct fs_type g_mqueue_type = {.name = "mqueue", .user_mountable = true, .mount = mqueue_mount};

__attribute__((constructor)) static void mqueue_register(void) {
    fs_type_register(&g_mqueue_type);
}

/* ---- mq_open, mq_unlink ---- */

static int check_name(const char *name) {
    size_t len = strlen(name);

    if (len == 0)
        return -ENOENT;
    if (len > LINUX_NAME_MAX)
        return -ENAMETOOLONG;
    if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return -EACCES;
    return 0;
}

/* The queue of this name; made if it is not there and the flags want that. */
static int find_or_make(struct dentry *root, const struct making *m, bool create, bool *ret_made,
                        struct dentry **ret) {
    struct dentry *d;
    struct inode *inode = NULL;

    int result = dentry_lookup(root, m->name, m->len, &d);
    if (result < 0)
        return result;
    if (d->inode || !create) {
        *ret = d;
        return d->inode ? 0 : (dentry_unref(d), -ENOENT);
    }
    dentry_unref(d);
    mutex_lock(&root->inode->dir_lock);
    if (!find_locked(root->inode, m->name, m->len))
        result = make_locked(root->inode, m, &inode);
    mutex_unlock(&root->inode->dir_lock);
    if (result < 0)
        return result;
    *ret_made = inode != NULL;
    inode_unref(inode); /* its name keeps it */
    dentry_invalidate(root, m->name, m->len);
    result = dentry_lookup(root, m->name, m->len, ret);
    if (result == 0 && !(*ret)->inode) {
        dentry_unref(*ret);
        result = -ENOENT; /* gone again already */
    }
    return result;
}

static unsigned access_of(uint32_t flags) {
    static const unsigned mask[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE};

    return mask[flags & LINUX_O_ACCMODE];
}

static int check_found(const struct path *p, uint32_t flags, bool made, const struct creds *c) {
    if (made)
        return 0;
    if ((flags & (LINUX_O_CREAT | LINUX_O_EXCL)) == (LINUX_O_CREAT | LINUX_O_EXCL))
        return -EEXIST;
    if ((flags & LINUX_O_ACCMODE) == LINUX_O_ACCMODE)
        return -EINVAL;
    return path_permission(p, c, access_of(flags));
}

int mqueue_open(struct task *t, const char *name, uint32_t flags, uint32_t mode,
                const struct linux_mq_attr *attr, struct file **ret) {
    struct making m = {.name = name,
                       .len = strlen(name),
                       .mode = mode,
                       .attr = attr,
                       .creds = task_creds(t),
                       .limit = task_limit(t, LINUX_RLIMIT_MSGQUEUE)};
    struct mount *mount;
    struct path p = {0};
    bool made = false;

    might_block();
    int result = check_name(name);
    if (result == 0)
        result = mount_of(task_ipc_ns(t), &mount);
    if (result == 0)
        result = find_or_make(mount->fs->root, &m, flags & LINUX_O_CREAT, &made, &p.dentry);
    if (result < 0)
        return result;
    p.mount = mount_ref(mount);
    result = check_found(&p, flags, made, m.creds);
    if (result == 0)
        result = mqueue_file_open(p.dentry->inode, &p, flags, m.creds, ret);
    path_put(&p);
    return result;
}

int mqueue_unlink(struct task *t, const char *name) {
    struct mount *mount;

    might_block();
    int result = check_name(name);
    if (result == 0)
        result = mount_of(task_ipc_ns(t), &mount);
    if (result < 0)
        return result;
    struct path root = {.mount = mount, .dentry = mount->fs->root};
    const struct vfs_view v = {.root = root, .cwd = root, .creds = task_creds(t), .task = t};
    return vfs_unlink(&v, LINUX_AT_FDCWD, name);
}
