/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/version.c: the lines that podman and dockerd parse (OCI.md 4).
 */
#include "runsc/cli.h"
#include "version.h"

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    (void)cli;
    (void)options;
    (void)argc;
    (void)argv;
    (void)err;
    printf("runsc version %s\ncommit: %s\nspec: %s\n", RUNSC_VERSION, RUNSC_COMMIT, RUNSC_SPEC_VERSION);
    return 0;
}

const struct command g_cmd_version = {
    .name = "version", .arguments = "", .summary = "show the version", .run = run};
