/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_rules.c: rulesets: copying, changing, and putting them in force.
 */
#include <errno.h>
#include <stdio.h>

#include "netstack/filter/nf_internal.h"

NETSTACK_TYPE(t_nf, struct nf);
NETSTACK_TYPE(t_ruleset, struct nf_ruleset);
NETSTACK_TYPE(t_table, struct nf_table);
NETSTACK_TYPE(t_chain, struct nf_chain);
NETSTACK_TYPE(t_rule, struct nf_rule);

enum { CONN_MAX_DEFAULT = 65536 };

/* The annotations cannot name a member of what callers do not know. */
NO_TSA void nf_lock(struct netns *ns) {
    stack_enter(ns->st);
}

NO_TSA void nf_unlock(struct netns *ns) {
    stack_leave(ns->st);
}

static struct nsmem *mem_of(struct netns *ns) {
    return &ns->st->mem;
}

/* Arrays of pointers grow by doubling. -ENOMEM leaves it as it was. */
static int grow(struct netns *ns, void *array_at, uint32_t *cap, uint32_t want) {
    void **old, **bigger;
    memcpy(&old, array_at, sizeof(old));
    if (want <= *cap)
        return 0;
    uint32_t n = MAX(*cap * 2, MAX(want, 8u));
    bigger = nsmem_bytes(mem_of(ns), n * sizeof(*bigger));
    if (!bigger)
        return -ENOMEM;
    memset(bigger, 0, n * sizeof(*bigger));
    if (old)
        memcpy(bigger, old, *cap * sizeof(*old));
    nsmem_free_bytes(mem_of(ns), old, *cap * sizeof(*old));
    memcpy(array_at, &bigger, sizeof(bigger));
    *cap = n;
    return 0;
}

/* ---- rules ---- */

void nf_rule_unref(struct netns *ns, struct nf_rule *r) {
    struct nsmem *m = mem_of(ns);
    if (!r || --r->refs > 0)
        return;
    for (uint32_t i = 0; i < r->expr_count; i++)
        nsmem_free_bytes(m, r->exprs[i].ext, r->exprs[i].ext_len);
    nsmem_free_bytes(m, r->exprs, r->expr_count * sizeof(*r->exprs));
    nsmem_free_bytes(m, r->userdata, r->userdata_len);
    nsmem_free(m, &t_rule, r);
}

static int copy_bytes(struct nsmem *m, uint8_t **at, const void *from, uint32_t len) {
    *at = len ? nsmem_bytes(m, len) : NULL;
    if (len && !*at)
        return -ENOMEM;
    if (len)
        memcpy(*at, from, len);
    return 0;
}

int nf_rule_new(struct netns *ns, const struct nf_expr *exprs, uint32_t count, const void *userdata,
                uint32_t userdata_len, struct nf_rule **ret) {
    struct nsmem *m = mem_of(ns);
    struct nf_rule *r = nsmem_alloc(m, &t_rule);
    if (!r)
        return -ENOMEM;
    r->refs = 1;
    int rc = copy_bytes(m, &r->userdata, userdata, userdata_len);
    r->userdata_len = rc == 0 ? userdata_len : 0;
    if (rc == 0 && count > 0) {
        r->exprs = nsmem_bytes(m, count * sizeof(*exprs));
        rc = r->exprs ? 0 : -ENOMEM;
    }
    if (rc == 0 && count > 0) {
        memcpy(r->exprs, exprs, count * sizeof(*exprs));
        r->expr_count = count;
        for (uint32_t i = 0; i < count; i++)
            r->exprs[i].ext = NULL;
        for (uint32_t i = 0; i < count && rc == 0; i++)
            rc = copy_bytes(m, &r->exprs[i].ext, exprs[i].ext, exprs[i].ext_len);
        if (rc < 0)
            for (uint32_t i = 0; i < count; i++)
                r->exprs[i].ext_len = r->exprs[i].ext ? r->exprs[i].ext_len : 0;
    }
    if (rc < 0) {
        nf_rule_unref(ns, r);
        return rc;
    }
    *ret = r;
    return 0;
}

/* Counts the chains that a rule jumps to, up or down. */
static void count_uses(struct nf_table *t, const struct nf_rule *r, uint32_t by) {
    for (uint32_t i = 0; i < r->expr_count; i++) {
        const struct nf_expr *e = &r->exprs[i];
        bool jump = e->kind == NFE_VERDICT && (e->verdict.code == NF_JUMP || e->verdict.code == NF_GOTO);
        if (jump)
            t->chains[e->verdict.chain]->users += by;
    }
}

