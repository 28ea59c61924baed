/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/launch.h: what the steps of container_create() share (launch.c, standin.c).
 */
#pragma once

#include "gofer/protocol.h"
#include "runsc/container/container.h"
#include "runsc/container/gofer_roots.h"
#include "runsc/container/spawn.h"

struct launch {
    struct container *container;
    const struct create_options *options;
    struct child sandbox, gofer, standin;
    int listen_fd, control[2], gofer_socket[2], exit_fd;
    int owner_fd; /* the sandbox's end of the owner connection: the stand-in's or the caller's */
    struct root_tree *roots;
    size_t root_count;
};

/* Starts the stand-in and sets l->owner_fd. */
int launch_standin(struct launch *l, struct err **err) must_check;
