/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/launch.c: runsc_container_create(): sandbox, gofer and stand-in side by side, then the
 * create request, then their reports.
 *
 * Order (crash safety): directory, children held back, state.json with their pids, release. A runsc that dies
 * before the release takes the children along (their release pipe closes); after it `delete --force` finds
 * them in state.json.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "boot/boot.h"
#include "platform/platform.h"
#include "runsc/container/container.h"
#include "runsc/container/launch.h"
#include "runsc/container/seccomp_profile.h"

#define SANDBOX_NAMESPACES                                                                                   \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

static int socket_pair(int type, int fds[2], struct err **err) {
    return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0
               ? err_set(err, errno, "launch.socket", "making a pair of sockets")
               : 0;
}

/* ---- the sandbox ---- */

static int listen_on(struct container *c, struct err **err) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    cleanup(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_set(err, errno, "launch.socket", "making the control socket");
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/control.sock", c->dir_fd);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 64) < 0) {
        int r = err_set(err, errno, "launch.socket", "making the control socket of container %s", c->id);
        if (access("/proc/self", F_OK) < 0)
            err_explain(err, "/proc is not mounted", "mount -t proc proc /proc");
        return r;
    }
    return steal_fd(&fd);
}

/* For --platform=kvm: the sandbox is born without the right to open it. -1: not needed. */
static int open_kvm(const struct cli *cli, int *ret, struct err **err) {
    *ret = -1;
    if (strcmp(cli->platform, "kvm") != 0)
        return 0;
    *ret = platform_kvm_open();
    if (*ret >= 0)
        return 0;
    int r = err_set(err, -*ret, "platform.kvm", "opening /dev/kvm");
    err_explain(err, NULL, "load the kvm module and give this user access, or use --platform=systrap");
    return r;
}

static int run_sandbox(void *arg, int status_fd, int namespaces, struct err **err) {
    struct launch *l = arg;
    const struct cli *cli = l->container->cli;
    char born[32], platform[64], level[256];
    char *argv[16] = {(char *)(uintptr_t) "runsc", (char *)(uintptr_t) "boot", born, platform};
    int fds[] = {
        l->control[1], l->listen_fd, status_fd, cli->debug_log_fd, cli->strace ? cli->debug_log_fd : -1,
        l->kvm_fd};
    size_t n = 4;

    snprintf(born, sizeof born, "--namespaces=%d", namespaces);
    snprintf(platform, sizeof platform, "--platform=%s", cli->platform);
    if (cli->debug_log_fd >= 0) {
        snprintf(level, sizeof level, "--log-level=%s", cli->log_level);
        argv[n++] = level;
    }
    if (cli->zero_privilege)
        argv[n++] = (char *)(uintptr_t) "--zero-privilege";
    if (cli->strace)
        argv[n++] = (char *)(uintptr_t) "--strace";
    if (cli->xray)
        argv[n++] = (char *)(uintptr_t) "--xray";
    return child_exec_self(argv, fds, ARRAY_SIZE(fds), l->options->keep_stderr, err);
}

/* The way into a sandbox that is there already: another name of its control socket. */
static int join_sandbox(struct launch *l, struct err **err) {
    struct container *c = l->container;
    char from[300];

    snprintf(from, sizeof from, "%s/control.sock", l->membership.lender);
    if (linkat(c->root_fd, from, c->dir_fd, "control.sock", 0) < 0)
        return err_set(err, errno, "sandbox.lost", "reaching the sandbox %s", l->membership.sandbox_id);
    c->state.sandbox_id = strdup(l->membership.sandbox_id);
    c->state.sandbox = l->membership.sandbox;
    return c->state.sandbox_id ? 0 : err_set(err, ENOMEM, "out-of-memory", "creating container %s", c->id);
}

static int spawn_sandbox(struct launch *l, struct err **err) {
    struct spawn s = {.who = "sandbox",
                      .run = run_sandbox,
                      .arg = l,
                      .become_nobody = true,
                      .may_lack = l->container->cli->zero_privilege,
                      .namespaces = SANDBOX_NAMESPACES};
    int r = l->listen_fd = listen_on(l->container, err);

    if (r >= 0)
        r = open_kvm(l->container->cli, &l->kvm_fd, err);
    if (r >= 0)
        r = socket_pair(SOCK_STREAM, l->control, err);
    if (r >= 0)
        r = child_spawn(&s, &l->sandbox, err);
    l->kvm_fd = close_fd(l->kvm_fd);
    return r;
}

