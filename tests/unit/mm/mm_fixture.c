/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/mm/mm_fixture.c: see mm_fixture.h.
 */
#include "tests/unit/mm/mm_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "platform/fake/fake.h"
#include "sentry/heap/heap.h"

HEAP_TYPE(test_kernel, struct kernel, 0);
HEAP_TYPE(test_task, struct task, 0);
HEAP_TYPE(test_group, struct thread_group, 0);

void fixture_init(struct fixture *f) {
    struct platform *p;

    ASSERT_OK(heap_init(256 << 20, (uint64_t)random(), NULL));
    f->kernel = heap_new(test_kernel);
    ASSERT_OK(platform_fake_create(&p));
    f->kernel->platform = (struct hostref){.host.ptr = p};
    f->kernel->cpu_count = 2;
    ASSERT_OK(memfile_create(f->kernel, &f->kernel->memfile, NULL));
    f->task = heap_new(test_task);
    f->task->kernel = f->kernel;
    f->task->group = heap_new(test_group);
    mutex_init(&f->task->group->limits_lock, RANK_LIMITS);
    for (int i = 0; i < LINUX_RLIM_NLIMITS; i++)
        f->task->group->limits[i] = (struct linux_rlimit64){LINUX_RLIM_INFINITY, LINUX_RLIM_INFINITY};
    fixture_limit(f, LINUX_RLIMIT_STACK, 8 << 20);
    fixture_limit(f, LINUX_RLIMIT_MEMLOCK, 8 << 20);
    f->kernel->root_user_ns = user_ns_new(f->kernel, NULL, NULL);
    struct creds *creds = creds_new_root(f->kernel->root_user_ns);
    creds->effective = creds->permitted = 0;
    f->task->creds = creds;
    ASSERT_OK(mm_create(f->kernel, &f->mm));
    f->mm->mmap_base = 0x700000000000;
    f->task->mm = f->mm;
}

void fixture_done(struct fixture *f) {
    struct platform *p = kernel_platform(f->kernel);

    mm_unref(f->task->mm);
    ASSERT_EQ(fake_live(p), 0);
    memfile_destroy(f->kernel->memfile);
    creds_unref((struct creds *)(uintptr_t)f->task->creds);
    user_ns_unref(f->kernel->root_user_ns);
    heap_free(f->task->group);
    heap_free(f->task);
    heap_free(f->kernel);
    p->ops->destroy(p);
    heap_destroy();
}

void fixture_limit(struct fixture *f, int resource, uint64_t value) {
    f->task->group->limits[resource].cur = value;
}

int64_t map(struct fixture *f, gva_t addr, uint64_t len, uint32_t prot, uint32_t flags) {
    struct mmap_request r = {.addr = addr, .len = len, .prot = prot, .flags = flags};

    return mm_mmap(f->task, f->task->mm, &r);
}

gva_t map_anon(struct fixture *f, gva_t addr, uint64_t len, uint32_t prot) {
    int64_t got = map(f, addr, len, prot, LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS | (addr ? LINUX_MAP_FIXED : 0));

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
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%lld-%lld%c%c%c%c", n ? " " : "", (long long)(v->start - base) / 4096,
                              (long long)(v->end - base) / 4096, v->prot & 1 ? 'r' : '-', v->prot & 2 ? 'w' : '-',
                              v->prot & 4 ? 'x' : '-', v->flags & VMA_SHARED ? 's' : 'p');
    mutex_unlock(&mm->lock);
    return text;
}
