/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/seccomp.c: installing filters (limits, privileges, TSYNC), inheritance, and what the actions
 * do. Programs: seccomp_bpf.c; user notification: seccomp_notify.c. Source: seccomp(2).
 */
#include "sentry/kernel/seccomp.h"

#include <errno.h>
#include <string.h>

#include "base/abi/linux/unistd.h"
#include "base/log.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/seccomp_bpf.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

enum { MAX_PATH_COUNT = 32768, FILTER_COST = 4, MAX_ERRNO = 4095 };

HEAP_TYPE(seccomp_filter, struct seccomp_filter, 0);

static void seccomp_filter_destroy(struct seccomp_filter *f) {
    /* chains may be long: not by recursion */
    while (f) {
        struct seccomp_filter *previous = f->previous;
        seccomp_listener_unref(f->listener);
        heap_free(f->program);
        heap_free(f);
        if (!previous || !ref_put(&previous->ref))
            break;
        ref_registry_remove("seccomp_filter", previous);
        f = previous;
    }
}
DEFINE_REF(seccomp_filter, seccomp_filter_destroy);

/* A task or a newer filter with users has let go of f. */
static void drop_user(struct seccomp_filter *f) {
    for (; f && atomic_fetch_sub(&f->users, 1) == 1; f = f->previous)
        if (f->listener)
            seccomp_listener_orphan(f->listener);
}

/* ---- installing ---- */

static struct seccomp_filter *filter_new(const struct linux_sock_filter *program, size_t count,
                                         uint32_t flags) {
    struct seccomp_filter *f = heap_new(seccomp_filter);

    if (!f)
        return NULL;
    seccomp_filter_ref_init(f);
    f->program = heap_alloc_bytes(count * sizeof *program);
    if (!f->program)
        return seccomp_filter_unref(f);
    memcpy(f->program, program, count * sizeof *program);
    f->count = (uint16_t)count;
    f->log = flags & LINUX_SECCOMP_FILTER_FLAG_LOG;
    f->wait_killable = flags & LINUX_SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    for (uint32_t number = 0; number < 64 * ARRAY_SIZE(f->always); number++)
        if (seccomp_bpf_always_allows(program, count, number))
            f->always[number / 64] |= 1ull << (number % 64);
    return f;
}

bool seccomp_may_install(struct task *t) {
    return t->no_new_privs || task_capable(t, LINUX_CAP_SYS_ADMIN);
}

static bool has_listener(const struct seccomp_filter *f) {
    for (; f; f = f->previous)
        if (f->listener)
            return true;
    return false;
}

static bool is_ancestor(const struct seccomp_filter *old, const struct seccomp_filter *of) {
    for (; of; of = of->previous)
        if (of == old)
            return true;
    return old == NULL;
}

static void set_mode_locked(struct task *t, uint8_t mode) {
    t->seccomp_mode = mode;
    atomic_fetch_or(&t->syscall_work, SYSCALL_WORK_SECCOMP);
}

/* Threads that cannot take over t's filters: the first one's, or NULL. */
static struct task *cannot_follow_locked(struct task *t) {
    struct task *other;

    list_for_each_entry(other, &t->group->tasks, group_node) {
        if (other == t || other->exiting || other->seccomp_mode == LINUX_SECCOMP_MODE_DISABLED)
            continue;
        if (other->seccomp_mode != LINUX_SECCOMP_MODE_FILTER ||
            !is_ancestor(other->seccomp_filter, t->seccomp_filter))
            return other;
    }
    return NULL;
}

/* All other threads get t's chain. What they had is kept by the chain itself; their references go on `old`.
 */
static void follow_locked(struct task *t) {
    struct task *other;

    list_for_each_entry(other, &t->group->tasks, group_node) {
        if (other == t || other->exiting)
            continue;
        struct seccomp_filter *old = other->seccomp_filter;
        atomic_fetch_add(&t->seccomp_filter->users, 1);
        other->seccomp_filter = seccomp_filter_ref(t->seccomp_filter);
        if (old) { /* the new chain has a reference and a user of it: neither is the last */
            drop_user(old);
            seccomp_filter_unref(old);
        }
        if (t->no_new_privs)
            other->no_new_privs = true;
        set_mode_locked(other, LINUX_SECCOMP_MODE_FILTER);
        task_leave_guest(other); /* no call of its is answered by the platform from here on */
    }
}

/* The reference of f goes to t. 0, a tid (TSYNC), or -errno; taskset_lock and signal_lock held. */
static int attach_locked(struct task *t, struct seccomp_filter *f, uint32_t flags) {
    struct seccomp_filter *old = t->seccomp_filter;

    if (t->seccomp_mode == LINUX_SECCOMP_MODE_STRICT)
        return -EINVAL;
    f->total = seccomp_bpf_cost(f->program, f->count) + (old ? old->total + FILTER_COST : 0);
    if (f->total > MAX_PATH_COUNT)
        return -ENOMEM;
    if (f->listener && has_listener(old))
        return -EBUSY;
    if (flags & LINUX_SECCOMP_FILTER_FLAG_TSYNC) {
        struct task *bad = cannot_follow_locked(t);
        if (bad)
            return flags & LINUX_SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : task_tid_in(bad, task_pid_ns(t));
    }
    for (size_t i = 0; old && i < ARRAY_SIZE(f->always); i++)
        f->always[i] &= old->always[i];
    f->previous = old; /* t's reference and user of it become f's */
    atomic_store(&f->users, 1);
    t->seccomp_filter = seccomp_filter_ref(f);
    set_mode_locked(t, LINUX_SECCOMP_MODE_FILTER);
    if (flags & LINUX_SECCOMP_FILTER_FLAG_TSYNC)
        follow_locked(t);
    return 0;
}

