/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_cpu_host.c: which cpu a pair of sentry thread and guest thread runs on.
 *
 * Handing control to a thread that sleeps on another cpu costs ten times a hand-off on the same one, and
 * unpinned pairs hop; so both are pinned to one cpu, and spreading the pairs is our duty; a helper is pinned
 * to whoever waits for it. `busy` counts the pairs of each cpu that are inside context_switch(), that is
 * whose guest code wants to run.
 *  - A new pair goes where that is least.
 *  - A pair that comes by often and finds its cpu shared while another is idle moves there (push).
 *  - A pair whose leaving makes its cpu idle looks for one that has been inside for long on a crowded cpu and
 * moves that here (pull): such a pair computes, and would not come by itself. At most one pull in PULL_GAP,
 * so that a pair which leaves and enters all the time moves no one to and fro. A pair is moved by whoever
 * exchanges `inside`: its owner by leaving, or a puller.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#include "base/cleanup.h"
#include "platform/stub/stub.h"

enum { LOOK_EVERY = 64 };      /* switches on a shared cpu between looks at the others */
#define LONG_INSIDE 8000000ull /* cycles: some ms */
#define PULL_GAP    20000000ull

void stub_cpus_init(struct stub_cpus *c, bool pin) {
    cpu_set_t allowed;
    memset(c, 0, sizeof(*c));
    mutex_init(&c->lock, RANK_LEAF);
    list_init(&c->pairs);
    c->pin = pin;
    if (sched_getaffinity(0, sizeof(allowed), &allowed)) {
        c->pin = false;
        return;
    }
    for (int i = 0; i < CPU_SETSIZE && c->count < STUB_MAX_CPUS; i++)
        if (CPU_ISSET(i, &allowed))
            c->id[c->count++] = i;
    if (c->count == 0)
        c->pin = false;
}

static int32_t busy_on(const struct stub_cpus *c, int i) {
    return atomic_load_explicit(&c->busy[i], memory_order_relaxed);
}

static int32_t add_busy(struct stub_cpus *c, int i) {
    int32_t old = atomic_fetch_add_explicit(&c->busy[i], 1, memory_order_relaxed);
    if (old == 1)
        atomic_fetch_add_explicit(&c->crowded, 1, memory_order_relaxed);
    return old;
}

static int32_t drop_busy(struct stub_cpus *c, int i) {
    int32_t old = atomic_fetch_sub_explicit(&c->busy[i], 1, memory_order_relaxed);
    if (old == 2)
        atomic_fetch_sub_explicit(&c->crowded, 1, memory_order_relaxed);
    return old;
}

static int least_busy(const struct stub_cpus *c, int prefer) {
    int best = prefer;
    int32_t least = busy_on(c, prefer);
    for (int i = 0; i < c->count && least > 0; i++)
        if (busy_on(c, i) < least) {
            least = busy_on(c, i);
            best = i;
        }
    return best;
}

static bool pin_thread(pid_t tid, int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)cpu, &one);
    return sched_setaffinity(tid, sizeof(one), &one) == 0;
}

static bool pin_guest(struct stub_pair *pair, int index) {
    if (pair->guest_cpu == index)
        return true;
    if (!pin_thread(pair->tid, pair->cpus->id[index]))
        return false;
    pair->guest_cpu = index;
    return true;
}

static bool pin_both(struct stub_pair *pair, int index) {
    return pin_guest(pair, index) && pin_thread(pair->own_tid, pair->cpus->id[index]);
}

static int current_index(const struct stub_cpus *c) {
    int cpu = sched_getcpu();
    for (int i = 0; i < c->count; i++)
        if (c->id[i] == cpu)
            return i;
    return 0;
}

void stub_pair_init(struct stub_pair *pair, struct stub_cpus *c, pid_t tid) {
    bool known = pair->tid == tid; /* a guest thread that has had another owner */
    *pair = (struct stub_pair){.cpus = c,
                               .tid = tid,
                               .own_tid = (pid_t)syscall(SYS_gettid),
                               .guest_cpu = known ? pair->guest_cpu : -1,
                               .cpu = -1,
                               .inside = -1};
    list_init(&pair->link);
    stub_wait_init(&pair->wait);
    if (!c->pin)
        return;
    int index = least_busy(c, current_index(c));
    if (!pin_both(pair, index)) /* no lock is held: moving oneself means waiting for the other cpu */
        return;
    pair->cpu = index;
    mutex_lock(&c->lock);
    list_add(&c->pairs, &pair->link);
    mutex_unlock(&c->lock);
}

void stub_helper_follow(struct stub_cpus *c, pid_t helper, int *cpu) {
    if (!c->pin || c->count == 1)
        return;
    int here = current_index(c);
    if (here != *cpu && helper > 0 && pin_thread(helper, c->id[here]))
        *cpu = here;
}

void stub_pair_done(struct stub_pair *pair) {
    mutex_lock(&pair->cpus->lock);
    list_del(&pair->link);
    mutex_unlock(&pair->cpus->lock);
    while (atomic_load(&pair->moving)) /* two calls of another thread's, in a race that hardly happens */
        sched_yield();
}

void stub_pair_follow(struct stub_pair *pair) {
    struct stub_cpus *c = pair->cpus;
    int index = current_index(c);
    if (pair->cpu >= 0 && !atomic_load(&pair->moving) && pin_guest(pair, index))
        pair->cpu = index;
}

