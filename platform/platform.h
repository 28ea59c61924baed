/* SPDX-License-Identifier: Apache-2.0
 * platform/platform.h: the contract between the sentry and what runs guest code.
 *
 * An address space holds guest memory; a context is one guest thread in it. The sentry decides what lies
 * where (sentry/mm); the platform carries it out and runs instructions until something happens. A platform
 * knows nothing of tasks, files or signals of the guest. Everything that comes back from a guest or a stub is
 * hostile and is checked below this line, except register and memory CONTENTS, which are the guest's own
 * business.
 *
 * Objects: struct platform (one per sandbox), struct address_space (refcounted by its creator's mm, contexts
 * hold a reference), struct context (owned by one task). All are the platform's own memory (malloc), never in
 * the sentry's heap: the sentry keeps them behind hostrefs.
 *
 * Threads and locks: every function may be called from any sentry thread unless it says "own thread".
 * Functions marked "may block" may wait for a stub and are called with no lock above RANK_NOBLOCK. RANK_AS is
 * taken inside. All return 0 or a negative errno unless they say otherwise. After a stub has died (killed by
 * the host's OOM killer, or ended by hostile guest code) every operation on its address space gives -ESRCH
 * and every switch gives EVENT_DEAD: never a hang.
 */
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/err.h"

struct platform;
struct address_space;
struct context;

/* General registers, as in the host's struct user_regs_struct (ptrace(2)); the platform copies them whole. */
struct guest_regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t orig_rax; /* the call's number after EVENT_SYSCALL; otherwise ~0 */
    uint64_t rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

enum event_kind {
    EVENT_SYSCALL, /* `syscall` executed: regs.orig_rax is the number, rip is behind the instruction, rcx and
                      r11 as Linux */
    EVENT_FAULT, /* signo, code, address, trap and error say which; rip is at the faulting instruction (after
                    int3/icebp: behind) */
    EVENT_INTERRUPT, /* context_interrupt() was called, maybe before the switch; nothing else happened */
    EVENT_STEP,      /* single step done (switch was asked to step) */
    EVENT_DEAD,      /* the stub is gone; oom tells whether the host's OOM killer is the likely cause */
};

struct platform_event {
    enum event_kind kind;
    int signo;        /* EVENT_FAULT: LINUX_SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP */
    int code;         /* si_code as the host gave it */
    gva_t address;    /* si_addr */
    uint32_t trap;    /* x86 vector, if known */
    uint32_t error;   /* x86 page fault error code, if known */
    bool compat_call; /* EVENT_SYSCALL by int 0x80 or from 32-bit code: the sentry refuses it */
    bool vsyscall;    /* EVENT_SYSCALL made at a vsyscall page entry: rip already is the return address */
    bool oom;
};

/* ---- address spaces ---- */

enum as_op_kind {
    AS_MAP_ANON, /* private anonymous memory at exactly [addr, addr+len), replacing what is there; flags:
                    AS_NORESERVE, AS_GROWSDOWN ignored */
    AS_MAP_FILE, /* `fd` (the sentry's own descriptor) from `offset`, private or AS_SHARED, replacing what is
                    there */
    AS_UNMAP,
    AS_PROTECT,
    AS_REMAP,  /* moves [addr, addr+old_len) to new_addr with size len, replacing what is there; AS_DONTUNMAP
                */
    AS_ADVISE, /* `advice`: a MADV_* that the stub's filter allows: DONTNEED, FREE, WILLNEED, HUGEPAGE,
                  NOHUGEPAGE, POPULATE_*, COLD, PAGEOUT, DONTFORK, DOFORK, WIPEONFORK, KEEPONFORK, DONTDUMP...
                */
    AS_LOCK,   /* mlock the range if flags has AS_LOCKED, munlock it otherwise */
};
enum { AS_SHARED = 1, AS_NORESERVE = 2, AS_DONTUNMAP = 4, AS_POPULATE = 8, AS_LOCKED = 16 };

