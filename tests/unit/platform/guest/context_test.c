/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/context_test.c: what a guest thread does and how it comes back.
 */
#include "tests/unit/platform/guest/guest.h"

TEST(syscall_brings_number_and_arguments) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    ASSERT_EQ(g.regs.rdi, 0x11);
    ASSERT_EQ(g.regs.rsi, 0x22);
    ASSERT_EQ(g.regs.rdx, 0x33);
    ASSERT_EQ(g.regs.r10, 0x44);
    ASSERT_EQ(g.regs.r8, 0x55);
    ASSERT_EQ(g.regs.r9, 0x66);
    ASSERT_EQ(g.regs.rip, GUEST(guest_getpid_after));
    ASSERT_EQ(g.regs.rcx, g.regs.rip);
    ASSERT_EQ(g.regs.r11, g.regs.rflags);
    ASSERT_FALSE(g.event.compat_call);
    ASSERT_FALSE(g.event.vsyscall);
    guest_end(&g);
}

TEST(results_and_registers_reach_the_guest) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    for (int i = 0; i < 1000; i++) {
        g.regs.rax = (uint64_t)i;
        g.regs.rbx = i % 3 ? g.regs.rbx : (uint64_t)i;
        guest_expect_call(&g, 39);
        ASSERT_EQ(g.regs.rbx, i - i % 3);
    }
    /* what the host would take for "restart the call" is an ordinary result */
    for (int64_t code = -516; code <= -510; code++) {
        g.regs.rax = (uint64_t)code;
        guest_expect_call(&g, 39);
        ASSERT_EQ(g.regs.rip, GUEST(guest_getpid_after));
    }
    guest_end(&g);
}

TEST(all_general_registers_survive) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_step));
    uint64_t *all = &g.regs.r15;
    for (int i = 0; i < 15; i++)
        all[i] = 0x1122334455667788ull * (unsigned)(i + 1);
    struct guest_regs before = g.regs;
    guest_expect_call(&g, 60);
    ASSERT_EQ(g.regs.r15, before.r15);
    ASSERT_EQ(g.regs.r14, before.r14);
    ASSERT_EQ(g.regs.r13, before.r13);
    ASSERT_EQ(g.regs.r12, before.r12);
    ASSERT_EQ(g.regs.rbp, before.rbp);
    ASSERT_EQ(g.regs.rbx, before.rbx);
    ASSERT_EQ(g.regs.r10, before.r10);
    ASSERT_EQ(g.regs.r9, before.r9);
    ASSERT_EQ(g.regs.r8, before.r8);
    ASSERT_EQ(g.regs.rdx, before.rdx);
    ASSERT_EQ(g.regs.rsi, before.rsi);
    ASSERT_EQ(g.regs.rdi, before.rdi);
    ASSERT_EQ(g.regs.rsp, before.rsp);
    guest_end(&g);
}

TEST(segment_bases) {
    struct guest g;
    guest_start(&g);
    guest_set_word(&g, DATA_ADDRESS + 0x100, 0xf5f5);
    guest_set_word(&g, DATA_ADDRESS + 0x200, 0x6565);
    guest_enter(&g, GUEST(guest_bases));
    g.regs.fs_base = DATA_ADDRESS + 0x100;
    g.regs.gs_base = DATA_ADDRESS + 0x200;
    guest_expect_call(&g, 39);
    ASSERT_EQ(g.regs.rbx, 0x6565);
    ASSERT_EQ(g.regs.fs_base, DATA_ADDRESS + 0x100);
    ASSERT_EQ(g.regs.gs_base, DATA_ADDRESS + 0x200);
    guest_end(&g);
}

