/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/stack.c: creation, the one lock, the clock, the backlog between local interfaces,
 * notifications.
 *
 * Every public function brackets its work with stack_enter() and stack_leave(). Packets for interfaces of
 * this stack (loopback, veth) go through the backlog instead of recursing, and are worked off before the lock
 * goes.
 */
#include <errno.h>

#include "netstack/stack/nsock.h"
#include "netstack/stack/stack_core.h"

enum { BACKLOG_MAX = 100000, BACKLOG_BUDGET = 4096, TIMER_BUDGET = 4096, NOTIFY_BATCH = 32 };

NETSTACK_TYPE(t_stack, struct netstack);

int netstack_new(const struct netstack_config *config, struct netstack **ret) {
    struct nsmem mem = {config->alloc, config->alloc_ctx};
    struct netstack *st = nsmem_alloc(&mem, &t_stack);
    if (!st)
        return -ENOMEM;
    mutex_init(&st->lock, RANK_NETSTACK);
    st->mem = mem;
    st->host = config->host;
    st->host_ctx = config->host_ctx;
    st->told_deadline = NETSTACK_NEVER;
    list_init(&st->backlog);
    list_init(&st->notify);
    list_init(&st->namespaces);
    list_init(&st->dead);
    st->host->random(st->host_ctx, &st->secret, sizeof(st->secret));
    *ret = st;
    return 0;
}

void netstack_free(struct netstack *st) {
    if (!st)
        return;
    ASSERT(list_empty(&st->namespaces));
    pkt_queue_free(&st->backlog);
    ASSERT(list_empty(&st->notify));
    ASSERT(!st->timers);
    struct nsmem mem = st->mem;
    nsmem_free(&mem, &t_stack, st);
}

void stack_enter(struct netstack *st) {
    mutex_lock(&st->lock);
    st->now = st->host->now_ns(st->host_ctx);
}

static void run_backlog(struct netstack *st) {
    for (int budget = BACKLOG_BUDGET; budget > 0 && !list_empty(&st->backlog); budget--) {
        struct pkt *p = list_first_entry(&st->backlog, struct pkt, link);
        list_del(&p->link);
        st->backlog_len--;
        nic_receive(p->nic, p);
    }
}

struct notice {
    void *user;
    const struct nsock_watch_ops *watch; /* then `user` is its ctx */
    uint32_t events;
};

/* Takes pending notifications off the list, with a reference on each user object. */
static int collect_notices(struct netstack *st, struct notice *out) {
    int n = 0;
    while (n < NOTIFY_BATCH && !list_empty(&st->notify)) {
        struct nsock *s = list_first_entry(&st->notify, struct nsock, notify_link);
        list_del(&s->notify_link);
        out[n] = (struct notice){s->watch ? s->watcher.host.ptr : s->user, s->watch, s->notify_events};
        s->notify_events = 0;
        if (!out[n].user)
            continue;
        if (!s->watch && st->host->socket_hold && !st->host->socket_hold(st->host_ctx, s->user))
            continue;
        n++;
    }
    return n;
}

static int64_t next_deadline_locked(const struct netstack *st) {
    if (!list_empty(&st->backlog))
        return st->now;
    return st->timers ? st->timers->deadline : NETSTACK_NEVER;
}

void stack_leave(struct netstack *st) NO_TSA {
    stack_assert_locked(st);
    run_backlog(st);
    netns_reap(st);
    for (;;) {
        struct notice notices[NOTIFY_BATCH];
        int n = collect_notices(st, notices);
        bool more = !list_empty(&st->notify);
        int64_t deadline = next_deadline_locked(st);
        bool earlier = deadline < st->told_deadline;
        st->told_deadline = deadline;
        mutex_unlock(&st->lock);
        for (int i = 0; i < n; i++) {
            if (notices[i].watch)
                notices[i].watch->ready(notices[i].user, notices[i].events);
            else
                st->host->socket_notify(st->host_ctx, notices[i].user, notices[i].events);
        }
        if (earlier && st->host->deadline_changed)
            st->host->deadline_changed(st->host_ctx, deadline);
        if (!more)
            return;
        mutex_lock(&st->lock);
    }
}

