/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/wire_test.c: codecs, checksums, addresses, hashes, packet buffers.
 */
#include <stdlib.h>

#include "netstack/netstack.h"
#include "netstack/stack/siphash.h"
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "netstack/wire/wire_tcp.h"
#include "tests/sim/sim.h"

static uint16_t plain_sum(const uint8_t *p, size_t n) {
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return __builtin_bswap16((uint16_t)sum);
}

TEST(checksum_agrees_with_the_definition) {
    uint8_t b[600];
    for (size_t i = 0; i < sizeof(b); i++)
        b[i] = (uint8_t)(i * 167 + 13);
    for (size_t off = 0; off < 40; off++)
        for (size_t n = 0; n + off < sizeof(b); n += 1 + n / 8)
            ASSERT_EQ(csum_reduce(csum_partial(b + off, n, 0)) % 0xffff, plain_sum(b + off, n) % 0xffff);
}

/* RFC 1071 section 3, the example. */
TEST(checksum_rfc1071_example) {
    static const uint8_t b[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    uint16_t folded = csum_fold(csum_partial(b, sizeof(b), 0));
    ASSERT_EQ(get_be16(&folded), 0x220d);
}

TEST(checksum_of_parts_at_odd_offsets) {
    uint8_t b[301];
    for (size_t i = 0; i < sizeof(b); i++)
        b[i] = (uint8_t)(i * 31 + 7);
    uint16_t whole = csum_reduce(csum_partial(b, sizeof(b), 0));
    for (size_t cut = 0; cut <= sizeof(b); cut++) {
        uint32_t sum = csum_partial(b, cut, 0);
        sum = csum_add_at(sum, csum_partial(b + cut, sizeof(b) - cut, 0), cut);
        ASSERT_EQ(csum_reduce(sum), whole);
    }
    uint8_t copy[301];
    ASSERT_EQ(csum_reduce(csum_copy(copy, b, sizeof(b), 0)), whole);
    ASSERT_MEMEQ(copy, b, sizeof(b));
}

/* Aumasson and Bernstein, appendix A. */
TEST(siphash_reference_vector) {
    struct siphash_key k = {{0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull}};
    uint8_t m[15];
    for (uint8_t i = 0; i < 15; i++)
        m[i] = i;
    ASSERT_TRUE(siphash(&k, m, sizeof(m)) == 0xa129ca6149be45e5ull);
}

TEST(address_text_both_ways) {
    static const char *const good[] = {"0.0.0.0",
                                       "10.1.2.3",
                                       "255.255.255.255",
                                       "::",
                                       "::1",
                                       "fe80::1:2",
                                       "2001:db8::1",
                                       "1:2:3:4:5:6:7:8",
                                       "2001:db8:0:1:1:1:1:1",
                                       "ff02::1:ff00:1"};
    char buf[IPA_STR_LEN];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct ipa a;
        ASSERT_TRUE(ipa_parse(good[i], &a));
        ASSERT_STREQ(ipa_str(&a, buf), good[i]);
    }
    static const char *const bad[] = {"",   "1.2.3",   "1.2.3.256",         "1.2.3.4.",
                                      ":1", "1::2::3", "1:2:3:4:5:6:7:8:9", "g::"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ipa a;
        ASSERT_FALSE(ipa_parse(bad[i], &a));
    }
}

