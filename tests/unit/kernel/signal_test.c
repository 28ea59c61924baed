/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/kernel/signal_test.c: queues, masks, restarts, stops, timers, futexes, with guests on the fake
 * platform.
 */
#include "base/abi/linux/futex.h"
#include "base/abi/linux/sched.h"
#include "base/abi/linux/signal.h"
#include "base/abi/linux/time.h"
#include "tests/unit/kernel/kernel_fixture.h"

#define RUN(fn, want_status)                                                                                 \
    do {                                                                                                     \
        struct fixture f_;                                                                                   \
        fixture_init(&f_);                                                                                   \
        ASSERT_EQ(fixture_run(&f_, (fn), &f_), (want_status));                                               \
        fixture_done(&f_);                                                                                   \
    } while (0)

enum { SET_BYTES = 8, RT = LINUX_SIGRTMIN + 3 };

static void block(struct fake_guest *g, gva_t page, sigset_word set) {
    guest_put(g, page, set);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigprocmask, LINUX_SIG_BLOCK, page, 0, SET_BYTES), 0);
}

/* Takes one of `set` at once: signo or -EAGAIN; siginfo at page + 64. */
static int64_t take(struct fake_guest *g, gva_t page, sigset_word set) {
    guest_put(g, page, set);
    guest_put(g, page + 16, 0);
    guest_put(g, page + 24, 0);
    return (int64_t)FAKE_CALL(g, LINUX_SYS_rt_sigtimedwait, page, page + 64, page + 16, SET_BYTES);
}

static void queues(struct fake_guest *g, void *arg) {
    gva_t page = guest_page(g), info = page + 512;
    sigset_word all = SIGBIT(LINUX_SIGUSR1) | SIGBIT(RT) | SIGBIT(LINUX_SIGSEGV);

    (void)arg;
    block(g, page, all);
    /* standard signals coalesce, real-time ones queue in order */
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 1, LINUX_SIGUSR1), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 1, LINUX_SIGUSR1), 0);
    for (uint64_t i = 0; i < 3; i++) {
        guest_put(g, info + 8, (uint32_t)LINUX_SI_QUEUE);
        guest_put(g, info + 24, i + 10);
        EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigqueueinfo, 1, RT, info), 0);
    }
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_tgkill, 1, 1, LINUX_SIGSEGV), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigpending, page, SET_BYTES), 0);
    EXPECT(g, guest_get(g, page), all);
    EXPECT(g, take(g, page, all), LINUX_SIGSEGV); /* synchronous first */
    EXPECT(g, guest_get32(g, page + 64 + 8), (uint32_t)LINUX_SI_TKILL);
    EXPECT(g, take(g, page, all), LINUX_SIGUSR1);
    EXPECT(g, guest_get32(g, page + 64 + 16), 1); /* si_pid */
    for (uint64_t i = 0; i < 3; i++) {
        EXPECT(g, take(g, page, all), RT);
        EXPECT(g, guest_get(g, page + 64 + 24), i + 10);
    }
    EXPECT(g, take(g, page, all), -EAGAIN);
    guest_exit(g, 0);
}
TEST(queues_and_order) {
    RUN(queues, 0);
}

static void queue_limit(struct fake_guest *g, void *arg) {
    gva_t page = guest_page(g), info = page + 512;

    (void)arg;
    guest_put(g, page, 2); /* two queued signals, no more */
    guest_put(g, page + 8, 2);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_prlimit64, 0, LINUX_RLIMIT_SIGPENDING, page, 0), 0);
    block(g, page, SIGBIT(RT) | SIGBIT(LINUX_SIGUSR1));
    guest_put(g, info + 8, (uint32_t)LINUX_SI_QUEUE);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigqueueinfo, 1, RT, info), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigqueueinfo, 1, RT, info), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigqueueinfo, 1, RT, info), -EAGAIN);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 1, LINUX_SIGUSR1), 0); /* kill(2) gets through in any case */
    EXPECT(g, take(g, page, SIGBIT(LINUX_SIGUSR1)), LINUX_SIGUSR1);
    EXPECT(g, take(g, page, SIGBIT(RT)), RT);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigqueueinfo, 1, RT, info), 0);
    guest_exit(g, 0);
}
TEST(the_limit_of_queued_signals) {
    RUN(queue_limit, 0);
}

static void ignored(struct fake_guest *g, void *arg) {
    gva_t page = guest_page(g);

    (void)arg;
    block(g, page, SIGBIT(LINUX_SIGUSR2));
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 1, LINUX_SIGUSR2), 0);
    guest_put(g, page, LINUX_SIG_IGN); /* discards what is pending */
    guest_put(g, page + 8, 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigaction, LINUX_SIGUSR2, page, 0, SET_BYTES), 0);
    EXPECT(g, take(g, page, SIGBIT(LINUX_SIGUSR2)), -EAGAIN);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigaction, LINUX_SIGKILL, page, 0, SET_BYTES), -EINVAL);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigaction, 65, 0, page, SET_BYTES), -EINVAL);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 1, 65), -EINVAL);
    guest_exit(g, 0);
}
TEST(ignoring_discards) {
    RUN(ignored, 0);
}

/* ---- stops ---- */

static void sleeper(struct fake_guest *g, void *arg) {
    (void)arg;
    for (;;)
        FAKE_CALL(g, LINUX_SYS_pause);
}

