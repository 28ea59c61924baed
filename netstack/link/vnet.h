/* SPDX-License-Identifier: Apache-2.0
 * netstack/link/vnet.h: the header that stands before each frame on links that pass super-segments and
 * unfinished checksums: struct virtio_net_hdr, the legacy 10 bytes that packet sockets and TAP use by
 * default. Source: virtio 1.2 section 5.1.6.
 */
#pragma once

#include "netstack/buffer/pkt.h"

struct vnet_hdr {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
enum { VNET_NEEDS_CSUM = 1, VNET_DATA_VALID = 2 };
enum { VNET_GSO_NONE = 0, VNET_GSO_TCPV4 = 1, VNET_GSO_UDP = 3, VNET_GSO_TCPV6 = 4, VNET_GSO_UDP_L4 = 5 };
enum { VNET_GSO_ECN = 0x80 };

/* Notes of a received packet from its header, which is checked against it, whoever wrote it. False: the
 * header makes no sense for a packet of this length. */
bool vnet_parse(const struct vnet_hdr *h, struct pkt *p);
/* The header for a packet that is sent. */
void vnet_build(struct pkt *p, struct vnet_hdr *ret);
