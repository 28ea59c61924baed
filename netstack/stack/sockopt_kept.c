/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/sockopt_kept.c: options that are kept and told back, and that nothing else needs to know:
 * hints, and requests for messages about what this stack never has (IP options, hop-by-hop headers, labels of
 * a security module). An option whose effect is missing is not here: it fails. Also options that only tell.
 * Sources: socket(7), ip(7), ipv6(7), tcp(7), and what Linux answers (tests/conform/inet_options.c).
 */
#include <errno.h>

#include "netstack/stack/nsock.h"
#include "netstack/wire/wire_ipv4.h"

enum { ANY_SOCK, STREAM_ONLY, NOT_STREAM };

struct kept {
    uint16_t level;
    uint8_t name, bit;
    bool strict;  /* 0 and 1 alone */
    uint8_t only; /* ANY_SOCK ... */
};

/* Bits of nsock.kept. Options of two levels that mean one thing have rows of their own. */
static const struct kept table[] = {
    {NS_SOL_SOCKET, 1 /* SO_DEBUG */, 0},
    {NS_SOL_SOCKET, 11 /* SO_NO_CHECK */, 1},
    {NS_SOL_SOCKET, 41 /* SO_WIFI_STATUS */, 2},
    {NS_SOL_SOCKET, 43 /* SO_NOFCS */, 3},
    {NS_SOL_SOCKET, 45 /* SO_SELECT_ERR_QUEUE */, 4},
    {NS_SOL_SOCKET, 69 /* SO_PREFER_BUSY_POLL */, 5},
    {NS_SOL_SOCKET, 75 /* SO_RCVMARK */, 6},
    {NS_SOL_IP, 6 /* IP_RECVOPTS */, 8},
    {NS_SOL_IP, 7 /* IP_RETOPTS */, 9},
    {NS_SOL_IP, 18 /* IP_PASSSEC */, 10},
    {NS_SOL_IP, 19 /* IP_TRANSPARENT */, KEPT_TRANSPARENT},
    {NS_SOL_IP, 26 /* IP_RECVERR_RFC4884 */, 12, .strict = true},
    {NS_SOL_IPV6, 3 /* IPV6_2292HOPOPTS */, 16},
    {NS_SOL_IPV6, 4 /* IPV6_2292DSTOPTS */, 17},
    {NS_SOL_IPV6, 5 /* IPV6_2292RTHDR */, 18},
    {NS_SOL_IPV6, 31 /* IPV6_RECVERR_RFC4884 */, 12, .strict = true},
    {NS_SOL_IPV6, 53 /* IPV6_RECVHOPOPTS */, 19},
    {NS_SOL_IPV6, 56 /* IPV6_RECVRTHDR */, 20},
    {NS_SOL_IPV6, 58 /* IPV6_RECVDSTOPTS */, 21},
    {NS_SOL_IPV6, 60 /* IPV6_RECVPATHMTU */, 22},
    {NS_SOL_IPV6, 75 /* IPV6_TRANSPARENT */, KEPT_TRANSPARENT},
    {NS_SOL_TCP, 16 /* TCP_THIN_LINEAR_TIMEOUTS */, 24, .strict = true, .only = STREAM_ONLY},
    {NS_SOL_TCP, 34 /* TCP_FASTOPEN_NO_COOKIE */, 25, .strict = true, .only = STREAM_ONLY},
    {NS_SOL_UDP, NS_UDP_GRO, 26, .only = NOT_STREAM},
};

static const struct kept *find(const struct nsock *s, int level, int name) {
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        const struct kept *k = &table[i];
        if (k->level != level || k->name != name)
            continue;
        if ((k->only == STREAM_ONLY && s->type != NS_SOCK_STREAM) ||
            (k->only == NOT_STREAM && s->type != NS_SOCK_DGRAM))
            return NULL;
        return k;
    }
    return NULL;
}

int kept_set(struct nsock *s, int level, int name, const void *val, size_t len) {
    const struct kept *k = find(s, level, name);
    int v = 0;
    if (!k)
        return -ENOPROTOOPT;
    if (level == NS_SOL_IP && len < sizeof(int))
        v = len ? *(const uint8_t *)val : k->bit == KEPT_TRANSPARENT ? -EINVAL : 0;
    else if (opt_get_int(val, len, &v) < 0)
        return -EINVAL;
    if (v == -EINVAL && len == 0) /* IP_TRANSPARENT alone wants a value */
        return -EINVAL;
    if (k->strict && v != 0 && v != 1)
        return -EINVAL;
    s->kept = v ? s->kept | 1u << k->bit : s->kept & ~(1u << k->bit);
    return 0;
}

