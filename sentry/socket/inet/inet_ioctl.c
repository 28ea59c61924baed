/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/inet_ioctl.c: the SIOC* requests of sockets: bytes queued, and the configuration of
 * interfaces. Source: netdevice(7), tcp(7), udp(7), socket(7). Any socket of any family answers the requests
 * about interfaces: netdev_ioctl().
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/ioctl.h"
#include "base/abi/linux/time.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/inet/inet_internal.h"
#include "sentry/socket/inet/netdev.h"
#include "sentry/socket/netlink/rtnetlink.h"

enum { IFCONF_MAX = 4096 /* entries */ };

/* struct ifreq: netdevice(7) */
struct ifreq {
    char name[NS_IFNAMSIZ];
    union {
        struct linux_sockaddr_in addr;
        struct {
            uint16_t family;
            uint8_t data[14];
        } hw;
        int16_t flags;
        int32_t number;
        char new_name[NS_IFNAMSIZ];
        uint8_t map[24];
        uint64_t data;
    } u;
};
_Static_assert(sizeof(struct ifreq) == 40, "");

struct ifconf {
    int32_t len, pad;
    uint64_t buf;
};

/* Linux tells programs of these flags in SIOCGIFFLAGS; the rest needs netlink. */
enum {
    IFREQ_FLAGS = 0xffff,
    CHANGEABLE_FLAGS = NS_IFF_UP | NS_IFF_PROMISC | NS_IFF_ALLMULTI | NS_IFF_MULTICAST | NS_IFF_NOARP
};

/* ---- SIOCGIFCONF ---- */

static size_t conf_entry(const struct nic_info *info, const struct nic_addr *a, struct ifreq *ret) {
    *ret = (struct ifreq){.u.addr.family = LINUX_AF_INET};
    memcpy(ret->name, info->name, sizeof ret->name);
    memcpy(&ret->u.addr.addr, a->addr.b + 12, 4);
    return 1;
}

/* Fills at most `max` entries; how many there are in all. */
static size_t conf_fill(struct netns *ns, struct ifreq *out, size_t max) {
    struct nic_info info;
    struct nic_addr a;
    size_t count = 0;

    for (struct nic *nic = nic_next(ns, 0); nic; nic = nic_next(ns, info.ifindex)) {
        nic_info(nic, &info);
        for (size_t i = 0; nic_addr_at(nic, i, &a) == 0; i++) {
            if (!ipa_is_v4(&a.addr))
                continue;
            if (count < max)
                conf_entry(&info, &a, &out[count]);
            count++;
        }
    }
    return count;
}

static int64_t get_conf(struct net_namespace *net, struct task *t, gva_t arg) {
    struct ifreq *out = NULL;
    struct ifconf conf;
    int r = copy_in(t, &conf, arg, sizeof conf);

    if (r < 0)
        return r;
    if (conf.buf && conf.len < 0)
        return -EINVAL;
    size_t max = conf.buf ? MIN((size_t)conf.len / sizeof *out, (size_t)IFCONF_MAX) : 0;
    if (max > 0 && !(out = heap_alloc_bytes(max * sizeof *out)))
        return -ENOMEM;
    network_config_lock(net->kernel);
    size_t count = conf_fill(net->netns, out, max);
    network_config_unlock(net->kernel);
    size_t told = conf.buf ? MIN(count, max) : count;
    if (out)
        r = copy_out(t, conf.buf, out, told * sizeof *out);
    heap_free(out);
    conf.len = (int32_t)(told * sizeof *out);
    return r < 0 ? r : copy_out(t, arg, &conf, sizeof conf);
}

/* ---- one interface: getting ---- */

/* The first IPv4 address, or the one that the caller named in ifr_addr (an alias, as `ifconfig` asks). */
static int first_v4(struct nic *nic, const struct ifreq *req, struct nic_addr *ret) {
    struct nic_addr a;
    int found = -EADDRNOTAVAIL;

    for (size_t i = 0; nic_addr_at(nic, i, &a) == 0; i++) {
        if (!ipa_is_v4(&a.addr))
            continue;
        bool named = req->u.addr.family == LINUX_AF_INET && memcmp(&req->u.addr.addr, a.addr.b + 12, 4) == 0;
        if (found < 0 || named) {
            *ret = a;
            found = 0;
        }
        if (named)
            break;
    }
    return found;
}

static void put_v4(struct ifreq *req, const struct ipa *ip) {
    req->u.addr = (struct linux_sockaddr_in){.family = LINUX_AF_INET};
    memcpy(&req->u.addr.addr, ip->b + 12, 4);
}

