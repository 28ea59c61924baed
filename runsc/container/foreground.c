/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/foreground.c: see foreground.h.
 */
#include "runsc/container/foreground.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runsc/console/console.h"
#include "runsc/container/budget.h"

int exit_code_of(int wait_status) {
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

struct foreground foreground_none(struct cli *cli) {
    return (struct foreground){.cli = cli,
                               .owner = {-1, -1},
                               .signal_fd = -1,
                               .master_fd = -1,
                               .slave_fd = -1,
                               .link_fd = -1,
                               .uplink = CHILD_NONE,
                               .channel.fd = -1};
}

int foreground_prepare(struct foreground *f, struct cli *cli, bool terminal, uint16_t *rows,
                       uint16_t *columns, struct err **err) {
    sigset_t set;

    *f = foreground_none(cli);
    control_channel_init(&f->channel, -1);
    sigfillset(&set);
    static const int kept[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL, SIGABRT, SIGTRAP,
                               SIGSYS,  SIGCHLD, SIGPIPE, SIGURG, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        sigdelset(&set, kept[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    f->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (f->signal_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->owner) < 0)
        return err_set(err, errno, "foreground.start", "preparing to wait for the container");
    if (!terminal)
        return 0;
    console_size(STDIN_FILENO, rows, columns);
    return console_pair(*rows, *columns, &f->master_fd, &f->slave_fd, err);
}

static void hand_on_signal(struct foreground *f) {
    struct signalfd_siginfo info;
    uint16_t rows = 0, columns = 0;
    json_t *request;

    while (read(f->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGWINCH) {
            if (f->master_fd < 0 || !console_size(STDIN_FILENO, &rows, &columns))
                continue;
            console_set_size(f->master_fd, rows, columns);
            request = json_pack("{s:s,s:i,s:i}", "verb", "winsize", "rows", rows, "columns", columns);
        } else {
            /* What our terminal sent to our whole group (^C) goes to the guest's whole group; what kill(1)
             * sent, to its one process. */
            request = json_pack("{s:s,s:i,s:s}", "verb", "signal", "signal", (int)info.ssi_signo, "scope",
                                info.ssi_code == SI_KERNEL ? "foreground" : "process");
        }
        if (request)
            (void)!control_send(&f->channel, request, NULL, 0, NULL);
        json_decref(request);
    }
}

/* 1 and the status when the process has ended, 0 not yet. */
static int read_events(struct foreground *f, int *ret_status) {
    json_t *message;
    int r = control_read(&f->channel);

    while (r >= 0 && (r = control_next(&f->channel, &message)) == 1) {
        const char *event = json_string_value(json_object_get(message, "event"));
        bool end = event && strcmp(event, "exit") == 0;
        const char *why = json_string_value(json_object_get(message, "why"));
        if (end) {
            const char *reason = json_string_value(json_object_get(message, "reason"));
            *ret_status = (int)json_integer_value(json_object_get(message, "status"));
            f->reason = !f->reason && reason ? strdup(reason) : f->reason;
            if (why)
                cli_log(f->cli, "error", why);
        }
        json_decref(message);
        if (end)
            return 1;
    }
    if (r >= 0 && !f->channel.ended)
        return 0;
    return r < 0 ? r : -ECONNRESET;
}

enum { LOST_WAIT_MS = 5000 };

/* `why`: what read_events() said. A sandbox whose socket has closed is ending, so that waiting is short; one
 * that sends garbage is not to be trusted with that, nor with anything. */
static int sandbox_lost(pid_t sandbox, int why, struct err **err) {
    struct host_process p = host_process_of(sandbox);
    char cause[128] = "it was killed or has failed";
    int status, r;

    if (why == -ECONNRESET)
        r = err_set(err, ECONNRESET, "sandbox.lost", "the sandbox process ended before the container did");
    else
        r = err_set(err, -why, "sandbox.lost", "the sandbox process sent what is no message, and was killed");
    if (sandbox > 0) {
        if (why == -ECONNRESET)
            host_process_wait(&p, LOST_WAIT_MS);
        host_process_kill(&p, LOST_WAIT_MS);
    }
    if (sandbox > 0 && waitpid(sandbox, &status, 0) == sandbox) {
        if (WIFSIGNALED(status))
            snprintf(cause, sizeof cause, "it was killed by signal %d (%s)", WTERMSIG(status),
                     strsignal(WTERMSIG(status)));
        else
            snprintf(cause, sizeof cause, "it exited with code %d", WEXITSTATUS(status));
    }
    err_explain(err, cause, "see --debug-log");
    return r;
}

/* What the terminal still holds when the process is gone. */
static void drain_master(struct foreground *f) {
    struct pollfd p = {.fd = f->master_fd, .events = POLLIN};

    while (f->master_fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLIN) &&
           console_copy(f->master_fd, STDOUT_FILENO) > 0)
        ;
}

/* The end of our input: a terminal that hung up takes the guest's along; the end of a pipe or file is what a
 * person would type. */
static void input_ended(struct foreground *f) {
    if (f->raw)
        closep(&f->master_fd);
    else
        (void)!write(f->master_fd, "\004", 1);
}

static void kill_all(struct foreground *f) {
    json_t *request = json_pack("{s:s,s:i,s:s}", "verb", "signal", "signal", SIGKILL, "scope", "all");

    if (request)
        (void)!control_send(&f->channel, request, NULL, 0, NULL);
    json_decref(request);
}

/* What the container still has in its pipes when it is gone. */
static void drain_output(struct budget *b) {
    for (int i = 0; b && i < 2; i++) {
        struct pollfd p = {.fd = b->pipes[i][0], .events = POLLIN};
        while (b->pipes[i][0] >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLIN) && budget_copy(b, i))
            ;
    }
}

struct uplink_options foreground_uplink(struct foreground *f) {
    return (struct uplink_options){.log_fd = f->cli->debug_log_fd,
                                   .log_level = f->cli->log_level,
                                   .may_lack = f->cli->zero_privilege,
                                   .dormant = &f->link_fd};
}

/* The sandbox has sent something (or is gone: then this does no harm). It runs on without a network if there
 * can be none. */
static void wake_uplink(struct foreground *f) {
    struct uplink_options o = foreground_uplink(f);
    struct err *err = NULL;

    if (uplink_wake(&o, steal_fd(&f->link_fd), &f->uplink, &err) < 0) {
        cleanup(freep) char *text = err ? err_text(err) : NULL;
        cli_warn(f->cli, "the sandbox has no network: %s", text ? text : "out of memory");
    }
    err_free(err);
}

int foreground_run(struct foreground *f, pid_t sandbox, struct err **err) {
    enum { SIGNALS, OWNER, MASTER, INPUT, OUTPUT, LINK = OUTPUT + 2 };
    int status = 0, r = 0;

    control_channel_init(&f->channel, steal_fd(&f->owner[0]));
    closep(&f->owner[1]);
    closep(&f->slave_fd);
    if (f->master_fd >= 0)
        f->raw = console_make_raw(STDIN_FILENO);
    struct pollfd p[] = {{.fd = f->signal_fd, .events = POLLIN},
                         {.fd = f->channel.fd, .events = POLLIN},
                         {.fd = f->master_fd, .events = POLLIN},
                         {.fd = f->master_fd >= 0 ? STDIN_FILENO : -1, .events = POLLIN},
                         {.fd = f->budget ? f->budget->pipes[0][0] : -1, .events = POLLIN},
                         {.fd = f->budget ? f->budget->pipes[1][0] : -1, .events = POLLIN},
                         {.fd = f->link_fd, .events = POLLIN}};
    while (r == 0) {
        if (poll(p, ARRAY_SIZE(p), f->budget ? budget_timeout_ms(f->budget) : -1) < 0 && errno != EINTR)
            return err_set(err, errno, "foreground.poll", "waiting for the container");
        if (p[SIGNALS].revents)
            hand_on_signal(f);
        if (p[MASTER].revents && console_copy(f->master_fd, STDOUT_FILENO) <= 0)
            p[MASTER].fd = -1;
        if (p[INPUT].revents && console_copy(STDIN_FILENO, f->master_fd) <= 0) {
            input_ended(f);
            p[INPUT].fd = -1;
            p[MASTER].fd = f->master_fd;
        }
        for (int i = 0; i < 2; i++)
            if (p[OUTPUT + i].revents && !budget_copy(f->budget, i))
                p[OUTPUT + i].fd = -1;
        if (f->budget && budget_exceeded(f->budget))
            kill_all(f);
        if (p[LINK].revents & POLLIN)
            wake_uplink(f);
        if (p[LINK].revents)
            p[LINK].fd = -1;
        if (p[OWNER].revents)
            r = read_events(f, &status);
    }
    f->status = status;
    drain_master(f);
    drain_output(f->budget);
    return r < 0 ? sandbox_lost(sandbox, r, err) : exit_code_of(status);
}

void foreground_done(struct foreground *f) {
    free(f->reason);
    f->reason = NULL;
    if (f->raw)
        console_restore(STDIN_FILENO);
    closep(&f->owner[0]);
    closep(&f->owner[1]);
    closep(&f->signal_fd);
    closep(&f->master_fd);
    closep(&f->slave_fd);
    closep(&f->link_fd);
    child_end(&f->uplink);
    control_channel_done(&f->channel);
}
