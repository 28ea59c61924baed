/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/signal.h: guest ABI, x86-64: signals: numbers, actions, siginfo, sigevent, signalfd.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* signal numbers */
#define LINUX_SIGHUP    1
#define LINUX_SIGINT    2
#define LINUX_SIGQUIT   3
#define LINUX_SIGILL    4
#define LINUX_SIGTRAP   5
#define LINUX_SIGABRT   6
#define LINUX_SIGIOT    6
#define LINUX_SIGBUS    7
#define LINUX_SIGFPE    8
#define LINUX_SIGKILL   9
#define LINUX_SIGUSR1   10
#define LINUX_SIGSEGV   11
#define LINUX_SIGUSR2   12
#define LINUX_SIGPIPE   13
#define LINUX_SIGALRM   14
#define LINUX_SIGTERM   15
#define LINUX_SIGSTKFLT 16
#define LINUX_SIGCHLD   17
#define LINUX_SIGCONT   18
#define LINUX_SIGSTOP   19
#define LINUX_SIGTSTP   20
#define LINUX_SIGTTIN   21
#define LINUX_SIGTTOU   22
#define LINUX_SIGURG    23
#define LINUX_SIGXCPU   24
#define LINUX_SIGXFSZ   25
#define LINUX_SIGVTALRM 26
#define LINUX_SIGPROF   27
#define LINUX_SIGWINCH  28
#define LINUX_SIGIO     29
#define LINUX_SIGPOLL   29
#define LINUX_SIGPWR    30
#define LINUX_SIGSYS    31
#define LINUX_SIGRTMIN  32

/* sigprocmask(2) */
#define LINUX_SIG_BLOCK   0
#define LINUX_SIG_UNBLOCK 1
#define LINUX_SIG_SETMASK 2

/* sigaction(2) flags */
#define LINUX_SA_RESTORER       0x4000000
#define LINUX_SA_NOCLDSTOP      0x1
#define LINUX_SA_NOCLDWAIT      0x2
#define LINUX_SA_SIGINFO        0x4
#define LINUX_SA_UNSUPPORTED    0x400
#define LINUX_SA_EXPOSE_TAGBITS 0x800
#define LINUX_SA_ONSTACK        0x8000000
#define LINUX_SA_RESTART        0x10000000
#define LINUX_SA_NODEFER        0x40000000
#define LINUX_SA_RESETHAND      0x80000000u

/* sigaltstack(2) */
#define LINUX_MINSIGSTKSZ 2048
#define LINUX_SIGSTKSZ    8192

/* si_code: who sent it */
#define LINUX_SI_USER     0
#define LINUX_SI_KERNEL   0x80
#define LINUX_SI_QUEUE    (-1)
#define LINUX_SI_TIMER    (-2)
#define LINUX_SI_MESGQ    (-3)
#define LINUX_SI_ASYNCIO  (-4)
#define LINUX_SI_SIGIO    (-5)
#define LINUX_SI_TKILL    (-6)
#define LINUX_SI_DETHREAD (-7)
#define LINUX_SI_ASYNCNL  (-60)

/* si_code of faults and events */
#define LINUX_ILL_ILLOPC        1
#define LINUX_ILL_ILLOPN        2
#define LINUX_ILL_ILLADR        3
#define LINUX_ILL_ILLTRP        4
#define LINUX_ILL_PRVOPC        5
#define LINUX_ILL_PRVREG        6
#define LINUX_ILL_COPROC        7
#define LINUX_ILL_BADSTK        8
#define LINUX_ILL_BADIADDR      9
#define LINUX_FPE_INTDIV        1
#define LINUX_FPE_INTOVF        2
#define LINUX_FPE_FLTDIV        3
#define LINUX_FPE_FLTOVF        4
#define LINUX_FPE_FLTUND        5
#define LINUX_FPE_FLTRES        6
#define LINUX_FPE_FLTINV        7
#define LINUX_FPE_FLTSUB        8
#define LINUX_FPE_FLTUNK        14
#define LINUX_FPE_CONDTRAP      15
#define LINUX_SEGV_MAPERR       1
#define LINUX_SEGV_ACCERR       2
#define LINUX_SEGV_BNDERR       3
#define LINUX_SEGV_PKUERR       4
#define LINUX_SEGV_ACCADI       5
#define LINUX_SEGV_ADIDERR      6
#define LINUX_SEGV_ADIPERR      7
#define LINUX_SEGV_MTEAERR      8
#define LINUX_SEGV_MTESERR      9
#define LINUX_BUS_ADRALN        1
#define LINUX_BUS_ADRERR        2
#define LINUX_BUS_OBJERR        3
#define LINUX_BUS_MCEERR_AR     4
#define LINUX_BUS_MCEERR_AO     5
#define LINUX_TRAP_BRKPT        1
#define LINUX_TRAP_TRACE        2
#define LINUX_TRAP_BRANCH       3
#define LINUX_TRAP_HWBKPT       4
#define LINUX_TRAP_UNK          5
#define LINUX_TRAP_PERF         6
#define LINUX_CLD_EXITED        1
#define LINUX_CLD_KILLED        2
#define LINUX_CLD_DUMPED        3
#define LINUX_CLD_TRAPPED       4
#define LINUX_CLD_STOPPED       5
#define LINUX_CLD_CONTINUED     6
#define LINUX_POLL_IN           1
#define LINUX_POLL_OUT          2
#define LINUX_POLL_MSG          3
#define LINUX_POLL_ERR          4
#define LINUX_POLL_PRI          5
#define LINUX_POLL_HUP          6
#define LINUX_SYS_SECCOMP       1
#define LINUX_SYS_USER_DISPATCH 2
#define LINUX_EMT_TAGOVF        1

