/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/terminals.c: pseudo terminals, the line discipline, job control. Sources: pty(7),
 * ioctl_tty(2), termios(3), credentials(7), tty_ioctl(4).
 */
#include "conform.h"

#include <sys/ioctl.h>
#include <termios.h>

struct pty {
    int master, slave;
    char name[64];
};

static struct pty open_pty(void) {
    struct pty p = {.master = OK(open("/dev/ptmx", O_RDWR | O_NOCTTY))};

    OK(grantpt(p.master));
    OK(unlockpt(p.master));
    EQ(ptsname_r(p.master, p.name, sizeof p.name), 0);
    p.slave = OK(open(p.name, O_RDWR | O_NOCTTY));
    return p;
}

static void put(int fd, const char *text) {
    EQ(write(fd, text, strlen(text)), strlen(text));
}

/* Reads what is there until it equals `want`. */
static void expect(int fd, const char *want) {
    char b[512];
    size_t n = 0, size = strlen(want);

    while (n < size) {
        struct pollfd p = {fd, POLLIN, 0};
        if (OK(poll(&p, 1, 5000)) == 0)
            check_fail(__FILE__, __LINE__, "waited for \"%s\", got \"%.*s\"", want, (int)n, b);
        n += (size_t)OK(read(fd, b + n, size - n));
    }
    MEMEQ(b, want, size);
}

static bool readable(int fd) {
    struct pollfd p = {fd, POLLIN, 0};

    return OK(poll(&p, 1, 0)) == 1;
}

static struct termios modes(int fd) {
    struct termios t;

    OK(tcgetattr(fd, &t));
    return t;
}

