/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/sock.c: the public socket calls, and what protocols share: life, addresses, queues,
 * readiness. Sources: socket(7), bind(2), connect(2), recvmsg(2), ip(7), ipv6(7).
 */
#include "netstack/stack/nsock.h"

#include <errno.h>

#include "netstack/wire/wire_ipv4.h"

/* ---- life ---- */

void nsock_init(struct nsock *s, struct netns *ns, const struct nsock_ops *ops, int family, int type,
                int protocol) {
    s->ops = ops;
    s->ns = ns;
    netns_get_locked(ns);
    s->refs = 1;
    s->cookie = ++ns->st->next_cookie;
    s->family = (uint16_t)family;
    s->type = (uint8_t)type;
    s->protocol = (uint8_t)protocol;
    s->laddr = s->raddr = family == NS_AF_INET ? IPA_ANY4 : IPA_ANY6;
    s->rcvbuf = ns->ctl.rmem_default;
    s->sndbuf = ns->ctl.wmem_default;
    s->rcvlowat = 1;
    s->uid = s->gid = UINT32_MAX;
    s->ttl = s->mcast_ttl = -1;
    s->pmtudisc = NS_PMTUDISC_WANT;
    s->f.mcast_loop = s->f.mcast_all = true;
    list_init(&s->rxq);
    list_init(&s->errq);
    list_init(&s->memberships);
    list_init(&s->notify_link);
    list_init(&s->link);
    list_init(&s->bind.link);
}

static void free_filter(struct nsock *s) {
    nsmem_free_bytes(&s->ns->st->mem, s->filter, s->filter_count * sizeof(*s->filter));
    s->filter = NULL;
    s->filter_count = 0;
}

void nsock_get(struct nsock *s) {
    ASSERT(s->refs > 0);
    s->refs++;
}

void nsock_put(struct nsock *s) {
    ASSERT(s->refs > 0);
    if (--s->refs)
        return;
    struct netns *ns = s->ns;
    bool weak_ns = s->weak_ns;
    s->ops->destroy(s);
    nsock_purge_rx(s);
    errq_purge(s);
    mcast_drop_all(s);
    free_filter(s);
    list_del(&s->notify_link);
    ASSERT(!s->bind.entry);
    nsmem_free(&ns->st->mem, s->ops->type, s);
    if (!weak_ns)
        netns_put_locked(ns);
}

void nsock_wake(struct nsock *s, uint32_t events) {
    if (!s->user && !s->watch)
        return;
    s->notify_events |= events;
    if (list_empty(&s->notify_link))
        list_add_tail(&s->ns->st->notify, &s->notify_link);
}

void nsock_set_error(struct nsock *s, int err) {
    s->err = err;
    nsock_wake(s, NS_POLLERR | NS_POLLIN | NS_POLLOUT);
}

int nsock_take_error(struct nsock *s) {
    int err = s->err;
    s->err = 0;
    return -err;
}

/* ---- addresses ---- */

int nsock_check_addr(const struct nsock *s, const struct ns_addr *a) {
    bool v4 = ipa_is_v4(&a->ip);
    if (s->family == NS_AF_INET)
        return a->family != NS_AF_INET ? -EAFNOSUPPORT : v4 ? 0 : -EINVAL;
    if (a->family == NS_AF_INET6)
        return v4 && s->f.v6only ? -ENETUNREACH : 0;
    return a->family == NS_AF_INET ? -EINVAL : -EAFNOSUPPORT;
}

