/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/doctor.c: starts an empty sandbox and tells which of its walls stand, which platforms work, and
 * what of the host's facilities is there: each with why it is not and what would bring it. Exit code 1 if a
 * wall is down or no platform works.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "boot/filter.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"
#include "runsc/doctor/facilities.h"

struct doctor_args {
    const char *format;
    bool calls;
};
static const struct option_def g_options[] = {
    {.name = "calls",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct doctor_args, calls),
     .help = "also list the host calls that a sandbox may make"},
    {.name = "format",
     .letter = 'f',
     .kind = OPTION_STRING,
     .offset = offsetof(struct doctor_args, format),
     .value = "table|json",
     .help = "output format"},
};

static const struct {
    const char *wall, *remedy;
} g_remedies[] = {
    {"user-ns", "allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone; a "
                "container needs them from its own host"},
    {"mount-ns", "as user-ns"},
    {"pid-ns", "as user-ns"},
    {"net-ns", "as user-ns"},
    {"ipc-ns", "as user-ns"},
    {"uts-ns", "as user-ns"},
    {"own-procfs", "within a container: start it so that /proc is not masked"},
    {"empty-root", "as mount-ns"},
    {"seccomp", "a kernel with CONFIG_SECCOMP_FILTER; an instrumented build goes without"},
};

static const char *remedy_for(const char *wall) {
    for (size_t i = 0; i < ARRAY_SIZE(g_remedies); i++)
        if (strcmp(g_remedies[i].wall, wall) == 0)
            return g_remedies[i].remedy;
    return "see docs/security.md";
}

static bool add_walls(json_t *report, json_t *walls) {
    bool all = json_array_size(walls) > 0;
    json_t *one;
    size_t i;

    json_array_foreach(walls, i, one) {
        const char *name = json_string_value(json_object_get(one, "wall")),
                   *why = json_string_value(json_object_get(one, "why"));
        bool up = json_is_true(json_object_get(one, "up"));
        doctor_add(report, "wall", name, up, why ? why : "", up ? NULL : remedy_for(name));
        all &= up;
    }
    return all;
}

/* An empty sandbox on each platform: the walls of the first that starts are those that are told of. */
static int probe_platforms(struct cli *cli, json_t *report, json_t **ret_walls, struct err **err) {
    static const char *const platforms[] = {"systrap", "ptrace", "kvm"};
    const char *asked = cli->platform;
    struct err *why = NULL;
    int best = -ENOENT;

    for (size_t i = 0; i < ARRAY_SIZE(platforms); i++) {
        json_t *walls = NULL;
        cli->platform = platforms[i];
        err_free(TAKE(why));
        int r = sandbox_probe(cli, &walls, &why);
        cleanup(freep) char *text = why ? err_text(why) : NULL;
        bool unbuilt = why && strcmp(why->code, "platform.unknown") == 0;
        doctor_add(report, "platform", platforms[i], r >= 0, text ? text : "",
                   r >= 0    ? NULL
                   : unbuilt ? "another one serves"
                             : "see --debug-log; --platform names another");
        if (r >= 0 && best < 0) {
            best = 0;
            *ret_walls = TAKE(walls);
        }
        json_decref(walls);
    }
    cli->platform = asked;
    if (best < 0 && err)
        *err = TAKE(why);
    err_free(why);
    return best;
}

static void print_table(const json_t *report) {
    const json_t *one;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)report, i, one) {
        const char *why = json_string_value(json_object_get(one, "why")),
                   *remedy = json_string_value(json_object_get(one, "remedy"));
        printf("%-9s %-18s %s%s%s\n", json_string_value(json_object_get(one, "kind")),
               json_string_value(json_object_get(one, "name")),
               json_is_true(json_object_get(one, "up")) ? "up" : "DOWN", why && *why ? ": " : "",
               why ? why : "");
        if (remedy)
            printf("%-9s %-18s remedy: %s\n", "", "", remedy);
    }
}

static void print_call(void *arg, const char *call, const char *why) {
    (void)arg;
    printf("call      %-18s %s\n", call, why);
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct doctor_args *a = options;
    cleanup(json_decrefp) json_t *report = json_array(), *walls = NULL;
    bool json = a->format && strcmp(a->format, "json") == 0;

    (void)argc;
    (void)argv;
    if (a->format && !json && strcmp(a->format, "table") != 0)
        return err_set(err, EINVAL, "usage", "--format must be table or json, not \"%s\"", a->format);
    if (!report)
        return err_set(err, ENOMEM, "out-of-memory", "looking at the host");
    struct err *why = NULL;
    int r = probe_platforms(cli, report, &walls, &why);
    bool all = r >= 0 && add_walls(report, walls);
    doctor_facilities(cli, report);
    if (json) {
        json_dumpf(report, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print_table(report);
    }
    if (a->calls)
        printf("%zu rules for host calls, besides the platform's\n", filter_describe(print_call, NULL));
    if (r < 0) {
        if (err)
            *err = TAKE(why);
        err_free(why);
        return err_wrap(err, r, "no sandbox starts on this host");
    }
    return all ? 0 : 1;
}

const struct command g_cmd_doctor = {.name = "doctor",
                                     .arguments = "",
                                     .summary = "show which walls of a sandbox stand on this host",
                                     .options = g_options,
                                     .option_count = ARRAY_SIZE(g_options),
                                     .options_size = sizeof(struct doctor_args),
                                     .run = run};
