/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_areas.c: what lies where in a space: disjoint areas, ordered by address.
 */
#include <errno.h>
#include <stdlib.h>

#include "platform/kvm/kvm_internal.h"

int kvm_area_compare(const struct kvm_area *a, const struct kvm_area *b) {
    return a->start < b->start ? -1 : a->start > b->start;
}
RB_GENERATE(kvm_area_tree, kvm_area, node, kvm_area_compare)

struct kvm_area *kvm_area_find(struct kvm_space *s, gva_t at) {
    struct kvm_area *a = RB_ROOT(&s->areas), *found = NULL;
    while (a) {
        if (a->end > at) {
            found = a;
            a = RB_LEFT(a, node);
        } else {
            a = RB_RIGHT(a, node);
        }
    }
    return found;
}

int kvm_area_add(struct kvm_space *s, const struct kvm_area *area) {
    struct kvm_area *a = malloc(sizeof(*a));
    if (!a)
        return -ENOMEM;
    *a = *area;
    RB_INSERT(kvm_area_tree, &s->areas, a);
    return 0;
}

void kvm_area_remove(struct kvm_space *s, struct kvm_area *a) {
    RB_REMOVE(kvm_area_tree, &s->areas, a);
    kvm_file_unref(s->machine, a->file);
    free(a);
}

static int split(struct kvm_space *s, gva_t at) {
    struct kvm_area *lower = kvm_area_find(s, at);
    if (!lower || lower->start >= at)
        return 0;
    struct kvm_area upper = *lower;
    upper.start = at;
    upper.offset += at - lower->start;
    int r = kvm_area_add(s, &upper);
    if (r)
        return r;
    if (lower->file)
        kvm_file_ref(s->machine, lower->file);
    lower->end = at;
    return 0;
}

int kvm_areas_cut(struct kvm_space *s, gva_t start, gva_t end) {
    int r = split(s, start);
    return r ? r : split(s, end);
}

bool kvm_areas_cover(struct kvm_space *s, gva_t start, gva_t end) {
    for (struct kvm_area *a = kvm_area_find(s, start); start < end;
         a = RB_NEXT(kvm_area_tree, &s->areas, a)) {
        if (!a || a->start > start)
            return false;
        start = a->end;
    }
    return true;
}
