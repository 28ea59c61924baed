/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/update.c: changes the limits of a container's control groups on the host, from a LinuxResources
 * document or from flags. Zero and absent values leave a limit alone.
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

static int resources_from_file(const char *path, struct spec **ret, struct err **err) {
    cleanup(freep) char *text = NULL;
    cleanup(json_decrefp) json_t *document = NULL;
    size_t size;
    int r = read_text_file(AT_FDCWD, path, SPEC_MAX_BYTES, &text, &size, err);

    if (r >= 0)
        r = spec_load_json(text, size, strcmp(path, "-") == 0 ? "standard input" : path, &document, err);
    return r < 0 ? r : spec_parse_resources(document, ret, err);
}

static int resources_from_flags(const struct update_args *a, struct spec **ret, struct err **err) {
    cleanup(json_decrefp) json_t *document =
        json_pack("{s:{s:I,s:I,s:I},s:{s:I,s:I,s:I,s:s*,s:s*},s:{s:I},s:{s:I}}", "memory", "limit",
                  (json_int_t)a->memory, "swap", (json_int_t)a->swap, "reservation",
                  (json_int_t)a->reservation, "cpu", "shares", (json_int_t)a->shares, "quota",
                  (json_int_t)a->quota, "period", (json_int_t)a->period, "cpus", a->cpus, "mems", a->mems,
                  "pids", "limit", (json_int_t)a->pids, "blockIO", "weight", (json_int_t)a->weight);

    return document ? spec_parse_resources(document, ret, err)
                    : err_set(err, EINVAL, "usage", "the flags of update are not valid UTF-8");
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct update_args *a = options;
    cleanup(container_closep) struct container *c = NULL;
    cleanup(spec_freep) struct spec *spec = NULL;
    struct cgroup g;
    int r = container_open(cli, argv[0], CONTAINER_OLD, &c, err);

    (void)argc;
    if (r >= 0)
        r = a->resources ? resources_from_file(a->resources, &spec, err)
                         : resources_from_flags(a, &spec, err);
    if (r < 0)
        return r;
    if (container_status(c) == STATUS_STOPPED)
        return err_set(err, ESRCH, "container.not-running", "container not running");
    if (!c->state.cgroups || json_array_size(c->state.cgroups) == 0)
        return err_set(err, ENOTSUP, "cgroup.none", "container %s has no control groups on the host",
                       argv[0]);
    r = cgroup_from_json(c->state.cgroups, &g, err);
    if (r < 0)
        return r;
    r = cgroup_set(&g, &spec->linux_.resources, err);
    cgroup_done(&g);
    return r;
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
