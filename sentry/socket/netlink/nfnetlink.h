/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/nfnetlink.h: NETLINK_NETFILTER: what its files share. Numbers in messages are big
 * endian. Source: libnftnl, libmnl, nft(8) with --debug=netlink.
 *
 * A batch holds network_config_lock() from its first message to its last, so that one ruleset is changed by
 * one batch at a time; the stack's lock is taken for each message alone.
 */
#pragma once

#include "netstack/filter/nf.h"
#include "sentry/socket/netlink/netlink.h"

struct nfgenmsg {
    uint8_t family, version;
    uint16_t resource; /* big endian */
};

enum { NF_SUBSYS_NONE = 0, NF_SUBSYS_CONNTRACK = 1, NF_SUBSYS_TABLES = 10, NF_SUBSYS_COMPAT = 11 };
enum { NF_BATCH_BEGIN = 0x10, NF_BATCH_END = 0x11 };
/* Bytes of a request's attributes are cut into at most this many numbers. */
enum { NFA_MAX = 20, NFA_LIST_ELEM = 1 };

/* A batch under way, in heap memory. */
struct netlink_batch {
    struct nf_ruleset *set;
    struct linux_nlmsghdr begin;
    bool failed;
};

/* One request about nf_tables, with the stack's lock held. */
struct nft_request {
    struct netlink_request *r;
    struct netns *ns;
    struct nf_ruleset *set; /* the batch's copy, or what is in force (dumps); may be NULL then */
    uint8_t family;
    struct nl_attr a[NFA_MAX + 1];
};

bool nfa_u32(const struct nl_attr *a, uint32_t *ret); /* big endian; false: absent or too short */
bool nfa_u64(const struct nl_attr *a, uint64_t *ret);
/* A NUL-terminated name: -EINVAL if absent, -ENAMETOOLONG. */
int nfa_name(const struct nl_attr *a, char name[NF_LONG_NAME]) must_check;
void nfa_put_u32(struct nl_out *o, uint16_t type, uint32_t v);
void nfa_put_u64(struct nl_out *o, uint16_t type, uint64_t v);
size_t nfa_nest(struct nl_out *o, uint16_t type);
/* Begins an answer: nl_end() ends it. */
void nft_begin(struct nft_request *q, uint8_t msg, uint8_t family);
bool nft_is_dump(const struct nft_request *q);
/* Walks a list of attributes: the next one's type and content. False: at its end. */
bool nfa_next(const unsigned char **at, size_t *left, uint16_t *ret_type, struct nl_attr *ret);

/* ---- nft_expr.c ---- */
/* Decodes a rule's expressions into heap memory at *ret, to be freed by the caller; their number or -errno.
 */
int nft_decode_exprs(struct nft_request *q, struct nf_table *t, const struct nf_chain *c,
                     const struct nl_attr *list, struct nf_expr **ret) must_check;
void nft_put_exprs(struct nl_out *o, const struct nf_table *t, const struct nf_rule *rule);
/* NFTA_DATA_*: a value (its length at *ret_len) or a verdict (UINT32_MAX there). */
int nft_decode_data(struct nf_table *t, const struct nl_attr *a, uint8_t value[NF_REG_BYTES],
                    uint32_t *ret_len, struct nf_verdict *ret) must_check;
void nft_put_data(struct nl_out *o, uint16_t type, const uint8_t *value, uint32_t len);
void nft_put_verdict(struct nl_out *o, uint16_t type, const struct nf_table *t, const struct nf_verdict *v);
/* ---- nft_rules.c: tables, chains, rules. 0 or -errno ---- */
int nft_table_request(struct nft_request *q, unsigned msg) must_check;
int nft_chain_request(struct nft_request *q, unsigned msg) must_check;
int nft_rule_request(struct nft_request *q, unsigned msg) must_check;
/* The table that an attribute names; -ENOENT. */
int nft_table_of(struct nft_request *q, const struct nl_attr *name, struct nf_table **ret) must_check;
/* ---- nft_sets.c ---- */
int nft_set_request(struct nft_request *q, unsigned msg) must_check;
int nft_elem_request(struct nft_request *q, unsigned msg) must_check;
/* By the number it has in this batch, or by name. */
struct nf_set *nft_find_set(struct nf_table *t, const struct nl_attr *name, const struct nl_attr *id);
/* ---- nft_compat.c, ctnetlink.c ---- */
int nft_compat_request(struct netlink_request *r, uint8_t family) must_check;
int ctnetlink_request(struct netlink_request *r, uint8_t family) must_check;

enum nft_msg {
    NFT_MSG_NEWTABLE,
    NFT_MSG_GETTABLE,
    NFT_MSG_DELTABLE,
    NFT_MSG_NEWCHAIN,
    NFT_MSG_GETCHAIN,
    NFT_MSG_DELCHAIN,
    NFT_MSG_NEWRULE,
    NFT_MSG_GETRULE,
    NFT_MSG_DELRULE,
    NFT_MSG_NEWSET,
    NFT_MSG_GETSET,
    NFT_MSG_DELSET,
    NFT_MSG_NEWSETELEM,
    NFT_MSG_GETSETELEM,
    NFT_MSG_DELSETELEM,
    NFT_MSG_NEWGEN,
    NFT_MSG_GETGEN,
    NFT_MSG_GETOBJ = 19,
    NFT_MSG_GETOBJ_RESET = 21,
    NFT_MSG_GETFLOWTABLE = 23,
    NFT_MSG_DESTROYTABLE = 26,
    NFT_MSG_DESTROYCHAIN = 27,
    NFT_MSG_DESTROYRULE = 28,
    NFT_MSG_DESTROYSET = 29,
    NFT_MSG_DESTROYSETELEM = 30,
};