static int get_address(struct nic *nic, uint32_t cmd, struct ifreq *req) {
    struct nic_addr a;
    int r = first_v4(nic, req, &a);

    if (r < 0)
        return r;
    struct ipa mask = ipa_from4(a.prefix_len ? ~0u << (32 - a.prefix_len) : 0);
    const struct ipa none = IPA_ANY4;
    switch (cmd) {
    case LINUX_SIOCGIFADDR:
        put_v4(req, &a.addr);
        break;
    case LINUX_SIOCGIFBRDADDR:
        put_v4(req, ipa_is_any(&a.broadcast) ? &none : &a.broadcast);
        break;
    case LINUX_SIOCGIFNETMASK:
        put_v4(req, &mask);
        break;
    case LINUX_SIOCGIFDSTADDR:
        put_v4(req, ipa_is_any(&a.peer) ? &a.addr : &a.peer);
        break;
    }
    return 0;
}

static int get_one(struct nic *nic, uint32_t cmd, struct ifreq *req) {
    struct nic_info info;

    nic_info(nic, &info);
    switch (cmd) {
    case LINUX_SIOCGIFFLAGS:
        req->u.flags = (int16_t)(info.flags & IFREQ_FLAGS);
        return 0;
    case LINUX_SIOCGIFMETRIC:
        req->u.number = 0;
        return 0;
    case LINUX_SIOCGIFMTU:
        req->u.number = (int32_t)info.mtu;
        return 0;
    case LINUX_SIOCGIFHWADDR:
        memset(&req->u, 0, sizeof req->u);
        req->u.hw.family = info.arphrd;
        memcpy(req->u.hw.data, info.mac.b, sizeof info.mac.b);
        return 0;
    case LINUX_SIOCGIFMAP:
        memset(req->u.map, 0, sizeof req->u.map);
        return 0;
    case LINUX_SIOCGIFINDEX:
        req->u.number = (int32_t)info.ifindex;
        return 0;
    case LINUX_SIOCGIFTXQLEN:
        req->u.number = (int32_t)info.txqlen;
        return 0;
    }
    return get_address(nic, cmd, req);
}

/* ---- one interface: setting ---- */

static int set_flags(struct nic *nic, uint32_t wanted) {
    struct nic_info info;

    nic_info(nic, &info);
    uint32_t change = (info.flags ^ wanted) & CHANGEABLE_FLAGS, others = change & ~(uint32_t)NS_IFF_UP;
    int r = others ? nic_set_flags(nic, wanted & others, others & ~wanted) : 0;
    return r == 0 && change & NS_IFF_UP ? nic_set_up(nic, wanted & NS_IFF_UP) : r;
}

/* inet_abc_len: the mask that an address had before CIDR, which these requests still imply. */
static uint8_t class_prefix(uint32_t host_order) {
    if (host_order == 0)
        return 0;
    return host_order >> 31 == 0 ? 8 : host_order >> 30 == 2 ? 16 : host_order >> 29 == 6 ? 24 : 32;
}

static struct ipa broadcast_of(const struct ipa *ip, uint8_t prefix) {
    return prefix < 31 ? ipa_from4(ipa_to4(ip) | (prefix ? ~0u >> prefix : ~0u)) : IPA_ANY4;
}

static int replace_address(struct nic *nic, const struct nic_addr *old, const struct nic_addr *with) {
    int r = old ? nic_addr_del(nic, &old->addr, old->prefix_len) : 0;

    return r < 0 || ipa_is_any(&with->addr) ? r : nic_addr_add(nic, with);
}

static int set_address(struct nic *nic, uint32_t cmd, const struct ifreq *req) {
    struct nic_addr old, a;
    int have = first_v4(nic, &(struct ifreq){0}, &old);
    struct ipa ip = ipa_from4_wire((const uint8_t *)&req->u.addr.addr);

    if (req->u.addr.family != LINUX_AF_INET)
        return -EINVAL;
    if (cmd != LINUX_SIOCSIFADDR && have < 0)
        return -EADDRNOTAVAIL;
    a = have == 0 ? old
                  : (struct nic_addr){
                        .valid_s = UINT32_MAX, .preferred_s = UINT32_MAX, .flags = NS_IFA_F_PERMANENT};
    switch (cmd) {
    case LINUX_SIOCSIFADDR:
        a.addr = ip;
        a.peer = IPA_ANY6;
        a.prefix_len = class_prefix(ipa_to4(&ip));
        a.broadcast = broadcast_of(&ip, a.prefix_len);
        break;
    case LINUX_SIOCSIFNETMASK: {
        uint32_t mask = ipa_to4(&ip), inverse = ~mask;
        if (inverse & (inverse + 1))
            return -EINVAL;
        a.prefix_len = (uint8_t)__builtin_popcount(mask);
        a.broadcast = broadcast_of(&a.addr, a.prefix_len);
        break;
    }
    case LINUX_SIOCSIFBRDADDR:
        a.broadcast = ip;
        break;
    case LINUX_SIOCSIFDSTADDR:
        a.peer = ip;
        break;
    }
    return replace_address(nic, have == 0 ? &old : NULL, &a);
}

