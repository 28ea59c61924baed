/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/exec.c: a further process in a container: from a process document (--process) or from flags over
 * the container's own process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/cmd/create.h"
#include "runsc/console/console.h"
#include "runsc/container/foreground.h"
#include "runsc/container/launch.h"

struct exec_args {
    const char *process, *pid_file, *console_socket, *cwd, *user, *apparmor, *label;
    struct option_list env, caps, gids, cgroups;
    int64_t preserve_fds;
    bool tty, detach, no_new_privs, ignore_paused, no_subreaper;
};
#define O(n, l, k, member, v, h)                                                                             \
    {                                                                                                        \
        .name = n, .letter = l, .kind = OPTION_##k, .offset = offsetof(struct exec_args, member),            \
        .value = v, .help = h                                                                                \
    }
static const struct option_def g_options[] = {
    O("process", 'p', STRING, process, "FILE",
      "a process document; without it the flags below say what runs"),
    O("detach", 'd', FLAG, detach, NULL, "return once the process runs"),
    O("pid-file", 0, STRING, pid_file, "FILE", "write the process's id on the host there"),
    O("console-socket", 0, STRING, console_socket, "SOCKET", "send the terminal's master there"),
    O("tty", 't', FLAG, tty, NULL, "give it a terminal"),
    O("cwd", 0, STRING, cwd, "DIR", "working directory"),
    O("env", 'e', LIST, env, "NAME=VALUE", "set a variable"),
    O("user", 'u', STRING, user, "UID[:GID]", "user and group"),
    O("additional-gids", 'g', LIST, gids, "GID", "further groups"),
    O("cap", 'c', LIST, caps, "CAP", "add a capability"),
    O("no-new-privs", 0, FLAG, no_new_privs, NULL, "execve gains nothing"),
    O("preserve-fds", 0, NUMBER, preserve_fds, "N", "hand N more descriptors on, from 3"),
    O("ignore-paused", 0, FLAG, ignore_paused, NULL, "also in a paused container"),
    O("apparmor", 0, STRING, apparmor, "PROFILE", NULL),
    O("process-label", 0, STRING, label, "LABEL", NULL),
    O("cgroup", 0, LIST, cgroups, "PATH", NULL),
    O("no-subreaper", 0, FLAG, no_subreaper, NULL, NULL),
};

/* ---- what runs ---- */

static int set_user(json_t *process, const char *user, struct err **err) {
    char *end;
    unsigned long uid = strtoul(user, &end, 10), gid = 0;
    json_t *u = json_object_get(process, "user");

    if (end == user || (*end && *end != ':') || uid > UINT32_MAX)
        return err_set(err, EINVAL, "usage", "--user takes UID[:GID] as numbers, not \"%s\"", user);
    if (*end == ':') {
        const char *group = end + 1;
        gid = strtoul(group, &end, 10);
        if (end == group || *end || gid > UINT32_MAX)
            return err_set(err, EINVAL, "usage", "--user takes UID[:GID] as numbers, not \"%s\"", user);
        json_object_set_new(u, "gid", json_integer((json_int_t)gid));
    }
    json_object_set_new(u, "uid", json_integer((json_int_t)uid));
    return 0;
}

static void add_capabilities(json_t *process, const struct option_list *caps) {
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    json_t *all = json_object_get(process, "capabilities");

    if (!all && caps->count) {
        all = json_object();
        json_object_set_new(process, "capabilities", all);
    }
    for (size_t s = 0; s < ARRAY_SIZE(sets) && caps->count; s++) {
        json_t *set = json_object_get(all, sets[s]);
        if (!set) {
            set = json_array();
            json_object_set_new(all, sets[s], set);
        }
        for (size_t i = 0; i < caps->count; i++)
            json_array_append_new(set, json_string(caps->items[i]));
    }
}

