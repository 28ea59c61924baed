/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/gofer/gofer_hostile_test.c: Garbage both ways, and races for the way out of the root.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gofer/codec.h"
#include "gofer_fixture.h"
#include "tests/support/test.h"

/* ---- a client that breaks the rules ---- */

static uint64_t g_random = 88172645463325252ull;
static uint64_t next_random(void) {
    g_random ^= g_random << 13;
    g_random ^= g_random >> 7;
    return g_random ^= g_random << 17;
}

/* Sends `size` bytes and returns the error of the reply, whose form is checked. */
static int exchange_raw(int sock, const void *data, size_t size) {
    static uint8_t in[GOFER_MESSAGE_MAX + 1];
    ASSERT_EQ(send(sock, data, size, 0), (ssize_t)size);
    ssize_t n = recv(sock, in, sizeof(in), 0);
    ASSERT_GE(n, (ssize_t)sizeof(struct gofer_reply_header));
    struct gofer_reply_header h;
    memcpy(&h, in, sizeof(h));
    ASSERT_EQ(h.size, n);
    ASSERT_LE(h.error, 0);
    ASSERT_TRUE(h.error == 0 || n == sizeof(h));
    return h.error;
}

static int exchange_body(int sock, unsigned type, const void *body, size_t size) {
    static uint8_t out[GOFER_MESSAGE_MAX];
    struct gofer_request_header h = {
        .size = (uint32_t)(sizeof(h) + size), .type = (uint16_t)type, .version = GOFER_PROTOCOL_VERSION};
    memcpy(out, &h, sizeof(h));
    memcpy(out + sizeof(h), body, size);
    return exchange_raw(sock, out, sizeof(h) + size);
}

static void check_alive(int sock) {
    struct gofer_hello hello = {.version = GOFER_PROTOCOL_VERSION};
    ASSERT_EQ(exchange_body(sock, GOFER_HELLO, &hello, sizeof(hello)), 0);
}

TEST(server_refuses_malformed_headers) {
    struct gofer_fixture f;
    static const struct gofer_fixture_options none;
    int sock = gofer_fixture_spawn(&f, &none);
    struct gofer_request_header good = {
        .size = sizeof(good), .type = GOFER_GETATTR, .version = GOFER_PROTOCOL_VERSION};
    struct gofer_request_header bad[7];
    for (size_t i = 0; i < 7; i++)
        bad[i] = good;
    bad[0].size = 0;
    bad[1].size = UINT32_MAX;
    bad[2].type = 0;
    bad[3].type = GOFER_TYPES;
    bad[4].type = UINT16_MAX;
    bad[5].version = 2;
    bad[6].cpu = 4096;
    for (size_t i = 0; i < 7; i++)
        ASSERT_EQ(exchange_raw(sock, &bad[i], sizeof(bad[i])), -EPROTO);
    for (size_t size = 1; size < sizeof(good); size++)
        ASSERT_EQ(exchange_raw(sock, &good, size), -EPROTO);
    check_alive(sock);
    close(sock);
    gofer_fixture_end(&f);
}

TEST(server_refuses_truncated_and_padded_bodies) {
    struct gofer_fixture f;
    static const struct gofer_fixture_options none;
    int sock = gofer_fixture_spawn(&f, &none);
    static uint8_t body[4096];
    for (unsigned type = GOFER_HELLO; type < GOFER_TYPES; type++) {
        for (size_t size = 0; size < 200; size++) {
            memset(body, 0, sizeof(body));
            int rc = exchange_body(sock, type, body, size);
            bool may_succeed = (type == GOFER_CHANNEL && size == 0) || (type == GOFER_CLOSE && size == 8);
            ASSERT_TRUE(may_succeed ? rc == 0 : rc < 0);
        }
    }
    check_alive(sock);
    close(sock);
    gofer_fixture_end(&f);
}

