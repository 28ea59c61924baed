/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/cgroup/cgroupfs_controllers.c: the files cpu.*, cpuset.*, memory.*, pids.* and pressure. Source:
 * Documentation/admin-guide/cgroup-v2 "Controllers".
 *
 * pids.max and memory.max are enforced. Of the rest of cpu and memory, use is told as it is, and limits are
 * kept and given back.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/fs/cgroup/cgroupfs_internal.h"
#include "sentry/kernel/kernel.h"

/* A file whose whole content is one limit. */
#define LIMIT(name, field, bound, allow_max)                                                                 \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        (void)t;                                                                                             \
        cgroupfs_show_max(out, (uint64_t)group_of(n)->limits.field);                                         \
        return 0;                                                                                            \
    }                                                                                                        \
    static ssize_t name##_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {      \
        uint64_t value;                                                                                      \
        (void)t;                                                                                             \
        int r = cgroupfs_parse(data, len, bound, allow_max, &value);                                         \
        if (r < 0)                                                                                           \
            return r;                                                                                        \
        mutex_lock(&group_of(n)->kernel->taskset_lock);                                                      \
        group_of(n)->limits.field = (__typeof__(group_of(n)->limits.field))value;                            \
        mutex_unlock(&group_of(n)->kernel->taskset_lock);                                                    \
        return (ssize_t)len;                                                                                 \
    }                                                                                                        \
    static const struct kernfs_ops name = {                                                                  \
        .mode = LINUX_S_IFREG | 0644, .show = name##_show, .store = name##_store, CGROUP_NODE}
/* One that says the same of every group. */
#define FIXED(name, content)                                                                                 \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        (void)n, (void)t;                                                                                    \
        text_printf(out, "%s", content);                                                                     \
        return 0;                                                                                            \
    }                                                                                                        \
    static const struct kernfs_ops name = {.mode = LINUX_S_IFREG | 0444, .show = name##_show, CGROUP_NODE}
#define SHOWN(name, fn)                                                                                      \
    static const struct kernfs_ops name = {.mode = LINUX_S_IFREG | 0444, .show = fn, CGROUP_NODE}

/* ---- cpu ---- */

static int cpu_stat_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct cgroup_usage u;

    (void)t;
    cgroup_usage(group_of(n), &u);
    text_printf(out, "usage_usec %llu\nuser_usec %llu\nsystem_usec %llu\nnice_usec 0\n",
                (unsigned long long)(u.user_ns + u.system_ns) / 1000, (unsigned long long)u.user_ns / 1000,
                (unsigned long long)u.system_ns / 1000);
    if (cgroup_controllers(group_of(n)) & CGROUP_CPU)
        text_printf(out, "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\nnr_bursts 0\nburst_usec 0\n");
    return 0;
}

static int cpu_max_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    const struct cgroup_limits *l = &group_of(n)->limits;

    (void)t;
    if (l->cpu_quota_us == CGROUP_MAX)
        text_printf(out, "max %llu\n", (unsigned long long)l->cpu_period_us);
    else
        text_printf(out, "%llu %llu\n", (unsigned long long)l->cpu_quota_us,
                    (unsigned long long)l->cpu_period_us);
    return 0;
}

static ssize_t cpu_max_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    enum { PERIOD_MIN = 1000, PERIOD_MAX = 1000000, QUOTA_MIN = 1000 };
    uint64_t quota, period = group_of(n)->limits.cpu_period_us;
    size_t first = strcspn(data, " \n");
    int r = cgroupfs_parse(data, MIN(first, len), INT64_MAX / 1000, /* allow_max= */ true, &quota);

    (void)t;
    if (r == 0 && first + 1 < len && data[first] == ' ')
        r = cgroupfs_parse(data + first + 1, len - first - 1, INT64_MAX / 1000, false, &period);
    if (r < 0 || period < PERIOD_MIN || period > PERIOD_MAX || quota < QUOTA_MIN)
        return -EINVAL;
    mutex_lock(&group_of(n)->kernel->taskset_lock);
    group_of(n)->limits.cpu_quota_us = quota;
    group_of(n)->limits.cpu_period_us = period;
    mutex_unlock(&group_of(n)->kernel->taskset_lock);
    return (ssize_t)len;
}

static int cpu_weight_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "%u\n", group_of(n)->limits.cpu_weight);
    return 0;
}

