/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/mm/memstore_test.c: the shared memory file and the byte stores on it, alone and mapped.
 */
#include <pthread.h>
#include <stdlib.h>

#include "tests/unit/mm/mm_fixture.h"

enum { PAGE = 4096, RW = LINUX_PROT_READ | LINUX_PROT_WRITE };

static ssize_t put(struct memstore *s, const void *data, size_t size, uint64_t offset) {
    struct uio u;
    struct uio_segment one;

    uio_init_kernel(&u, &one, (void *)(uintptr_t)data, size);
    return memstore_write(s, &u, offset, size);
}

static ssize_t get(struct memstore *s, void *data, size_t size, uint64_t offset) {
    struct uio u;
    struct uio_segment one;

    uio_init_kernel(&u, &one, data, size);
    return memstore_read(s, &u, offset, size);
}

TEST(ranges_are_handed_out_and_joined) {
    struct fixture f;
    uint64_t a, b, c, d;
    fixture_init(&f);
    struct memfile *m = f.kernel->memfile;
    ASSERT_OK(memfile_alloc(m, 4 * PAGE, &a));
    ASSERT_OK(memfile_alloc(m, 4 * PAGE, &b));
    ASSERT_OK(memfile_alloc(m, 4 * PAGE, &c));
    ASSERT_EQ(b, a + 4 * PAGE);
    ASSERT_EQ(memfile_write(m, b, "hello", 5), 5);
    memfile_free(m, b, 4 * PAGE);
    ASSERT_OK(memfile_alloc(m, 2 * PAGE, &d));
    char text[5];
    ASSERT_GE(d, b);
    ASSERT_LT(d, c);
    ASSERT_EQ(memfile_read(m, text, b, 5), 5);
    ASSERT_MEMEQ(text, "\0\0\0\0\0", 5);
    memfile_free(m, a, 4 * PAGE);
    memfile_free(m, d, 2 * PAGE);
    memfile_free(m, c, 4 * PAGE);
    ASSERT_OK(memfile_alloc(m, 12 * PAGE, &d));
    ASSERT_EQ(d, a);
    memfile_free(m, d, 12 * PAGE);
    ASSERT_EQ(memfile_alloc(m, 1ull << 60, &d), -ENOMEM);
    fixture_done(&f);
}

TEST(store_reads_what_was_written) {
    struct fixture f;
    struct memstore *s;
    char text[16] = "";
    fixture_init(&f);
    ASSERT_OK(memstore_create(f.kernel, &s));
    ASSERT_EQ(get(s, text, 8, 0), 0);
    ASSERT_EQ(put(s, "world", 5, 6), 5);
    ASSERT_EQ(put(s, "hello ", 6, 0), 6);
    ASSERT_EQ(get(s, text, sizeof text, 0), 11);
    ASSERT_STREQ(text, "hello world");
    ASSERT_OK(memstore_truncate(s, 5));
    ASSERT_OK(memstore_truncate(s, 11));
    ASSERT_EQ(get(s, text, sizeof text, 0), 11);
    ASSERT_MEMEQ(text, "hello\0\0\0\0\0\0", 11);
    ASSERT_EQ(put(s, "x", 1, INT64_MAX), -EFBIG);
    ASSERT_EQ(memstore_truncate(s, UINT64_MAX), -EFBIG);
    memstore_unref(s);
    fixture_done(&f);
}

TEST(store_has_holes) {
    struct fixture f;
    struct memstore *s;
    char buf[64];
    fixture_init(&f);
    uint64_t before = memfile_allocated(f.kernel->memfile);
    ASSERT_OK(memstore_create(f.kernel, &s));
    ASSERT_EQ(put(s, "a", 1, 0), 1);
    ASSERT_EQ(put(s, "b", 1, 1ull << 40), 1);
    ASSERT_EQ(memstore_size(s), (1ull << 40) + 1);
    ASSERT_LE(memstore_blocks(s), 2 * 8);
    ASSERT_EQ(memstore_seek(s, 1, false), PAGE);
    ASSERT_EQ(memstore_seek(s, PAGE, true), 1ll << 40);
    ASSERT_EQ(memstore_seek(s, 1ull << 40, false), (1ll << 40) + 1);
    ASSERT_EQ(memstore_seek(s, 1ull << 41, true), -ENXIO);
    memset(buf, 1, sizeof buf);
    ASSERT_EQ(get(s, buf, sizeof buf, 1ull << 30), sizeof buf);
    ASSERT_EQ(buf[0] | buf[63], 0);
    memstore_punch(s, 0, PAGE);
    ASSERT_EQ(get(s, buf, 1, 0), 1);
    ASSERT_EQ(buf[0], 0);
    ASSERT_EQ(memstore_seek(s, 0, true), 1ll << 40);
    memstore_unref(s);
    ASSERT_EQ(memfile_allocated(f.kernel->memfile), before);
    fixture_done(&f);
}