/* The container's own process with what the flags change: as runc. */
static int process_from_flags(struct cli *cli, struct container *c, const struct exec_args *a, int argc,
                              char **argv, json_t **ret, struct err **err) {
    cleanup(json_decrefp) json_t *config = NULL;
    cleanup(spec_freep) struct spec *spec = NULL;

    if (argc == 0)
        return err_set(err, EINVAL, "usage", "exec needs a command or --process");
    int r = bundle_load(cli, c->state.bundle, &config, &spec, err);
    if (r < 0)
        return r;
    cleanup(json_decrefp) json_t *process = json_deep_copy(json_object_get(config, "process"));
    json_t *args = json_array(), *env = json_object_get(process, "env");
    for (int i = 0; i < argc; i++)
        json_array_append_new(args, json_string(argv[i]));
    json_object_set_new(process, "args", args);
    json_object_set_new(process, "terminal", json_boolean(a->tty));
    if (!json_object_get(process, "user"))
        json_object_set_new(process, "user", json_object());
    if (!env) {
        env = json_array();
        json_object_set_new(process, "env", env);
    }
    for (size_t i = 0; i < a->env.count; i++)
        json_array_append_new(env, json_string(a->env.items[i]));
    if (a->cwd)
        json_object_set_new(process, "cwd", json_string(a->cwd));
    if (a->no_new_privs)
        json_object_set_new(process, "noNewPrivileges", json_true());
    if (a->gids.count)
        json_object_set_new(json_object_get(process, "user"), "additionalGids", json_array());
    for (size_t i = 0; i < a->gids.count; i++)
        json_array_append_new(json_object_get(json_object_get(process, "user"), "additionalGids"),
                              json_integer(strtoll(a->gids.items[i], NULL, 10)));
    add_capabilities(process, &a->caps);
    if (a->user)
        r = set_user(process, a->user, err);
    if (r >= 0)
        *ret = TAKE(process);
    return r;
}

static int process_from_file(const struct exec_args *a, json_t **ret, struct err **err) {
    cleanup(freep) char *text = NULL;
    size_t size;
    int r = read_text_file(AT_FDCWD, a->process, SPEC_MAX_BYTES, &text, &size, err);

    if (r >= 0)
        r = spec_load_json(text, size, a->process, ret, err);
    if (r >= 0 && a->tty)
        json_object_set_new(*ret, "terminal", json_true());
    return r;
}

/* ---- running it ---- */

struct exec {
    struct cli *cli;
    const struct exec_args *args;
    struct container *container;
    json_t *process;
    struct spec *spec;
    struct foreground *foreground; /* NULL: detached */
    struct child standin;
    int owner_fd, slave_fd;
};

static int prepare_terminal(struct exec *e, struct err **err) {
    const struct spec_process *p = &e->spec->process;
    uint16_t rows = (uint16_t)p->console_size.height, columns = (uint16_t)p->console_size.width;
    cleanup(closep) int master = -1;

    if (e->foreground) {
        int r = foreground_prepare(e->foreground, e->cli, p->terminal && !e->args->console_socket, &rows,
                                   &columns, err);
        if (r < 0)
            return r;
        e->owner_fd = e->foreground->owner[1];
        if (e->foreground->slave_fd >= 0) {
            e->slave_fd = fcntl(e->foreground->slave_fd, F_DUPFD_CLOEXEC, 3);
            json_object_set_new(e->process, "consoleSize",
                                json_pack("{s:i,s:i}", "height", (int)rows, "width", (int)columns));
            return e->slave_fd < 0 ? err_set(err, errno, "console.pty", "handing the terminal on") : 0;
        }
    }
    if (!p->terminal)
        return e->args->console_socket ? err_set(err, EINVAL, "console.unused",
                                                 "cannot use console socket if process.terminal is false")
                                       : 0;
    if (!e->args->console_socket)
        return err_set(err, EINVAL, "console.missing",
                       "cannot allocate tty if runsc will detach without setting console socket");
    int r = console_pair(rows, columns, &master, &e->slave_fd, err);
    return r < 0 ? r : console_send_master(e->args->console_socket, master, err);
}

static int join_cgroups(struct exec *e, struct err **err) {
    struct cgroup g;

    if (!e->container->state.cgroups)
        return 0;
    int r = cgroup_from_json(e->container->state.cgroups, &g, err);
    if (r >= 0) {
        r = cgroup_join(&g, e->standin.pid, err);
        cgroup_done(&g);
    }
    return r;
}

static int start_standin(struct exec *e, struct err **err) {
    struct standin s = {
        .process = &e->spec->process, .tty_fd = e->slave_fd, .pid_ns_fd = -1, .may_lack = true};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, errno, "launch.socket", "making a pair of sockets");
    s.owner_fd = pair[0];
    e->owner_fd = pair[1];
    int r = standin_join(&s, &e->container->state.standin, err);
    if (r >= 0)
        r = standin_spawn(&s, 0, &e->standin, err);
    standin_done(&s);
    close_fd(pair[0]);
    if (r >= 0) {
        launch_set_oom_score(e->cli, e->standin.pid, &e->spec->process);
        r = join_cgroups(e, err);
    }
    if (r >= 0)
        r = child_release(&e->standin, err);
    return r < 0 ? r : child_wait_ready(&e->standin, "stand-in process", NULL, err);
}

