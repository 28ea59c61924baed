/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/signal.c: actions and masks, queueing and taking of signals, whom they wake. Delivery:
 * signal_deliver.c; permissions and groups: signal_send.c. Source: signal(7), sigaction(2),
 * rt_sigqueueinfo(2), getrlimit(2) (RLIMIT_SIGPENDING).
 */
#include "sentry/kernel/signal.h"

#include <errno.h>
#include <string.h>

#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/core_dump.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_internal.h"
#include "sentry/kernel/users.h"

HEAP_TYPE(sighand, struct sighand, 0);
HEAP_TYPE(sigqueue, struct sigqueue, 0);

#define SIG_DEFAULT_IGNORED                                                                                  \
    (SIGBIT(LINUX_SIGCHLD) | SIGBIT(LINUX_SIGCONT) | SIGBIT(LINUX_SIGURG) | SIGBIT(LINUX_SIGWINCH))
/* Caused by the task's own instructions: taken first. */
#define SIG_SYNCHRONOUS                                                                                      \
    (SIGBIT(LINUX_SIGSEGV) | SIGBIT(LINUX_SIGBUS) | SIGBIT(LINUX_SIGILL) | SIGBIT(LINUX_SIGTRAP) |           \
     SIGBIT(LINUX_SIGFPE) | SIGBIT(LINUX_SIGSYS))

/* ---- actions ---- */

static void sighand_destroy(struct sighand *s) {
    heap_free(s);
}
DEFINE_REF(sighand, sighand_destroy);

struct sighand *sighand_new(void) {
    struct sighand *s = heap_new(sighand);

    if (!s)
        return NULL;
    sighand_ref_init(s);
    mutex_init(&s->lock, RANK_SIGACTIONS);
    return s;
}

struct sighand *sighand_copy(struct sighand *from) {
    struct sighand *s = sighand_new();

    if (!s)
        return NULL;
    mutex_lock(&from->lock);
    memcpy(s->actions, from->actions, sizeof s->actions);
    mutex_unlock(&from->lock);
    return s;
}

void sighand_reset(struct sighand *s, bool ignored_too) {
    mutex_lock(&s->lock);
    for (int i = 0; i < LINUX_NSIG; i++) {
        struct linux_sigaction *a = &s->actions[i];
        uint64_t keep = !ignored_too && a->handler == LINUX_SIG_IGN ? LINUX_SIG_IGN : LINUX_SIG_DFL;
        *a = (struct linux_sigaction){.handler = keep};
    }
    mutex_unlock(&s->lock);
}

int signal_action(struct task *t, int signo, const struct linux_sigaction *set,
                  struct linux_sigaction *ret_old) {
    struct thread_group *g = t->group;
    struct task *other;

    if (signo < 1 || signo > LINUX_NSIG || (set && (SIGBIT(signo) & SIG_UNBLOCKABLE)))
        return -EINVAL;
    mutex_lock(&g->signal_lock);
    struct sighand *s = g->sighand;
    mutex_lock(&s->lock);
    struct linux_sigaction *a = &s->actions[signo - 1];
    *ret_old = *a;
    bool drop = false;
    if (set) {
        *a = *set;
        a->flags &= ~(uint64_t)LINUX_SA_UNSUPPORTED;
        a->mask &= ~SIG_UNBLOCKABLE;
        drop = a->handler == LINUX_SIG_IGN ||
               (a->handler == LINUX_SIG_DFL && (SIGBIT(signo) & SIG_DEFAULT_IGNORED));
    }
    mutex_unlock(&s->lock);
    /* POSIX: setting a signal to be ignored discards it if pending, blocked or not. */
    if (drop) {
        sigpending_flush(&g->shared_pending, SIGBIT(signo));
        list_for_each_entry(other, &g->tasks, group_node) sigpending_flush(&other->pending, SIGBIT(signo));
    }
    mutex_unlock(&g->signal_lock);
    return 0;
}

static struct linux_sigaction action_of(struct thread_group *g, int signo) {
    mutex_lock(&g->sighand->lock);
    struct linux_sigaction a = g->sighand->actions[signo - 1];
    mutex_unlock(&g->sighand->lock);
    return a;
}

