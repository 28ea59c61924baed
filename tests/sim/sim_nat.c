/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/sim_nat.c: translation for the simulation's routers.
 */
#include "netstack/filter/nf.h"
#include "tests/sim/sim.h"

static int put_rule(struct sim_host *h, struct nf_ruleset *set) {
    const struct nf_expr e = {.kind = NFE_MASQ,
                              .sreg = NF_NO_REG,
                              .sreg_max = NF_NO_REG,
                              .sreg2 = NF_NO_REG,
                              .sreg2_max = NF_NO_REG};
    struct nf_table *t;
    struct nf_chain *c;
    struct nf_rule *r;
    int rc = nf_table_new(h->ns, set, NF_FAMILY_INET, "masquerade", &t);
    if (rc == 0)
        rc = nf_chain_new(h->ns, t, "postrouting", &c);
    if (rc < 0)
        return rc;
    c->base = true;
    c->type = NF_CHAIN_NAT;
    c->hook = NF_POSTROUTING;
    c->priority = 100;
    rc = nf_rule_new(h->ns, &e, 1, NULL, 0, &r);
    if (rc < 0)
        return rc;
    rc = nf_rule_insert(h->ns, t, c, 0, r);
    if (rc < 0)
        nf_rule_unref(h->ns, r);
    return rc;
}

int sim_masquerade(struct sim_host *h) {
    struct nf_ruleset *set;
    nf_lock(h->ns);
    int rc = nf_begin(h->ns, &set);
    if (rc == 0) {
        rc = put_rule(h, set);
        if (rc == 0)
            rc = nf_commit(h->ns, set);
        if (rc < 0)
            nf_abort(h->ns, set);
    }
    nf_unlock(h->ns);
    return rc;
}
