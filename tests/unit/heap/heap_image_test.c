/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/heap/heap_image_test.c: a small live kernel is dumped, mapped in a fresh process (exec of this
 * binary, with another load address) at the same base, and goes on: its lists are walked, its ops called,
 * objects freed and made.
 *
 * The toy kernel has what a real one has: a root, a list of tasks with ops tables, a lock, byte and pointer
 * arrays, a hostref.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hostref.h"
#include "base/list.h"
#include "base/mutex.h"
#include "sentry/heap/heap.h"
#include "tests/support/test.h"

struct toy_task;
struct toy_ops {
    int (*run)(struct toy_task *t);
};
struct toy_task {
    struct list node;
    const struct toy_ops *ops;
    int number, runs;
    char *name;
};
struct toy_kernel {
    struct mutex lock;
    struct list tasks;
    struct toy_task **table;
    size_t count;
    struct hostref host;
};
HEAP_TYPE(toy_task, struct toy_task, 0);
HEAP_TYPE(toy_kernel, struct toy_kernel, 0);

static int run_once(struct toy_task *t) {
    t->runs++;
    return t->number;
}
static int run_twice(struct toy_task *t) {
    t->runs += 2;
    return 2 * t->number;
}
static const struct toy_ops g_once = {run_once}, g_twice = {run_twice};

enum { TASKS = 1000, BIG = 300000 };

static struct toy_task *task_new(struct toy_kernel *k, int number) {
    struct toy_task *t = heap_new(toy_task);
    char name[32];

    snprintf(name, sizeof name, "task-%d", number);
    t->ops = number % 2 ? &g_once : &g_twice;
    t->number = number;
    t->name = heap_strdup(name);
    list_add_tail(&k->tasks, &t->node);
    return t;
}

static void task_free(struct toy_task *t) {
    list_del(&t->node);
    heap_free(t->name);
    heap_free(t);
}

/* Runs every task once; what they return, summed. */
static long run_kernel(struct toy_kernel *k) {
    struct toy_task *t;
    long sum = 0;

    mutex_lock(&k->lock);
    list_for_each_entry(t, &k->tasks, node) sum += t->ops->run(t);
    mutex_unlock(&k->lock);
    return sum;
}

static struct toy_kernel *kernel_new(void) {
    struct toy_kernel *k = heap_new(toy_kernel);

    mutex_init(&k->lock, RANK_TASKSET);
    list_init(&k->tasks);
    k->table = heap_alloc_array(BIG, sizeof *k->table);
    for (k->count = 0; k->count < TASKS; k->count++)
        k->table[k->count * 300] = task_new(k, (int)k->count);
    k->host = hostref_fd(dup(1));
    heap_set_root(k);
    return k;
}

/* Half of the tasks gone, so that the image has holes. */
static void thin_out(struct toy_kernel *k) {
    for (size_t i = 0; i < TASKS; i += 2) {
        task_free(k->table[i * 300]);
        k->table[i * 300] = NULL;
    }
}

static long expected_sum(void) {
    long sum = 0;

    for (long i = 1; i < TASKS; i += 2)
        sum += i;
    return sum;
}

/* What the fresh process does with the image; 0 if all is well. */
static int go_on(int fd) {
    if (heap_load(fd, NULL) < 0)
        return 1;
    struct toy_kernel *k = heap_root();
    if (run_kernel(k) != expected_sum())
        return 2;
    struct toy_task *first = list_first_entry(&k->tasks, struct toy_task, node);
    if (first->runs != 2 || strcmp(first->name, "task-1") != 0)
        return 3;
    if (heap_live_objects(&heap_type_toy_task) != TASKS / 2)
        return 4;
    for (int i = 0; i < 5000; i++)
        task_new(k, TASKS + 2 * i);
    k->host.ops = NULL; /* the descriptor was the other process's */
    if (heap_lint(stderr) != 0)
        return 5;
    struct toy_task *t, *next;
    list_for_each_entry_safe(t, next, &k->tasks, node) task_free(t);
    heap_free(k->table);
    heap_free(k);
    if (heap_live_objects(&heap_type_toy_task) != 0)
        return 6;
    heap_destroy();
    return 0;
}

static const char *const MARK = "HEAP_TEST_IMAGE";

TEST(image_goes_on_in_a_fresh_process) {
    char fd_text[16];
    int fd = memfd_create("image", 0);

    ASSERT_OK(heap_init(256 << 20, (uint64_t)rand(), NULL));
    struct toy_kernel *k = kernel_new();
    thin_out(k);
    ASSERT_EQ(run_kernel(k), expected_sum());
    ASSERT_OK(heap_dump(fd, NULL));
    pid_t pid = fork();
    if (pid == 0) {
        snprintf(fd_text, sizeof fd_text, "%d", fd);
        setenv(MARK, fd_text, 1);
        execl("/proc/self/exe", "heap_test", NULL);
        _exit(70);
    }
    ASSERT_EQ(test_wait(pid), 0);
    /* The original went on untouched. */
    ASSERT_EQ(run_kernel(k), expected_sum());
    hostref_release(&k->host);
    heap_destroy();
    close(fd);
}

TEST(garbage_is_no_image) {
    struct err *err = NULL;
    int fd = memfd_create("image", 0);

    ASSERT_EQ(heap_load(fd, &err), -EINVAL);
    err = err_free(err);
    ASSERT_EQ(pwrite(fd, "nonsense", 8, 0), 8);
    ASSERT_EQ(ftruncate(fd, 100000), 0);
    ASSERT_EQ(heap_load(fd, &err), -EINVAL);
    ASSERT_STREQ(err->code, "heap.image");
    err_free(err);
    close(fd);
}

/* The fresh process: this binary run again with MARK set. After the types above have been registered. */
__attribute__((constructor)) static void run_as_fresh_process(void) {
    const char *fd = getenv(MARK);

    if (fd)
        _exit(go_on(atoi(fd)));
}
