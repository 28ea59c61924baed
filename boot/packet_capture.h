/* SPDX-License-Identifier: Apache-2.0
 * boot/packet_capture.h: --pcap: every frame that the sandbox's first interface (but loopback) sends and
 * receives, in a file that tcpdump and wireshark read.
 */
#pragma once

#include "base/compiler.h"
#include "netstack/netstack.h"

struct packet_capture;

/* Taps the interface, if there is one. Takes fd, a regular file. The caller holds network_config_lock().
 * -ENOMEM. */
int packet_capture_start(struct netns *ns, int fd, struct packet_capture **ret) must_check;
/* After the stack has gone. Takes NULL. */
void packet_capture_free(struct packet_capture *c);
