/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/kernel/process_test.c: processes: exit, fork, wait, orphans, groups, pauses, ends of containers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/abi/linux/sched.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel_host.h"
#include "tests/unit/kernel/kernel_fixture.h"

#define RUN(fn, want_status)                                                                                 \
    do {                                                                                                     \
        struct fixture f_;                                                                                   \
        fixture_init(&f_);                                                                                   \
        ASSERT_EQ(fixture_run(&f_, (fn), &f_), (want_status));                                               \
        fixture_done(&f_);                                                                                   \
    } while (0)

static void exits(struct fake_guest *g, void *arg) {
    (void)arg;
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_getpid), 1);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_getppid), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_gettid), 1);
    EXPECT(g, FAKE_CALL(g, 9999), -ENOSYS);
    guest_exit(g, 300);
}
TEST(exit_status_is_the_low_byte) {
    RUN(exits, 44 << 8);
}

static void dies_of_fault(struct fake_guest *g, void *arg) {
    (void)arg;
    (void)guest_get(g, 0x1000);
    guest_exit(g, 0);
}
TEST(a_fault_kills) {
    RUN(dies_of_fault, LINUX_SIGSEGV);
}

static void child_of_seven(struct fake_guest *g, void *arg) {
    (void)arg;
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_getpid), 2);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_getppid), 1);
    guest_exit(g, 7);
}

static void forks_and_waits(struct fake_guest *g, void *arg) {
    gva_t page = guest_page(g);
    uint64_t none[6] = {0};

    (void)arg;
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, (uint64_t)-1, page, 0, 0), -ECHILD);
    EXPECT(g, fake_call_forking(g, LINUX_SYS_fork, none, child_of_seven, NULL), 2);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, 5, page, 0, 0), -ECHILD);
    /* WNOWAIT leaves the zombie */
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_waitid, LINUX_P_PID, 2, page, LINUX_WEXITED | LINUX_WNOWAIT, 0), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 2, 9), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, (uint64_t)-1, page, 0, 0), 2);
    EXPECT(g, guest_get32(g, page), 7 << 8);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 2, 0), -ESRCH);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, (uint64_t)-1, page, 0, 0), -ECHILD);
    guest_exit(g, 0);
}
TEST(fork_wait_and_reap) {
    RUN(forks_and_waits, 0);
}

static void sleeps_for_ever(struct fake_guest *g, void *arg) {
    (void)arg;
    for (;;)
        FAKE_CALL(g, LINUX_SYS_pause);
}

static void middle(struct fake_guest *g, void *arg) {
    uint64_t none[6] = {0};

    (void)arg;
    EXPECT(g, fake_call_forking(g, LINUX_SYS_fork, none, sleeps_for_ever, NULL), 3);
    guest_exit(g, 0);
}

static void adopts(struct fake_guest *g, void *arg) {
    gva_t page = guest_page(g);
    uint64_t none[6] = {0};

    (void)arg;
    EXPECT(g, fake_call_forking(g, LINUX_SYS_fork, none, middle, NULL), 2);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, 2, page, 0, 0), 2);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 3, LINUX_SIGKILL), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, 3, page, 0, 0), 3);
    EXPECT(g, guest_get32(g, page), LINUX_SIGKILL);
    guest_exit(g, 0);
}
TEST(init_adopts_orphans) {
    RUN(adopts, 0);
}

static void leaves_others_behind(struct fake_guest *g, void *arg) {
    uint64_t none[6] = {0};

    (void)arg;
    for (int i = 0; i < 3; i++)
        EXPECT(g, fake_call_forking(g, LINUX_SYS_fork, none, sleeps_for_ever, NULL), i + 2);
    guest_exit(g, 5);
}
TEST(the_end_of_init_ends_its_namespace) {
    struct fixture f;

    fixture_init(&f);
    ASSERT_EQ(fixture_run(&f, leaves_others_behind, NULL), 5 << 8);
    ASSERT_EQ(f.container->process_count, 0); /* init's end is told after all others' */
    fixture_done(&f);
}

TEST(a_container_that_runs_is_destroyed) {
    struct fixture f;

    fixture_init(&f);
    struct task *init = fixture_start(&f, sleeps_for_ever, NULL);
    struct task *other = fixture_start(&f, sleeps_for_ever, NULL);
    int pids[4];
    ASSERT_EQ(container_pids(f.container, pids, 4), 2);
    ASSERT_EQ(container_signal(f.container, other, LINUX_SIGTERM), 0);
    fixture_wait(&f, 1);
    ASSERT_EQ(f.status, LINUX_SIGTERM);
    ASSERT_EQ(container_signal(f.container, init, LINUX_SIGTERM),
              0); /* init has no handler: nothing happens */
    task_unref(other);
    task_unref(init);
    fixture_done(&f);
}

