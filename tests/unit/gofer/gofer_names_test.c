/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/gofer/gofer_names_test.c:
 * Walking, opening, making, linking, renaming, removing: each message against a real gofer, checked on the
 * host.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "gofer_fixture.h"
#include "tests/support/test.h"

static void make_tree(struct gofer_fixture *f) {
    ASSERT_OK(mkdirat(f->dir, "a", 0755));
    ASSERT_OK(mkdirat(f->dir, "a/b", 0755));
    gofer_fixture_write(f, "a/b/file", "hello");
    ASSERT_OK(symlinkat("../../outside", f->dir, "a/link"));
    ASSERT_OK(mkfifoat(f->dir, "fifo", 0644));
    ASSERT_OK(symlinkat("a", f->dir, "dirlink"));
}

static void close_handle(struct gofer_fixture *f, gofer_handle_t h) {
    ASSERT_OK(gofer_conn_close_handles(f->conn, &h, 1));
}

static void walk_tree(const struct gofer_fixture_options *o) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, o);
    make_tree(&f);
    struct gofer_name names[] = {name_of("a"), name_of("b"), name_of("file"), name_of("x")};
    struct gofer_node nodes[4];
    struct gofer_walked w;
    ASSERT_OK(gofer_conn_walk(f.conn, f.root, names, 4, nodes, NULL, &w));
    ASSERT_EQ(w.count, 3); /* ends at the file */
    ASSERT_EQ(w.error, 0);
    struct stat st;
    ASSERT_OK(fstatat(f.dir, "a/b/file", &st, 0));
    ASSERT_EQ(nodes[2].attr.ino, st.st_ino);
    ASSERT_EQ(nodes[2].attr.size, 5);
    ASSERT_EQ(nodes[2].attr.mode, st.st_mode);
    ASSERT_EQ(nodes[2].attr.mtime.nsec, st.st_mtim.tv_nsec);
    ASSERT_EQ(nodes[2].attr.dev_major, major(st.st_dev));
    gofer_handle_t handles[] = {nodes[0].handle, nodes[1].handle, nodes[2].handle};
    names[1] = name_of("none");
    ASSERT_OK(gofer_conn_walk(f.conn, f.root, names, 4, nodes, NULL, &w));
    ASSERT_EQ(w.count, 1);
    ASSERT_EQ(w.error, -ENOENT);
    close_handle(&f, nodes[0].handle);
    char target[GOFER_TARGET_MAX + 1];
    names[1] = name_of("link");
    ASSERT_OK(gofer_conn_walk(f.conn, f.root, names, 4, nodes, target, &w));
    ASSERT_EQ(w.count, 2); /* not followed */
    ASSERT_STREQ(target, "../../outside");
    ASSERT_EQ(w.target_size, strlen(target));
    close_handle(&f, nodes[0].handle);
    close_handle(&f, nodes[1].handle);
    ASSERT_OK(gofer_conn_close_handles(f.conn, handles, 3));
    ASSERT_EQ(gofer_conn_close_handles(f.conn, handles, 3), -EBADF);
    ASSERT_EQ(gofer_fixture_server_fds(&f), f.server_fds);
    gofer_fixture_end(&f);
}

TEST(walk) {
    walk_tree(NULL);
}

TEST(walk_without_openat2) {
    walk_tree(&(struct gofer_fixture_options){.options = GOFER_OPTION_NO_OPENAT2});
}

TEST(walk_refuses_bad_names) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    static const char *const bad[] = {"", ".", "..", "a/b", "/", "/etc"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct gofer_name name = name_of(bad[i]);
        struct gofer_node node;
        struct gofer_walked w;
        ASSERT_EQ(gofer_conn_walk(f.conn, f.root, &name, 1, &node, NULL, &w), -EINVAL);
    }
    char longest[257];
    memset(longest, 'x', 256);
    longest[256] = '\0';
    struct gofer_node node;
    ASSERT_EQ(gofer_walk_path(&f, longest, &node), -ENAMETOOLONG);
    ASSERT_EQ(gofer_walk_path(&f, longest + 1, &node), -ENOENT);
    ASSERT_FALSE(gofer_conn_broken(f.conn));
    gofer_fixture_end(&f);
}

