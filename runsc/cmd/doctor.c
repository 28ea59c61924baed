/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/doctor.c: starts an empty sandbox and tells which of its walls stand, and what of the host's
 * facilities is there. Exit code 1 if a wall is down.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "boot/filter.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

struct doctor_args {
    bool calls;
};
static const struct option_def g_options[] = {
    {.name = "calls",
     .kind = OPTION_FLAG,
     .offset = 0,
     .help = "also list the host calls that a sandbox may make"},
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
    return NULL;
}

static bool print_walls(const json_t *walls) {
    bool all = json_array_size(walls) > 0;
    const json_t *one;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)walls, i, one) {
        const char *name = json_string_value(json_object_get(one, "wall")),
                   *why = json_string_value(json_object_get(one, "why"));
        bool up = json_is_true(json_object_get(one, "up"));
        printf("wall %-18s %s%s%s\n", name, up ? "up" : "DOWN", why ? ": " : "", why ? why : "");
        if (!up && remedy_for(name))
            printf("     %-18s remedy: %s\n", "", remedy_for(name));
        all &= up;
    }
    return all;
}

static void print_host(void) {
    struct cgroup g;
    struct utsname u;
    bool v1 = false, v2 = false;

    if (uname(&u) == 0)
        printf("host kernel             %s %s\n", u.sysname, u.release);
    if (cgroup_discover(&g, NULL) >= 0) {
        for (size_t i = 0; i < g.count; i++) {
            v1 |= !g.items[i].v2;
            v2 |= g.items[i].v2;
        }
        cgroup_done(&g);
    }
    printf("host cgroups            %s\n", v1 && v2 ? "v1, and v2 beside it"
                                           : v1     ? "v1"
                                           : v2     ? "v2"
                                                    : "none: limits are the sentry's own");
    printf("host /dev/kvm           %s\n", access("/dev/kvm", R_OK | W_OK) == 0 ? "usable" : strerror(errno));
}

static void print_call(void *arg, const char *call, const char *why) {
    (void)arg;
    printf("call %-18s %s\n", call, why);
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct doctor_args *a = options;
    cleanup(json_decrefp) json_t *walls = NULL;
    int r = sandbox_probe(cli, &walls, err);

    (void)argc;
    (void)argv;
    if (r < 0)
        return err_wrap(err, r, "starting a sandbox to look at");
    bool all = print_walls(walls);
    print_host();
    if (a->calls)
        printf("%zu rules for host calls, besides the platform's\n", filter_describe(print_call, NULL));
    return all ? 0 : 1;
}

const struct command g_cmd_doctor = {.name = "doctor",
                                     .arguments = "",
                                     .summary = "show which walls of a sandbox stand on this host",
                                     .options = g_options,
                                     .option_count = ARRAY_SIZE(g_options),
                                     .options_size = sizeof(struct doctor_args),
                                     .run = run};