int sandbox_probe(struct cli *cli, json_t **ret_walls, struct err **err) {
    struct cli lenient = *cli;
    struct container c = {
        .cli = &lenient, .id = (char *)(uintptr_t) "probe", .root_fd = -1, .dir_fd = -1, .lock_fd = -1};
    struct create_options o = {.keep_stderr = true};
    struct launch l = {.container = &c,
                       .options = &o,
                       .sandbox = CHILD_NONE,
                       .listen_fd = -1,
                       .kvm_fd = -1,
                       .control = {-1, -1}};
    struct spawn s = {.who = "sandbox",
                      .run = run_sandbox,
                      .arg = &l,
                      .become_nobody = true,
                      .may_lack = true,
                      .namespaces = SANDBOX_NAMESPACES};
    cleanup(freep) char *text = NULL;

    lenient.zero_privilege = true;
    int r = open_kvm(cli, &l.kvm_fd, err);
    if (r >= 0)
        r = socket_pair(SOCK_STREAM, l.control, err);
    if (r >= 0)
        r = child_spawn(&s, &l.sandbox, err);
    if (r >= 0)
        r = child_release(&l.sandbox, err);
    if (r >= 0)
        r = child_wait_ready(&l.sandbox, "sandbox", &text, err);
    *ret_walls = r >= 0 && text ? json_loads(text, 0, NULL) : NULL;
    child_end(&l.sandbox);
    close_fd(l.control[0]);
    close_fd(l.control[1]);
    close_fd(l.kvm_fd);
    return r;
}

/* ---- the gofer ---- */

/* The roots of a container: the rootfs, then the binds in the spec's order (boot/controller_requests.c counts
 * them alike). */
static int list_roots(struct launch *l, struct err **err) {
    const struct spec *s = l->options->spec;
    const struct create_options *o = l->options;

    l->roots = calloc(s->mounts.count + 1, sizeof *l->roots);
    if (!l->roots)
        return err_set(err, ENOMEM, "out-of-memory", "preparing the gofer's mounts");
    l->roots[l->root_count++] =
        (struct root_tree){.path = l->container->state.rootfs,
                           .recursive = true,
                           .read_only = o->overlay || s->root.readonly,
                           .flags = o->exclusive_root ? GOFER_ROOT_EXCLUSIVE : GOFER_ROOT_WATCHED};
    for (size_t i = 0; i < s->mounts.count; i++) {
        const struct spec_mount *m = &s->mounts.items[i];
        if (!spec_mount_is_bind(m))
            continue;
        char *path = NULL;
        if (m->source[0] == '/')
            path = strdup(m->source);
        else if (asprintf(&path, "%s/%s", l->container->state.bundle, m->source) < 0)
            path = NULL;
        if (!path)
            return err_set(err, ENOMEM, "out-of-memory", "preparing the gofer's mounts");
        l->roots[l->root_count++] = (struct root_tree){.path = path,
                                                       .recursive = spec_mount_has_option(m, "rbind"),
                                                       .read_only = spec_mount_has_option(m, "ro"),
                                                       .flags = GOFER_ROOT_SHARED};
    }
    return 0;
}

/* Root may enter a namespace that belongs to another user namespace. */
static bool gofer_shares_network(const struct launch *l) {
    return geteuid() == 0 && l->sandbox.pid > 0 && l->sandbox.namespaces & CLONE_NEWNET;
}

/* The gofer needs a network namespace only to be without a network, as the sandbox does, which has one
 * already; making another is the most expensive part of making namespaces. Neither may open or bind a socket
 * in it. */
static int leave_network(const struct launch *l, struct err **err) {
    if (!gofer_shares_network(l))
        return 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/net", l->sandbox.pid);
    cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if ((fd >= 0 && setns(fd, CLONE_NEWNET) == 0) || unshare(CLONE_NEWNET) == 0)
        return 0;
    return err_set(err, errno, "wall.namespaces", "taking the gofer out of the host's network");
}

