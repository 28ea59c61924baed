/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/kernel/kernel_fixture.h: a kernel on platform/fake, a container with an empty tmpfs, and
 * processes in it whose code are C functions.
 */
#pragma once

#include "base/abi/linux/unistd.h"
#include "platform/fake/fake.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "tests/support/test.h"

struct fixture {
    struct kernel *kernel;
    struct container *container;
    _Atomic uint32_t ended; /* processes from outside that have ended */
    int status;             /* of the last */
};

void fixture_init(struct fixture *f);
void fixture_done(struct fixture *f);
/* Starts a process that runs fn(arg); the first is init. New reference. */
struct task *fixture_start(struct fixture *f, fake_code_fn *fn, void *arg);
/* Waits until `count` processes in all have ended; the last one's wait status. */
int fixture_wait(struct fixture *f, uint32_t count);
/* start and wait. */
int fixture_run(struct fixture *f, fake_code_fn *fn, void *arg);

/* ---- inside a guest function ---- */

/* A private page; fresh each time. */
gva_t guest_page(struct fake_guest *g);
/* Ends the process. */
void guest_exit(struct fake_guest *g, int code);
/* exit_group(1) with a message unless the call gave what it should. */
void guest_expect(struct fake_guest *g, int64_t got, int64_t want, const char *what, int line);
#define EXPECT(g, got, want) guest_expect((g), (int64_t)(got), (int64_t)(want), #got, __LINE__)
void guest_put(struct fake_guest *g, gva_t at, uint64_t value);
uint64_t guest_get(struct fake_guest *g, gva_t at);
uint32_t guest_get32(struct fake_guest *g, gva_t at);
