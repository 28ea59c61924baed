/* SPDX-License-Identifier: Apache-2.0
 * boot/controller_requests.c: one function per verb. Requests are checked in full before anything is done;
 * descriptors that came with a request are either taken or closed. Errors carry the words of OCI.md 3 where
 * clients parse them.
 */
#include "boot/controller_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

struct request {
    struct controller *c;
    struct connection *from;
    json_t *json, *id;
    struct controlled *target; /* verbs that name a container */
    int fds[CONTROL_MAX_FDS];  /* -1: taken */
    size_t fd_count, fd_next;
};

static int bad(struct err **err, const char *what) {
    return err_set(err, EINVAL, "control.request", "bad control request: %s", what);
}

struct controlled *controlled_find(struct controller *c, const char *id) {
    struct controlled *t;

    list_for_each_entry(t, &c->containers, node) if (strcmp(t->id, id) == 0) return t;
    return NULL;
}

struct process *controlled_process(struct controlled *t, boot_pid_t pid, bool make) {
    struct process *p;

    list_for_each_entry(p, &t->processes, node) if (p->pid == pid) return p;
    if (!make || !(p = calloc(1, sizeof *p)))
        return NULL;
    p->pid = pid;
    list_init(&p->waiters);
    list_add_tail(&t->processes, &p->node);
    return p;
}

static bool get_bool(const json_t *o, const char *key) {
    return json_is_true(json_object_get(o, key));
}

static size_t get_count(const json_t *o, const char *key) {
    json_int_t n = json_integer_value(json_object_get(o, key));

    return n < 0 || n > CONTROL_MAX_FDS ? CONTROL_MAX_FDS + 1 : (size_t)n;
}

static int next_fd(struct request *q) {
    int fd = q->fds[q->fd_next];

    q->fds[q->fd_next++] = -1;
    return fd;
}

/* The descriptors announced must be exactly those that came: nothing is ever guessed. */
static int check_fds(const struct request *q, struct err **err) {
    size_t stdio = 0, i;
    const json_t *list = json_object_get(q->json, "fds_stdio"), *one;

    json_array_foreach(list, i, one) stdio += json_is_true(one);
    if (list && json_array_size(list) != 3)
        return bad(err, "fds_stdio must have three entries");
    size_t gofers = get_count(q->json, "fds_gofer"), extra = get_count(q->json, "fds_extra");
    size_t want = gofers + stdio + extra + get_bool(q->json, "fds_tty") + get_bool(q->json, "fds_status") +
                  get_count(q->json, "fds_owner");

    if (get_count(q->json, "fds_owner") > CONTROL_MAX_OWNERS)
        return bad(err, "too many owners");
    return want == q->fd_count ? 0 : bad(err, "the descriptors do not match what it says of them");
}

static void take_process_fds(struct request *q, struct job *j) {
    const json_t *list = json_object_get(q->json, "fds_stdio");

    for (size_t i = 0; i < 3; i++)
        j->process.stdio[i] = json_is_true(json_array_get(list, i)) ? next_fd(q) : -1;
    j->process.tty_fd = get_bool(q->json, "fds_tty") ? next_fd(q) : -1;
    if (get_bool(q->json, "fds_status"))
        j->target->status_fd = next_fd(q);
    j->process.extra_fd_count = get_count(q->json, "fds_extra");
    for (size_t i = 0; i < j->process.extra_fd_count; i++)
        j->extra_fds[i] = next_fd(q);
    j->process.extra_fds = j->extra_fds;
    j->owner_count = get_count(q->json, "fds_owner");
    for (size_t i = 0; i < j->owner_count; i++)
        j->owner_fds[i] = next_fd(q);
    j->process.rows = (uint16_t)j->process.spec->console_size.height;
    j->process.columns = (uint16_t)j->process.spec->console_size.width;
}

/* ---- create ---- */