/* The address must be ours, unless the socket says that it does not care (IP_FREEBIND). */
int nsock_check_bind(const struct nsock *s, const struct ns_addr *a, uint32_t *ret_ifindex) {
    struct netns *ns = s->ns;
    *ret_ifindex = s->bound_if;
    if (ipa_is_v4(&a->ip) && s->family == NS_AF_INET6 && s->f.v6only)
        return -EINVAL;
    if (!ipa_is_v4(&a->ip) && ipa_is_linklocal(&a->ip)) {
        if (a->scope_id) {
            if (s->bound_if && s->bound_if != a->scope_id)
                return -EINVAL;
            *ret_ifindex = a->scope_id;
        }
        if (!*ret_ifindex)
            return -EINVAL;
        if (!nic_find(ns, *ret_ifindex))
            return -ENODEV;
    }
    if (ipa_is_any(&a->ip) || s->f.freebind || s->kept >> KEPT_TRANSPARENT & 1)
        return 0;
    if (s->type != NS_SOCK_STREAM && (ipa_is_mcast(&a->ip) || ipa_is_bcast4(&a->ip)))
        return 0;
    struct flow f = {.dst = a->ip, .src = ipa_is_v4(&a->ip) ? IPA_ANY4 : IPA_ANY6};
    struct rt rt;
    if (ifaddr_is_local(ns, &a->ip))
        return 0;
    if (route_forward(ns, &f, &rt) == 0 &&
        (rt.type == NS_RTN_LOCAL || (rt.type == NS_RTN_BROADCAST && s->type != NS_SOCK_STREAM)))
        return 0;
    return -EADDRNOTAVAIL;
}

void nsock_fill_addr(const struct nsock *s, struct ns_addr *ret, const struct ipa *ip, uint16_t port,
                     uint32_t scope) {
    *ret = (struct ns_addr){.family = s->family, .port = port, .ip = *ip};
    if (s->family == NS_AF_INET6 && ipa_is_v4(ip) && ipa_is_any(ip))
        ret->ip = IPA_ANY6;
    if (!ipa_is_v4(&ret->ip) && ipa_is_linklocal(&ret->ip))
        ret->scope_id = scope;
}

int nsock_match(const struct nsock *s, const struct ipa *local, const struct ipa *remote, uint16_t rport,
                uint32_t ifindex) {
    int score = 0;
    bool v4 = ipa_is_v4(local);
    if (v4 ? (s->family == NS_AF_INET6 && s->f.v6only) : s->family != NS_AF_INET6)
        return -1;
    if (s->family == (v4 ? NS_AF_INET : NS_AF_INET6))
        score++;
    if (!ipa_is_any(&s->laddr)) {
        if (!ipa_eq(&s->laddr, local))
            return -1;
        score += 4;
    } else if (s->bound_addr && ipa_is_v4(&s->laddr) != v4) {
        return -1; /* bound to 0.0.0.0 explicitly, or to ::ffff:0.0.0.0 */
    }
    if (s->connected) {
        if (!ipa_eq(&s->raddr, remote) || (s->rport && s->rport != rport))
            return -1;
        score += 4;
    }
    if (s->bound_if) {
        if (s->bound_if != ifindex)
            return -1;
        score += 4;
    }
    return score;
}

int nsock_route(struct nsock *s, const struct ipa *dst, const struct ipa *src, uint32_t oif, struct rt *ret) {
    struct flow f = {.dst = *dst, .src = *src, .mark = s->mark, .tos = s->tos, .onlink = s->f.dontroute};
    f.oif = oif ? oif : s->bound_if;
    if (ipa_is_mcast(dst)) {
        if (!f.oif)
            f.oif = s->mcast_if;
        if (ipa_is_any(&f.src) && ipa_is_v4(dst) && !ipa_is_any(&s->mcast_src) && ipa_is_v4(&s->mcast_src))
            f.src = s->mcast_src;
    }
    if (ipa_is_v4(dst) && ipa_is_any(&f.src))
        f.src = IPA_ANY4;
    return route_output(s->ns, &f, ret);
}

void nsock_fill_tx(const struct nsock *s, struct ip_tx *tx) {
    bool v4 = ipa_is_v4(&tx->dst);
    struct nic *nic = tx->rt.nic;
    int ttl = s->ttl;
    if (tx->rt.type == NS_RTN_MULTICAST)
        ttl = s->mcast_ttl >= 0 ? s->mcast_ttl : 1;
    if (ttl < 0)
        ttl = v4 ? s->ns->ctl.ip_default_ttl : nic->hop_limit ? nic->hop_limit : s->ns->ctl.ip6_hop_limit;
    tx->ttl = (uint8_t)ttl;
    tx->tos = s->tos;
    tx->sk = s;
    tx->loop_mcast = s->f.mcast_loop;
    tx->df = v4 && s->pmtudisc >= NS_PMTUDISC_WANT && s->pmtudisc <= NS_PMTUDISC_PROBE;
    tx->may_frag = s->pmtudisc < NS_PMTUDISC_DO;
    if (s->pmtudisc == NS_PMTUDISC_PROBE)
        tx->rt.mtu = nic->mtu;
}

