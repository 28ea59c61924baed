/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_machine.h: what proc_machine.c and proc_pid_more.c add to the trees of procfs.
 */
#pragma once

#include "sentry/fs/proc/proc_internal.h"

extern const struct kernfs_ops proc_buddyinfo, proc_zoneinfo, proc_interrupts, proc_softirqs, proc_cgroups,
    proc_kmsg, proc_nothing, proc_nothing_private, proc_dma, proc_execdomains, proc_slabinfo,
    proc_pagetypeinfo, proc_pressure_dir, proc_tty_dir, proc_empty_dir;

/* Of processes and threads. */
extern const struct kernfs_ops proc_numa_maps, proc_pagemap, proc_stack, proc_syscall, proc_timens_offsets,
    proc_projid_map, proc_cpuset, proc_autogroup, proc_arch_status, proc_clear_refs, proc_attr_dir,
    proc_ksm_merging_pages, proc_ksm_stat, proc_timers;
