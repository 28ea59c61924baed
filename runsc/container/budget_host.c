/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/budget_host.c: see budget.h.
 */
#include "runsc/container/budget.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

static int parse_size(const char *option, const char *text, int64_t *ret, struct err **err) {
    static const char units[] = "KMGT";
    char *end;

    if (!text)
        return 0;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    if (errno || end == text || n <= 0 || (*end && (!unit || end[1])) || n > INT64_MAX >> shift)
        return err_set(err, EINVAL, "usage", "--%s takes a number of bytes such as 64M, not \"%s\"", option,
                       text);
    *ret = n << shift;
    return 0;
}

int budget_prepare(struct budget *b, const struct budget_args *a, bool terminal, struct err **err) {
    *b = (struct budget){.report = a->report, .pids = a->pids, .pipes = {{-1, -1}, {-1, -1}}};
    int r = a->wall_s < 0 || a->cpu_s < 0 || a->pids < 0 || a->wall_s > 1 << 30 || a->cpu_s > 1 << 30
                ? err_set(err, EINVAL, "usage", "a limit must not be negative")
                : 0;

    if (r >= 0)
        r = parse_size("memory", a->memory, &b->memory, err);
    if (r >= 0)
        r = parse_size("max-output", a->max_output, &b->max_output, err);
    if (r < 0)
        return r;
    if (b->max_output && terminal)
        return err_set(err, EINVAL, "usage", "--max-output cannot count what goes to a terminal");
    b->wall_ns = a->wall_s * NSEC_PER_SEC;
    b->cpu_ns = a->cpu_s * NSEC_PER_SEC;
    b->active = b->wall_ns || b->cpu_ns || b->memory || b->pids || b->max_output || b->report;
    b->counts_output = b->max_output != 0;
    for (int i = 0; i < 2 && b->counts_output; i++)
        if (pipe2(b->pipes[i], O_CLOEXEC) < 0)
            return err_set(err, errno, "budget.output", "making a pipe");
    return 0;
}

int budget_into_config(const struct budget *b, json_t *config, struct err **err) {
    json_t *linux_part = json_object_get(config, "linux");

    if (!b->memory && !b->pids)
        return 0;
    if (!linux_part) {
        linux_part = json_object();
        json_object_set_new(config, "linux", linux_part);
    }
    json_t *resources = json_object_get(linux_part, "resources");
    if (!resources) {
        resources = json_object();
        json_object_set_new(linux_part, "resources", resources);
    }
    if (b->memory)
        json_object_set_new(
            resources, "memory",
            json_pack("{s:I,s:I}", "limit", (json_int_t)b->memory, "swap", (json_int_t)b->memory));
    if (b->pids)
        json_object_set_new(resources, "pids", json_pack("{s:I}", "limit", (json_int_t)b->pids));
    return json_object_get(linux_part, "resources")
               ? 0
               : err_set(err, ENOMEM, "out-of-memory", "adding limits to the configuration");
}

void budget_start(struct budget *b, const struct container *c) {
    b->started = monotonic_ns();
    for (int i = 0; i < 2; i++)
        closep(&b->pipes[i][1]);
    b->has_cgroup = c->state.cgroups && json_array_size(c->state.cgroups) > 0 &&
                    cgroup_from_json(c->state.cgroups, &b->cgroup, NULL) >= 0;
}

/* ---- watching ---- */

static json_int_t number_at(const json_t *o, const char *a, const char *b, const char *c) {
    return json_integer_value(json_object_get(json_object_get(json_object_get(o, a), b), c));
}

int budget_timeout_ms(const struct budget *b) {
    int64_t left = INT64_MAX;

    if (b->culprit)
        return -1;
    if (b->wall_ns)
        left = b->started + b->wall_ns - monotonic_ns();
    if (b->cpu_ns && b->has_cgroup)
        left = MIN(left, (b->cpu_ns - b->cpu_seen) / MAX(get_nprocs(), 1) + 1000000);
    return left == INT64_MAX ? -1 : (int)MIN(MAX(left / 1000000 + 1, (int64_t)1), (int64_t)INT32_MAX);
}