static int attach(struct task *t, struct seccomp_filter *f, uint32_t flags) {
    mutex_lock(&t->kernel->taskset_lock); /* no thread comes or goes */
    mutex_lock(&t->group->signal_lock);
    int r = attach_locked(t, f, flags);
    mutex_unlock(&t->group->signal_lock);
    mutex_unlock(&t->kernel->taskset_lock);
    return r;
}

/* The same with a descriptor for the listener. */
static int64_t attach_with_listener(struct task *t, struct seccomp_filter *f, uint32_t flags) {
    struct file *file;

    int fd = fd_reserve(t, 0, /* cloexec= */ true);
    if (fd < 0)
        return fd;
    int r = seccomp_listener_new(t, &f->listener, &file);
    if (r == 0) {
        r = attach(t, f, flags);
        if (r == 0) {
            fd_fill(t, fd, file);
            return fd;
        }
        file_unref(file);
    }
    fd_unreserve(t, fd);
    return r;
}

int64_t seccomp_set_filter(struct task *t, const struct linux_sock_filter *program, size_t count,
                           uint32_t flags) {
    might_block();
    int64_t r = seccomp_bpf_check(program, count);
    if (r < 0)
        return r;
    struct seccomp_filter *f = filter_new(program, count, flags);
    if (!f)
        return -ENOMEM;
    if (flags & LINUX_SECCOMP_FILTER_FLAG_NEW_LISTENER)
        r = attach_with_listener(t, f, flags);
    else
        r = attach(t, f, flags);
    seccomp_filter_unref(f);
    return r;
}

int seccomp_set_strict(struct task *t) {
    int r = 0;

    mutex_lock(&t->group->signal_lock);
    if (t->seccomp_mode == LINUX_SECCOMP_MODE_FILTER)
        r = -EINVAL;
    else
        set_mode_locked(t, LINUX_SECCOMP_MODE_STRICT);
    mutex_unlock(&t->group->signal_lock);
    return r;
}

/* ---- inheritance and end ---- */

void seccomp_fork_locked(struct task *t, struct task *c) {
    mutex_assert_held(&t->group->signal_lock);
    c->no_new_privs = t->no_new_privs; /* TSYNC may have set it since c was made */
    if (t->seccomp_mode == LINUX_SECCOMP_MODE_DISABLED)
        return;
    if (t->seccomp_filter) {
        atomic_fetch_add(&t->seccomp_filter->users, 1);
        c->seccomp_filter = seccomp_filter_ref(t->seccomp_filter);
    }
    set_mode_locked(c, t->seccomp_mode);
}

void seccomp_exit(struct task *t) {
    mutex_lock(&t->group->signal_lock);
    struct seccomp_filter *f = atomic_exchange(&t->seccomp_filter, NULL);
    mutex_unlock(&t->group->signal_lock);
    drop_user(f);
    seccomp_filter_unref(f);
}

/* ---- deciding ---- */

static void fill_data(const struct task *t, struct linux_seccomp_data *ret) {
    const struct guest_regs *r = &t->regs;

    *ret = (struct linux_seccomp_data){
        .nr = (int32_t)r->orig_rax,
        .arch = LINUX_AUDIT_ARCH_X86_64,
        .instruction_pointer = r->rip,
        .args = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9},
    };
}

/* The least action by its rank wins; of equals the newest filter's. */
static uint32_t run_filters(struct seccomp_filter *first, const struct linux_seccomp_data *data,
                            struct seccomp_filter **ret_from) {
    uint32_t result = LINUX_SECCOMP_RET_ALLOW;

    *ret_from = first;
    for (struct seccomp_filter *f = first; f; f = f->previous) {
        uint32_t one = seccomp_bpf_run(f->program, f->count, data);
        if ((int32_t)(one & LINUX_SECCOMP_RET_ACTION_FULL) <
            (int32_t)(result & LINUX_SECCOMP_RET_ACTION_FULL)) {
            result = one;
            *ret_from = f;
        }
    }
    return result;
}

static void set_result(struct task *t, int64_t result) {
    t->regs.rax = (uint64_t)result;
}

/* SIGSYS as of a filter, on the registers as they were before the call. */
static void force_sigsys(struct task *t, const struct linux_seccomp_data *data, uint32_t errnum, bool fatal) {
    struct linux_siginfo info = {.signo = LINUX_SIGSYS, .code = LINUX_SYS_SECCOMP, .errnum = (int32_t)errnum};

    t->regs.rax = t->regs.orig_rax;
    info.sys.call_address = data->instruction_pointer;
    info.sys.number = data->nr;
    info.sys.arch = data->arch;
    if (fatal)
        signal_force_fatal(t, &info);
    else
        signal_force_fault(t, &info);
}

