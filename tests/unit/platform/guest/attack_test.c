/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/attack_test.c: what hostile guest code can try against its stub: jumps into the
 * stub's code with registers of its choice, stores to the stub's pages, a spoilt bell. Nothing may reach the
 * host, disturb another address space, or make the sentry wait for ever; at the end of each test the address
 * space still works.
 */
#include "platform/systrap/systrap_internal.h"
#include "tests/unit/platform/guest/guest.h"

#include "base/clock.h"
#include "platform/stub/stub_layout.h"
#include "platform/stub/stub_symbols.h"

static const int dangerous[] = {SYS_mmap,
                                SYS_open,
                                SYS_ptrace,
                                SYS_kill,
                                SYS_execve,
                                SYS_clone,
                                SYS_seccomp,
                                SYS_set_robust_list,
                                SYS_recvmsg,
                                SYS_prctl,
                                SYS_munmap,
                                SYS_mprotect,
                                SYS_close,
                                SYS_openat,
                                SYS_exit_group,
                                SYS_exit,
                                SYS_futex,
                                SYS_rt_sigreturn,
                                SYS_process_vm_writev,
                                SYS_fork,
                                SYS_tgkill,
                                SYS_clone3,
                                SYS_io_uring_setup};

static void still_works(struct guest *g) {
    guest_map(g, 0x50000000, 0x1000, PROT_READ | PROT_WRITE);
    guest_set_word(g, 0x50000000, 0x5ca1ab1e);
    ASSERT_EQ(guest_word(g, 0x50000000), 0x5ca1ab1e);
    ASSERT_EQ(guest_apply(g, (struct as_op){.kind = AS_UNMAP, .addr = 0x50000000, .len = 0x1000}), 0);
    guest_enter(g, GUEST(guest_getpid));
    guest_expect_call(g, 39);
}

static size_t read_text(struct guest *g, unsigned char *text) {
    /* the sentry does not read stub pages; the test looks at its own copy */
    extern const unsigned char stub_image[], stub_image_end[];
    (void)g;
    size_t size = (size_t)(stub_image_end - stub_image);
    memcpy(text, stub_image, size);
    return size;
}

static bool systrap(const struct guest *g) {
    return strcmp(g->ops->name, "systrap") == 0;
}

/* After its stub has died, a new address space and context. */
static void start_over(struct guest *g) {
    g->ops->context_destroy(g->context);
    g->ops->as_unref(g->as);
    ASSERT_EQ(g->ops->as_create(g->platform, &g->as), 0);
    guest_fill(g);
    ASSERT_EQ(g->ops->context_create(g->as, &g->context), 0);
}

/* What a jump to the `syscall` before `after` gives: the guest's own call, wherever it was made from, but for
 * the handler's two. */
static enum event_kind expected_event(const struct guest *g, uint64_t after, int number) {
    if (systrap(g) && after == SYM_site_exit && number == SYS_exit)
        return EVENT_DEAD;
    if (systrap(g) && after == SYM_site_sigreturn && number == SYS_rt_sigreturn)
        return EVENT_FAULT; /* the frame is garbage */
    return EVENT_SYSCALL;
}

TEST_TIMEOUT(jumps_to_every_syscall_of_the_stub, 60) {
    struct guest g;
    static unsigned char text[STUB_TEXT_SIZE];
    int found = 0;
    guest_start(&g);
    size_t size = read_text(&g, text);
    for (size_t at = 0; at + 1 < size; at++) {
        if (text[at] != 0x0f || text[at + 1] != 0x05)
            continue;
        found++;
        for (size_t n = 0; n < ARRAY_SIZE(dangerous); n++) {
            guest_enter(&g, STUB_TEXT + at);
            g.regs.rax = (uint64_t)dangerous[n];
            g.regs.rdi = dangerous[n] == SYS_kill ? (uint64_t)getpid() : 0x10000000;
            g.regs.rsi = dangerous[n] == SYS_kill ? SIGKILL : 0x1000;
            g.regs.rdx = 3;
            g.regs.r10 = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
            guest_run(&g);
            ASSERT_EQ(g.event.kind, expected_event(&g, STUB_TEXT + at + 2, dangerous[n]));
            if (g.event.kind == EVENT_SYSCALL)
                ASSERT_EQ(g.regs.orig_rax, dangerous[n]);
            if (g.event.kind == EVENT_DEAD)
                start_over(&g);
        }
    }
    ASSERT_GE(found, 10);
    still_works(&g);
    guest_end(&g);
}

