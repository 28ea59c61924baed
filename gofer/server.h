/* SPDX-License-Identifier: Apache-2.0
 * gofer/server.h: the gofer process: serves the host files of one container to one sandbox.
 *
 * Whoever calls gofer_main() has already put the process where it shall live: namespaces, pivot_root into the
 * container's mounts, capabilities dropped to what ownership changes need. gofer_main() raises RLIMIT_NOFILE
 * to its hard limit, makes what it needs before its filter is up (inotify, io_uring, the root handles),
 * installs the filter (gofer/gofer_filter.c) and serves until the sandbox's connection closes.
 */
#pragma once

#include "base/compiler.h"

struct gofer_config_root {
    int fd; /* any descriptor (O_PATH will do) of the root: a directory, or a file that is bind-mounted; taken
             */
    uint32_t flags; /* GOFER_ROOT_*; exactly one of EXCLUSIVE, WATCHED, SHARED */
};

enum gofer_uring {
    GOFER_URING_AUTO,   /* for directories whose attributes come slowly, where the host has it */
    GOFER_URING_NEVER,  /* plain calls only */
    GOFER_URING_ALWAYS, /* every batch, or gofer_main fails: for tests */
};

#define GOFER_OPTION_NO_FILTER       1u /* sanitizer builds: their runtimes make calls of their own */
#define GOFER_OPTION_NO_OPENAT2      2u /* behave as on a host without openat2: for tests */
#define GOFER_OPTION_DIE_WITH_PARENT 4u /* SIGKILL when the thread that forked us ends */

struct gofer_config {
    int socket; /* the first channel, SOCK_SEQPACKET; taken */
    const struct gofer_config_root *roots;
    size_t root_count; /* 1..GOFER_ROOTS_MAX */
    int proc_fd;       /* /proc/self/fd of this process, taken; -1: gofer_main opens it by that path */
    enum gofer_uring uring;
    uint32_t options;
    /* Called once all that may be missing on a host is there, right before the filter; NULL: nobody wants to
     * know. */
    void (*ready)(void *arg);
    void *ready_arg;
};

/* Serves; returns 0 when the connection has closed, or a negative errno if it could not start. The log is
 * log_init()'s. May be called once per process: it changes the working directory, the umask and limits of the
 * process. */
int gofer_main(const struct gofer_config *config) must_check;
