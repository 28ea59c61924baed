/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/space_test.c: address spaces: mapping, copying, forking, ending.
 */
#include "tests/unit/platform/guest/guest.h"

#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

TEST(map_protect_unmap) {
    struct guest g;
    guest_start(&g);
    guest_map(&g, 0x50000000, 0x3000, PROT_READ | PROT_WRITE);
    ASSERT_EQ(guest_word(&g, 0x50002000), 0);
    guest_set_word(&g, 0x50001000, 42);
    ASSERT_EQ(
        guest_apply(&g,
                    (struct as_op){.kind = AS_PROTECT, .addr = 0x50001000, .len = 0x1000, .prot = PROT_READ}),
        0);
    uint64_t one = 1;
    ASSERT_EQ(g.ops->as_copy_out(g.as, 0x50001000, &one, 8), -EFAULT);
    ASSERT_EQ(guest_word(&g, 0x50001000), 42);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_UNMAP, .addr = 0x50001000, .len = 0x1000}), 0);
    ASSERT_EQ(g.ops->as_copy_in(g.as, &one, 0x50001000, 8), -EFAULT);
    ASSERT_EQ(
        guest_apply(&g,
                    (struct as_op){.kind = AS_PROTECT, .addr = 0x50001000, .len = 0x1000, .prot = PROT_READ}),
        -ENOMEM);
    /* replaces what is there */
    guest_set_word(&g, 0x50002000, 43);
    guest_map(&g, 0x50000000, 0x3000, PROT_READ);
    ASSERT_EQ(guest_word(&g, 0x50002000), 0);
    guest_end(&g);
}

TEST(copies_stop_at_the_first_bad_page) {
    struct guest g;
    char buffer[0x3000];
    guest_start(&g);
    guest_map(&g, 0x50000000, 0x2000, PROT_READ | PROT_WRITE);
    ASSERT_EQ(g.ops->as_copy_in(g.as, buffer, 0x50001f00, 0x1000), 0x100);
    ASSERT_EQ(g.ops->as_copy_out(g.as, 0x50001f00, buffer, 0x1000), 0x100);
    ASSERT_EQ(g.ops->as_copy_in(g.as, buffer, 0x50002000, 1), -EFAULT);
    ASSERT_EQ(g.ops->as_copy_in(g.as, buffer, 0, 1), -EFAULT);
    ASSERT_EQ(g.ops->as_copy_in(g.as, buffer, ~0ull, 1), -EFAULT);
    ASSERT_EQ(g.ops->as_copy_in(g.as, buffer, 0x50000000, 0), 0);
    /* the stub's own pages are not guest memory */
    ASSERT_EQ(g.ops->as_copy_out(g.as, g.platform->limits.max_address, buffer, 8), -EFAULT);
    ASSERT_EQ(g.ops->as_copy_in(g.as, buffer, g.platform->limits.max_address, 8), -EFAULT);
    ASSERT_EQ(g.ops->as_poke(g.as, g.platform->limits.max_address, buffer, 8), -EFAULT);
    guest_end(&g);
}

/* Where a platform moves several pieces in one go, it stops as a single copy does. */
TEST(pieces_are_gathered_and_scattered) {
    struct guest g;
    char one[100], two[5000], three[50];
    struct iovec pieces[] = {{one, sizeof(one)}, {two, sizeof(two)}, {three, sizeof(three)}};
    guest_start(&g);
    guest_map(&g, 0x50000000, 0x2000, PROT_READ | PROT_WRITE);
    if (g.ops->as_gather) {
        memset(one, 1, sizeof(one));
        memset(two, 2, sizeof(two));
        memset(three, 3, sizeof(three));
        ASSERT_EQ(g.ops->as_scatter(g.as, 0x50000010, pieces, 3), 5150);
        memset(two, 0, sizeof(two));
        memset(three, 0, sizeof(three));
        ASSERT_EQ(g.ops->as_gather(g.as, pieces, 3, 0x50000010), 5150);
        ASSERT_EQ(two[0] + two[4999] + three[49], 7);
        ASSERT_EQ(g.ops->as_gather(g.as, pieces, 3, 0x50001000), 4096);
        ASSERT_EQ(g.ops->as_scatter(g.as, 0x50001f00, pieces, 3), 256);
        ASSERT_EQ(g.ops->as_gather(g.as, pieces, 3, 0x50002000), -EFAULT);
        ASSERT_EQ(g.ops->as_scatter(g.as, g.platform->limits.max_address - 64, pieces, 3), -EFAULT);
        ASSERT_EQ(g.ops->as_gather(g.as, pieces, 0, 0x50000000), 0);
    }
    guest_end(&g);
}

