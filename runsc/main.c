/* SPDX-License-Identifier: Apache-2.0
 * runsc/main.c: reads the global options, finds the command, runs it, and tells its error once.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runsc/cli.h"
#include "runsc/container/standin_mounts.h"

static void report(const struct cli *cli, const struct err *e) {
    cleanup(freep) char *text = e ? err_text(e) : NULL;

    log_error(LOG_CLI, "%s", text ? text : "failed");
    cli_log(cli, "error", text ? text : "runsc failed for lack of memory");
}

/* The debug log goes to a descriptor that no later closing of 0-2 can touch; children inherit it by number.
 */
static int open_debug_log(struct cli *cli, struct err **err) {
    const char *levels = cli->log_level ? cli->log_level : cli->debug || cli->strace ? "debug" : "info";

    cli->debug_log_fd = -1;
    if (cli->debug_log) {
        cli->debug_log_fd = open(cli->debug_log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        if (cli->debug_log_fd < 0)
            return err_set(err, errno, "log.open", "opening the debug log %s", cli->debug_log);
    } else if ((cli->debug || cli->strace) && !cli->log) {
        cli->debug_log_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    }
    cli->log_level = levels;
    if (log_init("runsc", cli->debug_log_fd, levels) < 0)
        return err_set(err, EINVAL, "usage", "--log-level: \"%s\" is no list of levels", levels);
    return 0;
}

static int check_globals(struct cli *cli, struct err **err) {
    if (cli->log_format && strcmp(cli->log_format, "json") != 0 && strcmp(cli->log_format, "text") != 0)
        return err_set(err, EINVAL, "usage", "--log-format must be text or json, not \"%s\"",
                       cli->log_format);
    if (!cli->platform)
        cli->platform = "auto";
    if (!cli->network)
        cli->network = "sandbox";
    if (strcmp(cli->network, "sandbox") != 0 && strcmp(cli->network, "none") != 0)
        return err_set(err, EINVAL, "usage", "--network must be sandbox or none, not \"%s\"", cli->network);
    return open_debug_log(cli, err);
}

static int run_command(struct cli *cli, const struct command *c, int argc, char **argv) {
    cleanup(err_freep) struct err *err = NULL;
    cleanup(freep) void *options = calloc(1, c->options_size + 1);
    int next = 0;
    int r = options_parse(c->options, c->option_count, options, argc, argv, c->permute, &next, &err);

    if (r == OPTIONS_HELP) {
        command_help(stdout, c);
        return 0;
    }
    argc -= next;
    argv += next;
    if (r >= 0 && (argc < c->min_args || (c->max_args >= 0 && argc > c->max_args)))
        r = err_set(&err, EINVAL, "usage", "%s takes %s%s", c->name,
                    c->max_args == 0 ? "no arguments" : "the arguments ", c->arguments);
    if (r < 0) {
        report(cli, err);
        command_help(stdout, c);
        return c->error_code ? c->error_code : 1;
    }
    r = c->run(cli, options, argc, argv, &err);
    if (r >= 0)
        return r;
    if (!err)
        (void)err_set(&err, -r, "internal", "%s failed", c->name);
    report(cli, err);
    return c->code_of ? c->code_of(err) : c->error_code ? c->error_code : 1;
}

int main(int argc, char **argv) {
    struct cli cli = {.debug_log_fd = -1};
    cleanup(err_freep) struct err *err = NULL;
    int next = 0;

    (void)signal(SIGPIPE, SIG_IGN);
    process_title_init(argc, argv);
    int r = options_parse(g_global_options, g_global_option_count, &cli, argc - 1, argv + 1,
                          /* permute= */ false, &next, &err);
    if (r == OPTIONS_HELP) {
        cli_help(stdout);
        return 0;
    }
    if (r >= 0 && cli.version)
        return g_cmd_version.run(&cli, NULL, 0, NULL, NULL);
    if (r >= 0)
        r = check_globals(&cli, &err);
    argc -= 1 + next;
    argv += 1 + next;
    const struct command *c = r >= 0 && argc > 0 ? command_find(argv[0]) : NULL;
    if (r >= 0 && !c)
        (void)err_set(&err, EINVAL, "usage", argc > 0 ? "unknown command \"%s\"" : "no command given%s",
                      argc > 0 ? argv[0] : "");
    if (!c) {
        report(&cli, err);
        cli_help(stdout);
        return argc > 0 ? 3 : 1;
    }
    cli.command = c->name;
    /* jansson would open /dev/urandom for this, which the sandbox process has not. */
    uint32_t seed = 0;
    (void)!getrandom(&seed, sizeof seed, 0);
    json_object_seed(seed | 1);
    int code = run_command(&cli, c, argc - 1, argv + 1);
    free(cli.root_path);
    close_fd(cli.debug_log_fd);
    return code;
}
