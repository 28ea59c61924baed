/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/vfs/names_test.c: path walk and operations on names, over tmpfs. Expected errnos are those of
 * Linux 6.x.
 */
#include "tests/unit/vfs/vfs_fixture.h"

#define f (*fp)

WITH_FIXTURE(open_creates_reads_and_writes) {
    int64_t fd = do_open(&f, "/a", LINUX_O_RDWR | LINUX_O_CREAT | LINUX_O_EXCL, 0666);
    struct linux_stat st;

    ASSERT_EQ(fd, 0);
    ASSERT_EQ(write_str(&f, fd, "hello"), 5);
    ASSERT_EQ(CALL(lseek, (uint64_t)fd, 1, LINUX_SEEK_SET), 1);
    ASSERT_STREQ(read_str(&f, fd, 3), "ell");
    ASSERT_STREQ(read_str(&f, fd, 30), "o");
    ASSERT_STREQ(read_str(&f, fd, 30), "");
    ASSERT_OK(stat_of(&f, "/a", &st));
    ASSERT_EQ(st.size, 5);
    ASSERT_EQ(st.mode, LINUX_S_IFREG | 0644);
    ASSERT_EQ(st.nlink, 1);
    ASSERT_EQ(do_open(&f, "/a", LINUX_O_CREAT | LINUX_O_EXCL, 0666), -EEXIST);
    ASSERT_EQ(do_open(&f, "/a/", LINUX_O_RDONLY, 0), -ENOTDIR);
    ASSERT_EQ(do_open(&f, "/b/", LINUX_O_CREAT, 0666), -EISDIR);
    ASSERT_EQ(do_open(&f, "/", LINUX_O_WRONLY, 0), -EISDIR);
    ASSERT_EQ(do_open(&f, "", LINUX_O_RDONLY, 0), -ENOENT);
    ASSERT_EQ(do_open(&f, "/a/b", LINUX_O_RDONLY, 0), -ENOTDIR);
    ASSERT_OK(CALL(close, (uint64_t)fd));
    ASSERT_EQ(CALL(close, (uint64_t)fd), -EBADF);
    fd = do_open(&f, "/a", LINUX_O_WRONLY | LINUX_O_TRUNC, 0);
    ASSERT_EQ(CALL(read, (uint64_t)fd, f.scratch, 1), -EBADF);
    ASSERT_OK(CALL(close, (uint64_t)fd));
    ASSERT_STREQ(read_file(&f, "/a"), "");
}

WITH_FIXTURE(directories_and_links_count) {
    struct linux_stat st;

    ASSERT_OK(CALL(mkdir, S("/d"), 0777));
    ASSERT_EQ(CALL(mkdir, S("/d"), 0777), -EEXIST);
    ASSERT_EQ(CALL(mkdir, S("/d/."), 0777), -EEXIST);
    ASSERT_EQ(CALL(mkdir, S("/x/y"), 0777), -ENOENT);
    ASSERT_OK(CALL(mkdir, S("/d/e/"), 0777));
    ASSERT_OK(stat_of(&f, "/d", &st));
    ASSERT_EQ(st.nlink, 3);
    ASSERT_EQ(st.mode, LINUX_S_IFDIR | 0755);
    ASSERT_EQ(CALL(rmdir, S("/d")), -ENOTEMPTY);
    ASSERT_EQ(CALL(rmdir, S("/d/e/.")), -EINVAL);
    ASSERT_EQ(CALL(rmdir, S("/d/e/..")), -ENOTEMPTY);
    ASSERT_EQ(CALL(rmdir, S("/")), -EBUSY);
    ASSERT_EQ(CALL(unlink, S("/d/e")), -EISDIR);
    ASSERT_OK(CALL(rmdir, S("/d/e")));
    ASSERT_OK(stat_of(&f, "/d", &st));
    ASSERT_EQ(st.nlink, 2);
    write_file(&f, "/d/f", "x");
    ASSERT_OK(CALL(link, S("/d/f"), S("/d/g")));
    ASSERT_EQ(CALL(link, S("/d/f"), S("/d/g")), -EEXIST);
    ASSERT_EQ(CALL(link, S("/d"), S("/h")), -EPERM);
    ASSERT_OK(stat_of(&f, "/d/g", &st));
    ASSERT_EQ(st.nlink, 2);
    ASSERT_EQ(CALL(rmdir, S("/d/g")), -ENOTDIR);
    ASSERT_EQ(CALL(unlink, S("/d/g/")), -ENOTDIR);
    ASSERT_OK(CALL(unlink, S("/d/f")));
    ASSERT_EQ(stat_of(&f, "/d/f", &st), -ENOENT);
    ASSERT_OK(stat_of(&f, "/d/g", &st));
    ASSERT_EQ(st.nlink, 1);
}

