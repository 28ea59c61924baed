/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/netstack/nf_test.c: packet rules, connection tracking and translation: a client and a server
 * with a router of ours between them, on a driven clock.
 */
#include <errno.h>

#include "netstack/filter/nf_abi.h"
#include "netstack/filter/nf_legacy.h"
#include "tests/sim/sim.h"

static struct sim s;
static struct sim_host *client, *router, *server;

static void add_route(struct sim_host *h, const char *gateway, struct nic *nic) {
    struct nic_info i;
    nic_info(nic, &i);
    struct ns_route r = {.dst = IPA_ANY4, .type = NS_RTN_UNICAST, .nexthop = {sim_ip(gateway), i.ifindex}};
    ASSERT_EQ(netns_route_add(h->ns, &r), 0);
}

/* client 10.1.0.2 - 10.1.0.1 router 10.2.0.1 - 10.2.0.2 server, which has no way back to 10.1.0.0/24. */
static void three_hosts(void) {
    sim_init(&s, 9);
    client = sim_add_host(&s);
    router = sim_add_host(&s);
    server = sim_add_host(&s);
    struct sim_link *l = sim_add_link(&s, client, router, 1500, 0),
                    *m = sim_add_link(&s, router, server, 1500, 0);
    sim_host_addr(client, l->nic[0], "10.1.0.2", 24);
    sim_host_addr(router, l->nic[1], "10.1.0.1", 24);
    sim_host_addr(router, m->nic[0], "10.2.0.1", 24);
    sim_host_addr(server, m->nic[1], "10.2.0.2", 24);
    add_route(client, "10.1.0.1", l->nic[0]);
    struct netns_sysctl k;
    netns_sysctl_get(router->ns, &k);
    k.ip_forward = true;
    ASSERT_EQ(netns_sysctl_set(router->ns, &k), 0);
    sim_run_for(&s, SIM_S(5));
}

static struct nsock *sock(struct sim_host *h, int type, const char *ip, uint16_t port) {
    struct nsock *x;
    ASSERT_EQ(nsock_new(h->ns, NS_AF_INET, type, 0, NULL, &x), 0);
    if (ip) {
        struct ns_addr a = sim_addr(ip, port);
        ASSERT_EQ(nsock_bind(x, &a), 0);
    }
    return x;
}

/* ---- rules ---- */

/* One table with one base chain and these rules, each of which ends with an expression without a register.
 * `split`: how many expressions each rule has; 0 ends it. */
struct chain_spec {
    uint8_t type, hook;
    int priority, policy;
    const int *split;
    const struct nf_expr *exprs;
};

static int add_chain(struct sim_host *h, const char *table, const struct chain_spec *c) {
    struct nf_ruleset *set;
    struct nf_table *t;
    struct nf_chain *chain;
    nf_lock(h->ns);
    int rc = nf_begin(h->ns, &set);
    if (rc < 0) {
        nf_unlock(h->ns);
        return rc;
    }
    rc = nf_table_new(h->ns, set, NF_FAMILY_INET, table, &t);
    if (rc == 0)
        rc = nf_chain_new(h->ns, t, "c", &chain);
    if (rc == 0) {
        chain->base = true;
        chain->type = c->type;
        chain->hook = c->hook;
        chain->priority = c->priority;
        chain->policy = c->policy;
    }
    const struct nf_expr *e = c->exprs;
    for (const int *n = c->split; rc == 0 && n && *n; e += *n++) {
        struct nf_rule *r;
        rc = nf_rule_new(h->ns, e, (uint32_t)*n, NULL, 0, &r);
        if (rc == 0) {
            rc = nf_rule_insert(h->ns, t, chain, chain->rule_count, r);
            if (rc < 0)
                nf_rule_unref(h->ns, r);
        }
    }
    if (rc == 0)
        rc = nf_commit(h->ns, set);
    if (rc < 0)
        nf_abort(h->ns, set);
    nf_unlock(h->ns);
    return rc;
}

#define L4PROTO(n)                                                                                           \
    {.kind = NFE_META, .key = NFT_META_L4PROTO, .dreg = 0}, {                                                \
        .kind = NFE_CMP, .op = NFT_CMP_EQ, .sreg = 0, .len = 1, .data = { {n} }                              \
    }
#define DPORT(n)                                                                                             \
    {.kind = NFE_PAYLOAD, .key = NFT_PAYLOAD_TRANSPORT, .offset = 2, .len = 2, .dreg = 0}, {                 \
        .kind = NFE_CMP, .op = NFT_CMP_EQ, .sreg = 0, .len = 2, .data = { {(n) >> 8, (n)&255} }              \
    }