TEST(hostile_register_values_are_made_harmless) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_getpid));
    g.regs.cs = 0x10;
    g.regs.ss = 0xffff;
    g.regs.ds = 0xdead;
    g.regs.es = 0x8;
    g.regs.fs = 0x3;
    g.regs.gs = 0x77;
    g.regs.rflags = ~0x100ull;
    guest_expect_call(&g, 39);
    ASSERT_EQ(g.regs.cs, 0x33);
    ASSERT_EQ(g.regs.ss, 0x2b);
    ASSERT_EQ(g.regs.rflags & 0x3000, 0);   /* no I/O privilege */
    guest_enter(&g, 0x123456789abc0000ull); /* not canonical */
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_FAULT);
    ASSERT_EQ(g.event.signo, SIGSEGV);
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    guest_end(&g);
}

TEST(faults_have_code_and_address) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_load));
    g.regs.rdi = 0x50000008;
    guest_expect_fault(&g, SIGSEGV, SEGV_MAPERR, 0x50000008, GUEST(guest_load));
    ASSERT_EQ(g.event.trap, 14);
    ASSERT_EQ(g.event.error & ~2u, 4);
    g.regs.rdi = CODE_ADDRESS + 8;
    g.regs.rip = GUEST(guest_store);
    guest_expect_fault(&g, SIGSEGV, SEGV_ACCERR, CODE_ADDRESS + 8, GUEST(guest_store));
    ASSERT_EQ(g.event.error & 5, 5);
    g.regs.rip = DATA_ADDRESS;
    guest_expect_fault(&g, SIGSEGV, SEGV_ACCERR, DATA_ADDRESS, DATA_ADDRESS);
    ASSERT_EQ(g.event.error & 0x14, 0x14);
    guest_enter(&g, GUEST(guest_divide));
    guest_expect_fault(&g, SIGFPE, FPE_INTDIV, GUEST(guest_divide_at), GUEST(guest_divide_at));
    ASSERT_EQ(g.event.trap, 0);
    guest_enter(&g, GUEST(guest_ud2));
    guest_expect_fault(&g, SIGILL, ILL_ILLOPN, GUEST(guest_ud2), GUEST(guest_ud2));
    ASSERT_EQ(g.event.trap, 6);
    guest_enter(&g, GUEST(guest_int3));
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_FAULT);
    ASSERT_EQ(g.event.signo, SIGTRAP);
    ASSERT_EQ(g.event.code, SI_KERNEL);
    ASSERT_EQ(g.event.trap, 3);
    ASSERT_EQ(g.regs.rip, GUEST(guest_int3_after));
    guest_enter(&g, GUEST(guest_privileged));
    guest_expect_fault(&g, SIGSEGV, SI_KERNEL, 0, GUEST(guest_privileged));
    ASSERT_EQ(g.event.trap, 13);
    guest_enter(&g, GUEST(guest_load));
    g.regs.rdi = 0x8000000000000000ull;
    guest_expect_fault(&g, SIGSEGV, SI_KERNEL, 0, GUEST(guest_load));
    guest_end(&g);
}

TEST(a_fault_can_be_mended_and_goes_on) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_load));
    g.regs.rdi = 0x50000000;
    guest_expect_fault(&g, SIGSEGV, SEGV_MAPERR, 0x50000000, GUEST(guest_load));
    guest_map(&g, 0x50000000, 0x1000, PROT_READ);
    guest_expect_call(&g, 1);
    guest_end(&g);
}

TEST(file_behind_its_end_gives_sigbus) {
    struct guest g;
    guest_start(&g);
    int fd = memfd_create("f", MFD_CLOEXEC);
    ASSERT_EQ(ftruncate(fd, 0x1000), 0);
    ASSERT_EQ(guest_apply(&g, (struct as_op){.kind = AS_MAP_FILE,
                                             .flags = AS_SHARED,
                                             .addr = 0x50000000,
                                             .len = 0x2000,
                                             .prot = PROT_READ,
                                             .fd = fd}),
              0);
    close(fd);
    guest_enter(&g, GUEST(guest_load));
    g.regs.rdi = 0x50001010;
    guest_expect_fault(&g, SIGBUS, BUS_ADRERR, 0x50001010, GUEST(guest_load));
    guest_end(&g);
}

