/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_cpu_host.c: which cpu a pair of sentry thread and guest thread runs on.
 *
 * Handing control to a thread that sleeps on another cpu costs ten times a hand-off on the same one, and unpinned pairs hop; so
 * both are pinned to one cpu, and spreading the pairs is our duty. `busy` counts the pairs of each cpu that are inside
 * context_switch(), that is whose guest code wants to run. A new pair goes where that is least; a pair that has often found its
 * cpu shared while another was idle moves there.
 */
#include <sched.h>
#include <string.h>

#include "platform/stub/stub_internal.h"

void stub_cpus_init(struct stub_cpus *c, bool pin) {
    cpu_set_t allowed;
    memset(c, 0, sizeof(*c));
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

static int least_busy(const struct stub_cpus *c, int prefer) {
    int best = prefer;
    int32_t least = atomic_load_explicit(&c->busy[prefer], memory_order_relaxed);
    for (int i = 0; i < c->count && least > 0; i++) {
        int32_t n = atomic_load_explicit(&c->busy[i], memory_order_relaxed);
        if (n < least) {
            least = n;
            best = i;
        }
    }
    return best;
}

static bool pin_thread(pid_t tid, int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((unsigned)cpu, &one);
    return sched_setaffinity(tid, sizeof(one), &one) == 0;
}

/* Both halves go to the cpu, or the pair stays as it is. */
static bool move_to(struct stub_pair *pair, int index) {
    int cpu = pair->cpus->id[index];
    if (!pin_thread(pair->tid, cpu))
        return false;
    if (!pin_thread(0, cpu))
        return false;
    pair->cpu = index;
    return true;
}

static int current_index(const struct stub_cpus *c) {
    int cpu = sched_getcpu();
    for (int i = 0; i < c->count; i++)
        if (c->id[i] == cpu)
            return i;
    return 0;
}

void stub_pair_init(struct stub_pair *pair, struct stub_cpus *c, pid_t tid) {
    *pair = (struct stub_pair){.cpus = c, .tid = tid, .cpu = -1};
    if (c->pin)
        move_to(pair, least_busy(c, current_index(c)));
}

void stub_pair_follow(struct stub_pair *pair) {
    struct stub_cpus *c = pair->cpus;
    if (!c->pin)
        return;
    int index = current_index(c);
    if (index != pair->cpu && pin_thread(pair->tid, c->id[index]))
        pair->cpu = index;
}

void stub_pair_rebalance(struct stub_pair *pair) {
    struct stub_cpus *c = pair->cpus;
    int old = pair->cpu, best = least_busy(c, old);
    pair->enters = 0;
    if (best == old || atomic_load_explicit(&c->busy[best], memory_order_relaxed) > 0)
        return; /* only an idle cpu is worth a move */
    if (move_to(pair, best)) {
        atomic_fetch_add_explicit(&c->busy[best], 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&c->busy[old], 1, memory_order_relaxed);
    }
}