/* sigevent notification */
#define LINUX_SIGEV_SIGNAL    0
#define LINUX_SIGEV_NONE      1
#define LINUX_SIGEV_THREAD    2
#define LINUX_SIGEV_THREAD_ID 4

/* signalfd4(2) */
#define LINUX_SFD_CLOEXEC  02000000
#define LINUX_SFD_NONBLOCK 04000

/* Signals are numbered from 1 to LINUX_NSIG; libc keeps the first two from LINUX_SIGRTMIN for itself. */
#define LINUX_NSIG     64
#define LINUX_SIGRTMAX 64
#define LINUX_SIG_DFL  0ull
#define LINUX_SIG_IGN  1ull

typedef uint64_t linux_sigset_t; /* bit n-1 stands for signal n */

static inline linux_sigset_t linux_sigmask(int signo) {
    return 1ull << (signo - 1);
}

/* rt_sigaction(2) */
struct linux_sigaction {
    uint64_t handler, flags, restorer;
    linux_sigset_t mask;
};
ABI_SIZE(linux_sigaction, 32);

/* sigaltstack(2) */
#define LINUX_SS_ONSTACK    1
#define LINUX_SS_DISABLE    2
#define LINUX_SS_AUTODISARM 0x80000000u
struct linux_stack {
    uint64_t sp;
    int32_t flags;
    uint64_t size;
};
ABI_SIZE(linux_stack, 24);
ABI_OFFSET(linux_stack, size, 16);

struct linux_siginfo {
    int32_t signo, errnum, code;
    int32_t pad;
    union {
        struct {
            int32_t pid;
            uint32_t uid;
            uint64_t value; /* sigqueue(3) only */
        } kill;
        struct {
            int32_t id, overrun;
            uint64_t value;
            int32_t sys_private;
        } timer;
        struct {
            int32_t pid;
            uint32_t uid;
            int32_t status;       /* exit status, or the signal */
            int64_t utime, stime; /* clock ticks */
        } chld;
        struct {
            uint64_t address;
            int16_t address_lsb; /* BUS_MCEERR_* */
            uint64_t lower;      /* SEGV_BNDERR; SEGV_PKUERR: the key, in its low 32 bits */
            uint64_t upper;
        } fault;
        struct {
            int64_t band;
            int32_t fd;
        } poll;
        struct {
            uint64_t call_address;
            int32_t number;
            uint32_t arch;
        } sys;
        uint8_t bytes[112];
    };
};
ABI_SIZE(linux_siginfo, 128);
ABI_OFFSET(linux_siginfo, kill.pid, 16);
ABI_OFFSET(linux_siginfo, kill.value, 24);
ABI_OFFSET(linux_siginfo, timer.value, 24);
ABI_OFFSET(linux_siginfo, chld.status, 24);
ABI_OFFSET(linux_siginfo, chld.utime, 32);
ABI_OFFSET(linux_siginfo, fault.address, 16);
ABI_OFFSET(linux_siginfo, fault.address_lsb, 24);
ABI_OFFSET(linux_siginfo, fault.lower, 32);
ABI_OFFSET(linux_siginfo, poll.fd, 24);
ABI_OFFSET(linux_siginfo, sys.number, 24);

struct linux_sigevent {
    uint64_t value;
    int32_t signo, notify;
    union {
        int32_t tid; /* SIGEV_THREAD_ID */
        uint8_t bytes[48];
    };
};
ABI_SIZE(linux_sigevent, 64);
ABI_OFFSET(linux_sigevent, tid, 16);

struct linux_signalfd_siginfo {
    uint32_t signo;
    int32_t errnum, code;
    uint32_t pid, uid;
    int32_t fd;
    uint32_t tid, band, overrun, trapno;
    int32_t status, value_int;
    uint64_t value_ptr, utime, stime, address;
    uint16_t address_lsb, pad2;
    int32_t syscall;
    uint64_t call_address;
    uint32_t arch;
    uint8_t pad[28];
};
ABI_SIZE(linux_signalfd_siginfo, 128);
ABI_OFFSET(linux_signalfd_siginfo, value_ptr, 48);
ABI_OFFSET(linux_signalfd_siginfo, address, 72);
