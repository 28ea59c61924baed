/* SPDX-License-Identifier: Apache-2.0
 * runsc/network/uplink_start_host.c: see uplink_start.h. Published ports are bound here, by the caller's
 * right to them, before the uplink gives up all of its own.
 */
#include "runsc/network/uplink_start.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "uplink/uplink.h"

#define RESOLV_CONF     "/etc/resolv.conf"
#define RESOLV_CONF_MAX 65536
#define LINK_BUFFER     (4 << 20)
enum { FIXED_FDS = 4, ARGS_MAX = 8 + UPLINK_MAX_RESOLVERS + UPLINK_MAX_PUBLISHED };

struct start {
    const struct uplink_options *o;
    int link_fd, egress_fd;
    struct uplink_published published[UPLINK_MAX_PUBLISHED];
    size_t published_count;
    char resolvers[UPLINK_MAX_RESOLVERS][INET6_ADDRSTRLEN];
    size_t resolver_count;
};

/* ---- published ports ---- */

static int bad_publish(const char *text, struct err **err) {
    return err_set(err, EINVAL, "usage", "--publish takes [IP:]PORT:PORT[/udp], not \"%s\"", text);
}

static bool parse_port(const char *text, uint16_t *ret) {
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    *ret = (uint16_t)port;
    return end != text && !*end && port > 0 && port <= UINT16_MAX;
}

static bool parse_ip(const char *text, uint16_t port, struct sockaddr_storage *ret, socklen_t *ret_len) {
    struct sockaddr_in *a4 = (void *)ret;
    struct sockaddr_in6 *a6 = (void *)ret;

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, text, &a4->sin_addr) == 1) {
        a4->sin_family = AF_INET;
        a4->sin_port = htons(port);
        *ret_len = sizeof *a4;
        return true;
    }
    a6->sin6_family = AF_INET6;
    a6->sin6_port = htons(port);
    *ret_len = sizeof *a6;
    return inet_pton(AF_INET6, text, &a6->sin6_addr) == 1;
}

static int bind_published(const char *text, const struct sockaddr_storage *a, socklen_t len,
                          struct uplink_published *p, struct err **err) {
    int on = 1, type = p->udp ? SOCK_DGRAM : SOCK_STREAM;
    cleanup(closep) int fd = socket(a->ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || (!p->udp && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) ||
        bind(fd, (const struct sockaddr *)a, len) < 0 || (!p->udp && listen(fd, 1024) < 0))
        return err_set(err, errno, "network.publish", "publishing %s", text);
    p->fd = steal_fd(&fd);
    return 0;
}

static int publish_one(struct start *s, const char *text, struct err **err) {
    cleanup(freep) char *copy = strdup(text);
    struct uplink_published *p = &s->published[s->published_count];
    struct sockaddr_storage a;
    socklen_t len;
    uint16_t port;

    if (!copy)
        return err_set(err, ENOMEM, "out-of-memory", "publishing %s", text);
    if (s->published_count == UPLINK_MAX_PUBLISHED)
        return err_set(err, E2BIG, "usage", "at most %d ports can be published", UPLINK_MAX_PUBLISHED);
    char *slash = strchr(copy, '/');
    if (slash)
        *slash++ = '\0';
    p->udp = slash && strcmp(slash, "udp") == 0;
    if (slash && !p->udp && strcmp(slash, "tcp") != 0)
        return bad_publish(text, err);
    char *inner = strrchr(copy, ':');
    if (!inner || !parse_port(inner + 1, &p->guest_port))
        return bad_publish(text, err);
    *inner = '\0';
    char *outer = strrchr(copy, ':');
    const char *ip = "0.0.0.0";
    if (outer) {
        *outer = '\0';
        ip = copy[0] == '[' && outer[-1] == ']' ? (outer[-1] = '\0', copy + 1) : copy;
    }
    if (!parse_port(outer ? outer + 1 : copy, &port) || !parse_ip(ip, port, &a, &len))
        return bad_publish(text, err);
    int r = bind_published(text, &a, len, p, err);
    s->published_count += r >= 0;
    return r;
}

/* ---- resolvers ---- */

static int read_resolv_conf(char *text) {
    cleanup(closep) int fd = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, RESOLV_CONF_MAX - 1);

    text[MAX(n, (ssize_t)0)] = '\0';
    return n < 0 ? -errno : 0;
}

