/* SPDX-License-Identifier: Apache-2.0
 * runsc/cgroup/cgroup_internal.h: between making groups (cgroup_tree_host.c) and filling them
 * (cgroup_limits.c).
 */
#pragma once

#include "runsc/cgroup/cgroup.h"

/* The hierarchy with this v1 controller, or NULL; the v2 one. */
struct cgroup_hierarchy *cgroup_find(struct cgroup *g, const char *controller);
struct cgroup_hierarchy *cgroup_find_v2(struct cgroup *g);
/* Writes a value to a file of the container's group. `what` is the spec's path for errors. */
int cgroup_write(const struct cgroup_hierarchy *h, const char *file, const char *value, const char *what,
                 struct err **err) must_check;
int cgroup_write_i64(const struct cgroup_hierarchy *h, const char *file, int64_t value, const char *what,
                     struct err **err) must_check;
/* The file's text without the last newline, at most size - 1 bytes; -errno. */
int cgroup_read(const struct cgroup_hierarchy *h, const char *file, char *buffer, size_t size) must_check;
bool cgroup_has(const struct cgroup_hierarchy *h, const char *file);

int cgroup_write_limits_v1(struct cgroup *g, const struct spec_resources *r, bool create,
                           struct err **err) must_check;
int cgroup_write_limits_v2(struct cgroup *g, const struct spec_resources *r, struct err **err) must_check;
