/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/network.c: what the TCP/IP stack needs of its creator: memory of the sentry's heap, clocks,
 * random numbers, one timer, and wake-ups of sockets (net_ns.h).
 */
#include <errno.h>
#include <string.h>

#include "netstack/link/fdlink.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/timer.h"
#include "sentry/socket/inet/inet.h"
#include "sentry/socket/netlink/netlink.h"

enum {
    RANDOM_POOL = 256,
    BLOCK_POOL = 256,
    BLOCKS_READY = 64, /* kept beside as many as are in use */
};

struct network {
    struct kernel *kernel;
    struct netstack *stack;
    struct net_namespace *initial; /* reference */
    struct ktimer timer;
    struct mutex config_lock; /* RANK_NETWORK_CONFIG */
    struct mutex lock;        /* RANK_NETWORK; to change `armed` and the timer */
    _Atomic int64_t armed;    /* when the timer fires; CLOCK_NEVER: not armed */

    /* The stack's lock. */
    unsigned char random[RANDOM_POOL];
    uint32_t random_left;
    void *blocks[BLOCK_POOL]; /* packet memory of PKT_BLOCK_MAX bytes, ready for use: zeroing it each time
                                 would cost more than the copy */
    uint32_t block_count, blocks_used;
};
HEAP_TYPE(network, struct network, 0);

/* ---- memory ---- */

static struct heap_type g_types[NETSTACK_TYPE_MAX]; /* one a type of the library, by id */

__attribute__((constructor)) static void register_types(void) {
    for (const struct netstack_type *t = netstack_types(); t; t = t->next) {
        g_types[t->id] =
            (struct heap_type){.name = t->name, .size = (uint32_t)t->size, .align = (uint32_t)t->align};
        heap_type_register(&g_types[t->id]);
    }
}

static void *op_alloc(void *ctx, const struct netstack_type *type) {
    (void)ctx;
    return heap_alloc(&g_types[type->id]);
}

static void op_free(void *ctx, const struct netstack_type *type, void *obj) {
    (void)ctx;
    (void)type;
    heap_free(obj);
}

static void *op_alloc_bytes(void *ctx, size_t len) {
    struct network *n = ctx;

    if (len != PKT_BLOCK_MAX)
        return heap_alloc_unzeroed(len);
    void *block = n->block_count > 0 ? n->blocks[--n->block_count] : heap_alloc_unzeroed(len);
    n->blocks_used += block != NULL;
    return block;
}

static void op_free_bytes(void *ctx, void *p, size_t len) {
    struct network *n = ctx;

    if (len != PKT_BLOCK_MAX) {
        heap_free(p);
        return;
    }
    uint32_t keep = MIN(--n->blocks_used + BLOCKS_READY, (uint32_t)BLOCK_POOL);
    if (n->block_count < keep)
        n->blocks[n->block_count++] = p;
    else
        heap_free(p);
    while (n->block_count > keep) /* what one stream needed is not held for ever */
        heap_free(n->blocks[--n->block_count]);
}

static const struct netstack_alloc_ops g_alloc_ops = {
    .alloc = op_alloc, .free = op_free, .alloc_bytes = op_alloc_bytes, .free_bytes = op_free_bytes};

/* ---- clocks and chance ---- */

static int64_t op_now(void *ctx) {
    (void)ctx;
    return monotonic_ns();
}

static int64_t op_realtime(void *ctx) {
    const struct network *n = ctx;

    return realtime_ns() + n->kernel->realtime_offset_ns;
}

/* From a pool, so that a port or a sequence number does not cost a host call each. */
static void op_random(void *ctx, void *buf, size_t len) {
    struct network *n = ctx;
    unsigned char *to = buf;

    while (len > 0) {
        if (n->random_left == 0) {
            int r = host_random(n->random, sizeof n->random);
            ASSERT(r == 0); /* getrandom(2) cannot fail once the host has booted */
            n->random_left = sizeof n->random;
        }
        size_t take = MIN(len, (size_t)n->random_left);
        n->random_left -= (uint32_t)take;
        memcpy(to, n->random + n->random_left, take);
        memset(n->random + n->random_left, 0, take);
        to += take;
        len -= take;
    }
}

/* ---- the timer ---- */

/* The timer is only ever moved forward here; one that fires too early costs one look at the stack, where
 * moving it back and forth with every acknowledgement would cost a wake-up each. */
static void deadline_changed(void *ctx, int64_t deadline) {
    struct network *n = ctx;

    if (deadline >= atomic_load(&n->armed))
        return;
    mutex_lock(&n->lock);
    if (deadline < atomic_load(&n->armed)) {
        atomic_store(&n->armed, deadline);
        ktimer_arm(&n->timer, deadline);
    }
    mutex_unlock(&n->lock);
}

/* `armed` is cleared before the stack is asked: whoever finds an earlier deadline meanwhile arms the timer
 * itself. */
static void timer_fire(struct ktimer *timer, int64_t now) {
    struct network *n = container_of(timer, struct network, timer);

    (void)now;
    mutex_lock(&n->lock);
    atomic_store(&n->armed, CLOCK_NEVER);
    mutex_unlock(&n->lock);
    netstack_run(n->stack);
    deadline_changed(n, netstack_next_deadline(n->stack));
}

static const struct ktimer_ops g_timer_ops = {.fire = timer_fire};

/* ---- life ---- */

static bool op_socket_hold(void *ctx, void *user) {
    (void)ctx;
    return inet_notify_hold(user);
}

static void op_socket_notify(void *ctx, void *user, uint32_t events) {
    (void)ctx;
    inet_notify(user, events);
}

static const struct netstack_host_ops g_host_ops = {
    .now_ns = op_now,
    .realtime_ns = op_realtime,
    .random = op_random,
    .socket_hold = op_socket_hold,
    .socket_notify = op_socket_notify,
    .deadline_changed = deadline_changed,
};

int network_create(struct kernel *k) {
    struct network *n = heap_new(network);

    if (!n)
        return -ENOMEM;
    k->network = n;
    n->kernel = k;
    mutex_init(&n->lock, RANK_NETWORK);
    mutex_init(&n->config_lock, RANK_NETWORK_CONFIG);
    atomic_init(&n->armed, CLOCK_NEVER);
    ktimer_init(&n->timer, k, &g_timer_ops);
    struct netstack_config config = {
        .host = &g_host_ops, .host_ctx = n, .alloc = &g_alloc_ops, .alloc_ctx = n};
    int r = netlink_create(k);
    if (r == 0)
        r = netstack_new(&config, &n->stack);
    if (r < 0)
        return r;
    n->initial = net_namespace_new(k, k->root_user_ns);
    return n->initial ? net_namespace_loopback_up(n->initial) : -ENOMEM;
}

void network_destroy(struct kernel *k) {
    struct network *n = k->network;

    if (!n)
        return;
    netlink_destroy(k);
    net_namespace_unref(n->initial);
    ktimer_cancel_sync(&n->timer);
    fdlink_drain();
    netstack_free(n->stack);
    while (n->block_count > 0)
        heap_free(n->blocks[--n->block_count]);
    heap_free(n);
    k->network = NULL;
}

void network_config_lock(struct kernel *k) NO_TSA {
    mutex_lock(&k->network->config_lock);
}

void network_config_unlock(struct kernel *k) NO_TSA {
    mutex_unlock(&k->network->config_lock);
}

struct netstack *network_stack(struct kernel *k) {
    return k->network->stack;
}

struct net_namespace *net_namespace_initial(struct kernel *k) {
    return k->network->initial;
}
