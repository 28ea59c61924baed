/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/shm.c: see shm.h. Source: shmget(2), shmop(2), shmctl(2).
 *
 * The namespace is a borrowed pointer of the segment: shm_end_ns() clears it under mappable.lock, under which
 * the count of attaches looks at it. A segment that outlives its namespace only waits for its last detach.
 */
#include "sentry/kernel/ipc/shm.h"

#include <errno.h>
#include <stdio.h>

#include "base/abi/linux/mman.h"
#include "base/abi/linux/resource.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/ipc/ipc_ns.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm.h"

enum { MODE_DEST = 01000, MODE_LOCKED = 02000, NAME_SIZE = 32 };

struct shm {
    struct ipc_object object;
    struct mappable mappable;
    struct memstore *store;
    struct kernel *kernel;
    uint64_t size;
    char name[NAME_SIZE];
    struct ipc_ns
        *ns; /* mappable.lock and ns->lock to change, either to read; NULL: the namespace has ended */
    /* ns->lock; without a namespace nobody asks */
    int64_t atime, dtime;
    struct pid *creator, *last; /* references or NULL */
    /* ns->lock, or without a namespace mappable.lock */
    uint64_t attaches;
};
HEAP_TYPE(shm, struct shm, 0);

static const struct mappable_ops g_segment_ops;

static struct shm *shm_of(struct ipc_object *o) {
    return container_of(o, struct shm, object);
}

static struct shm *shm_of_mappable(struct mappable *m) {
    return container_of(m, struct shm, mappable);
}

static uint64_t pages_of(const struct shm *s) {
    return page_up(s->size) / PAGE_SIZE;
}

/* ---- life ---- */

static void take_out_locked(struct ipc_ns *ns, struct shm *s) {
    ns->shm_pages -= pages_of(s);
    ipc_remove_locked(ns, &s->object);
}

/* Removed once it is marked and nobody has it attached. */
static void maybe_take_out_locked(struct ipc_ns *ns, struct shm *s) {
    if (!s->object.removed && (s->object.mode & MODE_DEST) && s->attaches == 0)
        take_out_locked(ns, s);
}

static void shm_areas_changed(struct mappable *m, const struct vma *v, int change) {
    struct shm *s = shm_of_mappable(m);
    struct ipc_ns *ns = s->ns;

    if (!ns) {
        s->attaches += (uint64_t)(int64_t)change;
        return;
    }
    mutex_lock(&ns->lock);
    s->attaches += (uint64_t)(int64_t)change;
    *(change > 0 ? &s->atime : &s->dtime) = ipc_now(s->kernel);
    if (v->mm->user) {
        pid_unref(s->last);
        s->last = pid_ref(v->mm->user);
    }
    maybe_take_out_locked(ns, s); /* the area still holds the memory */
    mutex_unlock(&ns->lock);
}

static int shm_range(struct mappable *m, uint64_t offset, uint64_t len, bool shared, bool writable,
                     struct host_range *ret) {
    struct mappable *store = memstore_mappable(shm_of_mappable(m)->store);
    return store->ops->range(store, offset, len, shared, writable, ret);
}

static int shm_punch(struct mappable *m, uint64_t offset, uint64_t len) {
    memstore_punch(shm_of_mappable(m)->store, offset, len);
    return 0;
}

static void shm_release(struct mappable *m) {
    struct shm *s = shm_of_mappable(m);

    memstore_unref(s->store);
    pid_unref(s->creator);
    pid_unref(s->last);
    heap_free(s);
}

static const struct mappable_ops g_segment_ops = {.range = shm_range,
                                                  .punch = shm_punch,
                                                  .areas_changed = shm_areas_changed,
                                                  .release = shm_release,
                                                  .ranges_reused = true};

/* The table has let go of it. */
static void destroy(struct ipc_object *o) {
    mappable_unref(&shm_of(o)->mappable);
}

static struct shm *shm_new(struct task *t, struct ipc_ns *ns, int32_t key, uint64_t size) {
    struct shm *s = heap_new(shm);

    if (!s)
        return NULL;
    if (memstore_create(t->kernel, &s->store) < 0) {
        heap_free(s);
        return NULL;
    }
    if (memstore_truncate(s->store, size) < 0) {
        memstore_unref(s->store);
        heap_free(s);
        return NULL;
    }
    ipc_object_init(&s->object, IPC_SHM);
    mappable_init(&s->mappable, &g_segment_ops, t->kernel);
    s->kernel = t->kernel;
    s->size = size;
    s->ns = ns;
    s->object.ctime = ipc_now(t->kernel);
    s->creator = pid_ref(t->group->pid);
    snprintf(s->name, sizeof s->name, "/SYSV%08x (deleted)", (unsigned)key);
    return s;
}

