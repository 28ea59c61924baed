/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/metadata.c: stat, statx, modes, owners, times, extended attributes, statfs. Sources:
 * inode(7), chmod(2), chown(2), utimensat(2), statx(2), xattr(7), access(2), umask(2).
 */
#include "conform.h"

#include <linux/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static struct stat stat_of(const char *path) {
    struct stat st;

    OK(lstat(path, &st));
    return st;
}

CHECK(chmod_bits) {
    put_file("f", "");
    OK(chmod("f", 04755));
    EQ(stat_of("f").st_mode & 07777, 04755);
    OK(chmod("f", 0));
    EQ(stat_of("f").st_mode & 07777, 0);
    int fd = OK(open(".", O_RDONLY));
    OK(fchmod(fd, 01777));
    EQ(stat_of(".").st_mode & 07777, 01777);
    ERR(chmod("no", 0600), ENOENT);
    OK(symlink("f", "l"));
    OK(chmod("l", 0640));
    EQ(stat_of("f").st_mode & 07777, 0640);
    EQ(stat_of("l").st_mode & 07777, 0777);
}

CHECK(chown_clears_setuid) {
    if (!is_root())
        check_skip("geteuid: not root");
    put_file("f", "");
    OK(chmod("f", 06755));
    OK(chown("f", 1000, 1001));
    EQ(stat_of("f").st_uid, 1000);
    EQ(stat_of("f").st_gid, 1001);
    EQ(stat_of("f").st_mode & 07777, 0755);
    OK(chown("f", (uid_t)-1, 5));
    EQ(stat_of("f").st_uid, 1000);
    EQ(stat_of("f").st_gid, 5);
    OK(symlink("f", "l"));
    OK(lchown("l", 7, 7));
    EQ(stat_of("l").st_uid, 7);
    EQ(stat_of("f").st_uid, 1000);
    OK(chown("l", 8, 8));
    EQ(stat_of("f").st_uid, 8);
}

CHECK(write_clears_setuid) {
    if (!is_root())
        check_skip("geteuid: not root");
    put_file("f", "");
    OK(chmod("f", 06777));
    OK(chmod(".", 0777));
    become_nobody();
    int fd = OK(open("f", O_WRONLY));
    EQ(write(fd, "x", 1), 1);
    EQ(stat_of("f").st_mode & 07777, 0777);
}

CHECK(permissions_of_another_user) {
    if (!is_root())
        check_skip("geteuid: not root");
    put_file("f", "x");
    OK(chmod("f", 0640));
    put_file("g", "x");
    OK(chown("g", 0, 65534));
    OK(chmod("g", 0060));
    OK(mkdir("d", 0711));
    put_file("d/known", "");
    OK(mkdir("closed", 0700));
    put_file("closed/f", "");
    OK(mkdir("sticky", 0777));
    OK(chmod("sticky", 01777));
    put_file("sticky/f", "");
    become_nobody();
    ERR(open("f", O_RDONLY), EACCES);
    ERR(open("f", O_WRONLY), EACCES);
    OK(open("g", O_RDWR));
    OK(open("d/known", O_RDONLY));
    ERR(open("d", O_RDONLY), EACCES);
    ERR(open("d/new", O_WRONLY | O_CREAT, 0600), EACCES);
    ERR(open("closed/f", O_RDONLY), EACCES);
    struct stat st;
    ERR(stat("closed/no", &st), EACCES);
    OK(stat("closed", &st));
    ERR(unlink("sticky/f"), EPERM);
    ERR(rename("sticky/f", "sticky/g"), EPERM);
    put_file("sticky/mine", "");
    OK(unlink("sticky/mine"));
    ERR(chmod("f", 0777), EPERM);
    ERR(chown("f", 65534, 65534), EPERM);
    ERR(access("f", R_OK), EACCES);
    OK(access("f", F_OK));
    ERR(utimensat(AT_FDCWD, "f", NULL, 0), EACCES);
    ERR(utimensat(AT_FDCWD, "f", (struct timespec[2]){{1, 0}, {1, 0}}, 0), EPERM);
    ERR(truncate("f", 0), EACCES);
    ERR(chroot("."), EPERM);
    ERR(mknod("sticky/dev", S_IFCHR | 0600, makedev(1, 3)), EPERM);
}

CHECK(owner_rights_come_first) {
    if (!is_root())
        check_skip("geteuid: not root");
    put_file("f", "x");
    OK(chown("f", 65534, 65534));
    OK(chmod("f", 0077));
    become_nobody();
    ERR(open("f", O_RDONLY), EACCES);
    OK(chmod("f", 0400));
    OK(open("f", O_RDONLY));
}

