/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_status.c: the numbers of a process or thread: stat, statm, status, limits, io, oom_*,
 * sched, id maps. Source: proc(5).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/resource.h"
#include "base/abi/linux/stat.h"
#include "base/clock.h"
#include "sentry/fs/devpts/tty.h"
#include "sentry/fs/proc/proc_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/usage.h"
#include "sentry/kernel/session.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/mm_proc.h"
#include "sentry/vfs/fd_table.h"

enum { TICKS = 100 }; /* USER_HZ */

static unsigned long long ticks(int64_t ns) {
    return (unsigned long long)(ns / (NSEC_PER_SEC / TICKS));
}

static const char *state_word(char letter) {
    switch (letter) {
    case 'R':
        return "R (running)";
    case 'S':
        return "S (sleeping)";
    case 'T':
        return "T (stopped)";
    case 't':
        return "t (tracing stop)";
    case 'Z':
        return "Z (zombie)";
    }
    return "X (dead)";
}

/* What both texts tell, read once. */
struct snapshot {
    int tid, tgid, ppid, tracer, pgrp, session, exit_signal, exit_status;
    unsigned threads;
    char state, name[LINUX_TASK_COMM_LEN];
    struct signal_status signals;
    struct cpu_times children_cpu;
    uint64_t children_min_faults;
    int tty_number, tty_pgrp;
};

static void take_snapshot(struct kernfs_inode *n, struct task *t, struct snapshot *s) {
    struct pid_ns *ns = proc_ns(n);
    struct thread_group *g = t->group;

    *s = (struct snapshot){
        .tid = task_tid_in(t, ns),
        .tgid = task_tgid_in(t, ns),
        .ppid = task_ppid_in(t, ns),
        .pgrp = task_pgrp_in(t, ns),
        .session = task_session_in(t, ns),
        .state = task_state_letter(t),
        .tty_pgrp = -1,
    };
    task_get_name(t, s->name);
    signal_get_status(t, &s->signals);
    struct tty *tty = task_get_tty(t);
    if (tty)
        tty_proc_numbers(tty, ns, &s->tty_number, &s->tty_pgrp);
    tty_unref(tty);
    mutex_lock(&t->kernel->taskset_lock);
    s->threads = g->task_count;
    s->tracer = t->trace.tracer ? task_tgid_in(t->trace.tracer, ns) : 0;
    s->exit_signal = t->exit_signal;
    s->exit_status = t->exit_status;
    s->children_cpu = g->children_cpu;
    s->children_min_faults = g->children_min_faults;
    mutex_unlock(&t->kernel->taskset_lock);
}

static void numbers_of(struct task *t, struct mm_numbers *m) {
    struct mm *mm = task_get_mm(t);

    memset(m, 0, sizeof *m);
    if (mm)
        mm_proc_numbers(mm, m);
    mm_unref(mm);
}

static int stat_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);
    struct snapshot s;
    struct mm_numbers m;

    if (!t)
        return -ESRCH;
    take_snapshot(n, t, &s);
    numbers_of(t, &m);
    bool hide = viewer && viewer->group != t->group && proc_may_access(t, task_creds(viewer)) < 0;
    struct cpu_times cpu = n->number ? task_cpu_times(t) : thread_group_cpu(t->group);
    text_printf(out, "%d (%s) %c %d %d %d %d %d %u ", s.tid, s.name, s.state, s.ppid, s.pgrp, s.session,
                s.tty_number, s.tty_pgrp, t->group->has_execed ? 0u : 0x40u);
    text_printf(out, "%llu %llu 0 0 %llu %llu %llu %llu ", (unsigned long long)t->min_faults,
                (unsigned long long)s.children_min_faults, ticks(cpu.user_ns), ticks(cpu.system_ns),
                ticks(s.children_cpu.user_ns), ticks(s.children_cpu.system_ns));
    text_printf(out, "%d %d %u 0 %llu %llu %llu %llu ", 20 + t->nice, t->nice, s.threads,
                ticks(t->start_time - t->kernel->boot_time_ns +
                      (viewer ? time_ns_offset(viewer->nsproxy->time, LINUX_CLOCK_BOOTTIME) : 0)),
                (unsigned long long)m.total, (unsigned long long)(m.resident / PAGE_SIZE),
                (unsigned long long)task_limit(t, LINUX_RLIMIT_RSS));
    text_printf(out, "%llu %llu %llu 0 0 ", hide ? 1ull : (unsigned long long)m.code_start,
                hide ? 1ull : (unsigned long long)m.code_end,
                hide ? 0ull : (unsigned long long)m.stack_start);
    text_printf(out, "%llu %llu %llu %llu 0 0 0 %d 0 %d %d 0 0 0 ", (unsigned long long)s.signals.pending,
                (unsigned long long)s.signals.blocked, (unsigned long long)s.signals.ignored,
                (unsigned long long)s.signals.caught, s.exit_signal, t->sched_priority, t->sched_policy);
    text_printf(out, "%llu %llu %llu %llu %llu %llu %llu %d\n",
                hide ? 0ull : (unsigned long long)m.data_start, hide ? 0ull : (unsigned long long)m.data_end,
                hide ? 0ull : (unsigned long long)m.brk_start, hide ? 0ull : (unsigned long long)m.arg_start,
                hide ? 0ull : (unsigned long long)m.arg_end, hide ? 0ull : (unsigned long long)m.env_start,
                hide ? 0ull : (unsigned long long)m.env_end, hide ? 0 : s.exit_status);
    task_unref(t);
    return 0;
}

