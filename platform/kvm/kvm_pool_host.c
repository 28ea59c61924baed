/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_pool_host.c: vCPUs. A context keeps the one that it ran on, with its FPU state, until
 * somebody else needs it; up to soft_limit there is one for everybody. When all that KVM allows are inside
 * guests, who waits takes the longest running out of its guest after a time slice.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "platform/kvm/kvm_internal.h"
#include "platform/kvm/x86_64/kvm_ring0.h"

enum { SOFT_LIMIT = 64, SLICE_NS = 10000000 };

void kvm_pool_init(struct kvm_machine *m) {
    struct kvm_pool *p = &m->pool;
    int max = ioctl(m->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    mutex_init(&p->lock, RANK_LEAF);
    list_init(&p->idle);
    list_init(&p->busy);
    p->hard_limit = (unsigned)MIN(MAX(max, 4), (int)RING0_VCPUS_MAX);
    p->soft_limit = MIN((unsigned)SOFT_LIMIT, p->hard_limit);
}

static void free_vcpu(struct kvm_machine *m, struct kvm_vcpu *v) {
    if (v->run && v->run != MAP_FAILED)
        munmap(v->run, m->run_size);
    if (v->fd >= 0)
        close(v->fd);
    free(v);
}

void kvm_pool_done(struct kvm_machine *m) {
    while (!list_empty(&m->pool.idle)) {
        struct kvm_vcpu *v = list_first_entry(&m->pool.idle, struct kvm_vcpu, link);
        list_del(&v->link);
        free_vcpu(m, v);
    }
}

static int set_msrs(struct kvm_vcpu *v) {
    enum { MSR_STAR = 0xc0000081, MSR_LSTAR, MSR_CSTAR, MSR_FMASK };
    const struct kvm_msr_entry entries[] = {
        {.index = MSR_STAR, .data = (uint64_t)SEL_USER32_CODE << 48 | (uint64_t)SEL_KERNEL_CODE << 32},
        {.index = MSR_LSTAR, .data = RING0_SYSCALL_RIP},
        {.index = MSR_CSTAR, .data = RING0_SYSCALL32_RIP},
        {.index = MSR_FMASK, .data = 0x47700 /* AC NT IOPL DF IF TF */}};
    cleanup(freep) struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + sizeof(entries));
    if (!msrs)
        return -ENOMEM;
    msrs->nmsrs = ARRAY_SIZE(entries);
    memcpy(msrs->entries, entries, sizeof(entries));
    return ioctl(v->fd, KVM_SET_MSRS, msrs) == (int)ARRAY_SIZE(entries) ? 0 : -EINVAL;
}

/* The guest's time stamp counter is the host's, where KVM can be told so. */
static void set_tsc(struct kvm_vcpu *v) {
    uint64_t offset = 0;
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uint64_t)&offset};
    (void)ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr); /* optional: clocks are asked of the sentry */
}

static int set_up(struct kvm_machine *m, struct kvm_vcpu *v) {
    struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = m->xcr0}}};
    struct kvm_sregs sregs;
    if (ioctl(v->fd, KVM_SET_CPUID2, m->cpuid) < 0 || ioctl(v->fd, KVM_GET_SREGS, &sregs) < 0)
        return -errno;
    kvm_ring0_sregs(&sregs, v->number);
    sregs.cr3 = m->ring0_root * PAGE_SIZE;
    if (ioctl(v->fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(v->fd, KVM_SET_XCRS, &xcrs) < 0)
        return -errno;
    v->run->s.regs.sregs = sregs;
    v->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
    set_tsc(v);
    return set_msrs(v);
}

