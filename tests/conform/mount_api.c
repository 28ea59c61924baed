/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/mount_api.c: mounting by descriptors: open_tree, move_mount, fsopen, fsconfig, fsmount,
 * fspick, mount_setattr, statmount, listmount.
 */
#include "conform.h"

#include <sys/mount.h>
#include <sys/statvfs.h>
#include <linux/mount.h>

#ifndef __NR_statmount
#define __NR_statmount 457
#define __NR_listmount 458
#endif
#define BENEATH                 0x200
#define SET_GROUP               0x100
#define STATX_MNT_ID_UNIQUE_BIT 0x4000u

static int sys_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux) {
    return (int)syscall(__NR_fsconfig, fd, cmd, key, value, aux);
}
static int sys_move(int from, const char *a, int to, const char *b, unsigned flags) {
    return (int)syscall(__NR_move_mount, from, a, to, b, flags);
}
static int sys_open_tree(int fd, const char *path, unsigned flags) {
    return (int)syscall(__NR_open_tree, fd, path, flags);
}
static int sys_setattr(int fd, const char *path, unsigned flags, struct mount_attr *a) {
    return (int)syscall(__NR_mount_setattr, fd, path, flags, a, sizeof *a);
}

static int new_tmpfs(unsigned attrs) {
    int fs = OK(syscall(__NR_fsopen, "tmpfs", 1));
    OK(sys_fsconfig(fs, 1, "source", "made", 0));
    OK(sys_fsconfig(fs, 6, NULL, NULL, 0));
    int m = OK(syscall(__NR_fsmount, fs, 1, attrs));
    close(fs);
    return m;
}

CHECK(fsopen_to_a_mount) {
    struct stat st;
    struct statvfs vfs;

    private_world();
    OK(mkdir("m", 0755));
    int fs = OK(syscall(__NR_fsopen, "tmpfs", 1));
    EQ(fcntl(fs, F_GETFD), FD_CLOEXEC);
    OK(sys_fsconfig(fs, 1, "size", "1m", 0));
    OK(sys_fsconfig(fs, 1, "mode", "0750", 0));
    ERR(syscall(__NR_fsmount, fs, 0, 0), EINVAL);
    OK(sys_fsconfig(fs, 6, NULL, NULL, 0));
    ERR(sys_fsconfig(fs, 6, NULL, NULL, 0), EBUSY);
    ERR(sys_fsconfig(fs, 1, "size", "2m", 0), EBUSY);
    int m = OK(syscall(__NR_fsmount, fs, 0, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV));
    ERR(syscall(__NR_fsmount, fs, 0, 0), EBUSY);
    /* Usable before it is anywhere. */
    int f = OK(openat(m, "before", O_CREAT | O_RDWR, 0600));
    close(f);
    OK(sys_move(m, "", AT_FDCWD, "m", 4));
    OK(stat("m/before", &st));
    OK(stat("m", &st));
    EQ(st.st_mode & 07777, 0750);
    OK(statvfs("m", &vfs));
    EQ(vfs.f_blocks * vfs.f_frsize, 1 << 20);
    EQ(!!(vfs.f_flag & ST_NOEXEC), 1);
    EQ(!!(vfs.f_flag & ST_NODEV), 1);
    EQ(!!(vfs.f_flag & ST_NOSUID), 0);
    ERR(sys_move(m, "", AT_FDCWD, "m", 4), ELOOP);
    close(m);
    OK(stat("m/before", &st));
    OK(umount2("m", 0));
}

CHECK(a_closed_tree_is_gone) {
    private_world();
    int m = new_tmpfs(0);
    int f = OK(openat(m, "kept", O_CREAT | O_RDWR, 0600));
    close(m);
    EQ(OK(write(f, "x", 1)), 1);
    close(f);
}

