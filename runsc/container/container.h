/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/container.h: a container as the command line sees it: a directory under --root, a lock,
 * processes.
 *
 *   ROOT/ID.lock          flock(2)ed by every verb for the time it works on ID; removed with the container
 *   ROOT/ID/state.json    what is known of it; written as state.json.new and renamed, so that it is whole or
 * absent ROOT/ID/control.sock  of its sandbox (root container of a sandbox) ROOT/ID/exit.json     how it
 * ended, written by the sandbox
 *
 * A crash between any two steps leaves at worst a directory with processes recorded in state.json, or none at
 * all: `delete --force` removes either. A pid is believed only with the start time that was recorded beside
 * it.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"
#include "boot/control_channel.h"
#include "boot/spec/spec.h"
#include "runsc/cli.h"

#define STATE_VERSION 1

/* A host process, safe against reuse of its pid. */
struct host_process {
    pid_t pid;        /* 0: none */
    uint64_t started; /* field 22 of /proc/PID/stat */
};

struct uplink_options;

struct container_state {
    char *id, *bundle, *rootfs, *oci_version, *created, *sandbox_id, *owner;
    char *network;           /* "sandbox", "none", "host": --network as create saw it */
    char *network_namespace; /* its path, where the spec names one; else NULL */
    char *resolv_conf;       /* host path of what the container finds as /etc/resolv.conf, or NULL */
    struct host_process standin, sandbox, gofer, uplink;
    bool has_init, started;                /* create went through; start did */
    json_t *annotations, *hooks, *cgroups; /* objects or NULL */
    json_t *execs;                         /* [{pid, started}]: the stand-ins of exec'd processes */
};

enum container_status { STATUS_CREATING, STATUS_CREATED, STATUS_RUNNING, STATUS_PAUSED, STATUS_STOPPED };

struct container {
    struct cli *cli;
    char *id;
    int root_fd, dir_fd, lock_fd;
    struct container_state state;
    const struct uplink_options *uplink; /* for start, where an uplink is its network; borrowed, or NULL */
};

/* The state directory as a descriptor; made if it is not there. */
int container_open_root(struct cli *cli, struct err **err) must_check;
/* Only [A-Za-z0-9_+.-], not "." or "..", at most 255 characters: it becomes a file name. */
int container_check_id(const char *id, struct err **err) must_check;
/* NEW: the directory must not exist and is made. OLD: it must (-ENOENT "container does not exist"), and its
 * state is loaded; a half-made one without state.json has an empty state. Both take the lock. READ: as OLD
 * without the lock, for verbs that change no file: they must work while another verb hangs, and from within
 * hooks, which run under the lock. */
enum container_open { CONTAINER_NEW, CONTAINER_OLD, CONTAINER_READ };
int container_open(struct cli *cli, const char *id, enum container_open how, struct container **ret,
                   struct err **err) must_check;
/* Releases the lock. Takes NULL. */
void container_close(struct container *c);
void container_closep(struct container **c);
/* Removes the directory and the lock file. */
int container_remove_files(struct container *c, struct err **err) must_check;
int container_save(struct container *c, struct err **err) must_check;
/* Ids under --root, sorted; NULL-terminated, free each and the array. */
int container_list(struct cli *cli, char ***ret, struct err **err) must_check;
enum container_status container_status(struct container *c);
const char *container_status_name(enum container_status s);
/* Connects to the container's sandbox. */
int container_connect(struct container *c, struct control_channel *ret, struct err **err) must_check;
/* {"verb":verb,"container":id} */
json_t *container_request(const struct container *c, const char *verb);
/* The JSON of `state` and of hooks (OCI.md 4, 6); new reference. */
json_t *container_state_json(struct container *c, enum container_status status);

/* The stand-ins that live: [pid, ...]; new reference. */
json_t *container_host_pids(struct container *c);
/* Records an exec's stand-in (not saved yet); those that have ended are forgotten. */
void container_add_exec(struct container *c, pid_t pid);

uint64_t host_process_start_time(pid_t pid); /* 0: no such process */
struct host_process host_process_of(pid_t pid);
bool host_process_alive(const struct host_process *p);
/* Waits, at most timeout_ms, until it is gone. */
void host_process_wait(const struct host_process *p, int timeout_ms);
/* SIGKILL and wait, at most timeout_ms, until it is gone. A stand-in that is a pid namespace's init cannot go
   before all exec'd ones have been reaped by their parents, which are the client's: do not wait long for
   those. */
void host_process_kill(const struct host_process *p, int timeout_ms);

/* ---- making one ---- */

struct create_options {
    const char *id;
    const char *bundle;      /* directory, or NULL for `do` */
    json_t *config;          /* borrowed */
    const struct spec *spec; /* of config; borrowed */
    int stdio[3];            /* borrowed; -1: closed */
    int tty_fd;              /* slave end in raw mode, or -1; borrowed */
    const int *extra_fds;
    size_t extra_fd_count;
    const char *host_name; /* of a container without a UTS namespace: the host's; NULL: the spec's */
    bool overlay;          /* root overlay in memory */
    bool exclusive_root;
    bool init_killable; /* boot/kernel_seam.h */
    bool standin;       /* a process that clients can take for the container's */
    bool cgroups;       /* put it into control groups of the host */
    bool keep_stderr;   /* the sandbox may complain there: a foreground run */
    int owner_fd;       /* the sandbox's end of the caller's owner connection, or -1; borrowed */
};
/* The container, locked and created, in *ret; everything is undone on failure. */
int runsc_container_create(struct cli *cli, const struct create_options *o, struct container **ret,
                           struct err **err) must_check;
/* Starts a sandbox without a container, leniently, and reports its walls: [{"wall","up","why"}]; new
 * reference. For `runsc doctor`. */
int sandbox_probe(struct cli *cli, json_t **ret_walls, struct err **err) must_check;
int container_start(struct container *c, struct err **err) must_check;
/* Ends what is left of it and removes all traces. Works on anything half made. */
int runsc_container_destroy(struct container *c, struct err **err) must_check;

/* The end of a foreground run whose result was r: destroys the container unless somebody has done so; returns
 * r, or the error. */
int container_end_run(struct cli *cli, const char *id, int r, struct err **err) must_check;

/* Reads BUNDLE/config.json. Both results are the caller's. Warnings of the spec are logged. */
int bundle_load(struct cli *cli, const char *bundle, json_t **ret_config, struct spec **ret_spec,
                struct err **err) must_check;
/* A whole file as text, at most `max` bytes; "-" is standard input. */
int read_text_file(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size,
                   struct err **err) must_check;