static int fill_mounts(struct job *j, const struct spec *s, const json_t *request, struct err **err) {
    const char *policy = json_string_value(json_object_get(request, "policy"));
    int next_root = 1;

    j->mounts = calloc(s->mounts.count + 1, sizeof *j->mounts);
    if (!j->mounts)
        return err_set(err, ENOMEM, "out-of-memory", "creating a container");
    for (size_t i = 0; i < s->mounts.count; i++) {
        const struct spec_mount *m = &s->mounts.items[i];
        bool bind = spec_mount_is_bind(m);
        j->mounts[i] = (struct boot_mount){.destination = m->destination,
                                           .type = bind ? "bind" : m->type,
                                           .source = m->source,
                                           .options = &m->options,
                                           .gofer_root = bind ? next_root++ : -1,
                                           .policy = ROOT_SHARED};
    }
    static const struct spec_strings no_options;
    j->config.mounts = j->mounts;
    j->config.mount_count = s->mounts.count;
    j->config.root = (struct boot_mount){.destination = "/",
                                         .type = "bind",
                                         .source = s->root.path,
                                         .options = &no_options,
                                         .policy = policy && strcmp(policy, "exclusive") == 0 ? ROOT_EXCLUSIVE
                                                                                              : ROOT_WATCHED};
    return 0;
}

/* "share": [[container, CLONE_NEW* flags]...]; names are borrowed from the request, which the job keeps. */
static int fill_shares(struct job *j, const json_t *request, struct err **err) {
    const json_t *list = json_object_get(request, "share"), *one;
    size_t i;

    j->shares = calloc(json_array_size(list) + 1, sizeof *j->shares);
    if (!j->shares)
        return err_set(err, ENOMEM, "out-of-memory", "creating a container");
    json_array_foreach(list, i, one) {
        j->shares[i] = (struct boot_share){.container = json_string_value(json_array_get(one, 0)),
                                           .flags = (uint64_t)json_integer_value(json_array_get(one, 1))};
        if (!j->shares[i].container || !j->shares[i].flags)
            return bad(err, "share must be a list of a container and namespaces each");
    }
    j->config.shares = j->shares;
    j->config.share_count = json_array_size(list);
    return 0;
}

static struct controlled *controlled_new(struct controller *c, const char *id) {
    struct controlled *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->id = strdup(id);
    t->gofer_watch = t->status_fd = -1;
    list_init(&t->processes);
    list_add_tail(&c->containers, &t->node);
    return t;
}

static int start_create(struct request *q, struct spec *spec, struct err **err) {
    struct controlled *t = controlled_new(q->c, json_string_value(json_object_get(q->json, "container")));

    if (!t)
        return err_set(err, ENOMEM, "out-of-memory", "creating a container");
    t->spec = spec;
    t->is_pod = !q->c->had_container && get_bool(q->json, "pod");
    struct job *j = job_new(q->c, JOB_CREATE, t, q->from, q->json);
    int r = j ? 0 : err_set(err, ENOMEM, "out-of-memory", "creating a container");
    if (r >= 0)
        r = fill_mounts(j, spec, q->json, err);
    if (r >= 0)
        r = fill_shares(j, q->json, err);
    if (r >= 0) {
        j->config.gofer_fd_count = get_count(q->json, "fds_gofer");
        for (size_t i = 0; i < j->config.gofer_fd_count; i++)
            j->gofer_fds[i] = next_fd(q);
        j->config.gofer_fds = j->gofer_fds;
        t->gofer_watch = j->config.gofer_fd_count ? fcntl(j->gofer_fds[0], F_DUPFD_CLOEXEC, 3) : -1;
        j->process.spec = &spec->process;
        take_process_fds(q, j);
        j->config.id = t->id;
        j->config.spec = spec;
        j->config.process = j->process;
        j->config.host_name = json_string_value(json_object_get(q->json, "hostname"));
        j->config.init_killable = get_bool(q->json, "init_killable");
        j->config.root_readonly = spec->root.readonly;
        j->config.root_overlay = get_bool(q->json, "overlay");
        const json_t *seccomp = json_object_get(q->json, "seccomp");
        j->config.seccomp = json_string_value(json_object_get(seccomp, "program"));
        j->config.seccomp_log = get_bool(seccomp, "log");
        r = job_start(j, err);
    }
    if (r < 0) {
        job_free(j);
        controlled_free(q->c, t);
    }
    return r;
}

