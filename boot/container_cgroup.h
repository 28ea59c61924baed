/* SPDX-License-Identifier: Apache-2.0
 * boot/container_cgroup.h: the limits of an OCI document as a container's control group shows them.
 */
#pragma once

struct cgroup_limits;
struct spec;

/* Changes what the document sets; `limits` holds the defaults. */
void boot_cgroup_limits(const struct spec *spec, struct cgroup_limits *limits);
