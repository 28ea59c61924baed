/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/standin.c: the process that clients take for the container (OCI.md 2, 5, 10): a live host
 * process, re-parented to the caller's subreaper when runsc exits, in the namespaces that the spec names,
 * with the container's rootfs and mounts as its root.
 *
 * It owns the guest process over a socket: what signals reach it, it hands on; when the guest ends it ends
 * with that status; when it is killed the sandbox sees the socket close and kills the guest. It holds no
 * descriptor but that socket and a signalfd (and the terminal, whose SIGWINCH it must get), no capability,
 * and runs none of the container's code.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/walls.h"
#include "runsc/console/console.h"
#include "runsc/container/foreground.h"
#include "runsc/container/hooks.h"
#include "runsc/container/launch.h"
#include "runsc/container/standin_mounts.h"

/* ---- life ---- */

static int watch_signals(struct err **err) {
    sigset_t set;

    sigfillset(&set);
    static const int kept[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL, SIGABRT, SIGTRAP,
                               SIGSYS,  SIGCHLD, SIGPIPE, SIGURG, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        sigdelset(&set, kept[i]);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTTOU, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? err_set(err, errno, "standin.signals", "making a signalfd") : fd;
}

static void hand_on(struct control_channel *channel, int signal_fd, int tty_fd) {
    struct signalfd_siginfo info;
    uint16_t rows = 0, columns = 0;
    json_t *request = NULL;

    while (read(signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGHUP && info.ssi_code == SI_KERNEL)
            continue; /* our terminal hung up: the guest's own does so too */
        if (info.ssi_signo == SIGWINCH && tty_fd >= 0 && console_size(tty_fd, &rows, &columns))
            request = json_pack("{s:s,s:i,s:i}", "verb", "winsize", "rows", rows, "columns", columns);
        else
            request = json_pack("{s:s,s:i}", "verb", "signal", "signal", (int)info.ssi_signo);
        if (request)
            (void)!control_send(channel, request, NULL, 0, NULL);
        json_decref(request);
    }
}

/* 1 and the exit code once the guest has ended; without a word from the sandbox it has been killed, and so
 * has the guest. */
static int read_end(struct control_channel *channel, int *ret_code) {
    json_t *message;
    int r = control_read(channel);

    while (r >= 0 && (r = control_next(channel, &message)) == 1) {
        const char *event = json_string_value(json_object_get(message, "event"));
        bool end = event && strcmp(event, "exit") == 0;
        if (end)
            *ret_code = exit_code_of((int)json_integer_value(json_object_get(message, "status")));
        json_decref(message);
        if (end)
            return 1;
    }
    *ret_code = 128 + SIGKILL;
    return r < 0 || channel->ended;
}

static noreturn_fn void live(int owner_fd, int signal_fd, int tty_fd) {
    struct control_channel channel;
    int code = 0;

    control_channel_init(&channel, owner_fd);
    struct pollfd p[] = {{.fd = signal_fd, .events = POLLIN}, {.fd = owner_fd, .events = POLLIN}};
    for (;;) {
        if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
            _exit(128 + SIGKILL);
        if (p[0].revents)
            hand_on(&channel, signal_fd, tty_fd);
        if (p[1].revents && read_end(&channel, &code))
            _exit(code);
    }
}

/* ---- birth ---- */

static int join_namespaces(const struct standin *s, struct err **err) {
    for (size_t i = 0; i < s->join_count; i++)
        if (setns(s->join_fds[i], s->join_flags[i]) < 0)
            return err_set(err, errno, "standin.join", "joining the namespace %s", s->join_paths[i]);
    return 0;
}

static int take_terminal(int tty_fd, struct err **err) {
    if (tty_fd < 0)
        return 0;
    if (setsid() < 0 && errno != EPERM)
        return err_set(err, errno, "standin.terminal", "starting a session");
    if (ioctl(tty_fd, TIOCSCTTY, 0) < 0)
        return err_set(err, errno, "standin.terminal", "taking the terminal");
    return 0;
}

/* Descriptors kept move to 0, 1, 2 (the rest of what runsc has open, the container's stdio above all, is
 * closed). */
static void keep_only(int *owner_fd, int *signal_fd, int *tty_fd, int *status_fd) {
    int *kept[] = {owner_fd, signal_fd, tty_fd, status_fd};

    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        if (*kept[i] >= 0)
            *kept[i] = fcntl(*kept[i], F_DUPFD_CLOEXEC, 200);
    (void)close_range(0, 199, 0);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        if (*kept[i] >= 0)
            *kept[i] = dup3(*kept[i], (int)i, O_CLOEXEC);
    (void)close_range(ARRAY_SIZE(kept), ~0u, 0);
}

/* `ps` and `top` on the host show the guest's command instead of runsc's. */
static void take_name(const struct spec_process *p) {
    const char *slash = strrchr(p->args.items[0], '/');

    (void)prctl(PR_SET_NAME, slash && slash[1] ? slash + 1 : p->args.items[0]);
    process_title_set(p->args.items, p->args.count);
}

int standin_run(void *arg, int status_fd, int namespaces, struct err **err) {
    struct standin *s = arg;
    struct walls walls = {.zero_privilege = true};
    int owner = s->owner_fd, tty = s->tty_fd;
    int r = join_namespaces(s, err);

    if (r >= 0 && s->spec && (namespaces & CLONE_NEWNS))
        r = standin_mounts(s->spec, s->rootfs, s->bundle, s->state, err);
    if (r >= 0 && s->spec && s->spec->hostname && (namespaces & CLONE_NEWUTS) &&
        sethostname(s->spec->hostname, strlen(s->spec->hostname)) < 0)
        r = err_set(err, errno, "standin.hostname", "setting the hostname");
    if (r >= 0)
        r = take_terminal(tty, err);
    int signals = r >= 0 ? watch_signals(err) : -1;
    if (r < 0 || signals < 0)
        return r < 0 ? r : signals;
    take_name(s->process);
    keep_only(&owner, &signals, &tty, &status_fd);
    (void)!log_init("standin", -1, NULL); /* its descriptor is closed */
    r = walls_drop_privileges(&walls, 0, err);
    walls_done(&walls);
    if (r < 0)
        return r;
    boot_report_ready(status_fd, NULL);
    live(owner, signals, tty);
}

/* What the spec names by path is joined; what it names without is made. */
static int plan_namespaces(const struct spec *spec, struct standin *s, int *ret_flags, struct err **err) {
    *ret_flags = 0;
    for (size_t i = 0; i < spec->linux_.namespaces.count; i++) {
        const struct spec_namespace *n = &spec->linux_.namespaces.items[i];
        int flag = spec_namespace_flag(n->kind);
        if (!n->path) {
            *ret_flags |= flag;
            continue;
        }
        int fd = open(n->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return err_set(err, errno, "standin.join", "linux.namespaces[%zu].path: opening %s", i, n->path);
        if (n->kind == NS_PID) {
            s->pid_ns_fd = fd;
            continue;
        }
        s->join_fds[s->join_count] = fd;
        s->join_flags[s->join_count] = flag;
        s->join_paths[s->join_count++] = n->path;
    }
    return 0;
}

void standin_done(struct standin *s) {
    for (size_t i = 0; i < s->join_count; i++)
        close_fd(s->join_fds[i]);
    close_fd(s->pid_ns_fd);
}

int standin_join(struct standin *s, const struct host_process *other, struct err **err) {
    /* The user namespace first, as it gives the right to the others; mounts last, since /proc may go. */
    static const enum spec_namespace_kind order[] = {NS_USER,   NS_IPC, NS_UTS,  NS_NETWORK,
                                                     NS_CGROUP, NS_PID, NS_MOUNT};
    struct stat ours, theirs;
    char path[64], own[64];

    for (size_t i = 0; i < ARRAY_SIZE(order) && host_process_alive(other); i++) {
        snprintf(path, sizeof path, "/proc/%d/ns/%s", other->pid, spec_namespace_name(order[i]));
        snprintf(own, sizeof own, "/proc/self/ns/%s", spec_namespace_name(order[i]));
        if (stat(own, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_ino == theirs.st_ino)
            continue;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return err_set(err, errno, "standin.join", "opening %s", path);
        if (order[i] == NS_PID) {
            s->pid_ns_fd = fd;
            continue;
        }
        s->join_fds[s->join_count] = fd;
        s->join_flags[s->join_count] = spec_namespace_flag(order[i]);
        s->join_paths[s->join_count++] = spec_namespace_name(order[i]);
    }
    return 0;
}

/* A pid namespace is joined by children only: ours for this one clone, then our own again. */
int standin_spawn(struct standin *s, int flags, struct child *ret, struct err **err) {
    struct spawn spawn = {.who = "stand-in",
                          .run = standin_run,
                          .arg = s,
                          .namespaces = flags,
                          .may_lack = s->may_lack,
                          .maps = s->maps};
    cleanup(closep) int own = s->pid_ns_fd >= 0 ? open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC) : -1;

    if (s->pid_ns_fd >= 0 && (own < 0 || setns(s->pid_ns_fd, CLONE_NEWPID) < 0))
        return err_set(err, errno, "standin.join", "joining the container's pid namespace");
    int r = child_spawn(&spawn, ret, err);
    /* In a user namespace (rootless podman) there is no way back, and none is needed unless hooks are to be
     * born yet. */
    if (own >= 0 && setns(own, CLONE_NEWPID) < 0 && r >= 0 &&
        (errno != EPERM ||
         (s->spec && (s->spec->hooks.prestart.count || s->spec->hooks.create_runtime.count))))
        r = err_set(err, errno, "standin.join", "returning to our own pid namespace");
    return r;
}

int launch_standin(struct launch *l, struct err **err) {
    const struct create_options *o = l->options;
    struct standin s = {.spec = o->spec,
                        .process = &o->spec->process,
                        .rootfs = l->container->state.rootfs,
                        .bundle = l->container->state.bundle,
                        .tty_fd = o->tty_fd,
                        .pid_ns_fd = -1,
                        .maps = &o->spec->linux_,
                        .may_lack = l->container->cli->zero_privilege};
    int pair[2], flags;
    int r = plan_namespaces(o->spec, &s, &flags, err);

    if (r >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        r = err_set(err, errno, "launch.socket", "making a pair of sockets");
    if (r < 0) {
        standin_done(&s);
        return r;
    }
    s.owner_fd = pair[0];
    cleanup(json_decrefp) json_t *early = container_state_json(l->container, STATUS_CREATING);
    s.state = early;
    l->standin_socket = pair[1];
    r = standin_spawn(&s, flags, &l->standin, err);
    close_fd(pair[0]);
    standin_done(&s);
    if (r < 0)
        return r;
    l->container->state.standin = host_process_of(l->standin.pid);
    launch_set_oom_score(l->container->cli, l->standin.pid, &o->spec->process);
    r = container_save(l->container, err);
    if (r >= 0)
        r = cgroup_join(&l->cgroup, l->standin.pid, err);
    /* It is in its new namespaces already, and its mounts are not made yet: docker moves network interfaces
     * in now. */
    cleanup(json_decrefp) json_t *state = container_state_json(l->container, STATUS_CREATING);
    if (r >= 0)
        r = hooks_run(&o->spec->hooks.prestart, "prestart", s.bundle, state, err);
    if (r >= 0)
        r = hooks_run(&o->spec->hooks.create_runtime, "createRuntime", s.bundle, state, err);
    if (r >= 0)
        r = child_release(&l->standin, err);
    return r >= 0 ? child_wait_ready(&l->standin, "stand-in process", NULL, err) : r;
}
