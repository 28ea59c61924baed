/* SPDX-License-Identifier: Apache-2.0
 * boot/control_channel_host.c: see control_channel.h.
 */
#include "boot/control_channel.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "boot/spec/spec.h"

#define READ_CHUNK 65536

void control_channel_init(struct control_channel *c, int fd) {
    memset(c, 0, sizeof *c);
    c->fd = fd;
}

void control_channel_done(struct control_channel *c) {
    for (size_t i = 0; i < c->fd_count; i++)
        close_fd(c->fds[i]);
    close_fd(c->fd);
    free(c->in);
    free(c->out);
    control_channel_init(c, -1);
}

/* ---- sending ---- */

static char *to_line(const json_t *message, size_t *ret_size) {
    size_t size = json_dumpb(message, NULL, 0, JSON_COMPACT);
    char *line = size ? malloc(size + 1) : NULL;

    if (!line)
        return NULL;
    json_dumpb(message, line, size, JSON_COMPACT);
    line[size] = '\n';
    *ret_size = size + 1;
    return line;
}

/* The descriptors go with the first byte. */
static ssize_t send_some(int socket, const char *data, size_t size, const int *fds, size_t fd_count,
                         int flags) {
    union {
        char buffer[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = (char *)(uintptr_t)data, .iov_len = size};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd_count) {
        m.msg_control = control.buffer;
        m.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(h), fds, fd_count * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(socket, &m, MSG_NOSIGNAL | flags);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int control_send(struct control_channel *c, json_t *message, const int *fds, size_t fd_count,
                 struct err **err) {
    size_t size = 0, sent = 0;

    if (fd_count > CONTROL_MAX_FDS)
        return err_set(err, E2BIG, "control.message", "a control message may carry %d descriptors, not %zu",
                       CONTROL_MAX_FDS, fd_count);
    if (fd_count && json_object_set_new(message, "fds", json_integer((json_int_t)fd_count)) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "sending a control message");
    cleanup(freep) char *line = to_line(message, &size);
    if (!line)
        return err_set(err, ENOMEM, "out-of-memory", "sending a control message");
    if (size > CONTROL_MAX_LINE)
        return err_set(err, EMSGSIZE, "control.message", "a control message of %zu bytes is too long", size);
    while (sent < size) {
        ssize_t n = send_some(c->fd, line + sent, size - sent, fds, sent ? 0 : fd_count, 0);
        if (n < 0) {
            int r = err_set(err, (int)-n, "control.lost", "sending a request to the sandbox");
            err_explain(err, "the sandbox process has ended", NULL);
            return r;
        }
        sent += (size_t)n;
    }
    return 0;
}

int control_queue(struct control_channel *c, const json_t *message) {
    size_t size = 0;
    cleanup(freep) char *line = to_line(message, &size);

    if (!line)
        return -ENOMEM;
    if (c->out_size - c->out_sent + size > CONTROL_MAX_LINE)
        return -ENOBUFS; /* a client that asks and never reads */
    char *out = malloc(c->out_size - c->out_sent + size);
    if (!out)
        return -ENOMEM;
    if (c->out_size > c->out_sent)
        memcpy(out, c->out + c->out_sent, c->out_size - c->out_sent);
    memcpy(out + c->out_size - c->out_sent, line, size);
    free(c->out);
    c->out_size = c->out_size - c->out_sent + size;
    c->out_sent = 0;
    c->out = out;
    return 0;
}

int control_flush(struct control_channel *c) {
    while (c->out_sent < c->out_size) {
        ssize_t n = send_some(c->fd, c->out + c->out_sent, c->out_size - c->out_sent, NULL, 0, MSG_DONTWAIT);
        if (n == -EAGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        c->out_sent += (size_t)n;
    }
    free(c->out);
    c->out = NULL;
    c->out_size = c->out_sent = 0;
    return 1;
}

/* ---- receiving ---- */

static int keep_fds(struct control_channel *c, struct msghdr *m) {
    int r = m->msg_flags & MSG_CTRUNC ? -EMSGSIZE : 0;

    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (c->fd_count < CONTROL_MAX_FDS) {
                c->fds[c->fd_count++] = fd;
            } else {
                close_fd(fd);
                r = -EMSGSIZE;
            }
        }
    }
    return r;
}

/* One recvmsg(2). Bytes read, 0 at the end, -EAGAIN, or an error. */
static ssize_t receive_some(struct control_channel *c, int flags) {
    union {
        char buffer[CMSG_SPACE(CONTROL_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;

    if (c->in_capacity - c->in_size < READ_CHUNK) {
        if (c->in_size >= CONTROL_MAX_LINE)
            return -EMSGSIZE;
        size_t capacity = MAX(c->in_capacity * 2, (size_t)READ_CHUNK * 2);
        char *in = realloc(c->in, capacity);
        if (!in)
            return -ENOMEM;
        c->in = in;
        c->in_capacity = capacity;
    }
    struct iovec iov = {.iov_base = c->in + c->in_size, .iov_len = READ_CHUNK};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.buffer,
                       .msg_controllen = sizeof control.buffer};
    ssize_t n;
    do
        n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    int r = keep_fds(c, &m);
    if (r < 0)
        return r;
    c->in_size += (size_t)n;
    c->ended |= n == 0;
    return n;
}

int control_read(struct control_channel *c) {
    for (;;) {
        ssize_t n = receive_some(c, MSG_DONTWAIT);
        if (n == 0 || n == -EAGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        if (n < READ_CHUNK)
            return 0;
    }
}

int control_next(struct control_channel *c, json_t **ret) {
    json_error_t why;
    char *newline =
        c->in_size > c->in_scanned ? memchr(c->in + c->in_scanned, '\n', c->in_size - c->in_scanned) : NULL;

    if (!newline) {
        c->in_scanned = c->in_size;
        return 0;
    }
    size_t size = (size_t)(newline - c->in);
    size_t depth = 0;
    for (size_t i = 0; i < size; i++) { /* brackets in strings count too: too careful is fine here */
        depth += c->in[i] == '{' || c->in[i] == '[';
        if (depth > 100000)
            return -EBADMSG;
    }
    json_t *message = json_loadb(c->in, size, JSON_REJECT_DUPLICATES, &why);
    memmove(c->in, newline + 1, c->in_size - size - 1);
    c->in_size -= size + 1;
    c->in_scanned = 0;
    if (!message || !json_is_object(message)) {
        json_decref(message);
        return -EBADMSG;
    }
    *ret = message;
    return 1;
}

int control_receive(struct control_channel *c, json_t **ret, struct err **err) {
    for (;;) {
        int r = control_next(c, ret);
        if (r == 1)
            return 0;
        if (r < 0)
            return err_set(err, -r, "control.garbage", "the sandbox sent what is no control message");
        ssize_t n = receive_some(c, 0);
        if (n == 0) {
            r = err_set(err, ECONNRESET, "sandbox.lost", "the sandbox process ended before it answered");
            err_explain(err, "it was killed or has failed", "see its --debug-log");
            return r;
        }
        if (n < 0)
            return err_set(err, (int)-n, "control.lost", "reading the sandbox's answer");
    }
}

int control_take_fds(struct control_channel *c, int *fds, size_t count) {
    if (count > c->fd_count)
        return -EBADMSG;
    memcpy(fds, c->fds, count * sizeof *fds);
    c->fd_count -= count;
    memmove(c->fds, c->fds + count, c->fd_count * sizeof *fds);
    return 0;
}

/* ---- errors, calls ---- */

json_t *control_error_to_json(const struct err *e) {
    return json_pack("{s:i,s:s,s:s,s:s*,s:s*,s:s*}", "errno", e->errnum, "code",
                     e->code ? e->code : "internal", "message", e->message ? e->message : "out of memory",
                     "cause", e->cause, "remedy", e->remedy, "context", e->context);
}

int control_error_from_json(const json_t *o, struct err **err) {
    int errnum = 0;
    const char *code = NULL, *message = NULL, *cause = NULL, *remedy = NULL, *context = NULL;

    if (!o ||
        json_unpack((json_t *)(uintptr_t)o, "{s:i,s:s,s:s,s?s,s?s,s?s}", "errno", &errnum, "code", &code,
                    "message", &message, "cause", &cause, "remedy", &remedy, "context", &context) < 0 ||
        errnum < 0 || errnum > 4095)
        return err_set(err, EPROTO, "control.garbage", "the sandbox sent an answer that is no answer");
    int r = err_set(err, errnum, code, "%s", message);
    err_explain(err, cause, remedy);
    if (context)
        r = err_wrap(err, r, "%s", context);
    return r;
}

int control_connect(int dir_fd, const char *name, struct control_channel *ret, struct err **err) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    cleanup(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set(err, errno, "control.socket", "creating a unix socket");
    /* Through /proc, because state directories of real clients are longer than sun_path. */
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        int r = err_set(err, errno, "sandbox.lost", "connecting to the sandbox");
        err_explain(err, "its process has ended", "runsc delete --force removes what is left of it");
        return r;
    }
    control_channel_init(ret, steal_fd(&fd));
    return 0;
}

int control_call(struct control_channel *c, json_t *request, const int *fds, size_t fd_count,
                 json_t **ret_answer, struct err **err) {
    cleanup(json_decrefp) json_t *answer = NULL;

    if (!request)
        return err_set(err, ENOMEM, "out-of-memory", "making a control request");
    int r = control_send(c, request, fds, fd_count, err);
    if (r >= 0)
        r = control_receive(c, &answer, err);
    if (r < 0)
        return r;
    if (!json_is_true(json_object_get(answer, "ok")))
        return control_error_from_json(json_object_get(answer, "error"), err);
    if (ret_answer)
        *ret_answer = TAKE(answer);
    return 0;
}
