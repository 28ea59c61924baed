/* SPDX-License-Identifier: Apache-2.0
 * platform/platform_trial_host.c: see platform_trial.h. The child is ended by an alarm if the platform hangs.
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

#include "platform/platform.h"
#include "platform/platform_calls.h"
#include "platform/platform_trial.h"

#define CODE 0x400000ull
enum { TIME_LIMIT_S = 10, CALLS = 300 };

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Runs the same `syscall` again and again. */
static bool measure(struct platform *p, struct address_space *as, struct context *c, uint32_t *ret_ns) {
    static const char code[] = "\x0f\x05"; /* syscall */
    struct as_op page = {.kind = AS_MAP_ANON, .addr = CODE, .len = PAGE_SIZE, .prot = PROT_READ | PROT_EXEC};
    struct guest_regs regs = {.rflags = 0x202, .cs = 0x33, .ss = 0x2b, .rsp = CODE, .orig_rax = ~0ull};
    uint64_t least = UINT32_MAX;

    if (p->ops->as_apply(as, &page, 1, NULL) || p->ops->as_poke(as, CODE, code, sizeof(code)) != sizeof(code))
        return false;
    for (int i = 0; i < CALLS; i++) {
        struct platform_event event;
        uint64_t start = now_ns();
        regs.rip = CODE;
        p->ops->context_switch(c, &regs, /* step= */ false, &event);
        if (event.kind != EVENT_SYSCALL)
            return false;
        least = MIN(least, now_ns() - start);
    }
    *ret_ns = (uint32_t)least;
    return true;
}

static void try_here(const char *name, struct platform_trial *ret) {
    struct platform_config config = {.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct platform *p;
    struct address_space *as;
    struct context *c;
    struct err *err = NULL;

    ret->error = platform_create(name, &config, &p, &err);
    if (ret->error) {
        char *text = err_text(err);
        snprintf(ret->why, sizeof(ret->why), "%s", text ? text : "no memory");
        free(text);
        return;
    }
    if (p->ops->as_create(p, &as) || p->ops->context_create(as, &c) || !measure(p, as, c, &ret->call_ns)) {
        ret->error = -EPROTO;
        snprintf(ret->why, sizeof(ret->why), "a guest does not run");
        return;
    }
    if (strcmp(name, "kvm") == 0)
        snprintf(ret->entry, sizeof(ret->entry), "%s", platform_kvm_entry(p));
    p->ops->context_destroy(c);
    p->ops->as_unref(as);
    p->ops->destroy(p);
    close(config.proc_fd);
}

static void child(const char *name, int fd) {
    struct platform_trial trial = {0};
    struct sigaction end = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGALRM, &end, NULL);
    alarm(TIME_LIMIT_S);
    try_here(name, &trial);
    ssize_t n = write(fd, &trial, sizeof(trial));
    _exit(n == sizeof(trial) ? 0 : 1); /* what a failure has left ends with us */
}

int platform_try(const char *name, struct platform_trial *ret) {
    int ends[2], status;

    *ret = (struct platform_trial){.error = -ETIMEDOUT, .why = "it did not answer in ten seconds"};
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        child(name, ends[1]);
    close(ends[1]);
    struct platform_trial trial;
    if (pid > 0 && read(ends[0], &trial, sizeof(trial)) == sizeof(trial))
        *ret = trial;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    close(ends[0]);
    return pid < 0 ? -EAGAIN : 0;
}
