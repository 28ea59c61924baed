/* SPDX-License-Identifier: Apache-2.0
 * uplink/uplink_filter.c: the host calls of the uplink process. It faces the network and a possibly fallen
 * sandbox, so: sockets of the two internet families, connect, and moving bytes. No files, no bind, no listen
 * (published ports come bound), no processes, no new code.
 */
#include <errno.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/compiler.h"
#include "uplink/uplink.h"

static const int g_calls[] = {
    SCMP_SYS(read),        SCMP_SYS(readv),         SCMP_SYS(write),           SCMP_SYS(writev),
    SCMP_SYS(sendto),      SCMP_SYS(recvfrom),      SCMP_SYS(sendmsg),         SCMP_SYS(recvmsg),
    SCMP_SYS(connect),     SCMP_SYS(accept4),       SCMP_SYS(shutdown),        SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),  SCMP_SYS(close),         SCMP_SYS(epoll_ctl),       SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_create1), SCMP_SYS(clock_gettime),   SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom),   SCMP_SYS(munmap),        SCMP_SYS(mremap),          SCMP_SYS(madvise),
    SCMP_SYS(brk),         SCMP_SYS(futex),         SCMP_SYS(rt_sigreturn),    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(exit_group),  SCMP_SYS(exit),          SCMP_SYS(restart_syscall), SCMP_SYS(getpid),
    SCMP_SYS(gettid),
};

int uplink_filter(void) {
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int r = c ? 0 : -ENOMEM;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(g_calls); i++)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, g_calls[i], 0);
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(families); i++) {
        static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
        for (size_t k = 0; r >= 0 && k < ARRAY_SIZE(types); k++)
            r = seccomp_rule_add(
                c, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, SCMP_A0(SCMP_CMP_EQ, (unsigned)families[i]),
                SCMP_A1(SCMP_CMP_MASKED_EQ, (unsigned)~(SOCK_CLOEXEC | SOCK_NONBLOCK), (unsigned)types[k]));
    }
    if (r >= 0)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (r >= 0)
        r = seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* malloc looks at /proc now and then: for it there is none. */
    if (r >= 0)
        r = seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOENT), SCMP_SYS(openat), 0);
    if (r >= 0)
        r = seccomp_load(c);
    seccomp_release(c);
    return r;
}
