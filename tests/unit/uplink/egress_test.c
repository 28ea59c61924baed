/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/uplink/egress_test.c: the egress policy: what the file may say, what is allowed, what names may
 * be asked, what answers pin.
 */
#include "uplink/egress.h"

#include <errno.h>
#include <string.h>

#include "netstack/wire/wire_ipv4.h"
#include "tests/support/test.h"

static struct egress *policy(const char *text) {
    struct egress *e = NULL;
    size_t line;
    ASSERT_EQ(egress_parse(text, strlen(text), &e, &line), 0);
    return e;
}

static size_t bad_line(const char *text, size_t len) {
    struct egress *e;
    size_t line = 0;
    ASSERT_EQ(egress_parse(text, len, &e, &line), -EINVAL);
    return line;
}

static int check(struct egress *e, uint8_t proto, const char *ip, uint16_t port) {
    struct ipa a;
    ASSERT_TRUE(ipa_parse(ip, &a));
    return egress_check(e, proto, &a, port);
}

/* A question for a name given with length bytes, as "\3www\4test". */
static size_t question(uint8_t *m, const char *labels, uint16_t type) {
    static const uint8_t head[12] = {0x12, 0x34, 1, 0, 0, 1};
    size_t n = strlen(labels) + 1;
    memcpy(m, head, sizeof(head));
    memcpy(m + 12, labels, n);
    put_be16(m + 12 + n, type);
    put_be16(m + 14 + n, 1);
    return 16 + n;
}

static size_t answer(uint8_t *m, const char *labels, struct ipa ip, uint32_t ttl) {
    size_t n = question(m, labels, 1), v4 = ipa_is_v4(&ip);
    m[2] |= 0x80;
    m[7] = 1;
    put_be16(m + n, 0xc00c);
    put_be16(m + n + 2, v4 ? 1 : 28);
    put_be16(m + n + 4, 1);
    put_be32(m + n + 6, ttl);
    put_be16(m + n + 10, v4 ? 4 : 16);
    memcpy(m + n + 12, ip.b + (v4 ? 12 : 0), v4 ? 4 : 16);
    return n + 12 + (v4 ? 4 : 16);
}

TEST(egress_denies_what_is_not_listed) {
    struct egress *e = policy("");
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.1", 80), -EACCES);
    ASSERT_EQ(check(e, IPPROTO_NUM_ICMP, "192.0.2.1", 0), -EACCES);
    egress_free(e);
}

TEST(egress_allows_addresses_ports_and_protocols) {
    struct egress *e = policy("# first\n"
                              "allow tcp 192.0.2.0/24 80,443,8000-8010   # web\r\n"
                              "\n"
                              "  allow\tudp 2001:db8::/32 *\n"
                              "allow icmp 198.51.100.7\n"
                              "allow any 203.0.113.9 53");
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.255", 443), 0);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.1", 8010), 0);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.1", 8011), -EACCES);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.3.1", 80), -EACCES);
    ASSERT_EQ(check(e, IPPROTO_NUM_UDP, "192.0.2.1", 80), -EACCES);
    ASSERT_EQ(check(e, IPPROTO_NUM_UDP, "2001:db8:1::1", 9), 0);
    ASSERT_EQ(check(e, IPPROTO_NUM_UDP, "2001:db9::1", 9), -EACCES);
    ASSERT_EQ(check(e, IPPROTO_NUM_ICMP, "198.51.100.7", 0), 0);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "198.51.100.7", 1), -EACCES);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "203.0.113.9", 53), 0);
    ASSERT_EQ(check(e, IPPROTO_NUM_ICMP, "203.0.113.9", 0), 0);
    egress_free(e);
}

TEST(egress_bad_files_are_refused_with_their_line) {
    static const char *const bad[] = {
        "deny tcp 192.0.2.1 80",  "allow tcp 192.0.2.1",        "allow tcp 192.0.2.1 0x50",
        "allow tcp 192.0.2.1 ",   "allow tcp 192.0.2.1/33 80",  "allow tcp 192.0.2.1/ 80",
        "allow tcp a_b/8 80",     "allow sctp 192.0.2.1 80",    "allow tcp 192.0.2.1 90-80",
        "allow tcp x.y 65536",    "allow icmp 192.0.2.1 80",    "allow tcp 192.0.2.1 80 81",
        "allow tcp *.*.test 80",  "allow tcp 192.0.2.1 80,,81", "allow",
        "allow tcp na(me.com 80", "allow tcp 192.0.2.1 80-",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ASSERT_EQ(bad_line(bad[i], strlen(bad[i])), 1u);
    const char *fourth = "\n# x\nallow tcp 192.0.2.1 80\nnonsense";
    ASSERT_EQ(bad_line(fourth, strlen(fourth)), 4u);
    ASSERT_EQ(bad_line("allow any 0.0.0.0/0 *\0allow", 27), 0u);
}

TEST(egress_names_are_pinned_by_answers_only) {
    uint8_t m[512];
    size_t len, n;
    struct egress *e = policy("allow tcp www.Example.test. 443\nallow tcp *.below.test 80");
    len = question(m, "\3www\7EXAMPLE\4test", 1);
    ASSERT_TRUE(egress_dns_question(e, m, len, sizeof(m), &n));
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.1", 443), -EACCES);
    len = answer(m, "\3www\7example\4test", IPA_V4(192, 0, 2, 1), 60);
    egress_dns_answer(e, m, len);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.1", 443), 0);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.1", 80), -EACCES);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.2", 443), -EACCES);
    len = answer(m, "\1a\5below\4test", IPA_V4(192, 0, 2, 2), 60);
    egress_dns_answer(e, m, len);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.2", 80), 0);
    /* of a name that nobody may ask for */
    len = answer(m, "\4evil\4test", IPA_V4(192, 0, 2, 3), 60);
    egress_dns_answer(e, m, len);
    ASSERT_EQ(check(e, IPPROTO_NUM_TCP, "192.0.2.3", 443), -EACCES);
    egress_free(e);
}

TEST(egress_refuses_other_questions_itself) {
    static const char *const denied[] = {
        "\4evil\4test", "\5below\4test", "\4test", "\1x\3www\7example\4test", "\13www.example\4test", ""};
    uint8_t m[512];
    size_t n;
    struct egress *e = policy("allow tcp www.example.test 443\nallow tcp *.below.test 80");
    for (size_t i = 0; i < ARRAY_SIZE(denied); i++) {
        size_t len = question(m, denied[i], 1);
        ASSERT_TRUE(!egress_dns_question(e, m, len, sizeof(m), &n));
        if (i == 4) { /* a dot within a label: no answer at all */
            ASSERT_EQ(n, 0u);
            continue;
        }
        ASSERT_EQ(n, len);
        ASSERT_EQ(m[0], 0x12);
        ASSERT_EQ(m[2] & 0x80, 0x80);
        ASSERT_EQ(m[3] & 0xf, 5);
    }
    /* an answer that a guest sends as a question, and two questions at once */
    size_t len = question(m, "\3www\7example\4test", 1);
    m[2] |= 0x80;
    ASSERT_TRUE(!egress_dns_question(e, m, len, sizeof(m), &n));
    ASSERT_EQ(n, 0u);
    len = question(m, "\3www\7example\4test", 1);
    m[5] = 2;
    ASSERT_TRUE(!egress_dns_question(e, m, len, sizeof(m), &n));
    egress_free(e);
}
