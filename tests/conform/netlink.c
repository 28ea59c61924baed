/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/netlink.c: network namespaces, rtnetlink, the SIOC* requests and /proc/net, each check in a
 * network namespace of its own, so as root. Sources: network_namespaces(7), netlink(7), rtnetlink(7),
 * netdevice(7), veth(4), proc(5).
 */
#include "conform.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void own_namespace(void) {
    if (!is_root())
        check_skip("network namespaces are root's");
    OK(unshare(CLONE_NEWNET));
}

static int route_socket(unsigned groups) {
    struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));

    OK(bind(fd, (void *)&a, sizeof a));
    return fd;
}

struct request {
    struct nlmsghdr h;
    char room[1024];
};

static void *begin(struct request *r, int type, int flags, size_t fixed) {
    memset(r, 0, sizeof *r);
    r->h = (struct nlmsghdr){.nlmsg_len = (unsigned)NLMSG_LENGTH(fixed),
                             .nlmsg_type = (unsigned short)type,
                             .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags),
                             .nlmsg_seq = 1};
    return NLMSG_DATA(&r->h);
}

static struct rtattr *attr(struct request *r, int type, const void *data, size_t size) {
    struct rtattr *a = (void *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

    a->rta_type = (unsigned short)type;
    a->rta_len = (unsigned short)RTA_LENGTH(size);
    if (size)
        memcpy(RTA_DATA(a), data, size);
    r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
    return a;
}

static void end_nest(struct request *r, struct rtattr *a) {
    a->rta_len = (unsigned short)((char *)r + r->h.nlmsg_len - (char *)a);
}

/* The error of the acknowledgement. */
static int talk(int fd, struct request *r) {
    char b[8192];

    r->h.nlmsg_flags |= NLM_F_ACK;
    EQ(send(fd, r, r->h.nlmsg_len, 0), r->h.nlmsg_len);
    for (;;) {
        int n = OK(recv(fd, b, sizeof b, 0));
        for (struct nlmsghdr *h = (void *)b; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n))
            if (h->nlmsg_type == NLMSG_ERROR)
                return -((struct nlmsgerr *)NLMSG_DATA(h))->error;
    }
}

static void print_link(struct nlmsghdr *h) {
    struct ifinfomsg *m = NLMSG_DATA(h);
    int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof *m));

    printf("link %d type %d flags %x:", m->ifi_index, m->ifi_type, m->ifi_flags);
    for (struct rtattr *a = IFLA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFLA_IFNAME)
            printf(" name %s", (char *)RTA_DATA(a));
        if (a->rta_type == IFLA_MTU)
            printf(" mtu %u", *(unsigned *)RTA_DATA(a));
        if (a->rta_type == IFLA_OPERSTATE)
            printf(" state %d", *(unsigned char *)RTA_DATA(a));
        if (a->rta_type == IFLA_LINK)
            printf(" peer %u", *(unsigned *)RTA_DATA(a));
    }
    printf("\n");
}

static void print_addr(struct nlmsghdr *h) {
    struct ifaddrmsg *m = NLMSG_DATA(h);
    int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof *m));
    char text[64];

    for (struct rtattr *a = IFA_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == IFA_ADDRESS)
            printf("address %s/%d scope %d on %d\n", inet_ntop(m->ifa_family, RTA_DATA(a), text, sizeof text),
                   m->ifa_prefixlen, m->ifa_scope, m->ifa_index);
}

static void print_route(struct nlmsghdr *h) {
    struct rtmsg *m = NLMSG_DATA(h);
    int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof *m));
    char text[64];

    printf("route /%d type %d scope %d table %d protocol %d", m->rtm_dst_len, m->rtm_type, m->rtm_scope,
           m->rtm_table, m->rtm_protocol);
    for (struct rtattr *a = RTM_RTA(m); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == RTA_DST || a->rta_type == RTA_GATEWAY || a->rta_type == RTA_PREFSRC)
            printf(" %d %s", a->rta_type, inet_ntop(m->rtm_family, RTA_DATA(a), text, sizeof text));
        if (a->rta_type == RTA_OIF || a->rta_type == RTA_PRIORITY)
            printf(" %d %u", a->rta_type, *(unsigned *)RTA_DATA(a));
    }
    printf("\n");
}

