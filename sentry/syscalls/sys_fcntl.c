/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_fcntl.c: fcntl and flock. Source: fcntl(2), flock(2).
 */
#include <errno.h>

#include "base/abi/linux/signal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/syscalls/sys_files.h"
#include "sentry/vfs/file_async.h"
#include "sentry/vfs/file_lock.h"
#include "sentry/vfs/inotify.h"
#include "sentry/vfs/lease.h"
#include "sentry/vfs/pipe.h"

enum { SETFL_BITS = LINUX_O_APPEND | LINUX_O_NONBLOCK | LINUX_O_DIRECT | LINUX_O_NOATIME };

static int64_t dup_min(struct task *t, struct file *f, uint64_t min, bool cloexec) {
    if (min >= task_limit(t, LINUX_RLIMIT_NOFILE) || min > INT32_MAX)
        return -EINVAL;
    int fd = fd_install(t, file_ref(f), (int)min, cloexec);
    if (fd < 0)
        file_unref(f);
    return fd;
}

static int64_t set_flags(struct task *t, struct file *f, int fd, uint64_t arg) {
    uint32_t old = atomic_load(&f->flags), new = (old & ~(uint32_t)SETFL_BITS) | ((uint32_t)arg & SETFL_BITS);
    bool async = (uint32_t)arg & LINUX_O_ASYNC;

    if (new &LINUX_O_NOATIME && !(old & LINUX_O_NOATIME) && !inode_owner_or_capable(f->inode, task_creds(t)))
        return -EPERM;
    if (f->inode->flags & INODE_APPEND && (old ^ new) & LINUX_O_APPEND)
        return -EPERM;
    if (f->ops->set_flags) {
        int r = f->ops->set_flags(f, new);
        if (r < 0)
            return r;
    }
    atomic_store(&f->flags, new);
    if (async != !!(old & LINUX_O_ASYNC) && file_can_async(f)) /* others forget it: open(2) */
        return file_set_async(t, f, fd, async);
    return 0;
}

/* ---- record locks ---- */

static int range_of(struct file *f, const struct linux_flock *fl, struct lock_range *ret) {
    int64_t start, end;
    struct kstat st;

    switch (fl->whence) {
    case LINUX_SEEK_SET:
        start = 0;
        break;
    case LINUX_SEEK_CUR:
        start = (int64_t)file_position(f);
        break;
    case LINUX_SEEK_END: {
        int r = vfs_getattr(&f->path, &st);
        if (r < 0)
            return r;
        start = (int64_t)st.size;
        break;
    }
    default:
        return -EINVAL;
    }
    if (__builtin_add_overflow(start, fl->start, &start))
        return -EOVERFLOW;
    if (start < 0)
        return -EINVAL;
    if (fl->len == 0) {
        end = INT64_MAX;
    } else if (fl->len > 0) {
        if (__builtin_add_overflow(start, fl->len - 1, &end))
            return -EOVERFLOW;
    } else {
        if (__builtin_add_overflow(start, fl->len, &end) || end < 0)
            return -EINVAL;
        int64_t first = end;
        end = start - 1;
        start = first;
    }
    *ret = (struct lock_range){.start = (uint64_t)start, .end = (uint64_t)end};
    return 0;
}

static int type_of(int type, enum lock_type *ret) {
    static const enum lock_type map[] = {
        [LINUX_F_RDLCK] = LOCK_READ, [LINUX_F_WRLCK] = LOCK_WRITE, [LINUX_F_UNLCK] = LOCK_NONE};

    if (type < 0 || type > LINUX_F_UNLCK)
        return -EINVAL;
    *ret = map[type];
    return 0;
}

static int64_t get_lock(struct task *t, struct file *f, enum lock_kind kind, gva_t arg) {
    struct linux_flock fl;
    struct lock_range range;
    int r = copy_in(t, &fl, arg, sizeof fl);

    if (r < 0)
        return r;
    if ((fl.type != LINUX_F_RDLCK && fl.type != LINUX_F_WRLCK) || (kind == LOCK_OFD && fl.pid != 0))
        return -EINVAL;
    r = range_of(f, &fl, &range);
    if (r < 0)
        return r;
    (void)type_of(fl.type, &range.type);
    file_lock_test(t, f, kind, &range);
    if (range.type == LOCK_NONE) {
        fl.type = LINUX_F_UNLCK;
    } else {
        fl = (struct linux_flock){.type = range.type == LOCK_READ ? LINUX_F_RDLCK : LINUX_F_WRLCK,
                                  .whence = LINUX_SEEK_SET,
                                  .start = (int64_t)range.start,
                                  .len = range.end == INT64_MAX ? 0 : (int64_t)(range.end - range.start + 1),
                                  .pid = range.pid};
    }
    return copy_out(t, arg, &fl, sizeof fl);
}

