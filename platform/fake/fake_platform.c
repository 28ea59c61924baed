/* SPDX-License-Identifier: Apache-2.0
 * platform/fake/fake_platform.c: see fake.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "platform/fake/fake_internal.h"

enum { MIN_ADDRESS = 0x10000, FPU_SIZE = 576 };
#define MAX_ADDRESS 0x7fff00000000ull
#define FIRST_PLACE 0x7f0000000000ull /* where no fake_at() of a test is likely to be */

int fake_take_failure(struct fake_platform *p) {
    mutex_lock(&p->lock);
    int error = p->fail_count ? p->fail_error : 0;
    if (p->fail_count)
        p->fail_count--;
    mutex_unlock(&p->lock);
    return error;
}

void fake_fail(struct platform *base, int error, unsigned count) {
    struct fake_platform *p = (struct fake_platform *)base;
    mutex_lock(&p->lock);
    p->fail_error = error;
    p->fail_count = count;
    mutex_unlock(&p->lock);
}

bool fake_find(struct fake_platform *p, gva_t rip, struct fake_entry *ret) {
    struct fake_entry *e;
    bool found = false;
    mutex_lock(&p->lock);
    list_for_each_entry(e, &p->entries, link) {
        if (e->rip == rip) {
            *ret = *e;
            found = true;
            break;
        }
    }
    mutex_unlock(&p->lock);
    return found;
}

gva_t fake_new_place(struct fake_platform *p) {
    mutex_lock(&p->lock);
    gva_t place = p->next_place;
    p->next_place += 16;
    mutex_unlock(&p->lock);
    return place;
}

void fake_at(struct platform *base, gva_t entry, fake_code_fn *fn, void *arg) {
    struct fake_platform *p = (struct fake_platform *)base;
    struct fake_entry *e = calloc(1, sizeof(*e));
    ASSERT(e != NULL);
    e->rip = entry;
    e->fn = fn;
    e->arg = arg;
    mutex_lock(&p->lock);
    list_add(&p->entries, &e->link); /* the youngest wins */
    mutex_unlock(&p->lock);
}

unsigned fake_live(struct platform *base) {
    return atomic_load(&((struct fake_platform *)base)->live);
}

static void fake_destroy(struct platform *base) {
    struct fake_platform *p = (struct fake_platform *)base;
    ASSERT(atomic_load(&p->live) == 0);
    while (!list_empty(&p->entries)) {
        struct fake_entry *e = list_first_entry(&p->entries, struct fake_entry, link);
        list_del(&e->link);
        free(e);
    }
    free(p);
}

static const struct platform_ops fake_ops = {
    .name = "fake",
    .as_create = fake_as_create,
    .as_fork = fake_as_fork,
    .as_apply = fake_as_apply,
    .as_copy_in = fake_as_copy_in,
    .as_copy_out = fake_as_copy_out,
    .as_peek = fake_as_peek,
    .as_poke = fake_as_poke,
    .as_usage = fake_as_usage,
    .as_kill = fake_as_kill,
    .as_unref = fake_as_unref,
    .context_create = fake_context_create,
    .context_destroy = fake_context_destroy,
    .context_switch = fake_context_switch,
    .context_interrupt = fake_context_interrupt,
    .context_get_fpu = fake_context_get_fpu,
    .context_set_fpu = fake_context_set_fpu,
    .context_reset_fpu = fake_context_reset_fpu,
    .context_atomic32 = fake_context_atomic32,
    .destroy = fake_destroy,
};

int platform_fake_create(struct platform **ret) {
    struct fake_platform *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->base.ops = &fake_ops;
    p->base.limits = (struct platform_limits){.min_address = MIN_ADDRESS, .max_address = MAX_ADDRESS};
    p->base.fpu_size = FPU_SIZE;
    p->next_place = FIRST_PLACE;
    mutex_init(&p->lock, RANK_LEAF);
    list_init(&p->entries);
    *ret = &p->base;
    return 0;
}