static void print_one(struct nlmsghdr *h) {
    if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK)
        print_link(h);
    else if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR)
        print_addr(h);
    else if (h->nlmsg_type == RTM_NEWROUTE)
        print_route(h);
}

static void dump(int fd, int type, int family) {
    char b[16384];
    struct request r;
    struct rtgenmsg *g = begin(&r, type, NLM_F_DUMP, sizeof(struct ifinfomsg));

    g->rtgen_family = (unsigned char)family;
    EQ(send(fd, &r, r.h.nlmsg_len, 0), r.h.nlmsg_len);
    for (;;) {
        int n = OK(recv(fd, b, sizeof b, 0));
        for (struct nlmsghdr *h = (void *)b; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return;
            TRUE(h->nlmsg_flags & NLM_F_MULTI);
            print_one(h);
        }
    }
}

static int set_up(int fd, const char *name, bool up) {
    struct request r;
    struct ifinfomsg *m = begin(&r, RTM_NEWLINK, 0, sizeof *m);

    m->ifi_index = (int)if_nametoindex(name);
    m->ifi_flags = up ? IFF_UP : 0;
    m->ifi_change = IFF_UP;
    return talk(fd, &r);
}

static int address(int fd, int type, int flags, const char *name, const char *ip, int prefix) {
    struct in_addr a = {inet_addr(ip)};
    struct request r;
    struct ifaddrmsg *m = begin(&r, type, flags, sizeof *m);

    *m = (struct ifaddrmsg){
        .ifa_family = AF_INET, .ifa_prefixlen = (unsigned char)prefix, .ifa_index = if_nametoindex(name)};
    attr(&r, IFA_LOCAL, &a, sizeof a);
    attr(&r, IFA_ADDRESS, &a, sizeof a);
    return talk(fd, &r);
}