int nf_rule_insert(struct netns *ns, struct nf_table *t, struct nf_chain *c, uint32_t at, struct nf_rule *r) {
    ASSERT(at <= c->rule_count);
    if (c->rule_count >= NF_RULES_MAX)
        return -ENFILE;
    if (grow(ns, &c->rules, &c->rule_cap, c->rule_count + 1) < 0)
        return -ENOMEM;
    memmove(c->rules + at + 1, c->rules + at, (c->rule_count - at) * sizeof(*c->rules));
    c->rules[at] = r;
    c->rule_count++;
    count_uses(t, r, 1);
    return 0;
}

void nf_rule_del(struct netns *ns, struct nf_table *t, struct nf_chain *c, uint32_t at) {
    ASSERT(at < c->rule_count);
    struct nf_rule *r = c->rules[at];
    count_uses(t, r, UINT32_MAX);
    memmove(c->rules + at, c->rules + at + 1, (c->rule_count - at - 1) * sizeof(*c->rules));
    c->rule_count--;
    nf_rule_unref(ns, r);
}

/* ---- chains ---- */

struct nf_chain *nf_chain_find(struct nf_table *t, const char *name) {
    for (uint32_t i = 0; i < t->chain_cap; i++)
        if (t->chains[i] && strcmp(t->chains[i]->name, name) == 0)
            return t->chains[i];
    return NULL;
}

struct nf_chain *nf_chain_by_handle(struct nf_table *t, uint64_t handle) {
    for (uint32_t i = 0; i < t->chain_cap; i++)
        if (t->chains[i] && t->chains[i]->handle == handle)
            return t->chains[i];
    return NULL;
}

/* A hole of an array of pointers, or its end, grown by one. */
static int find_hole(struct netns *ns, void *array_at, uint32_t *cap, uint32_t max, uint32_t *ret) {
    void **a;
    memcpy(&a, array_at, sizeof(a));
    uint32_t i = 0;
    while (i < *cap && a[i])
        i++;
    if (i >= max)
        return -ENFILE;
    *ret = i;
    return grow(ns, array_at, cap, i + 1);
}

int nf_chain_new(struct netns *ns, struct nf_table *t, const char *name, struct nf_chain **ret) {
    uint32_t at;
    int rc = find_hole(ns, &t->chains, &t->chain_cap, NF_CHAINS_MAX, &at);
    struct nf_chain *c = rc == 0 ? nsmem_alloc(mem_of(ns), &t_chain) : NULL;
    if (!c)
        return rc < 0 ? rc : -ENOMEM;
    snprintf(c->name, sizeof(c->name), "%s", name);
    c->id = at;
    c->policy = NF_ACCEPT;
    t->chains[at] = c;
    *ret = c;
    return 0;
}

static void chain_free(struct netns *ns, struct nf_chain *c) {
    for (uint32_t i = 0; i < c->rule_count; i++)
        nf_rule_unref(ns, c->rules[i]);
    nsmem_free_bytes(mem_of(ns), c->rules, c->rule_cap * sizeof(*c->rules));
    nsmem_free(mem_of(ns), &t_chain, c);
}

int nf_chain_del(struct netns *ns, struct nf_table *t, struct nf_chain *c) {
    if (c->users > 0)
        return -EBUSY;
    while (c->rule_count > 0)
        nf_rule_del(ns, t, c, c->rule_count - 1);
    t->chains[c->id] = NULL;
    chain_free(ns, c);
    return 0;
}

static struct nf_chain *chain_copy(struct netns *ns, const struct nf_chain *c) {
    struct nf_chain *n = nsmem_alloc(mem_of(ns), &t_chain);
    if (!n)
        return NULL;
    *n = *c;
    n->rules = NULL;
    n->rule_cap = n->rule_count = 0;
    if (grow(ns, &n->rules, &n->rule_cap, c->rule_count) < 0) {
        chain_free(ns, n);
        return NULL;
    }
    n->rule_count = c->rule_count;
    for (uint32_t i = 0; i < c->rule_count; i++) {
        n->rules[i] = c->rules[i];
        n->rules[i]->refs++;
    }
    return n;
}

/* ---- tables ---- */

