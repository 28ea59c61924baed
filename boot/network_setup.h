/* SPDX-License-Identifier: Apache-2.0
 * boot/network_setup.h: setting the sandbox's network up from what runsc took over (runsc/network/network.h
 * has the document).
 */
#pragma once

#include <jansson.h>

#include "base/compiler.h"
#include "base/err.h"
#include "boot/resolver_relay.h"
#include "netstack/netstack.h"

/* Descriptors that are used are taken out of `fds` (-1); the rest stays the caller's. The caller holds
 * network_config_lock(). On failure what was made stays: the sandbox is to be ended. *ret_relay is set only
 * if there are resolvers to relay to: the caller's. */
int network_configure(struct netns *ns, const json_t *document, int *fds, size_t fd_count,
                      struct resolver_relay **ret_relay, struct err **err) must_check;
