/* SPDX-License-Identifier: Apache-2.0
 * runsc/network/uplink_start.h: starting the uplink process (uplink/uplink.h) and what the sandbox is told of
 * it.
 */
#pragma once

#include "runsc/container/spawn.h"
#include "runsc/network/network.h"
#include "runsc/options.h"

struct uplink_options {
    const struct option_list *publish; /* [IP:]PORT:PORT[/udp]; NULL: none */
    const char *egress;                /* file; NULL: no policy */
    int log_fd;                        /* -1: none; borrowed */
    const char *log_level;
    bool may_lack; /* --zero-privilege */
    /* Of a caller that stays: most programs never use the network, so without ports or a policy the process
     * is not started yet. Its end of the link is put here, and the caller does uplink_wake() when the
     * sandbox's first frame can be read from it. NULL: started at once. */
    int *dormant;
};

/* Starts it, unless dormant; the network for the sandbox in *ret, the process in *ret_child. With an egress
 * policy it has reported that it serves, so that nothing starts under a policy that does not hold; else
 * uplink_started() waits for that, while the sandbox starts. Nothing is left on failure. */
int uplink_start(const struct uplink_options *o, struct network_handover *ret, struct child *ret_child,
                 struct err **err) must_check;
/* Once, after uplink_start(): it serves, or an error that says why not. */
int uplink_started(struct child *child, struct err **err) must_check;
/* Starts a dormant one, which serves when this returns; takes link_fd. */
int uplink_wake(const struct uplink_options *o, int link_fd, struct child *ret_child,
                struct err **err) must_check;
/* A resolv.conf that names the uplink's resolver, at `path`, with the host's search domains. */
int uplink_write_resolv_conf(const char *path, struct err **err) must_check;
