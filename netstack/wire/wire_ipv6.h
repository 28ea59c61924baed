/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/wire_ipv6.h: the IPv6 header and the walk over its extension headers (RFC 8200 sections 3 and
 * 4).
 */
#pragma once

#include "netstack/wire/ipaddr.h"

enum { IPV6_HLEN = 40, IPV6_MIN_MTU = 1280, IPV6_FRAG_HLEN = 8 };

struct ipv6_hdr {
    uint8_t tclass;
    uint32_t flow;
    uint16_t payload_len;
    uint8_t next;
    uint8_t hop_limit;
    struct ipa src, dst;
};

/* -EPROTO if short, not version 6, or longer than the packet. */
int ipv6_parse(const uint8_t *p, size_t avail, size_t packet_len, struct ipv6_hdr *ret);
void ipv6_put(uint8_t *p, const struct ipv6_hdr *h);

struct ipv6_frag {
    uint8_t next;
    uint32_t offset; /* bytes */
    bool more;
    uint32_t id;
};

void ipv6_frag_get(const uint8_t *p, struct ipv6_frag *ret);
void ipv6_frag_put(uint8_t *p, const struct ipv6_frag *f);

/* What to do with a packet whose options were walked (RFC 8200 section 4.2, by the two high bits of the
 * type). */
enum ipv6_opt_verdict { OPT_CONTINUE, OPT_DISCARD, OPT_ICMP, OPT_ICMP_UNICAST };

/* Walks one options header of `len` bytes at `p`. On OPT_ICMP*, *ret_at is the offset of the bad octet within
 * it. */
enum ipv6_opt_verdict ipv6_walk_options(const uint8_t *p, size_t len, uint32_t *ret_at);
