/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/platforms.c: which platforms work on this host, and what a system call costs on each.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "platform/platform_trial.h"
#include "runsc/cli.h"

struct platforms_args {
    const char *format;
};
static const struct option_def g_options[] = {{.name = "format",
                                               .letter = 'f',
                                               .kind = OPTION_STRING,
                                               .offset = offsetof(struct platforms_args, format),
                                               .value = "table|json",
                                               .help = "output format"}};

static const char *const g_names[] = {"systrap", "ptrace",
                                      "kvm"}; /* what --platform=auto would rather take first */

static json_t *trial_json(const char *name, const struct platform_trial *t) {
    json_t *one = json_pack("{s:s,s:b}", "platform", name, "works", t->error == 0);

    if (t->error) {
        json_object_set_new(one, "why", json_string(t->why));
        return one;
    }
    json_object_set_new(one, "callNs", json_integer(t->call_ns));
    if (t->entry[0])
        json_object_set_new(one, "entry", json_string(t->entry));
    return one;
}

static void print_trial(const char *name, const struct platform_trial *t) {
    if (t->error)
        printf("%-8s  no       %s\n", name, t->why);
    else
        printf("%-8s  works  %8.2f us a call%s%s\n", name, t->call_ns / 1e3, t->entry[0] ? ", by " : "",
               t->entry);
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct platforms_args *a = options;
    bool json = a->format && strcmp(a->format, "json") == 0;
    cleanup(json_decrefp) json_t *all = json_array();

    (void)cli;
    (void)argc;
    (void)argv;
    if (a->format && !json && strcmp(a->format, "table") != 0)
        return err_set(err, EINVAL, "usage", "--format is table or json, not \"%s\"", a->format);
    for (size_t i = 0; i < ARRAY_SIZE(g_names); i++) {
        struct platform_trial t;
        int r = platform_try(g_names[i], &t);
        if (r < 0)
            return err_set(err, -r, "platform.trial", "trying platform %s", g_names[i]);
        if (json)
            json_array_append_new(all, trial_json(g_names[i], &t));
        else
            print_trial(g_names[i], &t);
    }
    if (json && (json_dumpf(all, stdout, JSON_INDENT(4)) < 0 || putchar('\n') == EOF))
        return err_set(err, EIO, "output", "writing the platforms");
    return fflush(stdout) == EOF ? err_set(err, EIO, "output", "writing the platforms") : 0;
}

const struct command g_cmd_platforms = {.name = "platforms",
                                        .arguments = "",
                                        .summary =
                                            "try each platform and show what a system call costs on it",
                                        .options = g_options,
                                        .option_count = ARRAY_SIZE(g_options),
                                        .options_size = sizeof(struct platforms_args),
                                        .run = run};
