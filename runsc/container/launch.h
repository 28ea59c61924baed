/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/launch.h: what the steps of runsc_container_create() share (launch.c, standin.c).
 */
#pragma once

#include "gofer/protocol.h"
#include "runsc/cgroup/cgroup.h"
#include "runsc/container/container.h"
#include "runsc/container/gofer_roots.h"
#include "runsc/container/membership.h"
#include "runsc/container/spawn.h"

struct launch {
    struct container *container;
    const struct create_options *options;
    struct child sandbox, gofer, standin;
    int kvm_fd; /* /dev/kvm, while the sandbox starts */
    int listen_fd, control[2], gofer_socket[2], exit_fd;
    int standin_socket;           /* the sandbox's end of the stand-in's owner connection; -1: none */
    struct membership membership; /* sandbox_id NULL: `sandbox` is started for it */
    struct cgroup cgroup;
    struct root_tree *roots;
    size_t root_count;
    json_t *seccomp; /* compiled profile: reference or NULL */
};

/* One stand-in: of a container's init, or (spec NULL) of an exec'd process, which joins the init's stand-in.
 */
struct standin {
    const struct spec *spec;            /* init only: mounts, hostname */
    const struct spec_process *process; /* its arguments are shown as its own */
    const char *rootfs, *bundle;
    json_t *state; /* for createContainer hooks; borrowed */
    int owner_fd, tty_fd;
    int pid_ns_fd; /* -1: none to join */
    int join_fds[NS_KINDS], join_flags[NS_KINDS];
    const char *join_paths[NS_KINDS];
    size_t join_count;
    const struct spec_linux *maps; /* uid and gid mappings for a new user namespace */
    bool may_lack;
};
int standin_spawn(struct standin *s, int flags, struct child *ret, struct err **err) must_check;
/* Plans to join all namespaces of another stand-in that are not ours already. */
int standin_join(struct standin *s, const struct host_process *other, struct err **err) must_check;
void standin_done(struct standin *s);
int standin_run(void *arg, int status_fd, int namespaces, struct err **err) must_check;
/* The spec's oomScoreAdj for a process of ours, as far as the host allows. */
void launch_set_oom_score(struct cli *cli, pid_t pid, const struct spec_process *process);
/* Starts the stand-in and sets l->standin_socket. */
int launch_standin(struct launch *l, struct err **err) must_check;
