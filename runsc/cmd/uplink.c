/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/uplink.c: hidden: becomes the uplink process (uplink/uplink.h). Its descriptors come at fixed
 * numbers from runsc/network/uplink_start_host.c: link 4, status 5, debug log 6, egress policy 7, published
 * ports from 8.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "boot/boot.h"
#include "boot/walls.h"
#include "runsc/cli.h"
#include "runsc/container/spawn.h"
#include "uplink/egress.h"
#include "uplink/uplink.h"

enum { LINK_FD = SPAWN_FIRST_FD, STATUS_FD, LOG_FD, EGRESS_FD, PUBLISHED_FD };

struct uplink_args {
    int64_t namespaces;
    const char *log_level;
    struct option_list resolvers, published;
    bool egress, zero_privilege;
};
#define O(n, k, member)                                                                                      \
    { .name = n, .kind = OPTION_##k, .offset = offsetof(struct uplink_args, member) }
static const struct option_def g_options[] = {
    O("namespaces", NUMBER, namespaces), O("log-level", STRING, log_level),
    O("resolver", LIST, resolvers),      O("publish", LIST, published),
    O("egress", FLAG, egress),           O("zero-privilege", FLAG, zero_privilege),
};

static int read_policy(struct egress **ret, struct err **err) {
    cleanup(freep) char *text = malloc(EGRESS_MAX_BYTES + 1);
    size_t len = 0, line = 0;
    ssize_t n = 1;

    while (text && n > 0 && len <= EGRESS_MAX_BYTES) {
        n = read(EGRESS_FD, text + len, EGRESS_MAX_BYTES + 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (!text || n < 0)
        return err_set(err, text ? errno : ENOMEM, "network.egress", "reading the egress policy");
    close_fd(EGRESS_FD);
    int r = egress_parse(text, len, ret, &line);
    return r < 0 ? err_set(err, -r, "network.egress", "line %zu of the egress policy makes no sense", line)
                 : 0;
}

static int put_up_walls(const struct uplink_args *a, struct err **err) {
    struct walls walls = {.zero_privilege = a->zero_privilege};
    int r = 0;

    if (a->namespaces & CLONE_NEWNS) {
        wall_is_up(&walls, WALL_MOUNT_NS);
        r = walls_empty_root(&walls, /* hanger= */ -1, err);
    }

    if (r >= 0)
        r = walls_limits(&walls, err);
    if (r >= 0 && !(a->namespaces & CLONE_NEWUSER))
        r = walls_become_nobody(&walls, err);
    if (r >= 0)
        r = walls_drop_privileges(&walls, /* keep= */ 0, err);
    walls_done(&walls);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(RUNSC_COVERAGE)
    if (r >= 0 && (r = uplink_filter()) < 0)
        r = err_set(err, -r, "wall.seccomp", "installing the uplink's seccomp filter");
#endif
    return r;
}

static int configure(const struct uplink_args *a, struct uplink_config *c, struct ipa *resolvers,
                     struct uplink_published *published, struct err **err) {
    if (a->resolvers.count > UPLINK_MAX_RESOLVERS || a->published.count > UPLINK_MAX_PUBLISHED)
        return err_set(err, E2BIG, "usage", "uplink: too many resolvers or ports");
    for (; c->resolver_count < a->resolvers.count; c->resolver_count++)
        if (!ipa_parse(a->resolvers.items[c->resolver_count], &resolvers[c->resolver_count]))
            return err_set(err, EINVAL, "usage", "uplink: bad resolver");
    for (size_t i = 0; i < a->published.count; i++)
        published[i] =
            (struct uplink_published){.fd = PUBLISHED_FD + (int)i,
                                      .udp = strstr(a->published.items[i], "/udp") != NULL,
                                      .guest_port = (uint16_t)strtoul(a->published.items[i], NULL, 10)};
    c->published_count = a->published.count;
    return a->egress ? read_policy(&c->egress, err) : 0;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    struct uplink_args *a = options;
    struct ipa resolvers[UPLINK_MAX_RESOLVERS];
    struct uplink_published published[UPLINK_MAX_PUBLISHED];
    struct uplink_config c = {.link_fd = LINK_FD, .resolvers = resolvers, .published = published};

    (void)cli, (void)argc, (void)argv;
    if (fcntl(LINK_FD, F_GETFD) < 0 || fcntl(STATUS_FD, F_GETFD) < 0)
        return err_set(err, 0, "usage", "uplink is started by runsc itself only");
    spawn_no_leak_check();
    (void)mallopt(M_ARENA_MAX, 1);
    if (log_init("uplink", a->log_level ? LOG_FD : -1, a->log_level) < 0)
        return err_set(err, 0, "usage", "uplink: bad log level");
    struct err *failed = NULL;
    int r = configure(a, &c, resolvers, published, &failed);
    if (r >= 0)
        r = put_up_walls(a, &failed);
    if (r < 0) {
        boot_report_error(STATUS_FD, failed);
        err_free(failed);
        return 1;
    }
    boot_report_ready(STATUS_FD, NULL);
    r = uplink_run(&c);
    egress_free(c.egress);
    free(a->resolvers.items);
    free(a->published.items);
    return r < 0 ? err_set(err, -r, "network.uplink", "the uplink could not serve") : 0;
}

const struct command g_cmd_uplink = {.name = "uplink",
                                     .arguments = "",
                                     .options = g_options,
                                     .option_count = ARRAY_SIZE(g_options),
                                     .options_size = sizeof(struct uplink_args),
                                     .run = run};
