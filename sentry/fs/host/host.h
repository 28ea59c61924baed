/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/host/host.h: descriptors of the host as files of the guest: stdin, stdout, stderr and preserved
 * descriptors that a client passed; and the thread that waits for host descriptors to become ready, so that
 * tasks wait for them by task_block() alone.
 *
 * Regular files share the host's file offset with other writers of the same description (OCI.md 1.3). A host
 * terminal is passed through as a plain stream only where boot did not make a guest terminal of it.
 */
#pragma once

#include <stdint.h>

#include "base/compiler.h"

struct creds;
struct file;
struct kernel;
struct tty;

/* Takes fd (closed on failure too); sets it non-blocking only through its own poll, never by O_NONBLOCK,
   which the host's other users of the description would see. -EINVAL for a descriptor that is neither
   readable nor writable. New reference. */
int host_file_new(struct kernel *k, int fd, const struct creds *c, struct file **ret) must_check;

/* Moves bytes between a guest terminal and the host side of a terminal (a pty slave in raw mode, or a
   master): takes fd. Ends when the tty hangs up or the host's end does (then the guest's terminal hangs up).
 */
int host_console_attach(struct kernel *k, struct tty *tty, int fd) must_check;
/* All that the guest has written to the terminal is with the host when this returns (or the host's end is
   gone). May block as long as nobody reads there. For a terminal without a console: nothing. */
void host_console_flush(struct tty *tty);

/* The waiting thread ends; all host files are closed. */
void host_poll_destroy(struct kernel *k);