TEST(prefixes_and_scopes) {
    struct ipa a = sim_ip("10.1.2.3"), net = sim_ip("10.1.0.0"), six = sim_ip("2001:db8:1::5");
    ASSERT_TRUE(ipa_prefix_match(&a, &net, 16));
    ASSERT_FALSE(ipa_prefix_match(&a, &net, 23));
    struct ipa m = ipa_mask(&a, 15), want = sim_ip("10.0.0.0");
    ASSERT_TRUE(ipa_eq(&m, &want));
    m = ipa_mask(&six, 33);
    want = sim_ip("2001:db8::");
    ASSERT_TRUE(ipa_eq(&m, &want));
    m = ipa_mask(&a, 200); /* more than there are: all */
    ASSERT_TRUE(ipa_eq(&m, &a));
    m = ipa_mask(&six, ~0u);
    ASSERT_TRUE(ipa_eq(&m, &six));
    ASSERT_FALSE(ipa_prefix_match(&a, &net, ~0u));
    struct ipa b = sim_ip("10.1.3.3");
    ASSERT_EQ(ipa_common_prefix(&a, &b), 23);
    ASSERT_EQ(ipa_common_prefix(&a, &a), 32);
    struct ipa ll = sim_ip("fe80::1"), mc = sim_ip("ff05::1"), lo = sim_ip("::1");
    ASSERT_EQ(ipa_scope(&ll), SCOPE_LINK);
    ASSERT_EQ(ipa_scope(&mc), SCOPE_SITE);
    ASSERT_EQ(ipa_scope(&six), SCOPE_GLOBAL);
    ASSERT_TRUE(ipa_is_loopback(&lo));
}

TEST(ipv4_header_round_trip_and_rejects) {
    uint8_t p[20];
    struct ipv4_hdr h = {.hlen = 20,
                         .tos = 3,
                         .total_len = 20,
                         .id = 77,
                         .mf = true,
                         .frag_offset = 1480,
                         .ttl = 5,
                         .proto = 17,
                         .src = sim_ip("1.2.3.4"),
                         .dst = sim_ip("5.6.7.8")},
                    got;
    ipv4_put(p, &h);
    ASSERT_EQ(ipv4_parse(p, 20, 20, &got), 0);
    ASSERT_EQ(got.frag_offset, 1480);
    ASSERT_TRUE(got.mf);
    ASSERT_FALSE(got.df);
    ASSERT_TRUE(ipa_eq(&got.dst, &h.dst));
    ASSERT_EQ(ipv4_parse(p, 19, 20, &got), -EPROTO);
    ASSERT_EQ(ipv4_parse(p, 20, 19, &got), -EPROTO);
    p[8]++;
    ASSERT_EQ(ipv4_parse(p, 20, 20, &got), -EBADMSG);
    p[8]--;
    p[0] = 0x44;
    ASSERT_EQ(ipv4_parse(p, 20, 20, &got), -EPROTO);
    p[0] = 0x4f;
    ASSERT_EQ(ipv4_parse(p, 20, 20, &got), -EPROTO);
}

TEST(tcp_options_round_trip) {
    struct tcp_options o = {.has_mss = true,
                            .mss = 1460,
                            .has_wscale = true,
                            .wscale = 7,
                            .sack_permitted = true,
                            .has_ts = true,
                            .ts_val = 1,
                            .ts_ecr = 2,
                            .has_fastopen = true,
                            .cookie_len = 8},
                       got;
    uint8_t b[TCP_MAX_OPTIONS];
    size_t n = tcp_options_put(b, &o, true);
    ASSERT_EQ(n % 4, 0);
    ASSERT_LE(n, TCP_MAX_OPTIONS);
    tcp_options_parse(b, n, &got);
    ASSERT_EQ(got.mss, 1460);
    ASSERT_EQ(got.wscale, 7);
    ASSERT_TRUE(got.sack_permitted);
    ASSERT_EQ(got.ts_ecr, 2);
    ASSERT_EQ(got.cookie_len, 8);
    struct tcp_options s = {.has_ts = true, .sack_count = 4, .sack = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}};
    n = tcp_options_put(b, &s, false);
    ASSERT_EQ(n, 40);
    tcp_options_parse(b, n, &got);
    ASSERT_EQ(got.sack_count, 3); /* a fourth does not fit beside timestamps */
    ASSERT_EQ(got.sack[2].end, 6);
}

/* RFC 9293 MUST-7: any list of options is survived. */
TEST(tcp_options_hostile) {
    static const uint8_t lists[][8] = {
        {2, 0, 1, 1}, {2, 4}, {5, 9, 0, 0, 0, 0, 0, 0}, {3, 3, 200}, {34, 3, 1}, {254, 255}, {1, 1, 1, 8}};
    struct tcp_options got;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        tcp_options_parse(lists[i], 8, &got);
    tcp_options_parse((const uint8_t[]){3, 3, 200}, 3, &got);
    ASSERT_EQ(got.wscale, 14); /* RFC 7323 section 2.3 */
}