struct breaker {
    struct guest *g;
    _Atomic bool stop;
    pthread_mutex_t lock; /* held over a change of g->context */
};

static void *interrupt_always(void *arg) {
    struct breaker *b = arg;
    while (!b->stop) {
        usleep(500);
        pthread_mutex_lock(&b->lock);
        b->g->ops->context_interrupt(b->g->context);
        pthread_mutex_unlock(&b->lock);
    }
    return NULL;
}

/* Every byte of the text, entered with registers that point at the stub's own pages. */
TEST_TIMEOUT(jumps_to_every_byte_of_the_stub, 120) {
    static const uint64_t pointers[] = {STUB_BASE, STUB_CMD, STUB_TEXT, DATA_ADDRESS, 0};
    struct guest g;
    static unsigned char text[STUB_TEXT_SIZE];
    pthread_t t;
    guest_start(&g);
    struct breaker b = {.g = &g, .lock = PTHREAD_MUTEX_INITIALIZER};
    ASSERT_EQ(pthread_create(&t, NULL, interrupt_always, &b), 0);
    size_t size = read_text(&g, text);
    for (size_t at = 0; at < size; at++)
        for (size_t p = 0; p < ARRAY_SIZE(pointers); p++) {
            guest_enter(&g, STUB_TEXT + at);
            uint64_t *all = &g.regs.r15;
            for (int i = 0; i < 15; i++)
                all[i] = pointers[p];
            guest_run(&g);
            if (g.event.kind != EVENT_DEAD)
                continue;
            ASSERT_TRUE(systrap(&g)); /* there a thread can end itself, by the handler's exit or by a fault
                                         while it blocks faults */
            pthread_mutex_lock(&b.lock);
            start_over(&g);
            pthread_mutex_unlock(&b.lock);
        }
    b.stop = true;
    pthread_join(t, NULL);
    start_over(&g);
    still_works(&g);
    guest_end(&g);
}

TEST(stores_to_the_stubs_pages) {
    struct guest g;
    guest_start(&g);
    uint64_t read_only[] = {STUB_CMD,  STUB_CMD + 4, STUB_CMD + 64,    STUB_CMD + 0x1000,
                            STUB_TEXT, STUB_FILTERS, STUB_FILTERS + 32};
    for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
        guest_enter(&g, GUEST(guest_store));
        g.regs.rdi = read_only[i];
        guest_expect_fault(&g, SIGSEGV, SEGV_ACCERR, read_only[i], GUEST(guest_store));
    }
    guest_enter(&g, GUEST(guest_store)); /* the message page is the guest's to spoil */
    g.regs.rdi = STUB_BASE + MSG_BELL;
    g.regs.rsi = ~0ull;
    guest_expect_call(&g, 1);
    still_works(&g);
    guest_end(&g);
}

static void set_context(struct breaker *b, struct context *c) {
    pthread_mutex_lock(&b->lock);
    b->g->context = c;
    pthread_mutex_unlock(&b->lock);
}

static void *scribble(void *arg) {
    struct breaker *b = arg;
    struct guest g = *b->g;
    if (g.ops->context_create(g.as, &g.context))
        return NULL;
    set_context(b, g.context);
    guest_enter(&g, GUEST(guest_scribble));
    g.regs.rdi = STUB_BASE;
    g.regs.rcx = 4096;
    do {
        g.regs.rax++;
        guest_run(&g);
    } while (g.event.kind == EVENT_INTERRUPT && !b->stop);
    set_context(b, NULL);
    g.ops->context_destroy(g.context);
    return NULL;
}

/* A second thread fills the bell's page without end while the first has its memory changed: every result must
 * still be right. */