/* Random bodies over real handles and over small numbers, which is where the interesting values are. */
TEST(server_survives_random_messages) {
    struct gofer_fixture f;
    static const struct gofer_fixture_options none;
    int sock = gofer_fixture_spawn(&f, &none);
    static uint8_t body[GOFER_MESSAGE_MAX - 16];
    for (int i = 0; i < 30000; i++) {
        size_t size = next_random() % 300;
        unsigned type = (unsigned)(next_random() % GOFER_TYPES);
        if (type == GOFER_CHANNEL || type == GOFER_FSYNC)
            continue;
        for (size_t at = 0; at < size; at++)
            body[at] = next_random() % 3 ? 0 : (uint8_t)(next_random() % 4);
        body[4] = 1; /* generation of the root's handle: often valid */
        (void)exchange_body(sock, type, body, size);
    }
    check_alive(sock);
    char secret[96];
    snprintf(secret, sizeof(secret), "%s/outside/secret", f.path);
    ASSERT_OK(access(secret, F_OK));
    close(sock);
    gofer_fixture_end(&f);
}

TEST(server_drops_descriptors_it_is_sent) {
    struct gofer_fixture f;
    static const struct gofer_fixture_options none;
    int sock = gofer_fixture_spawn(&f, &none);
    check_alive(sock);
    int before = gofer_fixture_server_fds(&f);
    for (int i = 0; i < 100; i++) {
        char control[CMSG_SPACE(sizeof(int))] = {0};
        char byte = 0;
        struct iovec iov = {&byte, 1};
        struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        *c = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(c), &(int){0}, sizeof(int));
        ASSERT_EQ(sendmsg(sock, &msg, 0), 1);
    }
    check_alive(sock);
    ASSERT_EQ(gofer_fixture_server_fds(&f), before);
    close(sock);
    gofer_fixture_end(&f);
}

/* ---- a gofer that breaks the rules ---- */

enum breach {
    SHORT_HEADER,
    WRONG_SIZE,
    WRONG_TYPE,
    WRONG_SEQ,
    POSITIVE_ERROR,
    HUGE_ERROR,
    ERROR_WITH_BODY,
    EXTRA_FD,
    MISSING_FD,
    TWO_FDS,
    BAD_MODE,
    BAD_NSEC,
    SHORT_BODY,
    LONG_BODY,
    HANG_UP,
    BREACHES
};

struct liar {
    int sock;
    enum breach breach;
};

static void send_with_fds(int sock, const void *data, size_t size, int fds) {
    char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec iov = {(void *)data, size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fds) {
        int both[2] = {sock, sock};
        msg.msg_control = control;
        msg.msg_controllen = CMSG_SPACE((size_t)fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS,
                              .cmsg_len = CMSG_LEN((size_t)fds * sizeof(int))};
        memcpy(CMSG_DATA(c), both, (size_t)fds * sizeof(int));
    }
    ASSERT_EQ(sendmsg(sock, &msg, MSG_NOSIGNAL), (ssize_t)size);
}

static void answer_hello(int sock, const struct gofer_request_header *req) {
    struct {
        struct gofer_reply_header h;
        struct gofer_hello_reply hello;
        struct gofer_root root;
    } r = {.h = {.size = sizeof(r), .type = req->type, .seq = req->seq},
           .hello = {.version = GOFER_PROTOCOL_VERSION,
                     .root_count = 1,
                     .message_max = GOFER_MESSAGE_MAX,
                     .handle_max = 100},
           .root = {.flags = GOFER_ROOT_EXCLUSIVE, .node = {.handle = 1, .watch = -1, .attr.mode = 040755}}};
    send_with_fds(sock, &r, sizeof(r), 0);
}