TEST(peek_and_poke_ignore_protections) {
    struct guest g;
    guest_start(&g);
    guest_map(&g, 0x50000000, 0x1000, PROT_NONE);
    uint64_t value = 0x1234, back = 0;
    ASSERT_EQ(g.ops->as_copy_in(g.as, &back, 0x50000000, 8), -EFAULT);
    ASSERT_EQ(g.ops->as_poke(g.as, 0x50000010, &value, 8), 8);
    ASSERT_EQ(g.ops->as_peek(g.as, &back, 0x50000010, 8), 8);
    ASSERT_EQ(back, 0x1234);
    ASSERT_EQ(g.ops->as_peek(g.as, &back, 0x60000000, 8), -EFAULT);
    unsigned char ud2[2] = {0x0f, 0x0b}; /* a breakpoint in the guest's read-only code */
    ASSERT_EQ(g.ops->as_poke(g.as, GUEST(guest_getpid), ud2, 2), 2);
    guest_enter(&g, GUEST(guest_getpid));
    guest_run(&g);
    ASSERT_EQ(g.event.signo, SIGILL);
    guest_end(&g);
}

TEST(batches_report_where_they_failed) {
    struct guest g;
    guest_start(&g);
    enum { COUNT = 200 };
    struct as_op ops[COUNT];
    for (int i = 0; i < COUNT; i++)
        ops[i] = (struct as_op){.kind = AS_MAP_ANON,
                                .addr = 0x50000000 + 0x2000ull * (unsigned)i,
                                .len = 0x1000,
                                .prot = PROT_READ | PROT_WRITE};
    size_t done = 0;
    ASSERT_EQ(g.ops->as_apply(g.as, ops, COUNT, &done), 0);
    ASSERT_EQ(done, COUNT);
    for (int bad = 0; bad < COUNT; bad += 33) {
        struct as_op some[COUNT];
        memcpy(some, ops, sizeof(some));
        some[bad] = (struct as_op){.kind = AS_PROTECT, .addr = 0x40000000, .len = 0x1000, .prot = PROT_READ};
        ASSERT_EQ(g.ops->as_apply(g.as, some, COUNT, &done), -ENOMEM);
        ASSERT_EQ(done, bad);
        some[bad].addr = 0x40000001; /* refused before it is sent */
        ASSERT_EQ(g.ops->as_apply(g.as, some, COUNT, &done), -EINVAL);
        ASSERT_EQ(done, bad);
    }
    guest_end(&g);
}

TEST(operations_outside_the_guests_range_are_refused) {
    struct guest g;
    guest_start(&g);
    uint64_t max = g.platform->limits.max_address;
    struct as_op bad[] = {
        {.kind = AS_UNMAP, .addr = max, .len = 0x1000},
        {.kind = AS_UNMAP, .addr = max - 0x1000, .len = 0x2000},
        {.kind = AS_UNMAP, .addr = 0x10000, .len = 0xfffffffffffff000},
        {.kind = AS_UNMAP, .addr = 0, .len = 0x1000},
        {.kind = AS_UNMAP, .addr = 0x50000000, .len = 0},
        {.kind = AS_UNMAP, .addr = 0x50000000, .len = 0x10},
        {.kind = AS_PROTECT, .addr = max, .len = 0x1000, .prot = PROT_WRITE},
        {.kind = AS_REMAP, .addr = DATA_ADDRESS, .old_len = 0x1000, .len = 0x1000, .new_addr = max},
        {.kind = AS_ADVISE, .addr = DATA_ADDRESS, .len = 0x1000, .advice = MADV_REMOVE},
        {.kind = AS_MAP_ANON, .flags = AS_SHARED, .addr = 0x50000000, .len = 0x1000, .prot = PROT_READ},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ASSERT_EQ(guest_apply(&g, bad[i]), -EINVAL);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_UNMAP,
                                             .addr = g.platform->limits.min_address,
                                             .len = max - g.platform->limits.min_address}),
              0);
    guest_fill(&g);
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    guest_end(&g);
}

