/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_pid_more.c: the rarer files of /proc/PID: page maps, policies, attributes. Source:
 * proc(5), Documentation/admin-guide/mm/pagemap.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_machine.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/mm_proc.h"
#include "sentry/mm/uaccess.h"

#define PID_FILE(perm, ...)                                                                                  \
    { .mode = LINUX_S_IFREG | (perm), __VA_ARGS__, PROC_PID_NODE }
#define PID_TEXT(name, perm, content)                                                                        \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        (void)n, (void)t;                                                                                    \
        text_printf(out, "%s", content);                                                                     \
        return 0;                                                                                            \
    }                                                                                                        \
    const struct kernfs_ops name = PID_FILE(perm, .show = name##_show)

PID_TEXT(proc_projid_map, 0644, "         0          0 4294967295\n");
PID_TEXT(proc_cpuset, 0444, "/\n");
PID_TEXT(proc_autogroup, 0644, "/autogroup-1 nice 0\n");
PID_TEXT(proc_arch_status, 0444, "AVX512_elapsed_ms:\t-1\n");
PID_TEXT(proc_ksm_merging_pages, 0400, "0\n");
PID_TEXT(proc_ksm_stat, 0400,
         "ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\n");
PID_TEXT(proc_timers, 0444, "");
PID_TEXT(proc_syscall, 0400, "running\n");

/* ---- time namespaces: of the process's coming children ---- */

static struct time_ns *time_for_children(struct kernfs_inode *n) {
    struct task *t = proc_task(n);
    struct nsproxy *proxy = t ? task_get_nsproxy(t) : NULL;
    struct time_ns *ns = proxy ? time_ns_ref(proxy->time_for_children) : NULL;

    nsproxy_unref(proxy);
    task_unref(t);
    return ns;
}

static int timens_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct time_ns *ns = time_for_children(n);

    (void)t;
    if (!ns)
        return -ESRCH;
    time_ns_show(ns, out);
    time_ns_unref(ns);
    return 0;
}

static ssize_t timens_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    struct time_ns *ns = time_for_children(n);

    ssize_t r = ns ? time_ns_store(ns, t, data, len) : -ESRCH;
    time_ns_unref(ns);
    return r;
}

const struct kernfs_ops proc_timens_offsets = PID_FILE(0644, .show = timens_show, .store = timens_store);

/* No kernel stack is anybody's to see: as without CAP_SYS_ADMIN in the first namespace. */
static int stack_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t, (void)out;
    return -EACCES;
}
const struct kernfs_ops proc_stack = PID_FILE(0400, .show = stack_show);

/* Access bits are the host's: the numbers that exist are taken, and change nothing. */
static ssize_t clear_refs_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    int64_t kind;
    int r = proc_parse_store(data, len, 1, 5, &kind);

    (void)n, (void)t;
    return r < 0 ? r : (ssize_t)len;
}
const struct kernfs_ops proc_clear_refs = PID_FILE(0200, .store = clear_refs_store);

/* ---- attr: there is no security module to ask ---- */

static int attr_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t, (void)out;
    return -EINVAL;
}
static ssize_t attr_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    (void)n, (void)t, (void)data, (void)len;
    return -EINVAL;
}
static const struct kernfs_ops g_attr = PID_FILE(0666, .show = attr_show, .store = attr_store);
static const struct kernfs_ops g_attr_prev = PID_FILE(0444, .show = attr_show);
static const struct kernfs_entry attr_entries[] = {
    {"current", &g_attr},   {"exec", &g_attr},       {"fscreate", &g_attr}, {"keycreate", &g_attr},
    {"prev", &g_attr_prev}, {"sockcreate", &g_attr}, {NULL, NULL}};
const struct kernfs_ops proc_attr_dir = {
    .mode = LINUX_S_IFDIR | 0555, .entries = attr_entries, PROC_PID_NODE};

/* ---- memory ---- */

/* A line of maps is start-end perms offset dev inode, then blanks and a name. */
static void numa_line(const char *line, size_t len, struct text *out) {
    size_t address = strcspn(line, "-"), at = 0;

    for (int field = 0; field < 5 && at < len; field++) {
        at += strcspn(line + at, " \n");
        at += strspn(line + at, " ");
    }
    text_append(out, line, MIN(address, len));
    text_printf(out, " default");
    if (at < len && line[at] == '/') {
        text_printf(out, " file=");
        text_append(out, line + at, len - at);
    } else if (len - at > 2 && line[at] == '[') {
        text_printf(out, " ");
        text_append(out, line + at + 1, len - at - 2); /* heap, stack */
    }
    text_printf(out, "\n");
}

static int numa_maps_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct mm *mm = proc_mm(n);
    struct text maps = {0};

    if (!mm)
        return 0;
    mm_proc_areas(mm, t, &maps);
    mm_unref(mm);
    text_append(&maps, "", 1);
    for (char *line = maps.failed ? NULL : maps.data; line && *line;) {
        size_t len = strcspn(line, "\n");
        numa_line(line, len, out);
        line += len + (line[len] == '\n');
    }
    int r = maps.failed ? -ENOMEM : 0;
    text_done(&maps);
    return r;
}
const struct kernfs_ops proc_numa_maps =
    PID_FILE(0444, .show = numa_maps_show, .open_check = proc_pid_open_private);

enum { PAGEMAP_CHUNK = 512 /* entries of 8 bytes made at a time */ };
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FILE    (1ull << 61)

/* No frame numbers: as without CAP_SYS_ADMIN. */
static void pagemap_fill(struct mm *mm, gva_t first, size_t count, uint64_t *entries) {
    struct kernel *k = heap_root();
    uint8_t pages[PAGEMAP_CHUNK];
    const struct platform_ops *ops = kernel_platform(k)->ops;

    memset(entries, 0, count * sizeof *entries);
    if (!ops->as_pages || ops->as_pages(mm_as(mm), first, count, pages) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        entries[i] = (pages[i] & PAGE_IS_PRESENT ? PAGEMAP_PRESENT : 0) |
                     (pages[i] & PAGE_IS_SHARED ? PAGEMAP_FILE : 0);
}

static ssize_t pagemap_read(struct kernfs_inode *n, struct task *t, struct uio *to, uint64_t *offset) {
    const uint64_t end = (1ull << 47) / PAGE_SIZE * sizeof(uint64_t);
    uint64_t entries[PAGEMAP_CHUNK];
    struct mm *mm = proc_mm(n);
    ssize_t done = 0;

    (void)t;
    if (!mm)
        return 0;
    if (*offset % sizeof *entries || to->remaining % sizeof *entries)
        done = -EINVAL;
    while (done >= 0 && to->remaining > 0 && *offset < end) {
        size_t count = MIN(MIN(to->remaining, end - *offset) / sizeof *entries, (uint64_t)PAGEMAP_CHUNK);
        pagemap_fill(mm, *offset / sizeof *entries * PAGE_SIZE, count, entries);
        ssize_t put = uio_write(to, entries, count * sizeof *entries);
        if (put < 0) {
            done = done > 0 ? done : put;
            break;
        }
        done += put;
        *offset += (uint64_t)put;
        if ((size_t)put < count * sizeof *entries)
            break;
    }
    mm_unref(mm);
    return done;
}
const struct kernfs_ops proc_pagemap =
    PID_FILE(0400, .read = pagemap_read, .open_check = proc_pid_open_private);
