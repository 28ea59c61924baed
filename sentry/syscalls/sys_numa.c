/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_numa.c: memory policies on a machine with one node, number 0. A task's policy is kept
 * and given back; one for a range is checked and forgotten, since all memory is on that node anyway. Source:
 * numa(7), set_mempolicy(2), get_mempolicy(2), mbind(2), move_pages(2), migrate_pages(2).
 */
#include <errno.h>

#include "base/abi/linux/capability.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"

enum {
    POLICY_DEFAULT,
    POLICY_PREFERRED,
    POLICY_BIND,
    POLICY_INTERLEAVE,
    POLICY_LOCAL,
    POLICY_PREFERRED_MANY,
    POLICY_WEIGHTED,
    POLICIES
};
enum {
    STATIC_NODES = 1 << 15,
    RELATIVE_NODES = 1 << 14,
    NUMA_BALANCING = 1 << 13,
    MODE_FLAGS = STATIC_NODES | RELATIVE_NODES | NUMA_BALANCING
};
enum { GET_NODE = 1, GET_ADDR = 2, GET_MEMS_ALLOWED = 4 };
enum { BIND_STRICT = 1, BIND_MOVE = 2, BIND_MOVE_ALL = 4 };
enum { MASK_BITS_MAX = 1 << 20, PAGES_CHUNK = 64 };

/* A node mask of the guest's; true in *ret if node 0 is in it. -EINVAL: a node that there is not. */
static int copy_in_mask(struct task *t, gva_t at, uint64_t max, bool *ret) {
    uint64_t words = (MAX(max, 1ul) - 1 + 63) / 64;

    *ret = false;
    if (!at || max <= 1)
        return 0;
    if (max > MASK_BITS_MAX)
        return -EINVAL;
    max--; /* as Linux: the number is one more than the bits that count */
    for (uint64_t i = 0; i < words; i++) {
        uint64_t word;
        if (copy_in(t, &word, at + i * sizeof word, sizeof word) < 0)
            return -EFAULT;
        if (i == words - 1 && max % 64)
            word &= (1ull << max % 64) - 1;
        if (i > 0 ? word != 0 : word & ~1ull)
            return -EINVAL;
        *ret = *ret || (i == 0 && (word & 1));
    }
    return 0;
}

static int check_policy(int mode, bool node) {
    int kind = mode & ~MODE_FLAGS;

    if (kind < 0 || kind >= POLICIES)
        return -EINVAL;
    if ((mode & STATIC_NODES) && (mode & RELATIVE_NODES))
        return -EINVAL;
    if ((mode & NUMA_BALANCING) && kind != POLICY_BIND && kind != POLICY_PREFERRED_MANY)
        return -EINVAL;
    switch (kind) {
    case POLICY_DEFAULT:
    case POLICY_LOCAL:
        return node || (mode & MODE_FLAGS) ? -EINVAL : 0;
    case POLICY_PREFERRED:
        return 0;
    }
    return node ? 0 : -EINVAL;
}

int64_t sys_set_mempolicy(struct task *t, const struct syscall_args *a) {
    int mode = (int)a->arg[0];
    bool node;
    int r = (mode & ~MODE_FLAGS) < POLICIES ? copy_in_mask(t, a->arg[1], a->arg[2], &node) : -EINVAL;

    if (r == 0)
        r = check_policy(mode, node);
    if (r < 0)
        return r;
    if (mode == POLICY_PREFERRED && !node)
        mode = POLICY_LOCAL;
    t->mempolicy = mode;
    t->mempolicy_node = node;
    return 0;
}

/* Node 0 or nothing, and zeroes behind it. */
static int copy_out_mask(struct task *t, gva_t at, uint64_t max, bool node) {
    uint64_t word = node, words = (MAX(max, 1ul) - 1 + 63) / 64;

    if (!at)
        return 0;
    if (max < 1 || words > MASK_BITS_MAX / 64)
        return -EINVAL;
    if (words > 1 && zero_out(t, at, words * sizeof word) < 0)
        return -EFAULT;
    return words > 0 ? copy_out(t, at, &word, sizeof word) : 0;
}

static bool is_mapped(struct task *t, gva_t at) {
    unsigned char present;

    return mm_mincore(t->mm, at & ~(PAGE_SIZE - 1), PAGE_SIZE, &present) == 0;
}

int64_t sys_get_mempolicy(struct task *t, const struct syscall_args *a) {
    uint64_t flags = a->arg[4];
    int mode = t->mempolicy;
    bool node = t->mempolicy_node;

    if (flags & ~(uint64_t)(GET_NODE | GET_ADDR | GET_MEMS_ALLOWED))
        return -EINVAL;
    if (a->arg[1] && a->arg[2] < 1)
        return -EINVAL;
    if (flags & GET_MEMS_ALLOWED) {
        if (flags & (GET_NODE | GET_ADDR))
            return -EINVAL;
        mode = 0;
        node = true;
    } else if (flags & GET_ADDR) {
        if (!is_mapped(t, a->arg[3]))
            return -EFAULT;
        mode = flags & GET_NODE ? 0 : mode;
    } else if (a->arg[3]) {
        return -EINVAL;
    } else if (flags & GET_NODE) {
        if ((mode & ~MODE_FLAGS) != POLICY_INTERLEAVE && (mode & ~MODE_FLAGS) != POLICY_WEIGHTED)
            return -EINVAL;
        mode = 0;
    }
    if (a->arg[0] && copy_out(t, a->arg[0], &mode, sizeof mode) < 0)
        return -EFAULT;
    return copy_out_mask(t, a->arg[1], a->arg[2], node);
}