static int run_gofer(void *arg, int status_fd, int namespaces, struct err **err) {
    struct launch *l = arg;
    const struct cli *cli = l->container->cli;
    const char *place = ""; /* without a mount namespace: nothing to pivot into */
    size_t n = 0;

    int r = leave_network(l, err);
    if (r < 0)
        return r;
    r = namespaces & CLONE_NEWNS ? gofer_roots_make(l->roots, l->root_count, &place, err)
                                 : gofer_roots_open(l->roots, l->root_count, err);
    if (r < 0)
        return r;
    cleanup(closep) int proc = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char **argv = calloc(l->root_count + 8, sizeof *argv);
    cleanup(freep) int *fds = calloc(l->root_count + 4, sizeof *fds);
    if (!argv || !fds)
        return err_set(err, ENOMEM, "out-of-memory", "starting the gofer");
    argv[n++] = (char *)(uintptr_t) "runsc";
    argv[n++] = (char *)(uintptr_t) "gofer";
    fds[0] = l->gofer_socket[1];
    fds[1] = status_fd;
    fds[2] = cli->debug_log_fd;
    fds[3] = proc;
    for (size_t i = 0; i < l->root_count; i++)
        fds[4 + i] = l->roots[i].fd;
    if (asprintf(&argv[n++], "--place=%s", place) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "starting the gofer");
    if (cli->debug_log_fd >= 0 && asprintf(&argv[n++], "--log-level=%s", cli->log_level) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "starting the gofer");
    for (size_t i = 0; i < l->root_count; i++)
        if (asprintf(&argv[n++], "--root=%u",
                     l->roots[i].flags | (l->roots[i].read_only ? GOFER_ROOT_READ_ONLY : 0)) < 0)
            return err_set(err, ENOMEM, "out-of-memory", "starting the gofer");
    return child_exec_self(argv, fds, 4 + l->root_count, l->options->keep_stderr, err);
}

static int spawn_gofer(struct launch *l, struct err **err) {
    unsigned network = gofer_shares_network(l) ? 0u : CLONE_NEWNET;
    bool root = geteuid() == 0;
    struct spawn s = {.who = "gofer",
                      .run = run_gofer,
                      .arg = l,
                      .become_nobody = true,
                      .may_lack = l->container->cli->zero_privilege,
                      .namespaces = (int)(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | network |
                                          (root ? 0u : CLONE_NEWUSER))};
    int r = list_roots(l, err);

    if (r >= 0)
        r = socket_pair(SOCK_SEQPACKET, l->gofer_socket, err);
    if (r >= 0)
        r = child_spawn(&s, &l->gofer, err);
    return r;
}

/* ---- the create request ---- */

static int send_create(struct launch *l, struct control_channel *channel, struct err **err) {
    const struct create_options *o = l->options;
    int fds[CONTROL_MAX_FDS];
    size_t n = 0;
    json_t *stdio = json_array();

    fds[n++] = l->gofer_socket[0];
    for (int i = 0; i < 3; i++) {
        bool there = o->tty_fd < 0 && o->stdio[i] >= 0;
        json_array_append_new(stdio, json_boolean(there));
        if (there)
            fds[n++] = o->stdio[i];
    }
    if (o->tty_fd >= 0)
        fds[n++] = o->tty_fd;
    if (l->exit_fd >= 0)
        fds[n++] = l->exit_fd;
    if (o->extra_fd_count > CONTROL_MAX_FDS - 16)
        return err_set(err, E2BIG, "launch.preserve-fds", "too many descriptors to preserve");
    for (size_t i = 0; i < o->extra_fd_count; i++)
        fds[n++] = o->extra_fds[i];
    int owners = 0;
    if (l->standin_socket >= 0)
        fds[n + (size_t)owners++] = l->standin_socket;
    if (o->owner_fd >= 0)
        fds[n + (size_t)owners++] = o->owner_fd;
    n += (size_t)owners;
    json_t *request =
        json_pack("{s:s,s:s,s:O,s:b,s:s,s:b,s:i,s:o,s:b,s:b,s:i,s:i,s:b,s:O*,s:s*}", "verb", "create",
                  "container", l->container->id, "spec", o->config, "overlay", o->overlay, "policy",
                  o->exclusive_root ? "exclusive" : "watched", "init_killable", o->init_killable, "fds_gofer",
                  1, "fds_stdio", stdio, "fds_tty", o->tty_fd >= 0, "fds_status", l->exit_fd >= 0,
                  "fds_extra", (int)o->extra_fd_count, "fds_owner", owners, "pod", membership_is_pod(o->spec),
                  "share", l->membership.shares, "hostname", o->host_name);
    if (request && l->seccomp)
        json_object_set(request, "seccomp", l->seccomp);
    int r = request ? control_send(channel, request, fds, n, err)
                    : err_set(err, ENOMEM, "out-of-memory", "creating a container");
    json_decref(request);
    return r;
}

