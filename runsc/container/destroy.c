/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/destroy.c: starting a created container, and ending whatever there is of one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/container/container.h"
#include "runsc/container/hooks.h"
#include "runsc/container/membership.h"
#include "runsc/network/network.h"
#include "runsc/network/uplink_start.h"

/* Nobody gave it a network namespace, or only the host's own. */
static int start_uplink(struct container *c, struct network_handover *h, struct child *ret,
                        struct err **err) {
    struct uplink_options plain = {
        .log_fd = c->cli->debug_log_fd, .log_level = c->cli->log_level, .may_lack = c->cli->zero_privilege};
    int r = uplink_start(c->uplink ? c->uplink : &plain, h, ret, err);

    if (r >= 0 && ret->pid)
        c->state.uplink = host_process_of(ret->pid);
    return r;
}

/* Only now is the network namespace set up, by hooks or between create and start (OCI.md 6). A container in
 * another's sandbox shares that one's network. */
static int take_over_network(struct container *c, struct network_handover *h, struct child *ret_uplink,
                             struct err **err) {
    bool own_sandbox = !c->state.sandbox_id || strcmp(c->state.sandbox_id, c->id) == 0;

    if (!own_sandbox || !c->state.network || strcmp(c->state.network, "sandbox") != 0)
        return 0;
    int r = c->state.standin.pid ? network_take_over(c->state.standin.pid, c->state.resolv_conf, h, err) : 0;
    return r < 0 || h->document ? r : start_uplink(c, h, ret_uplink, err);
}

static int add_capture(struct container *c, struct network_handover *h, struct err **err) {
    const char *path = c->cli->pcap;

    if (!path)
        return 0;
    if (!h->document)
        return err_set(err, EINVAL, "usage", "--pcap needs a network");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, errno, "network.pcap", "opening %s", path);
    json_object_set_new(h->document, "pcap", json_integer((json_int_t)h->fd_count));
    h->fds[h->fd_count++] = fd;
    return 0;
}

static int ask_start(struct container *c, struct err **err) {
    struct control_channel channel;
    struct network_handover network = {.document = NULL};
    struct child uplink = CHILD_NONE;
    int r = container_connect(c, &channel, err);

    if (r < 0)
        return r;
    r = take_over_network(c, &network, &uplink, err);
    if (r >= 0)
        r = add_capture(c, &network, err);
    json_t *request = container_request(c, "start");
    if (network.document)
        json_object_set(request, "network", network.document);
    if (r >= 0)
        r = control_call(&channel, request, network.fds, network.fd_count, NULL, err);
    if (r >= 0)
        r = uplink_started(&uplink, err);
    if (r < 0)
        child_end(&uplink);
    json_decref(request);
    network_handover_done(&network);
    control_channel_done(&channel);
    return r;
}

int container_start(struct container *c, struct err **err) {
    cleanup(spec_freep) struct spec *kept = NULL;

    if (!c->state.has_init)
        return err_set(err, EINVAL, "container.creating", "container %s was never fully created", c->id);
    if (!host_process_alive(&c->state.sandbox))
        return err_set(err, EINVAL, "container.stopped", "cannot start a container that has stopped");
    int r = c->state.hooks ? hooks_load(c, &kept, err) : 0;
    if (r >= 0 && kept && kept->hooks.start_container.count && container_status(c) == STATUS_CREATED)
        r = hooks_run_in_guest(c, &kept->hooks.start_container, err);
    if (r >= 0)
        r = ask_start(c, err);
    if (r < 0)
        return r;
    c->state.started = true;
    r = container_save(c, err);
    if (r >= 0 && kept) {
        cleanup(json_decrefp) json_t *state = container_state_json(c, STATUS_RUNNING);
        hooks_run_leniently(c->cli, &kept->hooks.poststart, "poststart", c->state.bundle, state);
    }
    return r;
}

/* A container in another's sandbox is destroyed there; the sandbox goes on. */
static void destroy_in_sandbox(struct container *c) {
    struct control_channel channel;

    if (container_connect(c, &channel, NULL) < 0)
        return;
    json_t *request = container_request(c, "destroy");
    (void)!control_call(&channel, request, NULL, 0, NULL, NULL);
    json_decref(request);
    control_channel_done(&channel);
}

