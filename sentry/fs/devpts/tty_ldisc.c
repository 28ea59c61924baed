/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/devpts/tty_ldisc.c: the line discipline N_TTY. Source: termios(3).
 *
 * Input: what the other end sends goes through tty_receive_locked() byte by byte: signals and flow control,
 * translation, line editing (ICANON), echo. Finished lines (or every byte, without ICANON) land in
 * tty->input. Output: tty_output_locked() translates (OPOST) into tty->output.
 */
#include <string.h>

#include "base/abi/linux/poll.h"
#include "sentry/fs/devpts/tty_internal.h"
#include "sentry/kernel/signal.h"

#define CTRL(c) ((c)&037)
const struct linux_termios2 tty_initial_termios = {
    .iflag = LINUX_ICRNL | LINUX_IXON,
    .oflag = LINUX_OPOST | LINUX_ONLCR,
    .cflag = LINUX_B38400 | LINUX_CS8 | LINUX_CREAD,
    .lflag = LINUX_ISIG | LINUX_ICANON | LINUX_ECHO | LINUX_ECHOE | LINUX_ECHOK | LINUX_ECHOCTL |
             LINUX_ECHOKE | LINUX_IEXTEN,
    .cc = {[LINUX_VINTR] = CTRL('C'),
           [LINUX_VQUIT] = 034,
           [LINUX_VERASE] = 0177,
           [LINUX_VKILL] = CTRL('U'),
           [LINUX_VEOF] = CTRL('D'),
           [LINUX_VMIN] = 1,
           [LINUX_VSTART] = CTRL('Q'),
           [LINUX_VSTOP] = CTRL('S'),
           [LINUX_VSUSP] = CTRL('Z'),
           [LINUX_VREPRINT] = CTRL('R'),
           [LINUX_VDISCARD] = CTRL('O'),
           [LINUX_VWERASE] = CTRL('W'),
           [LINUX_VLNEXT] = CTRL('V')},
    .ispeed = 38400,
    .ospeed = 38400,
};

static bool lflag(const struct tty *tty, uint32_t bits) {
    return tty->termios.lflag & bits;
}

static bool iflag(const struct tty *tty, uint32_t bits) {
    return tty->termios.iflag & bits;
}

/* Is `byte` the control character `index`? 0 means the character is switched off. */
static bool is_cc(const struct tty *tty, int index, unsigned char byte) {
    return tty->termios.cc[index] == byte && byte != 0;
}

/* ---- output ---- */

static bool emit(struct tty *tty, unsigned char byte) {
    if (!tty_buffer_put(&tty->output, byte, TTY_OUTPUT_MAX))
        return false;
    return true;
}

static bool output_room(const struct tty *tty, size_t count) {
    return tty->output.len + count <= TTY_OUTPUT_MAX;
}

static bool output_tab(struct tty *tty) {
    unsigned spaces = 8 - tty->column % 8;

    if ((tty->termios.oflag & LINUX_TABDLY) == LINUX_XTABS) {
        if (!output_room(tty, spaces))
            return false;
        for (unsigned i = 0; i < spaces; i++)
            emit(tty, ' ');
    } else if (!emit(tty, '\t')) {
        return false;
    }
    tty->column += spaces;
    return true;
}

static bool output_newline(struct tty *tty) {
    uint32_t oflag = tty->termios.oflag;

    if (oflag & LINUX_ONLCR) {
        if (!output_room(tty, 2))
            return false;
        emit(tty, '\r');
    }
    if (oflag & (LINUX_ONLCR | LINUX_ONLRET))
        tty->column = 0;
    return emit(tty, '\n');
}

static bool output_return(struct tty *tty) {
    uint32_t oflag = tty->termios.oflag;

    if ((oflag & LINUX_ONOCR) && tty->column == 0)
        return true;
    if (oflag & LINUX_OCRNL) {
        if (oflag & LINUX_ONLRET)
            tty->column = 0;
        return emit(tty, '\n');
    }
    tty->column = 0;
    return emit(tty, '\r');
}

bool tty_output_locked(struct tty *tty, unsigned char byte) {
    if (!(tty->termios.oflag & LINUX_OPOST))
        return emit(tty, byte);
    switch (byte) {
    case '\n':
        return output_newline(tty);
    case '\r':
        return output_return(tty);
    case '\t':
        return output_tab(tty);
    case '\b':
        tty->column -= tty->column > 0;
        return emit(tty, byte);
    }
    if ((tty->termios.oflag & LINUX_OLCUC) && byte >= 'a' && byte <= 'z')
        byte = (unsigned char)(byte - 'a' + 'A');
    /* Continuation bytes of UTF-8 do not move the cursor. */
    bool printable = byte >= ' ' && byte != 0177 && !(iflag(tty, LINUX_IUTF8) && (byte & 0xc0) == 0x80);
    if (!emit(tty, byte))
        return false;
    tty->column += printable;
    return true;
}