TEST(random_stores_agree_with_a_model) {
    enum { SIZE = 400000, STEPS = 400 };
    static char model[SIZE], buf[SIZE], got[SIZE];
    struct fixture f;
    struct memstore *s;
    unsigned seed = 7;
    size_t size = 0;
    fixture_init(&f);
    uint64_t before = memfile_allocated(f.kernel->memfile);
    ASSERT_OK(memstore_create(f.kernel, &s));
    for (int step = 0; step < STEPS; step++) {
        size_t at = (size_t)rand_r(&seed) % SIZE, n = (size_t)rand_r(&seed) % 20000 + 1;
        n = MIN(n, SIZE - at);
        int what = rand_r(&seed) % 4;
        if (what < 2) {
            memset(buf, rand_r(&seed) % 255 + 1, n);
            ASSERT_EQ(put(s, buf, n, at), n);
            memcpy(model + at, buf, n);
            size = MAX(size, at + n);
        } else if (what == 2) {
            ASSERT_OK(memstore_truncate(s, at));
            if (at < size)
                memset(model + at, 0, SIZE - at);
            size = at;
        } else {
            memstore_punch(s, at, n);
            memset(model + at, 0, n);
        }
        ASSERT_EQ(memstore_size(s), size);
        ASSERT_EQ(get(s, got, SIZE, 0), size);
        ASSERT_MEMEQ(got, model, size);
    }
    memstore_unref(s);
    ASSERT_EQ(memfile_allocated(f.kernel->memfile), before);
    fixture_done(&f);
}

/* A mapping of a store as a file would make it. */
static gva_t map_store(struct fixture *f, struct memstore *s, gva_t at, uint64_t len, bool shared,
                       uint32_t max_prot) {
    struct map_plan p = {.start = at,
                         .end = at + len,
                         .prot = max_prot,
                         .max_prot = max_prot,
                         .flags = shared ? VMA_SHARED : 0,
                         .mappable = memstore_mappable(s)};
    struct list dead;

    list_init(&dead);
    mutex_lock(&f->task->mm->lock);
    ASSERT_OK(mm_map_locked(f->task->mm, &p, &dead));
    mm_unlock(f->task->mm, &dead);
    return at;
}

TEST(mapped_store_faults_past_its_end) {
    struct fixture f;
    struct memstore *s;
    int signo = 0, code = 0;
    char text[8] = "";
    fixture_init(&f);
    ASSERT_OK(memstore_create(f.kernel, &s));
    ASSERT_EQ(put(s, "data", 4, 0), 4);
    gva_t at = map_store(&f, s, 0x20000000, 4 * PAGE, /* shared= */ true, RW);
    ASSERT_OK(copy_in(f.task, text, at, 4));
    ASSERT_STREQ(text, "data");
    ASSERT_EQ(copy_in(f.task, text, at + PAGE, 4), -EFAULT);
    ASSERT_EQ(mm_fault(f.task, f.mm, at + PAGE, LINUX_PROT_READ, &signo, &code), -EFAULT);
    ASSERT_EQ(signo, LINUX_SIGBUS);
    ASSERT_EQ(code, LINUX_BUS_ADRERR);
    /* It grows: the next access finds it. */
    ASSERT_EQ(put(s, "more", 4, 2 * PAGE), 4);
    ASSERT_OK(copy_in(f.task, text, at + 2 * PAGE, 4));
    ASSERT_STREQ(text, "more");
    ASSERT_OK(copy_out(f.task, at + PAGE, "mapped", 6));
    ASSERT_EQ(get(s, text, 6, PAGE), 6);
    ASSERT_MEMEQ(text, "mapped", 6);
    /* It shrinks: the rest is gone, in forks too, private copies included. */
    struct mm *child;
    ASSERT_OK(mm_fork(f.mm, &child));
    gva_t private = map_store(&f, s, 0x30000000, 4 * PAGE, /* shared= */ false, RW);
    ASSERT_OK(copy_out(f.task, private + 2 * PAGE, "mine", 4));
    ASSERT_OK(memstore_truncate(s, 2));
    ASSERT_EQ(copy_in(f.task, text, at + PAGE, 4), -EFAULT);
    ASSERT_EQ(copy_in(f.task, text, private + 2 * PAGE, 4), -EFAULT);
    f.task->mm = child;
    ASSERT_EQ(copy_in(f.task, text, at + 2 * PAGE, 4), -EFAULT);
    ASSERT_OK(copy_in(f.task, text, at, 4));
    ASSERT_MEMEQ(text, "da\0\0", 4);
    f.task->mm = f.mm;
    mm_unref(child);
    memstore_unref(s);
    fixture_done(&f);
}

