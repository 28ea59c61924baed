/* SPDX-License-Identifier: Apache-2.0
 * boot/controller_internal.h: objects of the control server. All belong to the loop thread, except where a
 * comment says "job".
 *
 * References: a controlled container holds its processes and spec; a process holds its waiters and is pointed
 * at by its owners' connections; a job holds its container busy, so that the container is not freed under it.
 */
#pragma once

#include "base/list.h"
#include "base/mutex.h"
#include "boot/control_channel.h"
#include "boot/controller.h"

#define CONTROL_MAX_CONNECTIONS 1024
#define CONTROL_MAX_OWNERS      4
#define CONTROL_MAX_ENDED       1024 /* ends nobody has asked for, per container */

enum controlled_state {
    CONTROLLED_CREATING,
    CONTROLLED_CREATED,
    CONTROLLED_RUNNING,
    CONTROLLED_PAUSED,
    CONTROLLED_STOPPED
};

struct connection {
    struct list node;
    struct control_channel channel;
    struct process *owned; /* owner connections: NULL once the process has ended */
    struct controlled *owned_in;
    bool owner, closing; /* closing: goes away when all is sent */
    uint64_t serial;     /* names it in jobs and waiters, which may outlive it */
};

struct waiter {
    struct list node;
    uint64_t connection;
    json_t *id; /* the request's; reference */
};

struct process {
    struct list node;
    boot_pid_t pid;
    bool ended;
    int wait_status;
    enum boot_end_reason reason;
    char *why;
    struct list waiters;
};

struct controlled {
    struct list node;
    char *id;
    struct spec *spec;
    struct boot_container *kernel_container; /* NULL while creating and after destroy */
    enum controlled_state state;
    bool busy, gofer_lost, was_started;
    bool is_pod; /* its end is the end of the sandbox */
    boot_pid_t init_pid;
    struct list processes;
    size_t ended_count;
    int gofer_watch; /* a duplicate of a gofer connection: tells when the gofer is gone. -1: none */
    int status_fd;   /* where the end of init is written for clients that come after the sandbox has gone; -1:
                        none */
};

enum job_kind { JOB_CREATE, JOB_START, JOB_EXEC, JOB_PAUSE, JOB_RESUME, JOB_DESTROY };

/* A request that may block. Filled by the loop, worked on by a thread, given back through the queue. */
struct job {
    struct list node; /* queue_lock, once done */
    enum job_kind kind;
    struct controller *controller;
    struct controlled *target; /* busy */
    uint64_t connection;
    json_t *request; /* reference, not touched by the thread */
    int owner_fds[CONTROL_MAX_OWNERS];
    size_t owner_count;
    struct spec *process_spec; /* exec: owned */
    /* job: in */
    struct boot_kernel *kernel;
    struct boot_container *kernel_container;
    struct boot_container_config config;
    struct boot_mount *mounts;
    struct boot_share *shares;
    struct boot_process process;
    int extra_fds[CONTROL_MAX_FDS], gofer_fds[CONTROL_MAX_FDS];
    int network_fds[CONTROL_MAX_FDS]; /* start: those of request's "network"; -1 once taken */
    size_t network_fd_count;
    /* job: out */
    int result;
    struct err *err;
    boot_pid_t pid;
};

struct end_note {
    struct list node;
    char *container_id, *why;
    boot_pid_t pid;
    int wait_status;
    bool is_init;
    enum boot_end_reason reason;
};

struct controller {
    struct boot_kernel *kernel;
    int epoll_fd, wake_fd, listen_fd;
    char *walls_json, *platform;
    struct list connections, containers;
    size_t connection_count;
    uint64_t next_serial;
    bool had_container, finished;
    size_t jobs_running;
    struct mutex queue_lock; /* protects the two lists below */
    struct list done_jobs GUARDED_BY(queue_lock);
    struct list ends GUARDED_BY(queue_lock);
};

/* controller_loop: answers. Each drops the connection if it cannot be sent. */
void connection_answer(struct controller *c, struct connection *to, json_t *id, json_t *answer /* taken */);
void connection_fail(struct controller *c, struct connection *to, json_t *id, struct err *e /* taken */);
void connection_send(struct controller *c, struct connection *to, json_t *message /* taken */);
struct connection *connection_find(struct controller *c, uint64_t serial);
struct connection *connection_add(struct controller *c, int fd /* taken */, bool owner);
/* The event loop watches `fd` for its end only; `data` names it (see controller.c). */
int controller_watch_gofer(struct controller *c, struct controlled *t);

/* controller_requests.c */
void request_handle(struct controller *c, struct connection *from, json_t *request);
struct controlled *controlled_find(struct controller *c, const char *id);
struct process *controlled_process(struct controlled *t, boot_pid_t pid, bool make);

/* controller_jobs.c */
struct job *job_new(struct controller *c, enum job_kind kind, struct controlled *t, struct connection *from,
                    json_t *request);
void job_free(struct job *j);
int job_start(struct job *j, struct err **err) must_check; /* taken on success */
void job_finished(struct controller *c, struct job *j);
void process_ended(struct controller *c, struct end_note *e);
void controlled_free(struct controller *c, struct controlled *t);
json_t *process_end_json(const struct process *p);
