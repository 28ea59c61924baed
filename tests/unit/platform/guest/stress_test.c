/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/stress_test.c: everything at once for a while: threads that make calls with and
 * without operands, fault, step, use the FPU and atomic operations, are interrupted at random, fork, and have
 * their address spaces killed. No wake-up may be lost (each worker must keep getting on), no state mixed
 * up. RUNSC_STRESS_SECONDS=600 for the long run.
 */
#include "tests/unit/platform/guest/guest.h"

#include "base/clock.h"

enum {
    WORKERS = 12,
    CALM_AFTER_SECONDS = 10,
    /* In which a worker must have got on by one event or operation. Address spaces are made one at a time, by
       hand-offs with the zygote, so that with three copies of this test on two cpus (80 threads that want to
       run) the last of twelve has been seen to wait 20 s, all the while with somebody runnable. */
    STUCK_SECONDS_MAX = 60
};

struct worker {
    struct platform *platform;
    const struct platform_ops *ops;
    pthread_t thread, tormentor;
    unsigned seed, torment_seed;
    _Atomic bool *stop;
    pthread_mutex_t lock; /* held over changes of `context` and `as` */
    struct context *context;
    struct address_space *as;
    /* Events (but interrupts) and operations so far. Not rounds: one has 60 calls, each with two hand-offs,
       and on a crowded host each of those waits for its turn behind every other thread. */
    _Atomic uint64_t progress;
    _Atomic bool killed; /* by the tormentor: the guest may be dead at any point */
    _Atomic bool calm; /* no torment for now: on a crowded host interrupts can come faster than the guest gets
                          to run */
    const char *_Atomic failure;
    int detail;
};

static unsigned next(struct worker *w) {
    w->seed = w->seed * 1103515245 + 12345;
    return w->seed >> 8;
}

static void fail(struct worker *w, const char *what, int detail) {
    if (!w->failure) {
        w->failure = what;
        w->detail = detail;
    }
}

static struct guest view(struct worker *w) {
    struct guest g = {.platform = w->platform, .ops = w->ops, .as = w->as, .context = w->context};
    return g;
}

/* The next event that is no interrupt. False: the stub is dead, which is fine if it was killed. */
static bool step_on(struct worker *w, struct guest *g, bool step) {
    do
        w->ops->context_switch(g->context, &g->regs, step, &g->event);
    while (g->event.kind == EVENT_INTERRUPT);
    w->progress++;
    if (g->event.kind != EVENT_DEAD)
        return true;
    if (!w->killed)
        fail(w, "dead though nobody killed it", 0);
    return false;
}

static bool do_calls(struct worker *w, struct guest *g) {
    guest_enter(g, next(w) & 1 ? GUEST(guest_hot) : GUEST(guest_getpid));
    uint64_t after = g->regs.rip == GUEST(guest_hot) ? GUEST(guest_hot_after) : GUEST(guest_getpid_after);
    for (unsigned i = 0; i < 60; i++) {
        g->regs.r15 = w->seed;
        g->regs.rax = i;
        if (!step_on(w, g, false))
            return false;
        if (g->event.kind != EVENT_SYSCALL || g->regs.rip != after || (i && g->regs.r15 != w->seed))
            fail(w, "a call went wrong", (int)g->event.kind);
    }
    return true;
}

/* Calls from a site whose comparison moves, with operands both ways: what was written is read back, through
 * whatever way the bytes take. */
static bool do_operands(struct worker *w, struct guest *g) {
    uint64_t wrote = 0, read;
    guest_enter(g, GUEST(guest_wrapped_site));
    for (unsigned i = 0; i < 40; i++) {
        g->regs.rip = GUEST(guest_wrapped_site);
        g->regs.rax = i & 1; /* read and write, by turns */
        g->regs.rsi = DATA_ADDRESS + 0x8000;
        g->regs.rdx = sizeof(wrote);
        if (!step_on(w, g, false))
            return false;
        if (g->event.kind != EVENT_SYSCALL || g->regs.rip != GUEST(guest_wrapped_after))
            fail(w, "a call went wrong", (int)g->event.kind);
        if (!g->ops->context_take)
            continue;
        if (i & 1) {
            if (g->ops->context_take(g->context, &read, g->regs.rsi, sizeof(read)) == sizeof(read) &&
                read != wrote)
                fail(w, "an operand is not what was given", (int)i);
            continue;
        }
        uint64_t value = next(w);
        if (g->ops->context_give(g->context, g->regs.rsi, &value, sizeof(value)) ||
            g->ops->as_copy_out(g->as, g->regs.rsi, &value, sizeof(value)) == sizeof(value))
            wrote = value;
        if (next(w) % 8 == 0)
            g->ops->context_settle(g->context, next(w) & 1);
    }
    return true;
}