/* ---- many at once ---- */

struct crowd {
    struct fixture f;
    struct memstore *store;
    struct mutex inode; /* the owner's lock: writes and truncation, as in tmpfs */
};

static void *writer(void *arg) {
    struct crowd *c = arg;
    char bytes[5000];

    memset(bytes, 'w', sizeof bytes);
    for (int i = 0; i < 300; i++) {
        mutex_lock(&c->inode);
        ASSERT_EQ(put(c->store, bytes, sizeof bytes, (uint64_t)i * 3000 % 60000), sizeof bytes);
        mutex_unlock(&c->inode);
    }
    return NULL;
}

/* Every byte is zero or what the writer writes: never another store's. */
static void *reader(void *arg) {
    struct crowd *c = arg;
    static _Thread_local char bytes[70000];

    for (int i = 0; i < 200; i++) {
        ssize_t n = get(c->store, bytes, sizeof bytes, 0);
        for (ssize_t k = 0; k < n; k++)
            ASSERT_TRUE(bytes[k] == 'w' || bytes[k] == 0);
    }
    return NULL;
}

static void *truncator(void *arg) {
    struct crowd *c = arg;

    for (int i = 0; i < 300; i++) {
        mutex_lock(&c->inode);
        ASSERT_OK(memstore_truncate(c->store, (uint64_t)(i * 7919) % 65000));
        mutex_unlock(&c->inode);
    }
    return NULL;
}

/* Makes and fills other stores, so that what truncation frees is used again at once. */
static void *neighbour(void *arg) {
    struct crowd *c = arg;
    char bytes[4000];

    memset(bytes, 'n', sizeof bytes);
    for (int i = 0; i < 300; i++) {
        struct memstore *s;
        ASSERT_OK(memstore_create(c->f.kernel, &s));
        ASSERT_EQ(put(s, bytes, sizeof bytes, 0), sizeof bytes);
        memstore_unref(s);
    }
    return NULL;
}

/* Maps the store, looks, forks, unmaps. */
static void *mapper(void *arg) {
    struct crowd *c = arg;
    struct mm *mm, *child;
    char byte;

    ASSERT_OK(mm_create(c->f.kernel, &mm));
    for (int i = 0; i < 60; i++) {
        struct map_plan p = {.start = 0x20000000,
                             .end = 0x20000000 + 16 * PAGE,
                             .prot = RW,
                             .max_prot = RW,
                             .flags = VMA_SHARED,
                             .mappable = memstore_mappable(c->store)};
        struct list dead;
        list_init(&dead);
        mutex_lock(&mm->lock);
        ASSERT_OK(mm_map_locked(mm, &p, &dead));
        mm_unlock(mm, &dead);
        ASSERT_OK(mm_fork(mm, &child));
        for (uint64_t at = 0; at < 16; at++)
            if (mm_read(child, &byte, p.start + at * PAGE, 1, /* force= */ false) == 1)
                ASSERT_TRUE(byte == 'w' || byte == 0);
        mm_unref(child);
        ASSERT_OK(mm_munmap(mm, p.start, 16 * PAGE));
    }
    mm_unref(mm);
    return NULL;
}

TEST(truncation_beside_everything) {
    void *(*const roles[])(void *) = {writer, reader, truncator, neighbour, mapper, mapper};
    struct crowd c;
    pthread_t thread[ARRAY_SIZE(roles)];
    fixture_init(&c.f);
    mutex_init(&c.inode, RANK_INODE);
    ASSERT_OK(memstore_create(c.f.kernel, &c.store));
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
        ASSERT_EQ(pthread_create(&thread[i], NULL, roles[i], &c), 0);
    for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
        pthread_join(thread[i], NULL);
    memstore_unref(c.store);
    fixture_done(&c.f);
}

