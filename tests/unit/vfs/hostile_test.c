/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/vfs/hostile_test.c: every file call with random and boundary arguments, as a hostile guest gives
 * them. Nothing may crash, leak, or answer with anything but a value or an errno. The seed is printed by a
 * failure: HOSTILE_SEED=N repeats it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/abi/linux/unistd.h"
#include "sentry/kernel/process.h"
#include "sentry/mm/uaccess.h"
#include "tests/unit/vfs/vfs_fixture.h"

#define f (*fp)
enum { CALLS = 30000 };

static const uint16_t g_calls[] = {
    LINUX_SYS_read,
    LINUX_SYS_write,
    LINUX_SYS_open,
    LINUX_SYS_close,
    LINUX_SYS_stat,
    LINUX_SYS_fstat,
    LINUX_SYS_lstat,
    LINUX_SYS_poll,
    LINUX_SYS_lseek,
    LINUX_SYS_ioctl,
    LINUX_SYS_pread64,
    LINUX_SYS_pwrite64,
    LINUX_SYS_readv,
    LINUX_SYS_writev,
    LINUX_SYS_access,
    LINUX_SYS_pipe,
    LINUX_SYS_select,
    LINUX_SYS_dup,
    LINUX_SYS_dup2,
    LINUX_SYS_sendfile,
    LINUX_SYS_fcntl,
    LINUX_SYS_flock,
    LINUX_SYS_fsync,
    LINUX_SYS_truncate,
    LINUX_SYS_ftruncate,
    LINUX_SYS_getdents,
    LINUX_SYS_getcwd,
    LINUX_SYS_chdir,
    LINUX_SYS_fchdir,
    LINUX_SYS_rename,
    LINUX_SYS_mkdir,
    LINUX_SYS_rmdir,
    LINUX_SYS_creat,
    LINUX_SYS_link,
    LINUX_SYS_unlink,
    LINUX_SYS_symlink,
    LINUX_SYS_readlink,
    LINUX_SYS_chmod,
    LINUX_SYS_fchmod,
    LINUX_SYS_chown,
    LINUX_SYS_umask,
    LINUX_SYS_utime,
    LINUX_SYS_mknod,
    LINUX_SYS_statfs,
    LINUX_SYS_pivot_root,
    LINUX_SYS_chroot,
    LINUX_SYS_mount,
    LINUX_SYS_umount2,
    LINUX_SYS_setxattr,
    LINUX_SYS_fsetxattr,
    LINUX_SYS_getxattr,
    LINUX_SYS_listxattr,
    LINUX_SYS_removexattr,
    LINUX_SYS_epoll_create,
    LINUX_SYS_getdents64,
    LINUX_SYS_fadvise64,
    LINUX_SYS_epoll_wait,
    LINUX_SYS_epoll_ctl,
    LINUX_SYS_utimes,
    LINUX_SYS_inotify_init,
    LINUX_SYS_openat,
    LINUX_SYS_mkdirat,
    LINUX_SYS_mknodat,
    LINUX_SYS_fchownat,
    LINUX_SYS_newfstatat,
    LINUX_SYS_unlinkat,
    LINUX_SYS_renameat,
    LINUX_SYS_linkat,
    LINUX_SYS_symlinkat,
    LINUX_SYS_readlinkat,
    LINUX_SYS_faccessat,
    LINUX_SYS_pselect6,
    LINUX_SYS_ppoll,
    LINUX_SYS_splice,
    LINUX_SYS_tee,
    LINUX_SYS_vmsplice,
    LINUX_SYS_utimensat,
    LINUX_SYS_epoll_pwait,
    LINUX_SYS_fallocate,
    LINUX_SYS_eventfd2,
    LINUX_SYS_epoll_create1,
    LINUX_SYS_dup3,
    LINUX_SYS_pipe2,
    LINUX_SYS_inotify_init1,
    LINUX_SYS_inotify_add_watch,
    LINUX_SYS_preadv,
    LINUX_SYS_pwritev,
    LINUX_SYS_syncfs,
    LINUX_SYS_renameat2,
    LINUX_SYS_memfd_create,
    LINUX_SYS_preadv2,
    LINUX_SYS_pwritev2,
    LINUX_SYS_statx,
    LINUX_SYS_close_range,
    LINUX_SYS_openat2,
    LINUX_SYS_faccessat2,
    LINUX_SYS_epoll_pwait2,
    LINUX_SYS_fchmodat2,
    LINUX_SYS_copy_file_range,
    LINUX_SYS_inotify_rm_watch,
};

