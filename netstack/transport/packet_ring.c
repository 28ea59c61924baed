/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/packet_ring.c: PACKET_RX_RING and PACKET_TX_RING, versions 1 to 3. packet(7), and the
 * kernel's packet_mmap.rst for the layout.
 *
 * The memory is the guest's as much as ours: what counts (where the next frame goes, how full a block is) is
 * kept in the socket; in the ring it is only told.
 */
#include <errno.h>
#include <stddef.h>

#include "netstack/transport/packet_internal.h"

enum {
    ALIGN = 16,          /* TPACKET_ALIGNMENT */
    SLL_SIZE = 20,       /* struct sockaddr_ll */
    RAW_MARGIN = 16,     /* room for a link header in front of the network's, at least */
    BLOCK_HEADER = 48,   /* struct tpacket_block_desc */
    DEFAULT_TIMEOUT = 8, /* ms, as Linux where the speed of the link is not known */
    RING_MAX = 256 << 20,
};

static uint32_t align_to(uint32_t n, uint32_t to) {
    return (n + to - 1) / to * to;
}

int packet_header_len(int version) {
    switch (version) {
    case PACKET_V1:
    case PACKET_V2:
        return 32;
    case PACKET_V3:
        return 48;
    default:
        return -EINVAL;
    }
}

/* TPACKET_HDRLEN and its like: the sender's address lies behind the header. */
static uint32_t full_header(const struct packet_sock *k) {
    return (uint32_t)packet_header_len(k->version) + SLL_SIZE;
}

static uint32_t block_prefix(const struct packet_ring *r) {
    return BLOCK_HEADER + align_to(r->priv_size, 8);
}

/* ---- memory ---- */

static uint8_t *block_at(const struct packet_ring *r, uint32_t block) {
    return (uint8_t *)r->memory.host.ptr + (size_t)block * r->block_size;
}

static uint8_t *frame_at(const struct packet_ring *r, uint32_t frame) {
    return block_at(r, frame / r->frames_per_block) + (size_t)(frame % r->frames_per_block) * r->frame_size;
}

static void put32(uint8_t *at, uint32_t v) {
    memcpy(at, &v, sizeof(v));
}

static void put16(uint8_t *at, uint16_t v) {
    memcpy(at, &v, sizeof(v));
}

