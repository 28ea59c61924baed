/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/control_group_memory.c: memory.max, held by the kernel itself: of a container where the host
 * gives no control group, and of the groups that guests make in any case.
 *
 * Guest memory is the host's, so that nobody is asked when a page is first touched. While guest code runs and
 * some group has a limit, one thread looks, again and again, at what the groups' address spaces hold: at
 * first their resident pages, which the host counts as it goes; only if those are too many, each one's
 * proportional share, since what a fork shares was counted twice. A group above its limit loses the process
 * that holds most (with its oom_score_adj, as proc(5) has it), or all of them (memory.oom.group). The next
 * look comes when the room that is left could have been filled; at the earliest after GAP_MIN_NS and after
 * LOOK_SHARE times what this one took. When no guest code runs the thread ends, and the next task to enter
 * the guest starts it.
 *
 * Overshoot: what guest code can touch within that gap (docs/memory.md). Not counted: file pages, which can
 * be had again, and shared memory that no process maps.
 *
 * Source: Documentation/admin-guide/cgroup-v2 "Memory".
 */
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "sentry/kernel/control_group_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

#define GAP_MIN_NS 5000000ll
#define GAP_MAX_NS 500000000ll
enum { LOOK_SHARE = 20, FILL_BYTES_A_NS = 4, SCORE_MAX = 1000 };

/* ---- what a group holds ---- */

static uint64_t held_by(struct task *t, bool exactly) {
    const struct platform_ops *ops = kernel_platform(t->kernel)->ops;
    struct mm *mm = task_get_mm(t);
    struct as_usage usage = {0};

    if (mm && !(exactly && ops->as_share && ops->as_share(mm_as(mm), &usage.anon_bytes) == 0))
        (void)ops->as_usage(mm_as(mm), &usage);
    mm_unref(mm);
    return usage.anon_bytes;
}

/* The process to go first, if any may; taskset_lock is not held: those that look best are looked at again. */
struct hog {
    struct task *task; /* reference */
    int64_t score;
    uint64_t bytes;
};

static void consider(struct hog *h, struct task *t, uint64_t bytes, uint64_t limit) {
    int adj = t->oom_score_adj;
    int64_t score = (int64_t)bytes + (int64_t)(limit / SCORE_MAX) * adj;

    if (adj == -SCORE_MAX || (h->task && score <= h->score))
        return;
    task_unref(h->task);
    *h = (struct hog){.task = task_ref(t), .score = score, .bytes = bytes};
}

static uint64_t held_by_group(struct cgroup *c, bool exactly, struct hog *h) {
    uint64_t sum = 0;

    for (size_t i = 1;; i++) {
        mutex_lock(&c->kernel->taskset_lock);
        struct task *t = cgroup_process_at_locked(c, i);
        mutex_unlock(&c->kernel->taskset_lock);
        if (!t)
            return sum;
        uint64_t bytes = atomic_load(&t->vfork_pending) ? 0 : held_by(t, exactly); /* it is its parent's */
        sum += bytes;
        consider(h, t, bytes, c->limits.memory_max);
        task_unref(t);
    }
}

/* ---- the end of one that holds too much ---- */

static void kill_one_locked(struct thread_group *g) {
    g->oom_killed = true;
    thread_group_exit(g, status_killed(LINUX_SIGKILL));
}

void cgroup_oom_killed_locked(struct thread_group *g) {
    g->oom_killed = true;
    for (struct cgroup *up = g->cgroup; up; up = up->parent) {
        up->oom_kills++;
        cgroup_changed_locked(up);
    }
}

static void over_limit(struct cgroup *c, struct hog *h, uint64_t held) {
    struct thread_group *g = h->task->group;

    mutex_lock(&c->kernel->taskset_lock);
    bool on_its_way = g->oom_killed; /* it may take its time */
    if (!on_its_way) {
        c->oom_events++;
        cgroup_oom_killed_locked(g);
        kill_one_locked(g);
        if (c->limits.oom_group)
            cgroup_for_each_group_locked(c, kill_one_locked);
    }
    mutex_unlock(&c->kernel->taskset_lock);
    if (!on_its_way)
        log_info(LOG_KERNEL, "group %s holds %llu of %llu bytes: process %d with %llu is killed", c->name,
                 (unsigned long long)held, (unsigned long long)c->limits.memory_max, task_tid(h->task),
                 (unsigned long long)h->bytes);
}

/* Bytes of room. */
static uint64_t look_at(struct cgroup *c) {
    uint64_t limit = c->limits.memory_max, held = 0;

    for (int exactly = 0; exactly < 2; exactly++) {
        struct hog hog = {.task = NULL};
        held = held_by_group(c, exactly, &hog);
        if (held > limit && exactly && hog.task)
            over_limit(c, &hog, held);
        task_unref(hog.task);
        if (held <= limit)
            break;
    }
    mutex_lock(&c->kernel->taskset_lock);
    c->memory_peak = MAX(c->memory_peak, held);
    mutex_unlock(&c->kernel->taskset_lock);
    return held < limit ? limit - held : 0;
}

/* ---- all groups with a limit ---- */

