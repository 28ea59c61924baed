/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/vdso/vdso_params.h: the page below the vDSO image, written by the sentry and read by guests:
 * where the host's functions are and what is added to the host's clocks. Every field is written under
 * `sequence` (odd: being written), read again if that changed.
 */
#pragma once

#include <stdint.h>

struct vdso_params {
    uint32_t sequence;
    uint32_t use_host;      /* 0: every function makes the system call */
    uint64_t clock_gettime; /* the host's, in every stub; 0: not there */
    uint64_t getcpu;        /* 0: not there, or host cpus are not the guest's */
    int64_t realtime_offset_ns, monotonic_offset_ns;
};
