/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/threads.c: POSIX threads over clone and futex: join, TLS, locks, conditions, cancellation,
 * signals to threads. Sources: pthreads(7), clone(2), tgkill(2), set_tid_address(2), get_robust_list(2).
 */
#include "conform.h"

#include <semaphore.h>
#include <sys/prctl.h>

static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t g_cond = PTHREAD_COND_INITIALIZER;
static int g_value;
static _Thread_local int t_value = 3;

static void *add_one(void *arg) {
    return (char *)arg + 1;
}

CHECK(create_and_join) {
    pthread_t t;
    void *result;

    EQ(pthread_create(&t, NULL, add_one, (void *)41), 0);
    EQ(pthread_join(t, &result), 0);
    EQ(result, 42);
}

static void *ids(void *arg) {
    pid_t *p = arg;

    p[0] = getpid();
    p[1] = gettid();
    p[2] = getppid();
    return NULL;
}

CHECK(thread_ids) {
    pthread_t t;
    pid_t p[3];

    EQ(gettid(), getpid());
    EQ(pthread_create(&t, NULL, ids, p), 0);
    EQ(pthread_join(t, NULL), 0);
    EQ(p[0], getpid());
    TRUE(p[1] != getpid());
    EQ(p[2], getppid());
}

static void *tls(void *arg) {
    (void)arg;
    int before = t_value;
    t_value = 9;
    return (void *)(intptr_t)before;
}

CHECK(thread_local_storage) {
    pthread_t t;
    void *result;

    t_value = 5;
    EQ(pthread_create(&t, NULL, tls, NULL), 0);
    EQ(pthread_join(t, &result), 0);
    EQ(result, 3);
    EQ(t_value, 5);
}

static void *count_up(void *arg) {
    for (int i = 0; i < *(int *)arg; i++) {
        pthread_mutex_lock(&g_mutex);
        g_value++;
        pthread_mutex_unlock(&g_mutex);
    }
    return NULL;
}

CHECK(mutex_excludes) {
    pthread_t t[8];
    int n = 5000;

    for (int i = 0; i < 8; i++)
        EQ(pthread_create(&t[i], NULL, count_up, &n), 0);
    for (int i = 0; i < 8; i++)
        EQ(pthread_join(t[i], NULL), 0);
    EQ(g_value, 40000);
}

static void *ping(void *arg) {
    int me = (int)(intptr_t)arg;

    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&g_mutex);
        while (g_value % 2 != me)
            pthread_cond_wait(&g_cond, &g_mutex);
        g_value++;
        pthread_cond_broadcast(&g_cond);
        pthread_mutex_unlock(&g_mutex);
    }
    return NULL;
}

CHECK(condition_ping_pong) {
    pthread_t a, b;

    EQ(pthread_create(&a, NULL, ping, (void *)0), 0);
    EQ(pthread_create(&b, NULL, ping, (void *)1), 0);
    EQ(pthread_join(a, NULL), 0);
    EQ(pthread_join(b, NULL), 0);
    EQ(g_value, 1000);
}

CHECK(condition_timed_wait) {
    struct timespec t;

    OK(clock_gettime(CLOCK_REALTIME, &t));
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&g_mutex);
    EQ(pthread_cond_timedwait(&g_cond, &g_mutex, &t), ETIMEDOUT);
    pthread_mutex_unlock(&g_mutex);
}

static void cleanup_handler(void *arg) {
    *(int *)arg = 1;
}

static void *cancellable(void *arg) {
    pthread_cleanup_push(cleanup_handler, arg);
    for (;;)
        pause();
    pthread_cleanup_pop(0);
    return NULL;
}

CHECK(cancellation) {
    pthread_t t;
    int cleaned = 0;
    void *result;

    EQ(pthread_create(&t, NULL, cancellable, &cleaned), 0);
    sleep_ms(10);
    EQ(pthread_cancel(t), 0);
    EQ(pthread_join(t, &result), 0);
    EQ(result, PTHREAD_CANCELED);
    EQ(cleaned, 1);
}

static void *lock_and_leave(void *arg) {
    pthread_mutex_lock(arg);
    return NULL;
}

CHECK(robust_mutex_of_a_thread) {
    pthread_mutex_t m;
    pthread_mutexattr_t a;
    pthread_t t;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m, &a);
    EQ(pthread_create(&t, NULL, lock_and_leave, &m), 0);
    EQ(pthread_join(t, NULL), 0);
    EQ(pthread_mutex_lock(&m), EOWNERDEAD);
    EQ(pthread_mutex_consistent(&m), 0);
    EQ(pthread_mutex_unlock(&m), 0);
    EQ(pthread_mutex_lock(&m), 0);
}