CHECK(default_modes) {
    struct pty p = open_pty();
    struct termios t = modes(p.slave);

    printf("iflag %o oflag %o cflag %o lflag %o\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
    for (int i = 0; i < 17; i++)
        printf("%d ", t.c_cc[i]);
    printf("\n");
    EQ(isatty(p.slave), 1);
    EQ(isatty(p.master), 1);
    struct stat st;
    OK(fstat(p.slave, &st));
    TRUE(S_ISCHR(st.st_mode));
    EQ(st.st_rdev >> 8 & 0xff, 136);
    EQ(strncmp(p.name, "/dev/pts/", 9), 0);
}

CHECK(canonical_line_and_echo) {
    struct pty p = open_pty();
    char b[64];

    put(p.master, "hello");
    expect(p.master, "hello");
    TRUE(!readable(p.slave)); /* no line yet */
    put(p.master, "\r");      /* ICRNL */
    expect(p.master, "\r\n");
    EQ(read(p.slave, b, sizeof b), 6);
    MEMEQ(b, "hello\n", 6);
    put(p.slave, "out\n"); /* ONLCR */
    expect(p.master, "out\r\n");
    put(p.master, "one\ntwo\n");
    EQ(read(p.slave, b, sizeof b), 4); /* a line at a time */
    EQ(read(p.slave, b, 2), 2);
    EQ(read(p.slave, b, sizeof b), 2);
}

CHECK(canonical_editing) {
    struct pty p = open_pty();
    char b[64];

    put(p.master, "abx\x7f"
                  "c\n");
    EQ(read(p.slave, b, sizeof b), 4);
    MEMEQ(b, "abc\n", 4);
    expect(p.master, "abx\b \bc\r\n");
    put(p.master, "wrong\x15right\n"); /* ^U */
    EQ(read(p.slave, b, sizeof b), 6);
    MEMEQ(b, "right\n", 6);
    put(p.master, "two words\x17\n"); /* ^W */
    EQ(read(p.slave, b, sizeof b), 5);
    MEMEQ(b, "two \n", 5);
    put(p.master, "\x16\x03\n"); /* ^V ^C */
    EQ(read(p.slave, b, sizeof b), 2);
    EQ(b[0], 3);
}

CHECK(end_of_file_character) {
    struct pty p = open_pty();
    char b[64];

    put(p.master, "part\x04");
    EQ(read(p.slave, b, sizeof b), 4);
    put(p.master, "\x04");
    EQ(read(p.slave, b, sizeof b), 0);
    put(p.master, "more\n");
    EQ(read(p.slave, b, sizeof b), 5);
}

CHECK(raw_mode) {
    struct pty p = open_pty();
    struct termios t = modes(p.slave);
    char b[8];

    cfmakeraw(&t);
    OK(tcsetattr(p.slave, TCSANOW, &t));
    put(p.master, "a\r\x03");
    EQ(read(p.slave, b, sizeof b), 3);
    MEMEQ(b, "a\r\x03", 3);
    TRUE(!readable(p.master));
    put(p.slave, "x\n");
    expect(p.master, "x\n");
}

CHECK(min_and_time) {
    struct pty p = open_pty();
    struct termios t = modes(p.slave);
    char b[8];

    cfmakeraw(&t);
    t.c_cc[VMIN] = 0;
    t.c_cc[VTIME] = 0;
    OK(tcsetattr(p.slave, TCSANOW, &t));
    EQ(read(p.slave, b, sizeof b), 0);
    t.c_cc[VTIME] = 1;
    OK(tcsetattr(p.slave, TCSANOW, &t));
    int64_t start = now_ns(CLOCK_MONOTONIC);
    EQ(read(p.slave, b, sizeof b), 0);
    TRUE(now_ns(CLOCK_MONOTONIC) - start >= 90000000);
    t.c_cc[VMIN] = 3;
    t.c_cc[VTIME] = 0;
    OK(tcsetattr(p.slave, TCSANOW, &t));
    put(p.master, "12");
    TRUE(!readable(p.slave));
    put(p.master, "3");
    EQ(read(p.slave, b, sizeof b), 3);
}

CHECK(tcsetattr_flush_and_ioctls) {
    struct pty p = open_pty();
    struct termios t = modes(p.slave);
    int n;

    put(p.master, "typed\n"); /* a terminal may hand it over a little later */
    WAIT_UNTIL(ioctl(p.slave, FIONREAD, &n) == 0 && n == 6);
    OK(tcsetattr(p.slave, TCSAFLUSH, &t));
    OK(ioctl(p.slave, FIONREAD, &n));
    EQ(n, 0);
    put(p.master, "typed\n");
    WAIT_UNTIL(ioctl(p.slave, FIONREAD, &n) == 0 && n == 6);
    OK(tcflush(p.slave, TCIFLUSH));
    OK(ioctl(p.slave, FIONREAD, &n));
    EQ(n, 0);
    OK(ioctl(p.slave, TIOCGETD, &n));
    EQ(n, 0);
    ERR(ioctl(p.slave, TIOCGPTN, &n), ENOTTY);
    OK(ioctl(p.master, TIOCGPTN, &n));
    EQ(n, atoi(p.name + 9));
    OK(tcdrain(p.slave));
}

CHECK(window_size_and_sigwinch) {
    struct pty p = open_pty();
    struct winsize w = {1, 1, 1, 1};

    OK(ioctl(p.slave, TIOCGWINSZ, &w));
    EQ(w.ws_row, 0);
    w = (struct winsize){24, 80, 3, 4};
    OK(ioctl(p.master, TIOCSWINSZ, &w));
    memset(&w, 0, sizeof w);
    OK(ioctl(p.slave, TIOCGWINSZ, &w));
    EQ(w.ws_row, 24);
    EQ(w.ws_col, 80);
    EQ(w.ws_ypixel, 4);
}

static volatile sig_atomic_t g_signals[65];
static void note(int signo) {
    g_signals[signo]++;
}

/* In a child: a new session whose controlling terminal is p.slave. */
static void take_terminal(struct pty *p) {
    OK(setsid());
    OK(ioctl(p->slave, TIOCSCTTY, 0));
}

CHECK(signal_characters) {
    struct pty p = open_pty();
    pid_t pid = fork();

    if (pid == 0) {
        take_terminal(&p);
        signal(SIGINT, note);
        signal(SIGQUIT, note);
        signal(SIGWINCH, note);
        put(p.slave, "ready");
        WAIT_UNTIL(g_signals[SIGINT] == 1);
        put(p.slave, "i");
        WAIT_UNTIL(g_signals[SIGQUIT] == 1);
        put(p.slave, "q");
        WAIT_UNTIL(g_signals[SIGWINCH] == 1);
        _exit(0);
    }
    expect(p.master, "ready");
    put(p.master, "lost");
    expect(p.master, "lost");
    put(p.master, "\x03"); /* the interrupt flushes what was typed */
    expect(p.master, "^Ci");
    put(p.master, "\x1c");
    expect(p.master, "^\\q");
    struct winsize w = {30, 90, 0, 0};
    OK(ioctl(p.master, TIOCSWINSZ, &w));
    EQ(wait_exit(pid), 0);
    TRUE(!readable(p.slave));
}

CHECK(controlling_terminal) {
    struct pty p = open_pty();
    pid_t pid = fork();

    if (pid == 0) {
        OK(setsid());
        ERR(open("/dev/tty", O_RDWR), ENXIO);
        ERR(tcgetpgrp(p.slave), ENOTTY);
        int fd = OK(open(p.name, O_RDWR)); /* without O_NOCTTY: it becomes ours */
        EQ(tcgetpgrp(fd), getpgrp());
        EQ(tcgetsid(fd), getpid());
        int tty = OK(open("/dev/tty", O_RDWR));
        EQ(isatty(tty), 1);
        ERR(tcsetpgrp(fd, 99999999), ESRCH);
        OK(ioctl(tty, TIOCSCTTY, 0)); /* again: fine */
        signal(SIGHUP, note);
        signal(SIGCONT, note);
        OK(ioctl(tty, TIOCNOTTY, 0)); /* the leader gives it up: SIGHUP and SIGCONT to the foreground */
        EQ(g_signals[SIGHUP], 1);
        EQ(g_signals[SIGCONT], 1);
        ERR(open("/dev/tty", O_RDWR), ENXIO);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
}

/* Runs fn in a background job of a session on a new terminal. Returns the signal that stopped the job, or
 * 1000 + its exit code. */
static int in_background(void (*fn)(struct pty *)) {
    struct pty p = open_pty();
    pid_t pid = fork();

    if (pid == 0) {
        int status;
        take_terminal(&p);
        pid_t job = fork();
        if (job == 0) {
            setpgid(0, 0);
            fn(&p);
            _exit(0);
        }
        setpgid(job, job);
        EQ(waitpid(job, &status, WUNTRACED), job);
        if (WIFEXITED(status))
            _exit(100 + WEXITSTATUS(status));
        kill(job, SIGKILL);
        wait_status(job);
        _exit(WIFSTOPPED(status) ? WSTOPSIG(status) : 99);
    }
    int code = wait_exit(pid);
    return code >= 100 ? 1000 + code - 100 : code;
}

static void bg_read(struct pty *p) {
    char c;

    read(p->slave, &c, 1);
}

static void bg_read_ignoring(struct pty *p) {
    char c;

    signal(SIGTTIN, SIG_IGN);
    ERR(read(p->slave, &c, 1), EIO);
}

static void bg_write(struct pty *p) {
    put(p->slave, "allowed by default\n");
}

static void bg_set(struct pty *p) {
    struct termios t = modes(p->slave);

    tcsetattr(p->slave, TCSANOW, &t);
}

static void set_tostop(struct pty *p) {
    struct termios t = modes(p->slave);

    signal(SIGTTOU, SIG_IGN);
    t.c_lflag |= TOSTOP;
    OK(tcsetattr(p->slave, TCSANOW, &t));
    EQ(modes(p->slave).c_lflag & TOSTOP, TOSTOP);
}

static void bg_write_tostop(struct pty *p) {
    set_tostop(p);
    put(p->slave, "ignored signal: allowed\n");
    signal(SIGTTOU, SIG_DFL);
    put(p->slave, "stops\n");
}

static void bg_set_pgrp(struct pty *p) {
    tcsetpgrp(p->slave, getpgrp());
}

CHECK(background_jobs) {
    EQ(in_background(bg_read), SIGTTIN);
    EQ(in_background(bg_read_ignoring), 1000);
    EQ(in_background(bg_write), 1000);
    EQ(in_background(bg_set), SIGTTOU);
    EQ(in_background(bg_write_tostop), SIGTTOU);
    EQ(in_background(bg_set_pgrp), SIGTTOU);
}

static void orphan_read(struct pty *p) {
    pid_t pid = fork();
    char c;

    if (pid == 0) {
        setpgid(0, 0);
        sleep_ms(50); /* the parent has left: this group is orphaned */
        EQ(read(p->slave, &c, 1), -1);
        put(p->slave, errno == EIO ? "EIO" : "other");
        _exit(0);
    }
    _exit(0);
}

CHECK(orphaned_group_gets_eio_instead_of_a_stop) {
    struct pty p = open_pty();
    pid_t pid = fork();

    if (pid == 0) {
        take_terminal(&p);
        pid_t job = fork();
        if (job == 0) {
            setpgid(0, 0);
            orphan_read(&p);
        }
        wait_exit(job);
        sleep_ms(300); /* stay as the session's leader meanwhile */
        _exit(0);
    }
    expect(p.master, "EIO");
    EQ(wait_exit(pid), 0);
}

CHECK(suspend_character) {
    struct pty p = open_pty();
    pid_t pid = fork();

    if (pid == 0) {
        int status;
        take_terminal(&p);
        signal(SIGTTOU, SIG_IGN);
        pid_t job = fork();
        if (job == 0) {
            setpgid(0, 0);
            tcsetpgrp(p.slave, getpid());
            put(p.slave, "go");
            for (;;)
                pause();
        }
        setpgid(job, job);
        EQ(waitpid(job, &status, WUNTRACED), job);
        TRUE(WIFSTOPPED(status));
        EQ(WSTOPSIG(status), SIGTSTP);
        OK(tcsetpgrp(p.slave, getpgrp()));
        OK(kill(job, SIGKILL));
        wait_status(job);
        _exit(0);
    }
    expect(p.master, "go");
    put(p.master, "\x1a");
    EQ(wait_exit(pid), 0);
}

CHECK(hang_up) {
    struct pty p = open_pty();
    pid_t pid = fork();
    char b[8];

    if (pid == 0) {
        close(p.master);
        take_terminal(&p);
        put(p.slave, "r");
        pause(); /* SIGHUP kills */
        _exit(0);
    }
    expect(p.master, "r");
    close(p.master);
    int status = wait_status(pid);
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGHUP);
    EQ(read(p.slave, b, 8), 0);
    ERR(write(p.slave, "x", 1), EIO);
    struct pollfd f = {p.slave, POLLIN, 0};
    EQ(poll(&f, 1, 0), 1);
    EQ(f.revents & POLLHUP, POLLHUP);
}

CHECK(master_sees_the_last_slave_close) {
    struct pty p = open_pty();
    char b[8];

    put(p.slave, "end");
    close(p.slave);
    expect(p.master, "end");
    ERR(read(p.master, b, 8), EIO);
    struct pollfd f = {p.master, POLLIN, 0};
    EQ(poll(&f, 1, 0), 1);
    EQ(f.revents & POLLHUP, POLLHUP);
    int again = OK(open(p.name, O_RDWR | O_NOCTTY));
    put(again, "back");
    expect(p.master, "back");
}

CHECK(echo_control_characters_and_no_echo) {
    struct pty p = open_pty();
    struct termios t = modes(p.slave);
    char b[8];

    put(p.master, "\x01\n");
    expect(p.master, "^A\r\n");
    EQ(read(p.slave, b, 8), 2);
    t.c_lflag &= ~(tcflag_t)ECHO;
    OK(tcsetattr(p.slave, TCSANOW, &t));
    put(p.master, "secret\n");
    EQ(read(p.slave, b, 8), 7);
    TRUE(!readable(p.master));
    t.c_lflag |= ECHONL;
    OK(tcsetattr(p.slave, TCSANOW, &t));
    put(p.master, "x\n");
    expect(p.master, "\r\n");
}

CHECK(flow_of_much_output) {
    struct pty p = open_pty();
    pid_t pid = fork();
    static char line[1001], b[4096];

    if (pid == 0) {
        memset(line, 'x', 999);
        line[999] = '\n';
        for (int i = 0; i < 100; i++)
            put(p.slave, line);
        _exit(0);
    }
    close(p.slave);
    size_t total = 0;
    ssize_t n;
    while ((n = read(p.master, b, sizeof b)) > 0)
        total += (size_t)n;
    EQ(errno, EIO);
    EQ(total, 100 * 1001);
    EQ(wait_exit(pid), 0);
}
