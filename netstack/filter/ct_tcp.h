/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/ct_tcp.h: the state of a tracked TCP connection. `tcp` is a whole TCP header.
 */
#pragma once

#include "netstack/filter/nf_internal.h"

/* May this segment start an entry: a SYN, or one of a connection older than the table. */
bool ct_tcp_may_begin(const uint8_t *tcp);
/* A SYN on the ports of a connection that has ended: a new one. */
bool ct_tcp_reopens(const struct nf_conn *ct, int dir, const uint8_t *tcp);
/* False: no segment that can belong to it. */
bool ct_tcp_packet(struct nf_conn *ct, int dir, const uint8_t *tcp);
uint32_t ct_tcp_timeout(const struct nf_conn *ct); /* seconds */
