/* SPDX-License-Identifier: Apache-2.0
 * base/abi/linux/socket.h: guest ABI, x86-64: sockets: addresses, messages, options.
 */
#pragma once

#include "base/abi/linux/abi.h"

/* families */
#define LINUX_AF_UNSPEC    0
#define LINUX_AF_LOCAL     1
#define LINUX_AF_UNIX      1
#define LINUX_AF_INET      2
#define LINUX_AF_INET6     10
#define LINUX_AF_NETLINK   16
#define LINUX_AF_PACKET    17
#define LINUX_AF_BLUETOOTH 31
#define LINUX_AF_ALG       38
#define LINUX_AF_VSOCK     40
#define LINUX_AF_MAX       46

/* types and flags */
#define LINUX_SOCK_STREAM    1
#define LINUX_SOCK_DGRAM     2
#define LINUX_SOCK_RAW       3
#define LINUX_SOCK_RDM       4
#define LINUX_SOCK_SEQPACKET 5
#define LINUX_SOCK_PACKET    10
#define LINUX_SOCK_CLOEXEC   02000000
#define LINUX_SOCK_NONBLOCK  04000

/* levels */
#define LINUX_SOL_RAW     255
#define LINUX_SOL_PACKET  263
#define LINUX_SOL_NETLINK 270
#define LINUX_SOL_SOCKET  1
#define LINUX_SOL_IP      0
#define LINUX_SOL_IPV6    41
#define LINUX_SOL_TCP     6
#define LINUX_SOL_UDP     17

/* options of SOL_SOCKET */
#define LINUX_SO_DEBUG                         1
#define LINUX_SO_REUSEADDR                     2
#define LINUX_SO_TYPE                          3
#define LINUX_SO_ERROR                         4
#define LINUX_SO_DONTROUTE                     5
#define LINUX_SO_BROADCAST                     6
#define LINUX_SO_SNDBUF                        7
#define LINUX_SO_RCVBUF                        8
#define LINUX_SO_SNDBUFFORCE                   32
#define LINUX_SO_RCVBUFFORCE                   33
#define LINUX_SO_KEEPALIVE                     9
#define LINUX_SO_OOBINLINE                     10
#define LINUX_SO_NO_CHECK                      11
#define LINUX_SO_PRIORITY                      12
#define LINUX_SO_LINGER                        13
#define LINUX_SO_BSDCOMPAT                     14
#define LINUX_SO_REUSEPORT                     15
#define LINUX_SO_PASSCRED                      16
#define LINUX_SO_PEERCRED                      17
#define LINUX_SO_RCVLOWAT                      18
#define LINUX_SO_SNDLOWAT                      19
#define LINUX_SO_RCVTIMEO_OLD                  20
#define LINUX_SO_SNDTIMEO_OLD                  21
#define LINUX_SO_SECURITY_AUTHENTICATION       22
#define LINUX_SO_SECURITY_ENCRYPTION_TRANSPORT 23
#define LINUX_SO_SECURITY_ENCRYPTION_NETWORK   24
#define LINUX_SO_BINDTODEVICE                  25
#define LINUX_SO_ATTACH_FILTER                 26
#define LINUX_SO_DETACH_FILTER                 27
#define LINUX_SO_GET_FILTER                    26
#define LINUX_SO_PEERNAME                      28
#define LINUX_SO_ACCEPTCONN                    30
#define LINUX_SO_PEERSEC                       31
#define LINUX_SO_PASSSEC                       34
#define LINUX_SO_MARK                          36
#define LINUX_SO_PROTOCOL                      38
#define LINUX_SO_DOMAIN                        39
#define LINUX_SO_RXQ_OVFL                      40
#define LINUX_SO_WIFI_STATUS                   41
#define LINUX_SO_PEEK_OFF                      42
#define LINUX_SO_NOFCS                         43
#define LINUX_SO_LOCK_FILTER                   44
#define LINUX_SO_SELECT_ERR_QUEUE              45
#define LINUX_SO_BUSY_POLL                     46
#define LINUX_SO_MAX_PACING_RATE               47
#define LINUX_SO_BPF_EXTENSIONS                48
#define LINUX_SO_INCOMING_CPU                  49
#define LINUX_SO_ATTACH_BPF                    50
#define LINUX_SO_DETACH_BPF                    27
#define LINUX_SO_ATTACH_REUSEPORT_CBPF         51
#define LINUX_SO_ATTACH_REUSEPORT_EBPF         52
#define LINUX_SO_CNX_ADVICE                    53
#define LINUX_SO_MEMINFO                       55
#define LINUX_SO_INCOMING_NAPI_ID              56
#define LINUX_SO_COOKIE                        57
#define LINUX_SO_PEERGROUPS                    59
#define LINUX_SO_ZEROCOPY                      60
#define LINUX_SO_TXTIME                        61
#define LINUX_SO_BINDTOIFINDEX                 62
#define LINUX_SO_TIMESTAMP_OLD                 29
#define LINUX_SO_TIMESTAMPNS_OLD               35
#define LINUX_SO_TIMESTAMPING_OLD              37
#define LINUX_SO_TIMESTAMP_NEW                 63
#define LINUX_SO_TIMESTAMPNS_NEW               64
#define LINUX_SO_TIMESTAMPING_NEW              65
#define LINUX_SO_RCVTIMEO_NEW                  66
#define LINUX_SO_SNDTIMEO_NEW                  67
#define LINUX_SO_DETACH_REUSEPORT_BPF          68
#define LINUX_SO_PREFER_BUSY_POLL              69
#define LINUX_SO_BUSY_POLL_BUDGET              70
#define LINUX_SO_NETNS_COOKIE                  71
#define LINUX_SO_BUF_LOCK                      72
#define LINUX_SO_RESERVE_MEM                   73
#define LINUX_SO_TXREHASH                      74
#define LINUX_SO_RCVMARK                       75
#define LINUX_SO_TIMESTAMP                     29
#define LINUX_SO_TIMESTAMPNS                   35
#define LINUX_SO_TIMESTAMPING                  37
#define LINUX_SO_RCVTIMEO                      20
#define LINUX_SO_SNDTIMEO                      21

