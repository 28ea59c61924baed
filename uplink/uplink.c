/* SPDX-License-Identifier: Apache-2.0
 * uplink/uplink.c: the loop: frames from the sandbox, events of host sockets, our stack's timers and sockets
 * (uplink.h).
 *
 * Our stack takes every address for its own when it comes from the link (a rule for that interface and a
 * local route to everywhere), so it terminates whatever the guest sends; frames that begin something are
 * looked at first.
 */
#include "uplink/uplink.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "netstack/link/channel.h"
#include "netstack/wire/wire_ipv4.h"
#include "netstack/wire/wire_ipv6.h"
#include "netstack/wire/wire_tcp.h"
#include "uplink/egress.h"
#include "uplink/uplink_internal.h"

enum { EVENTS = 64, FRAMES_A_ROUND = 64, EVERYWHERE = 100, QUEUE = 1024, SWEEP_NS = 1000000000 };
enum { MIN_TRANSPORT = 8 };

/* ---- what our stack needs ---- */

static int64_t op_now(void *ctx) {
    (void)ctx;
    return monotonic_ns();
}

static int64_t op_realtime(void *ctx) {
    (void)ctx;
    return realtime_ns();
}

static void op_random(void *ctx, void *buf, size_t len) {
    (void)ctx;
    ASSERT(getrandom(buf, len, 0) == (ssize_t)len);
}

static void op_notify(void *ctx, void *user, uint32_t events) {
    (void)events;
    station_wake(ctx, user);
}

static void *op_alloc(void *ctx, const struct netstack_type *t) {
    (void)ctx;
    return calloc(1, t->size);
}

static void op_free(void *ctx, const struct netstack_type *t, void *p) {
    (void)ctx, (void)t;
    free(p);
}

static void *op_bytes(void *ctx, size_t n) {
    (void)ctx;
    return malloc(n);
}

static void op_free_bytes(void *ctx, void *p, size_t n) {
    (void)ctx, (void)n;
    free(p);
}

static const struct netstack_host_ops g_host_ops = {
    .now_ns = op_now, .realtime_ns = op_realtime, .random = op_random, .socket_notify = op_notify};
static const struct netstack_alloc_ops g_alloc_ops = {op_alloc, op_free, op_bytes, op_free_bytes};

/* ---- sources and stations ---- */

int source_add(struct uplink *u, struct source *s, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = s};

    list_init(&s->node);
    return epoll_ctl(u->epoll_fd, EPOLL_CTL_ADD, s->fd, &e) < 0 ? -errno : 0;
}

void source_end(struct uplink *u, struct source *s) {
    if (s->dead)
        return;
    s->dead = true;
    s->fd = close_fd(s->fd);
    list_add_tail(&u->dead, &s->node);
}

static void bury(struct uplink *u) {
    while (!list_empty(&u->dead)) {
        struct source *s = list_first_entry(&u->dead, struct source, node);
        list_del(&s->node);
        s->free(s);
    }
}

void station_init(struct station *s, void (*ready)(struct uplink *, struct station *)) {
    s->ready = ready;
    list_init(&s->node);
}

void station_done(struct station *s) {
    list_del(&s->node);
}

void station_wake(struct uplink *u, struct station *s) {
    if (list_empty(&s->node))
        list_add_tail(&u->stations, &s->node);
}

/* ---- reaching out ---- */

int uplink_may_reach(struct uplink *u, uint8_t proto, const struct ipa *ip, uint16_t port) {
    /* 0.0.0.0 and :: mean the host itself to connect(2). */
    if (ipa_is_loopback(ip) || ipa_is_any(ip) || ipa_is_mcast(ip) || ipa_is_bcast4(ip))
        return -ENETUNREACH;
    return u->config->egress ? egress_check(u->config->egress, proto, ip, port) : 0;
}

static socklen_t host_address(const struct ipa *ip, uint16_t port, struct sockaddr_storage *ret) {
    struct sockaddr_in *a4 = (void *)ret;
    struct sockaddr_in6 *a6 = (void *)ret;

    memset(ret, 0, sizeof *ret);
    if (ipa_is_v4(ip)) {
        a4->sin_family = AF_INET;
        a4->sin_port = htons(port);
        memcpy(&a4->sin_addr, ip->b + 12, 4);
        return sizeof *a4;
    }
    a6->sin6_family = AF_INET6;
    a6->sin6_port = htons(port);
    memcpy(&a6->sin6_addr, ip->b, 16);
    return sizeof *a6;
}