static int statm_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);
    struct mm_numbers m;

    (void)viewer;
    if (!t)
        return -ESRCH;
    numbers_of(t, &m);
    text_printf(out, "%llu %llu %llu %llu 0 %llu 0\n", (unsigned long long)(m.total / PAGE_SIZE),
                (unsigned long long)(m.resident / PAGE_SIZE), (unsigned long long)(m.shared / PAGE_SIZE),
                (unsigned long long)((m.code_end - m.code_start + PAGE_SIZE - 1) / PAGE_SIZE),
                (unsigned long long)((m.data + m.stack) / PAGE_SIZE));
    task_unref(t);
    return 0;
}

static void show_ids(struct task *t, struct user_ns *view, struct text *out) {
    struct creds *c = task_get_creds(t);
    struct fs_context *fs = task_get_fs(t);
    struct fd_table *files = task_get_files(t);

    text_printf(out, "Uid:\t%u\t%u\t%u\t%u\n", from_kuid(view, c->uid), from_kuid(view, c->euid),
                from_kuid(view, c->suid), from_kuid(view, c->fsuid));
    text_printf(out, "Gid:\t%u\t%u\t%u\t%u\n", from_kgid(view, c->gid), from_kgid(view, c->egid),
                from_kgid(view, c->sgid), from_kgid(view, c->fsgid));
    text_printf(out, "FDSize:\t%zu\nGroups:\t", files ? files->capacity : 0);
    for (size_t i = 0; i < c->group_count; i++)
        text_printf(out, "%u ", from_kgid(view, c->groups[i]));
    text_printf(out, "\n");
    creds_unref(c);
    fs_context_unref(fs);
    fd_table_unref(files);
}

static void show_ns_ids(struct task *t, struct pid_ns *ns, struct text *out) {
    static const struct {
        const char *label;
        enum pid_role role;
    } rows[] = {{"NStgid", PID_GROUP}, {"NSpid", PID_TASK}, {"NSpgid", PID_PGRP}, {"NSsid", PID_SESSION}};

    mutex_lock(&t->kernel->taskset_lock);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct thread_group *g = t->group;
        const struct pid *pid = rows[i].role == PID_GROUP  ? g->pid
                                : rows[i].role == PID_TASK ? t->pid
                                : rows[i].role == PID_PGRP ? g->pgrp
                                                           : g->session;
        text_printf(out, "%s:", rows[i].label);
        for (unsigned level = ns->level; pid && level <= t->pid->level; level++)
            text_printf(out, "\t%d", level <= pid->level ? pid->numbers[level].number : 0);
        text_printf(out, "\n");
    }
    mutex_unlock(&t->kernel->taskset_lock);
}

static void show_memory(struct task *t, struct text *out) {
    struct mm_numbers m;
    struct mm *mm = task_get_mm(t);

    if (!mm)
        return;
    mm_proc_numbers(mm, &m);
    mm_unref(mm);
#define ROW(label, bytes) text_printf(out, label ":\t%8llu kB\n", (unsigned long long)((bytes) / 1024))
    ROW("VmPeak", m.peak);
    ROW("VmSize", m.total);
    ROW("VmLck", m.locked);
    ROW("VmPin", 0ull);
    ROW("VmHWM", m.resident);
    ROW("VmRSS", m.resident);
    ROW("RssAnon", m.resident - MIN(m.resident, m.shared));
    ROW("RssFile", m.shared);
    ROW("RssShmem", 0ull);
    ROW("VmData", m.data);
    ROW("VmStk", m.stack);
    ROW("VmExe", m.code_end - m.code_start);
    ROW("VmLib", m.library);
    ROW("VmPTE", m.page_tables);
    ROW("VmSwap", 0ull);
    ROW("HugetlbPages", 0ull);
#undef ROW
    text_printf(out, "CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n");
}