/* With a reference to the object, or NULL. */
static struct shm *first_of(struct ipc_ns *ns) {
    struct ipc_ids *ids = &ns->ids[IPC_SHM];
    struct shm *s = NULL;

    mutex_lock(&ns->lock);
    for (unsigned i = 0; i < ids->capacity && !s; i++)
        if (ids->slots[i])
            s = shm_of(ipc_object_ref(ids->slots[i]));
    mutex_unlock(&ns->lock);
    return s;
}

static void end_ns(struct ipc_ns *ns) {
    struct shm *s;

    while ((s = first_of(ns))) {
        mutex_lock(&s->mappable.lock);
        mutex_lock(&ns->lock);
        s->ns = NULL;
        if (!s->object.removed)
            take_out_locked(ns, s);
        mutex_unlock(&ns->lock);
        mutex_unlock(&s->mappable.lock);
        ipc_object_unref(&s->object);
    }
}

/* ---- shmget ---- */

static int64_t check_existing(struct task *t, struct ipc_ns *ns, struct shm *s, uint64_t size, int flags) {
    if ((flags & LINUX_IPC_CREAT) && (flags & LINUX_IPC_EXCL))
        return -EEXIST;
    if (s->size < size)
        return -EINVAL;
    int result = ipc_check_get(ns, &s->object, flags, task_creds(t));
    return result < 0 ? result : s->object.id;
}

static int64_t add_locked(struct task *t, struct ipc_ns *ns, struct shm *fresh, int32_t key, int flags) {
    struct ipc_object *there = ipc_find_key_locked(ns, IPC_SHM, key);

    if (there)
        return check_existing(t, ns, shm_of(there), fresh->size, flags);
    if (ns->shm_pages + pages_of(fresh) > ns->limits.shmall)
        return -ENOSPC;
    int id = ipc_add_locked(ns, &fresh->object, key, (uint32_t)flags, task_creds(t));
    if (id >= 0)
        ns->shm_pages += pages_of(fresh);
    return id;
}

int64_t shm_get(struct task *t, int32_t key, uint64_t size, int flags) {
    struct ipc_ns *ns = task_ipc_ns(t);

    might_block();
    mutex_lock(&ns->lock);
    struct ipc_object *there = ipc_find_key_locked(ns, IPC_SHM, key);
    int64_t result = there ? check_existing(t, ns, shm_of(there), size, flags) : 0;
    uint64_t max = ns->limits.shmmax;
    mutex_unlock(&ns->lock);
    if (there)
        return result;
    if (key != LINUX_IPC_PRIVATE && !(flags & LINUX_IPC_CREAT))
        return -ENOENT;
    if (size < LINUX_SHMMIN || size > max)
        return -EINVAL;
    if (flags & LINUX_SHM_HUGETLB)
        return -ENOMEM; /* no huge page pool, as where vm.nr_hugepages is 0 */
    if (size > INT64_MAX - PAGE_SIZE)
        return -ENOSPC; /* more pages than shmall can count */
    struct shm *fresh = shm_new(t, ns, key, size);
    if (!fresh)
        return -ENOMEM;
    mutex_lock(&ns->lock);
    result = add_locked(t, ns, fresh, key, flags);
    mutex_unlock(&ns->lock);
    ipc_object_unref(&fresh->object);
    return result;
}

/* ---- shmat, shmdt ---- */

/* Counts as an attach until put_attach(), so that what has been removed never gets another area. */
static int get_for_attach(struct task *t, int id, uint32_t rights, struct shm **ret) {
    struct ipc_ns *ns = task_ipc_ns(t);
    struct ipc_object *o;

    mutex_lock(&ns->lock);
    int result = ipc_find_locked(ns, IPC_SHM, id, &o);
    if (result == 0)
        result = ipc_check_access(ns, o, rights, task_creds(t));
    if (result == 0) {
        *ret = shm_of(ipc_object_ref(o));
        (*ret)->attaches++;
    }
    mutex_unlock(&ns->lock);
    return result;
}

static void put_attach(struct task *t, struct shm *s) {
    struct ipc_ns *ns = task_ipc_ns(t);

    mutex_lock(&ns->lock);
    s->attaches--;
    maybe_take_out_locked(ns, s);
    mutex_unlock(&ns->lock);
    ipc_object_unref(&s->object);
}

