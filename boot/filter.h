/* SPDX-License-Identifier: Apache-2.0
 * boot/filter.h: the sandbox process's host calls: the list, and putting it up. Argued call by call in
 * docs/security.md.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

#define FILTER_PROC_FD                                                                                       \
    3 /* the one descriptor beneath which names may be opened: read-only, and mem of our stubs */

/* Installs the list of this platform ("none": the bare one) for all threads. After it a forbidden call ends
 * the process with a line on `report_fd` and in the log that names it: never silently. */
int filter_install(const char *platform, int report_fd, struct err **err) must_check;
/* Compiles the list, with platform_host_calls() and platform_host_ioctls(), and writes it to fd: for the
 * build.
 */
int filter_export(const int *platform_calls, const unsigned long *platform_ioctls, int fd) must_check;
/* The list as text, one call a line, for `runsc doctor` and tests; `print` is called for each. Returns how
 * many. */
size_t filter_describe(void (*print)(void *arg, const char *call, const char *check), void *arg);
