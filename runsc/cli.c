/* SPDX-License-Identifier: Apache-2.0
 * runsc/cli.c: see cli.h: the global options, the table of commands, help, and where messages go.
 */
#include "runsc/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/log.h"

#define O(n, l, k, member, v, h)                                                                             \
    {                                                                                                        \
        .name = n, .letter = l, .kind = OPTION_##k, .offset = offsetof(struct cli, member), .value = v,      \
        .help = h                                                                                            \
    }

const struct option_def g_global_options[] = {
    O("root", 0, STRING, root, "DIR",
      "where the state of containers is kept (default /run/runsc, or below XDG_RUNTIME_DIR)"),
    O("log", 0, STRING, log, "FILE", "append errors to FILE instead of standard error"),
    O("log-format", 0, STRING, log_format, "FORMAT", "format of --log: text or json"),
    O("debug", 0, FLAG, debug, NULL, "log at level debug to --debug-log, or to standard error"),
    O("debug-log", 0, STRING, debug_log, "FILE", "write the debug log of all processes to FILE"),
    O("log-level", 0, STRING, log_level, "LEVELS",
      "levels of --debug-log: \"debug\", or \"info,kernel=trace,vfs=debug\""),
    O("platform", 0, STRING, platform, "NAME", "how guest code runs: ptrace, systrap, kvm or auto"),
    O("zero-privilege", 0, FLAG, zero_privilege, NULL, "run even where the host denies walls of the sandbox"),
    O("strace", 0, FLAG, strace, NULL, "log guest system calls to the debug log"),
    O("xray", 0, FLAG, xray, NULL, "at exit, list system calls that were not supported"),
    O("systemd-cgroup", 0, FLAG, systemd_cgroup, NULL,
      "accepted for the clients' sake: cgroups are made directly"),
    O("rootless", 0, STRING, rootless, "VALUE",
      "true, false or auto: whether an ordinary user's rules apply"),
    O("network", 0, STRING, network, "MODE",
      "sandbox (default): the sandbox's own stack on the container's interfaces; none: loopback only"),
    O("pcap", 0, STRING, pcap, "FILE",
      "write the frames of the sandbox's first interface to FILE, for tcpdump -r"),
    O("version", 'v', FLAG, version, NULL, "the version"),
    O("criu", 0, STRING, criu, "PATH", NULL),
};

const size_t g_global_option_count = ARRAY_SIZE(g_global_options);

const struct command *const g_commands[] = {
    &g_cmd_do,
    &g_cmd_run,
    &g_cmd_create,
    &g_cmd_start,
    &g_cmd_state,
    &g_cmd_kill,
    &g_cmd_delete,
    &g_cmd_exec,
    &g_cmd_events,
    &g_cmd_list,
    &g_cmd_ps,
    &g_cmd_pause,
    &g_cmd_resume,
    &g_cmd_wait,
    &g_cmd_update,
    &g_cmd_spec,
    &g_cmd_features,
    &g_cmd_doctor,
    &g_cmd_platforms,
    &g_cmd_port_forward,
    &g_cmd_install,
    &g_cmd_uninstall,
    &g_cmd_version,
    &g_cmd_help,
    &g_cmd_boot,
    &g_cmd_gofer,
    &g_cmd_uplink,
    &g_cmd_generate,
    NULL,
};

const struct command *command_find(const char *name) {
    for (const struct command *const *c = g_commands; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

void command_help(FILE *to, const struct command *c) {
    fprintf(to, "NAME:\n   runsc %s - %s\n\nUSAGE:\n   runsc [global options] %s%s %s\n", c->name,
            c->summary ? c->summary : "internal", c->name, c->option_count ? " [options]" : "", c->arguments);
    if (c->option_count) {
        fprintf(to, "\nOPTIONS:\n");
        options_print(to, c->options, c->option_count);
    }
}

void cli_help(FILE *to) {
    fprintf(
        to,
        "NAME:\n   runsc - runs untrusted programs in a sandbox with a kernel of its own; an OCI runtime\n\n"
        "USAGE:\n   runsc [global options] COMMAND [options] [arguments]\n\nCOMMANDS:\n");
    for (const struct command *const *c = g_commands; *c; c++)
        if ((*c)->summary)
            fprintf(to, "   %-12s %s\n", (*c)->name, (*c)->summary);
    fprintf(to, "\nGLOBAL OPTIONS:\n");
    options_print(to, g_global_options, g_global_option_count);
    fprintf(to, "   %-36s %s\n", "-h, --help", "this text; after a command: about it");
}

static void rfc3339(char *buffer, size_t size) {
    struct timespec now;
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(buffer, size, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buffer + n, size - n, "Z");
}

/* One write each, since several processes append to one file. */
static void write_log_line(int fd, bool json, const char *level, const char *text) {
    char time[40];
    cleanup(freep) char *line = NULL;

    rfc3339(time, sizeof time);
    json_t *quoted = json_string_nocheck(text);
    cleanup(freep) char *q = quoted ? json_dumps(quoted, JSON_ENCODE_ANY) : NULL;
    json_decref(quoted);
    int n = json ? asprintf(&line, "{\"level\":\"%s\",\"msg\":%s,\"time\":\"%s\"}\n", level, q ? q : "\"?\"",
                            time)
                 : asprintf(&line, "time=\"%s\" level=%s msg=%s\n", time, level, q ? q : "\"?\"");
    if (n > 0)
        (void)!write(fd, line, (size_t)n);
}

void cli_log(const struct cli *cli, const char *level, const char *text) {
    bool json = cli->log_format && strcmp(cli->log_format, "json") == 0;
    cleanup(closep) int fd = cli->log ? open(cli->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;

    if (fd >= 0)
        write_log_line(fd, json, level, text);
    else if (json)
        write_log_line(STDERR_FILENO, true, level, text);
    else
        fprintf(stderr, "runsc: %s%s\n", strcmp(level, "warning") == 0 ? "warning: " : "", text);
}

void cli_warn(const struct cli *cli, const char *fmt, ...) {
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log_warning(LOG_CLI, "%s", text);
    /* On success standard error stays silent: it may be the container's own (OCI.md 2). */
    if (cli->log || cli->debug)
        cli_log(cli, "warning", text);
}

/* Whoever is root only in a user namespace (rootless podman) owns nothing of /run: an ordinary user all the
 * same. */
static bool is_ordinary_user(void) {
    unsigned inside = 0, outside = 0, count = 0;
    cleanup(fclosep) FILE *f = fopen("/proc/self/uid_map", "re");

    if (geteuid() != 0)
        return true;
    return f && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3 &&
           (outside != 0 || count != UINT32_MAX);
}

int cli_root(struct cli *cli, struct err **err) {
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    bool ordinary = !cli->root_path && !cli->root && is_ordinary_user();

    if (cli->root_path)
        return 0;
    if (cli->root)
        cli->root_path = strdup(cli->root);
    else if (xdg && *xdg && ordinary && asprintf(&cli->root_path, "%s/runsc", xdg) < 0)
        cli->root_path = NULL;
    else if (!cli->root_path && geteuid() != 0 && asprintf(&cli->root_path, "/tmp/runsc-%u", geteuid()) < 0)
        cli->root_path = NULL;
    else if (!cli->root_path)
        cli->root_path = strdup("/run/runsc");
    if (!cli->root_path)
        return err_set(err, ENOMEM, "out-of-memory", "finding the state directory");
    return 0;
}