static int send_exec(struct exec *e, struct err **err) {
    struct control_channel channel;
    int fds[CONTROL_MAX_FDS];
    size_t n = 0;
    bool tty = e->slave_fd >= 0;

    for (int i = 0; i < 3 && !tty; i++)
        fds[n++] = i;
    if (tty)
        fds[n++] = e->slave_fd;
    for (int i = 0; i < (int)e->args->preserve_fds; i++)
        fds[n++] = 3 + i;
    fds[n++] = e->owner_fd;
    int r = container_connect(e->container, &channel, err);
    if (r < 0)
        return r;
    json_t *request =
        json_pack("{s:s,s:s,s:O,s:[b,b,b],s:b,s:i,s:i,s:b}", "verb", "exec", "container", e->container->id,
                  "process", e->process, "fds_stdio", !tty, !tty, !tty, "fds_tty", tty, "fds_extra",
                  (int)e->args->preserve_fds, "fds_owner", 1, "ignore_paused", e->args->ignore_paused);
    r = control_call(&channel, request, fds, n, NULL, err);
    json_decref(request);
    control_channel_done(&channel);
    return r;
}

static int check(struct exec *e, struct err **err) {
    enum container_status status = container_status(e->container);

    if (status == STATUS_STOPPED || status == STATUS_CREATING)
        return err_set(err, ESRCH, "container.stopped", "cannot exec in a %s container",
                       container_status_name(status));
    if (status == STATUS_PAUSED && !e->args->ignore_paused)
        return err_set(err, EBUSY, "container.paused",
                       "cannot exec in a paused container (use --ignore-paused to override)");
    if (e->args->preserve_fds < 0 || e->args->preserve_fds > CONTROL_MAX_FDS - 16)
        return err_set(err, EINVAL, "usage", "--preserve-fds must lie between 0 and %d",
                       CONTROL_MAX_FDS - 16);
    return 0;
}

/* Only now the lock: loading a program may take as long as its file system does. */
static int record(struct exec *e, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    int r = container_open(e->cli, e->container->id, CONTAINER_OLD, &c, err);

    if (r < 0)
        return r;
    container_add_exec(c, e->standin.pid);
    return container_save(c, err);
}

static int start(struct exec *e, int argc, char **argv, struct err **err) {
    int r = check(e, err);

    if (r >= 0)
        r = e->args->process
                ? process_from_file(e->args, &e->process, err)
                : process_from_flags(e->cli, e->container, e->args, argc, argv, &e->process, err);
    if (r >= 0)
        r = spec_parse_process(e->process, &e->spec, err);
    if (r >= 0)
        r = prepare_terminal(e, err);
    if (r >= 0 && !e->foreground)
        r = start_standin(e, err);
    if (r >= 0)
        r = send_exec(e, err);
    if (r >= 0 && e->standin.pid)
        r = record(e, err);
    if (r >= 0 && e->args->pid_file)
        r = write_pid_file(e->args->pid_file, e->standin.pid ? e->standin.pid : getpid(), err);
    if (r < 0)
        child_end(&e->standin);
    return r;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    struct exec_args *a = options;
    struct foreground f = foreground_none(cli);
    struct exec e = {.cli = cli,
                     .args = a,
                     .foreground = a->detach ? NULL : &f,
                     .standin = CHILD_NONE,
                     .owner_fd = -1,
                     .slave_fd = -1};
    int r = container_open(cli, argv[0], CONTAINER_READ, &e.container, err);

    if (r >= 0)
        r = start(&e, argc - 1, argv + 1, err);
    container_close(e.container);
    close_fd(e.slave_fd);
    if (r >= 0 && !a->detach)
        r = foreground_run(&f, /* sandbox= */ 0, err);
    else if (a->detach)
        close_fd(e.owner_fd);
    foreground_done(&f);
    json_decref(e.process);
    spec_free(e.spec);
    return r;
}

const struct command g_cmd_exec = {.name = "exec",
                                   .arguments = "ID [COMMAND [ARGUMENT...]]",
                                   .summary = "start a process in a container",
                                   .options = g_options,
                                   .option_count = ARRAY_SIZE(g_options),
                                   .options_size = sizeof(struct exec_args),
                                   .min_args = 1,
                                   .max_args = -1,
                                   .error_code = 255,
                                   .run = run};