/* ---- echo: lost when there is no room, as on Linux ---- */

static void echo_control(struct tty *tty, unsigned char byte) {
    tty_output_locked(tty, '^');
    tty_output_locked(tty, byte ^ 0100);
}

static void echo(struct tty *tty, unsigned char byte) {
    bool control = byte < ' ' || byte == 0177;

    if (lflag(tty, LINUX_ECHOCTL) && control && byte != '\t' && byte != '\n')
        echo_control(tty, byte);
    else
        tty_output_locked(tty, byte);
}

/* Columns that an edited byte took on the screen; a tab's are counted from the line's start. */
static unsigned width_of(struct tty *tty, size_t index) {
    unsigned char byte = tty_buffer_at(&tty->edit, index);

    if (byte == '\t')
        return 0;
    if (byte < ' ' || byte == 0177)
        return lflag(tty, LINUX_ECHOCTL) ? 2 : 0;
    return iflag(tty, LINUX_IUTF8) && (byte & 0xc0) == 0x80 ? 0 : 1;
}

static void erase_columns(struct tty *tty, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        emit(tty, '\b');
        emit(tty, ' ');
        emit(tty, '\b');
        tty->column -= tty->column > 0;
    }
}

/* Tab erased at the end of the edit buffer: back to where the text before it ends. */
static void erase_tab(struct tty *tty) {
    unsigned column = 0;

    for (size_t i = 0; i < tty->edit.len; i++)
        column = tty_buffer_at(&tty->edit, i) == '\t' ? (column | 7) + 1 : column + width_of(tty, i);
    unsigned width = 8 - column % 8;
    for (unsigned i = 0; i < width; i++)
        emit(tty, '\b');
    tty->column -= MIN(tty->column, width);
}

/* Takes one character (all bytes of it with IUTF8) off the line. */
static void erase_one(struct tty *tty, bool show) {
    unsigned width = 0;
    bool tab = false, more = true;

    while (more && tty->edit.len > 0) {
        unsigned char byte = tty_buffer_at(&tty->edit, tty->edit.len - 1);
        more = iflag(tty, LINUX_IUTF8) && (byte & 0xc0) == 0x80;
        width += width_of(tty, tty->edit.len - 1);
        tab = byte == '\t';
        tty_buffer_trim(&tty->edit, 1);
    }
    if (!show)
        return;
    if (tab)
        erase_tab(tty);
    else
        erase_columns(tty, width);
}

static void erase_word(struct tty *tty, bool show) {
    bool seen = false;

    while (tty->edit.len > 0) {
        unsigned char byte = tty_buffer_at(&tty->edit, tty->edit.len - 1);
        bool in_word = byte == '_' || byte >= 0x80 || (byte >= '0' && byte <= '9') ||
                       ((byte | 32) >= 'a' && (byte | 32) <= 'z');
        if (seen && !in_word)
            return;
        seen = seen || in_word;
        erase_one(tty, show);
    }
}

static void edit_erase(struct tty *tty, unsigned char byte) {
    bool show = lflag(tty, LINUX_ECHO) && lflag(tty, LINUX_ECHOE);

    if (tty->edit.len == 0)
        return;
    if (is_cc(tty, LINUX_VERASE, byte)) {
        erase_one(tty, show);
        if (lflag(tty, LINUX_ECHO) && !show)
            echo(tty, byte);
    } else if (is_cc(tty, LINUX_VWERASE, byte)) {
        erase_word(tty, show);
    } else if (lflag(tty, LINUX_ECHO) && lflag(tty, LINUX_ECHOK) && lflag(tty, LINUX_ECHOKE) &&
               lflag(tty, LINUX_ECHOE)) {
        while (tty->edit.len > 0)
            erase_one(tty, /* show= */ true);
    } else {
        tty_buffer_clear(&tty->edit);
        if (lflag(tty, LINUX_ECHO)) {
            echo(tty, byte);
            if (lflag(tty, LINUX_ECHOK))
                tty_output_locked(tty, '\n');
        }
    }
}

static void reprint(struct tty *tty, unsigned char byte) {
    if (lflag(tty, LINUX_ECHO))
        echo(tty, byte);
    tty_output_locked(tty, '\n');
    for (size_t i = 0; i < tty->edit.len; i++)
        echo(tty, tty_buffer_at(&tty->edit, i));
}

