/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/membership.h: which sandbox a new container belongs into (OCI.md 10.2): that of the
 * containers whose pid, ipc, network or UTS namespace it joins by path, or that its annotations name
 * (containerd's and CRI-O's, which podman's pods use too); else one of its own.
 */
#pragma once

#include "runsc/container/container.h"

struct membership {
    char *sandbox_id; /* owned; NULL: a sandbox of its own */
    struct host_process sandbox;
    char *lender;   /* owned: the container whose control socket leads to the sandbox */
    json_t *shares; /* owned: [[container, CLONE_NEW* flags]...]: whose namespaces it joins inside */
};

int membership_find(struct cli *cli, const struct spec *spec, struct membership *ret,
                    struct err **err) must_check;
void membership_done(struct membership *m);
/* Is it the sandbox of a pod, whose end is the end of all its containers? */
bool membership_is_pod(const struct spec *spec);
/* Another container that lives in the sandbox of `c`, by its id, which the caller frees; NULL: none. */
char *membership_other(struct container *c);