WITH_FIXTURE(symlinks_are_followed_within_limits) {
    char name[16], target[16];
    struct linux_stat st;

    ASSERT_OK(CALL(mkdir, S("/d"), 0777));
    write_file(&f, "/d/file", "text");
    ASSERT_OK(CALL(symlink, S("d"), S("/l")));
    ASSERT_OK(CALL(symlink, S("/l/file"), S("/d/abs")));
    ASSERT_STREQ(read_file(&f, "/l/file"), "text");
    ASSERT_STREQ(read_file(&f, "/l/../d/abs"), "text");
    ASSERT_OK(stat_of(&f, "/l", &st));
    ASSERT_EQ(st.mode, LINUX_S_IFLNK | 0777);
    ASSERT_EQ(st.size, 1);
    ASSERT_OK(stat_of(&f, "/l/", &st));
    ASSERT_EQ(st.mode & LINUX_S_IFMT, LINUX_S_IFDIR);
    ASSERT_EQ(do_open(&f, "/l", LINUX_O_NOFOLLOW, 0), -ELOOP);
    ASSERT_EQ(CALL(symlink, S(""), S("/e")), -ENOENT);
    ASSERT_OK(CALL(symlink, S("loop"), S("/loop")));
    ASSERT_EQ(do_open(&f, "/loop", LINUX_O_RDONLY, 0), -ELOOP);
    for (int i = 0; i < 41; i++) {
        snprintf(name, sizeof name, "/c%d", i);
        snprintf(target, sizeof target, i ? "c%d" : "d", i - 1);
        ASSERT_OK(CALL(symlink, S(target), S(name)));
    }
    ASSERT_STREQ(read_file(&f, "/c39/file"), "text");
    ASSERT_STREQ(read_file(&f, "/c40/file"), "ELOOP");
    gva_t buf = room(&f, 100);
    ASSERT_EQ(CALL(readlink, S("/d/abs"), buf, 3), 3);
    ASSERT_EQ(CALL(readlink, S("/d"), buf, 3), -EINVAL);
    /* A dangling link is created through. */
    ASSERT_OK(CALL(symlink, S("d/new"), S("/dangling")));
    write_file(&f, "/dangling", "made");
    ASSERT_STREQ(read_file(&f, "/d/new"), "made");
    ASSERT_EQ(do_open(&f, "/dangling", LINUX_O_CREAT | LINUX_O_EXCL, 0600), -EEXIST);
}