/* ---- data ---- */

size_t ns_iov_len(const struct ns_msg *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->iov_count; i++)
        n += m->iov[i].len;
    return n;
}

int ns_iov_to_pkt(const struct ns_msg *m, size_t skip, uint32_t len, struct pkt *p) {
    for (size_t i = 0; i < m->iov_count && len; i++) {
        if (skip >= m->iov[i].len) {
            skip -= m->iov[i].len;
            continue;
        }
        uint32_t n = (uint32_t)MIN(m->iov[i].len - skip, (size_t)len), done;
        if (pkt_append_copy(p, (const uint8_t *)m->iov[i].base + skip, n, &done) < 0)
            return -ENOMEM;
        len -= n;
        skip = 0;
    }
    return 0;
}

uint32_t pkt_to_iov(const struct pkt *p, uint32_t off, struct ns_msg *m, size_t skip, uint32_t len) {
    uint32_t done = 0;
    for (size_t i = 0; i < m->iov_count && done < len; i++) {
        if (skip >= m->iov[i].len) {
            skip -= m->iov[i].len;
            continue;
        }
        uint32_t want = (uint32_t)MIN(m->iov[i].len - skip, (size_t)(len - done));
        uint32_t n = pkt_copy_out(p, off + done, (uint8_t *)m->iov[i].base + skip, want);
        done += n;
        if (n < want)
            break;
        skip = 0;
    }
    return done;
}

bool nsock_queue(struct nsock *s, struct pkt *p) {
    if (s->rx_mem >= s->rcvbuf || s->shut & 1) {
        s->rx_dropped++;
        pkt_free(p);
        return false;
    }
    s->rx_mem += p->truesize;
    list_add_tail(&s->rxq, &p->link);
    nsock_wake(s, NS_POLLIN);
    return true;
}

void nsock_purge_rx(struct nsock *s) {
    pkt_queue_free(&s->rxq);
    s->rx_mem = 0;
}

static void fill_cmsg(const struct nsock *s, const struct pkt *p, struct ns_cmsg *c) {
    if (s->f.pktinfo) {
        c->have |= NS_CMSG_PKTINFO;
        c->ifindex = p->ifindex;
        c->dst = p->dst;
        c->local = p->dst;
    }
    if (s->origdst) {
        c->have |= NS_CMSG_ORIGDST;
        c->dst = p->dst;
        c->dport = p->dport;
    }
    if (s->f.recvttl) {
        c->have |= NS_CMSG_TTL;
        c->ttl = p->ttl;
    }
    if (s->f.recvtos) {
        c->have |= NS_CMSG_TOS;
        c->tos = p->tos;
    }
    if (s->f.timestamp || s->f.timestampns) {
        c->have |= NS_CMSG_TIMESTAMP;
        c->realtime_ns = p->realtime_ns;
    }
    if (s->f.rxq_ovfl && s->rx_dropped) {
        c->have |= NS_CMSG_RXQ_OVFL;
        c->rxq_ovfl = s->rx_dropped;
    }
}

/* One datagram for the caller to copy from without the lock. */
static ssize_t nsock_take_dgram(struct nsock *s, struct ns_msg *m, struct pkt **ret) {
    struct ns_msg probe = *m;
    probe.iov_count = 0;
    probe.flags |= NS_MSG_PEEK | NS_MSG_TRUNC;
    struct pkt *p = list_empty(&s->rxq) || s->err ? NULL : list_first_entry(&s->rxq, struct pkt, link);
    ssize_t len = s->ops->recv(s, &probe); /* name, ancillary data, and the errors */
    if (len < 0 || !p)
        return len;
    m->has_name = probe.has_name;
    m->name = probe.name;
    m->cmsg = probe.cmsg;
    if (m->flags & NS_MSG_PEEK) {
        *ret = pkt_clone(p);
        return *ret ? len : -ENOMEM;
    }
    list_del(&p->link);
    s->rx_mem -= p->truesize;
    *ret = p;
    return len;
}

