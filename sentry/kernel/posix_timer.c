/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/posix_timer.c: timer_create(2) and its family. Everything under signal_lock of the process. A
 * timer has one queue entry of its own, so an expiry never fails for lack of memory; a periodic timer is set
 * again when its signal is taken, with the overruns counted then: timer_getoverrun(2).
 */
#include <errno.h>
#include <limits.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/clocks.h"
#include "sentry/kernel/itimer.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_internal.h"

struct posix_timer {
    struct list node;           /* in group->posix_timers */
    struct thread_group *group; /* borrowed: the group deletes its timers before it ends */
    int id, clock, notify;
    struct task *target; /* SIGEV_THREAD_ID: reference */
    struct task *cpu_of; /* cpu clocks: reference */
    bool cpu_thread;     /* ... of this thread alone */
    struct ktimer ktimer;
    int64_t expires; /* on the timer's clock, ns; 0: not set */
    int64_t interval;
    int64_t overrun; /* of the signal last taken */
    bool deleted;
    struct sigqueue signal;
};
HEAP_TYPE(posix_timer, struct posix_timer, 0);

/* Now, on the timer's clock. */
static int64_t timer_now_locked(struct posix_timer *p) {
    if (!p->cpu_of) {
        struct kernel *k = p->group->kernel;
        return clock_is_realtime(p->clock) ? clock_guest_realtime(k) : clock_guest_monotonic(k);
    }
    struct cpu_times c = p->cpu_thread                  ? task_cpu_times(p->cpu_of)
                         : p->cpu_of->group == p->group ? thread_group_cpu_locked(p->group)
                                                        : task_cpu_times(p->cpu_of);
    return c.user_ns + c.system_ns;
}

static void rearm_locked(struct posix_timer *p) {
    int64_t deadline = CLOCK_NEVER;

    if (p->expires && p->notify != LINUX_SIGEV_NONE && !p->deleted) {
        int64_t left = MAX(p->expires - timer_now_locked(p), 0);
        deadline = p->cpu_of ? cpu_deadline_locked(p->group, left) : clock_add(monotonic_ns(), left);
    }
    ktimer_arm(&p->ktimer, deadline);
}

/* Moves `expires` past now; how many periods were skipped over. */
static int64_t forward_locked(struct posix_timer *p) {
    int64_t now = timer_now_locked(p);

    if (p->interval == 0 || now < p->expires)
        return 0;
    int64_t periods = (now - p->expires) / p->interval + 1;
    p->expires += periods * p->interval;
    return periods;
}

static void timer_fire(struct ktimer *timer, int64_t host_now) {
    struct posix_timer *p = container_of(timer, struct posix_timer, ktimer);
    struct thread_group *g = p->group;

    (void)host_now;
    mutex_lock(&g->signal_lock);
    if (p->deleted || p->expires == 0 || g->exiting || !list_empty(&p->signal.node) ||
        list_empty(&g->tasks)) {
        mutex_unlock(&g->signal_lock);
        return;
    }
    if (timer_now_locked(p) < p->expires) { /* set anew meanwhile, or cpu time that is not used up yet */
        rearm_locked(p);
        mutex_unlock(&g->signal_lock);
        return;
    }
    bool one = p->notify & LINUX_SIGEV_THREAD_ID;
    struct task *t = one ? p->target : list_first_entry(&g->tasks, struct task, group_node);
    signal_send_timer_locked(t, &p->signal, one ? SIGNAL_TASK : SIGNAL_GROUP);
    if (list_empty(&p->signal.node) && p->interval) { /* ignored: goes on without */
        (void)forward_locked(p);
        rearm_locked(p);
    } else if (p->interval == 0) {
        p->expires = 0;
    }
    mutex_unlock(&g->signal_lock);
}
static const struct ktimer_ops g_timer_ops = {.fire = timer_fire};