WITH_FIXTURE(rename_in_all_its_forms) {
    struct linux_stat st, st2;

    ASSERT_OK(CALL(mkdir, S("/a"), 0777));
    ASSERT_OK(CALL(mkdir, S("/a/b"), 0777));
    ASSERT_OK(CALL(mkdir, S("/c"), 0777));
    write_file(&f, "/f", "f");
    write_file(&f, "/g", "g");
    ASSERT_EQ(CALL(rename, S("/a"), S("/a/b/x")), -EINVAL);
    ASSERT_EQ(CALL(rename, S("/a/b"), S("/a")), -ENOTEMPTY);
    ASSERT_EQ(CALL(rename, S("/f"), S("/c")), -EISDIR);
    ASSERT_EQ(CALL(rename, S("/c"), S("/f")), -ENOTDIR);
    ASSERT_EQ(CALL(rename, S("/c"), S("/a")), -ENOTEMPTY);
    ASSERT_EQ(CALL(rename, S("/none"), S("/a")), -ENOENT);
    ASSERT_EQ(CALL(rename, S("/f"), S("/new/")), -ENOTDIR);
    ASSERT_OK(CALL(rename, S("/f"), S("/f")));
    ASSERT_OK(CALL(rename, S("/f"), S("/g")));
    ASSERT_STREQ(read_file(&f, "/g"), "f");
    ASSERT_STREQ(read_file(&f, "/f"), "ENOENT");
    ASSERT_OK(CALL(rename, S("/a/b"), S("/c")));
    ASSERT_OK(stat_of(&f, "/a", &st));
    ASSERT_EQ(st.nlink, 2);
    ASSERT_OK(stat_of(&f, "/", &st));
    ASSERT_EQ(st.nlink, 4);
    write_file(&f, "/a/one", "1");
    ASSERT_EQ(CALL(renameat2, AT, S("/g"), AT, S("/a/one"), LINUX_RENAME_NOREPLACE), -EEXIST);
    ASSERT_OK(CALL(renameat2, AT, S("/g"), AT, S("/a/one"), LINUX_RENAME_EXCHANGE));
    ASSERT_STREQ(read_file(&f, "/g"), "1");
    ASSERT_STREQ(read_file(&f, "/a/one"), "f");
    ASSERT_EQ(CALL(renameat2, AT, S("/g"), AT, S("/zz"), LINUX_RENAME_EXCHANGE), -ENOENT);
    ASSERT_OK(CALL(renameat2, AT, S("/g"), AT, S("/h"), LINUX_RENAME_WHITEOUT));
    ASSERT_OK(stat_of(&f, "/g", &st));
    ASSERT_EQ(st.mode & LINUX_S_IFMT, LINUX_S_IFCHR);
    ASSERT_EQ(st.rdev, 0);
    ASSERT_OK(stat_of(&f, "/h", &st2));
    ASSERT_EQ(CALL(renameat2, AT, S("/g"), AT, S("/h"), LINUX_RENAME_EXCHANGE | LINUX_RENAME_NOREPLACE),
              -EINVAL);
}

WITH_FIXTURE(cwd_and_dot_dot) {
    gva_t buf = room(&f, 4096);
    char text[100];

    ASSERT_OK(CALL(mkdir, S("/a"), 0777));
    ASSERT_OK(CALL(mkdir, S("/a/b"), 0777));
    ASSERT_OK(CALL(chdir, S("a/b/../b")));
    ASSERT_EQ(CALL(getcwd, buf, 4096), 5);
    get(&f, text, buf, 5);
    ASSERT_STREQ(text, "/a/b");
    ASSERT_EQ(CALL(getcwd, buf, 4), -ERANGE);
    write_file(&f, "../../x", "top");
    ASSERT_STREQ(read_file(&f, "/x"), "top");
    ASSERT_STREQ(read_file(&f, "../../../../x"), "top");
    ASSERT_OK(CALL(rename, S("/a/b"), S("/q")));
    ASSERT_EQ(CALL(getcwd, buf, 4096), 3);
    ASSERT_OK(CALL(rmdir, S("/q")));
    ASSERT_EQ(CALL(getcwd, buf, 4096), -ENOENT);
    ASSERT_EQ(do_open(&f, "new", LINUX_O_CREAT, 0600), -ENOENT);
    ASSERT_STREQ(read_file(&f, "../x"), "top");
    ASSERT_OK(CALL(chroot, S("/a")));
    ASSERT_EQ(do_open(&f, "/x", LINUX_O_RDONLY, 0), -ENOENT);
    ASSERT_OK(CALL(chdir, S("/")));
    ASSERT_STREQ(read_file(&f, "../x"), "ENOENT");
}

