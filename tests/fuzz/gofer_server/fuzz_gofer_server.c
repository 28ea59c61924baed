/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/gofer_server/fuzz_gofer_server.c: a hostile sandbox against the gofer (gofer/protocol.h). The
 * input is a list of requests: a byte for the type, two for the size, then the body; the header is made here,
 * or (type 0) sent as it stands.
 *
 * The gofer runs in a thread of this process, on a directory made for each input. Files outside of it must
 * stay untouched.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gofer/protocol.h"
#include "gofer/server.h"

enum { MOST_REQUESTS = 64, MOST_BODY = 4096 };

static char g_dir[64], g_inside[80], g_secret[80];
static int g_socket;

static void *serve(void *arg) {
    struct gofer_config_root root = {.fd = open(g_inside, O_PATH | O_DIRECTORY | O_CLOEXEC),
                                     .flags = GOFER_ROOT_EXCLUSIVE | GOFER_ROOT_SOCKETS};
    struct gofer_config config = {.socket = g_socket,
                                  .roots = &root,
                                  .root_count = 1,
                                  .proc_fd = -1,
                                  .uring = GOFER_URING_NEVER,
                                  .options = GOFER_OPTION_NO_FILTER};

    (void)arg;
    if (gofer_main(&config) < 0)
        abort();
    return NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    remove(path); /* what cannot be removed stays in /tmp */
    return 0;
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        abort();
    close(fd);
}

static void make_directory(void) {
    char path[128];

    snprintf(g_dir, sizeof g_dir, "/tmp/fuzz-gofer-XXXXXX");
    if (!mkdtemp(g_dir))
        abort();
    snprintf(g_inside, sizeof g_inside, "%s/in", g_dir);
    snprintf(g_secret, sizeof g_secret, "%s/secret", g_dir);
    write_file(g_secret, "secret");
    if (mkdir(g_inside, 0755) < 0)
        abort();
    snprintf(path, sizeof path, "%s/d", g_inside);
    if (mkdir(path, 0755) < 0)
        abort();
    snprintf(path, sizeof path, "%s/f", g_inside);
    write_file(path, "file");
    snprintf(path, sizeof path, "%s/l", g_inside);
    if (symlink("../secret", path) < 0)
        abort();
}

static void check_secret(void) {
    char text[16] = "";
    struct stat st;
    int fd = open(g_secret, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || read(fd, text, sizeof text) != 6 || memcmp(text, "secret", 6) != 0 ||
        (st.st_mode & 07777) != 0600 || st.st_nlink != 1)
        abort();
    close(fd);
}

/* Sends one request and takes the answer, if there is one. False when the gofer has hung up. */
static bool request(int sock, uint8_t type, uint32_t seq, const uint8_t *body, size_t size) {
    static uint8_t reply[GOFER_MESSAGE_MAX];
    uint8_t message[sizeof(struct gofer_request_header) + MOST_BODY];
    struct gofer_request_header header = {.size = (uint32_t)(sizeof header + size),
                                          .type = type,
                                          .version = GOFER_PROTOCOL_VERSION,
                                          .seq = seq};
    char control[CMSG_SPACE(4 * sizeof(int))];
    struct iovec v = {reply, sizeof reply};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    size_t at = 0;

    if (type != 0) {
        memcpy(message, &header, sizeof header);
        at = sizeof header;
    }
    memcpy(message + at, body, size);
    if (at + size == 0 || send(sock, message, at + size, MSG_NOSIGNAL) < 0)
        return at + size == 0;
    ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
    if (n <= 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        int fds[4];
        size_t bytes = c->cmsg_len - CMSG_LEN(0);
        memcpy(fds, CMSG_DATA(c), bytes);
        for (size_t i = 0; i < bytes / sizeof(int); i++) {
            struct stat st;
            if (fstat(fds[i], &st) < 0 || S_ISDIR(st.st_mode))
                abort(); /* never a directory */
            close(fds[i]);
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    int s[2];
    pthread_t thread;
    const struct timeval limit = {.tv_sec = 5};

    make_directory();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
        abort();
    setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    g_socket = s[1];
    if (pthread_create(&thread, NULL, serve, NULL) != 0)
        abort();
    const struct gofer_hello hello = {.version = GOFER_PROTOCOL_VERSION};
    bool open = request(s[0], GOFER_HELLO, 1, (const uint8_t *)&hello, sizeof hello);
    for (uint32_t n = 0; open && size >= 3 && n < MOST_REQUESTS; n++) {
        size_t want = (size_t)(data[1] | data[2] << 8) % (MOST_BODY + 1);
        size_t body = want < size - 3 ? want : size - 3;
        /* FSYNC and WATCH are slow or need inotify; CHANNEL would leave threads to wait for. */
        open = request(s[0], data[0] % GOFER_TYPES, n + 2, data + 3, body);
        data += 3 + body;
        size -= 3 + body;
    }
    close(s[0]);
    pthread_join(thread, NULL);
    check_secret();
    if (chdir("/") < 0)
        abort();
    nftw(g_dir, remove_entry, 20, FTW_DEPTH | FTW_PHYS);
    return 0;
}
