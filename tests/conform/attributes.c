/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/attributes.c: what files have besides mode and times, on tmpfs: POSIX ACLs, inode flags
 * (chattr), extended attributes by *xattrat, file handles, and the planted files that O_CREAT refuses.
 */
#include "conform.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <grp.h>
#include <sys/xattr.h>

#ifndef __NR_setxattrat
#define __NR_setxattrat    463
#define __NR_getxattrat    464
#define __NR_listxattrat   465
#define __NR_removexattrat 466
#endif

static void on_tmpfs(void) {
    char cwd[512];

    OK(unshare(CLONE_NEWNS));
    OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    OKP(getcwd(cwd, sizeof cwd));
    OK(mount("t", cwd, "tmpfs", 0, "mode=0777"));
    OK(chdir(cwd));
    umask(022);
}

struct acl_value {
    uint32_t version;
    struct {
        uint16_t tag, perm;
        uint32_t id;
    } e[8];
};
#define ACCESS      "system.posix_acl_access"
#define DEFAULT     "system.posix_acl_default"
#define ACL_SIZE(n) (4 + 8 * (n))

/* A user and a mask besides the owners. */
static struct acl_value with_user(unsigned uid, unsigned perm, unsigned mask) {
    return (struct acl_value){2, {{1, 7, -1}, {2, perm, uid}, {4, 5, -1}, {0x10, mask, -1}, {0x20, 0, -1}}};
}

static void show_acl(const char *path, const char *name) {
    struct acl_value v;
    ssize_t n = getxattr(path, name, &v, sizeof v);

    if (n < 0) {
        printf("%s %s: %s\n", path, name, strerrorname_np(errno));
        return;
    }
    printf("%s %s:", path, name);
    for (int i = 0; i < (n - 4) / 8; i++)
        printf(" %x:%x:%d", v.e[i].tag, v.e[i].perm, (int)v.e[i].id);
    printf("\n");
}

static unsigned mode_of(const char *path) {
    struct stat st;

    OK(lstat(path, &st));
    return st.st_mode & 07777;
}

CHECK(acl_set_get_remove) {
    char list[256];

    on_tmpfs();
    put_file("f", "");
    struct acl_value v = with_user(1000, 6, 6);
    ERR(getxattr("f", ACCESS, list, sizeof list), ENODATA);
    OK(setxattr("f", ACCESS, &v, ACL_SIZE(5), 0));
    show_acl("f", ACCESS);
    EQ(mode_of("f"), 0760);
    EQ(OK(getxattr("f", ACCESS, NULL, 0)), ACL_SIZE(5));
    ERR(getxattr("f", ACCESS, list, 8), ERANGE);
    EQ(OK(listxattr("f", list, sizeof list)), (long)sizeof ACCESS);
    STREQ(list, ACCESS);
    OK(chmod("f", 0604));
    show_acl("f", ACCESS);
    EQ(mode_of("f"), 0604);
    OK(removexattr("f", ACCESS));
    EQ(mode_of("f"), 0604);
    ERR(getxattr("f", ACCESS, list, sizeof list), ENODATA);
    /* One that is a mode becomes one. */
    struct acl_value plain = {2, {{1, 6, -1}, {4, 4, -1}, {0x20, 4, -1}}};
    OK(setxattr("f", ACCESS, &plain, ACL_SIZE(3), 0));
    EQ(mode_of("f"), 0644);
    ERR(getxattr("f", ACCESS, list, sizeof list), ENODATA);
    OK(removexattr("f", ACCESS));
}

