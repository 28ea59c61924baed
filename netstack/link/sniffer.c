/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/sniffer.c: pcap with nanosecond time stamps. Source: draft-ietf-opsawg-pcap, sections 4
 * and 5. Checksums of packets that were never summed (loopback, offload) appear as they are: partial.
 */
#include "netstack/link/sniffer.h"

#include "netstack/stack/stack_core.h"

enum { LINKTYPE_ETHERNET = 1, LINKTYPE_RAW = 101, CHUNK = 2048 };

static void put32(uint8_t *p, uint32_t v) {
    memcpy(p, &v, sizeof(v)); /* the reader tells the byte order by the magic number */
}

static void tap(void *ctx, const struct pkt *p, bool outgoing) {
    (void)outgoing;
    struct sniffer *s = ctx;
    uint8_t head[16], buf[CHUNK];
    int64_t t = s->st->host->realtime_ns(s->st->host_ctx);
    uint32_t keep = MIN(p->len, s->snaplen);
    put32(head, (uint32_t)(t / 1000000000));
    put32(head + 4, (uint32_t)(t % 1000000000));
    put32(head + 8, keep);
    put32(head + 12, p->len);
    s->ops->write(s->ctx, head, sizeof(head));
    for (uint32_t at = 0; at < keep;) {
        uint32_t n = pkt_copy_out(p, at, buf, MIN(keep - at, (uint32_t)CHUNK));
        s->ops->write(s->ctx, buf, n);
        at += n;
    }
}

static const struct nic_tap_ops sniffer_tap = {.packet = tap};

void sniffer_start(struct sniffer *s, struct nic *nic) {
    uint8_t head[24] = {0};
    s->st = nic->st;
    put32(head, 0xa1b23c4d);
    head[4] = 2; /* version 2.4 */
    head[6] = 4;
    put32(head + 16, s->snaplen);
    put32(head + 20, nic->arphrd == NS_ARPHRD_ETHER ? LINKTYPE_ETHERNET : LINKTYPE_RAW);
    mutex_lock(&nic->st->lock);
    s->ops->write(s->ctx, head, sizeof(head));
    mutex_unlock(&nic->st->lock);
    nic_set_tap(nic, &sniffer_tap, s);
}

void sniffer_stop(struct nic *nic) {
    nic_set_tap(nic, NULL, NULL);
}