void posix_timer_delivered_locked(struct posix_timer *p, struct linux_siginfo *info) {
    p->overrun = 0;
    if (p->interval && p->expires) {
        p->overrun = forward_locked(p) - 1;
        rearm_locked(p);
    }
    p->overrun = MIN(MAX(p->overrun, 0), (int64_t)INT_MAX);
    info->timer.overrun = (int32_t)p->overrun;
}

void posix_timers_resume_locked(struct thread_group *g) {
    struct posix_timer *p;

    list_for_each_entry(p, &g->posix_timers, node) if (p->cpu_of && p->expires && list_empty(&p->signal.node))
        rearm_locked(p);
}

/* ---- the calls ---- */

static struct posix_timer *find_locked(struct thread_group *g, int id) {
    struct posix_timer *p;

    list_for_each_entry(p, &g->posix_timers, node) if (p->id == id) return p;
    return NULL;
}

static void timer_free(struct posix_timer *p) {
    task_unref(p->target);
    task_unref(p->cpu_of);
    heap_free(p);
}

static int check_event(struct task *t, const struct linux_sigevent *event, struct posix_timer *p) {
    bool thread = event->notify == (LINUX_SIGEV_SIGNAL | LINUX_SIGEV_THREAD_ID);

    if (event->notify == LINUX_SIGEV_NONE)
        return 0;
    if (event->notify != LINUX_SIGEV_SIGNAL && event->notify != LINUX_SIGEV_THREAD && !thread)
        return -EINVAL;
    if (event->signo < 1 || event->signo > LINUX_NSIG)
        return -EINVAL;
    if (thread) {
        p->target = task_find(t, event->tid);
        if (!p->target || p->target->group != t->group)
            return -EINVAL;
    }
    return 0;
}

static int check_clock(struct task *t, int clock, struct posix_timer *p) {
    if (clock_is_cpu(clock)) {
        p->cpu_of = clock_cpu_task(t, clock, &p->cpu_thread);
        return p->cpu_of ? 0 : -EINVAL;
    }
    switch (clock) {
    case LINUX_CLOCK_REALTIME:
    case LINUX_CLOCK_MONOTONIC:
    case LINUX_CLOCK_BOOTTIME:
    case LINUX_CLOCK_TAI:
        return 0;
    case LINUX_CLOCK_REALTIME_ALARM:
    case LINUX_CLOCK_BOOTTIME_ALARM:
        return task_capable(t, LINUX_CAP_WAKE_ALARM) ? 0 : -EPERM;
    case LINUX_CLOCK_MONOTONIC_RAW:
    case LINUX_CLOCK_REALTIME_COARSE:
    case LINUX_CLOCK_MONOTONIC_COARSE:
        return -EOPNOTSUPP;
    default:
        return -EINVAL;
    }
}

int posix_timer_create(struct task *t, int clock, const struct linux_sigevent *event, int *ret_id) {
    struct linux_sigevent standard = {.signo = LINUX_SIGALRM, .notify = LINUX_SIGEV_SIGNAL};
    struct thread_group *g = t->group;
    struct posix_timer *p = heap_new(posix_timer);

    if (!p)
        return -EAGAIN;
    list_init(&p->node);
    list_init(&p->signal.node);
    const struct linux_sigevent *e = event ? event : &standard;
    int r = check_clock(t, clock, p);
    if (r == 0)
        r = check_event(t, e, p);
    if (r < 0) {
        timer_free(p);
        return r;
    }
    p->group = g;
    p->clock = clock;
    p->notify = e->notify;
    ktimer_init(&p->ktimer, t->kernel, &g_timer_ops);
    mutex_lock(&g->signal_lock);
    do { /* 2^31 numbers, and the list is far shorter */
        p->id = g->next_timer_id;
        g->next_timer_id = g->next_timer_id == INT_MAX ? 0 : g->next_timer_id + 1;
    } while (find_locked(g, p->id));
    p->signal.timer = p;
    p->signal.info = (struct linux_siginfo){.signo = e->signo, .code = LINUX_SI_TIMER};
    p->signal.info.timer.id = p->id;
    p->signal.info.timer.value = event ? event->value : (uint64_t)p->id;
    list_add_tail(&g->posix_timers, &p->node);
    mutex_unlock(&g->signal_lock);
    *ret_id = p->id;
    return 0;
}

