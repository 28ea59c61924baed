/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/wire_ipv4.h: the IPv4 header (RFC 791 section 3.1) and the protocol numbers.
 */
#pragma once

#include "netstack/wire/ipaddr.h"

enum {
    IPPROTO_NUM_HOPOPTS = 0,
    IPPROTO_NUM_ICMP = 1,
    IPPROTO_NUM_IGMP = 2,
    IPPROTO_NUM_TCP = 6,
    IPPROTO_NUM_UDP = 17,
    IPPROTO_NUM_ROUTING = 43,
    IPPROTO_NUM_FRAGMENT = 44,
    IPPROTO_NUM_ICMPV6 = 58,
    IPPROTO_NUM_NONE = 59,
    IPPROTO_NUM_DSTOPTS = 60,
    IPPROTO_NUM_RAW = 255,
};
enum { IPV4_MIN_HLEN = 20, IPV4_MAX_HLEN = 60, IPV4_MAX_LEN = 65535, IPV4_MIN_MTU = 68 };
enum { IPV4_FLAG_DF = 0x4000, IPV4_FLAG_MF = 0x2000, IPV4_OFFSET_MASK = 0x1fff };
enum { ECN_NOT_ECT = 0, ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3, ECN_MASK = 3 };

struct ipv4_hdr {
    uint8_t hlen; /* bytes */
    uint8_t tos;
    uint16_t total_len;
    uint16_t id;
    bool df, mf;
    uint32_t frag_offset; /* bytes */
    uint8_t ttl;
    uint8_t proto;
    struct ipa src, dst;
};

/* Checks version, lengths and header checksum (RFC 1122 section 3.2.1). -EPROTO, or -EBADMSG for the
 * checksum. */
int ipv4_parse(const uint8_t *p, size_t avail, size_t packet_len, struct ipv4_hdr *ret);
/* Writes hlen bytes less options, which the caller has put at p + 20, and the checksum over all of them. */
void ipv4_put(uint8_t *p, const struct ipv4_hdr *h);
/* Sets the checksum anew after a change. */
void ipv4_set_csum(uint8_t *p);

/* Sum of the pseudo header of TCP, UDP (RFC 9293 section 3.1) or any IPv6 upper layer (RFC 8200 section 8.1).
 */
uint32_t csum_pseudo(const struct ipa *src, const struct ipa *dst, uint8_t proto, uint32_t len);
