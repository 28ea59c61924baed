/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/gofer/gofer_fixture.h:
 * A gofer in a child process, serving a fresh directory, and the connection to it.
 */
#pragma once

#include <sys/types.h>

#include "gofer/client.h"
#include "gofer/server.h"

struct gofer_fixture {
    struct gofer_conn *conn;
    gofer_handle_t root;
    pid_t pid;
    int dir;        /* what is served, O_PATH */
    char path[64];  /* its name; beside it lies "outside" with the file "secret" */
    int server_fds; /* open in the gofer before anything was asked */
};

struct gofer_fixture_options {
    uint32_t root_flags; /* 0: EXCLUSIVE */
    uint32_t options;
    enum gofer_uring uring;
    uint64_t nofile; /* 0: as it is */
    bool file_root;  /* the root is the regular file "root/file", with the content "first" */
};

void gofer_fixture_start(struct gofer_fixture *f, const struct gofer_fixture_options *o);
/* Only the child: its end of the connection is returned. */
int gofer_fixture_spawn(struct gofer_fixture *f, const struct gofer_fixture_options *o);
/* Ends the connection, waits for the gofer's clean exit, removes the directory. */
void gofer_fixture_end(struct gofer_fixture *f);
int gofer_fixture_server_fds(const struct gofer_fixture *f);
void gofer_fixture_write(const struct gofer_fixture *f, const char *name, const char *content);

static inline struct gofer_name name_of(const char *s) {
    return (struct gofer_name){s, __builtin_strlen(s)};
}
/* Walks a path "a/b/c" to its end; the nodes before the last are closed. -errno. */
int gofer_walk_path(struct gofer_fixture *f, const char *path, struct gofer_node *ret);
