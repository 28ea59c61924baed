/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/devpts/tty.h: terminals: a line discipline between two ends. Source: termios(3), tty_ioctl(4),
 * pty(7), credentials(7).
 *
 * A struct tty is the slave side of a pseudo-terminal; its other end is either a master file inside
 * (/dev/ptmx) or a host terminal given by the client (console socket, `do -t`): then sentry/fs/host moves the
 * bytes. tty->lock (RANK_TTY) protects everything; waiters queue on two wait queues. References: its master
 * file, open slave files, sessions whose controlling terminal it is, the devpts instance's table until the
 * master closes. Signals are sent after the lock is dropped or with it held (RANK_TTY comes before
 * RANK_TASKSET).
 */
#pragma once

#include <sys/types.h>

#include "base/abi/linux/termios.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/waitq.h"

struct creds;
struct devpts;
struct file;
struct filesystem;
struct host_console;
struct kernel;
struct path;
struct pid;
struct pid_ns;
struct task;
struct uio;

/* A ring of bytes that grows up to a limit. */
struct tty_buffer {
    unsigned char *data; /* heap bytes */
    size_t start, len, capacity;
};

struct tty {
    struct ref ref;
    struct kernel *kernel;
    struct devpts *devpts; /* borrowed while `index` is in its table; NULL after */
    int index;             /* /dev/pts/N */
    struct mutex lock;     /* RANK_TTY; the rest */
    struct linux_termios2 termios;
    struct linux_winsize winsize;
    struct tty_buffer input; /* what readers of the slave get */
    struct tty_buffer
        lines; /* ICANON: a uint32_t for each line in `input`: its length, TTY_LINE_EOF if VEOF ended it */
    struct tty_buffer edit;   /* ICANON: the line being edited */
    struct tty_buffer output; /* what the master gets */
    unsigned column;          /* of the cursor: for tabs and erasing */
    bool lnext;               /* VLNEXT: the next byte is taken as it is */
    bool stopped;             /* VSTOP, TCOOFF */
    bool packet_mode, master_locked, master_open, hung_up, exclusive;
    unsigned char packet_status;      /* TIOCPKT: what the master has not been told yet */
    unsigned slaves;                  /* open slave files */
    bool had_slave;                   /* then the master reads EIO when none is left */
    struct pid *session, *foreground; /* references or NULL */
    struct waitq slave_queue, master_queue;
    struct host_console
        *console; /* sentry/fs/host/host_console_host.c; borrowed: it takes itself out. NULL: none */
    uint32_t uid, gid, mode; /* of the node */
    int64_t made_ns;
};

/* Of /proc/PID/stat: device number and foreground group as `ns` sees it (-1: none). */
void tty_proc_numbers(struct tty *tty, struct pid_ns *ns, int *ret_number, int *ret_pgrp);

/* A terminal without a master file: boot's, for a console whose other end is on the host. New reference. */
int tty_new_console(struct kernel *k, struct filesystem *devpts, uint32_t uid, struct tty **ret) must_check;
/* Opens the slave as a file at `path` (a devpts node). New reference. */
int tty_open_slave(struct tty *tty, const struct path *path, uint32_t flags, const struct creds *c,
                   struct file **ret) must_check;

/* The other end's side (master file, host console); all take tty->lock. Bytes taken or given; short is
 * normal. -EAGAIN: nothing now, -EIO: slave gone. */
ssize_t tty_master_write(struct tty *tty, const unsigned char *data, size_t size);
ssize_t tty_master_read(struct tty *tty, unsigned char *to, size_t size);
void tty_set_winsize(struct tty *tty,
                     const struct linux_winsize *size); /* SIGWINCH to the foreground if changed */
void tty_hangup(struct tty *tty); /* the other end has gone: SIGHUP, SIGCONT to the session leader */
