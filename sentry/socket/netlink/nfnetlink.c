/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/nfnetlink.c: NETLINK_NETFILTER: requests by subsystem, and batches of changes to
 * nf_tables: all of one or nothing. Notifications are not sent. Source: nft(8), libnftnl.
 */
#include "sentry/socket/netlink/nfnetlink.h"

#include <errno.h>
#include <string.h>

#include "sentry/heap/heap.h"

enum {
    CAP_NET_ADMIN_NR = 12,
    GEN_ID = 1,
    BATCH_GENID = 1,
    RESTART_ERRNO = 85 /* ERESTART, which programs read here */
};

HEAP_TYPE(netlink_batch, struct netlink_batch, 0);

bool nfa_u32(const struct nl_attr *a, uint32_t *ret) {
    if (!a->data || a->len < 4)
        return false;
    *ret = get_be32(a->data);
    return true;
}

bool nfa_u64(const struct nl_attr *a, uint64_t *ret) {
    if (!a->data || a->len < 8)
        return false;
    *ret = (uint64_t)get_be32(a->data) << 32 | get_be32(a->data + 4);
    return true;
}

int nfa_name(const struct nl_attr *a, char name[NF_LONG_NAME]) {
    if (!a->data || a->len == 0)
        return -EINVAL;
    size_t len = strnlen((const char *)a->data, a->len);
    if (len >= NF_LONG_NAME)
        return -ENAMETOOLONG;
    memset(name, 0, NF_LONG_NAME);
    memcpy(name, a->data, len);
    return 0;
}

void nfa_put_u32(struct nl_out *o, uint16_t type, uint32_t v) {
    uint8_t be[4];
    put_be32(be, v);
    nl_put(o, type, be, sizeof be);
}

void nfa_put_u64(struct nl_out *o, uint16_t type, uint64_t v) {
    uint8_t be[8];
    put_be32(be, (uint32_t)(v >> 32));
    put_be32(be + 4, (uint32_t)v);
    nl_put(o, type, be, sizeof be);
}

size_t nfa_nest(struct nl_out *o, uint16_t type) {
    return nl_nest(o, type | LINUX_NLA_F_NESTED);
}

bool nfa_next(const unsigned char **at, size_t *left, uint16_t *ret_type, struct nl_attr *ret) {
    struct linux_nlattr a;
    if (*left < sizeof a)
        return false;
    memcpy(&a, *at, sizeof a);
    if (a.len < sizeof a || a.len > *left)
        return false;
    *ret_type = a.type & LINUX_NLA_TYPE_MASK;
    *ret = (struct nl_attr){*at + sizeof a, a.len - sizeof a};
    size_t step = MIN((size_t)LINUX_NLMSG_ALIGN(a.len), *left);
    *at += step;
    *left -= step;
    return true;
}

bool nft_is_dump(const struct nft_request *q) {
    return (q->r->h.flags & LINUX_NLM_F_DUMP) == LINUX_NLM_F_DUMP;
}

void nft_begin(struct nft_request *q, uint8_t msg, uint8_t family) {
    struct nfgenmsg g = {.family = family};
    put_be16(&g.resource, (uint16_t)nf_generation(q->ns));
    nl_begin(&q->r->out, NF_SUBSYS_TABLES << 8 | msg, nft_is_dump(q) ? LINUX_NLM_F_MULTI : 0, &g, sizeof g);
}

static int get_generation(struct nft_request *q) {
    nft_begin(q, NFT_MSG_NEWGEN, 0);
    nfa_put_u32(&q->r->out, GEN_ID, nf_generation(q->ns));
    nl_end(&q->r->out);
    return 0;
}

static int dispatch(struct nft_request *q, unsigned msg) {
    switch (msg) {
    case NFT_MSG_NEWTABLE:
    case NFT_MSG_GETTABLE:
    case NFT_MSG_DELTABLE:
    case NFT_MSG_DESTROYTABLE:
        return nft_table_request(q, msg);
    case NFT_MSG_NEWCHAIN:
    case NFT_MSG_GETCHAIN:
    case NFT_MSG_DELCHAIN:
    case NFT_MSG_DESTROYCHAIN:
        return nft_chain_request(q, msg);
    case NFT_MSG_NEWRULE:
    case NFT_MSG_GETRULE:
    case NFT_MSG_DELRULE:
    case NFT_MSG_DESTROYRULE:
        return nft_rule_request(q, msg);
    case NFT_MSG_NEWSET:
    case NFT_MSG_GETSET:
    case NFT_MSG_DELSET:
    case NFT_MSG_DESTROYSET:
        return nft_set_request(q, msg);
    case NFT_MSG_NEWSETELEM:
    case NFT_MSG_GETSETELEM:
    case NFT_MSG_DELSETELEM:
    case NFT_MSG_DESTROYSETELEM:
        return nft_elem_request(q, msg);
    case NFT_MSG_GETGEN:
        return get_generation(q);
    case NFT_MSG_GETOBJ:
    case NFT_MSG_GETOBJ_RESET:
    case NFT_MSG_GETFLOWTABLE:
        return nft_is_dump(q) ? 0 : -ENOENT; /* there are none */
    default:
        return -EOPNOTSUPP;
    }
}