bool signal_ignored_locked(struct task *t, int signo, bool force) {
    struct thread_group *g = t->group;
    uint64_t handler = action_of(g, signo).handler;

    if ((t->blocked | t->sigwait) & SIGBIT(signo))
        return false;
    if (t->trace.on && signo != LINUX_SIGKILL) /* the tracer may want to know */
        return false;
    if (g->unkillable && handler == LINUX_SIG_DFL && !(force && (SIGBIT(signo) & SIG_UNBLOCKABLE)))
        return true;
    return handler == LINUX_SIG_IGN || (handler == LINUX_SIG_DFL && (SIGBIT(signo) & SIG_DEFAULT_IGNORED));
}

/* ---- queues ---- */

void sigpending_init(struct sigpending *p) {
    p->set = 0;
    list_init(&p->queue);
}

/* Lets go of an entry that is off its queue. Those of timers belong to the timer. */
static void sigqueue_release(struct sigqueue *q) {
    if (q->timer)
        return;
    if (q->account) {
        struct kernel *k = heap_root();
        atomic_fetch_sub(&q->account->signals, 1);
        user_account_put(k->users, q->account);
    }
    heap_free(q);
}

void sigpending_flush(struct sigpending *p, sigset_word set) {
    struct sigqueue *q, *next;

    if (!(p->set & set))
        return;
    p->set &= ~set;
    list_for_each_entry_safe(q, next, &p->queue, node) {
        if (!(SIGBIT(q->info.signo) & set))
            continue;
        list_del(&q->node);
        sigqueue_release(q);
    }
}

/* An entry for `info` that counts against the target's user; NULL: over the limit or no memory. */
static struct sigqueue *sigqueue_new(struct task *t, const struct linux_siginfo *info) {
    /* Signals of the kernel and of kill() are delivered in any case: signal(7). */
    bool over_limit_is_fine = info->signo < LINUX_SIGRTMIN && info->code >= 0;
    uint64_t limit = task_limit(t, LINUX_RLIMIT_SIGPENDING);
    struct sigqueue *q = NULL;

    mutex_lock(&t->lock);
    struct user_account *account = user_account_ref(t->kernel->users, t->account);
    mutex_unlock(&t->lock);
    if ((uint64_t)atomic_fetch_add(&account->signals, 1) < limit || over_limit_is_fine)
        q = heap_new(sigqueue);
    if (!q) {
        atomic_fetch_sub(&account->signals, 1);
        user_account_put(t->kernel->users, account);
        return NULL;
    }
    list_init(&q->node);
    q->info = *info;
    q->account = account;
    return q;
}

/* ---- waking ---- */

static bool wants(const struct task *t, int signo) {
    return !t->exiting && (!(t->blocked & SIGBIT(signo)) || (t->sigwait & SIGBIT(signo)));
}

void signal_wake_one_locked(struct task *t, int signo) {
    if (t->sigwait & SIGBIT(signo))
        task_wake(t);
    if (!(t->blocked & SIGBIT(signo)))
        task_interrupt(t, TASK_WORK_SIGNAL);
}

/* A shared signal: one task that can take it; the one named first, then the leader, then any. */
static void wake_someone_locked(struct task *t, int signo) {
    struct thread_group *g = t->group;
    struct task *other;

    if (wants(t, signo)) {
        signal_wake_one_locked(t, signo);
        return;
    }
    list_for_each_entry(other, &g->tasks, group_node) {
        if (!wants(other, signo))
            continue;
        signal_wake_one_locked(other, signo);
        return;
    }
}

void signal_retarget_locked(struct task *t, sigset_word set) {
    sigset_word left = set & t->group->shared_pending.set;
    struct task *other;

    list_for_each_entry(other, &t->group->tasks, group_node) {
        sigset_word takes = left & ~other->blocked;
        if (!left)
            break;
        if (other == t || other->exiting || !takes)
            continue;
        left &= ~takes;
        task_interrupt(other, TASK_WORK_SIGNAL);
    }
}

void signal_recalc_locked(struct task *t) {
    if ((t->pending.set | t->group->shared_pending.set) & ~t->blocked)
        atomic_fetch_or(&t->pending_work, TASK_WORK_SIGNAL);
    else
        atomic_fetch_and(&t->pending_work, ~(uint32_t)TASK_WORK_SIGNAL);
}

bool signal_pending(struct task *t) {
    return atomic_load(&t->pending_work) != 0;
}

