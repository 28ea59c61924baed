/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_legacy.c: blobs of iptables entries, made into chains and rules of the engine, and told
 * back as they came, with the counters of now.
 *
 * A blob is a row of entries. The entry at hook_entry[h] begins a base chain, the one at underflow[h] is its
 * policy; an entry whose target is ERROR names the user chain that follows it, and one ends the blob. A jump
 * is the offset of the first rule of a user chain; the offset of the next entry means "no target". All of it
 * is hostile: each offset must be that of an entry. Source: libiptc's users, iptables(8).
 */
#include "netstack/filter/nf_legacy.h"

#include <errno.h>
#include <stdio.h>

#include "netstack/filter/nf_xt.h"

enum { MAP_NONE = UINT32_MAX, MAP_POLICY = UINT32_MAX - 1, ENTRIES_MAX = 65536 };

struct nf_legacy {
    uint32_t refs;
    uint32_t valid_hooks, hook_entry[NF_HOOKS], underflow[NF_HOOKS], num_entries, size;
    uint8_t *blob;
    struct where *map; /* num_entries: where each one's counters are */
};
NETSTACK_TYPE(t_legacy, struct nf_legacy);

struct where {
    uint32_t offset, chain, rule; /* rule: MAP_* or an index */
};

static const struct known_table {
    const char *name;
    uint32_t hooks;
    int priority[NF_HOOKS];
    uint8_t type;
} known_tables[NF_LEGACY_TABLES] = {
    {"filter", 1 << NF_INPUT | 1 << NF_FORWARD | 1 << NF_OUTPUT, {0}, NF_CHAIN_FILTER},
    {"nat",
     1 << NF_PREROUTING | 1 << NF_INPUT | 1 << NF_OUTPUT | 1 << NF_POSTROUTING,
     {-100, 100, 0, -100, 100},
     NF_CHAIN_NAT},
    {"mangle", 31, {-150, -150, -150, -150, -150}, NF_CHAIN_ROUTE},
    {"raw", 1 << NF_PREROUTING | 1 << NF_OUTPUT, {-300, 0, 0, -300, 0}, NF_CHAIN_FILTER},
    {"security", 1 << NF_INPUT | 1 << NF_FORWARD | 1 << NF_OUTPUT, {0, 50, 50, 50, 0}, NF_CHAIN_FILTER},
};
static const char *const hook_names[NF_HOOKS] = {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};

static const struct known_table *known(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(known_tables); i++)
        if (strncmp(known_tables[i].name, name, XT_TABLE_NAME) == 0)
            return &known_tables[i];
    return NULL;
}

static int nf_family(int family) {
    return family == NS_AF_INET ? NF_FAMILY_IPV4 : NF_FAMILY_IPV6;
}

/* ---- layout of an entry ---- */

struct layout {
    int family;
    uint32_t fixed, tail, counters, size;
};

static struct layout layout_of(int family) {
    bool v4 = family == NS_AF_INET;
    uint32_t fixed = v4 ? sizeof(struct xt_ip4) : sizeof(struct xt_ip6);
    uint32_t counters = (uint32_t)XT_ALIGNED(fixed + sizeof(struct xt_tail));
    return (struct layout){family, fixed, fixed, counters, counters + (uint32_t)sizeof(struct xt_counters)};
}

static struct xt_tail tail_of(const struct layout *l, const uint8_t *e) {
    struct xt_tail t;
    memcpy(&t, e + l->tail, sizeof(t));
    return t;
}

static struct xt_header header_at(const uint8_t *p) {
    struct xt_header h;
    memcpy(&h, p, sizeof(h));
    h.name[XT_NAME - 1] = '\0';
    return h;
}

static bool is_unconditional(const struct layout *l, const uint8_t *e) {
    if (tail_of(l, e).target_offset != l->size)
        return false;
    for (uint32_t i = 0; i < l->fixed; i++)
        if (e[i])
            return false;
    return true;
}

void nf_legacy_ref(struct nf_legacy *l) {
    l->refs++;
}

void nf_legacy_unref(struct netns *ns, struct nf_legacy *l) {
    struct nsmem *m = &ns->st->mem;
    if (!l || --l->refs > 0)
        return;
    nsmem_free_bytes(m, l->blob, l->size);
    nsmem_free_bytes(m, l->map, l->num_entries * sizeof(*l->map));
    nsmem_free(m, &t_legacy, l);
}

