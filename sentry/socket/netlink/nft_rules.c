/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/nft_rules.c: nf_tables' tables, chains and rules, to and from messages. Called with
 * the stack's lock held. Source: nft(8), libnftnl.
 */
#include <errno.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/socket/netlink/nfnetlink.h"

enum { TABLE_NAME = 1, TABLE_FLAGS = 2, TABLE_USE = 3, TABLE_HANDLE = 4 };
enum {
    CHAIN_TABLE = 1,
    CHAIN_HANDLE = 2,
    CHAIN_NAME = 3,
    CHAIN_HOOK = 4,
    CHAIN_POLICY = 5,
    CHAIN_USE = 6,
    CHAIN_TYPE = 7,
    CHAIN_COUNTERS = 8,
    CHAIN_FLAGS = 10,
    CHAIN_FLAG_BASE = 1,
    HOOK_NUM = 1,
    HOOK_PRIORITY = 2,
    COUNTER_BYTES = 1,
    COUNTER_PACKETS = 2,
};
enum {
    RULE_TABLE = 1,
    RULE_CHAIN = 2,
    RULE_HANDLE = 3,
    RULE_EXPRESSIONS = 4,
    RULE_POSITION = 6,
    RULE_USERDATA = 7,
};
static const char *const type_names[] = {"filter", "nat", "route"};

/* Is the table one that the request asks for? Those of iptables' own front end are not nft's to see. */
static bool asked(const struct nft_request *q, const struct nf_table *t) {
    return !t->legacy && (q->family == 0 || q->family == t->family);
}

int nft_table_of(struct nft_request *q, const struct nl_attr *a, struct nf_table **ret) {
    char name[NF_LONG_NAME];
    int rc = nfa_name(a, name);
    if (rc < 0)
        return rc;
    *ret = q->set ? nf_table_find(q->set, q->family, name) : NULL;
    return *ret ? 0 : -ENOENT;
}

/* ---- tables ---- */

static uint32_t table_use(const struct nf_table *t) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->chain_cap; i++)
        n += t->chains[i] != NULL;
    for (uint32_t i = 0; i < t->set_cap; i++)
        n += t->sets[i] != NULL;
    return n;
}

static void put_table(struct nft_request *q, const struct nf_table *t) {
    struct nl_out *o = &q->r->out;
    nft_begin(q, NFT_MSG_NEWTABLE, t->family);
    nl_put_string(o, TABLE_NAME, t->name);
    nfa_put_u32(o, TABLE_FLAGS, t->flags);
    nfa_put_u32(o, TABLE_USE, table_use(t));
    nfa_put_u64(o, TABLE_HANDLE, t->handle);
    nl_end(o);
}

static int new_table(struct nft_request *q) {
    char name[NF_LONG_NAME];
    uint32_t flags = 0;
    int rc = nfa_name(&q->a[TABLE_NAME], name);
    if (rc < 0)
        return rc;
    if (q->family == 0)
        return -EAFNOSUPPORT;
    bool has_flags = nfa_u32(&q->a[TABLE_FLAGS], &flags);
    if (flags & ~(uint32_t)NF_TABLE_DORMANT)
        return -EOPNOTSUPP;
    struct nf_table *t = nf_table_find(q->set, q->family, name);
    if (t && q->r->h.flags & LINUX_NLM_F_EXCL)
        return -EEXIST;
    if (t && q->r->h.flags & LINUX_NLM_F_REPLACE)
        return -EOPNOTSUPP;
    if (!t)
        rc = nf_table_new(q->ns, q->set, q->family, name, &t);
    if (rc == 0 && has_flags)
        t->flags = flags;
    return rc;
}

static int del_table(struct nft_request *q, bool must_exist) {
    uint64_t handle;
    bool named = q->a[TABLE_NAME].data, by_handle = nfa_u64(&q->a[TABLE_HANDLE], &handle);
    struct nf_table *t, *next;
    bool found = false;
    char name[NF_LONG_NAME] = "";
    if (named && nfa_name(&q->a[TABLE_NAME], name) < 0)
        return -EINVAL;
    list_for_each_entry_safe(t, next, &q->set->tables, link) {
        if (!asked(q, t) || (by_handle && t->handle != handle) || (named && strcmp(t->name, name) != 0))
            continue;
        nf_table_free(q->ns, t);
        found = true;
    }
    return !found && must_exist && (named || by_handle) ? -ENOENT : 0;
}

int nft_table_request(struct nft_request *q, unsigned msg) {
    struct nf_table *t;
    if (msg == NFT_MSG_NEWTABLE)
        return new_table(q);
    if (msg == NFT_MSG_DELTABLE || msg == NFT_MSG_DESTROYTABLE)
        return del_table(q, msg == NFT_MSG_DELTABLE);
    if (!nft_is_dump(q)) {
        int rc = nft_table_of(q, &q->a[TABLE_NAME], &t);
        if (rc == 0)
            put_table(q, t);
        return rc;
    }
    if (!q->set)
        return 0;
    list_for_each_entry(t, &q->set->tables, link) {
        if (asked(q, t))
            put_table(q, t);
    }
    return 0;
}

