/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_context_host.c: guest threads' life, and the hand-off between sentry thread and
 * stub thread.
 *
 * `turn` says whose turn it is; each side sleeps on a word of its own (`turn`, `go`), so that a wake-up finds
 * the right one. All of it lies in memory that any guest thread of the process can write. What a hostile
 * guest gains by that is confusion about its own threads; what it must not gain is a sentry thread that waits
 * for ever. So the sentry's sleep ends
 *  - when the thread ends (the host stores TURN_DEAD: CLONE_CHILD_CLEARTID) or the process does (the keeper
 * does so);
 *  - when somebody interrupts, or the thread owes an answer for another reason (it was told to end, to do an
 * atomic operation): the sleeper then looks now and again how it fares, and kills the stub if it does not
 * exist, has run for a second without answering (all its signals blocked by a forged sigreturn), or sleeps. A
 * thread that merely gets no cpu has all the time it needs.
 *
 * The thread of a context that is destroyed waits for the next one of its process (never of another: what a
 * thread carries along is that guest's): half of what a thread costs is its seccomp filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "platform/stub/stub_symbols.h"
#include "platform/stub/stub_thread.h"
#include "platform/systrap/systrap_internal.h"

#define LOOK_NS      (250 * 1000000ll)  /* between looks */
#define RUN_LIMIT_NS (1000 * 1000000ll) /* of the thread's own cpu time */
#define REASON_NS    (100 * 1000000ll)
enum { PARKED_MAX = 64 };
enum { FIRST_SLOT = 1 };                     /* of the thread that a process is born with */
enum { SLEEP_LOOKS = 8, BLIND_LOOKS = 120 }; /* in a row: found asleep; without a procfs to look into */

static void give_up(struct systrap_context *c) {
    c->dead = true;
    stub_space_kill(c->space);
}

/* The thread has ended. If its whole process has, the keeper is about to say why: worth a moment. */
static void await_reason(struct systrap_context *c) {
    if (!atomic_load(&c->space->dead) && !atomic_load(&c->space->killed))
        stub_futex_wait(&c->slot->turn, TURN_DEAD, REASON_NS);
}

void systrap_resume(struct systrap_context *c, uint32_t request) {
    struct stub_slot *s = c->slot;
    s->request = request;
    atomic_store(&s->turn, TURN_GUEST);
    atomic_store(&s->go, 1);
    if (atomic_load(&s->stub_asleep))
        stub_futex_wake(&s->go, 1);
}

struct patience {
    int looks, asleep;
    uint64_t start_ns; /* the thread's cpu time at the first look */
};

static ssize_t read_task_file(const struct systrap_context *c, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof(path), "%d/task/%d/%s", (int)c->space->pid, (int)c->tid, name);
    cleanup(closep) int fd = openat(c->space->platform->proc_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);
    text[MAX(n, 0)] = 0;
    return n;
}

/* One look at a thread that owes an answer. False: none will come. */
static bool may_still_answer(const struct systrap_context *c, struct patience *p) {
    char text[512];
    p->looks++;
    if (c->space->platform->proc_fd < 0)
        return p->looks < BLIND_LOOKS;
    if (read_task_file(c, "stat", text, sizeof(text)) <= 0)
        return false;
    const char *state = strrchr(text, ')');
    p->asleep = state && state[1] && state[2] == 'S' ? p->asleep + 1 : 0;
    if (p->asleep >= SLEEP_LOOKS)
        return false;
    if (read_task_file(c, "schedstat", text, sizeof(text)) <= 0)
        return p->looks < BLIND_LOOKS; /* a kernel without it */
    uint64_t ran = strtoull(text, NULL, 10);
    if (p->looks == 1)
        p->start_ns = ran;
    return ran - p->start_ns < RUN_LIMIT_NS;
}

/* One step of waiting for an answer. False: it will not come. */
static bool wait_a_step(struct systrap_context *c, struct patience *p) {
    stub_futex_wait(&c->slot->turn, TURN_GUEST, LOOK_NS);
    if (atomic_load(&c->slot->turn) != TURN_GUEST || may_still_answer(c, p))
        return true;
    if (atomic_load(&c->slot->turn) != TURN_GUEST) /* it answered, or ended, while we looked */
        return true;
    log_warning(LOG_PLATFORM, "guest thread %d does not answer: its stub is killed", (int)c->tid);
    return false;
}

/* `urgent`: the thread owes an answer even without an interrupt. */
static bool await(struct systrap_context *c, bool urgent) {
    struct stub_slot *s = c->slot;
    struct patience p = {0};
    while (atomic_load(&s->turn) == TURN_GUEST) {
        if (systrap_spin_await(c))
            break;
        if (atomic_load(
                &c->space->dead)) /* after our store of TURN_GUEST, as the keeper marks before it stores */
            break;
        atomic_store(&s->sentry_asleep, 1);
        bool hope = true;
        if (urgent || atomic_load(&c->interrupted))
            hope = wait_a_step(c, &p);
        else
            stub_futex_wait(&s->turn, TURN_GUEST, -1);
        atomic_store(&s->sentry_asleep, 0);
        if (!hope)
            break;
    }
    if (atomic_load(&s->turn) == TURN_SENTRY && !atomic_load(&c->space->dead))
        return true;
    await_reason(c);
    give_up(c);
    return false;
}

