/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/run.c: create and start a bundle and, unless detached, stay until it ends; then delete it (unless
 * --keep).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/cmd/create.h"
#include "runsc/container/foreground.h"

struct run_args {
    struct create_args create; /* first: create_from_bundle() takes it */
    bool detach, keep, no_subreaper;
};
#define O(n, l, k, member, v, h)                                                                             \
    {                                                                                                        \
        .name = n, .letter = l, .kind = OPTION_##k, .offset = offsetof(struct run_args, member), .value = v, \
        .help = h                                                                                            \
    }
static const struct option_def g_options[] = {
    CREATE_OPTIONS(struct run_args, create.),
    O("detach", 'd', FLAG, detach, NULL, "return once the container is started"),
    O("keep", 0, FLAG, keep, NULL, "do not delete the container when it ends"),
    O("no-subreaper", 0, FLAG, no_subreaper, NULL, NULL),
};

static int run_detached(struct cli *cli, struct run_args *a, const char *id, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    int r = create_from_bundle(cli, &a->create, id, NULL, &c, err);

    if (r >= 0 && (r = container_start(c, err)) < 0)
        (void)!runsc_container_destroy(c, NULL);
    return r;
}

static int run_foreground(struct cli *cli, struct run_args *a, const char *id, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    struct foreground f;
    int r = create_from_bundle(cli, &a->create, id, &f, &c, err);
    struct uplink_options uplink = foreground_uplink(&f);

    if (r >= 0) {
        c->uplink = &uplink;
        r = container_start(c, err);
    }
    bool created = c != NULL;
    pid_t sandbox = c ? c->state.sandbox.pid : 0;
    container_close(TAKE(c)); /* other verbs may work on it while we wait */
    if (r >= 0)
        r = foreground_run(&f, sandbox, err);
    foreground_done(&f);
    return created && (r < 0 || !a->keep) ? container_end_run(cli, id, r, err) : r;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    struct run_args *a = options;

    (void)argc;
    return a->detach ? run_detached(cli, a, argv[0], err) : run_foreground(cli, a, argv[0], err);
}

const struct command g_cmd_run = {.name = "run",
                                  .arguments = "ID",
                                  .summary = "create and start a container",
                                  .options = g_options,
                                  .option_count = ARRAY_SIZE(g_options),
                                  .options_size = sizeof(struct run_args),
                                  .permute = true,
                                  .min_args = 1,
                                  .max_args = 1,
                                  .run = run};
