/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/overlays.c: overlay file systems that a program mounts. Source: mount(8) "overlay",
 * Documentation/filesystems/overlayfs.
 */
#include "conform.h"

#include <dirent.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* A mount namespace of the check's own on an empty tmpfs, with l1, l2, l3 (lower), u, w, m. */
static void world(void) {
    private_world();
    for (const char *const *d = (const char *const[]){"l1", "l2", "l3", "u", "w", "m", NULL}; *d; d++)
        OK(mkdir(*d, 0755));
}

static int overlay(const char *options) {
    return mount("overlay", "m", "overlay", 0, options);
}

#define USUAL "lowerdir=l1:l2,upperdir=u,workdir=w"

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Prints a directory's names and kinds, sorted. */
static void list(const char *path) {
    char *names[64];
    int count = 0;
    DIR *d = OKP(opendir(path));
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        TRUE(count < 64);
        struct stat st;
        OK(fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW));
        EQ(st.st_ino, e->d_ino);
        TRUE(asprintf(&names[count++], "%s %c%o", e->d_name, "?pc?d?b?-?l?s"[(st.st_mode & S_IFMT) >> 12],
                      st.st_mode & 07777) > 0);
    }
    closedir(d);
    qsort(names, (size_t)count, sizeof *names, by_name);
    printf("%s:", path);
    for (int i = 0; i < count; i++)
        printf(" %s", names[i]);
    printf("\n");
}

