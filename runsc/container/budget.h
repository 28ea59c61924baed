/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/budget.h: limits that a caller who stays puts on a run, and the report of how it ended
 * (`do`: --wall, --cpu-time,
 * --memory, --pids, --max-output, --report). Memory and processes are the control groups' to limit; the rest
 * is watched here, without a periodic timer: the next look at the cpu time is when all cpus together could
 * have used up what is left.
 */
#pragma once

#include <jansson.h>

#include "runsc/cgroup/cgroup.h"
#include "runsc/container/container.h"

struct budget_args {
    const char *memory, *max_output, *report;
    int64_t wall_s, cpu_s, pids;
};
#define BUDGET_OPTION(type, at, n, k, member, v, h)                                                          \
    { .name = n, .kind = OPTION_##k, .offset = offsetof(type, at member), .value = v, .help = h }
#define BUDGET_OPTIONS(type, at)                                                                             \
    BUDGET_OPTION(type, at, "wall", NUMBER, wall_s, "SECONDS", "kill it after so much time"),                \
        BUDGET_OPTION(type, at, "cpu-time", NUMBER, cpu_s, "SECONDS", "kill it after so much cpu time"),     \
        BUDGET_OPTION(type, at, "memory", STRING, memory, "BYTES[K|M|G]", "limit its memory"),               \
        BUDGET_OPTION(type, at, "pids", NUMBER, pids, "N", "limit the number of its processes"),             \
        BUDGET_OPTION(type, at, "max-output", STRING, max_output, "BYTES[K|M|G]",                            \
                      "kill it once it has written more to standard output and error"),                      \
        BUDGET_OPTION(type, at, "report", STRING, report, "FILE", "write how it ended there, as JSON")

struct budget {
    const char *report;
    int64_t wall_ns, cpu_ns, memory, pids, max_output; /* 0: no limit */
    bool active, counts_output;
    int pipes[2][2]; /* standard output and error: read end, write end (the container's); -1: none */
    /* measured */
    int64_t started, cpu_seen, output;
    const char *culprit; /* which limit ended it, or NULL */
    struct cgroup cgroup;
    bool has_cgroup;
};

int budget_prepare(struct budget *b, const struct budget_args *a, bool terminal, struct err **err) must_check;
/* Adds the limits of memory and processes to linux.resources of a config.json. */
int budget_into_config(const struct budget *b, json_t *config, struct err **err) must_check;
/* The container runs from here on. */
void budget_start(struct budget *b, const struct container *c);
int budget_timeout_ms(const struct budget *b); /* for poll; -1: none */
/* True once: a limit has been reached just now. */
bool budget_exceeded(struct budget *b);
/* Passes on what is there on pipe i; false: it has ended. */
bool budget_copy(struct budget *b, int i);
/* status: wait status; r < 0: the sandbox was lost. */
int budget_write_report(struct budget *b, int r, int status, const char *reason, struct err **err) must_check;
void budget_done(struct budget *b);
