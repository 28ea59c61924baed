/* SPDX-License-Identifier: Apache-2.0
 * boot/filter.h: the sandbox process's host calls: the list, and putting it up. Argued call by call in
 * docs/security.md.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

#define FILTER_PROC_FD                                                                                       \
    3 /* the one descriptor beneath which names may be opened: read-only, and mem of our stubs */

/* Installs the list for all threads. `platform_calls`: platform_host_calls(), -1 at the end, or NULL. After
   it a forbidden call ends the process with a line on `report_fd` (and the log) that names it: never
   silently. */
int filter_install(const int *platform_calls, int report_fd, struct err **err) must_check;
/* The list as text, one call a line, for `runsc doctor` and tests; `print` is called for each. Returns how
 * many. */
size_t filter_describe(void (*print)(void *arg, const char *call, const char *check), void *arg);
