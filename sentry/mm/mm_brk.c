/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_brk.c: brk(2): the heap above bss. The call never fails: it answers with the break as it is
 * then.
 */
#include <errno.h>

#include "base/abi/linux/resource.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm_areas.h"

static int grow_locked(struct task *t, struct mm *mm, gva_t from, gva_t to, struct list *dead) {
    struct map_plan p = {.start = from,
                         .end = to,
                         .prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
                         .max_prot = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC,
                         .flags = mm->default_flags};

    /* A free page must stay before the next area, and more before a stack. */
    if (to > mm_task_size(mm) - PAGE_SIZE || !range_free_locked(mm, from, to + PAGE_SIZE))
        return -ENOMEM;
    if ((p.flags & VMA_LOCKED) && mm_check_lock_limit_locked(t, mm, to - from) < 0)
        return -EAGAIN;
    if (p.flags & VMA_LOCKED)
        p.host_flags = AS_POPULATE;
    int result = mm_check_limits_locked(t, mm, to - from, /* is_data= */ true);
    return result < 0 ? result : mm_map_locked(mm, &p, dead);
}

static void set_brk_locked(struct task *t, struct mm *mm, gva_t to, struct list *dead) {
    gva_t old_page = page_up(mm->brk), new_page = page_up(to);
    int result = 0;

    if (to < mm->brk_start || to > mm_task_size(mm))
        return;
    uint64_t data = (to - mm->brk_start) + (mm->data_end - mm->data_start);
    if (data > task_limit(t, LINUX_RLIMIT_DATA))
        return;
    if (new_page < old_page)
        result = mm_is_sealed_locked(mm, new_page, old_page) ? -EPERM
                                                             : mm_unmap_locked(mm, new_page, old_page, dead);
    else if (new_page > old_page)
        result = grow_locked(t, mm, old_page, new_page, dead);
    if (result == 0)
        mm->brk = to;
}

int64_t mm_brk(struct task *t, gva_t to) {
    struct mm *mm = t->mm;
    struct list dead;

    might_block();
    list_init(&dead);
    mutex_lock(&mm->lock);
    set_brk_locked(t, mm, to, &dead);
    int64_t now = (int64_t)mm->brk;
    mm_unlock(mm, &dead);
    return now;
}