TEST(seals_count_writable_mappings) {
    struct fixture f;
    struct memstore *s;
    fixture_init(&f);
    ASSERT_OK(memstore_create(f.kernel, &s));
    ASSERT_OK(memstore_truncate(s, PAGE));
    gva_t at = map_store(&f, s, 0x20000000, PAGE, /* shared= */ true, RW);
    ASSERT_EQ(mappable_seal_write(memstore_mappable(s), /* future_only= */ false), -EBUSY);
    ASSERT_OK(mm_munmap(f.mm, at, PAGE));
    ASSERT_OK(mappable_seal_write(memstore_mappable(s), /* future_only= */ false));
    map_store(&f, s, at, PAGE, /* shared= */ true, LINUX_PROT_READ);
    ASSERT_EQ(mm_mprotect(f.task, at, PAGE, RW), -EACCES);
    memstore_unref(s);
    fixture_done(&f);
}

TEST(strings_are_bounded) {
    struct fixture f;
    char *s, **v;
    fixture_init(&f);
    gva_t at = 0x20000000;
    struct mmap_request r = {.addr = at,
                             .len = 2 * PAGE,
                             .prot = RW,
                             .flags = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED};
    ASSERT_EQ(mm_mmap(f.task, f.mm, &r), at);
    ASSERT_OK(copy_out(f.task, at + PAGE - 3, "across", 7));
    ASSERT_OK(copy_in_string(f.task, at + PAGE - 3, 100, &s));
    ASSERT_STREQ(s, "across");
    free(s);
    ASSERT_EQ(copy_in_string(f.task, at + PAGE - 3, 6, &s), -ENAMETOOLONG);
    ASSERT_EQ(copy_in_path(f.task, at, false, &s), -ENOENT);
    ASSERT_OK(copy_in_path(f.task, at, true, &s));
    free(s);
    ASSERT_OK(copy_out(f.task, at + 2 * PAGE - 3, "end", 3));
    ASSERT_EQ(copy_in_string(f.task, at + 2 * PAGE - 3, 100, &s), -EFAULT);
    uint64_t pointers[3] = {at + PAGE - 3, at + PAGE, 0};
    ASSERT_OK(copy_out(f.task, at + 100, pointers, sizeof pointers));
    ASSERT_OK(copy_in_strings(f.task, at + 100, 1000, &v));
    ASSERT_STREQ(v[0], "across");
    ASSERT_STREQ(v[1], "oss");
    ASSERT_NULL(v[2]);
    free_strings(v);
    ASSERT_EQ(copy_in_strings(f.task, at + 100, 25, &v), -E2BIG);
    ASSERT_OK(copy_in_strings(f.task, 0, 25, &v));
    ASSERT_NULL(v[0]);
    free_strings(v);
    fixture_done(&f);
}

TEST(iovecs_move_and_revert) {
    struct fixture f;
    struct uio u;
    char text[16] = "";
    fixture_init(&f);
    gva_t at = 0x20000000;
    struct mmap_request r = {.addr = at,
                             .len = PAGE,
                             .prot = RW,
                             .flags = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | LINUX_MAP_FIXED};
    ASSERT_EQ(mm_mmap(f.task, f.mm, &r), at);
    uint64_t iov[6] = {at + 1000, 3, at + 2000, 0, at + 3000, 5};
    ASSERT_OK(copy_out(f.task, at, iov, sizeof iov));
    ASSERT_OK(uio_init_iovec(&u, f.task, at, 3));
    ASSERT_EQ(u.remaining, 8);
    ASSERT_EQ(uio_write(&u, "abcdefghij", 10), 8);
    uio_revert(&u, 6);
    ASSERT_EQ(uio_write(&u, "XY", 2), 2);
    ASSERT_EQ(u.remaining, 4);
    uio_done(&u);
    ASSERT_OK(copy_in(f.task, text, at + 1000, 3));
    ASSERT_OK(copy_in(f.task, text + 3, at + 3000, 5));
    ASSERT_STREQ(text, "abXYefgh");
    ASSERT_EQ(uio_init_iovec(&u, f.task, at, 1025), -EINVAL);
    iov[1] = UINT64_MAX;
    ASSERT_OK(copy_out(f.task, at, iov, sizeof iov));
    ASSERT_EQ(uio_init_iovec(&u, f.task, at, 3), -EINVAL);
    fixture_done(&f);
}
