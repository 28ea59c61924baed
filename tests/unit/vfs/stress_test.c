/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/vfs/stress_test.c: many threads at the same few names, mounts and descriptors: nothing may
 * break, leak or deadlock. What each call answers is not checked but for being an errno that it may give. Run
 * it under TSan (./dev build tsan).
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/abi/linux/mount.h"
#include "tests/unit/vfs/vfs_fixture.h"

#define f (*fp)
enum { THREADS = 4, ROUNDS = 2500, ARENA = 4096 };

struct worker {
    struct fixture fx; /* its own task and part of guest memory */
    unsigned seed;
    pthread_t thread;
};

static const char *any_name(struct worker *w) {
    static const char *const names[] = {"/a",        "/b", "/a/c", "/b/c",         "/a/d", "/b/d/e", "/a/c/x",
                                        "/b/../a/d", "/l", "/l/c", "/a/c/../../b", "/m",   "/m/y"};

    return names[(unsigned)rand_r(&w->seed) % ARRAY_SIZE(names)];
}

/* Guest memory of one's own: two strings per call. */
static gva_t name_at(struct worker *w, unsigned slot) {
    struct fixture *fp = &w->fx;
    gva_t keep = f.at;

    f.at = f.scratch + slot * 256;
    gva_t at = S(any_name(w));
    f.at = keep;
    return at;
}

static void open_and_use(struct worker *w, uint32_t flags) {
    struct fixture *fp = &w->fx;
    int64_t fd = CALL(open, name_at(w, 0), flags, 0644);

    if (fd < 0)
        return;
    if (flags & LINUX_O_ACCMODE)
        (void)CALL(write, (uint64_t)fd, f.scratch + 512, 100);
    else
        (void)CALL(getdents64, (uint64_t)fd, f.scratch + 1024, 1024);
    (void)CALL(fstat, (uint64_t)fd, f.scratch + 1024);
    ASSERT_OK(CALL(close, (uint64_t)fd));
}

static void one_step(struct worker *w) {
    struct fixture *fp = &w->fx;

    switch ((unsigned)rand_r(&w->seed) % 14) {
    case 0:
        (void)CALL(mkdir, name_at(w, 0), 0755);
        break;
    case 1:
        (void)CALL(rmdir, name_at(w, 0));
        break;
    case 2:
    case 3:
        (void)CALL(rename, name_at(w, 0), name_at(w, 1));
        break;
    case 4:
        (void)CALL(renameat2, AT, name_at(w, 0), AT, name_at(w, 1), LINUX_RENAME_EXCHANGE);
        break;
    case 5:
        (void)CALL(unlink, name_at(w, 0));
        break;
    case 6:
        (void)CALL(link, name_at(w, 0), name_at(w, 1));
        break;
    case 7:
        (void)CALL(lstat, name_at(w, 0), f.scratch + 1024);
        break;
    case 8:
        open_and_use(w, LINUX_O_RDONLY);
        break;
    case 9:
        open_and_use(w, LINUX_O_RDWR | LINUX_O_CREAT);
        break;
    case 10:
        if (CALL(chdir, name_at(w, 0)) == 0) {
            (void)CALL(getcwd, f.scratch + 1024, 1024);
            ASSERT_OK(CALL(chdir, put(&f, "/", 2)));
        }
        break;
    case 11:
        (void)CALL(mount, name_at(w, 0), name_at(w, 1), 0,
                   rand_r(&w->seed) % 2 ? LINUX_MS_BIND : LINUX_MS_BIND | LINUX_MS_REC);
        break;
    case 12:
        (void)CALL(umount2, name_at(w, 0), LINUX_MNT_DETACH);
        break;
    default:
        (void)CALL(symlink, name_at(w, 0), name_at(w, 1));
        break;
    }
}

static void *worker_main(void *arg) {
    struct worker *w = arg;

    for (int i = 0; i < ROUNDS; i++) {
        w->fx.at = w->fx.scratch + 2048;
        one_step(w);
    }
    return NULL;
}

WITH_FIXTURE(names_and_mounts_from_many_threads) {
    static struct worker workers[THREADS];

    ASSERT_OK(CALL(mkdir, S("/a"), 0755));
    ASSERT_OK(CALL(mkdir, S("/b"), 0755));
    ASSERT_OK(CALL(mkdir, S("/m"), 0755));
    ASSERT_OK(CALL(symlink, S("a"), S("/l")));
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.fx = f, .seed = 7 + i};
        workers[i].fx.t = fixture_task(&f, /* thread= */ i % 2);
        workers[i].fx.scratch = f.scratch + (1 << 20) + i * ARENA;
    }
    for (unsigned i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_join(workers[i].thread, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        fixture_task_done(workers[i].fx.t);
}

/* ---- one pipe, many ends; epoll files that come and go ---- */

static void *pump(void *arg) {
    struct worker *w = arg;
    struct fixture *fp = &w->fx;

    for (int i = 0; i < 300; i++) {
        int64_t ep = CALL(epoll_create1, 0);
        ASSERT_OK(ep);
        for (uint64_t fd = 0; fd < 2; fd++) {
            f.at = f.scratch;
            uint32_t e[3] = {5, 0, 0};
            ASSERT_OK(CALL(epoll_ctl, (uint64_t)ep, 1, fd, put(&f, e, 12)));
        }
        ASSERT_OK(CALL(epoll_wait, (uint64_t)ep, f.scratch + 64, 4, 0));
        (void)CALL(write, 1, f.scratch + 512, 1 + (uint64_t)rand_r(&w->seed) % 3000);
        (void)CALL(read, 0, f.scratch + 512, 3000);
        int64_t d = CALL(dup, 1);
        ASSERT_OK(d);
        ASSERT_OK(CALL(close, (uint64_t)(i % 2 ? d : ep)));
        ASSERT_OK(CALL(close, (uint64_t)(i % 2 ? ep : d)));
    }
    return NULL;
}

WITH_FIXTURE(pipes_and_epolls_from_many_threads) {
    static struct worker workers[THREADS];
    gva_t at = room(&f, 8);

    ASSERT_OK(CALL(pipe2, at, LINUX_O_NONBLOCK));
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.fx = f, .seed = 70 + i};
        workers[i].fx.t = fixture_task(&f, /* thread= */ i % 2);
        workers[i].fx.scratch = f.scratch + (1 << 20) + i * ARENA;
    }
    for (unsigned i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_create(&workers[i].thread, NULL, pump, &workers[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        ASSERT_EQ(pthread_join(workers[i].thread, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        fixture_task_done(workers[i].fx.t);
}