static ssize_t cpu_weight_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    uint64_t weight;
    int r = cgroupfs_parse(data, len, 10000, /* allow_max= */ false, &weight);

    (void)t;
    if (r < 0 || weight < 1)
        return r == -EINVAL ? r : -ERANGE;
    group_of(n)->limits.cpu_weight = (unsigned)weight;
    return (ssize_t)len;
}

SHOWN(cpu_stat, cpu_stat_show);
static const struct kernfs_ops cpu_max = {
    .mode = LINUX_S_IFREG | 0644, .show = cpu_max_show, .store = cpu_max_store, CGROUP_NODE};
static const struct kernfs_ops cpu_weight = {
    .mode = LINUX_S_IFREG | 0644, .show = cpu_weight_show, .store = cpu_weight_store, CGROUP_NODE};
LIMIT(cpu_burst, cpu_burst_us, INT64_MAX / 1000, false);
LIMIT(cpu_idle, cpu_idle, 1, false);
FIXED(cpu_nice, "0\n");

static int cpus_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    unsigned count = group_of(n)->kernel->cpu_count;

    (void)t;
    text_printf(out, count > 1 ? "0-%u\n" : "%u\n", count - 1);
    return 0;
}
SHOWN(cpus_effective, cpus_show);
FIXED(cpuset_cpus, "\n");
FIXED(cpuset_mems, "\n");
FIXED(mems_effective, "0\n");
FIXED(cpuset_partition, "member\n");

/* ---- memory ---- */

static int memory_current_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct cgroup_usage u;

    (void)t;
    cgroup_usage(group_of(n), &u);
    text_printf(out, "%llu\n", (unsigned long long)u.memory_bytes);
    return 0;
}

static int memory_peak_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct cgroup_usage u;

    (void)t;
    cgroup_usage(group_of(n), &u);
    text_printf(out, "%llu\n", (unsigned long long)group_of(n)->memory_peak);
    return 0;
}

static int memory_stat_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    static const char *const zeros[] = {"file",           "kernel",         "kernel_stack", "pagetables",
                                        "sec_pagetables", "percpu",         "sock",         "vmalloc",
                                        "shmem",          "zswap",          "zswapped",     "file_mapped",
                                        "file_dirty",     "file_writeback", "swapcached",   "anon_thp",
                                        "file_thp",       "shmem_thp",      "inactive_anon"};
    static const char *const more[] = {"inactive_file",      "active_file", "unevictable", "slab_reclaimable",
                                       "slab_unreclaimable", "slab",        "pgfault",     "pgmajfault",
                                       "pgrefill",           "pgscan",      "pgsteal",     "pgactivate",
                                       "pgdeactivate",       "pglazyfree",  "pglazyfreed", "thp_fault_alloc",
                                       "thp_collapse_alloc"};
    struct cgroup_usage u;

    (void)t;
    cgroup_usage(group_of(n), &u);
    text_printf(out, "anon %llu\n", (unsigned long long)u.memory_bytes);
    for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
        text_printf(out, "%s 0\n", zeros[i]);
    text_printf(out, "active_anon %llu\n", (unsigned long long)u.memory_bytes);
    for (size_t i = 0; i < ARRAY_SIZE(more); i++)
        text_printf(out, "%s 0\n", more[i]);
    return 0;
}

static int memory_events_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    unsigned long long over = group_of(n)->oom_events, kills = group_of(n)->oom_kills;

    (void)t;
    text_printf(out, "low 0\nhigh 0\nmax %llu\noom %llu\noom_kill %llu\noom_group_kill 0\n", over, over,
                kills);
    return 0;
}

static ssize_t reclaim_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    uint64_t bytes;
    int r = cgroupfs_parse(data, strcspn(data, " "), INT64_MAX, /* allow_max= */ true, &bytes);

    (void)n, (void)t;
    return r < 0 ? r : bytes == 0 ? (ssize_t)len : -EAGAIN; /* nothing here can be reclaimed */
}

SHOWN(memory_current, memory_current_show);
SHOWN(memory_peak, memory_peak_show);
SHOWN(memory_stat, memory_stat_show);
SHOWN(memory_events, memory_events_show);
static const struct kernfs_ops memory_reclaim = {
    .mode = LINUX_S_IFREG | 0200, .store = reclaim_store, CGROUP_NODE};
static int memory_max_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    cgroupfs_show_max(out, group_of(n)->limits.memory_max);
    return 0;
}

