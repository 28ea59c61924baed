/* SPDX-License-Identifier: Apache-2.0
 * gofer/channel_host.c: one channel: receives, dispatches, replies. HELLO and CHANNEL, which concern the
 * connection, too.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "gofer/transport_host.h"

#define STACK_SIZE (256ul * 1024)

static int op_hello(struct gofer_call *c) {
    struct gofer_server *s = c->server;
    struct gofer_hello req;
    int rc = call_request(c, &req, sizeof(req));
    if (rc < 0)
        return rc;
    if (req.version != GOFER_PROTOCOL_VERSION)
        return -EPROTONOSUPPORT;
    struct gofer_hello_reply reply = {.version = GOFER_PROTOCOL_VERSION,
                                      .root_count = (uint32_t)s->root_count,
                                      .message_max = GOFER_MESSAGE_MAX,
                                      .handle_max = s->handles.limit};
    rc = call_put(c, &reply, sizeof(reply));
    for (size_t i = 0; rc == 0 && i < s->root_count; i++) {
        struct gofer_root root = {.id = (uint32_t)i, .flags = s->roots[i].flags};
        struct gofer_handle *h = handle_table_get(&s->handles, s->roots[i].handle);
        ASSERT(h); /* pinned */
        root.node.handle = s->roots[i].handle;
        root.node.watch = h->watch;
        rc = attr_of_fd(h->fd, &root.node.attr);
        gofer_handle_unref(h);
        if (rc == 0)
            rc = call_put(c, &root, sizeof(root));
    }
    if (rc == 0 && s->watches.inotify_fd >= 0) {
        c->fd = dup(s->watches.inotify_fd);
        rc = c->fd < 0 ? -errno : 0;
    }
    return rc;
}

static int op_channel(struct gofer_call *c) {
    int rc = gofer_get_end(&c->in);
    return rc < 0 ? rc : channel_open(c->server, &c->fd);
}

static gofer_op *const g_ops[GOFER_TYPES] = {
    [GOFER_HELLO] = op_hello,
    [GOFER_CHANNEL] = op_channel,
    [GOFER_WALK] = op_walk,
    [GOFER_OPEN] = op_open,
    [GOFER_CREATE] = op_create,
    [GOFER_MKDIR] = op_mkdir,
    [GOFER_MKNOD] = op_mknod,
    [GOFER_SYMLINK] = op_symlink,
    [GOFER_LINK] = op_link,
    [GOFER_UNLINK] = op_unlink,
    [GOFER_RENAME] = op_rename,
    [GOFER_READLINK] = op_readlink,
    [GOFER_GETATTR] = op_getattr,
    [GOFER_SETATTR] = op_setattr,
    [GOFER_LISTDIR] = op_listdir,
    [GOFER_GETXATTR] = op_getxattr,
    [GOFER_SETXATTR] = op_setxattr,
    [GOFER_LISTXATTR] = op_listxattr,
    [GOFER_REMOVEXATTR] = op_removexattr,
    [GOFER_STATFS] = op_statfs,
    [GOFER_FSYNC] = op_fsync,
    [GOFER_CLOSE] = op_close,
    [GOFER_CONNECT] = op_connect,
    [GOFER_BIND] = op_bind,
    [GOFER_WATCH] = op_watch,
    [GOFER_OPEN_AT] = op_open_at,
};

size_t gofer_dispatch(struct gofer_server *s, const uint8_t *in, size_t in_size, uint8_t *out, int *ret_fd) {
    struct gofer_request_header req = {0};
    struct gofer_call c = {
        .server = s,
        .in = {.data = in, .left = in_size},
        .out = {.data = out, .size = sizeof(struct gofer_reply_header), .capacity = GOFER_MESSAGE_MAX},
        .fd = -1,
    };
    int rc = gofer_get(&c.in, &req, sizeof(req));
    if (rc == 0 && (req.size != in_size || req.version != GOFER_PROTOCOL_VERSION || req.cpu > CPU_SETSIZE ||
                    req.type >= GOFER_TYPES || !g_ops[req.type]))
        rc = -EPROTO;
    if (rc == 0)
        rc = g_ops[req.type](&c);
    ASSERT(rc <= 0);
    if (rc < 0) {
        close_fd(c.fd);
        c.fd = -1;
        c.out.size = sizeof(struct gofer_reply_header);
    }
    struct gofer_reply_header *reply = (struct gofer_reply_header *)out;
    *reply = (struct gofer_reply_header){
        .size = (uint32_t)c.out.size, .type = req.type, .fd_count = c.fd >= 0, .seq = req.seq, .error = rc};
    log_trace(LOG_GOFER, "request %u: %d", req.type, rc);
    *ret_fd = c.fd;
    return c.out.size;
}

/* Moves this thread to the cpu that the request came from, whose thread now waits for us. The sandbox chooses
 * nothing by it but on which of the cpus that this process may use one thread of the gofer runs. */