static struct nf_table *table_find(struct nf_ruleset *r, int family, const char *name, bool legacy) {
    struct nf_table *t;
    if (!r)
        return NULL;
    list_for_each_entry(t, &r->tables, link) {
        if (t->family == family && (t->legacy != NULL) == legacy && strcmp(t->name, name) == 0)
            return t;
    }
    return NULL;
}

struct nf_table *nf_table_find(struct nf_ruleset *r, int family, const char *name) {
    return table_find(r, family, name, /* legacy= */ false);
}

struct nf_table *nf_table_find_legacy(struct nf_ruleset *r, int family, const char *name) {
    return table_find(r, family, name, /* legacy= */ true);
}

int nf_table_new(struct netns *ns, struct nf_ruleset *r, int family, const char *name,
                 struct nf_table **ret) {
    struct nf_table *t;
    uint32_t n = 0;
    list_for_each_entry(t, &r->tables, link) {
        n++;
    }
    if (n >= NF_TABLES_MAX)
        return -ENFILE;
    t = nsmem_alloc(mem_of(ns), &t_table);
    if (!t)
        return -ENOMEM;
    t->family = (uint8_t)family;
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->handle = ++r->next_handle;
    list_add_tail(&r->tables, &t->link);
    *ret = t;
    return 0;
}

void nf_table_free(struct netns *ns, struct nf_table *t) {
    struct nsmem *m = mem_of(ns);
    for (uint32_t i = 0; i < t->chain_cap; i++)
        if (t->chains[i])
            chain_free(ns, t->chains[i]);
    for (uint32_t i = 0; i < t->set_cap; i++)
        nf_set_unref(ns, t->sets[i]);
    nsmem_free_bytes(m, t->chains, t->chain_cap * sizeof(*t->chains));
    nsmem_free_bytes(m, t->sets, t->set_cap * sizeof(*t->sets));
    nf_legacy_unref(ns, t->legacy);
    list_del(&t->link);
    nsmem_free(m, &t_table, t);
}

static int table_copy(struct netns *ns, struct nf_ruleset *to, const struct nf_table *t) {
    struct nf_table *n = nsmem_alloc(mem_of(ns), &t_table);
    if (!n)
        return -ENOMEM;
    *n = *t;
    n->chains = NULL;
    n->sets = NULL;
    n->chain_cap = n->set_cap = 0;
    list_add_tail(&to->tables, &n->link);
    if (n->legacy)
        nf_legacy_ref(n->legacy);
    if (grow(ns, &n->chains, &n->chain_cap, t->chain_cap) < 0 ||
        grow(ns, &n->sets, &n->set_cap, t->set_cap) < 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->set_cap; i++) {
        n->sets[i] = t->sets[i];
        if (n->sets[i])
            n->sets[i]->refs++;
    }
    for (uint32_t i = 0; i < t->chain_cap; i++) {
        if (t->chains[i] && !(n->chains[i] = chain_copy(ns, t->chains[i])))
            return -ENOMEM;
    }
    return 0;
}

/* ---- sets of a table (what is in them: nf_set.c) ---- */

int nf_set_place(struct netns *ns, struct nf_table *t, struct nf_set *s) {
    uint32_t at;
    int rc = find_hole(ns, &t->sets, &t->set_cap, NF_SETS_MAX, &at);
    if (rc == 0)
        t->sets[at] = s;
    return rc;
}

/* ---- batches ---- */

static void ruleset_free(struct netns *ns, struct nf_ruleset *r) {
    while (r && !list_empty(&r->tables))
        nf_table_free(ns, list_first_entry(&r->tables, struct nf_table, link));
    nsmem_free(mem_of(ns), &t_ruleset, r);
}

int nf_begin(struct netns *ns, struct nf_ruleset **ret) {
    struct nf_ruleset *now = nf_current(ns), *r = nsmem_alloc(mem_of(ns), &t_ruleset);
    struct nf_table *t;
    if (!r)
        return -ENOMEM;
    list_init(&r->tables);
    if (now) {
        r->next_handle = now->next_handle;
        list_for_each_entry(t, &now->tables, link) {
            if (table_copy(ns, r, t) < 0) {
                ruleset_free(ns, r);
                return -ENOMEM;
            }
        }
    }
    *ret = r;
    return 0;
}

void nf_abort(struct netns *ns, struct nf_ruleset *copy) {
    ruleset_free(ns, copy);
}

struct nf_ruleset *nf_current(struct netns *ns) {
    return ns->nf_state ? ns->nf_state->rules : NULL;
}

