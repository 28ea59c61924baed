/* SPDX-License-Identifier: Apache-2.0
 * runsc/network/netns_guard_host.c: an nf_tables table that keeps the host's kernel silent and deaf in a
 * network namespace whose interfaces the sandbox's own stack serves (network.h).
 *
 * Addresses and routes stay where the client put them: CNI's DEL and CHECK, `nsenter`, and docker's embedded
 * resolver, which forwards names from inside the namespace, need them. Packet sockets see frames before these
 * hooks (on the way in) and pass them by (on the way out), so the sandbox is not affected.
 *
 *   prerouting (raw): loopback, answers of DNS servers, neighbour discovery; all else is dropped
 *   output:           loopback, questions to DNS servers, neighbour discovery; all else is dropped
 *
 * ARP goes on: both kernels answer, with the same hardware address. Source: nf_tables.h, nfnetlink.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_arp.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "base/cleanup.h"
#include "runsc/network/network.h"
#include "runsc/network/rtnl.h"

#define TABLE    "runsc"
#define DNS_PORT 53
enum { PRIORITY_RAW = -300, ND_FIRST = 133, ND_LAST = 136 };

static void message(struct rtnl_buffer *b, uint16_t type, uint16_t flags) {
    struct nfgenmsg head = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};

    rtnl_begin(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &head, sizeof head);
}

static void batch_edge(struct rtnl_buffer *b, uint16_t type) {
    struct nfgenmsg head = {.version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};

    rtnl_begin(b, type, 0, &head, sizeof head);
}

static void table(struct rtnl_buffer *b, uint16_t type, uint16_t flags) {
    message(b, type, flags);
    rtnl_put_string(b, NFTA_TABLE_NAME, TABLE);
}

static void chain(struct rtnl_buffer *b, const char *name, uint32_t hook, int priority) {
    message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    rtnl_put_string(b, NFTA_CHAIN_TABLE, TABLE);
    rtnl_put_string(b, NFTA_CHAIN_NAME, name);
    size_t nest = rtnl_nest(b, NFTA_CHAIN_HOOK);
    rtnl_put_be32(b, NFTA_HOOK_HOOKNUM, hook);
    rtnl_put_be32(b, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    rtnl_nest_end(b, nest);
    rtnl_put_be32(b, NFTA_CHAIN_POLICY, NF_DROP);
    rtnl_put_string(b, NFTA_CHAIN_TYPE, "filter");
}

/* ---- one rule: expressions in a list ---- */

struct rule {
    struct rtnl_buffer *b;
    size_t list, element, data;
};

static void expression(struct rule *r, const char *name) {
    r->element = rtnl_nest(r->b, NFTA_LIST_ELEM);
    rtnl_put_string(r->b, NFTA_EXPR_NAME, name);
    r->data = rtnl_nest(r->b, NFTA_EXPR_DATA);
}

static void expression_end(struct rule *r) {
    rtnl_nest_end(r->b, r->data);
    rtnl_nest_end(r->b, r->element);
}

static struct rule rule(struct rtnl_buffer *b, const char *in_chain, uint16_t flags) {
    message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | flags);
    rtnl_put_string(b, NFTA_RULE_TABLE, TABLE);
    rtnl_put_string(b, NFTA_RULE_CHAIN, in_chain);
    return (struct rule){.b = b, .list = rtnl_nest(b, NFTA_RULE_EXPRESSIONS)};
}

static void load_meta(struct rule *r, uint32_t key) {
    expression(r, "meta");
    rtnl_put_be32(r->b, NFTA_META_KEY, key);
    rtnl_put_be32(r->b, NFTA_META_DREG, NFT_REG_1);
    expression_end(r);
}

