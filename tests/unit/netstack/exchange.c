/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/exchange.c: the peer of exchange.h.
 */
#include "tests/unit/netstack/exchange.h"

#include <stdio.h>

#include "netstack/wire/checksum.h"
#include "netstack/wire/wire_ipv4.h"

static const struct mac peer_mac = {{2, 0, 0, 0, 0, 9}};
static const struct mac our_mac = {{2, 0, 0, 0, 0, 1}};

void xc_start(struct xc *x) {
    memset(x, 0, sizeof(*x));
    sim_init(&x->s, 42);
    x->h = sim_add_host(&x->s);
    struct channel_config c = {
        .name = "eth0", .arphrd = NS_ARPHRD_ETHER, .mac = our_mac, .mtu = 1500, .queue_max = 1000};
    ASSERT_EQ(channel_link_new(x->h->ns, &c, &x->nic), 0);
    ASSERT_EQ(nic_set_up(x->nic, true), 0);
    sim_host_addr(x->h, x->nic, "10.0.0.1", 24);
    struct ns_neigh n = {
        .addr = sim_ip("10.0.0.9"), .ifindex = 2, .mac = peer_mac, .state = NS_NUD_PERMANENT};
    ASSERT_EQ(netns_neigh_set(x->h->ns, &n), 0);
    x->peer_port = PEER_PORT;
    x->our_port = OUR_PORT;
}

void xc_end(struct xc *x) {
    nsock_close(x->sock);
    nsock_close(x->listener);
    sim_done(&x->s);
}

void xc_wait(struct xc *x, int64_t ns) {
    sim_run_for(&x->s, ns);
}

bool xc_read(struct xc *x) {
    struct channel_frame m;
    for (;;) {
        ssize_t n = channel_link_read(x->nic, x->frame, sizeof(x->frame), &m);
        if (n < 0)
            return false;
        x->frame_len = (uint32_t)n;
        if (get_be16(x->frame + 12) == ETYPE_IPV4 && x->frame[14 + 9] != IPPROTO_NUM_IGMP)
            return true;
    }
}

static void deliver(struct xc *x, const uint8_t *ip, uint32_t len) {
    uint8_t frame[70000];
    eth_put(frame, &(struct eth_hdr){.dst = our_mac, .src = peer_mac, .type = ETYPE_IPV4});
    memcpy(frame + ETHER_HLEN, ip, len);
    struct pkt *p = netstack_pkt_copy(x->h->st, frame, ETHER_HLEN + len);
    ASSERT_NOT_NULL(p);
    nic_input(x->nic, p);
}

static void send_ip(struct xc *x, uint8_t proto, uint8_t tos, const void *data, uint32_t len) {
    uint8_t ip[70000];
    struct ipv4_hdr h = {.hlen = 20,
                         .tos = tos,
                         .total_len = (uint16_t)(20 + len),
                         .id = 7,
                         .df = true,
                         .ttl = 64,
                         .proto = proto,
                         .src = sim_ip("10.0.0.9"),
                         .dst = sim_ip("10.0.0.1")};
    ipv4_put(ip, &h);
    memcpy(ip + 20, data, len);
    deliver(x, ip, 20 + len);
}

void xc_send_ip(struct xc *x, uint8_t proto, const void *data, uint32_t len) {
    send_ip(x, proto, 0, data, len);
}

void xc_send(struct xc *x, const struct seg *g) {
    uint8_t t[70000];
    struct tcp_options o = {.has_mss = g->mss != 0,
                            .mss = g->mss,
                            .has_wscale = g->wscale != 0,
                            .wscale = (uint8_t)(g->wscale - 1),
                            .sack_permitted = g->sackok,
                            .has_ts = g->ts,
                            .ts_val = g->ts_val,
                            .ts_ecr = g->ts_ecr,
                            .sack_count = g->sacks,
                            .has_fastopen = g->tfo,
                            .cookie_len = g->cookie_len};
    memcpy(o.cookie, g->cookie, sizeof(o.cookie));
    for (int i = 0; i < g->sacks; i++)
        o.sack[i] = (struct tcp_sack_block){g->sack[i].start + x->isn, g->sack[i].end + x->isn};
    uint32_t olen = (uint32_t)tcp_options_put(t + 20, &o, g->flags & TH_SYN), hlen = 20 + olen;
    struct tcp_hdr h = {.sport = x->peer_port,
                        .dport = x->our_port,
                        .seq = g->seq,
                        .ack = g->ack + x->isn,
                        .hlen = (uint8_t)hlen,
                        .flags = (uint8_t)g->flags,
                        .window = (uint16_t)g->window,
                        .urgent = g->urgent};
    if (!(g->flags & TH_ACK))
        h.ack = 0;
    tcp_hdr_put(t, &h);
    for (uint32_t i = 0; i < g->len; i++)
        t[hlen + i] = (uint8_t)(g->seq + i);
    struct ipa src = sim_ip("10.0.0.9"), dst = sim_ip("10.0.0.1");
    uint32_t len = hlen + g->len;
    csum_store(t + 16, csum_fold(csum_partial(t, len, csum_pseudo(&src, &dst, IPPROTO_NUM_TCP, len))));
    send_ip(x, IPPROTO_NUM_TCP, g->tos, t, len);
}

static void show(const char *what, const struct seg *g, uint32_t isn) {
    fprintf(stderr, "  %s flags %02x seq %u ack %u window %u len %u\n", what, g->flags, g->seq - isn, g->ack,
            g->window, g->len);
}

