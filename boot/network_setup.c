/* SPDX-License-Identifier: Apache-2.0
 * boot/network_setup.c: the document and the descriptors of runsc/network/network.h become interfaces,
 * addresses, routes, rules and neighbours of the sandbox's own stack.
 *
 * The document comes from runsc, which holds the control socket; it is checked all the same, so that a
 * mistake is an error and not a crash. What the stack has by itself already (-EEXIST) is no error.
 */
#include "boot/network_setup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "netstack/link/fdlink.h"

enum { MAX_RESOLVERS = 4 };

struct plan {
    struct netns *ns;
    int *fds;
    size_t fd_count;
};

/* ---- values of the document ---- */

static const char *text_of(const json_t *o, const char *key) {
    return json_string_value(json_object_get(o, key));
}

static uint32_t number_of(const json_t *o, const char *key) {
    json_int_t v = json_integer_value(json_object_get(o, key));

    return v < 0 || v > UINT32_MAX ? 0 : (uint32_t)v;
}

/* An absent address is `none`. */
static int address_of(const json_t *o, const char *key, struct ipa none, struct ipa *ret) {
    const char *text = text_of(o, key);

    *ret = none;
    return !text || ipa_parse(text, ret) ? 0 : -EINVAL;
}

static int mac_of(const json_t *o, struct mac *ret) {
    const char *text = text_of(o, "mac");
    unsigned b[6];

    if (!text || sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
        return -EINVAL;
    for (int i = 0; i < 6; i++)
        ret->b[i] = (uint8_t)b[i];
    return 0;
}

static int take_fd(struct plan *p, const json_t *o) {
    const json_t *index = json_object_get(o, "fd");
    json_int_t i = json_integer_value(index);

    if (!json_is_integer(index) || i < 0 || (size_t)i >= p->fd_count || p->fds[i] < 0)
        return -EBADF;
    return steal_fd(&p->fds[i]);
}

static uint32_t index_of(struct plan *p, const json_t *o) {
    const char *name = text_of(o, "dev");
    struct nic *nic = name ? nic_by_name(p->ns, name) : NULL;
    struct nic_info info = {.ifindex = 0};

    if (nic)
        nic_info(nic, &info);
    return info.ifindex;
}

/* ---- its parts ---- */

static int add_address(struct nic *nic, const json_t *o) {
    /* The addresses are the client's to vouch for; prefix routes come with the routes. */
    struct nic_addr a = {.prefix_len = (uint8_t)number_of(o, "prefix"),
                         .scope = (uint8_t)number_of(o, "scope"),
                         .flags = NS_IFA_F_PERMANENT | NS_IFA_F_NODAD | NS_IFA_F_NOPREFIXROUTE,
                         .valid_s = UINT32_MAX,
                         .preferred_s = UINT32_MAX};
    int r = address_of(o, "address", IPA_ANY6, &a.addr);
    struct ipa none = ipa_is_v4(&a.addr) ? IPA_ANY4 : IPA_ANY6;

    if (r >= 0)
        r = address_of(o, "broadcast", none, &a.broadcast);
    if (r >= 0)
        r = address_of(o, "peer", none, &a.peer);
    if (r >= 0)
        r = nic_addr_add(nic, &a);
    return r == -EEXIST ? 0 : r;
}

static int add_link(struct plan *p, const json_t *o) {
    struct fdlink_config c = {.name = text_of(o, "name"),
                              .kind = FDLINK_PACKET,
                              .mtu = number_of(o, "mtu"),
                              .txqlen = number_of(o, "txqlen"),
                              .gso_max = MIN(number_of(o, "gso"), 65535u),
                              .quiet = json_is_true(json_object_get(o, "quiet"))};
    struct nic *nic;
    json_t *address;
    size_t i;

    int r = c.name ? mac_of(o, &c.mac) : -EINVAL;
    if (r >= 0)
        r = c.fd = take_fd(p, o);
    if (r >= 0)
        r = fdlink_new(p->ns, &c, &nic);
    json_array_foreach(json_object_get(o, "addresses"), i, address) if (r >= 0) r = add_address(nic, address);
    if (r >= 0 && json_is_true(json_object_get(o, "up")))
        r = nic_set_up(nic, true);
    return r;
}

static int add_route(struct plan *p, const json_t *o) {
    bool v4 = number_of(o, "family") == NS_AF_INET;
    struct ipa none = v4 ? IPA_ANY4 : IPA_ANY6;
    struct ns_route route = {.prefix_len = (uint8_t)number_of(o, "prefix"),
                             .tos = (uint8_t)number_of(o, "tos"),
                             .table = number_of(o, "table"),
                             .type = (uint8_t)number_of(o, "type"),
                             .scope = (uint8_t)number_of(o, "scope"),
                             .protocol = (uint8_t)number_of(o, "protocol"),
                             .metric = number_of(o, "metric"),
                             .mtu = number_of(o, "mtu"),
                             .advmss = number_of(o, "advmss"),
                             .nexthop.ifindex = index_of(p, o)};
    int r = address_of(o, "to", none, &route.dst);

    if (r >= 0)
        r = address_of(o, "via", none, &route.nexthop.gateway);
    if (r >= 0)
        r = address_of(o, "src", none, &route.prefsrc);
    if (r >= 0)
        r = netns_route_add(p->ns, &route);
    return r == -EEXIST ? 0 : r;
}

/* Routes on the link come before those by a gateway that only they make reachable. */
static int add_routes(struct plan *p, const json_t *routes) {
    json_t *o;
    size_t i;
    int r = 0;

    json_array_foreach(routes, i, o) if (r >= 0 && !text_of(o, "via")) r = add_route(p, o);
    json_array_foreach(routes, i, o) if (r >= 0 && text_of(o, "via")) r = add_route(p, o);
    return r;
}

static int add_rule(struct plan *p, const json_t *o) {
    struct ns_rule rule = {.priority = number_of(o, "priority"),
                           .table = number_of(o, "table"),
                           .src_len = (uint8_t)number_of(o, "from_prefix"),
                           .dst_len = (uint8_t)number_of(o, "to_prefix"),
                           .mark = number_of(o, "mark"),
                           .mark_mask = number_of(o, "mask"),
                           .family = (uint8_t)number_of(o, "family"),
                           .action = NS_FR_ACT_TO_TBL};
    struct ipa none = rule.family == NS_AF_INET ? IPA_ANY4 : IPA_ANY6;
    int r = address_of(o, "from", none, &rule.src);

    if (r >= 0)
        r = address_of(o, "to", none, &rule.dst);
    if (r >= 0)
        r = netns_rule_add(p->ns, &rule);
    return r == -EEXIST ? 0 : r;
}

static int add_neighbour(struct plan *p, const json_t *o) {
    struct ns_neigh n = {.ifindex = index_of(p, o),
                         .state =
                             json_is_true(json_object_get(o, "permanent")) ? NS_NUD_PERMANENT : NS_NUD_STALE};
    int r = address_of(o, "address", IPA_ANY6, &n.addr);

    if (r >= 0)
        r = mac_of(o, &n.mac);
    return r >= 0 ? netns_neigh_set(p->ns, &n) : r;
}

static int each(struct plan *p, const json_t *document, const char *key,
                int (*add)(struct plan *, const json_t *), struct err **err) {
    json_t *o;
    size_t i;

    json_array_foreach(json_object_get(document, key), i, o) {
        int r = add(p, o);
        if (r >= 0)
            continue;
        cleanup(freep) char *text = json_dumps(o, JSON_COMPACT);
        return err_set(err, -r, "network.configure", "setting the container's network up: %s[%zu]: %s", key,
                       i, text ? text : "?");
    }
    return 0;
}

static int routes_step(struct plan *p, const json_t *document, struct err **err) {
    int r = add_routes(p, json_object_get(document, "routes"));

    return r < 0 ? err_set(err, -r, "network.configure", "setting the container's routes up") : 0;
}

static int start_resolvers(struct plan *p, const json_t *list, struct resolver_relay **ret,
                           struct err **err) {
    struct ipa addresses[MAX_RESOLVERS];
    int fds[MAX_RESOLVERS], r = 0;
    size_t n = 0, i;
    json_t *o;

    json_array_foreach(list, i, o) {
        if (r < 0 || n == MAX_RESOLVERS)
            break;
        r = address_of(o, "address", IPA_ANY4, &addresses[n]);
        if (r >= 0)
            r = fds[n] = take_fd(p, o);
        n += r >= 0;
    }
    if (r < 0) {
        while (n > 0)
            close_fd(fds[--n]);
    } else if (n > 0) {
        r = resolver_relay_start(p->ns, addresses, fds, n, ret);
    }
    return r < 0 ? err_set(err, -r, "network.resolver", "relaying the container's resolvers") : 0;
}

/* "pcap": the index of a descriptor. */
static int start_capture(struct plan *p, const json_t *document, struct packet_capture **ret,
                         struct err **err) {
    const json_t *index = json_object_get(document, "pcap");
    size_t i = (size_t)json_integer_value(index);

    if (!index)
        return 0;
    if (!json_is_integer(index) || i >= p->fd_count || p->fds[i] < 0)
        return err_set(err, EBADF, "network.pcap", "capturing packets");
    int r = packet_capture_start(p->ns, steal_fd(&p->fds[i]), ret);
    return r < 0 ? err_set(err, -r, "network.pcap", "capturing packets") : 0;
}

int network_configure(struct netns *ns, const json_t *document, int *fds, size_t fd_count,
                      struct network_parts *ret, struct err **err) {
    struct plan p = {.ns = ns, .fds = fds, .fd_count = fd_count};
    int r = each(&p, document, "links", add_link, err);

    if (r >= 0)
        r = routes_step(&p, document, err);
    if (r >= 0)
        r = each(&p, document, "rules", add_rule, err);
    if (r >= 0)
        r = each(&p, document, "neighbours", add_neighbour, err);
    if (r >= 0)
        r = start_resolvers(&p, json_object_get(document, "resolvers"), &ret->relay, err);
    return r >= 0 ? start_capture(&p, document, &ret->capture, err) : r;
}
