/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/start.c: lets a created container's program go.
 */
#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    (void)options;
    for (int i = 0; i < argc; i++) {
        cleanup(container_closep) struct container *c = NULL;
        int r = container_open(cli, argv[i], CONTAINER_OLD, &c, err);
        if (r >= 0)
            r = container_start(c, err);
        if (r < 0)
            return r;
    }
    return 0;
}

const struct command g_cmd_start = {.name = "start",
                                    .arguments = "ID...",
                                    .summary = "start a created container",
                                    .min_args = 1,
                                    .max_args = -1,
                                    .run = run};