/* ---- chains ---- */

static void put_counter(struct nl_out *o, uint16_t type, const struct nf_counter *c) {
    size_t nest = nfa_nest(o, type);
    nfa_put_u64(o, COUNTER_BYTES, c->bytes);
    nfa_put_u64(o, COUNTER_PACKETS, c->packets);
    nl_nest_end(o, nest);
}

static void put_chain(struct nft_request *q, const struct nf_table *t, const struct nf_chain *c) {
    struct nl_out *o = &q->r->out;
    nft_begin(q, NFT_MSG_NEWCHAIN, t->family);
    nl_put_string(o, CHAIN_TABLE, t->name);
    nfa_put_u64(o, CHAIN_HANDLE, c->handle);
    nl_put_string(o, CHAIN_NAME, c->name);
    if (c->base) {
        size_t hook = nfa_nest(o, CHAIN_HOOK);
        nfa_put_u32(o, HOOK_NUM, c->hook);
        nfa_put_u32(o, HOOK_PRIORITY, (uint32_t)c->priority);
        nl_nest_end(o, hook);
        nfa_put_u32(o, CHAIN_POLICY, (uint32_t)c->policy);
        nl_put_string(o, CHAIN_TYPE, type_names[c->type]);
        if (c->counts_policy)
            put_counter(o, CHAIN_COUNTERS, &c->count);
        nfa_put_u32(o, CHAIN_FLAGS, CHAIN_FLAG_BASE);
    }
    nfa_put_u32(o, CHAIN_USE, c->users + c->rule_count);
    nl_end(o);
}

static int find_chain(struct nf_table *t, const struct nl_attr *name, const struct nl_attr *handle,
                      struct nf_chain **ret) {
    char text[NF_LONG_NAME];
    uint64_t number;
    if (nfa_u64(handle, &number)) {
        *ret = nf_chain_by_handle(t, number);
    } else {
        int rc = nfa_name(name, text);
        if (rc < 0)
            return rc;
        *ret = nf_chain_find(t, text);
    }
    return *ret ? 0 : -ENOENT;
}

static int set_hook(struct nft_request *q, struct nf_chain *c) {
    struct nl_attr h[HOOK_PRIORITY + 1];
    uint32_t num, prio;
    char type[NF_LONG_NAME] = "filter";
    int rc = nl_parse(q->a[CHAIN_HOOK].data, q->a[CHAIN_HOOK].len, h, HOOK_PRIORITY);
    if (rc < 0 || !nfa_u32(&h[HOOK_NUM], &num) || !nfa_u32(&h[HOOK_PRIORITY], &prio))
        return rc < 0 ? rc : -EINVAL;
    if (q->a[CHAIN_TYPE].data)
        rc = nfa_name(&q->a[CHAIN_TYPE], type);
    if (rc < 0)
        return rc;
    if (num >= NF_HOOKS)
        return -EOPNOTSUPP;
    for (c->type = 0; c->type < 3 && strcmp(type_names[c->type], type) != 0;)
        c->type++;
    if (c->type == 3)
        return -ENOENT;
    if ((c->type == NF_CHAIN_NAT && (num == NF_FORWARD || (int)prio <= -200)) ||
        (c->type == NF_CHAIN_ROUTE && num != NF_OUTPUT))
        return -EOPNOTSUPP;
    c->base = true;
    c->hook = (uint8_t)num;
    c->priority = (int)prio;
    return 0;
}

static int set_policy(struct nft_request *q, struct nf_chain *c) {
    uint32_t policy;
    struct nl_attr k[COUNTER_PACKETS + 1];
    if (nfa_u32(&q->a[CHAIN_POLICY], &policy)) {
        if (!c->base)
            return -EOPNOTSUPP;
        if (policy != NF_DROP && policy != NF_ACCEPT)
            return -EINVAL;
        c->policy = (int)policy;
    }
    if (!q->a[CHAIN_COUNTERS].data || !c->base)
        return 0;
    int rc = nl_parse(q->a[CHAIN_COUNTERS].data, q->a[CHAIN_COUNTERS].len, k, COUNTER_PACKETS);
    if (rc < 0 || !nfa_u64(&k[COUNTER_BYTES], &c->count.bytes) ||
        !nfa_u64(&k[COUNTER_PACKETS], &c->count.packets))
        return rc < 0 ? rc : -EINVAL;
    c->counts_policy = true;
    return 0;
}

