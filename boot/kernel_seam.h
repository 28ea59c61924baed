/* SPDX-License-Identifier: Apache-2.0
 * boot/kernel_seam.h: all that boot/ asks of the sentry's kernel. boot/kernel_real.c maps it to
 * sentry/kernel/kernel.h; boot/kernel_fake.c is a stand-in without guests, for the tests of boot/ and runsc/
 * alone.
 *
 * Called from the control server's threads, never with a lock held; may block on a gofer or a stub unless it
 * says otherwise. All return 0 (or what they say) or a negative errno with *err set. Error texts reach OCI
 * clients: for a program that cannot be started use the wording of OCI.md 3 (boot_exec_error() below makes
 * it).
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "boot/spec/spec.h"

struct platform;
struct boot_kernel;
struct boot_container;

/* A guest process named from outside: its pid in the sandbox's root pid namespace, unique among all
 * containers. */
typedef int32_t boot_pid_t;

enum boot_end_reason { END_EXIT, END_SIGNAL, END_OOM, END_GOFER_LOST, END_SANDBOX };

struct boot_exit {
    const char *container_id; /* borrowed for the call */
    boot_pid_t pid;
    int wait_status; /* as wait(2) gives it: exit code << 8, or the signal */
    bool is_init;    /* the container itself has ended: all its processes are gone and its files closed */
    enum boot_end_reason reason;
    const char *why; /* a sentence if reason is not END_EXIT or END_SIGNAL ("the gofer of this container was
                        killed"), or NULL */
};

struct boot_kernel_config {
    struct platform *platform; /* taken over; NULL only for the fake kernel */
    int proc_fd;               /* the sandbox's own procfs as a directory; taken over; -1: none */
    int strace_fd;             /* --strace: where lines go; -1: off. Taken over */
    bool xray;
    /* Called once for every process that was started by boot_container_start() or boot_exec(), from any
       thread, after the process's files are closed (so that a client that sees the end also sees EOF on its
       pipes). Must not block; may take RANK_LEAF locks only. */
    void (*on_exit)(void *arg, const struct boot_exit *e);
    void *arg;
};

struct boot_process {
    const struct spec_process
        *spec;    /* args, env, cwd, user, capabilities, rlimits, umask, no_new_privileges, ... */
    int stdio[3]; /* host descriptors for guest 0, 1, 2, taken over; -1: closed. Unused with a terminal */
    int tty_fd;   /* spec->terminal: the host side of the terminal, a host pty slave in raw mode, taken over.
                     The guest gets a   pty of its own devpts as 0, 1, 2 and controlling terminal; the kernel
                     copies between its master and this */
    uint16_t rows, columns; /* 0: unknown */
    const int *extra_fds;   /* --preserve-fds: guest 3, 4, ...; taken over */
    size_t extra_fd_count;
};

enum boot_root_policy {
    ROOT_EXCLUSIVE, /* nobody else writes it: cache freely */
    ROOT_WATCHED,   /* an OCI client's rootfs: cached, dropped by the gofer's inotify events */
    ROOT_SHARED,    /* bind mounts: revalidated */
};

struct boot_mount {
    const char *destination, *type, *source; /* type "bind": source is for texts only */
    const struct spec_strings *options;      /* as in the spec: ro, nosuid, size=... */
    int gofer_root; /* index of the gofer's root that backs it; -1: a file system of the sentry's own */
    enum boot_root_policy policy;
};

/* CLONE_NEW* flags: which of that container's namespaces. */
struct boot_share {
    const char *container;
    uint64_t flags;
};