/* The owner, on its way in, finds its cpu shared again and again. Returns where it is now. */
static int push_self(struct stub_pair *pair, int here) {
    struct stub_cpus *c = pair->cpus;
    int best = least_busy(c, here);
    pair->enters = 0;
    if (best == here || busy_on(c, best) > 0 || atomic_load(&pair->moving) || !pin_both(pair, best))
        return here; /* only an idle cpu is worth a move */
    add_busy(c, best);
    drop_busy(c, here);
    return best;
}

void stub_pair_enter(struct stub_pair *pair) {
    if (pair->cpu < 0)
        return;
    int here = pair->cpu;
    if (unlikely(add_busy(pair->cpus, here) > 0) && ++pair->enters >= LOOK_EVERY)
        here = push_self(pair, here);
    uint64_t now = __rdtsc();
    if (unlikely(pair->wait.began))
        stub_wait_over(&pair->wait, now);
    atomic_store_explicit(&pair->entered_tsc, now, memory_order_relaxed);
    atomic_store_explicit(&pair->inside, here, memory_order_release);
}

/* A pair that has computed for long on a cpu that it shares, or NULL. */
static struct stub_pair *find_pullable_locked(struct stub_cpus *c, uint64_t now) {
    struct stub_pair *p;
    list_for_each_entry(p, &c->pairs, link) {
        int at = atomic_load(&p->inside);
        if (at >= 0 && busy_on(c, at) > 1 && now - atomic_load(&p->entered_tsc) > LONG_INSIDE)
            return p;
    }
    return NULL;
}

/* The pair to move, already counted where it is going; its `moving` keeps it alive until that is done. */
static struct stub_pair *claim_locked(struct stub_cpus *c, int here) {
    uint64_t now = __rdtsc();
    if (now - c->last_pull_tsc <= PULL_GAP)
        return NULL;
    struct stub_pair *p = find_pullable_locked(c, now);
    int from = p ? atomic_load(&p->inside) : -1;
    if (from < 0 || from == here)
        return NULL;
    bool unmoved = false; /* one mover at a time: its end of `moving` must not be taken for another's */
    if (!atomic_compare_exchange_strong(&p->moving, &unmoved, true))
        return NULL;
    if (!atomic_compare_exchange_strong(&p->inside, &from, here)) {
        atomic_store(&p->moving, false);
        return NULL;
    }
    add_busy(c, here);
    drop_busy(c, from);
    c->last_pull_tsc = now;
    return p;
}

static void pull_to(struct stub_cpus *c, int here) {
    if (!mutex_trylock(&c->lock))
        return; /* somebody else is at it */
    struct stub_pair *p = claim_locked(c, here);
    mutex_unlock(&c->lock);
    if (!p)
        return;
    (void)pin_both(p, here); /* if it fails, its owner's next push mends it */
    atomic_store(&p->moving, false);
}

void stub_pair_leave(struct stub_pair *pair) {
    if (pair->cpu < 0)
        return;
    int here = atomic_exchange(&pair->inside, -1);
    pair->cpu = here;
    if (drop_busy(pair->cpus, here) == 1 &&
        atomic_load_explicit(&pair->cpus->crowded, memory_order_relaxed) > 0)
        pull_to(pair->cpus, here);
}

/* ---- outside, and yet at work ---- */

bool stub_pair_hold(struct stub_pair *pair) {
    struct stub_cpus *c = pair->cpus;
    int32_t none = 0;
    return pair->cpu >= 0 && c->count > 1 && !stub_cpus_crowded(c) &&
           atomic_compare_exchange_strong(&c->busy[pair->cpu], &none, 1);
}

bool stub_pair_is_alone(const struct stub_pair *pair) {
    return busy_on(pair->cpus, pair->cpu) == 1;
}

void stub_pair_release(struct stub_pair *pair) {
    drop_busy(pair->cpus, pair->cpu);
}

/* ---- apart ---- */

int stub_pair_part(struct stub_pair *pair) {
    struct stub_cpus *c = pair->cpus;
    if (pair->cpu < 0 || stub_cpus_crowded(c))
        return -1;
    for (int i = 0; i < c->count; i++) {
        int32_t none = 0;
        if (i == pair->guest_cpu || !atomic_compare_exchange_strong(&c->busy[i], &none, 1))
            continue;
        if (pin_thread(pair->own_tid, c->id[i]))
            return i;
        drop_busy(c, i);
    }
    return -1;
}

void stub_pair_rejoin(struct stub_pair *pair, int cpu) {
    drop_busy(pair->cpus, cpu);
    (void)pin_thread(pair->own_tid, pair->cpus->id[pair->guest_cpu]); /* else the next push mends it */
}

bool stub_pair_is_apart(const struct stub_pair *pair) {
    return sched_getcpu() != pair->cpus->id[pair->guest_cpu];
}

int stub_thread_cpu_time(struct stub_space *s, pid_t tid, int64_t *ret_ns) {
    char path[64], text[64], *end;

    if (s->platform->proc_fd < 0)
        return -ENOENT;
    if (atomic_load(&s->dead)) /* the numbers may be another's */
        return -ESRCH;
    snprintf(path, sizeof(path), "%d/task/%d/schedstat", (int)s->pid, (int)tid);
    cleanup(closep) int fd = openat(s->platform->proc_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return -ENOENT;
    text[n] = 0;
    *ret_ns = (int64_t)strtoull(text, &end, 10);
    return end > text && *ret_ns >= 0 ? 0 : -ENOENT;
}
