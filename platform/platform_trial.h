/* SPDX-License-Identifier: Apache-2.0
 * platform/platform_trial.h: does a platform work on this host, and what does a call cost on it?
 */
#pragma once

#include <stdint.h>

#include "base/compiler.h"

struct platform_trial {
    int error;        /* 0, or -errno */
    char why[192];    /* if it failed: what, for people */
    char entry[64];   /* how calls come, where a platform has more than one way; else empty */
    uint32_t call_ns; /* a system call that does nothing, there and back: the least of many */
};

/* Does: makes the platform in a child process, runs a guest that makes calls, ends it. At most ten seconds.
   Returns 0 with *ret filled in, whatever the verdict; -EAGAIN, -EMFILE when no child could be made. May
   block. */
int platform_try(const char *name, struct platform_trial *ret) must_check;