CHECK(acl_errors) {
    on_tmpfs();
    put_file("f", "");
    OK(mkdir("d", 0755));
    OK(symlink("f", "l"));
    struct acl_value v = with_user(1000, 6, 6), bad = v;
    ERR(setxattr("f", ACCESS, &v, 3, 0), EINVAL);
    ERR(setxattr("f", ACCESS, &v, ACL_SIZE(5) - 1, 0), EINVAL);
    bad.version = 1;
    ERR(setxattr("f", ACCESS, &bad, ACL_SIZE(5), 0), EOPNOTSUPP);
    bad = v;
    bad.e[1].tag = 3;
    ERR(setxattr("f", ACCESS, &bad, ACL_SIZE(5), 0), EINVAL);
    bad = v;
    bad.e[3] = bad.e[4];
    ERR(setxattr("f", ACCESS, &bad, ACL_SIZE(4), 0), EINVAL); /* no mask */
    bad = v;
    bad.e[0].perm = 9;
    ERR(setxattr("f", ACCESS, &bad, ACL_SIZE(5), 0), EINVAL);
    bad = v;
    bad.e[0] = v.e[1];
    bad.e[1] = v.e[0];
    ERR(setxattr("f", ACCESS, &bad, ACL_SIZE(5), 0), EINVAL);
    ERR(setxattr("f", DEFAULT, &v, ACL_SIZE(5), 0), EACCES);
    ERR(lsetxattr("l", ACCESS, &v, ACL_SIZE(5), 0), EOPNOTSUPP);
    ERR(lgetxattr("l", ACCESS, NULL, 0), EOPNOTSUPP);
    ERR(setxattr("f", "system.nonesuch", &v, 4, 0), EOPNOTSUPP);
    OK(chmod("f", 0666));
    become_nobody();
    ERR(setxattr("f", ACCESS, &v, ACL_SIZE(5), 0), EPERM);
}

static void as_user(const char *path, unsigned uid, unsigned gid, int flags, int want) {
    pid_t pid = fork();
    if (pid == 0) {
        setgroups(0, NULL);
        setgid(gid);
        setuid(uid);
        int fd = open(path, flags);
        _exit(fd >= 0 ? 0 : errno);
    }
    int got = wait_exit(pid);
    printf("%s as %u:%u %s: %s\n", path, uid, gid, flags == O_RDONLY ? "read" : "write",
           got ? strerrorname_np(got) : "ok");
    EQ(got, want);
}

CHECK(acl_decides) {
    on_tmpfs();
    put_file("f", "");
    OK(chown("f", 500, 600));
    struct acl_value v = {
        2, {{1, 4, -1}, {2, 6, 1000}, {2, 7, 1001}, {4, 4, -1}, {8, 6, 700}, {0x10, 6, -1}, {0x20, 0, -1}}};
    OK(setxattr("f", ACCESS, &v, ACL_SIZE(7), 0));
    as_user("f", 500, 1, O_RDONLY, 0);
    as_user("f", 500, 1, O_WRONLY, EACCES);
    as_user("f", 1000, 1, O_RDWR, 0);
    as_user("f", 1001, 1, O_WRONLY, 0);
    as_user("f", 2000, 600, O_RDONLY, 0);
    as_user("f", 2000, 600, O_WRONLY, EACCES);
    as_user("f", 2000, 700, O_WRONLY, 0);
    as_user("f", 2000, 1, O_RDONLY, EACCES);
    OK(chmod("f", 0440)); /* the mask */
    as_user("f", 1000, 1, O_WRONLY, EACCES);
    as_user("f", 1000, 1, O_RDONLY, 0);
}

CHECK(acl_is_inherited) {
    on_tmpfs();
    OK(mkdir("d", 0755));
    struct acl_value v = with_user(1000, 7, 7);
    OK(setxattr("d", DEFAULT, &v, ACL_SIZE(5), 0));
    show_acl("d", ACCESS);
    show_acl("d", DEFAULT);
    EQ(mode_of("d"), 0755);
    close(OK(open("d/f", O_CREAT | O_RDWR, 0666)));
    EQ(mode_of("d/f"), 0660); /* no umask */
    show_acl("d/f", ACCESS);
    show_acl("d/f", DEFAULT);
    OK(mkdir("d/sub", 0777));
    EQ(mode_of("d/sub"), 0770);
    show_acl("d/sub", ACCESS);
    show_acl("d/sub", DEFAULT);
    OK(mknod("d/fifo", S_IFIFO | 0606, 0));
    show_acl("d/fifo", ACCESS);
    OK(symlink("x", "d/l"));
    EQ(mode_of("d/l"), 0777);
    int fd = OK(open("d", O_TMPFILE | O_RDWR, 0666));
    OK(linkat(AT_FDCWD, ({
                  static char p[64];
                  snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
                  p;
              }),
              AT_FDCWD, "d/t", AT_SYMLINK_FOLLOW));
    show_acl("d/t", ACCESS);
    OK(removexattr("d", DEFAULT));
    close(OK(open("d/g", O_CREAT | O_RDWR, 0666)));
    EQ(mode_of("d/g"), 0644);
}

