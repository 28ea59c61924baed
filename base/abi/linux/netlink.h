/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/netlink.h: guest ABI: netlink(7), rtnetlink(7), sock_diag(7), generic netlink.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* protocols */
#define LINUX_NETLINK_ROUTE          0
#define LINUX_NETLINK_USERSOCK       2
#define LINUX_NETLINK_SOCK_DIAG      4
#define LINUX_NETLINK_NETFILTER      12
#define LINUX_NETLINK_KOBJECT_UEVENT 15
#define LINUX_NETLINK_GENERIC        16

struct linux_nlmsghdr {
    uint32_t len; /* with this header, without padding */
    uint16_t type, flags;
    uint32_t seq, pid;
};
ABI_SIZE(linux_nlmsghdr, 16);
#define LINUX_NLMSG_ALIGN(n) (((n) + 3u) & ~3u)

#define LINUX_NLM_F_REQUEST       0x1
#define LINUX_NLM_F_MULTI         0x2
#define LINUX_NLM_F_ACK           0x4
#define LINUX_NLM_F_ECHO          0x8
#define LINUX_NLM_F_DUMP_FILTERED 0x20
#define LINUX_NLM_F_ROOT          0x100
#define LINUX_NLM_F_MATCH         0x200
#define LINUX_NLM_F_DUMP          0x300
#define LINUX_NLM_F_REPLACE       0x100
#define LINUX_NLM_F_EXCL          0x200
#define LINUX_NLM_F_CREATE        0x400
#define LINUX_NLM_F_APPEND        0x800
#define LINUX_NLM_F_CAPPED        0x100

#define LINUX_NLMSG_NOOP     1
#define LINUX_NLMSG_ERROR    2
#define LINUX_NLMSG_DONE     3
#define LINUX_NLMSG_MIN_TYPE 16

/* options of SOL_NETLINK */
#define LINUX_NETLINK_ADD_MEMBERSHIP   1
#define LINUX_NETLINK_DROP_MEMBERSHIP  2
#define LINUX_NETLINK_PKTINFO          3
#define LINUX_NETLINK_BROADCAST_ERROR  4
#define LINUX_NETLINK_NO_ENOBUFS       5
#define LINUX_NETLINK_LISTEN_ALL_NSID  8
#define LINUX_NETLINK_LIST_MEMBERSHIPS 9
#define LINUX_NETLINK_CAP_ACK          10
#define LINUX_NETLINK_EXT_ACK          11
#define LINUX_NETLINK_GET_STRICT_CHK   12

struct linux_nlattr {
    uint16_t len, type;
};
#define LINUX_NLA_F_NESTED  0x8000
#define LINUX_NLA_TYPE_MASK 0x3fff

/* rtnetlink(7) */
#define LINUX_RTM_NEWLINK      16
#define LINUX_RTM_DELLINK      17
#define LINUX_RTM_GETLINK      18
#define LINUX_RTM_SETLINK      19
#define LINUX_RTM_NEWADDR      20
#define LINUX_RTM_DELADDR      21
#define LINUX_RTM_GETADDR      22
#define LINUX_RTM_NEWROUTE     24
#define LINUX_RTM_DELROUTE     25
#define LINUX_RTM_GETROUTE     26
#define LINUX_RTM_NEWNEIGH     28
#define LINUX_RTM_DELNEIGH     29
#define LINUX_RTM_GETNEIGH     30
#define LINUX_RTM_NEWRULE      32
#define LINUX_RTM_DELRULE      33
#define LINUX_RTM_GETRULE      34
#define LINUX_RTM_GETQDISC     38
#define LINUX_RTM_GETTCLASS    42
#define LINUX_RTM_GETTFILTER   46
#define LINUX_RTM_GETMULTICAST 58
#define LINUX_RTM_GETANYCAST   62
#define LINUX_RTM_GETNEIGHTBL  66
#define LINUX_RTM_GETADDRLABEL 74
#define LINUX_RTM_GETNETCONF   82
#define LINUX_RTM_NEWNSID      88
#define LINUX_RTM_GETNSID      90
#define LINUX_NETNSA_NSID      1
#define LINUX_RTM_GETNEXTHOP   106

#define LINUX_RTNLGRP_LINK        1
#define LINUX_RTNLGRP_NEIGH       3
#define LINUX_RTNLGRP_IPV4_IFADDR 5
#define LINUX_RTNLGRP_IPV4_ROUTE  7
#define LINUX_RTNLGRP_IPV4_RULE   8
#define LINUX_RTNLGRP_IPV6_IFADDR 9
#define LINUX_RTNLGRP_IPV6_ROUTE  11
#define LINUX_RTNLGRP_IPV6_RULE   19

struct linux_ifinfomsg {
    uint8_t family, pad;
    uint16_t type;
    int32_t index;
    uint32_t flags, change;
};
ABI_SIZE(linux_ifinfomsg, 16);

