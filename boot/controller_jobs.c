/* SPDX-License-Identifier: Apache-2.0
 * boot/controller_jobs.c: requests that may block, on threads of their own, and what happens when they or a
 * process end.
 */
#include "boot/controller_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

struct job *job_new(struct controller *c, enum job_kind kind, struct controlled *t, struct connection *from,
                    json_t *request) {
    struct job *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    j->kind = kind;
    j->controller = c;
    j->target = t;
    j->connection = from->serial;
    j->request = json_incref(request);
    j->process.tty_fd = -1;
    for (int i = 0; i < 3; i++)
        j->process.stdio[i] = -1;
    j->kernel = c->kernel;
    j->kernel_container = t->kernel_container;
    return j;
}

/* Descriptors of a job that was never started; a started one has handed them to the kernel. */
static void job_close_fds(struct job *j) {
    for (int i = 0; i < 3; i++)
        closep(&j->process.stdio[i]);
    closep(&j->process.tty_fd);
    for (size_t i = 0; i < j->process.extra_fd_count; i++)
        closep(&j->extra_fds[i]);
    for (size_t i = 0; i < j->config.gofer_fd_count; i++)
        closep(&j->gofer_fds[i]);
}

void job_free(struct job *j) {
    if (!j)
        return;
    for (size_t i = 0; i < j->owner_count; i++)
        close_fd(j->owner_fds[i]);
    for (size_t i = 0; i < j->network_fd_count; i++)
        close_fd(j->network_fds[i]);
    json_decref(j->request);
    spec_free(j->process_spec);
    err_free(j->err);
    free(j->mounts);
    free(j->shares);
    free(j);
}

static int work_start(struct job *j) {
    const json_t *network = json_object_get(j->request, "network");
    int r = network ? boot_network_configure(j->kernel, network, j->network_fds, j->network_fd_count, &j->err)
                    : 0;

    return r < 0 ? r : boot_container_start(j->kernel_container, &j->err);
}

static int job_work(struct job *j) {
    switch (j->kind) {
    case JOB_CREATE:
        return boot_container_create(j->kernel, &j->config, &j->kernel_container, &j->pid, &j->err);
    case JOB_START:
        return work_start(j);
    case JOB_EXEC:
        return boot_exec(j->kernel_container, &j->process, &j->pid, &j->err);
    case JOB_PAUSE:
        return boot_container_pause(j->kernel_container, &j->err);
    case JOB_RESUME:
        return boot_container_resume(j->kernel_container, &j->err);
    case JOB_DESTROY:
        if (j->kernel_container)
            boot_container_destroy(j->kernel_container);
        return 0;
    }
    return -EINVAL;
}

static void *job_thread(void *arg) {
    struct job *j = arg;
    struct controller *c = j->controller;
    uint64_t one = 1;

    j->result = job_work(j);
    mutex_lock(&c->queue_lock);
    list_add_tail(&c->done_jobs, &j->node);
    mutex_unlock(&c->queue_lock);
    if (write(c->wake_fd, &one, sizeof one) < 0) {
        /* full: a wake-up is pending */
    }
    return NULL;
}

int job_start(struct job *j, struct err **err) {
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&thread, &attr, job_thread, j);
    pthread_attr_destroy(&attr);
    if (r != 0) {
        job_close_fds(j);
        r = err_set(err, r, "sandbox.threads", "starting a thread in the sandbox");
        err_explain(err, "the host's limit on processes is reached", NULL);
        return r;
    }
    j->target->busy = true;
    j->controller->jobs_running++;
    return 0;
}

/* ---- ends of processes ---- */

static const char *reason_name(enum boot_end_reason reason) {
    static const char *const names[] = {[END_EXIT] = "exit",
                                        [END_SIGNAL] = "signal",
                                        [END_OOM] = "oom",
                                        [END_GOFER_LOST] = "gofer-lost",
                                        [END_SANDBOX] = "sandbox"};

    return names[reason];
}

json_t *process_end_json(const struct process *p) {
    return json_pack("{s:i,s:i,s:s,s:s*}", "pid", (int)p->pid, "status", p->wait_status, "reason",
                     reason_name(p->reason), "why", p->why);
}

static void process_free(struct controller *c, struct process *p) {
    struct waiter *w, *next;
    struct connection *n;

    list_for_each_entry_safe(w, next, &p->waiters, node) {
        list_del(&w->node);
        json_decref(w->id);
        free(w);
    }
    list_for_each_entry(n, &c->connections, node) if (n->owned == p) n->owned = NULL;
    list_del(&p->node);
    free(p->why);
    free(p);
}

/* Tells all who wait. An owner's connection closes when it has heard. */
static void tell_end(struct controller *c, struct process *p) {
    struct waiter *w, *next;

    list_for_each_entry_safe(w, next, &p->waiters, node) {
        connection_answer(c, connection_find(c, w->connection), w->id, process_end_json(p));
        list_del(&w->node);
        json_decref(w->id);
        free(w);
    }
    struct connection *n;
    list_for_each_entry(n, &c->connections, node) {
        if (n->owned != p)
            continue;
        json_t *event = process_end_json(p);
        if (event)
            json_object_set_new(event, "event", json_string("exit"));
        n->owned = NULL;
        n->closing = true;
        connection_send(c, n, event);
    }
}

/* For clients that come when the sandbox has gone: `runsc wait`, `runsc state`. */
static void write_status(struct controlled *t, const struct process *p) {
    json_t *j = process_end_json(p);
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

    if (t->status_fd >= 0 && text && write(t->status_fd, text, strlen(text)) < 0)
        log_warning(LOG_CONTROL, "writing the exit status: %s", strerror(errno));
    t->status_fd = close_fd(t->status_fd);
    free(text);
    json_decref(j);
}

