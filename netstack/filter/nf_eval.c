/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_eval.c: the hooks that packets pass, and the walk through the chains that are hooked.
 *
 * Order at a hook: base chains by priority, with connection tracking at -200 and, where the table of
 * connections is in use, translation at the priority of nat chains (-100 for destinations, 100 for sources);
 * at the end of POSTROUTING and INPUT new connections are confirmed. Source: nft(8), "Address families" and
 * the table of priorities.
 */
#include <errno.h>

#include "netstack/filter/nf_internal.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"

enum { EXT_HEADERS_MAX = 8, NAT_PRIO_DST = -100, NAT_PRIO_SRC = 100 };

/* ---- parsing ---- */

static bool parse_v4(struct nf_ctx *c) {
    struct pkt *p = c->p;
    const uint8_t *h = pkt_header(p, p->net_off + IPV4_MIN_HLEN);
    if (!h)
        return false;
    h += p->net_off;
    uint32_t hlen = (uint32_t)(h[0] & 0xf) * 4;
    if (hlen < IPV4_MIN_HLEN || p->net_off + hlen > p->len)
        return false;
    c->thoff = p->net_off + hlen;
    c->proto = h[9];
    c->later_fragment = get_be16(h + 6) & IPV4_OFFSET_MASK;
    p->src = ipa_from4_wire(h + 12);
    p->dst = ipa_from4_wire(h + 16);
    return true;
}

static bool parse_v6(struct nf_ctx *c) {
    struct pkt *p = c->p;
    const uint8_t *h = pkt_header(p, p->net_off + IPV6_HLEN);
    if (!h)
        return false;
    h += p->net_off;
    p->src = ipa_from6_wire(h + 8);
    p->dst = ipa_from6_wire(h + 24);
    c->thoff = p->net_off + IPV6_HLEN;
    c->proto = h[6];
    for (int i = 0; i < EXT_HEADERS_MAX; i++) {
        bool frag = c->proto == IPPROTO_NUM_FRAGMENT;
        if (!frag && c->proto != IPPROTO_NUM_HOPOPTS && c->proto != IPPROTO_NUM_ROUTING &&
            c->proto != IPPROTO_NUM_DSTOPTS)
            return true;
        h = pkt_header(p, c->thoff + 8);
        if (!h)
            return false;
        h += c->thoff;
        c->proto = h[0];
        if (frag && get_be16(h + 2) & 0xfff8)
            c->later_fragment = true;
        c->thoff += frag ? (uint32_t)IPV6_FRAG_HLEN : ((uint32_t)h[1] + 1) * 8;
        if (c->later_fragment || c->thoff > p->len)
            return c->later_fragment;
    }
    return false;
}

bool nf_parse(struct nf_ctx *c) {
    const uint8_t *h = pkt_header(c->p, c->p->net_off + 1u);
    if (!h)
        return false;
    c->family = h[c->p->net_off] >> 4 == 4 ? NS_AF_INET : NS_AF_INET6;
    return c->family == NS_AF_INET ? parse_v4(c) : parse_v6(c);
}

/* ---- chains ---- */

static struct nf_verdict rule_run(struct nf_ctx *c, struct nf_table *t, struct nf_rule *r, uint8_t *regs) {
    for (uint32_t i = 0; i < r->expr_count; i++) {
        struct nf_expr *e = &r->exprs[i];
        if (t->legacy && (e->kind == NFE_TARGET || e->kind == NFE_VERDICT)) {
            r->count.packets++;
            r->count.bytes += c->p->len - c->p->net_off;
        }
        struct nf_verdict v = nf_expr_run(c, t, e, regs);
        if (v.code == NF_BREAK)
            return (struct nf_verdict){.code = NF_CONTINUE};
        if (v.code != NF_CONTINUE)
            return v;
    }
    return (struct nf_verdict){.code = NF_CONTINUE};
}

struct place {
    struct nf_chain *chain;
    uint32_t next;
};

/* Runs a base chain to its verdict. Loops cannot be: nf_commit() refuses them. */
static int chain_run(struct nf_ctx *c, struct nf_table *t, struct nf_chain *base) {
    struct place stack[NF_JUMP_DEPTH], at = {base, 0};
    uint8_t regs[NF_REG_BYTES] = {0};
    int depth = 0;
    for (;;) {
        if (at.next >= at.chain->rule_count) {
            if (depth == 0)
                break;
            at = stack[--depth];
            continue;
        }
        struct nf_verdict v = rule_run(c, t, at.chain->rules[at.next++], regs);
        if (v.code == NF_DROP || v.code == NF_ACCEPT)
            return v.code;
        if (v.code == NF_RETURN) {
            if (depth == 0)
                break;
            at = stack[--depth];
        } else if (v.code == NF_JUMP || v.code == NF_GOTO) {
            if (v.code == NF_JUMP) {
                if (depth == NF_JUMP_DEPTH)
                    return NF_DROP;
                stack[depth++] = at;
            }
            ASSERT(v.chain < t->chain_cap);
            at = (struct place){t->chains[v.chain], 0};
        }
    }
    base->count.packets++;
    base->count.bytes += c->p->len - c->p->net_off;
    return base->policy;
}

/* ---- hooks ---- */

