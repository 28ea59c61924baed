/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf.h: the packet filter: one rule engine for both front ends (iptables' blobs: nf_legacy.h;
 * nftables' messages: the sentry's netlink sockets), connection tracking and address translation.
 *
 * A namespace without rules has no `struct nf`, and the packet path pays one test of that pointer. With one:
 * a *ruleset* holds tables; a table holds chains, by number, and sets; a chain holds an array of rules; a
 * rule is a list of expressions over sixteen 32-bit registers. Rules and sets are refcounted and shared
 * between rulesets, so a batch of changes works on a copy of the ruleset that costs pointers only, and
 * commits by putting it in the old one's place: all of a batch or nothing (nft(8), "atomic rule
 * replacement").
 *
 * Locks: every function here is called between nf_lock() and nf_unlock(), i.e. with the stack's lock held,
 * and does not block. Sources: iptables(8), iptables-extensions(8), nft(8), libnftnl's attribute names.
 */
#pragma once

#include "netstack/netstack.h"

enum nf_hook { NF_PREROUTING, NF_INPUT, NF_FORWARD, NF_OUTPUT, NF_POSTROUTING, NF_HOOKS };
enum nf_chain_type { NF_CHAIN_FILTER, NF_CHAIN_NAT, NF_CHAIN_ROUTE };
/* As in nft's NFPROTO_*. */
enum nf_family { NF_FAMILY_INET = 1, NF_FAMILY_IPV4 = 2, NF_FAMILY_IPV6 = 10 };
enum nf_verdict_code {
    NF_DROP = 0,
    NF_ACCEPT = 1,
    NF_CONTINUE = -1,
    NF_BREAK = -2,
    NF_JUMP = -3,
    NF_GOTO = -4,
    NF_RETURN = -5,
};
enum {
    NF_NAME_MAX = 32,
    NF_TABLES_MAX = 256,
    NF_CHAINS_MAX = 4096, /* of a table */
    NF_RULES_MAX = 32768, /* of a chain */
    NF_SETS_MAX = 4096,   /* of a table */
    NF_ELEMS_MAX = 65536, /* of a set */
    NF_EXPRS_MAX = 128,   /* of a rule */
    NF_EXT_MAX = 4096,    /* bytes that one expression carries along */
    NF_USERDATA_MAX = 256,
    NF_JUMP_DEPTH = 16,
    NF_REG_BYTES = 64,
};
/* Kept longer than NF_NAME_MAX for nft, whose names may have 255 characters. */
enum { NF_LONG_NAME = 128 };

struct nf_verdict {
    int code;       /* enum nf_verdict_code */
    uint32_t chain; /* of the same table, for jump and goto */
};

struct nf_counter {
    uint64_t packets, bytes;
};

enum nf_expr_kind {
    NFE_PAYLOAD,
    NFE_PAYLOAD_SET,
    NFE_META,
    NFE_META_SET,
    NFE_CT,
    NFE_CT_SET,
    NFE_CMP,
    NFE_RANGE,
    NFE_BITWISE,
    NFE_BYTEORDER,
    NFE_IMMEDIATE,
    NFE_VERDICT,
    NFE_LOOKUP,
    NFE_COUNTER,
    NFE_LIMIT,
    NFE_LOG,
    NFE_REJECT,
    NFE_NAT,
    NFE_MASQ,
    NFE_REDIR,
    NFE_FIB,
    NFE_NOTRACK,
    NFE_IP_MATCH, /* the fixed part of an iptables rule: `ext` is struct xt_ip4 or xt_ip6 */
    NFE_MATCH,    /* an iptables match: `xt` */
    NFE_TARGET,
};

struct nf_xt_ext;

/* One expression. `ext` bytes are copied by nf_rule_new(). Which members count depends on the kind; registers
 * are byte offsets into the register file. */
struct nf_expr {
    uint8_t kind;
    uint8_t op; /* comparison, limit unit, reject type, translation: source 0, destination 1 */
    bool invert;
    uint8_t sreg, dreg, sreg2; /* sreg of NFE_NAT: address, NF_NO_REG: none; sreg2: port */
    uint8_t sreg_max, sreg2_max;
    uint32_t key;         /* of meta, ct, fib; base of payload */
    uint32_t offset, len; /* of payload; `len` of cmp, range, bitwise */
    uint32_t flags;
    uint8_t dir;  /* of ct: 0 original, 1 reply, 0xff none */
    uint8_t size; /* of byteorder */
    uint8_t csum_type, csum_flags;
    uint32_t csum_offset;
    uint8_t data[2][NF_REG_BYTES]; /* cmp, immediate; range from, to; bitwise mask, xor */
    struct nf_verdict verdict;
    uint32_t set; /* of lookup: number in its table */
    bool has_dreg;
    const struct nf_xt_ext *xt;
    uint8_t *ext;
    uint32_t ext_len;
    /* what the expression counts; not part of its definition */
    struct nf_counter count;
    uint64_t rate, unit_ns, burst; /* of limit */
    int64_t tokens, last_ns;
};
enum { NF_NO_REG = 0xff };

