/* SPDX-License-Identifier: Apache-2.0
 * boot/crash_host.c: last words of a sandbox process that crashes: signal, address, thread and a backtrace by
 * frame pointers (the build keeps them), as offsets in this program for addr2line, on standard error and in
 * the debug log. Nothing here allocates or locks.
 */
#include "boot/crash.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/log.h"

#define CRASH_FRAMES     32
#define CRASH_STACK_SPAN (16ul << 20) /* frames further up than this are not believed */

extern const char __ehdr_start[]
    __attribute__((visibility("hidden"))); /* where this program was loaded: by the linker */

static void say(const char *text, size_t size) {
    (void)!write(STDERR_FILENO, text, size);
    if (log_fd() >= 0)
        (void)!write(log_fd(), text, size);
}

static int add_frames(char *text, size_t size, const ucontext_t *u) {
    const uintptr_t base = (uintptr_t)__ehdr_start;
    uintptr_t frame = (uintptr_t)u->uc_mcontext.gregs[REG_RBP],
              low = (uintptr_t)u->uc_mcontext.gregs[REG_RSP];
    const uintptr_t high = low + CRASH_STACK_SPAN;
    int n = snprintf(text, size, " frames: %#lx", (uintptr_t)u->uc_mcontext.gregs[REG_RIP] - base);

    for (int i = 0; i < CRASH_FRAMES && frame >= low && frame < high && frame % 8 == 0 && n < (int)size - 24;
         i++) {
        const uintptr_t *f = (const uintptr_t *)frame;
        n += snprintf(text + n, size - (size_t)n, " %#lx", f[1] - base);
        low = frame + 1;
        frame = f[0];
    }
    return n;
}

static void crashed(int signo, siginfo_t *info, void *context) {
    const ucontext_t *u = context;
    char text[1024];

    /* A second fault, in here, kills without words: the default action is back. */
    int n = snprintf(text, sizeof text,
                     "runsc: the sandbox process crashed: signal %d (%s), code %d, address %p, thread %ld;",
                     signo, sigabbrev_np(signo), info->si_code, info->si_addr, syscall(SYS_gettid));
    say(text, (size_t)n);
    n = add_frames(text, sizeof text - 1, u);
    text[n++] = '\n';
    say(text, (size_t)n);
    _exit(128 + signo);
}

int crash_handlers_install(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    static char stack[16384] __attribute__((aligned(16)));
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction a = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND | SA_ONSTACK};

    if (sigaltstack(&alternate, NULL) < 0)
        return -errno;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        if (sigaction(signals[i], &a, NULL) < 0)
            return -errno;
    return 0;
}
