/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/core_dump.c: writing core files: the other threads are brought to a halt, the file or the
 * guest program that the pattern names is opened, and an ELF file with the process's notes and memory is
 * written. Source: core(5), getrlimit(2) (RLIMIT_CORE), prctl(2) (PR_SET_DUMPABLE), proc(5)
 * (coredump_filter).
 */
#include "sentry/kernel/core_dump.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/mman.h"
#include "base/abi/linux/stat.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "sentry/heap/heap.h"
#include "sentry/heap/text.h"
#include "sentry/kernel/core_pattern.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/restart.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/pipe.h"
#include "sentry/vfs/vfs.h"

enum { CORE_FLAG = 0x80, MIN_CORE = 4096, CHUNK = 65536, MAX_SEGMENTS = 65530 };

struct core_dump {
    struct ref ref;      /* the dumper and each thread that waits */
    struct task *dumper; /* borrowed: it waits for all of them */
    unsigned running;    /* signal_lock: threads that have not come to a halt */
    bool done;           /* signal_lock */
    _Atomic bool aborted;
    struct waitq queue;
};
DECLARE_REF(core_dump);
HEAP_TYPE(core_dump, struct core_dump, 0);

static void core_dump_destroy(struct core_dump *d) {
    heap_free(d);
}
DEFINE_REF(core_dump, core_dump_destroy);

/* ---- bringing all threads to a halt ---- */

/* From here on the process is on its way out. False: it already was. */
static bool begin(struct task *t, struct core_dump *d, int signo) {
    struct thread_group *g = t->group;
    struct task *other;

    mutex_lock(&g->signal_lock);
    bool first = !g->exiting && !g->exec_task;
    if (first) {
        g->exiting = true;
        g->exit_status = status_killed(signo);
        g->stop_signal = 0;
        g->dump = d;
        atomic_fetch_and(&t->pending_work,
                         ~(uint32_t)(TASK_WORK_SIGNAL | TASK_WORK_STOP)); /* nothing interrupts it */
        list_for_each_entry(other, &g->tasks, group_node) {
            if (other == t || other->exiting)
                continue;
            d->running++;
            task_interrupt(other, TASK_WORK_EXIT);
        }
    }
    mutex_unlock(&g->signal_lock);
    return first;
}

static void await_halt(struct task *t, struct core_dump *d) {
    struct waiter w;

    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&d->queue, &w);
    for (;;) {
        mutex_lock(&t->group->signal_lock);
        unsigned running = d->running;
        mutex_unlock(&t->group->signal_lock);
        if (running == 0)
            break;
        task_block_uninterruptible(t);
    }
    waitq_remove(&w);
}

void core_dump_await(struct task *t) {
    struct thread_group *g = t->group;
    struct waiter w;

    mutex_lock(&g->signal_lock);
    struct core_dump *d = g->dump;
    d = d && d->dumper != t ? core_dump_ref(d) : NULL;
    mutex_unlock(&g->signal_lock);
    if (!d)
        return;
    ptrace_save_fpu(t);
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&d->queue, &w);
    mutex_lock(&g->signal_lock);
    d->running--;
    t->dump_halted = true;
    mutex_unlock(&g->signal_lock);
    waitq_wake(&d->queue, WAIT_ANY);
    for (;;) {
        mutex_lock(&g->signal_lock);
        bool done = d->done;
        mutex_unlock(&g->signal_lock);
        if (done)
            break;
        task_block_uninterruptible(t);
    }
    waitq_remove(&w);
    core_dump_unref(d);
}

void core_dump_leaving_locked(struct task *t) {
    struct core_dump *d = t->group->dump;

    if (!d || d->dumper == t || t->dump_halted)
        return;
    d->running--;
    waitq_wake(&d->queue, WAIT_ANY);
}

void core_dump_abort_locked(struct thread_group *g) {
    struct core_dump *d = g->dump;

    atomic_store(&d->aborted, true);
    task_interrupt(d->dumper, TASK_WORK_EXIT);
}

static void finish(struct task *t, struct core_dump *d, bool dumped) {
    struct thread_group *g = t->group;

    mutex_lock(&g->signal_lock);
    if (dumped)
        g->exit_status |= CORE_FLAG;
    d->done = true;
    g->dump = NULL;
    mutex_unlock(&g->signal_lock);
    waitq_wake(&d->queue, WAIT_ANY);
    task_interrupt(t, TASK_WORK_EXIT);
}