static int verb_create(struct request *q, struct err **err) {
    const char *id = json_string_value(json_object_get(q->json, "container"));
    struct spec *spec = NULL;

    if (!id || !*id || strlen(id) > 1024)
        return bad(err, "create needs a container id");
    if (controlled_find(q->c, id))
        return err_set(err, EEXIST, "container.exists", "container with given ID already exists: %s", id);
    int r = check_fds(q, err);
    if (r >= 0)
        r = spec_parse(json_object_get(q->json, "spec"), &spec, err);
    if (r >= 0 && !spec->process.set)
        r = bad(err, "create needs spec.process");
    if (r < 0) {
        spec_free(spec);
        return r;
    }
    return start_create(q, spec, err); /* takes spec */
}

/* ---- verbs that name a container ---- */

static int start_job(struct request *q, enum job_kind kind, struct err **err) {
    struct job *j = job_new(q->c, kind, q->target, q->from, q->json);
    int r = j ? job_start(j, err) : err_set(err, ENOMEM, "out-of-memory", "starting a control operation");

    if (r < 0)
        job_free(j);
    return r;
}

static int verb_start(struct request *q, struct err **err) {
    if (q->target->state == CONTROLLED_RUNNING || q->target->state == CONTROLLED_PAUSED)
        return err_set(err, EBUSY, "container.running", "cannot start an already running container");
    if (q->target->state == CONTROLLED_STOPPED)
        return err_set(err, EINVAL, "container.stopped", "cannot start a container that has stopped");
    struct job *j = job_new(q->c, JOB_START, q->target, q->from, q->json);
    if (!j)
        return err_set(err, ENOMEM, "out-of-memory", "starting a container");
    for (; j->network_fd_count < q->fd_count; j->network_fd_count++)
        j->network_fds[j->network_fd_count] = steal_fd(&q->fds[j->network_fd_count]);
    int r = job_start(j, err);
    if (r < 0)
        job_free(j);
    return r;
}

static int verb_exec(struct request *q, struct err **err) {
    struct controlled *t = q->target;

    if (t->state == CONTROLLED_STOPPED)
        return err_set(err, ESRCH, "container.stopped", "cannot exec in a stopped container");
    if (t->state == CONTROLLED_PAUSED && !get_bool(q->json, "ignore_paused"))
        return err_set(err, EBUSY, "container.paused",
                       "cannot exec in a paused container (use --ignore-paused to override)");
    int r = check_fds(q, err);
    if (r < 0)
        return r;
    if (get_count(q->json, "fds_gofer") || get_bool(q->json, "fds_status"))
        return bad(err, "exec takes no gofer and no status file");
    struct job *j = job_new(q->c, JOB_EXEC, t, q->from, q->json);
    if (!j)
        return err_set(err, ENOMEM, "out-of-memory", "starting a process in a container");
    r = spec_parse_process(json_object_get(q->json, "process"), &j->process_spec, err);
    if (r >= 0) {
        j->process.spec = &j->process_spec->process;
        take_process_fds(q, j);
        r = job_start(j, err);
    }
    if (r < 0)
        job_free(j);
    return r;
}

static int verb_pause(struct request *q, struct err **err) {
    if (q->target->state != CONTROLLED_RUNNING && q->target->state != CONTROLLED_CREATED)
        return err_set(err, EINVAL, "container.not-running", "container not running or created");
    return start_job(q, JOB_PAUSE, err);
}

static int verb_resume(struct request *q, struct err **err) {
    if (q->target->state != CONTROLLED_PAUSED)
        return err_set(err, EINVAL, "container.not-paused", "container not paused");
    return start_job(q, JOB_RESUME, err);
}

