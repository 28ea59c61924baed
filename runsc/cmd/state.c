/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/state.c: one container's state as JSON (OCI.md 4).
 */
#include <errno.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    int r = container_open(cli, argv[0], CONTAINER_READ, &c, err);

    (void)options;
    (void)argc;
    if (r < 0)
        return r;
    cleanup(json_decrefp) json_t *state = container_state_json(c, container_status(c));
    if (!state || json_dumpf(state, stdout, JSON_INDENT(2)) < 0 || putchar('\n') == EOF ||
        fflush(stdout) == EOF)
        return err_set(err, EIO, "output", "writing the state of container %s", argv[0]);
    return 0;
}

const struct command g_cmd_state = {.name = "state",
                                    .arguments = "ID",
                                    .summary = "show a container's state",
                                    .permute = true,
                                    .min_args = 1,
                                    .max_args = 1,
                                    .run = run};
