/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/seccomp_bpf/fuzz_seccomp_bpf.c: arbitrary bytes as a seccomp program. What the checker takes
 * must run to its end within its own memory, and a call that it is said to allow always is allowed with any
 * data. The first 64 bytes are the data.
 */
#include <string.h>

#include "sentry/kernel/seccomp_bpf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct linux_sock_filter program[LINUX_BPF_MAXINSNS];
    struct linux_seccomp_data call;

    if (size < sizeof call)
        return 0;
    memcpy(&call, data, sizeof call);
    size_t count = (size - sizeof call) / sizeof *program;
    if (count > LINUX_BPF_MAXINSNS)
        count = LINUX_BPF_MAXINSNS;
    memcpy(program, data + sizeof call, count * sizeof *program);
    if (seccomp_bpf_check(program, count) < 0)
        return 0;
    uint32_t result = seccomp_bpf_run(program, count, &call);
    ASSERT(seccomp_bpf_cost(program, count) >= count);
    call.arch = LINUX_AUDIT_ARCH_X86_64;
    result = seccomp_bpf_run(program, count, &call);
    if (seccomp_bpf_always_allows(program, count, (uint32_t)call.nr))
        ASSERT(result == LINUX_SECCOMP_RET_ALLOW);
    return 0;
}
