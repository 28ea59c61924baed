/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/names.c: what changes and reads directory entries: mkdir, rename, link, symlink, unlink,
 * getdents, path resolution. Sources: rename(2), link(2), symlink(7), path_resolution(7), unlink(2),
 * getdents(2), openat2(2), getcwd(3).
 */
#include "conform.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <stdint.h>

static int exists(const char *path) {
    struct stat st;

    return lstat(path, &st) == 0;
}

static ino_t inode_of(const char *path) {
    struct stat st;

    OK(lstat(path, &st));
    return st.st_ino;
}

CHECK(mkdir_rmdir) {
    struct stat st;

    OK(mkdir("d", 0777));
    OK(stat("d", &st));
    EQ(st.st_mode, S_IFDIR | 0755);
    ERR(mkdir("d", 0700), EEXIST);
    ERR(mkdir("no/d", 0700), ENOENT);
    OK(mkdir("d/e/", 0700));
    ERR(rmdir("d"), ENOTEMPTY);
    ERR(rmdir("no"), ENOENT);
    ERR(rmdir("d/."), EINVAL);
    ERR(rmdir("d/e/.."), ENOTEMPTY);
    put_file("f", "");
    ERR(rmdir("f"), ENOTDIR);
    ERR(unlink("d"), EISDIR);
    OK(rmdir("d/e"));
    OK(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
    ERR(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
    ERR(unlinkat(AT_FDCWD, "f", 1), EINVAL);
    ERR(mkdir("/", 0700), EEXIST);
    ERR(rmdir("/"), EBUSY);
}

CHECK(rename_files) {
    char text[16];

    put_file("a", "A");
    put_file("b", "B");
    ino_t a = inode_of("a");
    OK(rename("a", "b"));
    TRUE(!exists("a"));
    EQ(inode_of("b"), a);
    STREQ(get_file("b", text, sizeof text), "A");
    ERR(rename("no", "b"), ENOENT);
    ERR(rename("b", "no/x"), ENOENT);
    OK(rename("b", "b"));
    OK(link("b", "c"));
    OK(rename("b", "c")); /* two links to one file: nothing happens */
    TRUE(exists("b"));
    TRUE(exists("c"));
}

CHECK(rename_directories) {
    OK(mkdir("d", 0755));
    OK(mkdir("d/sub", 0755));
    OK(mkdir("e", 0755));
    OK(mkdir("full", 0755));
    put_file("full/x", "");
    put_file("f", "");
    ERR(rename("d", "d/sub/in"), EINVAL);
    ERR(rename("d", "full"), ENOTEMPTY);
    ERR(rename("d", "f"), ENOTDIR);
    ERR(rename("f", "d"), EISDIR);
    ERR(rename("d/sub", "d"), ENOTEMPTY);
    OK(rename("d", "e"));
    TRUE(exists("e/sub"));
    ERR(rename("e/.", "g"), EBUSY);
    ERR(rename("e", "e/.."), EBUSY);
    OK(rename("e/", "g/"));
    ERR(rename("f/", "h"), ENOTDIR);
}

CHECK(rename_flags) {
    char text[16];

    put_file("a", "A");
    put_file("b", "B");
    OK(mkdir("d", 0755));
    ERR(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
    OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
    STREQ(get_file("a", text, sizeof text), "B");
    OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "d", RENAME_EXCHANGE));
    put_file("a/in", "");
    STREQ(get_file("d", text, sizeof text), "B");
    ERR(renameat2(AT_FDCWD, "a", AT_FDCWD, "no", RENAME_EXCHANGE), ENOENT);
    OK(renameat2(AT_FDCWD, "b", AT_FDCWD, "new", RENAME_NOREPLACE));
    ERR(renameat2(AT_FDCWD, "new", AT_FDCWD, "x", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
    ERR(renameat2(AT_FDCWD, "new", AT_FDCWD, "x", 0x80), EINVAL);
}

CHECK(hard_links) {
    struct stat st;

    put_file("a", "x");
    OK(link("a", "b"));
    OK(stat("b", &st));
    EQ(st.st_nlink, 2);
    EQ(inode_of("a"), inode_of("b"));
    ERR(link("a", "b"), EEXIST);
    ERR(link("no", "c"), ENOENT);
    OK(mkdir("d", 0755));
    ERR(link("d", "e"), EPERM);
    OK(symlink("a", "s"));
    OK(link("s", "s2")); /* the link itself */
    OK(lstat("s2", &st));
    TRUE(S_ISLNK(st.st_mode));
    OK(linkat(AT_FDCWD, "s", AT_FDCWD, "c", AT_SYMLINK_FOLLOW));
    OK(lstat("c", &st));
    TRUE(S_ISREG(st.st_mode));
    EQ(st.st_nlink, 3);
    OK(unlink("a"));
    OK(stat("b", &st));
    EQ(st.st_nlink, 2);
    OK(mkdir("d/x", 0755));
    OK(stat("d", &st));
    printf("links of a directory with one below: %d\n", (int)st.st_nlink > 2 ? 3 : (int)st.st_nlink);
}

CHECK(symlinks) {
    char text[16];
    struct stat st;

    OK(symlink("target/else", "l"));
    EQ(readlink("l", text, sizeof text), 11);
    EQ(readlink("l", text, 3), 3);
    MEMEQ(text, "tar", 3);
    OK(lstat("l", &st));
    EQ(st.st_size, 11);
    EQ(st.st_mode, S_IFLNK | 0777);
    ERR(stat("l", &st), ENOENT);
    ERR(symlink("x", "l"), EEXIST);
    ERR(symlink("", "m"), ENOENT);
    put_file("f", "");
    ERR(readlink("f", text, sizeof text), EINVAL);
    ERR(readlink("l", text, 0), EINVAL);
    ERR(readlink("no", text, 1), ENOENT);
}

CHECK(symlink_loops) {
    struct stat st;
    char name[16], target[16];

    OK(symlink("a", "b"));
    OK(symlink("b", "a"));
    ERR(stat("a", &st), ELOOP);
    ERR(open("a", O_RDONLY), ELOOP);
    ERR(open("a", O_WRONLY | O_CREAT, 0600), ELOOP);
    ERR(mkdir("a/x", 0700), ELOOP);
    put_file("l0", "end");
    for (int i = 1; i <= 42; i++) {
        snprintf(name, sizeof name, "l%d", i);
        snprintf(target, sizeof target, "l%d", i - 1);
        OK(symlink(target, name));
    }
    OK(stat("l40", &st));
    ERR(stat("l41", &st), ELOOP);
}

CHECK(path_resolution) {
    struct stat st;
    char longname[300], *deep = malloc(5000);

    OK(mkdir("d", 0755));
    OK(mkdir("d/e", 0755));
    put_file("d/f", "");
    OK(stat("d/e/../f", &st));
    OK(stat("./d//e/./..///f", &st));
    ERR(stat("d/f/..", &st), ENOTDIR);
    ERR(stat("d/no/../f", &st), ENOENT);
    OK(symlink("d/e", "s"));
    OK(stat("s/../f", &st)); /* .. is taken of where the link leads */
    ERR(lstat("d/f/", &st), ENOTDIR);
    OK(lstat("s/", &st));
    TRUE(S_ISDIR(st.st_mode));
    OK(stat("/..", &st));
    EQ(st.st_ino, inode_of("/"));
    memset(longname, 'n', sizeof longname);
    longname[256] = '\0';
    ERR(stat(longname, &st), ENAMETOOLONG);
    longname[255] = '\0';
    ERR(stat(longname, &st), ENOENT);
    put_file(longname, "");
    OK(stat(longname, &st));
    memset(deep, '/', 4999);
    deep[4999] = '\0';
    ERR(stat(deep, &st), ENAMETOOLONG);
    deep[4095] = '\0';
    OK(stat(deep, &st));
    ERR(open("s", O_WRONLY), EISDIR);
    ERR(unlink("s/"), ENOTDIR);
    ERR(rmdir("s"), ENOTDIR);
    ERR(rmdir("s/"), ENOTDIR);
    OK(unlink("s"));
}

CHECK(at_functions) {
    struct stat st;
    int d, f;

    OK(mkdir("d", 0755));
    put_file("d/f", "x");
    d = OK(open("d", O_RDONLY | O_DIRECTORY));
    f = OK(openat(d, "f", O_RDONLY));
    OK(fstatat(d, "f", &st, 0));
    ERR(openat(f, "x", O_RDONLY), ENOTDIR);
    ERR(openat(99, "x", O_RDONLY), EBADF);
    OK(faccessat(99, "/", R_OK, 0)); /* an absolute path needs no directory */
    OK(fstatat(f, "", &st, AT_EMPTY_PATH));
    EQ(st.st_size, 1);
    ERR(fstatat(f, "", &st, 0), ENOENT);
    OK(mkdirat(d, "sub", 0700));
    OK(renameat(d, "f", d, "g"));
    OK(symlinkat("g", d, "l"));
    OK(linkat(d, "g", d, "h", 0));
    OK(unlinkat(d, "h", 0));
    OK(fchmodat(d, "g", 0600, 0));
    OK(fstatat(d, "l", &st, AT_SYMLINK_NOFOLLOW));
    TRUE(S_ISLNK(st.st_mode));
    /* A removed directory: nothing can be made in it. */
    int gone = OK(openat(d, "sub", O_RDONLY | O_DIRECTORY));
    OK(unlinkat(d, "sub", AT_REMOVEDIR));
    ERR(openat(gone, "x", O_WRONLY | O_CREAT, 0600), ENOENT);
    ERR(mkdirat(gone, "x", 0700), ENOENT);
}

CHECK(working_directory) {
    char a[4096], b[4096];

    OKP(getcwd(a, sizeof a));
    OK(mkdir("d", 0755));
    OK(chdir("d"));
    OKP(getcwd(b, sizeof b));
    strcat(a, "/d");
    STREQ(a, b);
    OK(rename("../d", "../moved"));
    OKP(getcwd(b, sizeof b));
    STREQ(strrchr(b, '/'), "/moved");
    ERR(syscall(SYS_getcwd, b, 3), ERANGE);
    int fd = OK(open("..", O_RDONLY));
    OK(fchdir(fd));
    put_file("f", "");
    ERR(chdir("f"), ENOTDIR);
    ERR(chdir("no"), ENOENT);
    OK(chdir("moved"));
    OK(rmdir("../moved"));
    EQ(syscall(SYS_getcwd, b, sizeof b), -1);
    EQ(errno, ENOENT);
    ERR(open("x", O_WRONLY | O_CREAT, 0600), ENOENT);
    OK(chdir(".."));
}

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_sorted(const char *path) {
    char *names[64];
    int n = 0;
    DIR *d = OKP(opendir(path));

    for (struct dirent *e; (e = readdir(d)) && n < 64;) {
        char *line;
        asprintf(&line, "%s type %d", e->d_name, e->d_type);
        names[n++] = line;
    }
    qsort(names, (size_t)n, sizeof *names, compare);
    for (int i = 0; i < n; i++)
        printf("%s\n", names[i]);
    closedir(d);
}

CHECK(directory_listing) {
    OK(mkdir("d", 0755));
    put_file("d/file", "");
    OK(mkdir("d/dir", 0755));
    OK(symlink("x", "d/link"));
    OK(mkfifo("d/fifo", 0600));
    put_file("d/.hidden", "");
    print_sorted("d");
}

CHECK(directory_listing_of_many) {
    char name[32], seen[2000] = {0};
    int count = 0;

    OK(mkdir("d", 0755));
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "d/file-%04d", i);
        close(OK(open(name, O_WRONLY | O_CREAT, 0600)));
    }
    DIR *d = OKP(opendir("d"));
    for (struct dirent *e; (e = readdir(d));) {
        int i;
        if (sscanf(e->d_name, "file-%d", &i) == 1) {
            TRUE(!seen[i]);
            seen[i] = 1;
            count++;
        }
    }
    EQ(count, 2000);
    /* Going on from a remembered place gives the rest, and only that. */
    rewinddir(d);
    for (int i = 0; i < 1000; i++)
        readdir(d);
    long at = telldir(d);
    struct dirent *e = readdir(d);
    snprintf(name, sizeof name, "%s", e->d_name);
    while (readdir(d)) {
    }
    seekdir(d, at);
    e = readdir(d);
    STREQ(e->d_name, name);
    for (count = 1; readdir(d); count++) {
    }
    EQ(count, 1002 - 0);
    closedir(d);
}

CHECK(directory_listing_while_deleting) {
    char name[300];
    int left = 0;

    OK(mkdir("d", 0755));
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "d/f%d", i);
        put_file(name, "");
    }
    DIR *d = OKP(opendir("d"));
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            snprintf(name, sizeof name, "d/%.200s", e->d_name);
            OK(unlink(name));
        }
    rewinddir(d);
    for (struct dirent *e; (e = readdir(d));)
        left += e->d_name[0] != '.';
    EQ(left, 0);
    closedir(d);
    OK(rmdir("d"));
}

