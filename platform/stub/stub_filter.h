/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_filter.h: the seccomp programs of the stub's thread roles. docs/security-stub.md argues
 * every call that they allow.
 */
#pragma once

#include "platform/stub/bpf.h"

/* The helper's, which guest threads inherit: what it does not know it traps, so that the guest's own program
 * may say more. */
int stub_filter_helper(struct bpf_builder *b) must_check;

/* A guest thread's under ptrace: no call of the guest's comes so far while the tracer lives; it may wait to
 * be taken over, and end. */
int stub_filter_ptrace_guest(struct bpf_builder *b) must_check;

/* A guest thread's under systrap: the handler's own calls; all others are trapped, which is how they are
 * intercepted. */
int stub_filter_systrap_guest(struct bpf_builder *b) must_check;

/* What lies at STUB_FILTERS: two struct sock_fprog and their code, for the addresses of the stub. -EINVAL if
 * it does not fit. */
int stub_filters_image(const struct bpf_builder *helper, const struct bpf_builder *guest, void *page,
                       size_t size) must_check;
