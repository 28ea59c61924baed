/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/ipaddr.c: prefixes, scopes and text form of addresses.
 * Sources: RFC 4291 sections 2.4-2.7, RFC 5952 section 4, RFC 6724 sections 2.2 and 3.1-3.2.
 */
#include "netstack/wire/ipaddr.h"

#include <stdio.h>

#include "base/compiler.h"

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits) {
    if (memcmp(a, b, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

/* Never more than there are: a prefix length may come from the guest or the wire. */
static unsigned full_bits(const struct ipa *a, unsigned prefix_len) {
    return ipa_is_v4(a) ? 96 + MIN(prefix_len, 32u) : MIN(prefix_len, 128u);
}

bool ipa_prefix_match(const struct ipa *a, const struct ipa *net, unsigned prefix_len) {
    if (ipa_is_v4(a) != ipa_is_v4(net))
        return false;
    return bits_equal(a->b, net->b, full_bits(net, prefix_len));
}

struct ipa ipa_mask(const struct ipa *a, unsigned prefix_len) {
    struct ipa out = {{0}};
    unsigned bits = full_bits(a, prefix_len);
    memcpy(out.b, a->b, bits / 8);
    if (bits % 8)
        out.b[bits / 8] = a->b[bits / 8] & (uint8_t)(0xff << (8 - bits % 8));
    return out;
}

unsigned ipa_common_prefix(const struct ipa *a, const struct ipa *b) {
    unsigned start = ipa_is_v4(a) && ipa_is_v4(b) ? 96 : 0;
    for (unsigned i = start / 8; i < 16; i++) {
        uint8_t x = a->b[i] ^ b->b[i];
        if (x)
            return i * 8 + (unsigned)__builtin_clz(x) - 24 - start;
    }
    return 128 - start;
}

enum ipa_scope ipa_scope(const struct ipa *a) {
    if (ipa_is_v4(a)) {
        if (ipa_is_mcast(a))
            return a->b[12] == 224 && a->b[13] == 0 && a->b[14] == 0 ? SCOPE_LINK : SCOPE_GLOBAL;
        return ipa_is_loopback(a) || ipa_is_linklocal(a) ? SCOPE_LINK : SCOPE_GLOBAL;
    }
    if (ipa_is_mcast(a))
        return (enum ipa_scope)(a->b[1] & 0xf);
    if (ipa_is_loopback(a) || ipa_is_linklocal(a))
        return SCOPE_LINK;
    if (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0)
        return SCOPE_SITE;
    return SCOPE_GLOBAL;
}

/* RFC 5952 section 4.2: the longest run of two or more zero groups, the first of equals. */
static void longest_zero_run(const struct ipa *a, int *ret_start, int *ret_len) {
    *ret_start = -1;
    *ret_len = 1;
    for (int i = 0; i < 8; i++) {
        int n = 0;
        while (i + n < 8 && get_be16(a->b + 2 * (i + n)) == 0)
            n++;
        if (n > *ret_len) {
            *ret_start = i;
            *ret_len = n;
        }
    }
}

const char *ipa_str(const struct ipa *a, char *buf) {
    if (ipa_is_v4(a)) {
        snprintf(buf, IPA_STR_LEN, "%u.%u.%u.%u", a->b[12], a->b[13], a->b[14], a->b[15]);
        return buf;
    }
    int start, len, at = 0;
    longest_zero_run(a, &start, &len);
    for (int i = 0; i < 8; i++) {
        if (i == start) {
            at += snprintf(buf + at, (size_t)(IPA_STR_LEN - at), "::");
            i += len - 1;
            continue;
        }
        const char *colon = i > 0 && i != start + len ? ":" : "";
        if (start < 0 && i > 0)
            colon = ":";
        at += snprintf(buf + at, (size_t)(IPA_STR_LEN - at), "%s%x", colon, get_be16(a->b + 2 * i));
    }
    return buf;
}

static bool parse_v4(const char *s, struct ipa *ret) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned n = 0, digits = 0;
        for (; *s >= '0' && *s <= '9' && digits < 3; s++, digits++)
            n = n * 10 + (unsigned)(*s - '0');
        if (digits == 0 || n > 255)
            return false;
        v = v << 8 | n;
        if (i < 3 && *s++ != '.')
            return false;
    }
    if (*s)
        return false;
    *ret = ipa_from4(v);
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_v6(const char *s, struct ipa *ret) {
    uint16_t group[8] = {0};
    int n = 0, gap = -1;
    if (s[0] == ':' && s[1] == ':') {
        gap = 0;
        s += 2;
    }
    while (*s) {
        unsigned v = 0;
        int digits = 0, d;
        for (; (d = hex_digit(*s)) >= 0 && digits < 4; s++, digits++)
            v = v << 4 | (unsigned)d;
        if (digits == 0 || n == 8)
            return false;
        group[n++] = (uint16_t)v;
        if (!*s)
            break;
        if (*s++ != ':')
            return false;
        if (*s == ':') {
            if (gap >= 0)
                return false;
            gap = n;
            s++;
        } else if (!*s) {
            return false;
        }
    }
    if (gap < 0 ? n != 8 : n > 7)
        return false;
    memset(ret->b, 0, 16);
    int head = gap < 0 ? 8 : gap;
    for (int i = 0; i < n; i++)
        put_be16(ret->b + 2 * (i < head ? i : 8 - n + i), group[i]);
    return true;
}

bool ipa_parse(const char *s, struct ipa *ret) {
    return strchr(s, ':') ? parse_v6(s, ret) : parse_v4(s, ret);
}
