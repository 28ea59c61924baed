/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_space.c: address spaces: making, copying, killing, ending them.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "platform/kvm/kvm_internal.h"

int kvm_as_create(struct platform *p, struct address_space **ret_as) {
    struct kvm_space *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->machine = (struct kvm_machine *)p;
    s->refs = 1;
    mutex_init(&s->lock, RANK_AS);
    RB_INIT(&s->areas);
    list_init(&s->contexts);
    if (kvm_tables_init(s) < 0) {
        free(s);
        return -ENOMEM;
    }
    *ret_as = (struct address_space *)s;
    return 0;
}

void kvm_space_ref(struct kvm_space *s) {
    atomic_fetch_add(&s->refs, 1);
}

void kvm_as_unref(struct address_space *as) {
    struct kvm_space *s = kvm_space_of(as);
    struct kvm_area *a;
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    mutex_lock(&s->lock);
    kvm_pages_drop(s, 0, s->machine->base.limits.max_address);
    while ((a = RB_MIN(kvm_area_tree, &s->areas)))
        kvm_area_remove(s, a);
    kvm_tables_done(s);
    mutex_unlock(&s->lock);
    free(s);
}

/* A copy of one area; its pages where they are private. */
static int fork_area(struct kvm_space *child, struct kvm_space *parent, const struct kvm_area *a,
                     struct kvm_flush *flush) {
    struct kvm_area copy = *a;
    int r = kvm_area_add(child, &copy);
    if (r)
        return r;
    if (a->file)
        kvm_file_ref(parent->machine, a->file);
    return a->shared || a->wipe_on_fork ? 0 : kvm_pages_share(child, parent, a, flush);
}

int kvm_as_fork(struct address_space *as, struct address_space **ret_as) {
    struct kvm_space *parent = kvm_space_of(as);
    struct address_space *ret;
    struct kvm_area *a;
    struct kvm_flush flush = {.space = parent};
    might_block();
    if (atomic_load(&parent->dead))
        return -ESRCH;
    int r = kvm_as_create(&parent->machine->base, &ret);
    if (r)
        return r;
    struct kvm_space *child = kvm_space_of(ret);
    mutex_lock(&parent->lock);
    mutex_lock_nested(&child->lock); /* nobody knows it yet */
    RB_FOREACH(a, kvm_area_tree, &parent->areas)
    if (r == 0 && !a->dont_fork)
        r = fork_area(child, parent, a, &flush);
    mutex_unlock(&child->lock);
    kvm_flush_run(&flush);
    mutex_unlock(&parent->lock);
    if (r)
        kvm_as_unref(ret);
    else
        *ret_as = ret;
    return r;
}

void kvm_as_kill(struct address_space *as) {
    struct kvm_space *s = kvm_space_of(as);
    struct kvm_context *c;
    atomic_store(&s->dead, true);
    mutex_lock(&s->lock);
    list_for_each_entry(c, &s->contexts, link) kvm_context_kick(c);
    mutex_unlock(&s->lock);
}

int kvm_as_usage(struct address_space *as, struct as_usage *ret) {
    struct kvm_space *s = kvm_space_of(as);
    mutex_lock(&s->lock);
    *ret = (struct as_usage){.rss_bytes = s->pages * PAGE_SIZE,
                             .anon_bytes = s->pages * PAGE_SIZE,
                             .page_table_bytes = s->tables * PAGE_SIZE};
    mutex_unlock(&s->lock);
    return atomic_load(&s->dead) ? -ESRCH : 0;
}

int kvm_as_pages(struct address_space *as, gva_t addr, size_t count, uint8_t *ret) {
    struct kvm_space *s = kvm_space_of(as);
    might_block();
    mutex_lock(&s->lock);
    for (size_t i = 0; i < count; i++) {
        uint64_t *entry = kvm_tables_entry(s, addr + i * PAGE_SIZE, false);
        ret[i] = !entry || *entry == 0     ? 0
                 : *entry & KVM_PTE_WINDOW ? PAGE_IS_PRESENT | PAGE_IS_SHARED
                                           : PAGE_IS_PRESENT;
    }
    mutex_unlock(&s->lock);
    return atomic_load(&s->dead) ? -ESRCH : 0;
}