/* ---- sending ---- */

static void flush_everywhere_locked(struct thread_group *g, sigset_word set) {
    struct task *t;

    sigpending_flush(&g->shared_pending, set);
    list_for_each_entry(t, &g->tasks, group_node) sigpending_flush(&t->pending, set);
}

/* SIGCONT: the stop ends at once, whether or not the signal is blocked, ignored or caught. */
static void continue_locked(struct thread_group *g) {
    struct task *t;

    flush_everywhere_locked(g, SIG_STOPS);
    g->continue_count++;
    list_for_each_entry(t, &g->tasks, group_node) ptrace_trap_notify_locked(t);
    if (!g->stop_signal)
        return;
    g->notify_code = g->stopped ? LINUX_CLD_CONTINUED : LINUX_CLD_STOPPED;
    g->wait_report = g->stopped ? LINUX_CLD_CONTINUED : 0;
    g->stop_signal = 0;
    g->stopped = false;
    g->stop_pending_count = 0;
    list_for_each_entry(t, &g->tasks, group_node) {
        t->stop_counted = false;
        atomic_fetch_and(&t->pending_work, ~(uint32_t)TASK_WORK_STOP);
        task_interrupt(t, TASK_WORK_SIGNAL); /* one of them tells the parent */
    }
}

static void queue_locked(struct task *t, struct sigpending *p, struct sigqueue *q, int signo,
                         enum signal_target target) {
    if (q)
        list_add_tail(&p->queue, &q->node);
    p->set |= SIGBIT(signo);
    if (target == SIGNAL_TASK) {
        if (wants(t, signo))
            signal_wake_one_locked(t, signo);
    } else {
        wake_someone_locked(t, signo);
    }
    waitq_wake(&t->group->signalfd_queue, LINUX_POLLIN);
}

int signal_send_locked(struct task *t, const struct linux_siginfo *info, enum signal_target target) {
    struct thread_group *g = t->group;
    struct sigpending *p = target == SIGNAL_TASK ? &t->pending : &g->shared_pending;
    int signo = info->signo;
    /* From outside the receiver's pid namespace, or from the kernel: pid_namespaces(7). */
    bool force = info->code == LINUX_SI_KERNEL || (info->code <= 0 && info->kill.pid == 0);

    mutex_assert_held(&g->signal_lock);
    ASSERT(signo >= 1 && signo <= LINUX_NSIG);
    if (signo == LINUX_SIGKILL && unlikely(atomic_load(&g->dump)))
        core_dump_abort_locked(g);
    if (g->exiting || g->live_count == 0 || (target == SIGNAL_TASK && t->exiting))
        return 0;
    if (SIGBIT(signo) & SIG_STOPS)
        flush_everywhere_locked(g, SIGBIT(LINUX_SIGCONT));
    else if (signo == LINUX_SIGCONT)
        continue_locked(g);
    if (signal_ignored_locked(t, signo, force))
        return 0;
    if (signo == LINUX_SIGKILL) {
        thread_group_exit_locked(g, status_killed(LINUX_SIGKILL));
        return 0;
    }
    if (signo < LINUX_SIGRTMIN && (p->set & SIGBIT(signo)))
        return 0; /* coalesces */
    struct sigqueue *q = sigqueue_new(t, info);
    if (!q && signo >= LINUX_SIGRTMIN && info->code != LINUX_SI_USER)
        return -EAGAIN;
    queue_locked(t, p, q, signo, target);
    return 0;
}

int signal_send(struct task *t, const struct linux_siginfo *info, enum signal_target target) {
    mutex_lock(&t->group->signal_lock);
    int r = signal_send_locked(t, info, target);
    mutex_unlock(&t->group->signal_lock);
    return r;
}

void signal_send_timer_locked(struct task *t, struct sigqueue *q, enum signal_target target) {
    struct thread_group *g = t->group;
    int signo = q->info.signo;

    mutex_assert_held(&g->signal_lock);
    ASSERT(list_empty(&q->node));
    if (g->exiting || g->live_count == 0 || (target == SIGNAL_TASK && t->exiting) ||
        signal_ignored_locked(t, signo, false))
        return;
    queue_locked(t, target == SIGNAL_TASK ? &t->pending : &g->shared_pending, q, signo, target);
}

