/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/spawn.h: starting a helper process (sandbox, gofer, stand-in): born into namespaces, held
 * until it is released, its failure told through a pipe (boot/boot.h).
 */
#pragma once

#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"
#include "boot/spec/spec.h"

struct child {
    pid_t pid;      /* 0: none */
    int release_fd; /* a byte lets it go; closing it ends it */
    int status_fd;  /* its report */
    int namespaces; /* CLONE_NEW* that it was born into */
};
#define CHILD_NONE                                                                                           \
    { .pid = 0, .release_fd = -1, .status_fd = -1 }

struct spawn {
    const char *who;    /* "sandbox", "gofer": for texts */
    int namespaces;     /* CLONE_NEW* wanted */
    bool may_lack;      /* --zero-privilege: fewer will do */
    bool become_nobody; /* a new user namespace's only user is an unprivileged one of the host (if we are
                           root), else ourselves */
    const struct spec_linux *maps; /* else: the users of a new user namespace, as the spec says */
    bool sibling;                  /* CLONE_PARENT: the child of our parent */
    /* In the child, once released: returns only on failure, or does not return. status_fd is for the report,
     * if it does not exec. */
    int (*run)(void *arg, int status_fd, int namespaces, struct err **err);
    void *arg;
};

int child_spawn(const struct spawn *s, struct child *ret, struct err **err) must_check;
int child_release(struct child *c, struct err **err) must_check;
/* Waits for the report. */
int child_wait_ready(struct child *c, const char *who, char **ret_text, struct err **err) must_check;
/* Kills and reaps it, unless none. */
void child_end(struct child *c);

/* Re-exec of this program: descriptors `fds[i]` become number SPAWN_FIRST_FD + i (-1: left closed), 0-2
   /dev/null, except 2 if `keep_stderr`; everything else is closed on exec; empty environment. Returns only on
   failure. */
#define SPAWN_FIRST_FD 4
int child_exec_self(char *const argv[], const int *fds, size_t fd_count, bool keep_stderr,
                    struct err **err) must_check;
/* A process that lives behind walls has no /proc for the leak checker of instrumented builds to look at: none
 * at its exit. */
void spawn_no_leak_check(void);
