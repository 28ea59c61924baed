/* SPDX-License-Identifier: Apache-2.0
 * boot/controller.h: the control server of a sandbox: what clients may ask, who owns which process, and who
 * is told when it ends.
 *
 * Threads: one loop thread (the sandbox's main thread) owns every object here; nothing is locked. Requests
 * that may block (create, start, exec, pause, resume, destroy) run as jobs on threads of their own, which
 * touch only their job and the kernel seam; results and ends of processes come back through one queue
 * (queue_lock, RANK_LEAF) and an eventfd. So a container whose gofer hangs can still be killed. It sleeps in
 * epoll_wait without a time-out.
 *
 * Requests, one JSON object a line (boot/control_channel.h); answers repeat "id" and have "ok": true, or
 * false and "error":
 *
 * - hello -> version, walls, platform, containers
 * - create: container, spec, [overlay, policy, init_killable, join, share, pod, hostname] + fds: gofers...,
 * stdio..., tty, status file, extra..., owner -> pid
 * - start: container, [network] + fds of the network (boot/network_setup.h)
 * - exec: container, process, [extra] + fds: stdio..., tty, extra..., owner -> pid
 * - signal: container, signal, [pid, scope: "process"|"foreground"|"all"]
 * - wait: container, [pid] -> status, reason, why (when it has ended)
 * - state: container -> status, pid; ps: container -> pids; winsize: container, rows, columns, [pid]
 * - forward: container, port + fd: a connection for a port of the sandbox
 * - pause, resume, destroy: container; update: container, resources
 *
 * "fds_gofer": n, "fds_stdio": [bool,bool,bool], "fds_tty": bool, "fds_status": bool, "fds_extra": n,
 * "fds_owner": n say which descriptors come. An *owner* is a connection that stands for one process: it gets
 * {"event":"exit",...} when that ends, may send signal and winsize without naming anything, and its end kills
 * the process (a stand-in that was killed takes its guest process along).
 */
#pragma once

#include "base/compiler.h"
#include "boot/kernel_seam.h"

struct controller;

struct controller_config {
    int listen_fd;          /* taken; -1: none */
    const int *connections; /* connected sockets to serve from the start; taken */
    size_t connection_count;
    const char *platform; /* borrowed: name */
};

int controller_create(const struct controller_config *config, struct controller **ret,
                      struct err **err) must_check;
/* The kernel's on_exit callback; arg is the controller. Any thread. */
void controller_on_exit(void *arg, const struct boot_exit *e);
/* What hello reports; borrowed for the call. Before controller_run(). */
int controller_set_walls(struct controller *c, const char *walls_json) must_check;
void controller_set_kernel(struct controller *c, struct boot_kernel *kernel);
/* Serves until the last container, or the one that is a pod's sandbox, has ended or been destroyed and its
   owner has been told, or until no client and no container is left. Returns the process's exit code. */
int controller_run(struct controller *c);
/* After controller_run(): destroys what containers are left, so that the kernel can be. Owners of their
 * processes are told. */
void controller_end_containers(struct controller *c);
void controller_free(struct controller *c);