static int64_t open2(struct fixture *fp, int dirfd, const char *name, uint64_t flags, uint64_t resolve) {
    struct linux_open_how how = {.flags = flags, .resolve = resolve};

    return CALL(openat2, (uint64_t)dirfd, S(name), put(&f, &how, sizeof how), sizeof how);
}

WITH_FIXTURE(openat2_rules) {
    ASSERT_OK(CALL(mkdir, S("/j"), 0777));
    ASSERT_OK(CALL(mkdir, S("/j/sub"), 0777));
    write_file(&f, "/j/in", "in");
    write_file(&f, "/out", "out");
    ASSERT_OK(CALL(symlink, S("../out"), S("/j/escape")));
    ASSERT_OK(CALL(symlink, S("/in"), S("/j/abs")));
    ASSERT_OK(CALL(symlink, S("in"), S("/j/rel")));
    int64_t j = do_open(&f, "/j", LINUX_O_PATH | LINUX_O_DIRECTORY, 0);
    ASSERT_OK(j);
    ASSERT_OK(open2(&f, (int)j, "in", 0, LINUX_RESOLVE_BENEATH));
    ASSERT_OK(open2(&f, (int)j, "sub/../in", 0, LINUX_RESOLVE_BENEATH));
    ASSERT_EQ(open2(&f, (int)j, "..", 0, LINUX_RESOLVE_BENEATH), -EXDEV);
    ASSERT_EQ(open2(&f, (int)j, "escape", 0, LINUX_RESOLVE_BENEATH), -EXDEV);
    ASSERT_EQ(open2(&f, (int)j, "/in", 0, LINUX_RESOLVE_BENEATH), -EXDEV);
    ASSERT_EQ(open2(&f, (int)j, "abs", 0, LINUX_RESOLVE_BENEATH), -EXDEV);
    ASSERT_OK(open2(&f, (int)j, "abs", 0, LINUX_RESOLVE_IN_ROOT));
    ASSERT_OK(open2(&f, (int)j, "/in", 0, LINUX_RESOLVE_IN_ROOT));
    ASSERT_OK(open2(&f, (int)j, "../../in", 0, LINUX_RESOLVE_IN_ROOT));
    ASSERT_EQ(open2(&f, (int)j, "escape", 0, LINUX_RESOLVE_IN_ROOT), -ENOENT);
    ASSERT_EQ(open2(&f, (int)j, "rel", 0, LINUX_RESOLVE_NO_SYMLINKS), -ELOOP);
    ASSERT_OK(open2(&f, (int)j, "rel", LINUX_O_PATH | LINUX_O_NOFOLLOW, LINUX_RESOLVE_NO_SYMLINKS));
    ASSERT_EQ(open2(&f, (int)j, "in", 0, LINUX_RESOLVE_IN_ROOT | LINUX_RESOLVE_BENEATH), -EINVAL);
    ASSERT_EQ(open2(&f, (int)j, "in", 0, 1 << 20), -EINVAL);
    ASSERT_EQ(open2(&f, (int)j, "in", 1ull << 40, 0), -EINVAL);
    ASSERT_OK(CALL(mount, S("none"), S("/j/sub"), S("tmpfs"), 0, 0));
    ASSERT_EQ(open2(&f, (int)j, "sub", 0, LINUX_RESOLVE_NO_XDEV), -EXDEV);
    ASSERT_EQ(open2(&f, (int)j, "sub/..", 0, LINUX_RESOLVE_NO_XDEV), -EXDEV);
    ASSERT_OK(open2(&f, (int)j, "sub/../in", 0, LINUX_RESOLVE_BENEATH));
}