static int64_t set_lock(struct task *t, struct file *f, enum lock_kind kind, bool wait, gva_t arg) {
    struct linux_flock fl;
    struct lock_range range;
    int r = copy_in(t, &fl, arg, sizeof fl);

    if (r == 0 && kind == LOCK_OFD && fl.pid != 0)
        r = -EINVAL;
    if (r == 0)
        r = range_of(f, &fl, &range);
    if (r == 0)
        r = type_of(fl.type, &range.type);
    if (r < 0)
        return r;
    if ((range.type == LOCK_READ && !(f->mode & FILE_READ)) ||
        (range.type == LOCK_WRITE && !(f->mode & FILE_WRITE)))
        return -EBADF;
    return file_lock_set(t, f, kind, &range, wait);
}

/* ---- who gets SIGIO ---- */

static int set_owner(struct task *t, struct file *f, int role, int number) {
    struct pid *pid = NULL;

    if (number != 0) {
        mutex_lock(&t->kernel->taskset_lock);
        struct pid *found = pid_find_locked(task_pid_ns(t), number);
        pid = found ? pid_ref(found) : NULL;
        mutex_unlock(&t->kernel->taskset_lock);
        if (!pid)
            return -ESRCH;
    }
    return file_set_owner(t, f, pid, role);
}

static int get_owner(struct task *t, struct file *f, int *ret_role) {
    struct pid *pid = file_get_owner(f, ret_role);
    int number = pid ? pid_nr(pid, task_pid_ns(t)) : 0;

    pid_unref(pid);
    return number;
}

static const int g_owner_types[] = {
    [LINUX_F_OWNER_TID] = PID_TASK, [LINUX_F_OWNER_PID] = PID_GROUP, [LINUX_F_OWNER_PGRP] = PID_PGRP};

static int64_t owner_call(struct task *t, struct file *f, int cmd, uint64_t arg) {
    struct linux_f_owner_ex ex = {0};
    int role, number = (int)arg, r;

    switch (cmd) {
    case LINUX_F_SETOWN:
        if (number == INT32_MIN)
            return -EINVAL;
        return set_owner(t, f, number < 0 ? PID_PGRP : PID_GROUP, number < 0 ? -number : number);
    case LINUX_F_GETOWN:
        number = get_owner(t, f, &role);
        return role == PID_PGRP ? -number : number;
    case LINUX_F_SETOWN_EX:
        r = copy_in(t, &ex, arg, sizeof ex);
        if (r < 0)
            return r;
        if (ex.type < 0 || ex.type > LINUX_F_OWNER_PGRP)
            return -EINVAL;
        return set_owner(t, f, g_owner_types[ex.type], ex.pid);
    case LINUX_F_GETOWN_EX:
        ex.pid = get_owner(t, f, &role);
        for (ex.type = LINUX_F_OWNER_PGRP; ex.type > 0 && g_owner_types[ex.type] != role;)
            ex.type--;
        return copy_out(t, arg, &ex, sizeof ex);
    case LINUX_F_SETSIG:
        if (number < 0 || number > LINUX_NSIG)
            return -EINVAL;
        return file_set_owner_signal(t, f, number);
    default: /* F_GETSIG */
        return file_get_owner_signal(f);
    }
}

/* ---- the call ---- */

/* Hints of how long what is written lives: kept with the inode, and without effect. */
static int64_t rw_hint(struct task *t, struct file *f, int cmd, gva_t arg) {
    enum { RWH_MAX = 5 /* RWH_WRITE_LIFE_EXTREME */ };
    uint64_t hint = f->inode->rw_hint;

    if (cmd == LINUX_F_GET_RW_HINT)
        return copy_out(t, arg, &hint, sizeof hint);
    int r = copy_in(t, &hint, arg, sizeof hint);
    if (r < 0)
        return r;
    if (!inode_owner_or_capable(f->inode, task_creds(t)))
        return -EPERM;
    if (hint > RWH_MAX)
        return -EINVAL;
    f->inode->rw_hint = (uint8_t)hint;
    return 0;
}

static int64_t owner_uids(struct task *t, struct file *f, gva_t arg) {
    struct file_async *a = file_async_of(t, f);
    struct user_ns *ns = task_creds(t)->user_ns;

    if (!a)
        return -ENOMEM;
    uint32_t uids[2] = {from_kuid(ns, a->uid), from_kuid(ns, a->euid)};
    return copy_out(t, arg, uids, sizeof uids);
}

