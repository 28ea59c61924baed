/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/nft_compat.c: which revisions of iptables' matches and targets there are, for
 * programs that put them into nf_tables (iptables-nft). Source: iptables(8), libxtables.
 */
#include <errno.h>
#include <string.h>

#include "netstack/filter/nf_legacy.h"
#include "sentry/socket/netlink/nfnetlink.h"

enum { COMPAT_NAME = 1, COMPAT_REV = 2, COMPAT_TYPE = 3, COMPAT_MAX = 3 };

int nft_compat_request(struct netlink_request *r, uint8_t family) {
    struct nl_attr a[COMPAT_MAX + 1];
    char name[NF_LONG_NAME];
    uint32_t rev, type;
    struct nfgenmsg g = {.family = family};
    int rc = nl_parse(r->payload + sizeof g, r->size - sizeof g, a, COMPAT_MAX);
    if (rc == 0)
        rc = nfa_name(&a[COMPAT_NAME], name);
    if (rc < 0 || !nfa_u32(&a[COMPAT_REV], &rev) || !nfa_u32(&a[COMPAT_TYPE], &type))
        return rc < 0 ? rc : -EINVAL;
    if (family != NF_FAMILY_IPV4 && family != NF_FAMILY_IPV6)
        return -EINVAL;
    rc = nf_legacy_revision(family == NF_FAMILY_IPV4 ? NS_AF_INET : NS_AF_INET6, name, (uint8_t)rev,
                            type == 1);
    if (rc < 0)
        return rc;
    nl_begin(&r->out, r->h.type, 0, &g, sizeof g);
    nl_put_string(&r->out, COMPAT_NAME, name);
    nfa_put_u32(&r->out, COMPAT_REV, (uint32_t)rc);
    nfa_put_u32(&r->out, COMPAT_TYPE, type);
    nl_end(&r->out);
    return 0;
}
