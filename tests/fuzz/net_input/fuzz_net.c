/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/net_input/fuzz_net.c: the stack of fuzz_net.h.
 */
#include "tests/fuzz/net_input/fuzz_net.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"

/* The harness' way to end a test: here it is a finding. */
void test_fail_at(const char *file, int line, const char *fmt, ...) {
    va_list args;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    abort();
}

static void add_socket(struct fuzz_net *f, int family, int type, int proto, uint16_t port) {
    struct nsock *x;
    ASSERT_EQ(nsock_new(f->h->ns, family, type, proto, NULL, &x), 0);
    struct ns_addr any = sim_addr(family == NS_AF_INET ? "0.0.0.0" : "::", port);
    int on = 1;
    if (family == NS_AF_INET6)
        (void)!nsock_setopt(x, NS_SOL_IPV6, NS_IPV6_V6ONLY, &on, sizeof(on));
    if (family != NS_AF_PACKET && port)
        ASSERT_EQ(nsock_bind(x, &any), 0);
    if (type == NS_SOCK_STREAM)
        ASSERT_EQ(nsock_listen(x, 4), 0);
    f->socks[f->sock_count++] = x;
}

void fuzz_net_start(struct fuzz_net *f) {
    memset(f, 0, sizeof(*f));
    sim_init(&f->s, 1);
    f->h = sim_add_host(&f->s);
    struct channel_config c = {
        .name = "eth0", .arphrd = NS_ARPHRD_ETHER, .mac = {{2, 0, 0, 0, 0, 1}}, .mtu = 1500, .queue_max = 64};
    ASSERT_EQ(channel_link_new(f->h->ns, &c, &f->nic), 0);
    ASSERT_EQ(nic_set_up(f->nic, true), 0);
    sim_host_addr(f->h, f->nic, "10.0.0.1", 24);
    sim_host_addr(f->h, f->nic, "fd00::1", 64);
    add_socket(f, NS_AF_INET, NS_SOCK_STREAM, 0, 80);
    add_socket(f, NS_AF_INET6, NS_SOCK_STREAM, 0, 80);
    add_socket(f, NS_AF_INET, NS_SOCK_DGRAM, 0, 53);
    add_socket(f, NS_AF_INET6, NS_SOCK_DGRAM, 0, 53);
    add_socket(f, NS_AF_INET, NS_SOCK_RAW, 1, 0);
    add_socket(f, NS_AF_INET6, NS_SOCK_RAW, 58, 0);
    add_socket(f, NS_AF_PACKET, NS_SOCK_RAW, 3, 0);
}

static void sum_transport(uint8_t *t, size_t len, uint8_t proto, const struct ipa *src,
                          const struct ipa *dst) {
    size_t at = proto == 6 ? 16 : proto == 17 ? 6 : 2;
    if ((proto != 6 && proto != 17 && proto != 1 && proto != 2 && proto != 58) || len < at + 2)
        return;
    t[at] = t[at + 1] = 0;
    uint32_t sum = proto == 1 || proto == 2 ? 0 : csum_pseudo(src, dst, proto, (uint32_t)len);
    csum_store(t + at, csum_fold(csum_partial(t, len, sum)));
}

static void make_sums_good(uint8_t *d, size_t len) {
    if (len < 34)
        return;
    uint16_t type = get_be16(d + 12);
    uint8_t *ip = d + 14;
    size_t avail = len - 14;
    if (type == 0x0800) {
        size_t hlen = (size_t)(ip[0] & 15) * 4, total = get_be16(ip + 2);
        if (hlen < 20 || hlen > avail || total > avail || total < hlen)
            return;
        ipv4_set_csum(ip);
        struct ipa s = ipa_from4_wire(ip + 12), t = ipa_from4_wire(ip + 16);
        sum_transport(ip + hlen, total - hlen, ip[9], &s, &t);
    } else if (type == 0x86dd && avail >= 40) {
        size_t n = get_be16(ip + 4);
        struct ipa s = ipa_from6_wire(ip + 8), t = ipa_from6_wire(ip + 24);
        if (n <= avail - 40)
            sum_transport(ip + 40, n, ip[6], &s, &t);
    }
}

void fuzz_net_frame(struct fuzz_net *f, const uint8_t *data, size_t len, bool ip_sums) {
    struct pkt *p = netstack_pkt_copy(f->h->st, data, (uint32_t)len);
    ASSERT_NOT_NULL(p);
    uint8_t *w = len ? pkt_writable(p, (uint32_t)len) : NULL;
    if (w && ip_sums)
        make_sums_good(w, len);
    nic_input_batch(f->nic, &p, 1);
}

void fuzz_net_pass(struct fuzz_net *f, int64_t ns) {
    static uint8_t buf[131072];
    struct channel_frame m;
    sim_run_for(&f->s, ns);
    while (channel_link_read(f->nic, buf, sizeof(buf), &m) >= 0) {
    }
}

void fuzz_net_end(struct fuzz_net *f) {
    for (int i = 0; i < f->sock_count; i++)
        nsock_close(f->socks[i]);
    sim_done(&f->s);
}