TEST(look_gives_attributes_alone) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    make_tree(&f);
    struct gofer_attr attr;
    struct stat st;
    ASSERT_OK(gofer_conn_look(f.conn, f.root, name_of("dirlink"), &attr));
    ASSERT_OK(fstatat(f.dir, "dirlink", &st, AT_SYMLINK_NOFOLLOW));
    ASSERT_EQ(attr.ino, st.st_ino);
    ASSERT_EQ(attr.mode, st.st_mode);
    ASSERT_EQ(gofer_conn_look(f.conn, f.root, name_of("none"), &attr), -ENOENT);
    ASSERT_EQ(gofer_fixture_server_fds(&f), f.server_fds);
    gofer_fixture_end(&f);
}

TEST(open_donates_what_was_asked_for) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    make_tree(&f);
    struct gofer_node node;
    struct gofer_attr attr;
    int fd;
    ASSERT_OK(gofer_walk_path(&f, "a/b/file", &node));
    struct gofer_open args = {.handle = node.handle, .access = GOFER_READ};
    ASSERT_OK(gofer_conn_open_file(f.conn, &args, &attr, &fd));
    char buf[8];
    ASSERT_EQ(pread(fd, buf, sizeof(buf), 0), 5);
    ASSERT_MEMEQ(buf, "hello", 5);
    ASSERT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    ASSERT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    void *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    ASSERT_NE(p, MAP_FAILED);
    ASSERT_ERRNO(mprotect(p, 4096, PROT_READ | PROT_WRITE), EACCES);
    munmap(p, 4096);
    close(fd);
    args.access = GOFER_READ_WRITE;
    args.flags = GOFER_OPEN_TRUNCATE;
    ASSERT_OK(gofer_conn_open_file(f.conn, &args, &attr, &fd));
    ASSERT_EQ(attr.size, 0);
    ASSERT_EQ(pwrite(fd, "xy", 2, 0), 2);
    close(fd);
    close_handle(&f, node.handle);
    static const struct {
        const char *path;
        int want;
    } refused[] = {{"a", -EISDIR}, {"fifo", -ENXIO}, {"a/link", -ELOOP}};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ASSERT_OK(gofer_walk_path(&f, refused[i].path, &node));
        args = (struct gofer_open){.handle = node.handle};
        ASSERT_EQ(gofer_conn_open_file(f.conn, &args, &attr, &fd), refused[i].want);
        close_handle(&f, node.handle);
    }
    ASSERT_EQ(gofer_conn_open_file(f.conn, &args, &attr, &fd), -EBADF);
    ASSERT_EQ(gofer_fixture_server_fds(&f), f.server_fds);
    gofer_fixture_end(&f);
}

TEST(open_at_needs_no_handle) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    make_tree(&f);
    gofer_fixture_write(&f, "file", "data");
    struct gofer_attr attr;
    char buf[8];
    int fd;
    ASSERT_OK(gofer_conn_open_at(f.conn, f.root, name_of("file"), GOFER_READ, &attr, &fd));
    ASSERT_EQ(attr.size, 4);
    ASSERT_EQ(read(fd, buf, sizeof(buf)), 4);
    ASSERT_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(fd);
    ASSERT_EQ(gofer_conn_open_at(f.conn, f.root, name_of("a"), GOFER_READ, &attr, &fd), -EISDIR);
    ASSERT_EQ(gofer_conn_open_at(f.conn, f.root, name_of("fifo"), GOFER_READ, &attr, &fd), -ENXIO);
    ASSERT_EQ(gofer_conn_open_at(f.conn, f.root, name_of("dirlink"), GOFER_READ, &attr, &fd), -ELOOP);
    ASSERT_EQ(gofer_conn_open_at(f.conn, f.root, name_of("none"), GOFER_READ, &attr, &fd), -ENOENT);
    ASSERT_EQ(gofer_conn_open_at(f.conn, f.root, name_of("file"), 3, &attr, &fd), -EPROTO);
    ASSERT_EQ(gofer_fixture_server_fds(&f), f.server_fds);
    gofer_fixture_end(&f);
}

