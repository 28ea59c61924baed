/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/boot.c: hidden: becomes the sandbox process (boot/boot.h). Its descriptors come at fixed numbers
 * from launch.c: control 4, listening socket 5, status 6, debug log 7, strace 8, /dev/kvm 9. Number 3 stays
 * free for boot's procfs.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/log.h"
#include "boot/boot.h"
#include "runsc/cli.h"
#include "runsc/container/spawn.h"

struct boot_args {
    int64_t namespaces;
    const char *platform, *log_level;
    bool zero_privilege, strace, xray;
};
#define O(n, k, member)                                                                                      \
    { .name = n, .kind = OPTION_##k, .offset = offsetof(struct boot_args, member) }
static const struct option_def g_options[] = {
    O("namespaces", NUMBER, namespaces), O("platform", STRING, platform),
    O("log-level", STRING, log_level),   O("zero-privilege", FLAG, zero_privilege),
    O("strace", FLAG, strace),           O("xray", FLAG, xray),
};

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    struct boot_args *a = options;
    int log = a->log_level ? SPAWN_FIRST_FD + 3 : -1;

    (void)cli;
    (void)argc;
    (void)argv;
    if (fcntl(SPAWN_FIRST_FD, F_GETFD) < 0 || !a->platform)
        return err_set(err, 0, "usage", "boot is started by runsc itself only");
    bool listens = fcntl(SPAWN_FIRST_FD + 1, F_GETFD) >= 0; /* not for a probe */
    for (int fd = SPAWN_FIRST_FD; fd < SPAWN_FIRST_FD + 6; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    spawn_no_leak_check();
    if (log_init("boot", log, a->log_level) < 0)
        return err_set(err, 0, "usage", "boot: bad log level");
    struct boot_options o = {.control_fd = SPAWN_FIRST_FD,
                             .listen_fd = listens ? SPAWN_FIRST_FD + 1 : -1,
                             .status_fd = SPAWN_FIRST_FD + 2,
                             .strace_fd = a->strace ? SPAWN_FIRST_FD + 4 : -1,
                             .namespaces = (int)a->namespaces,
                             .platform = a->platform,
                             .kvm_fd = fcntl(SPAWN_FIRST_FD + 5, F_GETFD) >= 0 ? SPAWN_FIRST_FD + 5 : -ENOENT,
                             .zero_privilege = a->zero_privilege,
                             .xray = a->xray};
    return boot_main(&o);
}

const struct command g_cmd_boot = {.name = "boot",
                                   .arguments = "",
                                   .options = g_options,
                                   .option_count = ARRAY_SIZE(g_options),
                                   .options_size = sizeof(struct boot_args),
                                   .run = run};
