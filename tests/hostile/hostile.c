/* SPDX-License-Identifier: Apache-2.0
 * tests/hostile/hostile.c: every system call with random and boundary arguments, from several threads, as a
 * guest.
 *
 *     hostile --hostile [--seed N] [--seconds N | --rounds N] [--threads N] [--calls N] [--only
 * NAME-NUMBER]... [--trace]
 *
 * The supervisor forks one worker a round. A worker fills pools (descriptors of every kind, memory areas,
 * paths, pids), then its threads make random calls until the count is reached or the supervisor's patience
 * ends, and it is killed with all its children (its own session). A round is determined by its seed but for
 * the order in which threads run; --rounds 1 --threads 1 --seed N repeats one. What is looked for is on the
 * other side: a sentry that dies, hangs, or reports. Never run it outside of a sandbox: it refuses without
 * --hostile, and where /proc/1/comm is not its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_NUMBER = 470, POOL = 1 << 20, FD_LIMIT = 256, MAX_THREADS = 16, PATIENCE_MS = 1500 };

static uint64_t g_seed = 1;
static unsigned g_threads = 4, g_calls = 3000, g_only[64], g_only_count;
static bool g_trace;
static unsigned char *g_pool; /* POOL bytes, readable and writable, with an unmapped page behind */
static _Atomic unsigned g_running;
static _Atomic int g_tid[MAX_THREADS];

/* ---- randomness: xorshift, one state a thread ---- */

static __thread uint64_t g_state;

static uint64_t next(void) {
    g_state ^= g_state << 13;
    g_state ^= g_state >> 7;
    g_state ^= g_state << 17;
    return g_state * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t n) {
    return (next() >> 11) % n;
}

static uint64_t pick(const uint64_t *table, size_t count) {
    return table[below(count)];
}
#define PICK(table) pick(table, sizeof table / sizeof *table)

/* ---- values ---- */

static const uint64_t g_boundaries[] = {
    0,       1,       2,       3,        7,        8,         15,         16,         63,         64,
    100,     127,     128,     255,      256,      511,       512,        1000,       1023,       1024,
    4095,    4096,    4097,    8192,     65535,    65536,     0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
    -1ull,   -2ull,   -100ull, -4095ull, -4096ull, INT64_MAX, 1ull << 63, 1ull << 47, 0x1000000,  0x7ffff000,
    0x20000, 0x40000, 0x80000, 0x100000, 0x200000, 0x400000,  0x2000000,  0x8000000,  0x10000000, 0x40000000,
};
static const uint64_t g_bad_addresses[] = {
    0,          1,        4096,  0x10000, 0x7fffffffe000, 0x7ffffffff000, 1ull << 47,
    1ull << 63, -4096ull, -8ull, -1ull,   0x60000,        0x7fff00000000, 0xffffffffff600000};

static const char *const g_names[] = {
    "f",
    "g",
    "d",
    "d/x",
    "d/y",
    "s",
    ".",
    "..",
    "/",
    "/tmp",
    "/proc/self/mem",
    "/proc/self/maps",
    "/proc/self/status",
    "/proc/self/fd/0",
    "/proc/thread-self/stat",
    "/proc/self/ns/user",
    "/proc/self/uid_map",
    "/proc/sys/kernel/hostname",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/ptmx",
    "/dev/tty",
    "/dev/shm/x",
    "/sys",
    "fifo",
    "",
    "no/such",
    "d/../d/../f",
    "s/s/s/s",
    "/proc/self/exe",
    "/proc/1/root",
    "/proc/self/cwd",
    "/proc/self/oom_score_adj",
    "/proc/self/comm",
    "/proc/self/task",
};

static uint64_t address(void) {
    uint64_t at = (uint64_t)(uintptr_t)g_pool + below(POOL / 8) * 8;
    switch (below(16)) {
    case 0:
        return PICK(g_bad_addresses);
    case 1:
        return (uint64_t)(uintptr_t)g_pool + POOL - below(64); /* over the edge */
    case 2:
        return at + below(8);
    case 3:
        return (at & ~4095ull) + below(2) * 4096;
    default:
        return at;
    }
}

