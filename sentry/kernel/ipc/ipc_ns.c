/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/ipc_ns.c: see ipc_ns.h. Source: ipc_namespaces(7), sysvipc(7), svipc(7).
 */
#include "sentry/kernel/ipc/ipc_ns.h"

#include <errno.h>

#include "base/clock.h"
#include "sentry/fs/mqueue/mqueue.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/clocks.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"

HEAP_TYPE(ipc_ns, struct ipc_ns, 0);

enum { FIRST_CAPACITY = 16, MIN_CYCLE = 64, PERMISSIONS = 0777 };

/* ---- objects ---- */

static const struct ipc_ops *const g_kinds[IPC_KINDS] = {
    [IPC_MSG] = &g_msg_ops, [IPC_SEM] = &g_sem_ops, [IPC_SHM] = &g_shm_ops};

static void object_destroy(struct ipc_object *o) {
    g_kinds[o->kind]->destroy(o);
}
DEFINE_REF(ipc_object, object_destroy);

void ipc_object_init(struct ipc_object *o, enum ipc_kind kind) {
    ipc_object_ref_init(o);
    o->kind = kind;
    list_init(&o->key_node);
}

/* ---- namespaces ---- */

static void remove_all(struct ipc_ns *ns, enum ipc_kind kind) {
    struct ipc_ids *ids = &ns->ids[kind];

    for (unsigned i = 0; i < ids->capacity; i++) {
        if (!ids->slots[i])
            continue;
        struct ipc_object *o = ipc_object_ref(ids->slots[i]);
        mutex_lock(&ns->lock);
        g_kinds[kind]->remove(ns, o);
        mutex_unlock(&ns->lock);
        ipc_object_unref(o);
    }
}

static void ipc_ns_destroy(struct ipc_ns *ns) {
    for (int i = 0; i < IPC_KINDS; i++) {
        if (g_kinds[i]->end_ns)
            g_kinds[i]->end_ns(ns);
        else
            remove_all(ns, (enum ipc_kind)i);
        ASSERT(ns->ids[i].in_use == 0);
        heap_free(ns->ids[i].slots);
    }
    mqueue_end_ns(ns);
    user_ns_unref(ns->user_ns);
    heap_free(ns);
}
DEFINE_REF(ipc_ns, ipc_ns_destroy);

/* proc(5), "/proc/sys/kernel", "/proc/sys/fs/mqueue": what Linux starts with. */
static const struct ipc_limits g_first_limits = {
    .shmmax = 18446744073692774399ull,
    .shmall = 18446744073692774399ull,
    .shmmni = LINUX_SHMMNI,
    .msgmax = LINUX_MSGMAX,
    .msgmnb = LINUX_MSGMNB,
    .msgmni = LINUX_MSGMNI,
    .semmsl = LINUX_SEMMSL,
    .semmns = (uint64_t)LINUX_SEMMNI * LINUX_SEMMSL,
    .semopm = LINUX_SEMOPM,
    .semmni = LINUX_SEMMNI,
    .mq_queues = 256,
    .mq_msg = 10,
    .mq_msgsize = 8192,
    .mq_msg_default = 10,
    .mq_msgsize_default = 8192,
};

struct ipc_ns *ipc_ns_new(struct kernel *k, struct user_ns *user_ns) {
    struct ipc_ns *ns = heap_new(ipc_ns);

    if (!ns)
        return NULL;
    ipc_ns_ref_init(ns);
    mutex_init(&ns->lock, RANK_IPC);
    ns->kernel = k;
    ns->user_ns = user_ns_ref(user_ns);
    ns->inode = kernel_new_inode(k);
    ns->limits = g_first_limits;
    for (int i = 0; i < IPC_KINDS; i++) {
        ns->ids[i].last_index = -1;
        for (int b = 0; b < IPC_KEY_BUCKETS; b++)
            list_init(&ns->ids[i].by_key[b]);
    }
    return ns;
}