int64_t netstack_next_deadline(struct netstack *st) {
    mutex_lock(&st->lock);
    int64_t deadline = next_deadline_locked(st);
    st->told_deadline = deadline;
    mutex_unlock(&st->lock);
    return deadline;
}

void netstack_run(struct netstack *st) {
    stack_enter(st);
    ntimer_run(st, TIMER_BUDGET);
    stack_leave(st);
}

void stack_backlog(struct nic *nic, struct pkt *p) {
    struct netstack *st = nic->st;
    if (st->backlog_len >= BACKLOG_MAX) {
        nic->stats.rx_dropped++;
        pkt_free(p);
        return;
    }
    p->nic = nic;
    p->ifindex = nic->ifindex;
    list_add_tail(&st->backlog, &p->link);
    st->backlog_len++;
}

void stack_backlog_purge(struct nic *nic) {
    struct pkt *p, *tmp;
    list_for_each_entry_safe(p, tmp, &nic->st->backlog, link) {
        if (p->nic != nic)
            continue;
        list_del(&p->link);
        nic->st->backlog_len--;
        pkt_free(p);
    }
}

uint32_t stack_random32(struct netstack *st) {
    uint32_t v;
    st->host->random(st->host_ctx, &v, sizeof(v));
    return v;
}

uint32_t stack_random_below(struct netstack *st, uint32_t n) {
    ASSERT(n > 0);
    return (uint32_t)(((uint64_t)stack_random32(st) * n) >> 32);
}

uint32_t stack_hash(const struct netstack *st, const void *data, size_t len) {
    return (uint32_t)siphash(&st->secret, data, len);
}

/* A token bucket: `burst` at most, one more every interval. */
bool ratelimit_ok(struct netstack *st, struct ratelimit *r, int64_t interval_ns, uint32_t burst) {
    if (interval_ns <= 0)
        return true;
    if (r->last == 0) {
        r->last = st->now;
        r->tokens = burst;
    }
    int64_t gained = (st->now - r->last) / interval_ns;
    if (gained > 0) {
        r->tokens = gained >= burst ? burst : MIN(burst, r->tokens + (uint32_t)gained);
        r->last += gained * interval_ns;
    }
    if (r->tokens == 0)
        return false;
    r->tokens--;
    return true;
}

struct pkt *netstack_pkt_new(struct netstack *st, uint32_t room) {
    mutex_lock(&st->lock);
    struct pkt *p = pkt_new(&st->mem, PKT_HEADROOM, room);
    mutex_unlock(&st->lock);
    return p;
}

/* Blocks of full size come ready from the creator's pool: one for a rest is worth it from half of that on. */
struct pkt *netstack_pkt_fill(struct netstack *st, uint32_t len) {
    ASSERT(len > 0 && len <= NETSTACK_FILL_MAX);
    mutex_lock(&st->lock);
    uint32_t part = MIN(len, (uint32_t)PKT_BLOCK_MAX);
    struct pkt *p = pkt_new(&st->mem, 0, part > PKT_BLOCK_MAX / 2 ? PKT_BLOCK_MAX : part);
    for (uint32_t left = len; p && left > 0; left -= part) {
        part = MIN(left, (uint32_t)PKT_BLOCK_MAX);
        if (!pkt_put(p, part)) {
            pkt_free(p);
            p = NULL;
        }
    }
    mutex_unlock(&st->lock);
    return p;
}

size_t netstack_pkt_pieces(const struct pkt *p, size_t off, size_t len, struct iovec *ret, size_t max) {
    size_t n = 0;
    for (const struct view *v = &p->first; v && len > 0 && n < max; v = v->next) {
        if (off >= v->len) {
            off -= v->len;
            continue;
        }
        size_t take = MIN(v->len - off, len);
        ret[n++] = (struct iovec){v->blk->bytes + v->off + off, take};
        len -= take;
        off = 0;
    }
    return n;
}

struct pkt *netstack_pkt_copy(struct netstack *st, const void *data, uint32_t len) {
    mutex_lock(&st->lock);
    struct pkt *p = pkt_new_copy(&st->mem, PKT_HEADROOM, data, len);
    mutex_unlock(&st->lock);
    return p;
}

void netstack_pkt_free(struct netstack *st, struct pkt *p) {
    mutex_lock(&st->lock);
    pkt_free(p);
    mutex_unlock(&st->lock);
}
