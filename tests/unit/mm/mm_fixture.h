/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/mm/mm_fixture.h: a kernel on platform/fake and one task, never run, with an address space.
 */
#pragma once

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm_areas.h"
#include "sentry/mm/uaccess.h"
#include "tests/support/test.h"

struct fixture {
    struct kernel *kernel;
    struct task *task;
    struct mm *mm;         /* the task's */
    struct mnt_ns *mnt_ns; /* loader tests: the root */
};

/* Limits as Linux gives them: stack 8 MiB, memlock 8 MiB, the rest unlimited. */
void fixture_init(struct fixture *f);
/* Also checks that no address space is left. */
void fixture_done(struct fixture *f);
void fixture_limit(struct fixture *f, int resource, uint64_t value);

/* Anonymous private memory, anywhere or (addr != 0) there. */
gva_t map_anon(struct fixture *f, gva_t addr, uint64_t len, uint32_t prot);
int64_t map(struct fixture *f, gva_t addr, uint64_t len, uint32_t prot, uint32_t flags);
/* The areas, one a line: start-end in pages from the first area's start, "rwxp" and flags; checks the tree
 * too. */
const char *areas_text(struct fixture *f, gva_t base);