static void show_capabilities(struct task *t, struct text *out) {
    struct creds *c = task_get_creds(t);

    text_printf(
        out, "CapInh:\t%016llx\nCapPrm:\t%016llx\nCapEff:\t%016llx\nCapBnd:\t%016llx\nCapAmb:\t%016llx\n",
        (unsigned long long)c->inheritable, (unsigned long long)c->permitted,
        (unsigned long long)c->effective, (unsigned long long)c->bounding, (unsigned long long)c->ambient);
    creds_unref(c);
}

static void show_cpus(struct task *t, struct text *out) {
    unsigned cpus = t->kernel->cpu_count;
    unsigned words = (cpus + 31) / 32;

    text_printf(out, "Cpus_allowed:\t");
    for (unsigned w = words; w-- > 0;) {
        unsigned bits = MIN(cpus - w * 32, 32u);
        text_printf(out, w == words - 1 ? "%x" : ",%08x", bits == 32 ? 0xffffffffu : (1u << bits) - 1);
    }
    text_printf(out, cpus > 1 ? "\nCpus_allowed_list:\t0-%u\n" : "\nCpus_allowed_list:\t%u\n", cpus - 1);
    text_printf(out, "Mems_allowed:\t1\nMems_allowed_list:\t0\n");
}

static int status_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);
    struct snapshot s;
    struct user_ns *view = viewer ? task_creds(viewer)->user_ns : n->inode.fs->kernel->root_user_ns;

    if (!t)
        return -ESRCH;
    take_snapshot(n, t, &s);
    struct fs_context *fs = task_get_fs(t);
    text_printf(out, "Name:\t");
    text_append_escaped(out, s.name);
    if (fs)
        text_printf(out, "\nUmask:\t%04o", fs->umask);
    fs_context_unref(fs);
    text_printf(out, "\nState:\t%s\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t%d\n",
                state_word(s.state), s.tgid, s.tid, s.ppid, s.tracer);
    show_ids(t, view, out);
    show_ns_ids(t, proc_ns(n), out);
    text_printf(out, "Kthread:\t0\n");
    show_memory(t, out);
    text_printf(out, "Threads:\t%u\nSigQ:\t%u/%llu\n", s.threads, s.signals.queued,
                (unsigned long long)s.signals.queue_limit);
    text_printf(out,
                "SigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%016llx\nSigCgt:\t%016llx\n",
                (unsigned long long)s.signals.pending, (unsigned long long)s.signals.shared_pending,
                (unsigned long long)s.signals.blocked, (unsigned long long)s.signals.ignored,
                (unsigned long long)s.signals.caught);
    show_capabilities(t, out);
    text_printf(out, "NoNewPrivs:\t%d\nSeccomp:\t%d\nSeccomp_filters:\t%u\n", t->no_new_privs,
                t->seccomp_mode, seccomp_filter_count(t));
    text_printf(
        out,
        "Speculation_Store_Bypass:\tthread vulnerable\nSpeculationIndirectBranch:\tconditional enabled\n");
    show_cpus(t, out);
    text_printf(out, "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t0\n",
                (unsigned long long)t->voluntary_switches);
    task_unref(t);
    return 0;
}

/* ---- limits ---- */

static int limits_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    static const struct {
        const char *name, *unit;
    } rows[LINUX_RLIM_NLIMITS] = {
        {"Max cpu time", "seconds"},    {"Max file size", "bytes"},      {"Max data size", "bytes"},
        {"Max stack size", "bytes"},    {"Max core file size", "bytes"}, {"Max resident set", "bytes"},
        {"Max processes", "processes"}, {"Max open files", "files"},     {"Max locked memory", "bytes"},
        {"Max address space", "bytes"}, {"Max file locks", "locks"},     {"Max pending signals", "signals"},
        {"Max msgqueue size", "bytes"}, {"Max nice priority", ""},       {"Max realtime priority", ""},
        {"Max realtime timeout", "us"},
    };
    struct task *t = proc_task(n);
    struct linux_rlimit64 limits[LINUX_RLIM_NLIMITS];

    (void)viewer;
    if (!t)
        return -ESRCH;
    mutex_lock(&t->group->limits_lock);
    memcpy(limits, t->group->limits, sizeof limits);
    mutex_unlock(&t->group->limits_lock);
    text_printf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (int i = 0; i < LINUX_RLIM_NLIMITS; i++) {
        char soft[24], hard[24];
        snprintf(soft, sizeof soft, limits[i].cur == UINT64_MAX ? "unlimited" : "%llu",
                 (unsigned long long)limits[i].cur);
        snprintf(hard, sizeof hard, limits[i].max == UINT64_MAX ? "unlimited" : "%llu",
                 (unsigned long long)limits[i].max);
        text_printf(out, "%-25s %-20s %-20s %-10s\n", rows[i].name, soft, hard, rows[i].unit);
    }
    task_unref(t);
    return 0;
}

