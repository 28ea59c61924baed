/* SPDX-License-Identifier: Apache-2.0
 * boot/resolver_relay_host.c: see resolver_relay.h.
 */
#include "boot/resolver_relay.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

enum { DNS_PORT = 53, DNS_HEADER = 12, MESSAGE_MAX = 4096, PENDING = 512, RESOLVERS_MAX = 4, BURST = 32 };

/* A question under way. The ring's oldest gives way: its asker will ask again. */
struct question {
    struct ns_addr asker;
    uint16_t id; /* the asker's */
    uint16_t own_id;
    bool open;
};

struct resolver {
    struct nsock *s;
    int fd;
    struct question questions[PENDING];
    uint16_t next;
};

struct resolver_relay {
    pthread_t thread;
    int wake_fd;
    _Atomic bool over;
    size_t count;
    struct resolver resolvers[RESOLVERS_MAX];
    uint8_t message[MESSAGE_MAX];
};

static void wake(void *ctx, uint32_t events) {
    struct resolver_relay *r = ctx;
    uint64_t one = 1;

    (void)events;
    if (write(r->wake_fd, &one, sizeof one) < 0) {
        /* full: a wake-up is pending */
    }
}

static const struct nsock_watch_ops g_watch_ops = {.ready = wake};

/* The low bits find the question again, the high ones tell a stale answer. */
static void ask(struct resolver_relay *r, struct resolver *v) {
    for (int i = 0; i < BURST; i++) {
        struct ns_iov iov = {r->message, sizeof r->message};
        struct ns_msg m = {.iov = &iov, .iov_count = 1};
        ssize_t n = nsock_recv(v->s, &m);
        if (n == -EAGAIN)
            return;
        if (n < DNS_HEADER)
            continue;
        struct question *q = &v->questions[v->next % PENDING];
        *q =
            (struct question){.asker = m.name, .id = get_be16(r->message), .own_id = v->next++, .open = true};
        put_be16(r->message, q->own_id);
        if (send(v->fd, r->message, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            q->open = false; /* nobody there: the asker's own time-out tells it */
    }
    wake(r, 0); /* there is more */
}

static void tell(struct resolver_relay *r, struct resolver *v) {
    for (int i = 0; i < BURST; i++) {
        ssize_t n = recv(v->fd, r->message, sizeof r->message, MSG_DONTWAIT);
        if (n < 0)
            return;
        if (n < DNS_HEADER)
            continue;
        struct question *q = &v->questions[get_be16(r->message) % PENDING];
        if (!q->open || q->own_id != get_be16(r->message))
            continue;
        q->open = false;
        put_be16(r->message, q->id);
        struct ns_iov iov = {r->message, (size_t)n};
        struct ns_msg m = {.iov = &iov, .iov_count = 1, .has_name = true, .name = q->asker};
        (void)!nsock_send(v->s, &m);
    }
}

static void *serve(void *arg) {
    struct resolver_relay *r = arg;
    struct pollfd p[RESOLVERS_MAX + 1] = {{.fd = r->wake_fd, .events = POLLIN}};
    uint64_t count;

    for (size_t i = 0; i < r->count; i++)
        p[i + 1] = (struct pollfd){.fd = r->resolvers[i].fd, .events = POLLIN};
    while (!atomic_load(&r->over)) {
        if (poll(p, r->count + 1, -1) < 0)
            continue;
        if (p[0].revents && read(r->wake_fd, &count, sizeof count) < 0)
            continue;
        for (size_t i = 0; i < r->count; i++) {
            if (p[0].revents)
                ask(r, &r->resolvers[i]);
            if (p[i + 1].revents)
                tell(r, &r->resolvers[i]);
        }
    }
    return NULL;
}

static int open_resolver(struct resolver_relay *r, struct netns *ns, const struct ipa *address,
                         struct resolver *v) {
    struct ns_addr at = {.family = NS_AF_INET, .port = DNS_PORT, .ip = *address};
    int rc = nsock_new(ns, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, &v->s);

    if (rc < 0)
        return rc;
    nsock_watch(v->s, &g_watch_ops, r);
    return nsock_bind(v->s, &at);
}

static void relay_free(struct resolver_relay *r) {
    for (size_t i = 0; i < r->count; i++) {
        if (r->resolvers[i].s)
            nsock_close(r->resolvers[i].s);
        close_fd(r->resolvers[i].fd);
    }
    close_fd(r->wake_fd);
    free(r);
}

int resolver_relay_start(struct netns *ns, const struct ipa *addresses, const int *fds, size_t count,
                         struct resolver_relay **ret) {
    struct resolver_relay *r = count <= RESOLVERS_MAX ? calloc(1, sizeof *r) : NULL;
    sigset_t all, old;

    if (!r) {
        for (size_t i = 0; i < count; i++)
            close_fd(fds[i]);
        return count <= RESOLVERS_MAX ? -ENOMEM : -E2BIG;
    }
    for (; r->count < count; r->count++)
        r->resolvers[r->count].fd = fds[r->count];
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = r->wake_fd < 0 ? -errno : 0;
    for (size_t i = 0; rc >= 0 && i < count; i++)
        rc = open_resolver(r, ns, &addresses[i], &r->resolvers[i]);
    if (rc >= 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        rc = -pthread_create(&r->thread, NULL, serve, r);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    if (rc < 0) {
        relay_free(r);
        return rc;
    }
    *ret = r;
    return 0;
}

void resolver_relay_stop(struct resolver_relay *r) {
    if (!r)
        return;
    atomic_store(&r->over, true);
    wake(r, 0);
    pthread_join(r->thread, NULL);
    relay_free(r);
}