/* ---- reading a blob ---- */

struct reader {
    struct netns *ns;
    struct layout l;
    const struct known_table *kind;
    struct nf_legacy *leg;
    struct nf_table *t;
    struct nf_chain *current;
    int hook; /* of `current`; -1: a user chain */
};

/* Finds all entries; each must lie within the blob, its target within it. */
static int find_entries(struct reader *r) {
    struct nf_legacy *leg = r->leg;
    uint32_t at = 0, n = 0;
    while (at < leg->size) {
        if (n >= leg->num_entries || at % 8 != 0 || leg->size - at < r->l.size + sizeof(struct xt_header))
            return -EINVAL;
        struct xt_tail t = tail_of(&r->l, leg->blob + at);
        if (t.next_offset < r->l.size + sizeof(struct xt_header) || t.next_offset > leg->size - at ||
            t.target_offset < r->l.size || t.target_offset % 8 != 0 ||
            t.target_offset + sizeof(struct xt_header) > t.next_offset)
            return -EINVAL;
        struct xt_header h = header_at(leg->blob + at + t.target_offset);
        if (h.size < sizeof(h) || t.target_offset + (uint32_t)h.size > t.next_offset)
            return -EINVAL;
        leg->map[n++] = (struct where){.offset = at, .chain = MAP_NONE, .rule = MAP_NONE};
        at += t.next_offset;
    }
    return n == leg->num_entries ? 0 : -EINVAL;
}

