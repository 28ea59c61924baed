/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/mm/mm_fixture.c: see mm_fixture.h.
 */
#include "tests/unit/mm/mm_fixture.h"

#include <stdio.h>

#include "platform/fake/fake.h"
#include "sentry/heap/heap.h"

HEAP_TYPE_DECLARE(task);
HEAP_TYPE_DECLARE(thread_group);

void fixture_init(struct fixture *f) {
    struct kernel_config config = {.proc_fd = -1, .heap_max_bytes = 256 << 20};

    ASSERT_OK(platform_fake_create(&config.platform));
    ASSERT_OK(kernel_create(&config, &f->kernel, NULL));
    f->task = heap_new(task);
    f->task->kernel = f->kernel;
    f->task->group = heap_new(thread_group);
    mutex_init(&f->task->group->limits_lock, RANK_LIMITS);
    mutex_init(&f->task->lock, RANK_TASK);
    for (int i = 0; i < LINUX_RLIM_NLIMITS; i++)
        f->task->group->limits[i] = (struct linux_rlimit64){LINUX_RLIM_INFINITY, LINUX_RLIM_INFINITY};
    fixture_limit(f, LINUX_RLIMIT_STACK, 8 << 20);
    fixture_limit(f, LINUX_RLIMIT_MEMLOCK, 8 << 20);
    struct creds *creds = creds_new_root(f->kernel->root_user_ns);
    creds->effective = creds->permitted = 0;
    f->task->creds = creds;
    ASSERT_OK(mm_create(f->kernel, &f->mm));
    f->mm->mmap_base = 0x700000000000;
    f->task->mm = f->mm;
    f->mnt_ns = NULL;
}

void fixture_done(struct fixture *f) {
    mm_unref(f->task->mm);
    ASSERT_EQ(fake_live(kernel_platform(f->kernel)), 0);
    creds_unref((struct creds *)(uintptr_t)f->task->creds);
    heap_free(f->task->group);
    heap_free(f->task);
    kernel_destroy(f->kernel);
}

void fixture_limit(struct fixture *f, int resource, uint64_t value) {
    f->task->group->limits[resource].cur = value;
}

int64_t map(struct fixture *f, gva_t addr, uint64_t len, uint32_t prot, uint32_t flags) {
    struct mmap_request r = {.addr = addr, .len = len, .prot = prot, .flags = flags};

    return mm_mmap(f->task, f->task->mm, &r);
}

gva_t map_anon(struct fixture *f, gva_t addr, uint64_t len, uint32_t prot) {
    int64_t got =
        map(f, addr, len, prot, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | (addr ? LINUX_MAP_FIXED : 0));

    ASSERT_GT(got, 0);
    return (gva_t)got;
}

const char *areas_text(struct fixture *f, gva_t base) {
    static char text[4096];
    struct mm *mm = f->task->mm;
    struct vma *v;
    size_t n = 0;

    text[0] = '\0';
    mutex_lock(&mm->lock);
    mm_check_locked(mm);
    RB_FOREACH(v, vma_tree, &mm->areas)
    n += (size_t)snprintf(text + n, sizeof text - n, "%s%lld-%lld%c%c%c%c", n ? " " : "",
                          (long long)(v->start - base) / 4096, (long long)(v->end - base) / 4096,
                          v->prot & 1 ? 'r' : '-', v->prot & 2 ? 'w' : '-', v->prot & 4 ? 'x' : '-',
                          v->flags & VMA_SHARED ? 's' : 'p');
    mutex_unlock(&mm->lock);
    return text;
}
