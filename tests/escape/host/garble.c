/* SPDX-License-Identifier: Apache-2.0
 * tests/escape/host/garble.c: a hostile peer for a live sandbox. As root of the host:
 *
 *     garble peer PID SEED      writes garbage into every socket that process PID holds, as if PID had sent
 * it garble client PATH SEED   connects to a unix socket again and again and writes garbage
 *
 * Prints how many messages went out; fails if none did. Whoever reads them must refuse, and nothing else.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { ROUNDS = 400, MAX_SOCKETS = 64, MAX_MESSAGE = 8192 };

static uint64_t g_random;

static uint64_t next_random(void) {
    g_random ^= g_random << 13;
    g_random ^= g_random >> 7;
    g_random ^= g_random << 17;
    return g_random;
}

/* Anything: bytes at random, words that are nearly right (small numbers, huge ones), lines of JSON and pieces
 * of such. */
static size_t make_message(unsigned char *to) {
    static const char *const lines[] = {"{}\n",
                                        "[[[[[[[[",
                                        "{\"op\":\"start\",\"id\":1}\n",
                                        "{\"op\":null}\n",
                                        "{\"a\":",
                                        "\n\n\n",
                                        "\"",
                                        "{\"op\":\"create\",\"spec\":{\"args\":[\"\\u0000\"]},\"id\":-1}\n",
                                        "{\"reply\":99999999999999}\n"};
    size_t size = 1 + next_random() % (next_random() % 4 ? 96 : MAX_MESSAGE);

    if (next_random() % 3 == 0) {
        const char *line = lines[next_random() % (sizeof lines / sizeof *lines)];
        size = strlen(line);
        memcpy(to, line, size);
        return size;
    }
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)next_random();
    if (next_random() % 2)
        for (size_t i = 0; i + 4 <= size; i += 4) {
            static const uint32_t words[] = {0, 1, 2, 7, 8, 16, 64, 255, 4096, 65536, 0x7fffffff, 0xffffffff};
            memcpy(to + i, &words[next_random() % (sizeof words / sizeof *words)], 4);
        }
    return size;
}

/* With up to three descriptors of /dev/null now and then: more than was asked for. */
static int send_one(int fd, int null_fd) {
    static unsigned char bytes[MAX_MESSAGE];
    union {
        char space[CMSG_SPACE(3 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec v = {bytes, make_message(bytes)};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    size_t count = next_random() % 4;

    if (count && next_random() % 4 == 0) {
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int))};
        for (size_t i = 0; i < count; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &null_fd, sizeof null_fd);
    }
    return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Copies of all sockets of the process. */
static int take_sockets(int pid, int *to) {
    char path[64], name[320], target[64];
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), count = 0;
    struct dirent *e;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *d = opendir(path);
    while (d && pidfd >= 0 && count < MAX_SOCKETS && (e = readdir(d))) {
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        ssize_t n = readlink(name, target, sizeof target - 1);
        if (n < 7 || memcmp(target, "socket:", 7) != 0)
            continue;
        int fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(e->d_name), 0);
        if (fd >= 0)
            to[count++] = fd;
    }
    if (d)
        closedir(d);
    return count;
}

static int connect_to(const char *path) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int main(int argc, char **argv) {
    int sockets[MAX_SOCKETS], count = 0, sent = 0;

    if (argc != 4)
        return 2;
    int peer = strcmp(argv[1], "peer") == 0, null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    g_random = strtoull(argv[3], NULL, 0) * 0x9e3779b97f4a7c15ull | 1;
    if (peer)
        count = take_sockets(atoi(argv[2]), sockets);
    for (int round = 0; round < ROUNDS; round++) {
        if (peer) {
            for (int i = 0; i < count; i++)
                sent += send_one(sockets[i], null_fd) == 0;
            continue;
        }
        int fd = connect_to(argv[2]);
        for (uint64_t n = next_random() % 4; fd >= 0 && n > 0; n--)
            sent += send_one(fd, null_fd) == 0;
        if (fd >= 0)
            close(fd);
    }
    printf("%d messages, %d sockets\n", sent, count);
    return sent > 0 ? 0 : 1;
}
