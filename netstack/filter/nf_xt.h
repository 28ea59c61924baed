/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_xt.h: one iptables extension, for the two files that have them.
 */
#pragma once

#include "netstack/filter/nf_internal.h"
#include "netstack/filter/nf_xt_abi.h"

/* A match or a target. Its functions run with the stack's lock held, and do not block. */
struct nf_xt_ext {
    const char *name;
    uint8_t revision;
    int family; /* NS_AF_*; 0: both */
    uint32_t size;
    uint8_t proto;     /* that the rule must name; 0: any */
    const char *table; /* where alone it may stand; NULL: anywhere */
    uint32_t hooks;    /* likewise, a bit each; 0: any */
    bool tracks;       /* needs connections */
    /* Does: checks `info`, whose length is right. -errno. Optional (absent: anything goes). */
    int (*check)(const struct nf_xt_use *use, const uint8_t *info);
    /* One of the two. A match may set *drop instead of an answer. */
    bool (*match)(struct nf_ctx *c, struct nf_expr *e, bool *drop);
    struct nf_verdict (*target)(struct nf_ctx *c, struct nf_expr *e);
};

/* nf_xt_target.c */
const struct nf_xt_ext *nf_xt_targets(size_t *ret_count);
