/* SPDX-License-Identifier: Apache-2.0
 * platform/platform_calls.h: what platform.c needs of each platform besides its constructor.
 */
#pragma once

struct platform;

/* Host calls of the sandbox process, ending with -1 (platform_host_calls()). */
extern const int ptrace_host_calls[];
extern const int systrap_host_calls[];
extern const int kvm_host_calls[];
extern const unsigned long kvm_host_ioctls[];

/* How system calls come out of guests of a kvm platform, for people. */
const char *platform_kvm_entry(const struct platform *p);