static bool is_get(unsigned msg) {
    return msg == NFT_MSG_GETTABLE || msg == NFT_MSG_GETCHAIN || msg == NFT_MSG_GETRULE ||
           msg == NFT_MSG_GETSET || msg == NFT_MSG_GETSETELEM || msg == NFT_MSG_GETGEN ||
           msg == NFT_MSG_GETOBJ || msg == NFT_MSG_GETOBJ_RESET || msg == NFT_MSG_GETFLOWTABLE;
}

static bool family_known(uint8_t family) {
    return family == NF_FAMILY_INET || family == NF_FAMILY_IPV4 || family == NF_FAMILY_IPV6;
}

static int tables_request(struct netlink_request *r, uint8_t family) {
    struct nft_request q = {.r = r, .ns = r->net->netns, .family = family};
    unsigned msg = r->h.type & 0xff;
    struct netlink_batch *b = r->batch ? *r->batch : NULL;
    if (!is_get(msg) && !b)
        return -EINVAL; /* changes come in batches */
    if (!is_get(msg) && !family_known(family) && family != 0)
        return -EAFNOSUPPORT;
    int rc = nl_parse(r->payload + sizeof(struct nfgenmsg), r->size - sizeof(struct nfgenmsg), q.a, NFA_MAX);
    if (rc < 0)
        return rc;
    nf_lock(q.ns);
    q.set = b ? b->set : nf_current(q.ns);
    rc = dispatch(&q, msg);
    nf_unlock(q.ns);
    if (rc == 0 && is_get(msg) && nft_is_dump(&q))
        r->dumped = true;
    return rc;
}

/* ---- batches ---- */

static int batch_begin(struct netlink_request *r) {
    struct nl_attr a[BATCH_GENID + 1];
    struct netns *ns = r->net->netns;
    uint32_t generation;
    if (!r->batch || *r->batch)
        return -EINVAL;
    int rc =
        nl_parse(r->payload + sizeof(struct nfgenmsg), r->size - sizeof(struct nfgenmsg), a, BATCH_GENID);
    struct netlink_batch *b = rc == 0 ? heap_new(netlink_batch) : NULL;
    if (!b)
        return rc < 0 ? rc : -ENOMEM;
    network_config_lock(r->net->kernel);
    nf_lock(ns);
    rc = nfa_u32(&a[BATCH_GENID], &generation) && generation != nf_generation(ns) ? -RESTART_ERRNO
                                                                                  : nf_begin(ns, &b->set);
    nf_unlock(ns);
    if (rc < 0) {
        network_config_unlock(r->net->kernel);
        heap_free(b);
        return rc;
    }
    b->begin = r->h;
    *r->batch = b;
    return 0;
}

/* What a batch's end gives: an error is that of its first message. */
static int finish(struct netlink_request *r, bool commit) {
    struct netlink_batch *b = *r->batch;
    struct netns *ns = r->net->netns;
    nf_lock(ns);
    int rc = commit && !b->failed ? nf_commit(ns, b->set) : -ECANCELED;
    if (rc < 0)
        nf_abort(ns, b->set);
    nf_unlock(ns);
    network_config_unlock(r->net->kernel);
    *r->batch = NULL;
    r->h.seq = b->begin.seq;
    r->out.seq = b->begin.seq;
    bool told = rc == -ECANCELED;
    heap_free(b);
    return told ? 0 : rc;
}

static void batch_abandon(struct netlink_request *r) {
    (void)finish(r, /* commit= */ false); /* nothing to tell: it has no end */
}

static int handle(struct netlink_request *r) {
    struct nfgenmsg g;
    if (!netlink_capable(r, CAP_NET_ADMIN_NR))
        return -EPERM;
    if (r->size < sizeof g)
        return -EINVAL;
    memcpy(&g, r->payload, sizeof g);
    if (r->h.type == NF_BATCH_BEGIN)
        return get_be16(&g.resource) == NF_SUBSYS_TABLES ? batch_begin(r) : -EOPNOTSUPP;
    if (r->h.type == NF_BATCH_END)
        return *r->batch ? finish(r, /* commit= */ true) : 0;
    int rc = -EINVAL;
    switch (r->h.type >> 8) {
    case NF_SUBSYS_TABLES:
        rc = tables_request(r, g.family);
        break;
    case NF_SUBSYS_COMPAT:
        rc = nft_compat_request(r, g.family);
        break;
    case NF_SUBSYS_CONNTRACK:
        rc = ctnetlink_request(r, g.family);
        break;
    }
    if (rc < 0 && *r->batch)
        (*r->batch)->failed = true;
    return rc;
}

static struct netlink_protocol g_netfilter = {
    .protocol = LINUX_NETLINK_NETFILTER, .groups = 32, .handle = handle, .abandon = batch_abandon};

__attribute__((constructor)) static void register_netfilter(void) {
    netlink_protocol_register(&g_netfilter);
}
