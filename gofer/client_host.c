/* SPDX-License-Identifier: Apache-2.0
 * gofer/client_host.c: channels, and one exchange over one of them. The messages are in client.c.
 */
#include "gofer/client_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/host_fstat.h"
#include "base/log.h"
#include "gofer/transport_host.h"

static void channel_free(struct client_channel *ch) {
    if (!ch)
        return;
    close_fd(ch->sock);
    free(ch->request);
    free(ch->reply);
    free(ch);
}

/* Takes sock. */
static struct client_channel *client_channel_new(int sock) {
    struct client_channel *ch = calloc(1, sizeof(*ch));
    if (!ch) {
        close(sock);
        return NULL;
    }
    ch->sock = sock;
    ch->request = malloc(GOFER_MESSAGE_MAX);
    ch->reply = malloc(GOFER_MESSAGE_MAX);
    if (!ch->request || !ch->reply) {
        channel_free(ch);
        return NULL;
    }
    return ch;
}

static struct client_channel *pop_locked(struct gofer_conn *conn) REQUIRES(&conn->lock) {
    struct client_channel *ch = conn->free;
    if (ch) {
        conn->free = ch->next;
        ch->next = NULL;
    }
    return ch;
}

static void push(struct gofer_conn *conn, struct client_channel *ch, uint32_t users_less) {
    mutex_lock(&conn->lock);
    conn->users -= users_less;
    ch->next = conn->free;
    conn->free = ch;
    bool wake = conn->waiters > 0;
    if (wake)
        atomic_fetch_add(&conn->wake, 1);
    mutex_unlock(&conn->lock);
    if (wake)
        syscall(SYS_futex, &conn->wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Waits for a free channel. *ret_more: it waited, and there are still more threads than channels: the caller
 * is to add the one already counted. */
static struct client_channel *pop(struct gofer_conn *conn, bool *ret_more) {
    mutex_lock(&conn->lock);
    conn->users++;
    struct client_channel *ch = pop_locked(conn);
    bool waited = !ch;
    if (waited)
        conn->waiters++;
    while (!ch) {
        uint32_t seen = atomic_load(&conn->wake);
        mutex_unlock(&conn->lock);
        syscall(SYS_futex, &conn->wake, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        mutex_lock(&conn->lock);
        ch = pop_locked(conn);
    }
    if (waited)
        conn->waiters--;
    *ret_more = waited && !conn->at_limit && conn->users > conn->channels;
    if (*ret_more)
        conn->channels++;
    mutex_unlock(&conn->lock);
    return ch;
}

static int break_connection(struct gofer_conn *conn) {
    if (!atomic_exchange(&conn->broken, true)) {
        log_warning(LOG_GOFER, "the connection to the gofer is broken");
        shutdown(conn->first->sock, SHUT_RDWR);
    }
    return -EIO;
}

static bool header_valid(const struct exchange *x, const struct gofer_reply_header *h, size_t size) {
    if (h->size != size || h->type != x->type || h->seq != x->ch->seq)
        return false;
    if (h->error > 0 || h->error < -4095 || h->fd_count > 1)
        return false;
    return h->error == 0 || (size == sizeof(*h) && h->fd_count == 0);
}

static bool donation_valid(enum donation donation, bool present) {
    return donation == DONATES_FD_MAYBE || present == (donation == DONATES_FD);
}

static int receive(struct exchange *x, enum donation donation) {
    struct iovec iov = {.iov_base = x->ch->reply, .iov_len = GOFER_MESSAGE_MAX};
    size_t size;
    int rc = gofer_recv(x->ch->sock, &iov, 1, &size, &x->fd);
    if (rc == -EMFILE)
        return rc;
    if (rc < 0)
        return break_connection(x->conn);
    struct gofer_reply_header header;
    x->reply = (struct gofer_reader){.data = x->ch->reply, .left = size};
    if (gofer_get(&x->reply, &header, sizeof(header)) < 0 || !header_valid(x, &header, size) ||
        header.fd_count != (x->fd >= 0))
        return break_connection(x->conn);
    if (header.error == 0 && !donation_valid(donation, x->fd >= 0))
        return break_connection(x->conn);
    return header.error;
}

static void begin_on(struct exchange *x, struct gofer_conn *conn, struct client_channel *ch,
                     enum gofer_type type) {
    *x = (struct exchange){
        .conn = conn,
        .ch = ch,
        .request = {.data = ch->request,
                    .size = sizeof(struct gofer_request_header),
                    .capacity = GOFER_MESSAGE_MAX},
        .type = (uint16_t)type,
        .fd = -1,
    };
}

int exchange_call(struct exchange *x, enum donation donation) {
    if (x->error < 0)
        return x->error;
    if (atomic_load_explicit(&x->conn->broken, memory_order_relaxed))
        return -EIO;
    struct gofer_request_header header = {.size = (uint32_t)x->request.size,
                                          .type = x->type,
                                          .version = GOFER_PROTOCOL_VERSION,
                                          .seq = ++x->ch->seq,
                                          .cpu = (uint32_t)(sched_getcpu() + 1)};
    memcpy(x->ch->request, &header, sizeof(header));
    struct iovec iov = {.iov_base = x->ch->request, .iov_len = x->request.size};
    int rc = gofer_send(x->ch->sock, &iov, 1, /* fd= */ -1);
    if (rc == -ENOMEM || rc == -ENOBUFS)
        return -ENOMEM; /* nothing was sent */
    return rc < 0 ? break_connection(x->conn) : receive(x, donation);
}

/* Asks, over a channel that is ours, for one more and gives it to the others. Failure only means less
 * concurrency. */
static void add_channel(struct gofer_conn *conn, struct client_channel *ch) {
    struct exchange x;
    begin_on(&x, conn, ch, GOFER_CHANNEL);
    int rc = exchange_call(&x, DONATES_FD);
    struct client_channel *more = NULL;
    if (rc == 0 && donated_socket_valid(x.fd, SOCK_SEQPACKET))
        more = client_channel_new(x.fd);
    else
        close_fd(x.fd);
    if (more) {
        push(conn, more, 0);
        return;
    }
    mutex_lock(&conn->lock);
    conn->channels--;
    conn->at_limit = true;
    mutex_unlock(&conn->lock);
}

int exchange_begin(struct exchange *x, struct gofer_conn *conn, enum gofer_type type) {
    might_block();
    if (atomic_load_explicit(&conn->broken, memory_order_relaxed))
        return -EIO;
    bool more;
    struct client_channel *ch = pop(conn, &more);
    if (more)
        add_channel(conn, ch);
    begin_on(x, conn, ch, type);
    return 0;
}

void exchange_put(struct exchange *x, const void *data, size_t size) {
    int rc = gofer_put(&x->request, data, size);
    if (x->error == 0)
        x->error = rc;
}

void exchange_put_name(struct exchange *x, struct gofer_name name) {
    int rc = gofer_name_check(name.data, name.size);
    if (rc == 0)
        rc = gofer_put_string(&x->request, name.data, name.size);
    if (x->error == 0)
        x->error = rc;
}

void exchange_put_string(struct exchange *x, const char *string) {
    size_t size = strlen(string);
    int rc = size == 0 || size > GOFER_NAME_MAX ? -ERANGE : gofer_put_string(&x->request, string, size);
    if (x->error == 0)
        x->error = rc;
}

int exchange_breach(struct exchange *x) {
    return break_connection(x->conn);
}

int exchange_take_fd(struct exchange *x) {
    return steal_fd(&x->fd);
}

void exchange_end(struct exchange *x) {
    x->fd = close_fd(x->fd);
    push(x->conn, x->ch, 1);
}

bool donated_file_valid(int fd, uint32_t access) {
    struct stat st;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & (O_ACCMODE | O_PATH)) == (int)access && host_fstat(fd, &st) == 0 &&
           S_ISREG(st.st_mode);
}

bool donated_socket_valid(int fd, uint32_t type) {
    int domain, is_type;
    socklen_t size = sizeof(domain);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX)
        return false;
    size = sizeof(is_type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &is_type, &size) == 0 && is_type == (int)type;
}

static bool root_valid(const struct gofer_root *root) {
    return !(root->flags & ~GOFER_ROOT_FLAGS) && root->node.handle && gofer_attr_valid(&root->node.attr);
}

static int read_hello(struct exchange *x) {
    struct gofer_conn *conn = x->conn;
    struct gofer_hello_reply hello;
    if (gofer_get(&x->reply, &hello, sizeof(hello)) < 0 || hello.version != GOFER_PROTOCOL_VERSION ||
        hello.message_max != GOFER_MESSAGE_MAX || hello.handle_max == 0 || hello.root_count == 0 ||
        hello.root_count > GOFER_ROOTS_MAX || x->reply.left != hello.root_count * sizeof(struct gofer_root))
        return exchange_breach(x);
    conn->roots = calloc(hello.root_count, sizeof(*conn->roots));
    if (!conn->roots)
        return -ENOMEM;
    conn->root_count = hello.root_count;
    conn->handle_max = hello.handle_max;
    for (uint32_t i = 0; i < hello.root_count; i++) {
        if (gofer_get(&x->reply, &conn->roots[i], sizeof(conn->roots[i])) < 0 || !root_valid(&conn->roots[i]))
            return exchange_breach(x);
    }
    conn->inotify_fd = exchange_take_fd(x);
    return 0;
}

static int say_hello(struct gofer_conn *conn) {
    struct exchange x;
    int rc = exchange_begin(&x, conn, GOFER_HELLO);
    if (rc < 0)
        return rc;
    struct gofer_hello hello = {.version = GOFER_PROTOCOL_VERSION};
    exchange_put(&x, &hello, sizeof(hello));
    rc = exchange_call(&x, DONATES_FD_MAYBE);
    if (rc == 0)
        rc = read_hello(&x);
    exchange_end(&x);
    return rc;
}

int gofer_conn_open(int sock, struct gofer_conn **ret) {
    struct gofer_conn *conn = calloc(1, sizeof(*conn));
    if (!conn) {
        close_fd(sock);
        return -ENOMEM;
    }
    conn->inotify_fd = -1;
    mutex_init(&conn->lock, RANK_GOFER_CONN);
    conn->first = client_channel_new(sock);
    if (!conn->first) {
        free(conn);
        return -ENOMEM;
    }
    conn->channels = 1;
    push(conn, conn->first, 0);
    int rc = say_hello(conn);
    if (rc < 0) {
        gofer_conn_close(conn);
        return rc;
    }
    *ret = conn;
    return 0;
}

void gofer_conn_close(struct gofer_conn *conn) {
    while (conn->free) {
        struct client_channel *ch = conn->free;
        conn->free = ch->next;
        channel_free(ch);
    }
    close_fd(conn->inotify_fd);
    free(conn->roots);
    free(conn);
}

bool gofer_conn_broken(const struct gofer_conn *conn) {
    return atomic_load(&conn->broken);
}

int gofer_conn_fd(const struct gofer_conn *conn) {
    return conn->first->sock;
}

int gofer_conn_inotify_fd(const struct gofer_conn *conn) {
    return conn->inotify_fd;
}

uint32_t gofer_conn_handle_max(const struct gofer_conn *conn) {
    return conn->handle_max;
}

size_t gofer_conn_root_count(const struct gofer_conn *conn) {
    return conn->root_count;
}

const struct gofer_root *gofer_conn_root(const struct gofer_conn *conn, size_t index) {
    return index < conn->root_count ? &conn->roots[index] : NULL;
}
