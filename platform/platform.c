/* SPDX-License-Identifier: Apache-2.0
 * platform/platform.c: platforms by name.
 */
#include "platform/platform.h"

#include <errno.h>
#include <string.h>

#include "platform/platform_internal.h"

int platform_create(const char *name, const struct platform_config *config, struct platform **ret, struct err **err) {
    if (strcmp(name, "ptrace") == 0 || strcmp(name, "auto") == 0)
        return platform_ptrace_create(config, ret, err);
    if (strcmp(name, "systrap") == 0)
        return platform_systrap_create(config, ret, err);
    err_set(err, ENOENT, "platform.unknown", "platform \"%s\" is not known", name);
    err_explain(err, NULL, "use --platform=auto, systrap or ptrace");
    return -ENOENT;
}

const int *platform_host_calls(const char *name) {
    if (strcmp(name, "ptrace") == 0)
        return ptrace_host_calls;
    if (strcmp(name, "systrap") == 0)
        return systrap_host_calls;
    return NULL;
}
