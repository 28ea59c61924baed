/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/seccomp_profile.h: config.json's linux.seccomp compiled to the program that the sentry runs
 * for every call of the container's processes. Compiled here, so that the sandbox needs no compiler in it.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "boot/spec/spec.h"

/* Does: compiles a profile with libseccomp as runc would: names that it does not know are left out, rules of
   the default action too, calls newer than any that the profile names give ENOSYS unless it says otherwise.
   Returns: 0 and {"program": hexadecimal struct sock_filter, "log": bool} as a new reference, NULL if there
   is no profile; -EINVAL for what cannot be enforced (SCMP_ACT_NOTIFY, an unknown flag). */
int seccomp_profile_compile(const struct spec_seccomp *profile, json_t **ret, struct err **err) must_check;
