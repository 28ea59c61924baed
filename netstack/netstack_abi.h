/* SPDX-License-Identifier: Apache-2.0
 * netstack/netstack_abi.h: numbers that the library shares with the Linux ABI, under its own names.
 *
 * The values are those of x86-64 Linux, so that the sentry's glue hands options, flags and states through.
 * They have their own prefix because netstack may not include libc's socket headers nor the sentry's.
 * Sources: socket(7), ip(7), ipv6(7), tcp(7), udp(7), packet(7), rtnetlink(7), poll(2).
 */
#pragma once

enum { NS_AF_UNSPEC = 0, NS_AF_INET = 2, NS_AF_INET6 = 10, NS_AF_PACKET = 17 };
enum { NS_SOCK_STREAM = 1, NS_SOCK_DGRAM = 2, NS_SOCK_RAW = 3 };
enum { NS_SHUT_RD = 0, NS_SHUT_WR = 1, NS_SHUT_RDWR = 2 };
enum { NS_IFNAMSIZ = 16 };
enum { NS_ARPHRD_ETHER = 1, NS_ARPHRD_LOOPBACK = 772, NS_ARPHRD_NONE = 0xfffe };

enum {
    NS_POLLIN = 0x1,
    NS_POLLPRI = 0x2,
    NS_POLLOUT = 0x4,
    NS_POLLERR = 0x8,
    NS_POLLHUP = 0x10,
    NS_POLLRDHUP = 0x2000,
};

enum {
    NS_MSG_OOB = 0x1,
    NS_MSG_PEEK = 0x2,
    NS_MSG_DONTROUTE = 0x4,
    NS_MSG_CTRUNC = 0x8,
    NS_MSG_TRUNC = 0x20,
    NS_MSG_EOR = 0x80,
    NS_MSG_MORE = 0x8000,
    NS_MSG_ERRQUEUE = 0x2000,
    NS_MSG_FASTOPEN = 0x20000000,
};

enum {
    NS_SOL_SOCKET = 1,
    NS_SOL_IP = 0,
    NS_SOL_TCP = 6,
    NS_SOL_UDP = 17,
    NS_SOL_IPV6 = 41,
    NS_SOL_RAW = 255,
    NS_SOL_PACKET = 263
};

enum {
    NS_SO_REUSEADDR = 2,
    NS_SO_TYPE = 3,
    NS_SO_ERROR = 4,
    NS_SO_DONTROUTE = 5,
    NS_SO_BROADCAST = 6,
    NS_SO_SNDBUF = 7,
    NS_SO_RCVBUF = 8,
    NS_SO_KEEPALIVE = 9,
    NS_SO_OOBINLINE = 10,
    NS_SO_PRIORITY = 12,
    NS_SO_LINGER = 13,
    NS_SO_REUSEPORT = 15,
    NS_SO_RCVLOWAT = 18,
    NS_SO_SNDLOWAT = 19,
    NS_SO_BINDTODEVICE = 25,
    NS_SO_TIMESTAMP = 29,
    NS_SO_ACCEPTCONN = 30,
    NS_SO_SNDBUFFORCE = 32,
    NS_SO_RCVBUFFORCE = 33,
    NS_SO_TIMESTAMPNS = 35,
    NS_SO_MARK = 36,
    NS_SO_PROTOCOL = 38,
    NS_SO_DOMAIN = 39,
    NS_SO_RXQ_OVFL = 40,
    NS_SO_MAX_PACING_RATE = 47,
    NS_SO_INCOMING_CPU = 49,
    NS_SO_BINDTOIFINDEX = 62,
};

enum {
    NS_IP_TOS = 1,
    NS_IP_TTL = 2,
    NS_IP_HDRINCL = 3,
    NS_IP_PKTINFO = 8,
    NS_IP_MTU_DISCOVER = 10,
    NS_IP_RECVERR = 11,
    NS_IP_RECVTTL = 12,
    NS_IP_RECVTOS = 13,
    NS_IP_MTU = 14,
    NS_IP_FREEBIND = 15,
    NS_IP_RECVORIGDSTADDR = 20,
    NS_IP_BIND_ADDRESS_NO_PORT = 24,
    NS_IP_MULTICAST_IF = 32,
    NS_IP_MULTICAST_TTL = 33,
    NS_IP_MULTICAST_LOOP = 34,
    NS_IP_ADD_MEMBERSHIP = 35,
    NS_IP_DROP_MEMBERSHIP = 36,
    NS_IP_MULTICAST_ALL = 49,
};
enum { NS_PMTUDISC_DONT = 0, NS_PMTUDISC_WANT = 1, NS_PMTUDISC_DO = 2, NS_PMTUDISC_PROBE = 3 };