bool budget_exceeded(struct budget *b) {
    if (b->culprit || !b->active)
        return false;
    if (b->cpu_ns && b->has_cgroup) {
        cleanup(json_decrefp) json_t *stats = cgroup_stats(&b->cgroup);
        b->cpu_seen = number_at(stats, "cpu", "usage", "total");
    }
    if (b->wall_ns && monotonic_ns() >= b->started + b->wall_ns)
        b->culprit = "wall";
    else if (b->cpu_ns && b->cpu_seen >= b->cpu_ns)
        b->culprit = "cpu-time";
    else if (b->max_output && b->output > b->max_output)
        b->culprit = "max-output";
    return b->culprit != NULL;
}

bool budget_copy(struct budget *b, int i) {
    char buffer[65536];
    ssize_t n = read(b->pipes[i][0], buffer, sizeof buffer);

    if (n <= 0) {
        closep(&b->pipes[i][0]);
        return false;
    }
    ssize_t wanted = (ssize_t)MIN((int64_t)n, MAX(b->max_output - b->output, (int64_t)0));
    b->output += n;
    for (ssize_t done = 0, w;
         done < wanted && (w = write(i + 1, buffer + done, (size_t)(wanted - done))) > 0;)
        done += w;
    return true;
}

/* ---- the report ---- */

static const char *reason_of(const struct budget *b, int r, int status, const char *reason,
                             json_int_t oom_kills) {
    if (b->culprit)
        return b->culprit;
    if (r < 0)
        return "sandbox";
    if (WIFSIGNALED(status) && WTERMSIG(status) == 9 && oom_kills > 0)
        return "oom";
    return reason ? reason : WIFSIGNALED(status) ? "signal" : "exit";
}

int budget_write_report(struct budget *b, int r, int status, const char *reason, struct err **err) {
    if (!b->report)
        return 0;
    json_int_t kills = b->has_cgroup ? cgroup_oom_kills(&b->cgroup) : 0;
    cleanup(json_decrefp) json_t *stats = b->has_cgroup ? cgroup_stats(&b->cgroup) : NULL;
    cleanup(json_decrefp) json_t *report =
        json_pack("{s:i,s:s,s:i,s:f,s:{}}", "version", 1, "reason", reason_of(b, r, status, reason, kills),
                  "exitStatus",
                  r < 0                 ? -1
                  : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                        : WEXITSTATUS(status),
                  "wallSeconds", (double)(monotonic_ns() - b->started) / NSEC_PER_SEC, "limits");
    json_t *limits = json_object_get(report, "limits");
    if (r >= 0 && WIFSIGNALED(status))
        json_object_set_new(report, "signal", json_integer(WTERMSIG(status)));
    if (stats) {
        json_object_set_new(report, "cpuSeconds",
                            json_real((double)number_at(stats, "cpu", "usage", "total") / NSEC_PER_SEC));
        json_object_set_new(report, "memoryPeakBytes",
                            json_integer(number_at(stats, "memory", "usage", "max")));
        json_object_set_new(report, "oomKills", json_integer(kills));
    }
    if (b->counts_output)
        json_object_set_new(report, "outputBytes", json_integer(b->output));
    const struct {
        const char *name;
        int64_t value;
    } all[] = {{"wallSeconds", b->wall_ns / NSEC_PER_SEC},
               {"cpuSeconds", b->cpu_ns / NSEC_PER_SEC},
               {"memoryBytes", b->memory},
               {"pids", b->pids},
               {"outputBytes", b->max_output}};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (all[i].value)
            json_object_set_new(limits, all[i].name, json_integer(all[i].value));
    return !report || json_dump_file(report, b->report, JSON_INDENT(2)) < 0
               ? err_set(err, errno ? errno : EIO, "report.write", "writing the report %s", b->report)
               : 0;
}

void budget_done(struct budget *b) {
    for (int i = 0; i < 2; i++) {
        closep(&b->pipes[i][0]);
        closep(&b->pipes[i][1]);
    }
    if (b->has_cgroup)
        cgroup_done(&b->cgroup);
    b->has_cgroup = false;
}
