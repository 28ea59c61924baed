/* SPDX-License-Identifier: Apache-2.0
 * runsc/cgroup/cgroup_limits.c: linux.resources as writes to cgroup files. Zero means "leave alone" (docker
 * sends zeros for unset values). Sources: config-linux.md "Control groups"; the kernel's cgroup-v1 documents
 * and cgroup-v2.rst.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runsc/cgroup/cgroup_internal.h"

#define WHAT(field) "linux.resources." field

/* A value that is absent or zero is left alone; a limit whose controller the host lacks is an error. */
static int set_i64(struct cgroup *g, const char *controller, const char *file, int64_t value,
                   const char *what, struct err **err) {
    const struct cgroup_hierarchy *h = cgroup_find(g, controller);

    if (value == 0)
        return 0;
    if (!h && cgroup_find_v2(g))
        return 0; /* there if anywhere */
    if (!h) {
        int r = err_set(err, ENOTSUP, "cgroup.no-controller", "%s: the host has no cgroup controller %s",
                        what, controller);
        err_explain(err, NULL, "remove the limit from config.json");
        return g->required ? r : 0;
    }
    return cgroup_write_i64(h, file, value, what, err);
}

/* memory.limit must never exceed memory+swap, whichever way they move. */
static int set_memory(struct cgroup *g, const struct spec_resources *r, struct err **err) {
    const struct cgroup_hierarchy *h = cgroup_find(g, "memory");
    int64_t limit = r->memory.limit.value, swap = r->memory.swap.value;
    char current[32] = "";

    if (limit == 0 && swap == 0)
        return 0;
    if (!h)
        return set_i64(g, "memory", "", limit ? limit : swap, WHAT("memory.limit"), err);
    bool swap_file = cgroup_has(h, "memory.memsw.limit_in_bytes");
    bool swap_first = swap != 0 && swap_file &&
                      cgroup_read(h, "memory.memsw.limit_in_bytes", current, sizeof current) >= 0 &&
                      (swap < 0 || strtoull(current, NULL, 10) < (unsigned long long)swap);
    int result = 0;
    if (swap_first)
        result = cgroup_write_i64(h, "memory.memsw.limit_in_bytes", swap, WHAT("memory.swap"), err);
    if (result >= 0 && limit)
        result = cgroup_write_i64(h, "memory.limit_in_bytes", limit, WHAT("memory.limit"), err);
    if (result >= 0 && swap && swap_file && !swap_first)
        result = cgroup_write_i64(h, "memory.memsw.limit_in_bytes", swap, WHAT("memory.swap"), err);
    return result;
}

static int set_memory_rest(struct cgroup *g, const struct spec_resources *r, struct err **err) {
    struct cgroup_hierarchy *h = cgroup_find(g, "memory");
    int result = set_i64(g, "memory", "memory.soft_limit_in_bytes", r->memory.reservation.value,
                         WHAT("memory.reservation"), err);

    if (result >= 0 && h && r->memory.kernel.value && cgroup_has(h, "memory.kmem.limit_in_bytes"))
        (void)!cgroup_write_i64(h, "memory.kmem.limit_in_bytes", r->memory.kernel.value, "",
                                NULL); /* gone from new kernels */
    if (result >= 0 && h && r->memory.kernel_tcp.value && cgroup_has(h, "memory.kmem.tcp.limit_in_bytes"))
        result = cgroup_write_i64(h, "memory.kmem.tcp.limit_in_bytes", r->memory.kernel_tcp.value,
                                  WHAT("memory.kernelTCP"), err);
    if (result >= 0 && h && r->memory.swappiness.set && r->memory.swappiness.value <= 100)
        result = cgroup_write_i64(h, "memory.swappiness", (int64_t)r->memory.swappiness.value,
                                  WHAT("memory.swappiness"), err);
    if (result >= 0 && h && r->memory.disable_oom_killer.value)
        result = cgroup_write(h, "memory.oom_control", "1", WHAT("memory.disableOOMKiller"), err);
    return result;
}

