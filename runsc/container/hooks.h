/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/hooks.h: OCI hooks (OCI.md 6): programs of the host, with the container's state on standard
 * input.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"
#include "boot/spec/spec.h"
#include "runsc/container/container.h"

/* Runs them in order in directory `cwd`; the first failure ends it. `name` is the list's, for texts. */
int hooks_run(const struct spec_hook_list *list, const char *name, const char *cwd, json_t *state,
              struct err **err) must_check;
/* Poststart and poststop: failures are warnings, the rest still runs. */
void hooks_run_leniently(struct cli *cli, const struct spec_hook_list *list, const char *name,
                         const char *cwd, json_t *state);
/* startContainer hooks: their programs lie in the container, so they run in the guest, before its own
 * program. */
int hooks_run_in_guest(struct container *c, const struct spec_hook_list *list, struct err **err) must_check;
/* The hooks that a container's state file has kept. */
int hooks_load(struct container *c, struct spec **ret, struct err **err) must_check;
