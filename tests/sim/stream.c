/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/stream.c: checked streams (stream.h).
 */
#include "tests/sim/stream.h"

#include <stdio.h>

void stream_start(struct stream *x, struct sim *s, struct sim_host *client, struct sim_host *server,
                  const char *ip, uint16_t port) {
    struct ns_addr a = sim_addr(ip, port), any = a;
    uint64_t bytes[2] = {x->end[0].to_send, x->end[1].to_send};
    x->sim = s;
    x->started = s->now;
    x->client = client;
    x->addr = a;
    x->attempts = 1;
    any.ip = ipa_is_v4(&a.ip) ? IPA_ANY4 : IPA_ANY6;
    ASSERT_EQ(nsock_new(server->ns, a.family, NS_SOCK_STREAM, 0, server, &x->listener), 0);
    ASSERT_EQ(nsock_bind(x->listener, &any), 0);
    ASSERT_EQ(nsock_listen(x->listener, 5), 0);
    ASSERT_EQ(nsock_new(client->ns, a.family, NS_SOCK_STREAM, 0, client, &x->end[0].sock), 0);
    if (x->configure) {
        x->configure(s, x->listener);
        x->configure(s, x->end[0].sock);
    }
    ASSERT_EQ(nsock_connect(x->end[0].sock, &a), -EINPROGRESS);
    for (int i = 0; i < 2; i++) {
        struct stream_end *e = &x->end[i];
        e->key_out = s->seed * 2 + (uint64_t)i;
        e->key_in = s->seed * 2 + (uint64_t)!i;
        e->to_recv = bytes[!i];
        if (!e->max_write)
            e->max_write = 1 + (uint32_t)sim_below(s, 40000);
        if (!e->max_read)
            e->max_read = 1 + (uint32_t)sim_below(s, 60000);
    }
}

static bool io_failed(struct stream_end *e, ssize_t n) {
    if (n >= 0 || n == -EAGAIN)
        return false;
    if (!e->error)
        e->error = (int)n;
    return true;
}

static bool act_send(struct stream *x, struct stream_end *e) {
    static uint8_t buf[65536];
    uint64_t left = e->to_send - e->sent;
    if (e->shut)
        return false;
    if (left == 0) {
        int rc = nsock_shutdown(e->sock, NS_SHUT_WR);
        if (rc < 0)
            io_failed(e, rc);
        e->shut = true;
        return true;
    }
    size_t n = 1 + sim_below(x->sim, e->max_write);
    if (n > left)
        n = left;
    for (size_t i = 0; i < n; i++)
        buf[i] = sim_stream_byte(e->key_out, e->sent + i);
    ssize_t done = sim_send(e->sock, buf, n, 0);
    if (io_failed(e, done))
        e->shut = true;
    if (done <= 0)
        return false;
    e->sent += (uint64_t)done;
    return true;
}

static bool act_recv(struct stream *x, struct stream_end *e) {
    static uint8_t buf[65536];
    if (e->eof)
        return false;
    size_t n = 1 + sim_below(x->sim, e->max_read);
    ssize_t done = sim_recv(e->sock, buf, n, 0);
    if (io_failed(e, done)) {
        e->eof = true;
        return true;
    }
    if (done < 0)
        return false;
    if (done == 0) {
        e->eof = true;
        return true;
    }
    for (ssize_t i = 0; i < done; i++)
        if (buf[i] != sim_stream_byte(e->key_in, e->received + (uint64_t)i))
            ASSERT_FAIL("seed %llu: wrong byte at %llu", (unsigned long long)x->sim->seed,
                        (unsigned long long)e->received + (uint64_t)i);
    e->received += (uint64_t)done;
    if (e->received > e->to_recv)
        ASSERT_FAIL("seed %llu: more than was sent", (unsigned long long)x->sim->seed);
    return true;
}

/* What must hold of a sender at any time. */
static void check_invariants(const struct stream *x, const struct stream_end *e) {
    struct ns_tcp_info i;
    size_t n = sizeof(i);
    if (nsock_getopt(e->sock, NS_SOL_TCP, NS_TCP_INFO, &i, &n) < 0)
        return;
    bool ok = i.snd_cwnd >= 1 && i.snd_ssthresh >= 2 && i.sacked <= i.unacked + 1 &&
              i.lost <= i.unacked + 1 && i.retrans <= i.unacked + 1 && i.rto >= 200000 &&
              i.rto <= 120000000 && i.bytes_acked <= e->sent + 1 && i.bytes_acked <= i.bytes_sent &&
              i.bytes_retrans <= i.bytes_sent;
    if (!ok)
        ASSERT_FAIL("seed %llu: cwnd %u ssthresh %u unacked %u sacked %u lost %u retrans %u rto %u",
                    (unsigned long long)x->sim->seed, i.snd_cwnd, i.snd_ssthresh, i.unacked, i.sacked, i.lost,
                    i.retrans, i.rto);
}

