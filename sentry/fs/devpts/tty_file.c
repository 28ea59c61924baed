/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/devpts/tty_file.c: open files of a terminal: slaves (/dev/pts/N, /dev/tty) and masters
 * (/dev/ptmx). Source: pty(7), termios(3).
 */
#include <errno.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/ioctl.h"
#include "base/clock.h"
#include "sentry/fs/devpts/tty_file.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"

enum { CHUNK = 512 };

struct tty_file {
    struct file file; /* first */
    struct tty *tty;  /* reference */
};
HEAP_TYPE(tty_file, struct tty_file, 0);

static struct tty *tty_of(struct file *f) {
    return container_of(f, struct tty_file, file)->tty;
}

/* ---- slave ---- */

/* -EAGAIN: nothing to read now; 0: end of file; else bytes to be had in one piece. */
static ssize_t available(struct tty *tty) {
    if (tty_input_ready_locked(tty)) {
        size_t size = tty_readable_locked(tty);
        if (size == 0) /* a line that VEOF ended at once: the line goes with the read */
            tty_buffer_drop(&tty->lines, 4);
        return (ssize_t)size;
    }
    if (tty->hung_up || !tty->master_open)
        return tty->hung_up ? 0 : -EIO;
    bool canonical = tty->termios.lflag & LINUX_ICANON;
    if (!canonical && tty->termios.cc[LINUX_VMIN] == 0 && tty->termios.cc[LINUX_VTIME] == 0)
        return 0;
    return -EAGAIN;
}

static ssize_t take_input(struct tty *tty, struct uio *to) {
    mutex_lock(&tty->lock);
    ssize_t size = available(tty);
    ssize_t done = size <= 0 ? size : 0;
    while (done < size && to->remaining > 0) {
        size_t len;
        const unsigned char *span = tty_buffer_span(&tty->input, &len);
        ssize_t put = uio_write(to, span, MIN(len, (size_t)(size - done)));
        if (put <= 0) {
            done = done > 0 ? done : put;
            break;
        }
        tty_consume_locked(tty, (size_t)put);
        done += put;
    }
    if (done > 0)
        waitq_wake(&tty->master_queue, LINUX_POLLOUT);
    mutex_unlock(&tty->lock);
    return done;
}

/* VTIME with VMIN 0: a read waits so long at the most (termios(3), "noncanonical mode"). */
static int64_t read_timeout(struct tty *tty) {
    mutex_lock(&tty->lock);
    bool timed = !(tty->termios.lflag & LINUX_ICANON) && tty->termios.cc[LINUX_VMIN] == 0;
    int64_t ns = timed ? tty->termios.cc[LINUX_VTIME] * (NSEC_PER_SEC / 10) : 0;
    mutex_unlock(&tty->lock);
    return ns;
}

static ssize_t slave_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct tty *tty = tty_of(f);
    int r = tty_check_job_control(tty, to->task, LINUX_SIGTTIN);

    (void)offset;
    if (r < 0)
        return r;
    ssize_t done = take_input(tty, to);
    int64_t timeout = done == -EAGAIN && to->task && !file_nonblocking(f) ? read_timeout(tty) : 0;
    if (timeout > 0) {
        r = file_wait(to->task, f, LINUX_POLLIN, clock_add(monotonic_ns(), timeout));
        done = r == -ETIMEDOUT ? 0 : r < 0 ? r : take_input(tty, to);
    }
    return done;
}

static ssize_t slave_write(struct file *f, struct uio *from, uint64_t *offset) {
    struct tty *tty = tty_of(f);
    unsigned char chunk[CHUNK];
    ssize_t done = 0;

    (void)offset;
    if (tty->termios.lflag & LINUX_TOSTOP) {
        int r = tty_check_job_control(tty, from->task, LINUX_SIGTTOU);
        if (r < 0)
            return r;
    }
    while (from->remaining > 0) {
        ssize_t got = uio_read(from, chunk, MIN(from->remaining, (uint64_t)sizeof chunk));
        if (got <= 0)
            return done > 0 ? done : got;
        mutex_lock(&tty->lock);
        ssize_t put = tty->hung_up || !tty->master_open ? -EIO : 0;
        while (put >= 0 && put < got && !tty->stopped && tty_output_locked(tty, chunk[put]))
            put++;
        if (put > 0)
            waitq_wake(&tty->master_queue, LINUX_POLLIN | LINUX_POLLRDNORM);
        mutex_unlock(&tty->lock);
        uio_revert(from, (size_t)(got - MAX(put, (ssize_t)0)));
        if (put < 0)
            return done > 0 ? done : put;
        done += put;
        if (put < got)
            return done > 0 ? done : -EAGAIN;
    }
    return done;
}

