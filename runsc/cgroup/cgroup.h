/* SPDX-License-Identifier: Apache-2.0
 * runsc/cgroup/cgroup.h: the host's control groups for a container (OCI.md 7): made in every hierarchy that
 * is mounted, limits written, processes put in, and removed. Directly (cgroupfs), v1, v2, or both on one
 * host.
 *
 * A host without cgroups, or one that does not let us make any, is fine as long as the spec asks for no
 * limit: then there are none.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"
#include "boot/spec/spec.h"

struct cgroup_hierarchy {
    char *controllers; /* "cpu,cpuacct", "name=systemd", "" for v2 */
    char *mount_point; /* /sys/fs/cgroup/cpu */
    char *mount_root;  /* what of the hierarchy is mounted there: "/" unless we are in a container */
    char *own;         /* our own group in it */
    char *directory;   /* of the container: absolute host path; NULL before cgroup_plan() */
    bool v2;
};
struct cgroup {
    struct cgroup_hierarchy *items;
    size_t count;
    bool required; /* the spec names a path or a limit: failures are errors */
};

/* Pure: from the texts of /proc/self/mountinfo and /proc/self/cgroup. `prefix` goes before every path (tests;
 * "" otherwise). */
int cgroup_parse(const char *mountinfo, const char *self, const char *prefix, struct cgroup *ret,
                 struct err **err) must_check;
/* The host's. */
int cgroup_discover(struct cgroup *ret, struct err **err) must_check;
/* Where the container's groups are: at cgroupsPath, or below our own by its id. */
int cgroup_plan(struct cgroup *g, const struct spec *spec, const char *id, struct err **err) must_check;
/* Makes the directories and writes the limits. -EBUSY if a group of that name is frozen. */
int cgroup_create(struct cgroup *g, const struct spec_resources *resources, struct err **err) must_check;
/* Changes limits of groups that exist: zero and absent values leave them alone. */
int cgroup_set(struct cgroup *g, const struct spec_resources *resources, struct err **err) must_check;
int cgroup_join(struct cgroup *g, pid_t pid, struct err **err) must_check;
/* Puts all that is in one container's groups into another's, as far as it goes: a sandbox that outlives its
 * first container. */
void cgroup_move_all(const struct cgroup *from, struct cgroup *to);
/* Removes the directories, waiting about a second for processes that are still ending; -EBUSY if one stays.
 */
int cgroup_remove(struct cgroup *g, struct err **err) must_check;
/* What the groups say of use and limits, as runc's `events` shows it; new reference. */
json_t *cgroup_stats(struct cgroup *g);
/* How many processes the host has killed for want of memory. */
int64_t cgroup_oom_kills(struct cgroup *g);
/* A descriptor that becomes readable when a process of the container has been killed for want of memory; and
 * whether that was it (*count: begins as 0). */
int cgroup_watch_oom(struct cgroup *g, struct err **err) must_check;
bool cgroup_oom_happened(struct cgroup *g, int fd, int64_t *count);
/* For state.json, and back. */
json_t *cgroup_to_json(const struct cgroup *g);
int cgroup_from_json(const json_t *list, struct cgroup *ret, struct err **err) must_check;
void cgroup_done(struct cgroup *g);
