/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/nf_xt_abi.h: what iptables programs hand over: the fixed parts of a rule, and the private
 * data of matches and targets, in the byte order that each field has there (ports of xt_tcp are host order,
 * those of translation big endian). Layouts as on x86-64. Source: iptables-extensions(8), libiptc's users.
 */
#pragma once

#include <stdint.h>

enum { XT_NAME = 29, XT_TABLE_NAME = 32, XT_HEADER = 32, XT_IFNAME = 16 };
enum {
    XT_INV_IN = 1,
    XT_INV_OUT = 2,
    XT_INV_TOS = 4,
    XT_INV_SRC = 8,
    XT_INV_DST = 16,
    XT_INV_FRAG = 32,
    XT_INV_PROTO = 64
};
enum { XT4_FRAG = 1, XT4_GOTO = 2, XT6_PROTO = 1, XT6_TOS = 2, XT6_GOTO = 4 };
enum { XT_V_RETURN = -5 };
#define XT_ALIGNED(n) (((n) + 7) & ~(size_t)7)

struct xt_header { /* of a match or target; its data follows */
    uint16_t size; /* with this header */
    char name[XT_NAME];
    uint8_t revision;
};
struct xt_ip4 {
    uint8_t src[4], dst[4], smsk[4], dmsk[4];
    char in[XT_IFNAME], out[XT_IFNAME];
    uint8_t in_mask[XT_IFNAME], out_mask[XT_IFNAME];
    uint16_t proto;
    uint8_t flags, invflags;
};
struct xt_ip6 {
    uint8_t src[16], dst[16], smsk[16], dmsk[16];
    char in[XT_IFNAME], out[XT_IFNAME];
    uint8_t in_mask[XT_IFNAME], out_mask[XT_IFNAME];
    uint16_t proto;
    uint8_t tos, flags, invflags, pad[3];
};
struct xt_tail { /* of an entry, behind its fixed part (and padding to 8 in IPv6) */
    uint32_t nfcache;
    uint16_t target_offset, next_offset;
    uint32_t comefrom;
};
struct xt_counters {
    uint64_t packets, bytes;
};
struct xt_getinfo {
    char name[XT_TABLE_NAME];
    uint32_t valid_hooks, hook_entry[5], underflow[5], num_entries, size;
};
struct xt_get_entries {
    char name[XT_TABLE_NAME];
    uint32_t size, pad;
};
struct xt_replace {
    char name[XT_TABLE_NAME];
    uint32_t valid_hooks, num_entries, size, hook_entry[5], underflow[5], num_counters;
    uint64_t counters;
};
struct xt_counters_info {
    char name[XT_TABLE_NAME];
    uint32_t num_counters, pad;
};
struct xt_get_revision {
    char name[XT_NAME];
    uint8_t revision;
};
_Static_assert(sizeof(struct xt_ip4) == 84, "");
_Static_assert(sizeof(struct xt_ip6) == 136, "");
_Static_assert(sizeof(struct xt_getinfo) == 84, "");
_Static_assert(sizeof(struct xt_replace) == 96, "");

struct xt_tcp {
    uint16_t sports[2], dports[2];
    uint8_t option, flag_mask, flag_cmp, inv; /* 1 source, 2 destination, 4 flags, 8 option */
};
struct xt_udp {
    uint16_t sports[2], dports[2];
    uint8_t inv, pad;
};
struct xt_icmp {
    uint8_t type, code[2], inv;
};
struct xt_multiport1 {
    uint8_t flags, count;
    uint16_t ports[15];
    uint8_t pflags[15], invert;
};
struct xt_multiport0 {
    uint8_t flags, count;
    uint16_t ports[15];
};
struct xt_state {
    uint32_t mask;
};
struct xt_conntrack1 {
    uint8_t addr[8][16]; /* original source, its mask, destination, mask; the same of the reply */
    uint32_t expires_min, expires_max;
    uint16_t l4proto, port[4], match_flags, invert_flags;
    uint8_t state_mask, status_mask;
};
struct xt_conntrack2 {
    uint8_t addr[8][16];
    uint32_t expires_min, expires_max;
    uint16_t l4proto, port[4], match_flags, invert_flags, state_mask, status_mask;
};
struct xt_conntrack3 {
    uint8_t addr[8][16];
    uint32_t expires_min, expires_max;
    uint16_t l4proto, port[4], match_flags, invert_flags, state_mask, status_mask, port_high[4];
};
struct xt_owner {
    uint32_t uid[2], gid[2];
    uint8_t match, invert, pad[2];
};
struct xt_comment {
    char text[256];
};
struct xt_addrtype1 {
    uint16_t source, dest;
    uint32_t flags; /* 1 invert source, 2 invert destination, 4 of the input interface, 8 of the output */
};
struct xt_addrtype0 {
    uint16_t source, dest;
    uint32_t invert_source, invert_dest;
};
struct xt_mark1 {
    uint32_t mark, mask;
    uint8_t invert, pad[3];
};
struct xt_limit {
    uint32_t avg, burst;
    uint64_t prev;
    uint32_t credit, credit_cap, cost, pad;
    uint64_t master;
};
struct xt_mac {
    uint8_t mac[6], pad[2];
    uint32_t invert;
};
struct xt_iprange1 {
    uint8_t src_min[16], src_max[16], dst_min[16], dst_max[16];
    uint8_t flags, pad[3]; /* 1 source, 2 destination, 16, 32 inverted */
};
struct xt_statistic {
    uint16_t mode, flags;
    uint32_t every_or_probability, packet, count;
    uint64_t master;
};
struct xt_standard {
    int32_t verdict;
    uint32_t pad;
};
struct xt_error {
    char name[30];
};
struct xt_nat4 {
    uint32_t count, flags;
    uint8_t min[4], max[4];
    uint8_t pmin[2], pmax[2];
};
struct xt_nat1 {
    uint32_t flags;
    uint8_t min[16], max[16], pmin[2], pmax[2];
};
struct xt_nat2 {
    uint32_t flags;
    uint8_t min[16], max[16], pmin[2], pmax[2], base[2], pad[2];
};
struct xt_mark_target2 {
    uint32_t mark, mask;
};
struct xt_connmark_target1 {
    uint32_t ctmark, ctmask, nfmask;
    uint8_t mode, pad[3]; /* 0 set, 1 save, 2 restore */
};
struct xt_log {
    uint8_t level, flags;
    char prefix[30];
};
struct xt_tcpmss {
    uint16_t mss;
};
struct xt_ct0 {
    uint16_t flags, zone;
    uint32_t ct_events, exp_events;
    char helper[16];
    uint32_t pad;
    uint64_t ct;
};
struct xt_ct1 {
    uint16_t flags, zone;
    uint32_t ct_events, exp_events;
    char helper[16], timeout[32];
    uint32_t pad;
    uint64_t ct;
};
