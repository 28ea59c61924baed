/* SPDX-License-Identifier: Apache-2.0
 * boot/controller.c: the event loop of controller.h: connections, the queue from other threads, the life of
 * the sandbox.
 *
 * epoll data: the pointer of a connection; &c->listen_fd; &c->wake_fd; or a controlled container (its gofer's
 * end), told apart by looking them up, so that a stale event of an object just freed is ignored.
 */
#include "boot/controller_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

static int watch(struct controller *c, int fd, uint32_t events, void *data, int op) {
    struct epoll_event e = {.events = events, .data.ptr = data};

    return epoll_ctl(c->epoll_fd, op, fd, &e) < 0 ? -errno : 0;
}

int controller_create(const struct controller_config *config, struct controller **ret, struct err **err) {
    struct controller *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, ENOMEM, "out-of-memory", "starting the control server");
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->listen_fd = config->listen_fd;
    c->walls_json = strdup("[]");
    c->platform = strdup(config->platform);
    c->next_serial = 1;
    list_init(&c->connections);
    list_init(&c->containers);
    mutex_init(&c->queue_lock, RANK_LEAF);
    list_init(&c->done_jobs);
    list_init(&c->ends);
    if (c->epoll_fd < 0 || c->wake_fd < 0 || !c->walls_json || !c->platform ||
        watch(c, c->wake_fd, EPOLLIN, &c->wake_fd, EPOLL_CTL_ADD) < 0 ||
        (c->listen_fd >= 0 && watch(c, c->listen_fd, EPOLLIN, &c->listen_fd, EPOLL_CTL_ADD) < 0)) {
        int r = err_set(err, errno, "control.start", "starting the control server");
        controller_free(c);
        return r;
    }
    for (size_t i = 0; i < config->connection_count; i++)
        if (!connection_add(c, config->connections[i], /* owner= */ false)) {
            controller_free(c);
            return err_set(err, ENOMEM, "out-of-memory", "starting the control server");
        }
    *ret = c;
    return 0;
}

int controller_set_walls(struct controller *c, const char *walls_json) {
    char *copy = strdup(walls_json);

    if (!copy)
        return -ENOMEM;
    free(c->walls_json);
    c->walls_json = copy;
    return 0;
}

void controller_set_kernel(struct controller *c, struct boot_kernel *kernel) {
    c->kernel = kernel;
}

/* ---- connections ---- */

struct connection *connection_add(struct controller *c, int fd, bool owner) {
    struct connection *n = c->connection_count < CONTROL_MAX_CONNECTIONS ? calloc(1, sizeof *n) : NULL;

    if (!n) {
        close_fd(fd);
        return NULL;
    }
    control_channel_init(&n->channel, fd);
    n->owner = owner;
    n->serial = c->next_serial++;
    if (watch(c, fd, EPOLLIN, n, EPOLL_CTL_ADD) < 0) {
        control_channel_done(&n->channel);
        free(n);
        return NULL;
    }
    list_add_tail(&c->connections, &n->node);
    c->connection_count++;
    return n;
}

/* A stand-in that goes before its process takes it along: init's owner takes the whole container. */
static void owner_gone(struct connection *n) {
    struct process *p = n->owned;

    if (!p)
        return;
    if (!p->ended && n->owned_in->kernel_container) {
        bool init = p->pid == n->owned_in->init_pid;
        log_info(LOG_CONTROL, "owner of %s process %d is gone: killing it", n->owned_in->id, p->pid);
        (void)!boot_signal(n->owned_in->kernel_container, init ? SIGNAL_ALL : SIGNAL_PROCESS, p->pid, 9);
    }
}

static void connection_drop(struct controller *c, struct connection *n) {
    owner_gone(n);
    list_del(&n->node);
    c->connection_count--;
    control_channel_done(&n->channel); /* closing takes it out of the epoll set */
    free(n);
}

struct connection *connection_find(struct controller *c, uint64_t serial) {
    struct connection *n;

    list_for_each_entry(n, &c->connections, node) if (n->serial == serial) return n;
    return NULL;
}

void connection_send(struct controller *c, struct connection *to, json_t *message) {
    if (!to) {
        json_decref(message);
        return;
    }
    int r = message ? control_queue(&to->channel, message) : -ENOMEM;
    if (r >= 0)
        r = control_flush(&to->channel);
    if (r == 0)
        r = watch(c, to->channel.fd, EPOLLIN | EPOLLOUT, to, EPOLL_CTL_MOD);
    if (r < 0)
        shutdown(to->channel.fd,
                 SHUT_RDWR); /* the loop sees its end and drops it: the caller may still hold it */
    json_decref(message);
}

void connection_answer(struct controller *c, struct connection *to, json_t *id, json_t *answer) {
    if (answer) {
        json_object_set_new(answer, "ok", json_true());
        if (id)
            json_object_set(answer, "id", id);
    }
    connection_send(c, to, answer);
}

void connection_fail(struct controller *c, struct connection *to, json_t *id, struct err *e) {
    json_t *answer = json_pack("{s:b,s:o}", "ok", 0, "error", control_error_to_json(e));

    if (answer && id)
        json_object_set(answer, "id", id);
    connection_send(c, to, answer);
    err_free(e);
}

