/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/devpts/tty_jobs.c: terminals and job control: controlling terminals, foreground groups, hang-up.
 * Source: tty_ioctl(4), setsid(2), credentials(7).
 */
#include <errno.h>

#include "base/abi/linux/ioctl.h"
#include "sentry/fs/devpts/tty_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

enum { CAP_SYS_ADMIN_NR = 21 };

void tty_signal_foreground_locked(struct tty *tty, int signo) {
    struct linux_siginfo info;

    if (!tty->foreground)
        return;
    siginfo_kernel(&info, signo);
    signal_send_pgrp(tty->foreground, &info);
}

/* The terminal is t's controlling one and t's group is not in the foreground. */
static bool in_background(struct tty *tty, struct task *t, struct pid **ret_pgrp) {
    struct tty *controlling = task_get_tty(t);
    struct pid *pgrp = task_get_pgrp(t);

    mutex_lock(&tty->lock);
    bool background = controlling == tty && tty->foreground && tty->foreground != pgrp;
    mutex_unlock(&tty->lock);
    tty_unref(controlling);
    if (background)
        *ret_pgrp = pgrp;
    else
        pid_unref(pgrp);
    return background;
}

int tty_check_job_control(struct tty *tty, struct task *t, int signo) {
    struct pid *pgrp = NULL;
    struct linux_sigaction action;
    int r = 0;

    if (!t || !in_background(tty, t, &pgrp))
        return 0;
    bool ignored = signal_action(t, signo, NULL, &action) == 0 && action.handler == LINUX_SIG_IGN;
    if (ignored || (t->blocked & SIGBIT(signo))) {
        r = signo == LINUX_SIGTTIN ? -EIO : 0;
    } else if (pgrp_is_orphaned(t->kernel, pgrp)) {
        r = -EIO;
    } else {
        struct linux_siginfo info;
        siginfo_kernel(&info, signo);
        signal_send_pgrp(pgrp, &info);
        r = -ERESTARTSYS;
    }
    pid_unref(pgrp);
    return r;
}

/* Takes the references. tty->lock held. */
static void set_session_locked(struct tty *tty, struct pid *session, struct pid *foreground) {
    pid_unref(tty->session);
    pid_unref(tty->foreground);
    tty->session = session;
    tty->foreground = foreground;
}

static void become_controlling(struct tty *tty, struct task *t) {
    mutex_lock(&tty->lock);
    set_session_locked(tty, task_get_session(t), task_get_pgrp(t));
    mutex_unlock(&tty->lock);
    task_set_tty(t, tty_ref(tty));
}

void tty_maybe_become_controlling(struct tty *tty, struct task *t) {
    struct tty *have = t && task_is_session_leader(t) ? task_get_tty(t) : tty;

    if (!t || have) {
        if (have != tty)
            tty_unref(have);
        return;
    }
    mutex_lock(&tty->lock);
    bool is_free = !tty->session && !tty->hung_up;
    mutex_unlock(&tty->lock);
    if (is_free)
        become_controlling(tty, t);
}

static int set_controlling(struct tty *tty, struct task *t, uint64_t steal) {
    struct tty *have = task_get_tty(t);
    struct pid *session = task_get_session(t);
    int r = 0;

    mutex_lock(&tty->lock);
    struct pid *other = tty->session && tty->session != session ? pid_ref(tty->session) : NULL;
    bool already = have == tty && tty->session == session;
    mutex_unlock(&tty->lock);
    if (already)
        r = 0;
    else if (!task_is_session_leader(t) || have)
        r = -EPERM;
    else if (other && !(steal == 1 && task_capable(t, CAP_SYS_ADMIN_NR)))
        r = -EPERM;
    else {
        if (other)
            session_clear_tty(t->kernel, other);
        become_controlling(tty, t);
    }
    pid_unref(other);
    pid_unref(session);
    tty_unref(have);
    return r;
}

/* TIOCNOTTY: the leader gives the terminal up for the whole session; any other process for itself. */
static int give_up(struct tty *tty, struct task *t) {
    struct tty *have = task_get_tty(t);

    if (have != tty) {
        tty_unref(have);
        return -ENOTTY;
    }
    tty_unref(have);
    if (!task_is_session_leader(t)) {
        task_set_tty(t, NULL);
        return 0;
    }
    struct pid *session = task_get_session(t);
    tty_session_ended(tty, session);
    pid_unref(session);
    return 0;
}

static int get_foreground(struct tty *tty, struct task *t, uint64_t arg, bool is_master) {
    struct tty *have = task_get_tty(t);
    bool controlling = have == tty;

    tty_unref(have);
    if (!controlling && !is_master)
        return -ENOTTY;
    mutex_lock(&tty->lock);
    int32_t number = tty->foreground ? pid_nr(tty->foreground, task_pid_ns(t)) : 0;
    mutex_unlock(&tty->lock);
    return copy_out(t, arg, &number, sizeof number);
}

