/* SPDX-License-Identifier: Apache-2.0
 * boot/filter.c: the allow-list of the sandbox process, by libseccomp, compiled when this program is built.
 * One table; each row says why it is there. What a platform needs beyond it comes from platform_host_calls().
 *
 * Not here, on purpose: socket, connect, bind (no way to the host's network or sockets), open, execve, fork,
 * kill of others, any *at call but openat beneath our own procfs, setuid and friends, mount and friends, bpf,
 * perf, keyctl, io_uring, userfaultfd, prctl. clone3 answers ENOSYS, because its flags lie in memory where a
 * filter cannot see them: the C library then uses clone.
 */
#include "boot/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define THREAD_FLAGS                                                                                         \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |       \
     CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)
#define MAX_CHECKS 3

struct filter_rule {
    int number;
    const char *why;
    unsigned check_count;
    struct scmp_arg_cmp checks[MAX_CHECKS];
};

#define ALLOW(call, reason)                                                                                  \
    { .number = SYS_##call, .why = reason }
#define IF(call, reason, ...)                                                                                \
    {                                                                                                        \
        .number = SYS_##call, .why = reason,                                                                 \
        .check_count = sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp),           \
        .checks = {                                                                                          \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
#define ARG_IS(n, v)                                                                                         \
    { (n), SCMP_CMP_EQ, (v), 0 }
#define ARG_LACKS(n, mask)                                                                                   \
    { (n), SCMP_CMP_MASKED_EQ, (mask), 0 }

static const struct filter_rule g_rules[] = {
    /* Descriptors that we hold: stdio, donated files, sockets handed in. */
    ALLOW(read, "descriptors"),
    ALLOW(write, "descriptors"),
    ALLOW(readv, "descriptors"),
    ALLOW(writev, "descriptors"),
    ALLOW(pread64, "files"),
    ALLOW(pwrite64, "files"),
    ALLOW(preadv, "files"),
    ALLOW(pwritev, "files"),
    ALLOW(preadv2, "files, RWF_NOWAIT"),
    ALLOW(pwritev2, "files"),
    ALLOW(close, "descriptors"),
    ALLOW(lseek, "files, SEEK_DATA"),
    ALLOW(fstat, "files"),
    ALLOW(ftruncate, "donated files, shared memory file"),
    ALLOW(fallocate, "punching holes in the shared memory file"),
    ALLOW(fsync, "files"),
    ALLOW(fdatasync, "files"),
    ALLOW(memfd_create, "shared memory file"),
    IF(statx, "of a descriptor", ARG_IS(2, AT_EMPTY_PATH)),
    IF(newfstatat, "of a descriptor", ARG_IS(3, AT_EMPTY_PATH)),
    IF(fcntl, "duplicates", ARG_IS(1, F_DUPFD_CLOEXEC)),
    IF(fcntl, "flags", ARG_IS(1, F_GETFL)),
    IF(fcntl, "flags", ARG_IS(1, F_SETFL)),
    IF(fcntl, "flags", ARG_IS(1, F_GETFD)),
    IF(fcntl, "flags", ARG_IS(1, F_SETFD)),
    IF(fcntl, "seals", ARG_IS(1, F_ADD_SEALS)),
    /* Our own procfs, which follows no links. Stubs' memory whatever its protection (PID/mem, breakpoints):
     * it reaches the sentry's own memory too, which only a sentry that already runs foreign code could want.
     */
    IF(openat, "mem of our stubs", ARG_IS(0, FILTER_PROC_FD), ARG_IS(2, O_RDWR | O_CLOEXEC)),
    IF(openat, "our own procfs, read-only", ARG_IS(0, FILTER_PROC_FD),
       ARG_LACKS(2, O_ACCMODE | O_CREAT | O_TRUNC)),
    /* Terminals and pipes handed in. TIOCSTI and TIOCLINUX, which put input into a caller's terminal, are not
       here. */
    IF(ioctl, "terminal", ARG_IS(1, TCGETS)),
    IF(ioctl, "terminal", ARG_IS(1, TCSETS)),
    IF(ioctl, "terminal", ARG_IS(1, TCSETSW)),
    IF(ioctl, "terminal", ARG_IS(1, TCSETSF)),
    IF(ioctl, "terminal", ARG_IS(1, TIOCGWINSZ)),
    IF(ioctl, "terminal", ARG_IS(1, TIOCSWINSZ)),
    IF(ioctl, "pipe and terminal", ARG_IS(1, FIONREAD)),
    /* Sockets handed in: control connections, gofer channels. No socket, connect, bind, listen. */
    ALLOW(recvmsg, "control, gofer"),
    ALLOW(sendmsg, "control, gofer, descriptors to stubs"),
    ALLOW(recvfrom, "sockets"),
    ALLOW(sendto, "sockets"),
    ALLOW(recvmmsg, "bursts of frames from packet sockets handed in"),
    ALLOW(shutdown, "sockets"),
    ALLOW(accept4, "control socket"),
    ALLOW(getsockopt, "sockets"),
    /* Waiting. */
    ALLOW(epoll_ctl, "event loops"),
    ALLOW(epoll_create1, "event loops"),
    ALLOW(epoll_wait, "event loops"),
    ALLOW(poll, "waiting"),
    ALLOW(ppoll, "waiting"),
    ALLOW(eventfd2, "wake-ups"),
    ALLOW(futex, "locks, sleeping tasks"),
    ALLOW(clock_nanosleep, "timers"),
    ALLOW(restart_syscall, "the kernel's own"),
    /* Memory. Never executable: the sentry makes no code. */
    IF(mmap, "not executable", ARG_LACKS(2, PROT_EXEC)),
    IF(mprotect, "not executable", ARG_LACKS(2, PROT_EXEC)),
    ALLOW(munmap, "memory"),
    ALLOW(mremap, "malloc"),
    ALLOW(madvise, "memory"),
    ALLOW(brk, "malloc"),
    ALLOW(mincore, "the heap's window"),
    ALLOW(membarrier, "tearing down mappings"),
    /* Threads, one for each guest task. */
    IF(clone, "threads only", ARG_IS(0, THREAD_FLAGS)),
    ALLOW(exit, "threads"),
    ALLOW(exit_group, "the end"),
    ALLOW(set_robust_list, "threads"),
    ALLOW(rseq, "threads"),
    ALLOW(gettid, "locks, logs"),
    ALLOW(getpid, "signals"),
    ALLOW(sched_yield, "spinning"),
    ALLOW(sched_setaffinity, "pairs of threads on one cpu"),
    ALLOW(sched_getaffinity, "cpus"),
    ALLOW(getcpu, "cpus"),
    ALLOW(rt_sigprocmask, "threads"),
    ALLOW(rt_sigreturn, "signals"),
    ALLOW(rt_sigaction, "signals"),
    ALLOW(sigaltstack, "crash reports"),
    ALLOW(tgkill, "interrupting own threads and stubs: it reaches our pid namespace only"),
    IF(prlimit64, "reading limits", ARG_IS(2, 0)),
    ALLOW(getrusage, "accounting"),
    IF(prctl, "names of threads", ARG_IS(0, PR_SET_NAME)),
    ALLOW(sysinfo, "memory of the host for /proc/meminfo"),
    /* Time and chance, where the vDSO does not answer. */
    ALLOW(clock_gettime, "time"),
    ALLOW(clock_getres, "time"),
    ALLOW(gettimeofday, "time"),
    ALLOW(time, "time"),
    ALLOW(getrandom, "random"),
};

static bool is_listed(int number) {
    for (size_t i = 0; i < ARRAY_SIZE(g_rules); i++)
        if (g_rules[i].number == number)
            return true;
    return false;
}

static int add_rules(scmp_filter_ctx ctx, const int *platform_calls, const unsigned long *platform_ioctls) {
    int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

    /* The C library looks for files of the host now and then (malloc: /proc/sys/vm/overcommit_memory): for it
     * there are none. */
    struct scmp_arg_cmp by_name = {0, SCMP_CMP_MASKED_EQ, 0xffffffff, (uint32_t)AT_FDCWD};
    if (r >= 0)
        r = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(openat), 1, &by_name);
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(g_rules); i++)
        r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, g_rules[i].number, g_rules[i].check_count,
                                   g_rules[i].checks);
    for (; r >= 0 && platform_calls && *platform_calls >= 0; platform_calls++)
        if (!is_listed(*platform_calls)) /* a rule without checks would undo those with */
            r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, *platform_calls, 0);
    for (; r >= 0 && platform_ioctls && *platform_ioctls; platform_ioctls++) {
        struct scmp_arg_cmp request = ARG_IS(1, *platform_ioctls);
        r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &request);
    }
    return r;
}

int filter_export(const int *platform_calls, const unsigned long *platform_ioctls, int fd) {
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);

    if (!ctx)
        return -ENOMEM;
    int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r >= 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r >= 0)
        r = add_rules(ctx, platform_calls, platform_ioctls);
    if (r >= 0)
        r = seccomp_export_bpf(ctx, fd);
    seccomp_release(ctx);
    return r;
}

size_t filter_describe(void (*print)(void *arg, const char *call, const char *check), void *arg) {
    for (size_t i = 0; print && i < ARRAY_SIZE(g_rules); i++) {
        char name[64];
        char *call = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, g_rules[i].number);
        snprintf(name, sizeof name, "%s%s", call ? call : "?", g_rules[i].check_count ? " (checked)" : "");
        free(call);
        print(arg, name, g_rules[i].why);
    }
    return ARRAY_SIZE(g_rules);
}