uint32_t nf_generation(struct netns *ns) {
    return ns->nf_state ? ns->nf_state->generation : 1;
}

/* How deep jumps from a chain go; -EMLINK when deeper than the limit, as every loop is. */
static int chain_depth(const struct nf_table *t, const struct nf_chain *c, uint8_t *known, int depth) {
    int deepest = 0;
    if (depth > NF_JUMP_DEPTH)
        return -EMLINK;
    if (known[c->id])
        return known[c->id] - 1 + depth > NF_JUMP_DEPTH ? -EMLINK : known[c->id] - 1;
    for (uint32_t i = 0; i < c->rule_count; i++) {
        const struct nf_rule *r = c->rules[i];
        for (uint32_t k = 0; k < r->expr_count; k++) {
            const struct nf_expr *e = &r->exprs[k];
            const struct nf_set *s = e->kind == NFE_LOOKUP && e->has_dreg ? t->sets[e->set] : NULL;
            uint32_t targets = e->kind == NFE_VERDICT ? 1 : s ? s->elem_count : 0;
            for (uint32_t n = 0; n < targets; n++) {
                const struct nf_verdict *v = s ? &s->elems[n]->verdict : &e->verdict;
                if (v->code != NF_JUMP && v->code != NF_GOTO)
                    continue;
                if (v->chain >= t->chain_cap || !t->chains[v->chain])
                    return -EBUSY; /* an element of a map still goes there */
                int below = chain_depth(t, t->chains[v->chain], known, depth + 1);
                if (below < 0)
                    return below;
                deepest = MAX(deepest, below + 1);
            }
        }
    }
    known[c->id] = (uint8_t)(deepest + 1);
    return deepest;
}