static uint32_t load_status(const uint8_t *at) {
    return __atomic_load_n((const uint32_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

/* Everything else of the frame is there before it. */
static void store_status(uint8_t *at, uint32_t v) {
    __atomic_store_n((uint32_t *)(void *)at, v, __ATOMIC_RELEASE);
}

enum { STATUS_V3_FRAME = 20, STATUS_BLOCK = 8 };

static uint8_t *status_at(const struct packet_sock *k, uint8_t *frame) {
    return k->version == PACKET_V3 ? frame + STATUS_V3_FRAME : frame;
}

/* ---- set-up ---- */

/* struct tpacket_req, and tpacket_req3 for version 3. */
struct request {
    uint32_t block_size, block_count, frame_size, frame_count;
    uint32_t timeout_ms, priv_size, features;
};

static int check_geometry(const struct packet_sock *k, bool tx, const struct request *q) {
    uint64_t least = (uint64_t)full_header(k) + (uint32_t)k->reserve;
    if ((int)q->block_size <= 0 || q->block_size % 4096)
        return -EINVAL;
    if (k->version == PACKET_V3 &&
        q->block_size < BLOCK_HEADER + (((uint64_t)q->priv_size + 7) & ~7ull) + least)
        return -EINVAL;
    if (q->frame_size < least || q->frame_size % ALIGN)
        return -EINVAL;
    uint64_t per_block = q->block_size / q->frame_size;
    if (per_block == 0 || per_block * q->block_count != q->frame_count)
        return -EINVAL;
    if ((uint64_t)q->block_size * q->block_count > RING_MAX)
        return -ENOMEM;
    if (tx && k->version == PACKET_V3 && (q->timeout_ms || q->priv_size || q->features))
        return -EINVAL;
    return 0;
}

static int read_request(const struct packet_sock *k, bool tx, const void *val, size_t len,
                        struct request *ret) {
    size_t size = k->version == PACKET_V3 ? sizeof(*ret) : offsetof(struct request, timeout_ms);
    if (len < size)
        return -EINVAL;
    *ret = (struct request){0};
    memcpy(ret, val, size);
    if (ret->block_count == 0)
        return ret->frame_count ? -EINVAL : 0;
    if (packet_has_ring(tx ? &k->tx : &k->rx))
        return -EBUSY;
    return check_geometry(k, tx, ret);
}

static int checked(struct nsock *s, int name, const void *val, size_t len, struct request *ret) {
    if (s->family != NS_AF_PACKET || (name != NS_PACKET_RX_RING && name != NS_PACKET_TX_RING))
        return -ENOPROTOOPT;
    return read_request(packet_of(s), name == NS_PACKET_TX_RING, val, len, ret);
}

int nsock_ring_check(struct nsock *s, int name, const void *val, size_t len, size_t *ret_size) {
    struct request q;
    mutex_lock(&s->ns->st->lock);
    int rc = checked(s, name, val, len, &q);
    mutex_unlock(&s->ns->st->lock);
    if (rc == 0)
        *ret_size = (size_t)q.block_size * q.block_count;
    return rc;
}

static void forget_memory(struct hostref *h) {
    (void)h; /* the creator's */
}

static const struct hostref_ops ring_memory_ops = {.name = "packet-ring", .release = forget_memory};

static void take_ring(struct packet_sock *k, struct packet_ring *r) {
    if (r == &k->rx)
        ntimer_disarm(k->base.ns->st, &k->retire);
    hostref_release(&r->memory);
    *r = (struct packet_ring){0};
}

int nsock_ring_set(struct nsock *s, int name, const void *val, size_t len, void *memory) {
    struct packet_sock *k = packet_of(s);
    struct netstack *st = s->ns->st;
    struct request q;
    stack_enter(st);
    int rc = checked(s, name, val, len, &q);
    struct packet_ring *r = name == NS_PACKET_TX_RING ? &k->tx : &k->rx;
    if (rc == 0)
        take_ring(k, r);
    if (rc == 0 && q.block_count)
        *r = (struct packet_ring){.memory = {.ops = &ring_memory_ops, .host.ptr = memory},
                                  .block_size = q.block_size,
                                  .block_count = q.block_count,
                                  .frame_size = q.frame_size,
                                  .frame_count = q.frame_count,
                                  .frames_per_block = q.block_size / q.frame_size,
                                  .priv_size = q.priv_size,
                                  .timeout_ms = q.timeout_ms ? q.timeout_ms : DEFAULT_TIMEOUT,
                                  .next_seq = 1};
    if (rc == 0 && r == &k->rx)
        nsock_purge_rx(s); /* Linux drops what was queued before, too */
    stack_leave(st);
    return rc;
}

/* ---- receiving ---- */

/* Where in a frame the network header and the packet's first byte lie. */
static void offsets(const struct packet_sock *k, const struct pkt *p, uint32_t *ret_mac, uint32_t *ret_net) {
    uint32_t header = full_header(k), reserve = (uint32_t)k->reserve;
    if (k->base.type == NS_SOCK_DGRAM) {
        *ret_mac = *ret_net = align_to(header, ALIGN) + RAW_MARGIN + reserve;
        return;
    }
    *ret_net = align_to(header + MAX((uint32_t)p->l2_len, (uint32_t)RAW_MARGIN), ALIGN) + reserve;
    *ret_mac = *ret_net - p->l2_len;
}

static void put_address(const struct packet_sock *k, const struct pkt *p, uint8_t *at) {
    struct ns_addr a;
    packet_name(&k->base, p, &a);
    memset(at, 0, SLL_SIZE);
    put16(at, NS_AF_PACKET);
    put_be16(at + 2, a.ethertype);
    put32(at + 4, a.ifindex);
    put16(at + 8, a.arphrd);
    at[10] = a.pkttype;
    at[11] = a.mac_len;
    memcpy(at + 12, a.mac.b, MAC_LEN);
}

/* Header, address and bytes of one frame; all but the status. */
static void write_frame(const struct packet_sock *k, const struct pkt *p, uint8_t *frame, uint32_t wire_len,
                        uint32_t snap, uint32_t mac, uint32_t net) {
    uint32_t sec = (uint32_t)(p->realtime_ns / 1000000000), nsec = (uint32_t)(p->realtime_ns % 1000000000);
    uint32_t header = (uint32_t)packet_header_len(k->version);
    pkt_copy_out(p, 0, frame + mac, snap);
    memset(frame + 4, 0, header - 4);
    if (k->version == PACKET_V1) { /* status u64, len, snaplen, mac u16, net u16, sec, usec */
        put32(frame + 8, wire_len);
        put32(frame + 12, snap);
        put16(frame + 16, (uint16_t)mac);
        put16(frame + 18, (uint16_t)net);
        put32(frame + 20, sec);
        put32(frame + 24, nsec / 1000);
    } else if (k->version == PACKET_V2) { /* status, len, snaplen, mac u16, net u16, sec, nsec */
        put32(frame + 4, wire_len);
        put32(frame + 8, snap);
        put16(frame + 12, (uint16_t)mac);
        put16(frame + 14, (uint16_t)net);
        put32(frame + 16, sec);
        put32(frame + 20, nsec);
    } else { /* next_offset, sec, nsec, snaplen, len, status, mac u16, net u16 */
        put32(frame, 0);
        put32(frame + 4, sec);
        put32(frame + 8, nsec);
        put32(frame + 12, snap);
        put32(frame + 16, wire_len);
        put16(frame + 24, (uint16_t)mac);
        put16(frame + 26, (uint16_t)net);
    }
    put_address(k, p, frame + header);
}

static uint32_t frame_status(const struct packet_sock *k, const struct pkt *p) {
    return TP_USER | TP_TS_SOFTWARE | packet_status(p) | (k->dropped ? TP_LOSING : 0);
}

/* Versions 1 and 2: frames of one size. */
static bool put_frame(struct packet_sock *k, const struct pkt *p, uint32_t wire_len) {
    struct packet_ring *r = &k->rx;
    uint8_t *frame = frame_at(r, r->head);
    uint32_t mac, net;
    offsets(k, p, &mac, &net);
    if (mac > 65535 || net > 65535 || load_status(frame) != TP_KERNEL)
        return false;
    uint32_t room = mac < r->frame_size ? r->frame_size - mac : 0;
    write_frame(k, p, frame, wire_len, MIN(p->len, room), mac, net);
    store_status(frame, frame_status(k, p));
    r->head = r->head + 1 < r->frame_count ? r->head + 1 : 0;
    nsock_wake(&k->base, NS_POLLIN);
    return true;
}

/* ---- receiving, version 3: blocks that packets fill ---- */

static bool open_block(struct packet_sock *k) {
    struct packet_ring *r = &k->rx;
    uint8_t *block = block_at(r, r->head);
    if (load_status(block + STATUS_BLOCK) & TP_USER) {
        k->freezes += !r->frozen;
        r->frozen = true;
        return false;
    }
    r->frozen = false;
    r->fill = block_prefix(r);
    r->packets = 0;
    memset(block + 12, 0, BLOCK_HEADER - 12);
    put32(block, PACKET_V3);
    put32(block + 4, BLOCK_HEADER); /* offset_to_priv */
    put32(block + 16, r->fill);     /* offset_to_first_pkt */
    memcpy(block + 24, &r->next_seq, sizeof(r->next_seq));
    r->next_seq++;
    return true;
}

static void close_block(struct packet_sock *k, uint32_t why) {
    struct packet_ring *r = &k->rx;
    uint8_t *block = block_at(r, r->head);
    put32(block + r->last, 0); /* next_offset of the last one */
    put32(block + 12, r->packets);
    put32(block + 20, r->fill); /* blk_len */
    store_status(block + STATUS_BLOCK, TP_USER | why | (k->dropped ? TP_LOSING : 0));
    r->fill = 0;
    r->head = r->head + 1 < r->block_count ? r->head + 1 : 0;
    ntimer_disarm(k->base.ns->st, &k->retire);
    nsock_wake(&k->base, NS_POLLIN);
}

static void stamp_block(uint8_t *block, const struct pkt *p, bool first) {
    uint32_t sec = (uint32_t)(p->realtime_ns / 1000000000), nsec = (uint32_t)(p->realtime_ns % 1000000000);
    if (first) {
        put32(block + 32, sec);
        put32(block + 36, nsec);
    }
    put32(block + 40, sec);
    put32(block + 44, nsec);
}

static bool put_in_block(struct packet_sock *k, const struct pkt *p, uint32_t wire_len) {
    struct packet_ring *r = &k->rx;
    uint32_t mac, net, most = r->block_size - block_prefix(r);
    offsets(k, p, &mac, &net);
    most = most > ALIGN ? most - ALIGN : 0;
    if (mac > 65535 || net > 65535 || mac >= most)
        return false;
    uint32_t snap = MIN(p->len, most - mac), need = align_to(mac + snap, 8);
    if (r->fill && r->fill + need >= r->block_size)
        close_block(k, 0);
    if (!r->fill && !open_block(k))
        return false;
    uint8_t *block = block_at(r, r->head), *frame = block + r->fill;
    write_frame(k, p, frame, wire_len, snap, mac, net);
    store_status(frame + STATUS_V3_FRAME, frame_status(k, p));
    put32(frame, need); /* next_offset */
    stamp_block(block, p, r->packets == 0);
    if (r->packets++ == 0)
        ntimer_arm(k->base.ns->st, &k->retire, k->base.ns->st->now + (int64_t)r->timeout_ms * 1000000);
    r->last = r->fill;
    r->fill += need;
    return true;
}

/* A block that is not full by then is handed over all the same. One without packets is not, as on Linux. */
static void retire_fire(struct netstack *st, struct ntimer *t) {
    struct packet_sock *k = container_of(t, struct packet_sock, retire);
    (void)st;
    if (k->rx.fill && k->rx.packets)
        close_block(k, TP_BLOCK_TIMEOUT);
}

static const struct ntimer_ops retire_ops = {.fire = retire_fire};

bool packet_ring_put(struct packet_sock *k, const struct pkt *p, uint32_t wire_len) {
    return k->version == PACKET_V3 ? put_in_block(k, p, wire_len) : put_frame(k, p, wire_len);
}

/* As Linux: the frame (block) before the one that is next is not ours. */
bool packet_ring_readable(const struct packet_sock *k) {
    const struct packet_ring *r = &k->rx;
    bool blocks = k->version == PACKET_V3;
    uint32_t count = blocks ? r->block_count : r->frame_count;
    uint32_t before = (r->head ? r->head : count) - 1;
    return load_status(blocks ? block_at(r, before) + STATUS_BLOCK : frame_at(r, before)) != TP_KERNEL;
}

/* ---- sending ---- */

/* The frame's length, as the guest tells it, checked. */
static int frame_len(const struct packet_sock *k, const uint8_t *frame, const struct nic *nic,
                     uint32_t *ret) {
    uint32_t len, next, at = (uint32_t)packet_header_len(k->version);
    memcpy(&len, frame + (k->version == PACKET_V1 ? 8 : k->version == PACKET_V2 ? 4 : 16), sizeof(len));
    memcpy(&next, frame, sizeof(next));
    if (k->version == PACKET_V3 && next != 0)
        return -EINVAL;
    uint32_t most = MIN(k->tx.frame_size - at, nic->mtu + (k->base.type == NS_SOCK_RAW ? ETHER_HLEN : 0));
    if (len > most)
        return -EMSGSIZE;
    *ret = len;
    return 0;
}

static int send_frame(struct packet_sock *k, const struct ns_msg *m, const uint8_t *frame, struct nic *nic,
                      uint32_t *ret_len) {
    int rc = frame_len(k, frame, nic, ret_len);
    if (rc < 0)
        return rc;
    struct pkt *p =
        pkt_new_copy(&k->base.ns->st->mem, PKT_HEADROOM, frame + packet_header_len(k->version), *ret_len);
    return p ? packet_send_pkt(k, m, p) : -ENOBUFS;
}

ssize_t packet_ring_send(struct packet_sock *k, const struct ns_msg *m) {
    struct packet_ring *r = &k->tx;
    struct nic *nic;
    ssize_t sent = 0;
    int rc = packet_out_nic(k, m, &nic);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < r->frame_count; i++) {
        uint8_t *frame = frame_at(r, r->head), *status = status_at(k, frame);
        uint32_t len = 0;
        if (load_status(status) != TP_SEND_REQUEST)
            break;
        rc = send_frame(k, m, frame, nic, &len);
        bool bad = rc == -EINVAL || rc == -EMSGSIZE;
        if (bad && !k->loss) {
            store_status(status, TP_WRONG_FORMAT);
            return rc;
        }
        store_status(status, TP_KERNEL); /* TP_STATUS_AVAILABLE */
        r->head = r->head + 1 < r->frame_count ? r->head + 1 : 0;
        sent += rc == 0 ? (ssize_t)len : 0;
    }
    nsock_wake(&k->base, NS_POLLOUT);
    return sent;
}

/* ---- life ---- */

void packet_ring_init(struct packet_sock *k) {
    ntimer_init(&k->retire, &retire_ops);
}

void packet_ring_end(struct packet_sock *k) {
    take_ring(k, &k->rx);
    take_ring(k, &k->tx);
}
