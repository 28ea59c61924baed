/* SPDX-License-Identifier: Apache-2.0
 * runsc/network/netns_read_host.c: a network namespace as a JSON document (network.h). Ethernet interfaces
 * only; routes of the local table and those that the kernel makes for itself are left to the sandbox's stack.
 * Source: rtnetlink(7), packet(7).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runsc/network/network.h"
#include "runsc/network/rtnl.h"

#ifndef IFLA_GSO_MAX_SIZE
#define IFLA_GSO_MAX_SIZE 41
#endif
#ifndef PACKET_IGNORE_OUTGOING /* since Linux 4.20 */
#define PACKET_IGNORE_OUTGOING 23
#endif

#define SOCKET_BUFFER (4 << 20)

struct reader {
    struct network_handover *h;
    json_t *links, *routes, *rules, *neighbours; /* of the document; borrowed */
    unsigned index[NETWORK_MAX_LINKS];           /* of the links, in order */
    size_t count;
};

/* ---- values ---- */

static json_t *address_json(int family, const struct rtattr *a) {
    char text[INET6_ADDRSTRLEN];
    size_t need = family == AF_INET ? 4 : 16;

    if (!a || RTA_PAYLOAD(a) < need || !inet_ntop(family, RTA_DATA(a), text, sizeof text))
        return NULL;
    return json_string(text);
}

static void set_address(json_t *o, const char *key, int family, const struct rtattr *a) {
    json_t *text = address_json(family, a);

    if (text)
        (void)json_object_set_new(o, key, text);
}

static json_t *mac_json(const struct rtattr *a) {
    const uint8_t *m = a && RTA_PAYLOAD(a) == 6 ? RTA_DATA(a) : NULL;

    return m ? json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]) : NULL;
}

static void set_number(json_t *o, const char *key, uint32_t value) {
    (void)json_object_set_new(o, key, json_integer(value));
}

static json_t *link_of(const struct reader *r, unsigned index) {
    for (size_t i = 0; i < r->count; i++)
        if (r->index[i] == index)
            return json_array_get(r->links, i);
    return NULL;
}

static const char *name_of(const struct reader *r, unsigned index) {
    return json_string_value(json_object_get(link_of(r, index), "name"));
}

/* ---- links ---- */

int packet_socket_open(unsigned ifindex) {
    struct sockaddr_ll a = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)ifindex};
    int on = 1, size = SOCKET_BUFFER;
    cleanup(closep) int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return -errno;
    /* As large as we may; the plain ones are the host's default otherwise. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return steal_fd(&fd);
}

static int each_link(void *arg, const struct nlmsghdr *m) {
    const struct ifinfomsg *head = NLMSG_DATA(m);
    const struct rtattr *a[IFLA_GSO_MAX_SIZE + 1];
    struct reader *r = arg;
    char name[IFNAMSIZ];

    if (m->nlmsg_type != RTM_NEWLINK)
        return 0;
    rtnl_attributes(m, sizeof *head, a, ARRAY_SIZE(a));
    if (head->ifi_flags & IFF_LOOPBACK || !a[IFLA_IFNAME])
        return 0;
    snprintf(name, sizeof name, "%.*s", (int)RTA_PAYLOAD(a[IFLA_IFNAME]), (char *)RTA_DATA(a[IFLA_IFNAME]));
    json_t *mac = head->ifi_type == ARPHRD_ETHER ? mac_json(a[IFLA_ADDRESS]) : NULL;
    if (!mac) {
        log_info(LOG_CLI, "interface %s is not Ethernet: the sandbox does not get it", name);
        return 0;
    }
    if (r->count == NETWORK_MAX_LINKS) {
        json_decref(mac);
        return -E2BIG;
    }
    int fd = packet_socket_open((unsigned)head->ifi_index);
    if (fd < 0) {
        json_decref(mac);
        return fd;
    }
    uint32_t gso = MIN(rtnl_u32(a[IFLA_GSO_MAX_SIZE], 0), 65535u);
    r->h->fds[r->h->fd_count] = fd;
    r->index[r->count++] = (unsigned)head->ifi_index;
    return json_array_append_new(r->links, json_pack("{s:s,s:o,s:i,s:i,s:i,s:b,s:i,s:[]}", "name", name,
                                                     "mac", mac, "mtu", (int)rtnl_u32(a[IFLA_MTU], 1500),
                                                     "txqlen", (int)rtnl_u32(a[IFLA_TXQLEN], 1000), "gso",
                                                     (int)gso, "up", head->ifi_flags & IFF_UP, "fd",
                                                     (int)r->h->fd_count++, "addresses"));
}

static int each_address(void *arg, const struct nlmsghdr *m) {
    const struct ifaddrmsg *head = NLMSG_DATA(m);
    const struct rtattr *a[IFA_MAX + 1];
    struct reader *r = arg;
    json_t *link = link_of(r, head->ifa_index);

    if (m->nlmsg_type != RTM_NEWADDR || !link)
        return 0;
    rtnl_attributes(m, sizeof *head, a, ARRAY_SIZE(a));
    const struct rtattr *local = a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS];
    json_t *o = json_object();
    set_address(o, "address", head->ifa_family, local);
    set_address(o, "broadcast", head->ifa_family, a[IFA_BROADCAST]);
    if (a[IFA_LOCAL] && a[IFA_ADDRESS] &&
        memcmp(RTA_DATA(a[IFA_LOCAL]), RTA_DATA(a[IFA_ADDRESS]), RTA_PAYLOAD(a[IFA_LOCAL])) != 0)
        set_address(o, "peer", head->ifa_family, a[IFA_ADDRESS]);
    set_number(o, "prefix", head->ifa_prefixlen);
    set_number(o, "scope", head->ifa_scope);
    return json_array_append_new(json_object_get(link, "addresses"), o);
}

/* ---- routes and rules ---- */