/* ---- where it goes ---- */

struct output {
    struct task *task;
    const struct core_dump *dump;
    struct file *file; /* reference */
    bool is_pipe;
    uint64_t at, limit;
};

/* False: enough. */
static bool put(struct output *o, const void *data, size_t size) {
    struct uio_segment one;
    struct uio u;

    if (size > o->limit || o->at > o->limit - size)
        return false;
    uio_init_kernel(&u, &one, (void *)(uintptr_t)data, size);
    while (u.remaining > 0) {
        ssize_t n =
            o->is_pipe ? file_write(o->task, o->file, &u, 0) : file_pwrite(o->task, o->file, &u, o->at, 0);
        if (atomic_load(&o->dump->aborted) || n == 0)
            return false;
        if (n == -ERESTARTSYS && (atomic_load(&o->task->pending_work) & TASK_WORK_PAUSE))
            task_park(o->task);
        else if (n < 0)
            return false;
        else
            o->at += (uint64_t)n;
    }
    return true;
}

/* Zeros: a hole where there can be one. */
static bool skip(struct output *o, size_t size) {
    static const char zeros[PAGE_SIZE];

    if (!o->is_pipe) {
        o->at += size;
        return o->at <= o->limit;
    }
    for (; size > 0; size -= MIN(size, sizeof zeros))
        if (!put(o, zeros, MIN(size, sizeof zeros)))
            return false;
    return true;
}

static int open_file(struct task *t, const char *name, struct file **ret) {
    const struct open_request request = {.dirfd = LINUX_AT_FDCWD,
                                         .flags = LINUX_O_WRONLY | LINUX_O_CREAT | LINUX_O_EXCL |
                                                  LINUX_O_NOFOLLOW | LINUX_O_LARGEFILE,
                                         .mode = 0600};
    struct vfs_view v;

    vfs_view_of(t, &v);
    (void)!vfs_unlink(&v, LINUX_AT_FDCWD, name);
    int r = vfs_open(&v, name, &request, ret);
    vfs_view_done(&v);
    if (r < 0)
        return r;
    struct kstat st;
    r = vfs_getattr(&(*ret)->path, &st);
    if (r == 0 && (st.mode & LINUX_S_IFMT) != LINUX_S_IFREG)
        r = -EINVAL;
    if (r < 0)
        *ret = file_unref(*ret);
    return r;
}

/* The guest program that takes the file from its standard input: a process of the container, as root. */
static int start_program(struct task *t, char **argv, struct file **ret) {
    struct file *files[1] = {NULL};
    struct task *program = NULL;
    struct err *err = NULL;

    int r = pipe_create(t, 0, &files[0], ret);
    if (r < 0)
        return r;
    struct process_spec spec = {.argv = argv,
                                .cwd = "/",
                                .creds = creds_new_root(t->kernel->root_user_ns),
                                .umask = -1,
                                .files = files,
                                .file_count = 1,
                                .internal = true};
    r = spec.creds ? container_create_process(t->container, &spec, /* is_init= */ false, &program, &err)
                   : -ENOMEM;
    if (r == 0)
        r = container_start_process(program);
    task_unref(program);
    err_free(err);
    if (r < 0)
        *ret = file_unref(*ret);
    return r;
}

static int open_output(struct task *t, const struct linux_siginfo *info, struct output *o) {
    struct core_target target;
    int r = core_pattern_expand(t, info, &target);

    if (r < 0)
        return r;
    o->is_pipe = target.argv != NULL;
    o->limit = task_limit(t, LINUX_RLIMIT_CORE);
    if (o->is_pipe && o->limit == 1)
        r = -EFBIG; /* its own program has crashed: core(5) */
    else if (!o->is_pipe && (o->limit < MIN_CORE || target.name[0] == '\0'))
        r = -EFBIG;
    if (o->is_pipe)
        o->limit = UINT64_MAX;
    if (r == 0)
        r = o->is_pipe ? start_program(t, target.argv, &o->file) : open_file(t, target.name, &o->file);
    core_target_done(&target);
    return r;
}

/* ---- memory ---- */

enum { ANON_PRIVATE = 1, ANON_SHARED = 2, FILE_PRIVATE = 4, FILE_SHARED = 8, ELF_HEADERS = 16 };

struct segment {
    gva_t start, end;
    uint64_t dumped; /* bytes of it that are in the file */
    uint32_t prot;
    bool anonymous; /* private: pages that were never touched are zeros */
};