TEST(ipv6_options_walk) {
    uint32_t at = 0;
    static const uint8_t pad[8] = {0, 0, 1, 4}, skip[8] = {0, 0, 0x1e, 4}, drop[8] = {0, 0, 0x5e, 4},
                         icmp[8] = {0, 0, 0x9e, 4}, over[8] = {0, 0, 1, 5};
    ASSERT_EQ(ipv6_walk_options(pad, 8, &at), OPT_CONTINUE);
    ASSERT_EQ(ipv6_walk_options(skip, 8, &at), OPT_CONTINUE);
    ASSERT_EQ(ipv6_walk_options(drop, 8, &at), OPT_DISCARD);
    ASSERT_EQ(ipv6_walk_options(icmp, 8, &at), OPT_ICMP);
    ASSERT_EQ(at, 2);
    ASSERT_EQ(ipv6_walk_options(over, 8, &at), OPT_DISCARD);
}

/* ---- packet buffers against a plain array ---- */

static void *alloc_obj(void *ctx, const struct netstack_type *t) {
    ++*(int *)ctx;
    return calloc(1, t->size);
}
static void free_obj(void *ctx, const struct netstack_type *t, void *p) {
    (void)t;
    --*(int *)ctx;
    free(p);
}
static void *alloc_raw(void *ctx, size_t n) {
    ++*(int *)ctx;
    return malloc(n);
}
static void free_raw(void *ctx, void *p, size_t n) {
    (void)n;
    --*(int *)ctx;
    free(p);
}

TEST(packet_buffers_behave_like_arrays) {
    static const struct netstack_alloc_ops ops = {alloc_obj, free_obj, alloc_raw, free_raw};
    int live = 0;
    struct nsmem mem = {&ops, &live};
    uint64_t rng = 7;
    for (int round = 0; round < 200; round++) {
        static uint8_t model[200000], out[200000];
        uint32_t n = 0;
        struct pkt *p = pkt_new(&mem, 64, 100), *other = NULL;
        for (int op = 0; op < 60; op++) {
            rng = rng * 6364136223846793005ull + 1442695040888963407ull;
            uint32_t r = (uint32_t)(rng >> 40), k = r % 300;
            switch (r / 300 % 7) {
            case 0: /* push */
                memmove(model + k, model, n);
                memset(model, op, k);
                memset(pkt_push(p, k), op, k);
                n += k;
                break;
            case 1: { /* append */
                uint32_t done;
                memset(out, op + 1, k);
                memset(model + n, op + 1, k);
                ASSERT_EQ(pkt_append_copy(p, out, k, &done), 0);
                n += k;
                break;
            }
            case 2: /* trim the front */
                k = MIN(k, n);
                memmove(model, model + k, n - k);
                n -= k;
                pkt_trim_front(p, k);
                break;
            case 3: /* trim the end */
                n -= MIN(k, n);
                pkt_trim_to(p, n);
                break;
            case 4: /* read or write a header */
                k = MIN(k, n);
                if (k) {
                    ASSERT_MEMEQ(pkt_header(p, k), model, k);
                    memset(pkt_writable(p, k), 0x77, k);
                    memset(model, 0x77, k);
                }
                break;
            case 5: /* share with a clone, which must not change */
                pkt_free(other);
                other = pkt_clone(p);
                break;
            default: { /* take a range behind */
                uint32_t off = n ? r % n : 0, len = MIN(k, n - off);
                struct pkt *c = pkt_clone(p);
                memcpy(model + n, model + off, len);
                ASSERT_EQ(pkt_append_range(p, c, off, len), 0);
                pkt_free(c);
                n += len;
            }
            }
            ASSERT_EQ(p->len, n);
            ASSERT_EQ(pkt_copy_out(p, 0, out, n), n);
            ASSERT_MEMEQ(out, model, n);
            ASSERT_EQ(csum_reduce(pkt_csum(p, 0, n, 0)) % 0xffff, plain_sum(model, n) % 0xffff);
        }
        pkt_free(other);
        pkt_free(p);
    }
    ASSERT_EQ(live, 0);
}