static int plan_attach(gva_t addr, int flags, struct mmap_request *r) {
    if (addr == 0)
        return flags & LINUX_SHM_REMAP ? -EINVAL : 0;
    if (addr % PAGE_SIZE != 0) {
        if (!(flags & LINUX_SHM_RND))
            return -EINVAL;
        addr = page_down(addr);
        if (addr == 0 && (flags & LINUX_SHM_REMAP))
            return -EINVAL;
    }
    r->addr = addr;
    r->flags |= flags & LINUX_SHM_REMAP ? LINUX_MAP_FIXED : LINUX_MAP_FIXED_NOREPLACE;
    return 0;
}

int64_t shm_attach(struct task *t, int id, gva_t addr, int flags) {
    struct mmap_request r = {.flags = LINUX_MAP_SHARED,
                             .prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
                             .object_readonly = flags & LINUX_SHM_RDONLY};
    uint32_t rights = LINUX_SHM_R | LINUX_SHM_W;
    struct shm *s = NULL;

    might_block();
    if (id < 0)
        return -EINVAL;
    int result = plan_attach(addr, flags, &r);
    if (result < 0)
        return result;
    if (flags & LINUX_SHM_RDONLY) {
        r.prot = LINUX_PROT_READ;
        rights = LINUX_SHM_R;
    }
    if (flags & LINUX_SHM_EXEC) {
        r.prot |= LINUX_PROT_EXEC;
        rights |= 0100;
    }
    result = get_for_attach(t, id, rights, &s);
    if (result < 0)
        return result;
    r.len = s->size;
    r.object = &s->mappable;
    r.object_name = s->name;
    mm_set_user(t->mm, t->group->pid);
    int64_t place = mm_mmap(t, t->mm, &r);
    put_attach(t, s);
    return place == -EEXIST ? -EINVAL : place;
}

int shm_detach(struct task *t, gva_t addr) {
    if (addr % PAGE_SIZE != 0)
        return -EINVAL;
    mm_set_user(t->mm, t->group->pid);
    return mm_unmap_object(t->mm, addr, &g_segment_ops);
}

/* ---- shmctl ---- */

static uint64_t resident_bytes(struct shm *s) {
    return memstore_blocks(s->store) * 512;
}

static void fill_locked(struct ipc_object *o, struct task *viewer, void *ret_ds) {
    struct shm *s = shm_of(o);
    struct linux_shmid_ds *ret = ret_ds;

    *ret = (struct linux_shmid_ds){.segsz = s->size,
                                   .atime = s->atime,
                                   .dtime = s->dtime,
                                   .ctime = s->object.ctime,
                                   .cpid = ipc_pid_number(s->creator, viewer),
                                   .lpid = ipc_pid_number(s->last, viewer),
                                   .nattch = s->attaches};
}

int shm_lock(struct task *t, int id, bool lock) {
    struct ipc_ns *ns = task_ipc_ns(t);
    const struct creds *c = task_creds(t);
    struct ipc_object *o;

    mutex_lock(&ns->lock);
    int result = ipc_find_locked(ns, IPC_SHM, id, &o);
    if (result == 0 && !creds_has_cap_in(c, ns->user_ns, LINUX_CAP_IPC_LOCK)) {
        if (c->euid != o->uid && c->euid != o->creator_uid)
            result = -EPERM;
        else if (lock && task_limit(t, LINUX_RLIMIT_MEMLOCK) == 0)
            result = -EPERM;
    }
    if (result == 0)
        o->mode = (o->mode & ~(uint32_t)MODE_LOCKED) | (lock ? MODE_LOCKED : 0);
    mutex_unlock(&ns->lock);
    return result;
}

static void remove_locked(struct ipc_ns *ns, struct ipc_object *o) {
    o->mode |= MODE_DEST;
    ipc_hide_key_locked(ns, o);
    maybe_take_out_locked(ns, shm_of(o));
}

static void add_resident(struct ipc_object *o, void *sum) {
    *(uint64_t *)sum += resident_bytes(shm_of(o)) / PAGE_SIZE;
}

int shm_info(struct task *t, struct linux_shm_info *ret) {
    struct ipc_ns *ns = task_ipc_ns(t);
    uint64_t resident = 0;

    ipc_for_each(ns, IPC_SHM, add_resident, &resident);
    mutex_lock(&ns->lock);
    *ret = (struct linux_shm_info){
        .used_ids = (int)ns->ids[IPC_SHM].in_use, .total = ns->shm_pages, .rss = resident};
    int highest = ipc_highest_index_locked(ns, IPC_SHM);
    mutex_unlock(&ns->lock);
    return highest;
}

uint64_t shm_resident_bytes(struct ipc_object *o) {
    return resident_bytes(shm_of(o));
}

const struct ipc_ops g_shm_ops = {
    .fill = fill_locked, .remove = remove_locked, .end_ns = end_ns, .destroy = destroy};