/* send(2) and recv(2) flags */
#define LINUX_MSG_OOB          0x1
#define LINUX_MSG_PEEK         0x2
#define LINUX_MSG_DONTROUTE    0x4
#define LINUX_MSG_CTRUNC       0x8
#define LINUX_MSG_PROXY        0x10
#define LINUX_MSG_TRUNC        0x20
#define LINUX_MSG_DONTWAIT     0x40
#define LINUX_MSG_EOR          0x80
#define LINUX_MSG_WAITALL      0x100
#define LINUX_MSG_FIN          0x200
#define LINUX_MSG_SYN          0x400
#define LINUX_MSG_CONFIRM      0x800
#define LINUX_MSG_RST          0x1000
#define LINUX_MSG_ERRQUEUE     0x2000
#define LINUX_MSG_NOSIGNAL     0x4000
#define LINUX_MSG_MORE         0x8000
#define LINUX_MSG_WAITFORONE   0x10000
#define LINUX_MSG_BATCH        0x40000
#define LINUX_MSG_ZEROCOPY     0x4000000
#define LINUX_MSG_FASTOPEN     0x20000000
#define LINUX_MSG_CMSG_CLOEXEC 0x40000000

/* control messages, shutdown(2), limits */
#define LINUX_SCM_RIGHTS                 1
#define LINUX_SCM_WIFI_STATUS            41
#define LINUX_SCM_TIMESTAMPING_OPT_STATS 54
#define LINUX_SCM_TIMESTAMPING_PKTINFO   58
#define LINUX_SCM_TXTIME                 61
#define LINUX_SCM_TIMESTAMP              29
#define LINUX_SCM_TIMESTAMPNS            35
#define LINUX_SCM_TIMESTAMPING           37
#define LINUX_SHUT_RD                    0
#define LINUX_SHUT_WR                    1
#define LINUX_SHUT_RDWR                  2
#define LINUX_SOMAXCONN                  4096

