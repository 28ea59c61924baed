/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/mm/map_test.c: mmap, munmap, mprotect, mremap, brk: places, cutting, joining, errors and limits,
 * as Linux shows them in /proc/PID/maps.
 */
#include <stdlib.h>

#include "tests/unit/mm/mm_fixture.h"

enum {
    R = LINUX_PROT_READ,
    W = LINUX_PROT_WRITE,
    X = LINUX_PROT_EXEC,
    RW = R | W,
    PAGE = 4096,
    ANON = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS
};
#define BASE 0x10000000ull

static uint32_t word_at(struct fixture *f, gva_t at) {
    uint32_t w = 0;

    ASSERT_OK(copy_in(f->task, &w, at, sizeof w));
    return w;
}

static void put_word(struct fixture *f, gva_t at, uint32_t w) {
    ASSERT_OK(copy_out(f->task, at, &w, sizeof w));
}

TEST(mmap_goes_top_down_and_joins) {
    struct fixture f;
    fixture_init(&f);
    gva_t a = map_anon(&f, 0, PAGE, RW), b = map_anon(&f, 0, 3 * PAGE, RW);
    ASSERT_EQ(a, 0x700000000000 - PAGE);
    ASSERT_EQ(b, a - 3 * PAGE);
    ASSERT_STREQ(areas_text(&f, b), "0-4rw-p");
    gva_t c = map_anon(&f, 0, PAGE, R);
    ASSERT_EQ(c, b - PAGE);
    ASSERT_STREQ(areas_text(&f, c), "0-1r--p 1-5rw-p");
    fixture_done(&f);
}

TEST(munmap_and_mprotect_cut_and_join) {
    struct fixture f;
    fixture_init(&f);
    map_anon(&f, BASE, 10 * PAGE, RW);
    ASSERT_OK(mm_munmap(f.mm, BASE + 4 * PAGE, PAGE));
    ASSERT_STREQ(areas_text(&f, BASE), "0-4rw-p 5-10rw-p");
    ASSERT_OK(mm_mprotect(f.task, BASE + PAGE, 2 * PAGE, R));
    ASSERT_STREQ(areas_text(&f, BASE), "0-1rw-p 1-3r--p 3-4rw-p 5-10rw-p");
    ASSERT_EQ(mm_mprotect(f.task, BASE + 3 * PAGE, 4 * PAGE, R), -ENOMEM); /* up to the hole */
    ASSERT_STREQ(areas_text(&f, BASE), "0-1rw-p 1-4r--p 5-10rw-p");
    ASSERT_OK(mm_mprotect(f.task, BASE + PAGE, 3 * PAGE, RW));
    ASSERT_STREQ(areas_text(&f, BASE), "0-4rw-p 5-10rw-p");
    map_anon(&f, BASE + 4 * PAGE, PAGE, RW);
    ASSERT_STREQ(areas_text(&f, BASE), "0-10rw-p");
    ASSERT_OK(mm_munmap(f.mm, BASE, 10 * PAGE));
    ASSERT_STREQ(areas_text(&f, BASE), "");
    ASSERT_OK(mm_munmap(f.mm, BASE, 10 * PAGE));
    fixture_done(&f);
}

