/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/core_pattern.h: /proc/sys/kernel/core_pattern: what it is and what it means for one dump.
 * Source: core(5), "Naming of core dump files", "Piping core dumps to a program".
 */
#pragma once

#include "base/mutex.h"

struct linux_siginfo;
struct task;

enum { CORE_PATTERN_MAX = 128 };

/* Of the kernel object: one a sandbox. */
struct core_settings {
    struct mutex lock; /* RANK_LEAF */
    char pattern[CORE_PATTERN_MAX];
    bool uses_pid; /* core_uses_pid */
};
void core_settings_init(struct core_settings *s);

/* One dump's. */
struct core_target {
    char *name;  /* malloc'd path; NULL with argv */
    char **argv; /* malloc'd, of a program that reads the dump; NULL: a file */
};
/* OWN THREAD of the task that dumps. 0 or -ENOMEM. */
int core_pattern_expand(struct task *t, const struct linux_siginfo *info, struct core_target *ret) must_check;
void core_target_done(struct core_target *target);
