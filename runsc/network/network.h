/* SPDX-License-Identifier: Apache-2.0
 * runsc/network/network.h: what a container's network is on the host's side (docs/network.md).
 *
 * --network=sandbox takes over the interfaces of the container's network namespace: addresses, routes and
 * neighbours are read with rtnetlink, a packet socket is opened on each interface, and the host's kernel is
 * kept from answering there; the sandbox's own stack goes on with them. This happens at `start`, since
 * clients set the namespace up between create and start (OCI.md 6).
 *
 * The document that goes to the sandbox with `start`:
 *   {"links": [{"name", "mac", "mtu", "txqlen", "gso", "up", "fd": index,
 *               "addresses": [{"address", "prefix", "broadcast", "peer", "scope"}]}],
 *    "routes": [{"family", "to", "prefix", "via", "dev", "table", "metric", "type", "scope", "protocol",
 * "src", "mtu", "advmss", "tos"}], "rules": [{"family", "priority", "table", "from", "from_prefix", "to",
 * "to_prefix", "mark", "mask"}], "neighbours": [{"address", "dev", "mac", "permanent"}], "resolvers":
 * [{"address", "fd": index}]}
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

#define NETWORK_MAX_LINKS     32
#define NETWORK_MAX_RESOLVERS 4

struct network_handover {
    json_t *document; /* owned */
    int fds[NETWORK_MAX_LINKS + NETWORK_MAX_RESOLVERS + 1 /* --pcap */];
    size_t fd_count;
};
void network_handover_done(struct network_handover *h);

/* Takes over the network namespace of process `pid`. resolv_conf: what the container will find as
 * /etc/resolv.conf (a host path) or NULL. Nothing is taken, and the document stays NULL, where that namespace
 * is the caller's own. On failure everything is as it was. */
int network_take_over(pid_t pid, const char *resolv_conf, struct network_handover *ret,
                      struct err **err) must_check;
/* Lets the host's kernel answer again in the namespace at `path`, which outlives the container. */
void network_give_back(const char *path);

/* ---- its parts; all act on the calling thread's network namespace ---- */

/* Reads everything but resolvers, and opens the links. */
int netns_read(int rtnl, struct network_handover *h, struct err **err) must_check;
/* A packet socket on one interface, as the fd link wants it; a negative errno. */
int packet_socket_open(unsigned ifindex) must_check;
/* The host's kernel hears and says nothing on any interface but loopback, except as a client of DNS (docker's
 * embedded resolver asks upstream from inside the namespace). A negative errno where it has no nf_tables. */
int netns_guard_up(void) must_check;
int netns_guard_down(void) must_check;
/* Where there is no guard: removes all addresses but those of loopback. */
int netns_strip_addresses(int rtnl) must_check;
