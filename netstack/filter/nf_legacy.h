/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_legacy.h: iptables' own front end: tables as blobs of entries, by getsockopt(2) and
 * setsockopt(2) (IPT_SO_*, IP6T_SO_*). Each function takes the stack's lock by itself. `family`: NS_AF_*.
 * Errors as Linux': -ENOENT no such table, -EAGAIN the caller's picture of it is old, -EINVAL, -ELOOP,
 * -ENOMEM.
 */
#pragma once

#include "netstack/filter/nf.h"
#include "netstack/filter/nf_xt_abi.h"

enum { NF_LEGACY_BLOB_MAX = 8 << 20, NF_LEGACY_TABLES = 5 };

/* Does: tells of a table, which is made, empty and accepting, when it is asked for first. */
must_check int nf_legacy_info(struct netns *ns, int family, const char *name, struct xt_getinfo *ret);
/* Does: copies `size` bytes of entries to `out`, which must be the table's size. */
must_check int nf_legacy_entries(struct netns *ns, int family, const char *name, uint32_t size, uint8_t *out);
/* Does: replaces a table's content. `counters` gets r->num_counters of the old one's. */
must_check int nf_legacy_replace(struct netns *ns, int family, const struct xt_replace *r,
                                 const uint8_t *entries, struct xt_counters *counters);
must_check int nf_legacy_add_counters(struct netns *ns, int family, const char *name, uint32_t count,
                                      const struct xt_counters *counters);
/* The highest revision of a match or target, if `revision` is known; -EPROTONOSUPPORT, -ENOENT. */
must_check int nf_legacy_revision(int family, const char *name, uint8_t revision, bool target);
/* Names of the tables that exist, for /proc/net/ip_tables_names: the i-th, or NULL. */
const char *nf_legacy_table_name(struct netns *ns, int family, unsigned i);