static int set_cpu(struct cgroup *g, const struct spec_resources *r, struct err **err) {
    struct cgroup_hierarchy *sets = cgroup_find(g, "cpuset");
    int result = set_i64(g, "cpu", "cpu.shares", (int64_t)r->cpu.shares.value, WHAT("cpu.shares"), err);

    if (result >= 0)
        result =
            set_i64(g, "cpu", "cpu.cfs_period_us", (int64_t)r->cpu.period.value, WHAT("cpu.period"), err);
    if (result >= 0)
        result = set_i64(g, "cpu", "cpu.cfs_quota_us", r->cpu.quota.value, WHAT("cpu.quota"), err);
    if (result >= 0)
        result = set_i64(g, "cpu", "cpu.cfs_burst_us", (int64_t)r->cpu.burst.value, WHAT("cpu.burst"), err);
    if (result >= 0)
        result = set_i64(g, "cpu", "cpu.rt_period_us", (int64_t)r->cpu.realtime_period.value,
                         WHAT("cpu.realtimePeriod"), err);
    if (result >= 0)
        result = set_i64(g, "cpu", "cpu.rt_runtime_us", r->cpu.realtime_runtime.value,
                         WHAT("cpu.realtimeRuntime"), err);
    if (result >= 0)
        result = set_i64(g, "cpu", "cpu.idle", r->cpu.idle.value, WHAT("cpu.idle"), err);
    if (result >= 0 && sets && r->cpu.cpus && r->cpu.cpus[0])
        result = cgroup_write(sets, "cpuset.cpus", r->cpu.cpus, WHAT("cpu.cpus"), err);
    if (result >= 0 && sets && r->cpu.mems && r->cpu.mems[0])
        result = cgroup_write(sets, "cpuset.mems", r->cpu.mems, WHAT("cpu.mems"), err);
    return result;
}

/* The guest's kernel counts the guest's tasks, exactly. The host's counts ours with them: of each task a
 * thread here and one in its stub, of each process a helper, and what every sandbox, gofer and exec has. It
 * is the second wall, and must not be in the way of the first. */
static int64_t host_pids(int64_t limit) {
    enum { A_TASK = 3, ALWAYS = 128 };

    return limit <= 0 || limit > INT32_MAX ? limit : limit * A_TASK + ALWAYS;
}

static int set_pids(struct cgroup *g, const struct spec_resources *r, struct err **err) {
    struct cgroup_hierarchy *h = cgroup_find(g, "pids");

    if (r->pids_limit.value < 0)
        return h ? cgroup_write(h, "pids.max", "max", WHAT("pids.limit"), err) : 0;
    return set_i64(g, "pids", "pids.max", host_pids(r->pids_limit.value), WHAT("pids.limit"), err);
}

static int set_rates(struct cgroup_hierarchy *h, const struct spec_blkio_devices *list, const char *file,
                     const char *what, struct err **err) {
    int r = 0;

    for (size_t i = 0; r >= 0 && i < list->count; i++) {
        char text[80];
        snprintf(text, sizeof text, "%lld:%lld %llu", (long long)list->items[i].major,
                 (long long)list->items[i].minor, (unsigned long long)list->items[i].rate);
        r = cgroup_write(h, file, text, what, err);
    }
    return r;
}

static int set_block_io(struct cgroup *g, const struct spec_resources *r, struct err **err) {
    struct cgroup_hierarchy *h = cgroup_find(g, "blkio");
    int result = 0;

    if (!h)
        return set_i64(g, "blkio", "", (int64_t)r->block_io.weight.value, WHAT("blockIO.weight"), err);
    if (r->block_io.weight.value && cgroup_has(h, "blkio.bfq.weight"))
        result = cgroup_write_i64(h, "blkio.bfq.weight", (int64_t)r->block_io.weight.value,
                                  WHAT("blockIO.weight"), err);
    else if (r->block_io.weight.value && cgroup_has(h, "blkio.weight"))
        result = cgroup_write_i64(h, "blkio.weight", (int64_t)r->block_io.weight.value,
                                  WHAT("blockIO.weight"), err);
    if (result >= 0)
        result = set_rates(h, &r->block_io.read_bps, "blkio.throttle.read_bps_device",
                           WHAT("blockIO.throttleReadBpsDevice"), err);
    if (result >= 0)
        result = set_rates(h, &r->block_io.write_bps, "blkio.throttle.write_bps_device",
                           WHAT("blockIO.throttleWriteBpsDevice"), err);
    if (result >= 0)
        result = set_rates(h, &r->block_io.read_iops, "blkio.throttle.read_iops_device",
                           WHAT("blockIO.throttleReadIOPSDevice"), err);
    if (result >= 0)
        result = set_rates(h, &r->block_io.write_iops, "blkio.throttle.write_iops_device",
                           WHAT("blockIO.throttleWriteIOPSDevice"), err);
    return result;
}