static struct cgroup *limited_at_locked(struct cgroup *c, size_t *n) {
    struct cgroup *child, *found;

    if (c->limits.memory_max != CGROUP_MAX && c->populated > 0 && --*n == 0)
        return cgroup_ref(c);
    list_for_each_entry(child, &c->children, sibling) if ((found = limited_at_locked(child, n))) return found;
    return NULL;
}

static struct cgroup *limited_at(struct kernel *k, size_t n) {
    bool any = n == 1;

    mutex_lock(&k->taskset_lock);
    struct cgroup *c = limited_at_locked(k->root_cgroup, &n);
    if (any && !c)
        atomic_store(&k->memory_limited, false);
    mutex_unlock(&k->taskset_lock);
    return c;
}

/* When to look again: ns from now. */
static int64_t look(struct kernel *k) {
    int64_t from = monotonic_ns(), gap = GAP_MAX_NS;
    struct cgroup *c;

    for (size_t i = 1; (c = limited_at(k, i)); i++) {
        uint64_t room = look_at(c);
        gap = MIN(gap, (int64_t)(room / FILL_BYTES_A_NS));
        cgroup_unref(c);
    }
    return MIN(MAX(MAX(gap, GAP_MIN_NS), LOOK_SHARE * (monotonic_ns() - from)), GAP_MAX_NS);
}

static bool runs_below_locked(struct cgroup *c) {
    struct thread_group *g;
    struct cgroup *child;
    struct task *t;

    list_for_each_entry(g, &c->groups, cgroup_node)
        list_for_each_entry(t, &g->tasks, group_node) if (atomic_load(&t->in_guest)) return true;
    list_for_each_entry(child, &c->children, sibling) if (runs_below_locked(child)) return true;
    return false;
}

static bool someone_runs(struct kernel *k) {
    struct cgroup *c;
    bool runs = false;

    for (size_t i = 1; !runs && (c = limited_at(k, i)); i++) {
        mutex_lock(&k->taskset_lock);
        runs = runs_below_locked(c);
        mutex_unlock(&k->taskset_lock);
        cgroup_unref(c);
    }
    return runs;
}

/* ---- the thread ---- */

enum { ASLEEP, AWAKE, ENDING };

static void keep_watch(void *arg) {
    struct kernel *k = arg;
    uint32_t awake = AWAKE, asleep = ASLEEP;

    while (atomic_load(&k->memory_guard) == AWAKE) {
        host_futex_wait(&k->memory_guard, AWAKE, monotonic_ns() + look(k));
        if (someone_runs(k))
            continue;
        awake = AWAKE;
        if (!atomic_compare_exchange_strong(&k->memory_guard, &awake, ASLEEP))
            break;
        /* A task that went in meanwhile saw us awake, or we see it now: memory_guard_wake(). */
        asleep = ASLEEP;
        if (!someone_runs(k) || !atomic_compare_exchange_strong(&k->memory_guard, &asleep, AWAKE))
            break;
    }
    atomic_fetch_sub(&k->memory_guards, 1);
    host_futex_wake(&k->memory_guards, 1);
}

void memory_guard_wake(struct kernel *k) {
    uint32_t asleep = ASLEEP, awake = AWAKE;

    if (atomic_load(&k->memory_guard) != ASLEEP ||
        !atomic_compare_exchange_strong(&k->memory_guard, &asleep, AWAKE))
        return;
    atomic_fetch_add(&k->memory_guards, 1);
    int r = host_thread_run(keep_watch, k);
    if (r < 0) { /* the next task that goes in tries again */
        log_error(LOG_KERNEL, "no thread to hold memory limits: %d", r);
        atomic_fetch_sub(&k->memory_guards, 1);
        (void)atomic_compare_exchange_strong(&k->memory_guard, &awake, ASLEEP);
    }
}

void memory_guard_end(struct kernel *k) {
    uint32_t left;

    atomic_store(&k->memory_guard, ENDING);
    host_futex_wake(&k->memory_guard, 1);
    while ((left = atomic_load(&k->memory_guards)) > 0)
        host_futex_wait(&k->memory_guards, left, CLOCK_NEVER);
}

void cgroup_limit_memory(struct cgroup *c, uint64_t bytes) {
    struct cgroup_limits limits = c->limits;

    limits.memory_max = bytes;
    cgroup_set_limits(c, &limits);
}

void cgroup_set_limits(struct cgroup *c, const struct cgroup_limits *limits) {
    mutex_lock(&c->kernel->taskset_lock);
    c->limits = *limits;
    cgroup_memory_in_use_locked(c);
    mutex_unlock(&c->kernel->taskset_lock);
    if (atomic_load(&c->kernel->memory_limited)) /* its tasks may be in the guest already */
        memory_guard_wake(c->kernel);
}

void cgroup_memory_in_use_locked(struct cgroup *c) {
    struct kernel *k = c->kernel;

    for (; c; c = c->parent)
        if (c->limits.memory_max != CGROUP_MAX && c->populated > 0) {
            atomic_store(&k->memory_limited, true);
            host_futex_wake(&k->memory_guard, 1); /* for a shorter gap */
            return;
        }
}
