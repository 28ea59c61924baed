/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/gofer.c: hidden: becomes a container's gofer (gofer/server.h). Born into its namespaces with its
 * roots mounted (runsc/container/gofer_roots.h); here it pivots into them and gives up every capability but
 * those that serving files of any owner needs. Descriptors at fixed numbers from launch.c: socket 4, status
 * 5, debug log 6, /proc/self/fd 7, roots 8...
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/walls.h"
#include "gofer/protocol.h"
#include "gofer/server.h"
#include "runsc/cli.h"
#include "runsc/container/spawn.h"

struct gofer_args {
    const char *place, *log_level;
    struct option_list roots; /* flags of each */
};
#define O(n, k, member)                                                                                      \
    { .name = n, .kind = OPTION_##k, .offset = offsetof(struct gofer_args, member) }
static const struct option_def g_options[] = {O("place", STRING, place), O("log-level", STRING, log_level),
                                              O("root", LIST, roots)};

/* Reading any file needs one capability; writing, the ones of a file server that acts for every owner. */
static uint64_t needed_capabilities(const struct gofer_config_root *roots, size_t count) {
    uint64_t caps = 1ull << CAP_DAC_READ_SEARCH;

    for (size_t i = 0; i < count; i++)
        if (!(roots[i].flags & GOFER_ROOT_READ_ONLY))
            caps |= 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_CHOWN | 1ull << CAP_FOWNER | 1ull << CAP_FSETID |
                    1ull << CAP_MKNOD;
    return caps;
}

static int put_up_walls(const struct gofer_args *a, uint64_t keep, struct err **err) {
    struct walls walls = {.zero_privilege = false};
    int r = a->place[0] ? walls_pivot_into(a->place, err) : 0;

    if (r >= 0)
        r = walls_limits(&walls, err);
    if (r >= 0)
        r = walls_drop_privileges(&walls, keep, err);
    walls_done(&walls);
    return r;
}

static void report_ready(void *arg) {
    int *status_fd = arg;

    boot_report_ready(steal_fd(status_fd), NULL);
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    struct gofer_args *a = options;
    int status_fd = SPAWN_FIRST_FD + 1, log = a->log_level ? SPAWN_FIRST_FD + 2 : -1;

    (void)cli;
    (void)argc;
    (void)argv;
    if (fcntl(SPAWN_FIRST_FD, F_GETFD) < 0 || !a->place || !a->roots.count)
        return err_set(err, 0, "usage", "gofer is started by runsc itself only");
    spawn_no_leak_check();
    if (log_init("gofer", log, a->log_level) < 0)
        return err_set(err, 0, "usage", "gofer: bad log level");
    cleanup(freep) struct gofer_config_root *roots = calloc(a->roots.count, sizeof *roots);
    if (!roots)
        return err_set(err, ENOMEM, "out-of-memory", "starting the gofer");
    for (int fd = SPAWN_FIRST_FD; fd < SPAWN_FIRST_FD + 4 + (int)a->roots.count; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    for (size_t i = 0; i < a->roots.count; i++)
        roots[i] = (struct gofer_config_root){.fd = SPAWN_FIRST_FD + 4 + (int)i,
                                              .flags = (uint32_t)strtoul(a->roots.items[i], NULL, 0)};
    struct err *failed = NULL;
    int r = put_up_walls(a, needed_capabilities(roots, a->roots.count), &failed);
    if (r < 0) {
        boot_report_error(status_fd, failed);
        err_free(failed);
        return 1;
    }
    struct gofer_config config = {.socket = SPAWN_FIRST_FD,
                                  .roots = roots,
                                  .root_count = a->roots.count,
                                  .proc_fd = SPAWN_FIRST_FD + 3,
                                  .ready = report_ready,
                                  .ready_arg = &status_fd};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(RUNSC_COVERAGE)
    config.options |= GOFER_OPTION_NO_FILTER;
#endif
    r = gofer_main(&config);
    if (r < 0) {
        (void)err_set(&failed, -r, "gofer.start", "starting to serve the container's files");
        if (status_fd >= 0)
            boot_report_error(status_fd, failed);
        err_free(failed);
        return 1;
    }
    return 0;
}

const struct command g_cmd_gofer = {.name = "gofer",
                                    .arguments = "",
                                    .options = g_options,
                                    .option_count = ARRAY_SIZE(g_options),
                                    .options_size = sizeof(struct gofer_args),
                                    .run = run};