struct as_op {
    enum as_op_kind kind;
    uint32_t flags; /* AS_* */
    gva_t addr;     /* page aligned */
    uint64_t len;   /* bytes, page aligned, > 0 */
    int prot;       /* PROT_READ|WRITE|EXEC */
    int fd; /* AS_MAP_FILE; borrowed until as_apply() returns. Read-only mappings that the guest must never be
               able to write (MAP_SHARED without write permission) must come with a descriptor opened
               O_RDONLY: the platform does not check */
    uint64_t offset;
    uint64_t old_len; /* AS_REMAP */
    gva_t new_addr;   /* AS_REMAP */
    int advice;       /* AS_ADVISE */
};

enum as_atomic_op { ATOMIC_XCHG, ATOMIC_CMPXCHG, ATOMIC_ADD, ATOMIC_OR, ATOMIC_AND, ATOMIC_XOR };

enum as_page {
    PAGE_IS_PRESENT = 1,
    PAGE_IS_SWAPPED = 2,
    PAGE_IS_SHARED = 4 /* of a file or of shared memory */
};

struct as_usage {
    uint64_t rss_bytes;  /* resident, all kinds; 0 where the host cannot tell */
    uint64_t anon_bytes; /* of these what is no page of a file */
    uint64_t page_table_bytes;
};

/* Where things lie that the guest's layout must respect; constant for a platform once created. */
struct platform_limits {
    gva_t min_address; /* lowest that may be mapped (>= 0x10000; above any patch table) */
    gva_t max_address; /* one past the highest that may be mapped; TASK_SIZE as the guest sees it */
    /* The host's vDSO, mapped in every stub at the same address and kept out of the guest's areas: our vDSO
     * calls it. 0: not there. */
    gva_t host_clock_gettime, host_gettimeofday, host_time, host_getcpu;
    gva_t host_vdso_start, host_vdso_end; /* all of it */
    bool per_context_stub;                /* reserved for kvm: false */
};

/* Results of calls that only the thread itself, or its exec, can change. */
struct platform_answers {
    uint32_t pid, tid, uid, euid, gid, egid;
};

struct platform_ops {
    const char *name;

    /* Does: makes an empty address space (nothing mapped below max_address).
       May block. Returns: new reference in *ret_as; -EAGAIN when the host's process limit is reached,
       -ENOMEM. Required. */
    int (*as_create)(struct platform *p, struct address_space **ret_as);

    /* Does: a copy of `as` with private memory copied on write and shared memory shared, as fork(2) does;
       areas under DONTFORK and WIPEONFORK as the host does. Contexts are not copied. Other contexts of `as`
       may be running. May block. Returns: new reference; -EAGAIN, -ENOMEM, -ESRCH. Required. */
    int (*as_fork)(struct address_space *as, struct address_space **ret_as);

    /* Does: carries out ops[0..count) in order and stops at the first failure. All ranges lie in
       [min_address, max_address): the caller checked. Memory given up is unmapped in every context when this
       returns, by a report that no guest can forge. May block. Returns: 0, or the host's error of
       ops[*ret_done]; *ret_done (optional) = operations done. Required. */
    int (*as_apply)(struct address_space *as, const struct as_op *ops, size_t count, size_t *ret_done);

    /* Does: copies between a sentry buffer and guest memory, once, with the guest's own protections honoured.
       May block. Returns: bytes copied (short at the first page that faults), -EFAULT if none, -ESRCH.
       Required. */
    ssize_t (*as_copy_in)(struct address_space *as, void *to, gva_t from, size_t size);
    ssize_t (*as_copy_out)(struct address_space *as, gva_t to, const void *from, size_t size);
    /* The same in one go between one range of guest memory and the `count` pieces of the sentry's that it is
     * put together from. Optional, both or none: then piece by piece. */
    ssize_t (*as_gather)(struct address_space *as, const struct iovec *to, size_t count, gva_t from);
    ssize_t (*as_scatter)(struct address_space *as, gva_t to, const struct iovec *from, size_t count);
    /* As copy, but ignoring protections (ptrace POKE, /proc/PID/mem): breaks copy-on-write of read-only
     * private pages. */
    ssize_t (*as_peek)(struct address_space *as, void *to, gva_t from, size_t size);
    ssize_t (*as_poke)(struct address_space *as, gva_t to, const void *from, size_t size);