TEST(mmap_errors) {
    struct fixture f;
    fixture_init(&f);
    ASSERT_EQ(map(&f, 0, 0, RW, ANON), -EINVAL);
    ASSERT_EQ(map(&f, 0, UINT64_MAX, RW, ANON), -ENOMEM);
    ASSERT_EQ(map(&f, 0, 1ull << 50, RW, ANON), -ENOMEM);
    ASSERT_EQ(map(&f, 0, PAGE, RW, LINUX_MAP_ANONYMOUS), -EINVAL);
    ASSERT_EQ(map(&f, 0, PAGE, RW, LINUX_MAP_ANONYMOUS | LINUX_MAP_SHARED_VALIDATE), -EINVAL);
    ASSERT_EQ(map(&f, BASE + 1, PAGE, RW, ANON | LINUX_MAP_FIXED), -EINVAL);
    ASSERT_EQ(map(&f, PAGE, PAGE, RW, ANON | LINUX_MAP_FIXED), -EPERM);
    ASSERT_EQ(map(&f, UINT64_MAX & ~0xfffull, PAGE, RW, ANON | LINUX_MAP_FIXED), -ENOMEM);
    ASSERT_EQ(map(&f, 0, PAGE, RW, ANON | LINUX_MAP_HUGETLB), -ENOMEM);
    ASSERT_EQ(map(&f, BASE, PAGE, RW, ANON | LINUX_MAP_FIXED_NOREPLACE), BASE);
    ASSERT_EQ(map(&f, BASE, PAGE, RW, ANON | LINUX_MAP_FIXED_NOREPLACE), -EEXIST);
    ASSERT_EQ(mm_munmap(f.mm, BASE, 0), -EINVAL);
    ASSERT_EQ(mm_munmap(f.mm, BASE + 1, PAGE), -EINVAL);
    ASSERT_EQ(mm_mprotect(f.task, BASE, PAGE, 0x80), -EINVAL);
    ASSERT_EQ(mm_mprotect(f.task, BASE + 1, PAGE, R), -EINVAL);
    ASSERT_EQ(mm_mprotect(f.task, BASE, 0, R), 0);
    fixture_done(&f);
}

TEST(hints_and_low_addresses) {
    struct fixture f;
    fixture_init(&f);
    ASSERT_EQ(map(&f, BASE + 5, PAGE, RW, ANON), BASE + PAGE);
    ASSERT_NE(map(&f, BASE + PAGE, PAGE, RW, ANON), BASE + PAGE);
    int64_t low = map(&f, 0, PAGE, RW, ANON | LINUX_MAP_32BIT);
    ASSERT_GE(low, 0x40000000);
    ASSERT_LT(low, 0x80000000ll);
    fixture_done(&f);
}

TEST(limits_are_real) {
    struct fixture f;
    fixture_init(&f);
    fixture_limit(&f, LINUX_RLIMIT_AS, 8 * PAGE);
    map_anon(&f, BASE, 8 * PAGE, RW);
    ASSERT_EQ(map(&f, 0, PAGE, RW, ANON), -ENOMEM);
    map_anon(&f, BASE + PAGE, PAGE, R); /* replaces: nothing is added */
    ASSERT_OK(mm_munmap(f.mm, BASE, 8 * PAGE));
    fixture_limit(&f, LINUX_RLIMIT_AS, LINUX_RLIM_INFINITY);
    fixture_limit(&f, LINUX_RLIMIT_DATA, 4 * PAGE);
    map_anon(&f, BASE, 4 * PAGE, RW);
    ASSERT_EQ(map(&f, 0, PAGE, RW, ANON), -ENOMEM);
    gva_t ro = map_anon(&f, 0, PAGE, R);
    ASSERT_EQ(mm_mprotect(f.task, ro, PAGE, RW), -ENOMEM);
    fixture_limit(&f, LINUX_RLIMIT_DATA, LINUX_RLIM_INFINITY);
    fixture_limit(&f, LINUX_RLIMIT_MEMLOCK, 2 * PAGE);
    ASSERT_EQ(mm_mlock(f.task, BASE, 3 * PAGE, false), -ENOMEM);
    ASSERT_OK(mm_mlock(f.task, BASE, 2 * PAGE, false));
    ASSERT_EQ(f.mm->locked_bytes, 2 * PAGE);
    ASSERT_EQ(map(&f, 0, PAGE, RW, ANON | LINUX_MAP_LOCKED), -EAGAIN);
    ASSERT_OK(mm_munlockall(f.task));
    ASSERT_EQ(f.mm->locked_bytes, 0);
    ASSERT_CONTAINS(areas_text(&f, BASE), "0-4rw-p");
    fixture_done(&f);
}