#define VERDICT(v)                                                                                           \
    {                                                                                                        \
        .kind = NFE_VERDICT, .verdict = {.code = v }                                                         \
    }
#define NO_RANGE .sreg = NF_NO_REG, .sreg_max = NF_NO_REG, .sreg2 = NF_NO_REG, .sreg2_max = NF_NO_REG

static int forward_port(struct sim_host *h, uint8_t hook) { /* TCP port 80 to 10.2.0.2 port 8080 */
    static const int split[] = {7, 0};
    static const struct nf_expr e[] = {
        L4PROTO(6),
        DPORT(80),
        {.kind = NFE_IMMEDIATE, .dreg = 0, .len = 4, .data = {{10, 2, 0, 2}}},
        {.kind = NFE_IMMEDIATE, .dreg = 16, .len = 2, .data = {{8080 >> 8, 8080 & 255}}},
        {.kind = NFE_NAT,
         .op = 1,
         .key = NF_FAMILY_IPV4,
         .sreg = 0,
         .sreg_max = 0,
         .sreg2 = 16,
         .sreg2_max = 16},
    };
    return add_chain(h, "dnat", &(struct chain_spec){NF_CHAIN_NAT, hook, -100, NF_ACCEPT, split, e});
}

static uint32_t conns(struct sim_host *h) {
    nf_lock(h->ns);
    uint32_t n = nf_conn_count(h->ns);
    nf_unlock(h->ns);
    return n;
}

static uint8_t big[9000], in[9000];

static struct ns_addr exchange_udp(struct nsock *x, struct nsock *y, const char *to, size_t len) {
    struct ns_iov iov = {big, len};
    struct ns_msg m = {.iov = &iov, .iov_count = 1, .has_name = true, .name = sim_addr(to, 53)};
    ASSERT_EQ(nsock_send(x, &m), (ssize_t)len);
    sim_run_for(&s, SIM_MS(100));
    struct ns_iov back = {in, sizeof(in)};
    struct ns_msg got = {.iov = &back, .iov_count = 1};
    ASSERT_EQ(nsock_recv(y, &got), (ssize_t)len);
    ASSERT_MEMEQ(in, big, len);
    struct ns_msg answer = {.iov = &iov, .iov_count = 1, .has_name = true, .name = got.name};
    ASSERT_EQ(nsock_send(y, &answer), (ssize_t)len);
    sim_run_for(&s, SIM_MS(100));
    ASSERT_EQ(sim_recv(x, in, sizeof(in), 0), (ssize_t)len);
    ASSERT_MEMEQ(in, big, len);
    return got.name;
}

/* RFC 3022: the server sees the router's address, and its answers come back; fragments too. */
TEST(nf_masquerade_udp) {
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (uint8_t)(i * 13);
    three_hosts();
    ASSERT_EQ(sim_masquerade(router), 0);
    struct nsock *x = sock(client, NS_SOCK_DGRAM, "10.1.0.2", 5000),
                 *y = sock(server, NS_SOCK_DGRAM, "10.2.0.2", 53);
    struct ns_addr seen = exchange_udp(x, y, "10.2.0.2", 100);
    struct ipa own = sim_ip("10.2.0.1");
    ASSERT_TRUE(ipa_eq(&seen.ip, &own));
    ASSERT_EQ(seen.port, 5000);
    (void)exchange_udp(x, y, "10.2.0.2", 8000);
    ASSERT_EQ(conns(router), 1);
    sim_run_for(&s, SIM_S(200)); /* nobody speaks: it is forgotten */
    ASSERT_EQ(conns(router), 0);
    nsock_close(x);
    nsock_close(y);
    sim_done(&s);
}

/* RFC 5508 section 4.2: the error quotes what the server saw; the client hears of what it sent. */
TEST(nf_icmp_errors_are_translated) {
    three_hosts();
    ASSERT_EQ(sim_masquerade(router), 0);
    struct nsock *x = sock(client, NS_SOCK_DGRAM, "10.1.0.2", 5000);
    struct ns_addr to = sim_addr("10.2.0.2", 9);
    ASSERT_EQ(nsock_connect(x, &to), 0);
    ASSERT_EQ(sim_send(x, "x", 1, 0), 1);
    sim_run_for(&s, SIM_MS(100));
    ASSERT_EQ(sim_send(x, "x", 1, 0), -ECONNREFUSED);
    nsock_close(x);
    sim_done(&s);
}