/* protocols */
#define LINUX_IPPROTO_IP      0
#define LINUX_IPPROTO_ICMP    1
#define LINUX_IPPROTO_IGMP    2
#define LINUX_IPPROTO_TCP     6
#define LINUX_IPPROTO_UDP     17
#define LINUX_IPPROTO_IPV6    41
#define LINUX_IPPROTO_SCTP    132
#define LINUX_IPPROTO_UDPLITE 136
#define LINUX_IPPROTO_RAW     255
#define LINUX_IPPROTO_ICMPV6  58

/* options of SOL_TCP */
#define LINUX_TCP_NODELAY              1
#define LINUX_TCP_CORK                 3
#define LINUX_TCP_KEEPIDLE             4
#define LINUX_TCP_KEEPINTVL            5
#define LINUX_TCP_KEEPCNT              6
#define LINUX_TCP_SYNCNT               7
#define LINUX_TCP_LINGER2              8
#define LINUX_TCP_DEFER_ACCEPT         9
#define LINUX_TCP_WINDOW_CLAMP         10
#define LINUX_TCP_INFO                 11
#define LINUX_TCP_QUICKACK             12
#define LINUX_TCP_CONGESTION           13
#define LINUX_TCP_COOKIE_TRANSACTIONS  15
#define LINUX_TCP_THIN_LINEAR_TIMEOUTS 16
#define LINUX_TCP_THIN_DUPACK          17
#define LINUX_TCP_USER_TIMEOUT         18
#define LINUX_TCP_REPAIR               19
#define LINUX_TCP_QUEUE_SEQ            21
#define LINUX_TCP_FASTOPEN             23
#define LINUX_TCP_TIMESTAMP            24
#define LINUX_TCP_NOTSENT_LOWAT        25
#define LINUX_TCP_CC_INFO              26
#define LINUX_TCP_SAVE_SYN             27
#define LINUX_TCP_SAVED_SYN            28
#define LINUX_TCP_FASTOPEN_CONNECT     30
#define LINUX_TCP_ULP                  31
#define LINUX_TCP_FASTOPEN_KEY         33
#define LINUX_TCP_FASTOPEN_NO_COOKIE   34
#define LINUX_TCP_ZEROCOPY_RECEIVE     35
#define LINUX_TCP_INQ                  36
#define LINUX_TCP_CM_INQ               36
#define LINUX_TCP_TX_DELAY             37