static void answer_lie(struct liar *l, const struct gofer_request_header *req) {
    struct {
        struct gofer_reply_header h;
        struct gofer_attr_reply body;
        uint64_t more;
    } r = {.h = {.size = sizeof(r.h) + sizeof(r.body), .type = req->type, .seq = req->seq},
           .body.attr.mode = 0100644};
    int fds = req->type == GOFER_OPEN;
    size_t size = r.h.size;
    switch (l->breach) {
    case SHORT_HEADER:
        size = 7;
        break;
    case WRONG_SIZE:
        r.h.size++;
        break;
    case WRONG_TYPE:
        r.h.type++;
        break;
    case WRONG_SEQ:
        r.h.seq++;
        break;
    case POSITIVE_ERROR:
        r.h.error = 1;
        break;
    case HUGE_ERROR:
        r.h.error = -4096;
        break;
    case ERROR_WITH_BODY:
        r.h.error = -2;
        break;
    case EXTRA_FD:
        fds = 1;
        r.h.fd_count = 1;
        break; /* for GETATTR; for OPEN: a socket, no file */
    case MISSING_FD:
        fds = 0;
        r.h.fd_count = 1;
        break;
    case TWO_FDS:
        fds = 2;
        r.h.fd_count = 2;
        break;
    case BAD_MODE:
        r.body.attr.mode = 0170000;
        break;
    case BAD_NSEC:
        r.body.attr.mtime.nsec = 1000000000;
        break;
    case SHORT_BODY:
        size -= 8;
        r.h.size -= 8;
        break;
    case LONG_BODY:
        size += 8;
        r.h.size += 8;
        break;
    case HANG_UP:
        return;
    case BREACHES:
        return;
    }
    send_with_fds(l->sock, &r, size, fds);
}

static void *lie(void *arg) {
    struct liar *l = arg;
    uint8_t in[4096];
    struct gofer_request_header req;
    ASSERT_GT(recv(l->sock, in, sizeof(in), 0), 0);
    memcpy(&req, in, sizeof(req));
    answer_hello(l->sock, &req);
    ASSERT_GT(recv(l->sock, in, sizeof(in), 0), 0);
    memcpy(&req, in, sizeof(req));
    answer_lie(l, &req);
    close(l->sock);
    return NULL;
}

static void one_breach(enum breach breach, bool by_open) {
    int pair[2];
    pthread_t thread;
    struct gofer_conn *conn;
    ASSERT_OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
    struct liar liar = {.sock = pair[0], .breach = breach};
    ASSERT_EQ(pthread_create(&thread, NULL, lie, &liar), 0);
    ASSERT_OK(gofer_conn_open(pair[1], &conn));
    struct gofer_attr attr;
    struct gofer_open args = {.handle = 1};
    int fd = -1;
    int rc = by_open ? gofer_conn_open_file(conn, &args, &attr, &fd) : gofer_conn_getattr(conn, 1, &attr);
    ASSERT_EQ(rc, -EIO);
    ASSERT_EQ(fd, -1);
    ASSERT_TRUE(gofer_conn_broken(conn));
    pthread_join(thread, NULL);
    gofer_conn_close(conn);
}

TEST(client_refuses_malformed_replies) {
    for (enum breach b = SHORT_HEADER; b < BREACHES; b++) {
        one_breach(b, /* by_open= */ false);
        one_breach(b, /* by_open= */ true);
    }
}

/* ---- races ---- */

struct race {
    struct gofer_fixture *f;
    _Atomic bool stop;
    bool exchange;
};

/* "d" is now a directory of the root, now a link out of it. */
static void *swap_link(void *arg) {
    struct race *r = arg;
    while (!r->stop)
        ASSERT_OK(renameat2(r->f->dir, "d", r->f->dir, "evil", 2 /* EXCHANGE */));
    return NULL;
}

/* "a/b/c" moves to "z/c", so that "a/b" is walked while what is above it changes. */
static void *move_dir(void *arg) {
    struct race *r = arg;
    while (!r->stop) {
        ASSERT_OK(renameat(r->f->dir, "a/b", r->f->dir, "z/b"));
        ASSERT_OK(renameat(r->f->dir, "z/b", r->f->dir, "a/b"));
    }
    return NULL;
}