static void tcp_through(const char *to, uint16_t port, struct nsock *l) {
    struct nsock *x = sock(client, NS_SOCK_STREAM, NULL, 0), *y;
    struct ns_addr a = sim_addr(to, port), peer;
    ASSERT_EQ(nsock_connect(x, &a), -EINPROGRESS);
    sim_run_for(&s, SIM_MS(500));
    ASSERT_EQ(nsock_accept(l, &y, &peer), 0);
    struct ipa own = sim_ip("10.2.0.1");
    ASSERT_TRUE(ipa_eq(&peer.ip, &own));
    ASSERT_EQ(sim_send(x, big, 5000, 0), 5000);
    sim_run_for(&s, SIM_MS(500));
    ASSERT_EQ(sim_recv(y, in, sizeof(in), 0), 5000);
    ASSERT_MEMEQ(in, big, 5000);
    ASSERT_EQ(sim_send(y, big, 3000, 0), 3000);
    sim_run_for(&s, SIM_MS(500));
    ASSERT_EQ(sim_recv(x, in, sizeof(in), 0), 3000);
    nsock_close(x);
    nsock_close(y);
    sim_run_for(&s, SIM_S(1));
}

static void note_state(void *ctx, const struct nf_conn_info *i) {
    *(int *)ctx = i->tcp_state;
}

static int tcp_state(struct sim_host *h) {
    int state = -1;
    nf_lock(h->ns);
    nf_conn_each(h->ns, note_state, &state);
    nf_unlock(h->ns);
    return state;
}

/* A port of the router is the server's; the connection's end is seen from outside. */
TEST(nf_port_forwarding_tcp) {
    three_hosts();
    ASSERT_EQ(sim_masquerade(router), 0);
    ASSERT_EQ(forward_port(router, NF_PREROUTING), 0);
    struct nsock *l = sock(server, NS_SOCK_STREAM, "10.2.0.2", 8080);
    ASSERT_EQ(nsock_listen(l, 8), 0);
    tcp_through("10.1.0.1", 80, l);
    ASSERT_EQ(conns(router), 1);
    ASSERT_STREQ(nf_tcp_state_names[tcp_state(router)], "TIME_WAIT");
    sim_run_for(&s, SIM_S(130));
    ASSERT_EQ(conns(router), 0);
    nsock_close(l);
    sim_done(&s);
}

/* The client's own rules translate what it sends, and route it anew. */
TEST(nf_output_translation_reroutes) {
    three_hosts();
    ASSERT_EQ(sim_masquerade(router), 0);
    ASSERT_EQ(forward_port(client, NF_OUTPUT), 0);
    struct nsock *l = sock(server, NS_SOCK_STREAM, "10.2.0.2", 8080);
    ASSERT_EQ(nsock_listen(l, 8), 0);
    tcp_through("192.0.2.7", 80, l);
    nsock_close(l);
    sim_done(&s);
}

/* Two clients with one port: one of them gets another. */
TEST(nf_ports_do_not_collide) {
    three_hosts();
    ASSERT_EQ(sim_masquerade(router), 0);
    struct nsock *y = sock(server, NS_SOCK_DGRAM, "10.2.0.2", 53),
                 *x = sock(client, NS_SOCK_DGRAM, "10.1.0.2", 5000);
    struct nsock *z = sock(router, NS_SOCK_DGRAM, "10.2.0.1", 5000);
    struct ns_addr first = exchange_udp(z, y, "10.2.0.2", 10), second = exchange_udp(x, y, "10.2.0.2", 10);
    ASSERT_EQ(first.port, 5000);
    ASSERT_TRUE(second.port != 5000);
    ASSERT_EQ(conns(router), 2);
    nsock_close(x);
    nsock_close(y);
    nsock_close(z);
    sim_done(&s);
}

/* Only what the inside began may come in; what is dropped on the way out is told to the sender. */
TEST(nf_states_and_policies) {
    static const int accept_split[] = {4, 0};
    static const struct nf_expr accept[] = {
        {.kind = NFE_CT, .key = NFT_CT_STATE, .dreg = 0, .dir = 0xff},
        {.kind = NFE_BITWISE, .sreg = 0, .dreg = 0, .len = 4, .data = {{6}, {0}}}, /* established, related */
        {.kind = NFE_CMP, .op = NFT_CMP_NEQ, .sreg = 0, .len = 4},
        VERDICT(NF_ACCEPT),
    };
    three_hosts();
    ASSERT_EQ(add_chain(client, "f",
                        &(struct chain_spec){NF_CHAIN_FILTER, NF_INPUT, 0, NF_DROP, accept_split, accept}),
              0);
    ASSERT_EQ(sim_masquerade(router), 0);
    struct nsock *x = sock(client, NS_SOCK_DGRAM, "10.1.0.2", 53),
                 *y = sock(server, NS_SOCK_DGRAM, "10.2.0.2", 53);
    struct nsock *z = sock(router, NS_SOCK_DGRAM, NULL, 0);
    (void)exchange_udp(x, y, "10.2.0.2", 10);
    struct ns_iov iov = {big, 1};
    struct ns_msg m = {.iov = &iov, .iov_count = 1, .has_name = true, .name = sim_addr("10.1.0.2", 53)};
    ASSERT_EQ(nsock_send(z, &m), 1);
    sim_run_for(&s, SIM_MS(100));
    ASSERT_EQ(sim_recv(x, in, sizeof(in), 0), -EAGAIN);
    static const int drop_split[] = {3, 0};
    static const struct nf_expr drop[] = {L4PROTO(17), VERDICT(NF_DROP)};
    ASSERT_EQ(add_chain(router, "o",
                        &(struct chain_spec){NF_CHAIN_FILTER, NF_OUTPUT, 0, NF_ACCEPT, drop_split, drop}),
              0);
    ASSERT_EQ(nsock_send(z, &m), -EPERM);
    nsock_close(x);
    nsock_close(y);
    nsock_close(z);
    sim_done(&s);
}