/* options of SOL_IP */
#define LINUX_IP_OPTIONS                4
#define LINUX_IP_HDRINCL                3
#define LINUX_IP_TOS                    1
#define LINUX_IP_TTL                    2
#define LINUX_IP_RECVOPTS               6
#define LINUX_IP_RECVRETOPTS            7
#define LINUX_IP_RETOPTS                7
#define LINUX_IP_ROUTER_ALERT           5
#define LINUX_IP_PKTINFO                8
#define LINUX_IP_PKTOPTIONS             9
#define LINUX_IP_PMTUDISC               10
#define LINUX_IP_MTU_DISCOVER           10
#define LINUX_IP_RECVERR                11
#define LINUX_IP_RECVTTL                12
#define LINUX_IP_RECVTOS                13
#define LINUX_IP_MTU                    14
#define LINUX_IP_FREEBIND               15
#define LINUX_IP_IPSEC_POLICY           16
#define LINUX_IP_XFRM_POLICY            17
#define LINUX_IP_PASSSEC                18
#define LINUX_IP_TRANSPARENT            19
#define LINUX_IP_ORIGDSTADDR            20
#define LINUX_IP_RECVORIGDSTADDR        20
#define LINUX_IP_MINTTL                 21
#define LINUX_IP_NODEFRAG               22
#define LINUX_IP_CHECKSUM               23
#define LINUX_IP_BIND_ADDRESS_NO_PORT   24
#define LINUX_IP_RECVFRAGSIZE           25
#define LINUX_IP_RECVERR_RFC4884        26
#define LINUX_IP_PMTUDISC_DONT          0
#define LINUX_IP_PMTUDISC_WANT          1
#define LINUX_IP_PMTUDISC_DO            2
#define LINUX_IP_PMTUDISC_PROBE         3
#define LINUX_IP_PMTUDISC_INTERFACE     4
#define LINUX_IP_PMTUDISC_OMIT          5
#define LINUX_IP_MULTICAST_IF           32
#define LINUX_IP_MULTICAST_TTL          33
#define LINUX_IP_MULTICAST_LOOP         34
#define LINUX_IP_ADD_MEMBERSHIP         35
#define LINUX_IP_DROP_MEMBERSHIP        36
#define LINUX_IP_UNBLOCK_SOURCE         37
#define LINUX_IP_BLOCK_SOURCE           38
#define LINUX_IP_ADD_SOURCE_MEMBERSHIP  39
#define LINUX_IP_DROP_SOURCE_MEMBERSHIP 40
#define LINUX_IP_MSFILTER               41
#define LINUX_IP_MULTICAST_ALL          49
#define LINUX_IP_UNICAST_IF             50
#define LINUX_IP_DEFAULT_MULTICAST_TTL  1
#define LINUX_IP_DEFAULT_MULTICAST_LOOP 1
#define LINUX_IP_MAX_MEMBERSHIPS        20

/* options of SOL_IPV6 */
#define LINUX_IPV6_ADDRFORM             1
#define LINUX_IPV6_2292PKTINFO          2
#define LINUX_IPV6_2292HOPOPTS          3
#define LINUX_IPV6_2292DSTOPTS          4
#define LINUX_IPV6_2292RTHDR            5
#define LINUX_IPV6_2292PKTOPTIONS       6
#define LINUX_IPV6_CHECKSUM             7
#define LINUX_IPV6_2292HOPLIMIT         8
#define LINUX_IPV6_NEXTHOP              9
#define LINUX_IPV6_AUTHHDR              10
#define LINUX_IPV6_UNICAST_HOPS         16
#define LINUX_IPV6_MULTICAST_IF         17
#define LINUX_IPV6_MULTICAST_HOPS       18
#define LINUX_IPV6_MULTICAST_LOOP       19
#define LINUX_IPV6_JOIN_GROUP           20
#define LINUX_IPV6_LEAVE_GROUP          21
#define LINUX_IPV6_ROUTER_ALERT         22
#define LINUX_IPV6_MTU_DISCOVER         23
#define LINUX_IPV6_MTU                  24
#define LINUX_IPV6_RECVERR              25
#define LINUX_IPV6_V6ONLY               26
#define LINUX_IPV6_JOIN_ANYCAST         27
#define LINUX_IPV6_LEAVE_ANYCAST        28
#define LINUX_IPV6_MULTICAST_ALL        29
#define LINUX_IPV6_ROUTER_ALERT_ISOLATE 30
#define LINUX_IPV6_RECVERR_RFC4884      31
#define LINUX_IPV6_IPSEC_POLICY         34
#define LINUX_IPV6_XFRM_POLICY          35
#define LINUX_IPV6_RECVPKTINFO          49
#define LINUX_IPV6_PKTINFO              50
#define LINUX_IPV6_RECVHOPLIMIT         51
#define LINUX_IPV6_HOPLIMIT             52
#define LINUX_IPV6_RECVHOPOPTS          53
#define LINUX_IPV6_HOPOPTS              54
#define LINUX_IPV6_RTHDRDSTOPTS         55
#define LINUX_IPV6_RECVRTHDR            56
#define LINUX_IPV6_RTHDR                57
#define LINUX_IPV6_RECVDSTOPTS          58
#define LINUX_IPV6_RECVPATHMTU          60
#define LINUX_IPV6_PATHMTU              61
#define LINUX_IPV6_DONTFRAG             62
#define LINUX_IPV6_RECVTCLASS           66
#define LINUX_IPV6_TCLASS               67
#define LINUX_IPV6_AUTOFLOWLABEL        70
#define LINUX_IPV6_ADDR_PREFERENCES     72
#define LINUX_IPV6_MINHOPCOUNT          73
#define LINUX_IPV6_ORIGDSTADDR          74
#define LINUX_IPV6_RECVORIGDSTADDR      74
#define LINUX_IPV6_TRANSPARENT          75
#define LINUX_IPV6_UNICAST_IF           76
#define LINUX_IPV6_RECVFRAGSIZE         77
#define LINUX_IPV6_FREEBIND             78
#define LINUX_IPV6_ADD_MEMBERSHIP       20
#define LINUX_IPV6_DROP_MEMBERSHIP      21
#define LINUX_IPV6_RXHOPOPTS            54
#define LINUX_IPV6_RXDSTOPTS            59