static uint32_t slave_ready(struct file *f, uint32_t events) {
    struct tty *tty = tty_of(f);
    uint32_t ready = 0;

    mutex_lock(&tty->lock);
    if (tty_input_ready_locked(tty))
        ready |= LINUX_POLLIN | LINUX_POLLRDNORM;
    if (tty->hung_up || !tty->master_open)
        ready |= LINUX_POLLIN | LINUX_POLLRDNORM | LINUX_POLLHUP | LINUX_POLLOUT | LINUX_POLLWRNORM;
    if (!tty->stopped && tty->output.len < TTY_OUTPUT_MAX / 2)
        ready |= LINUX_POLLOUT | LINUX_POLLWRNORM;
    mutex_unlock(&tty->lock);
    return ready & (events | LINUX_POLLHUP);
}

static struct waitq *slave_queue(struct file *f) {
    return &tty_of(f)->slave_queue;
}

static int64_t slave_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    return tty_ioctl(tty_of(f), t, cmd, arg, /* is_master= */ false);
}

static void slave_release(struct file *f) {
    struct tty *tty = tty_of(f);

    mutex_lock(&tty->lock);
    ASSERT(tty->slaves > 0);
    if (--tty->slaves == 0)
        waitq_wake(&tty->master_queue, WAIT_ANY);
    mutex_unlock(&tty->lock);
    tty_unref(tty);
    file_done(f);
    heap_free(container_of(f, struct tty_file, file));
}

static const struct file_ops tty_slave_ops = {
    .name = "tty_slave",
    .read = slave_read,
    .write = slave_write,
    .ready = slave_ready,
    .poll_queue = slave_queue,
    .ioctl = slave_ioctl,
    .release = slave_release,
};

static int open_file(struct tty *tty, const struct file_ops *ops, const struct path *path, uint32_t flags,
                     const struct creds *c, struct file **ret) {
    struct tty_file *tf = heap_new(tty_file);

    if (!tf)
        return -ENOMEM;
    file_init(&tf->file, ops, path, flags, file_mode_of(flags) | FILE_STREAM, c);
    tf->tty = tty_ref(tty);
    *ret = &tf->file;
    return 0;
}

int tty_open_slave(struct tty *tty, const struct path *path, uint32_t flags, const struct creds *c,
                   struct file **ret) {
    int r = 0;

    mutex_lock(&tty->lock);
    if (tty->hung_up || !tty->master_open || tty->master_locked)
        r = -EIO;
    else if (tty->exclusive && !(c->effective >> 21 & 1))
        r = -EBUSY;
    else
        tty->slaves++;
    mutex_unlock(&tty->lock);
    if (r < 0)
        return r;
    r = open_file(tty, &tty_slave_ops, path, flags, c, ret);
    mutex_lock(&tty->lock);
    if (r < 0) {
        tty->slaves--;
    } else {
        tty->had_slave = true;
        waitq_wake(&tty->master_queue, WAIT_ANY);
    }
    mutex_unlock(&tty->lock);
    return r;
}

/* ---- the other end ---- */

ssize_t tty_master_write(struct tty *tty, const unsigned char *data, size_t size) {
    size_t done = 0;

    mutex_lock(&tty->lock);
    if (tty->hung_up) {
        mutex_unlock(&tty->lock);
        return -EIO;
    }
    /* Back-pressure without ICANON: what does not fit waits, rather than being dropped with a bell. */
    while (done < size) {
        bool canonical = tty->termios.lflag & LINUX_ICANON;
        if (tty->input.len >= TTY_INPUT_MAX - 1 && (!canonical || tty->lines.len > 0))
            break;
        tty_receive_locked(tty, data[done++]);
    }
    mutex_unlock(&tty->lock);
    return done > 0 || size == 0 ? (ssize_t)done : -EAGAIN;
}

