/* SPDX-License-Identifier: Apache-2.0
 * boot/port_forward.h: connections that a client hands in as descriptors go on to a port on the sandbox's own
 * loopback (`runsc port-forward`): bytes are carried both ways by one thread a connection, until both ends
 * have said all.
 */
#pragma once

#include "base/compiler.h"
#include "netstack/netstack.h"

#define PORT_FORWARDS_MAX 64

struct port_forwards;

must_check int port_forwards_new(struct port_forwards **ret);
/* Takes fd, a connected stream socket, on every path. -ECONNREFUSED: nobody listens there; -EMFILE: too many;
 * -ENOMEM, -EAGAIN. Does not block. */
must_check int port_forward_start(struct port_forwards *f, struct netns *ns, int fd, uint16_t port);
/* Ends all of them. Takes NULL. */
void port_forwards_free(struct port_forwards *f);
