/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/devpts/devpts.c: the devpts file system: ptmx and a node for each terminal; the drivers of
 * /dev/ptmx, /dev/tty, /dev/pts/N. Source: pts(4), devpts.
 *
 * Each mount is an instance with its own numbers. The instance's table holds a reference to a terminal until
 * its master is closed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/devpts/tty_file.h"
#include "sentry/fs/kernfs/kernfs.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fd_table.h"

enum { DEVPTS_SUPER_MAGIC = 0x1cd1, TABLE_STEP = 16, CAP_SYS_ADMIN_NR = 21 };

struct devpts {
    struct ref ref;
    struct kernel *kernel;
    struct filesystem *fs; /* borrowed: it holds this */
    bool set_gid, set_uid;
    kuid_t uid;
    kgid_t gid;
    uint32_t mode, ptmx_mode;
    struct mutex lock;  /* RANK_EVENT; the table */
    struct tty **table; /* references; NULL: free */
    size_t capacity;
};
HEAP_TYPE(devpts, struct devpts, 0);
HEAP_TYPE(tty, struct tty, 0);

static void devpts_destroy(struct devpts *d) {
    heap_free(d->table);
    heap_free(d);
}
DECLARE_REF(devpts);
DEFINE_REF(devpts, devpts_destroy);

/* ---- terminals ---- */

static void tty_destroy(struct tty *tty) {
    tty_buffer_done(&tty->input);
    tty_buffer_done(&tty->lines);
    tty_buffer_done(&tty->edit);
    tty_buffer_done(&tty->output);
    pid_unref(tty->session);
    pid_unref(tty->foreground);
    heap_free(tty);
}
DECLARE_REF(tty);
DEFINE_REF(tty, tty_destroy);

struct tty *tty_new(struct kernel *k, kuid_t uid, kgid_t gid) {
    struct tty *tty = heap_new(tty);

    if (!tty)
        return NULL;
    tty_ref_init(tty);
    tty->kernel = k;
    tty->index = -1;
    mutex_init(&tty->lock, RANK_TTY);
    tty->termios = tty_initial_termios;
    tty->master_open = true;
    tty->uid = uid;
    tty->gid = gid;
    tty->made_ns = vfs_now(k);
    waitq_init(&tty->slave_queue);
    waitq_init(&tty->master_queue);
    return tty;
}

/* Puts the terminal into the table under the lowest free number; takes a reference for it. */
static int table_add(struct devpts *d, struct tty *tty) {
    int r = 0;

    mutex_lock(&d->lock);
    size_t i = 0;
    while (i < d->capacity && d->table[i])
        i++;
    if (i == d->capacity) {
        size_t capacity = d->capacity + MAX(d->capacity, (size_t)TABLE_STEP);
        struct tty **table = d->table ? heap_realloc(d->table, capacity * sizeof *table)
                                      : heap_alloc_array(capacity, sizeof *table);
        if (table) {
            d->table = table;
            d->capacity = capacity;
        } else {
            r = -ENOMEM;
        }
    }
    if (r == 0) {
        d->table[i] = tty_ref(tty);
        tty->index = (int)i;
        tty->devpts = d;
    }
    mutex_unlock(&d->lock);
    return r;
}

static struct tty *table_get(struct devpts *d, uint64_t index) {
    mutex_lock(&d->lock);
    struct tty *tty = index < d->capacity && d->table[index] ? tty_ref(d->table[index]) : NULL;
    mutex_unlock(&d->lock);
    return tty;
}

static void table_remove(struct tty *tty) {
    struct devpts *d = tty->devpts;
    char name[12];

    if (!d)
        return;
    mutex_lock(&d->lock);
    struct tty *held = d->table[tty->index];
    d->table[tty->index] = NULL;
    mutex_unlock(&d->lock);
    ASSERT(held == tty);
    snprintf(name, sizeof name, "%d", tty->index);
    dentry_invalidate(d->fs->root, name, strlen(name));
    tty_unref(held);
}

/* The last master file of an instance may outlive its mount: the file's path keeps the file system. */
void tty_master_closed(struct tty *tty) {
    mutex_lock(&tty->lock);
    tty->master_open = false;
    mutex_unlock(&tty->lock);
    tty_hangup(tty);
    table_remove(tty);
}

