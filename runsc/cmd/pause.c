/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/pause.c: pause and resume: all tasks of a container stop between two instructions, and go on.
 */
#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

static int ask(struct cli *cli, const char *id, const char *verb, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    struct control_channel channel;
    int r = container_open(cli, id, CONTAINER_READ, &c, err);

    if (r >= 0)
        r = container_connect(c, &channel, err);
    if (r < 0)
        return r;
    json_t *request = container_request(c, verb);
    r = control_call(&channel, request, NULL, 0, NULL, err);
    json_decref(request);
    control_channel_done(&channel);
    return r;
}

static int run_pause(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    (void)options;
    (void)argc;
    return ask(cli, argv[0], "pause", err);
}

static int run_resume(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    (void)options;
    (void)argc;
    return ask(cli, argv[0], "resume", err);
}

const struct command g_cmd_pause = {.name = "pause",
                                    .arguments = "ID",
                                    .summary = "stop all processes of a container",
                                    .permute = true,
                                    .min_args = 1,
                                    .max_args = 1,
                                    .run = run_pause};
const struct command g_cmd_resume = {.name = "resume",
                                     .arguments = "ID",
                                     .summary = "let a paused container go on",
                                     .permute = true,
                                     .min_args = 1,
                                     .max_args = 1,
                                     .run = run_resume};
