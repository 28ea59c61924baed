/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/vdso.c: the vDSO as the sentry sees it: one byte store a kernel with the parameter page and
 * the image behind it, mapped into every program: [vvar] shared and read-only from the read-only descriptor,
 * so that no guest can change it for another, [vdso] privately, so that a debugger may put breakpoints in it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/loader/load_internal.h"
#include "sentry/loader/vdso/vdso_params.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/uaccess.h"

extern const char vdso_image[], vdso_image_end[];

/* Parameters, image, and a page of zeros: the parameters by which every function makes the system call, for
 * programs in a time namespace with offsets (a page for each would have to be found and told when the clock
 * is set).
 * Kept by the kernel; `params` changes under its lock, with the sequence odd meanwhile. */
struct vdso {
    struct memstore *store;
    struct mutex lock; /* RANK_LEAF */
    struct vdso_params params;
};
HEAP_TYPE(vdso, struct vdso, 0);

static uint64_t image_size(void) {
    return page_up((uint64_t)(vdso_image_end - vdso_image));
}

static int write_store(struct memstore *s, const void *data, size_t size, uint64_t offset) {
    struct uio u;
    struct uio_segment one;

    uio_init_kernel(&u, &one, (void *)(uintptr_t)data, size);
    ssize_t n = memstore_write(s, &u, offset, size);
    return n < 0 ? (int)n : 0;
}

/* Where the parameters lie in the sentry: guests see each store at once, in order (x86). */
static volatile struct vdso_params *shared_params(struct kernel *k) {
    struct host_range r;
    uint64_t len;
    struct mappable *m = memstore_mappable(k->vdso->store);

    if (m->ops->range(m, 0, PAGE_SIZE, /* shared= */ true, /* writable= */ false, &r) < 0)
        return NULL;
    return memfile_map(k->memfile, r.offset, &len);
}

static void fill_params(struct kernel *k, struct vdso_params *p) {
    const struct platform_limits *l = &kernel_platform(k)->limits;

    p->use_host = l->host_clock_gettime != 0;
    p->clock_gettime = l->host_clock_gettime;
    /* Host cpu numbers are the guest's only if the sandbox has all of them. */
    p->getcpu = k->cpu_count == host_highest_cpu() + 1 ? l->host_getcpu : 0;
    p->realtime_offset_ns = k->realtime_offset_ns;
    p->monotonic_offset_ns = k->monotonic_offset_ns;
}

int vdso_create(struct kernel *k) {
    struct vdso *v = heap_new(vdso);

    if (!v)
        return -ENOMEM;
    mutex_init(&v->lock, RANK_LEAF);
    int result = memstore_create(k, &v->store);
    if (result == 0)
        result = memstore_truncate(v->store, PAGE_SIZE + image_size() + PAGE_SIZE);
    fill_params(k, &v->params);
    if (result == 0)
        result = write_store(v->store, vdso_image, (size_t)(vdso_image_end - vdso_image), PAGE_SIZE);
    if (result == 0)
        result = write_store(v->store, &v->params, sizeof v->params, 0);
    if (result < 0) {
        memstore_unref(v->store);
        heap_free(v);
        return result;
    }
    k->vdso = v;
    return 0;
}

void vdso_destroy(struct kernel *k) {
    if (!k->vdso)
        return;
    memstore_unref(k->vdso->store);
    heap_free(k->vdso);
    k->vdso = NULL;
}

void vdso_update_clocks(struct kernel *k) {
    struct vdso *v = k->vdso;
    volatile struct vdso_params *p = shared_params(k);

    if (!p)
        return;
    mutex_lock(&v->lock);
    v->params.realtime_offset_ns = k->realtime_offset_ns;
    v->params.monotonic_offset_ns = k->monotonic_offset_ns;
    /* Odd while the rest changes; every store is ordered after the one before. */
    __atomic_store_n(&p->sequence, v->params.sequence + 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&p->realtime_offset_ns, v->params.realtime_offset_ns, __ATOMIC_SEQ_CST);
    __atomic_store_n(&p->monotonic_offset_ns, v->params.monotonic_offset_ns, __ATOMIC_SEQ_CST);
    v->params.sequence += 2;
    __atomic_store_n(&p->sequence, v->params.sequence, __ATOMIC_SEQ_CST);
    mutex_unlock(&v->lock);
}

static struct map_plan params_plan(struct vdso *v, gva_t place, bool shifted) {
    return (struct map_plan){.start = place,
                             .end = place + PAGE_SIZE,
                             .prot = LINUX_PROT_READ,
                             .max_prot = LINUX_PROT_READ,
                             .flags = VMA_SPECIAL | VMA_SHARED | VMA_DONTDUMP,
                             .mappable = memstore_mappable(v->store),
                             .offset = shifted ? PAGE_SIZE + image_size() : 0,
                             .name = "[vvar]"};
}

void vdso_shift(struct mm *mm, bool shifted) {
    struct vdso *v = mm->kernel->vdso;
    struct list dead;

    if (!v || !mm->vdso)
        return;
    list_init(&dead);
    mutex_lock(&mm->lock);
    gva_t place = mm->vdso - PAGE_SIZE;
    struct vma *there = vma_find_locked(mm, place);
    /* A program that has moved it or taken it away has its own idea of time. */
    if (there && there->start == place && (there->flags & VMA_SPECIAL)) {
        struct map_plan p = params_plan(v, place, shifted);
        (void)!mm_map_locked(mm, &p, &dead);
    }
    mm_unlock(mm, &dead);
}

int vdso_map_locked(struct load_state *s) {
    struct mm *mm = s->mm;
    struct vdso *v = mm->kernel->vdso;
    uint64_t len = PAGE_SIZE + image_size();
    struct list dead;

    if (!v)
        return 0;
    /* Above the stack, as on Linux. */
    gva_t hint = page_up(s->stack_top) + (1 + load_random(s, 256)) * PAGE_SIZE;
    int64_t place = mm_search_locked(mm, hint, len, 0);
    if (place < 0)
        return (int)place;
    const struct nsproxy *n = s->task->nsproxy;
    if (n) /* where the program will run */
        time_ns_freeze(n->time_for_children);
    struct map_plan p = params_plan(v, (gva_t)place, n && time_ns_shifts(n->time_for_children));
    list_init(&dead);
    int result = mm_map_locked(mm, &p, &dead);
    p.start = p.end;
    p.end = p.start + image_size();
    p.prot = LINUX_PROT_READ | LINUX_PROT_EXEC;
    p.max_prot = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC;
    p.flags = VMA_SPECIAL;
    p.offset = PAGE_SIZE;
    p.name = "[vdso]";
    if (result == 0)
        result = mm_map_locked(mm, &p, &dead);
    vma_free_list(&dead);
    if (result == 0)
        mm->vdso = p.start;
    return result;
}
