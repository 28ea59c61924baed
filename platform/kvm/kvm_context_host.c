/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_context_host.c: guest threads, getting them out of the guest, and their FPU state. The
 * thread that made a context runs it; KICK_SIGNAL, which does nothing, ends its KVM_RUN.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "platform/kvm/kvm_internal.h"
#include "platform/kvm/kvm_kick.h"

static void on_kick(int signo) {
    (void)signo;
}

int kvm_kick_install(void) {
    struct sigaction action = {.sa_handler = on_kick}; /* no SA_RESTART: KVM_RUN gives EINTR */
    sigemptyset(&action.sa_mask);
    return sigaction(KICK_SIGNAL, &action, NULL) < 0 ? -errno : 0;
}

int kvm_context_create(struct address_space *as, struct context **ret_context) {
    struct kvm_space *s = kvm_space_of(as);
    sigset_t kick;
    might_block();
    if (atomic_load(&s->dead))
        return -ESRCH;
    struct kvm_context *c = calloc(1, sizeof(*c));
    if (!c || !(c->fpu = aligned_alloc(64, (s->machine->xsave_size + 63) / 64 * 64))) {
        free(c);
        return -ENOMEM;
    }
    kvm_fpu_initial(s->machine, c->fpu);
    c->fpu_saved = true;
    c->tid = (pid_t)syscall(SYS_gettid);
    (void)kvm_context_cpu_time((struct context *)c, &c->cpu_before_ns); /* 0 before; an owner can be asked */
    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    kvm_space_ref(s);
    c->space = s;
    mutex_lock(&s->lock);
    list_add(&s->contexts, &c->link);
    mutex_unlock(&s->lock);
    *ret_context = (struct context *)c;
    return 0;
}

void kvm_context_destroy(struct context *context) {
    struct kvm_context *c = kvm_context_of(context);
    if (!c)
        return;
    might_block();
    mutex_lock(&c->space->lock);
    list_del(&c->link);
    mutex_unlock(&c->space->lock);
    kvm_vcpu_forget(c);
    kvm_as_unref((struct address_space *)c->space);
    free(c->fpu);
    free(c);
}

/* immediate_exit is for a thread that is about to enter; the signal, for one that has. Both may come late:
 * whoever is in the guest then leaves it once for nothing. */
void kvm_context_kick(struct kvm_context *c) {
    struct kvm_vcpu *v = atomic_load(&c->vcpu);
    if (!atomic_load(&c->running))
        return;
    if (v)
        __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_tgkill, getpid(), c->tid, KICK_SIGNAL);
}

/* The owner runs the guest itself, so its clock has both parts. */
int kvm_context_cpu_time(struct context *context, int64_t *ret_ns) {
    enum { CLOCK_OF_THREAD = 6 }; /* clock_getcpuclockid(3): of a thread, as the scheduler counts */
    struct kvm_context *c = kvm_context_of(context);
    clockid_t clock = (clockid_t)(~(uint32_t)c->tid << 3 | CLOCK_OF_THREAD);
    struct timespec ts;

    if (clock_gettime(clock, &ts) < 0)
        return -ESRCH;
    *ret_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec - c->cpu_before_ns;
    return 0;
}

void kvm_context_interrupt(struct context *context) {
    struct kvm_context *c = kvm_context_of(context);
    atomic_store(&c->interrupted, 1);
    kvm_context_kick(c);
}

void kvm_space_quiesce(struct kvm_space *s) {
    struct kvm_context *c;
    atomic_fetch_add(&s->quiescing, 1);
    list_for_each_entry(c, &s->contexts, link) {
        uint32_t seen = atomic_load(&c->exits);
        kvm_context_kick(c);
        while (atomic_load(&c->running) && atomic_load(&c->exits) == seen)
            syscall(SYS_futex, &c->exits, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
    atomic_fetch_sub(&s->quiescing, 1);
}

/* ---- FPU state ---- */

enum { XSAVE_MIN = 576, XSAVE_BV_OFFSET = 512, MXCSR_OFFSET = 24 };

void kvm_fpu_initial(struct kvm_machine *m, char *fpu) {
    uint64_t present = 3; /* x87 and SSE, with their values as at execve; all else initial */
    uint16_t control = 0x37f;
    uint32_t mxcsr = 0x1f80;
    memset(fpu, 0, m->xsave_size);
    memcpy(fpu, &control, sizeof(control));
    memcpy(fpu + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
    memcpy(fpu + XSAVE_BV_OFFSET, &present, sizeof(present));
}

ssize_t kvm_context_get_fpu(struct context *context, void *buffer, size_t size) {
    struct kvm_context *c = kvm_context_of(context);
    struct kvm_machine *m = c->space->machine;
    int r = 0;
    size = MIN(size, m->base.fpu_size);
    mutex_lock(&m->pool.lock);
    struct kvm_vcpu *v = atomic_load(&c->vcpu);
    if (v && ioctl(v->fd, KVM_GET_XSAVE2, c->fpu) < 0)
        r = -errno;
    if (r == 0)
        memcpy(buffer, c->fpu, size);
    mutex_unlock(&m->pool.lock);
    return r ? r : (ssize_t)size;
}

/* KVM takes the whole area or nothing: what a short buffer lacks is in its initial state. */
int kvm_context_set_fpu(struct context *context, const void *buffer, size_t size) {
    struct kvm_context *c = kvm_context_of(context);
    struct kvm_machine *m = c->space->machine;
    struct kvm_vcpu *v;
    if (size < XSAVE_MIN || size > m->xsave_size)
        return -EINVAL;
    char *area = calloc(1, m->xsave_size);
    if (!area)
        return -ENOMEM;
    memcpy(area, buffer, size);
    int r = kvm_vcpu_take(c, &v);
    if (r == 0) {
        r = ioctl(v->fd, KVM_SET_XSAVE, area) < 0 ? -EINVAL : 0;
        kvm_vcpu_give(c, v);
    }
    free(area);
    return r;
}

int kvm_context_reset_fpu(struct context *context) {
    struct kvm_context *c = kvm_context_of(context);
    char *area = calloc(1, c->space->machine->xsave_size);
    if (!area)
        return -ENOMEM;
    kvm_fpu_initial(c->space->machine, area);
    int r = kvm_context_set_fpu(context, area, c->space->machine->xsave_size);
    free(area);
    return r;
}