TEST(too_many_areas_give_enomem) {
    struct fixture f;
    fixture_init(&f);
    map_anon(&f, BASE, 4 * PAGE, RW);
    f.mm->area_count += MAX_MAP_COUNT - 2; /* as if there were so many others */
    map_anon(&f, BASE + 10 * PAGE, PAGE, R);
    ASSERT_EQ(map(&f, BASE + 20 * PAGE, PAGE, R, ANON | LINUX_MAP_FIXED), -ENOMEM);
    ASSERT_EQ(mm_munmap(f.mm, BASE + PAGE, PAGE), -ENOMEM);
    ASSERT_EQ(mm_mprotect(f.task, BASE + PAGE, PAGE, R), -ENOMEM);
    ASSERT_OK(mm_munmap(f.mm, BASE + 10 * PAGE, PAGE));
    f.mm->area_count -= MAX_MAP_COUNT - 2;
    ASSERT_STREQ(areas_text(&f, BASE), "0-4rw-p");
    fixture_done(&f);
}

TEST(brk_grows_and_shrinks) {
    struct fixture f;
    fixture_init(&f);
    f.mm->brk_start = f.mm->brk = BASE + 100;
    ASSERT_EQ(mm_brk(f.task, 0), BASE + 100);
    ASSERT_EQ(mm_brk(f.task, BASE + 3 * PAGE), BASE + 3 * PAGE);
    ASSERT_STREQ(areas_text(&f, BASE), "1-3rw-p");
    ASSERT_EQ(mm_brk(f.task, BASE + PAGE + 1), BASE + PAGE + 1);
    ASSERT_STREQ(areas_text(&f, BASE), "1-2rw-p");
    ASSERT_EQ(mm_brk(f.task, BASE), BASE + PAGE + 1);
    map_anon(&f, BASE + 10 * PAGE, PAGE, RW);
    ASSERT_EQ(mm_brk(f.task, BASE + 10 * PAGE), BASE + PAGE + 1); /* a free page must stay */
    ASSERT_EQ(mm_brk(f.task, BASE + 9 * PAGE), BASE + 9 * PAGE);
    fixture_limit(&f, LINUX_RLIMIT_DATA, 9 * PAGE);
    ASSERT_EQ(mm_brk(f.task, BASE + 9 * PAGE + 1), BASE + 9 * PAGE);
    fixture_done(&f);
}

static int64_t remap(struct fixture *f, gva_t old, uint64_t old_len, uint64_t new_len, uint32_t flags,
                     gva_t to) {
    struct mremap_request r = {
        .old = old, .old_len = old_len, .new_len = new_len, .flags = flags, .new_addr = to};

    return mm_mremap(f->task, &r);
}

TEST(mremap_moves_and_grows) {
    struct fixture f;
    fixture_init(&f);
    map_anon(&f, BASE, 4 * PAGE, RW);
    put_word(&f, BASE, 1);
    put_word(&f, BASE + 3 * PAGE, 4);
    ASSERT_EQ(remap(&f, BASE, 4 * PAGE, 6 * PAGE, 0, 0), BASE);
    ASSERT_STREQ(areas_text(&f, BASE), "0-6rw-p");
    ASSERT_EQ(remap(&f, BASE, 6 * PAGE, 4 * PAGE, 0, 0), BASE);
    map_anon(&f, BASE + 4 * PAGE, PAGE, R);
    ASSERT_EQ(remap(&f, BASE, 4 * PAGE, 6 * PAGE, 0, 0), -ENOMEM);
    int64_t moved = remap(&f, BASE, 4 * PAGE, 6 * PAGE, LINUX_MREMAP_MAYMOVE, 0);
    ASSERT_EQ(moved, 0x700000000000 - 6 * PAGE);
    ASSERT_EQ(word_at(&f, (gva_t)moved), 1);
    ASSERT_EQ(word_at(&f, (gva_t)moved + 3 * PAGE), 4);
    ASSERT_EQ(word_at(&f, (gva_t)moved + 5 * PAGE), 0);
    uint32_t w;
    ASSERT_EQ(copy_in(f.task, &w, BASE, 4), -EFAULT);
    gva_t to = BASE + 100 * PAGE;
    map_anon(&f, to, PAGE, R);
    ASSERT_EQ(remap(&f, (gva_t)moved, 6 * PAGE, 4 * PAGE, LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED, to), to);
    ASSERT_EQ(word_at(&f, to + 3 * PAGE), 4);
    ASSERT_STREQ(areas_text(&f, BASE), "4-5r--p 100-104rw-p");
    fixture_done(&f);
}

