/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/stub_test.c: what only platforms with stub processes have: their death, their end
 * with the sandbox, their places on cpus, the host's vDSO in them.
 */
#include "tests/unit/platform/guest/guest.h"

#include <sys/wait.h>
#include <time.h>

#include "platform/stub/stub.h"

TEST(host_clocks_are_in_every_stub) {
    struct guest g;
    guest_start(&g);
    uint64_t f = g.platform->limits.host_clock_gettime;
    if (!f)
        test_skip("host vDSO: could not be moved");
    struct timespec before, after, got;
    clock_gettime(CLOCK_MONOTONIC, &before);
    guest_enter(&g, GUEST(guest_call));
    g.regs.rsi = DATA_ADDRESS;
    /* clock_gettime(CLOCK_MONOTONIC, DATA) needs rdi for the clock: enter the function itself, with our code
     * as return address */
    guest_set_word(&g, STACK_TOP - 24, GUEST(guest_call) + 2);
    g.regs.rsp = STACK_TOP - 24;
    g.regs.rip = f;
    g.regs.rdi = CLOCK_MONOTONIC;
    guest_expect_call(&g, 1);
    ASSERT_EQ(g.regs.rdi, 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ASSERT_EQ(g.ops->as_copy_in(g.as, &got, DATA_ADDRESS, sizeof(got)), (ssize_t)sizeof(got));
    ASSERT_TRUE(got.tv_sec > before.tv_sec || (got.tv_sec == before.tv_sec && got.tv_nsec >= before.tv_nsec));
    ASSERT_TRUE(got.tv_sec < after.tv_sec || (got.tv_sec == after.tv_sec && got.tv_nsec <= after.tv_nsec));
    ASSERT_NE(g.platform->limits.host_gettimeofday, 0);
    ASSERT_NE(g.platform->limits.host_time, 0);
    ASSERT_NE(g.platform->limits.host_getcpu, 0);
    guest_end(&g);
}

TEST(killed_stub_is_dead_everywhere) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    pid_t pid = guest_stub_pid();
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_DEAD);
    ASSERT_TRUE(g.event.oom);
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_DEAD);
    uint64_t x;
    uint32_t old;
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_UNMAP, .addr = 0x50000000, .len = 0x1000}), -ESRCH);
    ASSERT_EQ(g.ops->as_copy_in(g.as, &x, DATA_ADDRESS, 8), -ESRCH);
    ASSERT_EQ(g.ops->context_atomic32(g.context, ATOMIC_OR, DATA_ADDRESS, 1, 0, &old), -ESRCH);
    ASSERT_EQ(g.ops->context_get_fpu(g.context, &x, 8), -ESRCH);
    struct address_space *as;
    struct context *c;
    ASSERT_EQ(g.ops->as_fork(g.as, &as), -ESRCH);
    ASSERT_EQ(g.ops->context_create(g.as, &c), -ESRCH);
    guest_end(&g);
}

static void *kill_soon(void *arg) {
    usleep(20000);
    kill(*(pid_t *)arg, SIGKILL);
    return NULL;
}

TEST(stub_killed_while_the_guest_runs) {
    struct guest g;
    pthread_t t;
    guest_start(&g);
    pid_t pid = guest_stub_pid();
    ASSERT_EQ(pthread_create(&t, NULL, kill_soon, &pid), 0);
    guest_enter(&g, GUEST(guest_spin));
    g.regs.rdi = DATA_ADDRESS;
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_DEAD);
    pthread_join(t, NULL);
    guest_end(&g);
}

TEST(stub_killed_during_batches) {
    struct guest g;
    pthread_t t;
    guest_start(&g); /* its context stands still and keeps the dead process from being reaped */
    pid_t pid = guest_stub_pid();
    ASSERT_EQ(pthread_create(&t, NULL, kill_soon, &pid), 0);
    int r;
    do
        r = guest_apply(
            &g, (struct as_op){.kind = AS_MAP_ANON, .addr = 0x50000000, .len = 0x1000, .prot = PROT_READ});
    while (r == 0);
    ASSERT_EQ(r, -ESRCH);
    pthread_join(t, NULL);
    guest_end(&g);
}

TEST(stubs_end_with_the_sandbox) {
    int fds[2];
    ASSERT_EQ(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct guest g;
        guest_start(&g);
        pid_t stub = guest_stub_pid();
        if (write(fds[1], &stub, sizeof(stub)) != sizeof(stub))
            _exit(1);
        guest_enter(&g, GUEST(guest_spin));
        g.regs.rdi = DATA_ADDRESS;
        guest_run(&g);
        _exit(1);
    }
    pid_t stub;
    ASSERT_EQ(read(fds[0], &stub, sizeof(stub)), (ssize_t)sizeof(stub));
    ASSERT_EQ(kill(stub, 0), 0);
    kill(pid, SIGKILL);
    test_wait(pid);
    /* its stubs are now ours (the harness is a subreaper): wait for each */
    int status, ended = 0;
    while (waitpid(-1, &status, __WALL) > 0) {
        ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        ended++;
    }
    ASSERT_EQ(ended, 2);
    close(fds[0]);
    close(fds[1]);
}

/* ---- cpus ---- */

struct spinner {
    struct guest g;
    pthread_t thread;
    _Atomic int stop, started, failed, interrupt_done;
};

static void *spin(void *arg) {
    struct spinner *s = arg;
    if (s->g.ops->context_create(s->g.as, &s->g.context)) {
        s->failed = 1;
        return NULL;
    }
    guest_enter(&s->g, GUEST(guest_spin));
    s->g.regs.rdi = DATA_ADDRESS;
    s->started = 1;
    do
        guest_run(&s->g);
    while (s->g.event.kind == EVENT_INTERRUPT && !s->stop);
    while (!s->interrupt_done) /* it may not be destroyed under the interrupter */
        usleep(100);
    s->g.ops->context_destroy(s->g.context);
    return NULL;
}

static void stop_spinner(struct spinner *s) {
    s->stop = 1;
    s->g.ops->context_interrupt(s->g.context);
    s->interrupt_done = 1;
    pthread_join(s->thread, NULL);
}

/* Pairs that only compute are spread when they come, and when others end: no cpu is left idle while another
 * has two. */
TEST_TIMEOUT(busy_pairs_are_spread_over_cpus, 60) {
    enum { COUNT = 6 };
    struct guest g;
    guest_start(&g);
    struct stub_cpus *cpus = &((struct stub_platform *)g.platform)->cpus;
    if (cpus->count < 2)
        test_skip("sched_getaffinity: one cpu only");
    struct spinner *s = calloc(COUNT, sizeof(*s));
    for (int i = 0; i < COUNT; i++) {
        s[i].g = g;
        ASSERT_EQ(pthread_create(&s[i].thread, NULL, spin, &s[i]), 0);
        while (!s[i].started)
            usleep(1000);
        usleep(5000);
    }
    int32_t all = 0;
    for (int i = 0; i < cpus->count; i++)
        all += cpus->busy[i];
    ASSERT_EQ(all, COUNT);
    for (int left = COUNT - 1; left >= cpus->count; left--) { /* the last to come go first */
        usleep(30000);
        stop_spinner(&s[left]);
        for (int i = 0; i < cpus->count; i++)
            ASSERT_GT(cpus->busy[i], 0);
    }
    for (int left = cpus->count - 1; left >= 0; left--)
        stop_spinner(&s[left]);
    for (int i = 0; i < cpus->count; i++)
        ASSERT_EQ(cpus->busy[i], 0);
    ASSERT_EQ(cpus->crowded, 0);
    guest_end(&g);
    free(s);
}
