/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/gofer/gofer_attr_test.c:
 * Attributes, listings, extended attributes, sockets, watches, limits.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gofer_fixture.h"
#include "tests/support/test.h"

TEST(setattr) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    gofer_fixture_write(&f, "file", "0123456789");
    struct gofer_node node;
    struct gofer_attr attr;
    struct stat st;
    ASSERT_OK(gofer_walk_path(&f, "file", &node));
    struct gofer_setattr s = {.handle = node.handle,
                              .mask = GOFER_SET_MODE | GOFER_SET_SIZE | GOFER_SET_ATIME | GOFER_SET_MTIME,
                              .mode = 0604,
                              .size = 4,
                              .atime = {.sec = -5, .nsec = 7},
                              .mtime = {.sec = 1000000000, .nsec = 999999999}};
    ASSERT_OK(gofer_conn_setattr(f.conn, &s, &attr));
    ASSERT_OK(fstatat(f.dir, "file", &st, 0));
    ASSERT_EQ(st.st_mode, S_IFREG | 0604);
    ASSERT_EQ(st.st_size, 4);
    ASSERT_EQ(st.st_atim.tv_sec, -5);
    ASSERT_EQ(st.st_mtim.tv_nsec, 999999999);
    ASSERT_EQ(attr.mtime.sec, 1000000000);
    ASSERT_EQ(attr.size, 4);
    s.mask = GOFER_SET_MTIME_NOW;
    ASSERT_OK(gofer_conn_setattr(f.conn, &s, &attr));
    ASSERT_GT(attr.mtime.sec, 1700000000);
    ASSERT_EQ(attr.atime.sec, -5);
    if (geteuid() == 0) {
        s.mask = GOFER_SET_UID | GOFER_SET_MODE;
        s.uid = 500;
        s.mode = 04755;
        ASSERT_OK(gofer_conn_setattr(f.conn, &s, &attr));
        ASSERT_EQ(attr.uid, 500);
        ASSERT_EQ(attr.gid, 0);
        ASSERT_EQ(attr.mode, S_IFREG | 04755);
    }
    s.handle = f.root;
    s.mask = GOFER_SET_SIZE;
    ASSERT_EQ(gofer_conn_setattr(f.conn, &s, &attr), -EISDIR);
    s.mask = 1u << 20;
    ASSERT_EQ(gofer_conn_setattr(f.conn, &s, &attr), -EPROTO);
    gofer_fixture_end(&f);
}

TEST(times_of_symlink) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    ASSERT_OK(symlinkat("nowhere", f.dir, "l"));
    struct gofer_node node;
    struct gofer_attr attr;
    ASSERT_OK(gofer_walk_path(&f, "l", &node));
    struct gofer_setattr s = {.handle = node.handle, .mask = GOFER_SET_MTIME, .mtime = {.sec = 42}};
    ASSERT_OK(gofer_conn_setattr(f.conn, &s, &attr));
    ASSERT_EQ(attr.mtime.sec, 42);
    gofer_fixture_end(&f);
}

#define FILES 2500

static void make_files(struct gofer_fixture *f) {
    for (int i = 0; i < FILES; i++) {
        char name[64];
        snprintf(name, sizeof(name), i % 100 ? "f%d" : "a-much-longer-name-of-a-file-%d", i);
        int fd = openat(f->dir, name, O_CREAT | O_WRONLY, 0600 | (i & 7));
        ASSERT_OK(fd);
        ASSERT_OK(ftruncate(fd, i));
        close(fd);
    }
}

/* All pages; checks every entry against the host. Returns how many. */
static int list_all(struct gofer_fixture *f, size_t page_size) {
    struct gofer_page page = {.data = malloc(page_size), .capacity = page_size};
    uint64_t cookie = 0;
    int count = 0;
    do {
        ASSERT_OK(gofer_conn_listdir(f->conn, f->root, cookie, &page));
        size_t at = 0;
        const struct gofer_dirent *e;
        while ((e = gofer_dirent_next(&page, &at))) {
            char name[256] = {0};
            struct stat st;
            memcpy(name, e + 1, e->name_size);
            ASSERT_OK(fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW));
            ASSERT_TRUE(e->has_attr);
            ASSERT_EQ(e->attr.size, st.st_size);
            ASSERT_EQ(e->attr.mode, st.st_mode);
            ASSERT_EQ(e->ino, st.st_ino);
            count++;
        }
        cookie = page.cookie;
    } while (!page.end);
    free(page.data);
    return count;
}