enum {
    NS_IPV6_CHECKSUM = 7,
    NS_IPV6_UNICAST_HOPS = 16,
    NS_IPV6_MULTICAST_IF = 17,
    NS_IPV6_MULTICAST_HOPS = 18,
    NS_IPV6_MULTICAST_LOOP = 19,
    NS_IPV6_ADD_MEMBERSHIP = 20,
    NS_IPV6_DROP_MEMBERSHIP = 21,
    NS_IPV6_MTU_DISCOVER = 23,
    NS_IPV6_MTU = 24,
    NS_IPV6_RECVERR = 25,
    NS_IPV6_V6ONLY = 26,
    NS_IPV6_RECVPKTINFO = 49,
    NS_IPV6_RECVHOPLIMIT = 51,
    NS_IPV6_RECVTCLASS = 66,
    NS_IPV6_TCLASS = 67,
    NS_ICMP_FILTER = 1,  /* SOL_RAW */
    NS_ICMP6_FILTER = 1, /* level IPPROTO_ICMPV6 */
};

enum {
    NS_TCP_NODELAY = 1,
    NS_TCP_MAXSEG = 2,
    NS_TCP_CORK = 3,
    NS_TCP_KEEPIDLE = 4,
    NS_TCP_KEEPINTVL = 5,
    NS_TCP_KEEPCNT = 6,
    NS_TCP_SYNCNT = 7,
    NS_TCP_LINGER2 = 8,
    NS_TCP_DEFER_ACCEPT = 9,
    NS_TCP_WINDOW_CLAMP = 10,
    NS_TCP_INFO = 11,
    NS_TCP_QUICKACK = 12,
    NS_TCP_CONGESTION = 13,
    NS_TCP_USER_TIMEOUT = 18,
    NS_TCP_FASTOPEN = 23,
    NS_TCP_TIMESTAMP = 24,
    NS_TCP_NOTSENT_LOWAT = 25,
    NS_TCP_FASTOPEN_CONNECT = 30,
};
/* TCP_INFO's tcpi_state */
enum {
    NS_TCP_ESTABLISHED = 1,
    NS_TCP_SYN_SENT = 2,
    NS_TCP_SYN_RECV = 3,
    NS_TCP_FIN_WAIT1 = 4,
    NS_TCP_FIN_WAIT2 = 5,
    NS_TCP_TIME_WAIT = 6,
    NS_TCP_CLOSE = 7,
    NS_TCP_CLOSE_WAIT = 8,
    NS_TCP_LAST_ACK = 9,
    NS_TCP_LISTEN = 10,
    NS_TCP_CLOSING = 11,
};
enum { NS_UDP_CORK = 1, NS_UDP_SEGMENT = 103, NS_UDP_GRO = 104 };
enum {
    NS_PACKET_ADD_MEMBERSHIP = 1,
    NS_PACKET_DROP_MEMBERSHIP = 2,
    NS_PACKET_RX_RING = 5,
    NS_PACKET_STATISTICS = 6,
    NS_PACKET_COPY_THRESH = 7,
    NS_PACKET_AUXDATA = 8,
    NS_PACKET_ORIGDEV = 9,
    NS_PACKET_VERSION = 10,
    NS_PACKET_HDRLEN = 11,
    NS_PACKET_RESERVE = 12,
    NS_PACKET_TX_RING = 13,
    NS_PACKET_LOSS = 14,
    NS_PACKET_TIMESTAMP = 17,
    NS_PACKET_IGNORE_OUTGOING = 23,
};

