/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/update.c: changes a container's limits, in its control groups on the host and in its sandbox,
 * from a LinuxResources document or from flags. Zero and absent values leave a limit alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

struct update_args {
    const char *resources, *cpus, *mems;
    int64_t memory, swap, reservation, shares, quota, period, pids, weight;
};
#define O(n, l, k, member, v, h)                                                                             \
    {                                                                                                        \
        .name = n, .letter = l, .kind = OPTION_##k, .offset = offsetof(struct update_args, member),          \
        .value = v, .help = h                                                                                \
    }
static const struct option_def g_options[] = {
    O("resources", 'r', STRING, resources, "FILE", "a LinuxResources document; - is standard input"),
    O("memory", 0, NUMBER, memory, "BYTES", "memory limit"),
    O("memory-swap", 0, NUMBER, swap, "BYTES", "memory and swap together; -1: no limit"),
    O("memory-reservation", 0, NUMBER, reservation, "BYTES", "soft memory limit"),
    O("cpu-shares", 'c', NUMBER, shares, "N", "relative weight of cpu time"),
    O("cpu-share", 0, NUMBER, shares, "N", NULL),
    O("cpu-quota", 0, NUMBER, quota, "MICROSECONDS", "cpu time in each period; -1: no limit"),
    O("cpu-period", 0, NUMBER, period, "MICROSECONDS", "the period of --cpu-quota"),
    O("cpuset-cpus", 0, STRING, cpus, "LIST", "cpus it may run on"),
    O("cpuset-mems", 0, STRING, mems, "LIST", "memory nodes it may use"),
    O("pids-limit", 0, NUMBER, pids, "N", "number of processes; -1: no limit"),
    O("blkio-weight", 0, NUMBER, weight, "N", "relative weight of block I/O"),
};

static int read_resources(const struct update_args *a, json_t **ret, struct err **err) {
    cleanup(freep) char *text = NULL;
    const char *path = a->resources;
    size_t size;

    if (path) {
        int r = read_text_file(AT_FDCWD, path, SPEC_MAX_BYTES, &text, &size, err);
        return r < 0 ? r
                     : spec_load_json(text, size, strcmp(path, "-") == 0 ? "standard input" : path, ret, err);
    }
    *ret = json_pack("{s:{s:I,s:I,s:I},s:{s:I,s:I,s:I,s:s*,s:s*},s:{s:I},s:{s:I}}", "memory", "limit",
                     (json_int_t)a->memory, "swap", (json_int_t)a->swap, "reservation",
                     (json_int_t)a->reservation, "cpu", "shares", (json_int_t)a->shares, "quota",
                     (json_int_t)a->quota, "period", (json_int_t)a->period, "cpus", a->cpus, "mems", a->mems,
                     "pids", "limit", (json_int_t)a->pids, "blockIO", "weight", (json_int_t)a->weight);
    return *ret ? 0 : err_set(err, EINVAL, "usage", "the flags of update are not valid UTF-8");
}

static int update_host(struct container *c, const struct spec_resources *resources, struct err **err) {
    struct cgroup g;

    if (!c->state.cgroups || json_array_size(c->state.cgroups) == 0)
        return 0; /* the sandbox holds what it can by itself */
    int r = cgroup_from_json(c->state.cgroups, &g, err);
    if (r < 0)
        return r;
    r = cgroup_set(&g, resources, err);
    cgroup_done(&g);
    return r;
}

static int update_sandbox(struct container *c, json_t *resources, struct err **err) {
    struct control_channel channel;
    int r = container_connect(c, &channel, err);

    if (r < 0)
        return r;
    json_t *request = container_request(c, "update");
    json_object_set(request, "resources", resources);
    struct err *why = NULL;
    r = control_call(&channel, request, NULL, 0, NULL, &why);
    if (r == -ENOSYS) /* a sandbox that an earlier version started: the host's groups alone hold its limits */
        r = 0;
    else if (r < 0)
        *err = TAKE(why);
    err_free(why);
    json_decref(request);
    control_channel_done(&channel);
    return r;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct update_args *a = options;
    cleanup(container_closep) struct container *c = NULL;
    cleanup(json_decrefp) json_t *document = NULL;
    cleanup(spec_freep) struct spec *spec = NULL;
    int r = container_open(cli, argv[0], CONTAINER_OLD, &c, err);

    (void)argc;
    if (r >= 0)
        r = read_resources(a, &document, err);
    if (r >= 0)
        r = spec_parse_resources(document, &spec, err);
    if (r < 0)
        return r;
    if (container_status(c) == STATUS_STOPPED)
        return err_set(err, ESRCH, "container.not-running", "container not running");
    r = update_host(c, &spec->linux_.resources, err);
    return r < 0 ? r : update_sandbox(c, document, err);
}

const struct command g_cmd_update = {.name = "update",
                                     .arguments = "ID",
                                     .summary = "change a container's limits",
                                     .options = g_options,
                                     .option_count = ARRAY_SIZE(g_options),
                                     .options_size = sizeof(struct update_args),
                                     .permute = true,
                                     .min_args = 1,
                                     .max_args = 1,
                                     .run = run};