static bool do_fault(struct worker *w, struct guest *g) {
    guest_enter(g, GUEST(guest_load));
    g->regs.rdi = 0x50000000 + (next(w) & 0xff8);
    uint64_t address = g->regs.rdi;
    if (!step_on(w, g, false))
        return false;
    if (g->event.kind != EVENT_FAULT || g->event.signo != SIGSEGV || g->event.address != address)
        fail(w, "a fault went wrong", (int)g->event.kind);
    return true;
}

static bool do_steps(struct worker *w, struct guest *g) {
    guest_enter(g, GUEST(guest_step));
    for (int i = 0; i < 3; i++) {
        if (!step_on(w, g, true))
            return false;
        if (g->event.kind != EVENT_STEP)
            fail(w, "a step went wrong", (int)g->event.kind);
    }
    return true;
}

static bool do_fpu(struct worker *w, struct guest *g) {
    unsigned char area[16384], back[16384];
    size_t size = MIN(sizeof(area), w->platform->fpu_size);
    ssize_t n = w->ops->context_get_fpu(g->context, area, size);
    if (n < 0)
        return w->killed;
    for (int i = 160; i < 416; i++)
        area[i] = (unsigned char)next(w);
    area[512] |= 3;
    if (w->ops->context_set_fpu(g->context, area, (size_t)n))
        return w->killed;
    if (!do_calls(w, g))
        return false;
    if (w->ops->context_get_fpu(g->context, back, size) < 0)
        return w->killed;
    if (memcmp(area + 160, back + 160, 256))
        fail(w, "FPU state was mixed up", 0);
    return true;
}

static bool do_memory(struct worker *w, struct guest *g) {
    uint64_t value = next(w), back = 0;
    struct as_op ops[2] = {
        {.kind = AS_MAP_ANON, .addr = 0x51000000, .len = 0x4000, .prot = PROT_READ | PROT_WRITE},
        {.kind = AS_UNMAP, .addr = 0x51000000, .len = 0x4000}};
    uint32_t old;
    int r = w->ops->as_apply(g->as, ops, 1, NULL);
    if (r == 0 && w->ops->as_copy_out(g->as, 0x51002000, &value, 8) != 8)
        r = -EIO;
    if (r == 0)
        r = w->ops->context_atomic32(g->context, ATOMIC_ADD, 0x51002000, 5, 0, &old);
    if (r == 0 && w->ops->as_copy_in(g->as, &back, 0x51002000, 8) != 8)
        r = -EIO;
    if (r == 0 && (back != value + 5 || old != (uint32_t)value))
        fail(w, "memory went wrong", 0);
    if (r == 0)
        r = w->ops->as_apply(g->as, ops + 1, 1, NULL);
    if (r && !w->killed)
        fail(w, "a memory operation failed", r);
    return r == 0;
}

static bool new_context(struct worker *w, struct address_space *as) {
    struct context *c = NULL;
    int r = w->ops->context_create(as, &c);
    pthread_mutex_lock(&w->lock);
    w->context = c;
    w->as = as;
    w->killed = false;
    pthread_mutex_unlock(&w->lock);
    if (r)
        fail(w, "context_create", r);
    return r == 0;
}

static void drop(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    struct context *c = w->context;
    struct address_space *as = w->as;
    w->context = NULL;
    w->as = NULL;
    pthread_mutex_unlock(&w->lock);
    w->ops->context_destroy(c);
    w->ops->as_unref(as);
}