static void race_with(void *(*fn)(void *), uint32_t options) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, &(struct gofer_fixture_options){.options = options});
    struct race race = {.f = &f};
    pthread_t thread;
    ASSERT_OK(mkdirat(f.dir, "d", 0755));
    gofer_fixture_write(&f, "d/secret", "inside");
    ASSERT_OK(symlinkat("../outside", f.dir, "evil"));
    ASSERT_OK(mkdirat(f.dir, "a", 0755));
    ASSERT_OK(mkdirat(f.dir, "a/b", 0755));
    ASSERT_OK(mkdirat(f.dir, "z", 0755));
    gofer_fixture_write(&f, "a/b/secret", "inside");
    struct stat outside;
    char path[96];
    snprintf(path, sizeof(path), "%s/outside/secret", f.path);
    ASSERT_OK(stat(path, &outside));
    ASSERT_EQ(pthread_create(&thread, NULL, fn, &race), 0);
    int found = 0;
    for (int i = 0; i < 20000; i++) {
        struct gofer_node node;
        int rc = gofer_walk_path(&f, i & 1 ? "d/secret" : "a/b/secret", &node);
        if (rc < 0) {
            if (rc != -ENOTDIR)
                ASSERT_EQ(rc, -ENOENT);
            continue;
        }
        ASSERT_NE(node.attr.ino, outside.st_ino);
        ASSERT_EQ(node.attr.size, 6);
        ASSERT_OK(gofer_conn_close_handles(f.conn, &node.handle, 1));
        found++;
    }
    race.stop = true;
    pthread_join(thread, NULL);
    ASSERT_GT(found, 100);
    ASSERT_EQ(gofer_fixture_server_fds(&f), f.server_fds);
    gofer_fixture_end(&f);
}

TEST(swapped_symlink_leads_nowhere) {
    race_with(swap_link, 0);
}

TEST(swapped_symlink_leads_nowhere_without_openat2) {
    race_with(swap_link, GOFER_OPTION_NO_OPENAT2);
}

TEST(moving_directories) {
    race_with(move_dir, 0);
}

/* What is made at a name that races is never made outside. */
TEST(create_in_swapped_directory) {
    struct gofer_fixture f;
    gofer_fixture_start(&f, NULL);
    struct race race = {.f = &f};
    pthread_t thread;
    ASSERT_OK(mkdirat(f.dir, "d", 0755));
    ASSERT_OK(symlinkat("../outside", f.dir, "evil"));
    ASSERT_EQ(pthread_create(&thread, NULL, swap_link, &race), 0);
    for (int i = 0; i < 5000; i++) {
        struct gofer_node dir, node;
        char name[32];
        int fd;
        if (gofer_walk_path(&f, "d", &dir) < 0)
            continue;
        struct gofer_create args = {.parent = dir.handle, .mode = 0644, .uid = geteuid(), .gid = getegid()};
        snprintf(name, sizeof(name), "n%d", i);
        int rc = gofer_conn_create(f.conn, &args, name_of(name), &node, &fd);
        if (rc == 0) {
            close(fd);
            ASSERT_OK(gofer_conn_close_handles(f.conn, &node.handle, 1));
        } else {
            ASSERT_EQ(rc, -ENOTDIR); /* the link itself was found */
        }
        ASSERT_OK(gofer_conn_close_handles(f.conn, &dir.handle, 1));
    }
    race.stop = true;
    pthread_join(thread, NULL);
    char path[96];
    snprintf(path, sizeof(path), "%s/outside", f.path);
    struct stat st;
    ASSERT_OK(stat(path, &st));
    int fd = open(path, O_RDONLY);
    ASSERT_ERRNO(unlinkat(fd, "n0", 0), ENOENT);
    close(fd);
    gofer_fixture_end(&f);
}
