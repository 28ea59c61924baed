/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_machine.c: files of /proc that tell of the machine below the system: memory zones,
 * interrupts, drivers, devices. A sandbox has one zone of memory and no devices, so most are short. What is
 * left out of a real kernel's tree, and why: docs/vfs.md, "proc and sys". Source: proc(5).
 */
#include "sentry/fs/proc/proc_machine.h"

#include <errno.h>

#include "sentry/fs/proc/proc_sys.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/memfile.h"

#define TEXT(linkage, name, perm, content)                                                                   \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        (void)n, (void)t;                                                                                    \
        text_printf(out, "%s", content);                                                                     \
        return 0;                                                                                            \
    }                                                                                                        \
    linkage const struct kernfs_ops name = {.mode = LINUX_S_IFREG | (perm), .show = name##_show}

enum { BUDDY_ORDERS = 11, ZONE_NAME_WIDTH = 8 };

static uint64_t free_pages(struct kernfs_inode *n) {
    struct kernel *k = n->inode.fs->kernel;
    uint64_t used = memfile_allocated(k->memfile);

    return (k->total_memory > used ? k->total_memory - used : 0) / PAGE_SIZE;
}

/* All that is free, in the largest blocks that it makes. */
static int buddyinfo_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    uint64_t pages = free_pages(n), largest = 1ull << (BUDDY_ORDERS - 1);

    (void)t;
    text_printf(out, "Node 0, zone %*s ", ZONE_NAME_WIDTH, "Normal");
    for (unsigned order = 0; order < BUDDY_ORDERS; order++)
        text_printf(out, "%6llu ",
                    (unsigned long long)(order < BUDDY_ORDERS - 1 ? pages >> order & 1 : pages / largest));
    text_printf(out, "\n");
    return 0;
}
const struct kernfs_ops proc_buddyinfo = {.mode = LINUX_S_IFREG | 0444, .show = buddyinfo_show};

static int zoneinfo_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    unsigned long long total = n->inode.fs->kernel->total_memory / PAGE_SIZE, pages = free_pages(n);

    (void)t;
    text_printf(out,
                "Node 0, zone %*s\n  pages free     %llu\n        boost    0\n        min      0\n"
                "        low      0\n        high     0\n        spanned  %llu\n        present  %llu\n"
                "        managed  %llu\n        protection: (0, 0, 0, 0, 0)\n      nr_free_pages %llu\n"
                "  start_pfn:           1\n",
                ZONE_NAME_WIDTH, "Normal", pages, total, total, total, pages);
    return 0;
}
const struct kernfs_ops proc_zoneinfo = {.mode = LINUX_S_IFREG | 0444, .show = zoneinfo_show};

static void cpu_header(struct kernfs_inode *n, struct text *out) {
    for (unsigned i = 0; i < n->inode.fs->kernel->cpu_count; i++)
        text_printf(out, "CPU%-8u", i);
    text_printf(out, "\n");
}

static int interrupts_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "           ");
    cpu_header(n, out);
    return 0;
}
const struct kernfs_ops proc_interrupts = {.mode = LINUX_S_IFREG | 0444, .show = interrupts_show};

static int softirqs_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    static const char *const names[] = {"HI",       "TIMER",   "NET_TX", "NET_RX",  "BLOCK",
                                        "IRQ_POLL", "TASKLET", "SCHED",  "HRTIMER", "RCU"};

    (void)t;
    text_printf(out, "                    ");
    cpu_header(n, out);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        text_printf(out, "%12s:", names[i]);
        for (unsigned cpu = 0; cpu < n->inode.fs->kernel->cpu_count; cpu++)
            text_printf(out, " %10u", 0u);
        text_printf(out, "\n");
    }
    return 0;
}
const struct kernfs_ops proc_softirqs = {.mode = LINUX_S_IFREG | 0444, .show = softirqs_show};

/* Version 1's view: no controller is on a hierarchy of its own. */
static int cgroups_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    static const char *const names[] = {"cpuset", "cpu", "memory", "pids"};
    struct kernel *k = n->inode.fs->kernel;

    (void)t;
    text_printf(out, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        text_printf(out, "%s\t0\t%u\t1\n", names[i], k->root_cgroup->descendants + 1);
    return 0;
}
const struct kernfs_ops proc_cgroups = {.mode = LINUX_S_IFREG | 0444, .show = cgroups_show};

static int refuse_open(struct kernfs_inode *n, const struct creds *c, uint32_t flags) {
    (void)n, (void)c, (void)flags;
    return -EPERM;
}
static const struct kernfs_ops g_empty_dir = {.mode = LINUX_S_IFDIR | 0555};
const struct kernfs_ops proc_kmsg = {.mode = LINUX_S_IFREG | 0400, .open_check = refuse_open};

TEXT(, proc_nothing, 0444, "");
TEXT(, proc_nothing_private, 0400, "");
TEXT(, proc_dma, 0444, " 4: cascade\n");
TEXT(, proc_execdomains, 0444, "0-0\tLinux           \t[kernel]\n");
TEXT(, proc_slabinfo, 0400,
     "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> "
     "<pagesperslab> "
     ": tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
TEXT(, proc_pagetypeinfo, 0400, "Page block order: 9\nPages per block:  512\n\n");
TEXT(static, g_ldiscs, 0444, "n_tty       0\nn_null     27\n");
TEXT(static, g_tty_drivers, 0444,
     "/dev/tty             /dev/tty        5       0 system:/dev/tty\n"
     "/dev/console         /dev/console    5       1 system:console\n"
     "/dev/ptmx            /dev/ptmx       5       2 system\n"
     "pty_slave            /dev/pts      136 0-1048575 pty:slave\n"
     "pty_master           /dev/ptm      128 0-1048575 pty:master\n");
TEXT(static, g_pressure_cpu, 0644,
     "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");

static const struct kernfs_entry pressure_entries[] = {
    {"cpu", &g_pressure_cpu}, {"io", &g_pressure_cpu}, {"memory", &g_pressure_cpu}, {NULL, NULL}};
const struct kernfs_ops proc_pressure_dir = {.mode = LINUX_S_IFDIR | 0555, .entries = pressure_entries};
static const struct kernfs_entry tty_entries[] = {{"driver", &g_empty_dir},
                                                  {"drivers", &g_tty_drivers},
                                                  {"ldisc", &g_empty_dir},
                                                  {"ldiscs", &g_ldiscs},
                                                  {NULL, NULL}};
const struct kernfs_ops proc_tty_dir = {.mode = LINUX_S_IFDIR | 0555, .entries = tty_entries};
const struct kernfs_ops proc_empty_dir = {.mode = LINUX_S_IFDIR | 0555};
