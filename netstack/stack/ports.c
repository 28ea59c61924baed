/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/ports.c: who holds which local port, and which holders may share one.
 *
 * Sources: bind(2), socket(7) SO_REUSEADDR and SO_REUSEPORT; RFC 6056 section 3.3.3 (choice of ephemeral
 * ports).
 */
#include <errno.h>

#include "netstack/stack/nsock.h"

struct bind_entry {
    struct hnode hnode;
    uint16_t port;
    struct list nodes; /* bind_node.link */
};

NETSTACK_TYPE(t_entry, struct bind_entry);

static uint32_t port_hash(uint16_t port) {
    return (uint32_t)port * 2654435761u;
}

static struct bind_entry *entry_find(struct port_table *t, uint16_t port) {
    uint32_t h = port_hash(port);
    for (struct hnode *n = htab_first(&t->by_port, h); n; n = htab_next(n, h)) {
        struct bind_entry *e = container_of(n, struct bind_entry, hnode);
        if (e->port == port)
            return e;
    }
    return NULL;
}

static int attach(struct netns *ns, struct port_table *t, struct bind_node *n, uint16_t port) {
    struct bind_entry *e = entry_find(t, port);
    if (!e) {
        e = nsmem_alloc(&ns->st->mem, &t_entry);
        if (!e)
            return -ENOMEM;
        e->port = port;
        list_init(&e->nodes);
        htab_insert(&ns->st->mem, &t->by_port, &e->hnode, port_hash(port));
    }
    ASSERT(!n->entry);
    list_init(&n->link);
    list_add_tail(&e->nodes, &n->link);
    n->entry = e;
    return 0;
}

uint16_t port_of(const struct bind_node *n) {
    return n->entry ? n->entry->port : 0;
}

/* Do two local addresses meet? ANY of IPv6 covers IPv4 too unless it is v6only. */
static bool addrs_meet(const struct bind_node *a, const struct bind_node *b) {
    bool a_any = ipa_is_any(&a->addr), b_any = ipa_is_any(&b->addr);
    bool a4 = ipa_is_v4(&a->addr), b4 = ipa_is_v4(&b->addr);
    if (a4 == b4)
        return a_any || b_any || ipa_eq(&a->addr, &b->addr);
    const struct bind_node *six = a4 ? b : a;
    return (a4 ? b_any : a_any) && !six->v6only;
}

bool port_conflict(const struct bind_node *a, const struct bind_node *b, enum port_proto proto) {
    if (a->ifindex && b->ifindex && a->ifindex != b->ifindex)
        return false;
    if (!addrs_meet(a, b))
        return false;
    if (a->reuseport && b->reuseport)
        return false;
    bool both = a->reuseaddr && b->reuseaddr;
    if (proto == PORTS_UDP)
        return !both;
    return !both || a->listening || b->listening;
}

static bool entry_conflicts(const struct bind_entry *e, const struct bind_node *n, enum port_proto proto) {
    struct bind_node *o;
    list_for_each_entry(o, &e->nodes, link) {
        if (o != n && port_conflict(n, o, proto))
            return true;
    }
    return false;
}

bool port_may_listen(const struct bind_node *n, enum port_proto proto) {
    struct bind_node probe = *n, *o;
    probe.listening = true;
    list_for_each_entry(o, &n->entry->nodes, link) {
        if (o != n && o->listening && port_conflict(&probe, o, proto))
            return false;
    }
    return true;
}

int port_bind(struct netns *ns, enum port_proto proto, struct bind_node *n, uint16_t port,
              uint16_t *ret_port) {
    struct port_table *t = &ns->ports[proto];
    if (port) {
        struct bind_entry *e = entry_find(t, port);
        if (e && entry_conflicts(e, n, proto))
            return -EADDRINUSE;
        *ret_port = port;
        return attach(ns, t, n, port);
    }
    uint32_t count = (uint32_t)ns->ctl.port_max - ns->ctl.port_min + 1;
    uint32_t start = stack_random_below(ns->st, count);
    for (uint32_t i = 0; i < count; i++) {
        uint16_t p = (uint16_t)(ns->ctl.port_min + (start + i) % count);
        if (entry_find(t, p))
            continue;
        *ret_port = p;
        return attach(ns, t, n, p);
    }
    return -EADDRINUSE;
}

static bool only_connections(const struct bind_entry *e) {
    struct bind_node *o;
    list_for_each_entry(o, &e->nodes, link) {
        if (!o->by_connect)
            return false;
    }
    return true;
}

int port_connect(struct netns *ns, enum port_proto proto, struct bind_node *n, uint64_t offset,
                 bool (*unique)(void *ctx, uint16_t port), void *ctx, uint16_t *ret_port) {
    struct port_table *t = &ns->ports[proto];
    uint32_t count = (uint32_t)ns->ctl.port_max - ns->ctl.port_min + 1;
    uint32_t start = (uint32_t)((offset + ns->port_hint) % count);
    for (uint32_t i = 0; i < count; i++) {
        uint16_t p = (uint16_t)(ns->ctl.port_min + (start + i) % count);
        struct bind_entry *e = entry_find(t, p);
        if (e && !only_connections(e))
            continue;
        if (!unique(ctx, p))
            continue;
        n->by_connect = true;
        ns->port_hint += i + 1 + stack_random_below(ns->st, 8); /* RFC 6056: not always by one */
        *ret_port = p;
        return attach(ns, t, n, p);
    }
    return -EADDRNOTAVAIL;
}

int port_share(struct netns *ns, enum port_proto proto, struct bind_node *n, uint16_t port) {
    return attach(ns, &ns->ports[proto], n, port);
}

void port_release(struct netns *ns, enum port_proto proto, struct bind_node *n) {
    struct bind_entry *e = n->entry;
    if (!e)
        return;
    list_del(&n->link);
    n->entry = NULL;
    n->by_connect = false;
    if (!list_empty(&e->nodes))
        return;
    htab_remove(&ns->ports[proto].by_port, &e->hnode);
    nsmem_free(&ns->st->mem, &t_entry, e);
}