struct boot_container_config {
    const char *id;
    const struct spec *spec; /* the whole document, for what this struct does not repeat: hostname, sysctl,
                                devices, masked and read-only paths, seccomp, namespaces, rootfs propagation,
                                uid mappings. Borrowed until destroy */
    struct boot_process process;
    const int *gofer_fds; /* connections to the container's gofer, taken over (gofer/protocol.h) */
    size_t gofer_fd_count;
    struct boot_mount root; /* destination "/"; gofer_root 0 */
    const char *host_name;  /* if the spec names none; NULL: ours. Borrowed for the call */
    bool init_killable; /* `do`: signals whose default is to end a process end init too, as the caller of a
                           command expects */
    bool root_readonly;
    bool root_overlay; /* an overlay in the sandbox's memory over it: the host's directory is never written */
    const struct boot_mount *mounts; /* in the spec's order */
    size_t mount_count;
    const char *seccomp; /* linux.seccomp compiled: struct sock_filter in hexadecimal, checked by the kernel;
                            NULL: none. In force for init and for everything that boot_exec() starts */
    bool seccomp_log;
    const struct boot_share *shares; /* namespaces of other containers in this sandbox that it joins */
    size_t share_count;
};

int boot_kernel_create(const struct boot_kernel_config *config, struct boot_kernel **ret,
                       struct err **err) must_check;
/* All containers are destroyed. Ends every guest process and the platform. */
void boot_kernel_destroy(struct boot_kernel *k);

/* Mounts everything and loads the program, so that a missing or wrong program fails here (OCI.md 10.3); no
   guest instruction runs. On failure all descriptors that were handed over are closed. The init's pid in
   *ret_pid. */
int boot_container_create(struct boot_kernel *k, const struct boot_container_config *config,
                          struct boot_container **ret, boot_pid_t *ret_pid, struct err **err) must_check;
/* Once. */
int boot_container_start(struct boot_container *c, struct err **err) must_check;
/* Carries a client's connection (taken) on to a port of the sandbox's loopback. The control server's thread.
 * Does not block. */
int boot_port_forward(struct boot_kernel *k, int fd, uint16_t port, struct err **err) must_check;
/* The sandbox's network, from the document and the descriptors that came with the root container's start
 * (boot/network_setup.h). Descriptors that are used become -1. */
int boot_network_configure(struct boot_kernel *k, const json_t *document, int *fds, size_t fd_count,
                           struct err **err) must_check;
/* A further process in a container that is created, running or paused (the caller checks which of these the
 * client may). */
int boot_exec(struct boot_container *c, const struct boot_process *process, boot_pid_t *ret_pid,
              struct err **err) must_check;

enum boot_signal_scope { SIGNAL_PROCESS, SIGNAL_FOREGROUND, SIGNAL_ALL };
/* A guest signal number; 0 probes. PROCESS: thread group `pid`. FOREGROUND: the foreground group of pid's
   terminal (else pid's group). ALL: every process of the container. From outside the pid namespace, so init
   is not shielded. Does not block. -ESRCH if gone. */
int boot_signal(struct boot_container *c, enum boot_signal_scope scope, boot_pid_t pid, int signo) must_check;
/* SIGWINCH follows. Does not block. */
int boot_set_winsize(struct boot_container *c, boot_pid_t pid, uint16_t rows, uint16_t columns) must_check;
/* Sets the limits that linux.resources of `resources` names; others stay. Does not block. */
void boot_container_update(struct boot_container *c, const struct spec *resources);
int boot_container_pause(struct boot_container *c, struct err **err) must_check;
int boot_container_resume(struct boot_container *c, struct err **err) must_check;
/* Pids of all processes, at most `max`; returns how many there are. */
size_t boot_container_pids(struct boot_container *c, boot_pid_t *pids, size_t max);
/* Kills what is left, waits for it, unmounts, closes the gofer's connections, frees. `c` is gone. */
void boot_container_destroy(struct boot_container *c);

/* "exec: \"foo\": executable file not found in $PATH", "...: stat /x: no such file or directory", "...:
   permission denied": the words that docker and podman map to 127 and 126. errnum: ENOENT, EACCES, ENOEXEC,
   ... */
int boot_exec_error(struct err **err, const char *program, int errnum);