static int read_create_answer(struct control_channel *channel, struct err **err) {
    json_t *answer = NULL;
    int r = control_receive(channel, &answer, err);

    if (r >= 0 && !json_is_true(json_object_get(answer, "ok")))
        r = control_error_from_json(json_object_get(answer, "error"), err);
    json_decref(answer);
    return r;
}

/* Reports come before the answer, because they know better why there is none. */
static int finish(struct launch *l, struct err **err) {
    struct control_channel channel;
    struct err *send_error = NULL;

    if (l->membership.sandbox_id) {
        int r = container_connect(l->container, &channel, err);
        if (r < 0)
            return r;
    } else {
        control_channel_init(&channel, steal_fd(&l->control[0]));
    }
    closep(&l->control[1]);
    closep(&l->gofer_socket[1]);
    int sent = send_create(l, &channel, &send_error);
    closep(&l->gofer_socket[0]);
    int r = child_wait_ready(&l->gofer, "gofer", NULL, err);
    if (r >= 0 && l->sandbox.pid)
        r = child_wait_ready(&l->sandbox, "sandbox", NULL, err);
    if (r >= 0 && sent < 0 && err) {
        *err = TAKE(send_error);
        r = sent;
    }
    err_free(send_error);
    if (r >= 0)
        r = read_create_answer(&channel, err);
    control_channel_done(&channel);
    return r;
}

/* ---- all together ---- */

static char *now_rfc3339(void) {
    struct timespec now;
    struct tm tm;
    char *text = NULL, seconds[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm);
    return asprintf(&text, "%s.%09ldZ", seconds, now.tv_nsec) < 0 ? NULL : text;
}

/* What start needs to know of the network: it has no spec any more. */
static bool fill_network_state(struct container_state *s, const struct spec *spec, const char *mode) {
    bool ok = (s->network = strdup(mode)) != NULL;

    for (size_t i = 0; i < spec->linux_.namespaces.count; i++) {
        const struct spec_namespace *ns = &spec->linux_.namespaces.items[i];
        if (ns->kind == NS_NETWORK && ns->path)
            ok = ok && (s->network_namespace = strdup(ns->path)) != NULL;
    }
    for (size_t i = 0; i < spec->mounts.count && !s->resolv_conf; i++) {
        const struct spec_mount *m = &spec->mounts.items[i];
        if (strcmp(m->destination, "/etc/resolv.conf") == 0 && m->source && m->source[0] == '/')
            ok = ok && (s->resolv_conf = strdup(m->source)) != NULL;
    }
    return ok;
}

static int fill_state(struct launch *l, struct err **err) {
    const struct create_options *o = l->options;
    struct container_state *s = &l->container->state;
    cleanup(freep) char *bundle = o->bundle ? realpath(o->bundle, NULL) : strdup("/");

    if (!bundle)
        return err_set(err, errno, "bundle.path", "finding the bundle %s", o->bundle);
    s->id = strdup(o->id);
    s->oci_version = strdup(o->spec->oci_version);
    s->created = now_rfc3339();
    s->annotations = json_incref(json_object_get(o->config, "annotations"));
    s->hooks = json_incref(json_object_get(o->config, "hooks"));
    if (o->spec->root.path[0] == '/')
        s->rootfs = strdup(o->spec->root.path);
    else if (asprintf(&s->rootfs, "%s/%s", bundle, o->spec->root.path) < 0)
        s->rootfs = NULL;
    s->bundle = TAKE(bundle);
    bool ok = fill_network_state(s, o->spec, l->container->cli->network);
    if (!ok || !s->id || !s->oci_version || !s->created || !s->rootfs)
        return err_set(err, ENOMEM, "out-of-memory", "creating container %s", o->id);
    struct stat st;
    char *resolved = realpath(s->rootfs, NULL); /* a symbolic link can be no mount point */
    if (resolved) {
        free(s->rootfs);
        s->rootfs = resolved;
    }
    int errnum = !resolved || stat(s->rootfs, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    return errnum ? err_set(err, errnum, "rootfs.missing", "root.path: the container's root %s", s->rootfs)
                  : 0;
}

/* Before anything of the container runs, and recorded before they are made, so that `delete --force` knows
 * them. */
static int make_cgroups(struct launch *l, struct err **err) {
    const struct create_options *o = l->options;

    if (!o->cgroups)
        return 0;
    int r = cgroup_discover(&l->cgroup, err);
    if (r >= 0)
        r = cgroup_plan(&l->cgroup, o->spec, o->id, err);
    if (r < 0)
        return r;
    l->container->state.cgroups = cgroup_to_json(&l->cgroup);
    r = container_save(l->container, err);
    if (r >= 0)
        r = cgroup_create(&l->cgroup, &o->spec->linux_.resources, err);
    if (r < 0 && strcmp(err && *err ? (*err)->code : "", "cgroup.frozen") == 0) {
        json_decref(l->container->state.cgroups); /* another's: not ours to remove */
        l->container->state.cgroups = NULL;
    }
    if (r >= 0) { /* without those that could not be made and need not be; start_children() saves it */
        json_decref(l->container->state.cgroups);
        l->container->state.cgroups = cgroup_to_json(&l->cgroup);
    }
    if (r >= 0 && l->sandbox.pid)
        r = cgroup_join(&l->cgroup, l->sandbox.pid, err);
    return r < 0 ? r : cgroup_join(&l->cgroup, l->gofer.pid, err);
}

void launch_set_oom_score(struct cli *cli, pid_t pid, const struct spec_process *process) {
    char path[48], text[16];

    if (!process->oom_score_adj.set)
        return;
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
    int n = snprintf(text, sizeof text, "%d", (int)process->oom_score_adj.value);
    cleanup(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)n) < 0)
        cli_warn(cli, "process.oomScoreAdj: the host does not let it be %s: %s", text, strerror(errno));
}

