/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/fake/fake_test.c: the fake platform, on which unit tests of the sentry rest.
 */
#include "platform/fake/fake.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/test.h"

enum { ENTRY = 0x400000, HANDLER = 0x500000, DATA = 0x600000 };

struct fixture {
    struct platform *p;
    const struct platform_ops *ops;
    struct address_space *as;
    struct context *c;
    struct guest_regs regs;
    struct platform_event ev;
};

static void start(struct fixture *f) {
    *f = (struct fixture){0};
    ASSERT_EQ(platform_fake_create(&f->p), 0);
    f->ops = f->p->ops;
    ASSERT_EQ(f->ops->as_create(f->p, &f->as), 0);
    ASSERT_EQ(f->ops->context_create(f->as, &f->c), 0);
    f->regs.rip = ENTRY;
}

static void end(struct fixture *f) {
    f->ops->context_destroy(f->c);
    f->ops->as_unref(f->as);
    ASSERT_EQ(fake_live(f->p), 0);
    f->ops->destroy(f->p);
}

static void run(struct fixture *f, enum event_kind kind) {
    f->ops->context_switch(f->c, &f->regs, false, &f->ev);
    ASSERT_EQ(f->ev.kind, kind);
}

static int apply(struct fixture *f, struct as_op op) {
    return f->ops->as_apply(f->as, &op, 1, NULL);
}

static void two_calls(struct fake_guest *g, void *arg) {
    uint64_t r = FAKE_CALL(g, 39, 1, 2, 3, 4, 5, 6);
    FAKE_CALL(g, 60, r, (uint64_t)arg);
}

TEST(calls_and_results) {
    struct fixture f;
    start(&f);
    fake_at(f.p, ENTRY, two_calls, (void *)7);
    run(&f, EVENT_SYSCALL);
    ASSERT_EQ(f.regs.orig_rax, 39);
    ASSERT_EQ(f.regs.rdi, 1);
    ASSERT_EQ(f.regs.r9, 6);
    f.regs.rax = 1234;
    run(&f, EVENT_SYSCALL);
    ASSERT_EQ(f.regs.orig_rax, 60);
    ASSERT_EQ(f.regs.rdi, 1234);
    ASSERT_EQ(f.regs.rsi, 7);
    run(&f, EVENT_FAULT); /* returned to nowhere */
    ASSERT_EQ(f.ev.signo, SIGILL);
    end(&f);
}

TEST(a_restarted_call_comes_again) {
    struct fixture f;
    start(&f);
    fake_at(f.p, ENTRY, two_calls, NULL);
    run(&f, EVENT_SYSCALL);
    f.regs.rax = f.regs.orig_rax;
    f.regs.rip -= 2;
    run(&f, EVENT_SYSCALL);
    ASSERT_EQ(f.regs.orig_rax, 39);
    f.regs.rax = 5;
    run(&f, EVENT_SYSCALL);
    ASSERT_EQ(f.regs.rdi, 5);
    end(&f);
}

static void handler(struct fake_guest *g, void *arg) {
    (void)arg;
    FAKE_CALL(g, 15);
}

TEST(signal_handlers_nest_and_return) {
    struct fixture f;
    start(&f);
    fake_at(f.p, ENTRY, two_calls, NULL);
    fake_at(f.p, HANDLER, handler, NULL);
    run(&f, EVENT_SYSCALL);
    struct guest_regs saved = f.regs;
    f.regs.rip = HANDLER;
    run(&f, EVENT_SYSCALL);
    ASSERT_EQ(f.regs.orig_rax, 15);
    f.regs = saved;
    f.regs.rax = 77;
    run(&f, EVENT_SYSCALL);
    ASSERT_EQ(f.regs.orig_rax, 60);
    ASSERT_EQ(f.regs.rdi, 77);
    end(&f);
}

static void touch(struct fake_guest *g, void *arg) {
    uint64_t v = 5;
    (void)arg;
    fake_store(g, DATA + 0xffc, &v, sizeof(v));
    fake_load(g, &v, DATA + 0xffc, sizeof(v));
    FAKE_CALL(g, 1, v);
}

TEST(memory_faults_until_mapped) {
    struct fixture f;
    start(&f);
    fake_at(f.p, ENTRY, touch, NULL);
    run(&f, EVENT_FAULT);
    ASSERT_EQ(f.ev.address, DATA + 0xffc);
    ASSERT_EQ(apply(&f,
                    (struct as_op){
                        .kind = AS_MAP_ANON, .addr = DATA, .len = 0x1000, .prot = PROT_READ | PROT_WRITE}),
              0);
    run(&f, EVENT_FAULT);
    ASSERT_EQ(f.ev.address, DATA + 0x1000);
    ASSERT_EQ(apply(&f, (struct as_op){.kind = AS_MAP_ANON,
                                       .addr = DATA + 0x1000,
                                       .len = 0x1000,
                                       .prot = PROT_READ | PROT_WRITE}),
              0);
    run(&f, EVENT_SYSCALL);
    ASSERT_EQ(f.regs.rdi, 5);
    end(&f);
}

TEST(jumps_into_nothing_fault) {
    struct fixture f;
    start(&f);
    f.regs.rip = 0x1234;
    run(&f, EVENT_FAULT);
    ASSERT_EQ(f.ev.signo, SIGSEGV);
    ASSERT_EQ(f.ev.address, 0x1234);
    end(&f);
}

