/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/gofer/gofer_fixture.c: a gofer in a child process.
 */
#include "gofer_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ref.h"
#include "tests/support/test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EXTRA_OPTIONS GOFER_OPTION_NO_FILTER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define EXTRA_OPTIONS GOFER_OPTION_NO_FILTER
#endif
#endif
#ifndef EXTRA_OPTIONS
#define EXTRA_OPTIONS 0
#endif

static void close_others(int keep1, int keep2) {
    for (int fd = 3; fd < 256; fd++) {
        if (fd != keep1 && fd != keep2)
            close(fd);
    }
}

static void serve(int sock, int dir, const struct gofer_fixture_options *o) {
    if (o->nofile) {
        struct rlimit limit = {o->nofile, o->nofile};
        ASSERT_OK(setrlimit(RLIMIT_NOFILE, &limit));
    }
    if (o->file_root) {
        int fd = openat(dir, "file", O_PATH);
        ASSERT_OK(fd);
        dir = fd;
    }
    close_others(sock, dir);
    struct gofer_config_root root = {.fd = dir, .flags = o->root_flags ? o->root_flags : 2 /* EXCLUSIVE */};
    struct gofer_config config = {.socket = sock,
                                  .roots = &root,
                                  .root_count = 1,
                                  .proc_fd = -1,
                                  .uring = o->uring,
                                  .options = o->options | EXTRA_OPTIONS | GOFER_OPTION_DIE_WITH_PARENT};
    int rc = gofer_main(&config);
    if (rc < 0)
        fprintf(stderr, "gofer_main: %s\n", strerror(-rc));
    _exit(rc < 0 ? 1 : ref_leaks() ? 2 : 0);
}

static void make_dirs(struct gofer_fixture *f) {
    char name[80];
    snprintf(f->path, sizeof(f->path), "/tmp/gofer-test-XXXXXX");
    ASSERT_NOT_NULL(mkdtemp(f->path));
    snprintf(name, sizeof(name), "%s/outside", f->path);
    ASSERT_OK(mkdir(name, 0755));
    snprintf(name, sizeof(name), "%s/outside/secret", f->path);
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    ASSERT_OK(fd);
    ASSERT_EQ(write(fd, "secret", 6), 6);
    close(fd);
    snprintf(name, sizeof(name), "%s/root", f->path);
    ASSERT_OK(mkdir(name, 0755));
    f->dir = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    ASSERT_OK(f->dir);
}

int gofer_fixture_spawn(struct gofer_fixture *f, const struct gofer_fixture_options *o) {
    int pair[2];
    umask(022);
    *f = (struct gofer_fixture){0};
    make_dirs(f);
    if (o->file_root)
        gofer_fixture_write(f, "file", "first");
    ASSERT_OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
    f->pid = fork();
    ASSERT_OK(f->pid);
    if (f->pid == 0)
        serve(pair[0], f->dir, o);
    close(pair[0]);
    return pair[1];
}

void gofer_fixture_start(struct gofer_fixture *f, const struct gofer_fixture_options *o) {
    static const struct gofer_fixture_options none;
    int sock = gofer_fixture_spawn(f, o ? o : &none);
    ASSERT_OK(gofer_conn_open(sock, &f->conn));
    ASSERT_EQ(gofer_conn_root_count(f->conn), 1);
    f->root = gofer_conn_root(f->conn, 0)->node.handle;
    f->server_fds = gofer_fixture_server_fds(f);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void gofer_fixture_end(struct gofer_fixture *f) {
    if (f->conn)
        gofer_conn_close(f->conn);
    ASSERT_EQ(test_wait(f->pid), 0);
    close(f->dir);
    ASSERT_OK(nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS));
}

int gofer_fixture_server_fds(const struct gofer_fixture *f) {
    char name[64];
    snprintf(name, sizeof(name), "/proc/%d/fd", f->pid);
    DIR *d = opendir(name);
    ASSERT_NOT_NULL(d);
    int count = 0;
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

void gofer_fixture_write(const struct gofer_fixture *f, const char *name, const char *content) {
    int fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_OK(fd);
    ASSERT_EQ(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
}

int gofer_walk_path(struct gofer_fixture *f, const char *path, struct gofer_node *ret) {
    struct gofer_name names[GOFER_WALK_MAX];
    struct gofer_node nodes[GOFER_WALK_MAX];
    gofer_handle_t unused[GOFER_WALK_MAX];
    struct gofer_walked walked;
    uint32_t count = 0;
    for (const char *p = path; *p;) {
        size_t size = strcspn(p, "/");
        names[count++] = (struct gofer_name){p, size};
        p += size + (p[size] == '/');
    }
    int rc = gofer_conn_walk(f->conn, f->root, names, count, nodes, NULL, &walked);
    if (rc < 0)
        return rc;
    bool whole = walked.count == count;
    uint32_t drop = whole ? count - 1 : walked.count;
    for (uint32_t i = 0; i < drop; i++)
        unused[i] = nodes[i].handle;
    if (drop)
        ASSERT_OK(gofer_conn_close_handles(f->conn, unused, drop));
    if (!whole)
        return walked.error ? walked.error : -ENOTDIR;
    *ret = nodes[count - 1];
    return 0;
}
