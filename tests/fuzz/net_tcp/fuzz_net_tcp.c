/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/net_tcp/fuzz_net_tcp.c: hostile segments for an established connection with text in both
 * directions. Each record of the input is flags, sequence and ACK offsets near the edges, options and
 * lengths; some let time pass or the user read, write and close. No crash, no leak, and the counters of
 * TCP_INFO stay possible.
 */
#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_tcp.h"
#include "tests/fuzz/net_input/fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fuzz_net f;
static uint32_t isn, peer_seq;

static void segment(uint8_t flags, uint32_t seq, uint32_t ack, uint16_t window, const uint8_t *opt,
                    size_t olen, size_t text) {
    static uint8_t d[2048];
    memset(d, 0, sizeof(d));
    static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9};
    memcpy(d, macs, 12);
    put_be16(d + 12, 0x0800);
    olen &= ~(size_t)3;
    size_t hlen = 20 + olen, total = 20 + hlen + text;
    struct ipv4_hdr ip = {.hlen = 20,
                          .total_len = (uint16_t)total,
                          .ttl = 64,
                          .proto = 6,
                          .src = sim_ip("10.0.0.9"),
                          .dst = sim_ip("10.0.0.1")};
    ipv4_put(d + 14, &ip);
    struct tcp_hdr h = {.sport = 4000,
                        .dport = 80,
                        .seq = seq,
                        .ack = ack,
                        .hlen = (uint8_t)hlen,
                        .flags = flags,
                        .window = window,
                        .urgent = window};
    tcp_hdr_put(d + 34, &h);
    if (olen)
        memcpy(d + 54, opt, olen);
    fuzz_net_frame(&f, d, 14 + total, true);
}

static void learn_isn(void) {
    static uint8_t buf[131072];
    struct channel_frame m;
    while (channel_link_read(f.nic, buf, sizeof(buf), &m) >= 0)
        if (get_be16(buf + 12) == 0x0800 && buf[23] == 6)
            isn = get_be32(buf + 38);
}

static void check(struct nsock *c) {
    struct ns_tcp_info i;
    size_t n = sizeof(i);
    ASSERT_EQ(nsock_getopt(c, NS_SOL_TCP, NS_TCP_INFO, &i, &n), 0);
    ASSERT_GE(i.snd_cwnd, 1);
    ASSERT_LE(i.sacked, i.unacked + 1);
    ASSERT_LE(i.lost, i.unacked + 1);
}

static void act(struct nsock *c, uint8_t what) {
    static uint8_t buf[4096];
    switch (what & 7) {
    case 0:
        (void)!sim_send(c, buf, 1 + (what >> 3) * 100u, what & 0x80 ? NS_MSG_OOB : 0);
        break;
    case 1:
        (void)!sim_recv(c, buf, 1 + (what >> 3) * 100u, 0);
        break;
    case 2:
        (void)!nsock_shutdown(c, (what >> 3) % 3);
        break;
    default:
        fuzz_net_pass(&f, SIM_MS(1) << (what >> 4));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t syn_opt[20] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 2};
    struct nsock *c = NULL;
    fuzz_net_start(&f);
    struct ns_neigh n = {
        .addr = sim_ip("10.0.0.9"), .ifindex = 2, .mac = {{2, 0, 0, 0, 0, 9}}, .state = NS_NUD_PERMANENT};
    ASSERT_EQ(netns_neigh_set(f.h->ns, &n), 0);
    fuzz_net_pass(&f, SIM_S(1));
    peer_seq = 1000;
    segment(TH_SYN, peer_seq++, 0, 1000, syn_opt, sizeof(syn_opt), 0);
    learn_isn();
    segment(TH_ACK, peer_seq, isn + 1, 1000, NULL, 0, 0);
    if (nsock_accept(f.socks[0], &c, NULL) == 0) {
        static uint8_t text[20000];
        (void)!sim_send(c, text, sizeof(text), 0);
        for (int k = 0; size >= 8 && k < 100; k++) {
            size_t olen = data[6] % 41;
            if (size < 8 + olen)
                break;
            if (data[7] & 1)
                act(c, data[7] >> 1);
            uint32_t seq = peer_seq + (uint32_t)(int8_t)data[1] * (data[7] & 2 ? 1000u : 1u);
            uint32_t ack = isn + (uint32_t)data[2] * (data[7] & 4 ? 1460u : 7u);
            size_t len = (size_t)data[3] * (data[7] & 8 ? 5 : 1);
            segment(data[0], seq, ack, get_be16(data + 4), data + 8, olen, len);
            if (data[7] & 16)
                peer_seq += (uint32_t)len;
            check(c);
            data += 8 + olen;
            size -= 8 + olen;
        }
        nsock_close(c);
    }
    ASSERT_LT(f.h->peak_bytes, 16u << 20);
    fuzz_net_pass(&f, SIM_S(300));
    fuzz_net_end(&f);
    return 0;
}