static int change_chain(struct nft_request *q, struct nf_table *t, struct nf_chain *c) {
    char name[NF_LONG_NAME];
    if (q->r->h.flags & LINUX_NLM_F_EXCL)
        return -EEXIST;
    if (q->a[CHAIN_HANDLE].data && q->a[CHAIN_NAME].data) {
        int rc = nfa_name(&q->a[CHAIN_NAME], name);
        if (rc < 0)
            return rc;
        struct nf_chain *other = nf_chain_find(t, name);
        if (other && other != c)
            return -EEXIST;
        memcpy(c->name, name, sizeof name);
    }
    if (q->a[CHAIN_HOOK].data) { /* may be told again, not changed */
        struct nf_chain want = {0};
        int rc = set_hook(q, &want);
        if (rc < 0)
            return rc;
        if (!c->base || want.hook != c->hook || want.type != c->type || want.priority != c->priority)
            return -EEXIST;
    }
    return set_policy(q, c);
}

static int new_chain(struct nft_request *q, struct nf_table *t) {
    struct nf_chain *c;
    char name[NF_LONG_NAME];
    if (find_chain(t, &q->a[CHAIN_NAME], &q->a[CHAIN_HANDLE], &c) == 0)
        return change_chain(q, t, c);
    int rc = nfa_name(&q->a[CHAIN_NAME], name);
    if (rc == 0 && q->a[CHAIN_HANDLE].data)
        rc = -ENOENT;
    if (rc == 0)
        rc = nf_chain_new(q->ns, t, name, &c);
    if (rc < 0)
        return rc;
    c->handle = ++t->next_handle;
    c->policy = NF_ACCEPT;
    if (q->a[CHAIN_HOOK].data)
        rc = set_hook(q, c);
    return rc < 0 ? rc : set_policy(q, c);
}

static int del_chain(struct nft_request *q, struct nf_table *t, bool must_exist) {
    struct nf_chain *c;
    int rc = find_chain(t, &q->a[CHAIN_NAME], &q->a[CHAIN_HANDLE], &c);
    if (rc < 0)
        return rc == -ENOENT && !must_exist ? 0 : rc;
    /* nft empties a chain before; an emptied one is all that Linux deletes but for its own rules */
    return nf_chain_del(q->ns, t, c);
}

static void dump_chains(struct nft_request *q) {
    struct nf_table *t;
    if (!q->set)
        return;
    list_for_each_entry(t, &q->set->tables, link) {
        for (uint32_t i = 0; asked(q, t) && i < t->chain_cap; i++)
            if (t->chains[i])
                put_chain(q, t, t->chains[i]);
    }
}

int nft_chain_request(struct nft_request *q, unsigned msg) {
    struct nf_table *t;
    struct nf_chain *c;
    if (msg == NFT_MSG_GETCHAIN && nft_is_dump(q)) {
        dump_chains(q);
        return 0;
    }
    int rc = nft_table_of(q, &q->a[CHAIN_TABLE], &t);
    if (rc < 0)
        return rc;
    if (msg == NFT_MSG_NEWCHAIN)
        return new_chain(q, t);
    if (msg != NFT_MSG_GETCHAIN)
        return del_chain(q, t, msg == NFT_MSG_DELCHAIN);
    rc = find_chain(t, &q->a[CHAIN_NAME], &q->a[CHAIN_HANDLE], &c);
    if (rc == 0)
        put_chain(q, t, c);
    return rc;
}

/* ---- rules ---- */

static void put_rule(struct nft_request *q, const struct nf_table *t, const struct nf_chain *c, uint32_t i) {
    struct nl_out *o = &q->r->out;
    const struct nf_rule *r = c->rules[i];
    nft_begin(q, NFT_MSG_NEWRULE, t->family);
    nl_put_string(o, RULE_TABLE, t->name);
    nl_put_string(o, RULE_CHAIN, c->name);
    nfa_put_u64(o, RULE_HANDLE, r->handle);
    if (i > 0)
        nfa_put_u64(o, RULE_POSITION, c->rules[i - 1]->handle);
    size_t list = nfa_nest(o, RULE_EXPRESSIONS);
    nft_put_exprs(o, t, r);
    nl_nest_end(o, list);
    if (r->userdata_len)
        nl_put(o, RULE_USERDATA, r->userdata, r->userdata_len);
    nl_end(o);
}

static int find_rule(const struct nf_chain *c, const struct nl_attr *a, uint32_t *ret) {
    uint64_t handle;
    if (!nfa_u64(a, &handle))
        return -EINVAL;
    for (uint32_t i = 0; i < c->rule_count; i++) {
        if (c->rules[i]->handle == handle) {
            *ret = i;
            return 0;
        }
    }
    return -ENOENT;
}