TEST(ranges_split_protect_and_fork) {
    struct fixture f;
    uint64_t v = 9, w;
    start(&f);
    ASSERT_EQ(apply(&f,
                    (struct as_op){
                        .kind = AS_MAP_ANON, .addr = DATA, .len = 0x5000, .prot = PROT_READ | PROT_WRITE}),
              0);
    for (uint64_t i = 0; i < 5; i++)
        ASSERT_EQ(f.ops->as_copy_out(f.as, DATA + i * 0x1000, &v, 8), 8);
    ASSERT_EQ(
        apply(&f,
              (struct as_op){.kind = AS_PROTECT, .addr = DATA + 0x1000, .len = 0x1000, .prot = PROT_READ}),
        0);
    ASSERT_EQ(apply(&f, (struct as_op){.kind = AS_UNMAP, .addr = DATA + 0x3000, .len = 0x1000}), 0);
    ASSERT_EQ(f.ops->as_copy_out(f.as, DATA + 0x1000, &v, 8), -EFAULT);
    ASSERT_EQ(f.ops->as_poke(f.as, DATA + 0x1000, &v, 8), 8);
    ASSERT_EQ(f.ops->as_copy_in(f.as, &w, DATA + 0x3000, 8), -EFAULT);
    ASSERT_EQ(f.ops->as_copy_in(f.as, &w, DATA + 0x4000, 8), 8);
    ASSERT_EQ(apply(&f, (struct as_op){.kind = AS_PROTECT, .addr = DATA, .len = 0x5000, .prot = PROT_READ}),
              -ENOMEM);
    struct address_space *child;
    ASSERT_EQ(f.ops->as_fork(f.as, &child), 0);
    v = 10;
    ASSERT_EQ(f.ops->as_copy_out(f.as, DATA, &v, 8), 8);
    ASSERT_EQ(f.ops->as_copy_in(child, &w, DATA, 8), 8);
    ASSERT_EQ(w, 9);
    ASSERT_EQ(
        apply(&f,
              (struct as_op){
                  .kind = AS_REMAP, .addr = DATA, .old_len = 0x1000, .len = 0x2000, .new_addr = 0x700000}),
        0);
    ASSERT_EQ(f.ops->as_copy_in(f.as, &w, 0x700000, 8), 8);
    ASSERT_EQ(w, 10);
    f.ops->as_unref(child);
    uint32_t old;
    ASSERT_EQ(f.ops->context_atomic32(f.c, ATOMIC_ADD, 0x700000, 5, 0, &old), 0);
    ASSERT_EQ(old, 10);
    ASSERT_EQ(f.ops->context_atomic32(f.c, ATOMIC_ADD, DATA, 5, 0, &old), -EFAULT);
    end(&f);
}

static void child_code(struct fake_guest *g, void *arg) {
    FAKE_CALL(g, 61, (uint64_t)arg);
}

static void forker(struct fake_guest *g, void *arg) {
    (void)arg;
    uint64_t pid = fake_call_forking(g, 57, (const uint64_t[6]){0}, child_code, (void *)3);
    FAKE_CALL(g, 60, pid);
}

TEST(forked_children_run_their_own_code) {
    struct fixture f;
    start(&f);
    fake_at(f.p, ENTRY, forker, NULL);
    run(&f, EVENT_SYSCALL);
    struct fixture child = f;
    ASSERT_EQ(f.ops->as_fork(f.as, &child.as), 0);
    ASSERT_EQ(f.ops->context_create(child.as, &child.c), 0);
    child.regs.rax = 0;
    f.regs.rax = 2;
    run(&child, EVENT_SYSCALL);
    ASSERT_EQ(child.regs.orig_rax, 61);
    ASSERT_EQ(child.regs.rdi, 3);
    run(&f, EVENT_SYSCALL);
    ASSERT_EQ(f.regs.rdi, 2);
    f.ops->context_destroy(child.c);
    f.ops->as_unref(child.as);
    end(&f);
}

static void spinner(struct fake_guest *g, void *arg) {
    fake_spin(g, arg);
    FAKE_CALL(g, 1);
}

static void *kill_soon(void *arg) {
    struct fixture *f = arg;
    usleep(10000);
    f->ops->as_kill(f->as);
    return NULL;
}

TEST(interrupts_and_death) {
    struct fixture f;
    _Atomic uint32_t stop = 0;
    start(&f);
    fake_at(f.p, ENTRY, spinner, (void *)&stop);
    f.ops->context_interrupt(f.c);
    run(&f, EVENT_INTERRUPT);
    f.ops->context_interrupt(f.c);
    run(&f, EVENT_INTERRUPT);
    atomic_store(&stop, 1);
    run(&f, EVENT_SYSCALL);
    atomic_store(&stop, 0);
    f.regs.rip = ENTRY;
    pthread_t t;
    ASSERT_EQ(pthread_create(&t, NULL, kill_soon, &f), 0);
    run(&f, EVENT_DEAD);
    pthread_join(t, NULL);
    ASSERT_EQ(apply(&f, (struct as_op){.kind = AS_UNMAP, .addr = DATA, .len = 0x1000}), -ESRCH);
    end(&f);
}

TEST(failures_are_injected) {
    struct fixture f;
    struct address_space *as;
    start(&f);
    fake_fail(f.p, -EAGAIN, 2);
    ASSERT_EQ(f.ops->as_create(f.p, &as), -EAGAIN);
    ASSERT_EQ(f.ops->as_fork(f.as, &as), -EAGAIN);
    ASSERT_EQ(f.ops->as_fork(f.as, &as), 0);
    f.ops->as_unref(as);
    end(&f);
}