#define LINUX_SCM_CREDENTIALS 2
#define LINUX_SCM_MAX_FD      253

struct linux_sockaddr {
    uint16_t family;
    char data[14];
};
ABI_SIZE(linux_sockaddr, 16);

struct linux_sockaddr_storage {
    uint16_t family;
    char data[118];
    uint64_t align;
};
ABI_SIZE(linux_sockaddr_storage, 128);

#define LINUX_UNIX_PATH_MAX 108
struct linux_sockaddr_un {
    uint16_t family;
    char path[LINUX_UNIX_PATH_MAX];
};
ABI_SIZE(linux_sockaddr_un, 110);

/* Ports and addresses of the internet families are in network byte order. */
struct linux_sockaddr_in {
    uint16_t family, port;
    uint32_t addr;
    uint8_t zero[8];
};
ABI_SIZE(linux_sockaddr_in, 16);

struct linux_sockaddr_in6 {
    uint16_t family, port;
    uint32_t flowinfo;
    uint8_t addr[16];
    uint32_t scope_id;
};
ABI_SIZE(linux_sockaddr_in6, 28);

struct linux_sockaddr_nl {
    uint16_t family, pad;
    uint32_t pid, groups;
};
ABI_SIZE(linux_sockaddr_nl, 12);

struct linux_sockaddr_ll {
    uint16_t family, protocol;
    int32_t ifindex;
    uint16_t hatype;
    uint8_t pkttype, halen, addr[8];
};
ABI_SIZE(linux_sockaddr_ll, 20);

struct linux_msghdr {
    uint64_t name;
    int32_t namelen;
    uint64_t iov, iovlen, control, controllen;
    uint32_t flags;
};
ABI_SIZE(linux_msghdr, 56);
ABI_OFFSET(linux_msghdr, iov, 16);
ABI_OFFSET(linux_msghdr, flags, 48);

struct linux_mmsghdr {
    struct linux_msghdr hdr;
    uint32_t len;
};
ABI_SIZE(linux_mmsghdr, 64);
ABI_OFFSET(linux_mmsghdr, len, 56);

struct linux_cmsghdr {
    uint64_t len; /* with this header, without padding */
    int32_t level, type;
};
ABI_SIZE(linux_cmsghdr, 16);
#define LINUX_CMSG_ALIGN(len) (((len) + 7ull) & ~7ull)
#define LINUX_CMSG_LEN(len)   (sizeof(struct linux_cmsghdr) + (len))
#define LINUX_CMSG_SPACE(len) (sizeof(struct linux_cmsghdr) + LINUX_CMSG_ALIGN(len))

struct linux_ucred {
    int32_t pid;
    uint32_t uid, gid;
};
ABI_SIZE(linux_ucred, 12);

struct linux_linger {
    int32_t onoff, linger;
};
ABI_SIZE(linux_linger, 8);
