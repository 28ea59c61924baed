/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/wait.c: waits for a container's end and prints how it ended, as JSON: {"id":"x","exitStatus":0}.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"
#include "runsc/container/foreground.h"

/* Of a sandbox that has gone: what it wrote last. */
static int read_exit_file(struct container *c, json_t **ret, struct err **err) {
    cleanup(freep) char *text = NULL;
    size_t size;
    int r = read_text_file(c->dir_fd, "exit.json", 65536, &text, &size, err);

    if (r >= 0 && size == 0) {
        r = err_set(err, ECHILD, "sandbox.lost", "how container %s ended is not known", c->id);
        err_explain(err, "its sandbox was killed before it could write that down", NULL);
    }
    return r < 0 ? r : spec_load_json(text, size, "exit.json", ret, err);
}

static int ask(struct cli *cli, const char *id, json_t **ret, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    struct control_channel channel;
    int r = container_open(cli, id, CONTAINER_READ, &c, err);

    if (r < 0)
        return r;
    if (container_status(c) == STATUS_STOPPED || container_connect(c, &channel, NULL) < 0)
        return read_exit_file(c, ret, err);
    json_t *request = container_request(c, "wait");
    container_close(TAKE(c));
    r = control_call(&channel, request, NULL, 0, ret, err);
    json_decref(request);
    control_channel_done(&channel);
    return r;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    cleanup(json_decrefp) json_t *answer = NULL;
    int r = ask(cli, argv[0], &answer, err);

    (void)options;
    (void)argc;
    if (r < 0)
        return r;
    const char *why = json_string_value(json_object_get(answer, "why"));
    printf("{\"id\":\"%s\",\"exitStatus\":%d}\n", argv[0],
           exit_code_of((int)json_integer_value(json_object_get(answer, "status"))));
    if (why)
        cli_warn(cli, "%s", why);
    return 0;
}

const struct command g_cmd_wait = {.name = "wait",
                                   .arguments = "ID",
                                   .summary = "wait for a container's end and show its exit status",
                                   .permute = true,
                                   .min_args = 1,
                                   .max_args = 1,
                                   .run = run};
