/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/create.h: what `create` and `run` share.
 */
#pragma once

#include "runsc/cli.h"
#include "runsc/container/container.h"
#include "runsc/container/foreground.h"

struct create_args {
    const char *bundle, *pid_file, *console_socket, *overlay;
    int64_t preserve_fds;
    bool no_pivot, no_new_keyring;
};
#define CREATE_OPTION(type, at, n, l, k, member, v, h)                                                       \
    { .name = n, .letter = l, .kind = OPTION_##k, .offset = offsetof(type, at member), .value = v, .help = h }
#define CREATE_OPTIONS(type, at)                                                                             \
    CREATE_OPTION(type, at, "bundle", 'b', STRING, bundle, "DIR",                                            \
                  "the bundle: where config.json is (default: here)"),                                       \
        CREATE_OPTION(type, at, "pid-file", 0, STRING, pid_file, "FILE",                                     \
                      "write the container's process id there"),                                             \
        CREATE_OPTION(type, at, "console-socket", 0, STRING, console_socket, "SOCKET",                       \
                      "send the terminal's master there"),                                                   \
        CREATE_OPTION(type, at, "overlay", 0, STRING, overlay, "none|memory",                                \
                      "memory: the container's writes to its root stay in the sandbox"),                     \
        CREATE_OPTION(type, at, "preserve-fds", 0, NUMBER, preserve_fds, "N",                                \
                      "hand N more descriptors on, from 3"),                                                 \
        CREATE_OPTION(type, at, "no-pivot", 0, FLAG, no_pivot, NULL, NULL),                                  \
        CREATE_OPTION(type, at, "no-new-keyring", 0, FLAG, no_new_keyring, NULL, NULL)

/* With `f` the caller stays and owns the container (prepared here; foreground_done() is the caller's even on
   failure); without it a stand-in is made and a terminal needs --console-socket. */
int create_from_bundle(struct cli *cli, const struct create_args *a, const char *id, struct foreground *f,
                       struct container **ret, struct err **err) must_check;
/* Digits without a newline, by a temporary file and rename (OCI.md 2.1). */
int write_pid_file(const char *path, pid_t pid, struct err **err) must_check;