struct ipc_ns *task_ipc_ns(struct task *t) {
    return t->nsproxy->ipc;
}

/* ---- tables ---- */

static struct list *bucket_of(struct ipc_ids *ids, int32_t key) {
    return &ids->by_key[(uint32_t)key * 0x9e3779b1u >> 16 & (IPC_KEY_BUCKETS - 1)];
}

struct ipc_object *ipc_find_key_locked(struct ipc_ns *ns, enum ipc_kind kind, int32_t key) {
    struct ipc_object *o;

    mutex_assert_held(&ns->lock);
    if (key == LINUX_IPC_PRIVATE)
        return NULL;
    list_for_each_entry(o, bucket_of(&ns->ids[kind], key), key_node) {
        if (o->key == key)
            return o;
    }
    return NULL;
}

int ipc_find_index_locked(struct ipc_ns *ns, enum ipc_kind kind, int index, struct ipc_object **ret) {
    struct ipc_ids *ids = &ns->ids[kind];

    mutex_assert_held(&ns->lock);
    index &= IPC_MAX_OBJECTS - 1;
    if ((unsigned)index >= ids->capacity || !ids->slots[index])
        return -EINVAL;
    *ret = ids->slots[index];
    return 0;
}

int ipc_find_locked(struct ipc_ns *ns, enum ipc_kind kind, int id, struct ipc_object **ret) {
    struct ipc_object *o;

    if (ipc_find_index_locked(ns, kind, id, &o) < 0 || o->id != id)
        return -EINVAL;
    *ret = o;
    return 0;
}

int ipc_highest_index_locked(struct ipc_ns *ns, enum ipc_kind kind) {
    struct ipc_ids *ids = &ns->ids[kind];

    for (unsigned i = ids->capacity; i > 0; i--)
        if (ids->slots[i - 1])
            return (int)i - 1;
    return 0;
}

static int grow_to(struct ipc_ids *ids, unsigned wanted) {
    unsigned capacity = MAX(ids->capacity, (unsigned)FIRST_CAPACITY);

    if (wanted <= ids->capacity)
        return 0;
    while (capacity < wanted)
        capacity *= 2;
    struct ipc_object **slots = heap_alloc_array(capacity, sizeof(struct ipc_object *));
    if (!slots)
        return -ENOMEM;
    for (unsigned i = 0; i < ids->capacity; i++)
        slots[i] = ids->slots[i];
    heap_free(ids->slots);
    ids->slots = slots;
    ids->capacity = capacity;
    return 0;
}

/* The next free slot after the last one given, going round a range that leaves room to go round in. */
static int next_index(struct ipc_ids *ids, unsigned max_objects) {
    unsigned range = MIN(MAX(ids->in_use + ids->in_use / 2, (unsigned)MIN_CYCLE), max_objects);

    for (unsigned n = 0; n <= range; n++) {
        unsigned i = ((unsigned)(ids->last_index + 1) + n) % range;
        if (i >= ids->capacity || !ids->slots[i])
            return (int)i;
    }
    return -ENOSPC;
}

static uint64_t max_objects(struct ipc_ns *ns, enum ipc_kind kind) {
    uint64_t limit = kind == IPC_MSG   ? ns->limits.msgmni
                     : kind == IPC_SEM ? ns->limits.semmni
                                       : ns->limits.shmmni;
    return MIN(limit, (uint64_t)IPC_MAX_OBJECTS);
}

