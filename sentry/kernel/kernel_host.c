/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/kernel_host.c: see kernel_host.h. Threads get small stacks and are kept for reuse, since
 * guests make and end threads all the time; idle ones beyond a small number end at once. Nothing here lies in
 * the sentry's heap.
 */
#include "sentry/kernel/kernel_host.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mutex.h"

void host_futex_wait(_Atomic uint32_t *word, uint32_t value, int64_t deadline) {
    struct timespec ts = {.tv_sec = deadline / NSEC_PER_SEC, .tv_nsec = deadline % NSEC_PER_SEC};

    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, deadline == CLOCK_NEVER ? NULL : &ts, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

void host_futex_wake(_Atomic uint32_t *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* ---- threads ---- */

enum { STACK_BYTES = 256 << 10, MAX_IDLE = 16 };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZER_STACK_FACTOR = 4 };
#else
enum { SANITIZER_STACK_FACTOR = 1 };
#endif

struct host_thread {
    struct list node; /* in g_idle */
    _Atomic uint32_t wake;
    void (*fn)(void *);
    void *arg;
    _Atomic pid_t tid; /* set before it is idle for the first time */
};

static struct mutex g_threads_lock = MUTEX_INIT(RANK_LEAF);
static struct list g_idle = LIST_INIT(g_idle);
static unsigned g_idle_count;
static _Atomic uint32_t g_thread_count;

/* Puts itself among the idle and waits for work. False: end. */
static bool host_thread_next(struct host_thread *h) {
    mutex_lock(&g_threads_lock);
    bool stay = g_idle_count < MAX_IDLE;
    if (stay) {
        h->fn = NULL;
        atomic_store(&h->wake, 0);
        list_add(&g_idle, &h->node);
        g_idle_count++;
    }
    mutex_unlock(&g_threads_lock);
    while (stay && atomic_load(&h->wake) == 0)
        host_futex_wait(&h->wake, 0, CLOCK_NEVER);
    return stay && h->fn;
}

static void *host_thread_main(void *arg) {
    struct host_thread *h = arg;

    atomic_store(&h->tid, (pid_t)syscall(SYS_gettid));
    do {
        h->fn(h->arg);
        mutex_assert_none_held();
    } while (host_thread_next(h));
    free(h);
    if (atomic_fetch_sub(&g_thread_count, 1) == 1)
        host_futex_wake(&g_thread_count, INT_MAX);
    return NULL;
}

static int host_thread_create(struct host_thread *h) {
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, old;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, (size_t)STACK_BYTES * SANITIZER_STACK_FACTOR);
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    sigdelset(&all, SIGSYS); /* a forbidden host call is reported by boot/filter.c */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    atomic_fetch_add(&g_thread_count, 1);
    int r = pthread_create(&thread, &attr, host_thread_main, h);
    if (r != 0)
        atomic_fetch_sub(&g_thread_count, 1);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return r == 0 ? 0 : -EAGAIN;
}

/* As a new thread would be, it is where its creator is, and not on the cpu of the task it served last: waking
   a thread on another cpu costs ten times as much (platform/stub/stub_cpu_host.c moves it if there is reason
   to). */
static void host_thread_inherit_cpus(const struct host_thread *h) {
    cpu_set_t mine;

    if (sched_getaffinity(0, sizeof mine, &mine) == 0)
        (void)sched_setaffinity(atomic_load(&h->tid), sizeof mine, &mine);
}

int host_thread_run(void (*fn)(void *), void *arg) {
    struct host_thread *h = NULL;

    mutex_lock(&g_threads_lock);
    if (g_idle_count > 0) {
        h = list_first_entry(&g_idle, struct host_thread, node);
        list_del(&h->node);
        g_idle_count--;
    }
    mutex_unlock(&g_threads_lock);
    if (h) {
        h->fn = fn;
        h->arg = arg;
        host_thread_inherit_cpus(h);
        atomic_store(&h->wake, 1);
        host_futex_wake(&h->wake, 1);
        return 0;
    }
    h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    list_init(&h->node);
    h->fn = fn;
    h->arg = arg;
    int r = host_thread_create(h);
    if (r < 0)
        free(h);
    return r;
}

void host_threads_drain(void) {
    uint32_t count;

    mutex_lock(&g_threads_lock);
    while (g_idle_count > 0) {
        struct host_thread *h = list_first_entry(&g_idle, struct host_thread, node);
        list_del(&h->node);
        g_idle_count--;
        atomic_store(&h->wake, 1);
        host_futex_wake(&h->wake, 1);
    }
    g_idle_count = MAX_IDLE; /* nobody stays any more */
    mutex_unlock(&g_threads_lock);
    while ((count = atomic_load(&g_thread_count)) != 0)
        host_futex_wait(&g_thread_count, count, clock_add(monotonic_ns(), NSEC_PER_SEC / 10));
    mutex_lock(&g_threads_lock);
    g_idle_count = 0;
    mutex_unlock(&g_threads_lock);
}

/* ---- facts ---- */

int host_random(void *to, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t n = getrandom((char *)to + done, size - done, 0);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

unsigned host_cpu_count(void) {
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

unsigned host_highest_cpu(void) {
    cpu_set_t set;
    unsigned highest = 0;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return UINT32_MAX;
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set))
            highest = i;
    return highest;
}

unsigned host_current_cpu(void) {
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (unsigned)cpu;
}

uint64_t host_total_memory(void) {
    struct sysinfo si;
    return sysinfo(&si) < 0 ? 0 : (uint64_t)si.totalram * si.mem_unit;
}

uint64_t host_free_memory(void) {
    struct sysinfo si;
    return sysinfo(&si) < 0 ? 0 : (uint64_t)si.freeram * si.mem_unit;
}

void host_load_average(uint64_t loads[3]) {
    struct sysinfo si;
    bool ok = sysinfo(&si) == 0;

    for (int i = 0; i < 3; i++)
        loads[i] = ok ? si.loads[i] : 0;
}

void host_yield(void) {
    sched_yield();
}

void host_memory_barrier(void) {
    atomic_thread_fence(memory_order_seq_cst);
    syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}