/* Of several next hops the first. */
static void first_hop(const struct rtattr **a, uint32_t *ret_oif, const struct rtattr **ret_gateway) {
    *ret_oif = rtnl_u32(a[RTA_OIF], 0);
    *ret_gateway = a[RTA_GATEWAY];
    if (!a[RTA_MULTIPATH] || RTA_PAYLOAD(a[RTA_MULTIPATH]) < sizeof(struct rtnexthop))
        return;
    const struct rtnexthop *hop = RTA_DATA(a[RTA_MULTIPATH]);
    size_t left = hop->rtnh_len > sizeof *hop ? hop->rtnh_len - sizeof *hop : 0;
    *ret_oif = (uint32_t)hop->rtnh_ifindex;
    for (const struct rtattr *in = RTNH_DATA(hop); RTA_OK(in, left); in = RTA_NEXT(in, left))
        if (in->rta_type == RTA_GATEWAY)
            *ret_gateway = in;
}

static void set_metrics(json_t *o, const struct rtattr *metrics) {
    size_t left = metrics ? RTA_PAYLOAD(metrics) : 0;

    for (const struct rtattr *a = metrics ? RTA_DATA(metrics) : NULL; a && RTA_OK(a, left);
         a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTAX_MTU)
            set_number(o, "mtu", rtnl_u32(a, 0));
        if (a->rta_type == RTAX_ADVMSS)
            set_number(o, "advmss", rtnl_u32(a, 0));
    }
}

static int each_route(void *arg, const struct nlmsghdr *m) {
    const struct rtmsg *head = NLMSG_DATA(m);
    const struct rtattr *a[RTA_MAX + 1], *gateway;
    struct reader *r = arg;
    uint32_t oif;

    if (m->nlmsg_type != RTM_NEWROUTE)
        return 0;
    rtnl_attributes(m, sizeof *head, a, ARRAY_SIZE(a));
    uint32_t table = rtnl_u32(a[RTA_TABLE], head->rtm_table);
    bool ours = head->rtm_type == RTN_UNICAST || head->rtm_type == RTN_BLACKHOLE ||
                head->rtm_type == RTN_UNREACHABLE || head->rtm_type == RTN_PROHIBIT ||
                head->rtm_type == RTN_THROW;
    if (!ours || table == RT_TABLE_LOCAL || head->rtm_flags & RTM_F_CLONED || head->rtm_src_len)
        return 0;
    first_hop(a, &oif, &gateway);
    const char *dev = oif ? name_of(r, oif) : NULL;
    if (!dev && head->rtm_type == RTN_UNICAST)
        return 0; /* by loopback or an interface that is not taken over */
    json_t *o = json_pack("{s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:s*}", "family", head->rtm_family, "prefix",
                          head->rtm_dst_len, "table", (int)table, "metric", (int)rtnl_u32(a[RTA_PRIORITY], 0),
                          "type", head->rtm_type, "scope", head->rtm_scope, "protocol", head->rtm_protocol,
                          "tos", head->rtm_tos, "dev", dev);
    set_address(o, "to", head->rtm_family, a[RTA_DST]);
    set_address(o, "via", head->rtm_family, gateway);
    set_address(o, "src", head->rtm_family, a[RTA_PREFSRC]);
    set_metrics(o, a[RTA_METRICS]);
    return json_array_append_new(r->routes, o);
}