TEST(shared_memory_is_shared) {
    struct guest g;
    guest_start(&g);
    int fd = memfd_create("shared", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(fd, 0x4000), 0);
    uint64_t *here = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    here[0x1000 / 8] = 7;
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_MAP_FILE,
                                             .flags = AS_SHARED,
                                             .addr = 0x50000000,
                                             .len = 0x2000,
                                             .prot = PROT_READ | PROT_WRITE,
                                             .fd = fd,
                                             .offset = 0x1000}),
              0);
    close(fd);
    ASSERT_EQ(guest_word(&g, 0x50000000), 7);
    guest_enter(&g, GUEST(guest_store));
    g.regs.rdi = 0x50000008;
    g.regs.rsi = 99;
    guest_expect_call(&g, 1);
    ASSERT_EQ(here[0x1008 / 8], 99);
    munmap(here, 0x4000);
    guest_end(&g);
}

TEST(private_file_mappings_copy_on_write) {
    struct guest g;
    guest_start(&g);
    int fd = memfd_create("file", MFD_CLOEXEC);
    char text[0x2000];
    memset(text, 'x', sizeof(text));
    ASSERT_EQ(write(fd, text, sizeof(text)), (ssize_t)sizeof(text));
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_MAP_FILE,
                                             .addr = 0x50000000,
                                             .len = 0x2000,
                                             .prot = PROT_READ | PROT_WRITE,
                                             .fd = fd}),
              0);
    guest_set_word(&g, 0x50000000, 1);
    uint64_t first;
    ASSERT_EQ(pread(fd, &first, 8, 0), 8);
    ASSERT_EQ(first, 0x7878787878787878);
    ASSERT_EQ(guest_word(&g, 0x50000000), 1);
    close(fd);
    guest_end(&g);
}

/* Several files in one call, bad ones among them: descriptors neither get mixed up nor stay behind in the
 * stub. */
TEST(descriptors_are_not_mixed_up) {
    struct guest g;
    guest_start(&g);
    int fd[5];
    struct as_op ops[5];
    for (int i = 0; i < 5; i++) {
        uint64_t value = (uint64_t)i + 100;
        fd[i] = memfd_create("n", MFD_CLOEXEC);
        ASSERT_EQ(ftruncate(fd[i], 0x1000), 0);
        ASSERT_EQ(pwrite(fd[i], &value, 8, 0), 8);
        ops[i] = (struct as_op){.kind = AS_MAP_FILE,
                                .flags = AS_SHARED,
                                .addr = 0x50000000 + 0x1000ull * (unsigned)i,
                                .len = 0x1000,
                                .prot = PROT_READ,
                                .fd = fd[i]};
    }
    for (int round = 0; round < 50; round++) {
        size_t done;
        ASSERT_EQ(g.ops->as_apply(g.as, ops, 5, &done), 0);
        for (unsigned i = 0; i < 5; i++)
            ASSERT_EQ(guest_word(&g, 0x50000000 + 0x1000ull * i), i + 100);
        struct as_op bad[3] = {ops[0], ops[0], ops[1]};
        bad[1].prot = PROT_READ | PROT_WRITE;
        bad[1].offset = 0x800; /* not a page's */
        ASSERT_EQ(g.ops->as_apply(g.as, bad, 3, &done), -EINVAL);
        ASSERT_EQ(done, 1);
        bad[0].fd = -2; /* no descriptor at all */
        ASSERT_EQ(g.ops->as_apply(g.as, bad, 3, &done), -EBADF);
        ASSERT_EQ(done, 0);
    }
    for (int i = 0; i < 5; i++)
        close(fd[i]);
    guest_end(&g);
}

