/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_poll.c: poll, ppoll, select, pselect6. Source: poll(2), select(2), restart_syscall(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/time.h"
#include "base/clock.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/signal.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/vfs/poll.h"

enum {
    SELECT_IN = LINUX_POLLRDNORM | LINUX_POLLRDBAND | LINUX_POLLIN | LINUX_POLLHUP | LINUX_POLLERR,
    SELECT_OUT = LINUX_POLLWRBAND | LINUX_POLLWRNORM | LINUX_POLLOUT | LINUX_POLLERR,
    SELECT_EX = LINUX_POLLPRI,
};

/* ---- timeouts and masks ---- */

static int deadline_of(int64_t sec, int64_t nsec, int64_t *ret) {
    if (sec < 0 || nsec < 0 || nsec >= NSEC_PER_SEC)
        return -EINVAL;
    if (sec == 0 && nsec == 0)
        *ret = 0;
    else if (sec > INT64_MAX / NSEC_PER_SEC - 1)
        *ret = CLOCK_NEVER;
    else
        *ret = clock_add(monotonic_ns(), sec * NSEC_PER_SEC + nsec);
    return 0;
}

static int copy_in_deadline(struct task *t, gva_t from, int64_t *ret) {
    struct linux_timespec ts;

    *ret = CLOCK_NEVER;
    if (!from)
        return 0;
    int r = copy_in(t, &ts, from, sizeof ts);
    return r < 0 ? r : deadline_of(ts.sec, ts.nsec, ret);
}

/* The time that is left is written back; where that fails, an interrupted call cannot be restarted. */
static int64_t finish_time(struct task *t, int64_t r, gva_t to, bool is_timeval, int64_t deadline) {
    if (!to || deadline == CLOCK_NEVER)
        return r;
    int64_t left = deadline == 0 ? 0 : MAX(deadline - monotonic_ns(), (int64_t)0);
    struct linux_timespec ts = {left / NSEC_PER_SEC, left % NSEC_PER_SEC};
    if (is_timeval)
        ts.nsec /= 1000;
    if (copy_out(t, to, &ts, sizeof ts) < 0 && r == -ERESTARTNOHAND)
        return -EINTR;
    return r;
}

static int set_mask(struct task *t, gva_t mask, uint64_t size) {
    uint64_t set;

    if (!mask)
        return 0;
    if (size != sizeof set)
        return -EINVAL;
    int r = copy_in(t, &set, mask, sizeof set);
    if (r == 0)
        signal_set_temporary_mask(t, set);
    return r;
}

/* After an interruption the mask stays until the handler's frame is made. */
static void restore_mask(struct task *t, gva_t mask, int64_t r) {
    if (mask && r != -ERESTARTNOHAND)
        signal_restore_temporary_mask(t);
}

/* ---- poll ---- */

static struct poll_item *items_new(size_t count) {
    return heap_alloc_array(MAX(count, (size_t)1), sizeof(struct poll_item));
}

static void items_free(struct poll_item *items, size_t count) {
    for (size_t i = 0; i < count; i++)
        file_unref(items[i].file);
    heap_free(items);
}

static int64_t poll_fds(struct task *t, struct linux_pollfd *fds, struct poll_item *items, size_t count,
                        int64_t deadline) {
    int64_t bad = 0;

    for (size_t i = 0; i < count; i++) {
        if (fds[i].fd < 0)
            continue;
        items[i].file = fd_get(t, fds[i].fd);
        items[i].events = (uint16_t)fds[i].events;
        bad += !items[i].file;
    }
    int64_t r = poll_wait(t, items, count, bad > 0 ? 0 : deadline);
    for (size_t i = 0; r >= 0 && i < count; i++)
        fds[i].revents = fds[i].fd < 0 ? 0 : items[i].file ? (int16_t)items[i].revents : LINUX_POLLNVAL;
    return r < 0 ? -ERESTARTNOHAND : r + bad;
}

static int64_t do_poll(struct task *t, gva_t at, uint64_t count, int64_t deadline) {
    if ((uint32_t)count > task_limit(t, LINUX_RLIMIT_NOFILE))
        return -EINVAL;
    count = (uint32_t)count;
    struct linux_pollfd *fds = heap_alloc_bytes(MAX(count, 1ul) * sizeof *fds);
    struct poll_item *items = items_new(count);
    int64_t r = fds && items ? 0 : -ENOMEM;
    if (r == 0)
        r = copy_in(t, fds, at, count * sizeof *fds);
    if (r == 0)
        r = poll_fds(t, fds, items, count, deadline);
    for (size_t i = 0; r >= 0 && i < count; i++)
        if (copy_out(t, at + i * sizeof *fds + offsetof(struct linux_pollfd, revents), &fds[i].revents,
                     sizeof fds[i].revents) < 0)
            r = -EFAULT;
    if (items)
        items_free(items, count);
    heap_free(fds);
    return r;
}

static int64_t restart_poll(struct task *t, struct restart_block *b) {
    int64_t r = do_poll(t, b->arg[0], b->arg[1], (int64_t)b->arg[2]);

    return r == -ERESTARTNOHAND ? -ERESTART_RESTARTBLOCK : r;
}

int64_t sys_poll(struct task *t, const struct syscall_args *a) {
    int32_t ms = arg_int(a, 2);
    int64_t deadline = ms < 0 ? CLOCK_NEVER : ms == 0 ? 0 : clock_add(monotonic_ns(), ms * 1000000ll);
    int64_t r = do_poll(t, a->arg[0], a->arg[1], deadline);

    if (r != -ERESTARTNOHAND)
        return r;
    t->restart =
        (struct restart_block){.fn = restart_poll, .arg = {a->arg[0], a->arg[1], (uint64_t)deadline}};
    return -ERESTART_RESTARTBLOCK;
}

int64_t sys_ppoll(struct task *t, const struct syscall_args *a) {
    int64_t deadline;
    int r = copy_in_deadline(t, a->arg[2], &deadline);

    if (r == 0)
        r = set_mask(t, a->arg[3], a->arg[4]);
    if (r < 0)
        return r;
    int64_t n = do_poll(t, a->arg[0], a->arg[1], deadline);
    restore_mask(t, a->arg[3], n);
    return finish_time(t, n, a->arg[2], /* is_timeval= */ false, deadline);
}

/* ---- select ---- */

enum { SETS = 3 };
static const uint32_t g_set_events[SETS] = {SELECT_IN, SELECT_OUT, SELECT_EX};

static bool get_bit(const uint64_t *set, size_t n) {
    return set[n / 64] >> n % 64 & 1;
}

/* One item per descriptor that is in any set, in order. -EBADF. */
static int64_t collect_items(struct task *t, uint64_t *const in[SETS], size_t n, struct poll_item *items) {
    size_t count = 0;

    for (size_t fd = 0; fd < n; fd++) {
        uint32_t events = 0;
        for (int s = 0; s < SETS; s++)
            events |= get_bit(in[s], fd) ? g_set_events[s] : 0;
        if (!events)
            continue;
        items[count].file = fd_get(t, (int)fd);
        items[count].events = events;
        if (!items[count++].file)
            return -EBADF;
    }
    return (int64_t)count;
}

static int64_t fill_sets(uint64_t *const sets[SETS], size_t n, const struct poll_item *items) {
    int64_t total = 0;
    size_t k = 0;

    for (size_t fd = 0; fd < n; fd++) {
        bool any = get_bit(sets[0], fd) || get_bit(sets[1], fd) || get_bit(sets[2], fd);
        if (!any)
            continue;
        for (int s = 0; s < SETS; s++) {
            if (!get_bit(sets[s], fd))
                continue;
            if (items[k].revents & g_set_events[s])
                total++;
            else
                sets[s][fd / 64] &= ~(1ull << fd % 64);
        }
        k++;
    }
    return total;
}

static size_t popcount(uint64_t *const sets[SETS], size_t words) {
    size_t n = 0;

    for (size_t w = 0; w < words; w++)
        n += (size_t)__builtin_popcountll(sets[0][w] | sets[1][w] | sets[2][w]);
    return n;
}

static int64_t select_sets(struct task *t, uint64_t *const sets[SETS], size_t n, int64_t deadline) {
    size_t words = (n + 63) / 64, max = popcount(sets, words);
    struct poll_item *items = items_new(max);

    if (!items)
        return -ENOMEM;
    int64_t count = collect_items(t, sets, n, items), r = count;
    if (count >= 0)
        r = poll_wait(t, items, (size_t)count, deadline);
    if (r >= 0)
        r = fill_sets(sets, n, items);
    items_free(items, max);
    return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
}

/* Bits beyond it are not looked at: Linux takes what its table has room for, 64 at first, 256 at least once
 * grown. */
static size_t table_capacity(struct task *t) {
    mutex_lock(&t->files->lock);
    size_t n = t->files->capacity;
    mutex_unlock(&t->files->lock);
    return n <= 64 ? 64 : MAX(n, 256ul);
}

static int64_t do_select(struct task *t, int nfds, const gva_t at[SETS], int64_t deadline) {
    if (nfds < 0)
        return -EINVAL;
    size_t n = MIN((size_t)nfds, table_capacity(t)), words = (n + 63) / 64, bytes = words * 8;
    uint64_t *mem = heap_alloc_bytes(MAX(SETS * bytes, (size_t)1));
    int64_t r = mem ? 0 : -ENOMEM;
    uint64_t *const sets[SETS] = {mem, mem ? mem + words : NULL, mem ? mem + 2 * words : NULL};
    for (int s = 0; s < SETS && r == 0; s++) {
        if (at[s])
            r = copy_in(t, sets[s], at[s], bytes);
        if (n % 64) /* bits of the last word that are not asked about */
            sets[s][words - 1] &= (1ull << n % 64) - 1;
    }
    if (r == 0)
        r = select_sets(t, sets, n, deadline);
    for (int s = 0; s < SETS && r >= 0; s++)
        if (at[s] && copy_out(t, at[s], sets[s], bytes) < 0)
            r = -EFAULT;
    heap_free(mem);
    return r;
}

int64_t sys_select(struct task *t, const struct syscall_args *a) {
    struct linux_timeval tv;
    int64_t deadline = CLOCK_NEVER;

    if (a->arg[4]) {
        int r = copy_in(t, &tv, a->arg[4], sizeof tv);
        if (r == 0 && (tv.usec < 0 || tv.sec < 0))
            r = -EINVAL;
        if (r == 0) { /* more than a second of microseconds is fine: select(2) */
            int64_t more = tv.usec / 1000000;
            tv.sec = tv.sec > INT64_MAX - more ? INT64_MAX : tv.sec + more;
            r = deadline_of(tv.sec, tv.usec % 1000000 * 1000, &deadline);
        }
        if (r < 0)
            return r;
    }
    int64_t n = do_select(t, arg_int(a, 0), &a->arg[1], deadline);
    return finish_time(t, n, a->arg[4], /* is_timeval= */ true, deadline);
}

int64_t sys_pselect6(struct task *t, const struct syscall_args *a) {
    struct linux_sigset_argpack pack = {0};
    int64_t deadline;
    int r = a->arg[5] ? copy_in(t, &pack, a->arg[5], sizeof pack) : 0;

    if (r == 0)
        r = copy_in_deadline(t, a->arg[4], &deadline);
    if (r == 0)
        r = set_mask(t, pack.set, pack.size);
    if (r < 0)
        return r;
    int64_t n = do_select(t, arg_int(a, 0), &a->arg[1], deadline);
    restore_mask(t, pack.set, n);
    return finish_time(t, n, a->arg[4], /* is_timeval= */ false, deadline);
}
