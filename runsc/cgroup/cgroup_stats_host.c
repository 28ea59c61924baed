/* SPDX-License-Identifier: Apache-2.0
 * runsc/cgroup/cgroup_stats_host.c: what the host's groups say of a container's use, in the JSON that runc's
 * `events` prints (OCI.md 4), and descriptors that tell of its end by want of memory. Sources: the kernel's
 * cgroup-v1 documents (memory.txt: "Memory thresholds", "OOM Control"; cpuacct.txt) and cgroup-v2.rst
 * ("memory.events").
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/cgroup/cgroup_internal.h"

#define STATS_FILE_MAX 65536

/* ---- reading ---- */

static char *read_all(const struct cgroup_hierarchy *h, const char *file) {
    char path[4400];

    if (!h || snprintf(path, sizeof path, "%s/%s", h->directory, file) >= (int)sizeof path)
        return NULL;
    cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    cleanup(freep) char *text = fd >= 0 ? malloc(STATS_FILE_MAX) : NULL;
    ssize_t n = text ? read(fd, text, STATS_FILE_MAX - 1) : -1;
    if (n < 0)
        return NULL;
    text[n] = '\0';
    return TAKE(text);
}

/* JSON has no unsigned 64 bits: what does not fit is the greatest that does. */
static json_t *number(const char *text) {
    unsigned long long v = text ? strtoull(text, NULL, 10) : 0;

    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static void put(json_t *to, const char *key, const struct cgroup_hierarchy *h, const char *file) {
    cleanup(freep) char *text = read_all(h, file);

    if (text && strncmp(text, "max", 3) != 0)
        json_object_set_new(to, key, number(text));
}

/* "key value" lines. */
static json_t *flat_keyed(const struct cgroup_hierarchy *h, const char *file) {
    cleanup(freep) char *text = read_all(h, file);
    json_t *o = json_object();
    char *rest = text;

    for (char *line; text && (line = strsep(&rest, "\n"));) {
        char *value = strchr(line, ' ');
        if (!value)
            continue;
        *value++ = '\0';
        json_object_set_new(o, line, number(value));
    }
    return o;
}

static json_t *number_list(const struct cgroup_hierarchy *h, const char *file) {
    cleanup(freep) char *text = read_all(h, file);
    json_t *list = json_array();
    char *rest = text;

    for (char *word; text && (word = strsep(&rest, " \n"));)
        if (*word)
            json_array_append_new(list, number(word));
    return list;
}

/* "0-3,7" as [0,1,2,3,7]. */
static json_t *expanded_list(const struct cgroup_hierarchy *h, const char *file) {
    cleanup(freep) char *text = read_all(h, file);
    json_t *list = json_array();

    for (char *at = text; at && *at >= '0' && *at <= '9';) {
        unsigned long first = strtoul(at, &at, 10), last = *at == '-' ? strtoul(at + 1, &at, 10) : first;
        for (unsigned long i = first; i <= last && i < first + 8192; i++)
            json_array_append_new(list, json_integer((json_int_t)i));
        at += *at == ',';
    }
    return list;
}

static json_int_t field(const json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}

/* ---- v1 ---- */

/* user_hz of a line "user N\nsystem N" */
static json_t *cpu_v1(struct cgroup *g) {
    const struct cgroup_hierarchy *acct = cgroup_find(g, "cpuacct"), *cpu = cgroup_find(g, "cpu");
    cleanup(json_decrefp) json_t *split = flat_keyed(acct, "cpuacct.stat"),
                                 *throttled = flat_keyed(cpu, "cpu.stat");
    json_int_t tick_ns = 1000000000 / (json_int_t)MAX(sysconf(_SC_CLK_TCK), 1L);
    json_t *usage = json_object(), *throttling = json_object();

    put(usage, "total", acct, "cpuacct.usage");
    json_object_set_new(usage, "percpu", number_list(acct, "cpuacct.usage_percpu"));
    json_object_set_new(usage, "percpu_kernel", number_list(acct, "cpuacct.usage_percpu_sys"));
    json_object_set_new(usage, "percpu_user", number_list(acct, "cpuacct.usage_percpu_user"));
    json_object_set_new(usage, "kernel", json_integer(field(split, "system") * tick_ns));
    json_object_set_new(usage, "user", json_integer(field(split, "user") * tick_ns));
    if (field(throttled, "nr_periods")) {
        json_object_set_new(throttling, "periods", json_integer(field(throttled, "nr_periods")));
        json_object_set_new(throttling, "throttledPeriods", json_integer(field(throttled, "nr_throttled")));
        json_object_set_new(throttling, "throttledTime", json_integer(field(throttled, "throttled_time")));
    }
    return json_pack("{s:o,s:o}", "usage", usage, "throttling", throttling);
}

static json_t *cpuset_v1(struct cgroup *g) {
    static const char *const flags[][2] = {{"cpu_exclusive", "cpuset.cpu_exclusive"},
                                           {"mem_hardwall", "cpuset.mem_hardwall"},
                                           {"mem_exclusive", "cpuset.mem_exclusive"},
                                           {"memory_migrate", "cpuset.memory_migrate"},
                                           {"memory_spread_page", "cpuset.memory_spread_page"},
                                           {"memory_spread_slab", "cpuset.memory_spread_slab"},
                                           {"memory_pressure", "cpuset.memory_pressure"},
                                           {"sched_load_balance", "cpuset.sched_load_balance"}};
    const struct cgroup_hierarchy *h = cgroup_find(g, "cpuset");
    cleanup(freep) char *level = read_all(h, "cpuset.sched_relax_domain_level");
    json_t *o = json_object();

    if (!h)
        return o;
    json_object_set_new(o, "cpus", expanded_list(h, "cpuset.cpus"));
    json_object_set_new(o, "mems", expanded_list(h, "cpuset.mems"));
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        put(o, flags[i][0], h, flags[i][1]);
    json_object_set_new(o, "sched_relax_domain_level", json_integer(level ? strtol(level, NULL, 10) : -1));
    return o;
}

static json_t *memory_entry_v1(const struct cgroup_hierarchy *h, const char *prefix) {
    static const char *const files[][2] = {{"limit", "limit_in_bytes"},
                                           {"usage", "usage_in_bytes"},
                                           {"max", "max_usage_in_bytes"},
                                           {"failcnt", "failcnt"}};
    json_t *o = json_object();
    char name[96];

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(name, sizeof name, "%s.%s", prefix, files[i][1]);
        put(o, files[i][0], h, name);
    }
    return o;
}

