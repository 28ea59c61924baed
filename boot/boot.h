/* SPDX-License-Identifier: Apache-2.0
 * boot/boot.h: the sandbox process (`runsc boot`): walls, platform, kernel, control server, in this order.
 *
 * runsc starts it by re-exec, born into its namespaces. It reports on status_fd: 'R' and the walls as JSON
 * once it serves, or 'E' and err_encode() of what failed; so the caller never has to guess from an EOF.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

struct boot_options {
    int control_fd;       /* a connected control socket; taken */
    int listen_fd;        /* the sandbox's listening socket, -1: none; taken */
    int status_fd;        /* taken */
    int strace_fd;        /* -1: off; taken */
    int namespaces;       /* CLONE_NEW* that it was born into */
    const char *platform; /* "ptrace", "auto", ... */
    int kvm_fd;           /* platform_config.kvm_fd */
    bool zero_privilege, xray;
};

/* Returns the process's exit code. */
int boot_main(const struct boot_options *options);

/* For any child of runsc: one report on a status pipe. Both close it. */
void boot_report_ready(int status_fd, const char *text);
void boot_report_error(int status_fd, const struct err *e);
/* The parent's end: 0 and the text in *ret_text (may be NULL), or the child's own error; `who` names it if it
 * died without a word. */
int boot_read_report(int status_fd, const char *who, char **ret_text, struct err **err) must_check;