TEST(read_only_root_changes_nothing) {
    struct gofer_fixture f;
    gofer_fixture_start(
        &f, &(struct gofer_fixture_options){.root_flags = GOFER_ROOT_READ_ONLY | GOFER_ROOT_EXCLUSIVE});
    make_tree(&f);
    struct gofer_node node, made;
    struct gofer_attr attr;
    int fd;
    ASSERT_OK(gofer_walk_path(&f, "a/b/file", &node));
    struct gofer_open args = {.handle = node.handle, .access = GOFER_WRITE};
    ASSERT_EQ(gofer_conn_open_file(f.conn, &args, &attr, &fd), -EROFS);
    gofer_fixture_write(&f, "file", "x");
    ASSERT_EQ(gofer_conn_open_at(f.conn, f.root, name_of("file"), GOFER_WRITE, &attr, &fd), -EROFS);
    struct gofer_create create = {.parent = f.root, .mode = 0644};
    ASSERT_EQ(gofer_conn_create(f.conn, &create, name_of("n"), &made, &fd), -EROFS);
    struct gofer_make make = {.parent = f.root, .mode = 0755};
    ASSERT_EQ(gofer_conn_mkdir(f.conn, &make, name_of("n"), &made), -EROFS);
    make.mode |= S_IFIFO;
    ASSERT_EQ(gofer_conn_mknod(f.conn, &make, name_of("n"), &made), -EROFS);
    struct gofer_symlink link = {.parent = f.root};
    ASSERT_EQ(gofer_conn_symlink(f.conn, &link, name_of("n"), "t", &made), -EROFS);
    ASSERT_EQ(gofer_conn_link(f.conn, node.handle, f.root, name_of("n"), &attr), -EROFS);
    ASSERT_EQ(gofer_conn_unlink(f.conn, f.root, name_of("fifo"), 0), -EROFS);
    struct gofer_rename rename = {.old_parent = f.root, .new_parent = f.root};
    ASSERT_EQ(gofer_conn_rename(f.conn, &rename, name_of("fifo"), name_of("n")), -EROFS);
    struct gofer_setattr set = {.handle = node.handle, .mask = GOFER_SET_MODE};
    ASSERT_EQ(gofer_conn_setattr(f.conn, &set, &attr), -EROFS);
    ASSERT_EQ(gofer_conn_setxattr(f.conn, node.handle, "user.x", "v", 1, 0), -EROFS);
    ASSERT_EQ(gofer_conn_removexattr(f.conn, node.handle, "user.x"), -EROFS);
    gofer_fixture_end(&f);
}

TEST(create_gives_owner_mode_and_descriptor) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    bool root = geteuid() == 0;
    struct gofer_create args = {.parent = f.root,
                                .mode = 04751,
                                .uid = root ? 1234 : geteuid(),
                                .gid = root ? 4321 : getegid(),
                                .access = GOFER_READ_WRITE};
    struct gofer_node node;
    int fd;
    ASSERT_OK(gofer_conn_create(f.conn, &args, name_of("new"), &node, &fd));
    ASSERT_EQ(write(fd, "abc", 3), 3);
    struct stat st;
    ASSERT_OK(fstatat(f.dir, "new", &st, 0));
    ASSERT_EQ(st.st_mode, S_IFREG | 04751);
    ASSERT_EQ(st.st_uid, args.uid);
    ASSERT_EQ(st.st_gid, args.gid);
    ASSERT_EQ(st.st_size, 3);
    ASSERT_EQ(node.attr.ino, st.st_ino);
    ASSERT_EQ(node.attr.mode, st.st_mode);
    close(fd);
    ASSERT_EQ(gofer_conn_create(f.conn, &args, name_of("new"), &node, &fd), -EEXIST);
    gofer_fixture_end(&f);
}

TEST(tmpfile_can_be_named_later) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    struct gofer_create args = {.parent = f.root,
                                .mode = 0600,
                                .uid = geteuid(),
                                .gid = getegid(),
                                .access = GOFER_READ_WRITE,
                                .flags = GOFER_CREATE_TMPFILE};
    struct gofer_node node;
    struct gofer_attr attr;
    int fd;
    int rc = gofer_conn_create(f.conn, &args, (struct gofer_name){NULL, 0}, &node, &fd);
    if (rc == -EOPNOTSUPP)
        test_skip("the file system of /tmp: O_TMPFILE: %s", strerror(-rc));
    ASSERT_OK(rc);
    ASSERT_EQ(node.attr.nlink, 0);
    ASSERT_EQ(write(fd, "tmp", 3), 3);
    close(fd);
    ASSERT_OK(gofer_conn_link(f.conn, node.handle, f.root, name_of("named"), &attr));
    ASSERT_EQ(attr.nlink, 1);
    struct stat st;
    ASSERT_OK(fstatat(f.dir, "named", &st, 0));
    ASSERT_EQ(st.st_size, 3);
    gofer_fixture_end(&f);
}