static bool is_whiteout(const char *path) {
    struct stat st;
    OK(lstat(path, &st));
    return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

static void text_is(const char *path, const char *want) {
    char text[256];
    STREQ(get_file(path, text, sizeof text), want);
}

CHECK(layers_are_merged) {
    world();
    put_file("l1/a", "a1");
    put_file("l2/a", "a2");
    put_file("l2/b", "b2");
    put_file("l3/c", "c3");
    OK(mkdir("l1/d", 0700));
    OK(mkdir("l2/d", 0755));
    OK(mkdir("l3/d", 0711));
    put_file("l1/d/1", "1");
    put_file("l3/d/3", "3");
    OK(mkdir("l3/f", 0755));
    put_file("l2/f", "hides");
    put_file("l3/g", "below a directory");
    OK(mkdir("l2/g", 0755));
    OK(overlay("lowerdir=l1:l2:l3,upperdir=u,workdir=w"));
    list("m");
    list("m/d");
    list("m/g");
    text_is("m/a", "a1");
    text_is("m/b", "b2");
    text_is("m/d/3", "3");
    text_is("m/f", "hides");
    list("w");
    list("u");
}

CHECK(changes_go_up) {
    struct stat st;
    world();
    put_file("l1/f", "lower");
    OK(chmod("l1/f", 0640));
    OK(mkdir("l1/d", 0750));
    put_file("l1/d/deep", "deep");
    OK(symlink("f", "l1/link"));
    OK(overlay(USUAL));
    int fd = OK(open("m/f", O_WRONLY | O_APPEND));
    EQ(write(fd, "+", 1), 1);
    close(fd);
    text_is("m/f", "lower+");
    text_is("u/f", "lower+");
    text_is("l1/f", "lower");
    OK(stat("u/f", &st));
    EQ(st.st_mode & 07777, 0640);
    put_file("m/d/new", "new");
    text_is("u/d/new", "new");
    OK(stat("u/d", &st));
    EQ(st.st_mode & 07777, 0750);
    ERR(lstat("u/d/deep", &st), ENOENT);
    OK(chmod("m/d/deep", 0600));
    text_is("u/d/deep", "deep");
    OK(unlink("m/link"));
    OK(symlink("d", "m/link"));
    list("m");
    list("u");
    list("l1");
}

CHECK(removal_leaves_whiteouts) {
    struct stat st;
    world();
    put_file("l1/f", "1");
    put_file("l2/f", "2");
    OK(mkdir("l2/d", 0755));
    put_file("l2/d/x", "x");
    OK(overlay(USUAL));
    /* Both looked at from the layer's side too: nothing stale is seen there. */
    ERR(lstat("u/f", &st), ENOENT);
    OK(unlink("m/f"));
    TRUE(is_whiteout("u/f"));
    ERR(stat("m/f", &st), ENOENT);
    ERR(rmdir("m/d"), ENOTEMPTY);
    OK(unlink("m/d/x"));
    TRUE(is_whiteout("u/d/x"));
    OK(rmdir("m/d"));
    TRUE(is_whiteout("u/d"));
    list("m");
    put_file("m/f", "again");
    text_is("u/f", "again");
    OK(mkdir("m/d", 0755));
    list("m/d");
    char opaque;
    EQ(getxattr("u/d", "trusted.overlay.opaque", &opaque, 1), 1);
    EQ(opaque, 'y');
    ERR(getxattr("m/d", "trusted.overlay.opaque", &opaque, 1), ENODATA);
    OK(unlink("m/f"));
    TRUE(is_whiteout("u/f"));
    put_file("m/only", "up");
    OK(unlink("m/only"));
    ERR(lstat("u/only", &st), ENOENT);
    list("u");
    ERR(mknod("m/white", S_IFCHR, 0), EPERM);
}

CHECK(whiteouts_and_opaque_in_lower_layers) {
    struct stat st;
    world();
    put_file("l2/gone", "x");
    OK(mknod("l1/gone", S_IFCHR, 0));
    OK(mkdir("l1/d", 0755));
    OK(mkdir("l2/d", 0755));
    put_file("l2/d/hidden", "x");
    put_file("l1/d/seen", "x");
    OK(setxattr("l1/d", "trusted.overlay.opaque", "y", 1, 0));
    OK(overlay(USUAL));
    ERR(stat("m/gone", &st), ENOENT);
    list("m");
    list("m/d");
    put_file("m/gone", "here");
    text_is("u/gone", "here");
}

CHECK(rename_rules) {
    struct stat st;
    world();
    put_file("l1/f", "f");
    OK(mkdir("l1/d", 0755));
    put_file("l1/d/x", "x");
    OK(overlay(USUAL));
    OK(rename("m/f", "m/g"));
    TRUE(is_whiteout("u/f"));
    text_is("m/g", "f");
    ERR(rename("m/d", "m/e"), EXDEV);
    OK(mkdir("m/new", 0755));
    OK(mkdir("m/new/sub", 0755));
    OK(rename("m/new", "m/d/moved"));
    OK(stat("u/d/moved/sub", &st));
    ERR(lstat("u/new", &st), ENOENT);
    OK(rename("m/d/moved/sub", "m/sub"));
    list("m");
    list("m/d");
    list("u");
    ERR(syscall(__NR_renameat2, AT_FDCWD, "m/g", AT_FDCWD, "m/f", 4), EINVAL);
    OK(syscall(__NR_renameat2, AT_FDCWD, "m/g", AT_FDCWD, "m/d/x", 2));
    text_is("m/g", "x");
    text_is("m/d/x", "f");
    ERR(rename("m/g", "u/g"), EXDEV);
    ERR(link("m/g", "u/h"), EXDEV);
}

CHECK(redirect_dir) {
    char to[64];
    world();
    OK(mkdir("l1/d", 0755));
    put_file("l1/d/1", "1");
    OK(mkdir("l2/d", 0755));
    put_file("l2/d/2", "2");
    OK(overlay("lowerdir=l1:l2,upperdir=u,workdir=w,redirect_dir=on"));
    OK(mkdir("m/p", 0755));
    OK(rename("m/d", "m/p/e"));
    list("m/p/e");
    ssize_t n = OK(getxattr("u/p/e", "trusted.overlay.redirect", to, sizeof to - 1));
    printf("%.*s\n", (int)n, to);
    OK(umount("m"));
    OK(overlay("lowerdir=l1:l2,upperdir=u,workdir=w,redirect_dir=on"));
    list("m/p/e");
    text_is("m/p/e/2", "2");
    OK(umount("m"));
    /* The upper layer's redirects count where it is a lower one. */
    OK(mkdir("u2", 0755));
    OK(mkdir("w2", 0755));
    OK(overlay("lowerdir=u:l1:l2,upperdir=u2,workdir=w2"));
    list("m/p/e");
    list("m");
}

CHECK(xattrs) {
    char text[64], names[256];
    world();
    put_file("l1/f", "f");
    OK(setxattr("l1/f", "user.k", "v", 1, 0));
    OK(overlay(USUAL));
    EQ(getxattr("m/f", "user.k", text, sizeof text), 1);
    OK(setxattr("m/f", "trusted.overlay.mine", "x", 1, 0));
    EQ(getxattr("m/f", "trusted.overlay.mine", text, sizeof text), 1);
    EQ(getxattr("u/f", "trusted.overlay.overlay.mine", text, sizeof text), 1);
    EQ(getxattr("u/f", "user.k", text, sizeof text), 1);
    ERR(getxattr("m/f", "trusted.overlay.origin", text, sizeof text), ENODATA);
    ssize_t n = OK(listxattr("m/f", names, sizeof names));
    EQ(n, strlen("user.k") + 1 + strlen("trusted.overlay.mine") + 1);
    OK(removexattr("m/f", "trusted.overlay.mine"));
    ERR(getxattr("u/f", "trusted.overlay.overlay.mine", text, sizeof text), ENODATA);
    ERR(removexattr("m/f", "user.none"), ENODATA);
}

CHECK(read_only_without_an_upper_layer) {
    struct stat st;
    world();
    put_file("l1/f", "1");
    put_file("l2/g", "2");
    OK(overlay("lowerdir=l1:l2"));
    list("m");
    ERR(open("m/f", O_WRONLY), EROFS);
    ERR(mkdir("m/d", 0755), EROFS);
    ERR(unlink("m/f"), EROFS);
    ERR(chmod("m/f", 0600), EROFS);
    ERR(mount(NULL, "m", NULL, MS_REMOUNT, NULL), EROFS);
    OK(stat("m/f", &st));
}

CHECK(mount_errors) {
    world();
    put_file("file", "x");
    OK(mkdir("l1/in", 0755));
    OK(mkdir("u/in", 0755));
    ERR(overlay(NULL), EINVAL);
    ERR(overlay(""), EINVAL);
    ERR(overlay("lowerdir=l1"), EINVAL);
    ERR(overlay("upperdir=u,workdir=w"), EINVAL);
    ERR(overlay("lowerdir=l1,upperdir=u"), EINVAL);
    ERR(overlay("lowerdir=none:l1"), ENOENT);
    ERR(overlay("lowerdir=file:l1"), EINVAL);
    ERR(overlay("lowerdir=l1,upperdir=none,workdir=w"), ENOENT);
    ERR(overlay("lowerdir=l1,upperdir=u,workdir=u"), EINVAL);
    ERR(overlay("lowerdir=l1,upperdir=u,workdir=u/in"), EINVAL);
    ERR(overlay("lowerdir=l1:l1"), ELOOP);
    ERR(overlay("lowerdir=l1:l1/in"), ELOOP);
    ERR(overlay("lowerdir=u,upperdir=u,workdir=w"), ELOOP);
    ERR(overlay("lowerdir=l1,upperdir=u,workdir=w,nonesuch"), EINVAL);
    ERR(overlay("lowerdir=l1,upperdir=u,workdir=w,index=maybe"), EINVAL);
    OK(mount("ro", "w", "tmpfs", 0, NULL));
    ERR(overlay("lowerdir=l1,upperdir=u,workdir=w"), EINVAL);
    OK(umount("w"));
    OK(overlay("lowerdir=l1,upperdir=u,workdir=w"));
}

CHECK(escaped_names) {
    world();
    OK(mkdir("a:b", 0755));
    OK(mkdir("c,d", 0755));
    put_file("a:b/1", "1");
    put_file("c,d/2", "2");
    OK(overlay("lowerdir=a\\:b:c\\,d,upperdir=u,workdir=w"));
    list("m");
}

CHECK(overlay_over_overlay) {
    world();
    put_file("l1/a", "1");
    put_file("l2/b", "2");
    OK(mkdir("m2", 0755));
    OK(mkdir("m3", 0755));
    OK(mkdir("u2", 0755));
    OK(mkdir("w2", 0755));
    OK(overlay(USUAL));
    OK(unlink("m/b"));
    ERR(mount("o", "m2", "overlay", 0, "lowerdir=l3,upperdir=m,workdir=m"), EINVAL);
    OK(mount("o", "m2", "overlay", 0, "lowerdir=m:l3,upperdir=u2,workdir=w2"));
    list("m2");
    put_file("m2/a", "changed");
    text_is("m/a", "1");
    text_is("u2/a", "changed");
    ERR(mount("o", "m3", "overlay", 0, "lowerdir=m2:l3"), EINVAL);
    OK(umount("m2"));
    OK(umount("m"));
}

CHECK(mapped_files_and_open_files) {
    world();
    put_file("l1/f", "lower");
    OK(overlay(USUAL));
    int r = OK(open("m/f", O_RDONLY));
    int w = OK(open("m/f", O_RDWR));
    EQ(pwrite(w, "L", 1, 0), 1);
    char *map = OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, w, 0));
    EQ(map[0], 'L');
    map[1] = 'O';
    char text[8] = "";
    EQ(pread(r, text, 5, 0), 5);
    printf("%s\n", text);
    text_is("u/f", "LOwer");
    munmap(map, 4096);
    OK(unlink("m/f"));
    EQ(pread(w, text, 5, 0), 5);
    struct stat st;
    OK(fstat(w, &st));
    EQ(st.st_nlink, 0);
}

