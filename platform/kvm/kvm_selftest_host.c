/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_selftest_host.c: does this host's KVM do what the rest of this folder takes for granted?
 * The platform itself runs a few instructions in a child, which an alarm ends if KVM hangs; the verdict comes
 * through a pipe. PLATFORM.md 1.9 has the list.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "platform/kvm/kvm_internal.h"

#define CODE 0x400000ull
#define DATA 0x500000ull
enum { TIME_LIMIT_S = 5, CALLS = 50 };

struct trial {
    struct platform *p;
    struct address_space *as;
    struct context *c;
    struct guest_regs regs;
    struct platform_event event;
    struct kvm_verdict *verdict;
};

static int apply(struct trial *t, struct as_op op) {
    return t->p->ops->as_apply(t->as, &op, 1, NULL);
}

static void run_at(struct trial *t, uint64_t rip, bool step) {
    t->regs.rip = rip;
    t->regs.rsp = DATA + PAGE_SIZE;
    t->p->ops->context_switch(t->c, &t->regs, step, &t->event);
}

/* Puts code at CODE and runs it. */
static void run_code(struct trial *t, const char *code, size_t size, bool step) {
    if (t->p->ops->as_poke(t->as, CODE, code, size) != (ssize_t)size)
        t->event.kind = EVENT_DEAD;
    else
        run_at(t, CODE, step);
}
#define RUN(t, code, step) run_code(t, code, sizeof(code) - 1, step)

static bool is_fault(const struct trial *t, int signo, uint64_t offset) {
    return t->event.kind == EVENT_FAULT && t->event.signo == signo && t->regs.rip == CODE + offset;
}

static bool calls(struct trial *t) {
    RUN(t, "\xb8\x27\0\0\0\x0f\x05", false); /* mov $39, %eax; syscall */
    return t->event.kind == EVENT_SYSCALL && t->regs.orig_rax == 39 && t->regs.rip == CODE + 7;
}

static bool exceptions(struct trial *t) {
    RUN(t, "\xcc", false);
    bool ok = is_fault(t, SIGTRAP, 1);
    RUN(t, "\x31\xc9\xf7\xf1", false); /* xor %ecx, %ecx; div %ecx */
    ok = ok && is_fault(t, SIGFPE, 2);
    RUN(t, "\xf4", false); /* hlt: not for ring 3 */
    ok = ok && is_fault(t, SIGSEGV, 0);
    RUN(t, "\x90\x90", true);
    return ok && t->event.kind == EVENT_STEP && t->regs.rip == CODE + 1;
}

static const char load_data[] = "\x8b\x04\x25\0\0\x50\0\x0f\x05"; /* mov DATA, %eax; syscall */

static bool page_faults(struct trial *t) {
    RUN(t, load_data, false);
    bool ok = t->event.kind == EVENT_SYSCALL;
    ok = ok &&
         apply(t, (struct as_op){.kind = AS_PROTECT, .addr = DATA, .len = PAGE_SIZE, .prot = PROT_NONE}) == 0;
    RUN(t, load_data, false);
    ok = ok && is_fault(t, SIGSEGV, 0) && t->event.address == DATA && t->event.code == SEGV_ACCERR;
    ok = ok &&
         apply(t,
               (struct as_op){
                   .kind = AS_MAP_ANON, .addr = DATA, .len = PAGE_SIZE, .prot = PROT_READ | PROT_WRITE}) == 0;
    RUN(t, load_data, false);
    return ok && t->event.kind == EVENT_SYSCALL && (uint32_t)t->regs.rax == 0;
}

static bool vectors(struct trial *t) {
    char area[576];
    t->regs.rax = 0x1234;
    RUN(t, "\x66\x48\x0f\x6e\xc8\xc4\xe2\x7d\x59\xd1\x0f\x05",
        false); /* movq %rax, %xmm1; vpbroadcastq %xmm1, %ymm2 */
    bool avx = ((struct kvm_machine *)t->p)->xcr0 & 4;
    if (avx && t->event.kind != EVENT_SYSCALL)
        return false;
    return t->p->ops->context_get_fpu(t->c, area, sizeof(area)) == sizeof(area) &&
           memcmp(area + 160 + 16, "\x34\x12", 2) == 0;
}