struct segments {
    struct task *task;
    struct segment *list; /* malloc'd */
    size_t count, capacity;
};

/* A private mapping of a file has pages of its own once it was written. */
static bool was_written(struct mm *mm, const struct vma *v) {
    const struct platform_ops *ops = kernel_platform(mm->kernel)->ops;
    uint8_t pages[64];

    if (v->prot & LINUX_PROT_WRITE)
        return true;
    for (gva_t at = v->start; ops->as_pages && at < v->end; at += sizeof pages * PAGE_SIZE) {
        size_t count = MIN((v->end - at) / PAGE_SIZE, sizeof pages);
        if (ops->as_pages(mm_as(mm), at, count, pages) < 0)
            return false;
        for (size_t i = 0; i < count; i++)
            if ((pages[i] & (PAGE_IS_PRESENT | PAGE_IS_SWAPPED)) && !(pages[i] & PAGE_IS_SHARED))
                return true;
    }
    return false;
}

static bool is_elf(struct mm *mm, gva_t at) {
    char magic[SELFMAG];

    return mm_read(mm, magic, at, sizeof magic, /* force= */ true) == sizeof magic &&
           memcmp(magic, ELFMAG, SELFMAG) == 0;
}

/* core(5), "Controlling which mappings are written to the core dump". */
static uint64_t bytes_to_dump(struct mm *mm, const struct vma *v) {
    uint32_t filter = mm->dump_filter;
    uint64_t all = v->end - v->start;

    if (v->flags & VMA_SPECIAL)
        return v->name && strcmp(v->name, "[vdso]") == 0 ? all : 0;
    if (v->flags & VMA_DONTDUMP)
        return 0;
    if (v->flags & VMA_SHARED)
        return filter & (v->file ? FILE_SHARED : ANON_SHARED) ? all : 0;
    if (!v->file)
        return filter & ANON_PRIVATE ? all : 0;
    if ((filter & FILE_PRIVATE) || ((filter & ANON_PRIVATE) && was_written(mm, v)))
        return all;
    return (filter & ELF_HEADERS) && v->offset == 0 && (v->prot & LINUX_PROT_READ) ? PAGE_SIZE : 0;
}

static void add_segment(const struct vma *v, void *arg) {
    struct segments *s = arg;

    if (s->count == s->capacity) {
        size_t capacity = MAX(s->capacity * 2, (size_t)64);
        struct segment *more = s->count < MAX_SEGMENTS ? realloc(s->list, capacity * sizeof *more) : NULL;
        if (!more)
            return;
        s->list = more;
        s->capacity = capacity;
    }
    s->list[s->count++] = (struct segment){v->start, v->end, bytes_to_dump(v->mm, v), v->prot,
                                           !v->file && !(v->flags & (VMA_SHARED | VMA_SPECIAL))};
}

/* How many bytes from `at` on are pages that were never touched; up to `size`. Reading them would only make
 * page tables for them, and a sparse address space may be huge. */
static uint64_t untouched(struct mm *mm, gva_t at, uint64_t size) {
    const struct platform_ops *ops = kernel_platform(mm->kernel)->ops;
    uint8_t pages[512];
    uint64_t found = 0;

    while (ops->as_pages && found < size) {
        size_t count = MIN((size - found) / PAGE_SIZE, sizeof pages), i = 0;
        if (ops->as_pages(mm_as(mm), at + found, count, pages) < 0)
            return found;
        while (i < count && !(pages[i] & (PAGE_IS_PRESENT | PAGE_IS_SWAPPED)))
            i++;
        found += i * PAGE_SIZE;
        if (i < count)
            break;
    }
    return found;
}

static bool write_segment(struct output *o, struct mm *mm, const struct segment *s, char *buffer) {
    for (uint64_t done = 0; done < s->dumped;) {
        uint64_t absent = s->anonymous ? untouched(mm, s->start + done, s->dumped - done) : 0;
        if (absent > 0) {
            if (atomic_load(&o->dump->aborted) || !skip(o, absent))
                return false;
            done += absent;
            continue;
        }
        size_t want = MIN(s->dumped - done, (uint64_t)CHUNK);
        ssize_t n = mm_read(mm, buffer, s->start + done, want, /* force= */ true);
        if (n > 0 && !put(o, buffer, (size_t)n))
            return false;
        done += n > 0 ? (uint64_t)n : 0;
        if (n == (ssize_t)want)
            continue;
        size_t hole = MIN(s->dumped - done, PAGE_SIZE - done % PAGE_SIZE); /* not to be read: zeros */
        if (!skip(o, hole))
            return false;
        done += hole;
    }
    return true;
}