TEST(int80_and_32_bit_calls_are_flagged) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_int80));
    guest_expect_call(&g, 20);
    ASSERT_TRUE(g.event.compat_call);
    ASSERT_EQ(g.regs.rip, GUEST(guest_int80_after));
    g.regs.rax = (uint64_t)-38;
    guest_expect_call(&g, 20);
    ASSERT_TRUE(g.event.compat_call);
    guest_enter(&g, GUEST(guest_32bit));
    guest_expect_call(&g, 20);
    ASSERT_TRUE(g.event.compat_call);
    ASSERT_EQ(g.regs.cs, 0x23);
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    ASSERT_FALSE(g.event.compat_call);
    guest_end(&g);
}

TEST(vsyscalls_are_reported) {
    static const struct {
        uint64_t address, number;
    } calls[] = {{0xffffffffff600000, SYS_gettimeofday},
                 {0xffffffffff600400, SYS_time},
                 {0xffffffffff600800, SYS_getcpu}};
    struct guest g;
    guest_start(&g);
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        guest_enter(&g, GUEST(guest_call_rbx));
        g.regs.rbx = calls[i].address;
        g.regs.rdi = DATA_ADDRESS; /* the host checks that it could write there */
        g.regs.rsi = DATA_ADDRESS + 64;
        guest_expect_call(&g, calls[i].number);
        ASSERT_TRUE(g.event.vsyscall);
        ASSERT_EQ(g.regs.rdi, DATA_ADDRESS);
        ASSERT_EQ(g.regs.rip, GUEST(guest_call_rbx) + 2);
        ASSERT_EQ(g.regs.rsp, STACK_TOP - 16);
        g.regs.rax = 1234;
        guest_expect_call(&g, 1);
        ASSERT_EQ(g.regs.rdi, 1234);
        ASSERT_FALSE(g.event.vsyscall);
    }
    guest_end(&g);
}

TEST(single_step) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_step));
    for (int i = 0; i < 3; i++) {
        guest_step_once(&g);
        ASSERT_EQ(g.event.kind, EVENT_STEP);
    }
    ASSERT_EQ(g.regs.rip, GUEST(guest_step_call));
    ASSERT_EQ(g.regs.rcx, 7);
    guest_step_once(&g);
    ASSERT_EQ(g.event.kind, EVENT_SYSCALL);
    ASSERT_EQ(g.regs.rip, GUEST(guest_step_after));
    g.regs.rax = 5;
    guest_step_once(&g); /* the call's own step is the sentry's to report: this one executes an instruction */
    ASSERT_EQ(g.event.kind, EVENT_STEP);
    ASSERT_EQ(g.regs.rip, GUEST(guest_step_after) + 1);
    ASSERT_EQ(g.regs.rax, 5);
    ASSERT_EQ(g.regs.rflags & 0x100, 0);
    guest_enter(&g, GUEST(guest_getpid)); /* and without a step it runs on */
    guest_expect_call(&g, 39);
    guest_end(&g);
}

TEST(the_guests_own_trap_flag) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_set_tf));
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_FAULT);
    ASSERT_EQ(g.event.signo, SIGTRAP);
    ASSERT_EQ(g.event.trap, 1);
    guest_end(&g);
}

/* ---- interrupts ---- */

struct interrupter {
    struct guest *g;
    int delay_us, times;
    _Atomic bool stop;
};

static void *interrupt_later(void *arg) {
    struct interrupter *i = arg;
    for (int n = 0; n < i->times && !i->stop; n++) {
        usleep((useconds_t)i->delay_us);
        i->g->ops->context_interrupt(i->g->context);
    }
    return NULL;
}