CHECK(hard_links) {
    struct stat a, b;
    world();
    put_file("l1/a", "x");
    OK(overlay(USUAL));
    OK(link("m/a", "m/b"));
    OK(stat("m/a", &a));
    OK(stat("m/b", &b));
    EQ(a.st_ino, b.st_ino);
    EQ(a.st_nlink, 2);
    put_file("m/b", "both");
    text_is("m/a", "both");
    OK(unlink("m/a"));
    OK(stat("m/b", &b));
    EQ(b.st_nlink, 1);
}

/* What others do to the layers meanwhile is undefined, but nothing breaks. */
CHECK(an_upper_layer_that_others_change) {
    struct stat st;
    world();
    OK(mkdir("l1/low", 0755));
    OK(overlay(USUAL));
    OK(mkdir("m/a", 0755));
    OK(mkdir("m/b", 0755));
    OK(stat("m/a", &st));
    OK(rename("u/a", "u/b/a"));
    (void)rename("m/b", "m/a/b");
    (void)stat("m/a/b/a", &st);
    OK(mkdir("m/c", 0755));
    int fd = OK(open("m/c", O_DIRECTORY));
    OK(rmdir("u/c"));
    TRUE(openat(fd, "new", O_CREAT | O_RDWR, 0600) < 0);
    (void)rmdir("m/c");
    put_file("m/f", "x");
    OK(unlink("u/f"));
    (void)unlink("m/f");
    OK(umount2("m", MNT_DETACH));
}