ssize_t nsock_recv_dgram(struct nsock *s, struct ns_msg *m) {
    if (m->flags & NS_MSG_OOB)
        return -EOPNOTSUPP;
    if (m->flags & NS_MSG_ERRQUEUE)
        return errq_recv(s, m);
    if (s->err)
        return nsock_take_error(s);
    if (list_empty(&s->rxq))
        return s->shut & 1 ? 0 : -EAGAIN;
    struct pkt *p = list_first_entry(&s->rxq, struct pkt, link);
    uint32_t asked = m->flags, len = p->len;
    uint32_t n = pkt_to_iov(p, 0, m, 0, len);
    m->flags = n < len ? NS_MSG_TRUNC : 0;
    m->has_name = true;
    nsock_fill_addr(s, &m->name, &p->src, p->sport, p->ifindex);
    m->cmsg.have = 0;
    fill_cmsg(s, p, &m->cmsg);
    s->last_stamp = p->realtime_ns;
    if (!(asked & NS_MSG_PEEK)) {
        list_del(&p->link);
        s->rx_mem -= p->truesize;
        pkt_free(p);
    }
    return asked & NS_MSG_TRUNC ? len : n;
}

uint32_t nsock_ready_dgram(struct nsock *s) {
    uint32_t ev = NS_POLLOUT;
    if (!list_empty(&s->rxq) || s->shut & 1)
        ev |= NS_POLLIN;
    if (s->err || !list_empty(&s->errq))
        ev |= NS_POLLERR;
    if (s->err)
        ev |= NS_POLLIN;
    if (s->shut & 1)
        ev |= NS_POLLRDHUP;
    if (s->shut == 3)
        ev |= NS_POLLHUP;
    return ev;
}

/* ---- public calls ---- */

static int new_inet(struct netns *ns, int family, int type, int protocol, struct nsock **ret) {
    switch (type) {
    case NS_SOCK_STREAM:
        if (protocol != 0 && protocol != IPPROTO_NUM_TCP)
            return -EPROTONOSUPPORT;
        return tcp_new(ns, family, ret);
    case NS_SOCK_DGRAM:
        if (protocol == 0 || protocol == IPPROTO_NUM_UDP)
            return udp_new(ns, family, ret);
        if (protocol == (family == NS_AF_INET ? IPPROTO_NUM_ICMP : IPPROTO_NUM_ICMPV6))
            return ping_new(ns, family, ret);
        return -EPROTONOSUPPORT;
    case NS_SOCK_RAW:
        return raw_new(ns, family, protocol, ret);
    default:
        return -ESOCKTNOSUPPORT;
    }
}

int nsock_new(struct netns *ns, int family, int type, int protocol, void *user, struct nsock **ret) {
    int rc;
    stack_enter(ns->st);
    if (family == NS_AF_PACKET)
        rc = packet_new(ns, type, protocol, ret);
    else if (family != NS_AF_INET && family != NS_AF_INET6)
        rc = -EAFNOSUPPORT;
    else if (protocol < 0 || protocol > 255)
        rc = -EINVAL;
    else
        rc = new_inet(ns, family, type, protocol, ret);
    if (rc == 0)
        (*ret)->user = user;
    stack_leave(ns->st);
    return rc;
}

void nsock_close(struct nsock *s) {
    if (!s)
        return;
    struct netstack *st = s->ns->st;
    stack_enter(st);
    s->user = NULL;
    s->watch = NULL;
    hostref_release(&s->watcher);
    list_del(&s->notify_link);
    s->ops->close(s);
    nsock_put(s);
    stack_leave(st);
}