static int write_device_rule(struct cgroup_hierarchy *h, const struct spec_device_rule *d, struct err **err) {
    char text[96], major[24] = "*", minor[24] = "*";

    if (d->major.set && d->major.value >= 0)
        snprintf(major, sizeof major, "%lld", (long long)d->major.value);
    if (d->minor.set && d->minor.value >= 0)
        snprintf(minor, sizeof minor, "%lld", (long long)d->minor.value);
    snprintf(text, sizeof text, "%s %s:%s %s", d->type && d->type[0] ? d->type : "a", major, minor,
             d->access && d->access[0] ? d->access : "rwm");
    return cgroup_write(h, d->allow ? "devices.allow" : "devices.deny", text[0] == 'a' ? "a" : text,
                        WHAT("devices"), err);
}

/* The spec's rules, then what every container has and what the sandbox itself opens: null and its like, ptys,
 * /dev/kvm. */
static int set_devices(struct cgroup *g, const struct spec_resources *r, struct err **err) {
    static const char *const always[] = {"c *:* m",   "b *:* m",     "c 1:3 rwm",  "c 1:5 rwm",
                                         "c 1:7 rwm", "c 1:8 rwm",   "c 1:9 rwm",  "c 5:0 rwm",
                                         "c 5:2 rwm", "c 136:* rwm", "c 10:232 rw"};
    struct cgroup_hierarchy *h = cgroup_find(g, "devices");
    int result = 0;

    if (!h || r->devices.count == 0)
        return 0;
    for (size_t i = 0; result >= 0 && i < r->devices.count; i++)
        result = write_device_rule(h, &r->devices.items[i], err);
    for (size_t i = 0; result >= 0 && i < ARRAY_SIZE(always); i++)
        result = cgroup_write(h, "devices.allow", always[i], WHAT("devices"), err);
    return result;
}

static int set_rest(struct cgroup *g, const struct spec_resources *r, struct err **err) {
    struct cgroup_hierarchy *huge = cgroup_find(g, "hugetlb"), *priority = cgroup_find(g, "net_prio");
    int result = 0;

    for (size_t i = 0; result >= 0 && huge && i < r->hugepages.count; i++) {
        char file[80], value[32];
        snprintf(file, sizeof file, "hugetlb.%.32s.limit_in_bytes", r->hugepages.items[i].page_size);
        snprintf(value, sizeof value, "%llu", (unsigned long long)r->hugepages.items[i].limit);
        result = cgroup_write(huge, file, value, WHAT("hugepageLimits"), err);
    }
    if (result >= 0 && r->network.class_id.value)
        result = set_i64(g, "net_cls", "net_cls.classid", (int64_t)r->network.class_id.value,
                         WHAT("network.classID"), err);
    for (size_t i = 0; result >= 0 && priority && i < r->network.priorities.count; i++) {
        char value[96];
        snprintf(value, sizeof value, "%.64s %u", r->network.priorities.items[i].name,
                 r->network.priorities.items[i].priority);
        result = cgroup_write(priority, "net_prio.ifpriomap", value, WHAT("network.priorities"), err);
    }
    return result;
}

int cgroup_write_limits_v1(struct cgroup *g, const struct spec_resources *r, bool create, struct err **err) {
    int result = create ? set_devices(g, r, err) : 0;

    if (result >= 0)
        result = set_memory(g, r, err);
    if (result >= 0)
        result = set_memory_rest(g, r, err);
    if (result >= 0)
        result = set_cpu(g, r, err);
    if (result >= 0)
        result = set_pids(g, r, err);
    if (result >= 0)
        result = set_block_io(g, r, err);
    return result < 0 ? result : set_rest(g, r, err);
}