/* ---- input ---- */

static void add_line(struct tty *tty, uint32_t length) {
    for (int i = 0; i < 4; i++)
        tty_buffer_put(&tty->lines, (unsigned char)(length >> (8 * i)), 4 * (TTY_INPUT_MAX + 1));
}

static uint32_t first_line(const struct tty *tty) {
    uint32_t length = 0;

    for (size_t i = 0; i < 4; i++)
        length |= (uint32_t)tty_buffer_at(&tty->lines, i) << (8 * i);
    return length;
}

static void set_first_line(struct tty *tty, uint32_t length) {
    for (size_t i = 0; i < 4; i++)
        tty->lines.data[(tty->lines.start + i) % tty->lines.capacity] = (unsigned char)(length >> (8 * i));
}

static void finish_line(struct tty *tty, bool eof) {
    uint32_t length = (uint32_t)tty->edit.len;

    for (size_t i = 0; i < tty->edit.len; i++)
        tty_buffer_put(&tty->input, tty_buffer_at(&tty->edit, i), 2 * TTY_INPUT_MAX);
    tty_buffer_clear(&tty->edit);
    add_line(tty, length | (eof ? TTY_LINE_EOF : 0));
    waitq_wake(&tty->slave_queue, LINUX_POLLIN | LINUX_POLLRDNORM);
}

/* ISIG's characters. */
static bool receive_signal(struct tty *tty, unsigned char byte) {
    int signo = is_cc(tty, LINUX_VINTR, byte)   ? LINUX_SIGINT
                : is_cc(tty, LINUX_VQUIT, byte) ? LINUX_SIGQUIT
                : is_cc(tty, LINUX_VSUSP, byte) ? LINUX_SIGTSTP
                                                : 0;

    if (!lflag(tty, LINUX_ISIG) || signo == 0)
        return false;
    if (!lflag(tty, LINUX_NOFLSH)) {
        tty_flush_input_locked(tty);
        tty_flush_output_locked(tty);
    }
    if (iflag(tty, LINUX_IXON))
        tty->stopped = false;
    if (lflag(tty, LINUX_ECHO))
        echo(tty, byte);
    tty_signal_foreground_locked(tty, signo);
    return true;
}

static bool receive_flow(struct tty *tty, unsigned char byte) {
    if (!iflag(tty, LINUX_IXON))
        return false;
    if (is_cc(tty, LINUX_VSTART, byte)) {
        tty->stopped = false;
    } else if (is_cc(tty, LINUX_VSTOP, byte)) {
        tty->stopped = true;
    } else {
        if (tty->stopped && iflag(tty, LINUX_IXANY))
            tty->stopped = false;
        return false;
    }
    waitq_wake(&tty->master_queue, LINUX_POLLIN | LINUX_POLLRDNORM);
    waitq_wake(&tty->slave_queue, LINUX_POLLOUT);
    return true;
}

/* Editing and line ends of canonical mode; false: an ordinary byte. */
static bool receive_editing(struct tty *tty, unsigned char byte) {
    bool extended = lflag(tty, LINUX_IEXTEN);

    if (is_cc(tty, LINUX_VERASE, byte) || is_cc(tty, LINUX_VKILL, byte) ||
        (extended && is_cc(tty, LINUX_VWERASE, byte))) {
        edit_erase(tty, byte);
        return true;
    }
    if (extended && is_cc(tty, LINUX_VLNEXT, byte)) {
        tty->lnext = true;
        if (lflag(tty, LINUX_ECHO) && lflag(tty, LINUX_ECHOCTL)) {
            tty_output_locked(tty, '^');
            emit(tty, '\b');
            tty->column -= tty->column > 0;
        }
        return true;
    }
    if (extended && is_cc(tty, LINUX_VREPRINT, byte) && lflag(tty, LINUX_ECHO)) {
        reprint(tty, byte);
        return true;
    }
    if (is_cc(tty, LINUX_VEOF, byte)) {
        finish_line(tty, /* eof= */ true);
        return true;
    }
    bool newline = byte == '\n';
    if (newline || is_cc(tty, LINUX_VEOL, byte) || (extended && is_cc(tty, LINUX_VEOL2, byte))) {
        if (lflag(tty, LINUX_ECHO) || (newline && lflag(tty, LINUX_ECHONL)))
            echo(tty, byte);
        tty_buffer_put(&tty->edit, byte, TTY_INPUT_MAX);
        finish_line(tty, /* eof= */ false);
        return true;
    }
    return false;
}