TEST(mkdir_mknod_symlink) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    bool root = geteuid() == 0;
    struct gofer_make args = {
        .parent = f.root, .mode = 02775, .uid = root ? 77 : geteuid(), .gid = root ? 78 : getegid()};
    struct gofer_node node;
    struct stat st;
    ASSERT_OK(gofer_conn_mkdir(f.conn, &args, name_of("d"), &node));
    ASSERT_OK(fstatat(f.dir, "d", &st, 0));
    ASSERT_EQ(st.st_mode, S_IFDIR | 02775);
    ASSERT_EQ(st.st_uid, args.uid);
    ASSERT_EQ(st.st_gid, args.gid);
    ASSERT_EQ(gofer_conn_mkdir(f.conn, &args, name_of("d"), &node), -EEXIST);
    static const uint32_t made[] = {S_IFREG, S_IFIFO, S_IFSOCK};
    static const char *const names[] = {"reg", "fifo", "sock"};
    for (size_t i = 0; i < 3; i++) {
        args.mode = made[i] | 0640;
        ASSERT_OK(gofer_conn_mknod(f.conn, &args, name_of(names[i]), &node));
        ASSERT_OK(fstatat(f.dir, names[i], &st, AT_SYMLINK_NOFOLLOW));
        ASSERT_EQ(st.st_mode, args.mode);
        ASSERT_EQ(node.attr.mode, args.mode);
    }
    args.mode = S_IFCHR | 0600;
    args.rdev_major = 1;
    args.rdev_minor = 3;
    ASSERT_EQ(gofer_conn_mknod(f.conn, &args, name_of("null"), &node), -EPERM);
    args.mode = S_IFBLK | 0600;
    ASSERT_EQ(gofer_conn_mknod(f.conn, &args, name_of("disk"), &node), -EPERM);
    struct gofer_symlink link = {.parent = f.root, .uid = args.uid, .gid = args.gid};
    ASSERT_OK(gofer_conn_symlink(f.conn, &link, name_of("l"), "/etc/passwd", &node));
    char target[GOFER_TARGET_MAX + 1];
    uint32_t size;
    ASSERT_OK(gofer_conn_readlink(f.conn, node.handle, target, &size));
    ASSERT_STREQ(target, "/etc/passwd");
    ASSERT_OK(fstatat(f.dir, "l", &st, AT_SYMLINK_NOFOLLOW));
    ASSERT_EQ(st.st_uid, args.uid);
    ASSERT_EQ(gofer_conn_readlink(f.conn, f.root, target, &size), -EINVAL);
    gofer_fixture_end(&f);
}

TEST(link_unlink_rename) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    make_tree(&f);
    struct gofer_node file, dir, link;
    struct gofer_attr attr;
    ASSERT_OK(gofer_walk_path(&f, "a/b/file", &file));
    ASSERT_OK(gofer_walk_path(&f, "a", &dir));
    ASSERT_OK(gofer_walk_path(&f, "dirlink", &link));
    ASSERT_OK(gofer_conn_link(f.conn, file.handle, f.root, name_of("hard"), &attr));
    ASSERT_EQ(attr.nlink, 2);
    ASSERT_EQ(gofer_conn_link(f.conn, dir.handle, f.root, name_of("no"), &attr), -EPERM);
    ASSERT_OK(gofer_conn_link(f.conn, link.handle, f.root, name_of("link2"), &attr)); /* the link itself */
    ASSERT_EQ(attr.mode & S_IFMT, S_IFLNK);
    struct gofer_rename args = {.old_parent = f.root, .new_parent = dir.handle};
    ASSERT_OK(gofer_conn_rename(f.conn, &args, name_of("hard"), name_of("moved")));
    ASSERT_OK(faccessat(f.dir, "a/moved", F_OK, 0));
    args.flags = GOFER_RENAME_NOREPLACE;
    ASSERT_EQ(gofer_conn_rename(f.conn, &args, name_of("fifo"), name_of("moved")), -EEXIST);
    args.flags = GOFER_RENAME_EXCHANGE;
    ASSERT_OK(gofer_conn_rename(f.conn, &args, name_of("fifo"), name_of("moved")));
    args.flags = 8;
    ASSERT_EQ(gofer_conn_rename(f.conn, &args, name_of("fifo"), name_of("moved")), -EPROTO);
    ASSERT_EQ(gofer_conn_unlink(f.conn, f.root, name_of("a"), 0), -EISDIR);
    ASSERT_EQ(gofer_conn_unlink(f.conn, f.root, name_of("a"), GOFER_UNLINK_DIR), -ENOTEMPTY);
    ASSERT_OK(gofer_conn_unlink(f.conn, f.root, name_of("fifo"), 0));
    /* A handle outlives its name. */
    ASSERT_OK(unlinkat(f.dir, "a/b/file", 0));
    ASSERT_OK(gofer_conn_getattr(f.conn, file.handle, &attr));
    ASSERT_EQ(attr.nlink, 0);
    gofer_fixture_end(&f);
}