/* ---- masks ---- */

static void set_mask_locked(struct task *t, sigset_word mask) {
    mask &= ~SIG_UNBLOCKABLE;
    sigset_word newly = mask & ~t->blocked;
    t->blocked = mask;
    if (newly & t->group->shared_pending.set)
        signal_retarget_locked(t, newly);
    signal_recalc_locked(t);
}

void signal_set_mask(struct task *t, sigset_word mask) {
    if (t->blocked == (mask & ~SIG_UNBLOCKABLE))
        return;
    mutex_lock(&t->group->signal_lock);
    set_mask_locked(t, mask);
    mutex_unlock(&t->group->signal_lock);
}

void signal_set_temporary_mask(struct task *t, sigset_word mask) {
    ASSERT(!t->has_saved_mask);
    t->saved_mask = t->blocked;
    t->has_saved_mask = true;
    signal_set_mask(t, mask);
}

void signal_restore_temporary_mask(struct task *t) {
    if (!t->has_saved_mask)
        return;
    t->has_saved_mask = false;
    signal_set_mask(t, t->saved_mask);
}

/* ---- taking ---- */

/* Takes the first entry of `signo` out of p. */
static void take_locked(struct sigpending *p, int signo, struct linux_siginfo *ret) {
    struct sigqueue *q, *first = NULL;
    bool more = false;

    list_for_each_entry(q, &p->queue, node) {
        if (q->info.signo != signo)
            continue;
        if (first) {
            more = true;
            break;
        }
        first = q;
    }
    if (!more)
        p->set &= ~SIGBIT(signo);
    if (!first) { /* there was no room for an entry when it was sent */
        *ret = (struct linux_siginfo){.signo = signo, .code = LINUX_SI_USER};
        return;
    }
    list_del(&first->node);
    *ret = first->info;
    if (first->timer)
        posix_timer_delivered_locked(first->timer, ret);
    sigqueue_release(first);
}

int signal_dequeue_locked(struct task *t, sigset_word set, struct linux_siginfo *ret) {
    struct thread_group *g = t->group;

    for (int i = 0; i < 2; i++) {
        struct sigpending *p = i == 0 ? &t->pending : &g->shared_pending;
        sigset_word here = p->set & set;
        if (!here)
            continue;
        if (here & SIG_SYNCHRONOUS)
            here &= SIG_SYNCHRONOUS;
        int signo = __builtin_ctzll(here) + 1;
        take_locked(p, signo, ret);
        if (p == &g->shared_pending && signo == LINUX_SIGALRM)
            itimer_real_delivered_locked(g);
        signal_recalc_locked(t);
        return signo;
    }
    return 0;
}

int signal_dequeue(struct task *t, sigset_word set, struct linux_siginfo *ret) {
    mutex_lock(&t->group->signal_lock);
    int signo = signal_dequeue_locked(t, set & ~SIG_UNBLOCKABLE, ret);
    mutex_unlock(&t->group->signal_lock);
    return signo;
}

sigset_word signal_pending_set(struct task *t) {
    mutex_lock(&t->group->signal_lock);
    sigset_word set = t->pending.set | t->group->shared_pending.set;
    mutex_unlock(&t->group->signal_lock);
    return set;
}

void signal_get_status(struct task *t, struct signal_status *ret) {
    struct thread_group *g = t->group;

    *ret = (struct signal_status){.queue_limit = task_limit(t, LINUX_RLIMIT_SIGPENDING)};
    mutex_lock(&g->signal_lock);
    ret->pending = t->pending.set;
    ret->shared_pending = g->shared_pending.set;
    ret->blocked = t->blocked;
    mutex_lock(&g->sighand->lock);
    for (int i = 0; i < LINUX_NSIG; i++) {
        uint64_t handler = g->sighand->actions[i].handler;
        if (handler == LINUX_SIG_IGN)
            ret->ignored |= SIGBIT(i + 1);
        else if (handler != LINUX_SIG_DFL)
            ret->caught |= SIGBIT(i + 1);
    }
    mutex_unlock(&g->sighand->lock);
    mutex_unlock(&g->signal_lock);
    mutex_lock(&t->lock);
    ret->queued = (unsigned)atomic_load(&t->account->signals);
    mutex_unlock(&t->lock);
}