struct nf_rule {
    uint32_t refs;
    uint32_t expr_count;
    uint64_t handle;
    struct nf_counter count; /* of an iptables rule */
    struct nf_expr *exprs;
    uint8_t *userdata;
    uint32_t userdata_len;
};

struct nf_elem {
    uint8_t key[NF_REG_BYTES], key_end[NF_REG_BYTES];
    bool has_end, interval_end, catchall;
    uint8_t data[NF_REG_BYTES];
    struct nf_verdict verdict;
    uint8_t comment[NF_USERDATA_MAX];
    uint16_t comment_len;
};

struct nf_set {
    uint32_t refs;
    char name[NF_LONG_NAME];
    uint64_t handle;
    uint32_t id; /* of the batch that made it */
    uint32_t flags, key_type, key_len, data_type, data_len;
    uint32_t field_count;
    uint8_t field_len[16];
    uint32_t elem_count, elem_cap;
    struct nf_elem **elems; /* by key */
    uint8_t userdata[NF_USERDATA_MAX];
    uint16_t userdata_len;
};
enum {
    NF_SET_ANONYMOUS = 1,
    NF_SET_CONSTANT = 2,
    NF_SET_INTERVAL = 4,
    NF_SET_MAP = 8,
    NF_SET_TIMEOUT = 16,
    NF_SET_EVAL = 32,
    NF_SET_OBJECT = 64,
    NF_SET_CONCAT = 128,
};

struct nf_chain {
    char name[NF_LONG_NAME];
    uint64_t handle;
    uint32_t id; /* number within its table */
    bool base, counts_policy;
    uint8_t type, hook; /* enum nf_chain_type, enum nf_hook */
    int priority, policy;
    struct nf_counter count; /* of the policy */
    uint32_t users;          /* jumps to it */
    uint32_t rule_count, rule_cap;
    struct nf_rule **rules;
};

struct nf_legacy; /* the blob that an iptables table was made of: nf_legacy.c */

struct nf_table {
    struct list link;
    uint8_t family; /* enum nf_family */
    char name[NF_LONG_NAME];
    uint64_t handle, next_handle;
    uint32_t flags; /* NF_TABLE_DORMANT */
    uint32_t chain_cap, set_cap;
    struct nf_chain **chains; /* by number; holes are NULL */
    struct nf_set **sets;
    uint32_t owner; /* of the netlink port */
    struct nf_legacy *legacy;
};
enum { NF_TABLE_DORMANT = 1 };

struct nf_ruleset {
    struct list tables; /* nf_table.link */
    uint64_t next_handle;
};

void nf_lock(struct netns *ns);
void nf_unlock(struct netns *ns);

/* ---- changes: on a copy ---- */

/* Does: makes a copy of what is in force to change. Returns: -ENOMEM; end it with one of the next two. */
must_check int nf_begin(struct netns *ns, struct nf_ruleset **ret);
/* Does: puts the copy in force. Returns: -ENOMEM, -EINVAL for jumps that loop or run too deep; the copy stays
 * the caller's then. */
must_check int nf_commit(struct netns *ns, struct nf_ruleset *copy);
void nf_abort(struct netns *ns, struct nf_ruleset *copy);
/* What is in force, borrowed; NULL: nothing ever was. */
struct nf_ruleset *nf_current(struct netns *ns);
/* Counts commits; netlink's "generation". */
uint32_t nf_generation(struct netns *ns);

struct nf_table *nf_table_find(struct nf_ruleset *r, int family, const char *name);
/* Legacy tables are not seen by nft, and the other way round: `legacy` says which kind. */
struct nf_table *nf_table_find_legacy(struct nf_ruleset *r, int family, const char *name);
must_check int nf_table_new(struct netns *ns, struct nf_ruleset *r, int family, const char *name,
                            struct nf_table **ret);