static uint64_t path(void) {
    char *at = (char *)g_pool + below(POOL - 8192);
    if (below(20) == 0)
        return address();
    if (below(40) == 0) {
        memset(at, 'a', 5000);
        return (uint64_t)(uintptr_t)at;
    }
    strcpy(at, g_names[below(sizeof g_names / sizeof *g_names)]);
    return (uint64_t)(uintptr_t)at;
}

static uint64_t small(void) {
    return below(3) ? below(64) : PICK(g_boundaries);
}

static uint64_t flags(void) {
    uint64_t value = 0;
    for (unsigned n = (unsigned)below(5); n > 0; n--)
        value |= 1ull << below(32);
    return value;
}

static uint64_t descriptor(void) {
    switch (below(24)) {
    case 0:
        return (uint64_t)-100; /* AT_FDCWD */
    case 1:
        return PICK(g_boundaries);
    default:
        return below(FD_LIMIT / 2);
    }
}

static uint64_t argument(void) {
    switch (below(10)) {
    case 0:
        return PICK(g_boundaries);
    case 1:
        return flags();
    case 2:
    case 3:
        return small();
    case 4:
        return descriptor();
    case 5:
        return path();
    case 6:
        return next();
    default:
        return address();
    }
}

/* Structures in memory: words that look like what calls expect. */
static void scribble(void) {
    uint64_t *at = (uint64_t *)g_pool + below(POOL / 8 - 64);
    for (unsigned i = 0; i < 32; i++) {
        switch (below(5)) {
        case 0:
            at[i] = 0;
            break;
        case 1:
            at[i] = address();
            break;
        case 2:
            at[i] = small();
            break;
        case 3:
            at[i] = small() | small() << 32;
            break;
        default:
            at[i] = argument();
        }
    }
}

/* ---- calls whose first argument is known to be of a kind: random ones would mostly give EBADF or ENOENT
 * ---- */

static const uint64_t g_ioctls[] = {
    0x5401, 0x5402, 0x5403,     0x540b,     0x540e,     0x540f,     0x5410,     0x5411,     0x5412,
    0x5413, 0x5414, 0x541b,     0x5420,     0x5421,     0x5422,     0x5423,     0x5429,     0x5450,
    0x5451, 0x5452, 0x80045430, 0x40045431, 0x5441,     0xc0045877, 0x801c581f, 0x80086601, 0x40086602,
    0x8910, 0x8912, 0x8913,     0x8921,     0xc0502100, 0xc0182101, 0x40082102, 0x40182103, 0xb701,
    0xb702, 0xb703, 0xb704,     0x40049409, 0x0,        0xffffffff};

static bool is_path_call(long n) {
    static const short calls[] = {
        SYS_open,      SYS_stat,      SYS_lstat,      SYS_access,      SYS_execve,       SYS_truncate,
        SYS_chdir,     SYS_rename,    SYS_mkdir,      SYS_rmdir,       SYS_creat,        SYS_link,
        SYS_unlink,    SYS_symlink,   SYS_readlink,   SYS_chmod,       SYS_chown,        SYS_lchown,
        SYS_utime,     SYS_mknod,     SYS_statfs,     SYS_setxattr,    SYS_lsetxattr,    SYS_getxattr,
        SYS_lgetxattr, SYS_listxattr, SYS_llistxattr, SYS_removexattr, SYS_lremovexattr, SYS_utimes,
        SYS_mount,     SYS_umount2,   SYS_chroot,     SYS_pivot_root,  SYS_swapon,       SYS_acct};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i] == n)
            return true;
    return false;
}

static bool is_at_call(long n) {
    static const short calls[] = {SYS_openat,
                                  SYS_mkdirat,
                                  SYS_mknodat,
                                  SYS_fchownat,
                                  SYS_futimesat,
                                  SYS_newfstatat,
                                  SYS_unlinkat,
                                  SYS_renameat,
                                  SYS_linkat,
                                  SYS_symlinkat,
                                  SYS_readlinkat,
                                  SYS_fchmodat,
                                  SYS_faccessat,
                                  SYS_utimensat,
                                  SYS_execveat,
                                  SYS_statx,
                                  SYS_renameat2,
                                  SYS_name_to_handle_at,
                                  428 /* open_tree */,
                                  429 /* move_mount */,
                                  437 /* openat2 */,
                                  439 /* faccessat2 */,
                                  442 /* mount_setattr */,
                                  SYS_inotify_add_watch,
                                  SYS_fanotify_mark};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i] == n)
            return true;
    return false;
}