CHECK(fsopen_errors) {
    private_world();
    ERR(syscall(__NR_fsopen, "nonesuch", 0), ENODEV);
    ERR(syscall(__NR_fsopen, "tmpfs", 8), EINVAL);
    ERR(syscall(__NR_fsopen, (char *)8, 0), EFAULT);
    int fs = OK(syscall(__NR_fsopen, "tmpfs", 0));
    int other = OK(open("f", O_CREAT | O_RDWR, 0600));
    ERR(sys_fsconfig(-1, 1, "a", "b", 0), EINVAL);
    ERR(sys_fsconfig(99, 1, "a", "b", 0), EBADF);
    ERR(sys_fsconfig(other, 1, "a", "b", 0), EINVAL);
    ERR(sys_fsconfig(fs, 77, NULL, NULL, 0), EOPNOTSUPP);
    ERR(sys_fsconfig(fs, 0, NULL, NULL, 0), EINVAL);
    ERR(sys_fsconfig(fs, 0, "ro", "x", 0), EINVAL);
    ERR(sys_fsconfig(fs, 0, "ro", NULL, 1), EINVAL);
    ERR(sys_fsconfig(fs, 1, "a", NULL, 0), EINVAL);
    ERR(sys_fsconfig(fs, 2, "a", "b", 0), EINVAL);
    ERR(sys_fsconfig(fs, 6, "a", NULL, 0), EINVAL);
    ERR(sys_fsconfig(fs, 7, NULL, NULL, 0), EBUSY);
    ERR(sys_fsconfig(fs, 5, "a", NULL, 99), EBADF);
    ERR(sys_fsconfig(fs, 1, "nonesuch", "1", 0), EINVAL);
    ERR(sys_fsconfig(fs, 1, "mode", "junk", 0), EINVAL);
    OK(sys_fsconfig(fs, 1, "source", "a", 0));
    ERR(sys_fsconfig(fs, 1, "source", "b", 0), EINVAL);
    ERR(syscall(__NR_fsmount, fs, 2, 0), EINVAL);
    ERR(syscall(__NR_fsmount, fs, 0, 0x8000), EINVAL);
    ERR(syscall(__NR_fsmount, fs, 0, MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME), EINVAL);
    ERR(syscall(__NR_fsmount, other, 0, 0), EINVAL);
    ERR(syscall(__NR_fsmount, 99, 0, 0), EBADF);
}

CHECK(fscontext_messages) {
    char text[256] = "";

    private_world();
    int fs = OK(syscall(__NR_fsopen, "tmpfs", 0));
    ERR(read(fs, text, sizeof text), ENODATA);
    ERR(sys_fsconfig(fs, 1, "nonesuch", "1", 0), EINVAL);
    ERR(read(fs, text, 3), EMSGSIZE);
    ERR(sys_fsconfig(fs, 0, "nonesuch", NULL, 0), EINVAL);
    ssize_t n = OK(read(fs, text, sizeof text - 1));
    text[n] = 0;
    printf("%s", text);
    OK(read(fs, text, sizeof text - 1));
    ERR(read(fs, text, sizeof text), ENODATA);
}

CHECK(readonly_file_system_and_reconfigure) {
    struct statvfs vfs;

    private_world();
    OK(mkdir("m", 0755));
    int fs = OK(syscall(__NR_fsopen, "tmpfs", 0));
    OK(sys_fsconfig(fs, 0, "ro", NULL, 0));
    OK(sys_fsconfig(fs, 6, NULL, NULL, 0));
    int m = OK(syscall(__NR_fsmount, fs, 0, 0));
    OK(sys_move(m, "", AT_FDCWD, "m", 4));
    close(m);
    close(fs);
    ERR(mkdir("m/d", 0755), EROFS);
    OK(statvfs("m", &vfs));
    EQ(!!(vfs.f_flag & ST_RDONLY), 1);
    fs = OK(syscall(__NR_fspick, AT_FDCWD, "m", 0));
    OK(sys_fsconfig(fs, 0, "rw", NULL, 0));
    OK(sys_fsconfig(fs, 1, "size", "2m", 0));
    ERR(sys_fsconfig(fs, 6, NULL, NULL, 0), EBUSY);
    OK(sys_fsconfig(fs, 7, NULL, NULL, 0));
    close(fs);
    OK(mkdir("m/d", 0755));
    OK(statvfs("m", &vfs));
    EQ(vfs.f_blocks * vfs.f_frsize, 2 << 20);
    ERR(syscall(__NR_fspick, AT_FDCWD, "m/d", 0), EINVAL);
    ERR(syscall(__NR_fspick, AT_FDCWD, "nonesuch", 0), ENOENT);
    ERR(syscall(__NR_fspick, AT_FDCWD, "m", 0x40), EINVAL);
}