static int check_depths(struct netns *ns, struct nf_ruleset *r) {
    struct nf_table *t;
    int rc = 0;
    list_for_each_entry(t, &r->tables, link) {
        uint8_t *known = t->chain_cap ? nsmem_bytes(mem_of(ns), t->chain_cap) : NULL;
        if (t->chain_cap && !known)
            return -ENOMEM;
        if (known)
            memset(known, 0, t->chain_cap);
        for (uint32_t i = 0; i < t->chain_cap && rc >= 0; i++)
            if (t->chains[i] && t->chains[i]->base) /* what no packet reaches may loop, as on Linux */
                rc = chain_depth(t, t->chains[i], known, 0);
        nsmem_free_bytes(mem_of(ns), known, t->chain_cap);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool wants_tracking(const struct nf_table *t, const struct nf_chain *c) {
    if (c->base && c->type == NF_CHAIN_NAT && !(t->legacy && c->rule_count == 0))
        return true;
    for (uint32_t i = 0; i < c->rule_count; i++) {
        const struct nf_rule *r = c->rules[i];
        for (uint32_t k = 0; k < r->expr_count; k++) {
            const struct nf_expr *e = &r->exprs[k];
            bool ct = e->kind == NFE_CT || e->kind == NFE_CT_SET || e->kind == NFE_NAT ||
                      e->kind == NFE_MASQ || e->kind == NFE_REDIR;
            if (ct || (e->xt && nf_xt_wants_tracking(e->xt)))
                return true;
        }
    }
    return false;
}

static bool applies(const struct nf_table *t, int f) {
    return t->family == NF_FAMILY_INET || t->family == (f == 0 ? NF_FAMILY_IPV4 : NF_FAMILY_IPV6);
}

/* Puts a base chain where its priority says, behind equals. */
static void hook_in(struct nf_hooked *h, uint32_t *n, struct nf_table *t, struct nf_chain *c) {
    uint32_t at = *n;
    while (at > 0 && h[at - 1].chain->priority > c->priority)
        at--;
    memmove(h + at + 1, h + at, (*n - at) * sizeof(*h));
    h[at] = (struct nf_hooked){t, c};
    ++*n;
}

static void hooks_free(struct netns *ns, struct nf_hooked *h[2][NF_HOOKS]) {
    for (int f = 0; f < 2; f++) {
        for (int k = 0; k < NF_HOOKS; k++) {
            nsmem_free_bytes(mem_of(ns), h[f][k], NF_HOOK_CHAINS_MAX * sizeof(**h[f]));
            h[f][k] = NULL;
        }
    }
}

static int hook_all(struct netns *ns, struct nf_ruleset *r, struct nf_hooked *h[2][NF_HOOKS],
                    uint32_t n[2][NF_HOOKS], bool *ret_track) {
    struct nf_table *t;
    list_for_each_entry(t, &r->tables, link) {
        for (uint32_t i = 0; i < t->chain_cap; i++) {
            struct nf_chain *c = t->chains[i];
            if (!c || t->flags & NF_TABLE_DORMANT)
                continue;
            *ret_track |= wants_tracking(t, c);
            for (int f = 0; f < 2 && c->base; f++) {
                if (!applies(t, f))
                    continue;
                if (n[f][c->hook] >= NF_HOOK_CHAINS_MAX)
                    return -E2BIG;
                if (!h[f][c->hook])
                    h[f][c->hook] = nsmem_bytes(mem_of(ns), NF_HOOK_CHAINS_MAX * sizeof(**h[f]));
                if (!h[f][c->hook])
                    return -ENOMEM;
                hook_in(h[f][c->hook], &n[f][c->hook], t, c);
            }
        }
    }
    return 0;
}

static struct nf *state(struct netns *ns) {
    if (!ns->nf_state) {
        struct nf *nf = nsmem_alloc(mem_of(ns), &t_nf);
        if (!nf)
            return NULL;
        list_init(&nf->conn_list);
        nf->conn_max = CONN_MAX_DEFAULT;
        nf->generation = 1;
        ns->nf_state = nf;
    }
    return ns->nf_state;
}

uint32_t nf_set_users(const struct nf_table *t, const struct nf_set *s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->chain_cap; i++) {
        const struct nf_chain *c = t->chains[i];
        for (uint32_t k = 0; c && k < c->rule_count; k++)
            for (uint32_t x = 0; x < c->rules[k]->expr_count; x++) {
                const struct nf_expr *e = &c->rules[k]->exprs[x];
                n += e->kind == NFE_LOOKUP && t->sets[e->set] == s;
            }
    }
    return n;
}

/* Sets without a name of their own go with the last rule that uses them; numbers of a batch end with it. */
static void sweep_sets(struct netns *ns, struct nf_ruleset *r) {
    struct nf_table *t;
    list_for_each_entry(t, &r->tables, link) {
        for (uint32_t i = 0; i < t->set_cap; i++) {
            struct nf_set *s = t->sets[i];
            if (!s)
                continue;
            s->id = 0;
            if (s->flags & NF_SET_ANONYMOUS && nf_set_users(t, s) == 0) {
                t->sets[i] = NULL;
                nf_set_unref(ns, s);
            }
        }
    }
}

int nf_commit(struct netns *ns, struct nf_ruleset *copy) {
    struct nf_hooked *h[2][NF_HOOKS] = {{0}};
    uint32_t n[2][NF_HOOKS] = {{0}}, total = 0;
    bool track = false;
    struct nf *nf = state(ns);
    int rc = nf ? check_depths(ns, copy) : -ENOMEM;
    if (rc == 0)
        rc = hook_all(ns, copy, h, n, &track);
    if (rc < 0) {
        hooks_free(ns, h);
        return rc;
    }
    sweep_sets(ns, copy);
    hooks_free(ns, nf->hooked);
    memcpy(nf->hooked, h, sizeof(h));
    memcpy(nf->hooked_count, n, sizeof(n));
    ruleset_free(ns, nf->rules);
    nf->rules = copy;
    nf->generation++;
    if (nf->generation == 0)
        nf->generation = 1;
    nf->track = track;
    for (int k = 0; k < NF_HOOKS; k++)
        total += n[0][k] + n[1][k];
    if (!track || total == 0)
        nf_conn_flush(ns, 0);
    ns->nf = total > 0 ? nf : NULL;
    return 0;
}

void nf_done(struct netns *ns) {
    struct nf *nf = ns->nf_state;
    if (!nf)
        return;
    ct_done(ns);
    hooks_free(ns, nf->hooked);
    ruleset_free(ns, nf->rules);
    nsmem_free(mem_of(ns), &t_nf, nf);
    ns->nf = ns->nf_state = NULL;
}

void nf_conn_knobs(struct netns *ns, struct nf_conntrack_knobs *ret) {
    *ret = (struct nf_conntrack_knobs){.max = ns->nf_state ? ns->nf_state->conn_max : CONN_MAX_DEFAULT,
                                       .active = ns->nf_state && ns->nf_state->track};
}

void nf_conn_set_max(struct netns *ns, uint32_t max) {
    struct nf *nf = state(ns);
    if (nf)
        nf->conn_max = max;
}
