/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/ping.c: ICMP echo sockets (SOCK_DGRAM, IPPROTO_ICMP or ICMPV6): icmp(7). The "port" is
 * the echo identifier; users see whole ICMP messages, send echo requests only and get the replies to them.
 */
#include <errno.h>

#include "netstack/stack/nsock.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_icmp.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"

struct ping_sock {
    struct nsock base; /* first; lport is the identifier */
};

NETSTACK_TYPE(t_ping, struct ping_sock);

static bool id_taken(struct nsock *s, uint16_t id) {
    struct nsock *o;
    list_for_each_entry(o, &s->ns->ping_socks, link) {
        if (o != s && o->lport == id && (o->family == s->family))
            return true;
    }
    return false;
}

static int take_id(struct nsock *s, uint16_t id) {
    if (id && id_taken(s, id))
        return -EADDRINUSE;
    for (int tries = 0; !id && tries < 65536; tries++) {
        uint16_t c = (uint16_t)(1 + stack_random_below(s->ns->st, 65535));
        if (!id_taken(s, c))
            id = c;
    }
    s->lport = id;
    return id ? 0 : -EADDRINUSE;
}

static int ping_bind(struct nsock *s, const struct ns_addr *a) {
    uint32_t ifindex;
    int rc = nsock_check_addr(s, a);
    if (rc == 0)
        rc = nsock_check_bind(s, a, &ifindex);
    if (rc < 0)
        return rc;
    if (s->lport)
        return -EINVAL;
    rc = take_id(s, a->port);
    if (rc < 0)
        return rc;
    s->laddr = a->ip;
    s->bound_if = ifindex;
    s->bound_addr = !ipa_is_any(&a->ip);
    return 0;
}

static int ping_connect(struct nsock *s, const struct ns_addr *a) {
    struct rt rt;
    if (a->family == NS_AF_UNSPEC) {
        s->connected = false;
        return 0;
    }
    int rc = nsock_check_addr(s, a);
    if (rc == 0)
        rc = nsock_route(s, &a->ip, &s->laddr, a->scope_id, &rt);
    if (rc == 0 && !s->lport)
        rc = take_id(s, 0);
    if (rc < 0)
        return rc;
    s->raddr = a->ip;
    s->rport = 0;
    s->scope_id = a->scope_id;
    s->connected = true;
    if (ipa_is_any(&s->laddr))
        s->laddr = rt.src;
    return 0;
}

/* Type, code, identifier and checksum are ours to set. */
static int check_echo(struct nsock *s, struct pkt *p, const struct ip_tx *tx) {
    bool v4 = s->family == NS_AF_INET;
    uint8_t *m = pkt_writable(p, ICMP_HLEN);
    if (!m)
        return -EINVAL;
    if (m[0] != (v4 ? ICMP_ECHO : ICMP6_ECHO) || m[1] != 0)
        return -EINVAL;
    put_be16(m + 4, s->lport);
    m[2] = m[3] = 0;
    uint32_t sum = v4 ? 0 : csum_pseudo(&tx->src, &tx->dst, IPPROTO_NUM_ICMPV6, p->len);
    csum_store(m + 2, csum_fold(pkt_csum(p, 0, p->len, sum)));
    return 0;
}

static ssize_t ping_send(struct nsock *s, struct ns_msg *m) {
    size_t len = ns_iov_len(m);
    struct rt rt;
    if (len > 0xffff)
        return -EMSGSIZE;
    if (m->flags & NS_MSG_OOB)
        return -EOPNOTSUPP;
    if (s->err)
        return nsock_take_error(s);
    if (!m->has_name && !s->connected)
        return -EDESTADDRREQ;
    int rc = m->has_name ? nsock_check_addr(s, &m->name) : 0;
    if (rc == 0 && !s->lport)
        rc = take_id(s, 0);
    struct ipa dst = m->has_name ? m->name.ip : s->raddr;
    if (rc == 0)
        rc = nsock_route(s, &dst, &s->laddr, m->has_name ? m->name.scope_id : s->scope_id, &rt);
    if (rc < 0)
        return rc;
    if (rt.type == NS_RTN_BROADCAST && !s->f.broadcast)
        return -EACCES;
    struct pkt *p = pkt_new(&s->ns->st->mem, PKT_HEADROOM, (uint32_t)len);
    if (!p || ns_iov_to_pkt(m, 0, (uint32_t)len, p) < 0) {
        pkt_free(p);
        return -ENOBUFS;
    }
    struct ip_tx tx = {.rt = rt, .src = rt.src, .dst = dst, .proto = s->protocol};
    nsock_fill_tx(s, &tx);
    rc = check_echo(s, p, &tx);
    if (rc < 0) {
        pkt_free(p);
        return rc;
    }
    p->mark = s->mark;
    rc = ip_output(s->ns, p, &tx);
    return rc < 0 ? rc : (ssize_t)len;
}

bool ping_input(struct nic *nic, struct pkt *p, uint16_t id) {
    struct nsock *s;
    bool v4 = ipa_is_v4(&p->dst);
    list_for_each_entry(s, &nic->ns->ping_socks, link) {
        if (s->lport != id || (s->family == NS_AF_INET) != v4)
            continue;
        if (nsock_match(s, &p->dst, &p->src, 0, nic->ifindex) < 0)
            continue;
        struct pkt *c = pkt_clone(p);
        if (!c)
            return false;
        pkt_trim_front(c, c->trans_off);
        c->sport = 0;
        return nsock_queue(s, c);
    }
    return false;
}

static int ping_shutdown(struct nsock *s, int how) {
    if (!s->connected)
        return -ENOTCONN;
    s->shut |= (uint8_t)how;
    return 0;
}

static void ping_close(struct nsock *s) {
    list_del(&s->link);
}

static void ping_destroy(struct nsock *s) {
    (void)s;
}

static int ping_setopt(struct nsock *s, int level, int name, const void *val, size_t len) {
    (void)s, (void)name, (void)val, (void)len;
    return level == NS_SOL_SOCKET ? 0 : -ENOPROTOOPT;
}

static const struct nsock_ops ping_ops = {
    .bind = ping_bind,
    .connect = ping_connect,
    .send = ping_send,
    .recv = nsock_recv_dgram,
    .shutdown = ping_shutdown,
    .close = ping_close,
    .destroy = ping_destroy,
    .setopt = ping_setopt,
    .ready = nsock_ready_dgram,
    .type = &t_ping,
};

int ping_new(struct netns *ns, int family, struct nsock **ret) {
    struct ping_sock *g = nsmem_alloc(&ns->st->mem, &t_ping);
    if (!g)
        return -ENOMEM;
    int proto = family == NS_AF_INET ? IPPROTO_NUM_ICMP : IPPROTO_NUM_ICMPV6;
    nsock_init(&g->base, ns, &ping_ops, family, NS_SOCK_DGRAM, proto);
    list_add_tail(&ns->ping_socks, &g->base.link);
    *ret = &g->base;
    return 0;
}
