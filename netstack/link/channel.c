/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/channel.c: the channel link (channel.h).
 */
#include "netstack/link/channel.h"

#include <errno.h>

#include "netstack/stack/stack_core.h"

struct channel {
    struct list queue; /* pkt.link */
    uint32_t count, max;
};

NETSTACK_TYPE(t_channel, struct channel);

static int channel_xmit(struct nic *nic, struct pkt *p) {
    struct channel *ch = nic->link;
    if (ch->count >= ch->max) {
        pkt_free(p);
        return -ENOBUFS;
    }
    list_add_tail(&ch->queue, &p->link);
    ch->count++;
    return 0;
}

static void channel_detach(struct nic *nic) {
    struct channel *ch = nic->link;
    pkt_queue_free(&ch->queue);
    nsmem_free(&nic->st->mem, &t_channel, ch);
    nic->link = NULL;
}

static const struct link_ops channel_ops = {.xmit = channel_xmit, .detach = channel_detach};

static int channel_link_new_locked(struct netns *ns, const struct channel_config *c, struct nic **ret) {
    struct channel *ch = nsmem_alloc(&ns->st->mem, &t_channel);
    if (!ch)
        return -ENOMEM;
    list_init(&ch->queue);
    ch->max = c->queue_max;
    struct nic_config nc = {.name = c->name,
                            .arphrd = c->arphrd,
                            .mac = c->mac,
                            .mtu = c->mtu,
                            .offloads = c->offloads,
                            .gso_max = c->gso_max,
                            .txqlen = c->queue_max,
                            .ops = &channel_ops,
                            .link = ch};
    int rc = nic_new_locked(ns, &nc, ret);
    if (rc < 0)
        nsmem_free(&ns->st->mem, &t_channel, ch);
    return rc;
}

int channel_link_new(struct netns *ns, const struct channel_config *c, struct nic **ret) {
    stack_enter(ns->st);
    int rc = channel_link_new_locked(ns, c, ret);
    stack_leave(ns->st);
    return rc;
}

ssize_t channel_link_read(struct nic *nic, void *buf, size_t size, struct channel_frame *ret) {
    ssize_t rc = -EAGAIN;
    mutex_lock(&nic->st->lock);
    struct channel *ch = nic->link;
    if (!list_empty(&ch->queue)) {
        struct pkt *p = list_first_entry(&ch->queue, struct pkt, link);
        list_del(&p->link);
        ch->count--;
        *ret = (struct channel_frame){.len = p->len,
                                      .gso_size = p->gso ? p->gso_size : 0,
                                      .csum_partial = p->csum == CSUM_PARTIAL,
                                      .csum_start = p->csum_start,
                                      .csum_offset = p->csum_offset};
        rc = pkt_copy_out(p, 0, buf, (uint32_t)MIN(size, (size_t)p->len));
        pkt_free(p);
    }
    mutex_unlock(&nic->st->lock);
    return rc;
}
