/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/rw_flags.c: which RWF_* flags preadv2(2) and pwritev2(2) take of which file; fallocate(2)
 * modes of tmpfs; cachestat(2).
 */
#include "conform.h"

#include <sys/eventfd.h>
#include <sys/mount.h>

static void on_tmpfs(void) {
    char cwd[512];

    OK(unshare(CLONE_NEWNS));
    OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    OKP(getcwd(cwd, sizeof cwd));
    OK(mount("t", cwd, "tmpfs", 0, NULL));
    OK(chdir(cwd));
}

static void show(const char *what, int fd, bool write) {
    char b[16] = "aaaaaaaa";
    struct iovec v = {b, 8};

    printf("%s:", what);
    for (int f = 1; f <= 0x40; f <<= 1) {
        errno = 0;
        ssize_t r = write ? pwritev2(fd, &v, 1, -1, f) : preadv2(fd, &v, 1, -1, f);
        printf(" %x %s", f, r < 0 ? strerrorname_np(errno) : "ok");
    }
    errno = 0;
    ssize_t r = write ? pwritev2(fd, &v, 1, -1, 0x30) : preadv2(fd, &v, 1, -1, 0x400);
    printf(" both %s\n", r < 0 ? strerrorname_np(errno) : "ok");
}

CHECK(flags_by_file) {
    int p[2];

    on_tmpfs();
    int fd = OK(open("f", O_CREAT | O_RDWR, 0600)), event = OK(eventfd(0, EFD_NONBLOCK));
    show("write tmpfs", fd, true);
    show("read tmpfs", fd, false);
    OK(pipe2(p, O_NONBLOCK));
    show("write pipe", p[1], true);
    show("read pipe", p[0], false);
    show("write eventfd", event, true);
    show("read eventfd", event, false);
}

CHECK(appending_and_not) {
    struct iovec v = {"xy", 2};
    char text[16] = "";

    on_tmpfs();
    put_file("f", "0123");
    int fd = OK(open("f", O_RDWR | O_APPEND));
    EQ(OK(pwritev2(fd, &v, 1, 0, 0)), 2); /* O_APPEND wins */
    STREQ(get_file("f", text, sizeof text), "0123xy");
    EQ(OK(pwritev2(fd, &v, 1, 0, 0x20 /* RWF_NOAPPEND */)), 2);
    STREQ(get_file("f", text, sizeof text), "xy23xy");
    int plain = OK(open("f", O_RDWR));
    EQ(OK(pwritev2(plain, &v, 1, 0, 0x10 /* RWF_APPEND */)), 2);
    STREQ(get_file("f", text, sizeof text), "xy23xyxy");
}

CHECK(fallocate_modes_of_tmpfs) {
    static const int modes[] = {0, 1, 3, 2, 8, 0x10, 0x11, 0x20, 0x40};

    on_tmpfs();
    int fd = OK(open("f", O_CREAT | O_RDWR, 0600));
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        errno = 0;
        printf("%x %s\n", modes[i], fallocate(fd, modes[i], 0, 4096) < 0 ? strerrorname_np(errno) : "ok");
    }
}

CHECK(cachestat_errors) {
    uint64_t range[2] = {0, 0}, stat[5];
    int p[2];

    int fd = OK(open("f", O_CREAT | O_RDWR, 0600));
    errno = 0;
    if (syscall(451, fd, range, stat, 0) < 0 && errno == ENOSYS)
        check_skip("no cachestat");
    OK(syscall(451, fd, range, stat, 0));
    EQ(stat[0], 0);
    ERR(syscall(451, fd, range, stat, 1), EINVAL);
    ERR(syscall(451, fd, NULL, stat, 0), EFAULT);
    ERR(syscall(451, 99, range, stat, 0), EBADF);
    OK(pipe(p));
    OK(syscall(451, p[0], range, stat, 0));
    EQ(stat[0], 0);
}