static uint32_t entry_at(const struct nf_legacy *leg, uint32_t offset) {
    uint32_t lo = 0, hi = leg->num_entries;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (leg->map[mid].offset < offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < leg->num_entries && leg->map[lo].offset == offset ? lo : MAP_NONE;
}

static int hook_beginning(const struct nf_legacy *leg, uint32_t offset) {
    for (int h = 0; h < NF_HOOKS; h++)
        if (leg->valid_hooks & 1u << h && leg->hook_entry[h] == offset)
            return h;
    return -1;
}

static int hook_ending(const struct nf_legacy *leg, uint32_t offset) {
    for (int h = 0; h < NF_HOOKS; h++)
        if (leg->valid_hooks & 1u << h && leg->underflow[h] == offset)
            return h;
    return -1;
}

/* The name in an ERROR target, or NULL for another target. */
static const char *error_name(struct reader *r, const uint8_t *e, char name[31]) {
    struct xt_tail t = tail_of(&r->l, e);
    struct xt_header h = header_at(e + t.target_offset);
    if (strcmp(h.name, "ERROR") != 0 || h.size < sizeof(h) + sizeof(struct xt_error))
        return NULL;
    memcpy(name, e + t.target_offset + sizeof(h), 30);
    name[30] = '\0';
    return name;
}

/* Makes the chains, and tells each entry which one it is in. */
static int make_chains(struct reader *r) {
    struct nf_legacy *leg = r->leg;
    struct nf_chain *c = NULL;
    for (uint32_t i = 0; i < leg->num_entries; i++) {
        const uint8_t *e = leg->blob + leg->map[i].offset;
        char name[31];
        int hook = hook_beginning(leg, leg->map[i].offset), rc = 0;
        if (hook >= 0) {
            rc = nf_chain_new(r->ns, r->t, hook_names[hook], &c);
            if (rc == 0) {
                c->base = true;
                c->type = r->kind->type;
                c->hook = (uint8_t)hook;
                c->priority = r->kind->priority[hook];
            }
        } else if (error_name(r, e, name)) {
            c = NULL;
            if (i + 1 < leg->num_entries)
                rc = nf_chain_find(r->t, name) ? -EINVAL : nf_chain_new(r->ns, r->t, name, &c);
            if (rc < 0)
                return rc;
            continue; /* the entry itself is no rule */
        }
        if (rc < 0 || !c)
            return rc < 0 ? rc : -EINVAL;
        leg->map[i].chain = c->id;
        if (hook_ending(leg, leg->map[i].offset) >= 0)
            c = NULL;
    }
    return 0;
}

/* The verdict of a standard target. */
static int standard(struct reader *r, uint32_t i, int32_t v, struct nf_verdict *ret) {
    const struct nf_legacy *leg = r->leg;
    *ret = (struct nf_verdict){.code = NF_CONTINUE};
    if (v == XT_V_RETURN) {
        ret->code = NF_RETURN;
        return 0;
    }
    if (v < 0) {
        ret->code = -v - 1;
        return ret->code == NF_DROP || ret->code == NF_ACCEPT ? 0 : -EINVAL;
    }
    uint32_t to = entry_at(leg, (uint32_t)v);
    if (to == MAP_NONE || to == 0)
        return -EINVAL;
    if (to == i + 1 && leg->map[to].chain == leg->map[i].chain)
        return 0; /* no target at all */
    if (leg->map[to].chain == MAP_NONE || leg->map[to - 1].chain != MAP_NONE)
        return -EINVAL; /* not the beginning of a user chain */
    const uint8_t *e = leg->blob + leg->map[i].offset;
    uint8_t flags = r->l.family == NS_AF_INET ? ((const struct xt_ip4 *)e)->flags & XT4_GOTO
                                              : ((const struct xt_ip6 *)e)->flags & XT6_GOTO;
    *ret = (struct nf_verdict){.code = flags ? NF_GOTO : NF_JUMP, .chain = leg->map[to].chain};
    return 0;
}

static int add_extension(struct reader *r, const struct nf_xt_use *use, const uint8_t *p, bool target,
                         struct nf_expr *ret) {
    struct xt_header h = header_at(p);
    int best, rc;
    const struct nf_xt_ext *x = nf_xt_find(h.name, h.revision, r->l.family, target, &best);
    if (!x)
        return -ENOENT;
    uint32_t len = h.size - (uint32_t)sizeof(h);
    rc = nf_xt_check(x, use, p + sizeof(h), len);
    *ret = (struct nf_expr){.kind = target ? NFE_TARGET : NFE_MATCH,
                            .xt = x,
                            .ext = (uint8_t *)(uintptr_t)(p + sizeof(h)), /* copied by nf_rule_new() */
                            .ext_len = len};
    return rc;
}

static struct nf_xt_use use_of(struct reader *r, const struct nf_chain *c, const uint8_t *e) {
    struct nf_xt_use u = {
        .family = r->l.family, .table = r->kind->name, .hooks = c->base ? 1u << c->hook : 0};
    if (r->l.family == NS_AF_INET) {
        u.proto = (uint8_t)((const struct xt_ip4 *)e)->proto;
        u.proto_inverted = ((const struct xt_ip4 *)e)->invflags & XT_INV_PROTO;
    } else if (((const struct xt_ip6 *)e)->flags & XT6_PROTO) {
        u.proto = (uint8_t)((const struct xt_ip6 *)e)->proto;
        u.proto_inverted = ((const struct xt_ip6 *)e)->invflags & XT_INV_PROTO;
    }
    return u;
}

/* All expressions of an entry. Their number, or -errno. */
static int decode(struct reader *r, uint32_t i, const struct nf_chain *c, struct nf_expr *ex) {
    const uint8_t *e = r->leg->blob + r->leg->map[i].offset;
    struct xt_tail t = tail_of(&r->l, e);
    struct nf_xt_use use = use_of(r, c, e);
    int n = 0, rc = 0;
    ex[n++] = (struct nf_expr){.kind = NFE_IP_MATCH, .ext = (uint8_t *)(uintptr_t)e, .ext_len = r->l.fixed};
    for (uint32_t at = r->l.size; at < t.target_offset && rc == 0;) {
        struct xt_header h;
        if (t.target_offset - at < sizeof(h) || n >= NF_EXPRS_MAX - 1)
            return -EINVAL;
        h = header_at(e + at);
        if (h.size < sizeof(h) || h.size % 8 != 0 || h.size > t.target_offset - at)
            return -EINVAL;
        rc = add_extension(r, &use, e + at, /* target= */ false, &ex[n++]);
        at += h.size;
    }
    struct xt_header h = header_at(e + t.target_offset);
    if (rc < 0)
        return rc;
    if (h.name[0] != '\0') {
        rc = add_extension(r, &use, e + t.target_offset, /* target= */ true, &ex[n++]);
    } else {
        struct xt_standard s;
        if (h.size < sizeof(h) + sizeof(s))
            return -EINVAL;
        memcpy(&s, e + t.target_offset + sizeof(h), sizeof(s));
        ex[n] = (struct nf_expr){.kind = NFE_VERDICT};
        rc = standard(r, i, s.verdict, &ex[n++].verdict);
    }
    return rc < 0 ? rc : n;
}

static int make_policy(struct reader *r, uint32_t i, struct nf_chain *c, const struct nf_expr *last) {
    const uint8_t *e = r->leg->blob + r->leg->map[i].offset;
    bool verdict =
        last->kind == NFE_VERDICT && (last->verdict.code == NF_DROP || last->verdict.code == NF_ACCEPT);
    if (!is_unconditional(&r->l, e) || !verdict)
        return -EINVAL;
    c->policy = last->verdict.code;
    r->leg->map[i].rule = MAP_POLICY;
    return 0;
}

static int make_rules(struct reader *r) {
    struct nf_legacy *leg = r->leg;
    struct nsmem *m = &r->ns->st->mem;
    struct nf_expr *ex = nsmem_bytes(m, NF_EXPRS_MAX * sizeof(*ex));
    int rc = ex ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < leg->num_entries && rc == 0; i++) {
        if (leg->map[i].chain == MAP_NONE)
            continue;
        struct nf_chain *c = r->t->chains[leg->map[i].chain];
        int n = decode(r, i, c, ex);
        if (n < 0) {
            rc = n;
            break;
        }
        if (hook_ending(leg, leg->map[i].offset) >= 0) {
            rc = make_policy(r, i, c, &ex[n - 1]);
            continue;
        }
        struct nf_rule *rule;
        rc = nf_rule_new(r->ns, ex, (uint32_t)n, NULL, 0, &rule);
        if (rc == 0) {
            leg->map[i].rule = c->rule_count;
            rc = nf_rule_insert(r->ns, r->t, c, c->rule_count, rule);
            if (rc < 0)
                nf_rule_unref(r->ns, rule);
        }
    }
    nsmem_free_bytes(m, ex, NF_EXPRS_MAX * sizeof(*ex));
    return rc;
}