static void end_thread(struct task *t, int signo) {
    t->exit_request = status_killed(signo);
    task_interrupt(t, TASK_WORK_EXIT);
}

static bool kill_by_filter(struct task *t, const struct linux_seccomp_data *data, uint32_t action) {
    log_info(LOG_KERNEL, "tid %d: seccomp filter kills it for call %d", task_tid(t), data->nr);
    mutex_lock(&t->group->signal_lock);
    bool alone = t->group->live_count == 1;
    mutex_unlock(&t->group->signal_lock);
    if (action == LINUX_SECCOMP_RET_KILL_THREAD && !alone)
        end_thread(t, LINUX_SIGSYS);
    else
        force_sigsys(t, data, 0, /* fatal= */ true);
    return false;
}

static bool ask_listener(struct task *t, struct seccomp_filter *f, const struct linux_seccomp_data *data) {
    int64_t result = -ENOSYS;

    if (f->listener && seccomp_listener_ask(t, f->listener, f->wait_killable, data, &result) > 0)
        return true;
    set_result(t, result);
    return false;
}

static bool filter(struct task *t, bool traced);

/* The tracer may change the call; the filters then have another look, and the tracer has not. */
static bool ask_tracer(struct task *t, uint32_t data) {
    if (!ptrace_wants_event(t, LINUX_PTRACE_EVENT_SECCOMP)) {
        set_result(t, -ENOSYS);
        return false;
    }
    ptrace_event(t, LINUX_PTRACE_EVENT_SECCOMP, data);
    if (atomic_load(&t->pending_work) & TASK_WORK_EXIT)
        return false;
    if ((int32_t)t->regs.orig_rax < 0)
        return false;
    return filter(t, /* traced= */ true);
}

static bool filter(struct task *t, bool traced) {
    struct linux_seccomp_data data;
    struct seccomp_filter *first = t->seccomp_filter, *from;

    fill_data(t, &data);
    uint32_t number = (uint32_t)data.nr;
    if (number < 64 * ARRAY_SIZE(first->always) && first->always[number / 64] >> (number % 64) & 1)
        return true;
    uint32_t result = run_filters(first, &data, &from);
    uint32_t value = result & LINUX_SECCOMP_RET_DATA;
    switch (result & LINUX_SECCOMP_RET_ACTION_FULL) {
    case LINUX_SECCOMP_RET_ALLOW:
        return true;
    case LINUX_SECCOMP_RET_LOG:
        log_info(LOG_KERNEL, "tid %d: seccomp filter logs call %d", task_tid(t), data.nr);
        return true;
    case LINUX_SECCOMP_RET_ERRNO:
        set_result(t, -(int64_t)MIN(value, (uint32_t)MAX_ERRNO));
        return false;
    case LINUX_SECCOMP_RET_TRAP:
        force_sigsys(t, &data, value, /* fatal= */ false);
        return false;
    case LINUX_SECCOMP_RET_TRACE:
        return traced ? true : ask_tracer(t, value);
    case LINUX_SECCOMP_RET_USER_NOTIF:
        return ask_listener(t, from, &data);
    default:
        return kill_by_filter(t, &data, result & LINUX_SECCOMP_RET_ACTION_FULL);
    }
}

static bool strict(struct task *t) {
    switch (t->regs.orig_rax) {
    case LINUX_SYS_read:
    case LINUX_SYS_write:
    case LINUX_SYS_exit:
    case LINUX_SYS_rt_sigreturn:
        return true;
    default:
        end_thread(t, LINUX_SIGKILL);
        return false;
    }
}

bool seccomp_enter(struct task *t) {
    if (ptrace_suspends_seccomp(t))
        return true;
    return t->seccomp_mode == LINUX_SECCOMP_MODE_STRICT ? strict(t) : filter(t, /* traced= */ false);
}

/* ---- for others to see ---- */

static struct seccomp_filter *take_filter(struct task *t) {
    mutex_lock(&t->group->signal_lock);
    struct seccomp_filter *f = t->seccomp_filter ? seccomp_filter_ref(t->seccomp_filter) : NULL;
    mutex_unlock(&t->group->signal_lock);
    return f;
}

unsigned seccomp_filter_count(struct task *t) {
    struct seccomp_filter *f = take_filter(t);
    unsigned count = 0;

    for (const struct seccomp_filter *i = f; i; i = i->previous)
        count++;
    seccomp_filter_unref(f);
    return count;
}

struct seccomp_filter *seccomp_get_filter(struct task *t, uint64_t index) {
    struct seccomp_filter *f = take_filter(t), *found = f;
    uint64_t count = 0;

    for (const struct seccomp_filter *i = f; i; i = i->previous)
        count++;
    if (index >= count)
        found = NULL;
    for (uint64_t skip = count - 1 - index; found && skip > 0; skip--)
        found = found->previous;
    if (found)
        seccomp_filter_ref(found);
    seccomp_filter_unref(f);
    return found;
}
