/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/seccomp_bpf.h: classic BPF programs of seccomp(2): check and run. Knows nothing of tasks.
 *
 * A program that bpf_check() accepted always ends (jumps go forward only) and reads nothing but its own
 * memory words and the 64 bytes of struct linux_seccomp_data. All functions are pure; any thread, any lock.
 */
#pragma once

#include "base/abi/linux/seccomp.h"
#include "base/compiler.h"

/* 0, or -EINVAL: length, an instruction that seccomp does not allow, a jump out of the program, a read of a
 * memory word that was not written on every way there, a division by a constant zero, no return at the end.
 */
int seccomp_bpf_check(const struct linux_sock_filter *program, size_t count) must_check;
/* Its length as Linux counts it against the limit of a chain: in instructions of the machine that it is
 * translated to there. */
uint32_t seccomp_bpf_cost(const struct linux_sock_filter *program, size_t count);
/* What the program returns for this call; a division by zero returns 0 (kill), as Linux. */
uint32_t seccomp_bpf_run(const struct linux_sock_filter *program, size_t count,
                         const struct linux_seccomp_data *data);
/* True if the program returns SECCOMP_RET_ALLOW for call `number` of our architecture whatever the rest of
 * the data: such calls need not run it. */
bool seccomp_bpf_always_allows(const struct linux_sock_filter *program, size_t count, uint32_t number);