/* ---- flags ---- */

static int get_flags(const char *path) {
    int fd = OK(open(path, O_RDONLY)), flags = 0;

    OK(ioctl(fd, FS_IOC_GETFLAGS, &flags));
    close(fd);
    return flags;
}

static void set_flags(const char *path, int flags) {
    int fd = OK(open(path, O_RDONLY));

    OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
    close(fd);
}

CHECK(immutable_files) {
    on_tmpfs();
    put_file("f", "text");
    OK(mkdir("d", 0755));
    put_file("d/in", "");
    EQ(get_flags("f"), 0);
    set_flags("f", FS_IMMUTABLE_FL);
    EQ(get_flags("f"), FS_IMMUTABLE_FL);
    ERR(open("f", O_WRONLY), EPERM);
    ERR(open("f", O_RDWR | O_TRUNC), EPERM);
    ERR(truncate("f", 0), EPERM);
    ERR(unlink("f"), EPERM);
    ERR(rename("f", "g"), EPERM);
    ERR(link("f", "g"), EPERM);
    ERR(chmod("f", 0600), EPERM);
    ERR(chown("f", 1, 1), EPERM);
    ERR(setxattr("f", "user.a", "b", 1, 0), EPERM);
    ERR(utimensat(AT_FDCWD, "f", NULL, 0), EPERM);
    OK(open("f", O_RDONLY));
    set_flags("d", FS_IMMUTABLE_FL);
    ERR(open("d/new", O_CREAT | O_RDWR, 0600), EPERM);
    ERR(unlink("d/in"), EPERM);
    OK(open("d/in", O_RDWR));
    set_flags("f", 0);
    set_flags("d", 0);
    OK(unlink("f"));
}

CHECK(append_only_files) {
    on_tmpfs();
    put_file("f", "text");
    OK(mkdir("d", 0755));
    put_file("d/in", "");
    set_flags("f", FS_APPEND_FL);
    ERR(open("f", O_WRONLY), EPERM);
    ERR(open("f", O_WRONLY | O_APPEND | O_TRUNC), EPERM);
    int fd = OK(open("f", O_WRONLY | O_APPEND));
    EQ(OK(write(fd, "x", 1)), 1);
    ERR(fcntl(fd, F_SETFL, 0), EPERM);
    ERR(ftruncate(fd, 0), EPERM);
    ERR(unlink("f"), EPERM);
    ERR(chmod("f", 0600), EPERM);
    OK(utimensat(AT_FDCWD, "f", NULL, 0));
    set_flags("d", FS_APPEND_FL);
    OK(open("d/new", O_CREAT | O_RDWR, 0600));
    ERR(unlink("d/new"), EPERM);
    ERR(rename("d/new", "d/x"), EPERM);
    set_flags("d", 0);
    set_flags("f", 0);
}

CHECK(flags_errors) {
    struct fsxattr x;
    int flags = FS_IMMUTABLE_FL, p[2];

    on_tmpfs();
    int fd = OK(open("f", O_CREAT | O_RDWR, 0666));
    ERR(ioctl(fd, FS_IOC_SETFLAGS, NULL), EFAULT);
    flags = FS_COMPR_FL;
    ERR(ioctl(fd, FS_IOC_SETFLAGS, &flags), EOPNOTSUPP);
    flags = FS_NODUMP_FL;
    OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
    OK(ioctl(fd, FS_IOC_FSGETXATTR, &x));
    EQ(x.fsx_xflags, FS_XFLAG_NODUMP);
    OK(pipe(p));
    ERR(ioctl(p[0], FS_IOC_GETFLAGS, &flags), ENOTTY);
    ERR(ioctl(fd, FS_IOC_GETVERSION, &flags), ENOTTY);
    OK(fchmod(fd, 0666));
    become_nobody();
    flags = FS_NODUMP_FL | FS_NOATIME_FL;
    ERR(ioctl(fd, FS_IOC_SETFLAGS, &flags), EPERM);
}