TEST(mremap_errors) {
    struct fixture f;
    fixture_init(&f);
    map_anon(&f, BASE, 4 * PAGE, RW);
    ASSERT_EQ(remap(&f, BASE, PAGE, PAGE, 8, 0), -EINVAL);
    ASSERT_EQ(remap(&f, BASE, PAGE, PAGE, LINUX_MREMAP_FIXED, BASE), -EINVAL);
    ASSERT_EQ(remap(&f, BASE + 1, PAGE, PAGE, 0, 0), -EINVAL);
    ASSERT_EQ(remap(&f, BASE, PAGE, 0, 0, 0), -EINVAL);
    ASSERT_EQ(remap(&f, BASE, 0, PAGE, LINUX_MREMAP_MAYMOVE, 0), -EINVAL);
    ASSERT_EQ(remap(&f, BASE + 8 * PAGE, PAGE, 2 * PAGE, LINUX_MREMAP_MAYMOVE, 0), -EFAULT);
    ASSERT_EQ(remap(&f, BASE, 5 * PAGE, 6 * PAGE, LINUX_MREMAP_MAYMOVE, 0), -EFAULT);
    ASSERT_EQ(remap(&f, BASE, 2 * PAGE, 2 * PAGE, LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_FIXED, BASE + PAGE),
              -EINVAL);
    ASSERT_EQ(remap(&f, BASE, PAGE, 2 * PAGE, LINUX_MREMAP_MAYMOVE | LINUX_MREMAP_DONTUNMAP, 0), -EINVAL);
    fixture_done(&f);
}

TEST(sealed_areas_stay) {
    struct fixture f;
    fixture_init(&f);
    map_anon(&f, BASE, 4 * PAGE, R);
    ASSERT_EQ(mm_mseal(f.mm, BASE, 5 * PAGE), -ENOMEM);
    ASSERT_OK(mm_mseal(f.mm, BASE + PAGE, PAGE));
    ASSERT_EQ(mm_munmap(f.mm, BASE, 4 * PAGE), -EPERM);
    ASSERT_EQ(mm_mprotect(f.task, BASE + PAGE, PAGE, RW), -EPERM);
    ASSERT_EQ(map(&f, BASE, 4 * PAGE, RW, ANON | LINUX_MAP_FIXED), -EPERM);
    ASSERT_EQ(remap(&f, BASE + PAGE, PAGE, 2 * PAGE, LINUX_MREMAP_MAYMOVE, 0), -EPERM);
    ASSERT_EQ(mm_madvise(f.task, f.mm, BASE + PAGE, PAGE, LINUX_MADV_DONTNEED), -EPERM);
    fixture_done(&f);
}

TEST(stack_grows_within_its_limit) {
    struct fixture f;
    int signo, code;
    fixture_init(&f);
    gva_t top = 0x600000000000;
    ASSERT_EQ(map(&f, top - PAGE, PAGE, RW, ANON | LINUX_MAP_FIXED | LINUX_MAP_GROWSDOWN), top - PAGE);
    put_word(&f, top - 10 * PAGE, 7);
    ASSERT_STREQ(areas_text(&f, top), "-10-0rw-p");
    fixture_limit(&f, LINUX_RLIMIT_STACK, 16 * PAGE);
    ASSERT_EQ(mm_fault(f.task, f.mm, top - 17 * PAGE, W, &signo, &code), -EFAULT);
    ASSERT_EQ(signo, LINUX_SIGSEGV);
    ASSERT_EQ(code, LINUX_SEGV_MAPERR);
    ASSERT_OK(mm_fault(f.task, f.mm, top - 16 * PAGE, W, &signo, &code));
    fixture_limit(&f, LINUX_RLIMIT_STACK, LINUX_RLIM_INFINITY);
    /* Another area keeps it at the guard gap's distance. */
    map_anon(&f, top - 400 * PAGE, PAGE, RW);
    ASSERT_EQ(mm_fault(f.task, f.mm, top - 144 * PAGE, W, &signo, &code), -EFAULT);
    ASSERT_OK(mm_fault(f.task, f.mm, top - 143 * PAGE, W, &signo, &code));
    /* And mmap stays out of it by itself. */
    f.mm->mmap_base = top;
    ASSERT_LE(map_anon(&f, 0, PAGE, RW), top - (143 + 256 + 1) * PAGE);
    fixture_done(&f);
}