static int64_t dupfd_query(struct task *t, struct file *f, int fd) {
    struct file *other = fd_get_any(t, fd);
    int64_t same = other ? other == f : -EBADF;

    file_unref(other);
    return same;
}

static int64_t fcntl_full(struct task *t, struct file *f, int fd, int cmd, uint64_t arg) {
    switch (cmd) {
    case LINUX_F_SETFL:
        return set_flags(t, f, fd, arg);
    case LINUX_F_GETLK:
        return get_lock(t, f, LOCK_POSIX, arg);
    case LINUX_F_SETLK:
    case LINUX_F_SETLKW:
        return set_lock(t, f, LOCK_POSIX, cmd == LINUX_F_SETLKW, arg);
    case LINUX_F_OFD_GETLK:
        return get_lock(t, f, LOCK_OFD, arg);
    case LINUX_F_OFD_SETLK:
    case LINUX_F_OFD_SETLKW:
        return set_lock(t, f, LOCK_OFD, cmd == LINUX_F_OFD_SETLKW, arg);
    case LINUX_F_SETOWN:
    case LINUX_F_GETOWN:
    case LINUX_F_SETOWN_EX:
    case LINUX_F_GETOWN_EX:
    case LINUX_F_SETSIG:
    case LINUX_F_GETSIG:
        return owner_call(t, f, cmd, arg);
    case LINUX_F_GETPIPE_SZ:
        return pipe_get_size(f);
    case LINUX_F_SETPIPE_SZ:
        return pipe_set_size(t, f, arg);
    case LINUX_F_ADD_SEALS:
    case LINUX_F_GET_SEALS:
        return f->ops->seals ? f->ops->seals(f, cmd, (uint32_t)arg) : -EINVAL;
    case LINUX_F_SETLEASE:
        return lease_set(t, f, fd, (int)arg);
    case LINUX_F_GETLEASE:
        return lease_get(f);
    case LINUX_F_NOTIFY:
        return dnotify_set(t, f, fd, (uint32_t)arg);
    case LINUX_F_GETOWNER_UIDS:
        return owner_uids(t, f, arg);
    case LINUX_F_GET_RW_HINT:
    case LINUX_F_SET_RW_HINT:
        return rw_hint(t, f, cmd, arg);
    default:
        return -EINVAL;
    }
}

static int64_t do_fcntl(struct task *t, struct file *f, int fd, int cmd, uint64_t arg) {
    switch (cmd) {
    case LINUX_F_DUPFD:
    case LINUX_F_DUPFD_CLOEXEC:
        return dup_min(t, f, (uint32_t)arg, cmd == LINUX_F_DUPFD_CLOEXEC);
    case LINUX_F_GETFD:
        return fd_get_cloexec(t, fd);
    case LINUX_F_SETFD:
        return fd_set_cloexec(t, fd, arg & LINUX_FD_CLOEXEC);
    case LINUX_F_GETFL:
        return atomic_load(&f->flags);
    case LINUX_F_DUPFD_QUERY:
        return dupfd_query(t, f, (int)arg);
    default:
        return f->mode & FILE_PATH ? -EBADF : fcntl_full(t, f, fd, cmd, arg);
    }
}

int64_t sys_fcntl(struct task *t, const struct syscall_args *a) {
    int fd = arg_int(a, 0);
    struct file *f = fd_get_any(t, fd);

    if (!f)
        return -EBADF;
    int64_t r = do_fcntl(t, f, fd, arg_int(a, 1), a->arg[2]);
    file_unref(f);
    return r;
}

int64_t sys_flock(struct task *t, const struct syscall_args *a) {
    int op = arg_int(a, 1);
    struct lock_range whole = {.start = 0, .end = INT64_MAX};

    switch (op & ~LINUX_LOCK_NB) {
    case LINUX_LOCK_SH:
        whole.type = LOCK_READ;
        break;
    case LINUX_LOCK_EX:
        whole.type = LOCK_WRITE;
        break;
    case LINUX_LOCK_UN:
        whole.type = LOCK_NONE;
        break;
    default:
        return -EINVAL;
    }
    struct file *f = fd_get(t, arg_int(a, 0));
    if (!f)
        return -EBADF;
    int64_t r = file_lock_set(t, f, LOCK_FLOCK, &whole, !(op & LINUX_LOCK_NB));
    file_unref(f);
    return r;
}
