/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/devpts/tty_internal.h: between the files of terminals. All *_locked functions want tty->lock.
 */
#pragma once

#include "sentry/fs/devpts/tty.h"
#include "sentry/vfs/vfs.h"

enum {
    TTY_INPUT_MAX =
        4096, /* N_TTY_BUF_SIZE: termios(3), "canonical mode": a line holds 4095 characters and its end */
    TTY_OUTPUT_MAX = 65536,
    TTY_LINE_EOF = 0x80000000u,
    TTY_MAJOR_PTS = 136,
    TTY_MAJOR_AUX = 5,
    TTY_MINOR_TTY = 0,
    TTY_MINOR_CONSOLE = 1,
    TTY_MINOR_PTMX = 2,
};

/* ---- tty_buffer.c ---- */
bool tty_buffer_put(struct tty_buffer *b, unsigned char byte, size_t max); /* false: full or no memory */
unsigned char tty_buffer_at(const struct tty_buffer *b, size_t index);
void tty_buffer_drop(struct tty_buffer *b, size_t count); /* from the front */
void tty_buffer_trim(struct tty_buffer *b, size_t count); /* from the end */
void tty_buffer_clear(struct tty_buffer *b);
void tty_buffer_done(struct tty_buffer *b);
/* Contiguous bytes from the front: address and count. */
const unsigned char *tty_buffer_span(const struct tty_buffer *b, size_t *ret_len);

/* ---- tty_ldisc.c: bytes from the other end become input, output becomes bytes for it ---- */
void tty_receive_locked(struct tty *tty, unsigned char byte);
/* One byte of output with OPOST; false: no room now. */
bool tty_output_locked(struct tty *tty, unsigned char byte);
size_t tty_readable_locked(struct tty *tty); /* bytes that a read may get now; 0 with *ret_eof: end of file */
bool tty_input_ready_locked(struct tty *tty); /* a read would not wait */
/* After a change of termios: what ICANON's change means for what is buffered. */
void tty_termios_changed_locked(struct tty *tty, uint32_t old_lflag);
void tty_flush_input_locked(struct tty *tty);
void tty_flush_output_locked(struct tty *tty);
/* Takes `count` bytes, read by somebody, out of the input and its lines. */
void tty_consume_locked(struct tty *tty, size_t count);
extern const struct linux_termios2 tty_initial_termios;

/* ---- tty_jobs.c: sessions and foreground groups ---- */
void tty_signal_foreground_locked(struct tty *tty, int signo);
/* May a task of the process read or write (signo SIGTTIN, SIGTTOU) or change it? 0, -EIO, -ERESTARTSYS with
 * the signal sent. No lock held. */
int tty_check_job_control(struct tty *tty, struct task *t, int signo);
int64_t tty_job_ioctl(struct tty *tty, struct task *t, uint32_t cmd, uint64_t arg, bool is_master,
                      bool *ret_handled);
/* A session leader without a terminal opened one without O_NOCTTY. */
void tty_maybe_become_controlling(struct tty *tty, struct task *t);

/* ---- tty_ioctl.c ---- */
int64_t tty_ioctl(struct tty *tty, struct task *t, uint32_t cmd, uint64_t arg, bool is_master);

/* ---- devpts.c ---- */
struct tty *tty_new(struct kernel *k, kuid_t uid, kgid_t gid);
struct mount;
/* TIOCGPTPEER: descriptor or -errno. mount: the master's. */
int devpts_open_peer(struct tty *tty, struct task *t, struct mount *mount, uint32_t flags);
void tty_master_closed(struct tty *tty);