static struct trial *g_spinning; /* of the child, for its signal handler */

static void on_alarm(int signo) {
    (void)signo;
    g_spinning->p->ops->context_interrupt(g_spinning->c);
}

static bool interrupts(struct trial *t) {
    struct sigaction action = {.sa_handler = on_alarm};
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct itimerspec soon = {.it_value.tv_nsec = 2000000};
    g_spinning = t;
    if (sigaction(SIGUSR2, &action, NULL) < 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
        timer_settime(timer, 0, &soon, NULL) < 0)
        return false;
    RUN(t, "\xeb\xfe", false); /* jmp . */
    return t->event.kind == EVENT_INTERRUPT && t->regs.rip == CODE;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool measure(struct trial *t) {
    uint64_t least = UINT32_MAX;
    RUN(t, "\x0f\x05", false);
    for (int i = 0; i < CALLS && t->event.kind == EVENT_SYSCALL; i++) {
        uint64_t start = now_ns();
        run_at(t, CODE, false);
        least = MIN(least, now_ns() - start);
    }
    t->verdict->call_ns = (uint32_t)least;
    return t->event.kind == EVENT_SYSCALL;
}

static bool start(struct trial *t) {
    return t->p->ops->as_create(t->p, &t->as) == 0 && t->p->ops->context_create(t->as, &t->c) == 0 &&
           apply(t,
                 (struct as_op){
                     .kind = AS_MAP_ANON, .addr = CODE, .len = PAGE_SIZE, .prot = PROT_READ | PROT_EXEC}) ==
               0 &&
           apply(t,
                 (struct as_op){
                     .kind = AS_MAP_ANON, .addr = DATA, .len = PAGE_SIZE, .prot = PROT_READ | PROT_WRITE}) ==
               0;
}

static void try_all(const struct platform_config *config, struct kvm_verdict *ret) {
    static const struct {
        bool (*try)(struct trial *t);
        const char *name;
    } steps[] = {{start, "first address space"},
                 {calls, "system call"},
                 {exceptions, "exceptions"},
                 {page_faults, "page faults"},
                 {vectors, "vector registers"},
                 {interrupts, "interruption"},
                 {measure, "time"}};
    struct trial t = {.regs = {.rflags = 0x202, .cs = 0x33}, .verdict = ret};
    struct err *err = NULL;
    int r = kvm_machine_create(config, &t.p, &err);
    if (r) {
        ret->error = r;
        snprintf(ret->step, sizeof(ret->step), "%.31s", err && err->message ? err->message : "start");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        if (!steps[i].try(&t)) {
            ret->error = -EPROTO;
            snprintf(ret->step, sizeof(ret->step), "%s", steps[i].name);
            return;
        }
    ret->entry = atomic_load(&((struct kvm_machine *)t.p)->entry);
}

static void child(const struct platform_config *config, int fd) {
    struct kvm_verdict verdict = {0};
    struct sigaction end = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGALRM, &end, NULL);
    alarm(TIME_LIMIT_S);
    try_all(config, &verdict);
    ssize_t n = write(fd, &verdict, sizeof(verdict));
    _exit(n == sizeof(verdict) ? 0 : 1);
}

int kvm_selftest(const struct platform_config *config, struct kvm_verdict *ret) {
    int ends[2], status;
    *ret = (struct kvm_verdict){.error = -ETIMEDOUT, .step = "end in time"};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        child(config, ends[1]);
    close(ends[1]);
    if (pid > 0) {
        struct kvm_verdict verdict;
        if (read(ends[0], &verdict, sizeof(verdict)) == sizeof(verdict))
            *ret = verdict;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    close(ends[0]);
    return pid < 0 ? -EAGAIN : 0;
}