/* ---- the file ---- */

static void append_headers(const struct segments *s, size_t notes, struct text *out) {
    size_t start = sizeof(Elf64_Ehdr) + (s->count + 1) * sizeof(Elf64_Phdr);
    uint64_t at = (start + notes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
    Elf64_Ehdr e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                    .e_type = ET_CORE,
                    .e_machine = EM_X86_64,
                    .e_version = EV_CURRENT,
                    .e_phoff = sizeof e,
                    .e_ehsize = sizeof e,
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = (uint16_t)(s->count + 1)};
    Elf64_Phdr p = {.p_type = PT_NOTE, .p_offset = start, .p_filesz = notes};

    text_append(out, (const char *)&e, sizeof e);
    text_append(out, (const char *)&p, sizeof p);
    for (size_t i = 0; i < s->count; i++) {
        const struct segment *g = &s->list[i];
        p = (Elf64_Phdr){.p_type = PT_LOAD,
                         .p_offset = at,
                         .p_vaddr = g->start,
                         .p_filesz = g->dumped,
                         .p_memsz = g->end - g->start,
                         .p_flags = (g->prot & LINUX_PROT_READ ? PF_R : 0u) |
                                    (g->prot & LINUX_PROT_WRITE ? PF_W : 0u) |
                                    (g->prot & LINUX_PROT_EXEC ? PF_X : 0u),
                         .p_align = PAGE_SIZE};
        text_append(out, (const char *)&p, sizeof p);
        at += g->dumped;
    }
}

static bool write_memory(struct output *o, const struct segments *s) {
    struct mm *mm = s->task->mm;
    cleanup(freep) char *buffer = malloc(CHUNK);
    bool all = buffer && skip(o, (size_t)(-o->at & (PAGE_SIZE - 1)));

    for (size_t i = 0; all && i < s->count; i++) {
        struct segment one = s->list[i];
        /* libraries' first pages only if they are ELF headers; else the bytes are zeros */
        if (one.dumped == PAGE_SIZE && one.end - one.start > PAGE_SIZE && !is_elf(mm, one.start))
            all = skip(o, PAGE_SIZE);
        else
            all = write_segment(o, mm, &one, buffer);
    }
    if (all && !o->is_pipe) /* the end may be a hole */
        all = vfs_truncate(&o->file->path, o->at, /* opened= */ true, s->task->creds) == 0;
    return all;
}

/* False: not even begun. */
static bool write_core(struct task *t, const struct linux_siginfo *info, struct output *o) {
    struct segments s = {.task = t};
    struct text notes = {0}, headers = {0};

    core_notes_append(t, info, &notes);
    mm_for_each_vma(t->mm, add_segment, &s);
    append_headers(&s, notes.len, &headers);
    bool begun = !notes.failed && !headers.failed && put(o, headers.data, headers.len) &&
                 put(o, notes.data, notes.len);
    if (begun && !write_memory(o, &s))
        log_info(LOG_KERNEL, "pid %d: its core file is cut off at %lu bytes", task_tgid(t),
                 (unsigned long)o->at);
    free(s.list);
    text_done(&notes);
    text_done(&headers);
    return begun;
}

static bool dump(struct task *t, const struct linux_siginfo *info, const struct core_dump *d) {
    struct output o = {.task = t, .dump = d};

    if (!t->mm || t->mm->dumpable != 1)
        return false;
    int r = open_output(t, info, &o);
    if (r < 0) {
        log_debug(LOG_KERNEL, "pid %d: no core file: errno %d", task_tgid(t), -r);
        return false;
    }
    bool begun = write_core(t, info, &o);
    file_unref(o.file);
    return begun;
}

void core_dump_and_exit(struct task *t, const struct linux_siginfo *info) {
    struct core_dump *d = SIGBIT(info->signo) & SIG_CORE ? heap_new(core_dump) : NULL;

    might_block();
    if (!d) {
        thread_group_exit(t->group, status_killed(info->signo));
        return;
    }
    core_dump_ref_init(d);
    d->dumper = t;
    waitq_init(&d->queue);
    if (begin(t, d, info->signo)) {
        await_halt(t, d);
        ptrace_save_fpu(t);
        finish(t, d, dump(t, info, d));
    }
    core_dump_unref(d);
}