int uplink_host_socket(int type, int protocol, const struct ipa *ip, uint16_t port, int *ret) {
    struct sockaddr_storage a;
    socklen_t len = host_address(ip, port, &a);
    cleanup(closep) int fd = socket(a.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&a, len) < 0 && errno != EINPROGRESS)
        return -errno;
    *ret = steal_fd(&fd);
    return 0;
}

int uplink_socket_at(struct uplink *u, int type, const struct ipa *ip, uint16_t port, struct station *user,
                     struct nsock **ret) {
    int family = ipa_is_v4(ip) ? NS_AF_INET : NS_AF_INET6, on = 1;
    struct ns_addr at = {.family = (uint16_t)family, .port = port, .ip = *ip};
    struct nsock *s;
    int r = nsock_new(u->ns, family, type, 0, user, &s);

    if (r < 0)
        return r;
    r = nsock_setopt(s, NS_SOL_IP, NS_IP_FREEBIND, &on, sizeof on);
    if (r >= 0)
        r = nsock_setopt(s, NS_SOL_SOCKET, NS_SO_REUSEADDR, &on, sizeof on);
    if (r >= 0)
        r = nsock_bind(s, &at);
    if (r < 0)
        nsock_close(s);
    else
        *ret = s;
    return r;
}

/* ---- frames ---- */

void uplink_inject(struct uplink *u, const struct frame *f) {
    struct pkt *p = netstack_pkt_copy(u->st, f->bytes, f->len);

    if (p && vnet_parse(&f->hdr, p))
        nic_input(u->nic, p);
    else if (p)
        netstack_pkt_free(u->st, p);
}

void uplink_emit(struct uplink *u, const struct vnet_hdr *hdr, const void *frame, size_t len) {
    struct iovec iov[] = {{(void *)(uintptr_t)hdr, sizeof *hdr}, {(void *)(uintptr_t)frame, len}};

    (void)!writev(u->link.fd, iov, ARRAY_SIZE(iov));
}

/* What our stack has to send. */
static bool flush_stack(struct uplink *u) {
    struct channel_frame c;
    ssize_t n;
    bool any = false;

    while ((n = channel_link_read(u->nic, u->scratch, sizeof u->scratch, &c)) >= 0) {
        struct vnet_hdr h = {
            .gso_size = c.gso_size, .csum_start = c.csum_start, .csum_offset = c.csum_offset};
        h.flags = c.csum_partial ? VNET_NEEDS_CSUM : 0;
        if (c.gso_size)
            h.gso_type = u->scratch[ETHER_HLEN] >> 4 == 4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
        uplink_emit(u, &h, u->scratch, (size_t)n);
        any = true;
    }
    return any;
}

/* False: no IP packet whose header is whole. */
static bool dissect(struct frame *f) {
    uint16_t type = f->len >= ETHER_HLEN ? get_be16(f->bytes + 12) : 0;
    const uint8_t *ip = f->bytes + ETHER_HLEN;
    uint32_t left = f->len - ETHER_HLEN, header;
    bool first = true;

    f->net = ETHER_HLEN;
    if (type == ETYPE_IPV4 && left >= IPV4_MIN_HLEN) {
        header = (uint32_t)(ip[0] & 15) * 4;
        f->src = ipa_from4_wire(ip + 12);
        f->dst = ipa_from4_wire(ip + 16);
        f->proto = ip[9];
        first = (get_be16(ip + 6) & 0x1fff) == 0;
        if (header < IPV4_MIN_HLEN)
            return false;
    } else if (type == ETYPE_IPV6 && left >= IPV6_HLEN) {
        header = IPV6_HLEN; /* what stands behind extension headers opens nothing here */
        f->src = ipa_from6_wire(ip + 8);
        f->dst = ipa_from6_wire(ip + 24);
        f->proto = ip[6];
    } else {
        return false;
    }
    f->trans = first && left >= header + MIN_TRANSPORT ? ETHER_HLEN + header : 0;
    return true;
}