/* Ends that nobody asks for are forgotten beyond a bound: health checks run for years. */
static void forget_old_ends(struct controller *c, struct controlled *t) {
    struct process *p, *next;

    list_for_each_entry_safe(p, next, &t->processes, node) {
        if (t->ended_count <= CONTROL_MAX_ENDED)
            return;
        if (p->ended && p->pid != t->init_pid) {
            process_free(c, p);
            t->ended_count--;
        }
    }
}

static bool any_lives(struct controller *c) {
    struct controlled *t;

    list_for_each_entry(t, &c->containers, node) if (t->state != CONTROLLED_STOPPED) return true;
    return false;
}

void process_ended(struct controller *c, struct end_note *e) {
    struct controlled *t = controlled_find(c, e->container_id);
    struct process *p = t ? controlled_process(t, e->pid, /* make= */ true) : NULL;

    if (!p || p->ended)
        return;
    p->ended = true;
    p->wait_status = e->wait_status;
    p->reason = e->reason;
    p->why = TAKE(e->why);
    if (t->gofer_lost && e->is_init && p->reason != END_GOFER_LOST) {
        p->reason = END_GOFER_LOST;
        free(p->why);
        p->why = strdup("the gofer, which serves this container's files, was killed");
    }
    t->ended_count++;
    if (e->is_init) {
        t->state = CONTROLLED_STOPPED;
        write_status(t, p);
    }
    log_info(LOG_CONTROL, "container %s: process %d ended, status 0x%x (%s)", t->id, p->pid,
             (unsigned)p->wait_status, reason_name(p->reason));
    tell_end(c, p);
    forget_old_ends(c, t);
    if (e->is_init && (t->is_pod || !any_lives(c)))
        c->finished = true;
}

/* ---- ends of jobs ---- */

void controlled_free(struct controller *c, struct controlled *t) {
    struct process *p, *next;

    struct connection *n;

    list_for_each_entry(n, &c->connections, node) if (n->owned_in == t) n->owned_in = NULL;
    list_for_each_entry_safe(p, next, &t->processes, node) process_free(c, p);
    list_del(&t->node);
    close_fd(t->gofer_watch);
    close_fd(t->status_fd);
    spec_free(t->spec);
    free(t->id);
    free(t);
}

/* The process just made gets its record (it may have ended already) and its owner. */
static void register_process(struct controller *c, struct job *j) {
    struct controlled *t = j->target;
    struct process *p = controlled_process(t, j->pid, /* make= */ true);

    ASSERT(p);
    for (size_t i = 0; i < j->owner_count; i++) {
        struct connection *owner = connection_add(c, steal_fd(&j->owner_fds[i]), /* owner= */ true);
        if (!owner) {
            (void)!boot_signal(t->kernel_container, SIGNAL_PROCESS, j->pid, 9);
            return;
        }
        owner->owned = p;
        owner->owned_in = t;
    }
    if (p->ended)
        tell_end(c, p);
}

static void created(struct controller *c, struct job *j) {
    struct controlled *t = j->target;

    t->kernel_container = j->kernel_container;
    t->init_pid = j->pid;
    if (t->state == CONTROLLED_CREATING)
        t->state = CONTROLLED_CREATED;
    c->had_container = true;
    if (t->gofer_watch >= 0 && controller_watch_gofer(c, t) < 0)
        log_warning(LOG_CONTROL, "the gofer of %s cannot be watched", t->id);
}

static void destroyed(struct controller *c, struct job *j) {
    struct controlled *t = j->target;
    bool pod = t->is_pod;

    t->kernel_container = NULL;
    struct process *init = controlled_process(t, t->init_pid, /* make= */ true);
    if (init && !init->ended) {
        init->ended = true;
        init->wait_status = 9;
        init->reason = END_SIGNAL;
        write_status(t, init);
        tell_end(c, init);
    }
    controlled_free(c, t);
    if (pod || !any_lives(c))
        c->finished = true;
}

void job_finished(struct controller *c, struct job *j) {
    struct connection *to = connection_find(c, j->connection);
    struct controlled *t = j->target;
    json_t *id = json_object_get(j->request, "id");

    t->busy = false;
    if (j->result < 0) {
        if (!j->err)
            (void)err_set(&j->err, -j->result, "sandbox.operation",
                          "the sandbox could not carry out the request");
        if (j->kind == JOB_CREATE) {
            controlled_free(c, t);
            c->finished = c->had_container && !any_lives(c);
        }
        connection_fail(c, to, id, TAKE(j->err));
        job_free(j);
        return;
    }
    json_t *answer = j->pid ? json_pack("{s:i}", "pid", (int)j->pid) : json_object();
    if (j->kind == JOB_CREATE)
        created(c, j);
    if (j->kind == JOB_START && t->state == CONTROLLED_CREATED) {
        t->state = CONTROLLED_RUNNING;
        t->was_started = true;
    }
    if (j->kind == JOB_PAUSE && t->state != CONTROLLED_STOPPED)
        t->state = CONTROLLED_PAUSED;
    if (j->kind == JOB_RESUME && t->state != CONTROLLED_STOPPED)
        t->state = t->was_started ? CONTROLLED_RUNNING : CONTROLLED_CREATED;
    connection_answer(c, to, id, answer);
    if (j->kind == JOB_CREATE || j->kind == JOB_EXEC)
        register_process(c, j);
    if (j->kind == JOB_DESTROY)
        destroyed(c, j);
    job_free(j);
}