bool systrap_await(struct systrap_context *c) {
    return await(c, /* urgent= */ false);
}

bool systrap_await_answer(struct systrap_context *c) {
    return await(c, /* urgent= */ true);
}

bool systrap_take_frame(struct systrap_context *c) {
    uint64_t offset = *(volatile uint64_t *)&c->slot->frame - systrap_slot_address(c);
    if (offset < SLOT_FRAME || offset > SLOT_SIZE - sizeof(struct stub_ucontext) || offset % 8) {
        give_up(c);
        return false;
    }
    c->frame = (uint32_t)offset;
    return true;
}

bool systrap_ready(struct systrap_context *c) {
    if (c->dead || c->ready)
        return !c->dead;
    if (!await(c, /* urgent= */ true) || !systrap_take_frame(c))
        return false;
    c->ready = true;
    return true;
}

/* ---- life ---- */

/* What a new thread finds in its slot. */
static void init_slot(struct stub_slot *slot) {
    struct stub_ucontext *u = (struct stub_ucontext *)((char *)slot + SLOT_FRAME);
    memset(u, 0, sizeof(*u));
    u->rflags = 0x202;
    u->cs = 0x33;
    u->ss = 0x2b;
    atomic_store(&slot->turn, TURN_GUEST);
}

enum { THREAD_COMMAND = DO_CHECK | DO_KEEP | DO_THREAD | DO_SLOT };

static struct stub_call thread_call(uint32_t slot) {
    uint64_t turn = STUB_BASE + (uint64_t)slot * SLOT_SIZE + offsetof(struct stub_slot, turn);
    return (struct stub_call){SYS_clone, {STUB_SLOT_FLAGS, 0, 0, turn}};
}

int systrap_add_first_thread(struct stub_space *s) {
    uint32_t number;
    struct stub_slot *slot;
    int r = stub_slot_get_locked(s, &number, &slot);
    if (r)
        return r;
    ASSERT(number == FIRST_SLOT);
    init_slot(slot);
    stub_batch_add(s, THREAD_COMMAND, number, thread_call(number));
    return 0;
}

/* A thread in a slot of its own: the one that the process was born with, or one more. */
static int start_thread(struct systrap_context *c) {
    int64_t tid = stub_space_first_thread(c->space);
    if (tid != 0) {
        c->number = FIRST_SLOT;
        c->slot = stub_slot_early(c->space, FIRST_SLOT);
    } else {
        int r = stub_slot_get(c->space, &c->number, &c->slot);
        if (r)
            return r;
        init_slot(c->slot);
        tid = stub_space_run(c->space, THREAD_COMMAND, c->number, thread_call(c->number));
    }
    if (tid <= 0) {
        stub_slot_put(c->space, c->number);
        return tid == 0 ? -EAGAIN : (int)tid;
    }
    c->tid = (pid_t)tid;
    return 0;
}

/* A thread that waits for work, or NULL. It is as a new one in all that its next owner can see. */
static struct systrap_context *take_parked(struct stub_space *s) {
    struct systrap_context *c = NULL;
    mutex_lock(&s->lock);
    if (!list_empty(&s->parked)) {
        c = list_first_entry(&s->parked, struct systrap_context, parked_link);
        list_del(&c->parked_link);
        s->parked_count--;
    }
    mutex_unlock(&s->lock);
    if (!c)
        return NULL;
    (void)stub_space_ref(s);
    if (atomic_load(&c->slot->turn) != TURN_SENTRY || atomic_load(&s->dead) ||
        systrap_context_reset_fpu((struct context *)c)) {
        /* ended or spoilt meanwhile; whose slot it is now, nobody knows: it stays unused */
        stub_waiter_remove(s, &c->waiter);
        stub_space_unref(s);
        free(c);
        return NULL;
    }
    atomic_store(&c->interrupted, 0);
    return c;
}

/* Keeps the thread of a context that ends. False: it must end too. */
static bool park(struct systrap_context *c) {
    struct stub_space *s = c->space;
    bool room = false;
    if (!systrap_ready(c) || !systrap_need_frame(c) || atomic_load(&s->dead))
        return false;
    systrap_forget_operands(c);
    systrap_context_answers((struct context *)c, NULL);
    mutex_lock(&s->lock);
    if (s->parked_count < PARKED_MAX) {
        room = true;
        s->parked_count++;
        list_add(&s->parked, &c->parked_link);
    }
    mutex_unlock(&s->lock);
    return room;
}