static void decode(struct xc *x, struct seg *g) {
    struct ipv4_hdr ip;
    struct tcp_hdr h;
    struct tcp_options o;
    const uint8_t *p = x->frame + ETHER_HLEN;
    ASSERT_EQ(ipv4_parse(p, x->frame_len - ETHER_HLEN, x->frame_len - ETHER_HLEN, &ip), 0);
    ASSERT_EQ(ip.proto, IPPROTO_NUM_TCP);
    const uint8_t *t = p + ip.hlen;
    uint32_t len = ip.total_len - (uint32_t)ip.hlen;
    ASSERT_EQ(tcp_hdr_parse(t, len, &h), 0);
    ASSERT_EQ(csum_fold(csum_partial(t, len, csum_pseudo(&ip.src, &ip.dst, IPPROTO_NUM_TCP, len))), 0);
    tcp_options_parse(t + 20, h.hlen - 20u, &o);
    *g = (struct seg){.flags = h.flags,
                      .seq = h.seq,
                      .ack = h.ack,
                      .window = h.window,
                      .len = len - h.hlen,
                      .mss = o.has_mss ? o.mss : 0,
                      .urgent = h.urgent,
                      .wscale = o.has_wscale ? o.wscale + 1 : 0,
                      .sackok = o.sack_permitted,
                      .ts = o.has_ts,
                      .ts_val = o.ts_val,
                      .ts_ecr = o.ts_ecr,
                      .sacks = o.sack_count,
                      .tos = ip.tos,
                      .tfo = o.has_fastopen,
                      .cookie_len = o.cookie_len};
    memcpy(g->sack, o.sack, sizeof(g->sack));
    memcpy(g->cookie, o.cookie, sizeof(g->cookie));
    if (h.flags & TH_SYN) {
        x->isn = h.seq;
        x->isn_known = true;
    }
    if (o.has_ts)
        x->last_ts_val = o.ts_val;
    x->peer_port = h.dport;
    x->our_port = h.sport;
}

static bool matches(const struct xc *x, const struct seg *got, const struct seg *want) {
    bool ok = got->flags == want->flags && got->len == want->len;
    ok = ok && (want->any_seq || want->flags & TH_SYN || got->seq - x->isn == want->seq);
    ok = ok && (want->any_ack || !(want->flags & TH_ACK) || got->ack == want->ack);
    ok = ok && (!want->check_window || got->window == want->window);
    ok = ok && (!want->mss || got->mss == want->mss) && (!want->urgent || got->urgent == want->urgent);
    ok = ok && (!want->wscale || got->wscale == want->wscale) && (!want->sackok || got->sackok);
    ok = ok && (!want->ts || (got->ts && got->ts_ecr == want->ts_ecr));
    ok = ok && (!want->tos || got->tos == want->tos);
    ok = ok && got->sacks == want->sacks;
    for (int i = 0; ok && i < want->sacks; i++)
        ok = got->sack[i].start == want->sack[i].start && got->sack[i].end == want->sack[i].end;
    return ok;
}

void xc_expect(struct xc *x, const struct seg *want, const char *file, int line) {
    if (!xc_read(x))
        test_fail_at(file, line, "no segment came");
    decode(x, &x->last);
    if (matches(x, &x->last, want))
        return;
    show("got     ", &x->last, x->isn);
    show("expected", want, 0);
    for (int i = 0; i < x->last.sacks; i++)
        fprintf(stderr, "  sack %u-%u\n", x->last.sack[i].start, x->last.sack[i].end);
    test_fail_at(file, line, "another segment than expected");
}

void xc_expect_nothing(struct xc *x, const char *file, int line) {
    struct seg g;
    if (!xc_read(x))
        return;
    decode(x, &g);
    show("got", &g, x->isn);
    test_fail_at(file, line, "a segment came");
}

void xc_listen(struct xc *x) {
    struct ns_addr a = sim_addr("0.0.0.0", OUR_PORT);
    ASSERT_EQ(nsock_new(x->h->ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &x->listener), 0);
    ASSERT_EQ(nsock_bind(x->listener, &a), 0);
    ASSERT_EQ(nsock_listen(x->listener, 8), 0);
}

void xc_established(struct xc *x, const struct seg *syn) {
    struct seg g = *syn;
    if (!x->listener)
        xc_listen(x);
    g.flags |= TH_SYN;
    g.seq = 1000;
    xc_send(x, &g);
    xc_expect(x, &(struct seg){.flags = TH_SYN | TH_ACK | (g.flags & TH_CWR ? TH_ECE : 0), .ack = 1001},
              __FILE__, __LINE__);
    xc_wait(x, SIM_MS(x->handshake_ms));
    struct seg a = {.flags = TH_ACK,
                    .seq = 1001,
                    .ack = 1,
                    .window = syn->window ? syn->window : 65535,
                    .ts = g.ts,
                    .ts_val = g.ts_val,
                    .ts_ecr = x->last_ts_val};
    xc_send(x, &a);
    ASSERT_EQ(nsock_accept(x->listener, &x->sock, NULL), 0);
}

void xc_connect(struct xc *x) {
    struct ns_addr a = sim_addr("10.0.0.9", PEER_PORT);
    ASSERT_EQ(nsock_new(x->h->ns, NS_AF_INET, NS_SOCK_STREAM, 0, NULL, &x->sock), 0);
    ASSERT_EQ(nsock_connect(x->sock, &a), -EINPROGRESS);
}
