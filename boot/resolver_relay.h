/* SPDX-License-Identifier: Apache-2.0
 * boot/resolver_relay.h: questions of DNS that guests send to a resolver on their loopback, which is not
 * theirs but one of the network namespace that the client made: docker's 127.0.0.11 on user networks.
 *
 * One thread for all of them, which sleeps until a datagram comes. The sandbox's own stack has a socket at
 * the resolver's address and port 53; the host's descriptor is connected to the resolver in the namespace.
 * Questions get an identifier of ours on their way, so that answers find back. UDP only: what does not fit
 * 4096 bytes arrives truncated, as it says.
 */
#pragma once

#include "base/compiler.h"
#include "netstack/netstack.h"

struct resolver_relay;

/* fds[i] (taken on every path) is connected to the resolver that guests ask at addresses[i]. Starts the
 * thread. -ENOMEM, -EAGAIN, -EADDRINUSE. */
int resolver_relay_start(struct netns *ns, const struct ipa *addresses, const int *fds, size_t count,
                         struct resolver_relay **ret) must_check;
/* Ends the thread and frees. Takes NULL. */
void resolver_relay_stop(struct resolver_relay *r);