TEST(read_only_descriptors_stay_read_only) {
    struct guest g;
    guest_start(&g);
    char path[64];
    int fd = memfd_create("ro", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(fd, 0x1000), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int ro = open(path, O_RDONLY | O_CLOEXEC);
    ASSERT_OK(ro);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_MAP_FILE,
                                             .flags = AS_SHARED,
                                             .addr = 0x50000000,
                                             .len = 0x1000,
                                             .prot = PROT_READ,
                                             .fd = ro}),
              0);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_PROTECT,
                                             .addr = 0x50000000,
                                             .len = 0x1000,
                                             .prot = PROT_READ | PROT_WRITE}),
              -EACCES);
    close(fd);
    close(ro);
    guest_end(&g);
}

TEST(remap_moves_and_resizes) {
    struct guest g;
    guest_start(&g);
    guest_map(&g, 0x50000000, 0x2000, PROT_READ | PROT_WRITE);
    guest_set_word(&g, 0x50001000, 5);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_REMAP,
                                             .addr = 0x50000000,
                                             .old_len = 0x2000,
                                             .len = 0x4000,
                                             .new_addr = 0x60000000}),
              0);
    ASSERT_EQ(guest_word(&g, 0x60001000), 5);
    ASSERT_EQ(guest_word(&g, 0x60003000), 0);
    uint64_t x;
    ASSERT_EQ(g.ops->as_copy_in(g.as, &x, 0x50000000, 8), -EFAULT);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_REMAP,
                                             .addr = 0x60000000,
                                             .old_len = 0x4000,
                                             .len = 0x1000,
                                             .new_addr = 0x60000000}),
              0);
    ASSERT_EQ(g.ops->as_copy_in(g.as, &x, 0x60001000, 8), -EFAULT);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_REMAP,
                                             .flags = AS_DONTUNMAP,
                                             .addr = 0x60000000,
                                             .old_len = 0x1000,
                                             .len = 0x1000,
                                             .new_addr = 0x70000000}),
              0);
    ASSERT_EQ(guest_word(&g, 0x60000000), 0);
    guest_end(&g);
}

TEST(advice) {
    struct guest g;
    guest_start(&g);
    guest_set_word(&g, DATA_ADDRESS, 5);
    ASSERT_EQ(
        guest_apply(
            &g,
            (struct as_op){.kind = AS_ADVISE, .addr = DATA_ADDRESS, .len = 0x1000, .advice = MADV_DONTNEED}),
        0);
    ASSERT_EQ(guest_word(&g, DATA_ADDRESS), 0);
    ASSERT_EQ(
        guest_apply(&g,
                    (struct as_op){.kind = AS_LOCK, .flags = AS_LOCKED, .addr = DATA_ADDRESS, .len = 0x1000}),
        0);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_LOCK, .addr = DATA_ADDRESS, .len = 0x1000}), 0);
    guest_end(&g);
}