void systrap_free_parked(struct stub_space *s) {
    while (!list_empty(&s->parked)) {
        struct systrap_context *c = list_first_entry(&s->parked, struct systrap_context, parked_link);
        list_del(&c->parked_link);
        free(c);
    }
}

static int create_new(struct stub_space *s, struct systrap_context **ret) {
    struct systrap_context *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->space = stub_space_ref(s);
    list_init(&c->parked_link);
    int r = start_thread(c);
    if (r) {
        stub_space_unref(s);
        free(c);
        return r;
    }
    c->waiter.word = &c->slot->turn;
    stub_waiter_add(s, &c->waiter);
    *ret = c;
    return 0;
}

int systrap_context_create(struct address_space *as, struct context **ret_context) {
    struct stub_space *s = stub_space_of(as);
    might_block();
    struct systrap_context *c = take_parked(s);
    int r = c ? 0 : create_new(s, &c);
    if (r)
        return r;
    stub_pair_init(&c->pair, &s->platform->cpus, c->tid);
    systrap_spin_init(c);
    *ret_context = (struct context *)c;
    return 0;
}

/* Waits for the host's word that the thread has ended. */
static void await_end(struct systrap_context *c) {
    struct patience p = {0};
    while (!atomic_load(&c->space->dead)) {
        uint32_t turn = atomic_load(&c->slot->turn);
        if (turn == TURN_DEAD)
            return;
        if (turn != TURN_GUEST || !wait_a_step(c, &p)) { /* any other value is forged */
            give_up(c);
            return;
        }
    }
}

void systrap_context_destroy(struct context *context) {
    struct systrap_context *c = systrap_context_of(context);
    if (!c)
        return;
    systrap_spin_leave(c);
    stub_pair_done(&c->pair);
    struct stub_space *s = c->space;
    bool last = stub_space_is_last_user(s); /* then the thread ends with its process */
    if (!last && park(c)) {                 /* from here on it may be another's */
        stub_space_unref(s);
        return;
    }
    if (last) {
        give_up(c);
    } else if (systrap_ready(c)) {
        systrap_resume(c, REQUEST_EXIT);
        await_end(c);
    }
    stub_waiter_remove(c->space, &c->waiter);
    if (!c->dead)
        stub_slot_put(c->space, c->number); /* else the slot goes with its space */
    stub_space_unref(s);
    free(c);
}

int systrap_context_cpu_time(struct context *context, int64_t *ret_ns) {
    const struct systrap_context *c = systrap_context_of(context);

    return stub_thread_cpu_time(c->space, c->tid, ret_ns);
}

void systrap_context_interrupt(struct context *context) {
    struct systrap_context *c = systrap_context_of(context);
    atomic_store(&c->interrupted, 1);
    if (!atomic_load(
            &c->running)) /* the owner sets it, then looks at `interrupted`: one of us sees the other */
        return;
    syscall(SYS_tgkill, c->space->pid, c->tid, STUB_KICK_SIGNAL);
    stub_futex_wake(&c->slot->turn, 1); /* the owner sleeps with a limit from now on */
}

void systrap_context_follow_cpu(struct context *context) {
    stub_pair_follow(&systrap_context_of(context)->pair);
}

bool systrap_context_await(struct context *context, const _Atomic uint32_t *word) {
    return stub_pair_await(&systrap_context_of(context)->pair, word);
}

/* ---- atomic operations ---- */

static uint64_t routine(enum as_atomic_op op) {
    switch (op) {
    case ATOMIC_XCHG:
        return SYM_atomic_xchg;
    case ATOMIC_CMPXCHG:
        return SYM_atomic_cmpxchg;
    case ATOMIC_ADD:
        return SYM_atomic_add;
    case ATOMIC_OR:
        return SYM_atomic_or;
    case ATOMIC_AND:
        return SYM_atomic_and;
    case ATOMIC_XOR:
        return SYM_atomic_xor;
    }
    ASSERT(!"unknown operation");
    return 0;
}

int systrap_context_atomic32(struct context *context, enum as_atomic_op op, gva_t address, uint32_t operand,
                             uint32_t expected, uint32_t *ret_old) {
    struct systrap_context *c = systrap_context_of(context);
    struct stub_slot *s = c->slot;
    might_block();
    if (!systrap_ready(c))
        return -ESRCH;
    if (address % 4 || address >= c->space->platform->base.limits.max_address)
        return -EFAULT;
    s->atomic_routine = routine(op);
    s->atomic_address = address;
    s->atomic_operand = operand;
    s->atomic_value = expected;
    systrap_resume(c, REQUEST_ATOMIC);
    if (!await(c, /* urgent= */ true))
        return -ESRCH;
    if (*(volatile int32_t *)&s->atomic_failed)
        return -EFAULT;
    *ret_old = *(volatile uint32_t *)&s->atomic_value;
    return 0;
}