CHECK(statx_attributes) {
    struct statx s;

    on_tmpfs();
    put_file("f", "");
    OK(statx(AT_FDCWD, "f", 0, STATX_ALL, &s));
    EQ(s.stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND | STATX_ATTR_NODUMP), 0);
    TRUE(s.stx_attributes_mask & STATX_ATTR_IMMUTABLE);
    TRUE(s.stx_mask & STATX_BTIME);
    set_flags("f", FS_IMMUTABLE_FL | FS_NODUMP_FL);
    OK(statx(AT_FDCWD, "f", 0, STATX_ALL, &s));
    TRUE(s.stx_attributes & STATX_ATTR_IMMUTABLE);
    TRUE(s.stx_attributes & STATX_ATTR_NODUMP);
    set_flags("f", 0);
}

CHECK(clone_and_dedupe_are_refused) {
    struct {
        struct file_dedupe_range r;
        struct file_dedupe_range_info info;
    } d = {.r = {.src_length = 4096, .dest_count = 1}};

    on_tmpfs();
    put_file("a", "text");
    int a = OK(open("a", O_RDONLY)), b = OK(open("b", O_CREAT | O_RDWR, 0600)), p[2];
    OK(pipe(p));
    ERR(ioctl(b, FICLONE, a), EOPNOTSUPP);
    ERR(ioctl(b, FICLONE, 99), EBADF);
    ERR(ioctl(a, FICLONE, b), EBADF);
    ERR(ioctl(b, FICLONE, p[0]), EXDEV);
    struct file_clone_range r = {.src_fd = a};
    ERR(ioctl(b, FICLONERANGE, &r), EOPNOTSUPP);
    d.info.dest_fd = b;
    ERR(ioctl(a, FIDEDUPERANGE, &d), EOPNOTSUPP);
}

/* ---- xattrs by *at ---- */

struct args {
    uint64_t value;
    uint32_t size, flags;
};

CHECK(xattr_at) {
    char buf[64] = "";
    struct args a = {(uintptr_t) "value", 5, 0}, g = {(uintptr_t)buf, sizeof buf, 0};

    on_tmpfs();
    errno = 0;
    if (syscall(__NR_setxattrat, -1, NULL, 0, NULL, NULL, 0) == -1 && errno == ENOSYS)
        check_skip("no setxattrat");
    put_file("f", "");
    OK(symlink("f", "l"));
    int fd = OK(open("f", O_PATH));
    OK(syscall(__NR_setxattrat, AT_FDCWD, "f", 0, "user.a", &a, sizeof a));
    EQ(OK(syscall(__NR_getxattrat, AT_FDCWD, "l", 0, "user.a", &g, sizeof g)), 5);
    STREQ(buf, "value");
    ERR(syscall(__NR_setxattrat, fd, "", AT_EMPTY_PATH, "user.b", &a, sizeof a), EBADF);
    int open_fd = OK(open("f", O_RDONLY));
    OK(syscall(__NR_setxattrat, open_fd, "", AT_EMPTY_PATH, "user.b", &a, sizeof a));
    EQ(OK(syscall(__NR_listxattrat, open_fd, "", AT_EMPTY_PATH, buf, sizeof buf)), 14);
    ERR(syscall(__NR_getxattrat, AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, "user.a", &g, sizeof g), ENODATA);
    OK(syscall(__NR_removexattrat, AT_FDCWD, "f", 0, "user.a"));
    ERR(syscall(__NR_removexattrat, AT_FDCWD, "f", 0, "user.a"), ENODATA);
    a.flags = XATTR_REPLACE;
    ERR(syscall(__NR_setxattrat, AT_FDCWD, "f", 0, "user.c", &a, sizeof a), ENODATA);
    a.flags = 8;
    ERR(syscall(__NR_setxattrat, AT_FDCWD, "f", 0, "user.c", &a, sizeof a), EINVAL);
    g.flags = 1;
    ERR(syscall(__NR_getxattrat, AT_FDCWD, "f", 0, "user.b", &g, sizeof g), EINVAL);
    g.flags = 0;
    ERR(syscall(__NR_getxattrat, AT_FDCWD, "f", 0x8000, "user.b", &g, sizeof g), EINVAL);
    ERR(syscall(__NR_getxattrat, AT_FDCWD, "f", 0, "user.b", &g, 8), EINVAL);
    ERR(syscall(__NR_getxattrat, AT_FDCWD, "f", 0, "user.b", &g, 8192), E2BIG);
    ERR(getxattr(NULL, "user.b", buf, sizeof buf), EFAULT);
    ERR(fgetxattr(fd, "user.b", buf, sizeof buf), EBADF);
}