static void follow(struct channel *ch, const uint8_t *in, size_t in_size) {
    struct gofer_request_header req;
    if (in_size < sizeof(req))
        return;
    memcpy(&req, in, sizeof(req));
    if (req.cpu == 0 || req.cpu == ch->cpu || req.cpu > CPU_SETSIZE)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(req.cpu - 1, &set);
    if (sched_setaffinity(0, sizeof(set), &set) == 0)
        ch->cpu = req.cpu;
}

void channel_serve(struct channel *ch) {
    for (;;) {
        struct iovec in = {.iov_base = ch->in, .iov_len = GOFER_MESSAGE_MAX};
        size_t in_size;
        int rc = gofer_recv(ch->sock, &in, 1, &in_size, /* ret_fd= */ NULL);
        if (rc == -EPROTO)
            continue; /* descriptors, which it has no business to send: dropped, with their message */
        if (rc < 0)
            break;
        follow(ch, ch->in, in_size);
        cleanup(closep) int fd = -1;
        size_t out_size = gofer_dispatch(ch->server, ch->in, in_size, ch->out, &fd);
        struct iovec out = {.iov_base = ch->out, .iov_len = out_size};
        if (gofer_send(ch->sock, &out, 1, fd) < 0)
            break;
    }
}

static void channel_free(struct channel *ch) {
    close_fd(ch->sock);
    free(ch->in);
    free(ch->out);
    free(ch);
}

struct channel *channel_new(struct gofer_server *s, int sock) {
    struct channel *ch = calloc(1, sizeof(*ch));
    if (!ch) {
        close(sock);
        return NULL;
    }
    list_init(&ch->node);
    ch->server = s;
    ch->sock = sock;
    ch->in = malloc(GOFER_MESSAGE_MAX);
    ch->out = malloc(GOFER_MESSAGE_MAX);
    if (!ch->in || !ch->out) {
        channel_free(ch);
        return NULL;
    }
    return ch;
}

void channel_end(struct channel *ch) {
    channel_free(ch);
}

static void *channel_thread(void *arg) {
    struct channel *ch = arg;
    struct gofer_server *s = ch->server;
    channel_serve(ch);
    mutex_lock(&s->channels_lock);
    ch->ended = true;
    mutex_unlock(&s->channels_lock);
    return NULL;
}

/* Joins channels whose threads have ended; all of them if `all`. */
static void reap_channels(struct gofer_server *s, bool all) {
    struct list ended = LIST_INIT(ended);
    struct channel *ch, *tmp;
    mutex_lock(&s->channels_lock);
    list_for_each_entry_safe(ch, tmp, &s->channels, node) {
        if (!all && !ch->ended)
            continue;
        list_del(&ch->node);
        list_add_tail(&ended, &ch->node);
        s->channel_count--;
    }
    mutex_unlock(&s->channels_lock);
    list_for_each_entry_safe(ch, tmp, &ended, node) {
        shutdown(ch->sock, SHUT_RDWR);
        pthread_join(ch->thread, NULL);
        channel_free(ch);
    }
}

static int reserve_channel(struct gofer_server *s) {
    mutex_lock(&s->channels_lock);
    int rc = s->channel_count >= GOFER_CHANNELS_MAX ? -EMFILE : 0;
    if (rc == 0)
        s->channel_count++;
    mutex_unlock(&s->channels_lock);
    return rc;
}

static int start_thread(struct channel *ch) {
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc)
        return -rc;
    rc = pthread_attr_setstacksize(&attr, STACK_SIZE);
    if (rc == 0)
        rc = pthread_create(&ch->thread, &attr, channel_thread, ch);
    pthread_attr_destroy(&attr);
    return -rc;
}

static int open_reserved(struct gofer_server *s, int *ret_fd) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    struct channel *ch = channel_new(s, pair[0]);
    if (!ch) {
        close(pair[1]);
        return -ENOMEM;
    }
    /* Under the lock, so that nobody joins a thread whose id is not yet known. */
    mutex_lock(&s->channels_lock);
    int rc = start_thread(ch);
    if (rc == 0)
        list_add_tail(&s->channels, &ch->node);
    mutex_unlock(&s->channels_lock);
    if (rc < 0) {
        channel_free(ch);
        close(pair[1]);
        return rc;
    }
    *ret_fd = pair[1];
    return 0;
}

int channel_open(struct gofer_server *s, int *ret_fd) {
    reap_channels(s, /* all= */ false);
    int rc = reserve_channel(s);
    if (rc < 0)
        return rc;
    rc = open_reserved(s, ret_fd);
    if (rc < 0) {
        mutex_lock(&s->channels_lock);
        s->channel_count--;
        mutex_unlock(&s->channels_lock);
    }
    return rc;
}

void channels_end(struct gofer_server *s) {
    reap_channels(s, /* all= */ true);
}