CHECK(robust_mutex_between_processes) {
    pthread_mutex_t *m = OKP(mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(m, &a);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(m);
        pause();
        _exit(0);
    }
    WAIT_UNTIL(pthread_mutex_trylock(m) == EBUSY || (pthread_mutex_unlock(m), false));
    OK(kill(pid, SIGKILL));
    EQ(pthread_mutex_lock(m), EOWNERDEAD);
    wait_status(pid);
}

CHECK(priority_inheritance_mutex) {
    pthread_mutex_t m;
    pthread_mutexattr_t a;
    pthread_t t;

    pthread_mutexattr_init(&a);
    EQ(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT), 0);
    EQ(pthread_mutex_init(&m, &a), 0);
    EQ(pthread_mutex_lock(&m), 0);
    EQ(pthread_create(&t, NULL, lock_and_leave, &m), 0);
    sleep_ms(20);
    EQ(pthread_mutex_unlock(&m), 0);
    EQ(pthread_join(t, NULL), 0);
}

static sem_t g_sem;
static void *post_later(void *arg) {
    (void)arg;
    sleep_ms(10);
    sem_post(&g_sem);
    return NULL;
}

CHECK(semaphores_and_barriers) {
    pthread_t t;
    sem_t *shared = OKP(mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

    OK(sem_init(&g_sem, 0, 0));
    EQ(pthread_create(&t, NULL, post_later, NULL), 0);
    OK(sem_wait(&g_sem));
    EQ(pthread_join(t, NULL), 0);
    ERR(sem_trywait(&g_sem), EAGAIN);
    OK(sem_init(shared, 1, 0));
    pid_t pid = fork();
    if (pid == 0) {
        sem_post(shared);
        _exit(0);
    }
    OK(sem_wait(shared));
    EQ(wait_exit(pid), 0);
}

static volatile sig_atomic_t g_handled_by;
static void note_thread(int signo) {
    (void)signo;
    g_handled_by = gettid();
}

static _Atomic pid_t g_tid;
static _Atomic int g_stop;
static void *spin(void *arg) {
    (void)arg;
    g_tid = gettid();
    while (!g_stop)
        sleep_ms(1);
    return NULL;
}

CHECK(signal_to_one_thread) {
    pthread_t t;
    struct sigaction sa = {.sa_handler = note_thread};

    OK(sigaction(SIGUSR1, &sa, NULL));
    EQ(pthread_create(&t, NULL, spin, NULL), 0);
    WAIT_UNTIL(g_tid != 0);
    EQ(pthread_kill(t, SIGUSR1), 0);
    WAIT_UNTIL(g_handled_by != 0);
    EQ(g_handled_by, g_tid);
    g_stop = 1;
    EQ(pthread_join(t, NULL), 0);
}

CHECK(process_signal_goes_to_a_thread_that_does_not_block_it) {
    pthread_t t;
    sigset_t set;
    struct sigaction sa = {.sa_handler = note_thread};

    OK(sigaction(SIGUSR1, &sa, NULL));
    EQ(pthread_create(&t, NULL, spin, NULL), 0);
    WAIT_UNTIL(g_tid != 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    OK(kill(getpid(), SIGUSR1));
    WAIT_UNTIL(g_handled_by != 0);
    EQ(g_handled_by, g_tid);
    g_stop = 1;
    EQ(pthread_join(t, NULL), 0);
}

static void *crash(void *arg) {
    (void)arg;
    *(volatile char *)16 = 1;
    return NULL;
}

CHECK(fatal_fault_of_a_thread_ends_the_process) {
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t t;
        syscall(SYS_prlimit64, 0, 4, (uint64_t[]){0, 0}, NULL);
        pthread_create(&t, NULL, crash, NULL);
        for (;;)
            pause();
    }
    int status = wait_status(pid);
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGSEGV);
}

CHECK(stop_stops_all_threads) {
    _Atomic int *beats = OKP(mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        pthread_t t;
        pthread_create(&t, NULL, spin, NULL);
        for (;;) {
            ++*beats;
            sleep_ms(1);
        }
    }
    WAIT_UNTIL(*beats > 0);
    OK(kill(pid, SIGSTOP));
    EQ(waitpid(pid, &status, WUNTRACED), pid);
    int seen = *beats;
    sleep_ms(30);
    EQ(*beats, seen);
    OK(kill(pid, SIGCONT));
    WAIT_UNTIL(*beats > seen);
    OK(kill(pid, SIGKILL));
    wait_status(pid);
}

