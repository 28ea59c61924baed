/* SPDX-License-Identifier: Apache-2.0
 * boot/container_cgroup.c: what the container's own control group says of its limits: those of the OCI
 * document. Those of memory and pids the kernel enforces itself; so does the host's cgroup, where there is
 * one. Source: OCI runtime-spec "config-linux.md", "Control groups".
 */
#include "boot/container_cgroup.h"

#include "boot/spec/spec.h"
#include "sentry/kernel/control_group.h"

static void put(uint64_t *to, const struct spec_i64 *from) {
    if (from->set && from->value != 0) /* docker sends zeros for what is not set */
        *to = from->value < 0 ? CGROUP_MAX : (uint64_t)from->value;
}

/* cpu.shares of version 1 as cpu.weight: 2..262144 become 1..10000. */
static unsigned weight_of(uint64_t shares) {
    if (shares < 2)
        return 1;
    return shares > 262144 ? 10000 : (unsigned)(1 + (shares - 2) * 9999 / 262142);
}

void boot_cgroup_limits(const struct spec *spec, struct cgroup_limits *l) {
    const struct spec_resources *r = &spec->linux_.resources;

    put(&l->memory_max, &r->memory.limit);
    put(&l->memory_low, &r->memory.reservation);
    put(&l->pids_max, &r->pids_limit);
    put(&l->cpu_quota_us, &r->cpu.quota);
    /* Swap is given with memory, as version 1 counts it. */
    if (r->memory.swap.set && r->memory.limit.value > 0 && r->memory.swap.value >= r->memory.limit.value)
        l->swap_max = (uint64_t)(r->memory.swap.value - r->memory.limit.value);
    if (r->cpu.period.set && r->cpu.period.value > 0)
        l->cpu_period_us = r->cpu.period.value;
    if (r->cpu.burst.set)
        l->cpu_burst_us = r->cpu.burst.value;
    if (r->cpu.shares.set && r->cpu.shares.value > 0)
        l->cpu_weight = weight_of(r->cpu.shares.value);
    if (r->cpu.idle.set)
        l->cpu_idle = r->cpu.idle.value == 1;
}