/* Each hook's chain begins and ends at entries, in this order. */
static int check_hooks(struct reader *r) {
    const struct nf_legacy *leg = r->leg;
    for (int h = 0; h < NF_HOOKS; h++) {
        if (!(leg->valid_hooks & 1u << h))
            continue;
        uint32_t from = entry_at(leg, leg->hook_entry[h]), to = entry_at(leg, leg->underflow[h]);
        if (from == MAP_NONE || to == MAP_NONE || from > to || leg->map[from].chain != leg->map[to].chain ||
            leg->map[from].chain == MAP_NONE)
            return -EINVAL;
    }
    return 0;
}

static int legacy_new(struct netns *ns, const struct xt_replace *x, const uint8_t *entries,
                      struct nf_legacy **ret) {
    struct nsmem *m = &ns->st->mem;
    struct nf_legacy *leg = nsmem_alloc(m, &t_legacy);
    if (!leg)
        return -ENOMEM;
    leg->refs = 1;
    leg->valid_hooks = x->valid_hooks;
    memcpy(leg->hook_entry, x->hook_entry, sizeof(leg->hook_entry));
    memcpy(leg->underflow, x->underflow, sizeof(leg->underflow));
    leg->blob = nsmem_bytes(m, x->size);
    leg->size = leg->blob ? x->size : 0;
    leg->map = nsmem_bytes(m, x->num_entries * sizeof(*leg->map));
    leg->num_entries = leg->map ? x->num_entries : 0;
    if (!leg->blob || !leg->map) {
        nf_legacy_unref(ns, leg);
        return -ENOMEM;
    }
    memcpy(leg->blob, entries, x->size);
    *ret = leg;
    return 0;
}