TEST(fork_copies_private_and_shares_shared) {
    struct guest g;
    guest_start(&g);
    int fd = memfd_create("shared", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(fd, 0x1000), 0);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_MAP_FILE,
                                             .flags = AS_SHARED,
                                             .addr = 0x50000000,
                                             .len = 0x1000,
                                             .prot = PROT_READ | PROT_WRITE,
                                             .fd = fd}),
              0);
    close(fd);
    guest_map(&g, 0x51000000, 0x1000, PROT_READ | PROT_WRITE);
    guest_set_word(&g, 0x51000000, 1);
    ASSERT_EQ(guest_apply(&g,
                          (struct as_op){
                              .kind = AS_ADVISE, .addr = 0x51000000, .len = 0x1000, .advice = MADV_DONTFORK}),
              0);
    guest_set_word(&g, DATA_ADDRESS, 1);
    struct guest child = g;
    ASSERT_EQ(g.ops->as_fork(g.as, &child.as), 0);
    ASSERT_EQ(g.ops->context_create(child.as, &child.context), 0);
    guest_set_word(&g, DATA_ADDRESS, 2);
    guest_set_word(&g, 0x50000000, 3);
    ASSERT_EQ(guest_word(&child, DATA_ADDRESS), 1);
    ASSERT_EQ(guest_word(&child, 0x50000000), 3);
    uint64_t x;
    ASSERT_EQ(g.ops->as_copy_in(child.as, &x, 0x51000000, 8), -EFAULT);
    guest_enter(&child, GUEST(guest_store));
    child.regs.rdi = DATA_ADDRESS;
    child.regs.rsi = 77;
    guest_expect_call(&child, 1);
    ASSERT_EQ(guest_word(&g, DATA_ADDRESS), 2);
    ASSERT_EQ(guest_word(&child, DATA_ADDRESS), 77);
    guest_map(&child, 0x52000000, 0x1000, PROT_READ); /* the child's helper works, and for the child alone */
    ASSERT_EQ(g.ops->as_copy_in(g.as, &x, 0x52000000, 8), -EFAULT);
    g.ops->context_destroy(child.context);
    g.ops->as_unref(child.as);
    guest_end(&g);
}

static void store_from_guest(struct guest *g, uint64_t addr, uint64_t value) {
    guest_enter(g, GUEST(guest_store));
    g->regs.rdi = addr;
    g->regs.rsi = value;
    guest_expect_call(g, 1);
}

/* More pages than a platform may want to flush one by one, with neighbours in no order, written by the guest
 * before and after. */
TEST(fork_copies_scattered_pages) {
    enum { PAGES = 100, STRIDE = 0x2000, STEP = 37 };
    struct guest g;
    struct address_space *child;
    guest_start(&g);
    guest_map(&g, 0x53000000, PAGES * STRIDE, PROT_READ | PROT_WRITE);
    for (uint64_t i = 0; i < PAGES; i++)
        store_from_guest(&g, 0x53000000 + i * STEP % PAGES * STRIDE, i * STEP % PAGES);
    ASSERT_EQ(g.ops->as_fork(g.as, &child), 0);
    for (uint64_t i = 0; i < PAGES; i++)
        store_from_guest(&g, 0x53000000 + i * STRIDE, 1000);
    struct guest other = g;
    other.as = child;
    for (uint64_t i = 0; i < PAGES; i++)
        ASSERT_EQ(guest_word(&other, 0x53000000 + i * STRIDE), i);
    g.ops->as_unref(child);
    guest_end(&g);
}

TEST_TIMEOUT(two_hundred_forks, 120) {
    struct guest g;
    struct address_space *as[200];
    guest_start(&g);
    for (int i = 0; i < 200; i++) {
        guest_set_word(&g, DATA_ADDRESS, (uint64_t)i);
        ASSERT_EQ(g.ops->as_fork(g.as, &as[i]), 0);
    }
    ASSERT_EQ(guest_count_stubs(), HAS_STUBS ? 202 : 0);
    for (int i = 0; i < 200; i++) {
        struct guest child = g;
        child.as = as[i];
        ASSERT_EQ(guest_word(&child, DATA_ADDRESS), i);
        ASSERT_EQ(g.ops->context_create(as[i], &child.context), 0);
        guest_enter(&child, GUEST(guest_getpid));
        guest_expect_call(&child, 39);
        g.ops->context_destroy(child.context);
    }
    for (int i = 0; i < 200; i++)
        g.ops->as_unref(as[i]);
    guest_end(&g);
    ASSERT_EQ(guest_count_stubs(), 0);
}