static ssize_t memory_max_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    uint64_t bytes;
    int r = cgroupfs_parse(data, len, INT64_MAX, /* allow_max= */ true, &bytes);

    (void)t;
    if (r < 0)
        return r;
    cgroup_limit_memory(group_of(n), bytes);
    return (ssize_t)len;
}
static const struct kernfs_ops memory_max = {
    .mode = LINUX_S_IFREG | 0644, .show = memory_max_show, .store = memory_max_store, CGROUP_NODE};
LIMIT(memory_min, memory_min, INT64_MAX, true);
LIMIT(memory_low, memory_low, INT64_MAX, true);
LIMIT(memory_high, memory_high, INT64_MAX, true);
LIMIT(swap_high, swap_high, INT64_MAX, true);
LIMIT(swap_max, swap_max, INT64_MAX, true);
LIMIT(oom_group, oom_group, 1, false);
FIXED(swap_current, "0\n");
FIXED(swap_peak, "0\n");
FIXED(swap_events, "high 0\nmax 0\nfail 0\n");

/* ---- pids ---- */

static int pids_current_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "%llu\n", (unsigned long long)group_of(n)->pids);
    return 0;
}

static int pids_peak_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "%llu\n", (unsigned long long)group_of(n)->pids_peak);
    return 0;
}

static int pids_events_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "max %llu\n", (unsigned long long)group_of(n)->pids_events);
    return 0;
}

static int pids_events_local_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "max %llu\n", (unsigned long long)group_of(n)->pids_events_local);
    return 0;
}

SHOWN(pids_current, pids_current_show);
SHOWN(pids_peak, pids_peak_show);
SHOWN(pids_events, pids_events_show);
SHOWN(pids_events_local, pids_events_local_show);
LIMIT(pids_max, pids_max, 4 << 20, true);

/* ---- pressure: there is none to tell of ---- */

FIXED(pressure, "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
                "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
FIXED(pressure_on, "1\n");

const struct cgroup_file cgroupfs_controller_files[] = {
    {"cgroup.pressure", 0, &pressure_on},
    {"cpu.pressure", 0, &pressure},
    {"cpu.stat", 0, &cpu_stat},
    {"cpu.idle", CGROUP_CPU, &cpu_idle},
    {"cpu.max", CGROUP_CPU, &cpu_max},
    {"cpu.max.burst", CGROUP_CPU, &cpu_burst},
    {"cpu.weight", CGROUP_CPU, &cpu_weight},
    {"cpu.weight.nice", CGROUP_CPU, &cpu_nice},
    {"cpuset.cpus", CGROUP_CPUSET, &cpuset_cpus},
    {"cpuset.cpus.effective", CGROUP_CPUSET, &cpus_effective},
    {"cpuset.cpus.partition", CGROUP_CPUSET, &cpuset_partition},
    {"cpuset.mems", CGROUP_CPUSET, &cpuset_mems},
    {"cpuset.mems.effective", CGROUP_CPUSET, &mems_effective},
    {"io.pressure", 0, &pressure},
    {"memory.current", CGROUP_MEMORY, &memory_current},
    {"memory.events", CGROUP_MEMORY, &memory_events},
    {"memory.events.local", CGROUP_MEMORY, &memory_events},
    {"memory.high", CGROUP_MEMORY, &memory_high},
    {"memory.low", CGROUP_MEMORY, &memory_low},
    {"memory.max", CGROUP_MEMORY, &memory_max},
    {"memory.min", CGROUP_MEMORY, &memory_min},
    {"memory.oom.group", CGROUP_MEMORY, &oom_group},
    {"memory.peak", CGROUP_MEMORY, &memory_peak},
    {"memory.pressure", 0, &pressure},
    {"memory.reclaim", CGROUP_MEMORY, &memory_reclaim},
    {"memory.stat", CGROUP_MEMORY, &memory_stat},
    {"memory.swap.current", CGROUP_MEMORY, &swap_current},
    {"memory.swap.events", CGROUP_MEMORY, &swap_events},
    {"memory.swap.high", CGROUP_MEMORY, &swap_high},
    {"memory.swap.max", CGROUP_MEMORY, &swap_max},
    {"memory.swap.peak", CGROUP_MEMORY, &swap_peak},
    {"pids.current", CGROUP_PIDS, &pids_current},
    {"pids.events", CGROUP_PIDS, &pids_events},
    {"pids.events.local", CGROUP_PIDS, &pids_events_local},
    {"pids.max", CGROUP_PIDS, &pids_max},
    {"pids.peak", CGROUP_PIDS, &pids_peak},
    {NULL, 0, NULL},
};