static int set_one(struct nic *nic, uint32_t cmd, const struct ifreq *req) {
    struct mac mac;

    switch (cmd) {
    case LINUX_SIOCSIFFLAGS:
        return set_flags(nic, (uint16_t)req->u.flags);
    case LINUX_SIOCSIFMTU:
        return req->u.number < 0 ? -EINVAL : nic_set_mtu(nic, (uint32_t)req->u.number);
    case LINUX_SIOCSIFMETRIC:
        return req->u.number ? -EOPNOTSUPP : 0;
    case LINUX_SIOCSIFHWADDR:
        memcpy(mac.b, req->u.hw.data, sizeof mac.b);
        return nic_set_mac(nic, &mac);
    case LINUX_SIOCSIFNAME: {
        char name[NS_IFNAMSIZ];
        memcpy(name, req->u.new_name, sizeof name);
        name[sizeof name - 1] = '\0';
        return nic_set_name(nic, name);
    }
    case LINUX_SIOCSIFTXQLEN:
        return req->u.number < 0 ? -EINVAL : nic_set_txqlen(nic, (uint32_t)req->u.number);
    }
    return set_address(nic, cmd, req);
}

static bool is_get(uint32_t cmd) {
    switch (cmd) {
    case LINUX_SIOCGIFFLAGS:
    case LINUX_SIOCGIFMETRIC:
    case LINUX_SIOCGIFMTU:
    case LINUX_SIOCGIFHWADDR:
    case LINUX_SIOCGIFMAP:
    case LINUX_SIOCGIFINDEX:
    case LINUX_SIOCGIFTXQLEN:
    case LINUX_SIOCGIFADDR:
    case LINUX_SIOCGIFBRDADDR:
    case LINUX_SIOCGIFNETMASK:
    case LINUX_SIOCGIFDSTADDR:
        return true;
    }
    return false;
}

static bool is_set(uint32_t cmd) {
    switch (cmd) {
    case LINUX_SIOCSIFFLAGS:
    case LINUX_SIOCSIFMETRIC:
    case LINUX_SIOCSIFMTU:
    case LINUX_SIOCSIFHWADDR:
    case LINUX_SIOCSIFNAME:
    case LINUX_SIOCSIFTXQLEN:
    case LINUX_SIOCSIFADDR:
    case LINUX_SIOCSIFBRDADDR:
    case LINUX_SIOCSIFNETMASK:
    case LINUX_SIOCSIFDSTADDR:
        return true;
    }
    return false;
}

static int64_t get_name(struct net_namespace *net, struct task *t, gva_t arg) {
    struct nic_info info;
    struct ifreq req;
    int r = copy_in(t, &req, arg, sizeof req);

    if (r < 0)
        return r;
    network_config_lock(net->kernel);
    struct nic *nic = nic_by_index(net->netns, (uint32_t)req.u.number);
    if (nic)
        nic_info(nic, &info);
    network_config_unlock(net->kernel);
    if (!nic)
        return -ENODEV;
    memcpy(req.name, info.name, sizeof req.name);
    return copy_out(t, arg, &req, sizeof req);
}

/* SIOCETHTOOL: what libpcap and monitoring programs ask of any interface; the rest is a driver's that has
 * nothing to tell (-EOPNOTSUPP). The commands are the kernel's linux/ethtool.h. */
enum { ETHTOOL_GET_LINK = 0xa, ETHTOOL_GET_TS_INFO = 0x41, TS_RX_SOFTWARE = 8, TS_SOFTWARE = 16 };