/* Every page of [start, start+len) belongs to an area: -EFAULT. */
static int check_range(struct task *t, gva_t start, uint64_t len) {
    unsigned char present[PAGES_CHUNK];

    for (uint64_t at = 0; at < len; at += sizeof present * PAGE_SIZE) {
        uint64_t part = MIN(len - at, (uint64_t)sizeof present * PAGE_SIZE);
        if (mm_mincore(t->mm, start + at, part, present) < 0)
            return -EFAULT;
    }
    return 0;
}

int64_t sys_mbind(struct task *t, const struct syscall_args *a) {
    gva_t start = a->arg[0];
    uint64_t len = page_up(a->arg[1]);
    int mode = (int)a->arg[2];
    uint64_t flags = a->arg[5];
    bool node;

    if ((mode & ~MODE_FLAGS) < 0 || (mode & ~MODE_FLAGS) >= POLICIES)
        return -EINVAL;
    int r = copy_in_mask(t, a->arg[3], a->arg[4], &node);
    if (r < 0)
        return r;
    if (flags & ~(uint64_t)(BIND_STRICT | BIND_MOVE | BIND_MOVE_ALL))
        return -EINVAL;
    if ((flags & BIND_MOVE_ALL) && !task_capable(t, LINUX_CAP_SYS_NICE))
        return -EPERM;
    if (start % PAGE_SIZE || start + len < start)
        return -EINVAL;
    if (len == 0)
        return 0;
    r = check_policy(mode, node);
    return r < 0 ? r : check_range(t, start, len);
}

int64_t sys_set_mempolicy_home_node(struct task *t, const struct syscall_args *a) {
    uint64_t len = page_up(a->arg[1]);

    (void)t;
    if (a->arg[0] % PAGE_SIZE || a->arg[3] || a->arg[2] != 0 || a->arg[0] + len < a->arg[0])
        return -EINVAL;
    return len == 0 ? 0 : -ENOENT; /* no range has a policy of its own */
}

/* ---- moving: everything is there already ---- */

/* New reference; 0 means oneself. -ESRCH, -EPERM. */
static int target_of(struct task *t, int pid, struct task **ret) {
    struct task *target = pid == 0 ? task_ref(t) : task_find(t, pid);

    if (!target)
        return -ESRCH;
    int r = task_ptrace_may_access(t, target, /* attach= */ false);
    if (r < 0)
        task_unref(target);
    else
        *ret = target;
    return r;
}

static int page_status(struct mm *mm, gva_t at) {
    unsigned char present = 0;

    if (mm_mincore(mm, at & ~(PAGE_SIZE - 1), PAGE_SIZE, &present) < 0)
        return -EFAULT;
    return present & 1 ? 0 : -ENOENT;
}

static int64_t move_each(struct task *t, struct mm *mm, const struct syscall_args *a) {
    for (uint64_t i = 0; i < a->arg[1]; i++) {
        uint64_t page;
        int node, status;
        if (copy_in(t, &page, a->arg[2] + i * sizeof page, sizeof page) < 0)
            return -EFAULT;
        status = page_status(mm, page);
        if (a->arg[3]) {
            if (copy_in(t, &node, a->arg[3] + i * sizeof node, sizeof node) < 0)
                return -EFAULT;
            if (node != 0)
                return -ENODEV;
        }
        if (copy_out(t, a->arg[4] + i * sizeof status, &status, sizeof status) < 0)
            return -EFAULT;
        if (signal_pending(t))
            return -EINTR;
    }
    return 0;
}

int64_t sys_move_pages(struct task *t, const struct syscall_args *a) {
    int flags = (int)a->arg[5];
    struct task *target;

    if (flags & ~(BIND_MOVE | BIND_MOVE_ALL))
        return -EINVAL;
    if ((flags & BIND_MOVE_ALL) && !task_capable(t, LINUX_CAP_SYS_NICE))
        return -EPERM;
    int64_t r = target_of(t, (int)a->arg[0], &target);
    if (r < 0)
        return r;
    struct mm *mm = task_get_mm(target);
    task_unref(target);
    if (!mm)
        return -EINVAL;
    r = move_each(t, mm, a);
    mm_unref(mm);
    return r;
}

int64_t sys_migrate_pages(struct task *t, const struct syscall_args *a) {
    struct task *target;
    bool from, to;
    int r = copy_in_mask(t, a->arg[2], a->arg[1], &from);

    if (r == 0)
        r = copy_in_mask(t, a->arg[3], a->arg[1], &to);
    if (r == 0)
        r = target_of(t, (int)a->arg[0], &target);
    if (r < 0)
        return r;
    task_unref(target);
    return to ? 0 : -EINVAL;
}