#define LINUX_IFLA_ADDRESS           1
#define LINUX_IFLA_BROADCAST         2
#define LINUX_IFLA_IFNAME            3
#define LINUX_IFLA_MTU               4
#define LINUX_IFLA_LINK              5
#define LINUX_IFLA_QDISC             6
#define LINUX_IFLA_STATS             7
#define LINUX_IFLA_MASTER            10
#define LINUX_IFLA_TXQLEN            13
#define LINUX_IFLA_OPERSTATE         16
#define LINUX_IFLA_LINKMODE          17
#define LINUX_IFLA_LINKINFO          18
#define LINUX_IFLA_NET_NS_PID        19
#define LINUX_IFLA_STATS64           23
#define LINUX_IFLA_AF_SPEC           26
#define LINUX_IFLA_GROUP             27
#define LINUX_IFLA_NET_NS_FD         28
#define LINUX_IFLA_EXT_MASK          29
#define LINUX_IFLA_PROMISCUITY       30
#define LINUX_IFLA_NUM_TX_QUEUES     31
#define LINUX_IFLA_NUM_RX_QUEUES     32
#define LINUX_IFLA_CARRIER           33
#define LINUX_IFLA_ALT_IFNAME        53
#define LINUX_IFLA_INFO_KIND         1
#define LINUX_IFLA_INFO_DATA         2
#define LINUX_VETH_INFO_PEER         1
#define LINUX_IF_OPER_UNKNOWN        0
#define LINUX_IF_OPER_DOWN           2
#define LINUX_IF_OPER_LOWERLAYERDOWN 3
#define LINUX_IF_OPER_UP             6

struct linux_ifaddrmsg {
    uint8_t family, prefix_len, flags, scope;
    uint32_t index;
};
ABI_SIZE(linux_ifaddrmsg, 8);

#define LINUX_IFA_ADDRESS   1
#define LINUX_IFA_LOCAL     2
#define LINUX_IFA_LABEL     3
#define LINUX_IFA_BROADCAST 4
#define LINUX_IFA_CACHEINFO 6
#define LINUX_IFA_FLAGS     8

struct linux_rtmsg {
    uint8_t family, dst_len, src_len, tos, table, protocol, scope, type;
    uint32_t flags;
};
ABI_SIZE(linux_rtmsg, 12);

#define LINUX_RTA_DST         1
#define LINUX_RTA_SRC         2
#define LINUX_RTA_IIF         3
#define LINUX_RTA_OIF         4
#define LINUX_RTA_GATEWAY     5
#define LINUX_RTA_PRIORITY    6
#define LINUX_RTA_PREFSRC     7
#define LINUX_RTA_METRICS     8
#define LINUX_RTA_MULTIPATH   9
#define LINUX_RTA_CACHEINFO   12
#define LINUX_RTA_TABLE       15
#define LINUX_RTA_MARK        16
#define LINUX_RTA_VIA         18
#define LINUX_RTA_PREF        20
#define LINUX_RTA_UID         25
#define LINUX_RTAX_MTU        2
#define LINUX_RTAX_ADVMSS     8
#define LINUX_RTNH_F_ONLINK   4
#define LINUX_RTNH_F_LINKDOWN 16
#define LINUX_RTM_F_CLONED    0x200

struct linux_ndmsg {
    uint8_t family, pad1;
    uint16_t pad2;
    int32_t ifindex;
    uint16_t state;
    uint8_t flags, type;
};
ABI_SIZE(linux_ndmsg, 12);

#define LINUX_NDA_DST       1
#define LINUX_NDA_LLADDR    2
#define LINUX_NDA_CACHEINFO 3
#define LINUX_NDA_PROBES    4

struct linux_fib_rule_hdr {
    uint8_t family, dst_len, src_len, tos, table, res1, res2, action;
    uint32_t flags;
};
ABI_SIZE(linux_fib_rule_hdr, 12);

#define LINUX_FRA_DST                1
#define LINUX_FRA_SRC                2
#define LINUX_FRA_IIFNAME            3
#define LINUX_FRA_PRIORITY           6
#define LINUX_FRA_FWMARK             10
#define LINUX_FRA_SUPPRESS_PREFIXLEN 14
#define LINUX_FRA_TABLE              15
#define LINUX_FRA_FWMASK             16
#define LINUX_FRA_OIFNAME            17
#define LINUX_FRA_PROTOCOL           21

/* sock_diag(7) */
#define LINUX_SOCK_DIAG_BY_FAMILY 20
#define LINUX_SOCK_DESTROY        21

struct linux_inet_diag_sockid {
    uint16_t sport, dport; /* network order */
    uint32_t src[4], dst[4];
    uint32_t ifindex, cookie[2];
};
ABI_SIZE(linux_inet_diag_sockid, 48);

struct linux_inet_diag_req_v2 {
    uint8_t family, protocol, ext, pad;
    uint32_t states;
    struct linux_inet_diag_sockid id;
};
ABI_SIZE(linux_inet_diag_req_v2, 56);

struct linux_inet_diag_msg {
    uint8_t family, state, timer, retrans;
    struct linux_inet_diag_sockid id;
    uint32_t expires, rqueue, wqueue, uid, inode;
};
ABI_SIZE(linux_inet_diag_msg, 72);

#define LINUX_INET_DIAG_MEMINFO   1
#define LINUX_INET_DIAG_INFO      2
#define LINUX_INET_DIAG_CONG      4
#define LINUX_INET_DIAG_SKMEMINFO 7
#define LINUX_INET_DIAG_SHUTDOWN  8
#define LINUX_INET_DIAG_SKV6ONLY  11

/* generic netlink */
#define LINUX_GENL_ID_CTRL 16
struct linux_genlmsghdr {
    uint8_t cmd, version;
    uint16_t reserved;
};
#define LINUX_CTRL_CMD_NEWFAMILY    1
#define LINUX_CTRL_CMD_GETFAMILY    3
#define LINUX_CTRL_ATTR_FAMILY_ID   1
#define LINUX_CTRL_ATTR_FAMILY_NAME 2
#define LINUX_CTRL_ATTR_VERSION     3
#define LINUX_CTRL_ATTR_HDRSIZE     4
#define LINUX_CTRL_ATTR_MAXATTR     5
