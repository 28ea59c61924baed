/* SPDX-License-Identifier: Apache-2.0
 * gofer/transport_host.h: one packet with descriptors over a SOCK_SEQPACKET socket; used by both sides.
 */
#pragma once

#include <sys/uio.h>

#include "base/compiler.h"

/* Sends all of `iov` as one packet with at most one descriptor (-1: none; borrowed). -EPIPE if the peer is
 * gone. Never raises SIGPIPE. */
int gofer_send(int sock, const struct iovec *iov, int iov_count, int fd) must_check;

/* Receives one packet. A packet that is longer than `iov` is -EMSGSIZE, the end of the connection
 * -ECONNRESET. With ret_fd NULL, descriptors that the peer attached are never installed and the packet is
 * -EPROTO; otherwise at most one is returned close-on-exec (-1 if there was none; caller closes), and more
 * than one is -EPROTO with none kept. -EMFILE: this process has no room for the descriptor; the packet is
 * gone, the connection is as good as before. */
int gofer_recv(int sock, struct iovec *iov, int iov_count, size_t *ret_size, int *ret_fd) must_check;