/* ---- nodes ---- */

static void slave_drop(struct kernfs_inode *n) {
    tty_unref(n->object);
}

static bool slave_valid(struct kernfs_inode *n) {
    struct tty *tty = n->object, *now = table_get(kernfs_data(n), n->number);

    tty_unref(now);
    return now == tty;
}

static void slave_owner(struct kernfs_inode *n, kuid_t *uid, kgid_t *gid) {
    struct tty *tty = n->object;

    mutex_lock(&tty->lock);
    *uid = tty->uid;
    *gid = tty->gid;
    mutex_unlock(&tty->lock);
}

static uint32_t slave_permissions(struct kernfs_inode *n) {
    struct tty *tty = n->object;

    return tty->mode;
}

static int slave_setattr(struct kernfs_inode *n, const struct setattr *s) {
    struct tty *tty = n->object;

    mutex_lock(&tty->lock);
    if (s->mask & SETATTR_MODE)
        tty->mode = s->mode & 07777;
    if (s->mask & SETATTR_UID)
        tty->uid = s->uid;
    if (s->mask & SETATTR_GID)
        tty->gid = s->gid;
    mutex_unlock(&tty->lock);
    return 0;
}

static const struct kernfs_ops devpts_slave = {.mode = LINUX_S_IFCHR | 0620,
                                               .drop = slave_drop,
                                               .valid = slave_valid,
                                               .owner = slave_owner,
                                               .permissions = slave_permissions,
                                               .setattr = slave_setattr};

static void ptmx_inherit(struct kernfs_inode *n, const struct kernfs_inode *dir) {
    (void)dir;
    n->inode.rdev = TTY_MAJOR_AUX << 8 | TTY_MINOR_PTMX;
}

static uint32_t ptmx_permissions(struct kernfs_inode *n) {
    struct devpts *d = kernfs_data(n);

    return d->ptmx_mode;
}

static const struct kernfs_ops devpts_ptmx = {
    .mode = LINUX_S_IFCHR | 0666, .inherit = ptmx_inherit, .permissions = ptmx_permissions};

static uint64_t pts_rdev(uint64_t index) {
    return (uint64_t)TTY_MAJOR_PTS << 8 | (index & 0xff) | (index & 0xfff00) << 12;
}

static int root_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    struct devpts *d = kernfs_data(dir);
    char text[12], check[12];

    if (len >= sizeof text)
        return -ENOENT;
    memcpy(text, name, len);
    text[len] = '\0';
    unsigned long index = strtoul(text, NULL, 10);
    snprintf(check, sizeof check, "%lu", index);
    if (strcmp(text, check) != 0)
        return -ENOENT;
    struct tty *tty = table_get(d, index);
    if (!tty)
        return -ENOENT;
    int r = kernfs_new(dir->inode.fs, &devpts_slave, index + 3, tty->uid, tty->gid, tty, NULL, index, ret);
    if (r < 0)
        tty_unref(tty);
    else
        (*ret)->rdev = pts_rdev(index);
    return r;
}

static int root_list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {
    struct devpts *d = kernfs_data(dir);

    for (uint64_t i = from; i < d->capacity; i++) {
        char name[12];
        struct tty *tty = table_get(d, i);
        if (!tty)
            continue;
        tty_unref(tty);
        int len = snprintf(name, sizeof name, "%llu", (unsigned long long)i);
        if (e->emit(e, name, (size_t)len, i + 3, LINUX_DT_CHR, i + 1))
            break;
    }
    return 0;
}

static const struct kernfs_entry root_entries[] = {{"ptmx", &devpts_ptmx}, {NULL, NULL}};
static const struct kernfs_ops devpts_root = {
    .mode = LINUX_S_IFDIR | 0755, .entries = root_entries, .lookup = root_lookup, .list = root_list};

/* ---- the drivers ---- */

/* The devpts instance that a ptmx node belongs to: its own, or the one mounted on "pts" beside it. New
 * reference of a path into it. */
