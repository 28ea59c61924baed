/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/rare_calls.c: old and rare calls, most of them called directly: what Linux answers, and what
 * it refuses. Sources: the man page of each.
 */
#include "conform.h"

#include <linux/aio_abi.h>
#include <linux/mempolicy.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

enum { WHO_PROCESS = 1, WHO_PGRP, WHO_USER };
#define IO(class, level) ((class) << 13 | (level))

CHECK(ioprio) {
    EQ(syscall(SYS_ioprio_get, WHO_PROCESS, 0), 0);
    OK(syscall(SYS_ioprio_set, WHO_PROCESS, 0, IO(2, 6)));
    EQ(syscall(SYS_ioprio_get, WHO_PROCESS, getpid()), IO(2, 6));
    ERR(syscall(SYS_ioprio_set, WHO_PROCESS, 0, IO(0, 1)), EINVAL);
    ERR(syscall(SYS_ioprio_set, WHO_PROCESS, 0, IO(4, 0)), EINVAL);
    ERR(syscall(SYS_ioprio_set, 9, 0, IO(2, 4)), EINVAL);
    ERR(syscall(SYS_ioprio_set, WHO_PROCESS, 99999999, IO(2, 4)), ESRCH);
    ERR(syscall(SYS_ioprio_get, WHO_PROCESS, 99999999), ESRCH);
    ERR(syscall(SYS_ioprio_get, 9, 0), EINVAL);
    pid_t pid = fork();
    if (pid == 0) {
        EQ(syscall(SYS_ioprio_get, WHO_PROCESS, 0), IO(2, 6));
        OK(setpgid(0, 0));
        OK(syscall(SYS_ioprio_set, WHO_PGRP, 0, IO(3, 0)));
        EQ(syscall(SYS_ioprio_get, WHO_PGRP, 0), IO(3, 0));
        become_nobody();
        ERR(syscall(SYS_ioprio_set, WHO_PROCESS, 0, IO(1, 4)), EPERM);
        OK(syscall(SYS_ioprio_set, WHO_PROCESS, 0, IO(2, 0)));
        ERR(syscall(SYS_ioprio_set, WHO_PROCESS, getppid(), IO(2, 0)), EPERM);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    OK(syscall(SYS_ioprio_set, WHO_PROCESS, 0, 0));
    EQ(syscall(SYS_ioprio_get, WHO_PROCESS, 0), 0);
}

CHECK(sysfs_names) {
    char name[64];
    int count = OK(syscall(SYS_sysfs, 3));

    TRUE(count > 3);
    int index = OK(syscall(SYS_sysfs, 1, "proc"));
    OK(syscall(SYS_sysfs, 2, index, name));
    STREQ(name, "proc");
    ERR(syscall(SYS_sysfs, 1, "nothing-like-it"), EINVAL);
    ERR(syscall(SYS_sysfs, 2, 1000, name), EINVAL);
    ERR(syscall(SYS_sysfs, 4), EINVAL);
    ERR(syscall(SYS_sysfs, 1, 16), EFAULT);
}

CHECK(ustat) {
    struct stat s;
    struct {
        int free_blocks;
        unsigned long free_inodes;
        char name[6], pack[6];
    } u;

    OK(stat("/proc", &s));
    OK(syscall(SYS_ustat, (unsigned)s.st_dev, &u));
    ERR(syscall(SYS_ustat, (unsigned)makedev(200, 77), &u), EINVAL);
    ERR(syscall(SYS_ustat, (unsigned)s.st_dev, 16), EFAULT);
}

CHECK(refusals) {
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        ERR(syscall(SYS_vhangup), EPERM);
        ERR(syscall(SYS_reboot, 0, 0, 0, 0), EPERM);
        ERR(syscall(SYS_swapon, "x", 0), EPERM);
        ERR(syscall(SYS_swapoff, "x"), EPERM);
        ERR(syscall(SYS_acct, NULL), EPERM);
        ERR(syscall(SYS_settimeofday, &(struct timeval){1, 1}, NULL), EPERM);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    ERR(syscall(SYS__sysctl, NULL), ENOSYS);
    ERR(syscall(SYS_uselib, "x"), ENOSYS);
    ERR(syscall(SYS_create_module, "x", 1), ENOSYS);
    ERR(syscall(SYS_nfsservctl, 0, 0, 0), ENOSYS);
    ERR(syscall(SYS_lookup_dcookie, 0, 0, 0), ENOSYS);
    ERR(syscall(SYS_epoll_ctl_old, 0, 0, 0), ENOSYS);
    ERR(syscall(SYS_set_thread_area, 0), ENOSYS);
    ERR(syscall(5000), ENOSYS);
}

CHECK(quotactl) {
    int fd = OK(open("/proc", O_RDONLY));

    ERR(syscall(SYS_quotactl, 0x800007 << 8 | 9, "/dev/null", 0, NULL), EINVAL);
    ERR(syscall(SYS_quotactl, 0x80000700, "no-such-file", 0, NULL), ENOENT);
    ERR(syscall(SYS_quotactl, 0x80000700, "/dev/null", 0, NULL), ENOTBLK);
    ERR(syscall(SYS_quotactl, 0x80000700, 16, 0, NULL), EFAULT);
    OK(syscall(SYS_quotactl, 0x80000100, NULL, 0, NULL));
    ERR(syscall(SYS_quotactl_fd, -1, 0x80000700, 0, NULL), EBADF);
    ERR(syscall(SYS_quotactl_fd, fd, 0x80000700, 0, NULL), ENOSYS);
    ERR(syscall(SYS_quotactl_fd, fd, 0x80000709, 0, NULL), EINVAL);
}

CHECK(memory_policy) {
    int mode = 99;
    unsigned long mask = 7;

    OK(syscall(SYS_get_mempolicy, &mode, &mask, 64ul, NULL, 0ul));
    EQ(mode, MPOL_DEFAULT);
    EQ(mask, 0);
    mask = 1;
    OK(syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 64ul));
    mask = 0;
    OK(syscall(SYS_get_mempolicy, &mode, &mask, 64ul, NULL, 0ul));
    EQ(mode, MPOL_BIND);
    EQ(mask, 1);
    pid_t pid = fork();
    if (pid == 0) {
        OK(syscall(SYS_get_mempolicy, &mode, NULL, 0ul, NULL, 0ul));
        EQ(mode, MPOL_BIND);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    mask = 0;
    ERR(syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 64ul), EINVAL);
    mask = 1;
    ERR(syscall(SYS_set_mempolicy, MPOL_DEFAULT, &mask, 64ul), EINVAL);
    ERR(syscall(SYS_set_mempolicy, 77, &mask, 64ul), EINVAL);
    mask = 1ul << 40;
    ERR(syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 64ul), EINVAL);
    ERR(syscall(SYS_set_mempolicy, MPOL_BIND, 16, 64ul), EFAULT);
    OK(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0ul));
    unsigned long allowed[16] = {0};
    OK(syscall(SYS_get_mempolicy, NULL, allowed, 1024ul, NULL, (unsigned long)MPOL_F_MEMS_ALLOWED));
    EQ(allowed[0], 1);
    ERR(syscall(SYS_get_mempolicy, NULL, NULL, 0ul, NULL, 0x100ul), EINVAL);
    char *p = OKP(mmap(NULL, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    p[0] = 1;
    mask = 1;
    OK(syscall(SYS_mbind, p, 8192ul, MPOL_PREFERRED, &mask, 64ul, 0));
    ERR(syscall(SYS_mbind, p + 1, 8192ul, MPOL_PREFERRED, &mask, 64ul, 0), EINVAL);
    ERR(syscall(SYS_mbind, p, 8192ul, 77, &mask, 64ul, 0), EINVAL);
    ERR(syscall(SYS_mbind, p, 8192ul, MPOL_PREFERRED, &mask, 64ul, 0x100), EINVAL);
    OK(syscall(SYS_get_mempolicy, &mode, NULL, 0ul, p, (unsigned long)(MPOL_F_NODE | MPOL_F_ADDR)));
    EQ(mode, 0);
    OK(munmap(p + 4096, 4096));
    ERR(syscall(SYS_mbind, p, 8192ul, MPOL_PREFERRED, &mask, 64ul, 0), EFAULT);
    void *pages[2] = {p, p + 4096};
    int nodes[2] = {0, 0}, status[2] = {99, 99};
    OK(syscall(SYS_move_pages, 0, 2ul, pages, NULL, status, 0));
    EQ(status[0], 0);
    EQ(status[1], -EFAULT);
    OK(syscall(SYS_move_pages, 0, 1ul, pages, nodes, status, MPOL_MF_MOVE));
    EQ(status[0], 0);
    ERR(syscall(SYS_move_pages, 0, 1ul, pages, nodes, status, 0x100), EINVAL);
    ERR(syscall(SYS_move_pages, 99999999, 1ul, pages, nodes, status, MPOL_MF_MOVE), ESRCH);
    mask = 1;
    EQ(syscall(SYS_migrate_pages, 0, 64ul, &mask, &mask), 0);
    ERR(syscall(SYS_migrate_pages, 99999999, 64ul, &mask, &mask), ESRCH);
}

CHECK(process_mrelease) {
    int fd = OK(syscall(SYS_pidfd_open, getpid(), 0));

    ERR(syscall(448, fd, 0), EINVAL);
    ERR(syscall(448, fd, 1), EINVAL);
    ERR(syscall(448, -1, 0), EBADF);
}

CHECK(cachestat) {
    struct {
        uint64_t off, len;
    } range = {0, 0};
    struct {
        uint64_t cache, dirty, writeback, evicted, recently;
    } s;
    int fd = make_file("f", "hello"), pipes[2];

    if (syscall(451, fd, &range, &s, 0) < 0 && errno == ENOSYS)
        check_skip("cachestat: ENOSYS");
    EQ(s.cache, 1);
    ERR(syscall(451, fd, &range, &s, 1), EINVAL);
    ERR(syscall(451, -1, &range, &s, 0), EBADF);
    ERR(syscall(451, fd, 16, &s, 0), EFAULT);
    (void)pipes;
}

CHECK(namespace_files) {
    int user, fd = OK(open("/proc/self/ns/uts", O_RDONLY)), pid = OK(open("/proc/self/ns/pid", O_RDONLY));
    uid_t owner = 77;

    EQ(ioctl(fd, NS_GET_NSTYPE), CLONE_NEWUTS);
    ERR(ioctl(fd, NS_GET_OWNER_UID, &owner), EINVAL);
    ERR(ioctl(fd, NS_GET_PARENT), EINVAL);
    if (!is_root())
        check_skip("needs root for namespaces");
    OK(unshare(CLONE_NEWUSER | CLONE_NEWIPC));
    int ipc = OK(open("/proc/self/ns/ipc", O_RDONLY));
    user = OK(ioctl(ipc, NS_GET_USERNS));
    EQ(ioctl(user, NS_GET_NSTYPE), CLONE_NEWUSER);
    OK(ioctl(user, NS_GET_OWNER_UID, &owner));
    struct stat a, b;
    OK(fstat(user, &a));
    OK(stat("/proc/self/ns/user", &b));
    EQ(a.st_ino, b.st_ino);
    ERR(ioctl(user, NS_GET_PARENT), EPERM);
    ERR(ioctl(pid, NS_GET_PARENT), EPERM);
    ERR(ioctl(fd, NS_GET_USERNS), EPERM);
    ERR(ioctl(fd, 0xb7ff), ENOTTY);
}

CHECK(kcmp) {
    int a = OK(dup(0));
    pid_t me = getpid();

    EQ(syscall(SYS_kcmp, me, me, 0 /* FILE */, 0, a), 0);
    EQ(syscall(SYS_kcmp, me, me, 1 /* VM */, 0, 0), 0);
    ERR(syscall(SYS_kcmp, me, me, 0, 0, 99), EBADF);
    ERR(syscall(SYS_kcmp, me, me, 77, 0, 0), EINVAL);
    ERR(syscall(SYS_kcmp, me, 99999999, 1, 0, 0), ESRCH);
}

CHECK(personality) {
    EQ(syscall(SYS_personality, 0xffffffff), 0);
    EQ(syscall(SYS_personality, 0x0040000), 0);
    EQ(syscall(SYS_personality, 0xffffffff), 0x0040000);
    pid_t pid = fork();
    if (pid == 0)
        _exit(syscall(SYS_personality, 0xffffffff) == 0x0040000 ? 0 : 1);
    EQ(wait_exit(pid), 0);
}

CHECK(set_fs_ids) {
    EQ(syscall(SYS_setfsuid, -1), geteuid());
    EQ(syscall(SYS_setfsgid, -1), getegid());
    if (!is_root())
        return;
    EQ(syscall(SYS_setfsuid, 1000), 0);
    EQ(syscall(SYS_setfsuid, -1), 1000);
}

CHECK(prctl_rest) {
    int value;

    OK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
    OK(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
    EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
    OK(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
    EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
    OK(prctl(PR_MCE_KILL, PR_MCE_KILL_CLEAR, 0, 0, 0));
    ERR(prctl(PR_MCE_KILL, 5, 0, 0, 0), EINVAL);
    ERR(prctl(PR_GET_UNALIGN, &value), EINVAL);
    ERR(prctl(PR_GET_ENDIAN, &value), EINVAL);
    ERR(prctl(PR_SET_FPEMU, 1), EINVAL);
    ERR(prctl(12345, 0, 0, 0, 0), EINVAL);
    char *p = OKP(mmap(NULL, 8192, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ERR(prctl(0x53564d41, 1, p, 4096, "x"), EINVAL);
    ERR(prctl(PR_SET_SYSCALL_USER_DISPATCH, 5, 0, 0, 0), EINVAL);
    OK(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0));
    EQ(prctl(65 /* PR_SET_MDWE */, 8, 0, 0, 0), -1);
    EQ(prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0), 0);
}

CHECK(modify_ldt) {
    char room[64];

    EQ(syscall(SYS_modify_ldt, 0, room, sizeof room), 0);
    EQ(syscall(SYS_modify_ldt, 1, room, 3ul), (uint32_t)-EINVAL); /* its type is int, and stays so */
    EQ(syscall(SYS_modify_ldt, 77, room, 16ul), (uint32_t)-ENOSYS);
}