TEST(interrupt_stops_a_spinning_guest) {
    struct guest g;
    pthread_t t;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_spin));
    g.regs.rdi = DATA_ADDRESS;
    for (int i = 0; i < 20; i++) {
        struct interrupter n = {.g = &g, .delay_us = 2000, .times = 1};
        ASSERT_EQ(pthread_create(&t, NULL, interrupt_later, &n), 0);
        guest_run(&g);
        ASSERT_EQ(g.event.kind, EVENT_INTERRUPT);
        ASSERT_EQ(g.regs.orig_rax, ~0ull);
        pthread_join(t, NULL);
    }
    ASSERT_GT(guest_word(&g, DATA_ADDRESS), 1000);
    guest_end(&g);
}

TEST(interrupt_before_a_switch_ends_it_at_once) {
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_spin));
    g.regs.rdi = DATA_ADDRESS;
    g.ops->context_interrupt(g.context);
    g.ops->context_interrupt(g.context);
    guest_run(&g);
    ASSERT_EQ(g.event.kind, EVENT_INTERRUPT);
    ASSERT_EQ(g.regs.rip, GUEST(guest_spin));
    ASSERT_EQ(guest_word(&g, DATA_ADDRESS), 0);
    guest_enter(&g, GUEST(guest_getpid)); /* and is forgotten with it */
    for (int i = 0; i < 100; i++)
        guest_expect_call(&g, 39);
    guest_end(&g);
}

/* Each interrupt is answered, and calls are neither lost nor doubled by those that race with them. */
TEST_TIMEOUT(interrupts_race_with_calls, 60) {
    struct guest g;
    pthread_t t;
    guest_start(&g);
    struct interrupter n = {.g = &g, .delay_us = 20, .times = 1 << 30};
    ASSERT_EQ(pthread_create(&t, NULL, interrupt_later, &n), 0);
    guest_enter(&g, GUEST(guest_getpid));
    uint64_t calls = 0, interrupts = 0;
    while (calls < 20000) {
        guest_run(&g);
        if (g.event.kind == EVENT_INTERRUPT) {
            interrupts++;
            continue;
        }
        ASSERT_EQ(g.event.kind, EVENT_SYSCALL);
        ASSERT_EQ(g.regs.orig_rax, 39);
        ASSERT_EQ(g.regs.rip, GUEST(guest_getpid_after));
        if (calls)
            ASSERT_EQ(g.regs.rbx, calls);
        g.regs.rbx = ++calls;
        g.regs.rax = 0;
    }
    n.stop = true;
    pthread_join(t, NULL);
    ASSERT_GT(interrupts, 0);
    guest_end(&g);
}

/* ---- FPU ---- */

TEST(fpu_state_is_kept_read_and_written) {
    struct guest g;
    guest_start(&g);
    char pattern[64];
    for (int i = 0; i < 64; i++)
        pattern[i] = (char)(i * 3 + 1);
    ASSERT_EQ(g.ops->as_copy_out(g.as, DATA_ADDRESS, pattern, 64), 64);
    guest_enter(&g, GUEST(guest_fill_fpu));
    g.regs.rdi = DATA_ADDRESS;
    guest_expect_call(&g, 39);
    size_t size = g.platform->fpu_size;
    char *area = calloc(1, size);
    ssize_t n = g.ops->context_get_fpu(g.context, area, size);
    ASSERT_GE(n, 576);
    ASSERT_MEMEQ(area + 160, pattern, 32); /* xmm0, xmm1 */
    uint64_t present;
    memcpy(&present, area + 512, 8);
    ASSERT_EQ(present & 7, 7);
    /* another thread's worth of damage in between, then back */
    ASSERT_EQ(g.ops->context_reset_fpu(g.context), 0);
    char *clean = calloc(1, size);
    ASSERT_GE(g.ops->context_get_fpu(g.context, clean, size), 576);
    uint16_t control;
    uint32_t mxcsr;
    memcpy(&control, clean, 2);
    memcpy(&mxcsr, clean + 24, 4);
    ASSERT_EQ(control, 0x37f);
    ASSERT_EQ(mxcsr, 0x1f80);
    ASSERT_EQ(g.ops->context_set_fpu(g.context, area, (size_t)n), 0);
    guest_expect_call(&g, 40);
    char back[72];
    ASSERT_EQ(g.ops->as_copy_in(g.as, back, DATA_ADDRESS + 256, 72), 72);
    ASSERT_MEMEQ(back, pattern, 64);
    double pi;
    memcpy(&pi, back + 64, 8);
    ASSERT_TRUE(pi > 3.14159 && pi < 3.1416);
    free(area);
    free(clean);
    guest_end(&g);
}