static int64_t ethtool(const struct nic_info *info, struct task *t, gva_t data) {
    struct {
        uint32_t cmd, number; /* link: up; time stamps: SOF_TIMESTAMPING_* */
        int32_t clock;
        uint32_t zeros[8];
    } reply = {.clock = -1};
    int r = copy_in(t, &reply.cmd, data, sizeof reply.cmd);

    if (r < 0)
        return r;
    switch (reply.cmd) {
    case ETHTOOL_GET_LINK:
        reply.number = (info->flags & NS_IFF_RUNNING) != 0;
        return copy_out(t, data, &reply, 2 * sizeof(uint32_t));
    case ETHTOOL_GET_TS_INFO:
        reply.number = TS_RX_SOFTWARE | TS_SOFTWARE;
        return copy_out(t, data, &reply, sizeof reply);
    default:
        return -EOPNOTSUPP;
    }
}

static int64_t ethtool_ioctl(struct net_namespace *net, struct task *t, gva_t arg) {
    struct nic_info info;
    struct ifreq req;
    int r = copy_in(t, &req, arg, sizeof req);

    if (r < 0)
        return r;
    req.name[sizeof req.name - 1] = '\0';
    network_config_lock(net->kernel);
    struct nic *nic = nic_by_name(net->netns, req.name);
    if (nic)
        nic_info(nic, &info);
    network_config_unlock(net->kernel);
    return nic ? ethtool(&info, t, req.u.data) : -ENODEV;
}

int64_t netdev_ioctl(struct net_namespace *net, struct task *t, uint32_t cmd, uint64_t arg) {
    struct ifreq req;

    if (cmd == LINUX_SIOCGIFCONF)
        return get_conf(net, t, arg);
    if (cmd == LINUX_SIOCGIFNAME)
        return get_name(net, t, arg);
    if (cmd == LINUX_SIOCETHTOOL)
        return ethtool_ioctl(net, t, arg);
    if (!is_get(cmd) && !is_set(cmd))
        return -ENOTTY;
    int r = copy_in(t, &req, arg, sizeof req);
    if (r < 0)
        return r;
    req.name[sizeof req.name - 1] = '\0';
    char *alias = strchr(req.name, ':'); /* "eth0:1": the old names of further addresses */
    if (alias)
        *alias = '\0';
    if (is_set(cmd) && !task_capable_in(t, net->user_ns, CAP_NET_ADMIN_NR))
        return -EPERM;
    network_config_lock(net->kernel);
    struct nic *nic = nic_by_name(net->netns, req.name);
    struct rtnl_watch watch;
    if (!nic) {
        r = -ENODEV;
    } else if (is_get(cmd)) {
        r = get_one(nic, cmd, &req);
    } else {
        rtnl_watch_begin(&watch, net);
        r = set_one(nic, cmd, &req);
        rtnl_watch_end(&watch);
    }
    network_config_unlock(net->kernel);
    if (alias)
        *alias = ':';
    return r < 0 || is_set(cmd) ? r : copy_out(t, arg, &req, sizeof req);
}

/* ---- one socket ---- */

static int64_t get_stamp(struct inet_socket *s, struct task *t, uint32_t cmd, gva_t arg) {
    int64_t ns = nsock_last_stamp(s->nsock);

    if (ns == 0)
        return -ENOENT;
    struct linux_timespec ts = {.sec = ns / 1000000000,
                                .nsec = cmd == LINUX_SIOCGSTAMP ? ns % 1000000000 / 1000 : ns % 1000000000};
    return copy_out(t, arg, &ts, sizeof ts);
}

int64_t inet_op_ioctl(struct socket *base, struct task *t, uint32_t cmd, uint64_t arg) {
    struct inet_socket *s = inet_of(base);
    int32_t number;

    switch (cmd) {
    case LINUX_FIONREAD:
        number = nsock_inq(s->nsock);
        break;
    case LINUX_SIOCOUTQ:
        number = nsock_outq(s->nsock);
        break;
    case LINUX_SIOCOUTQNSD:
        number = base->type == LINUX_SOCK_STREAM ? nsock_outq_unsent(s->nsock) : -ENOTTY;
        break;
    case LINUX_SIOCATMARK:
        number = base->type == LINUX_SOCK_STREAM ? nsock_at_mark(s->nsock) : -ENOTTY;
        break;
    case LINUX_SIOCGSTAMP:
    case LINUX_SIOCGSTAMPNS:
        return get_stamp(s, t, cmd, arg);
    default:
        return netdev_ioctl(s->net, t, cmd, arg);
    }
    return number < 0 ? number : copy_out(t, arg, &number, sizeof number);
}