static void find_resolvers(struct start *s, char *text) {
    unsigned char any[16];
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "nameserver", 10) != 0 || s->resolver_count == UPLINK_MAX_RESOLVERS)
            continue;
        char *address = line + 10 + strspn(line + 10, " \t");
        address[strcspn(address, " \t\r%")] = '\0';
        if (strlen(address) < INET6_ADDRSTRLEN &&
            (inet_pton(AF_INET, address, any) == 1 || inet_pton(AF_INET6, address, any) == 1))
            memcpy(s->resolvers[s->resolver_count++], address, strlen(address) + 1);
    }
}

/* Is that what the file holds? */
static bool holds(const char *path, const char *text, size_t len) {
    cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    cleanup(freep) char *there = malloc(len + 1);

    return fd >= 0 && there && read(fd, there, len + 1) == (ssize_t)len && memcmp(there, text, len) == 0;
}

static int write_new(const char *path, const char *text, size_t len, struct err **err) {
    cleanup(freep) char *temporary = NULL;

    if (asprintf(&temporary, "%s.%d", path, getpid()) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "writing %s", path);
    cleanup(closep) int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || rename(temporary, path) < 0)
        return err_set(err, errno, "network.resolv-conf", "writing %s", path);
    return 0;
}

/* A file that is right is left alone: another runsc may be about to mount it. */
int uplink_write_resolv_conf(const char *path, struct err **err) {
    cleanup(freep) char *text = malloc(RESOLV_CONF_MAX), *content = NULL;
    char *save = NULL;
    size_t len = 0;
    FILE *out = text ? open_memstream(&content, &len) : NULL;

    if (!out)
        return err_set(err, ENOMEM, "out-of-memory", "writing %s", path);
    (void)!read_resolv_conf(text); /* none: no search domains */
    fprintf(out, "nameserver %s\n", UPLINK_RESOLVER4);
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (strncmp(line, "search", 6) == 0 || strncmp(line, "domain", 6) == 0 ||
            strncmp(line, "options", 7) == 0)
            fprintf(out, "%s\n", line);
    if (fclose(out) != 0)
        return err_set(err, ENOMEM, "out-of-memory", "writing %s", path);
    return holds(path, content, len) ? 0 : write_new(path, content, len, err);
}

/* ---- the process ---- */

static int run_uplink(void *arg, int status_fd, int namespaces, struct err **err) {
    struct start *s = arg;
    int fds[FIXED_FDS + UPLINK_MAX_PUBLISHED] = {s->link_fd, status_fd, s->o->log_fd, s->egress_fd};
    char args[ARGS_MAX][64], *argv[ARGS_MAX + 1] = {NULL};
    size_t n = 0;

    snprintf(args[n++], sizeof args[0], "runsc");
    snprintf(args[n++], sizeof args[0], "uplink");
    snprintf(args[n++], sizeof args[0], "--namespaces=%d", namespaces);
    if (s->o->log_fd >= 0)
        snprintf(args[n++], sizeof args[0], "--log-level=%.40s", s->o->log_level);
    if (s->o->egress)
        snprintf(args[n++], sizeof args[0], "--egress");
    if (s->o->may_lack)
        snprintf(args[n++], sizeof args[0], "--zero-privilege");
    for (size_t i = 0; i < s->resolver_count; i++)
        snprintf(args[n++], sizeof args[0], "--resolver=%s", s->resolvers[i]);
    for (size_t i = 0; i < s->published_count; i++) {
        fds[FIXED_FDS + i] = s->published[i].fd;
        snprintf(args[n++], sizeof args[0], "--publish=%u%s", s->published[i].guest_port,
                 s->published[i].udp ? "/udp" : "");
    }
    for (size_t i = 0; i < n; i++)
        argv[i] = args[i];
    return child_exec_self(argv, fds, FIXED_FDS + s->published_count, /* keep_stderr= */ false, err);
}