void nsock_set_user(struct nsock *s, void *user) {
    stack_enter(s->ns->st);
    s->user = user;
    stack_leave(s->ns->st);
}

void nsock_set_owner(struct nsock *s, uint32_t uid, uint32_t gid) {
    stack_enter(s->ns->st);
    s->uid = uid;
    s->gid = gid;
    stack_leave(s->ns->st);
}

static void release_watcher(struct hostref *h) {
    (void)h; /* the creator's own */
}

static const struct hostref_ops watcher_ref_ops = {.name = "nsock watcher", .release = release_watcher};

void nsock_watch(struct nsock *s, const struct nsock_watch_ops *ops, void *ctx) {
    stack_enter(s->ns->st);
    s->watch = ops;
    s->watcher = (struct hostref){.ops = &watcher_ref_ops, .host.ptr = ctx};
    stack_leave(s->ns->st);
}

int nsock_bind(struct nsock *s, const struct ns_addr *a) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    int rc = s->ops->bind(s, a);
    stack_leave(st);
    return rc;
}

int nsock_connect(struct nsock *s, const struct ns_addr *a) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    int rc = s->ops->connect(s, a);
    stack_leave(st);
    return rc;
}

int nsock_listen(struct nsock *s, int backlog) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    int rc = s->ops->listen ? s->ops->listen(s, backlog) : -EOPNOTSUPP;
    stack_leave(st);
    return rc;
}

int nsock_accept(struct nsock *s, struct nsock **ret, struct ns_addr *ret_peer) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    int rc = s->ops->accept ? s->ops->accept(s, ret) : -EOPNOTSUPP;
    if (rc == 0 && ret_peer)
        nsock_fill_addr(*ret, ret_peer, &(*ret)->raddr, (*ret)->rport, (*ret)->scope_id);
    stack_leave(st);
    return rc;
}

ssize_t nsock_send(struct nsock *s, struct ns_msg *m) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    ssize_t rc = s->ops->send(s, m);
    stack_leave(st);
    return rc;
}

ssize_t nsock_recv(struct nsock *s, struct ns_msg *m) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    m->has_name = false;
    m->cmsg.have = 0;
    ssize_t rc = s->ops->recv(s, m);
    stack_leave(st);
    return rc;
}

ssize_t nsock_send_pkt(struct nsock *s, struct ns_msg *m, struct pkt **p) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    ssize_t rc = s->ops->send_pkt ? s->ops->send_pkt(s, m, *p) : -EOPNOTSUPP;
    if (rc > 0)
        pkt_trim_front(*p, (uint32_t)rc);
    if ((*p)->len == 0) {
        pkt_free(*p);
        *p = NULL;
    }
    stack_leave(st);
    return rc;
}

ssize_t nsock_recv_pkt(struct nsock *s, struct ns_msg *m, size_t skip, size_t max, struct pkt **ret) {
    struct netstack *st = s->ns->st;
    *ret = NULL;
    stack_enter(st);
    m->has_name = false;
    m->cmsg.have = 0;
    ssize_t rc = s->ops->recv_pkt ? s->ops->recv_pkt(s, m, skip, max, ret) : nsock_take_dgram(s, m, ret);
    stack_leave(st);
    return rc;
}

void nsock_recv_done(struct nsock *s, struct pkt *p, size_t consume) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    pkt_free(p);
    if (consume && s->ops->consume)
        s->ops->consume(s, consume);
    stack_leave(st);
}

int nsock_shutdown(struct nsock *s, int how) {
    struct netstack *st = s->ns->st;
    if (how < NS_SHUT_RD || how > NS_SHUT_RDWR)
        return -EINVAL;
    stack_enter(st);
    int rc = s->ops->shutdown ? s->ops->shutdown(s, how + 1) : -EOPNOTSUPP;
    stack_leave(st);
    return rc;
}

int nsock_setopt(struct nsock *s, int level, int name, const void *val, size_t len) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    int rc = sockopt_set(s, level, name, val, len);
    stack_leave(st);
    return rc;
}

int nsock_getopt(struct nsock *s, int level, int name, void *val, size_t *len) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    int rc = sockopt_get(s, level, name, val, len);
    stack_leave(st);
    return rc;
}