/* REJECT: a reset that the client takes for the server's own. */
TEST(nf_reject_resets) {
    static const int split[] = {5, 0};
    static const struct nf_expr e[] = {L4PROTO(6), DPORT(80), {.kind = NFE_REJECT, .op = NFT_REJECT_TCP_RST}};
    three_hosts();
    ASSERT_EQ(
        add_chain(router, "f", &(struct chain_spec){NF_CHAIN_FILTER, NF_FORWARD, 0, NF_ACCEPT, split, e}), 0);
    struct nsock *x = sock(client, NS_SOCK_STREAM, NULL, 0);
    struct ns_addr a = sim_addr("10.2.0.2", 80);
    ASSERT_EQ(nsock_connect(x, &a), -EINPROGRESS);
    sim_run_for(&s, SIM_MS(100));
    ASSERT_EQ(nsock_connect(x, &a), -ECONNREFUSED);
    nsock_close(x);
    sim_done(&s);
}

/* The table is bounded: unanswered entries make room for new ones. */
TEST(nf_conntrack_max) {
    three_hosts();
    ASSERT_EQ(sim_masquerade(router), 0);
    nf_lock(router->ns);
    nf_conn_set_max(router->ns, 8);
    nf_unlock(router->ns);
    struct nsock *x = sock(client, NS_SOCK_DGRAM, "10.1.0.2", 5000);
    struct ns_iov iov = {big, 1};
    for (uint16_t port = 1; port < 100; port++) {
        struct ns_msg m = {
            .iov = &iov, .iov_count = 1, .has_name = true, .name = sim_addr("10.2.0.77", port)};
        ASSERT_EQ(nsock_send(x, &m), 1);
        sim_run_for(&s, SIM_MS(1));
        ASSERT_LE(conns(router), 8);
    }
    ASSERT_EQ(conns(router), 8);
    nsock_close(x);
    sim_done(&s);
}

/* A loop of chains that packets would reach is refused, and nothing of its batch stays. */
TEST(nf_loops_are_refused) {
    static const int split[] = {1, 0};
    static const struct nf_expr loop[] = {{.kind = NFE_VERDICT, .verdict = {.code = NF_JUMP, .chain = 0}}};
    three_hosts();
    ASSERT_EQ(
        add_chain(router, "f", &(struct chain_spec){NF_CHAIN_FILTER, NF_INPUT, 0, NF_ACCEPT, split, loop}),
        -EMLINK);
    nf_lock(router->ns);
    ASSERT_TRUE(nf_current(router->ns) == NULL ||
                nf_table_find(nf_current(router->ns), NF_FAMILY_INET, "f") == NULL);
    nf_unlock(router->ns);
    sim_done(&s);
}

/* Every allocation of making rules fails once. */
TEST(nf_allocation_failures) {
    three_hosts();
    int rc = -ENOMEM;
    for (int64_t n = 0; n < 200 && rc < 0; n++) {
        router->fail_after = n;
        rc = sim_masquerade(router);
        router->fail_after = -1;
        ASSERT_TRUE(rc == 0 || rc == -ENOMEM);
    }
    ASSERT_EQ(rc, 0);
    struct xt_getinfo info;
    rc = -ENOMEM;
    for (int64_t n = 0; n < 200 && rc < 0; n++) {
        router->fail_after = n;
        rc = nf_legacy_info(router->ns, NS_AF_INET, "filter", &info);
        router->fail_after = -1;
    }
    ASSERT_EQ(rc, 0);
    ASSERT_EQ(info.num_entries, 4);
    sim_done(&s);
}
