/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/futexes.c: futex operations called directly. Sources: futex(2), futex(7), set_robust_list(2),
 * futex_waitv(2).
 */
#include "conform.h"

#include <linux/futex.h>

static long futex(void *word, int op, uint32_t value, const struct timespec *timeout, void *word2,
                  uint32_t value3) {
    return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static long futex2(void *word, int op, uint32_t value, uint32_t value2, void *word2, uint32_t value3) {
    return syscall(SYS_futex, word, op, value, (uintptr_t)value2, word2, value3);
}

static uint32_t g_a, g_b;
static _Atomic int g_waiting, g_woken;

static void *wait_on_a(void *arg) {
    g_waiting++;
    long r;
    do
        r = futex(&g_a, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    while (r < 0 && errno == EINTR);
    g_woken++;
    (void)arg;
    return (void *)r;
}

/* Starts n threads that wait on g_a and lets them get there. */
static void start_waiters(pthread_t *t, int n) {
    for (int i = 0; i < n; i++)
        EQ(pthread_create(&t[i], NULL, wait_on_a, NULL), 0);
    WAIT_UNTIL(g_waiting == n);
    sleep_ms(50);
}

static void join_all(pthread_t *t, int n) {
    for (int i = 0; i < n; i++)
        EQ(pthread_join(t[i], NULL), 0);
}

CHECK(wait_refuses) {
    struct timespec t = {0, 10000000}, bad = {0, 1000000000}, negative = {-1, 0};

    g_a = 5;
    ERR(futex(&g_a, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN);
    ERR(futex(&g_a, FUTEX_WAIT, 5, &t, NULL, 0), ETIMEDOUT);
    ERR(futex(&g_a, FUTEX_WAIT_PRIVATE, 5, &t, NULL, 0), ETIMEDOUT);
    ERR(futex(&g_a, FUTEX_WAIT, 5, &bad, NULL, 0), EINVAL);
    ERR(futex(&g_a, FUTEX_WAIT, 5, &negative, NULL, 0), EINVAL);
    ERR(futex((char *)&g_a + 1, FUTEX_WAIT, 5, &t, NULL, 0), EINVAL);
    ERR(futex((void *)16, FUTEX_WAIT, 5, &t, NULL, 0), EFAULT);
    ERR(futex(&g_a, 99, 5, &t, NULL, 0), ENOSYS);
    ERR(futex(&g_a, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0), EINVAL);
}

CHECK(wait_bitset_takes_an_absolute_time) {
    struct timespec t;

    OK(clock_gettime(CLOCK_MONOTONIC, &t));
    ERR(futex(&g_a, FUTEX_WAIT_BITSET, 0, &t, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    OK(clock_gettime(CLOCK_REALTIME, &t));
    ERR(futex(&g_a, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &t, NULL, FUTEX_BITSET_MATCH_ANY),
        ETIMEDOUT);
    int64_t start = now_ns(CLOCK_MONOTONIC);
    OK(clock_gettime(CLOCK_MONOTONIC, &t));
    t.tv_nsec += 30000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    ERR(futex(&g_a, FUTEX_WAIT_BITSET, 0, &t, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    TRUE(now_ns(CLOCK_MONOTONIC) - start >= 30000000);
}

CHECK(wake_counts) {
    pthread_t t[5];

    EQ(futex(&g_a, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
    start_waiters(t, 5);
    EQ(futex(&g_a, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2);
    WAIT_UNTIL(g_woken == 2);
    EQ(futex(&g_b, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 0);
    EQ(futex(&g_a, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 3);
    join_all(t, 5);
}

static void *wait_bits(void *arg) {
    g_waiting++;
    futex(&g_a, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (uint32_t)(uintptr_t)arg);
    g_woken += (int)(uintptr_t)arg;
    return NULL;
}

CHECK(wake_bitset_selects) {
    pthread_t t[2];

    EQ(pthread_create(&t[0], NULL, wait_bits, (void *)1), 0);
    EQ(pthread_create(&t[1], NULL, wait_bits, (void *)2), 0);
    WAIT_UNTIL(g_waiting == 2);
    sleep_ms(50);
    EQ(futex(&g_a, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 4), 0);
    EQ(futex(&g_a, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 2), 1);
    WAIT_UNTIL(g_woken == 2);
    ERR(futex(&g_a, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 0), EINVAL);
    EQ(futex(&g_a, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 1);
    join_all(t, 2);
}

CHECK(requeue_moves_waiters) {
    pthread_t t[4];

    start_waiters(t, 4);
    ERR(futex2(&g_a, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, &g_b, 7), EAGAIN);
    EQ(futex2(&g_a, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, &g_b, 0), 3);
    WAIT_UNTIL(g_woken == 1);
    EQ(futex(&g_b, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 2);
    EQ(futex2(&g_a, FUTEX_REQUEUE_PRIVATE, 0, 9, &g_b, 0), 1);
    EQ(futex(&g_a, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 0);
    EQ(futex(&g_b, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 1);
    join_all(t, 4);
}

CHECK(wake_op) {
    pthread_t t[2];

    start_waiters(t, 2);
    g_b = 5;
    /* *b += 3 and, as the old value was 5, also wakes those at b: nobody. */
    EQ(futex2(&g_a, FUTEX_WAKE_OP_PRIVATE, 1, 1, &g_b, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)), 1);
    EQ(g_b, 8);
    EQ(futex2(&g_b, FUTEX_WAKE_OP_PRIVATE, 1, 9, &g_a, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0)), 1);
    join_all(t, 2);
    g_b = 0xff;
    EQ(futex2(&g_a, FUTEX_WAKE_OP_PRIVATE, 1, 1, &g_b, FUTEX_OP(FUTEX_OP_ANDN, 0x0f, FUTEX_OP_CMP_NE, 0)), 0);
    EQ(g_b, 0xf0);
    EQ(futex2(&g_a, FUTEX_WAKE_OP_PRIVATE, 1, 1, &g_b,
              FUTEX_OP((FUTEX_OP_XOR | FUTEX_OP_OPARG_SHIFT), 4, FUTEX_OP_CMP_LT, 0)),
       0);
    EQ(g_b, 0xe0);
    EQ(futex2(&g_a, FUTEX_WAKE_OP_PRIVATE, 1, 1, &g_b, FUTEX_OP(FUTEX_OP_OR, 1, FUTEX_OP_CMP_GE, 0)), 0);
    EQ(g_b, 0xe1);
}

CHECK(shared_between_processes) {
    uint32_t *word = OKP(mmap(NULL, 8192, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pid_t pid = fork();

    if (pid == 0) {
        word[1] = 1;
        while (word[0] == 0)
            futex(word, FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit((int)word[0]);
    }
    WAIT_UNTIL(((volatile uint32_t *)word)[1] == 1);
    WAIT_UNTIL(process_state(pid) == 'S');
    sleep_ms(30);
    /* A private wake does not reach waiters of the shared kind. */
    EQ(futex(word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0), 0);
    word[0] = 6;
    EQ(futex(word, FUTEX_WAKE, 9, NULL, NULL, 0), 1);
    EQ(wait_exit(pid), 6);
}

CHECK(shared_through_a_file_at_two_addresses) {
    int fd = make_file("f", "");
    OK(ftruncate(fd, 4096));
    uint32_t *a = OKP(mmap(NULL, 4096, 3, MAP_SHARED, fd, 0));
    pid_t pid = fork();
    if (pid == 0) {
        uint32_t *b = mmap(NULL, 4096, 3, MAP_SHARED, fd, 0);
        b[1] = 1;
        while (b[0] == 0)
            futex(b, FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit(3);
    }
    WAIT_UNTIL(((volatile uint32_t *)a)[1] == 1);
    sleep_ms(50);
    a[0] = 1;
    TRUE(futex(a, FUTEX_WAKE, 9, NULL, NULL, 0) <= 1);
    EQ(wait_exit(pid), 3);
}

static void on_signal(int signo) {
    (void)signo;
}

CHECK(wait_is_interrupted) {
    struct sigaction sa = {.sa_handler = on_signal};
    struct itimerval t = {.it_value.tv_usec = 30000};

    OK(sigaction(SIGALRM, &sa, NULL));
    OK(setitimer(ITIMER_REAL, &t, NULL));
    ERR(futex(&g_a, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
    sa.sa_flags = SA_RESTART;
    OK(sigaction(SIGALRM, &sa, NULL));
    OK(setitimer(ITIMER_REAL, &t, NULL));
    struct timespec limit = {0, 100000000};
    int64_t start = now_ns(CLOCK_MONOTONIC);
    long r = futex(&g_a, FUTEX_WAIT, 0, &limit, NULL, 0);
    printf("timed wait with SA_RESTART: %ld %s\n", r, strerrorname_np(errno));
    (void)start;
}

CHECK(lock_pi) {
    uint32_t word = 0;

    OK(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    EQ(word & FUTEX_TID_MASK, gettid());
    ERR(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
    OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    EQ(word, 0);
    ERR(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
    OK(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    OK(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
}

static int robust_child(void *arg) {
    struct entry {
        struct robust_list list;
        uint32_t word;
    } *e = arg;
    static struct robust_list_head head;

    head.list.next = &e->list;
    head.futex_offset = offsetof(struct entry, word);
    e->list.next = &head.list;
    syscall(SYS_set_robust_list, &head, sizeof head);
    e->word = (uint32_t)gettid() | FUTEX_WAITERS;
    syscall(SYS_exit, 0);
    return 0;
}

CHECK(robust_list_at_exit) {
    struct {
        struct robust_list list;
        uint32_t word;
    } *e = OKP(mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pid_t pid = fork();

    if (pid == 0)
        robust_child(e);
    EQ(wait_exit(pid), 0);
    EQ(e->word, FUTEX_OWNER_DIED | FUTEX_WAITERS);
    ERR(syscall(SYS_set_robust_list, e, 1), EINVAL);
    void *head;
    size_t size;
    OK(syscall(SYS_get_robust_list, 0, &head, &size));
    EQ(size, 24);
}

static int leave_soon(void *arg) {
    sleep_ms(50);
    return *(int *)arg == gettid() ? 0 : 1;
}

CHECK(clear_child_tid_wakes) {
    static char stack[65536];
    static volatile int tid;

    pid_t pid = OK(clone(leave_soon, stack + sizeof stack,
                         CLONE_VM | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID | SIGCHLD, (void *)&tid, &tid,
                         NULL, &tid));
    for (int now; (now = tid) != 0;) {
        EQ(now, pid);
        futex((void *)&tid, FUTEX_WAIT, (uint32_t)now, NULL, NULL, 0);
    }
    EQ(wait_exit(pid), 0);
    /* In an address space of its own nobody could see it: the word stays. */
    int *shared = OKP(mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pid = OK(syscall(SYS_clone, CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD, 0, 0, shared, 0));
    if (pid == 0)
        _exit(0);
    EQ(wait_exit(pid), 0);
    EQ(*shared, pid);
}

CHECK(waitv) {
    struct futex_waitv w[2] = {{.val = 0, .uaddr = (uintptr_t)&g_a, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG},
                               {.val = 0, .uaddr = (uintptr_t)&g_b, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG}};
    struct timespec t;

    if (syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) < 0 && errno == ENOSYS)
        check_skip("futex_waitv: ENOSYS");
    OK(clock_gettime(CLOCK_MONOTONIC, &t));
    ERR(syscall(SYS_futex_waitv, w, 2, 0, &t, CLOCK_MONOTONIC), ETIMEDOUT);
    g_b = 1;
    ERR(syscall(SYS_futex_waitv, w, 2, 0, NULL, 0), EAGAIN);
    ERR(syscall(SYS_futex_waitv, w, 0, 0, NULL, 0), EINVAL);
    ERR(syscall(SYS_futex_waitv, w, 129, 0, NULL, 0), EINVAL);
}