int ipc_add_locked(struct ipc_ns *ns, struct ipc_object *o, int32_t key, uint32_t mode,
                   const struct creds *c) {
    struct ipc_ids *ids = &ns->ids[o->kind];
    uint64_t limit = max_objects(ns, o->kind);

    mutex_assert_held(&ns->lock);
    if (ids->in_use >= limit)
        return -ENOSPC;
    int index = next_index(ids, (unsigned)limit);
    if (index < 0)
        return index;
    int result = grow_to(ids, (unsigned)index + 1);
    if (result < 0)
        return result;
    if (index <= ids->last_index)
        ids->sequence = (ids->sequence + 1) & (INT32_MAX >> IPC_INDEX_BITS);
    ids->last_index = index;
    ids->slots[index] = ipc_object_ref(o);
    ids->in_use++;
    o->id = (int)(ids->sequence << IPC_INDEX_BITS) | index;
    o->key = key;
    o->uid = o->creator_uid = c->euid;
    o->gid = o->creator_gid = c->egid;
    o->mode = mode & PERMISSIONS;
    if (key != LINUX_IPC_PRIVATE)
        list_add(bucket_of(ids, key), &o->key_node);
    return o->id;
}

void ipc_hide_key_locked(struct ipc_ns *ns, struct ipc_object *o) {
    mutex_assert_held(&ns->lock);
    list_del(&o->key_node);
    o->key = LINUX_IPC_PRIVATE;
}

void ipc_remove_locked(struct ipc_ns *ns, struct ipc_object *o) {
    struct ipc_ids *ids = &ns->ids[o->kind];
    int index = o->id & (IPC_MAX_OBJECTS - 1);

    mutex_assert_held(&ns->lock);
    ASSERT(ids->slots[index] == o);
    list_del(&o->key_node);
    ids->slots[index] = NULL;
    ids->in_use--;
    o->removed = true;
    ipc_object_unref(o);
}

void ipc_for_each(struct ipc_ns *ns, enum ipc_kind kind, void (*fn)(struct ipc_object *o, void *arg),
                  void *arg) {
    for (unsigned i = 0;; i++) {
        struct ipc_object *o = NULL;
        mutex_lock(&ns->lock);
        bool more = i < ns->ids[kind].capacity;
        if (more && ns->ids[kind].slots[i])
            o = ipc_object_ref(ns->ids[kind].slots[i]);
        mutex_unlock(&ns->lock);
        if (!more)
            return;
        if (o)
            fn(o, arg);
        ipc_object_unref(o);
    }
}

/* ---- rights ---- */

int ipc_check_access(struct ipc_ns *ns, const struct ipc_object *o, uint32_t wanted, const struct creds *c) {
    uint32_t granted = o->mode;

    wanted = (wanted >> 6 | wanted >> 3 | wanted) & 7;
    if (c->euid == o->creator_uid || c->euid == o->uid)
        granted >>= 6;
    else if (creds_in_egroup(c, o->creator_gid) || creds_in_egroup(c, o->gid))
        granted >>= 3;
    if (!(wanted & ~granted))
        return 0;
    return creds_has_cap_in(c, ns->user_ns, LINUX_CAP_IPC_OWNER) ? 0 : -EACCES;
}

int ipc_check_get(struct ipc_ns *ns, const struct ipc_object *o, int flags, const struct creds *c) {
    if ((flags & LINUX_IPC_CREAT) && (flags & LINUX_IPC_EXCL))
        return -EEXIST;
    return ipc_check_access(ns, o, (uint32_t)flags & PERMISSIONS, c);
}

int ipc_check_owner(struct ipc_ns *ns, const struct ipc_object *o, const struct creds *c) {
    if (c->euid == o->uid || c->euid == o->creator_uid)
        return 0;
    return creds_has_cap_in(c, ns->user_ns, LINUX_CAP_SYS_ADMIN) ? 0 : -EPERM;
}

static int find_readable_locked(struct ipc_ns *ns, enum ipc_kind kind, int id, enum ipc_lookup how,
                                const struct creds *c, struct ipc_object **ret) {
    int result =
        how == IPC_BY_ID ? ipc_find_locked(ns, kind, id, ret) : ipc_find_index_locked(ns, kind, id, ret);

    if (result == 0 && how != IPC_BY_INDEX_ANY)
        result = ipc_check_access(ns, *ret, 0444, c);
    return result;
}