CHECK(getdents_small_buffer) {
    char b[16];
    int fd = OK(open(".", O_RDONLY | O_DIRECTORY));

    ERR(syscall(SYS_getdents64, fd, b, sizeof b), EINVAL);
    put_file("f", "");
    int f = OK(open("f", O_RDONLY));
    ERR(syscall(SYS_getdents64, f, b, sizeof b), ENOTDIR);
    int w = OK(open("/dev/null", O_RDONLY));
    ERR(syscall(SYS_getdents64, w, b, sizeof b), ENOTDIR);
}

static int open2(int dir, const char *path, uint64_t flags, uint64_t resolve) {
    struct open_how how = {.flags = flags, .resolve = resolve};

    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

CHECK(openat2_resolve) {
    OK(mkdir("d", 0755));
    put_file("d/f", "in");
    put_file("out", "out");
    OK(symlink("f", "d/l"));
    OK(symlink("../out", "d/up"));
    OK(symlink("/out", "d/abs"));
    int d = OK(open("d", O_PATH | O_DIRECTORY));

    OK(open2(d, "f", O_RDONLY, RESOLVE_BENEATH));
    OK(open2(d, "l", O_RDONLY, RESOLVE_BENEATH));
    ERR(open2(d, "up", O_RDONLY, RESOLVE_BENEATH), EXDEV);
    ERR(open2(d, "abs", O_RDONLY, RESOLVE_BENEATH), EXDEV);
    ERR(open2(d, "../out", O_RDONLY, RESOLVE_BENEATH), EXDEV);
    ERR(open2(d, "/etc", O_RDONLY, RESOLVE_BENEATH), EXDEV);
    ERR(open2(d, "l", O_RDONLY, RESOLVE_NO_SYMLINKS), ELOOP);
    OK(open2(d, "/f", O_RDONLY, RESOLVE_IN_ROOT));
    OK(open2(d, "../../f", O_RDONLY, RESOLVE_IN_ROOT));
    ERR(open2(d, "abs", O_RDONLY, RESOLVE_IN_ROOT), ENOENT);
    ERR(open2(AT_FDCWD, "/proc/self/exe", O_RDONLY, RESOLVE_NO_MAGICLINKS), ELOOP);
    ERR(open2(AT_FDCWD, "/proc/self", O_RDONLY, RESOLVE_NO_XDEV), EXDEV);
    ERR(open2(d, "f", O_RDONLY, 0x100), EINVAL);
    ERR(open2(d, "f", 1ull << 40, 0), EINVAL);
    struct open_how how = {.flags = O_RDONLY, .mode = 0600};
    ERR(syscall(SYS_openat2, d, "f", &how, sizeof how), EINVAL);
    how.mode = 0;
    ERR(syscall(SYS_openat2, d, "f", &how, 8), EINVAL);
    char big[64] = {0};
    OK(syscall(SYS_openat2, d, "f", big, sizeof big));
    big[40] = 1;
    ERR(syscall(SYS_openat2, d, "f", big, sizeof big), E2BIG);
}

CHECK(mknod_kinds) {
    struct stat st;

    OK(mknod("f", S_IFREG | 0600, 0));
    OK(mknod("p", S_IFIFO | 0600, 0));
    OK(mknod("z", 0600, 0));
    OK(lstat("z", &st));
    TRUE(S_ISREG(st.st_mode));
    OK(lstat("p", &st));
    TRUE(S_ISFIFO(st.st_mode));
    ERR(mknod("f", S_IFREG | 0600, 0), EEXIST);
    ERR(mknod("d", S_IFDIR | 0600, 0), EPERM);
    ERR(mknod("l", S_IFLNK | 0600, 0), EINVAL);
    OK(mknod("s", S_IFSOCK | 0600, 0));
    OK(lstat("s", &st));
    TRUE(S_ISSOCK(st.st_mode));
    ERR(open("s", O_RDWR), ENXIO);
}

CHECK(chroot_confines) {
    struct stat st;

    if (!is_root())
        check_skip("geteuid: not root");
    OK(mkdir("jail", 0755));
    put_file("jail/in", "");
    put_file("out", "");
    OK(chroot("jail"));
    OK(chdir("/"));
    OK(stat("/in", &st));
    OK(stat("/../../in", &st));
    ERR(stat("/out", &st), ENOENT);
    ERR(stat("../out", &st), ENOENT);
    OK(symlink("/in", "l"));
    OK(stat("l", &st));
    char cwd[64];
    OKP(getcwd(cwd, sizeof cwd));
    STREQ(cwd, "/");
}