static json_t *memory_v1(struct cgroup *g) {
    const struct cgroup_hierarchy *h = cgroup_find(g, "memory");
    json_t *raw = flat_keyed(h, "memory.stat");

    return json_pack("{s:I,s:o,s:o,s:o,s:o,s:o}", "cache", field(raw, "cache"), "usage",
                     memory_entry_v1(h, "memory"), "swap", memory_entry_v1(h, "memory.memsw"), "kernel",
                     memory_entry_v1(h, "memory.kmem"), "kernelTCP", memory_entry_v1(h, "memory.kmem.tcp"),
                     "raw", raw);
}

/* ---- v2 ---- */

static json_t *cpu_v2(const struct cgroup_hierarchy *h) {
    cleanup(json_decrefp) json_t *stat = flat_keyed(h, "cpu.stat");
    json_t *throttling = json_object();

    if (field(stat, "nr_periods")) {
        json_object_set_new(throttling, "periods", json_integer(field(stat, "nr_periods")));
        json_object_set_new(throttling, "throttledPeriods", json_integer(field(stat, "nr_throttled")));
        json_object_set_new(throttling, "throttledTime", json_integer(field(stat, "throttled_usec") * 1000));
    }
    return json_pack("{s:{s:I,s:I,s:I},s:o}", "usage", "total", field(stat, "usage_usec") * 1000, "kernel",
                     field(stat, "system_usec") * 1000, "user", field(stat, "user_usec") * 1000, "throttling",
                     throttling);
}