WITH_FIXTURE(permissions) {
    ASSERT_OK(CALL(mkdir, S("/t"), 01777));
    ASSERT_OK(CALL(chmod, S("/t"), 01777));
    ASSERT_OK(CALL(mkdir, S("/priv"), 0700));
    write_file(&f, "/t/root", "r");
    write_file(&f, "/priv/x", "x");
    ASSERT_OK(CALL(chmod, S("/t/root"), 0640));
    struct task *other = fixture_task(&f, false);
    fixture_become(other, 1000, 1000);
    ASSERT_EQ(CALL_ON(other, open, S("/t/root"), LINUX_O_RDONLY), -EACCES);
    ASSERT_EQ(CALL_ON(other, open, S("/priv/x"), LINUX_O_RDONLY), -EACCES);
    ASSERT_EQ(CALL_ON(other, access, S("/t/root"), 0), 0);
    ASSERT_EQ(CALL_ON(other, access, S("/t/root"), 4), -EACCES);
    ASSERT_EQ(CALL_ON(other, unlink, S("/t/root")), -EPERM); /* sticky */
    ASSERT_EQ(CALL_ON(other, rename, S("/t/root"), S("/t/mine")), -EPERM);
    ASSERT_EQ(CALL_ON(other, chmod, S("/t/root"), 0777), -EPERM);
    ASSERT_EQ(CALL_ON(other, chown, S("/t/root"), 1000, 1000), -EPERM);
    ASSERT_EQ(CALL_ON(other, mkdir, S("/d"), 0777), -EACCES);
    ASSERT_EQ(CALL_ON(other, link, S("/t/root"), S("/t/l")), -EPERM); /* protected_hardlinks */
    ASSERT_OK(CALL(chown, S("/t/root"), 1000, 1000));
    ASSERT_OK(CALL_ON(other, chmod, S("/t/root"), 04755));
    struct linux_stat st;
    ASSERT_OK(stat_of(&f, "/t/root", &st));
    ASSERT_EQ(st.mode & 07777, 04755);
    ASSERT_EQ(st.uid, 1000);
    /* Writing drops set-user-ID. */
    int64_t fd = CALL_ON(other, open, S("/t/root"), LINUX_O_WRONLY);
    ASSERT_OK(fd);
    ASSERT_EQ(CALL_ON(other, write, (uint64_t)fd, S("zz"), 2), 2);
    ASSERT_OK(stat_of(&f, "/t/root", &st));
    ASSERT_EQ(st.mode & 07777, 0755);
    ASSERT_EQ(CALL_ON(other, chown, S("/t/root"), 1001, -1), -EPERM);
    fixture_task_done(other);
}

WITH_FIXTURE(tmpfile_gets_a_name) {
    char proc[32];

    int64_t fd = do_open(&f, "/", LINUX_O_TMPFILE | LINUX_O_RDWR, 0600);
    ASSERT_OK(fd);
    ASSERT_EQ(write_str(&f, fd, "anon"), 4);
    ASSERT_EQ(do_open(&f, "/", LINUX_O_TMPFILE, 0600), -EINVAL);
    ASSERT_OK(CALL(linkat, (uint64_t)fd, S(""), AT, S("/named"), LINUX_AT_EMPTY_PATH));
    ASSERT_STREQ(read_file(&f, "/named"), "anon");
    (void)proc;
}

WITH_FIXTURE(long_names) {
    char name[300] = "/", path[4200];

    memset(name + 1, 'n', 256);
    ASSERT_EQ(do_open(&f, name, LINUX_O_CREAT, 0600), -ENAMETOOLONG);
    name[256] = '\0'; /* 255 */
    write_file(&f, name, "long");
    ASSERT_STREQ(read_file(&f, name), "long");
    ASSERT_OK(CALL(rename, S(name), S("/short")));
    ASSERT_OK(CALL(rename, S("/short"), S(name)));
    ASSERT_STREQ(read_file(&f, name), "long");
    memset(path, '/', sizeof path);
    path[4096] = '\0';
    ASSERT_EQ(do_open(&f, path, LINUX_O_RDONLY, 0), -ENAMETOOLONG);
    path[4095] = '\0';
    ASSERT_OK(do_open(&f, path, LINUX_O_RDONLY, 0));
}