static int start_children(struct launch *l, struct err **err) {
    const struct create_options *o = l->options;
    int r = l->membership.sandbox_id ? join_sandbox(l, err) : spawn_sandbox(l, err);

    if (r >= 0)
        r = spawn_gofer(l, err);
    if (r < 0)
        return r;
    if (l->sandbox.pid) {
        l->container->state.sandbox = host_process_of(l->sandbox.pid);
        launch_set_oom_score(l->container->cli, l->sandbox.pid, &o->spec->process);
    }
    l->container->state.gofer = host_process_of(l->gofer.pid);
    launch_set_oom_score(l->container->cli, l->gofer.pid, &o->spec->process);
    r = make_cgroups(l, err);
    if (r >= 0)
        r = container_save(l->container, err);
    if (r >= 0 && l->sandbox.pid)
        r = child_release(&l->sandbox, err);
    if (r >= 0)
        r = child_release(&l->gofer, err);
    return r;
}

static void launch_done(struct launch *l) {
    closep(&l->listen_fd);
    closep(&l->control[0]);
    closep(&l->control[1]);
    closep(&l->gofer_socket[0]);
    closep(&l->gofer_socket[1]);
    closep(&l->exit_fd);
    closep(&l->standin_socket);
    for (size_t i = 1; i < l->root_count; i++)
        free((char *)(uintptr_t)l->roots[i].path);
    free(l->roots);
    membership_done(&l->membership);
    cgroup_done(&l->cgroup);
    json_decref(l->seccomp);
}

int runsc_container_create(struct cli *cli, const struct create_options *o, struct container **ret,
                           struct err **err) {
    struct launch l = {.options = o,
                       .sandbox = CHILD_NONE,
                       .gofer = CHILD_NONE,
                       .standin = CHILD_NONE,
                       .listen_fd = -1,
                       .kvm_fd = -1,
                       .control = {-1, -1},
                       .gofer_socket = {-1, -1},
                       .exit_fd = -1,
                       .standin_socket = -1};
    int r = container_open(cli, o->id, CONTAINER_NEW, &l.container, err);

    if (r < 0)
        return r;
    r = fill_state(&l, err);
    if (r >= 0)
        r = seccomp_profile_compile(&o->spec->linux_.seccomp, &l.seccomp, err);
    if (r >= 0) {
        l.exit_fd = openat(l.container->dir_fd, "exit.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (l.exit_fd < 0)
            r = err_set(err, errno, "state.exit", "making exit.json of container %s", o->id);
    }
    if (r >= 0 && o->standin)
        r = membership_find(cli, o->spec, &l.membership, err);
    if (r >= 0)
        r = start_children(&l, err);
    if (r >= 0 && o->standin)
        r = launch_standin(&l, err);
    if (r >= 0)
        r = finish(&l, err);
    if (r >= 0) {
        l.container->state.has_init = true;
        r = container_save(l.container, err);
    }
    if (r < 0) {
        child_end(&l.standin);
        child_end(&l.sandbox);
        child_end(&l.gofer);
        (void)!runsc_container_destroy(l.container, NULL);
        container_close(l.container);
    } else {
        *ret = l.container;
    }
    launch_done(&l);
    return r;
}