uint32_t nsock_ready(struct nsock *s) {
    mutex_lock(&s->ns->st->lock);
    uint32_t ev = s->ops->ready(s);
    mutex_unlock(&s->ns->st->lock);
    return ev;
}

int nsock_local(struct nsock *s, struct ns_addr *ret) {
    mutex_lock(&s->ns->st->lock);
    nsock_fill_addr(s, ret, &s->laddr, s->lport, s->bound_if ? s->bound_if : s->scope_id);
    mutex_unlock(&s->ns->st->lock);
    return 0;
}

int nsock_peer(struct nsock *s, struct ns_addr *ret) {
    mutex_lock(&s->ns->st->lock);
    bool has = s->ops->has_peer ? s->ops->has_peer(s) : s->connected;
    int rc = has ? 0 : -ENOTCONN;
    if (rc == 0)
        nsock_fill_addr(s, ret, &s->raddr, s->rport, s->scope_id);
    mutex_unlock(&s->ns->st->lock);
    return rc;
}

int nsock_inq(struct nsock *s) {
    mutex_lock(&s->ns->st->lock);
    int rc = s->ops->inq ? s->ops->inq(s) : -EINVAL;
    mutex_unlock(&s->ns->st->lock);
    return rc;
}

int nsock_outq(struct nsock *s) {
    mutex_lock(&s->ns->st->lock);
    int rc = s->ops->outq ? s->ops->outq(s) : -EINVAL;
    mutex_unlock(&s->ns->st->lock);
    return rc;
}

int nsock_outq_unsent(struct nsock *s) {
    mutex_lock(&s->ns->st->lock);
    int rc = s->ops->unsent ? s->ops->unsent(s) : -EINVAL;
    mutex_unlock(&s->ns->st->lock);
    return rc;
}

int nsock_at_mark(struct nsock *s) {
    mutex_lock(&s->ns->st->lock);
    int rc = s->ops->at_mark ? s->ops->at_mark(s) : -EINVAL;
    mutex_unlock(&s->ns->st->lock);
    return rc;
}

int64_t nsock_last_stamp(struct nsock *s) {
    mutex_lock(&s->ns->st->lock);
    int64_t ns = s->last_stamp;
    mutex_unlock(&s->ns->st->lock);
    return ns;
}

static int set_filter(struct nsock *s, const struct bpf_insn *insns, size_t count) {
    if (s->filter_locked)
        return -EPERM;
    if (count == 0) {
        int rc = s->filter ? 0 : -ENOENT;
        free_filter(s);
        return rc;
    }
    if (!filter_valid(insns, count))
        return -EINVAL;
    struct bpf_insn *copy = nsmem_bytes(&s->ns->st->mem, count * sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, insns, count * sizeof(*copy));
    free_filter(s);
    s->filter = copy;
    s->filter_count = (uint16_t)count;
    return 0;
}

int nsock_set_filter(struct nsock *s, const struct bpf_insn *insns, size_t count) {
    mutex_lock(&s->ns->st->lock);
    int rc = set_filter(s, insns, count);
    mutex_unlock(&s->ns->st->lock);
    return rc;
}

size_t nsock_get_filter(struct nsock *s, struct bpf_insn *to, size_t max) {
    mutex_lock(&s->ns->st->lock);
    size_t count = s->filter_count;
    if (max > 0 && s->filter)
        memcpy(to, s->filter, MIN(count, max) * sizeof(*to));
    mutex_unlock(&s->ns->st->lock);
    return count;
}

int nsock_lock_filter(struct nsock *s, bool on) {
    mutex_lock(&s->ns->st->lock);
    int rc = s->filter_locked && !on ? -EPERM : 0;
    s->filter_locked |= on;
    mutex_unlock(&s->ns->st->lock);
    return rc;
}

bool nsock_filter_locked(struct nsock *s) {
    mutex_lock(&s->ns->st->lock);
    bool on = s->filter_locked;
    mutex_unlock(&s->ns->st->lock);
    return on;
}
