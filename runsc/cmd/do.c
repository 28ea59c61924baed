/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/do.c: runs one command in a sandbox of its own: the host's root (or --rootfs), read-only beneath
 * an overlay in memory. No bundle, no daemon. It writes the config.json that `run` would read, and goes the
 * same way.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/budget.h"
#include "runsc/container/container.h"
#include "runsc/container/foreground.h"
#include "runsc/network/uplink_start.h"

struct do_args {
    const char *rootfs, *cwd;
    struct option_list env, publish;
    const char *egress;
    bool terminal;
    struct budget_args budget;
};
#define O(n, l, k, member, v, h)                                                                             \
    {                                                                                                        \
        .name = n, .letter = l, .kind = OPTION_##k, .offset = offsetof(struct do_args, member), .value = v,  \
        .help = h                                                                                            \
    }
static const struct option_def g_options[] = {
    O("rootfs", 0, STRING, rootfs, "DIR", "use DIR as the root directory instead of the host's"),
    O("cwd", 0, STRING, cwd, "DIR", "start in DIR (default: the current directory, with --rootfs /)"),
    O("env", 'e', LIST, env, "NAME[=VALUE]",
      "set a variable, or hand the caller's on; of the caller's others only TERM, LANG and LC_* are"),
    O("publish", 'p', LIST, publish, "[IP:]PORT:PORT[/udp]",
      "hand a port of the host on to one of the sandbox"),
    O("egress", 0, STRING, egress, "FILE",
      "what the sandbox may reach: names, addresses, ports; all else is denied"),
    O("terminal", 't', FLAG, terminal, NULL, "give the command a terminal of its own"),
    BUDGET_OPTIONS(struct do_args, budget.),
};

static int add_env(json_t *list, const char *item) {
    const char *value = strchr(item, '=') ? NULL : getenv(item);
    char *text = NULL;

    if (strchr(item, '='))
        return json_array_append_new(list, json_string(item));
    if (!value)
        return 0;
    int r = asprintf(&text, "%s=%s", item, value) < 0 ? -1 : json_array_append_new(list, json_string(text));
    free(text);
    return r;
}

static json_t *make_env(const struct do_args *a) {
    static const char *const defaults[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "TERM",
        "LANG",
        "LC_ALL",
        "LC_CTYPE"};
    json_t *list = json_array();
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(defaults); i++) {
        bool overridden = false;
        size_t name = strcspn(defaults[i], "=");
        for (size_t j = 0; j < a->env.count; j++)
            overridden |=
                strcspn(a->env.items[j], "=") == name && strncmp(a->env.items[j], defaults[i], name) == 0;
        if (!overridden)
            r = add_env(list, defaults[i]);
    }
    for (size_t i = 0; r >= 0 && i < a->env.count; i++)
        r = add_env(list, a->env.items[i]);
    return list;
}

static json_t *make_capabilities(void) {
    static const char *const names[] = {"CAP_CHOWN",           "CAP_DAC_OVERRIDE",     "CAP_DAC_READ_SEARCH",
                                        "CAP_FOWNER",          "CAP_FSETID",           "CAP_KILL",
                                        "CAP_SETGID",          "CAP_SETUID",           "CAP_SETPCAP",
                                        "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST",
                                        "CAP_NET_ADMIN",       "CAP_NET_RAW",          "CAP_IPC_LOCK",
                                        "CAP_IPC_OWNER",       "CAP_SYS_CHROOT",       "CAP_SYS_PTRACE",
                                        "CAP_SYS_PACCT",       "CAP_SYS_ADMIN",        "CAP_SYS_NICE",
                                        "CAP_SYS_RESOURCE",    "CAP_SYS_TTY_CONFIG",   "CAP_MKNOD",
                                        "CAP_LEASE",           "CAP_AUDIT_WRITE",      "CAP_SETFCAP"};
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        json_array_append_new(list, json_string(names[i]));
    return json_pack("{s:O,s:O,s:o}", "bounding", list, "effective", list, "permitted", list);
}

/* What a program finds: its own /proc, /sys, /dev. */
static json_t *make_mounts(const char *resolv_conf) {
    json_t *mounts =
        json_pack("[{s:s,s:s,s:s},{s:s,s:s,s:s,s:[s]},{s:s,s:s,s:s},{s:s,s:s,s:s},{s:s,s:s,s:s},{s:s,s:s,"
                  "s:s,s:[s,s,s]}]",
                  "destination", "/proc", "type", "proc", "source", "proc", "destination", "/sys", "type",
                  "sysfs", "source", "sysfs", "options", "ro", "destination", "/sys/fs/cgroup", "type",
                  "cgroup2", "source", "cgroup2", "destination", "/dev", "type", "tmpfs", "source", "tmpfs",
                  "destination", "/dev/pts", "type", "devpts", "source", "devpts", "destination", "/dev/shm",
                  "type", "tmpfs", "source", "shm", "options", "nosuid", "nodev", "mode=1777");

    if (mounts && resolv_conf)
        json_array_append_new(mounts,
                              json_pack("{s:s,s:s,s:s,s:[s,s]}", "destination", "/etc/resolv.conf", "type",
                                        "bind", "source", resolv_conf, "options", "bind", "ro"));
    return mounts;
}