static int meminfo(const struct nsock *s, void *val, size_t *len) {
    uint32_t m[9] = {s->rx_mem, s->rcvbuf, 0, s->sndbuf, 0, 0, 0, 0, s->rx_dropped};
    return opt_put(val, len, m, sizeof(m));
}

static int tell_socket(struct nsock *s, int name, void *val, size_t *len) {
    static const int32_t nobody[3] = {0, -1, -1};
    static const uint8_t zeros[8];
    switch (name) {
    case 14: /* SO_BSDCOMPAT: ignored since Linux 2.2 */
        return opt_put_int(val, len, 0);
    case 17: /* SO_PEERCRED */
        return opt_put(val, len, nobody, sizeof(nobody));
    case 46: /* SO_BUSY_POLL */
        return opt_put_int(val, len, (int)s->busy_poll);
    case 48: /* SO_BPF_EXTENSIONS: SKF_AD_MAX */
        return opt_put_int(val, len, 64);
    case NS_SO_INCOMING_CPU:
        return opt_put_int(val, len, s->incoming_cpu - 1);
    case 55: /* SO_MEMINFO */
        return meminfo(s, val, len);
    case 56: /* SO_INCOMING_NAPI_ID */
        return opt_put_int(val, len, 0);
    case 57: /* SO_COOKIE */
        return *len < sizeof(s->cookie) ? -EINVAL : opt_put(val, len, &s->cookie, sizeof(s->cookie));
    case 59: /* SO_PEERGROUPS */
    case 77: /* SO_PEERPIDFD */
        return -ENODATA;
    case 61: /* SO_TXTIME */
        return opt_put(val, len, zeros, sizeof(zeros));
    case 72: /* SO_BUF_LOCK */
        return opt_put_int(val, len, (s->sndbuf_locked ? 1 : 0) | (s->rcvbuf_locked ? 2 : 0));
    case 73: /* SO_RESERVE_MEM */
        return opt_put_int(val, len, 0);
    case 74: /* SO_TXREHASH: there is nothing to choose another path by */
        return opt_put_int(val, len, s->txrehash_off ? 0 : 1);
    }
    return -ENOPROTOOPT;
}

int kept_get(struct nsock *s, int level, int name, void *val, size_t *len) {
    const struct kept *k = find(s, level, name);
    if (k)
        return opt_put_int(val, len, s->kept >> k->bit & 1);
    if (level == NS_SOL_SOCKET)
        return tell_socket(s, name, val, len);
    if (level == NS_SOL_IP &&
        (name == 4 /* IP_OPTIONS */ || (name == 9 /* IP_PKTOPTIONS */ && s->type == NS_SOCK_STREAM))) {
        *len = 0;
        return 0;
    }
    if (level == NS_SOL_IP && name == 52 /* IP_PROTOCOL */)
        return opt_put_int(val, len, s->type == NS_SOCK_RAW ? s->protocol : 0);
    return -ENOPROTOOPT;
}

/* What SOL_SOCKET options without a bit do when set. */
int kept_set_socket(struct nsock *s, int name, int v) {
    switch (name) {
    case 14: /* SO_BSDCOMPAT */
        return 0;
    case 16: /* SO_PASSCRED */
    case 34: /* SO_PASSSEC */
    case 73: /* SO_RESERVE_MEM */
    case 76: /* SO_PASSPIDFD */
        return v < 0 && name == 73 ? -EINVAL : -EOPNOTSUPP;
    case 46: /* SO_BUSY_POLL: nothing is polled; kept */
        if (v < 0)
            return -EINVAL;
        s->busy_poll = (uint32_t)v;
        return 0;
    case NS_SO_INCOMING_CPU:
        s->incoming_cpu = v + 1;
        return 0;
    case 61: /* SO_TXTIME: no clock-driven queue */
        return -EINVAL;
    case 72: /* SO_BUF_LOCK */
        if (v & ~3)
            return -EINVAL;
        s->sndbuf_locked = v & 1;
        s->rcvbuf_locked = v & 2;
        return 0;
    case 74: /* SO_TXREHASH */
        if (v < -1 || v > 1)
            return -EINVAL;
        s->txrehash_off = v == 0;
        return 0;
    }
    return -ENOPROTOOPT;
}