/* A quiet kernel can be copied (DESIGN 4): no object of this folder holds anything that means nothing
 * elsewhere. */
static void lint_own_types(void) {
    static const char *const own[] = {"task ", "thread_group ", "container ", "kernel ",
                                      "pid",   "creds ",        "sig",        "nsproxy "};
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    (void)heap_lint(to);
    fclose(to);
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        char line[64];
        snprintf(line, sizeof line, "heap lint: %s", own[i]);
        ASSERT_NULL(strstr(text, line));
    }
    free(text);
}

static _Atomic uint32_t g_turns;

static void turns(struct fake_guest *g, void *arg) {
    (void)arg;
    for (;;) {
        atomic_fetch_add(&g_turns, 1);
        FAKE_CALL(g, LINUX_SYS_sched_yield);
    }
}

TEST(a_paused_container_stands_still) {
    struct fixture f;

    fixture_init(&f);
    task_unref(fixture_start(&f, turns, NULL));
    task_unref(fixture_start(&f, sleeps_for_ever, NULL));
    while (atomic_load(&g_turns) < 10)
        host_yield();
    container_pause(f.container);
    uint32_t seen = atomic_load(&g_turns);
    host_futex_wait(&g_turns, seen, clock_add(monotonic_ns(), NSEC_PER_SEC / 50));
    ASSERT_EQ(atomic_load(&g_turns), seen);
    lint_own_types();
    container_resume(f.container);
    while (atomic_load(&g_turns) < seen + 10)
        host_yield();
    fixture_done(&f);
}

static void groups(struct fake_guest *g, void *arg) {
    uint64_t none[6] = {0};

    (void)arg;
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_setsid), -EPERM); /* leads a group already */
    EXPECT(g, fake_call_forking(g, LINUX_SYS_fork, none, sleeps_for_ever, NULL), 2);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_getpgid, 2), 1);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_setpgid, 2, 7), -EPERM);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_setpgid, 2, 0), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_getpgid, 2), 2);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_getsid, 2), 1);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_setpgid, 3, 0), -ESRCH);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_setpgid, 1, 0), -EPERM); /* a session leader */
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, (uint64_t)-2, LINUX_SIGTERM), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, (uint64_t)-9, LINUX_SIGTERM), -ESRCH);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, 2, 0, 0, 0), 2);
    guest_exit(g, 0);
}
TEST(process_groups) {
    RUN(groups, 0);
}

/* A clone for which the host has no thread leaves nothing behind. */
static void clone_fails(struct fake_guest *g, void *arg) {
    struct fixture *f = arg;
    uint64_t none[6] = {0};

    fake_fail(kernel_platform(f->kernel), -EAGAIN, 1); /* as_fork */
    EXPECT(g, fake_call_forking(g, LINUX_SYS_fork, none, sleeps_for_ever, NULL), -EAGAIN);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, (uint64_t)-1, 0, 0, 0), -ECHILD);
    EXPECT(g, fake_call_forking(g, LINUX_SYS_fork, none, child_of_seven, NULL), 2);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, (uint64_t)-1, 0, 0, 0), 2);
    guest_exit(g, 0);
}
TEST(a_clone_that_the_host_refuses) {
    RUN(clone_fails, 0);
}

static void bad_clones(struct fake_guest *g, void *arg) {
    (void)arg;
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_clone, LINUX_CLONE_THREAD, 0, 0, 0, 0), -EINVAL);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_clone, LINUX_CLONE_SIGHAND, 0, 0, 0, 0), -EINVAL);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_clone, LINUX_CLONE_NEWNS | LINUX_CLONE_FS, 0, 0, 0, 0), -EINVAL);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_clone, LINUX_CLONE_PARENT | LINUX_SIGCHLD, 0, 0, 0, 0), -EINVAL);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_clone, LINUX_CLONE_SETTLS, 0, 0, 0, ~0ull), -EPERM);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_clone3, 0, 10), -EINVAL);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_clone3, 0, 88), -EFAULT);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_clone3, 0, 1 << 20), -E2BIG);
    guest_exit(g, 0);
}
TEST(clone_flags_that_do_not_go_together) {
    RUN(bad_clones, 0);
}