static void reap(const struct host_process *p) {
    if (p->pid > 0)
        (void)!waitpid(p->pid, NULL, WNOHANG);
}

static void kill_execs(struct container *c) {
    json_t *one;
    size_t i;

    json_array_foreach(c->state.execs, i, one) {
        struct host_process p = {.pid = (pid_t)json_integer_value(json_object_get(one, "pid")),
                                 .started = (uint64_t)json_integer_value(json_object_get(one, "started"))};
        host_process_kill(&p, 300);
    }
}

/* The sandbox goes on for the sake of another container, and must not keep this one's groups. */
static void hand_over_cgroups(struct container *c, const char *other) {
    cleanup(container_closep) struct container *heir = NULL;
    struct cgroup from, to;

    if (!c->state.cgroups || container_open(c->cli, other, CONTAINER_READ, &heir, NULL) < 0 ||
        !heir->state.cgroups || cgroup_from_json(c->state.cgroups, &from, NULL) < 0)
        return;
    if (cgroup_from_json(heir->state.cgroups, &to, NULL) >= 0) {
        cgroup_move_all(&from, &to);
        cgroup_done(&to);
    }
    cgroup_done(&from);
}

static void remove_cgroups(struct container *c) {
    struct cgroup g;
    struct err *err = NULL;

    if (!c->state.cgroups || cgroup_from_json(c->state.cgroups, &g, NULL) < 0)
        return;
    if (cgroup_remove(&g, &err) < 0) {
        char *text = err ? err_text(err) : NULL;
        cli_warn(c->cli, "%s", text ? text : "Failed to remove cgroups");
        free(text);
    }
    err_free(err);
    cgroup_done(&g);
}

static void run_poststop(struct container *c) {
    cleanup(spec_freep) struct spec *kept = NULL;

    if (!c->state.hooks || hooks_load(c, &kept, NULL) < 0)
        return;
    cleanup(json_decrefp) json_t *state = container_state_json(c, STATUS_STOPPED);
    hooks_run_leniently(c->cli, &kept->hooks.poststop, "poststop", "/", state);
}

int runsc_container_destroy(struct container *c, struct err **err) {
    struct container_state *s = &c->state;
    cleanup(freep) char *other = host_process_alive(&s->sandbox) ? membership_other(c) : NULL;
    bool member = s->sandbox_id && strcmp(s->sandbox_id, c->id) != 0;

    if (other || (member && host_process_alive(&s->sandbox)))
        destroy_in_sandbox(c);
    if (other && !member)
        hand_over_cgroups(c, other);
    if (!other)
        host_process_kill(&s->sandbox, 10000);
    kill_execs(c);
    host_process_kill(&s->standin, 300);
    if (!other)
        host_process_wait(&s->gofer,
                          1000); /* it ends by itself, and faster than by a signal (watch_host.c) */
    host_process_kill(&s->gofer, 10000);
    host_process_kill(&s->uplink, 10000);
    /* Ours to reap if we made them; else the caller's subreaper does it. */
    reap(&s->sandbox);
    reap(&s->standin);
    reap(&s->gofer);
    reap(&s->uplink);
    if (!other && s->network_namespace)
        network_give_back(s->network_namespace);
    remove_cgroups(c);
    run_poststop(c);
    log_info(LOG_CLI, "container %s is destroyed", c->id);
    return container_remove_files(c, err);
}

int container_end_run(struct cli *cli, const char *id, int r, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    struct err *why = NULL;
    int end = container_open(cli, id, CONTAINER_OLD, &c, &why);

#ifdef RUNSC_DEBUG
    if (end >= 0) /* it ends by itself, saying what it leaked (boot_main) */
        host_process_wait(&c->state.sandbox, 20000);
#endif
    if (end >= 0)
        end = runsc_container_destroy(c, &why);
    if (r >= 0 && end < 0 && end != -ENOENT) {
        *err = TAKE(why);
        r = end;
    }
    err_free(why);
    return r;
}