static json_t *document(void) {
    return json_pack(
        "{s:[{s:s,s:s,s:i,s:i,s:i,s:b,s:b,s:i,s:[{s:s,s:i,s:i},{s:s,s:i,s:i}]}],"
        "s:[{s:i,s:s,s:i,s:i,s:i,s:s},{s:i,s:i,s:i,s:s,s:s},{s:i,s:s,s:i,s:i,s:s},{s:i,s:i,s:i,s:s,s:s}]}",
        "links", "name", "eth0", "mac", UPLINK_GUEST_MAC, "mtu", UPLINK_MTU, "txqlen", 1000, "gso", 65535,
        "up", 1, "quiet", 1, "fd", 0, "addresses", "address", UPLINK_GUEST4, "prefix", UPLINK_PREFIX4,
        "scope", 0, "address", UPLINK_GUEST6, "prefix", UPLINK_PREFIX6, "scope", 0, "routes", "family",
        AF_INET, "to", "10.0.2.0", "prefix", UPLINK_PREFIX4, "type", 1, "scope", 253, "dev", "eth0", "family",
        AF_INET, "prefix", 0, "type", 1, "via", UPLINK_GATEWAY4, "dev", "eth0", "family", AF_INET6, "to",
        "fd00:2::", "prefix", UPLINK_PREFIX6, "type", 1, "dev", "eth0", "family", AF_INET6, "prefix", 0,
        "type", 1, "via", UPLINK_GATEWAY6, "dev", "eth0");
}

static int make_link(int fds[2], struct err **err) {
    int size = LINK_BUFFER;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return err_set(err, errno, "network.uplink", "making the link to the uplink");
    for (int i = 0; i < 2; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
            (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return 0;
}

static int spawn(struct start *s, struct child *ret, struct err **err) {
    struct spawn how = {.who = "uplink",
                        .run = run_uplink,
                        .arg = s,
                        .become_nobody = true,
                        .may_lack = s->o->may_lack,
                        .namespaces =
                            CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS};
    int r = child_spawn(&how, ret, err);

    if (r >= 0)
        r = child_release(ret, err);
    if (r >= 0 && s->o->egress)
        r = uplink_started(ret, err);
    if (r < 0)
        child_end(ret);
    return r;
}

int uplink_started(struct child *child, struct err **err) {
    return child->status_fd < 0 ? 0 : child_wait_ready(child, "uplink", NULL, err);
}

static int prepare(struct start *s, struct err **err) {
    cleanup(freep) char *text = malloc(RESOLV_CONF_MAX); /* pages that nothing is read into cost nothing */
    int r = 0;

    if (!text)
        return err_set(err, ENOMEM, "out-of-memory", "starting the uplink");
    if (read_resolv_conf(text) == 0)
        find_resolvers(s, text);
    if (s->o->egress) {
        s->egress_fd = open(s->o->egress, O_RDONLY | O_CLOEXEC);
        if (s->egress_fd < 0)
            return err_set(err, errno, "network.egress", "opening the egress policy %s", s->o->egress);
    }
    for (size_t i = 0; r >= 0 && s->o->publish && i < s->o->publish->count; i++)
        r = publish_one(s, s->o->publish->items[i], err);
    return r;
}

/* Takes link_fd. */
static int prepare_and_spawn(const struct uplink_options *o, int link_fd, struct child *ret_child,
                             struct err **err) {
    struct start s = {.o = o, .link_fd = link_fd, .egress_fd = -1};
    int r = prepare(&s, err);

    if (r >= 0)
        r = spawn(&s, ret_child, err);
    close_fd(link_fd);
    close_fd(s.egress_fd);
    for (size_t i = 0; i < s.published_count; i++)
        close_fd(s.published[i].fd);
    return r;
}

int uplink_start(const struct uplink_options *o, struct network_handover *ret, struct child *ret_child,
                 struct err **err) {
    bool dormant = o->dormant && !o->egress && (!o->publish || o->publish->count == 0);
    int link[2] = {-1, -1};

    *ret = (struct network_handover){.document = NULL};
    *ret_child = (struct child)CHILD_NONE;
    int r = make_link(link, err);
    if (r >= 0 && dormant)
        *o->dormant = link[1];
    else if (r >= 0)
        r = prepare_and_spawn(o, link[1], ret_child, err);
    if (r < 0) {
        close_fd(link[0]);
        return r;
    }
    ret->document = document();
    ret->fds[ret->fd_count++] = link[0];
    return 0;
}

int uplink_wake(const struct uplink_options *o, int link_fd, struct child *ret_child, struct err **err) {
    int r = prepare_and_spawn(o, link_fd, ret_child, err);

    if (r >= 0 && (r = uplink_started(ret_child, err)) < 0)
        child_end(ret_child);
    return r;
}
