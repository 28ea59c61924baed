/* SPDX-License-Identifier: Apache-2.0
 * runsc/network/rtnl.h: netlink to the host's kernel: messages with nested attributes, requests with their
 * acknowledgement, dumps. Source: netlink(7), rtnetlink(7).
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* A socket of a netlink family in the caller's network namespace, or a negative errno. */
int rtnl_open(int family) must_check;

/* One or several messages in one buffer. Overflow is remembered and reported when it is sent. */
struct rtnl_buffer {
    size_t len, last; /* last: where the message under work begins */
    bool overflow;
    uint32_t seq, awaited; /* awaited: of the last message that asked for an acknowledgement */
    _Alignas(8) uint8_t bytes[8192];
};
/* Begins a message; `head` is what follows the netlink header (struct ifaddrmsg, ...). */
void rtnl_begin(struct rtnl_buffer *b, uint16_t type, uint16_t flags, const void *head, size_t head_len);
void rtnl_put(struct rtnl_buffer *b, uint16_t type, const void *data, size_t len);
void rtnl_put_string(struct rtnl_buffer *b, uint16_t type, const char *s);
void rtnl_put_be32(struct rtnl_buffer *b, uint16_t type, uint32_t value);
/* An attribute that holds others: what nest returns goes to nest_end. */
size_t rtnl_nest(struct rtnl_buffer *b, uint16_t type);
void rtnl_nest_end(struct rtnl_buffer *b, size_t at);
/* Sends all of it and reads until the last message with NLM_F_ACK is acknowledged. The first
 * error of any of them, negative. */
int rtnl_transact(int fd, struct rtnl_buffer *b) must_check;

/* Every message of a dump of `type`. `each` may return a negative errno to end it. */
typedef int (*rtnl_each_fn)(void *arg, const struct nlmsghdr *m);
int rtnl_dump(int fd, uint16_t type, uint8_t family, rtnl_each_fn each, void *arg) must_check;

struct rtattr;
/* Attributes of a message whose own header has `head_len` bytes, by type (< count; others are left out). */
void rtnl_attributes(const struct nlmsghdr *m, size_t head_len, const struct rtattr **ret, size_t count);
uint32_t rtnl_u32(const struct rtattr *a, uint32_t otherwise);
