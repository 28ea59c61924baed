/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/core_notes.c: the PT_NOTE segment of a core file: per thread PRSTATUS, FPREGSET and XSTATE;
 * once PRPSINFO, SIGINFO, AUXV and FILE. Source: core(5); <sys/procfs.h>; what gdb reads (docs/kernel.md).
 */
#include <elf.h>
#include <string.h>

#include "base/abi/linux/elfcore.h"
#include "base/abi/linux/ucontext.h"
#include "base/clock.h"
#include "sentry/heap/heap.h"
#include "sentry/heap/text.h"
#include "sentry/kernel/core_dump.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/vfs.h"

static void append_note(struct text *out, const char *name, uint32_t type, const void *data, size_t size) {
    static const char zeros[4];
    uint32_t head[3] = {(uint32_t)strlen(name) + 1, (uint32_t)size, type};

    text_append(out, (const char *)head, sizeof head);
    text_append(out, name, head[0]);
    text_append(out, zeros, -head[0] & 3);
    text_append(out, data, size);
    text_append(out, zeros, -size & 3);
}

static void set_time(int64_t ret[2], int64_t ns) {
    ret[0] = ns / NSEC_PER_SEC;
    ret[1] = ns % NSEC_PER_SEC / 1000;
}

static void append_status(struct task *t, struct task *thread, const struct linux_siginfo *info,
                          struct text *out) {
    struct pid_ns *ns = task_pid_ns(t);
    struct cpu_times cpu = task_cpu_times(thread);
    struct linux_prstatus s = {.pid = task_tid_in(thread, ns),
                               .ppid = task_ppid_in(t, ns),
                               .pgrp = task_pgrp_in(t, ns),
                               .sid = task_session_in(t, ns),
                               .held = thread->blocked,
                               .pending = thread->pending.set,
                               .cursig = (int16_t)info->signo,
                               .signo = info->signo,
                               .fpvalid = thread->trace.fpu != NULL};

    if (thread == t) {
        s.code = info->code;
        s.errnum = info->errnum;
    }
    set_time(s.utime, cpu.user_ns);
    set_time(s.stime, cpu.system_ns);
    ptrace_get_regs(&thread->regs, &s.reg);
    append_note(out, "CORE", LINUX_NT_PRSTATUS, &s, sizeof s);
}

static void append_fpu(struct task *thread, struct text *out) {
    size_t size = kernel_platform(thread->kernel)->fpu_size;

    if (!thread->trace.fpu)
        return;
    append_note(out, "CORE", LINUX_NT_PRFPREG, thread->trace.fpu, sizeof(struct linux_fxsave));
    ptrace_fix_xsave(thread->trace.fpu, size);
    append_note(out, "LINUX", LINUX_NT_X86_XSTATE, thread->trace.fpu, size);
}

static void append_psinfo(struct task *t, struct text *out) {
    struct pid_ns *ns = task_pid_ns(t);
    struct linux_prpsinfo s = {.sname = 'R',
                               .nice = (char)t->nice,
                               .uid = from_kuid(t->creds->user_ns, t->creds->uid),
                               .gid = from_kgid(t->creds->user_ns, t->creds->gid),
                               .pid = task_tgid_in(t, ns),
                               .ppid = task_ppid_in(t, ns),
                               .pgrp = task_pgrp_in(t, ns),
                               .sid = task_session_in(t, ns)};
    size_t want = MIN(t->mm->arg_end - t->mm->arg_start, (uint64_t)sizeof s.psargs - 1);
    ssize_t n = mm_read(t->mm, s.psargs, t->mm->arg_start, want, /* force= */ true);

    for (ssize_t i = 0; i + 1 < n; i++)
        if (!s.psargs[i])
            s.psargs[i] = ' ';
    task_get_name(t, s.fname);
    append_note(out, "CORE", LINUX_NT_PRPSINFO, &s, sizeof s);
}

/* ---- files ---- */

struct file_note {
    struct text ranges, names; /* pairs of triples and NUL-ended names */
    uint64_t count;
    struct path root;
};

static void add_file(const struct vma *v, void *arg) {
    struct file_note *n = arg;
    uint64_t triple[3] = {v->start, v->end, v->offset / PAGE_SIZE};
    char *name = NULL;

    if (!v->file || path_text(&v->file->path, &n->root, &name) < 0)
        return;
    text_append(&n->ranges, (const char *)triple, sizeof triple);
    text_append(&n->names, name, strlen(name) + 1);
    heap_free(name);
    n->count++;
}

static void append_files(struct task *t, struct text *out) {
    struct file_note n = {0};
    struct text whole = {0};

    fs_context_get(t->fs, &n.root, /* ret_cwd= */ NULL);
    mm_for_each_vma(t->mm, add_file, &n);
    path_put(&n.root);
    uint64_t head[2] = {n.count, PAGE_SIZE};
    text_append(&whole, (const char *)head, sizeof head);
    text_append(&whole, n.ranges.data, n.ranges.len);
    text_append(&whole, n.names.data, n.names.len);
    if (n.count && !whole.failed && !n.ranges.failed && !n.names.failed)
        append_note(out, "CORE", LINUX_NT_FILE, whole.data, whole.len);
    text_done(&whole);
    text_done(&n.ranges);
    text_done(&n.names);
}

void core_notes_append(struct task *t, const struct linux_siginfo *info, struct text *out) {
    struct task *thread = NULL;
    int tid;

    append_status(t, t, info, out);
    append_psinfo(t, out);
    append_note(out, "CORE", LINUX_NT_SIGINFO, info, sizeof *info);
    append_note(out, "CORE", LINUX_NT_AUXV, t->mm->auxv, t->mm->auxv_words * sizeof t->mm->auxv[0]);
    append_files(t, out);
    append_fpu(t, out);
    for (tid = 0; (thread = task_next_thread(t->group, task_pid_ns(t), tid + 1, &tid)) != NULL;) {
        if (thread != t && !thread->exiting) {
            append_status(t, thread, info, out);
            append_fpu(thread, out);
        }
        task_unref(thread);
    }
}
