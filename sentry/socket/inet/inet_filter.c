/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_filter.c: iptables' own calls: IPT_SO_* and IP6T_SO_* on raw sockets, whose values
 * are whole tables (netstack/filter/nf_legacy.h). Source: iptables(8), ip(7), observed
 * with tests/conform/netfilter.c.
 */
#include <errno.h>
#include <string.h>

#include "netstack/filter/nf_legacy.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/inet/inet_internal.h"

enum {
    SET_REPLACE = 64,
    SET_ADD_COUNTERS = 65,
    GET_INFO = 64,
    GET_ENTRIES = 65,
    GET4_REVISION_MATCH = 66,
    GET4_REVISION_TARGET = 67,
    GET6_REVISION_MATCH = 68,
    GET6_REVISION_TARGET = 69,
    COUNTERS_MAX = 65536,
};

/* The family whose tables this level is about; 0: none. Linux has them on every internet socket of it. */
static int family_of(const struct inet_socket *s, int level) {
    if (level == LINUX_SOL_IP && s->socket.family == LINUX_AF_INET)
        return NS_AF_INET;
    return level == LINUX_SOL_IPV6 && s->socket.family == LINUX_AF_INET6 ? NS_AF_INET6 : 0;
}

/* ---- setting ---- */

static int replace(struct inet_socket *s, struct task *t, int family, gva_t value, uint32_t len) {
    struct xt_replace r;
    if (len < sizeof r)
        return -EINVAL;
    int rc = copy_in(t, &r, value, sizeof r);
    if (rc < 0)
        return rc;
    r.name[XT_TABLE_NAME - 1] = '\0';
    if (r.num_counters == 0)
        return -EINVAL;
    if (r.num_counters > COUNTERS_MAX || r.size > NF_LEGACY_BLOB_MAX)
        return -ENOMEM;
    if (len - sizeof r < r.size)
        return -EINVAL;
    uint8_t *blob = heap_alloc_bytes(MAX(r.size, 1u));
    struct xt_counters *counters = heap_alloc_bytes(r.num_counters * sizeof *counters);
    rc = blob && counters ? copy_in(t, blob, value + sizeof r, r.size) : -ENOMEM;
    network_config_lock(s->net->kernel); /* a batch of nf_tables changes may not be overtaken: nfnetlink.h */
    if (rc == 0)
        rc = nf_legacy_replace(s->net->netns, family, &r, blob, counters);
    network_config_unlock(s->net->kernel);
    if (rc == 0 && copy_out(t, r.counters, counters, r.num_counters * sizeof *counters) < 0)
        rc = 0; /* the table is in place: as on Linux, nobody is told of an unreadable address */
    heap_free(blob);
    heap_free(counters);
    return rc;
}

static int add_counters(struct inet_socket *s, struct task *t, int family, gva_t value, uint32_t len) {
    struct xt_counters_info info;
    if (len < sizeof info)
        return -EINVAL;
    int rc = copy_in(t, &info, value, sizeof info);
    if (rc < 0)
        return rc;
    info.name[XT_TABLE_NAME - 1] = '\0';
    if (info.num_counters > COUNTERS_MAX ||
        len != sizeof info + info.num_counters * sizeof(struct xt_counters))
        return -EINVAL;
    struct xt_counters *c = heap_alloc_bytes(MAX(info.num_counters, 1u) * sizeof *c);
    rc = c ? copy_in(t, c, value + sizeof info, info.num_counters * sizeof *c) : -ENOMEM;
    network_config_lock(s->net->kernel);
    if (rc == 0)
        rc = nf_legacy_add_counters(s->net->netns, family, info.name, info.num_counters, c);
    network_config_unlock(s->net->kernel);
    heap_free(c);
    return rc;
}

int inet_op_set_large(struct socket *base, struct task *t, int level, int name, gva_t value, uint32_t len) {
    struct inet_socket *s = inet_of(base);
    int family = family_of(s, level);

    if (family == 0 || (name != SET_REPLACE && name != SET_ADD_COUNTERS))
        return 1;
    if (!inet_capable(s, t, CAP_NET_ADMIN_NR))
        return -EPERM;
    return name == SET_REPLACE ? replace(s, t, family, value, len) : add_counters(s, t, family, value, len);
}

/* ---- getting ---- */

static int get_info(struct inet_socket *s, struct task *t, int family, gva_t value, int32_t len) {
    char name[XT_TABLE_NAME];
    struct xt_getinfo info;
    if (len != (int32_t)sizeof info)
        return -EINVAL;
    int rc = copy_in(t, name, value, sizeof name);
    name[XT_TABLE_NAME - 1] = '\0';
    network_config_lock(s->net->kernel); /* it may make the table */
    if (rc == 0)
        rc = nf_legacy_info(s->net->netns, family, name, &info);
    network_config_unlock(s->net->kernel);
    return rc < 0 ? rc : copy_out(t, value, &info, sizeof info);
}

static int get_entries(struct inet_socket *s, struct task *t, int family, gva_t value, int32_t len) {
    struct xt_get_entries g;
    if (len < (int32_t)sizeof g)
        return -EINVAL;
    int rc = copy_in(t, &g, value, sizeof g);
    if (rc < 0)
        return rc;
    if (g.size > NF_LEGACY_BLOB_MAX || (uint32_t)len != sizeof g + g.size)
        return -EINVAL;
    g.name[XT_TABLE_NAME - 1] = '\0';
    uint8_t *out = heap_alloc_bytes(MAX(g.size, 1u));
    network_config_lock(s->net->kernel);
    rc = out ? nf_legacy_entries(s->net->netns, family, g.name, g.size, out) : -ENOMEM;
    network_config_unlock(s->net->kernel);
    if (rc == 0)
        rc = copy_out(t, value + sizeof g, out, g.size);
    heap_free(out);
    return rc;
}

static int get_revision(struct task *t, int family, bool target, gva_t value, int32_t len) {
    struct xt_get_revision rev;
    if (len != (int32_t)sizeof rev)
        return -EINVAL;
    int rc = copy_in(t, &rev, value, sizeof rev);
    if (rc < 0)
        return rc;
    rev.name[XT_NAME - 1] = '\0';
    rc = nf_legacy_revision(family, rev.name, rev.revision, target);
    return MIN(rc, 0);
}

int inet_op_get_large(struct socket *base, struct task *t, int level, int name, gva_t value, gva_t len_at) {
    struct inet_socket *s = inet_of(base);
    int family = family_of(s, level);
    bool v4 = family == NS_AF_INET;
    bool match = name == (v4 ? GET4_REVISION_MATCH : GET6_REVISION_MATCH);
    bool target = name == (v4 ? GET4_REVISION_TARGET : GET6_REVISION_TARGET);
    int32_t len;

    /* IPv6 has options of its own at 66 and 67 */
    if (family == 0 || (name != GET_INFO && name != GET_ENTRIES && !match && !target))
        return 1;
    int rc = copy_in(t, &len, len_at, sizeof len);
    if (rc < 0)
        return rc;
    if (!inet_capable(s, t, CAP_NET_ADMIN_NR))
        return -EPERM;
    if (match || target)
        return get_revision(t, family, target, value, len);
    return name == GET_INFO ? get_info(s, t, family, value, len) : get_entries(s, t, family, value, len);
}