static unsigned g_seed;

static unsigned any(unsigned below) {
    return (unsigned)rand_r(&g_seed) % below;
}

static gva_t any_path(struct fixture *fp) {
    static const char *const names[] = {"/",     "a",     "/a/b", "/a/../b", "b/",        "//",    "",
                                        "/l",    "/fifo", "/dev", ".",       "..",        "./a/.", "/a/b/",
                                        "tmpfs", "none",  "/m",   "user.x",  "trusted.y", "/l/l/l"};

    return S(names[any(ARRAY_SIZE(names))]);
}

/* Numbers that sit on edges. */
static uint64_t any_number(void) {
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     7,
                                     8,
                                     16,
                                     255,
                                     256,
                                     4095,
                                     4096,
                                     4097,
                                     65535,
                                     65536,
                                     1u << 20,
                                     INT32_MAX,
                                     1u << 31,
                                     UINT32_MAX,
                                     1ull << 32,
                                     INT64_MAX,
                                     1ull << 63,
                                     UINT64_MAX,
                                     (uint64_t)-100,
                                     (uint64_t)-1,
                                     0x7ffff000,
                                     0x7ffff001,
                                     INT64_MAX - 4096};

    switch (any(3)) {
    case 0:
        return edges[any(ARRAY_SIZE(edges))];
    case 1:
        return 1ull << any(64);
    default:
        return any(100);
    }
}

/* Guest memory full of small numbers and edges. */
static gva_t any_memory(struct fixture *fp) {
    uint64_t words[24];

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        words[i] = any(4) ? any_number() : any_path(&f);
    return put(&f, words, sizeof words);
}

static uint64_t any_argument(struct fixture *fp) {
    switch (any(10)) {
    case 0:
    case 1:
        return any_path(&f);
    case 2:
    case 3:
        return any_memory(&f);
    case 4:
    case 5:
    case 6:
        return any(12); /* descriptors, mostly */
    case 7:
        return any(3) ? any_number() : 8; /* nothing is mapped there */
    default:
        return any_number();
    }
}

static void one_call(struct fixture *fp) {
    unsigned number = g_calls[any(ARRAY_SIZE(g_calls))];
    struct syscall_args a;

    for (int i = 0; i < 6; i++)
        a.arg[i] = any_argument(&f);
    if (number == LINUX_SYS_close_range && any(50))
        return; /* now and then */
    if (number == LINUX_SYS_fallocate || number == LINUX_SYS_ftruncate || number == LINUX_SYS_pwrite64)
        a.arg[number == LINUX_SYS_ftruncate ? 1 : 3] %= 1 << 24;
    int64_t r = call_args(f.t, g_syscalls[number].fn, a);
    if (f.t->has_saved_mask) /* as the return to the guest does */
        signal_restore_temporary_mask(f.t);
    if (r < 0 && r > -4096)
        ASSERT_TRUE(r > -600 && (r > -134 || r <= -512)); /* an errno, or a restart code */
}

WITH_FIXTURE(random_arguments_break_nothing) {
    const char *seed = getenv("HOSTILE_SEED");

    g_seed = seed ? (unsigned)atoi(seed) : 20261128;
    fprintf(stderr, "HOSTILE_SEED=%u\n", g_seed);
    f.t->group->limits[LINUX_RLIMIT_FSIZE].cur = 64 << 20;
    ASSERT_OK(CALL(mkdir, S("/a"), 0755));
    ASSERT_OK(CALL(symlink, S("a"), S("/l")));
    ASSERT_OK(CALL(mknod, S("/fifo"), LINUX_S_IFIFO | 0666, 0));
    /* Whatever would wait is interrupted at once. */
    task_interrupt(f.t, TASK_WORK_EXIT);
    for (int i = 0; i < CALLS; i++)
        one_call(&f);
}