static int find_instance(struct inode *node, const struct path *path, struct task *t, struct path *ret) {
    if (strcmp(node->fs->type->name, "devpts") == 0) {
        *ret = path_get(path);
        return 0;
    }
    struct path dir = {.mount = path->mount, .dentry = dentry_parent(path->dentry)};
    struct vfs_view view = {.root = dir, .cwd = dir, .creds = task_creds(t), .task = t};
    int r = path_lookup(&view, LINUX_AT_FDCWD, "pts", LOOKUP_DIRECTORY, ret);
    dentry_unref(dir.dentry);
    if (r == 0 && strcmp(ret->dentry->inode->fs->type->name, "devpts") != 0) {
        path_put(ret);
        r = -ENODEV;
    }
    return r;
}

static int ptmx_open(struct inode *node, const struct path *path, uint32_t flags, const struct creds *c,
                     struct task *t, struct file **ret) {
    struct path where;

    if (!t)
        return -ENODEV;
    int r = find_instance(node, path, t, &where);
    if (r < 0)
        return r;
    struct devpts *d = kernfs_fs_data(where.dentry->inode->fs);
    struct tty *tty = tty_new(t->kernel, d->set_uid ? d->uid : c->fsuid, d->set_gid ? d->gid : c->fsgid);
    r = tty ? 0 : -ENOMEM;
    if (r == 0) {
        tty->mode = d->mode;
        tty->master_locked = true;
        r = table_add(d, tty);
    }
    if (r == 0) {
        r = tty_open_master(tty, &where, flags, c, ret);
        if (r < 0)
            table_remove(tty);
    }
    tty_unref(tty);
    path_put(&where);
    return r;
}

static int pts_open(struct inode *node, const struct path *path, uint32_t flags, const struct creds *c,
                    struct task *t, struct file **ret) {
    if (strcmp(node->fs->type->name, "devpts") != 0)
        return -ENXIO;
    struct tty *tty = kernfs_of(node)->object;
    int r = tty_open_slave(tty, path, flags, c, ret);
    if (r == 0 && !(flags & LINUX_O_NOCTTY))
        tty_maybe_become_controlling(tty, t);
    return r;
}

static int aux_tty_open(struct inode *node, const struct path *path, uint32_t flags, const struct creds *c,
                        struct task *t, struct file **ret) {
    struct tty *tty = t ? task_get_tty(t) : NULL;

    (void)node;
    if (!tty)
        return -ENXIO;
    int r = tty_open_slave(tty, path, flags, c, ret);
    tty_unref(tty);
    return r;
}

/* TIOCGPTPEER: the slave without its name. */
int devpts_open_peer(struct tty *tty, struct task *t, struct mount *mount, uint32_t flags) {
    struct devpts *d = tty->devpts;
    char name[12];
    struct dentry *dentry;
    struct file *f;

    if (!d)
        return -EIO;
    snprintf(name, sizeof name, "%d", tty->index);
    int r = dentry_lookup(d->fs->root, name, strlen(name), &dentry);
    if (r < 0)
        return r;
    struct path path = {.mount = mount, .dentry = dentry};
    if (!dentry->inode)
        r = -EIO;
    else
        r = tty_open_slave(tty, &path, flags & ~(uint32_t)LINUX_O_CLOEXEC, task_creds(t), &f);
    dentry_unref(dentry);
    if (r < 0)
        return r;
    if (!(flags & LINUX_O_NOCTTY))
        tty_maybe_become_controlling(tty, t);
    r = fd_install(t, f, 0, flags & LINUX_O_CLOEXEC);
    if (r < 0)
        file_unref(f);
    return r;
}

int tty_new_console(struct kernel *k, struct filesystem *fs, uint32_t uid, struct tty **ret) {
    struct devpts *d = kernfs_fs_data(fs);
    struct tty *tty = tty_new(k, uid, d->set_gid ? d->gid : 0);

    if (!tty)
        return -ENOMEM;
    tty->mode = d->mode;
    int r = table_add(d, tty);
    if (r < 0)
        tty_unref(tty);
    else
        *ret = tty;
    return r;
}

static struct device_driver g_ptmx_driver = {.name = "ptmx",
                                             .type = LINUX_S_IFCHR,
                                             .major = TTY_MAJOR_AUX,
                                             .minor_first = TTY_MINOR_PTMX,
                                             .minor_count = 1,
                                             .open = ptmx_open};
