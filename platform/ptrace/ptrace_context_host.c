/* SPDX-License-Identifier: Apache-2.0
 * platform/ptrace/ptrace_context_host.c: how guest threads begin and end under ptrace, and how anyone
 * interrupts one.
 *
 * The helper clones a thread, which installs its filter and then sleeps at `park`. The sentry thread that
 * wants it seizes it, interrupts it wherever it is, and if that is before the filter drives it on, call by
 * call, until it stands at its place. Source: ptrace(2).
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "platform/ptrace/ptrace_internal.h"
#include "platform/stub/stub_thread.h"
#include "platform/stub/stub_symbols.h"

bool ptrace_await_stop(struct ptrace_context *c, int *ret_status) {
    int status;
    pid_t pid;
    do
        pid = waitpid(c->tid, &status, __WALL | __WNOTHREAD);
    while (pid < 0 && errno == EINTR);
    if (pid == c->tid && WIFSTOPPED(status)) {
        *ret_status = status;
        return true;
    }
    c->dead = true; /* exited, killed, or (ECHILD) no longer ours */
    c->oom = pid == c->tid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
             !atomic_load(&c->space->killed);
    stub_space_kill(c->space);
    return false;
}

bool ptrace_lost(struct ptrace_context *c, int error) {
    int status;
    if (error != ESRCH)
        return false;
    while (ptrace_await_stop(c, &status)) /* a stop that was on its way; the death follows */
        stub_space_kill(c->space);
    return true;
}

bool ptrace_request(struct ptrace_context *c, int request, void *data) {
    if (ptrace(request, c->tid, NULL, data) >= 0)
        return true;
    if (ptrace_lost(c, errno))
        return false;
    log_error(LOG_PLATFORM, "ptrace request %d on %d: %s", request, (int)c->tid, strerror(errno));
    stub_space_kill(c->space); /* no request that we make is refused unless something is badly wrong */
    return !ptrace_lost(c, ESRCH);
}

/* True once the thread has been in its wait at `park`: behind the call, not at its entry (where rax is the
   host's -ENOSYS), as a call that is skipped from there still goes through the filter, with a number that
   this does not know. */
static bool is_parked(const struct guest_regs *r) {
    return r->rip == SYM_site_park && r->rax != (uint64_t)-ENOSYS;
}

/* From any stop to the thread's stop in or behind its wait at `park`, by which its filter is in force. */
static bool drive_to_park(struct ptrace_context *c) {
    int status;
    struct guest_regs r;
    if (!ptrace_await_stop(c, &status))
        return false;
    for (int i = 0; i < 16; i++) {
        if (!ptrace_request(c, PTRACE_GETREGS, &r))
            return false;
        if (is_parked(&r))
            return true;
        r.rdx = 1; /* at the entry of the wait: another value than the word's, so that it returns at once */
        if (r.rip == SYM_site_park && !ptrace_request(c, PTRACE_SETREGS, &r))
            return false;
        if (!ptrace_request(c, PTRACE_SYSCALL, NULL) || !ptrace_await_stop(c, &status))
            return false;
    }
    log_error(LOG_PLATFORM, "new guest thread %d is lost at %llx", (int)c->tid, (unsigned long long)r.rip);
    stub_space_kill(c->space);
    return !ptrace_lost(c, ESRCH);
}

/* The host may send the thread nothing but its own faults and our kick. */
static bool set_signal_mask(struct ptrace_context *c) {
    static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, STUB_KICK_SIGNAL};
    uint64_t mask = ~0ull;
    for (size_t i = 0; i < ARRAY_SIZE(open); i++)
        mask &= ~(1ull << (open[i] - 1));
    if (ptrace(PTRACE_SETSIGMASK, c->tid, (void *)sizeof(mask), &mask) == 0)
        return true;
    return !ptrace_lost(c, errno);
}

static bool take_over(struct ptrace_context *c) {
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, c->tid, NULL, options)) {
        log_error(LOG_PLATFORM, "PTRACE_SEIZE of %d: %s", (int)c->tid, strerror(errno));
        return false;
    }
    return ptrace_request(c, PTRACE_INTERRUPT, NULL) && drive_to_park(c) && set_signal_mask(c);
}

enum { THREAD_COMMAND = DO_CHECK | DO_KEEP | DO_THREAD };
static const struct stub_call g_thread_call = {SYS_clone, {STUB_THREAD_FLAGS}};

int ptrace_add_first_thread(struct stub_space *parent, struct stub_space *child) NO_TSA {
    (void)parent;
    stub_batch_add(child, THREAD_COMMAND, 0, g_thread_call);
    return 0;
}

int ptrace_context_create(struct address_space *as, struct context **ret_context) {
    struct stub_space *s = stub_space_of(as);
    might_block();
    struct ptrace_context *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    int64_t tid = stub_space_first_thread(s);
    if (tid == 0)
        tid = stub_space_run(s, THREAD_COMMAND, 0, g_thread_call);
    if (tid <= 0) {
        free(c);
        return tid == 0 ? -EAGAIN : (int)tid;
    }
    c->tid = (pid_t)tid;
    c->space = stub_space_ref(s);
    if (!take_over(c)) {
        stub_space_kill(s); /* a thread that nobody steers must not stay */
        stub_space_unref(s);
        free(c);
        return -ESRCH;
    }
    stub_pair_init(&c->pair, &s->platform->cpus, c->tid);
    *ret_context = (struct context *)c;
    return 0;
}

/* Lets the thread make its one host call, exit, which is no reason to end its stub. */
static void end_thread(struct ptrace_context *c) {
    struct guest_regs r = {.orig_rax = ~0ull, .rip = SYM_stub_exit, .rflags = 0x202};
    ptrace_sanitize(&r);
    if (!ptrace_request(c, PTRACE_SETREGS, &r))
        return;
    for (;;) {
        int status;
        if (!ptrace_request(c, PTRACE_CONT, NULL))
            return;
        pid_t pid;
        do
            pid = waitpid(c->tid, &status, __WALL | __WNOTHREAD);
        while (pid < 0 && errno == EINTR);
        if (pid != c->tid || !WIFSTOPPED(status))
            break; /* a stop is a kick that came late */
    }
    c->dead = true;
}

void ptrace_context_destroy(struct context *context) {
    struct ptrace_context *c = ptrace_context_of(context);
    if (!c)
        return;
    if (!c->dead && stub_space_is_last_user(c->space)) { /* the thread ends with its process */
        int status;
        stub_space_kill(c->space);
        while (ptrace_await_stop(c, &status)) /* a kick that came late */
            ;
    } else if (!c->dead) {
        end_thread(c);
    }
    stub_pair_done(&c->pair);
    stub_space_unref(c->space);
    free(c);
}

int ptrace_context_cpu_time(struct context *context, int64_t *ret_ns) {
    const struct ptrace_context *c = ptrace_context_of(context);

    return stub_thread_cpu_time(c->space, c->tid, ret_ns);
}

void ptrace_context_interrupt(struct context *context) {
    struct ptrace_context *c = ptrace_context_of(context);
    atomic_store(&c->interrupted, 1);
    if (atomic_load(
            &c->running)) /* the owner sets it, then looks at `interrupted`: one of us sees the other */
        syscall(SYS_tgkill, c->space->pid, c->tid, STUB_KICK_SIGNAL);
}

void ptrace_context_follow_cpu(struct context *context) {
    stub_pair_follow(&ptrace_context_of(context)->pair);
}

bool ptrace_context_await(struct context *context, const _Atomic uint32_t *word) {
    return stub_pair_await(&ptrace_context_of(context)->pair, word);
}