static bool is_fd_call(long n) {
    static const short calls[] = {SYS_read,
                                  SYS_write,
                                  SYS_close,
                                  SYS_fstat,
                                  SYS_lseek,
                                  SYS_ioctl,
                                  SYS_pread64,
                                  SYS_pwrite64,
                                  SYS_readv,
                                  SYS_writev,
                                  SYS_dup,
                                  SYS_dup2,
                                  SYS_dup3,
                                  SYS_sendfile,
                                  SYS_connect,
                                  SYS_accept,
                                  SYS_sendto,
                                  SYS_recvfrom,
                                  SYS_sendmsg,
                                  SYS_recvmsg,
                                  SYS_shutdown,
                                  SYS_bind,
                                  SYS_listen,
                                  SYS_getsockname,
                                  SYS_getpeername,
                                  SYS_setsockopt,
                                  SYS_getsockopt,
                                  SYS_fcntl,
                                  SYS_flock,
                                  SYS_fsync,
                                  SYS_fdatasync,
                                  SYS_ftruncate,
                                  SYS_getdents,
                                  SYS_getdents64,
                                  SYS_fchdir,
                                  SYS_fchmod,
                                  SYS_fchown,
                                  SYS_fstatfs,
                                  SYS_fsetxattr,
                                  SYS_fgetxattr,
                                  SYS_flistxattr,
                                  SYS_fremovexattr,
                                  SYS_epoll_ctl,
                                  SYS_epoll_wait,
                                  SYS_epoll_pwait,
                                  SYS_fadvise64,
                                  SYS_readahead,
                                  SYS_splice,
                                  SYS_tee,
                                  SYS_vmsplice,
                                  SYS_sync_file_range,
                                  SYS_fallocate,
                                  SYS_timerfd_settime,
                                  SYS_timerfd_gettime,
                                  SYS_accept4,
                                  SYS_preadv,
                                  SYS_pwritev,
                                  SYS_preadv2,
                                  SYS_pwritev2,
                                  SYS_recvmmsg,
                                  SYS_sendmmsg,
                                  SYS_syncfs,
                                  SYS_setns,
                                  SYS_copy_file_range,
                                  SYS_inotify_rm_watch,
                                  SYS_signalfd,
                                  SYS_signalfd4,
                                  424 /* pidfd_send_signal */,
                                  434 + 4 /* pidfd_getfd */,
                                  440 /* process_madvise */,
                                  441 /* epoll_pwait2 */,
                                  SYS_mq_timedsend,
                                  SYS_mq_timedreceive};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i] == n)
            return true;
    return false;
}

/* Calls that would end the round at once or kill the supervisor's own view; a few of them are let through now
 * and then. */
static bool is_skipped(long n, const uint64_t *a) {
    switch (n) {
    case SYS_exit_group:
    case SYS_exit:
        return below(200) != 0;
    case SYS_kill:
    case SYS_tkill:
    case SYS_rt_sigqueueinfo:
        return (int)a[0] == -1 || (int)a[0] == 1 || (int)a[0] == getppid();
    case SYS_tgkill:
    case SYS_rt_tgsigqueueinfo:
        return (int)a[0] == 1 || (int)a[0] == getppid();
    case SYS_fork:
    case SYS_vfork:
    case SYS_clone:
    case 435:        /* clone3 */
        return true; /* made in make_child() */
    case SYS_pause:
    case SYS_rt_sigsuspend:
        return below(50) != 0;
    case SYS_setrlimit:
    case SYS_prlimit64:
        return below(20) != 0;
    case SYS_seccomp:
        return below(20) != 0;
    case SYS_execve:
    case SYS_execveat:
        return below(10) != 0;
    case SYS_munmap:
    case SYS_mremap:
    case SYS_mprotect:
    case SYS_mmap:
    case SYS_shmat:
        return false;
    }
    return false;
}

