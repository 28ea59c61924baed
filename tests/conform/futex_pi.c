/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/futex_pi.c: futexes with owners, and the calls futex_wait, futex_wake, futex_requeue, called
 * directly. Sources: futex(2), "Priority-inheritance futexes"; set_robust_list(2).
 */
#include "conform.h"

#include <linux/futex.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static long futex(void *word, int op, uint32_t value, const void *timeout, void *word2, uint32_t value3) {
    return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static volatile uint32_t g_lock, g_cond;
static _Atomic int g_order[8], g_count, g_ready;

static void *lock_and_note(void *arg) {
    g_ready++;
    OK(futex((void *)&g_lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    EQ(g_lock & FUTEX_TID_MASK, gettid());
    g_order[g_count++] = (int)(intptr_t)arg;
    OK(futex((void *)&g_lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    return NULL;
}

static void start(pthread_t *t, void *(*fn)(void *), int arg) {
    int before = g_ready;
    EQ(pthread_create(t, NULL, fn, (void *)(intptr_t)arg), 0);
    WAIT_UNTIL(g_ready > before);
    sleep_ms(40);
}

CHECK(waiters_get_it_in_order) {
    pthread_t t[3];

    OK(futex((void *)&g_lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    EQ(g_lock, gettid());
    for (int i = 0; i < 3; i++)
        start(&t[i], lock_and_note, i);
    EQ(g_lock, (uint32_t)gettid() | FUTEX_WAITERS);
    EQ(g_count, 0);
    OK(futex((void *)&g_lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    for (int i = 0; i < 3; i++)
        EQ(pthread_join(t[i], NULL), 0);
    EQ(g_count, 3);
    EQ(g_order[0], 0);
    EQ(g_order[1], 1);
    EQ(g_order[2], 2);
    EQ(g_lock, 0);
}

CHECK(lock_refuses) {
    uint32_t word = 0x12345; /* nobody's */
    struct timespec past = {0, 0}, bad = {0, -1};

    ERR(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), ESRCH);
    ERR(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), ESRCH);
    ERR(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
    ERR(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, &bad, NULL, 0), EINVAL);
    ERR(futex((char *)&word + 1, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EINVAL);
    ERR(futex((void *)16, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EFAULT);
    ERR(futex((void *)16, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EFAULT);
    ERR(futex(&word, FUTEX_LOCK_PI_PRIVATE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS);
    (void)past;
}

static void *hold(void *arg) {
    OK(futex((void *)&g_lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    g_ready++;
    WAIT_UNTIL(g_count == 1);
    OK(futex((void *)&g_lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    return arg;
}

CHECK(time_outs) {
    pthread_t t;
    struct timespec when;

    start(&t, hold, 0);
    OK(clock_gettime(CLOCK_REALTIME, &when));
    ERR(futex((void *)&g_lock, FUTEX_LOCK_PI_PRIVATE, 0, &when, NULL, 0), ETIMEDOUT);
    OK(clock_gettime(CLOCK_MONOTONIC, &when));
    ERR(futex((void *)&g_lock, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG, 0, &when, NULL, 0), ETIMEDOUT);
    ERR(futex((void *)&g_lock, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EWOULDBLOCK);
    TRUE(g_lock & FUTEX_WAITERS);
    g_count = 1;
    EQ(pthread_join(t, NULL), 0);
    EQ(g_lock, 0);
}

static volatile uint32_t g_second;

static void *hold_second(void *arg) {
    OK(futex((void *)&g_second, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    g_ready++;
    OK(futex((void *)&g_lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    OK(futex((void *)&g_lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    OK(futex((void *)&g_second, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    return arg;
}

CHECK(deadlock_of_two) {
    pthread_t t;

    OK(futex((void *)&g_lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    start(&t, hold_second, 0);
    ERR(futex((void *)&g_second, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
    OK(futex((void *)&g_lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    EQ(pthread_join(t, NULL), 0);
}

static void on_signal(int n) {
    (void)n;
    g_ready++;
}

CHECK(a_signal_does_not_break_the_wait) {
    struct sigaction sa = {.sa_handler = on_signal};
    pthread_t t;

    OK(sigaction(SIGUSR1, &sa, NULL));
    OK(futex((void *)&g_lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    start(&t, lock_and_note, 1);
    int before = g_ready;
    EQ(pthread_kill(t, SIGUSR1), 0);
    WAIT_UNTIL(g_ready == before + 1);
    sleep_ms(20);
    EQ(g_count, 0);
    OK(futex((void *)&g_lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    EQ(pthread_join(t, NULL), 0);
    EQ(g_count, 1);
}

CHECK(owner_dies) {
    uint32_t *w = OKP(mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pid_t pid = fork();

    if (pid == 0) {
        OK(futex(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
        w[1] = 1;
        WAIT_UNTIL(((volatile uint32_t *)w)[0] & FUTEX_WAITERS);
        sleep_ms(20);
        _exit(0);
    }
    WAIT_UNTIL(((volatile uint32_t *)w)[1] == 1);
    OK(futex(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    EQ(w[0] & FUTEX_TID_MASK, gettid());
    EQ(w[0] & FUTEX_OWNER_DIED, FUTEX_OWNER_DIED);
    EQ(wait_exit(pid), 0);
    OK(futex(w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    EQ(w[0], 0);
}

static pthread_mutex_t *g_mutex;

static void *lock_robust(void *arg) {
    EQ(pthread_mutex_lock(g_mutex), 0);
    return arg;
}

CHECK(robust_mutex_with_inheritance) {
    pthread_mutexattr_t a;
    pthread_t t;

    g_mutex = OKP(mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pthread_mutexattr_init(&a);
    EQ(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT), 0);
    EQ(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST), 0);
    EQ(pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED), 0);
    EQ(pthread_mutex_init(g_mutex, &a), 0);
    EQ(pthread_create(&t, NULL, lock_robust, NULL), 0);
    EQ(pthread_join(t, NULL), 0);
    EQ(pthread_mutex_lock(g_mutex), EOWNERDEAD);
    EQ(pthread_mutex_consistent(g_mutex), 0);
    EQ(pthread_mutex_unlock(g_mutex), 0);
    pid_t pid = fork();
    if (pid == 0) {
        EQ(pthread_mutex_lock(g_mutex), 0);
        sleep_ms(60);
        _exit(0);
    }
    sleep_ms(20);
    EQ(pthread_mutex_lock(g_mutex), EOWNERDEAD);
    EQ(pthread_mutex_consistent(g_mutex), 0);
    EQ(pthread_mutex_unlock(g_mutex), 0);
    EQ(wait_exit(pid), 0);
    EQ(pthread_mutex_lock(g_mutex), 0);
}

static void *wait_and_lock(void *arg) {
    g_ready++;
    OK(futex((void *)&g_cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, (void *)&g_lock, 0));
    EQ(g_lock & FUTEX_TID_MASK, gettid());
    g_order[g_count++] = (int)(intptr_t)arg;
    OK(futex((void *)&g_lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    return NULL;
}

CHECK(requeue_to_a_lock) {
    pthread_t t[3];
    struct timespec past = {0, 0};

    ERR(futex((void *)&g_cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 1, NULL, (void *)&g_lock, 0), EWOULDBLOCK);
    ERR(futex((void *)&g_cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, (void *)&g_cond, 0), EINVAL);
    ERR(futex((void *)&g_cond, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, &past, (void *)&g_lock, 0), ETIMEDOUT);
    ERR(futex((void *)&g_cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 2, (void *)1, (void *)&g_lock, 0), EINVAL);
    ERR(futex((void *)&g_cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, (void *)&g_lock, 7), EAGAIN);
    EQ(futex((void *)&g_cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, (void *)&g_lock, 0), 0);
    OK(futex((void *)&g_lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    for (int i = 0; i < 3; i++)
        start(&t[i], wait_and_lock, i);
    ERR(futex((void *)&g_cond, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
    ERR(futex((void *)&g_cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, (void *)&g_second, 0), EINVAL);
    EQ(futex((void *)&g_cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, (void *)&g_lock, 0), 2);
    EQ(g_count, 0);
    OK(futex((void *)&g_lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    WAIT_UNTIL(g_count == 2);
    sleep_ms(20);
    EQ(g_lock, 0);
    EQ(futex((void *)&g_cond, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)9, (void *)&g_lock, 0), 1);
    for (int i = 0; i < 3; i++)
        EQ(pthread_join(t[i], NULL), 0);
    EQ(g_order[2], 2);
    EQ(g_lock, 0);
}

/* ---- futex_wait, futex_wake, futex_requeue ---- */

enum { SYS_WAKE = 454, SYS_WAIT = 455, SYS_REQUEUE = 456, U32 = 2, PRIVATE = 128 };

static void *wait_new(void *arg) {
    g_ready++;
    OK(syscall(SYS_WAIT, &g_cond, 0ul, (unsigned long)(uintptr_t)arg, U32 | PRIVATE, NULL, CLOCK_MONOTONIC));
    g_count++;
    return NULL;
}

CHECK(new_calls) {
    struct timespec past = {0, 0};
    pthread_t t[3];

    if (syscall(SYS_WAKE, &g_cond, ~0u, 0, U32) < 0 && errno == ENOSYS)
        check_skip("futex_wake: ENOSYS");
    ERR(syscall(SYS_WAKE, &g_cond, ~0u, 1, 0), EINVAL);
    ERR(syscall(SYS_WAKE, &g_cond, ~0u, 1, U32 | 64), EINVAL);
    ERR(syscall(SYS_WAKE, &g_cond, 1ul << 40, 1, U32), EINVAL);
    ERR(syscall(SYS_WAKE, &g_cond, 0ul, 1, U32), EINVAL);
    ERR(syscall(SYS_WAIT, &g_cond, 1ul, ~0u, U32 | PRIVATE, NULL, CLOCK_MONOTONIC), EAGAIN);
    ERR(syscall(SYS_WAIT, &g_cond, 0ul, 0ul, U32 | PRIVATE, NULL, CLOCK_MONOTONIC), EINVAL);
    ERR(syscall(SYS_WAIT, &g_cond, 0ul, ~0u, U32 | PRIVATE, &past, CLOCK_MONOTONIC), ETIMEDOUT);
    ERR(syscall(SYS_WAIT, &g_cond, 0ul, ~0u, U32 | PRIVATE, &past, CLOCK_BOOTTIME), EINVAL);
    start(&t[0], wait_new, 1);
    start(&t[1], wait_new, 2);
    start(&t[2], wait_new, 2);
    EQ(syscall(SYS_WAKE, &g_cond, 4ul, 9, U32 | PRIVATE), 0);
    EQ(syscall(SYS_WAKE, &g_cond, ~0u, 0, U32 | PRIVATE), 0);
    EQ(syscall(SYS_WAKE, &g_cond, 1ul, 9, U32 | PRIVATE), 1);
    struct futex_waitv w[2] = {{.val = 5, .uaddr = (uintptr_t)&g_cond, .flags = U32 | PRIVATE},
                               {.val = 0, .uaddr = (uintptr_t)&g_second, .flags = U32 | PRIVATE}};
    ERR(syscall(SYS_REQUEUE, w, 0, 1, 1), EAGAIN);
    w[0].val = 0;
    ERR(syscall(SYS_REQUEUE, w, 1, 1, 1), EINVAL);
    ERR(syscall(SYS_REQUEUE, NULL, 0, 1, 1), EINVAL);
    ERR(syscall(SYS_REQUEUE, w, 0, -1, 1), EINVAL);
    EQ(syscall(SYS_REQUEUE, w, 0, 1, 9), 2);
    EQ(syscall(SYS_WAKE, &g_cond, ~0u, 9, U32 | PRIVATE), 0);
    EQ(syscall(SYS_WAKE, &g_second, ~0u, 9, U32 | PRIVATE), 1);
    for (int i = 0; i < 3; i++)
        EQ(pthread_join(t[i], NULL), 0);
}
