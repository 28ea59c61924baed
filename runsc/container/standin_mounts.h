/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/standin_mounts.h: the container's mounts on the host, for clients that enter the stand-in's
 * mount namespace (`podman cp`, `podman top`, OCI.md 5). The guest never sees them: its mounts are the
 * sentry's.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "boot/spec/spec.h"

/* In a mount namespace of our own: assembles them on the rootfs and pivots into it. Missing mount points are
   made in the rootfs, as every runtime does; symbolic links in it are never followed out of it.
   createContainer hooks run right before the pivot, with `state` (its pid is set to ours as seen from within)
   on their standard input. */
int standin_mounts(const struct spec *spec, const char *rootfs, const char *bundle, json_t *state,
                   struct err **err) must_check;
/* Writes the words over this process's own command line, as far as they fit. */
void process_title_init(int argc, char **argv);
void process_title_set(char **words, size_t count);