    /* Returns: 0 and *ret, -ESRCH. */
    int (*as_usage)(struct address_space *as, struct as_usage *ret);
    /* Does: as anon_bytes, but of what n address spaces share only a n-th; slower. May block. Returns: 0,
     * -ESRCH, -ENOENT (the host does not tell). Optional. */
    int (*as_share)(struct address_space *as, uint64_t *ret_bytes);
    /* Does: tells for each page of [addr, addr + count * PAGE_SIZE) what the address space's own page tables
       hold: enum as_page. May block. Returns 0, -ESRCH, -ENOENT (the host does not tell). Optional. */
    int (*as_pages)(struct address_space *as, gva_t addr, size_t count, uint8_t *ret);
    /* Text of the host's /proc/PID/maps of the stub for ranges the host alone knows (DESIGN 5, private
     * ranges); optional: NULL. */

    /* Kills the stub at once: all its contexts get EVENT_DEAD. For group exit, exec and destruction of a
     * container. */
    void (*as_kill)(struct address_space *as);
    void (*as_unref)(
        struct address_space *as); /* takes NULL; the last one kills and reaps the stub. May block. */

    /* ---- contexts ---- */

    /* Does: makes a stopped guest thread in `as`. OWN THREAD: the calling host thread is the only one that
       may later call switch, get_fpu, set_fpu, atomic and destroy for it. With `like` (a context whose thread
       is stopped in the sentry) nothing is taken from it but the platform's own hints. May block. Returns
       -EAGAIN when the host has no more threads. FPU state starts as at execve. */
    int (*context_create)(struct address_space *as, struct context **ret_context);
    /* Own thread. The guest thread ends; takes NULL. May block. */
    void (*context_destroy)(struct context *c);

    /* Does: loads *regs, runs guest code until an event, stores *regs. `step`: stop after one instruction
       (EVENT_STEP); a stepped `syscall` gives EVENT_SYSCALL alone: its step is complete then, and the sentry
       reports it after the call. Segment registers and rflags are sanitized here: a guest cannot gain by any
       value. fs_base and gs_base are canonical (caller checked). OWN THREAD. May block (of course), holding
       nothing. Never fails: trouble is EVENT_DEAD. */
    void (*context_switch)(struct context *c, struct guest_regs *regs, bool step,
                           struct platform_event *ret_event);

    /* Does: cpu time that the context's guest thread has used since it was made on the host (it may have been
       another context's before), as the host counts it: for a running one up to a tick late. Any thread, any
       lock; costs some microseconds. The caller guarantees that `c` is not destroyed meanwhile. Returns 0 and
       *ret_ns, -ESRCH, -ENOENT (the host does not tell). Optional. */
    int (*context_cpu_time)(struct context *c, int64_t *ret_ns);

    /* Does: makes a running or coming context_switch() return, with EVENT_INTERRUPT if nothing else happened
       first. Any thread; no lock needed; idempotent until the switch returns; may be called between switches
       (then the next switch returns at once). Does not block. The caller guarantees that `c` is not destroyed
       meanwhile (task lock). */
    void (*context_interrupt)(struct context *c);

    /* Own thread, between switches. XSAVE standard format, as in a signal frame: legacy area, xstate header,
       extended components. get: returns bytes stored (<= size) or -errno. set: the host validates the header;
       -EINVAL on garbage, state unchanged. */
    ssize_t (*context_get_fpu)(struct context *c, void *buffer, size_t size);
    int (*context_set_fpu)(struct context *c, const void *buffer, size_t size);
    int (*context_reset_fpu)(struct context *c); /* as at execve */

    /* Does: one atomic read-modify-write of an aligned 32-bit guest word, by the guest thread itself, with
       the guest's protections. CMPXCHG stores `operand` if the word equals `expected`. Own thread. May block.
       Returns 0 and the old value; -EFAULT; -ESRCH. */
    int (*context_atomic32)(struct context *c, enum as_atomic_op op, gva_t address, uint32_t operand,
                            uint32_t expected, uint32_t *ret_old);

