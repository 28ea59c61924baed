/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/timerfd/timerfd.c: see timerfd.h. `lock` (RANK_EVENT) protects all. A periodic timer that nobody
 * reads costs one wake-up: it is set again when it is read, and what expired meanwhile is counted then.
 * TODO(timerfd): TFD_TIMER_CANCEL_ON_SET has no effect: a guest that sets the clock does not cancel, it
 * re-arms.
 */
#include "sentry/fs/timerfd/timerfd.h"

#include <errno.h>
#include <stdio.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/poll.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/clocks.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/file.h"

struct timerfd {
    struct file file;
    struct kernel *kernel;
    int clock;
    struct waitq queue;
    struct mutex lock;
    struct ktimer timer;
    uint32_t set_flags;
    int64_t expires; /* on `clock`; 0: not set */
    int64_t interval;
    uint64_t ticks; /* expired and not read, up to the last look */
    bool fired;     /* and a periodic one is to be set again at the next look */
};
HEAP_TYPE(timerfd, struct timerfd, 0);

static const struct file_ops g_timerfd_ops;

static struct timerfd *timerfd_of(struct file *f) {
    return container_of(f, struct timerfd, file);
}

static int64_t now_of(const struct timerfd *d) {
    return clock_is_realtime(d->clock) ? clock_guest_realtime(d->kernel) : clock_guest_monotonic(d->kernel);
}

static void arm_locked(struct timerfd *d) {
    ktimer_arm(&d->timer, d->expires ? clock_deadline(d->kernel, d->clock, d->expires) : CLOCK_NEVER);
}

static void timerfd_fire(struct ktimer *timer, int64_t host_now) {
    struct timerfd *d = container_of(timer, struct timerfd, timer);

    (void)host_now;
    mutex_lock(&d->lock);
    bool due = d->expires && !d->fired && now_of(d) >= d->expires;
    if (due) {
        d->ticks++;
        d->fired = true;
    } else if (d->expires && !d->fired) {
        arm_locked(d); /* set anew meanwhile */
    }
    mutex_unlock(&d->lock);
    if (due)
        waitq_wake(&d->queue, LINUX_POLLIN | LINUX_POLLRDNORM);
}
static const struct ktimer_ops g_timer_ops = {.fire = timerfd_fire};

/* Counts what has expired since it fired, and sets a periodic timer again. */
static void catch_up_locked(struct timerfd *d) {
    if (!d->fired)
        return;
    d->fired = false;
    if (d->interval == 0) {
        d->expires = 0;
        return;
    }
    int64_t periods = (now_of(d) - d->expires) / d->interval + 1;
    d->expires += periods * d->interval;
    d->ticks += (uint64_t)periods - 1;
    arm_locked(d);
}

static ssize_t timerfd_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct timerfd *d = timerfd_of(f);

    (void)offset;
    if (to->remaining < sizeof d->ticks)
        return -EINVAL;
    mutex_lock(&d->lock);
    catch_up_locked(d);
    uint64_t ticks = d->ticks;
    d->ticks = 0;
    mutex_unlock(&d->lock);
    if (ticks == 0)
        return -EAGAIN;
    ssize_t n = uio_write(to, &ticks, sizeof ticks);
    return n == sizeof ticks ? n : -EFAULT;
}

static uint32_t timerfd_ready(struct file *f, uint32_t events) {
    struct timerfd *d = timerfd_of(f);

    (void)events;
    mutex_lock(&d->lock);
    bool some = d->ticks > 0;
    mutex_unlock(&d->lock);
    return some ? LINUX_POLLIN | LINUX_POLLRDNORM : 0;
}

static struct waitq *timerfd_poll_queue(struct file *f) {
    return &timerfd_of(f)->queue;
}

static void value_locked(struct timerfd *d, struct itimer_value *ret) {
    catch_up_locked(d);
    ret->interval = d->interval;
    ret->value = d->expires ? MAX(d->expires - now_of(d), 1) : 0;
}

static size_t timerfd_show(struct file *f, char *buf, size_t size) {
    struct timerfd *d = timerfd_of(f);
    struct itimer_value v;

    mutex_lock(&d->lock);
    value_locked(d, &v);
    uint64_t ticks = d->ticks;
    mutex_unlock(&d->lock);
    int n = snprintf(
        buf, size,
        "clockid: %d\nticks: %lu\nsettime flags: 0%o\nit_value: (%lld, %lld)\nit_interval: (%lld, %lld)\n",
        d->clock, (unsigned long)ticks, d->set_flags, v.value / NSEC_PER_SEC, v.value % NSEC_PER_SEC,
        v.interval / NSEC_PER_SEC, v.interval % NSEC_PER_SEC);
    return n > 0 ? MIN((size_t)n, size) : 0;
}

static void timerfd_release(struct file *f) {
    struct timerfd *d = timerfd_of(f);

    ktimer_cancel_sync(&d->timer);
    file_done(f);
    heap_free(d);
}

static const struct file_ops g_timerfd_ops = {
    .name = "timerfd",
    .read = timerfd_read,
    .ready = timerfd_ready,
    .poll_queue = timerfd_poll_queue,
    .show_fdinfo = timerfd_show,
    .release = timerfd_release,
};

static int check_clock(struct task *t, int clock) {
    switch (clock) {
    case LINUX_CLOCK_REALTIME:
    case LINUX_CLOCK_MONOTONIC:
    case LINUX_CLOCK_BOOTTIME:
        return 0;
    case LINUX_CLOCK_REALTIME_ALARM:
    case LINUX_CLOCK_BOOTTIME_ALARM:
        return task_capable(t, LINUX_CAP_WAKE_ALARM) ? 0 : -EPERM;
    default:
        return -EINVAL;
    }
}

int timerfd_new(struct task *t, int clock, uint32_t flags, struct file **ret) {
    int r = check_clock(t, clock);
    struct timerfd *d = r == 0 ? heap_new(timerfd) : NULL;

    if (!d)
        return r < 0 ? r : -ENOMEM;
    r = file_init_anon(&d->file, &g_timerfd_ops, "anon_inode:[timerfd]", 0, LINUX_O_RDWR | flags,
                       FILE_READ | FILE_WRITE | FILE_STREAM, t->creds);
    if (r < 0) {
        heap_free(d);
        return r;
    }
    d->kernel = t->kernel;
    d->clock = clock;
    waitq_init(&d->queue);
    mutex_init(&d->lock, RANK_EVENT);
    ktimer_init(&d->timer, t->kernel, &g_timer_ops);
    *ret = &d->file;
    return 0;
}

int timerfd_set(struct file *f, struct task *t, uint32_t flags, const struct itimer_value *set,
                struct itimer_value *ret_old) {
    struct timerfd *d = timerfd_of(f);

    if (f->ops != &g_timerfd_ops)
        return -EINVAL;
    mutex_lock(&d->lock);
    value_locked(d, ret_old);
    d->ticks = 0;
    d->fired = false;
    d->set_flags = flags;
    d->interval = set->interval;
    d->expires = 0;
    if (set->value)
        d->expires = flags & LINUX_TFD_TIMER_ABSTIME ? MAX(clock_to_kernel(t, d->clock, set->value), 1)
                                                     : clock_add(now_of(d), set->value);
    arm_locked(d);
    mutex_unlock(&d->lock);
    return 0;
}

int timerfd_get(struct file *f, struct itimer_value *ret) {
    struct timerfd *d = timerfd_of(f);

    if (f->ops != &g_timerfd_ops)
        return -EINVAL;
    mutex_lock(&d->lock);
    value_locked(d, ret);
    mutex_unlock(&d->lock);
    return 0;
}
