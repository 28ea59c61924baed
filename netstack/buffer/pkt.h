/* SPDX-License-Identifier: Apache-2.0
 * netstack/buffer/pkt.h: packet buffers: a chain of views onto refcounted byte blocks, plus what layers note
 * about the packet on its way.
 *
 * Headers are put into the headroom of the first block by pkt_push() and read by pkt_header(), which makes
 * the front contiguous. Data is shared between packets by adding views (retransmission, cloning), never
 * copied. A block with more than one reference is read only: pkt_writable() first. A packet is owned by
 * exactly one holder; "takes" in a contract means the callee frees it on every path.
 */
#pragma once

#include <stdbool.h>

#include "base/list.h"
#include "netstack/buffer/nsmem.h"
#include "netstack/wire/ipaddr.h"

enum { PKT_HEADROOM = 128, PKT_BLOCK_MAX = 32768, PKT_TAIL_BLOCK = 2048, PKT_MAX_LEN = 0x1ffff };

struct block {
    uint32_t refs;
    uint32_t cap;
    uint8_t *bytes;
};

struct view {
    struct view *next;
    struct block *blk;
    uint32_t off, len;
};

enum pkt_csum {
    CSUM_NONE,     /* in: not checked yet; out: complete */
    CSUM_VERIFIED, /* in: a link vouches for it */
    CSUM_PARTIAL,  /* the field holds the pseudo header's sum; the rest is summed from csum_start on */
};
enum pkt_gso { GSO_NONE, GSO_TCP, GSO_UDP };
/* As in sockaddr_ll.sll_pkttype. */
enum pkt_type { PKT_HOST = 0, PKT_BROADCAST = 1, PKT_MULTICAST = 2, PKT_OTHERHOST = 3, PKT_OUTGOING = 4 };

struct nic;
struct nf_conn;

struct pkt {
    struct list link;
    struct nsmem *mem;
    struct view first;
    struct view *last;
    uint32_t len;
    uint32_t truesize; /* memory it pins, for socket buffer limits */

    struct nic *nic; /* arrival or output interface, valid while the packet is being processed */
    uint32_t ifindex;
    uint16_t ethertype;
    uint8_t type;                     /* enum pkt_type */
    uint8_t csum;                     /* enum pkt_csum */
    uint16_t csum_start, csum_offset; /* from the packet's start; the field is at csum_start + csum_offset */
    uint8_t gso;                      /* enum pkt_gso */
    bool ce;                          /* congestion experienced on any part */
    uint16_t gso_size;
    uint16_t net_off, trans_off;
    uint32_t mark;
    struct nf_conn *ct; /* the connection that netfilter found, with a reference; NULL: none */
    uint8_t ct_info;    /* enum ct_info */
    int64_t realtime_ns;
    struct ipa src, dst;
    uint16_t sport, dport;
    uint8_t proto, ttl, tos;
    bool hold_df; /* never fragment here */
    bool from_loop;
    /* TCP: what this packet covers, once its headers are gone */
    uint32_t seq, seq_end;
    uint8_t tcp_flags;
    /* Packet sockets and IP options: bytes of headers that were cut off the front of the first block */
    uint8_t l2_len;
    uint32_t wire_len; /* packet sockets: before their filter cut it */
};

/* An empty packet with `headroom` free bytes in front and room for `room` more. NULL: no memory. */
struct pkt *pkt_new(struct nsmem *mem, uint32_t headroom, uint32_t room);
/* With a copy of `len` bytes as content. */
struct pkt *pkt_new_copy(struct nsmem *mem, uint32_t headroom, const void *data, uint32_t len);
/* netstack/filter/conntrack.c: a reference more, or less. */
void nf_conn_ref(struct nf_conn *ct);
void nf_conn_put(struct nsmem *mem, struct nf_conn *ct);
static inline void pkt_forget_ct(struct pkt *p) {
    if (unlikely(p->ct))
        nf_conn_put(p->mem, p->ct);
    p->ct = NULL;
    p->ct_info = 0;
}
/* Takes NULL. */
void pkt_free(struct pkt *p);
/* Same content by shared blocks, same notes. */
struct pkt *pkt_clone(const struct pkt *p);
void pkt_queue_free(struct list *queue);

/* `n` bytes in front, uninitialised, private to this packet. NULL: no memory, packet unchanged. */
uint8_t *pkt_push(struct pkt *p, uint32_t n);
/* `n` (<= free room of the last block, as asked from pkt_new) bytes at the end; allocates if there is no
 * room. */
uint8_t *pkt_put(struct pkt *p, uint32_t n);
/* The first `n` bytes, contiguous, for reading. NULL: shorter than that, or no memory. */
const uint8_t *pkt_header(struct pkt *p, uint32_t n);
/* pkt_header() for `at` bytes and the TCP header behind them, as long as it says to be (cut at the packet's
 * end), so that no text is gathered into the block of the headers. */
const uint8_t *pkt_tcp_header(struct pkt *p, uint32_t at);
/* pkt_header(), for writing. */
uint8_t *pkt_writable(struct pkt *p, uint32_t n);
/* Drops `n` <= len bytes at the front; shortens to `len`. */
void pkt_trim_front(struct pkt *p, uint32_t n);
void pkt_trim_to(struct pkt *p, uint32_t len);
/* Appends a range of `src` by sharing. -ENOMEM leaves p as it was. */
int pkt_append_range(struct pkt *p, const struct pkt *src, uint32_t off, uint32_t len);
/* Appends copies of bytes. -ENOMEM: what was appended stays; *ret_done tells how much. */
int pkt_append_copy(struct pkt *p, const void *data, uint32_t len, uint32_t *ret_done);
/* Moves all of `src` behind p and frees src's shell. -ENOMEM: nothing happened. */
int pkt_absorb(struct pkt *p, struct pkt *src);
/* Copies out up to `len` bytes from `off`; returns the number copied. */
uint32_t pkt_copy_out(const struct pkt *p, uint32_t off, void *dst, uint32_t len);
uint32_t pkt_csum(const struct pkt *p, uint32_t off, uint32_t len, uint32_t sum);
/* Completes a CSUM_PARTIAL packet's field. -ENOMEM. */
int pkt_csum_complete(struct pkt *p);