static json_t *memory_v2(const struct cgroup_hierarchy *h) {
    cleanup(json_decrefp) json_t *events = flat_keyed(h, "memory.events");
    json_t *raw = flat_keyed(h, "memory.stat"), *usage = json_object(), *swap = json_object();

    put(usage, "usage", h, "memory.current");
    put(usage, "limit", h, "memory.max");
    put(usage, "max", h, "memory.peak");
    json_object_set_new(usage, "failcnt", json_integer(field(events, "max")));
    put(swap, "usage", h, "memory.swap.current");
    put(swap, "limit", h, "memory.swap.max");
    return json_pack("{s:I,s:o,s:o,s:o}", "cache", field(raw, "file"), "usage", usage, "swap", swap, "raw",
                     raw);
}

json_t *cgroup_stats(struct cgroup *g) {
    const struct cgroup_hierarchy *v1_pids = cgroup_find(g, "pids"), *v2 = cgroup_find_v2(g);
    bool memory_v1_there = cgroup_find(g, "memory"), cpu_v1_there = cgroup_find(g, "cpuacct");
    const struct cgroup_hierarchy *pids_in = v1_pids ? v1_pids : v2;
    json_t *pids = json_object();

    put(pids, "current", pids_in, "pids.current");
    put(pids, "limit", pids_in, "pids.max");
    return json_pack("{s:o,s:o,s:o,s:o,s:{},s:{},s:{},s:n}", "cpu",
                     cpu_v1_there || !v2 ? cpu_v1(g) : cpu_v2(v2), "cpuset", cpuset_v1(g), "memory",
                     memory_v1_there || !v2 ? memory_v1(g) : memory_v2(v2), "pids", pids, "blkio", "hugetlb",
                     "intel_rdt", "network_interfaces");
}

/* ---- out of memory ---- */

/* v1: an eventfd that the kernel raises, registered by writing both numbers to cgroup.event_control. */
static int watch_oom_v1(const struct cgroup_hierarchy *h, struct err **err) {
    char path[4400], text[48];

    snprintf(path, sizeof path, "%s/memory.oom_control", h->directory);
    cleanup(closep) int control = open(path, O_RDONLY | O_CLOEXEC);
    cleanup(closep) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (control < 0 || fd < 0)
        return err_set(err, errno, "cgroup.oom", "watching %s", path);
    snprintf(text, sizeof text, "%d %d", fd, control);
    int r = cgroup_write(h, "cgroup.event_control", text, "watching memory", err);
    return r < 0 ? r : steal_fd(&fd);
}

static int watch_oom_v2(const struct cgroup_hierarchy *h, struct err **err) {
    char path[4400];

    snprintf(path, sizeof path, "%s/memory.events", h->directory);
    cleanup(closep) int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY) < 0)
        return err_set(err, errno, "cgroup.oom", "watching %s", path);
    return steal_fd(&fd);
}

int cgroup_watch_oom(struct cgroup *g, struct err **err) {
    const struct cgroup_hierarchy *h = cgroup_find(g, "memory"), *v2 = cgroup_find_v2(g);

    if (h)
        return watch_oom_v1(h, err);
    return v2 ? watch_oom_v2(v2, err)
              : err_set(err, ENOTSUP, "cgroup.no-controller", "the host has no cgroup controller memory");
}

int64_t cgroup_oom_kills(struct cgroup *g) {
    const struct cgroup_hierarchy *h = cgroup_find(g, "memory");
    cleanup(json_decrefp) json_t *now =
        flat_keyed(h ? h : cgroup_find_v2(g), h ? "memory.oom_control" : "memory.events");

    return field(now, "oom_kill");
}

bool cgroup_oom_happened(struct cgroup *g, int fd, int64_t *count) {
    const struct cgroup_hierarchy *h = cgroup_find(g, "memory");
    char buffer[4096];

    if (read(fd, buffer, sizeof buffer) < 0)
        return false;
    cleanup(json_decrefp) json_t *now =
        flat_keyed(h ? h : cgroup_find_v2(g), h ? "memory.oom_control" : "memory.events");
    json_int_t kills = field(now, "oom_kill");
    bool more = h || kills > *count; /* the removal of a v1 group raises the eventfd too */
    if (h && json_object_size(now) == 0)
        more = false;
    *count = kills;
    return more;
}