static struct device_driver g_tty_driver = {.name = "tty",
                                            .type = LINUX_S_IFCHR,
                                            .major = TTY_MAJOR_AUX,
                                            .minor_first = TTY_MINOR_TTY,
                                            .minor_count = 2,
                                            .open = aux_tty_open};
static struct device_driver g_pts_driver = {.name = "pts",
                                            .type = LINUX_S_IFCHR,
                                            .major = TTY_MAJOR_PTS,
                                            .minor_first = 0,
                                            .minor_count = 1u << 20,
                                            .open = pts_open};

/* ---- mounting ---- */

static int parse_option(struct devpts *d, const char *option, struct user_ns *ns) {
    const char *equals = strchr(option, '=');
    char *end = NULL;
    unsigned long value =
        equals ? strtoul(equals + 1, &end, option[0] == 'm' || option[0] == 'p' ? 8 : 10) : 0;

    if (equals && (end == equals + 1 || *end))
        return -EINVAL;
    if (strncmp(option, "mode=", 5) == 0) {
        d->mode = (uint32_t)value & 07777;
    } else if (strncmp(option, "ptmxmode=", 9) == 0) {
        d->ptmx_mode = (uint32_t)value & 07777;
    } else if (strncmp(option, "gid=", 4) == 0) {
        d->gid = make_kgid(ns, (uint32_t)value);
        d->set_gid = true;
        if (d->gid == INVALID_ID)
            return -EINVAL;
    } else if (strncmp(option, "uid=", 4) == 0) {
        d->uid = make_kuid(ns, (uint32_t)value);
        d->set_uid = true;
        if (d->uid == INVALID_ID)
            return -EINVAL;
    } else if (strcmp(option, "newinstance") != 0 && strncmp(option, "max=", 4) != 0) {
        return -EINVAL;
    }
    return 0;
}

static int parse_options(struct devpts *d, const char *data, struct user_ns *ns) {
    char *copy = data ? heap_strdup(data) : NULL, *save = NULL;
    int r = data && !copy ? -ENOMEM : 0;

    for (char *option = copy ? strtok_r(copy, ",", &save) : NULL; option && r == 0;
         option = strtok_r(NULL, ",", &save))
        r = parse_option(d, option, ns);
    heap_free(copy);
    return r;
}

static size_t show_options(struct filesystem *fs, char *buf, size_t size) {
    struct devpts *d = kernfs_fs_data(fs);
    int n = d->set_gid ? snprintf(buf, size, ",gid=%u", d->gid) : 0;

    n += snprintf(buf + n, size - (size_t)n, ",mode=%03o,ptmxmode=%03o", d->mode, d->ptmx_mode);
    return (size_t)n;
}

static void drop_data(void *data) {
    devpts_unref(data);
}

static int devpts_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *o,
                        struct filesystem **ret) {
    struct devpts *d = heap_new(devpts);

    if (!d)
        return -ENOMEM;
    devpts_ref_init(d);
    d->kernel = k;
    d->mode = 0600;
    d->ptmx_mode = 0;
    mutex_init(&d->lock, RANK_EVENT);
    struct kernfs_mount_request request = {.type = type,
                                           .root = &devpts_root,
                                           .magic = DEVPTS_SUPER_MAGIC,
                                           .data = d,
                                           .drop_data = drop_data,
                                           .show_options = show_options};
    int r = parse_options(d, o->data, o->user_ns ? o->user_ns : k->root_user_ns);
    if (r == 0)
        r = kernfs_mount(k, &request, ret);
    if (r < 0)
        devpts_unref(d);
    else
        d->fs = *ret;
    return r;
}

static int devpts_check_option(struct kernel *k, const struct mount_options *o) {
    struct devpts scratch = {0};

    return parse_option(&scratch, o->data, o->user_ns ? o->user_ns : k->root_user_ns);
}

static const struct fs_type g_devpts_type = {
    .name = "devpts", .user_mountable = true, .check_option = devpts_check_option, .mount = devpts_mount};

__attribute__((constructor)) static void register_devpts(void) {
    fs_type_register(&g_devpts_type);
    device_driver_register(&g_ptmx_driver);
    device_driver_register(&g_tty_driver);
    device_driver_register(&g_pts_driver);
}
