/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_copy.c: the sentry's own accesses to guest memory: through its mappings of frames and
 * windows, a page at a time, with the guest's protections, under space->lock.
 */
#include <errno.h>
#include <sys/mman.h>

#include "platform/kvm/kvm_internal.h"
#include "platform/platform_atomic.h"

/* Returns bytes copied. */
static size_t copy_locked(struct kvm_space *s, gva_t at, char *buffer, size_t size, int access) {
    gva_t max = s->machine->base.limits.max_address;
    size_t done = 0;
    while (done < size && at + done < max) {
        struct kvm_fault fault;
        gva_t here = at + done;
        size_t part = MIN(size - done, PAGE_SIZE - here % PAGE_SIZE);
        uint64_t *entry = kvm_page_touch(s, here, access, &fault);
        if (!entry)
            break;
        char *memory = kvm_page_memory(s, *entry) + here % PAGE_SIZE;
        size_t left = access & PROT_WRITE ? kvm_safe_copy(memory, buffer + done, part)
                                          : kvm_safe_copy(buffer + done, memory, part);
        done += part - left;
        if (left)
            break;
    }
    return done;
}

static ssize_t copy(struct address_space *as, gva_t at, void *buffer, size_t size, int access) {
    struct kvm_space *s = kvm_space_of(as);
    might_block();
    mutex_lock(&s->lock);
    size_t done = atomic_load(&s->dead) ? 0 : copy_locked(s, at, buffer, size, access);
    mutex_unlock(&s->lock);
    if (atomic_load(&s->dead))
        return -ESRCH;
    return done || size == 0 ? (ssize_t)done : -EFAULT;
}

ssize_t kvm_as_copy_in(struct address_space *as, void *to, gva_t from, size_t size) {
    return copy(as, from, to, size, PROT_READ);
}

ssize_t kvm_as_copy_out(struct address_space *as, gva_t to, const void *from, size_t size) {
    return copy(as, to, (void *)from, size, PROT_WRITE);
}

ssize_t kvm_as_peek(struct address_space *as, void *to, gva_t from, size_t size) {
    return copy(as, from, to, size, PROT_READ | KVM_FORCE);
}

ssize_t kvm_as_poke(struct address_space *as, gva_t to, const void *from, size_t size) {
    return copy(as, to, (void *)from, size, PROT_WRITE | KVM_FORCE);
}

/* Guests change the word meanwhile with instructions of their own: ours is the same cmpxchg on the same page.
 */
static int atomic_locked(struct kvm_space *s, enum as_atomic_op op, gva_t at, uint32_t operand,
                         uint32_t expected, uint32_t *ret_old) {
    struct kvm_fault fault;
    uint64_t *entry = kvm_page_touch(s, at, PROT_WRITE, &fault);
    if (!entry)
        return -EFAULT;
    uint32_t *word = (uint32_t *)(kvm_page_memory(s, *entry) + at % PAGE_SIZE), old, seen;
    size_t missing = kvm_safe_copy(&old, word, sizeof(old));
    while (missing == 0) {
        if (op == ATOMIC_CMPXCHG && old != expected)
            break;
        if (kvm_safe_cmpxchg(word, old, platform_atomic_result(op, old, operand, expected), &seen) < 0)
            return -EFAULT;
        if (seen == old)
            break;
        old = seen;
    }
    *ret_old = old;
    return missing ? -EFAULT : 0;
}

int kvm_context_atomic32(struct context *c, enum as_atomic_op op, gva_t address, uint32_t operand,
                         uint32_t expected, uint32_t *ret_old) {
    struct kvm_space *s = kvm_context_of(c)->space;
    if (address % 4 || address >= s->machine->base.limits.max_address)
        return -EFAULT;
    mutex_lock(&s->lock);
    int r = atomic_load(&s->dead) ? -ESRCH : atomic_locked(s, op, address, operand, expected, ret_old);
    mutex_unlock(&s->lock);
    return r;
}