static int each_rule(void *arg, const struct nlmsghdr *m) {
    const struct fib_rule_hdr *head = NLMSG_DATA(m);
    const struct rtattr *a[FRA_MAX + 1];
    struct reader *r = arg;

    if (m->nlmsg_type != RTM_NEWRULE || head->action != FR_ACT_TO_TBL)
        return 0;
    rtnl_attributes(m, sizeof *head, a, ARRAY_SIZE(a));
    uint32_t priority = rtnl_u32(a[FRA_PRIORITY], 0);
    if (priority == 0 || priority == 32766 || priority == 32767 || a[FRA_IIFNAME] || a[FRA_OIFNAME])
        return 0; /* the first three exist already */
    json_t *o = json_pack("{s:i,s:i,s:i,s:i,s:i,s:I,s:I}", "family", head->family, "priority", (int)priority,
                          "table", (int)rtnl_u32(a[FRA_TABLE], head->table), "from_prefix", head->src_len,
                          "to_prefix", head->dst_len, "mark", (json_int_t)rtnl_u32(a[FRA_FWMARK], 0), "mask",
                          (json_int_t)rtnl_u32(a[FRA_FWMASK], 0));
    set_address(o, "from", head->family, a[FRA_SRC]);
    set_address(o, "to", head->family, a[FRA_DST]);
    return json_array_append_new(r->rules, o);
}

static int each_neighbour(void *arg, const struct nlmsghdr *m) {
    const struct ndmsg *head = NLMSG_DATA(m);
    const struct rtattr *a[NDA_MAX + 1];
    struct reader *r = arg;
    const char *dev = name_of(r, (unsigned)head->ndm_ifindex);
    bool known = head->ndm_state & (NUD_PERMANENT | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE);

    if (m->nlmsg_type != RTM_NEWNEIGH || !dev || !known || head->ndm_flags & NTF_PROXY)
        return 0;
    rtnl_attributes(m, sizeof *head, a, ARRAY_SIZE(a));
    json_t *mac = mac_json(a[NDA_LLADDR]), *address = address_json(head->ndm_family, a[NDA_DST]);
    if (!mac || !address) {
        json_decref(mac);
        json_decref(address);
        return 0;
    }
    return json_array_append_new(r->neighbours,
                                 json_pack("{s:o,s:s,s:o,s:b}", "address", address, "dev", dev, "mac", mac,
                                           "permanent", head->ndm_state & NUD_PERMANENT));
}

/* ---- all of it ---- */

int netns_read(int rtnl, struct network_handover *h, struct err **err) {
    struct reader r = {.h = h};
    static const struct {
        uint16_t type;
        rtnl_each_fn each;
        const char *what;
    } steps[] = {{RTM_GETLINK, each_link, "interfaces"},
                 {RTM_GETADDR, each_address, "addresses"},
                 {RTM_GETROUTE, each_route, "routes"},
                 {RTM_GETRULE, each_rule, "routing rules"},
                 {RTM_GETNEIGH, each_neighbour, "neighbours"}};

    h->document =
        json_pack("{s:[],s:[],s:[],s:[],s:[]}", "links", "routes", "rules", "neighbours", "resolvers");
    r.links = json_object_get(h->document, "links");
    r.routes = json_object_get(h->document, "routes");
    r.rules = json_object_get(h->document, "rules");
    r.neighbours = json_object_get(h->document, "neighbours");
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int rc = rtnl_dump(rtnl, steps[i].type, AF_UNSPEC, steps[i].each, &r);
        if (rc < 0)
            return err_set(err, -rc, "network.read", "reading the %s of the container's network namespace",
                           steps[i].what);
    }
    return 0;
}

/* ---- taking the addresses away ---- */

struct stripper {
    struct rtnl_buffer batch;
};

static int each_strip(void *arg, const struct nlmsghdr *m) {
    const struct ifaddrmsg *head = NLMSG_DATA(m);
    const struct rtattr *a[IFA_MAX + 1];
    struct stripper *s = arg;

    if (m->nlmsg_type != RTM_NEWADDR || head->ifa_scope == RT_SCOPE_HOST) /* loopback's own */
        return 0;
    rtnl_attributes(m, sizeof *head, a, ARRAY_SIZE(a));
    rtnl_begin(&s->batch, RTM_DELADDR, NLM_F_ACK, head, sizeof *head);
    for (unsigned type = IFA_ADDRESS; type <= IFA_LOCAL; type++)
        if (a[type])
            rtnl_put(&s->batch, (uint16_t)type, RTA_DATA(a[type]), RTA_PAYLOAD(a[type]));
    return 0;
}

int netns_strip_addresses(int rtnl) {
    struct stripper s = {.batch.len = 0};
    int r = rtnl_dump(rtnl, RTM_GETADDR, AF_UNSPEC, each_strip, &s);

    if (r >= 0 && s.batch.len > 0)
        r = rtnl_transact(rtnl, &s.batch);
    return r == -EADDRNOTAVAIL ? 0 : r; /* secondary addresses go with their primary one */
}