/* ---- the rest ---- */

/* What reaches the disk the host alone knows. */
static int io_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);
    struct io_count io[IO_DIRECTIONS];

    (void)viewer;
    if (!t)
        return -ESRCH;
    usage_of_io(t->group, io);
    task_unref(t);
    text_printf(out, "rchar: %lu\nwchar: %lu\nsyscr: %lu\nsyscw: %lu\n", io[IO_READ].bytes,
                io[IO_WRITE].bytes, io[IO_READ].calls, io[IO_WRITE].calls);
    text_printf(out, "read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
    return 0;
}

static int oom_score_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);
    struct mm_numbers m;

    (void)viewer;
    if (!t)
        return -ESRCH;
    numbers_of(t, &m);
    uint64_t points = m.resident * 1000 / MAX(t->kernel->total_memory, (uint64_t)1);
    int64_t score = t->oom_score_adj == -1000 ? 0 : ((int64_t)points + 1000 + t->oom_score_adj) * 2 / 3;
    text_printf(out, "%lld\n", (long long)MAX(score, (int64_t)0));
    task_unref(t);
    return 0;
}

static int oom_score_adj_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);

    (void)viewer;
    if (!t)
        return -ESRCH;
    text_printf(out, "%d\n", t->oom_score_adj);
    task_unref(t);
    return 0;
}

enum { CAP_SYS_RESOURCE_NR = 24 };

static ssize_t oom_score_adj_store(struct kernfs_inode *n, struct task *viewer, const char *data,
                                   size_t len) {
    struct task *t = proc_task(n);
    int64_t value;

    if (!t)
        return -ESRCH;
    int r = proc_parse_store(data, len, -1000, 1000, &value);
    if (r == 0 && value < t->oom_score_adj && (!viewer || !task_capable(viewer, CAP_SYS_RESOURCE_NR)))
        r = -EACCES;
    if (r == 0)
        t->oom_score_adj = (int)value;
    task_unref(t);
    return r < 0 ? r : (ssize_t)len;
}

/* ---- coredump_filter ---- */

static int coredump_filter_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct mm *mm = proc_mm(n);

    (void)viewer;
    if (mm)
        text_printf(out, "%08x\n", mm->dump_filter);
    mm_unref(mm);
    return 0;
}

static ssize_t coredump_filter_store(struct kernfs_inode *n, struct task *viewer, const char *data,
                                     size_t len) {
    struct mm *mm = proc_mm(n);
    char *end;
    uint64_t value = strtoull(data, &end, 0);

    (void)viewer;
    if (!mm)
        return -ESRCH;
    ssize_t r = end == data || value > UINT32_MAX ? -EINVAL : (ssize_t)len;
    if (r >= 0)
        mm->dump_filter = value & 0x1ff;
    mm_unref(mm);
    return r;
}

static int oom_adj_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);

    (void)viewer;
    if (!t)
        return -ESRCH;
    text_printf(out, "%d\n", t->oom_score_adj == 1000 ? 15 : t->oom_score_adj * 17 / 1000);
    task_unref(t);
    return 0;
}

static int sched_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);

    (void)viewer;
    if (!t)
        return -ESRCH;
    text_printf(out, "%s (%d, #threads: %u)\n", t->name, task_tid_in(t, proc_ns(n)), t->group->task_count);
    text_printf(out,
                "policy                                       : %20d\nprio                                   "
                "      : %20d\n",
                t->sched_policy, 120 + t->nice);
    task_unref(t);
    return 0;
}

static int schedstat_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);

    (void)viewer;
    if (!t)
        return -ESRCH;
    struct cpu_times cpu = task_cpu_times(t);
    text_printf(out, "%lld 0 %llu\n", (long long)(cpu.user_ns + cpu.system_ns),
                (unsigned long long)t->voluntary_switches);
    task_unref(t);
    return 0;
}