static void enter_user_ns(void) {
    OK(setgroups(0, NULL));
    OK(setresgid(1000, 1000, 1000));
    OK(setresuid(1000, 1000, 1000));
    OK(prctl(PR_SET_DUMPABLE, 1));
    OK(unshare(CLONE_NEWUSER | CLONE_NEWNS));
    put_file("/proc/self/setgroups", "deny");
    put_file("/proc/self/uid_map", "0 1000 1");
    put_file("/proc/self/gid_map", "0 1000 1");
}

CHECK(inside_a_user_namespace) {
    char opaque;
    world();
    OK(mkdir("own", 0777));
    enter_user_ns();
    OK(mount("own", "own", "tmpfs", 0, NULL));
    OK(chdir("own"));
    for (const char *const *d = (const char *const[]){"l1", "u", "w", "m", NULL}; *d; d++)
        OK(mkdir(*d, 0755));
    OK(mkdir("l1/d", 0755));
    put_file("l1/f", "f");
    OK(overlay("lowerdir=l1,upperdir=u,workdir=w,userxattr"));
    put_file("m/f", "changed");
    text_is("u/f", "changed");
    OK(rmdir("m/d"));
    TRUE(is_whiteout("u/d"));
    OK(mkdir("m/d", 0755));
    EQ(getxattr("u/d", "user.overlay.opaque", &opaque, 1), 1);
    OK(unlink("m/f"));
    list("m");
    list("u");
    /* What it may not write it may not have as an upper layer. */
    OK(mkdir("m2", 0755));
    OK(mount("o", "m2", "overlay", 0, "lowerdir=l1,upperdir=../u,workdir=../w,userxattr"));
    ERR(open("m2/f", O_WRONLY), EROFS);
    ERR(mount(NULL, "m2", NULL, MS_REMOUNT, NULL), EROFS);
}