static void listdir_by(enum gofer_uring uring) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, &(struct gofer_fixture_options){.uring = uring});
    make_files(&f);
    ASSERT_EQ(list_all(&f, GOFER_PAYLOAD_MAX), FILES);
    ASSERT_EQ(list_all(&f, 4096), FILES);
    ASSERT_EQ(list_all(&f, 1024), FILES);
    ASSERT_EQ(gofer_fixture_server_fds(&f), f.server_fds);
    gofer_fixture_end(&f);
}

TEST(listdir_plain) {
    listdir_by(GOFER_URING_NEVER);
}

TEST(listdir_by_io_uring) {
    listdir_by(GOFER_URING_ALWAYS);
}

TEST(listdir_of_empty_directory_and_file) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    ASSERT_EQ(list_all(&f, 1024), 0);
    gofer_fixture_write(&f, "file", "");
    struct gofer_node node;
    ASSERT_OK(gofer_walk_path(&f, "file", &node));
    uint64_t buf[128];
    struct gofer_page page = {.data = buf, .capacity = sizeof(buf)};
    ASSERT_EQ(gofer_conn_listdir(f.conn, node.handle, 0, &page), -ENOTDIR);
    page.capacity = 8;
    ASSERT_EQ(gofer_conn_listdir(f.conn, f.root, 0, &page), -EPROTO);
    gofer_fixture_end(&f);
}

TEST(xattrs) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    gofer_fixture_write(&f, "file", "");
    struct gofer_node node;
    ASSERT_OK(gofer_walk_path(&f, "file", &node));
    int rc = gofer_conn_setxattr(f.conn, node.handle, "user.one", "value", 5, XATTR_CREATE);
    if (rc == -EOPNOTSUPP)
        test_skip("the file system of /tmp: user.*: %s", strerror(-rc));
    ASSERT_OK(rc);
    ASSERT_EQ(gofer_conn_setxattr(f.conn, node.handle, "user.one", "value", 5, XATTR_CREATE), -EEXIST);
    char buf[64];
    size_t size;
    ASSERT_OK(gofer_conn_getxattr(f.conn, node.handle, "user.one", buf, sizeof(buf), &size));
    ASSERT_EQ(size, 5);
    ASSERT_MEMEQ(buf, "value", 5);
    ASSERT_OK(gofer_conn_getxattr(f.conn, node.handle, "user.one", NULL, 0, &size));
    ASSERT_EQ(size, 5);
    ASSERT_EQ(gofer_conn_getxattr(f.conn, node.handle, "user.one", buf, 2, &size), -ERANGE);
    ASSERT_EQ(gofer_conn_getxattr(f.conn, node.handle, "user.two", buf, 2, &size), -ENODATA);
    ASSERT_EQ(gofer_conn_setxattr(f.conn, node.handle, "trusted.x", "v", 1, 0), -EOPNOTSUPP);
    ASSERT_EQ(gofer_conn_getxattr(f.conn, node.handle, "security.selinux", buf, 64, &size), -EOPNOTSUPP);
    char path[128];
    snprintf(path, sizeof(path), "%s/root/file", f.path);
    (void)setxattr(path, "trusted.hidden", "v", 1, 0);
    ASSERT_OK(gofer_conn_listxattr(f.conn, node.handle, buf, sizeof(buf), &size));
    ASSERT_EQ(size, sizeof("user.one"));
    ASSERT_STREQ(buf, "user.one");
    ASSERT_OK(gofer_conn_listxattr(f.conn, node.handle, NULL, 0, &size));
    ASSERT_EQ(size, sizeof("user.one"));
    ASSERT_EQ(gofer_conn_listxattr(f.conn, node.handle, buf, 3, &size), -ERANGE);
    ASSERT_OK(gofer_conn_removexattr(f.conn, node.handle, "user.one"));
    ASSERT_EQ(gofer_conn_removexattr(f.conn, node.handle, "user.one"), -ENODATA);
    gofer_fixture_end(&f);
}