static int new_vcpu_locked(struct kvm_machine *m, struct kvm_vcpu **ret) {
    struct kvm_vcpu *v = calloc(1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    int r = 0;
    v->number = m->pool.count;
    v->fd = ioctl(m->vm_fd, KVM_CREATE_VCPU, v->number);
    if (v->fd < 0 ||
        (v->run = mmap(NULL, m->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0)) == MAP_FAILED)
        r = -errno;
    if (r == 0)
        r = set_up(m, v);
    if (r) {
        log_error(LOG_PLATFORM, "kvm: vCPU %u: errno %d", v->number, -r);
        if (v->fd >= 0)
            m->pool.count++; /* the number is taken */
        free_vcpu(m, v);
        return r;
    }
    v->stack_top = (uint64_t *)(m->ring0 + (RING0_VCPUS + v->number + 1) * PAGE_SIZE);
    m->pool.count++;
    *ret = v;
    return 0;
}

/* The context's FPU state leaves the vCPU. */
static int save_fpu_locked(struct kvm_vcpu *v) {
    struct kvm_context *c = v->owner;
    if (!c)
        return 0;
    if (ioctl(v->fd, KVM_GET_XSAVE2, c->fpu) < 0)
        return -errno;
    c->fpu_saved = true;
    atomic_store(&c->vcpu, NULL);
    v->owner = NULL;
    return 0;
}

static int own_locked(struct kvm_context *c, struct kvm_vcpu *v) {
    int r = save_fpu_locked(v);
    if (r)
        return r;
    if (ioctl(v->fd, KVM_SET_XSAVE, c->fpu) < 0)
        return -errno;
    c->fpu_saved = false;
    v->owner = c;
    v->loaded = NULL;
    atomic_store(&c->vcpu, v);
    return 0;
}

static struct kvm_vcpu *find_locked(struct kvm_pool *p) {
    struct kvm_vcpu *v;
    if (list_empty(&p->idle))
        return NULL;
    v = list_first_entry(&p->idle, struct kvm_vcpu, link);
    return !v->owner || p->count >= p->soft_limit ? v : NULL;
}

/* Waits until a vCPU is given back, at most a time slice; then asks for one. */
static void wait_for_vcpu(struct kvm_pool *p, uint32_t seen) {
    struct timespec slice = {0, SLICE_NS};
    if (syscall(SYS_futex, &p->returned, FUTEX_WAIT_PRIVATE, seen, &slice, NULL, 0) == 0 ||
        errno != ETIMEDOUT)
        return;
    mutex_lock(&p->lock);
    if (!list_empty(&p->busy)) {
        struct kvm_vcpu *v = list_first_entry(&p->busy, struct kvm_vcpu, link);
        list_del(&v->link);
        list_add_tail(&p->busy, &v->link);
        if (v->owner)
            kvm_context_kick(v->owner);
    }
    mutex_unlock(&p->lock);
}

static int try_take_locked(struct kvm_machine *m, struct kvm_context *c, struct kvm_vcpu **ret) {
    struct kvm_pool *p = &m->pool;
    struct kvm_vcpu *v = atomic_load(&c->vcpu);
    int r = 0;
    if (!v && !(v = find_locked(p))) {
        if (p->count < p->hard_limit && new_vcpu_locked(m, &v) == 0)
            list_add(&p->idle, &v->link);
        else if (!list_empty(&p->idle))
            v = list_first_entry(&p->idle, struct kvm_vcpu, link);
        else
            return p->count ? -EBUSY : -EAGAIN;
    }
    if (v->owner != c)
        r = own_locked(c, v);
    if (r)
        return r;
    list_del(&v->link);
    list_add_tail(&p->busy, &v->link);
    *ret = v;
    return 0;
}

int kvm_vcpu_take(struct kvm_context *c, struct kvm_vcpu **ret) {
    struct kvm_machine *m = c->space->machine;
    struct kvm_pool *p = &m->pool;
    int r;
    do {
        mutex_lock(&p->lock);
        uint32_t seen = atomic_load(&p->returned);
        r = try_take_locked(m, c, ret);
        if (r == -EBUSY)
            atomic_fetch_add(&p->waiting, 1);
        mutex_unlock(&p->lock);
        if (r == -EBUSY) {
            wait_for_vcpu(p, seen);
            atomic_fetch_sub(&p->waiting, 1);
        }
    } while (r == -EBUSY);
    return r;
}

void kvm_vcpu_give(struct kvm_context *c, struct kvm_vcpu *v) {
    struct kvm_pool *p = &c->space->machine->pool;
    mutex_lock(&p->lock);
    list_del(&v->link);
    list_add_tail(&p->idle, &v->link);
    atomic_fetch_add(&p->returned, 1);
    mutex_unlock(&p->lock);
    if (atomic_load(&p->waiting))
        syscall(SYS_futex, &p->returned, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* It goes to the front: the next who needs one need not save anything. */
void kvm_vcpu_forget(struct kvm_context *c) {
    struct kvm_pool *p = &c->space->machine->pool;
    mutex_lock(&p->lock);
    struct kvm_vcpu *v = atomic_load(&c->vcpu);
    if (v) {
        v->owner = NULL;
        list_del(&v->link);
        list_add(&p->idle, &v->link);
        atomic_store(&c->vcpu, NULL);
    }
    mutex_unlock(&p->lock);
}