    /* Own thread; the guest thread joins the cpu that the calling thread is on, if the platform pins pairs.
     * Called on migration. Optional. */
    void (*context_follow_cpu)(struct context *c);

    /* Own thread, between a switch that gave EVENT_SYSCALL and the next one: copies that cost no host call,
       as the guest thread has brought the bytes along (take), or will put them in place itself before it runs
       guest code (give). The caller has checked that the range is below max_address.
       take: what lies at `from`, or lay there when the call was made. give: nobody sees it before
       settle or the next switch; a range that turns out not to be writable then gives the guest -EFAULT.
       Both return bytes, from the start; give all or nothing. 0: use as_copy_*. Optional: all or none. */
    size_t (*context_take)(struct context *c, void *to, gva_t from, size_t size);
    size_t (*context_give)(struct context *c, gva_t to, const void *from, size_t size);
    /* Own thread: puts in place what was given, and forgets what was brought: before the task waits, gets a
       signal, or anybody else may look at its memory. `waits`: it is about to sleep. May block. */
    void (*context_settle)(struct context *c, bool waits);

    /* Own thread, between switches, settled: the task is about to sleep until *word is not 0. Does: looks at
       it for a moment (tens of us), if a cpu would idle otherwise and that has paid for this task. Returns:
       it is not 0. Optional. */
    bool (*context_await)(struct context *c, const _Atomic uint32_t *word);

    /* Own thread, between switches: what the guest thread may answer by itself from now on, without an event:
       getpid, gettid and the get*id family. NULL: nothing; so it starts. All that sees or judges calls (a
       tracer, a seccomp filter of the guest's, a log of calls) wants it NULL. Optional. */
    void (*context_answers)(struct context *c, const struct platform_answers *answers);

    /* Ends every stub and helper and frees the platform. All address spaces are gone or given up. */
    void (*destroy)(struct platform *p);
};

/* Common head of each platform's own struct platform_x, address_space and context: ops are reached through
 * the platform. */
struct platform {
    const struct platform_ops *ops;
    struct platform_limits limits;
    size_t fpu_size; /* bytes of the XSAVE standard format with all features that guests may use (cpuid leaf
                        0xd) */
};

struct platform_config {
    const char *cgroup_note; /* for error texts only */
    int proc_fd; /* directory descriptor of a procfs of this pid namespace (DESIGN 2), borrowed for the
                    platform's life; -1: none */
    int kvm_fd;  /* what platform_kvm_open() gave, borrowed until the platform is made; 0: open it now */
    bool no_privilege; /* --zero-privilege: ptrace and process_vm_* may be denied */
    bool no_patches;   /* systrap: never patch a guest's call sites */
    int pin_cpus;      /* 0: pin a stub thread to its sentry thread's cpu (default); -1: never pin (tests) */
};

/* Each platform's constructor runs before the seccomp list goes up, and after everything that wants a
   single-threaded process (unshare, dropping capabilities, no_new_privs): it forks the zygote and starts a
   thread that lives as long as the platform. So the list is installed with TSYNC. *err is set on failure. */
int platform_ptrace_create(const struct platform_config *config, struct platform **ret, struct err **err);
int platform_systrap_create(const struct platform_config *config, struct platform **ret, struct err **err);
int platform_kvm_create(const struct platform_config *config, struct platform **ret, struct err **err);

/* "ptrace", "systrap", "kvm", "auto"; -ENOENT for an unknown or unbuilt name. */
int platform_create(const char *name, const struct platform_config *config, struct platform **ret,
                    struct err **err);

/* Host calls that the sandbox process makes on behalf of the platform, with any arguments, beside those of
   boot/filter.c's own list. Ends with -1. */
const int *platform_host_calls(const char *name);
/* ioctl requests likewise, ending with 0; NULL: none. */
const unsigned long *platform_host_ioctls(const char *name);

/* /dev/kvm, for platform_config.kvm_fd: a process opens it while it still may. Descriptor or -errno. */
int platform_kvm_open(void);
