/* SPDX-License-Identifier: Apache-2.0
 * platform/fake/fake.h: a platform for unit tests of the sentry: no processes, no privileges, no machine
 * code. Guest memory is ordinary memory of this process; guest code is C functions that make calls and touch
 * memory through the functions below.
 *
 * A guest function runs as a coroutine (a thread of its own, one of the two ever running). fake_at() says
 * which function lies at which guest address; a context that is switched to with such an address in rip runs
 * it. When the sentry resumes a guest elsewhere than where it stopped, that is followed: a rip of fake_at()
 * is entered as a nested function (a signal handler), the place of an outer, unfinished call is returned to
 * by leaving the nested ones (rt_sigreturn), and anything else is a SIGSEGV there. A fork's child cannot have
 * its parent's C stack: fake_call_forking() says what the child runs.
 */
#pragma once

#include "platform/platform.h"

struct fake_guest;
typedef void fake_code_fn(struct fake_guest *g, void *arg);

int platform_fake_create(struct platform **ret) must_check;
/* `fn` lies at `entry` in every address space. When it returns, the guest executes an illegal instruction. */
void fake_at(struct platform *p, gva_t entry, fake_code_fn *fn, void *arg);
/* Live address spaces and contexts: 0 at a test's end. */
unsigned fake_live(struct platform *p);
/* The next `count` calls of as_create, as_fork, as_apply or context_create fail so (a negative errno), for
 * tests of error paths. */
void fake_fail(struct platform *p, int error, unsigned count);

/* ---- for guest functions ---- */

/* A system call; returns what the sentry left in rax. */
uint64_t fake_call(struct fake_guest *g, uint64_t number, const uint64_t args[6]);
#define FAKE_CALL(g, number, ...) fake_call((g), (number), (const uint64_t[6]){__VA_ARGS__})
/* As fake_call(), for fork and clone: a new context that starts behind this call runs child(arg). */
uint64_t fake_call_forking(struct fake_guest *g, uint64_t number, const uint64_t args[6], fake_code_fn *child,
                           void *arg);
/* Memory, with faults (EVENT_FAULT SIGSEGV) until the sentry has mended them. */
void fake_load(struct fake_guest *g, void *to, gva_t from, size_t size);
void fake_store(struct fake_guest *g, gva_t to, const void *from, size_t size);
/* A fault of the guest's own making (SIGFPE, SIGILL, SIGTRAP). */
void fake_fault(struct fake_guest *g, int signo, int code, gva_t address);
/* Runs without calls; after each interrupt it looks whether *until is still 0 (NULL: for ever). */
void fake_spin(struct fake_guest *g, const _Atomic uint32_t *until);
/* The registers that the sentry last gave; changes are seen by it at the next event. */
struct guest_regs *fake_regs(struct fake_guest *g);
