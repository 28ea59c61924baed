/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/events.c: what a container uses, once (--stats) or again and again until it ends, with a line for
 * each process that the host killed for want of memory. One JSON object a line, as runc (OCI.md 4).
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

struct events_args {
    const char *interval;
    bool stats;
};
static const struct option_def g_options[] = {
    {.name = "stats",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct events_args, stats),
     .help = "show the use once and end"},
    {.name = "interval",
     .kind = OPTION_STRING,
     .offset = offsetof(struct events_args, interval),
     .value = "DURATION",
     .help = "time between two lines: 500ms, 5s, 1m (default 5s)"},
};

/* Go's durations, one unit. */
static int parse_interval(const char *text, int64_t *ret_ms, struct err **err) {
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end;
    double value = text ? strtod(text, &end) : 5;

    if (!text) {
        *ret_ms = 5000;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (end != text && strcmp(end, units[i].unit) == 0 && value > 0 && value * units[i].ms < 1e9) {
            *ret_ms = MAX((int64_t)(value * units[i].ms), (int64_t)1);
            return 0;
        }
    return err_set(err, EINVAL, "usage", "--interval takes a duration such as 500ms or 5s, not \"%s\"", text);
}

static int print_line(const char *type, const char *id, json_t *data) {
    cleanup(json_decrefp) json_t *line = json_pack("{s:s,s:s,s:o*}", "type", type, "id", id, "data", data);

    json_dumpf(line, stdout, JSON_COMPACT);
    putchar('\n');
    return fflush(stdout) == EOF ? -EIO : 0;
}

static int stream(struct container *c, struct cgroup *g, int64_t interval_ms, struct err **err) {
    cleanup(closep) int oom =
        cgroup_watch_oom(g, NULL); /* without a memory controller there is none to tell of */
    pid_t pid = c->state.standin.pid ? c->state.standin.pid : c->state.sandbox.pid;
    cleanup(closep) int life = (int)syscall(SYS_pidfd_open, pid, 0);
    int64_t next = monotonic_ns() + interval_ms * 1000000, kills = 0;
    int r = 0;

    if (life < 0)
        return err_set(err, errno, "container.not-running", "container not running");
    while (r >= 0) {
        struct pollfd p[] = {{.fd = life, .events = POLLIN}, {.fd = oom, .events = POLLIN}};
        int64_t left_ms = MAX((next - monotonic_ns() + 999999) / 1000000, (int64_t)0);
        int n = poll(p, ARRAY_SIZE(p), (int)left_ms);
        if (p[1].revents && cgroup_oom_happened(g, oom, &kills))
            r = print_line("oom", c->id, NULL);
        if (p[0].revents)
            return 0;
        if (n == 0 && r >= 0) {
            r = print_line("stats", c->id, cgroup_stats(g));
            next += interval_ms * 1000000;
        }
    }
    return 0; /* nobody reads on */
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct events_args *a = options;
    cleanup(container_closep) struct container *c = NULL;
    struct cgroup g;
    int64_t interval_ms = 0;

    (void)argc;
    int r = parse_interval(a->interval, &interval_ms, err);
    if (r >= 0)
        r = container_open(cli, argv[0], CONTAINER_READ, &c, err);
    if (r < 0)
        return r;
    if (container_status(c) == STATUS_STOPPED)
        return err_set(err, ESRCH, "container.not-running", "container with id %s is not running", argv[0]);
    if (!c->state.cgroups || json_array_size(c->state.cgroups) == 0)
        return err_set(err, ENOTSUP, "cgroup.none", "container %s has no control groups on the host",
                       argv[0]);
    r = cgroup_from_json(c->state.cgroups, &g, err);
    if (r < 0)
        return r;
    r = a->stats ? print_line("stats", c->id, cgroup_stats(&g)) : stream(c, &g, interval_ms, err);
    cgroup_done(&g);
    return r;
}

const struct command g_cmd_events = {.name = "events",
                                     .arguments = "ID",
                                     .summary = "show what a container uses, and when it runs out of memory",
                                     .options = g_options,
                                     .option_count = ARRAY_SIZE(g_options),
                                     .options_size = sizeof(struct events_args),
                                     .permute = true,
                                     .min_args = 1,
                                     .max_args = 1,
                                     .run = run};
