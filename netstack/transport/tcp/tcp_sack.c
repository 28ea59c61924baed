/* SPDX-License-Identifier: Apache-2.0
 * netstack/transport/tcp/tcp_sack.c: selective acknowledgements, both ways.
 *
 * The scoreboard is the send queue itself; entries are split at block edges. Blocks from the wire are checked
 * against what was sent. Sources: RFC 2018 sections 3-5 and 8, RFC 2883 section 4, RFC 6675 section 4.
 */
#include "netstack/transport/tcp/tcp_internal.h"

/* ---- what the peer reports ---- */

/* RFC 2883 section 4: the first block lies below the ACK, or inside the second. */
static bool is_dsack(const struct tcp_rx *rx) {
    const struct tcp_sack_block *b = rx->opt.sack;
    if (rx->opt.sack_count == 0)
        return false;
    if (seq_lt(b[0].start, rx->h.ack))
        return true;
    return rx->opt.sack_count > 1 && seq_ge(b[0].start, b[1].start) && seq_le(b[0].end, b[1].end);
}

static bool block_valid(const struct tcp_sock *tp, const struct tcp_sack_block *b) {
    return seq_lt(b->start, b->end) && seq_gt(b->end, tp->snd_una) && seq_le(b->end, tp->snd_nxt) &&
           seq_ge(b->start, tp->snd_una);
}

static void mark_sacked(struct tcp_sock *tp, struct tcp_seg *g, const struct tcp_rx *rx,
                        struct tcp_ack_state *a) {
    uint32_t space = seg_space(g);
    if (g->lost) {
        g->lost = false;
        tp->lost_bytes -= space;
    }
    if (g->retrans) {
        g->retrans = false;
        tp->retrans_bytes -= space;
    }
    /* RFC 8985 section 6.2 step 3: something older than what was seen arrives now, not by retransmission */
    if (seq_lt(seg_end(g), tp->rack_fack) && !g->ever_retrans) {
        if (!tp->reordering_seen)
            tp->reord_seen++;
        tp->reordering_seen = true;
    }
    tcp_note_delivered(tp, g, rx, a);
    g->sacked = true;
    tp->sacked_bytes += space;
    a->sacked += space;
}

static void apply_block(struct tcp_sock *tp, const struct tcp_sack_block *b, const struct tcp_rx *rx,
                        struct tcp_ack_state *a) {
    struct tcp_seg *g;
    list_for_each_entry(g, &tp->sendq, link) {
        if (!g->sent || seq_ge(g->seq, b->end))
            break;
        if (g->sacked || seq_le(seg_end(g), b->start))
            continue;
        if (seq_lt(g->seq, b->start)) { /* the front is not covered: goes on with the rest */
            if (tcp_split_seg(tp, g, b->start - g->seq) < 0)
                return;
            continue;
        }
        if (seq_gt(seg_end(g), b->end) && tcp_split_seg(tp, g, b->end - g->seq) < 0)
            return;
        mark_sacked(tp, g, rx, a);
    }
    if (tp->sacked_bytes && seq_gt(b->end, tp->rack_fack))
        tp->rack_fack = b->end;
}

void tcp_sack_input(struct tcp_sock *tp, const struct tcp_rx *rx, struct tcp_ack_state *a) {
    int i = 0;
    if (seq_lt(tp->rack_fack, tp->snd_una))
        tp->rack_fack = tp->snd_una;
    if (is_dsack(rx)) {
        a->dsack = true;
        tp->dsack_dups++;
        tp->base.ns->mib.tcp_dsack_recv++;
        i = 1;
    }
    for (; i < rx->opt.sack_count; i++)
        if (block_valid(tp, &rx->opt.sack[i]))
            apply_block(tp, &rx->opt.sack[i], rx, a);
}

/* ---- what we report ---- */

static bool touches(const struct tcp_sack_block *b, uint32_t start, uint32_t end) {
    return seq_le(b->start, end) && seq_le(start, b->end);
}

/* The block with the newest text comes first (RFC 2018 section 4), merged with those that it meets. */
void tcp_sack_update(struct tcp_sock *tp, uint32_t start, uint32_t end) {
    struct tcp_sack_block merged = {start, end};
    uint8_t kept = 0;
    if (!tp->sack_ok || start == end)
        return;
    struct tcp_sack_block rest[TCP_MAX_SACK_BLOCKS];
    for (uint8_t i = 0; i < tp->sack_count; i++) {
        const struct tcp_sack_block *b = &tp->sacks[i];
        if (touches(b, merged.start, merged.end)) {
            merged.start = seq_min(merged.start, b->start);
            merged.end = seq_lt(merged.end, b->end) ? b->end : merged.end;
        } else {
            rest[kept++] = *b;
        }
    }
    tp->sacks[0] = merged;
    uint8_t n = 1;
    for (uint8_t i = 0; i < kept && n < TCP_MAX_SACK_BLOCKS; i++)
        tp->sacks[n++] = rest[i];
    tp->sack_count = n;
}

void tcp_sack_advance(struct tcp_sock *tp) {
    uint8_t n = 0;
    for (uint8_t i = 0; i < tp->sack_count; i++)
        if (seq_gt(tp->sacks[i].end, tp->rcv_nxt))
            tp->sacks[n++] = tp->sacks[i];
    tp->sack_count = n;
}

static uint8_t reported_blocks(const struct tcp_sock *tp) {
    uint8_t max = tp->ts_ok ? 3 : 4; /* what fits into 40 bytes */
    return (uint8_t)MIN(tp->sack_count + (tp->dsack_pending ? 1 : 0), (int)max);
}

uint32_t tcp_sack_option_len(const struct tcp_sock *tp) {
    uint8_t n = tp->sack_ok ? reported_blocks(tp) : 0;
    return n ? 4u + 8u * n : 0;
}

void tcp_sack_fill(struct tcp_sock *tp, struct tcp_options *o) {
    if (!tp->sack_ok)
        return;
    uint8_t max = reported_blocks(tp);
    if (tp->dsack_pending && max) {
        o->sack[o->sack_count++] = tp->dsack;
        tp->base.ns->mib.tcp_dsack_sent++;
    }
    for (uint8_t i = 0; i < tp->sack_count && o->sack_count < max; i++)
        o->sack[o->sack_count++] = tp->sacks[i];
}
