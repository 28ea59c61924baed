/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/channel.h: an interface whose other end is the caller: frames that the stack sends are queued
 * and read one by one; frames for the stack go in by nic_input(). For tests, relays and links whose host side
 * lives elsewhere.
 */
#pragma once

#include "netstack/netstack.h"

struct channel_config {
    const char *name;
    uint16_t arphrd; /* NS_ARPHRD_ETHER or _NONE */
    struct mac mac;
    uint32_t mtu;
    uint32_t offloads, gso_max; /* as in nic_config */
    uint32_t queue_max;         /* frames kept; more are dropped as by a full device queue */
};

struct channel_frame {
    uint32_t len;
    uint16_t gso_size; /* 0: an ordinary frame */
    bool csum_partial;
    uint16_t csum_start, csum_offset;
};

must_check int channel_link_new(struct netns *ns, const struct channel_config *c, struct nic **ret);
/* Does: takes the oldest queued frame out and copies it. Returns: its length (frames longer than `size` are
 * cut), or -EAGAIN. Locks by itself. */
must_check ssize_t channel_link_read(struct nic *nic, void *buf, size_t size, struct channel_frame *ret);
