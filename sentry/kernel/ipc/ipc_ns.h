/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/ipc_ns.h: IPC namespaces, and what System V's three kinds of objects have in common:
 * keys, ids, owners, permissions. Source: ipc_namespaces(7), sysvipc(7), proc(5) "/proc/sys/kernel".
 *
 * An id is a slot's index in its low 15 bits and above it a sequence number that goes up each time the search
 * for a slot starts again from the front, so that a stale id hits nothing for long.
 *
 * Lock: ns->lock (RANK_IPC) protects the tables, every object in them and the limits. Objects are reference
 * counted, so that who sleeps on one outlives its removal; `removed` then says so. No guest memory is touched
 * with the lock held.
 */
#pragma once

#include "base/abi/linux/ipc.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "sentry/kernel/creds.h"

struct kernel;
struct mount;
struct pid;
struct task;

enum ipc_kind { IPC_MSG, IPC_SEM, IPC_SHM, IPC_KINDS };

enum { IPC_INDEX_BITS = 15, IPC_MAX_OBJECTS = 1 << IPC_INDEX_BITS, IPC_KEY_BUCKETS = 64 };

/* The head of each kind's own struct. */
struct ipc_object {
    struct ref ref;
    enum ipc_kind kind;
    /* ns->lock: */
    struct list key_node; /* in ids.by_key, unless the key is IPC_PRIVATE */
    int id;
    int32_t key;
    kuid_t uid, creator_uid;
    kgid_t gid, creator_gid;
    uint32_t mode; /* permissions; of segments also SHM_DEST and SHM_LOCKED */
    int64_t ctime; /* seconds of the last change: made, IPC_SET, SETVAL, SETALL */
    bool removed;
};
DECLARE_REF(ipc_object);

struct ipc_ids {
    struct ipc_object **slots; /* heap array; each holds a reference */
    unsigned capacity, in_use;
    int last_index;
    unsigned sequence;
    struct list by_key[IPC_KEY_BUCKETS]; /* of ipc_object.key_node */
};

/* What /proc/sys/kernel shows and sets. */
struct ipc_limits {
    uint64_t shmmax, shmall; /* bytes; pages of all segments */
    uint64_t shmmni;
    uint64_t msgmax, msgmnb, msgmni;
    uint64_t semmsl, semmns, semopm, semmni;
    uint64_t mq_queues, mq_msg, mq_msgsize, mq_msg_default, mq_msgsize_default; /* fs.mqueue */
};

struct ipc_ns {
    struct ref ref;
    struct kernel *kernel;
    struct user_ns *user_ns;   /* reference */
    uint64_t inode;            /* of /proc/PID/ns/ipc */
    _Atomic uint64_t mq_count; /* POSIX queues */
    struct mutex lock;         /* RANK_IPC; the rest */
    struct ipc_limits limits;
    struct ipc_ids ids[IPC_KINDS];
    uint64_t shm_pages; /* of all segments */
    uint64_t sem_count; /* semaphores in all sets */
    uint64_t msg_bytes, msg_count;
    struct mount *mq_mount; /* reference: the mqueue file system of this namespace; NULL until first used */
};
DECLARE_REF(ipc_ns);

/* NULL: no memory. */
struct ipc_ns *ipc_ns_new(struct kernel *k, struct user_ns *user_ns);

/* What a new object of a kind gets: count 1. */
void ipc_object_init(struct ipc_object *o, enum ipc_kind kind);
/* Each: ns->lock held. */
/* The object with this key: borrowed, or NULL. */
struct ipc_object *ipc_find_key_locked(struct ipc_ns *ns, enum ipc_kind kind, int32_t key);
/* By id; borrowed. -EINVAL. */
int ipc_find_locked(struct ipc_ns *ns, enum ipc_kind kind, int id, struct ipc_object **ret) must_check;
/* By index, as the *_STAT commands count them. -EINVAL. */
int ipc_find_index_locked(struct ipc_ns *ns, enum ipc_kind kind, int index,
                          struct ipc_object **ret) must_check;
/* Highest index in use, 0 if there is none: what the *_INFO commands return. */
int ipc_highest_index_locked(struct ipc_ns *ns, enum ipc_kind kind);
/* Enters a new object (new reference) and gives it id, owner and mode. The id, -ENOSPC, -ENOMEM. */
int ipc_add_locked(struct ipc_ns *ns, struct ipc_object *o, int32_t key, uint32_t mode,
                   const struct creds *c) must_check;