TEST(fpu_starts_as_at_execve_and_garbage_is_refused) {
    struct guest g;
    guest_start(&g);
    size_t size = g.platform->fpu_size;
    unsigned char *area = calloc(1, size);
    ssize_t n = g.ops->context_get_fpu(g.context, area, size);
    ASSERT_GE(n, 576);
    ASSERT_EQ(area[0], 0x7f);
    ASSERT_EQ(area[1], 0x03);
    ASSERT_EQ(area[24] | area[25] << 8, 0x1f80);
    for (int i = 160; i < 416; i++)
        ASSERT_EQ(area[i], 0);
    area[512 + 7] = 0xff; /* features that no cpu has */
    ASSERT_EQ(g.ops->context_set_fpu(g.context, area, (size_t)n), -EINVAL);
    area[512 + 7] = 0;
    area[520 + 9] = 1; /* reserved header bytes */
    ASSERT_EQ(g.ops->context_set_fpu(g.context, area, (size_t)n), -EINVAL);
    ASSERT_EQ(g.ops->context_set_fpu(g.context, area, 100), -EINVAL);
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    free(area);
    guest_end(&g);
}

/* Whatever a context left behind, the next one of its address space starts anew. */
TEST(a_new_context_is_new) {
    struct guest g;
    guest_start(&g);
    size_t size = g.platform->fpu_size;
    unsigned char *area = calloc(1, size);
    for (int i = 0; i < 50; i++) {
        guest_enter(&g, GUEST(guest_fill_fpu));
        g.regs.rdi = DATA_ADDRESS;
        g.regs.gs_base = g.regs.fs_base = DATA_ADDRESS;
        guest_set_word(&g, DATA_ADDRESS, ~0ull);
        guest_expect_call(&g, 39);
        if (i & 1) {
            guest_enter(&g, GUEST(guest_hot));
            for (int n = 0; n < 10; n++)
                guest_expect_call(&g, 102);
        }
        if (i % 3 == 0)
            g.ops->context_interrupt(g.context);
        g.ops->context_destroy(g.context);
        ASSERT_EQ(g.ops->context_create(g.as, &g.context), 0);
        ASSERT_GE(g.ops->context_get_fpu(g.context, area, size), 576);
        ASSERT_EQ(area[160], 0);
        ASSERT_EQ(area[0] | area[1] << 8, 0x37f);
        guest_enter(&g, GUEST(guest_getpid));
        guest_expect_call(&g, 39);
        ASSERT_EQ(g.regs.gs_base, 0);
        ASSERT_EQ(g.regs.fs_base, 0);
    }
    free(area);
    guest_end(&g);
}

/* ---- atomic operations ---- */