TEST(statfs_and_fsync) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    gofer_fixture_write(&f, "file", "x");
    ASSERT_OK(mkfifoat(f.dir, "fifo", 0600));
    struct gofer_node node;
    struct gofer_statfs_reply sfs;
    ASSERT_OK(gofer_conn_statfs(f.conn, f.root, &sfs));
    ASSERT_GT(sfs.block_size, 0);
    ASSERT_EQ(sfs.name_max, 255);
    ASSERT_OK(gofer_conn_fsync(f.conn, f.root, 0));
    ASSERT_OK(gofer_walk_path(&f, "file", &node));
    ASSERT_OK(gofer_conn_fsync(f.conn, node.handle, GOFER_SYNC_DATA));
    ASSERT_OK(gofer_walk_path(&f, "fifo", &node)); /* opening it for reading would wait for a writer */
    ASSERT_EQ(gofer_conn_fsync(f.conn, node.handle, 0), -EINVAL);
    gofer_fixture_end(&f);
}

TEST(sockets_only_where_allowed) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    struct gofer_bind args = {
        .parent = f.root, .type = SOCK_STREAM, .mode = 0600, .uid = geteuid(), .gid = getegid()};
    struct gofer_node node;
    int fd;
    ASSERT_EQ(gofer_conn_bind(f.conn, &args, name_of("s"), &node, &fd), -EPERM);
    struct gofer_make make = {.parent = f.root, .mode = S_IFSOCK | 0600, .uid = args.uid, .gid = args.gid};
    ASSERT_OK(gofer_conn_mknod(f.conn, &make, name_of("s"), &node));
    ASSERT_EQ(gofer_conn_connect(f.conn, node.handle, SOCK_STREAM, &fd), -ECONNREFUSED);
    gofer_fixture_end(&f);
}

TEST(bind_and_connect) {
    struct gofer_fixture f;
    gofer_fixture_start(
        &f, &(struct gofer_fixture_options){.root_flags = GOFER_ROOT_SHARED | GOFER_ROOT_SOCKETS});
    struct gofer_bind args = {
        .parent = f.root, .type = SOCK_STREAM, .mode = 0620, .uid = geteuid(), .gid = getegid()};
    struct gofer_node node;
    int listener, client;
    ASSERT_OK(gofer_conn_bind(f.conn, &args, name_of("sock"), &node, &listener));
    ASSERT_EQ(node.attr.mode, S_IFSOCK | 0620);
    ASSERT_EQ(gofer_conn_connect(f.conn, node.handle, SOCK_STREAM, &client), -ECONNREFUSED);
    ASSERT_OK(listen(listener, 4));
    ASSERT_OK(gofer_conn_connect(f.conn, node.handle, SOCK_STREAM, &client));
    int accepted = accept(listener, NULL, NULL);
    ASSERT_OK(accepted);
    ASSERT_EQ(write(client, "hi", 2), 2);
    char buf[4];
    ASSERT_EQ(read(accepted, buf, sizeof(buf)), 2);
    ASSERT_EQ(gofer_conn_connect(f.conn, node.handle, 77, &client + 1), -EPROTO);
    close(accepted);
    close(client);
    close(listener);
    ASSERT_EQ(gofer_conn_bind(f.conn, &args, name_of("sock"), &node, &listener), -EADDRINUSE);
    gofer_fixture_end(&f);
}

static void expect_event(int fd, int wd, uint32_t mask, const char *name) {
    char buf[4096] __attribute__((aligned(8)));
    ssize_t n = read(fd, buf, sizeof(buf));
    ASSERT_OK(n);
    for (ssize_t at = 0; at < n;) {
        struct inotify_event *e = (void *)(buf + at);
        if (e->wd == wd && e->mask & mask && (e->len == 0 || strcmp(e->name, name) == 0))
            return;
        at += (ssize_t)sizeof(*e) + e->len;
    }
    ASSERT_FAIL("no event %#x for %s", mask, name);
}