/* Takes the key away: nobody finds it by that any more. */
void ipc_hide_key_locked(struct ipc_ns *ns, struct ipc_object *o);
/* Takes it out of the table, marks it removed and drops the table's reference, which must not be the last one
 * (of a segment it may be: its destroy() takes no lock). */
void ipc_remove_locked(struct ipc_ns *ns, struct ipc_object *o);

/* An existing object of a *get call: -EEXIST, -EACCES. */
int ipc_check_get(struct ipc_ns *ns, const struct ipc_object *o, int flags, const struct creds *c) must_check;
/* wanted: permission bits in any of the three places. -EACCES. */
int ipc_check_access(struct ipc_ns *ns, const struct ipc_object *o, uint32_t wanted,
                     const struct creds *c) must_check;
/* IPC_SET and IPC_RMID: -EPERM. */
int ipc_check_owner(struct ipc_ns *ns, const struct ipc_object *o, const struct creds *c) must_check;
/* What IPC_SET and IPC_RMID change. -EINVAL, -EPERM. */
int ipc_find_owned_locked(struct ipc_ns *ns, enum ipc_kind kind, int id, const struct creds *c,
                          struct ipc_object **ret) must_check;
/* IPC_SET's part of the common head. -EINVAL: ids that mean nothing here. */
int ipc_set_perm_locked(struct ipc_object *o, const struct linux_ipc_perm *p,
                        struct user_ns *user_ns) must_check;

/* ---- the control calls that are alike for all kinds. Each: OWN THREAD of t ---- */

/* By id, by index, by index whatever the rights. */
enum ipc_lookup { IPC_BY_ID, IPC_BY_INDEX, IPC_BY_INDEX_ANY };
/* IPC_STAT, *_STAT, *_STAT_ANY: the object's id. ret_ds: the kind's struct linux_*id_ds. -EINVAL, -EACCES. */
int ipc_stat(struct task *t, enum ipc_kind kind, int id, enum ipc_lookup how, void *ret_ds) must_check;
/* IPC_SET of what has nothing but permissions to set. -EINVAL, -EPERM. */
int ipc_set(struct task *t, enum ipc_kind kind, int id, const struct linux_ipc_perm *perm) must_check;
/* IPC_RMID. -EINVAL, -EPERM. */
int ipc_rmid(struct task *t, enum ipc_kind kind, int id) must_check;
/* What the viewer is told of an object, whatever its rights: for /proc/sysvipc. */
void ipc_describe(struct ipc_object *o, struct ipc_ns *ns, struct task *viewer, void *ret_ds);

/* ---- for the kinds ---- */

/* Seconds of the guest's real time. */
int64_t ipc_now(struct kernel *k);
/* *slot = the process of t. */
void ipc_note_pid(struct pid **slot, struct task *t);
int ipc_pid_number(struct pid *pid, struct task *viewer); /* 0: none, or not visible */
/* OWN THREAD: the namespace of t, borrowed. */
struct ipc_ns *task_ipc_ns(struct task *t);
/* What a call that was interrupted and is never restarted gives; a pause of the kernel does not show. */
int ipc_interrupted(struct task *t);

/* /proc/sysvipc: calls fn for each object of a kind, with a reference and no lock held. */
void ipc_for_each(struct ipc_ns *ns, enum ipc_kind kind, void (*fn)(struct ipc_object *o, void *arg),
                  void *arg);

/* A kind's own: shm.c, sem.c, msg.c. */
struct ipc_ops {
    /* ns->lock held. The kind's struct linux_*id_ds, but for `perm`, which is its first member. */
    void (*fill)(struct ipc_object *o, struct task *viewer, void *ret_ds);
    /* IPC_RMID, and for each object that a namespace ends with, unless end_ns is there. ns->lock held; the
     * caller has a reference of its own. */
    void (*remove)(struct ipc_ns *ns, struct ipc_object *o);
    /* The namespace ends: takes its objects out. */
    void (*end_ns)(struct ipc_ns *ns);
    /* The last reference is gone. */
    void (*destroy)(struct ipc_object *o);
};
extern const struct ipc_ops g_msg_ops, g_sem_ops, g_shm_ops;