ssize_t tty_master_read(struct tty *tty, unsigned char *to, size_t size) {
    size_t done = 0;

    mutex_lock(&tty->lock);
    while (!tty->stopped && done < size && tty->output.len > 0) {
        to[done++] = tty_buffer_at(&tty->output, 0);
        tty_buffer_drop(&tty->output, 1);
    }
    bool closed = tty->had_slave && tty->slaves == 0;
    if (done > 0)
        waitq_wake(&tty->slave_queue, LINUX_POLLOUT | LINUX_POLLWRNORM);
    mutex_unlock(&tty->lock);
    return done > 0 || size == 0 ? (ssize_t)done : closed ? -EIO : -EAGAIN;
}

/* ---- master files ---- */

static ssize_t master_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct tty *tty = tty_of(f);
    unsigned char chunk[CHUNK];
    ssize_t done = 0;

    (void)offset;
    if (tty->packet_mode) {
        mutex_lock(&tty->lock);
        unsigned char status = tty->packet_status;
        bool data = tty->output.len > 0 && !tty->stopped, closed = tty->had_slave && tty->slaves == 0;
        tty->packet_status = 0;
        mutex_unlock(&tty->lock);
        if (status == 0 && !data)
            return closed ? -EIO : -EAGAIN;
        done = uio_write(to, &status, 1);
        if (done <= 0 || status != 0)
            return done;
    }
    while (to->remaining > 0) {
        ssize_t got = tty_master_read(tty, chunk, MIN(to->remaining, (uint64_t)sizeof chunk));
        if (got <= 0)
            return done > 0 ? done : got;
        ssize_t put = uio_write(to, chunk, (size_t)got);
        if (put < 0)
            return done > 0 ? done : put;
        done += put;
    }
    return done;
}

static ssize_t master_write(struct file *f, struct uio *from, uint64_t *offset) {
    struct tty *tty = tty_of(f);
    unsigned char chunk[CHUNK];
    ssize_t done = 0;

    (void)offset;
    while (from->remaining > 0) {
        ssize_t got = uio_read(from, chunk, MIN(from->remaining, (uint64_t)sizeof chunk));
        if (got <= 0)
            return done > 0 ? done : got;
        ssize_t put = tty_master_write(tty, chunk, (size_t)got);
        uio_revert(from, (size_t)(got - MAX(put, (ssize_t)0)));
        if (put < 0)
            return done > 0 ? done : put;
        done += put;
        if (put < got)
            break;
    }
    return done;
}

static uint32_t master_ready(struct file *f, uint32_t events) {
    struct tty *tty = tty_of(f);
    uint32_t ready = 0;

    mutex_lock(&tty->lock);
    if ((tty->output.len > 0 && !tty->stopped) || (tty->packet_mode && tty->packet_status))
        ready |= LINUX_POLLIN | LINUX_POLLRDNORM;
    if (tty->packet_mode && tty->packet_status)
        ready |= LINUX_POLLPRI;
    if (tty->input.len < TTY_INPUT_MAX - 1)
        ready |= LINUX_POLLOUT | LINUX_POLLWRNORM;
    if (tty->had_slave && tty->slaves == 0)
        ready |= LINUX_POLLHUP;
    mutex_unlock(&tty->lock);
    return ready & (events | LINUX_POLLHUP);
}

static struct waitq *master_queue(struct file *f) {
    return &tty_of(f)->master_queue;
}

static int64_t master_ioctl(struct file *f, struct task *t, uint32_t cmd, uint64_t arg) {
    if (cmd == LINUX_TIOCGPTPEER)
        return devpts_open_peer(tty_of(f), t, f->path.mount, (uint32_t)arg);
    return tty_ioctl(tty_of(f), t, cmd, arg, /* is_master= */ true);
}

static void master_release(struct file *f) {
    struct tty *tty = tty_of(f);

    tty_master_closed(tty);
    tty_unref(tty);
    file_done(f);
    heap_free(container_of(f, struct tty_file, file));
}

static const struct file_ops tty_master_ops = {
    .name = "tty_master",
    .read = master_read,
    .write = master_write,
    .ready = master_ready,
    .poll_queue = master_queue,
    .ioctl = master_ioctl,
    .release = master_release,
};

int tty_open_master(struct tty *tty, const struct path *path, uint32_t flags, const struct creds *c,
                    struct file **ret) {
    return open_file(tty, &tty_master_ops, path, flags, c, ret);
}
