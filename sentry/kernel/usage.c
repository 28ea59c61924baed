/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/usage.c: see usage.h. What the sentry does not count (block input and output, swaps,
 * messages) is zero, as Linux has it for most.
 */
#include "sentry/kernel/usage.h"

#include <errno.h>

#include "base/clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/mm/mm.h"

static void fill_cpu(struct cpu_times c, struct linux_rusage *u) {
    u->utime_sec = c.user_ns / NSEC_PER_SEC;
    u->utime_usec = c.user_ns % NSEC_PER_SEC / 1000;
    u->stime_sec = c.system_ns / NSEC_PER_SEC;
    u->stime_usec = c.system_ns % NSEC_PER_SEC / 1000;
}

void usage_of_wait(const struct wait_result *w, struct linux_rusage *ret) {
    *ret = (struct linux_rusage){
        .maxrss = (int64_t)w->maxrss, .minflt = (int64_t)w->minflt, .nvcsw = (int64_t)w->switches};
    fill_cpu(w->cpu, ret);
}

static uint64_t current_maxrss(struct task *t) {
    struct as_usage usage = {0};
    struct mm *mm = task_get_mm(t);

    if (mm)
        (void)kernel_platform(t->kernel)->ops->as_usage(mm_as(mm), &usage);
    mm_unref(mm);
    uint64_t kib = usage.rss_bytes >> 10;
    mutex_lock(&t->kernel->taskset_lock);
    kib = t->group->maxrss = MAX(t->group->maxrss, kib);
    mutex_unlock(&t->kernel->taskset_lock);
    return kib;
}

int usage_get(struct task *t, int who, struct linux_rusage *ret) {
    struct thread_group *g = t->group;
    struct task *thread;

    *ret = (struct linux_rusage){0};
    switch (who) {
    case LINUX_RUSAGE_SELF:
        fill_cpu(thread_group_cpu(g), ret);
        ret->maxrss = (int64_t)current_maxrss(t);
        mutex_lock(&t->kernel->taskset_lock);
        ret->minflt = (int64_t)g->dead_min_faults;
        ret->nvcsw = (int64_t)g->dead_switches;
        list_for_each_entry(thread, &g->tasks, group_node) {
            ret->minflt += (int64_t)thread->min_faults;
            ret->nvcsw += (int64_t)thread->voluntary_switches;
        }
        mutex_unlock(&t->kernel->taskset_lock);
        return 0;
    case LINUX_RUSAGE_THREAD:
        fill_cpu(task_cpu_times(t), ret);
        ret->maxrss = (int64_t)current_maxrss(t);
        ret->minflt = (int64_t)t->min_faults;
        ret->nvcsw = (int64_t)t->voluntary_switches;
        return 0;
    case LINUX_RUSAGE_CHILDREN:
        mutex_lock(&t->kernel->taskset_lock);
        fill_cpu(g->children_cpu, ret);
        ret->maxrss = (int64_t)g->children_maxrss;
        ret->minflt = (int64_t)g->children_min_faults;
        ret->nvcsw = (int64_t)g->children_switches;
        mutex_unlock(&t->kernel->taskset_lock);
        return 0;
    default:
        return -EINVAL;
    }
}

void usage_times(struct task *t, struct linux_tms *ret) {
    const int64_t tick = NSEC_PER_SEC / LINUX_USER_HZ;
    struct cpu_times own = thread_group_cpu(t->group);

    mutex_lock(&t->kernel->taskset_lock);
    struct cpu_times children = t->group->children_cpu;
    mutex_unlock(&t->kernel->taskset_lock);
    *ret = (struct linux_tms){own.user_ns / tick, own.system_ns / tick, children.user_ns / tick,
                              children.system_ns / tick};
}

void usage_of_kernel(struct kernel *k, struct kernel_usage *ret) {
    struct pid_ns *ns = k->root_pid_ns;

    mutex_lock(&k->taskset_lock);
    *ret = (struct kernel_usage){.user_ns = k->gone_user_ns,
                                 .system_ns = k->gone_system_ns,
                                 .switches = k->gone_switches,
                                 .forks = k->total_forks};
    for (size_t i = 0; i < ns->table_size; i++) {
        for (struct pid *p = ns->table[i]; p; p = p->numbers[ns->level].hash_next) {
            struct task *t = pid_task_locked(p, PID_TASK);
            if (!t)
                continue;
            struct cpu_times cpu = task_cpu_times(t);
            ret->user_ns += cpu.user_ns;
            ret->system_ns += cpu.system_ns;
            ret->switches += t->voluntary_switches;
            ret->tasks++;
            ret->running += atomic_load_explicit(&t->state, memory_order_relaxed) == TASK_RUNNING;
        }
    }
    mutex_unlock(&k->taskset_lock);
}

void usage_of_io(struct thread_group *g, struct io_count *ret) {
    struct task *t;

    mutex_lock(&g->kernel->taskset_lock);
    for (int i = 0; i < IO_DIRECTIONS; i++)
        ret[i] = g->dead_io[i];
    list_for_each_entry(t, &g->tasks, group_node) {
        for (int i = 0; i < IO_DIRECTIONS; i++) {
            ret[i].calls += t->io[i].calls;
            ret[i].bytes += t->io[i].bytes;
        }
    }
    mutex_unlock(&g->kernel->taskset_lock);
}