static int timerslack_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);

    (void)viewer;
    if (!t)
        return -ESRCH;
    text_printf(out, "%llu\n", (unsigned long long)t->timer_slack_ns);
    task_unref(t);
    return 0;
}

/* ---- id maps ---- */

static int show_map(struct kernfs_inode *n, struct task *viewer, bool gid, struct text *out) {
    struct task *t = proc_task(n);

    if (!t)
        return -ESRCH;
    struct creds *c = task_get_creds(t);
    struct user_ns *ns = c->user_ns;
    struct user_ns *view = viewer ? task_creds(viewer)->user_ns : n->inode.fs->kernel->root_user_ns;
    struct user_ns *outer = view == ns && ns->parent ? ns->parent : view;
    if (!ns->parent) {
        text_printf(out, "%10u %10u %10u\n", 0u, 0u, 4294967295u);
    } else {
        mutex_lock(&ns->lock);
        size_t count = gid ? ns->gid_map_count : ns->uid_map_count;
        for (size_t i = 0; i < count; i++) {
            struct id_extent e = gid ? ns->gid_map[i] : ns->uid_map[i];
            /* The outer column is told as the reader's namespace sees it; only the initial one needs no
             * translation. */
            text_printf(out, "%10u %10u %10u\n", e.inside, outer->parent ? e.outside - e.inside : e.outside,
                        e.count);
        }
        mutex_unlock(&ns->lock);
    }
    creds_unref(c);
    task_unref(t);
    return 0;
}

static int uid_map_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    return show_map(n, viewer, /* gid= */ false, out);
}

static int gid_map_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    return show_map(n, viewer, /* gid= */ true, out);
}

static int setgroups_show(struct kernfs_inode *n, struct task *viewer, struct text *out) {
    struct task *t = proc_task(n);

    (void)viewer;
    if (!t)
        return -ESRCH;
    struct creds *c = task_get_creds(t);
    text_printf(out, c->user_ns->setgroups_denied ? "deny\n" : "allow\n");
    creds_unref(c);
    task_unref(t);
    return 0;
}

static ssize_t store_ids(struct kernfs_inode *n, struct task *viewer, const char *data, size_t len,
                         enum user_ns_file what) {
    struct task *t = proc_task(n);

    if (!t || !viewer) {
        task_unref(t);
        return -ESRCH;
    }
    struct creds *c = task_get_creds(t);
    int r = user_ns_store(c->user_ns, viewer, what, data, len);
    creds_unref(c);
    task_unref(t);
    return r < 0 ? r : (ssize_t)len;
}

static ssize_t uid_map_store(struct kernfs_inode *n, struct task *viewer, const char *data, size_t len) {
    return store_ids(n, viewer, data, len, USER_NS_UID_MAP);
}

static ssize_t gid_map_store(struct kernfs_inode *n, struct task *viewer, const char *data, size_t len) {
    return store_ids(n, viewer, data, len, USER_NS_GID_MAP);
}

static ssize_t setgroups_store(struct kernfs_inode *n, struct task *viewer, const char *data, size_t len) {
    return store_ids(n, viewer, data, len, USER_NS_SETGROUPS);
}

#define FILE_OPS(name, perm, ...)                                                                            \
    const struct kernfs_ops name = {.mode = LINUX_S_IFREG | (perm), __VA_ARGS__, PROC_PID_NODE}
FILE_OPS(proc_stat, 0444, .show = stat_show);
FILE_OPS(proc_statm, 0444, .show = statm_show);
FILE_OPS(proc_status, 0444, .show = status_show);
FILE_OPS(proc_limits, 0444, .show = limits_show);
FILE_OPS(proc_io, 0400, .show = io_show, .open_check = proc_pid_open_private);
FILE_OPS(proc_oom_score, 0444, .show = oom_score_show);
FILE_OPS(proc_coredump_filter, 0644, .show = coredump_filter_show, .store = coredump_filter_store);
FILE_OPS(proc_oom_score_adj, 0644, .show = oom_score_adj_show, .store = oom_score_adj_store);
FILE_OPS(proc_oom_adj, 0644, .show = oom_adj_show);
FILE_OPS(proc_sched, 0644, .show = sched_show);
FILE_OPS(proc_schedstat, 0444, .show = schedstat_show);
FILE_OPS(proc_timerslack, 0666, .show = timerslack_show);
FILE_OPS(proc_uid_map, 0644, .show = uid_map_show, .store = uid_map_store);
FILE_OPS(proc_gid_map, 0644, .show = gid_map_show, .store = gid_map_store);
FILE_OPS(proc_setgroups, 0644, .show = setgroups_show, .store = setgroups_store);
