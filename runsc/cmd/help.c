/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/help.c: help, of all or of one command.
 */
#include "runsc/cli.h"

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct command *c = argc > 0 ? command_find(argv[0]) : NULL;

    (void)cli;
    (void)options;
    if (argc > 0 && !c)
        return err_set(err, 0, "usage", "unknown command \"%s\"", argv[0]);
    if (c)
        command_help(stdout, c);
    else
        cli_help(stdout);
    return 0;
}

const struct command g_cmd_help = {
    .name = "help", .arguments = "[COMMAND]", .summary = "show help", .max_args = 1, .run = run};
