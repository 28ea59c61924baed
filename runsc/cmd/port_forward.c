/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/port_forward.c: connections to a port of the host's loopback go on to a port of a container,
 * however its network is made. Serves until it is killed. The sandbox gets each connection as a descriptor.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

static bool parse_port(const char *text, size_t len, uint16_t *ret) {
    char digits[6];
    char *end;

    if (len == 0 || len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    unsigned long port = strtoul(digits, &end, 10);
    *ret = (uint16_t)port;
    return !*end && port <= UINT16_MAX;
}

static int listen_on(uint16_t port, struct err **err) {
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int on = 1;
    cleanup(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        return err_set(err, errno, "network.forward", "listening on 127.0.0.1:%u", port);
    printf("127.0.0.1:%u\n", ntohs(a.sin_port));
    fflush(stdout);
    return steal_fd(&fd);
}

static int hand_over(struct container *c, int fd, uint16_t port, struct err **err) {
    struct control_channel channel;
    int r = container_connect(c, &channel, err);

    if (r < 0)
        return r;
    cleanup(json_decrefp) json_t *request = container_request(c, "forward");
    json_object_set_new(request, "port", json_integer(port));
    r = control_call(&channel, request, &fd, 1, NULL, err);
    control_channel_done(&channel);
    return r;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    const char *colon = strchr(argv[1], ':'), *inner = colon ? colon + 1 : argv[1];
    uint16_t local, port;

    (void)options, (void)argc;
    if (!parse_port(inner, strlen(inner), &port) || port == 0 ||
        !parse_port(argv[1], colon ? (size_t)(colon - argv[1]) : strlen(argv[1]), &local))
        return err_set(err, EINVAL, "usage", "port-forward takes [LOCAL:]PORT, not \"%s\"", argv[1]);
    int r = container_open(cli, argv[0], CONTAINER_READ, &c, err);
    if (r < 0)
        return r;
    cleanup(closep) int listener = listen_on(local, err);
    if (listener < 0)
        return listener;
    for (;;) {
        cleanup(closep) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        struct err *why = NULL;
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return err_set(err, errno, "network.forward", "waiting for connections");
        if (fd >= 0 && hand_over(c, fd, port, &why) < 0) { /* that one is closed; the next may do better */
            cleanup(freep) char *text = why ? err_text(why) : NULL;
            cli_warn(cli, "%s", text ? text : "forwarding a connection failed");
        }
        err_free(why);
        if (!host_process_alive(&c->state.sandbox))
            return err_set(err, ESRCH, "container.stopped", "container not running");
    }
}

const struct command g_cmd_port_forward = {.name = "port-forward",
                                           .arguments = "ID [LOCAL:]PORT",
                                           .summary = "hand connections to a local port on to a container's",
                                           .min_args = 2,
                                           .max_args = 2,
                                           .run = run};