static void shape(long n, uint64_t *a) {
    if (is_path_call(n)) {
        a[0] = path();
        if (below(2))
            a[1] = below(2) ? path() : flags();
    } else if (is_at_call(n)) {
        a[0] = below(3) ? (uint64_t)-100 : descriptor();
        a[1] = path();
        if (n == SYS_linkat || n == SYS_renameat || n == SYS_renameat2 || n == 429) {
            a[2] = (uint64_t)-100;
            a[3] = path();
        }
    } else if (is_fd_call(n)) {
        a[0] = descriptor();
        a[1] = n == SYS_ioctl   ? PICK(g_ioctls)
               : n == SYS_fcntl ? (below(2) ? below(20) : 1024 + below(20))
                                : a[1];
    } else if (n == SYS_socket || n == SYS_socketpair) {
        static const uint64_t families[] = {1, 2, 10, 16, 17, 40, 38, 0};
        a[0] = PICK(families);
        a[1] = 1 + below(5) + (below(2) ? 04000 : 0);
        a[2] = below(3) ? 0 : below(256);
    } else if (n == SYS_ptrace) {
        static const uint64_t requests[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,
                                            12, 13, 14, 15, 16, 17, 24, 30, 31, 32};
        a[0] = below(2) ? PICK(requests) : 0x4200 + below(17);
        a[1] = (uint64_t)getpid() + below(12);
    } else if (n == SYS_prctl) {
        a[0] = below(70);
    } else if (n == SYS_futex) {
        a[1] = below(16) | (below(2) ? 128 : 0);
    } else if (n == SYS_mmap) {
        a[0] = below(4) ? 0 : a[0];
        a[1] = below(64) * 4096;
        a[3] = flags() | 2;
        a[4] = below(2) ? (uint64_t)-1 : descriptor();
        a[3] &= ~(uint64_t)(below(4) ? 0x100010 : 0); /* rarely over what is there */
    }
}

static long call(long n, const uint64_t *a) {
    long r;
    register uint64_t r10 __asm__("r10") = a[3];
    register uint64_t r8 __asm__("r8") = a[4];
    register uint64_t r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "0"(n), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

/* Children of every kind, each short-lived. */
static void make_child(void) {
    static const uint64_t kinds[] = {17,
                                     17,
                                     17,
                                     0x00020000 | 17,
                                     0x10000000 | 17,
                                     0x20000000 | 17,
                                     0x40000000 | 17,
                                     0x08000000 | 17,
                                     0x2000000 | 17,
                                     0};
    uint64_t kind = PICK(kinds);
    long pid = syscall(SYS_clone, kind, 0, 0, 0, 0);
    if (pid != 0)
        return;
    for (unsigned n = (unsigned)below(30); n > 0; n--) {
        uint64_t a[6];
        long number = (long)below(MAX_NUMBER);
        for (int i = 0; i < 6; i++)
            a[i] = argument();
        shape(number, a);
        if (!is_skipped(number, a))
            call(number, a);
    }
    _exit((int)below(256));
}

/* ---- a worker ---- */

static __thread sigjmp_buf g_jump;
static __thread bool g_can_jump;

/* The memory of the pool may be gone or read-only by now: the thread gets it anew and goes on. */
static void on_fault(int signo) {
    if (!g_can_jump)
        syscall(SYS_exit, 0); /* the thread alone: others go on */
    siglongjmp(g_jump, signo);
}

static void on_wake(int signo) {
    (void)signo;
}

static void catch_faults(void) {
    struct sigaction wake = {.sa_handler = on_wake};
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
        sigaction(signals[i], &sa, NULL);
    }
    sigaction(SIGUSR1, &wake, NULL);
}