/* Rules of nat chains see the first packet of a connection alone. */
static bool nat_hook(struct nf_ctx *c, struct nf_hooked *h, uint32_t n) {
    struct nf_conn *ct = c->p->ct;
    if (!ct)
        return true;
    enum nat_manip m = nat_manip_at(c->hook);
    if (c->p->ct_info == CT_NEW && !nat_initialized(ct, m)) {
        c->nat_done = false;
        for (uint32_t i = 0; i < n && !c->nat_done; i++)
            if (h[i].chain->type == NF_CHAIN_NAT && chain_run(c, h[i].table, h[i].chain) == NF_DROP)
                return false;
        const struct nat_range none = {0};
        if (!nat_initialized(ct, m) && nat_setup(c, &none, m) == NF_DROP)
            return false;
    }
    return nat_packet(c);
}

/* All of one hook. False: drop. */
static bool hook_run(struct nf_ctx *c) {
    struct nf *nf = c->ns->nf;
    if (!nf_parse(c))
        return false;
    int f = c->family == NS_AF_INET ? 0 : 1;
    struct nf_hooked *h = nf->hooked[f][c->hook];
    uint32_t n = nf->hooked_count[f][c->hook];
    int nat_prio = nat_manip_at(c->hook) == NAT_DST ? NAT_PRIO_DST : NAT_PRIO_SRC;
    bool tracked = !nf->track, translated = !nf->track || c->hook == NF_FORWARD;
    for (uint32_t i = 0; i <= n; i++) {
        int prio = i < n ? h[i].chain->priority : INT32_MAX;
        if (!tracked && prio >= NF_CT_PRIO) {
            tracked = true;
            if (!ct_in(c))
                return false;
        }
        bool nat = i < n && h[i].chain->type == NF_CHAIN_NAT;
        if (!translated && (prio >= nat_prio || nat)) {
            translated = true;
            if (!nat_hook(c, h, n))
                return false;
        }
        if (i < n && !nat && chain_run(c, h[i].table, h[i].chain) == NF_DROP)
            return false;
    }
    return true;
}

static bool confirm(struct nf_ctx *c) {
    return !c->ns->nf->track || ct_confirm(c);
}

struct pkt *nf_prerouting(struct nic *in, struct pkt *p) {
    struct nf_ctx c = {.ns = in->ns, .p = p, .hook = NF_PREROUTING, .in = in};
    const uint8_t *h = pkt_header(p, p->net_off + 8u);
    if (h && in->ns->nf->track && h[p->net_off] >> 4 == 4) {
        uint16_t word = get_be16(h + p->net_off + 6);
        if (word & (IPV4_FLAG_MF | IPV4_OFFSET_MASK)) { /* connections are told by whole datagrams */
            p = ipfrag_input(in, p, get_be16(h + p->net_off + 4), (word & IPV4_OFFSET_MASK) * 8u,
                             word & IPV4_FLAG_MF);
            if (!p)
                return NULL;
            c.p = p;
            uint8_t *w = pkt_writable(p, p->net_off + IPV4_MIN_HLEN);
            if (!w) {
                pkt_free(p);
                return NULL;
            }
            put_be16(w + p->net_off + 2, (uint16_t)(p->len - p->net_off));
            put_be16(w + p->net_off + 6, 0);
            ipv4_set_csum(w + p->net_off);
        }
    }
    if (hook_run(&c))
        return p;
    pkt_free(p);
    return NULL;
}

bool nf_input(struct nic *in, struct pkt *p) {
    struct nf_ctx c = {.ns = in->ns, .p = p, .hook = NF_INPUT, .in = in};
    bool ok = hook_run(&c) && confirm(&c);
    pkt_forget_ct(p); /* sockets' queues need not know it */
    return ok;
}

static bool postrouting(struct nf_ctx *c, struct nic *out) {
    c->hook = NF_POSTROUTING;
    c->in = NULL;
    c->out = out;
    return hook_run(c) && confirm(c);
}

bool nf_forward(struct nic *in, struct pkt *p, struct rt *rt) {
    struct nf_ctx c = {.ns = in->ns, .p = p, .hook = NF_FORWARD, .in = in, .out = rt->nic};
    return hook_run(&c) && postrouting(&c, rt->nic);
}

/* The destination, mark or TOS changed at NF_OUTPUT: another route may be right. */
static int reroute(struct nf_ctx *c, struct rt *rt) {
    struct pkt *p = c->p;
    struct flow f = {.dst = p->dst, .src = p->src, .mark = p->mark};
    if (!ifaddr_is_local(c->ns, &p->src))
        f.src = ipa_is_v4(&p->src) ? IPA_ANY4 : IPA_ANY6;
    if (c->sk)
        f.oif = c->sk->bound_if;
    return route_output(c->ns, &f, rt);
}

int nf_output(struct netns *ns, struct pkt *p, const struct nsock *sk, struct rt *rt) {
    struct nf_ctx c = {.ns = ns, .p = p, .hook = NF_OUTPUT, .out = rt->nic, .sk = sk};
    uint32_t mark = p->mark;
    if (!nf_parse(&c))
        return -EINVAL;
    struct ipa dst = p->dst;
    if (!hook_run(&c))
        return -EPERM;
    if ((!ipa_eq(&dst, &p->dst) || mark != p->mark) && reroute(&c, rt) < 0)
        return -EPERM;
    return postrouting(&c, rt->nic) ? 0 : -EPERM;
}
