/* SPDX-License-Identifier: Apache-2.0
 * boot/network_setup.h: setting the sandbox's network up from what runsc took over (runsc/network/network.h
 * has the document).
 */
#pragma once

#include <jansson.h>

#include "base/compiler.h"
#include "base/err.h"
#include "boot/packet_capture.h"
#include "boot/port_forward.h"
#include "boot/resolver_relay.h"
#include "netstack/netstack.h"

/* What serves a sandbox's network beside its stack; NULL: not there. */
struct network_parts {
    struct resolver_relay *relay;
    struct packet_capture *capture;
    struct port_forwards *forwards; /* made for the first one */
};

/* Descriptors that are used are taken out of `fds` (-1); the rest stays the caller's. The caller holds
 * network_config_lock(). On failure what was made stays: the sandbox is to be ended. What must be
 * ended with it is in *ret. */
int network_configure(struct netns *ns, const json_t *document, int *fds, size_t fd_count,
                      struct network_parts *ret, struct err **err) must_check;