/* Puts a table made of a blob into `set`, in place of the one of its name. */
static int put_table(struct netns *ns, int family, struct nf_ruleset *set, const struct xt_replace *x,
                     const uint8_t *entries) {
    struct reader r = {.ns = ns, .l = layout_of(family), .kind = known(x->name)};
    struct nf_table *old = nf_table_find_legacy(set, nf_family(family), r.kind->name);
    if (x->size == 0 || x->size > NF_LEGACY_BLOB_MAX || x->num_entries == 0 || x->num_entries > ENTRIES_MAX)
        return x->size > NF_LEGACY_BLOB_MAX || x->num_entries > ENTRIES_MAX ? -ENOMEM : -EINVAL;
    if (x->valid_hooks != r.kind->hooks)
        return -EINVAL;
    int rc = nf_table_new(ns, set, nf_family(family), r.kind->name, &r.t);
    if (rc == 0)
        rc = legacy_new(ns, x, entries, &r.leg);
    if (rc < 0)
        return rc;
    r.t->legacy = r.leg;
    rc = find_entries(&r);
    if (rc == 0)
        rc = make_chains(&r);
    if (rc == 0)
        rc = check_hooks(&r);
    if (rc == 0)
        rc = make_rules(&r);
    if (rc == 0 && old)
        nf_table_free(ns, old);
    return rc;
}

/* ---- an empty table, as a new namespace has it ---- */

static uint32_t put_standard(const struct layout *l, uint8_t *at, int32_t verdict) {
    uint32_t size = l->size + (uint32_t)sizeof(struct xt_header) + (uint32_t)sizeof(struct xt_standard);
    struct xt_tail t = {.target_offset = (uint16_t)l->size, .next_offset = (uint16_t)size};
    struct xt_header h = {.size = sizeof(struct xt_header) + sizeof(struct xt_standard)};
    struct xt_standard s = {.verdict = verdict};
    memset(at, 0, size);
    memcpy(at + l->tail, &t, sizeof(t));
    memcpy(at + l->size, &h, sizeof(h));
    memcpy(at + l->size + sizeof(h), &s, sizeof(s));
    return size;
}

static uint32_t put_error(const struct layout *l, uint8_t *at) {
    uint32_t body = (uint32_t)(sizeof(struct xt_header) + XT_ALIGNED(sizeof(struct xt_error)));
    struct xt_tail t = {.target_offset = (uint16_t)l->size, .next_offset = (uint16_t)(l->size + body)};
    struct xt_header h = {.size = (uint16_t)body, .name = "ERROR"};
    memset(at, 0, l->size + body);
    memcpy(at + l->tail, &t, sizeof(t));
    memcpy(at + l->size, &h, sizeof(h));
    memcpy(at + l->size + sizeof(h), "ERROR", 5);
    return l->size + body;
}

static int make_empty(struct netns *ns, int family, const struct known_table *k) {
    uint8_t blob[6 * 256];
    struct layout l = layout_of(family);
    struct xt_replace x = {.valid_hooks = k->hooks};
    struct nf_ruleset *set;
    snprintf(x.name, sizeof(x.name), "%s", k->name);
    for (int h = 0; h < NF_HOOKS; h++) {
        if (!(k->hooks & 1u << h))
            continue;
        x.hook_entry[h] = x.underflow[h] = x.size;
        x.size += put_standard(&l, blob + x.size, -NF_ACCEPT - 1);
        x.num_entries++;
    }
    x.size += put_error(&l, blob + x.size);
    x.num_entries++;
    int rc = nf_begin(ns, &set);
    if (rc < 0)
        return rc;
    rc = put_table(ns, family, set, &x, blob);
    if (rc == 0)
        rc = nf_commit(ns, set);
    if (rc < 0)
        nf_abort(ns, set);
    return rc;
}

/* The table, made if it never was. */
static int get_table(struct netns *ns, int family, const char *name, struct nf_table **ret) {
    const struct known_table *k = known(name);
    if (!k)
        return -ENOENT;
    *ret = nf_table_find_legacy(nf_current(ns), nf_family(family), k->name);
    if (*ret)
        return 0;
    int rc = make_empty(ns, family, k);
    *ret = nf_table_find_legacy(nf_current(ns), nf_family(family), k->name);
    return rc;
}

/* ---- the calls ---- */

static struct nf_counter *counter_of(struct nf_table *t, uint32_t i) {
    const struct where *w = &t->legacy->map[i];
    if (w->chain == MAP_NONE)
        return NULL;
    struct nf_chain *c = t->chains[w->chain];
    return w->rule == MAP_POLICY ? &c->count : &c->rules[w->rule]->count;
}