TEST_TIMEOUT(a_spoilt_bell_delays_and_no_more, 120) {
    struct guest g;
    pthread_t t;
    guest_start(&g);
    struct guest other = g;
    other.context = NULL;
    struct breaker b = {.g = &other, .lock = PTHREAD_MUTEX_INITIALIZER};
    ASSERT_EQ(pthread_create(&t, NULL, scribble, &b), 0);
    for (int i = 0; i < 300; i++)
        still_works(&g);
    struct guest child = g;
    ASSERT_EQ(g.ops->as_fork(g.as, &child.as), 0);
    ASSERT_EQ(guest_word(&child, CODE_ADDRESS), guest_word(&g, CODE_ADDRESS));
    g.ops->as_unref(child.as);
    b.stop = true;
    pthread_mutex_lock(&b.lock);
    if (other.context)
        g.ops->context_interrupt(other.context);
    pthread_mutex_unlock(&b.lock);
    pthread_join(t, NULL);
    still_works(&g);
    guest_end(&g);
}

/* A guest in one address space, whatever it does, and its neighbour. */
TEST(spaces_do_not_see_each_other) {
    struct guest g;
    guest_start(&g);
    struct guest n = g;
    ASSERT_EQ(g.ops->as_create(g.platform, &n.as), 0);
    guest_fill(&n);
    ASSERT_EQ(g.ops->context_create(n.as, &n.context), 0);
    guest_set_word(&n, DATA_ADDRESS, 5);
    guest_enter(&g, GUEST(guest_store));
    g.regs.rdi = STUB_BASE + 0x400;
    g.regs.rsi = 0x77;
    guest_expect_call(&g, 1);
    guest_enter(&n, GUEST(guest_load));
    n.regs.rdi = STUB_BASE + 0x400;
    guest_expect_call(&n, 1);
    ASSERT_EQ(guest_word(&n, DATA_ADDRESS), 5);
    guest_enter(&n, GUEST(guest_bases));
    n.regs.fs_base = STUB_BASE + 0x400;
    n.regs.gs_base = DATA_ADDRESS;
    guest_expect_call(&n, 39); /* guest_bases leaves gs:0 in rbx; fs:0 was loaded first, into rax */
    ASSERT_EQ(n.regs.rbx, 5);
    g.ops->context_destroy(n.context);
    g.ops->as_unref(n.as);
    still_works(&g);
    guest_end(&g);
}

TEST(signals_from_the_host_do_not_reach_the_guest) {
    static const int signals[] = {SIGTERM, SIGINT,  SIGHUP,  SIGUSR1, SIGUSR2, SIGCHLD,
                                  SIGTSTP, SIGSEGV, SIGTRAP, SIGSYS,  SIGSTOP, SIGCONT};
    struct guest g;
    guest_start(&g);
    pid_t pid = guest_stub_pid();
    guest_enter(&g, GUEST(guest_getpid));
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        ASSERT_EQ(kill(pid, signals[i]), 0);
        if (signals[i] == SIGSTOP)
            ASSERT_EQ(kill(pid, SIGCONT), 0);
        for (int n = 0; n < 5; n++)
            guest_expect_call(&g, 39);
    }
    still_works(&g);
    guest_end(&g);
}

/* ---- systrap's handler and slots ---- */

static void start_systrap(struct guest *g) {
    guest_start_platform(g);
    ASSERT_EQ(g->ops->as_create(g->platform, &g->as), 0);
    guest_fill(g);
    ASSERT_EQ(g->ops->context_create(g->as, &g->context), 0);
}

/* Registers for a forged rt_sigreturn that blocks every signal and goes on at guest_spin. */
static void enter_blind(struct guest *g) {
    struct stub_ucontext u = {.flags = 6,
                              .rip = GUEST(guest_spin),
                              .rsp = STACK_TOP - 64,
                              .rdi = DATA_ADDRESS,
                              .rflags = 0x202,
                              .cs = 0x33,
                              .ss = 0x2b,
                              .mask = ~0ull};
    ASSERT_EQ(g->ops->as_copy_out(g->as, DATA_ADDRESS + 0x1000, &u, sizeof(u)), (ssize_t)sizeof(u));
    guest_enter(g, SYM_restorer);
    g->regs.rsp = DATA_ADDRESS + 0x1000;
}

static void *interrupt_once(void *arg) {
    struct breaker *b = arg;
    usleep(100000);
    b->g->ops->context_interrupt(b->g->context);
    return NULL;
}

