/* SPDX-License-Identifier: Apache-2.0
 * runsc/register/register.h: entering this runtime into the configuration of its clients, and taking it out
 * again, without harm to what else is there. All files are written whole and renamed.
 */
#pragma once

#include "base/compiler.h"
#include "base/err.h"

struct registration {
    const char *client; /* "docker", "podman", "containerd" */
    const char *file;   /* its configuration */
    const char *name;   /* of the runtime there */
    const char *path;   /* of this program; NULL: take the entry out */
    char *const *args;  /* further arguments of each call; docker only; NULL-terminated or NULL */
    bool dry_run;       /* show the new file instead of writing it */
};

/* Where a client's configuration is unless it is said; NULL: no such client. */
const char *registration_default_file(const char *client);
/* Is the client on this host: has it a program or a configuration? */
bool registration_client_present(const char *client);
/* 1: done; 0: it was so already. */
int registration_apply(const struct registration *r, struct err **err) must_check;