static json_t *make_config(const struct do_args *a, const char *resolv_conf, char **argv, int argc,
                           uint16_t rows, uint16_t columns) {
    json_t *args = json_array();
    char cwd[4096];

    for (int i = 0; i < argc; i++)
        json_array_append_new(args, json_string(argv[i]));
    const char *where = a->cwd ? a->cwd : a->rootfs || !getcwd(cwd, sizeof cwd) ? "/" : cwd;
    return json_pack("{s:s,s:{s:s,s:b},s:s,s:{s:b,s:{s:i,s:i},s:{s:i,s:i},s:o,s:o,s:s,s:o},s:o,s:{s:[{s:s},{"
                     "s:s},{s:s},{s:s},{s:s}]}}",
                     "ociVersion", RUNSC_SPEC_VERSION, "root", "path", a->rootfs ? a->rootfs : "/",
                     "readonly", 0, "hostname", "runsc", "process", "terminal", a->terminal, "consoleSize",
                     "height", (int)rows, "width", (int)columns, "user", "uid", 0, "gid", 0, "args", args,
                     "env", make_env(a), "cwd", where, "capabilities", make_capabilities(), "mounts",
                     make_mounts(resolv_conf), "linux", "namespaces", "type", "pid", "type", "mount", "type",
                     "ipc", "type", "uts", "type", "network");
}

/* What earlier ones left whose runsc was killed: named by its pid, which lives no more. */
static void sweep(struct cli *cli) {
    char **ids = NULL;

    if (container_list(cli, &ids, NULL) < 0)
        return;
    for (char **id = ids; *id; id++) {
        cleanup(container_closep) struct container *c = NULL;
        pid_t pid = strncmp(*id, "do-", 3) == 0 ? (pid_t)strtol(*id + 3, NULL, 10) : 0;
        if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH &&
            container_open(cli, *id, CONTAINER_OLD, &c, NULL) >= 0)
            (void)!runsc_container_destroy(c, NULL);
        free(*id);
    }
    free(ids);
}

static int create_and_run(struct cli *cli, struct foreground *f, struct budget *b, const struct do_args *a,
                          json_t *config, struct err **err) {
    cleanup(spec_freep) struct spec *spec = NULL;
    cleanup(container_closep) struct container *c = NULL;
    char id[64];
    uint32_t chance = 0;

    (void)!getrandom(&chance, sizeof chance, 0);
    snprintf(id, sizeof id, "do-%d-%08x", getpid(), chance);
    if (!config)
        return err_set(err, EINVAL, "usage", "the command or its environment is not valid UTF-8");
    int r = budget_into_config(b, config, err);
    if (r >= 0)
        r = spec_parse(config, &spec, err);
    if (r < 0)
        return r;
    struct create_options o = {
        .id = id,
        .config = config,
        .spec = spec,
        .stdio = {0, b->counts_output ? b->pipes[0][1] : 1, b->counts_output ? b->pipes[1][1] : 2},
        .tty_fd = f->slave_fd,
        .overlay = true,
        .exclusive_root = true,
        .init_killable = true,
        .keep_stderr = true,
        .cgroups = b->active,
        .owner_fd = f->owner[1]};
    struct uplink_options uplink = foreground_uplink(f);
    uplink.publish = &a->publish;
    uplink.egress = a->egress;
    r = runsc_container_create(cli, &o, &c, err);
    if (r < 0)
        return r;
    c->uplink = &uplink;
    budget_start(b, c);
    r = container_start(c, err);
    pid_t sandbox = c ? c->state.sandbox.pid : 0;
    container_close(TAKE(c)); /* other verbs may work on it while we wait */
    if (r >= 0)
        r = foreground_run(f, sandbox, err);
    int written = budget_write_report(b, r, f->status, f->reason, r < 0 ? NULL : err);
    return container_end_run(cli, id, r >= 0 && written < 0 ? written : r, err);
}

/* One for all of this --root: its content depends on the host alone. */
static int make_resolv_conf(struct cli *cli, char **ret, struct err **err) {
    cleanup(closep) int root = container_open_root(cli, err);

    if (root < 0)
        return root;
    if (asprintf(ret, "%s/resolv.conf", cli->root_path) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "starting the sandbox");
    return uplink_write_resolv_conf(*ret, err);
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    struct do_args *a = options;
    struct foreground f;
    uint16_t rows = 0, columns = 0;
    cleanup(freep) char *resolv_conf = NULL;
    struct budget budget;
    bool uplink = strcmp(cli->network, "sandbox") == 0;
    int r = foreground_prepare(&f, cli, a->terminal, &rows, &columns, err);

    if (r >= 0 && !uplink && (a->egress || a->publish.count))
        r = err_set(err, EINVAL, "usage", "--publish and --egress need --network=sandbox");
    sweep(cli);
    if (r >= 0 && uplink)
        r = make_resolv_conf(cli, &resolv_conf, err);
    if (r >= 0)
        r = budget_prepare(&budget, &a->budget, a->terminal, err);
    if (r >= 0) {
        json_t *config = make_config(a, resolv_conf, argv, argc, rows, columns);
        f.budget = budget.active ? &budget : NULL;
        r = create_and_run(cli, &f, &budget, a, config, err);
        json_decref(config);
        budget_done(&budget);
    }
    foreground_done(&f);
    free(a->env.items);
    free(a->publish.items);
    return r;
}

/* As env(1), nice(1) and docker run: 127 not found, 126 not executable, 125 our own failure. */
static int code_of(const struct err *e) {
    return strcmp(e->code, "exec.not-found") == 0 ? 127 : strncmp(e->code, "exec.", 5) == 0 ? 126 : 125;
}

const struct command g_cmd_do = {.name = "do",
                                 .arguments = "COMMAND [ARGUMENT...]",
                                 .summary = "run a command in a sandbox, on the host's root under an overlay",
                                 .options = g_options,
                                 .option_count = ARRAY_SIZE(g_options),
                                 .options_size = sizeof(struct do_args),
                                 .min_args = 1,
                                 .max_args = -1,
                                 .error_code = 125,
                                 .run = run,
                                 .code_of = code_of};
