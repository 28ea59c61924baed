/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/list.c: all containers under --root, as a table, as JSON, or their ids.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

struct list_args {
    const char *format;
    bool quiet;
};
static const struct option_def g_options[] = {
    {.name = "format",
     .letter = 'f',
     .kind = OPTION_STRING,
     .offset = offsetof(struct list_args, format),
     .value = "table|json",
     .help = "output format"},
    {.name = "quiet",
     .letter = 'q',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct list_args, quiet),
     .help = "ids only"},
};

static const char *text_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));

    return s && *s ? s : "-";
}

static void print_table(const json_t *all) {
    size_t i;
    const json_t *one;

    printf("%-28s %-10s %-10s %-40s %-32s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
    json_array_foreach(all, i, one)
        printf("%-28s %-10lld %-10s %-40s %-32s %s\n", text_of(one, "id"),
               (long long)json_integer_value(json_object_get(one, "pid")), text_of(one, "status"),
               text_of(one, "bundle"), text_of(one, "created"), text_of(one, "owner"));
}

/* One that is removed meanwhile is left out. */
static json_t *collect(struct cli *cli, char **ids) {
    json_t *all = json_array();

    for (; *ids; ids++) {
        cleanup(container_closep) struct container *c = NULL;
        if (container_open(cli, *ids, CONTAINER_READ, &c, NULL) >= 0)
            json_array_append_new(all, container_state_json(c, container_status(c)));
    }
    return all;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct list_args *a = options;
    char **ids = NULL;

    (void)argc;
    (void)argv;
    if (a->format && strcmp(a->format, "json") != 0 && strcmp(a->format, "table") != 0)
        return err_set(err, EINVAL, "usage", "--format must be table or json, not \"%s\"", a->format);
    int r = container_list(cli, &ids, err);
    if (r < 0)
        return r;
    for (char **id = ids; a->quiet && *id; id++)
        puts(*id);
    if (!a->quiet) {
        cleanup(json_decrefp) json_t *all = collect(cli, ids);
        if (a->format && strcmp(a->format, "json") == 0) {
            json_dumpf(all, stdout, JSON_COMPACT);
            putchar('\n');
        } else {
            print_table(all);
        }
    }
    for (char **id = ids; *id; id++)
        free(*id);
    free(ids);
    return 0;
}

const struct command g_cmd_list = {.name = "list",
                                   .arguments = "",
                                   .summary = "list containers",
                                   .options = g_options,
                                   .option_count = ARRAY_SIZE(g_options),
                                   .options_size = sizeof(struct list_args),
                                   .permute = true,
                                   .run = run};
