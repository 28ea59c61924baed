/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub.h: what the platforms that run guests in stub processes (ptrace, systrap)
 * share.
 *
 * Who holds references on whom: a stub_space is held by its creator (the sentry's mm), by each context in it,
 * and by the platform's process table while its host process is not reaped. When the first two kinds are gone
 * (`users` is 0) the process is killed; the keeper thread reaps it and drops the last reference. The platform
 * outlives all spaces.
 *
 * Locks: stub_space.lock (RANK_AS) > stub_platform.donation (RANK_AS_DONATION) > stub_platform.table,
 * stub_file.lock (RANK_LEAF).
 */
#pragma once

#include <sched.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/mutex.h"
#include "platform/platform.h"
#include "platform/stub/bpf.h"
#include "platform/stub/stub_layout.h"

/* ---- growing files of equal units, shared between sentry and stubs (stub_file_host.c) ---- */

struct stub_space;

struct stub_file {
    int fd;
    uint32_t unit; /* bytes, page aligned */
    struct mutex lock;
    /* under lock: */
    uint32_t made;  /* units that exist */
    uint32_t *free; /* stack of unit numbers */
    uint32_t free_count, free_capacity;
    char **chunks; /* STUB_FILE_CHUNK units each, mapped for good */
    uint32_t chunk_count;
};
enum { STUB_FILE_CHUNK = 64 };

int stub_file_init(struct stub_file *f, const char *name, uint32_t unit) must_check;
void stub_file_done(struct stub_file *f);
/* A zeroed unit: its number and where the sentry sees it. -ENOMEM, -ENOSPC. */
int stub_file_get(struct stub_file *f, uint32_t *ret_index, void **ret_unit) must_check;
/* Gives the unit and its memory back; no process may have it mapped. */
void stub_file_put(struct stub_file *f, uint32_t index);
/* ... of which the caller has zeroed all that matters; its memory stays. */
void stub_file_put_clean(struct stub_file *f, uint32_t index);

/* ---- pairs of a sentry thread and a guest thread, and the cpus that they share (stub_cpu_host.c) ---- */

enum { STUB_MAX_CPUS = 1024 };
struct stub_cpus {
    bool pin;
    int count;
    int id[STUB_MAX_CPUS];               /* host cpu numbers that the sandbox may use */
    _Atomic int32_t busy[STUB_MAX_CPUS]; /* contexts that are inside context_switch(), by index into id */
    _Atomic int32_t crowded;             /* cpus with more than one of them */
    struct mutex lock;                   /* RANK_LEAF; protects: */
    struct list pairs;
    uint64_t last_pull_tsc;
};

/* How the task's waits in the sentry went (stub_wait_host.c); own thread. */
struct stub_wait {
    uint64_t began;        /* tsc: it waits, or has not entered the guest since; 0: neither */
    uint32_t streak, need; /* short waits in a row, and how many it takes to spin */
    uint32_t paid, credit; /* waits that spinning has ended since it last did not; what it may lose */
};

struct stub_pair {
    struct stub_cpus *cpus;
    pid_t tid, own_tid;    /* the guest thread and its sentry thread */
    struct list link;      /* cpus->pairs */
    _Atomic int guest_cpu; /* index to which the guest thread is pinned, -1: unknown */
    int cpu;               /* index; -1: not pinned. Owner's, taken from `inside` on the way out */
    _Atomic int inside;  /* index of the cpu on which it is inside context_switch(), -1: it is not; others may
                            change it to move it */
    _Atomic bool moving; /* somebody is pinning it elsewhere */
    _Atomic uint64_t entered_tsc;
    unsigned enters; /* switches since the last look at the other cpus */
    struct stub_wait wait;
};

void stub_cpus_init(struct stub_cpus *c, bool pin);
/* Own thread: pins the calling thread and `tid` to the least busy cpu. */
void stub_pair_init(struct stub_pair *pair, struct stub_cpus *c, pid_t tid);
/* What the host counts for a thread of the stub: platform_ops.context_cpu_time. */
int stub_thread_cpu_time(struct stub_space *s, pid_t tid, int64_t *ret_ns);
/* Pins a helper to the cpu of the calling thread, which is about to wait for it: *cpu is the index where it
 * is, -1: not pinned. */
void stub_helper_follow(struct stub_cpus *c, pid_t helper, int *cpu);
void stub_pair_done(struct stub_pair *pair);
void stub_pair_follow(struct stub_pair *pair);
/* Around context_switch(). */
void stub_pair_enter(struct stub_pair *pair);
void stub_pair_leave(struct stub_pair *pair);
/* Own thread: leaves the guest thread for a cpu on which no pair runs, which then counts as busy: its index,
 * or -1 if there is none. rejoin: gives it up and comes back. */
int stub_pair_part(struct stub_pair *pair);
void stub_pair_rejoin(struct stub_pair *pair, int cpu);
bool stub_pair_is_apart(
    const struct stub_pair *pair); /* the calling thread is not on the guest thread's cpu */
/* Own thread, outside of context_switch(): its cpu counts as busy, if no other pair is on it and none shares
 * any; until release. is_alone: none has come since. */
bool stub_pair_hold(struct stub_pair *pair);
bool stub_pair_is_alone(const struct stub_pair *pair);
void stub_pair_release(struct stub_pair *pair);
/* Own thread, outside of context_switch(): waits a little until *word is not 0, if that has paid so far.
 * False: it is 0. */
bool stub_pair_await(struct stub_pair *pair, const _Atomic uint32_t *word);
void stub_wait_init(struct stub_wait *w);
void stub_wait_over(struct stub_wait *w, uint64_t now); /* on the way into the guest */
static inline bool stub_cpus_crowded(const struct stub_cpus *c) {
    return atomic_load_explicit(&c->crowded, memory_order_relaxed) > 0;
}

/* ---- the platform ---- */

enum { STUB_TABLE_BUCKETS = 256 };

struct stub_platform {
    struct platform base; /* first */
    int proc_fd;
    bool no_patches;
    const struct stub_hooks *hooks;
    int sockets[2]; /* descriptors go from [0] to [1], the end that all stubs share */
    struct stub_file commands, messages, patches;
    struct stub_cpus cpus;
    struct stub_space *zygote;
    pid_t pid; /* our own: what every stub must find as its parent */
    int text_fd;
    size_t regset_size; /* what ptrace wants an XSAVE register set to be; base.fpu_size is what guests may use
                           of it */
    uint64_t fpu_features; /* xstate bits that guests may use */
    struct mutex donation; /* one descriptor at a time is under way */

    struct mutex table;                     /* protects: */
    struct list spaces[STUB_TABLE_BUCKETS]; /* by pid: not yet reaped */
    struct list abandoned;                  /* spaces whose clone has an unknown end, by table_link */
    struct list early;                      /* struct early_death: ended before their cloner knew of them */
    bool ending;
    struct stub_keeper *keeper; /* stub_keeper_host.c */
};

struct stub_hooks {
    /* Under both locks, before the child exists: gives it what it needs of the parent, and adds to its first
     * batch, of which the last command makes its first guest thread (stub_space_first_thread()). */
    int (*fork)(struct stub_space *parent, struct stub_space *child);
    void (*free)(struct stub_space *s); /* its process is gone; may be NULL */
};

struct stub_role {
    struct bpf_builder guest; /* the program of guest threads */
    uint32_t message_unit;    /* bytes of the message area that every stub has from the start */
    bool handlers;            /* guest threads catch their own signals (systrap) */
    const struct stub_hooks *hooks;
};

/* Everything before the guests: files, zygote, keeper thread. Fills p->base but for its ops. On failure
 * nothing is left behind. */
int stub_platform_init(struct stub_platform *p, const struct platform_config *config,
                       const struct stub_role *role, struct err **err) must_check;
void stub_platform_done(struct stub_platform *p);

/* ---- address spaces ---- */

struct stub_space {
    struct stub_platform *platform;
    _Atomic uint32_t refs, users;
    uint32_t command_index, message_index;
    struct stub_command_page *commands;
    struct stub_message_page *messages;
    pid_t pid;              /* of the helper, and so of the process; 0: none was made */
    struct list table_link; /* platform->table */
    _Atomic bool dead;      /* set before the pid may be used again, never cleared */
    _Atomic bool killed;    /* by us */
    _Atomic int status;     /* si_status once dead */
    _Atomic int mem_fd;     /* /proc/PID/mem, -1: not opened yet */

    /* patched call sites (systrap), NULL: none. See systrap_patch_host.c */
    struct systrap_patches *_Atomic patches;
    _Atomic uint32_t gate;           /* contexts whose guest code runs; top bit: sites are being patched */
    _Atomic uint8_t patch_hits[256]; /* traps by call site, hashed */

    struct list waiters; /* struct stub_waiter, under platform->table */

    _Atomic uint32_t clone_next, clone_now; /* tickets of those who want to clone it */

    struct mutex lock; /* RANK_AS; protects: */
    uint32_t batch;    /* number of the last batch published */
    uint32_t count;    /* commands gathered for the next */
    int helper_cpu;    /* index of the cpu that the helper is pinned to; -1: none */
    bool published;    /* its report is not yet taken */
    bool started;      /* the helper has reported once: no robust list means that it is gone */
    int64_t
        first_thread; /* made by the first batch, and nobody's yet: its id, or a negative errno; 0: none */
    /* slots of guest threads (systrap), see stub_slot_host.c */
    bool has_slots;
    struct stub_chunk {
        uint32_t index; /* unit of the message file */
        char *unit;
    } * chunks; /* units beside the first, mapped behind it */
    uint32_t chunk_count;
    uint32_t *free_slots, free_count;
    struct list parked; /* systrap: ended contexts whose threads wait for the next */
    uint32_t parked_count;
    bool broken; /* its first batch failed, or its helper is gone: no more batches */
};

/* ops tables give the sentry these by their opaque names */
static inline struct stub_space *stub_space_of(struct address_space *as) {
    return (struct stub_space *)as;
}

/* Clones the process of `from`. Returns a new reference (a user's). -EAGAIN, -ENOMEM, -ESRCH. */
int stub_space_clone(struct stub_space *from, struct stub_space **ret) must_check;
struct stub_space *stub_space_ref(struct stub_space *s);
void stub_space_unref(struct stub_space *s);
/* The caller's reference is the last one of a user: its process is of no more use to anybody. */
static inline bool stub_space_is_last_user(const struct stub_space *s) {
    return atomic_load(&s->users) == 1;
}
void stub_space_put(struct stub_space *s); /* the table's reference, or one that is no user's */
void stub_space_kill(struct stub_space *s);
/* True if the host's OOM killer is the likely cause of its death. */
bool stub_space_oom(struct stub_space *s);

/* A word that somebody sleeps on while its value says that the stub is at work: set to 0 and woken when the
 * stub has died. */
struct stub_waiter {
    struct list link;
    _Atomic uint32_t *word;
};
void stub_waiter_add(struct stub_space *s, struct stub_waiter *w); /* look at s->dead afterwards */
void stub_waiter_remove(struct stub_space *s, struct stub_waiter *w);

/* A slot for a guest thread, its head zeroed; given back when its thread is gone. */
int stub_slot_get(struct stub_space *s, uint32_t *ret_number, struct stub_slot **ret_slot) must_check
    EXCLUDES(&s->lock);
int stub_slot_get_locked(struct stub_space *s, uint32_t *ret_number, struct stub_slot **ret_slot) must_check
    REQUIRES(&s->lock);
/* Where the sentry sees a slot of the first unit. */
struct stub_slot *stub_slot_early(const struct stub_space *s, uint32_t number);
void stub_slot_put(struct stub_space *s, uint32_t number) EXCLUDES(&s->lock);
void stub_slots_free(struct stub_space *s);

/* Gathering and running batches; the caller holds s->lock. */
struct stub_call {
    long number;
    uint64_t arg[6];
};
void stub_batch_add(struct stub_space *s, uint32_t flags, uint32_t extra, struct stub_call call)
    REQUIRES(&s->lock);
void stub_batch_publish(struct stub_space *s) REQUIRES(&s->lock);
/* The report of the batch that was published: the last value kept, or a negative errno; *ret_left: commands
 * not reached. */
int64_t stub_batch_collect(struct stub_space *s, uint32_t *ret_left) REQUIRES(&s->lock);
int64_t stub_batch_run(struct stub_space *s, uint32_t *ret_left) REQUIRES(&s->lock);
/* Runs commands[0..count) at once; for the platforms' own needs. Returns as stub_batch_collect(). */
int64_t stub_space_run(struct stub_space *s, uint32_t flags, uint32_t extra, struct stub_call call)
    EXCLUDES(&s->lock);

/* Takes the guest thread that the space's process was born with: its id; 0 if it is taken already; -EAGAIN if
 * the host had none to give. */
int64_t stub_space_first_thread(struct stub_space *s) EXCLUDES(&s->lock);

/* ---- operations that platforms put into their ops tables ---- */

int stub_as_create(struct platform *p, struct address_space **ret_as) must_check;
int stub_as_fork(struct address_space *as, struct address_space **ret_as) must_check;
int stub_as_apply(struct address_space *as, const struct as_op *ops, size_t count,
                  size_t *ret_done) must_check;
ssize_t stub_as_copy_in(struct address_space *as, void *to, gva_t from, size_t size);
ssize_t stub_as_copy_out(struct address_space *as, gva_t to, const void *from, size_t size);
ssize_t stub_as_gather(struct address_space *as, const struct iovec *to, size_t count, gva_t from);
ssize_t stub_as_scatter(struct address_space *as, gva_t to, const struct iovec *from, size_t count);
ssize_t stub_as_peek(struct address_space *as, void *to, gva_t from, size_t size);
ssize_t stub_as_poke(struct address_space *as, gva_t to, const void *from, size_t size);
/* The mapping at `addr`, as the host tells it. -EFAULT: there is none; -ENOENT: there is no procfs to ask. */
struct stub_mapping {
    gva_t start, end;
    int prot;
    bool is_private;
};
int stub_mapping_find(struct stub_space *s, gva_t addr, struct stub_mapping *ret) must_check;
int stub_as_usage(struct address_space *as, struct as_usage *ret);
int stub_as_share(struct address_space *as, uint64_t *ret_bytes);
int stub_as_pages(struct address_space *as, gva_t addr, size_t count, uint8_t *ret);
void stub_as_kill(struct address_space *as);
void stub_as_unref(struct address_space *as);

/* ---- parts of the above that lie in files of their own ---- */

/* stub_keeper_host.c: the thread that is every stub's parent and reaps them all. */
struct zygote_plan;
int stub_keeper_start(struct stub_platform *p, const struct zygote_plan *plan, struct err **err) must_check;
void stub_keeper_stop(struct stub_platform *p);
/* Enters the space in the table, which takes a reference; notices if its process has ended meanwhile. */
void stub_keeper_register(struct stub_platform *p, struct stub_space *s);

/* stub_space_host.c */
int stub_space_new(struct stub_platform *p, struct stub_space **ret) must_check;
void stub_space_wake(struct stub_space *s); /* after s->dead was set: lets go who waits for a report */

/* stub_vdso_host.c: the host's [vvar]* and [vdso] of this process. */
struct stub_vdso {
    uint64_t start, end; /* all of it; 0: not found */
    struct {
        uint64_t start, end;
    } part[4];
    unsigned parts;
    uint64_t image;                                     /* where [vdso] itself starts */
    uint64_t clock_gettime, gettimeofday, time, getcpu; /* offsets from start; 0: not there */
};
void stub_vdso_find(struct stub_vdso *v, int proc_fd);

/* stub_file_host.c: futex(2) on memory that is shared with other processes. timeout_ns < 0: none. */
void stub_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns);
void stub_futex_wake(_Atomic uint32_t *word, int count);