static void receive_ordinary(struct tty *tty, unsigned char byte) {
    bool canonical = lflag(tty, LINUX_ICANON);
    struct tty_buffer *to = canonical ? &tty->edit : &tty->input;
    size_t max = TTY_INPUT_MAX - 1;

    if (!tty_buffer_put(to, byte, max)) {
        if (iflag(tty, LINUX_IMAXBEL))
            tty_output_locked(tty, '\a');
        return;
    }
    if (lflag(tty, LINUX_ECHO))
        echo(tty, byte);
    if (!canonical)
        waitq_wake(&tty->slave_queue, LINUX_POLLIN | LINUX_POLLRDNORM);
}

void tty_receive_locked(struct tty *tty, unsigned char byte) {
    size_t before = tty->output.len;

    if (iflag(tty, LINUX_ISTRIP))
        byte &= 0177;
    if (iflag(tty, LINUX_IUCLC) && lflag(tty, LINUX_IEXTEN) && byte >= 'A' && byte <= 'Z')
        byte = (unsigned char)(byte - 'A' + 'a');
    if (tty->lnext) {
        tty->lnext = false;
        receive_ordinary(tty, byte);
    } else if (!receive_flow(tty, byte) && !receive_signal(tty, byte)) {
        if (byte == '\r' && iflag(tty, LINUX_IGNCR))
            return;
        if (byte == '\r' && iflag(tty, LINUX_ICRNL))
            byte = '\n';
        else if (byte == '\n' && iflag(tty, LINUX_INLCR))
            byte = '\r';
        if (!lflag(tty, LINUX_ICANON) || !receive_editing(tty, byte))
            receive_ordinary(tty, byte);
    }
    if (tty->output.len != before)
        waitq_wake(&tty->master_queue, LINUX_POLLIN | LINUX_POLLRDNORM);
}

/* ---- what readers see ---- */

size_t tty_readable_locked(struct tty *tty) {
    if (!lflag(tty, LINUX_ICANON))
        return tty->input.len;
    return tty->lines.len >= 4 ? first_line(tty) & ~TTY_LINE_EOF : 0;
}

bool tty_input_ready_locked(struct tty *tty) {
    if (lflag(tty, LINUX_ICANON))
        return tty->lines.len >= 4;
    size_t least = tty->termios.cc[LINUX_VTIME] == 0 ? MAX(tty->termios.cc[LINUX_VMIN], 1) : 1;
    return tty->input.len >= least;
}

void tty_consume_locked(struct tty *tty, size_t count) {
    tty_buffer_drop(&tty->input, count);
    if (!lflag(tty, LINUX_ICANON))
        return;
    uint32_t line = first_line(tty), left = (line & ~TTY_LINE_EOF) - (uint32_t)count;
    if (left == 0)
        tty_buffer_drop(&tty->lines, 4);
    else
        set_first_line(tty, left | (line & TTY_LINE_EOF));
}

void tty_termios_changed_locked(struct tty *tty, uint32_t old_lflag) {
    bool was = old_lflag & LINUX_ICANON, is = lflag(tty, LINUX_ICANON);

    if (was && !is) {
        for (size_t i = 0; i < tty->edit.len; i++)
            tty_buffer_put(&tty->input, tty_buffer_at(&tty->edit, i), 2 * TTY_INPUT_MAX);
        tty_buffer_clear(&tty->edit);
        tty_buffer_clear(&tty->lines);
        tty->lnext = false;
    } else if (!was && is && tty->input.len > 0) {
        add_line(tty, (uint32_t)tty->input.len);
    }
    if (!iflag(tty, LINUX_IXON))
        tty->stopped = false;
    waitq_wake(&tty->slave_queue, LINUX_POLLIN | LINUX_POLLOUT);
    waitq_wake(&tty->master_queue, LINUX_POLLIN);
}

void tty_flush_input_locked(struct tty *tty) {
    tty_buffer_clear(&tty->input);
    tty_buffer_clear(&tty->lines);
    tty_buffer_clear(&tty->edit);
    tty->packet_status |= LINUX_TIOCPKT_FLUSHREAD;
    waitq_wake(&tty->master_queue, LINUX_POLLOUT | LINUX_POLLIN | LINUX_POLLPRI);
}

void tty_flush_output_locked(struct tty *tty) {
    tty_buffer_clear(&tty->output);
    tty->packet_status |= LINUX_TIOCPKT_FLUSHWRITE;
    waitq_wake(&tty->slave_queue, LINUX_POLLOUT);
    waitq_wake(&tty->master_queue, LINUX_POLLIN | LINUX_POLLPRI);
}