/* Where a new rule goes; `*ret_replaces`: in whose place. */
static int rule_place(struct nft_request *q, const struct nf_chain *c, uint32_t *ret, bool *ret_replaces) {
    uint16_t flags = q->r->h.flags;
    *ret_replaces = false;
    if (q->a[RULE_HANDLE].data) {
        int rc = find_rule(c, &q->a[RULE_HANDLE], ret);
        if (rc < 0)
            return rc;
        if (flags & LINUX_NLM_F_EXCL)
            return -EEXIST;
        if (!(flags & LINUX_NLM_F_REPLACE))
            return -EOPNOTSUPP;
        *ret_replaces = true;
        return 0;
    }
    if (!(flags & LINUX_NLM_F_CREATE) || flags & LINUX_NLM_F_REPLACE)
        return -EINVAL;
    *ret = flags & LINUX_NLM_F_APPEND ? c->rule_count : 0;
    if (!q->a[RULE_POSITION].data)
        return 0;
    int rc = find_rule(c, &q->a[RULE_POSITION], ret);
    if (rc == 0 && flags & LINUX_NLM_F_APPEND)
        ++*ret;
    return rc;
}

static int new_rule(struct nft_request *q, struct nf_table *t, struct nf_chain *c) {
    struct nf_expr *exprs = NULL;
    struct nf_rule *rule;
    uint32_t at;
    bool replaces;
    int rc = rule_place(q, c, &at, &replaces);
    if (rc == 0 && q->a[RULE_USERDATA].len > NF_USERDATA_MAX)
        rc = -EINVAL;
    if (rc == 0)
        rc = nft_decode_exprs(q, t, c, &q->a[RULE_EXPRESSIONS], &exprs);
    if (rc >= 0)
        rc = nf_rule_new(q->ns, exprs, (uint32_t)rc, q->a[RULE_USERDATA].data,
                         (uint32_t)q->a[RULE_USERDATA].len, &rule);
    heap_free(exprs);
    if (rc < 0)
        return rc;
    rule->handle = ++t->next_handle;
    rc = nf_rule_insert(q->ns, t, c, at, rule);
    if (rc < 0) {
        nf_rule_unref(q->ns, rule);
        return rc;
    }
    if (replaces)
        nf_rule_del(q->ns, t, c, at + 1);
    return 0;
}

static int del_rule(struct nft_request *q, struct nf_table *t, struct nf_chain *c, bool must_exist) {
    uint32_t at;
    if (c && q->a[RULE_HANDLE].data) {
        int rc = find_rule(c, &q->a[RULE_HANDLE], &at);
        if (rc == 0)
            nf_rule_del(q->ns, t, c, at);
        return rc == -ENOENT && !must_exist ? 0 : rc;
    }
    for (uint32_t i = 0; i < t->chain_cap; i++) {
        struct nf_chain *k = t->chains[i];
        while (k && (!c || k == c) && k->rule_count > 0)
            nf_rule_del(q->ns, t, k, k->rule_count - 1);
    }
    return 0;
}

static void dump_rules(struct nft_request *q) {
    struct nf_table *t;
    char table[NF_LONG_NAME] = "", chain[NF_LONG_NAME] = "";
    bool by_table = nfa_name(&q->a[RULE_TABLE], table) == 0,
         by_chain = nfa_name(&q->a[RULE_CHAIN], chain) == 0;
    if (!q->set)
        return;
    list_for_each_entry(t, &q->set->tables, link) {
        if (!asked(q, t) || (by_table && strcmp(t->name, table) != 0))
            continue;
        for (uint32_t i = 0; i < t->chain_cap; i++) {
            struct nf_chain *c = t->chains[i];
            for (uint32_t k = 0; c && (!by_chain || strcmp(c->name, chain) == 0) && k < c->rule_count; k++)
                put_rule(q, t, c, k);
        }
    }
}

int nft_rule_request(struct nft_request *q, unsigned msg) {
    static const struct nl_attr none;
    struct nf_table *t;
    struct nf_chain *c = NULL;
    uint32_t at;
    if (msg == NFT_MSG_GETRULE && nft_is_dump(q)) {
        dump_rules(q);
        return 0;
    }
    int rc = nft_table_of(q, &q->a[RULE_TABLE], &t);
    if (rc == 0 && (q->a[RULE_CHAIN].data || msg == NFT_MSG_NEWRULE || msg == NFT_MSG_GETRULE))
        rc = find_chain(t, &q->a[RULE_CHAIN], &none, &c);
    if (rc < 0)
        return rc;
    if (msg == NFT_MSG_NEWRULE)
        return new_rule(q, t, c);
    if (msg != NFT_MSG_GETRULE)
        return del_rule(q, t, c, msg == NFT_MSG_DELRULE);
    rc = find_rule(c, &q->a[RULE_HANDLE], &at);
    if (rc == 0)
        put_rule(q, t, c, at);
    return rc;
}