static bool is_ours(const struct uplink *u, const struct ipa *ip) {
    return ipa_eq(ip, &u->gateway4) || ipa_eq(ip, &u->gateway6) || ipa_is_mcast(ip) || ipa_is_bcast4(ip) ||
           (!ipa_is_v4(ip) && ipa_is_linklocal(ip));
}

static void take_frame(struct uplink *u, struct frame *f) {
    if (dissect(f) && f->trans && !is_ours(u, &f->dst)) {
        bool done = f->proto == IPPROTO_NUM_TCP                              ? uplink_tcp_frame(u, f)
                    : f->proto == IPPROTO_NUM_UDP                            ? uplink_udp_frame(u, f)
                    : f->proto == IPPROTO_ICMP || f->proto == IPPROTO_ICMPV6 ? uplink_icmp_frame(u, f)
                                                                             : false;
        if (done)
            return;
    }
    uplink_inject(u, f);
}

static void link_ready(struct uplink *u, struct source *s, uint32_t events) {
    uint8_t *buf = u->scratch;
    struct frame f = {.bytes = buf};
    struct iovec iov[] = {{&f.hdr, sizeof f.hdr}, {buf, UPLINK_FRAME_MAX}};

    (void)events;
    for (int i = 0; i < FRAMES_A_ROUND; i++) {
        ssize_t n = readv(s->fd, iov, ARRAY_SIZE(iov));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            u->over = true;
        if (n <= 0)
            return;
        if ((size_t)n <= sizeof f.hdr)
            continue;
        f.len = (uint32_t)n - (uint32_t)sizeof f.hdr;
        f.trans = 0;
        take_frame(u, &f);
        while (flush_stack(u)) /* `buf` is free again */
            ;
    }
}

static void link_free(struct source *s) {
    (void)s; /* part of struct uplink */
}

/* ---- set-up ---- */

static int add_address(struct uplink *u, const struct ipa *ip, uint8_t prefix) {
    struct nic_addr a = {.addr = *ip,
                         .broadcast = IPA_ANY4,
                         .peer = ipa_is_v4(ip) ? IPA_ANY4 : IPA_ANY6,
                         .prefix_len = prefix,
                         .flags = NS_IFA_F_NODAD,
                         .valid_s = UINT32_MAX,
                         .preferred_s = UINT32_MAX};
    if (!ipa_is_v4(ip))
        a.broadcast = IPA_ANY6;
    return nic_addr_add(u->nic, &a);
}

/* Everything that comes in by the link is for us. */
static int take_everything(struct uplink *u, uint8_t family) {
    struct nic_info info;

    nic_info(u->nic, &info);
    struct ipa any = family == NS_AF_INET ? IPA_ANY4 : IPA_ANY6;
    struct ns_route all = {.dst = any,
                           .table = EVERYWHERE,
                           .type = NS_RTN_LOCAL,
                           .scope = NS_RT_SCOPE_HOST,
                           .prefsrc = any,
                           .nexthop = {.gateway = any, .ifindex = info.ifindex}};
    struct ns_rule rule = {.priority = 1,
                           .table = EVERYWHERE,
                           .src = any,
                           .dst = any,
                           .iif = info.ifindex,
                           .family = family,
                           .action = NS_FR_ACT_TO_TBL};
    int r = netns_route_add(u->ns, &all);
    return r < 0 ? r : netns_rule_add(u->ns, &rule);
}