static void stops(struct fake_guest *g, void *arg) {
    gva_t page = guest_page(g);
    uint64_t none[6] = {0};

    (void)arg;
    EXPECT(g, fake_call_forking(g, LINUX_SYS_fork, none, sleeper, NULL), 2);
    for (int i = 0; i < 20; i++) {
        EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 2, LINUX_SIGSTOP), 0);
        EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, 2, page, LINUX_WUNTRACED, 0), 2);
        EXPECT(g, guest_get32(g, page), LINUX_SIGSTOP << 8 | 0x7f);
        EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, 2, page, LINUX_WUNTRACED | LINUX_WNOHANG, 0), 0);
        EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 2, LINUX_SIGCONT), 0);
        EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, 2, page, LINUX_WCONTINUED, 0), 2);
        EXPECT(g, guest_get32(g, page), 0xffff);
    }
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 2, LINUX_SIGSTOP), 0);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_kill, 2, LINUX_SIGKILL), 0); /* also out of a stop */
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_wait4, 2, page, 0, 0), 2);
    EXPECT(g, guest_get32(g, page), LINUX_SIGKILL);
    guest_exit(g, 0);
}
TEST(stop_continue_kill) {
    RUN(stops, 0);
}

/* ---- time ---- */

static void timers(struct fake_guest *g, void *arg) {
    gva_t page = guest_page(g);

    (void)arg;
    block(g, page, SIGBIT(LINUX_SIGALRM) | SIGBIT(RT));
    for (int i = 0; i < 4; i++)
        guest_put(g, page + 8 * (unsigned)i, i == 3 ? 2000 : 0); /* itimerval: once, in 2 ms */
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_setitimer, LINUX_ITIMER_REAL, page, 0), 0);
    guest_put(g, page, SIGBIT(LINUX_SIGALRM));
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_rt_sigtimedwait, page, page + 64, 0, SET_BYTES), LINUX_SIGALRM);
    EXPECT(g, guest_get32(g, page + 64 + 8), LINUX_SI_KERNEL);
    /* a periodic POSIX timer whose signal is not taken at once counts overruns */
    guest_put(g, page, 77);
    guest_put(g, page + 8, RT | (uint64_t)LINUX_SIGEV_SIGNAL << 32);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_timer_create, LINUX_CLOCK_MONOTONIC, page, page + 128), 0);
    for (int i = 0; i < 4; i++)
        guest_put(g, page + 8 * (unsigned)i, i & 1 ? 1000000 : 0); /* itimerspec: every 1 ms */
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_timer_settime, guest_get32(g, page + 128), 0, page, 0), 0);
    guest_put(g, page, 0);
    guest_put(g, page + 8, 20000000);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_nanosleep, page, 0), 0);
    EXPECT(g, take(g, page, SIGBIT(RT)), RT);
    EXPECT(g, guest_get32(g, page + 64 + 8), (uint32_t)LINUX_SI_TIMER);
    EXPECT(g, guest_get(g, page + 64 + 24), 77);
    EXPECT(g, guest_get32(g, page + 64 + 20) >= 5, true); /* 20 ms of 1 ms each, on a slow machine */
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_timer_delete, guest_get32(g, page + 128)), 0);
    EXPECT(g, take(g, page, SIGBIT(RT)), -EAGAIN);
    guest_exit(g, 0);
}
TEST(interval_and_posix_timers) {
    RUN(timers, 0);
}

/* ---- futexes ---- */

static void waits_on_futex(struct fake_guest *g, void *arg) {
    gva_t word = *(gva_t *)arg;

    while (guest_get32(g, word) == 0)
        FAKE_CALL(g, LINUX_SYS_futex, word, LINUX_FUTEX_WAIT | LINUX_FUTEX_PRIVATE_FLAG, 0, 0, 0, 0);
    FAKE_CALL(g, LINUX_SYS_exit, 0);
}

static void futexes(struct fake_guest *g, void *arg) {
    gva_t word = guest_page(g), tid = word + 64;
    const uint64_t flags = LINUX_CLONE_VM | LINUX_CLONE_FS | LINUX_CLONE_FILES | LINUX_CLONE_SIGHAND |
                           LINUX_CLONE_THREAD | LINUX_CLONE_CHILD_CLEARTID | LINUX_CLONE_PARENT_SETTID;
    uint64_t args[6] = {flags, 0x8000000, tid, tid};

    (void)arg;
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_futex, word, LINUX_FUTEX_WAIT, 1, 0, 0, 0), -EAGAIN);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_futex, word + 1, LINUX_FUTEX_WAIT, 0, 0, 0, 0), -EINVAL);
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_futex, word, LINUX_FUTEX_WAKE, 1, 0, 0, 0), 0);
    EXPECT(g, fake_call_forking(g, LINUX_SYS_clone, args, waits_on_futex, &word), 2);
    EXPECT(g, guest_get32(g, tid), 2);
    guest_put(g, word, 1);
    FAKE_CALL(g, LINUX_SYS_futex, word, LINUX_FUTEX_WAKE | LINUX_FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
    while (guest_get32(g, tid) != 0) /* CLONE_CHILD_CLEARTID: what pthread_join() waits on */
        FAKE_CALL(g, LINUX_SYS_futex, tid, LINUX_FUTEX_WAIT, 2, 0, 0, 0);
    guest_exit(g, 0);
}
TEST(futex_between_threads) {
    RUN(futexes, 0);
}