TEST_TIMEOUT(blocking_all_signals_ends_the_stub_when_it_is_interrupted, 30) {
    struct guest g;
    pthread_t t;
    start_systrap(&g);
    if (systrap(&g)) {
        enter_blind(&g);
        struct breaker b = {.g = &g};
        ASSERT_EQ(pthread_create(&t, NULL, interrupt_once, &b), 0);
        int64_t start = monotonic_ns();
        guest_run(&g);
        ASSERT_EQ(g.event.kind, EVENT_DEAD);
        ASSERT_LT(monotonic_ns() - start, 10 * NSEC_PER_SEC);
        pthread_join(t, NULL);
        start_over(&g);
    }
    still_works(&g);
    guest_end(&g);
}

TEST_TIMEOUT(a_trap_with_all_signals_blocked_ends_the_stub, 30) {
    struct guest g;
    start_systrap(&g);
    if (systrap(&g)) {
        enter_blind(&g);
        uint64_t rip = GUEST(guest_getpid);
        ASSERT_EQ(
            g.ops->as_copy_out(g.as, DATA_ADDRESS + 0x1000 + offsetof(struct stub_ucontext, rip), &rip, 8),
            8);
        guest_run(&g);
        ASSERT_EQ(g.event.kind, EVENT_DEAD);
        start_over(&g);
    }
    still_works(&g);
    guest_end(&g);
}

/* A guest that sleeps in the stub's own futex call is interrupted like one that runs. */
TEST_TIMEOUT(sleeping_in_the_stub_is_interrupted, 30) {
    struct guest g;
    pthread_t t;
    start_systrap(&g);
    if (systrap(&g)) {
        guest_enter(&g, SYM_stub_futex);
        g.regs.rdi = DATA_ADDRESS;
        struct breaker b = {.g = &g};
        ASSERT_EQ(pthread_create(&t, NULL, interrupt_once, &b), 0);
        guest_run(&g);
        ASSERT_EQ(g.event.kind, EVENT_INTERRUPT);
        pthread_join(t, NULL);
    }
    still_works(&g);
    guest_end(&g);
}

