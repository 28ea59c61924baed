/* SPDX-License-Identifier: Apache-2.0
 * uplink/egress.h: what a sandbox may reach: a list of permissions by name or address, protocol and port.
 * What is not listed is denied, and so is everything if the list cannot be read.
 *
 * Names are pinned to addresses by the answers that the resolver gives to the sandbox's own questions: an
 * address is allowed for a name's rule only while such an answer is fresh. Questions for names that no rule
 * mentions are refused here and never leave, so that names carry nothing out.
 *
 *     # PROTOCOL HOST PORTS, one permission a line
 *     allow tcp example.org 443
 *     allow tcp *.example.org 80,443,8000-8100
 *     allow any 192.0.2.0/24 *
 *     allow icmp 2001:db8::/32
 */
#pragma once

#include <stddef.h>
#include <time.h>

#include "base/compiler.h"
#include "netstack/wire/ipaddr.h"

#define EGRESS_MAX_BYTES (1u << 20)
#define EGRESS_MAX_RULES 4096
#define EGRESS_MAX_PINS  16384

struct egress;

/* -EINVAL with the number of the offending line (from 1), -ENOMEM, -E2BIG. Works on a text of `len` bytes. */
int egress_parse(const char *text, size_t len, struct egress **ret, size_t *ret_line) must_check;
/* Takes NULL. */
void egress_free(struct egress *e);

/* 0 or -EACCES. `port` counts for TCP and UDP only. */
int egress_check(struct egress *e, uint8_t proto, const struct ipa *ip, uint16_t port) must_check;
/* A question of the sandbox's to the resolver, at most `room` bytes long. True: it may go on. False: it was
 * turned into the answer "refused", of *ret_len bytes (0: no answer is due). */
bool egress_dns_question(struct egress *e, uint8_t *message, size_t len, size_t room, size_t *ret_len);
/* Pins the addresses in an answer of the resolver. */
void egress_dns_answer(struct egress *e, const uint8_t *message, size_t len);
