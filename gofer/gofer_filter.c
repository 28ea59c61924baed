/* SPDX-License-Identifier: Apache-2.0
 * gofer/gofer_filter.c: the host calls that the gofer may make once it serves, by libseccomp. Argued in
 * docs/security-gofer.md.
 *
 * Any other call kills the process: none is made in normal operation. clone3 is -ENOSYS, which sends the C
 * library to clone, whose flags can be checked. Memory is never executable. io_uring_setup and
 * io_uring_register are absent: the one ring was made and restricted to STATX before.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Whatever their arguments. */
static const int g_plain_calls[] = {
    /* requests and replies, descriptors */
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(close),
    SCMP_SYS(shutdown),
    SCMP_SYS(dup),
    /* resolving and describing; openat's flags are checked below */
    SCMP_SYS(openat2),
    SCMP_SYS(statx),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstat),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(lseek),
    SCMP_SYS(fstatfs),
    SCMP_SYS(io_uring_enter),
    /* changing: all names are checked ones beneath a directory handle, or numbers in /proc/self/fd */
    SCMP_SYS(mkdirat),
    SCMP_SYS(symlinkat),
    SCMP_SYS(linkat),
    SCMP_SYS(unlinkat),
    SCMP_SYS(renameat2),
    SCMP_SYS(fchownat),
    SCMP_SYS(fchmodat),
    SYS_fchmodat2,
    SCMP_SYS(utimensat),
    SCMP_SYS(truncate),
    SCMP_SYS(getxattr),
    SCMP_SYS(setxattr),
    SCMP_SYS(listxattr),
    SCMP_SYS(removexattr),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(syncfs),
    SCMP_SYS(inotify_add_watch),
    SCMP_SYS(inotify_rm_watch),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(geteuid),
    /* the C library's memory, threads, locks and end */
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(getrandom),
};

#define THREAD_FLAGS                                                                                         \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |       \
     CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static int add_checked(scmp_filter_ctx ctx, int log_fd) {
    struct checked_call {
        int nr;
        struct scmp_arg_cmp arg;
    } calls[] = {
        {SCMP_SYS(clone), SCMP_A0(SCMP_CMP_EQ, THREAD_FLAGS)},
        {SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        {SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        {SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_UNIX)},
        {SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX)},
        /* never relative to the working directory, which is where numbers mean descriptors, nor by an
         * absolute name: the names given to it are checked, this checks the code */
        {SCMP_SYS(openat), SCMP_A0_32(SCMP_CMP_LT, 0x80000000u)},
        /* no device nodes but the whiteout */
        {SCMP_SYS(mknodat), SCMP_A3(SCMP_CMP_EQ, 0)},
        {SCMP_SYS(write), SCMP_A0_32(SCMP_CMP_EQ, 2)},
        {SCMP_SYS(write), SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)log_fd)},
        {SCMP_SYS(tgkill), SCMP_A2_32(SCMP_CMP_EQ, 6)}, /* abort() */
    };
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        if (calls[i].nr == SCMP_SYS(write) && calls[i].arg.datum_a == (uint32_t)-1)
            continue; /* no log */
        int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, calls[i].nr, 1, &calls[i].arg);
        if (rc < 0 && rc != -EEXIST)
            return rc;
    }
    return 0;
}

static int fill(scmp_filter_ctx ctx, int log_fd) {
    int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(g_plain_calls); i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, g_plain_calls[i], 0);
    return rc < 0 ? rc : add_checked(ctx, log_fd);
}

int gofer_filter_install(int log_fd) {
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!ctx)
        return -ENOMEM;
    int rc = fill(ctx, log_fd);
    if (rc == 0)
        rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: the list is long */
    if (rc == 0)
        rc = seccomp_load(ctx);
    seccomp_release(ctx);
    return rc;
}