static void *fork_in_thread(void *arg) {
    (void)arg;
    pid_t pid = fork();
    if (pid == 0)
        _exit(gettid() == getpid() ? 14 : 15);
    return (void *)(intptr_t)wait_exit(pid);
}

CHECK(fork_from_a_thread_makes_a_single_threaded_child) {
    pthread_t t;
    void *result;

    EQ(pthread_create(&t, NULL, fork_in_thread, NULL), 0);
    EQ(pthread_join(t, &result), 0);
    EQ(result, 14);
}

static void *name_me(void *arg) {
    (void)arg;
    prctl(PR_SET_NAME, "worker");
    char name[16];
    prctl(PR_GET_NAME, name);
    return strcmp(name, "worker") == 0 ? (void *)1 : NULL;
}

CHECK(thread_names) {
    char name[16];
    pthread_t t;
    void *result;

    OK(prctl(PR_SET_NAME, "leader"));
    EQ(pthread_create(&t, NULL, name_me, NULL), 0);
    EQ(pthread_join(t, &result), 0);
    EQ(result, 1);
    OK(prctl(PR_GET_NAME, name));
    STREQ(name, "leader");
}

CHECK(many_threads) {
    enum { N = 200 };
    pthread_t t[N];
    void *result;

    for (intptr_t i = 0; i < N; i++)
        EQ(pthread_create(&t[i], NULL, add_one, (void *)i), 0);
    for (intptr_t i = 0; i < N; i++) {
        EQ(pthread_join(t[i], &result), 0);
        EQ(result, i + 1);
    }
}

CHECK(create_and_join_in_a_row) {
    pthread_t t;

    for (int i = 0; i < 500; i++) {
        EQ(pthread_create(&t, NULL, add_one, NULL), 0);
        EQ(pthread_join(t, NULL), 0);
    }
}

static pthread_rwlock_t g_rw = PTHREAD_RWLOCK_INITIALIZER;
static void *reader(void *arg) {
    for (int i = 0; i < 500; i++) {
        pthread_rwlock_rdlock(&g_rw);
        if (((int *)arg)[0] != ((int *)arg)[1])
            check_fail(__FILE__, __LINE__, "a reader saw half a write");
        pthread_rwlock_unlock(&g_rw);
    }
    return NULL;
}

CHECK(rwlock) {
    pthread_t t[4];
    int pair[2] = {0, 0};

    for (int i = 0; i < 4; i++)
        EQ(pthread_create(&t[i], NULL, reader, pair), 0);
    for (int i = 0; i < 500; i++) {
        pthread_rwlock_wrlock(&g_rw);
        pair[0]++;
        sched_yield();
        pair[1]++;
        pthread_rwlock_unlock(&g_rw);
    }
    for (int i = 0; i < 4; i++)
        EQ(pthread_join(t[i], NULL), 0);
}

static void *set_uid_seen(void *arg) {
    (void)arg;
    while (!g_stop)
        sleep_ms(1);
    return (void *)(uintptr_t)getuid();
}

CHECK(setuid_reaches_all_threads) {
    pthread_t t;
    void *result;

    if (!is_root())
        check_skip("geteuid: not root");
    EQ(pthread_create(&t, NULL, set_uid_seen, NULL), 0);
    OK(setuid(1234)); /* libc signals every thread */
    g_stop = 1;
    EQ(pthread_join(t, &result), 0);
    EQ(result, 1234);
}

CHECK(affinity) {
    cpu_set_t set, one;

    OK(sched_getaffinity(0, sizeof set, &set));
    TRUE(CPU_COUNT(&set) >= 1);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set)) {
            CPU_SET(i, &one);
            break;
        }
    OK(sched_setaffinity(0, sizeof one, &one));
    OK(sched_getaffinity(0, sizeof set, &set));
    TRUE(CPU_EQUAL(&set, &one));
    CPU_ZERO(&one);
    ERR(sched_setaffinity(0, sizeof one, &one), EINVAL);
    ERR(sched_getaffinity(99999999, sizeof set, &set), ESRCH);
    ERR(sched_getaffinity(0, 1, &set), EINVAL);
    unsigned int cpu;
    OK(syscall(SYS_getcpu, &cpu, NULL, NULL));
    EQ(sched_getscheduler(0), SCHED_OTHER);
    EQ(sched_get_priority_max(SCHED_FIFO), 99);
    EQ(sched_get_priority_min(SCHED_OTHER), 0);
    OK(sched_yield());
}