static bool act_end(struct stream *x, struct stream_end *e) {
    if (!e->sock || x->sim->now < e->next_io)
        return false;
    uint32_t ready = nsock_ready(e->sock);
    bool any = false;
    check_invariants(x, e);
    if (ready & NS_POLLOUT)
        any |= act_send(x, e);
    if (ready & (NS_POLLIN | NS_POLLHUP | NS_POLLERR))
        any |= act_recv(x, e);
    if (any && e->pause_ns)
        e->next_io = x->sim->now + 1 + (int64_t)sim_below(x->sim, (uint64_t)e->pause_ns);
    return any;
}

/* Address resolution may fail on a bad link, as on a real one: the user tries again. */
static void try_again(struct stream *x) {
    struct stream_end *e = &x->end[0];
    if ((e->error != -EHOSTUNREACH && e->error != -ENOTCONN) || x->end[1].sock || e->received)
        return;
    nsock_close(e->sock);
    e->error = 0;
    e->sent = 0;
    e->shut = e->eof = false;
    ASSERT_EQ(nsock_new(x->client->ns, x->addr.family, NS_SOCK_STREAM, 0, x->client, &e->sock), 0);
    ASSERT_EQ(nsock_connect(e->sock, &x->addr), -EINPROGRESS);
    x->attempts++;
}

bool stream_act(struct stream *x) {
    bool any = true;
    try_again(x);
    while (any) {
        any = false;
        if (!x->end[1].sock && nsock_accept(x->listener, &x->end[1].sock, NULL) == 0) {
            nsock_set_user(x->end[1].sock, NULL);
            any = true;
        }
        for (int i = 0; i < 2; i++)
            any |= act_end(x, &x->end[i]);
    }
    for (int i = 0; i < 2; i++)
        if (!x->end[i].sock || !x->end[i].shut || !x->end[i].eof)
            return true;
    return false;
}

int64_t stream_next(const struct stream *x) {
    int64_t t = INT64_MAX;
    for (int i = 0; i < 2; i++)
        if (x->end[i].sock && x->end[i].next_io > x->sim->now && x->end[i].next_io < t)
            t = x->end[i].next_io;
    return t;
}

static void say_states(const struct stream *x) {
    for (int i = 0; i < 2; i++) {
        struct ns_tcp_info t = {0};
        size_t n = sizeof(t);
        if (!x->end[i].sock || nsock_getopt(x->end[i].sock, NS_SOL_TCP, NS_TCP_INFO, &t, &n) < 0) {
            fprintf(stderr, "end %d: no socket\n", i);
            continue;
        }
        fprintf(stderr,
                "end %d: state %u ca %u ready %x unacked %u lost %u retrans %u sacked %u cwnd %u snd_wnd %u "
                "notsent %u backoff %u probes %u rcv_wnd %u in %u out %u shut %d eof %d\n",
                i, t.state, t.ca_state, nsock_ready(x->end[i].sock), t.unacked, t.lost, t.retrans, t.sacked,
                t.snd_cwnd, t.snd_wnd, t.notsent_bytes, t.backoff, t.probes, t.rcv_ssthresh, t.segs_in,
                t.segs_out, x->end[i].shut, x->end[i].eof);
    }
}

void stream_run(struct stream *x, int64_t limit_ns) {
    int64_t limit = x->sim->now + limit_ns;
    while (stream_act(x)) {
        int64_t user = stream_next(x);
        (void)sim_step(x->sim, user < limit ? user : limit);
        if (x->sim->now >= limit)
            say_states(x);
        if (x->sim->now >= limit)
            ASSERT_FAIL(
                "seed %llu: not done after %lld s: sent %llu/%llu and %llu/%llu, received %llu and %llu",
                (unsigned long long)x->sim->seed, (long long)(limit_ns / 1000000000),
                (unsigned long long)x->end[0].sent, (unsigned long long)x->end[0].to_send,
                (unsigned long long)x->end[1].sent, (unsigned long long)x->end[1].to_send,
                (unsigned long long)x->end[0].received, (unsigned long long)x->end[1].received);
    }
    x->finished = x->sim->now;
}

void stream_close(struct stream *x) {
    for (int i = 0; i < 2; i++) {
        nsock_close(x->end[i].sock);
        x->end[i].sock = NULL;
    }
    nsock_close(x->listener);
    x->listener = NULL;
}
