/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_seccomp.h: the part of sys_seccomp.c that prctl(2) shares.
 */
#pragma once

#include "base/compiler.h"

struct task;

/* PR_SET_SECCOMP. OWN THREAD. */
int64_t prctl_set_seccomp(struct task *t, uint64_t mode, gva_t filter);