int ipc_find_owned_locked(struct ipc_ns *ns, enum ipc_kind kind, int id, const struct creds *c,
                          struct ipc_object **ret) {
    int result = ipc_find_locked(ns, kind, id, ret);

    return result < 0 ? result : ipc_check_owner(ns, *ret, c);
}

int ipc_set_perm_locked(struct ipc_object *o, const struct linux_ipc_perm *p, struct user_ns *user_ns) {
    kuid_t uid = make_kuid(user_ns, p->uid);
    kgid_t gid = make_kgid(user_ns, p->gid);

    if (uid == INVALID_ID || gid == INVALID_ID)
        return -EINVAL;
    o->uid = uid;
    o->gid = gid;
    o->mode = (o->mode & ~(uint32_t)PERMISSIONS) | (p->mode & PERMISSIONS);
    return 0;
}

static void fill_perm_locked(const struct ipc_object *o, struct user_ns *user_ns,
                             struct linux_ipc_perm *ret) {
    *ret = (struct linux_ipc_perm){.key = o->key,
                                   .uid = from_kuid(user_ns, o->uid),
                                   .gid = from_kgid(user_ns, o->gid),
                                   .cuid = from_kuid(user_ns, o->creator_uid),
                                   .cgid = from_kgid(user_ns, o->creator_gid),
                                   .mode = o->mode,
                                   .seq = (uint16_t)(o->id >> IPC_INDEX_BITS)};
}

/* ---- control calls ---- */

static void fill_locked(struct ipc_object *o, struct task *viewer, void *ret_ds) {
    g_kinds[o->kind]->fill(o, viewer, ret_ds);
    fill_perm_locked(o, task_creds(viewer)->user_ns, ret_ds);
}

int ipc_stat(struct task *t, enum ipc_kind kind, int id, enum ipc_lookup how, void *ret_ds) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct ipc_object *o;

    mutex_lock(&ns->lock);
    int result = find_readable_locked(ns, kind, id, how, task_creds(t), &o);
    if (result == 0) {
        fill_locked(o, t, ret_ds);
        result = o->id;
    }
    mutex_unlock(&ns->lock);
    return result;
}

int ipc_set(struct task *t, enum ipc_kind kind, int id, const struct linux_ipc_perm *perm) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct ipc_object *o;

    mutex_lock(&ns->lock);
    int result = ipc_find_owned_locked(ns, kind, id, task_creds(t), &o);
    if (result == 0)
        result = ipc_set_perm_locked(o, perm, task_creds(t)->user_ns);
    if (result == 0)
        o->ctime = ipc_now(t->kernel);
    mutex_unlock(&ns->lock);
    return result;
}

int ipc_rmid(struct task *t, enum ipc_kind kind, int id) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct ipc_object *o;

    mutex_lock(&ns->lock);
    int result = ipc_find_owned_locked(ns, kind, id, task_creds(t), &o);
    if (result == 0) {
        ipc_object_ref(o);
        g_kinds[kind]->remove(ns, o);
    }
    mutex_unlock(&ns->lock);
    if (result == 0)
        ipc_object_unref(o);
    return result;
}

void ipc_describe(struct ipc_object *o, struct ipc_ns *ns, struct task *viewer, void *ret_ds) {
    mutex_lock(&ns->lock);
    fill_locked(o, viewer, ret_ds);
    mutex_unlock(&ns->lock);
}

/* ---- small ---- */

int64_t ipc_now(struct kernel *k) {
    return clock_guest_realtime(k) / NSEC_PER_SEC;
}

void ipc_note_pid(struct pid **slot, struct task *t) {
    struct pid *old = *slot;

    *slot = pid_ref(t->group->pid);
    pid_unref(old);
}

int ipc_pid_number(struct pid *pid, struct task *viewer) {
    return pid ? pid_nr(pid, task_pid_ns(viewer)) : 0;
}

int ipc_interrupted(struct task *t) {
    return atomic_load(&t->pending_work) & ~(uint32_t)TASK_WORK_PAUSE ? -EINTR : -ERESTARTNOINTR;
}