TEST(faults_have_the_right_codes) {
    struct fixture f;
    int signo, code;
    fixture_init(&f);
    map_anon(&f, BASE, PAGE, R);
    ASSERT_EQ(mm_fault(f.task, f.mm, BASE, W, &signo, &code), -EFAULT);
    ASSERT_EQ(signo, LINUX_SIGSEGV);
    ASSERT_EQ(code, LINUX_SEGV_ACCERR);
    ASSERT_EQ(mm_fault(f.task, f.mm, BASE + PAGE, R, &signo, &code), -EFAULT);
    ASSERT_EQ(code, LINUX_SEGV_MAPERR);
    ASSERT_EQ(copy_out(f.task, BASE, "x", 1), -EFAULT);
    ASSERT_EQ(copy_in(f.task, &code, UINT64_MAX - 1, 4), -EFAULT);
    fixture_done(&f);
}

TEST(fork_copies_what_it_should) {
    struct fixture f;
    struct mm *child;
    fixture_init(&f);
    map_anon(&f, BASE, 6 * PAGE, RW);
    for (gva_t i = 0; i < 6; i++)
        put_word(&f, BASE + i * PAGE, (uint32_t)i + 1);
    int64_t shared = map(&f, 0, PAGE, RW, LINUX_MAP_SHARED | LINUX_MAP_ANONYMOUS);
    put_word(&f, (gva_t)shared, 77);
    ASSERT_OK(mm_madvise(f.task, f.mm, BASE + PAGE, PAGE, LINUX_MADV_DONTFORK));
    ASSERT_OK(mm_madvise(f.task, f.mm, BASE + 2 * PAGE, PAGE, LINUX_MADV_WIPEONFORK));
    ASSERT_EQ(mm_madvise(f.task, f.mm, (gva_t)shared, PAGE, LINUX_MADV_WIPEONFORK), -EINVAL);
    ASSERT_OK(mm_fork(f.mm, &child));
    f.task->mm = child;
    ASSERT_CONTAINS(areas_text(&f, BASE), "0-1rw-p 2-3rw-p 3-6rw-p");
    ASSERT_EQ(word_at(&f, BASE), 1);
    ASSERT_EQ(word_at(&f, BASE + 2 * PAGE), 0);
    ASSERT_EQ(word_at(&f, BASE + 3 * PAGE), 4);
    put_word(&f, BASE, 100);
    put_word(&f, (gva_t)shared, 78);
    f.task->mm = f.mm;
    ASSERT_EQ(word_at(&f, BASE), 1);
    ASSERT_EQ(word_at(&f, (gva_t)shared), 78);
    struct futex_key a, b;
    ASSERT_OK(mm_futex_key(f.mm, (gva_t)shared + 8, false, &a));
    ASSERT_OK(mm_futex_key(child, (gva_t)shared + 8, false, &b));
    ASSERT_MEMEQ(&a, &b, sizeof a);
    ASSERT_OK(mm_futex_key(f.mm, BASE, false, &a));
    ASSERT_OK(mm_futex_key(child, BASE, false, &b));
    ASSERT_NE(a.object, b.object);
    ASSERT_EQ(mm_futex_key(f.mm, BASE + 50 * PAGE, false, &a), -EFAULT);
    mm_unref(child);
    fixture_done(&f);
}