static void copy_counters(struct nf_table *t, uint32_t i, struct xt_counters *ret) {
    const struct nf_counter *c = counter_of(t, i);
    *ret = c ? (struct xt_counters){c->packets, c->bytes} : (struct xt_counters){0};
}

int nf_legacy_info(struct netns *ns, int family, const char *name, struct xt_getinfo *ret) {
    struct nf_table *t;
    nf_lock(ns);
    int rc = get_table(ns, family, name, &t);
    if (rc == 0) {
        const struct nf_legacy *leg = t->legacy;
        *ret = (struct xt_getinfo){
            .valid_hooks = leg->valid_hooks, .num_entries = leg->num_entries, .size = leg->size};
        snprintf(ret->name, sizeof(ret->name), "%.31s", t->name);
        memcpy(ret->hook_entry, leg->hook_entry, sizeof(ret->hook_entry));
        memcpy(ret->underflow, leg->underflow, sizeof(ret->underflow));
    }
    nf_unlock(ns);
    return rc;
}

int nf_legacy_entries(struct netns *ns, int family, const char *name, uint32_t size, uint8_t *out) {
    struct nf_table *t;
    struct layout l = layout_of(family);
    nf_lock(ns);
    int rc = get_table(ns, family, name, &t);
    if (rc == 0 && t->legacy->size != size)
        rc = -EAGAIN;
    if (rc == 0) {
        memcpy(out, t->legacy->blob, size);
        for (uint32_t i = 0; i < t->legacy->num_entries; i++) {
            struct xt_counters c;
            copy_counters(t, i, &c);
            memcpy(out + t->legacy->map[i].offset + l.counters, &c, sizeof(c));
        }
    }
    nf_unlock(ns);
    return rc;
}

int nf_legacy_replace(struct netns *ns, int family, const struct xt_replace *r, const uint8_t *entries,
                      struct xt_counters *counters) {
    struct nf_table *t;
    struct nf_ruleset *set;
    nf_lock(ns);
    int rc = get_table(ns, family, r->name, &t);
    if (rc == 0)
        rc = nf_begin(ns, &set);
    if (rc < 0) {
        nf_unlock(ns);
        return rc;
    }
    rc = put_table(ns, family, set, r, entries);
    if (rc == 0 && t->legacy->num_entries != r->num_counters)
        rc = -EAGAIN;
    for (uint32_t i = 0; rc == 0 && i < r->num_counters; i++)
        copy_counters(t, i, &counters[i]);
    if (rc == 0)
        rc = nf_commit(ns, set);
    if (rc < 0)
        nf_abort(ns, set);
    nf_unlock(ns);
    return rc == -EMLINK ? -ELOOP : rc;
}

int nf_legacy_add_counters(struct netns *ns, int family, const char *name, uint32_t count,
                           const struct xt_counters *counters) {
    struct nf_table *t;
    nf_lock(ns);
    int rc = get_table(ns, family, name, &t);
    if (rc == 0 && t->legacy->num_entries != count)
        rc = -EINVAL;
    for (uint32_t i = 0; rc == 0 && i < count; i++) {
        struct nf_counter *c = counter_of(t, i);
        if (c) {
            c->packets += counters[i].packets;
            c->bytes += counters[i].bytes;
        }
    }
    nf_unlock(ns);
    return rc;
}

int nf_legacy_revision(int family, const char *name, uint8_t revision, bool target) {
    int best;
    /* verdicts and the ends of chains are known to every front end */
    if (target && (name[0] == '\0' || strcmp(name, "ERROR") == 0))
        return revision == 0 ? 0 : -EPROTONOSUPPORT;
    if (nf_xt_find(name, revision, family, target, &best))
        return best;
    return best < 0 ? -ENOENT : -EPROTONOSUPPORT;
}

const char *nf_legacy_table_name(struct netns *ns, int family, unsigned i) {
    const char *name = NULL;
    nf_lock(ns);
    for (size_t k = 0; k < ARRAY_SIZE(known_tables) && !name; k++)
        if (nf_table_find_legacy(nf_current(ns), nf_family(family), known_tables[k].name) && i-- == 0)
            name = known_tables[k].name;
    nf_unlock(ns);
    return name;
}
