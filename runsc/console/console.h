/* SPDX-License-Identifier: Apache-2.0
 * runsc/console/console.h: host terminals: pty pairs for containers, the console socket, raw mode of our own
 * terminal.
 */
#pragma once

#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

/* The size of a terminal; false if fd is none (values untouched). */
bool console_size(int fd, uint16_t *rows, uint16_t *columns);
void console_set_size(int fd, uint16_t rows, uint16_t columns);
/* A pty whose slave is raw: the guest kernel's own line discipline does the work, the host's only carries
 * bytes. */
int console_pair(uint16_t rows, uint16_t columns, int *ret_master, int *ret_slave,
                 struct err **err) must_check;
/* Puts a terminal of ours into raw mode; false if it is none. console_restore() undoes the last one. */
bool console_make_raw(int fd);
void console_restore(int fd);
/* One read and all of it written; bytes, 0 at the end, < 0 on error (a pty whose other side is closed gives
 * EIO). */
ssize_t console_copy(int from, int to);
/* OCI.md 2: one message with the master's descriptor to the socket at `path`. */
int console_send_master(const char *path, int master, struct err **err) must_check;