static void *scribble_slots(void *arg) {
    struct breaker *b = arg;
    struct guest g = *b->g;
    if (g.ops->context_create(g.as, &g.context))
        return NULL;
    pthread_mutex_lock(&b->lock);
    b->g->context = g.context;
    pthread_mutex_unlock(&b->lock);
    guest_enter(&g, GUEST(guest_scribble));
    do {
        g.regs.rdi = STUB_BASE + SLOT_SIZE; /* the first thread's slot, which is not ours */
        g.regs.rcx = SLOT_SIZE;
        g.regs.rax = (uint64_t)random();
        guest_run(&g);
    } while (g.event.kind == EVENT_INTERRUPT && !b->stop);
    pthread_mutex_lock(&b->lock);
    b->g->context = NULL;
    g.ops->context_destroy(g.context);
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static void *interrupt_both(void *arg) {
    struct breaker *b = arg;
    while (!b->stop) {
        usleep(1000);
        pthread_mutex_lock(&b->lock);
        if (b->g->context)
            b->g->ops->context_interrupt(b->g->context);
        pthread_mutex_unlock(&b->lock);
    }
    return NULL;
}

/* A thread's slot is overwritten with every byte in turn, from another thread, while it makes calls. Anything
   may happen to that guest, but its sentry thread comes back each time that somebody interrupts it, and the
   platform goes on with other guests. */
TEST_TIMEOUT(slots_spoilt_by_another_thread, 120) {
    struct guest g;
    guest_start_platform(&g);
    ASSERT_EQ(g.ops->as_create(g.platform, &g.as), 0);
    guest_fill(&g);
    ASSERT_EQ(g.ops->context_create(g.as, &g.context), 0);
    for (int round = 0; systrap(&g) && round < 20; round++) {
        pthread_t t[3];
        struct guest other = g;
        other.context = NULL;
        struct breaker scribbler = {.g = &other, .lock = PTHREAD_MUTEX_INITIALIZER},
                       mine = {.g = &g, .lock = PTHREAD_MUTEX_INITIALIZER};
        ASSERT_EQ(pthread_create(&t[0], NULL, scribble_slots, &scribbler), 0);
        ASSERT_EQ(pthread_create(&t[1], NULL, interrupt_both, &scribbler), 0);
        ASSERT_EQ(pthread_create(&t[2], NULL, interrupt_both, &mine), 0);
        guest_enter(&g, GUEST(guest_getpid));
        for (int i = 0; i < 2000; i++) {
            guest_run(&g);
            if (g.event.kind == EVENT_DEAD)
                break;
        }
        scribbler.stop = mine.stop = true;
        g.ops->as_kill(g.as);
        for (int i = 0; i < 3; i++)
            pthread_join(t[i], NULL);
        do
            guest_run(&g);
        while (g.event.kind == EVENT_INTERRUPT); /* the last one may still be owed */
        ASSERT_EQ(g.event.kind, EVENT_DEAD);
        start_over(&g);
    }
    still_works(&g);
    guest_end(&g);
}

/* Values that the sentry reads from a slot, forged while the thread itself is stopped. */
TEST(forged_slot_words) {
    static const uint64_t frames[] = {0,
                                      8,
                                      SLOT_SIZE - 8,
                                      SLOT_SIZE,
                                      ~0ull,
                                      STUB_CMD,
                                      DATA_ADDRESS,
                                      0x404,
                                      STUB_BASE + SLOT_SIZE + SLOT_SIZE - 300};
    struct guest g;
    start_systrap(&g);
    for (size_t i = 0; systrap(&g) && i < ARRAY_SIZE(frames); i++) {
        /* the guest calls hand-over's end itself: it stores a frame address and says that it is the sentry's
         * turn */
        struct stub_slot *s = (struct stub_slot *)(STUB_BASE + SLOT_SIZE);
        guest_enter(&g, GUEST(guest_store_two));
        g.regs.rdi = (uint64_t)&s->frame;
        g.regs.rsi = frames[i];
        g.regs.rdx = (uint64_t)&s->turn;
        g.regs.rcx = TURN_SENTRY;
        struct breaker b = {.g = &g};
        pthread_t t;
        ASSERT_EQ(pthread_create(&t, NULL, interrupt_once, &b),
                  0); /* its sentry thread sleeps on: wakes it up */
        guest_run(&g);
        /* refused; or the kick came first, and the handler has put its own frame there */
        ASSERT_TRUE(g.event.kind == EVENT_DEAD || g.event.kind == EVENT_INTERRUPT);
        pthread_join(t, NULL);
        start_over(&g);
    }
    still_works(&g);
    guest_end(&g);
}

/* What a slot says of operands, forged in every field: what the sentry believes of it lies within the slot's
 * data and the guest's addresses. */
TEST(forged_operand_lists) {
    static const uint64_t addresses[] = {0,        DATA_ADDRESS, STUB_BASE - 8, STUB_BASE,
                                         STUB_CMD, 1ull << 63,   ~0ull - 7,     ~0ull};
    static const uint32_t numbers[] = {
        0,         1,          8,          OPERAND_MAX - 1, OPERAND_MAX, OPERAND_MAX + 1, SLOT_DATA_SIZE,
        SLOT_SIZE, 0x80000000, 0xfffffff8, 0xffffffff};
    struct guest g;
    start_systrap(&g);
    if (systrap(&g)) {
        struct systrap_context *c = systrap_context_of(g.context);
        guest_enter(&g, GUEST(guest_getpid));
        guest_run(&g);
        for (size_t i = 0; i < ARRAY_SIZE(addresses) * ARRAY_SIZE(numbers) * ARRAY_SIZE(numbers); i++) {
            uint32_t size = numbers[i / ARRAY_SIZE(addresses) % ARRAY_SIZE(numbers)];
            uint32_t at = numbers[i / ARRAY_SIZE(addresses) / ARRAY_SIZE(numbers)];
            struct stub_operand forged = {addresses[i % ARRAY_SIZE(addresses)], size, at};
            c->slot->in_count = c->slot->out_count = numbers[i % ARRAY_SIZE(numbers)];
            for (int k = 0; k < OPERANDS_IN; k++)
                c->slot->in[k] = c->slot->out[k] = forged;
            systrap_take_operands(c);
            ASSERT_LE(c->operands.in_count, OPERANDS_IN);
            ASSERT_LE(c->operands.out_count, OPERANDS_OUT);
            bool good = size > 0 && (uint64_t)at + size <= OPERAND_MAX && forged.address < STUB_BASE &&
                        size <= STUB_BASE - forged.address;
            ASSERT_TRUE(good || (c->operands.in_count == 0 && c->operands.out_count == 0));
        }
    }
    still_works(&g);
    guest_end(&g);
}