static int verb_destroy(struct request *q, struct err **err) {
    return start_job(q, JOB_DESTROY, err);
}

static int answer(struct request *q, json_t *a) {
    connection_answer(q->c, q->from, q->id, a);
    return 0;
}

/* An owner speaks of its own process; others name one, or mean init. */
static boot_pid_t named_pid(const struct request *q) {
    const json_t *pid = json_object_get(q->json, "pid");

    if (q->from->owned && !pid)
        return q->from->owned->pid;
    return pid ? (boot_pid_t)json_integer_value(pid) : q->target->init_pid;
}

static int verb_signal(struct request *q, struct err **err) {
    struct controlled *t = q->target;
    const char *scope = json_string_value(json_object_get(q->json, "scope"));
    json_int_t signo = json_integer_value(json_object_get(q->json, "signal"));
    enum boot_signal_scope how = SIGNAL_PROCESS;

    if (signo < 0 || signo > 64)
        return bad(err, "signal must lie between 0 and 64");
    if (scope && strcmp(scope, "all") == 0)
        how = SIGNAL_ALL;
    else if (scope && strcmp(scope, "foreground") == 0)
        how = SIGNAL_FOREGROUND;
    else if (scope && strcmp(scope, "process") != 0)
        return bad(err, "unknown scope of a signal");
    int r = -ESRCH;
    if (t->kernel_container && t->state != CONTROLLED_STOPPED)
        r = boot_signal(t->kernel_container, how, named_pid(q), (int)signo);
    if (r == -ESRCH)
        return err_set(err, ESRCH, "container.not-running", "container not running");
    if (r < 0)
        return err_set(err, -r, "container.signal", "sending signal %d", (int)signo);
    return answer(q, json_object());
}

static int verb_winsize(struct request *q, struct err **err) {
    json_int_t rows = json_integer_value(json_object_get(q->json, "rows"));
    json_int_t columns = json_integer_value(json_object_get(q->json, "columns"));

    if (rows < 0 || rows > UINT16_MAX || columns < 0 || columns > UINT16_MAX)
        return bad(err, "a terminal's size must fit 16 bits");
    if (!q->target->kernel_container)
        return err_set(err, ESRCH, "container.not-running", "container not running");
    int r = boot_set_winsize(q->target->kernel_container, named_pid(q), (uint16_t)rows, (uint16_t)columns);
    return r < 0 ? err_set(err, -r, "container.winsize", "setting the terminal's size")
                 : answer(q, json_object());
}

static int verb_wait(struct request *q, struct err **err) {
    boot_pid_t pid = named_pid(q);
    struct process *p = controlled_process(q->target, pid, /* make= */ false);

    if (!p)
        return err_set(err, ESRCH, "container.no-process", "no process %d was started in this container",
                       pid);
    if (p->ended)
        return answer(q, process_end_json(p));
    struct waiter *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, ENOMEM, "out-of-memory", "waiting for a process");
    w->connection = q->from->serial;
    w->id = json_incref(q->id);
    list_add_tail(&p->waiters, &w->node);
    return 0;
}

static int verb_forward(struct request *q, struct err **err) {
    json_int_t port = json_integer_value(json_object_get(q->json, "port"));

    if (port < 1 || port > UINT16_MAX || q->fd_count != 1)
        return bad(err, "forward needs a port and one descriptor");
    int r = boot_port_forward(q->c->kernel, next_fd(q), (uint16_t)port, err);
    return r < 0 ? r : answer(q, json_object());
}

static int verb_state(struct request *q, struct err **err) {
    static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

    (void)err;
    return answer(q,
                  json_pack("{s:s,s:i}", "status", names[q->target->state], "pid", (int)q->target->init_pid));
}

static int verb_ps(struct request *q, struct err **err) {
    boot_pid_t pids[4096];
    json_t *list = json_array();

    if (!q->target->kernel_container || q->target->state == CONTROLLED_STOPPED) {
        json_decref(list);
        return err_set(err, ESRCH, "container.not-running", "container not running");
    }
    size_t n =
        MIN(boot_container_pids(q->target->kernel_container, pids, ARRAY_SIZE(pids)), ARRAY_SIZE(pids));
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(pids[i]));
    return answer(q, json_pack("{s:o}", "pids", list));
}