static void get_locked(struct posix_timer *p, struct itimer_value *ret) {
    *ret = (struct itimer_value){.interval = p->interval};
    if (p->expires == 0)
        return;
    if (p->interval && (p->notify == LINUX_SIGEV_NONE || !list_empty(&p->signal.node)))
        (void)forward_locked(p);
    int64_t left = p->expires - timer_now_locked(p);
    ret->value = left > 0 ? left : p->interval || p->notify != LINUX_SIGEV_NONE ? 1 : 0;
}

/* Takes the timer's entry off the queue that it is on. */
static void unqueue_locked(struct posix_timer *p) {
    struct thread_group *g = p->group;
    struct sigpending *on = p->target ? &p->target->pending : &g->shared_pending;
    int signo = p->signal.info.signo;
    struct sigqueue *q;

    if (list_empty(&p->signal.node))
        return;
    list_del(&p->signal.node);
    list_for_each_entry(q, &on->queue, node) if (q->info.signo == signo) return;
    on->set &= ~SIGBIT(signo);
}

int posix_timer_set(struct task *t, int id, int flags, const struct itimer_value *set,
                    struct itimer_value *ret_old) {
    struct thread_group *g = t->group;

    mutex_lock(&g->signal_lock);
    struct posix_timer *p = find_locked(g, id);
    if (p) {
        int64_t absolute = MAX(clock_to_kernel(t, p->clock, set->value), 1);
        get_locked(p, ret_old);
        unqueue_locked(p);
        p->overrun = 0;
        p->interval = set->interval;
        p->expires = 0;
        if (set->value)
            p->expires = flags & LINUX_TIMER_ABSTIME ? absolute : clock_add(timer_now_locked(p), set->value);
        rearm_locked(p);
    }
    mutex_unlock(&g->signal_lock);
    return p ? 0 : -EINVAL;
}

int posix_timer_get(struct task *t, int id, struct itimer_value *ret) {
    mutex_lock(&t->group->signal_lock);
    struct posix_timer *p = find_locked(t->group, id);
    if (p)
        get_locked(p, ret);
    mutex_unlock(&t->group->signal_lock);
    return p ? 0 : -EINVAL;
}

int posix_timer_overrun(struct task *t, int id) {
    mutex_lock(&t->group->signal_lock);
    struct posix_timer *p = find_locked(t->group, id);
    int r = p ? (int)p->overrun : -EINVAL;
    mutex_unlock(&t->group->signal_lock);
    return r;
}

static void unlink_locked(struct posix_timer *p) {
    unqueue_locked(p);
    p->deleted = true;
    list_del(&p->node);
}

int posix_timer_delete(struct task *t, int id) {
    mutex_lock(&t->group->signal_lock);
    struct posix_timer *p = find_locked(t->group, id);
    if (p)
        unlink_locked(p);
    mutex_unlock(&t->group->signal_lock);
    if (!p)
        return -EINVAL;
    ktimer_cancel_sync(&p->ktimer);
    timer_free(p);
    return 0;
}

void posix_timers_delete_all(struct thread_group *g) {
    for (;;) {
        struct posix_timer *p = NULL;
        mutex_lock(&g->signal_lock);
        if (!list_empty(&g->posix_timers)) {
            p = list_first_entry(&g->posix_timers, struct posix_timer, node);
            unlink_locked(p);
        }
        mutex_unlock(&g->signal_lock);
        if (!p)
            return;
        ktimer_cancel_sync(&p->ktimer);
        timer_free(p);
    }
}
