/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/gofer_client/fuzz_gofer_client.c: a hostile gofer against the sentry's end (gofer/client.h). The
 * input is a list of replies: a byte of flags, two for the size, then the body. Flags: 1 leaves the header to
 * the input, 2 attaches a descriptor.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gofer/client.h"
#include "gofer/protocol.h"

struct peer {
    int sock;
    const uint8_t *data;
    size_t size;
};

static void answer(struct peer *p, const struct gofer_request_header *request) {
    uint8_t message[GOFER_MESSAGE_MAX];
    struct gofer_reply_header header = {.type = request->type, .seq = request->seq};
    char control[CMSG_SPACE(sizeof(int))] = {0};
    uint8_t flags = p->data[0];
    size_t want = (size_t)(p->data[1] | p->data[2] << 8);
    size_t body = want < p->size - 3 ? want : p->size - 3;
    size_t at = flags & 1 ? 0 : sizeof header;
    struct iovec v = {message, at + body};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

    if (at + body > sizeof message)
        body = sizeof message - at;
    v.iov_len = at + body;
    header.size = (uint32_t)(at + body);
    header.fd_count = flags >> 1 & 1;
    memcpy(message, &header, at);
    memcpy(message + at, p->data + 3, body);
    int fd = flags & 2 ? open(flags & 4 ? "/" : "/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        m.msg_control = control;
        m.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    sendmsg(p->sock, &m, MSG_NOSIGNAL);
    if (fd >= 0)
        close(fd);
    p->data += 3 + body;
    p->size -= 3 + body;
}

static void *play_gofer(void *arg) {
    struct peer *p = arg;
    static uint8_t request[GOFER_MESSAGE_MAX];

    while (p->size >= 3 &&
           recv(p->sock, request, sizeof request, 0) >= (ssize_t)sizeof(struct gofer_request_header))
        answer(p, (const struct gofer_request_header *)request);
    close(p->sock);
    return NULL;
}

static void use(struct gofer_conn *conn) {
    static char target[GOFER_TARGET_MAX + 1], value[4096];
    static uint64_t page_data[512];
    const struct gofer_name names[3] = {{"a", 1}, {"b", 1}, {"c", 1}};
    struct gofer_node nodes[3];
    struct gofer_walked walked;
    struct gofer_attr attr;
    struct gofer_page page = {.data = page_data, .capacity = sizeof page_data};
    struct gofer_statfs_reply statfs;
    uint32_t target_size;
    size_t size;
    int fd;

    if (gofer_conn_walk(conn, 1, names, 3, nodes, target, &walked) == 0)
        ASSERT(walked.count <= 3);
    if (gofer_conn_listdir(conn, 1, 0, &page) == 0) {
        const struct gofer_dirent *d;
        size_t at = 0, seen = 0;
        while ((d = gofer_dirent_next(&page, &at)))
            ASSERT(++seen <= sizeof page_data);
    }
    if (gofer_conn_open_file(conn, &(struct gofer_open){.handle = 1}, &attr, &fd) == 0)
        close(fd);
    if (gofer_conn_readlink(conn, 1, target, &target_size) == 0)
        ASSERT(target[target_size] == '\0');
    if (gofer_conn_getattr(conn, 1, &attr) == 0 && gofer_conn_look(conn, 1, names[0], &attr) == 0)
        ASSERT(attr.mode != 0);
    if (gofer_conn_getxattr(conn, 1, "user.a", value, sizeof value, &size) == 0)
        ASSERT(size <= sizeof value);
    if (gofer_conn_listxattr(conn, 1, value, sizeof value, &size) == 0)
        ASSERT(size <= sizeof value);
    if (gofer_conn_statfs(conn, 1, &statfs) < 0)
        return;
    if (gofer_conn_create(conn, &(struct gofer_create){.parent = 1}, names[0], nodes, &fd) == 0)
        close(fd);
    if (gofer_conn_connect(conn, 1, 1, &fd) == 0)
        close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int s[2];
    struct gofer_conn *conn;
    pthread_t thread;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
        abort();
    struct peer peer = {s[1], data, size};
    if (pthread_create(&thread, NULL, play_gofer, &peer) != 0)
        abort();
    if (gofer_conn_open(s[0], &conn) == 0) {
        use(conn);
        gofer_conn_close(conn);
    }
    pthread_join(thread, NULL);
    return 0;
}
