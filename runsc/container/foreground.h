/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/foreground.h: a caller that stays: it owns the container's init (or an exec'd process),
 * hands signals on, carries a terminal, and ends as the guest process ended.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "runsc/container/container.h"

struct budget;

struct foreground {
    struct cli *cli;
    int owner[2]; /* a pair of sockets: [0] ours, [1] the sandbox's */
    int signal_fd;
    int master_fd, slave_fd;        /* of the pty pair; -1: no terminal */
    bool raw;                       /* our own terminal is in raw mode */
    struct control_channel channel; /* over owner[0], once it runs */
    struct budget *budget;          /* borrowed; NULL: none */
    int status;                     /* once it has ended: as wait(2) tells it */
    char *reason;                   /* and why, in the sandbox's words; owned */
};

/* Blocks the signals that will be handed on; with `terminal` makes the pty pair and learns the size for *rows
 * and *columns. Before create. */
int foreground_prepare(struct foreground *f, struct cli *cli, bool terminal, uint16_t *rows,
                       uint16_t *columns, struct err **err) must_check;
/* After create and start: until the process ends. Returns its exit code (128 + signal). `sandbox`: our child,
   if it is, to tell how it ended should it end first; else 0. */
int foreground_run(struct foreground *f, pid_t sandbox, struct err **err) must_check;
void foreground_done(struct foreground *f);
/* What wait(2) said as an exit code. */
int exit_code_of(int wait_status);