TEST(atomic_operations) {
    static const struct {
        enum as_atomic_op op;
        uint32_t operand, expected, before, after;
    } cases[] = {
        {ATOMIC_XCHG, 5, 0, 7, 5},         {ATOMIC_CMPXCHG, 5, 7, 7, 5},
        {ATOMIC_CMPXCHG, 5, 6, 7, 7},      {ATOMIC_ADD, 5, 0, 0xffffffff, 4},
        {ATOMIC_OR, 0xf0, 0, 0x1f, 0xff},  {ATOMIC_AND, 0xf0, 0, 0x1f, 0x10},
        {ATOMIC_XOR, 0xf0, 0, 0x1f, 0xef},
    };
    struct guest g;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_getpid));
    guest_expect_call(&g, 39);
    g.regs.rbx = 0xabcdef;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint32_t old = 1;
        guest_set_word(&g, DATA_ADDRESS, 0x1111111100000000ull | cases[i].before);
        ASSERT_EQ(g.ops->context_atomic32(g.context, cases[i].op, DATA_ADDRESS, cases[i].operand,
                                          cases[i].expected, &old),
                  0);
        ASSERT_EQ(old, cases[i].before);
        ASSERT_EQ(guest_word(&g, DATA_ADDRESS), 0x1111111100000000ull | cases[i].after);
    }
    uint32_t old = 0;
    ASSERT_EQ(g.ops->context_atomic32(g.context, ATOMIC_OR, 0x50000000, 1, 0, &old), -EFAULT);
    ASSERT_EQ(g.ops->context_atomic32(g.context, ATOMIC_XCHG, CODE_ADDRESS, 1, 0, &old),
              -EFAULT); /* read-only */
    ASSERT_EQ(g.ops->context_atomic32(g.context, ATOMIC_XCHG, 0x7fff00000000, 1, 0, &old), -EFAULT);
    ASSERT_EQ(g.ops->context_atomic32(g.context, ATOMIC_XCHG, ~3ull, 1, 0, &old), -EFAULT);
    ASSERT_EQ(g.ops->context_atomic32(g.context, ATOMIC_XCHG, DATA_ADDRESS + 2, 1, 0, &old), -EFAULT);
    g.regs.rax = 0;
    guest_expect_call(&g, 39); /* nothing of the guest's registers is disturbed */
    ASSERT_EQ(g.regs.rbx, 0xabcdef);
    guest_end(&g);
}

struct adder {
    struct guest *g;
    int failed;
};

static void *add_in_guest(void *arg) {
    struct adder *a = arg;
    struct guest g = *a->g;
    if (g.ops->context_create(g.as, &g.context)) {
        a->failed = 1;
        return NULL;
    }
    guest_enter(&g, GUEST(guest_add));
    g.regs.rdi = DATA_ADDRESS;
    guest_run(&g);
    if (g.event.kind != EVENT_SYSCALL)
        a->failed = 1;
    g.ops->context_destroy(g.context);
    return NULL;
}

TEST(atomic_against_a_running_thread) {
    struct guest g;
    pthread_t t;
    guest_start(&g);
    struct adder a = {.g = &g};
    ASSERT_EQ(pthread_create(&t, NULL, add_in_guest, &a), 0);
    for (int i = 0; i < 1000; i++) {
        uint32_t old;
        ASSERT_EQ(g.ops->context_atomic32(g.context, ATOMIC_ADD, DATA_ADDRESS, 1, 0, &old), 0);
    }
    pthread_join(t, NULL);
    ASSERT_EQ(a.failed, 0);
    ASSERT_EQ(guest_word(&g, DATA_ADDRESS), 1001000);
    guest_end(&g);
}

TEST(waiting_a_little_ends_with_or_without_the_wake_up) {
    struct guest g;
    _Atomic uint32_t word = 0;
    guest_start(&g);
    guest_enter(&g, GUEST(guest_getpid));
    for (int i = 0; i < 200; i++) {
        guest_expect_call(&g, 39);
        g.ops->context_settle ? g.ops->context_settle(g.context, /* waits= */ true) : (void)0;
        atomic_store(&word, i % 7 != 0); /* mostly there, so that looking pays */
        if (g.ops->context_await) /* a platform need not have it */
            ASSERT_TRUE(!g.ops->context_await(g.context, &word) || atomic_load(&word));
    }
    guest_end(&g);
}