static void open_pool(void) {
    int fds[2];
    for (unsigned i = 0; i < 8; i++) {
        if (open("f", O_RDWR | O_CREAT, 0600) < 0 || open(".", O_RDONLY | O_DIRECTORY) < 0)
            break;
        if (pipe(fds) == 0)
            fcntl(fds[0], F_SETFL, O_NONBLOCK);
        socketpair(AF_UNIX, i % 2 ? SOCK_STREAM | SOCK_NONBLOCK : SOCK_DGRAM | SOCK_NONBLOCK, 0, fds);
        (void)!socket(AF_INET, (i % 2 ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0);
        (void)!socket(AF_INET6, (i % 2 ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0);
        (void)!socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0);
        (void)!eventfd(1, EFD_NONBLOCK);
        (void)!timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
        (void)!epoll_create1(0);
        (void)!inotify_init1(IN_NONBLOCK);
        (void)!memfd_create("m", MFD_ALLOW_SEALING);
        (void)!open("/dev/ptmx", O_RDWR | O_NONBLOCK | O_NOCTTY);
        (void)!open("/proc/self/mem", O_RDWR);
        (void)!open("/proc/self/status", O_RDONLY);
        (void)!open("/dev/zero", O_RDWR);
        (void)!(int)syscall(434, getpid(), 0); /* pidfd_open */
        (void)!(int)syscall(SYS_perf_event_open, g_pool, 0, -1, -1, 0);
        (void)!(int)syscall(425, 8, g_pool); /* io_uring_setup */
        (void)!(int)syscall(SYS_fanotify_init, 0, 0);
        (void)!(int)syscall(SYS_userfaultfd, O_NONBLOCK);
        (void)!open("/proc/self/ns/uts", O_RDONLY);
        (void)!open("f", O_PATH);
    }
}

static void files(void) {
    mkdir("d", 0700);
    close(open("d/x", O_RDWR | O_CREAT, 0600));
    close(open("g", O_RDWR | O_CREAT, 0600));
    (void)!symlink("d/x", "s");
    mkfifo("fifo", 0600);
}

static void *thread_main(void *arg) {
    g_tid[(uintptr_t)arg] = (int)syscall(SYS_gettid);
    g_state = (g_seed + 1) * 0x9e3779b97f4a7c15ull + (uint64_t)(uintptr_t)arg * 0xda942042e4dd58b5ull;
    for (int i = 0; i < 8; i++)
        next();
    volatile unsigned i = 0;
    if (sigsetjmp(g_jump, 0) != 0)
        mmap(g_pool, POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    g_can_jump = true;
    while (i < g_calls) {
        uint64_t a[6];
        i++;
        long number = g_only_count ? (long)g_only[below(g_only_count)] : (long)below(MAX_NUMBER);
        for (int k = 0; k < 6; k++)
            a[k] = argument();
        shape(number, a);
        if (below(4) == 0)
            scribble();
        if (below(100) == 0)
            make_child();
        if (is_skipped(number, a))
            continue;
        if (g_trace)
            dprintf(2, "%u: call %ld(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx)\n", i, number, a[0], a[1], a[2],
                    a[3], a[4], a[5]);
        long r = call(number, a);
        if (g_trace)
            dprintf(2, "%u: = %ld\n", i, r);
    }
    g_running--;
    return NULL;
}

static void worker(uint64_t seed, const char *directory) {
    pthread_t threads[MAX_THREADS];
    struct rlimit few = {FD_LIMIT, FD_LIMIT}, processes = {64, 64}, file = {1 << 20, 1 << 20},
                  memory = {1ul << 30, 1ul << 30};

    g_seed = seed;
    setsid();
    if (chdir(directory) < 0)
        _exit(1);
    setrlimit(RLIMIT_NOFILE, &few);
    setrlimit(RLIMIT_FSIZE, &file);
    setrlimit(RLIMIT_AS, &memory);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    g_state = seed * 2 + 1;
    if (below(3) == 0 && setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0)
        setrlimit(RLIMIT_NPROC, &processes);
    catch_faults();
    close(0);
    close(1); /* what it writes is nothing that anyone wants to read */
    if (!g_trace)
        close(2);
    files();
    open_pool();
    for (unsigned i = 0; i < g_threads; i++)
        if (pthread_create(&threads[i], NULL, thread_main, (void *)(uintptr_t)i) == 0)
            g_running++;
    /* whoever sleeps in a call is woken; a thread that died of a fault never says so */
    while (g_running > 0) {
        bool alive = false;
        usleep(3000);
        for (unsigned i = 0; i < g_threads; i++)
            alive |= syscall(SYS_tgkill, getpid(), (int)g_tid[i], SIGUSR1) == 0;
        if (!alive)
            break;
    }
    _exit(0);
}

/* ---- the supervisor ---- */

static uint64_t now_ms(void) {
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Everything but the supervisor itself ends; it is the init of its pid namespace, or the round's session is
 * all there is. */
static void end_round(pid_t pid) {
    uint64_t start = now_ms();
    int status;

    kill(getpid() == 1 ? -1 : -pid, SIGKILL);
    kill(pid, SIGKILL);
    for (;;) {
        pid_t ended = waitpid(-1, &status, WNOHANG | __WALL);
        if (ended < 0 && errno == ECHILD)
            return;
        if (ended > 0)
            continue;
        if (now_ms() - start > 30000) {
            printf("hostile: seed %lu: a killed process does not end\n", (unsigned long)g_seed);
            exit(2);
        }
        usleep(2000);
        if (getpid() == 1)
            kill(-1, SIGKILL);
    }
}

static void round_with(uint64_t seed) {
    static unsigned number;
    char directory[64];
    uint64_t start = now_ms();
    int status;

    g_seed = seed;
    snprintf(directory, sizeof directory, "/tmp/h%u", number++ % 64);
    mkdir(directory, 0777);
    chmod(directory, 0777);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        worker(seed, directory);
    if (pid < 0) {
        printf("hostile: seed %lu: fork: %s\n", (unsigned long)seed, strerror(errno));
        exit(2);
    }
    while (waitpid(pid, &status, WNOHANG) == 0 && now_ms() - start < PATIENCE_MS)
        usleep(1000);
    end_round(pid);
}

static void alone_or_refuse(void) {
    char comm[32] = "";
    int fd = open("/proc/1/comm", O_RDONLY);

    if (fd >= 0 && read(fd, comm, sizeof comm - 1) > 0 && strncmp(comm, "hostile", 7) != 0) {
        fprintf(stderr, "hostile: the first process here is %s: this is no sandbox of its own\n", comm);
        exit(3);
    }
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv) {
    uint64_t seconds = 0, rounds = 0, done = 0;
    bool hostile = false;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--hostile") == 0)
            hostile = true;
        else if (strcmp(argv[i], "--trace") == 0)
            g_trace = true;
        else if (strcmp(argv[i], "--seed") == 0)
            g_seed = strtoull(value, NULL, 0), i++;
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtoull(value, NULL, 0), i++;
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = strtoull(value, NULL, 0), i++;
        else if (strcmp(argv[i], "--threads") == 0)
            g_threads = (unsigned)strtoul(value, NULL, 0) % (MAX_THREADS + 1), i++;
        else if (strcmp(argv[i], "--calls") == 0)
            g_calls = (unsigned)strtoul(value, NULL, 0), i++;
        else if (strcmp(argv[i], "--only") == 0 && g_only_count < 64)
            g_only[g_only_count++] = (unsigned)strtoul(value, NULL, 0), i++;
    }
    if (!hostile || getpid() != 1) {
        fprintf(stderr, "hostile: runs as the first process of a sandbox only, and with --hostile\n");
        return 3;
    }
    alone_or_refuse();
    mkdir("/tmp", 01777);
    g_pool = mmap(NULL, POOL + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g_pool == MAP_FAILED)
        return 2;
    munmap(g_pool + POOL, 4096);
    uint64_t first = g_seed, start = now_ms();
    if (rounds == 0 && seconds == 0)
        seconds = 10;
    for (uint64_t seed = first; rounds ? done < rounds : now_ms() - start < seconds * 1000; seed++, done++) {
        printf("hostile: seed %lu\n", (unsigned long)seed);
        round_with(seed);
    }
    printf("hostile: done, %lu rounds\n", (unsigned long)done);
    return 0;
}