enum {
    NS_CMSG_PKTINFO = 1 << 0,
    NS_CMSG_TTL = 1 << 1,
    NS_CMSG_TOS = 1 << 2,
    NS_CMSG_TIMESTAMP = 1 << 3,
    NS_CMSG_GRO = 1 << 4,
    NS_CMSG_RXQ_OVFL = 1 << 5,
    NS_CMSG_RECVERR = 1 << 6,
    NS_CMSG_GSO = 1 << 7,
    NS_CMSG_MARK = 1 << 8,
    NS_CMSG_ORIGDST = 1 << 9,
    NS_CMSG_AUXDATA = 1 << 10,
};
enum { NS_EE_ORIGIN_LOCAL = 1, NS_EE_ORIGIN_ICMP = 2, NS_EE_ORIGIN_ICMP6 = 3, NS_EE_ORIGIN_ZEROCOPY = 5 };
enum { NS_EE_CODE_ZEROCOPY_COPIED = 1 };

enum {
    NS_IFF_UP = 0x1,
    NS_IFF_BROADCAST = 0x2,
    NS_IFF_LOOPBACK = 0x8,
    NS_IFF_RUNNING = 0x40,
    NS_IFF_NOARP = 0x80,
    NS_IFF_PROMISC = 0x100,
    NS_IFF_ALLMULTI = 0x200,
    NS_IFF_MULTICAST = 0x1000,
    NS_IFF_LOWER_UP = 0x10000,
};
enum {
    NS_IFA_F_NODAD = 0x02,
    NS_IFA_F_DADFAILED = 0x08,
    NS_IFA_F_DEPRECATED = 0x20,
    NS_IFA_F_TENTATIVE = 0x40,
    NS_IFA_F_PERMANENT = 0x80,
    NS_IFA_F_NOPREFIXROUTE = 0x200
};
enum { NS_RT_TABLE_DEFAULT = 253, NS_RT_TABLE_MAIN = 254, NS_RT_TABLE_LOCAL = 255 };
enum {
    NS_RTN_UNICAST = 1,
    NS_RTN_LOCAL = 2,
    NS_RTN_BROADCAST = 3,
    NS_RTN_MULTICAST = 5,
    NS_RTN_BLACKHOLE = 6,
    NS_RTN_UNREACHABLE = 7,
    NS_RTN_PROHIBIT = 8,
    NS_RTN_THROW = 9
};
enum {
    NS_RT_SCOPE_UNIVERSE = 0,
    NS_RT_SCOPE_SITE = 200,
    NS_RT_SCOPE_LINK = 253,
    NS_RT_SCOPE_HOST = 254,
    NS_RT_SCOPE_NOWHERE = 255
};
enum {
    NS_RTPROT_REDIRECT = 1,
    NS_RTPROT_KERNEL = 2,
    NS_RTPROT_BOOT = 3,
    NS_RTPROT_STATIC = 4,
    NS_RTPROT_RA = 9
};
enum { NS_FR_ACT_TO_TBL = 1, NS_FR_ACT_BLACKHOLE = 6, NS_FR_ACT_UNREACHABLE = 7, NS_FR_ACT_PROHIBIT = 8 };
enum {
    NS_NUD_INCOMPLETE = 0x01,
    NS_NUD_REACHABLE = 0x02,
    NS_NUD_STALE = 0x04,
    NS_NUD_DELAY = 0x08,
    NS_NUD_PROBE = 0x10,
    NS_NUD_FAILED = 0x20,
    NS_NUD_NOARP = 0x40,
    NS_NUD_PERMANENT = 0x80
};

/* As Linux's struct tcp_info up to tcpi_rcv_ooopack; tests/unit/netstack checks offsets against
 * <linux/tcp.h>. */
struct ns_tcp_info {
    unsigned char state, ca_state, retransmits, probes, backoff, options;
    unsigned char snd_wscale : 4, rcv_wscale : 4;
    unsigned char delivery_rate_app_limited : 1, fastopen_client_fail : 2;
    unsigned rto, ato, snd_mss, rcv_mss;
    unsigned unacked, sacked, lost, retrans, fackets;
    unsigned last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
    unsigned pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
    unsigned rcv_rtt, rcv_space;
    unsigned total_retrans;
    unsigned long long pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    unsigned segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    unsigned long long delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
    unsigned delivered, delivered_ce;
    unsigned long long bytes_sent, bytes_retrans;
    unsigned dsack_dups, reord_seen, rcv_ooopack, snd_wnd;
};
enum {
    NS_TCPI_OPT_TIMESTAMPS = 1,
    NS_TCPI_OPT_SACK = 2,
    NS_TCPI_OPT_WSCALE = 4,
    NS_TCPI_OPT_ECN = 8,
    NS_TCPI_OPT_SYN_DATA = 32
};
