/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/tmpfs/tmpfs_super.c: tmpfs as a file system: options, limits, statfs, and memfds, which live on
 * one of their own. Source: tmpfs(5), mount(8), memfd_create(2).
 *
 * The limit of bytes counts what files charge (tmpfs_file.c): an upper bound of their pages. Pages that a
 * shared mapping makes in a hole are not counted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/mount.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/fs/tmpfs/tmpfs_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/mount.h"

HEAP_TYPE(tmpfs, struct tmpfs, 0);

enum { TMPFS_INODE_COST = 1024 }; /* bytes of the heap, about */

struct options {
    uint64_t max_bytes, max_inodes;
    uint32_t mode;
    kuid_t uid;
    kgid_t gid;
};

/* "10", "10k", "2m", "1g"; "50%" of total for sizes. */
static int parse_size(const char *text, uint64_t total, uint64_t *ret) {
    char *end;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    uint64_t n = strtoull(text, &end, 0);
    unsigned shift = 0;
    if (errno)
        return -EINVAL;
    if (*end == '%' && total > 0 && !end[1]) {
        *ret = n > 100 ? total : total / 100 * n;
        return 0;
    }
    if (*end == 'k' || *end == 'K')
        shift = 10;
    else if (*end == 'm' || *end == 'M')
        shift = 20;
    else if (*end == 'g' || *end == 'G')
        shift = 30;
    else if (*end)
        return -EINVAL;
    if (shift && end[1])
        return -EINVAL;
    if (n > UINT64_MAX >> shift)
        return -EINVAL;
    *ret = n << shift;
    return 0;
}

static int parse_one(struct options *o, const char *key, const char *value, const struct mount_options *m,
                     uint64_t memory) {
    static const char *const ignored[] = {"inode32", "inode64",  "noswap", "huge",
                                          "mpol",    "seclabel", "rw",     "ro"};
    uint32_t n = 0;
    int r;

    if (strcmp(key, "size") == 0)
        return parse_size(value, memory, &o->max_bytes);
    if (strcmp(key, "nr_blocks") == 0) {
        r = parse_size(value, 0, &o->max_bytes);
        o->max_bytes *= PAGE_SIZE;
        return r;
    }
    if (strcmp(key, "nr_inodes") == 0)
        return parse_size(value, 0, &o->max_inodes);
    if (strcmp(key, "mode") == 0) {
        r = mount_option_number(value, 8, &n);
        o->mode = n & 07777;
        return r;
    }
    if (strcmp(key, "uid") == 0) {
        r = mount_option_number(value, 10, &n);
        o->uid = r == 0 ? make_kuid(m->user_ns, n) : 0;
        return r == 0 && o->uid == INVALID_ID ? -EINVAL : r;
    }
    if (strcmp(key, "gid") == 0) {
        r = mount_option_number(value, 10, &n);
        o->gid = r == 0 ? make_kgid(m->user_ns, n) : 0;
        return r == 0 && o->gid == INVALID_ID ? -EINVAL : r;
    }
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
        if (strcmp(key, ignored[i]) == 0)
            return 0;
    return -ENOENT;
}

/* -ENOENT: an option that is not known. */
static int parse_options(struct options *o, const struct mount_options *m, uint64_t memory) {
    char *copy = m->data ? heap_strdup(m->data) : NULL;
    int r = 0;

    if (!m->data)
        return 0;
    if (!copy)
        return -ENOMEM;
    for (char *at = copy, *item; r == 0 && (item = strsep(&at, ","));) {
        if (!*item)
            continue;
        char *value = strchr(item, '=');
        if (value)
            *value++ = '\0';
        r = parse_one(o, item, value ? value : "", m, memory);
    }
    heap_free(copy);
    return r;
}

/* ---- limits ---- */

bool tmpfs_charge(struct tmpfs *fs, uint64_t bytes) {
    uint64_t used = atomic_load(&fs->used_bytes), max = atomic_load(&fs->max_bytes);

    do {
        if (max > 0 && (used + bytes > max || used + bytes < used))
            return false;
    } while (!atomic_compare_exchange_weak(&fs->used_bytes, &used, used + bytes));
    return true;
}

void tmpfs_uncharge(struct tmpfs *fs, uint64_t bytes) {
    uint64_t old = atomic_fetch_sub(&fs->used_bytes, bytes);

    ASSERT(old >= bytes);
}

static int tmpfs_statfs(struct filesystem *base, struct kstatfs *ret) {
    struct tmpfs *fs = container_of(base, struct tmpfs, base);
    uint64_t max = fs->max_bytes, used = fs->used_bytes, inodes = fs->used_inodes;

    if (max == 0 && base->layer > 0) /* what programs want to know of an overlay: how much they may write */
        max = base->kernel->total_memory;
    if (base->layer >
        0) /* files without bytes take memory too; and nothing looks like a disk with nothing on it */
        used += inodes * TMPFS_INODE_COST;

    ret->blocks = max / PAGE_SIZE;
    ret->bfree = ret->bavail = max > used ? (max - used) / PAGE_SIZE : 0;
    ret->files = fs->max_inodes;
    ret->ffree = ret->files > inodes ? ret->files - inodes : 0;
    return 0;
}

static int tmpfs_remount(struct filesystem *base, const struct mount_options *m) {
    struct tmpfs *fs = container_of(base, struct tmpfs, base);
    struct options o = {.max_bytes = fs->max_bytes, .max_inodes = fs->max_inodes};
    int r = parse_options(&o, m, base->kernel->total_memory);

    if (r < 0)
        return r == -ENOENT ? -EINVAL : r;
    if ((o.max_bytes && o.max_bytes < fs->used_bytes) || (o.max_inodes && o.max_inodes < fs->used_inodes))
        return -EINVAL;
    fs->max_bytes = o.max_bytes;
    fs->max_inodes = o.max_inodes;
    return 0;
}