CHECK(open_tree_clones) {
    struct stat a, b;

    private_world();
    OK(mkdir("from", 0755));
    OK(mkdir("from/sub", 0755));
    OK(mkdir("to", 0755));
    OK(mount("sub", "from/sub", "tmpfs", 0, NULL));
    put_file("from/f", "1");
    put_file("from/sub/g", "2");
    int shallow = OK(sys_open_tree(AT_FDCWD, "from", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    OK(fstatat(shallow, "f", &a, 0));
    ERR(fstatat(shallow, "sub/g", &a, 0), ENOENT);
    int deep = OK(sys_open_tree(AT_FDCWD, "from", OPEN_TREE_CLONE | AT_RECURSIVE));
    OK(fstatat(deep, "sub/g", &a, 0));
    OK(stat("from/sub/g", &b));
    EQ(a.st_ino == b.st_ino && a.st_dev == b.st_dev, 1);
    OK(sys_move(deep, "", AT_FDCWD, "to", 4));
    OK(stat("to/sub/g", &a));
    OK(umount2("to", MNT_DETACH));
    int plain = OK(sys_open_tree(AT_FDCWD, "from", 0));
    EQ(fcntl(plain, F_GETFL) & O_PATH, O_PATH);
    ERR(sys_open_tree(AT_FDCWD, "from", AT_RECURSIVE), EINVAL);
    ERR(sys_open_tree(AT_FDCWD, "from", 0x4000), EINVAL);
    ERR(sys_open_tree(AT_FDCWD, "nonesuch", OPEN_TREE_CLONE), ENOENT);
    OK(mount(NULL, "from/sub", NULL, MS_UNBINDABLE, NULL));
    ERR(sys_open_tree(AT_FDCWD, "from/sub", OPEN_TREE_CLONE), EINVAL);
}

CHECK(move_mount_errors) {
    private_world();
    OK(mkdir("a", 0755));
    OK(mkdir("b", 0755));
    put_file("f", "");
    OK(mount("a", "a", "tmpfs", 0, NULL));
    OK(mkdir("a/in", 0755));
    ERR(sys_move(AT_FDCWD, "a", AT_FDCWD, "b", 0x8000), EINVAL);
    ERR(sys_move(AT_FDCWD, "b", AT_FDCWD, "a", 0), EINVAL);
    ERR(sys_move(AT_FDCWD, "a/in", AT_FDCWD, "b", 0), EINVAL);
    ERR(sys_move(AT_FDCWD, "a", AT_FDCWD, "a/in", 0), ELOOP);
    ERR(sys_move(AT_FDCWD, "a", AT_FDCWD, "f", 0), EINVAL);
    ERR(sys_move(AT_FDCWD, "a", AT_FDCWD, "nonesuch", 0), ENOENT);
    ERR(sys_move(AT_FDCWD, "a", AT_FDCWD, "b", BENEATH | SET_GROUP), EINVAL);
    OK(sys_move(AT_FDCWD, "a", AT_FDCWD, "b", 0));
    OK(access("b/in", F_OK));
    become_nobody();
    ERR(sys_move(AT_FDCWD, "a", AT_FDCWD, "b", 0), EPERM);
    ERR(syscall(__NR_fsopen, "tmpfs", 0), EPERM);
    ERR(sys_open_tree(AT_FDCWD, "b", OPEN_TREE_CLONE), EPERM);
    OK(sys_open_tree(AT_FDCWD, "b", 0));
}

CHECK(move_beneath) {
    private_world();
    OK(mkdir("m", 0755));
    OK(mount("top", "m", "tmpfs", 0, NULL));
    put_file("m/top", "");
    int t = new_tmpfs(0);
    int f = OK(openat(t, "below", O_CREAT | O_RDWR, 0600));
    close(f);
    OK(sys_move(t, "", AT_FDCWD, "m", BENEATH | 4));
    close(t);
    OK(access("m/top", F_OK));
    OK(umount2("m", 0));
    OK(access("m/below", F_OK));
    OK(umount2("m", 0));
    ERR(umount2("m", 0), EINVAL);
}

CHECK(setattr_flags) {
    struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
    struct statvfs vfs;

    private_world();
    OK(mkdir("m", 0755));
    OK(mount("m", "m", "tmpfs", 0, NULL));
    OK(mkdir("m/in", 0755));
    OK(mount("in", "m/in", "tmpfs", 0, NULL));
    OK(sys_setattr(AT_FDCWD, "m", 0, &a));
    ERR(mkdir("m/x", 0755), EROFS);
    OK(mkdir("m/in/x", 0755));
    OK(sys_setattr(AT_FDCWD, "m", AT_RECURSIVE, &a));
    ERR(mkdir("m/in/y", 0755), EROFS);
    a = (struct mount_attr){.attr_clr = MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME,
                            .attr_set = MOUNT_ATTR_NOATIME};
    OK(sys_setattr(AT_FDCWD, "m", AT_RECURSIVE, &a));
    OK(mkdir("m/in/y", 0755));
    OK(statvfs("m/in", &vfs));
    EQ(!!(vfs.f_flag & ST_NOATIME), 1);
    EQ(!!(vfs.f_flag & ST_NOSUID), 1);
    /* A writer keeps all of them writable. */
    int f = OK(open("m/in/w", O_CREAT | O_RDWR, 0600));
    a = (struct mount_attr){.attr_set = MOUNT_ATTR_RDONLY};
    ERR(sys_setattr(AT_FDCWD, "m", AT_RECURSIVE, &a), EBUSY);
    OK(mkdir("m/still", 0755));
    close(f);
    OK(sys_setattr(AT_FDCWD, "m", AT_RECURSIVE, &a));
}

CHECK(setattr_errors) {
    struct mount_attr a = {0};

    private_world();
    OK(mkdir("d", 0755));
    ERR(sys_setattr(AT_FDCWD, "d", 0x40000, &a), EINVAL);
    OK(sys_setattr(AT_FDCWD, "nonesuch", 0, &a));
    ERR(syscall(__NR_mount_setattr, AT_FDCWD, ".", 0, &a, 8), EINVAL);
    ERR(syscall(__NR_mount_setattr, AT_FDCWD, ".", 0, &a, 5000), E2BIG);
    ERR(syscall(__NR_mount_setattr, AT_FDCWD, ".", 0, NULL, sizeof a), EFAULT);
    a.attr_set = 1ull << 40;
    ERR(sys_setattr(AT_FDCWD, ".", 0, &a), EINVAL);
    a.attr_set = MOUNT_ATTR_NOATIME;
    ERR(sys_setattr(AT_FDCWD, ".", 0, &a), EINVAL);
    a.attr_clr = MOUNT_ATTR_NOATIME;
    ERR(sys_setattr(AT_FDCWD, ".", 0, &a), EINVAL);
    a = (struct mount_attr){.propagation = MS_SHARED | MS_PRIVATE};
    ERR(sys_setattr(AT_FDCWD, ".", 0, &a), EINVAL);
    a = (struct mount_attr){.propagation = MS_REC};
    ERR(sys_setattr(AT_FDCWD, ".", 0, &a), EINVAL);
    a = (struct mount_attr){.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = 77};
    ERR(sys_setattr(AT_FDCWD, ".", 0, &a), EBADF);
    a = (struct mount_attr){.attr_set = MOUNT_ATTR_RDONLY};
    ERR(sys_setattr(AT_FDCWD, "d", 0, &a), EINVAL);
    become_nobody();
    ERR(sys_setattr(AT_FDCWD, ".", 0, &a), EPERM);
}

/* The optional fields of the last line of mountinfo, with the numbers of groups counted from 1. */
static void show_propagation(const char *what) {
    char line[1024];
    int groups[16], n = 0;
    FILE *f = OKP(fopen("/proc/self/mountinfo", "r"));

    printf("%s:\n", what);
    while (fgets(line, sizeof line, f)) {
        char *root, *at = strstr(line, "/w/");
        if (!at || !(root = strstr(at, " - ")))
            continue;
        char *opts = strchr(at, ' ');
        *root = 0;
        printf("  %.*s", (int)(opts - at), at);
        opts = strchr(opts + 1, ' ');
        for (char *tag = opts ? strtok(opts, " ") : NULL; tag; tag = strtok(NULL, " ")) {
            char *colon = strchr(tag, ':');
            int id = colon ? atoi(colon + 1) : 0, i = 0;
            if (!colon) {
                printf(" %s", tag);
                continue;
            }
            while (i < n && groups[i] != id)
                i++;
            if (i == n && n < 16)
                groups[n++] = id;
            printf(" %.*s:%d", (int)(colon - tag), tag, i + 1);
        }
        printf("\n");
    }
    fclose(f);
}

CHECK(setattr_propagation_and_groups) {
    struct mount_attr a = {.propagation = MS_SHARED};

    private_world();
    OK(mkdir("w", 0755));
    OK(mkdir("w/a", 0755));
    OK(mkdir("w/b", 0755));
    OK(mkdir("w/c", 0755));
    OK(mount("a", "w/a", "tmpfs", 0, NULL));
    OK(sys_setattr(AT_FDCWD, "w/a", 0, &a));
    OK(mount("w/a", "w/b", NULL, MS_BIND, NULL));
    show_propagation("peers");
    OK(mkdir("w/a/in", 0755));
    OK(mount("in", "w/a/in", "tmpfs", 0, NULL));
    show_propagation("a mount reaches the peer");
    a.propagation = MS_SLAVE;
    OK(sys_setattr(AT_FDCWD, "w/b", AT_RECURSIVE, &a));
    show_propagation("a slave");
    OK(umount2("w/a/in", 0));
    show_propagation("an unmount reaches the slave");
    a.propagation = MS_PRIVATE;
    OK(sys_setattr(AT_FDCWD, "w/b", AT_RECURSIVE, &a));
    int tree = OK(sys_open_tree(AT_FDCWD, "w/b", OPEN_TREE_CLONE));
    OK(sys_move(tree, "", AT_FDCWD, "w/c", 4));
    close(tree);
    OK(sys_move(AT_FDCWD, "w/a", AT_FDCWD, "w/c", SET_GROUP));
    show_propagation("joined");
    ERR(sys_move(AT_FDCWD, "w/a", AT_FDCWD, "w/c", SET_GROUP), EINVAL);
    ERR(sys_move(AT_FDCWD, ".", AT_FDCWD, "w/c", SET_GROUP), EINVAL);
    a.propagation = MS_UNBINDABLE;
    OK(sys_setattr(AT_FDCWD, "w/c", 0, &a));
    show_propagation("unbindable");
}

/* ---- asking ---- */

struct id_req {
    uint32_t size, spare;
    uint64_t mnt_id, param, mnt_ns_id;
};
struct answer {
    uint32_t size, mnt_opts;
    uint64_t mask;
    uint32_t sb_dev_major, sb_dev_minor;
    uint64_t sb_magic;
    uint32_t sb_flags, fs_type;
    uint64_t mnt_id, mnt_parent_id;
    uint32_t mnt_id_old, mnt_parent_id_old;
    uint64_t mnt_attr, mnt_propagation, mnt_peer_group, mnt_master, propagate_from;
    uint32_t mnt_root, mnt_point;
    uint64_t more[50];
    char str[4096];
};

static uint64_t unique_id(const char *path) {
    struct {
        uint32_t mask, blksize;
        uint64_t rest[17], mnt_id, pad[20];
    } *s = calloc(1, 512);
    OK(syscall(__NR_statx, AT_FDCWD, path, 0, STATX_MNT_ID_UNIQUE_BIT, s));
    TRUE(s->mask & STATX_MNT_ID_UNIQUE_BIT);
    return *(uint64_t *)((char *)s + 0x90);
}

static bool have_statmount(void) {
    errno = 0;
    return syscall(__NR_statmount, NULL, NULL, 0, 1) == -1 && errno != ENOSYS;
}

CHECK(statmount_tells) {
    struct answer s;
    char cwd[512];

    private_world();
    if (!have_statmount())
        check_skip("no statmount");
    OKP(getcwd(cwd, sizeof cwd));
    OK(mkdir("m", 0755));
    OK(mount("named", "m", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=1m"));
    OK(mkdir("m/shown", 0755));
    OK(mkdir("n", 0755));
    OK(mount("m/shown", "n", NULL, MS_BIND, NULL));
    OK(mount(NULL, "n", NULL, MS_SHARED, NULL));
    struct id_req q = {.size = 24, .mnt_id = unique_id("n"), .param = 0x3f};
    OK(syscall(__NR_statmount, &q, &s, sizeof s, 0));
    EQ(s.mask & 0x3f, 0x3f);
    EQ(s.sb_magic, 0x01021994);
    EQ(s.mnt_id, q.mnt_id);
    EQ(s.mnt_parent_id, unique_id("."));
    STREQ(s.str + s.fs_type, "tmpfs");
    STREQ(s.str + s.mnt_root, "/shown");
    TRUE(strncmp(s.str + s.mnt_point, cwd, strlen(cwd)) == 0);
    STREQ(s.str + s.mnt_point + strlen(cwd), "/n");
    printf("attr %#llx propagation %#llx\n", (unsigned long long)s.mnt_attr,
           (unsigned long long)s.mnt_propagation);
    EQ(s.mnt_peer_group != 0, 1);
    q.param = 0x200;
    OK(syscall(__NR_statmount, &q, &s, sizeof s, 0));
    if (s.mask & 0x200)
        STREQ(s.str + *(uint32_t *)((char *)&s + 124), "named");
    q.param = 0x20;
    ERR(syscall(__NR_statmount, &q, &s, 513, 0), EOVERFLOW);
    q.param = 1;
    memset(&s, 7, sizeof s);
    OK(syscall(__NR_statmount, &q, &s, 16, 0));
    EQ(s.mask, 1);
    EQ(s.sb_magic, 0x0707070707070707);
}

CHECK(statmount_and_listmount_errors) {
    struct answer s;
    uint64_t ids[8];

    private_world();
    if (!have_statmount())
        check_skip("no statmount");
    struct id_req q = {.size = 24, .mnt_id = 5};
    ERR(syscall(__NR_statmount, &q, &s, sizeof s, 0), EINVAL);
    q.mnt_id = 1ull << 62;
    ERR(syscall(__NR_statmount, &q, &s, sizeof s, 0), ENOENT);
    ERR(syscall(__NR_statmount, &q, &s, sizeof s, 1), EINVAL);
    ERR(syscall(__NR_statmount, NULL, &s, sizeof s, 0), EFAULT);
    q.size = 8;
    ERR(syscall(__NR_statmount, &q, &s, sizeof s, 0), EINVAL);
    q.size = 8192;
    ERR(syscall(__NR_statmount, &q, &s, sizeof s, 0), E2BIG);
    q.size = 24;
    ERR(syscall(__NR_listmount, &q, ids, 8, 0), ENOENT);
    ERR(syscall(__NR_listmount, &q, ids, 8, 6), EINVAL);
    ERR(syscall(__NR_listmount, &q, ids, 1000001, 0), EOVERFLOW);
}

CHECK(listmount_lists) {
    uint64_t ids[8] = {0}, back[8] = {0};

    private_world();
    if (!have_statmount())
        check_skip("no listmount");
    OK(mkdir("a", 0755));
    OK(mount("a", "a", "tmpfs", 0, NULL));
    OK(mkdir("a/b", 0755));
    OK(mount("b", "a/b", "tmpfs", 0, NULL));
    OK(mkdir("c", 0755));
    OK(mount("c", "c", "tmpfs", 0, NULL));
    struct id_req q = {.size = 24, .mnt_id = unique_id(".")};
    EQ(OK(syscall(__NR_listmount, &q, ids, 8, 0)), 3);
    EQ(ids[0] == unique_id("a") && ids[1] == unique_id("a/b") && ids[2] == unique_id("c"), 1);
    EQ(OK(syscall(__NR_listmount, &q, back, 8, 1)), 3);
    EQ(back[0] == ids[2] && back[2] == ids[0], 1);
    EQ(OK(syscall(__NR_listmount, &q, back, 1, 0)), 1);
    q.param = back[0];
    EQ(OK(syscall(__NR_listmount, &q, back, 8, 0)), 2);
    q = (struct id_req){.size = 24, .mnt_id = UINT64_MAX};
    TRUE(OK(syscall(__NR_listmount, &q, ids, 8, 0)) > 0);
    q.mnt_id = unique_id("a/b");
    EQ(OK(syscall(__NR_listmount, &q, ids, 8, 0)), 0);
}