/* ---- v2 ---- */

static int set_v2(const struct cgroup_hierarchy *h, const char *file, int64_t value, const char *what,
                  struct err **err) {
    if (value == 0 || !cgroup_has(h, file))
        return 0; /* on a host with v1 too, the controller is there */
    return value < 0 ? cgroup_write(h, file, "max", what, err) : cgroup_write_i64(h, file, value, what, err);
}

/* v1 shares 2..262144 to v2 weights 1..10000, as runc and crun do. */
static int64_t weight_of_shares(uint64_t shares) {
    if (shares == 0)
        return 0;
    shares = MIN(shares, (uint64_t)262144);
    shares = MAX(shares, (uint64_t)2);
    return (int64_t)(1 + ((shares - 2) * 9999) / 262142);
}

static int set_v2_cpu(const struct cgroup_hierarchy *h, const struct spec_resources *r, struct err **err) {
    char text[64];
    int result = set_v2(h, "cpu.weight", weight_of_shares(r->cpu.shares.value), WHAT("cpu.shares"), err);

    if (result >= 0 && (r->cpu.quota.value || r->cpu.period.value) && cgroup_has(h, "cpu.max")) {
        unsigned long long period = r->cpu.period.value ? r->cpu.period.value : 100000;
        if (r->cpu.quota.value > 0)
            snprintf(text, sizeof text, "%lld %llu", (long long)r->cpu.quota.value, period);
        else
            snprintf(text, sizeof text, "max %llu", period);
        result = cgroup_write(h, "cpu.max", text, WHAT("cpu.quota"), err);
    }
    if (result >= 0 && r->cpu.cpus && r->cpu.cpus[0] && cgroup_has(h, "cpuset.cpus"))
        result = cgroup_write(h, "cpuset.cpus", r->cpu.cpus, WHAT("cpu.cpus"), err);
    if (result >= 0 && r->cpu.mems && r->cpu.mems[0] && cgroup_has(h, "cpuset.mems"))
        result = cgroup_write(h, "cpuset.mems", r->cpu.mems, WHAT("cpu.mems"), err);
    return result;
}

static int set_unified(const struct cgroup_hierarchy *h, const struct spec_map *unified, struct err **err) {
    int result = 0;

    for (size_t i = 0; result >= 0 && i < unified->count; i++) {
        if (strchr(unified->items[i].key, '/'))
            return err_set(err, EINVAL, "spec.invalid",
                           "linux.resources.unified: \"%s\" is no file of a cgroup", unified->items[i].key);
        result = cgroup_write(h, unified->items[i].key, unified->items[i].value, WHAT("unified"), err);
    }
    return result;
}

int cgroup_write_limits_v2(struct cgroup *g, const struct spec_resources *r, struct err **err) {
    const struct cgroup_hierarchy *h = cgroup_find_v2(g);
    int64_t limit = r->memory.limit.value, swap = r->memory.swap.value;

    if (!h)
        return r->unified.count ? err_set(err, ENOTSUP, "cgroup.no-v2",
                                          "linux.resources.unified needs cgroup v2, which this host has not")
                                : 0;
    int result = set_v2(h, "memory.max", limit, WHAT("memory.limit"), err);
    /* v2 counts swap alone. */
    if (result >= 0 && swap && cgroup_has(h, "memory.swap.max"))
        result = swap < 0 ? cgroup_write(h, "memory.swap.max", "max", WHAT("memory.swap"), err)
                          : cgroup_write_i64(h, "memory.swap.max", swap > limit ? swap - limit : 0,
                                             WHAT("memory.swap"), err);
    if (result >= 0)
        result = set_v2(h, "memory.low", r->memory.reservation.value, WHAT("memory.reservation"), err);
    if (result >= 0)
        result = set_v2(h, "pids.max", host_pids(r->pids_limit.value), WHAT("pids.limit"), err);
    if (result >= 0)
        result = set_v2_cpu(h, r, err);
    return result < 0 ? result : set_unified(h, &r->unified, err);
}
