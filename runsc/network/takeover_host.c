/* SPDX-License-Identifier: Apache-2.0
 * runsc/network/takeover_host.c: network_take_over(): into the container's network namespace and back
 * (network.h). The process has one thread.
 *
 * Names: docker's user networks give the container the resolver 127.0.0.11, which is a socket of dockerd in
 * the namespace behind rules for loopback. The sandbox's loopback is its own, so a connected datagram socket
 * to each such resolver goes along, to which the sandbox relays what its guests ask there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runsc/network/network.h"
#include "runsc/network/rtnl.h"

#define DNS_PORT        53
#define RESOLV_CONF_MAX 65536

void network_handover_done(struct network_handover *h) {
    json_decref(h->document);
    for (size_t i = 0; i < h->fd_count; i++)
        close_fd(h->fds[i]);
    *h = (struct network_handover){.document = NULL};
}

/* ---- resolvers on the namespace's loopback ---- */

static int add_resolver(struct network_handover *h, const char *text) {
    json_t *list = json_object_get(h->document, "resolvers");
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};

    if (inet_pton(AF_INET, text, &a.sin_addr) != 1 || ntohl(a.sin_addr.s_addr) >> 24 != 127 ||
        json_array_size(list) == NETWORK_MAX_RESOLVERS)
        return 0;
    cleanup(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
        return -errno;
    h->fds[h->fd_count] = steal_fd(&fd);
    return json_array_append_new(list, json_pack("{s:s,s:i}", "address", text, "fd", (int)h->fd_count++));
}

static int add_resolvers(struct network_handover *h, char *text) {
    char *line_end, *at = text;
    int r = 0;

    for (; r >= 0 && *at; at = line_end) {
        line_end = at + strcspn(at, "\n");
        if (*line_end)
            *line_end++ = '\0';
        if (strncmp(at, "nameserver", 10) != 0)
            continue;
        at += 10 + strspn(at + 10, " \t");
        at[strcspn(at, " \t\r")] = '\0';
        r = add_resolver(h, at);
    }
    return r;
}

static int read_small_file(const char *path, char *buf, size_t size) {
    cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (n < 0)
        return -errno;
    buf[n] = '\0';
    return 0;
}

/* ---- there and back ---- */

static int silence_kernel(int rtnl, struct err **err) {
    int r = netns_guard_up();

    if (r >= 0)
        return 0;
    log_info(LOG_CLI, "the host has no nf_tables here (%s): addresses are removed from its interfaces",
             strerror(-r));
    r = netns_strip_addresses(rtnl);
    return r < 0 ? err_set(err, -r, "network.strip", "taking the addresses of the container's interfaces")
                 : 0;
}

static int take_over(struct network_handover *h, char *resolv_conf, struct err **err) {
    cleanup(closep) int rtnl = rtnl_open(NETLINK_ROUTE);
    int r = rtnl < 0 ? err_set(err, -rtnl, "network.rtnetlink", "opening a netlink socket")
                     : netns_read(rtnl, h, err);

    if (r >= 0) {
        r = add_resolvers(h, resolv_conf);
        if (r < 0)
            return err_set(err, -r, "network.resolver", "reaching the resolver of the container's network");
    }
    if (r >= 0 && h->fd_count > 0)
        r = silence_kernel(rtnl, err);
    return r;
}

/* 1: entered, 0: it is our own already. */
static int enter(const char *path, int *ret_own, struct err **err) {
    cleanup(closep) int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    cleanup(closep) int other = open(path, O_RDONLY | O_CLOEXEC);
    struct stat a, b;

    if (own < 0 || other < 0 || fstat(own, &a) < 0 || fstat(other, &b) < 0)
        return err_set(err, errno, "network.namespace", "opening the network namespace %s", path);
    if (a.st_ino == b.st_ino && a.st_dev == b.st_dev)
        return 0;
    if (setns(other, CLONE_NEWNET) < 0)
        return err_set(err, errno, "network.namespace", "entering the container's network namespace");
    *ret_own = steal_fd(&own);
    return 1;
}

int network_take_over(pid_t pid, const char *resolv_conf, struct network_handover *ret, struct err **err) {
    char path[64];
    cleanup(freep) char *text = calloc(1, RESOLV_CONF_MAX);
    cleanup(closep) int own = -1;

    *ret = (struct network_handover){.document = NULL};
    if (!text)
        return err_set(err, ENOMEM, "out-of-memory", "taking over the container's network");
    if (resolv_conf && read_small_file(resolv_conf, text, RESOLV_CONF_MAX) < 0)
        text[0] = '\0'; /* not there: then it names no resolver */
    snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
    int r = enter(path, &own, err);
    if (r <= 0)
        return r;
    r = take_over(ret, text, err);
    /* In a user namespace (rootless podman) there is no way back to the host's; what is left to do needs
     * none. */
    if (setns(own, CLONE_NEWNET) < 0 && errno != EPERM && r >= 0)
        r = err_set(err, errno, "network.namespace", "returning to our own network namespace");
    if (r < 0)
        network_handover_done(ret);
    return r;
}

void network_give_back(const char *path) {
    cleanup(closep) int own = -1;

    if (enter(path, &own, NULL) <= 0)
        return;
    int r = netns_guard_down();
    if (r < 0)
        log_debug(LOG_CLI, "removing the guard of %s: %s", path, strerror(-r));
    if (setns(own, CLONE_NEWNET) < 0)
        log_error(LOG_CLI, "returning to our own network namespace: %s", strerror(errno));
}
