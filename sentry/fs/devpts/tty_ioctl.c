/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/devpts/tty_ioctl.c: ioctls of both ends of a terminal. Source: tty_ioctl(4), ioctl_tty(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/ioctl.h"
#include "sentry/fs/devpts/tty_internal.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

/* ---- attributes ---- */

static int get_termios(struct tty *tty, struct task *t, uint64_t arg, size_t size) {
    mutex_lock(&tty->lock);
    struct linux_termios2 copy = tty->termios;
    mutex_unlock(&tty->lock);
    return copy_out(t, arg, &copy, size);
}

static int get_termio(struct tty *tty, struct task *t, uint64_t arg) {
    mutex_lock(&tty->lock);
    struct linux_termios2 from = tty->termios;
    mutex_unlock(&tty->lock);
    struct linux_termio to = {.iflag = (uint16_t)from.iflag,
                              .oflag = (uint16_t)from.oflag,
                              .cflag = (uint16_t)from.cflag,
                              .lflag = (uint16_t)from.lflag,
                              .line = from.line};
    memcpy(to.cc, from.cc, sizeof to.cc);
    return copy_out(t, arg, &to, sizeof to);
}

static const uint32_t g_speeds[] = {0,   50,   75,   110,  134,  150,  200,   300,
                                    600, 1200, 1800, 2400, 4800, 9600, 19200, 38400};

static uint32_t speed_of(uint32_t cflag, uint32_t given) {
    uint32_t index = cflag & LINUX_CBAUD;

    if (index < ARRAY_SIZE(g_speeds))
        return g_speeds[index];
    return given;
}

enum when { SET_NOW, SET_DRAIN, SET_FLUSH };

/* A pty's output counts as sent once the other end may read it: SET_DRAIN, tcdrain(3) and TIOCOUTQ find
 * nothing to wait for. */
static int install(struct tty *tty, const struct linux_termios2 *new, enum when when) {
    mutex_lock(&tty->lock);
    uint32_t old_lflag = tty->termios.lflag, old_iflag = tty->termios.iflag;
    if (when == SET_FLUSH)
        tty_flush_input_locked(tty);
    tty->termios = *new;
    tty->termios.ospeed = speed_of(new->cflag, new->ospeed);
    tty->termios.ispeed = tty->termios.ospeed;
    tty_termios_changed_locked(tty, old_lflag);
    if (tty->packet_mode && (old_iflag ^ new->iflag) & LINUX_IXON) {
        tty->packet_status |= new->iflag &LINUX_IXON ? LINUX_TIOCPKT_DOSTOP : LINUX_TIOCPKT_NOSTOP;
        waitq_wake(&tty->master_queue, LINUX_POLLIN | LINUX_POLLPRI);
    }
    mutex_unlock(&tty->lock);
    return 0;
}

static int set_termios(struct tty *tty, struct task *t, uint64_t arg, size_t size, enum when when) {
    struct linux_termios2 new;
    int r = tty_check_job_control(tty, t, LINUX_SIGTTOU);

    mutex_lock(&tty->lock);
    new = tty->termios;
    mutex_unlock(&tty->lock);
    if (r == 0)
        r = copy_in(t, &new, arg, size);
    return r < 0 ? r : install(tty, &new, when);
}

static int set_termio(struct tty *tty, struct task *t, uint64_t arg, enum when when) {
    struct linux_termio from;
    struct linux_termios2 new;
    int r = tty_check_job_control(tty, t, LINUX_SIGTTOU);

    if (r == 0)
        r = copy_in(t, &from, arg, sizeof from);
    if (r < 0)
        return r;
    mutex_lock(&tty->lock);
    new = tty->termios;
    mutex_unlock(&tty->lock);
    new.iflag = (new.iflag & 0xffff0000u) | from.iflag;
    new.oflag = (new.oflag & 0xffff0000u) | from.oflag;
    new.cflag = (new.cflag & 0xffff0000u) | from.cflag;
    new.lflag = (new.lflag & 0xffff0000u) | from.lflag;
    memcpy(new.cc, from.cc, sizeof from.cc);
    return install(tty, &new, when);
}

/* ---- size, queues, flow ---- */

static int get_winsize(struct tty *tty, struct task *t, uint64_t arg) {
    mutex_lock(&tty->lock);
    struct linux_winsize size = tty->winsize;
    mutex_unlock(&tty->lock);
    return copy_out(t, arg, &size, sizeof size);
}

static int set_winsize(struct tty *tty, struct task *t, uint64_t arg) {
    struct linux_winsize size;
    int r = copy_in(t, &size, arg, sizeof size);

    if (r == 0)
        tty_set_winsize(tty, &size);
    return r;
}

static int put_int(struct task *t, uint64_t arg, int32_t value) {
    return copy_out(t, arg, &value, sizeof value);
}

static int queue_length(struct tty *tty, struct task *t, uint64_t arg, bool output) {
    mutex_lock(&tty->lock);
    size_t length = output ? tty->output.len : tty_readable_locked(tty);
    mutex_unlock(&tty->lock);
    return put_int(t, arg, (int32_t)length);
}

static int flush(struct tty *tty, struct task *t, uint64_t which, bool is_master) {
    int r = is_master ? 0 : tty_check_job_control(tty, t, LINUX_SIGTTOU);

    if (r < 0)
        return r;
    if (which > 2) /* TCIFLUSH, TCOFLUSH, TCIOFLUSH */
        return -EINVAL;
    mutex_lock(&tty->lock);
    if (which != 1)
        tty_flush_input_locked(tty);
    if (which != 0)
        tty_flush_output_locked(tty);
    mutex_unlock(&tty->lock);
    return 0;
}

static int flow(struct tty *tty, struct task *t, uint64_t action) {
    int r = tty_check_job_control(tty, t, LINUX_SIGTTOU);

    if (r < 0)
        return r;
    mutex_lock(&tty->lock);
    switch (action) {
    case 0: /* TCOOFF */
    case 1: /* TCOON */
        tty->stopped = action == 0;
        tty->packet_status |= action == 0 ? LINUX_TIOCPKT_STOP : LINUX_TIOCPKT_START;
        break;
    case 2: /* TCIOFF */
    case 3: /* TCION */
        if (tty->termios.cc[action == 2 ? LINUX_VSTOP : LINUX_VSTART])
            tty_buffer_put(&tty->output, tty->termios.cc[action == 2 ? LINUX_VSTOP : LINUX_VSTART],
                           TTY_OUTPUT_MAX);
        break;
    default:
        r = -EINVAL;
    }
    waitq_wake(&tty->master_queue, LINUX_POLLIN | LINUX_POLLPRI);
    waitq_wake(&tty->slave_queue, LINUX_POLLOUT);
    mutex_unlock(&tty->lock);
    return r;
}

/* ---- masters only ---- */

static int64_t master_ioctl(struct tty *tty, struct task *t, uint32_t cmd, uint64_t arg) {
    int32_t value = 0;
    int r = 0;

    if (cmd == LINUX_TIOCSPTLCK || cmd == LINUX_TIOCPKT || cmd == LINUX_TIOCSIG) {
        if (cmd == LINUX_TIOCSIG)
            value = (int32_t)arg;
        else
            r = copy_in(t, &value, arg, sizeof value);
        if (r < 0)
            return r;
    }
    mutex_lock(&tty->lock);
    switch (cmd) {
    case LINUX_TIOCSPTLCK:
        tty->master_locked = value != 0;
        break;
    case LINUX_TIOCPKT:
        tty->packet_status = value && !tty->packet_mode ? 0 : tty->packet_status;
        tty->packet_mode = value != 0;
        break;
    case LINUX_TIOCSIG:
        if (value == LINUX_SIGINT || value == LINUX_SIGQUIT || value == LINUX_SIGTSTP)
            tty_signal_foreground_locked(tty, value);
        else
            r = -EINVAL;
        break;
    case LINUX_TIOCGPTN:
        value = tty->index;
        break;
    case LINUX_TIOCGPTLCK:
        value = tty->master_locked;
        break;
    case LINUX_TIOCGPKT:
        value = tty->packet_mode;
        break;
    default:
        r = -ENOTTY;
    }
    mutex_unlock(&tty->lock);
    if (r == 0 && (cmd == LINUX_TIOCGPTN || cmd == LINUX_TIOCGPTLCK || cmd == LINUX_TIOCGPKT))
        r = put_int(t, arg, value);
    return r;
}

static int64_t common_ioctl(struct tty *tty, struct task *t, uint32_t cmd, uint64_t arg, bool is_master) {
    switch (cmd) {
    case LINUX_TIOCGWINSZ:
        return get_winsize(tty, t, arg);
    case LINUX_TIOCSWINSZ:
        return set_winsize(tty, t, arg);
    case LINUX_TIOCINQ:
        return queue_length(tty, t, arg, /* output= */ is_master);
    case LINUX_TIOCOUTQ:
        return put_int(t, arg, 0);
    case LINUX_TCFLSH:
        return flush(tty, t, arg, is_master);
    case LINUX_TCXONC:
        return flow(tty, t, arg);
    case LINUX_TCSBRK:
    case LINUX_TCSBRKP:
    case LINUX_TIOCSBRK:
    case LINUX_TIOCCBRK:
        return 0;
    case LINUX_TIOCGETD:
        return put_int(t, arg, 0);
    case LINUX_TIOCGDEV:
        return put_int(t, arg, TTY_MAJOR_PTS << 8 | (tty->index & 0xff) | (tty->index & 0xfff00) << 12);
    case LINUX_TIOCGEXCL:
        return put_int(t, arg, tty->exclusive);
    case LINUX_TIOCEXCL:
    case LINUX_TIOCNXCL:
        mutex_lock(&tty->lock);
        tty->exclusive = cmd == LINUX_TIOCEXCL;
        mutex_unlock(&tty->lock);
        return 0;
    case LINUX_TIOCSTI: /* as with the sysctl dev.tty.legacy_tiocsti off */
        return -EIO;
    }
    return is_master ? master_ioctl(tty, t, cmd, arg) : -ENOTTY;
}

int64_t tty_ioctl(struct tty *tty, struct task *t, uint32_t cmd, uint64_t arg, bool is_master) {
    bool handled;

    if (!is_master && tty->hung_up)
        return -EIO;
    int64_t r = tty_job_ioctl(tty, t, cmd, arg, is_master, &handled);
    if (handled)
        return r;
    switch (cmd) {
    case LINUX_TCGETS:
        return get_termios(tty, t, arg, sizeof(struct linux_termios));
    case LINUX_TCGETS2:
        return get_termios(tty, t, arg, sizeof(struct linux_termios2));
    case LINUX_TCGETA:
        return get_termio(tty, t, arg);
    case LINUX_TCSETS:
    case LINUX_TCSETSW:
    case LINUX_TCSETSF:
        return set_termios(tty, t, arg, sizeof(struct linux_termios), (enum when)(cmd - LINUX_TCSETS));
    case LINUX_TCSETS2:
    case LINUX_TCSETSW2:
    case LINUX_TCSETSF2:
        return set_termios(tty, t, arg, sizeof(struct linux_termios2), (enum when)(cmd - LINUX_TCSETS2));
    case LINUX_TCSETA:
    case LINUX_TCSETAW:
    case LINUX_TCSETAF:
        return set_termio(tty, t, arg, (enum when)(cmd - LINUX_TCSETA));
    }
    return common_ioctl(tty, t, cmd, arg, is_master);
}