static bool fresh(struct worker *w) {
    struct address_space *as;
    int r = w->ops->as_create(w->platform, &as);
    if (r) {
        fail(w, "as_create", r);
        return false;
    }
    struct guest g = view(w);
    g.as = as;
    guest_fill(&g);
    return new_context(w, as);
}

/* Goes on in a fork; the parent ends. */
static bool do_fork(struct worker *w, struct guest *g) {
    struct address_space *child;
    int r = w->ops->as_fork(g->as, &child);
    if (r) {
        if (!w->killed)
            fail(w, "as_fork", r);
        return false;
    }
    drop(w);
    return new_context(w, child);
}

static bool one_round(struct worker *w) {
    struct guest g = view(w);
    switch (next(w) % 12) {
    case 0:
        return do_fault(w, &g);
    case 1:
        return do_steps(w, &g);
    case 2:
        return do_fpu(w, &g);
    case 3:
    case 4:
        return do_memory(w, &g);
    case 5:
        return do_fork(w, &g);
    case 6:
    case 7:
        return do_operands(w, &g);
    default:
        return do_calls(w, &g);
    }
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    bool alive = fresh(w);
    while (!*w->stop && !w->failure) {
        if (!alive || !one_round(w)) {
            if (w->context)
                drop(w);
            alive = fresh(w);
        }
        w->progress++;
    }
    if (w->as)
        drop(w);
    return NULL;
}

static void *tormentor_main(void *arg) {
    struct worker *w = arg;
    unsigned seed = w->torment_seed;
    while (!*w->stop) {
        seed = seed * 1103515245 + 12345;
        usleep((seed >> 8) % 700);
        if (w->calm)
            continue;
        pthread_mutex_lock(&w->lock);
        if (w->context)
            w->ops->context_interrupt(w->context);
        if (w->as && (seed >> 16) % 200 == 0) {
            w->killed = true;
            w->ops->as_kill(w->as);
        }
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

static void watch(struct worker *w, int seconds) {
    uint64_t seen[WORKERS] = {0};
    int stuck[WORKERS] = {0};
    for (int t = 0; t < seconds; t++) {
        usleep(1000000);
        for (int i = 0; i < WORKERS; i++) {
            stuck[i] = w[i].progress == seen[i] ? stuck[i] + 1 : 0;
            w[i].calm = stuck[i] >= CALM_AFTER_SECONDS;
            seen[i] = w[i].progress;
            if (w[i].failure)
                test_fail_at(__FILE__, __LINE__, "worker %d: %s (%d)", i, w[i].failure, w[i].detail);
            if (stuck[i] >= STUCK_SECONDS_MAX)
                test_fail_at(__FILE__, __LINE__, "worker %d is stuck", i);
        }
    }
}

TEST_TIMEOUT(everything_at_once, 900) {
    struct guest g;
    _Atomic bool stop = false;
    const char *wanted = getenv("RUNSC_STRESS_SECONDS");
    guest_start_platform(&g);
    struct worker *w = calloc(WORKERS, sizeof(*w));
    for (unsigned i = 0; i < WORKERS; i++) {
        w[i] = (struct worker){.platform = g.platform,
                               .ops = g.ops,
                               .seed = 77 + i * 7919,
                               .torment_seed = 5 + i * 104729,
                               .stop = &stop,
                               .lock = PTHREAD_MUTEX_INITIALIZER};
        ASSERT_EQ(pthread_create(&w[i].thread, NULL, worker_main, &w[i]), 0);
        ASSERT_EQ(pthread_create(&w[i].tormentor, NULL, tormentor_main, &w[i]), 0);
    }
    watch(w, wanted ? (int)strtol(wanted, NULL, 10) : 4);
    stop = true;
    uint64_t all = 0;
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(w[i].thread, NULL);
        pthread_join(w[i].tormentor, NULL);
        if (w[i].failure)
            test_fail_at(__FILE__, __LINE__, "worker %d: %s (%d)", i, w[i].failure, w[i].detail);
        all += w[i].progress;
    }
    ASSERT_GT(all, 0); /* that all could be joined is the point: on a crowded host a round takes long */
    free(w);
    g.ops->destroy(g.platform);
    guest_close_proc();
}
