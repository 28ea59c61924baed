/* SPDX-License-Identifier: Apache-2.0
 * tests/escape/attack.h: helps for the attacker's programs: doing something that may fault, loop or kill, in
 * a child.
 */
#pragma once

#include "conform.h"

#include <setjmp.h>
#include <sys/prctl.h>

/* These programs kill and overwrite whatever they reach. They run only where the host's canary file, named by
   CANARY, is not to be found: that is, in a sandbox, never on the host by mistake. */
__attribute__((constructor)) static void attack_guard(int argc, char **argv) {
    static const char refused[] = "escape: CANARY is not set, or its file is here: this is no sandbox\n";

    /* "--hostile CANARY=file HOSTPID=number" come first; the rest is left to main(). */
    if (argc >= 4 && strcmp(argv[1], "--hostile") == 0 && strncmp(argv[2], "CANARY=/", 8) == 0) {
        putenv(argv[2]);
        putenv(argv[3]);
        argv[2] = argv[3] = argv[1]; /* options that main() does not know and skips */
        if (access(getenv("CANARY"), F_OK) < 0)
            return;
    }
    if (write(STDERR_FILENO, refused, sizeof refused - 1) < 0)
        _exit(4);
    _exit(3);
}

static sigjmp_buf g_attack_jump;

static inline void attack_caught(int signo) {
    siglongjmp(g_attack_jump, signo);
}

/* Catches every fault, so that an attack can go on after one. */
static inline void attack_catch_faults(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    static char stack[65536];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};

    sigaltstack(&ss, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction sa = {.sa_handler = attack_caught, .sa_flags = SA_ONSTACK | SA_NODEFER};
        sigaction(signals[i], &sa, NULL);
    }
}

/* Runs the statement; faults end it and nothing else. */
#define TRY(statement)                                                                                       \
    do {                                                                                                     \
        if (sigsetjmp(g_attack_jump, 1) == 0) {                                                              \
            statement;                                                                                       \
        }                                                                                                    \
    } while (0)

/* Runs fn(arg) in a child for at most `ms`; however it ends, we go on. Returns its wait status, -1 if it had
 * to be killed. */
static inline int attack_in_child(void (*fn)(uint64_t), uint64_t arg, int ms) {
    int status;

    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        return -2;
    if (pid == 0) {
        setpgid(0, 0);
        fn(arg);
        _exit(0);
    }
    for (int waited = 0; waited < ms; waited += 2) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return status;
        sleep_ms(2);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

/* The kernel still works for us: a process, a file, memory, time. */
static inline void still_alive(void) {
    pid_t pid = fork();

    OK(pid);
    if (pid == 0)
        _exit(42);
    EQ(wait_exit(pid), 42);
    int fd = OK(open("alive", O_RDWR | O_CREAT | O_TRUNC, 0600));
    EQ(write(fd, "x", 1), 1);
    close(fd);
    OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    TRUE(now_ns(CLOCK_MONOTONIC) > 0);
}

static inline uint64_t attack_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
