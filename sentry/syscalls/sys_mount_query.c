/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_mount_query.c: statmount and listmount. Source: statmount(2), listmount(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/mount.h"
#include "sentry/heap/heap.h"
#include "sentry/heap/text.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/syscalls/sys_util.h"

enum { REQUEST_FIRST = 24, LIST_MAX = 1000000, OPTIONS_SIZE = 1024 };
#define STATMOUNT_KNOWN                                                                                      \
    (LINUX_STATMOUNT_SB_BASIC | LINUX_STATMOUNT_MNT_BASIC | LINUX_STATMOUNT_PROPAGATE_FROM |                 \
     LINUX_STATMOUNT_MNT_ROOT | LINUX_STATMOUNT_MNT_POINT | LINUX_STATMOUNT_FS_TYPE |                        \
     LINUX_STATMOUNT_MNT_NS_ID | LINUX_STATMOUNT_MNT_OPTS | LINUX_STATMOUNT_FS_SUBTYPE |                     \
     LINUX_STATMOUNT_SB_SOURCE | LINUX_STATMOUNT_OPT_ARRAY | LINUX_STATMOUNT_OPT_SEC_ARRAY |                 \
     LINUX_STATMOUNT_SUPPORTED_MASK | LINUX_STATMOUNT_MNT_UIDMAP | LINUX_STATMOUNT_MNT_GIDMAP)

static int copy_in_request(struct task *t, gva_t at, struct linux_mnt_id_req *ret) {
    uint32_t size;
    int r = copy_in(t, &size, at, sizeof size);

    if (r == 0)
        r = copy_in_struct(t, ret, sizeof *ret, at, size, REQUEST_FIRST);
    if (r == 0 && (ret->spare != 0 || ret->mnt_id <= MOUNT_UNIQUE_BASE))
        r = -EINVAL;
    return r;
}

/* Only the caller's own namespace can be named. */
static int check_namespace(struct task *t, const struct linux_mnt_id_req *q) {
    return q->mnt_ns_id && q->mnt_ns_id != t->nsproxy->mnt->inode ? -ENOENT : 0;
}

/* ---- statmount ---- */

/* What is being put together: the fixed part, and the text behind it. */
struct answer {
    struct linux_statmount s;
    struct text text;
};

static void put_text(struct answer *a, uint32_t *offset, uint64_t bit, const char *value) {
    *offset = (uint32_t)a->text.len;
    text_append(&a->text, value, strlen(value) + 1);
    a->s.mask |= bit;
}

static uint64_t attrs_of(const struct mount *m) {
    static const struct {
        uint32_t mount, attr;
    } map[] = {
        {MOUNT_READONLY, LINUX_MOUNT_ATTR_RDONLY},       {MOUNT_NOSUID, LINUX_MOUNT_ATTR_NOSUID},
        {MOUNT_NODEV, LINUX_MOUNT_ATTR_NODEV},           {MOUNT_NOEXEC, LINUX_MOUNT_ATTR_NOEXEC},
        {MOUNT_NODIRATIME, LINUX_MOUNT_ATTR_NODIRATIME}, {MOUNT_NOSYMFOLLOW, LINUX_MOUNT_ATTR_NOSYMFOLLOW},
        {MOUNT_NOATIME, LINUX_MOUNT_ATTR_NOATIME},
    };
    uint64_t attr = m->flags & (MOUNT_NOATIME | MOUNT_RELATIME) ? 0 : LINUX_MOUNT_ATTR_STRICTATIME;

    for (size_t i = 0; i < ARRAY_SIZE(map); i++)
        if (m->flags & map[i].mount)
            attr |= map[i].attr;
    return attr;
}

static uint64_t propagation_of(const struct mount *m) {
    uint64_t p = m->propagation == PROPAGATE_UNBINDABLE ? LINUX_MS_UNBINDABLE : 0;

    if (m->peer_group)
        p |= LINUX_MS_SHARED;
    if (m->master_group)
        p |= LINUX_MS_SLAVE;
    return p ? p : LINUX_MS_PRIVATE;
}

static void put_numbers(struct answer *a, const struct mount *m, int parent_id, uint64_t want) {
    uint64_t dev = m->fs->dev;

    if (want & LINUX_STATMOUNT_SB_BASIC) {
        a->s.sb_dev_major = (uint32_t)(dev >> 8 & 0xfff);
        a->s.sb_dev_minor = (uint32_t)((dev & 0xff) | (dev >> 12 & 0xfff00));
        a->s.sb_magic = m->fs->magic;
        a->s.sb_flags = m->fs->flags & FS_READONLY ? LINUX_MS_RDONLY : 0;
    }
    if (want & LINUX_STATMOUNT_MNT_BASIC) {
        a->s.mnt_id = mount_unique_id(m);
        a->s.mnt_parent_id = MOUNT_UNIQUE_BASE + (uint64_t)parent_id;
        a->s.mnt_id_old = (uint32_t)m->id;
        a->s.mnt_parent_id_old = (uint32_t)parent_id;
        a->s.mnt_attr = attrs_of(m);
        a->s.mnt_propagation = propagation_of(m);
        a->s.mnt_peer_group = (uint64_t)m->peer_group;
        a->s.mnt_master = (uint64_t)m->master_group;
    }
    if (want & LINUX_STATMOUNT_PROPAGATE_FROM)
        a->s.propagate_from = (uint64_t)m->master_group;
    if (want & LINUX_STATMOUNT_SUPPORTED_MASK)
        a->s.supported_mask = STATMOUNT_KNOWN;
    a->s.mask |= want & (LINUX_STATMOUNT_SB_BASIC | LINUX_STATMOUNT_MNT_BASIC |
                         LINUX_STATMOUNT_PROPAGATE_FROM | LINUX_STATMOUNT_SUPPORTED_MASK);
}

/* Options of the file system: one text, or one text each. */
static void put_options(struct answer *a, const struct mount *m, uint64_t want) {
    char options[OPTIONS_SIZE];
    size_t len = m->fs->ops->show_options ? m->fs->ops->show_options(m->fs, options, sizeof options - 1) : 0;

    options[len] = '\0';
    if (len == 0)
        return;
    const char *first = options + (options[0] == ',');
    if (want & LINUX_STATMOUNT_MNT_OPTS)
        put_text(a, &a->s.mnt_opts_str, LINUX_STATMOUNT_MNT_OPTS, first);
    if (want & LINUX_STATMOUNT_OPT_ARRAY) {
        put_text(a, &a->s.opt_array_str, LINUX_STATMOUNT_OPT_ARRAY, first);
        a->s.opt_num = 1;
        for (char *c = a->text.failed ? NULL : strchr(a->text.data + a->s.opt_array_str, ','); c;
             c = strchr(c + 1, ',')) {
            *c = '\0';
            a->s.opt_num++;
        }
    }
}

static int put_names(struct answer *a, const struct mount *m, const struct path *root, uint64_t want) {
    if (want & LINUX_STATMOUNT_FS_TYPE)
        put_text(a, &a->s.fs_type_str, LINUX_STATMOUNT_FS_TYPE, m->fs->type->name);
    if (want & LINUX_STATMOUNT_MNT_ROOT) {
        char *shown = mount_root_text(m);
        if (!shown)
            return -ENOMEM;
        put_text(a, &a->s.mnt_root_str, LINUX_STATMOUNT_MNT_ROOT, shown);
        heap_free(shown);
    }
    if (want & LINUX_STATMOUNT_MNT_POINT) {
        struct path top = {(struct mount *)m, m->root};
        char *at;
        if (path_text(&top, root, &at) < 0)
            return -ENOMEM;
        put_text(a, &a->s.mnt_point_str, LINUX_STATMOUNT_MNT_POINT, at);
        heap_free(at);
    }
    if (want & (LINUX_STATMOUNT_MNT_OPTS | LINUX_STATMOUNT_OPT_ARRAY))
        put_options(a, m, want);
    if (want & LINUX_STATMOUNT_SB_SOURCE && m->source && *m->source)
        put_text(a, &a->s.sb_source_str, LINUX_STATMOUNT_SB_SOURCE, m->source);
    return a->text.failed ? -ENOMEM : 0;
}

static int put_answer(struct task *t, struct answer *a, gva_t to, uint64_t room) {
    size_t fixed = MIN(room, sizeof a->s);

    if (a->text.len > 0 && room < sizeof a->s + a->text.len)
        return -EOVERFLOW;
    a->s.size = (uint32_t)(fixed < sizeof a->s ? fixed : sizeof a->s + a->text.len);
    int r = a->text.len > 0 ? copy_out(t, to + sizeof a->s, a->text.data, a->text.len) : 0;
    return r < 0 ? r : copy_out(t, to, &a->s, fixed);
}

int64_t sys_statmount(struct task *t, const struct syscall_args *a) {
    struct answer answer = {0};
    struct linux_mnt_id_req q;
    struct vfs_view v;
    int parent_id;

    if (arg_u32(a, 3))
        return -EINVAL;
    int r = copy_in_request(t, a->arg[0], &q);
    if (r == 0)
        r = check_namespace(t, &q);
    if (r < 0)
        return r;
    struct mount *m = mnt_ns_find(t->nsproxy->mnt, q.mnt_id, &parent_id);
    if (!m)
        return -ENOENT;
    vfs_view_of(t, &v);
    put_numbers(&answer, m, parent_id, q.param);
    if (q.param & LINUX_STATMOUNT_MNT_NS_ID) {
        answer.s.mnt_ns_id = t->nsproxy->mnt->inode;
        answer.s.mask |= LINUX_STATMOUNT_MNT_NS_ID;
    }
    r = put_names(&answer, m, &v.root, q.param);
    if (r == 0)
        r = put_answer(t, &answer, a->arg[1], a->arg[2]);
    text_done(&answer.text);
    vfs_view_done(&v);
    mount_unref(m);
    return r;
}

/* ---- listmount ---- */

/* Ids below a place, in their order. */
struct collected {
    uint64_t *ids; /* heap */
    size_t count, capacity;
    uint64_t skip; /* the mount itself */
    bool failed;
};

static void collect(const struct mount *m, int parent_id, const char *mountpoint, void *arg) {
    struct collected *c = arg;

    (void)parent_id, (void)mountpoint;
    if (mount_unique_id(m) == c->skip || c->failed)
        return;
    if (c->count == c->capacity) {
        size_t more = c->capacity ? c->capacity * 2 : 64;
        uint64_t *ids =
            c->ids ? heap_realloc(c->ids, more * sizeof *ids) : heap_alloc_bytes(more * sizeof *ids);
        if (!ids) {
            c->failed = true;
            return;
        }
        c->ids = ids;
        c->capacity = more;
    }
    c->ids[c->count++] = mount_unique_id(m);
}

/* Those after `last` in the order asked for (0: from the start), at most `max`, to `out`. */
static size_t select_ids(const struct collected *c, uint64_t last, uint64_t max, bool reverse,
                         uint64_t *out) {
    size_t n = 0;

    for (size_t i = 0; i < c->count && n < max; i++) {
        uint64_t id = c->ids[reverse ? c->count - 1 - i : i];
        if (!last || (reverse ? id < last : id > last))
            out[n++] = id;
    }
    return n;
}

static int64_t list_below(struct task *t, const struct path *top, const struct linux_mnt_id_req *q,
                          const struct syscall_args *a) {
    struct collected c = {.skip = q->mnt_id};
    int64_t r = mnt_ns_for_each(t->nsproxy->mnt, top, collect, &c);

    if (r == 0 && c.failed)
        r = -ENOMEM;
    if (r == 0 && c.count > 0) {
        uint64_t *out = heap_alloc_bytes(c.count * sizeof *out);
        size_t n =
            out ? select_ids(&c, q->param, a->arg[2], arg_u32(a, 3) & LINUX_LISTMOUNT_REVERSE, out) : 0;
        r = out ? copy_out(t, a->arg[1], out, n * sizeof *out) : -ENOMEM;
        r = r < 0 ? r : (int64_t)n;
        heap_free(out);
    }
    heap_free(c.ids);
    return r;
}

int64_t sys_listmount(struct task *t, const struct syscall_args *a) {
    struct linux_mnt_id_req q;
    struct vfs_view v;
    int parent_id;

    if (arg_u32(a, 3) & ~(uint32_t)LINUX_LISTMOUNT_REVERSE)
        return -EINVAL;
    if (a->arg[2] > LIST_MAX)
        return -EOVERFLOW;
    int64_t r = copy_in_request(t, a->arg[0], &q);
    if (r == 0 && q.param && q.param <= MOUNT_UNIQUE_BASE)
        r = -EINVAL;
    if (r == 0)
        r = check_namespace(t, &q);
    if (r < 0)
        return r;
    if (q.mnt_id == LINUX_LSMT_ROOT) {
        vfs_view_of(t, &v);
        r = list_below(t, &v.root, &q, a);
        vfs_view_done(&v);
        return r;
    }
    struct mount *m = mnt_ns_find(t->nsproxy->mnt, q.mnt_id, &parent_id);
    if (!m)
        return -ENOENT;
    const struct path top = {m, m->root};
    r = list_below(t, &top, &q, a);
    mount_unref(m);
    return r;
}