/* A chain of forks, each of the last one, whose parents end first; and new spaces all the while. */
TEST(chain_of_forks) {
    struct guest g;
    guest_start(&g);
    for (int i = 0; i < 50; i++) {
        struct address_space *next, *fresh;
        g.ops->context_destroy(g.context);
        guest_set_word(&g, DATA_ADDRESS, (uint64_t)i);
        ASSERT_EQ(g.ops->as_fork(g.as, &next), 0);
        ASSERT_EQ(g.ops->as_create(g.platform, &fresh), 0);
        g.ops->as_unref(g.as);
        g.as = next;
        ASSERT_EQ(guest_word(&g, DATA_ADDRESS), i);
        ASSERT_EQ(g.ops->context_create(g.as, &g.context), 0);
        guest_enter(&g, GUEST(guest_getpid));
        guest_expect_call(&g, 39);
        g.ops->as_unref(fresh);
    }
    guest_end(&g);
}

TEST(usage) {
    struct guest g;
    struct as_usage before, after;
    guest_start(&g);
    ASSERT_EQ(g.ops->as_usage(g.as, &before), 0);
    guest_map(&g, 0x50000000, 0x1000000, PROT_READ | PROT_WRITE);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_ADVISE,
                                             .addr = 0x50000000,
                                             .len = 0x1000000,
                                             .advice = MADV_POPULATE_WRITE}),
              0);
    ASSERT_EQ(g.ops->as_usage(g.as, &after), 0);
    ASSERT_GE(after.rss_bytes, before.rss_bytes + 0xf00000);
    ASSERT_GT(after.page_table_bytes, before.page_table_bytes);
    guest_end(&g);
}

/* ---- threads ---- */

struct worker {
    struct guest g;
    pthread_t thread;
    int number, failed;
    pthread_barrier_t *all;
};

static void *work(void *arg) {
    struct worker *w = arg;
    struct guest *g = &w->g;
    w->failed = 1;
    int r = g->ops->context_create(g->as, &g->context);
    pthread_barrier_wait(w->all);
    if (r)
        return NULL;
    guest_enter(g, GUEST(guest_getpid));
    for (int i = 0; i < 20; i++) {
        guest_run(g);
        if (g->event.kind != EVENT_SYSCALL || g->regs.orig_rax != 39)
            return NULL;
        if (i && g->regs.rbx != (uint64_t)w->number)
            return NULL;
        g->regs.rbx = (uint64_t)w->number;
    }
    g->ops->context_destroy(g->context);
    w->failed = 0;
    return NULL;
}

static void run_workers(int count) {
    struct guest g;
    pthread_barrier_t all;
    guest_start(&g);
    pthread_barrier_init(&all, NULL, (unsigned)count);
    struct worker *w = calloc((size_t)count, sizeof(*w));
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    for (int i = 0; i < count; i++) {
        w[i] = (struct worker){.g = g, .number = i, .all = &all};
        ASSERT_EQ(pthread_create(&w[i].thread, &attr, work, &w[i]), 0);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(w[i].thread, NULL);
        ASSERT_EQ(w[i].failed, 0);
    }
    free(w);
    pthread_barrier_destroy(&all);
    struct guest child = g; /* of a space whose message area has grown */
    ASSERT_EQ(g.ops->as_fork(g.as, &child.as), 0);
    ASSERT_EQ(g.ops->context_create(child.as, &child.context), 0);
    guest_enter(&child, GUEST(guest_getpid));
    guest_expect_call(&child, 39);
    g.ops->context_destroy(child.context);
    g.ops->as_unref(child.as);
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    guest_end(&g);
}

TEST_TIMEOUT(two_hundred_threads, 120) {
    run_workers(200);
}

TEST_TIMEOUT(two_thousand_threads, 300) {
    run_workers(2000);
}

TEST_TIMEOUT(threads_one_after_another, 60) {
    struct guest g;
    guest_start(&g);
    for (int i = 0; i < 300; i++) {
        struct context *c;
        ASSERT_EQ(g.ops->context_create(g.as, &c), 0);
        g.ops->context_destroy(c);
    }
    guest_end(&g);
}

/* ---- death ---- */

TEST(as_kill_ends_all_contexts) {
    struct guest g;
    guest_start(&g);
    g.ops->as_kill(g.as);
    guest_enter(&g, GUEST(guest_spin));
    g.regs.rdi = DATA_ADDRESS;
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_DEAD);
    ASSERT_FALSE(g.event.oom);
    guest_end(&g);
}
