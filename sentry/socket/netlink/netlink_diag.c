/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/netlink_diag.c: NETLINK_SOCK_DIAG for the internet families, as ss(8) asks it. Its
 * filter programs (INET_DIAG_REQ_BYTECODE) are not run here: ss filters again by itself. Source:
 * sock_diag(7).
 */
#include <errno.h>
#include <string.h>

#include "netstack/wire/bytes.h"
#include "sentry/kernel/task.h"
#include "sentry/socket/inet/inet.h"
#include "sentry/socket/netlink/netlink.h"

struct dump {
    struct nl_out *out;
    struct linux_inet_diag_req_v2 req;
    struct user_ns *viewer;
    bool one, found;
};

static void put_address(uint32_t to[4], const struct ipa *ip, uint16_t family) {
    memset(to, 0, 16);
    if (family == LINUX_AF_INET)
        memcpy(to, ip->b + 12, 4);
    else if (!ipa_is_v4(ip) || !ipa_is_any(ip))
        memcpy(to, ip->b, 16);
}

static void put_id(struct linux_inet_diag_sockid *id, const struct ns_sock_info *i) {
    put_be16((uint8_t *)&id->sport, i->lport);
    put_be16((uint8_t *)&id->dport, i->rport);
    put_address(id->src, &i->local, i->family);
    put_address(id->dst, &i->remote, i->family);
    id->ifindex = i->ifindex;
    memcpy(id->cookie, &i->cookie, sizeof id->cookie);
}

static bool same_id(const struct linux_inet_diag_sockid *a, const struct linux_inet_diag_sockid *b) {
    bool cookie =
        (b->cookie[0] == ~0u && b->cookie[1] == ~0u) || memcmp(a->cookie, b->cookie, sizeof a->cookie) == 0;

    return a->sport == b->sport && a->dport == b->dport && memcmp(a->src, b->src, sizeof a->src) == 0 &&
           memcmp(a->dst, b->dst, sizeof a->dst) == 0 && cookie;
}

static bool asked(const struct dump *d, const struct ns_sock_info *i,
                  const struct linux_inet_diag_sockid *id) {
    if (i->family != d->req.family)
        return false;
    if (d->one)
        return !d->found && same_id(id, &d->req.id);
    if (!(d->req.states >> i->state & 1))
        return false;
    return (!d->req.id.sport || d->req.id.sport == id->sport) &&
           (!d->req.id.dport || d->req.id.dport == id->dport);
}

static void put_memory(struct nl_out *o, uint8_t ext, const struct ns_sock_info *i) {
    uint32_t old[4] = {i->rqueue, i->wqueue, 0, i->wqueue};
    uint32_t all[9] = {i->rqueue, i->rcvbuf, i->wqueue, i->sndbuf, 0, i->wqueue, 0, 0, i->drops};

    if (ext & (1 << (LINUX_INET_DIAG_MEMINFO - 1)))
        nl_put(o, LINUX_INET_DIAG_MEMINFO, old, sizeof old);
    if (ext & (1 << (LINUX_INET_DIAG_SKMEMINFO - 1)))
        nl_put(o, LINUX_INET_DIAG_SKMEMINFO, all, sizeof all);
}

/* The stack's lock is held: plain copies only. */
static void put_one(void *ctx, const struct ns_sock_info *i, void *user) {
    struct dump *d = ctx;
    struct linux_inet_diag_msg m = {.family = (uint8_t)i->family,
                                    .state = i->state,
                                    .timer = i->timer,
                                    .retrans = i->timer == 4 ? i->probes : i->retrans,
                                    .expires = i->timer_ms,
                                    .rqueue = i->rqueue,
                                    .wqueue = i->wqueue};

    put_id(&m.id, i);
    if (i->state == NS_TCP_CLOSE && i->type == NS_SOCK_STREAM)
        return;
    if (!asked(d, i, &m.id))
        return;
    d->found = true;
    if (user)
        inet_owner(user, d->viewer, &m.uid, &m.inode);
    nl_begin(d->out, LINUX_SOCK_DIAG_BY_FAMILY, d->one ? 0 : LINUX_NLM_F_MULTI, &m, sizeof m);
    put_memory(d->out, d->req.ext, i);
    if (i->type == NS_SOCK_STREAM && user) {
        struct ns_tcp_info info;
        char name[16];
        if (d->req.ext & (1 << (LINUX_INET_DIAG_INFO - 1)) && ns_sock_tcp_info(i, &info, name)) {
            nl_put(d->out, LINUX_INET_DIAG_INFO, &info, sizeof info);
            if (d->req.ext & (1 << (LINUX_INET_DIAG_CONG - 1)))
                nl_put_string(d->out, LINUX_INET_DIAG_CONG, name);
        }
    }
    if (d->req.ext & (1 << (LINUX_INET_DIAG_SHUTDOWN - 1)))
        nl_put_u8(d->out, LINUX_INET_DIAG_SHUTDOWN, i->shut);
    if (i->family == LINUX_AF_INET6)
        nl_put_u8(d->out, LINUX_INET_DIAG_SKV6ONLY, i->v6only);
    nl_end(d->out);
}

static int table_of(uint8_t protocol, enum ns_sock_table *ret) {
    switch (protocol) {
    case LINUX_IPPROTO_TCP:
        *ret = NS_SOCKS_TCP;
        return 0;
    case LINUX_IPPROTO_UDP:
        *ret = NS_SOCKS_UDP;
        return 0;
    case LINUX_IPPROTO_RAW:
        *ret = NS_SOCKS_RAW;
        return 0;
    }
    return -ENOENT; /* as for a protocol without a diag module */
}

static int handle(struct netlink_request *r) {
    struct dump d = {.out = &r->out, .viewer = task_creds(r->task)->user_ns};
    enum ns_sock_table table;

    if (r->h.type != LINUX_SOCK_DIAG_BY_FAMILY)
        return r->h.type == LINUX_SOCK_DESTROY ? -EOPNOTSUPP : -EINVAL;
    if (r->size < 1)
        return -EINVAL;
    if (r->payload[0] != LINUX_AF_INET && r->payload[0] != LINUX_AF_INET6)
        return -ENOENT;
    if (r->size < sizeof d.req)
        return -EINVAL;
    memcpy(&d.req, r->payload, sizeof d.req);
    int result = table_of(d.req.protocol, &table);
    if (result < 0)
        return result;
    d.one = (r->h.flags & LINUX_NLM_F_DUMP) != LINUX_NLM_F_DUMP;
    netns_sock_each(r->net->netns, table, put_one, &d);
    r->dumped = !d.one;
    return d.one && !d.found ? -ENOENT : 0;
}

static struct netlink_protocol g_diag = {
    .protocol = LINUX_NETLINK_SOCK_DIAG, .groups = 4, .anybody_listens = true, .handle = handle};

__attribute__((constructor)) static void register_diag(void) {
    netlink_protocol_register(&g_diag);
}
