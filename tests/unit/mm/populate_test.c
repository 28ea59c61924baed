/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/mm/populate_test.c: how much is populated for a task that is killed meanwhile.
 */
#include "tests/unit/mm/mm_fixture.h"

enum { PIECES = 8, RW = LINUX_PROT_READ | LINUX_PROT_WRITE };
#define LENGTH (PIECES * MM_POPULATE_PIECE)

static struct {
    const struct platform_ops *below;
    struct task *kill_at_first;
    int pieces;
} g_spy;

/* Counts what is populated instead of doing it. */
static int spy_apply(struct address_space *as, const struct as_op *ops, size_t count, size_t *ret_done) {
    if (count != 1 || ops->kind != AS_ADVISE || ops->advice != LINUX_MADV_POPULATE_WRITE)
        return g_spy.below->as_apply(as, ops, count, ret_done);
    ASSERT_LE(ops->len, MM_POPULATE_PIECE);
    g_spy.pieces++;
    if (g_spy.kill_at_first)
        atomic_fetch_or(&g_spy.kill_at_first->pending_work, TASK_WORK_EXIT);
    return 0;
}

static void spy_on(struct fixture *f, struct platform_ops *copy, struct task *kill_at_first) {
    struct platform *p = kernel_platform(f->kernel);

    g_spy.below = p->ops;
    g_spy.kill_at_first = kill_at_first;
    g_spy.pieces = 0;
    *copy = *p->ops;
    copy->as_apply = spy_apply;
    p->ops = copy;
}

static void spy_off(struct fixture *f) {
    kernel_platform(f->kernel)->ops = g_spy.below;
}

static gva_t populate_by_mmap(struct fixture *f) {
    int64_t at = map(f, 0, LENGTH, RW, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_POPULATE);

    ASSERT_GT(at, 0);
    return (gva_t)at;
}

TEST(populating_is_done_in_pieces) {
    struct fixture f;
    struct platform_ops copy;

    fixture_init(&f);
    spy_on(&f, &copy, NULL);
    gva_t at = populate_by_mmap(&f);
    ASSERT_EQ(g_spy.pieces, PIECES);
    ASSERT_OK(mm_madvise(f.task, f.mm, at, LENGTH, LINUX_MADV_POPULATE_WRITE));
    ASSERT_EQ(g_spy.pieces, 2 * PIECES);
    spy_off(&f);
    fixture_done(&f);
}

TEST(a_killed_task_does_not_wait_for_all_of_it) {
    struct fixture f;
    struct platform_ops copy;

    fixture_init(&f);
    spy_on(&f, &copy, f.task);
    gva_t at = populate_by_mmap(&f);
    ASSERT_EQ(g_spy.pieces, 1);
    atomic_store(&f.task->pending_work, 0);
    ASSERT_EQ(mm_madvise(f.task, f.mm, at, LENGTH, LINUX_MADV_POPULATE_WRITE), -EINTR);
    ASSERT_EQ(g_spy.pieces, 2);
    atomic_store(&f.task->pending_work, 0);
    fixture_limit(&f, LINUX_RLIMIT_MEMLOCK, LINUX_RLIM_INFINITY);
    ASSERT_OK(mm_mlock(f.task, at, LENGTH, /* on_fault= */ false));
    ASSERT_EQ(g_spy.pieces, 3);
    spy_off(&f);
    fixture_done(&f);
}