static int verb_update(struct request *q, struct err **err) {
    cleanup(spec_freep) struct spec *spec = NULL;

    if (!q->target->kernel_container || q->target->state == CONTROLLED_STOPPED)
        return err_set(err, ESRCH, "container.not-running", "container not running");
    int r = spec_parse_resources(json_object_get(q->json, "resources"), &spec, err);
    if (r < 0)
        return r;
    boot_container_update(q->target->kernel_container, spec);
    return answer(q, json_object());
}

static int verb_hello(struct request *q, struct err **err) {
    json_t *walls = json_loads(q->c->walls_json, 0, NULL), *ids = json_array();
    struct controlled *t;

    (void)err;
    list_for_each_entry(t, &q->c->containers, node) json_array_append_new(ids, json_string(t->id));
    return answer(q, json_pack("{s:i,s:s,s:o,s:o}", "version", CONTROL_VERSION, "platform", q->c->platform,
                               "walls", walls ? walls : json_array(), "containers", ids));
}

static const struct {
    const char *name;
    int (*run)(struct request *q, struct err **err);
    bool names_container, must_be_idle;
} g_verbs[] = {
    {"hello", verb_hello, false, false},    {"create", verb_create, false, false},
    {"start", verb_start, true, true},      {"exec", verb_exec, true, true},
    {"signal", verb_signal, true, false},   {"wait", verb_wait, true, false},
    {"state", verb_state, true, false},     {"ps", verb_ps, true, false},
    {"forward", verb_forward, true, false}, {"winsize", verb_winsize, true, false},
    {"pause", verb_pause, true, true},      {"resume", verb_resume, true, true},
    {"destroy", verb_destroy, true, true},  {"update", verb_update, true, true},
};

static int find_target(struct request *q, const char *verb, struct err **err) {
    const char *id = json_string_value(json_object_get(q->json, "container"));

    q->target = id ? controlled_find(q->c, id) : q->from->owned_in;
    if (!q->target)
        return err_set(err, ENOENT, "container.unknown", "%s: container does not exist", id ? id : verb);
    return 0;
}

static int run_verb(struct request *q, struct err **err) {
    const char *verb = json_string_value(json_object_get(q->json, "verb"));

    for (size_t i = 0; verb && i < ARRAY_SIZE(g_verbs); i++) {
        if (strcmp(verb, g_verbs[i].name) != 0)
            continue;
        int r = g_verbs[i].names_container ? find_target(q, verb, err) : 0;
        if (r < 0)
            return r;
        if (g_verbs[i].must_be_idle && (q->target->busy || q->target->state == CONTROLLED_CREATING))
            return err_set(err, EBUSY, "container.busy", "another operation on container %s is under way",
                           q->target->id);
        log_debug(LOG_CONTROL, "request %s", verb);
        return g_verbs[i].run(q, err);
    }
    int r = err_set(err, ENOSYS, "control.verb", "the sandbox does not know the request \"%.32s\"",
                    verb ? verb : "");
    err_explain(err, "it was started by another version of runsc", NULL);
    return r;
}

void request_handle(struct controller *c, struct connection *from, json_t *json) {
    struct request q = {.c = c, .from = from, .json = json, .id = json_object_get(json, "id")};
    struct err *err = NULL;
    size_t count = get_count(json, "fds");
    int r;

    if (count > CONTROL_MAX_FDS || control_take_fds(&from->channel, q.fds, count) < 0) {
        r = bad(&err, "it carries fewer descriptors than it says");
    } else {
        q.fd_count = count;
        r = run_verb(&q, &err);
    }
    for (size_t i = 0; i < q.fd_count; i++)
        close_fd(q.fds[i]);
    if (r < 0)
        connection_fail(c, from, q.id, err);
}