CHECK(root_overrides) {
    if (!is_root())
        check_skip("geteuid: not root");
    put_file("f", "x");
    OK(chmod("f", 0));
    OK(open("f", O_RDWR));
    ERR(access("f", X_OK), EACCES);
    OK(chmod("f", 0100));
    OK(access("f", X_OK));
}

CHECK(access_uses_real_ids) {
    if (!is_root())
        check_skip("geteuid: not root");
    put_file("f", "");
    OK(chmod("f", 0600));
    OK(setresuid(65534, 0, 0));
    ERR(access("f", R_OK), EACCES);
    OK(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
    OK(open("f", O_RDONLY));
    ERR(access("f", 8), EINVAL);
}

CHECK(setgid_directory) {
    if (!is_root())
        check_skip("geteuid: not root");
    OK(mkdir("d", 0755));
    OK(chown("d", 0, 42));
    OK(chmod("d", 02755));
    put_file("d/f", "");
    OK(mkdir("d/sub", 0755));
    EQ(stat_of("d/f").st_gid, 42);
    EQ(stat_of("d/sub").st_gid, 42);
    EQ(stat_of("d/sub").st_mode & 07777, 02755);
}

CHECK(times_by_utimensat) {
    struct timespec t[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
    struct stat st;

    put_file("f", "");
    OK(utimensat(AT_FDCWD, "f", t, 0));
    st = stat_of("f");
    EQ(st.st_atim.tv_sec, 1000000000);
    EQ(st.st_atim.tv_nsec, 123456789);
    EQ(st.st_mtim.tv_sec, 1100000000);
    EQ(st.st_mtim.tv_nsec, 987654321);
    t[0].tv_nsec = UTIME_OMIT;
    t[1].tv_nsec = UTIME_NOW;
    OK(utimensat(AT_FDCWD, "f", t, 0));
    st = stat_of("f");
    EQ(st.st_atim.tv_sec, 1000000000);
    TRUE(st.st_mtim.tv_sec > 1100000000);
    t[0].tv_nsec = 1000000000;
    ERR(utimensat(AT_FDCWD, "f", t, 0), EINVAL);
    OK(symlink("f", "l"));
    t[0] = t[1] = (struct timespec){5, 6};
    OK(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW));
    EQ(stat_of("l").st_mtim.tv_sec, 5);
    TRUE(stat_of("f").st_mtim.tv_sec > 1100000000);
    int fd = OK(open("f", O_RDONLY));
    OK(futimens(fd, t));
    EQ(stat_of("f").st_mtim.tv_sec, 5);
    EQ(stat_of("f").st_mtim.tv_nsec, 6);
}

static bool later(struct timespec a, struct timespec b) {
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

CHECK(what_changes_which_time) {
    struct stat a, b;

    put_file("f", "abc");
    OK(mkdir("d", 0755));
    a = stat_of("f");
    sleep_ms(20);
    int fd = OK(open("f", O_RDWR));
    EQ(write(fd, "x", 1), 1);
    b = stat_of("f");
    TRUE(later(b.st_mtim, a.st_mtim));
    TRUE(later(b.st_ctim, a.st_ctim));
    sleep_ms(20);
    OK(chmod("f", 0600));
    a = stat_of("f");
    TRUE(later(a.st_ctim, b.st_ctim));
    TRUE(!later(a.st_mtim, b.st_mtim));
    b = stat_of("d");
    sleep_ms(20);
    put_file("d/x", "");
    a = stat_of("d");
    TRUE(later(a.st_mtim, b.st_mtim));
    sleep_ms(20);
    OK(unlink("d/x"));
    b = stat_of("d");
    TRUE(later(b.st_mtim, a.st_mtim));
    a = stat_of("f");
    sleep_ms(20);
    OK(link("f", "g"));
    b = stat_of("f");
    TRUE(later(b.st_ctim, a.st_ctim));
    TRUE(!later(b.st_mtim, a.st_mtim));
}

CHECK(statx_agrees_with_stat) {
    struct statx x;
    struct stat st;

    put_file("f", "12345");
    OK(syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &x));
    st = stat_of("f");
    EQ(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
    EQ(x.stx_mode, st.st_mode);
    EQ(x.stx_size, 5);
    EQ(x.stx_ino, st.st_ino);
    EQ(x.stx_nlink, st.st_nlink);
    EQ(x.stx_uid, st.st_uid);
    EQ(x.stx_blocks, st.st_blocks);
    EQ(x.stx_mtime.tv_sec, st.st_mtim.tv_sec);
    EQ(x.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
    EQ(makedev(x.stx_dev_major, x.stx_dev_minor), st.st_dev);
    ERR(syscall(SYS_statx, AT_FDCWD, "no", 0, STATX_ALL, &x), ENOENT);
    ERR(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x80000000u, &x), EINVAL);
    ERR(syscall(SYS_statx, AT_FDCWD, "f", 0x40000, STATX_ALL, &x), EINVAL);
    ERR(syscall(SYS_statx, AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_ALL, &x), EINVAL);
    ERR(syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_ALL, NULL), EFAULT);
    int fd = OK(open("f", O_RDONLY));
    OK(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
    EQ(x.stx_size, 5);
}

CHECK(stat_errors) {
    struct stat st;

    ERR(stat("f", (struct stat *)8), ENOENT);
    put_file("f", "");
    ERR(syscall(SYS_stat, "f", 8), EFAULT);
    ERR(syscall(SYS_stat, 8, &st), EFAULT);
    ERR(fstat(-1, &st), EBADF);
    ERR(syscall(SYS_newfstatat, AT_FDCWD, "f", &st, 0x10), EINVAL);
}

CHECK(stat_of_pipes_and_devices) {
    struct stat st;
    int p[2];

    OK(pipe(p));
    OK(fstat(p[0], &st));
    EQ(st.st_mode & S_IFMT, S_IFIFO);
    EQ(st.st_mode & 0777, 0600);
    EQ(st.st_size, 0);
    OK(stat("/dev/zero", &st));
    EQ(st.st_rdev, makedev(1, 5));
}

CHECK(user_attributes) {
    char value[64];
    char list[128];

    put_file("f", "");
    if (setxattr("f", "user.a", "1", 1, 0) < 0 && errno == EOPNOTSUPP)
        check_skip("setxattr(user.a): EOPNOTSUPP on the host's /tmp");
    EQ(getxattr("f", "user.a", value, sizeof value), 1);
    EQ(value[0], '1');
    EQ(getxattr("f", "user.a", NULL, 0), 1);
    OK(setxattr("f", "user.a", "longer", 6, XATTR_REPLACE));
    ERR(getxattr("f", "user.a", value, 3), ERANGE);
    ERR(setxattr("f", "user.a", "x", 1, XATTR_CREATE), EEXIST);
    ERR(setxattr("f", "user.b", "x", 1, XATTR_REPLACE), ENODATA);
    ERR(getxattr("f", "user.b", value, sizeof value), ENODATA);
    OK(setxattr("f", "user.empty", "", 0, 0));
    EQ(getxattr("f", "user.empty", value, sizeof value), 0);
    ssize_t n = OK(listxattr("f", list, sizeof list));
    int found = 0;
    for (char *p = list; p < list + n; p += strlen(p) + 1)
        found += strcmp(p, "user.a") == 0 || strcmp(p, "user.empty") == 0;
    EQ(found, 2);
    ERR(listxattr("f", list, 3), ERANGE);
    OK(removexattr("f", "user.a"));
    ERR(removexattr("f", "user.a"), ENODATA);
    ERR(setxattr("f", "user.", "x", 1, 0), EINVAL);
    ERR(setxattr("f", "nonsense.a", "x", 1, 0), EOPNOTSUPP);
    ERR(setxattr("f", "user.a", "x", 1, 4), EINVAL);
    ERR(setxattr("f", "", "x", 1, 0), ERANGE);
    OK(symlink("f", "l"));
    ERR(lsetxattr("l", "user.a", "x", 1, 0), EPERM);
    int fd = OK(open("f", O_RDONLY));
    OK(fsetxattr(fd, "user.c", "y", 1, 0));
    EQ(fgetxattr(fd, "user.c", value, 1), 1);
}

CHECK(statfs_basics) {
    struct statfs s;

    OK(statfs("/proc", &s));
    EQ(s.f_type, 0x9fa0);
    OK(statfs(".", &s));
    TRUE(s.f_bsize >= 512);
    TRUE(s.f_namelen >= 255);
    ERR(statfs("no", &s), ENOENT);
    ERR(fstatfs(-1, &s), EBADF);
}

CHECK(umask_calls) {
    EQ(umask(0777), 022);
    EQ(umask(01777), 0777);
    EQ(umask(0), 0777);
    close(OK(open("f", O_CREAT | O_WRONLY, 0666)));
    EQ(stat_of("f").st_mode & 07777, 0666);
}
