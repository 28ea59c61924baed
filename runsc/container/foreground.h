/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/foreground.h: a caller that stays: it owns the container's init (or an exec'd process),
 * hands signals on, carries a terminal, and ends as the guest process ended.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "runsc/container/container.h"
#include "runsc/container/spawn.h"
#include "runsc/network/uplink_start.h"

struct budget;

struct foreground {
    struct cli *cli;
    int owner[2]; /* a pair of sockets: [0] ours, [1] the sandbox's */
    int signal_fd;
    int master_fd, slave_fd;        /* of the pty pair; -1: no terminal */
    bool raw;                       /* our own terminal is in raw mode */
    struct control_channel channel; /* over owner[0], once it runs */
    struct budget *budget;          /* borrowed; NULL: none */
    int link_fd;                    /* of a dormant uplink (uplink_start.h); -1: none */
    struct child uplink;            /* once it has been woken */
    int status;                     /* once it has ended: as wait(2) tells it */
    char *reason;                   /* and why, in the sandbox's words; owned */
};

/* What foreground_done() and foreground_uplink() may be called with: before foreground_prepare(). */
struct foreground foreground_none(struct cli *cli);
/* Blocks the signals that will be handed on; with `terminal` makes the pty pair and learns the size for *rows
 * and *columns. Before create. */
int foreground_prepare(struct foreground *f, struct cli *cli, bool terminal, uint16_t *rows,
                       uint16_t *columns, struct err **err) must_check;
/* The uplink of this run, asleep until it is needed. Before start. */
struct uplink_options foreground_uplink(struct foreground *f);
/* After create and start: until the process ends. Returns its exit code (128 + signal). `sandbox`: our child,
   if it is, to tell how it ended should it end first; else 0. */
int foreground_run(struct foreground *f, pid_t sandbox, struct err **err) must_check;
void foreground_done(struct foreground *f);
/* What wait(2) said as an exit code. */
int exit_code_of(int wait_status);
