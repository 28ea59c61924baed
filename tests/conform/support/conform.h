/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/support/conform.h: what a conformance program is made of.
 *
 * Such a program runs on the host's own kernel first and then in the sandbox; tests/conform/run compares what
 * it prints, check by check, and its exit status. It uses libc and nothing of the project. A check asserts by
 * itself what Linux does, in a process and an empty working directory of its own, and may print more lines,
 * which must be the same in both worlds: no pids, addresses, times, inode numbers or amounts that depend on
 * the host.
 *
 *     CHECK(append_moves_to_the_end) { int fd = OK(open("f", O_RDWR | O_CREAT | O_APPEND, 0600)); ... }
 *
 * PROGRAM [--list] [--no-fork] [CHECK-PATTERN...]. Per check it prints "# check NAME", then what the check
 * prints, then "ok NAME", "not ok NAME" or "skip NAME: why". The exit status is 1 if any check failed.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct check {
    const char *name;
    void (*run)(void);
    struct check *next;
};

void check_register(struct check *c);

#define CHECK(id)                                                                                            \
    static void check_##id(void);                                                                            \
    static struct check check_entry_##id = {.name = #id, .run = check_##id};                                 \
    __attribute__((constructor)) static void check_ctor_##id(void) {                                         \
        check_register(&check_entry_##id);                                                                   \
    }                                                                                                        \
    static void check_##id(void)

/* Ends the check (and the process) as failed. From a child that the check forked, its exit status is 66. */
__attribute__((noreturn, format(printf, 3, 4))) void check_fail(const char *file, int line, const char *fmt,
                                                                ...);
/* Only for what the host's kernel lacks, found by a probe. */
__attribute__((noreturn, format(printf, 1, 2))) void check_skip(const char *fmt, ...);

long long check_ok(const char *file, int line, const char *text, long long result, int err);
void check_err(const char *file, int line, const char *text, long long result, int err, int want);
void check_eq(const char *file, int line, const char *left, const char *right, long long a, long long b);
void check_str(const char *file, int line, const char *left, const char *right, const char *a, const char *b);
void check_mem(const char *file, int line, const char *left, const char *right, const void *a, const void *b,
               size_t n);

/* A call that must succeed (>= 0); its value. */
#define OK(call) (errno = 0, check_ok_int(__FILE__, __LINE__, #call, (long long)(call)))
#define OKP(call)                                                                                            \
    ({                                                                                                       \
        errno = 0;                                                                                           \
        __typeof__(call) p_ = (call);                                                                        \
        if (p_ == NULL || (void *)p_ == MAP_FAILED)                                                          \
            check_ok(__FILE__, __LINE__, #call, -1, errno);                                                  \
        p_;                                                                                                  \
    })
/* A call that must give -1 and this errno. */
#define ERR(call, want)                                                                                      \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long long r_ = (long long)(call);                                                                    \
        check_err(__FILE__, __LINE__, #call, r_, errno, (want));                                             \
    } while (0)
#define ERRP(call, want) ERR((void *)(call) == MAP_FAILED ? -1 : 0, want)
#define EQ(a, b)         check_eq(__FILE__, __LINE__, #a, #b, (long long)(intptr_t)(a), (long long)(intptr_t)(b))
#define TRUE(x)          ((x) ? (void)0 : check_fail(__FILE__, __LINE__, "%s is false", #x))
#define STREQ(a, b)      check_str(__FILE__, __LINE__, #a, #b, (a), (b))
#define MEMEQ(a, b, n)   check_mem(__FILE__, __LINE__, #a, #b, (a), (b), (n))

static inline int check_ok_int(const char *file, int line, const char *text, long long result) {
    return (int)check_ok(file, line, text, result, errno);
}

/* ---- helps ---- */

/* A mount namespace of the check's own, whose working directory is an empty tmpfs. As root. */
void private_world(void);
void put_file(const char *path, const char *text); /* creates or truncates */
char *get_file(const char *path, char *buffer,
               size_t size);                       /* whole content as a string; fails the check on error */
int make_file(const char *path, const char *text); /* open read-write, positioned at 0 */
pid_t spawn(void (*fn)(void *), void *arg);        /* fork; the child runs fn, then exits with 0 */
int wait_status(pid_t pid);                        /* waitpid; the wait status */
int wait_exit(pid_t pid);                          /* ... which must be a normal exit: its code */
void sleep_ms(int ms);
int64_t now_ns(clockid_t id);
/* Polls until the condition holds, at most about ten seconds; then the check fails. */
#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        int tries_ = 0;                                                                                      \
        while (!(condition)) {                                                                               \
            if (++tries_ > 5000)                                                                             \
                check_fail(__FILE__, __LINE__, "never became true: %s", #condition);                         \
            sleep_ms(2);                                                                                     \
        }                                                                                                    \
    } while (0)
bool is_root(void);
void become_nobody(void); /* all ids 65534, no groups, no capabilities */
/* State letter of a process by /proc/PID/stat ('R', 'S', 'T', 'Z', ...), 0 if there is none. */
char process_state(pid_t pid);
