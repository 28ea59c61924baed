/* SPDX-License-Identifier: Apache-2.0
 * runsc/cli.h: the command line: global options, the table of commands, how errors are told.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "runsc/options.h"

struct cli {
    const char *root, *log, *log_format, *debug_log, *log_level, *platform, *rootless, *network, *pcap, *criu;
    bool version, debug, systemd_cgroup, zero_privilege, strace, xray;
    /* worked out from them */
    char *root_path;  /* owned */
    int debug_log_fd; /* -1: none */
    const char *command;
};

struct command {
    const char *name, *arguments, *summary; /* summary NULL: not shown by help */
    const struct option_def *options;
    size_t option_count, options_size;
    bool permute;           /* options may follow arguments */
    int min_args, max_args; /* max -1: any */
    int error_code;         /* exit code when run() fails; 0 means 1 */
    /* Returns the exit code, or a negative errno with *err set. `options` is zeroed and filled from the
     * command line. */
    int (*run)(struct cli *cli, void *options, int argc, char **argv, struct err **err);
    /* Optional: the exit code for an error (`do`: 127, 126, 125). */
    int (*code_of)(const struct err *e);
};

extern const struct command *const g_commands[];
const struct command *command_find(const char *name);
void command_help(FILE *to, const struct command *c);
void cli_help(FILE *to);
extern const struct option_def g_global_options[];
extern const size_t g_global_option_count;

/* To --log (appended, in --log-format) or else standard error: OCI.md 2. level "error" or "warning". */
void cli_log(const struct cli *cli, const char *level, const char *text);
void cli_warn(const struct cli *cli, const char *fmt, ...) printf_like(2, 3);
/* Where state lives: --root, else XDG_RUNTIME_DIR/runsc for an ordinary user, else /run/runsc. */
int cli_root(struct cli *cli, struct err **err) must_check;

extern const struct command g_cmd_boot, g_cmd_create, g_cmd_delete, g_cmd_do, g_cmd_doctor, g_cmd_events,
    g_cmd_exec, g_cmd_features, g_cmd_generate, g_cmd_gofer, g_cmd_help, g_cmd_install, g_cmd_kill,
    g_cmd_list, g_cmd_pause, g_cmd_platforms, g_cmd_port_forward, g_cmd_ps, g_cmd_resume, g_cmd_run,
    g_cmd_spec, g_cmd_start, g_cmd_state, g_cmd_uninstall, g_cmd_update, g_cmd_uplink, g_cmd_version,
    g_cmd_wait;

#define RUNSC_SPEC_VERSION "1.0.2"