static int set_foreground(struct tty *tty, struct task *t, uint64_t arg) {
    int32_t number;
    int r = tty_check_job_control(tty, t, LINUX_SIGTTOU);

    if (r == 0)
        r = copy_in(t, &number, arg, sizeof number);
    if (r < 0)
        return r;
    if (number < 0)
        return -EINVAL;
    struct tty *have = task_get_tty(t);
    struct pid *session = task_get_session(t);
    struct pid *pgrp = task_find_pid(t, number);
    mutex_lock(&tty->lock);
    if (have != tty || tty->session != session)
        r = -ENOTTY;
    else if (!pgrp)
        r = -ESRCH;
    else if (!pgrp_in_session(t->kernel, pgrp, session))
        r = -EPERM;
    else {
        pid_unref(tty->foreground);
        tty->foreground = pid_ref(pgrp);
    }
    mutex_unlock(&tty->lock);
    pid_unref(pgrp);
    pid_unref(session);
    tty_unref(have);
    return r;
}

static int get_session(struct tty *tty, struct task *t, uint64_t arg, bool is_master) {
    struct tty *have = task_get_tty(t);
    bool controlling = have == tty;

    tty_unref(have);
    mutex_lock(&tty->lock);
    int32_t number = tty->session ? pid_nr(tty->session, task_pid_ns(t)) : 0;
    mutex_unlock(&tty->lock);
    if (number == 0 || (!controlling && !is_master))
        return -ENOTTY;
    return copy_out(t, arg, &number, sizeof number);
}

int64_t tty_job_ioctl(struct tty *tty, struct task *t, uint32_t cmd, uint64_t arg, bool is_master,
                      bool *ret_handled) {
    *ret_handled = true;
    switch (cmd) {
    case LINUX_TIOCSCTTY:
        return is_master ? -EIO : set_controlling(tty, t, arg);
    case LINUX_TIOCNOTTY:
        return give_up(tty, t);
    case LINUX_TIOCGPGRP:
        return get_foreground(tty, t, arg, is_master);
    case LINUX_TIOCSPGRP:
        return set_foreground(tty, t, arg);
    case LINUX_TIOCGSID:
        return get_session(tty, t, arg, is_master);
    }
    *ret_handled = false;
    return 0;
}

/* ---- ends ---- */

void tty_session_ended(struct tty *tty, struct pid *session) {
    struct linux_siginfo info;

    mutex_lock(&tty->lock);
    bool ours = tty->session == session;
    struct pid *foreground = ours && tty->foreground ? pid_ref(tty->foreground) : NULL;
    if (ours)
        set_session_locked(tty, NULL, NULL);
    mutex_unlock(&tty->lock);
    if (!ours)
        return;
    if (foreground) {
        siginfo_kernel(&info, LINUX_SIGHUP);
        signal_send_pgrp(foreground, &info);
        siginfo_kernel(&info, LINUX_SIGCONT);
        signal_send_pgrp(foreground, &info);
    }
    session_clear_tty(tty->kernel, session);
    pid_unref(foreground);
}

void tty_hangup(struct tty *tty) {
    struct linux_siginfo info;

    mutex_lock(&tty->lock);
    tty->hung_up = true;
    struct pid *session = tty->session, *foreground = tty->foreground;
    tty->session = tty->foreground = NULL;
    waitq_wake(&tty->slave_queue, WAIT_ANY);
    waitq_wake(&tty->master_queue, WAIT_ANY);
    mutex_unlock(&tty->lock);
    if (session) {
        /* The session leader's group and the foreground group: setsid(2), termios(3) "hang up". */
        siginfo_kernel(&info, LINUX_SIGHUP);
        signal_send_pgrp(session, &info);
        if (foreground && foreground != session)
            signal_send_pgrp(foreground, &info);
        siginfo_kernel(&info, LINUX_SIGCONT);
        signal_send_pgrp(session, &info);
        if (foreground && foreground != session)
            signal_send_pgrp(foreground, &info);
        session_clear_tty(tty->kernel, session);
    }
    pid_unref(session);
    pid_unref(foreground);
}

void tty_set_winsize(struct tty *tty, const struct linux_winsize *size) {
    mutex_lock(&tty->lock);
    bool changed = tty->winsize.row != size->row || tty->winsize.col != size->col ||
                   tty->winsize.xpixel != size->xpixel || tty->winsize.ypixel != size->ypixel;
    tty->winsize = *size;
    if (changed)
        tty_signal_foreground_locked(tty, LINUX_SIGWINCH);
    mutex_unlock(&tty->lock);
}

void tty_proc_numbers(struct tty *tty, struct pid_ns *ns, int *ret_number, int *ret_pgrp) {
    mutex_lock(&tty->lock);
    *ret_number = (TTY_MAJOR_PTS << 8) | (tty->index & 0xff) | ((tty->index & 0xfff00) << 12);
    *ret_pgrp = tty->foreground ? pid_nr(tty->foreground, ns) : -1;
    mutex_unlock(&tty->lock);
}
