/* SPDX-License-Identifier: Apache-2.0
 * platform/platform.c: platforms by name.
 */
#include "platform/platform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/platform_calls.h"

/* systrap costs less per call than ptrace on every host measured so far (docs/platform.md); ptrace where
 * systrap cannot be. */
static int create_best(const struct platform_config *config, struct platform **ret, struct err **err) {
    struct err *why = NULL;
    int r = platform_systrap_create(config, ret, &why);
    if (r == 0) {
        log_info(LOG_PLATFORM, "platform auto: systrap");
        return 0;
    }
    char *text = err_text(why);
    log_warning(LOG_PLATFORM, "platform auto: ptrace, as systrap cannot be used: %s", text ? text : "?");
    free(text);
    err_free(why);
    return platform_ptrace_create(config, ret, err);
}

int platform_create(const char *name, const struct platform_config *config, struct platform **ret,
                    struct err **err) {
    if (strcmp(name, "auto") == 0)
        return create_best(config, ret, err);
    if (strcmp(name, "ptrace") == 0)
        return platform_ptrace_create(config, ret, err);
    if (strcmp(name, "systrap") == 0)
        return platform_systrap_create(config, ret, err);
    if (strcmp(name, "kvm") == 0)
        return platform_kvm_create(config, ret, err);
    err_set(err, ENOENT, "platform.unknown", "platform \"%s\" is not known", name);
    err_explain(err, NULL, "use --platform=auto, systrap, ptrace or kvm");
    return -ENOENT;
}

const int *platform_host_calls(const char *name) {
    if (strcmp(name, "ptrace") == 0)
        return ptrace_host_calls;
    if (strcmp(name, "systrap") == 0)
        return systrap_host_calls;
    if (strcmp(name, "kvm") == 0)
        return kvm_host_calls;
    return NULL;
}

const unsigned long *platform_host_ioctls(const char *name) {
    return strcmp(name, "kvm") == 0 ? kvm_host_ioctls : NULL;
}