static void load_transport(struct rule *r, uint32_t offset, uint32_t len) {
    expression(r, "payload");
    rtnl_put_be32(r->b, NFTA_PAYLOAD_DREG, NFT_REG_1);
    rtnl_put_be32(r->b, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
    rtnl_put_be32(r->b, NFTA_PAYLOAD_OFFSET, offset);
    rtnl_put_be32(r->b, NFTA_PAYLOAD_LEN, len);
    expression_end(r);
}

static void compare(struct rule *r, uint32_t op, const void *value, size_t len) {
    expression(r, "cmp");
    rtnl_put_be32(r->b, NFTA_CMP_SREG, NFT_REG_1);
    rtnl_put_be32(r->b, NFTA_CMP_OP, op);
    size_t nest = rtnl_nest(r->b, NFTA_CMP_DATA);
    rtnl_put(r->b, NFTA_DATA_VALUE, value, len);
    rtnl_nest_end(r->b, nest);
    expression_end(r);
}

static void accept_and_end(struct rule *r) {
    expression(r, "immediate");
    rtnl_put_be32(r->b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t data = rtnl_nest(r->b, NFTA_IMMEDIATE_DATA), verdict = rtnl_nest(r->b, NFTA_DATA_VERDICT);
    rtnl_put_be32(r->b, NFTA_VERDICT_CODE, NF_ACCEPT);
    rtnl_nest_end(r->b, verdict);
    rtnl_nest_end(r->b, data);
    expression_end(r);
    rtnl_nest_end(r->b, r->list);
}

/* ---- the rules ---- */

static void let_loopback(struct rtnl_buffer *b, const char *in_chain, uint32_t key) {
    struct rule r = rule(b, in_chain, 0);
    uint16_t type = ARPHRD_LOOPBACK;

    load_meta(&r, key);
    compare(&r, NFT_CMP_EQ, &type, sizeof type);
    accept_and_end(&r);
}

static void let_dns(struct rtnl_buffer *b, const char *in_chain, uint8_t proto, uint32_t port_offset) {
    struct rule r = rule(b, in_chain, 0);
    uint16_t port = htons(DNS_PORT);

    load_meta(&r, NFT_META_L4PROTO);
    compare(&r, NFT_CMP_EQ, &proto, sizeof proto);
    load_transport(&r, port_offset, sizeof port);
    compare(&r, NFT_CMP_EQ, &port, sizeof port);
    accept_and_end(&r);
}

static void let_discovery(struct rtnl_buffer *b, const char *in_chain, uint16_t flags) {
    struct rule r = rule(b, in_chain, flags);
    uint8_t proto = IPPROTO_ICMPV6, first = ND_FIRST, last = ND_LAST;

    load_meta(&r, NFT_META_L4PROTO);
    compare(&r, NFT_CMP_EQ, &proto, sizeof proto);
    load_transport(&r, 0, 1);
    compare(&r, NFT_CMP_GTE, &first, 1);
    compare(&r, NFT_CMP_LTE, &last, 1);
    accept_and_end(&r);
}

static void rules(struct rtnl_buffer *b, const char *name, uint32_t iftype, uint32_t port_offset,
                  uint16_t last_flags) {
    let_loopback(b, name, iftype);
    let_dns(b, name, IPPROTO_UDP, port_offset);
    let_dns(b, name, IPPROTO_TCP, port_offset);
    let_discovery(b, name, last_flags);
}

static int send_batch(struct rtnl_buffer *b) {
    cleanup(closep) int fd = rtnl_open(NETLINK_NETFILTER);

    batch_edge(b, NFNL_MSG_BATCH_END);
    return fd < 0 ? fd : rtnl_transact(fd, b);
}

int netns_guard_up(void) {
    struct rtnl_buffer b = {.len = 0};

    batch_edge(&b, NFNL_MSG_BATCH_BEGIN);
    table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE); /* so that there is one to delete: of an earlier container */
    table(&b, NFT_MSG_DELTABLE, 0);
    table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    chain(&b, "in", NF_INET_PRE_ROUTING, PRIORITY_RAW);
    chain(&b, "out", NF_INET_LOCAL_OUT, 0);
    rules(&b, "in", NFT_META_IIFTYPE, 0, 0);
    rules(&b, "out", NFT_META_OIFTYPE, 2, NLM_F_ACK);
    return send_batch(&b);
}

int netns_guard_down(void) {
    struct rtnl_buffer b = {.len = 0};

    batch_edge(&b, NFNL_MSG_BATCH_BEGIN);
    table(&b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    table(&b, NFT_MSG_DELTABLE, NLM_F_ACK);
    return send_batch(&b);
}
