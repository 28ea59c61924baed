/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/inet/netdev.h: the ioctl(2) requests about interfaces, which sockets of every family answer.
 * Source: netdevice(7).
 */
#pragma once

#include "sentry/kernel/net_ns.h"

/* -ENOTTY for other requests. Changes need CAP_NET_ADMIN over the namespace. Copies guest memory; takes
 * network_config_lock(). */
int64_t netdev_ioctl(struct net_namespace *net, struct task *t, uint32_t cmd, uint64_t arg);