TEST(watched_root_reports_changes_at_once) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, &(struct gofer_fixture_options){.root_flags = GOFER_ROOT_WATCHED});
    int fd = gofer_conn_inotify_fd(f.conn);
    ASSERT_GE(fd, 0);
    int root_watch = gofer_conn_root(f.conn, 0)->node.watch;
    ASSERT_GE(root_watch, 0);
    ASSERT_OK(mkdirat(f.dir, "d", 0755));
    expect_event(fd, root_watch, IN_CREATE, "d"); /* no waiting: it was queued before mkdirat returned */
    struct gofer_node first, second;
    ASSERT_OK(gofer_walk_path(&f, "d", &first));
    ASSERT_OK(gofer_walk_path(&f, "d", &second));
    ASSERT_EQ(first.watch, second.watch); /* one inode, one watch */
    ASSERT_OK(gofer_conn_close_handles(f.conn, &first.handle, 1));
    gofer_fixture_write(&f, "d/file", "x");
    expect_event(fd, second.watch, IN_CREATE, "file");
    ASSERT_OK(gofer_conn_close_handles(f.conn, &second.handle, 1));
    expect_event(fd, second.watch, IN_IGNORED, ""); /* with the last handle the watch goes */
    ASSERT_OK(gofer_walk_path(&f, "d/file", &first));
    int wd, again;
    ASSERT_EQ(first.watch, -1);
    ASSERT_OK(gofer_conn_watch(f.conn, first.handle, IN_MODIFY, &wd));
    ASSERT_OK(gofer_conn_watch(f.conn, first.handle, IN_ATTRIB, &again));
    ASSERT_EQ(wd, again);
    gofer_fixture_write(&f, "d/file", "yy");
    expect_event(fd, wd, IN_MODIFY, "");
    ASSERT_OK(gofer_conn_close_handles(f.conn, &first.handle, 1));
    gofer_fixture_end(&f);
}

TEST(out_of_descriptors_is_clean) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, &(struct gofer_fixture_options){.nofile = 512});
    gofer_fixture_write(&f, "file", "x");
    gofer_handle_t handles[600];
    struct gofer_node node;
    size_t count = 0;
    int rc;
    while ((rc = gofer_walk_path(&f, "file", &node)) == 0)
        handles[count++] = node.handle;
    ASSERT_EQ(rc, -EMFILE);
    ASSERT_GT(count, 200);
    struct gofer_attr attr;
    int fd;
    struct gofer_open args = {.handle = handles[0]};
    ASSERT_OK(gofer_conn_open_file(f.conn, &args, &attr, &fd)); /* the reserve is for this */
    close(fd);
    ASSERT_OK(gofer_conn_close_handles(f.conn, handles, count));
    ASSERT_EQ(gofer_fixture_server_fds(&f), f.server_fds);
    ASSERT_OK(gofer_walk_path(&f, "file", &node));
    gofer_fixture_end(&f);
}

static void *hammer(void *arg) {
    struct gofer_fixture *f = arg;
    for (int i = 0; i < 500; i++) {
        struct gofer_node node;
        ASSERT_OK(gofer_walk_path(f, "d/e/file", &node));
        struct gofer_open args = {.handle = node.handle};
        struct gofer_attr attr;
        int fd;
        ASSERT_OK(gofer_conn_open_file(f->conn, &args, &attr, &fd));
        close(fd);
        ASSERT_OK(gofer_conn_close_handles(f->conn, &node.handle, 1));
    }
    return NULL;
}

TEST(many_threads) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    ASSERT_OK(mkdirat(f.dir, "d", 0755));
    ASSERT_OK(mkdirat(f.dir, "d/e", 0755));
    gofer_fixture_write(&f, "d/e/file", "x");
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        ASSERT_EQ(pthread_create(&threads[i], NULL, hammer, &f), 0);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    ASSERT_LE(gofer_fixture_server_fds(&f), f.server_fds + 7); /* as many channels as threads */
    gofer_fixture_end(&f);
}

TEST(dead_gofer_is_eio) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    kill(f.pid, 9);
    test_wait(f.pid);
    struct gofer_attr attr;
    ASSERT_EQ(gofer_conn_getattr(f.conn, f.root, &attr), -EIO);
    ASSERT_TRUE(gofer_conn_broken(f.conn));
    ASSERT_EQ(gofer_conn_getattr(f.conn, f.root, &attr), -EIO);
    gofer_conn_close(f.conn);
    close(f.dir);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", f.path);
    ASSERT_EQ(system(command), 0);
}