void nf_table_free(struct netns *ns, struct nf_table *t);
struct nf_chain *nf_chain_find(struct nf_table *t, const char *name);
struct nf_chain *nf_chain_by_handle(struct nf_table *t, uint64_t handle);
must_check int nf_chain_new(struct netns *ns, struct nf_table *t, const char *name, struct nf_chain **ret);
/* -EBUSY while something jumps to it. Rules go with it. */
must_check int nf_chain_del(struct netns *ns, struct nf_table *t, struct nf_chain *c);
/* Returns: -ENOMEM; the caller puts it in a chain or drops it by nf_rule_unref(). Copies everything. */
must_check int nf_rule_new(struct netns *ns, const struct nf_expr *exprs, uint32_t count,
                           const void *userdata, uint32_t userdata_len, struct nf_rule **ret);
void nf_rule_unref(struct netns *ns, struct nf_rule *r);
/* Does: takes the rule and puts it at `at` <= rule_count. -ENOMEM, -ENFILE: not taken. */
must_check int nf_rule_insert(struct netns *ns, struct nf_table *t, struct nf_chain *c, uint32_t at,
                              struct nf_rule *r);
void nf_rule_del(struct netns *ns, struct nf_table *t, struct nf_chain *c, uint32_t at);

struct nf_set *nf_set_find(struct nf_table *t, const char *name);
/* How many expressions look something up in it. */
uint32_t nf_set_users(const struct nf_table *t, const struct nf_set *s);
must_check int nf_set_new(struct netns *ns, struct nf_table *t, const struct nf_set *like,
                          struct nf_set **ret);
must_check int nf_set_del(struct netns *ns, struct nf_table *t, struct nf_set *s);
/* A set that may be changed in place: the table's own copy. NULL: no memory. */
struct nf_set *nf_set_own(struct netns *ns, struct nf_table *t, struct nf_set *s);
/* -EEXIST, -ENFILE, -ENOMEM; -ENOENT. */
must_check int nf_elem_add(struct netns *ns, struct nf_set *s, const struct nf_elem *e);
must_check int nf_elem_del(struct netns *ns, struct nf_set *s, const struct nf_elem *like);
/* The element that a key of the set's length belongs to; NULL: none. */
const struct nf_elem *nf_set_lookup(const struct nf_set *s, const uint8_t *key);
void nf_set_flush(struct netns *ns, struct nf_set *s);

/* ---- iptables' extensions (nf_xt.c) ---- */

/* The match or target of this name, revision and family (NS_AF_*); NULL: unknown, *ret_best the highest
 * revision known, or -1. */
const struct nf_xt_ext *nf_xt_find(const char *name, uint8_t revision, int family, bool target,
                                   int *ret_best);
const char *nf_xt_name(const struct nf_xt_ext *x);
uint8_t nf_xt_revision(const struct nf_xt_ext *x);
struct nf_xt_use {
    int family;
    uint32_t hooks;    /* bit mask of those that can lead here; 0: not known */
    const char *table; /* iptables' table, or nft's chain type; NULL: not known */
    uint8_t proto;     /* that the rule asks for; 0: any */
    bool proto_inverted;
};
/* Is `info` well-formed for it? -EINVAL, or as Linux' check of it gives. */
must_check int nf_xt_check(const struct nf_xt_ext *x, const struct nf_xt_use *use, const uint8_t *info,
                           uint32_t len);

/* ---- connections: for listings ---- */

struct nf_conn_info {
    struct ipa src[2], dst[2]; /* original, reply */
    uint16_t sport[2], dport[2];
    uint8_t proto, icmp_type[2], icmp_code[2];
    uint16_t icmp_id;
    uint8_t tcp_state; /* enum ct_tcp_state */
    uint32_t status, mark, timeout_s, use, id;
    struct nf_counter count[2];
};
typedef void (*nf_conn_fn)(void *ctx, const struct nf_conn_info *i);
void nf_conn_each(struct netns *ns, nf_conn_fn fn, void *ctx);
/* Ends a connection (`conntrack -D`), or all (`conntrack -F`; family 0: both). */
must_check int nf_conn_del(struct netns *ns, const struct nf_conn_info *like, int dir);
void nf_conn_flush(struct netns *ns, int family);
uint32_t nf_conn_count(struct netns *ns);
extern const char *const nf_tcp_state_names[];
struct nf_conntrack_knobs {
    uint32_t max;
    bool active;
};
void nf_conn_knobs(struct netns *ns, struct nf_conntrack_knobs *ret);
void nf_conn_set_max(struct netns *ns, uint32_t max);