/* ---- handles ---- */

CHECK(file_handles) {
    struct {
        struct file_handle h;
        char bytes[128];
    } h = {.h.handle_bytes = 0}, again;
    int mount_id, other_id;
    char buf[16] = "";

    on_tmpfs();
    put_file("f", "text");
    ERR(name_to_handle_at(AT_FDCWD, "f", &h.h, &mount_id, 0), EOVERFLOW);
    TRUE(h.h.handle_bytes > 0 && h.h.handle_bytes <= 128);
    OK(name_to_handle_at(AT_FDCWD, "f", &h.h, &mount_id, 0));
    again.h.handle_bytes = 128;
    OK(name_to_handle_at(AT_FDCWD, "f", &again.h, &other_id, 0));
    EQ(again.h.handle_bytes, h.h.handle_bytes);
    EQ(again.h.handle_type, h.h.handle_type);
    MEMEQ(again.h.f_handle, h.h.f_handle, h.h.handle_bytes);
    EQ(mount_id == other_id, 1);
    int dir = OK(open(".", O_RDONLY));
    int fd = OK(open_by_handle_at(dir, &h.h, O_RDONLY));
    EQ(OK(read(fd, buf, sizeof buf)), 4);
    STREQ(buf, "text");
    close(fd);
    ERR(name_to_handle_at(AT_FDCWD, "nonesuch", &h.h, &mount_id, 0), ENOENT);
    ERR(name_to_handle_at(AT_FDCWD, "f", &h.h, &mount_id, 0x8000), EINVAL);
    ERR(open_by_handle_at(99, &h.h, O_RDONLY), EBADF);
    OK(unlink("f"));
    ERR(open_by_handle_at(dir, &h.h, O_RDONLY), ESTALE);
    again.h.handle_bytes = 0;
    ERR(open_by_handle_at(dir, &again.h, O_RDONLY), EINVAL);
    again.h.handle_bytes = 200;
    ERR(open_by_handle_at(dir, &again.h, O_RDONLY), EINVAL);
    become_nobody();
    ERR(open_by_handle_at(dir, &h.h, O_RDONLY), EPERM);
}

/* ---- planted files ---- */

static int setting(const char *name) {
    char path[64], text[16];

    snprintf(path, sizeof path, "/proc/sys/fs/%s", name);
    return atoi(get_file(path, text, sizeof text));
}

static void nobody_creates(void *arg) {
    int regular = setting("protected_regular") >= 1 ? EACCES : 0;
    int fifo = setting("protected_fifos") >= 1 ? EACCES : 0;

    (void)arg;
    become_nobody();
    EQ(open("s/f", O_CREAT | O_RDWR, 0600) >= 0 ? 0 : errno, regular);
    EQ(open("s/p", O_CREAT | O_RDWR | O_NONBLOCK, 0600) >= 0 ? 0 : errno, fifo);
    OK(open("s/f", O_RDWR));
    ERR(open("s/f", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
}

CHECK(planted_files) {
    on_tmpfs();
    OK(mkdir("s", 0777));
    put_file("s/f", "");
    OK(mkfifo("s/p", 0666));
    OK(chown("s/f", 1000, 1000));
    OK(chown("s/p", 1000, 1000));
    OK(chmod("s/f", 0666));
    OK(chmod("s/p", 0666));
    OK(chmod("s", 01777));
    EQ(wait_exit(spawn(nobody_creates, NULL)), 0);
}

CHECK(quotas_are_refused) {
    int fd = OK(open("f", O_CREAT | O_RDWR, 0600));

    ERR(syscall(SYS_quotactl, 0x80000207, "/dev/null", 0, NULL), EINVAL);
    ERR(syscall(SYS_quotactl, 0x80000200, "/dev/null", 0, NULL), ENOTBLK);
    ERR(syscall(SYS_quotactl, 0x80000200, "nonesuch", 0, NULL), ENOENT);
    ERR(syscall(SYS_quotactl, 0x80000200, NULL, 0, NULL), ENODEV);
    OK(syscall(SYS_quotactl, 0x80000100, NULL, 0, NULL));
    ERR(syscall(443, 99, 0x80000200, 0, NULL), EBADF);
    ERR(syscall(443, fd, 0x80000207, 0, NULL), EINVAL);
}