static int veth(int fd, const char *one, const char *other) {
    struct ifinfomsg peer = {0};
    struct request r;

    begin(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
    attr(&r, IFLA_IFNAME, one, strlen(one) + 1);
    struct rtattr *info = attr(&r, IFLA_LINKINFO, NULL, 0);
    attr(&r, IFLA_INFO_KIND, "veth", 4);
    struct rtattr *data = attr(&r, IFLA_INFO_DATA, NULL, 0),
                  *p = attr(&r, VETH_INFO_PEER, &peer, sizeof peer);
    attr(&r, IFLA_IFNAME, other, strlen(other) + 1);
    end_nest(&r, p);
    end_nest(&r, data);
    end_nest(&r, info);
    return talk(fd, &r);
}

static int route(int fd, int type, int flags, const char *dst, int len, const char *gateway,
                 const char *dev) {
    struct in_addr d = {inet_addr(dst)}, g = {gateway ? inet_addr(gateway) : 0};
    unsigned oif = dev ? if_nametoindex(dev) : 0;
    struct request r;
    struct rtmsg *m = begin(&r, type, flags, sizeof *m);

    *m = (struct rtmsg){.rtm_family = AF_INET,
                        .rtm_dst_len = (unsigned char)len,
                        .rtm_table = RT_TABLE_MAIN,
                        .rtm_protocol = RTPROT_BOOT,
                        .rtm_type = RTN_UNICAST,
                        .rtm_scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK};
    if (type == RTM_DELROUTE)
        m->rtm_scope = RT_SCOPE_NOWHERE;
    if (len)
        attr(&r, RTA_DST, &d, sizeof d);
    if (gateway)
        attr(&r, RTA_GATEWAY, &g, sizeof g);
    if (oif)
        attr(&r, RTA_OIF, &oif, sizeof oif);
    return talk(fd, &r);
}

CHECK(a_new_namespace) {
    own_namespace();
    int fd = route_socket(0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int u = OK(socket(AF_INET, SOCK_DGRAM, 0));

    ERR(sendto(u, "x", 1, 0, (void *)&a, sizeof a), ENETUNREACH);
    dump(fd, RTM_GETADDR, 0);
    EQ(set_up(fd, "lo", true), 0);
    dump(fd, RTM_GETADDR, AF_INET);
    EQ(sendto(u, "x", 1, 0, (void *)&a, sizeof a), 1);
    EQ(if_nametoindex("lo"), 1);
    EQ(if_nametoindex("none"), 0);
}

CHECK(pairs) {
    own_namespace();
    int fd = route_socket(0);

    EQ(veth(fd, "left", "right"), 0);
    EQ(veth(fd, "left", "other"), EEXIST);
    EQ(address(fd, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "left", "10.1.2.3", 24), 0);
    EQ(address(fd, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "left", "10.1.2.3", 24), EEXIST);
    EQ(set_up(fd, "left", true), 0);
    EQ(set_up(fd, "right", true), 0);
    dump(fd, RTM_GETADDR, AF_INET);
    EQ(route(fd, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.9.0.0", 16, "10.1.2.1", NULL), 0);
    EQ(route(fd, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.9.0.0", 16, "10.1.2.1", NULL), EEXIST);
    EQ(route(fd, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, "10.8.0.0", 16, "172.16.0.1", NULL), ENETUNREACH);
    EQ(route(fd, RTM_DELROUTE, 0, "10.7.0.0", 16, NULL, NULL), ESRCH);
    EQ(route(fd, RTM_DELROUTE, 0, "10.9.0.0", 16, NULL, NULL), 0);
    EQ(address(fd, RTM_DELADDR, 0, "left", "10.1.2.3", 24), 0);
    EQ(address(fd, RTM_DELADDR, 0, "left", "10.1.2.3", 24), EADDRNOTAVAIL);
    struct request r;
    struct ifinfomsg *m = begin(&r, RTM_DELLINK, 0, sizeof *m);
    m->ifi_index = (int)if_nametoindex("left");
    EQ(talk(fd, &r), 0);
    EQ(if_nametoindex("right"), 0);
    m = begin(&r, RTM_DELLINK, 0, sizeof *m);
    m->ifi_index = 1;
    EQ(talk(fd, &r), EOPNOTSUPP);
    m = begin(&r, RTM_DELLINK, 0, sizeof *m);
    m->ifi_index = 99;
    EQ(talk(fd, &r), ENODEV);
}

CHECK(notifications) {
    char b[8192];
    own_namespace();
    int fd = route_socket(0), listening = route_socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR);

    ERR(recv(listening, b, sizeof b, MSG_DONTWAIT), EAGAIN);
    EQ(set_up(fd, "lo", true), 0);
    bool link = false, addr = false;
    for (int n; (n = (int)recv(listening, b, sizeof b, MSG_DONTWAIT)) > 0;) {
        struct nlmsghdr *h = (void *)b;
        link |= h->nlmsg_type == RTM_NEWLINK;
        addr |= h->nlmsg_type == RTM_NEWADDR;
    }
    TRUE(link && addr);
    EQ(address(fd, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "lo", "10.0.0.1", 8), 0);
    EQ(recv(listening, b, sizeof b, MSG_DONTWAIT) > 0, 1);
    print_one((void *)b);
    EQ(address(fd, RTM_DELADDR, 0, "lo", "10.0.0.1", 8), 0);
    EQ(recv(listening, b, sizeof b, MSG_DONTWAIT) > 0, 1);
    EQ(((struct nlmsghdr *)b)->nlmsg_type, RTM_DELADDR);
}

CHECK(sockets) {
    struct sockaddr_nl a;
    socklen_t len = sizeof a;
    char b[4096];

    ERR(socket(AF_NETLINK, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
    ERR(socket(AF_NETLINK, SOCK_RAW, 31), EPROTONOSUPPORT);
    int fd = OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    OK(getsockname(fd, (void *)&a, &len));
    EQ(a.nl_pid, 0);
    int x = route_socket(0), y = route_socket(0);
    OK(getsockname(x, (void *)&a, &len));
    EQ(a.nl_pid, getpid());
    int taken = (int)a.nl_pid;
    OK(getsockname(y, (void *)&a, &len));
    TRUE(a.nl_pid != (unsigned)taken);
    a.nl_pid = (unsigned)taken;
    ERR(bind(fd, (void *)&a, sizeof a), EADDRINUSE);
    ERR(bind(fd, (void *)&a, 4), EINVAL);
    struct request r;
    struct ifinfomsg *m = begin(&r, RTM_GETLINK, 0, sizeof *m);
    m->ifi_index = 9999;
    EQ(talk(x, &r), ENODEV);
    begin(&r, 4000, 0, 4);
    EQ(talk(x, &r), EOPNOTSUPP);
    m = begin(&r, RTM_GETLINK, 0, sizeof *m);
    m->ifi_index = 1;
    EQ(send(x, &r, r.h.nlmsg_len, 0), r.h.nlmsg_len);
    EQ(recv(x, b, 10, MSG_PEEK | MSG_TRUNC) > 100, 1);
    struct sockaddr_nl from;
    len = sizeof from;
    TRUE(recvfrom(x, b, sizeof b, 0, (void *)&from, &len) > 100);
    EQ(len, sizeof from);
    EQ(from.nl_pid, 0);
    if (is_root()) {
        become_nobody();
        m = begin(&r, RTM_NEWLINK, 0, sizeof *m);
        m->ifi_index = 1;
        m->ifi_change = IFF_UP;
        EQ(talk(x, &r), EPERM);
    }
}

CHECK(requests) {
    struct ifreq q = {0}, many[8];
    struct ifconf c = {.ifc_len = sizeof many, .ifc_req = many};

    own_namespace();
    int fd = route_socket(0), u = OK(socket(AF_INET, SOCK_DGRAM, 0));
    OK(ioctl(u, SIOCGIFCONF, &c));
    EQ(c.ifc_len, 0);
    strcpy(q.ifr_name, "lo");
    OK(ioctl(u, SIOCGIFFLAGS, &q));
    printf("flags %x\n", (unsigned short)q.ifr_flags);
    q.ifr_flags |= IFF_UP;
    OK(ioctl(u, SIOCSIFFLAGS, &q));
    OK(ioctl(u, SIOCGIFFLAGS, &q));
    printf("flags %x\n", (unsigned short)q.ifr_flags);
    OK(ioctl(u, SIOCGIFADDR, &q));
    STREQ(inet_ntoa(((struct sockaddr_in *)&q.ifr_addr)->sin_addr), "127.0.0.1");
    OK(ioctl(u, SIOCGIFNETMASK, &q));
    STREQ(inet_ntoa(((struct sockaddr_in *)&q.ifr_addr)->sin_addr), "255.0.0.0");
    OK(ioctl(u, SIOCGIFMTU, &q));
    EQ(q.ifr_mtu, 65536);
    OK(ioctl(u, SIOCGIFHWADDR, &q));
    EQ(q.ifr_hwaddr.sa_family, 772);
    OK(ioctl(u, SIOCGIFINDEX, &q));
    EQ(q.ifr_ifindex, 1);
    OK(ioctl(fd, SIOCGIFNAME, &q));
    STREQ(q.ifr_name, "lo");
    c.ifc_len = sizeof many;
    OK(ioctl(u, SIOCGIFCONF, &c));
    EQ(c.ifc_len, sizeof many[0]);
    STREQ(many[0].ifr_name, "lo");
    strcpy(q.ifr_name, "none");
    ERR(ioctl(u, SIOCGIFFLAGS, &q), ENODEV);
    EQ(veth(fd, "v0", "v1"), 0);
    strcpy(q.ifr_name, "v0");
    q.ifr_mtu = 1400;
    OK(ioctl(u, SIOCSIFMTU, &q));
    OK(ioctl(u, SIOCGIFMTU, &q));
    EQ(q.ifr_mtu, 1400);
    ERR(ioctl(u, SIOCGIFADDR, &q), EADDRNOTAVAIL);
    struct sockaddr_in *a = (void *)&q.ifr_addr;
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("10.20.30.40")};
    OK(ioctl(u, SIOCSIFADDR, &q));
    OK(ioctl(u, SIOCGIFNETMASK, &q));
    STREQ(inet_ntoa(a->sin_addr), "255.0.0.0");
    struct ifaddrs *list;
    OK(getifaddrs(&list));
    for (struct ifaddrs *i = list; i; i = i->ifa_next)
        if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
            printf("%s %s\n", i->ifa_name, inet_ntoa(((struct sockaddr_in *)i->ifa_addr)->sin_addr));
    ERR(ioctl(u, 0x8999, &q), ENOTTY);
    become_nobody();
    ERR(ioctl(u, SIOCSIFMTU, &q), EPERM);
}

CHECK(listings) {
    char text[8192];
    own_namespace();
    int fd = route_socket(0);

    EQ(set_up(fd, "lo", true), 0);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(4321), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int l = OK(socket(AF_INET, SOCK_STREAM, 0)), u = OK(socket(AF_INET, SOCK_DGRAM, 0)),
        c = OK(socket(AF_INET, SOCK_STREAM, 0));
    OK(bind(l, (void *)&a, sizeof a));
    OK(listen(l, 7));
    OK(bind(u, (void *)&a, sizeof a));
    OK(connect(c, (void *)&a, sizeof a));
    get_file("/proc/net/tcp", text, sizeof text);
    printf("%.60s", strchr(text, '\n') + 1); /* up to the queues */
    printf("\n");
    get_file("/proc/net/udp", text, sizeof text);
    TRUE(strstr(text, ": 0100007F:10E1 00000000:0000 07 00000000:00000000 00:00000000 00000000 ") != NULL);
    get_file("/proc/net/if_inet6", text, sizeof text);
    printf("%s", text);
    get_file("/proc/net/route", text, sizeof text);
    printf("%s", text);
    get_file("/proc/sys/net/ipv4/ip_local_port_range", text, sizeof text);
    printf("%s", text);
    put_file("/proc/sys/net/ipv4/ip_local_port_range", "20000 20010");
    a.sin_port = 0;
    int n = OK(socket(AF_INET, SOCK_STREAM, 0));
    socklen_t len = sizeof a;
    OK(bind(n, (void *)&a, sizeof a));
    OK(getsockname(n, (void *)&a, &len));
    TRUE(ntohs(a.sin_port) >= 20000 && ntohs(a.sin_port) <= 20010);
}

CHECK(entering) {
    char was[64], is[64], there[64];

    if (!is_root())
        check_skip("network namespaces are root's");
    int old = OK(open("/proc/self/ns/net", O_RDONLY));
    was[OK(readlink("/proc/self/ns/net", was, 63))] = '\0';
    OK(unshare(CLONE_NEWNET));
    is[OK(readlink("/proc/self/ns/net", is, 63))] = '\0';
    TRUE(strcmp(was, is) != 0);
    int fd = route_socket(0);
    EQ(veth(fd, "kept", "moved"), 0);
    OK(setns(old, CLONE_NEWNET));
    there[OK(readlink("/proc/self/ns/net", there, 63))] = '\0';
    STREQ(there, was);
    EQ(if_nametoindex("kept"), 0);
    TRUE(set_up(fd, "lo", true) == 0 || errno); /* the socket stays in its namespace */
    OK(unshare(CLONE_NEWNET));
    int here = OK(open("/proc/self/ns/net", O_RDONLY));
    struct request r;
    begin(&r, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
    attr(&r, IFLA_IFNAME, "moved", 6);
    attr(&r, IFLA_NET_NS_FD, &here, sizeof here);
    EQ(talk(fd, &r), 0);
    TRUE(if_nametoindex("moved") > 0);
}

CHECK(directories_of_interfaces) {
    char text[64];
    STREQ(get_file("/sys/class/net/lo/mtu", text, sizeof text), "65536\n");
    STREQ(get_file("/sys/class/net/lo/type", text, sizeof text), "772\n");
    ERR(access("/sys/class/net/nothing-such", F_OK), ENOENT);
    OK(access("/proc/sys/net/ipv4/conf/lo/forwarding", R_OK));
    ERR(access("/proc/sys/net/ipv4/conf/nothing-such", F_OK), ENOENT);
}
