/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/delete.c: removes a stopped container, or with --force whatever there is of one.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

struct delete_args {
    bool force;
};
static const struct option_def g_options[] = {
    {.name = "force",
     .letter = 'f',
     .kind = OPTION_FLAG,
     .offset = 0,
     .help = "end it first; an unknown one is no error"},
};

static int delete_one(struct cli *cli, const char *id, bool force, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    struct err *why = NULL;
    int r = container_open(cli, id, CONTAINER_OLD, &c, &why);

    if (r < 0 && force && r == -ENOENT) {
        err_free(why);
        return 0;
    }
    if (r < 0) {
        if (err)
            *err = why;
        return r;
    }
    enum container_status status = container_status(c);
    if (!force && status != STATUS_STOPPED && status != STATUS_CREATED && status != STATUS_CREATING)
        return err_set(err, EBUSY, "container.running", "cannot delete container %s that is not stopped: %s",
                       id, container_status_name(status));
    return runsc_container_destroy(c, err);
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct delete_args *a = options;

    for (int i = 0; i < argc; i++) {
        int r = delete_one(cli, argv[i], a->force, err);
        if (r < 0)
            return r;
    }
    return 0;
}

const struct command g_cmd_delete = {.name = "delete",
                                     .arguments = "ID...",
                                     .summary = "delete a container",
                                     .options = g_options,
                                     .option_count = ARRAY_SIZE(g_options),
                                     .options_size = sizeof(struct delete_args),
                                     .permute = true,
                                     .min_args = 1,
                                     .max_args = -1,
                                     .run = run};