TEST(madvise_checks_and_discards) {
    struct fixture f;
    fixture_init(&f);
    map_anon(&f, BASE, 2 * PAGE, RW);
    map_anon(&f, BASE + 3 * PAGE, PAGE, RW);
    put_word(&f, BASE, 5);
    put_word(&f, BASE + 3 * PAGE, 5);
    ASSERT_EQ(mm_madvise(f.task, f.mm, BASE, 4 * PAGE, LINUX_MADV_DONTNEED), -ENOMEM); /* but done */
    ASSERT_EQ(word_at(&f, BASE), 0);
    ASSERT_EQ(word_at(&f, BASE + 3 * PAGE), 0);
    ASSERT_EQ(mm_madvise(f.task, f.mm, BASE, PAGE, 12345), -EINVAL);
    ASSERT_EQ(mm_madvise(f.task, f.mm, BASE + 1, PAGE, LINUX_MADV_DONTNEED), -EINVAL);
    ASSERT_EQ(mm_madvise(f.task, f.mm, BASE, 0, LINUX_MADV_DONTNEED), 0);
    ASSERT_EQ(mm_madvise(f.task, f.mm, BASE, PAGE, LINUX_MADV_HWPOISON), -EPERM);
    ASSERT_OK(mm_mlock(f.task, BASE, PAGE, false));
    ASSERT_EQ(mm_madvise(f.task, f.mm, BASE, PAGE, LINUX_MADV_DONTNEED), -EINVAL);
    ASSERT_OK(mm_madvise(f.task, f.mm, BASE, PAGE, LINUX_MADV_DONTNEED_LOCKED));
    ASSERT_EQ(mm_msync(f.task, BASE, 2 * PAGE, LINUX_MS_SYNC), 0);
    ASSERT_EQ(mm_msync(f.task, BASE, 4 * PAGE, LINUX_MS_SYNC), -ENOMEM);
    ASSERT_EQ(mm_msync(f.task, BASE, PAGE, LINUX_MS_INVALIDATE), -EBUSY);
    ASSERT_EQ(mm_msync(f.task, BASE, PAGE, LINUX_MS_SYNC | LINUX_MS_ASYNC), -EINVAL);
    unsigned char vec[2];
    ASSERT_OK(mm_mincore(f.mm, BASE, 2 * PAGE, vec));
    ASSERT_EQ(mm_mincore(f.mm, BASE + 2 * PAGE, PAGE, vec), -ENOMEM);
    fixture_done(&f);
}

/* Random calls against a plain model: a byte of protection a page. */
TEST(random_calls_agree_with_a_model) {
    enum { PAGES = 64, STEPS = 3000 };
    struct fixture f;
    signed char model[PAGES];
    unsigned seed = 42;
    fixture_init(&f);
    memset(model, -1, sizeof model);
    for (int step = 0; step < STEPS; step++) {
        gva_t from = (gva_t)rand_r(&seed) % PAGES, n = 1 + (gva_t)rand_r(&seed) % 8;
        n = MIN(n, PAGES - from);
        uint32_t prot = (uint32_t)rand_r(&seed) % 4;
        int what = rand_r(&seed) % 3;
        if (what == 0) {
            map_anon(&f, BASE + from * PAGE, n * PAGE, prot);
            memset(model + from, (int)prot, n);
        } else if (what == 1) {
            ASSERT_OK(mm_munmap(f.mm, BASE + from * PAGE, n * PAGE));
            memset(model + from, -1, n);
        } else {
            int want = 0;
            for (gva_t i = from; i < from + n && want == 0; i++) {
                if (model[i] < 0)
                    want = -ENOMEM;
                else
                    model[i] = (signed char)prot;
            }
            ASSERT_EQ(mm_mprotect(f.task, BASE + from * PAGE, n * PAGE, prot), want);
        }
        areas_text(&f, BASE); /* checks the tree */
        mutex_lock(&f.mm->lock);
        struct vma *before = NULL;
        for (gva_t i = 0; i < PAGES; i++) {
            struct vma *v = vma_at_locked(f.mm, BASE + i * PAGE);
            ASSERT_EQ(v ? (int)v->prot : -1, model[i]);
            if (i > 0 && v && model[i] == model[i - 1])
                ASSERT_EQ(v, before); /* joined */
            before = v;
        }
        mutex_unlock(&f.mm->lock);
    }
    fixture_done(&f);
}