static size_t tmpfs_show_options(struct filesystem *base, char *buf, size_t size) {
    struct tmpfs *fs = container_of(base, struct tmpfs, base);
    char text[160];
    int n = 0;

    if (fs->max_bytes)
        n += snprintf(text + n, sizeof text - (size_t)n, ",size=%luk", (unsigned long)fs->max_bytes / 1024);
    if (fs->max_inodes)
        n += snprintf(text + n, sizeof text - (size_t)n, ",nr_inodes=%lu", (unsigned long)fs->max_inodes);
    if (fs->mode != 01777)
        n += snprintf(text + n, sizeof text - (size_t)n, ",mode=%o", fs->mode);
    if (fs->uid)
        n += snprintf(text + n, sizeof text - (size_t)n, ",uid=%u", fs->uid);
    if (fs->gid)
        n += snprintf(text + n, sizeof text - (size_t)n, ",gid=%u", fs->gid);
    n += snprintf(text + n, sizeof text - (size_t)n, ",inode64");
    size_t len = MIN((size_t)n, size);
    memcpy(buf, text, len);
    return len;
}

static void tmpfs_fs_release(struct filesystem *base) {
    struct tmpfs *fs = container_of(base, struct tmpfs, base);

    filesystem_done(base);
    ASSERT(fs->used_bytes == 0);
    heap_free(fs);
}

static const struct filesystem_ops tmpfs_ops = {
    .statfs = tmpfs_statfs,
    .remount = tmpfs_remount,
    .show_options = tmpfs_show_options,
    .find_inode = tmpfs_find_inode,
    .release = tmpfs_fs_release,
};

/* ---- making ---- */

static int tmpfs_new(struct kernel *k, const struct fs_type *type, unsigned layer, const struct options *o,
                     struct filesystem **ret) {
    struct tmpfs *fs = heap_new(tmpfs);
    struct tmpfs_inode *root;

    if (!fs)
        return -ENOMEM;
    int r = filesystem_init(&fs->base, k, &tmpfs_ops, type, layer);
    if (r < 0) {
        heap_free(fs);
        return r;
    }
    fs->base.magic = LINUX_TMPFS_MAGIC;
    mutex_init(&fs->by_ino_lock, RANK_LEAF);
    RB_INIT(&fs->by_ino);
    fs->mode = o->mode;
    fs->uid = o->uid;
    fs->gid = o->gid;
    fs->max_bytes = o->max_bytes;
    fs->max_inodes = o->max_inodes;
    r = tmpfs_inode_new(fs, NULL, LINUX_S_IFDIR | o->mode, 0, NULL, &root);
    if (r == 0) {
        root->base.uid = o->uid;
        root->base.gid = o->gid;
        root->nlink = 2;
        fs->base.root = dentry_new_root(&fs->base, &root->base);
        if (!fs->base.root) {
            inode_unref(&root->base);
            r = -ENOMEM;
        }
    }
    if (r < 0) {
        filesystem_unref(&fs->base);
        return r;
    }
    *ret = &fs->base;
    return 0;
}

static int tmpfs_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *m,
                       struct filesystem **ret) {
    struct options o = {.max_bytes = page_down(k->total_memory / 2),
                        .max_inodes = k->total_memory / PAGE_SIZE / 2,
                        .mode = 01777,
                        .uid = m->creds->fsuid,
                        .gid = m->creds->fsgid};
    int r = parse_options(&o, m, k->total_memory);

    if (r < 0)
        return r == -ENOENT ? -EINVAL : r;
    return tmpfs_new(k, type, 0, &o, ret);
}

static int tmpfs_check_option(struct kernel *k, const struct mount_options *m) {
    struct options o = {0};

    return parse_options(&o, m, k->total_memory);
}

static const struct fs_type g_tmpfs_type = {
    .name = "tmpfs", .user_mountable = true, .check_option = tmpfs_check_option, .mount = tmpfs_mount};
static const struct fs_type g_ramfs_type = {
    .name = "ramfs", .user_mountable = true, .check_option = tmpfs_check_option, .mount = tmpfs_mount};

__attribute__((constructor)) static void tmpfs_register(void) {
    fs_type_register(&g_tmpfs_type);
    fs_type_register(&g_ramfs_type);
}

int tmpfs_create(struct kernel *k, unsigned layer, uint32_t mode, struct filesystem **ret) {
    const struct options o = {.mode = mode & 07777};

    return tmpfs_new(k, &g_tmpfs_type, layer, &o, ret);
}

/* ---- memfds ---- */

int tmpfs_memfd_create(struct task *t, const char *name, uint32_t flags, struct file **ret) {
    struct kernel *k = t->kernel;
    struct mount *m;
    struct tmpfs_inode *i;
    char text[256];
    int r = vfs_internal_tmpfs(k, &m);

    if (r < 0)
        return r;
    r = tmpfs_inode_new(container_of(m->fs, struct tmpfs, base), NULL, LINUX_S_IFREG | 0777, 0, task_creds(t),
                        &i);
    if (r == 0) {
        i->seals = flags & LINUX_MFD_ALLOW_SEALING ? 0 : LINUX_F_SEAL_SEAL;
        snprintf(text, sizeof text, "memfd:%s", name);
        struct path p = {m, dentry_new_unlinked(m->root, text, &i->base)};
        if (p.dentry) {
            r = tmpfs_file_open(&i->base, &p, LINUX_O_RDWR | LINUX_O_LARGEFILE, task_creds(t), ret);
            dentry_unref(p.dentry);
        } else {
            inode_unref(&i->base);
            r = -ENOMEM;
        }
    }
    mount_unref(m);
    return r;
}