/* False when it has been dropped. */
static bool connection_work(struct controller *c, struct connection *n, uint32_t events) {
    json_t *message;
    int r = 0;

    if (events & EPOLLOUT) {
        r = control_flush(&n->channel);
        if (r == 1)
            r = watch(c, n->channel.fd, EPOLLIN, n, EPOLL_CTL_MOD);
    }
    if (r >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        r = control_read(&n->channel);
    while (r >= 0 && (r = control_next(&n->channel, &message)) == 1) {
        request_handle(c, n, message);
        json_decref(message);
    }
    if (r < 0)
        log_warning(LOG_CONTROL, "dropping a client: error %d", -r);
    if (r >= 0 && !n->channel.ended && !(n->closing && n->channel.out_sent == n->channel.out_size))
        return true;
    connection_drop(c, n);
    return false;
}

static void accept_clients(struct controller *c) {
    for (;;) {
        int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        (void)connection_add(c, fd, /* owner= */ false);
    }
}

/* ---- from other threads ---- */

static void wake(struct controller *c) {
    uint64_t one = 1;

    if (write(c->wake_fd, &one, sizeof one) < 0) {
        /* full means that a wake-up is pending already */
    }
}

void controller_on_exit(void *arg, const struct boot_exit *e) {
    struct controller *c = arg;
    struct end_note *n = calloc(1, sizeof *n);

    ASSERT(n);
    n->container_id = strdup(e->container_id);
    n->why = e->why ? strdup(e->why) : NULL;
    n->pid = e->pid;
    n->wait_status = e->wait_status;
    n->is_init = e->is_init;
    n->reason = e->reason;
    mutex_lock(&c->queue_lock);
    list_add_tail(&c->ends, &n->node);
    mutex_unlock(&c->queue_lock);
    wake(c);
}

static void end_note_free(struct end_note *n) {
    free(n->container_id);
    free(n->why);
    free(n);
}

/* Jobs first: an exec's answer comes before the news of its end. */
static void take_queue(struct controller *c) {
    struct list jobs, ends;
    struct job *j, *next_job;
    struct end_note *e, *next_end;
    uint64_t count;

    if (read(c->wake_fd, &count, sizeof count) < 0) {
        /* nothing to drain */
    }
    list_init(&jobs);
    list_init(&ends);
    mutex_lock(&c->queue_lock);
    list_splice_tail(&jobs, &c->done_jobs);
    list_splice_tail(&ends, &c->ends);
    mutex_unlock(&c->queue_lock);
    list_for_each_entry_safe(j, next_job, &jobs, node) {
        list_del(&j->node);
        c->jobs_running--;
        job_finished(c, j);
    }
    list_for_each_entry_safe(e, next_end, &ends, node) {
        list_del(&e->node);
        process_ended(c, e);
        end_note_free(e);
    }
}

/* ---- gofers ---- */

int controller_watch_gofer(struct controller *c, struct controlled *t) {
    return watch(c, t->gofer_watch, EPOLLRDHUP, t, EPOLL_CTL_ADD);
}

static void gofer_lost(struct controller *c, struct controlled *t) {
    epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, t->gofer_watch, NULL);
    t->gofer_watch = close_fd(t->gofer_watch);
    if (t->state == CONTROLLED_STOPPED || !t->kernel_container)
        return;
    log_error(LOG_CONTROL, "the gofer of container %s has ended: killing the container", t->id);
    t->gofer_lost = true;
    (void)!boot_signal(t->kernel_container, SIGNAL_ALL, t->init_pid, 9);
}

/* ---- the loop ---- */

static void dispatch(struct controller *c, const struct epoll_event *e) {
    struct connection *n;
    struct controlled *t;

    if (e->data.ptr == &c->listen_fd) {
        accept_clients(c);
        return;
    }
    if (e->data.ptr == &c->wake_fd) {
        take_queue(c);
        return;
    }
    list_for_each_entry(n, &c->connections, node) if (e->data.ptr == n) {
        (void)connection_work(c, n, e->events);
        return;
    }
    list_for_each_entry(t, &c->containers, node) if (e->data.ptr == t && t->gofer_watch >= 0) {
        gofer_lost(c, t);
        return;
    }
}

/* All that is queued for clients has been sent, or its reader is gone. */
static bool all_sent(struct controller *c) {
    struct connection *n;

    list_for_each_entry(n, &c->connections, node) if (n->channel.out_sent < n->channel.out_size) return false;
    return true;
}

/* The root container has ended and told, or the client that made the sandbox went before it had a container.
 */
static bool is_finished(struct controller *c) {
    if (c->jobs_running)
        return false;
    if (c->finished)
        return all_sent(c);
    return !c->had_container && list_empty(&c->connections);
}

int controller_run(struct controller *c) {
    struct epoll_event events[32];

    while (!is_finished(c)) {
        int n = epoll_wait(c->epoll_fd, events, ARRAY_SIZE(events), -1);
        if (n < 0 && errno != EINTR) {
            log_error(LOG_CONTROL, "epoll_wait: %s", strerror(errno));
            return 1;
        }
        for (int i = 0; i < n; i++)
            dispatch(c, &events[i]);
    }
    log_info(LOG_CONTROL, "the sandbox ends");
    return 0;
}

void controller_end_containers(struct controller *c) {
    struct controlled *t;

    list_for_each_entry(t, &c->containers, node) {
        if (t->kernel_container)
            boot_container_destroy(t->kernel_container);
        t->kernel_container = NULL;
    }
    take_queue(c);
}

void controller_free(struct controller *c) {
    struct connection *n, *next;
    struct controlled *t, *next_t;

    if (!c)
        return;
    list_for_each_entry_safe(t, next_t, &c->containers, node) controlled_free(c, t);
    list_for_each_entry_safe(n, next, &c->connections, node) connection_drop(c, n);
    close_fd(c->epoll_fd);
    close_fd(c->wake_fd);
    close_fd(c->listen_fd);
    free(c->walls_json);
    free(c->platform);
    free(c);
}