static int make_stack(struct uplink *u) {
    struct netstack_config config = {
        .host = &g_host_ops, .host_ctx = u, .alloc = &g_alloc_ops, .alloc_ctx = u};
    struct channel_config link = {.name = "guest",
                                  .arphrd = NS_ARPHRD_ETHER,
                                  .mac = {{2, 0, 10, 0, 2, 2}},
                                  .mtu = UPLINK_MTU,
                                  .offloads = NIC_TX_CSUM | NIC_TSO | NIC_QUIET,
                                  .gso_max = 65535,
                                  .queue_max = QUEUE};
    int r = netstack_new(&config, &u->st);

    if (r >= 0)
        r = netns_new(u->st, &u->ns);
    if (r >= 0)
        r = channel_link_new(u->ns, &link, &u->nic);
    if (r >= 0)
        r = nic_set_up(nic_by_name(u->ns, "lo"), true);
    if (r >= 0)
        r = add_address(u, &u->gateway4, UPLINK_PREFIX4);
    if (r >= 0)
        r = add_address(u, &u->gateway6, UPLINK_PREFIX6);
    if (r >= 0) /* so that the guest finds it on its link */
        r = add_address(u, &u->resolver4, UPLINK_PREFIX4);
    if (r >= 0)
        r = nic_set_up(u->nic, true);
    if (r >= 0)
        r = take_everything(u, NS_AF_INET);
    return r < 0 ? r : take_everything(u, NS_AF_INET6);
}

static int start(struct uplink *u) {
    ASSERT(ipa_parse(UPLINK_GATEWAY4, &u->gateway4) && ipa_parse(UPLINK_GATEWAY6, &u->gateway6));
    ASSERT(ipa_parse(UPLINK_GUEST4, &u->guest4) && ipa_parse(UPLINK_GUEST6, &u->guest6));
    ASSERT(ipa_parse(UPLINK_RESOLVER4, &u->resolver4));
    struct list *lists[] = {&u->dead,  &u->stations, &u->connections, &u->listeners,
                            &u->ports, &u->echoes,   &u->gates};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        list_init(lists[i]);
    u->next_sweep = NETSTACK_NEVER;
    u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (u->epoll_fd < 0)
        return -errno;
    u->link = (struct source){.ready = link_ready, .free = link_free, .fd = u->config->link_fd};
    int r = source_add(u, &u->link, EPOLLIN);
    if (r >= 0)
        r = make_stack(u);
    return r < 0 ? r : uplink_publish(u);
}

/* ---- the loop ---- */

static int sleep_ms(struct uplink *u) {
    int64_t until = MIN(netstack_next_deadline(u->st), u->next_sweep), now = monotonic_ns();

    if (until == NETSTACK_NEVER)
        return -1;
    return until <= now ? 0 : (int)MIN((until - now) / 1000000 + 1, (int64_t)60000);
}

static void settle(struct uplink *u) {
    do {
        while (!list_empty(&u->stations)) {
            struct station *s = list_first_entry(&u->stations, struct station, node);
            list_del(&s->node);
            s->ready(u, s);
        }
    } while (flush_stack(u) || !list_empty(&u->stations));
    bury(u);
}

static void serve(struct uplink *u) {
    struct epoll_event events[EVENTS];

    while (!u->over) {
        int n = epoll_wait(u->epoll_fd, events, EVENTS, sleep_ms(u));
        for (int i = 0; i < n; i++) {
            struct source *s = events[i].data.ptr;
            if (!s->dead)
                s->ready(u, s, events[i].events);
        }
        netstack_run(u->st);
        if (monotonic_ns() >= u->next_sweep) {
            u->next_sweep = NETSTACK_NEVER;
            uplink_udp_sweep(u, monotonic_ns());
            uplink_echo_sweep(u, monotonic_ns());
            if (u->flow_count + u->echo_count > 0)
                u->next_sweep = monotonic_ns() + SWEEP_NS * 5ll;
        } else if (u->next_sweep == NETSTACK_NEVER && u->flow_count + u->echo_count > 0) {
            u->next_sweep = monotonic_ns() + SWEEP_NS * 5ll;
        }
        settle(u);
    }
}

int uplink_run(const struct uplink_config *config) {
    cleanup(freep) struct uplink *u = calloc(1, sizeof *u);

    if (!u)
        return -ENOMEM;
    u->config = config;
    u->epoll_fd = -1;
    int r = start(u);
    if (r >= 0)
        serve(u);
    uplink_publish_done(u);
    uplink_tcp_done(u);
    uplink_udp_done(u);
    uplink_icmp_done(u);
    bury(u);
    close_fd(u->link.fd);
    close_fd(u->epoll_fd);
    if (u->ns)
        netns_unref(u->ns);
    if (u->st) {
        netstack_run(u->st);
        netstack_free(u->st);
    }
    return r;
}
