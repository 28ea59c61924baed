/* SPDX-License-Identifier: Apache-2.0
 * runsc/console/console_host.c: see console.h. Sources: pty(7), termios(3), unix(7).
 */
#include "runsc/console/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"

static struct termios g_saved;
static bool g_have_saved;

bool console_size(int fd, uint16_t *rows, uint16_t *columns) {
    struct winsize w;

    if (ioctl(fd, TIOCGWINSZ, &w) < 0)
        return false;
    *rows = w.ws_row;
    *columns = w.ws_col;
    return true;
}

void console_set_size(int fd, uint16_t rows, uint16_t columns) {
    struct winsize w = {.ws_row = rows, .ws_col = columns};

    (void)ioctl(fd, TIOCSWINSZ, &w);
}

int console_pair(uint16_t rows, uint16_t columns, int *ret_master, int *ret_slave, struct err **err) {
    struct termios raw;
    int unlock = 0;
    cleanup(closep) int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return err_set(err, errno, "console.pty", "opening a pty (/dev/ptmx)");
    cleanup(closep) int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return err_set(err, errno, "console.pty", "opening the slave of a pty");
    if (tcgetattr(slave, &raw) < 0)
        return err_set(err, errno, "console.pty", "reading a pty's modes");
    cfmakeraw(&raw);
    if (tcsetattr(slave, TCSANOW, &raw) < 0)
        return err_set(err, errno, "console.pty", "setting a pty's modes");
    if (rows && columns)
        console_set_size(master, rows, columns);
    *ret_master = steal_fd(&master);
    *ret_slave = steal_fd(&slave);
    return 0;
}

bool console_make_raw(int fd) {
    struct termios raw;

    if (tcgetattr(fd, &g_saved) < 0)
        return false;
    g_have_saved = true;
    raw = g_saved;
    cfmakeraw(&raw);
    return tcsetattr(fd, TCSADRAIN, &raw) == 0;
}

void console_restore(int fd) {
    if (g_have_saved)
        (void)tcsetattr(fd, TCSADRAIN, &g_saved);
    g_have_saved = false;
}

ssize_t console_copy(int from, int to) {
    char buffer[16384];
    ssize_t n = read(from, buffer, sizeof buffer);

    for (ssize_t done = 0; done < n;) {
        ssize_t m = write(to, buffer + done, (size_t)(n - done));
        if (m < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = to, .events = POLLOUT};
            (void)poll(&p, 1, -1);
        } else if (m < 0 && errno != EINTR) {
            return -1;
        } else if (m > 0) {
            done += m;
        }
    }
    return n < 0 && (errno == EINTR || errno == EAGAIN) ? 1 : n;
}

int console_send_master(const char *path, int master, struct err **err) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    union {
        char buffer[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.buffer = {0}};
    char payload[] = "/dev/ptmx";
    struct iovec iov = {.iov_base = payload, .iov_len = sizeof payload - 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.buffer,
                       .msg_controllen = sizeof control.buffer};
    cleanup(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof a.sun_path)
        return err_set(err, ENAMETOOLONG, "console.socket", "--console-socket %s", path);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return err_set(err, errno, "console.socket", "connecting to the console socket %s", path);
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &master, sizeof master);
    return sendmsg(fd, &m, MSG_NOSIGNAL) < 0
               ? err_set(err, errno, "console.socket", "sending the terminal to %s", path)
               : 0;
}
