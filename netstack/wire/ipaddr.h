/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/ipaddr.h: one address type for both families.
 *
 * An IPv4 address is held v4-mapped (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so that every table is keyed
 * by 16 bytes and dual-stack sockets need no second code path. On the wire the mapped form never appears: the
 * IPv6 input path drops it (RFC 4942 section 2.2).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "netstack/wire/bytes.h"

struct ipa {
    uint8_t b[16];
};

#define IPA_ANY6            ((struct ipa){{0}})
#define IPA_V4(a, b_, c, d) ((struct ipa){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (a), (b_), (c), (d)}})
#define IPA_ANY4            IPA_V4(0, 0, 0, 0)
#define IPA_BCAST4          IPA_V4(255, 255, 255, 255)

/* Scopes of RFC 4007/6724, also used for IPv4 as RFC 6724 section 3.2 says. */
enum ipa_scope {
    SCOPE_NODE = 1,
    SCOPE_LINK = 2,
    SCOPE_ADMIN = 4,
    SCOPE_SITE = 5,
    SCOPE_ORG = 8,
    SCOPE_GLOBAL = 14
};

static inline bool ipa_eq(const struct ipa *a, const struct ipa *b) {
    return memcmp(a->b, b->b, 16) == 0;
}

static inline bool ipa_is_v4(const struct ipa *a) {
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(a->b, prefix, 12) == 0;
}

static inline struct ipa ipa_from4(uint32_t host_order) {
    struct ipa a = IPA_ANY4;
    put_be32(a.b + 12, host_order);
    return a;
}

static inline struct ipa ipa_from4_wire(const uint8_t *p) {
    return IPA_V4(p[0], p[1], p[2], p[3]);
}

static inline struct ipa ipa_from6_wire(const uint8_t *p) {
    struct ipa a;
    memcpy(a.b, p, 16);
    return a;
}

static inline uint32_t ipa_to4(const struct ipa *a) {
    return get_be32(a->b + 12);
}

static inline bool ipa_is_any(const struct ipa *a) {
    struct ipa any6 = IPA_ANY6;
    return ipa_is_v4(a) ? ipa_to4(a) == 0 : ipa_eq(a, &any6);
}

static inline bool ipa_is_bcast4(const struct ipa *a) {
    return ipa_is_v4(a) && ipa_to4(a) == 0xffffffff;
}

static inline bool ipa_is_mcast(const struct ipa *a) {
    return ipa_is_v4(a) ? (a->b[12] & 0xf0) == 0xe0 : a->b[0] == 0xff;
}

static inline bool ipa_is_loopback(const struct ipa *a) {
    static const uint8_t lo6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return ipa_is_v4(a) ? a->b[12] == 127 : memcmp(a->b, lo6, 16) == 0;
}

static inline bool ipa_is_linklocal(const struct ipa *a) {
    if (ipa_is_v4(a))
        return a->b[12] == 169 && a->b[13] == 254;
    return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* Prefix lengths are those of the family: 0..32 for IPv4, 0..128 for IPv6. */
static inline unsigned ipa_max_prefix(const struct ipa *a) {
    return ipa_is_v4(a) ? 32 : 128;
}

bool ipa_prefix_match(const struct ipa *a, const struct ipa *net, unsigned prefix_len);
struct ipa ipa_mask(const struct ipa *a, unsigned prefix_len);
/* Length of the common leading part, in bits of the family (RFC 6724 section 2.2). */
unsigned ipa_common_prefix(const struct ipa *a, const struct ipa *b);
enum ipa_scope ipa_scope(const struct ipa *a);
/* "10.0.0.1" or RFC 5952 text. `buf` holds IPA_STR_LEN bytes; returns buf. */
enum { IPA_STR_LEN = 48 };
const char *ipa_str(const struct ipa *a, char *buf);
/* The reverse, for tests and configuration; false if it is no address. */
bool ipa_parse(const char *s, struct ipa *ret);
