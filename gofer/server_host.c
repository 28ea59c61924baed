/* SPDX-License-Identifier: Apache-2.0
 * gofer/server_host.c: set-up and end of the gofer process.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <malloc.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Descriptors beside handles: donated ones in flight, channels, directories being listed. */
#define FD_RESERVE (64 + 4 * GOFER_CHANNELS_MAX)

static int handle_limit(uint32_t *ret) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur < 2 * FD_RESERVE)
        return -EMFILE;
    *ret = (uint32_t)MIN(limit.rlim_cur - FD_RESERVE, (rlim_t)1 << 24);
    return 0;
}

/* The working directory becomes /proc/self/fd: see server_internal.h. */
static int open_proc(struct gofer_server *s, int proc_fd) {
    s->proc_fd = proc_fd >= 0 ? proc_fd : open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->proc_fd < 0)
        return -errno;
    return fchdir(s->proc_fd) < 0 ? -errno : 0;
}

static void find_features(struct gofer_server *s, uint32_t options) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    if (!(options & GOFER_OPTION_NO_OPENAT2)) {
        int fd = (int)syscall(SYS_openat2, s->proc_fd, ".", &how, sizeof(how));
        s->has_openat2 = fd >= 0;
        close_fd(fd);
    }
    /* -EBADF where the call exists */
    s->has_fchmodat2 = syscall(SYS_fchmodat2, -1, "", 0, AT_EMPTY_PATH) < 0 && errno != ENOSYS;
}

static bool root_flags_valid(uint32_t flags) {
    uint32_t modes = flags & (GOFER_ROOT_EXCLUSIVE | GOFER_ROOT_WATCHED | GOFER_ROOT_SHARED);
    return !(flags & ~GOFER_ROOT_FLAGS) && modes && !(modes & (modes - 1));
}

static int add_root(struct gofer_server *s, struct server_root *root,
                    const struct gofer_config_root *config) {
    if (!root_flags_valid(config->flags)) {
        close_fd(config->fd);
        return -EINVAL;
    }
    root->flags = config->flags;
    int fd = reopen(s, config->fd, O_PATH);
    close_fd(config->fd);
    if (fd < 0)
        return fd;
    struct gofer_node node;
    int rc = node_of_fd(s, root, fd, &node);
    if (rc < 0)
        return rc;
    root->handle = node.handle;
    struct gofer_handle *h = handle_table_get(&s->handles, node.handle);
    ASSERT(h);
    h->pinned = true;
    gofer_handle_unref(h);
    return 0;
}

static int add_roots(struct gofer_server *s, const struct gofer_config *config) {
    int rc = 0;
    s->roots = calloc(config->root_count, sizeof(*s->roots));
    for (size_t i = 0; i < config->root_count; i++) {
        if (rc == 0 && s->roots)
            rc = add_root(s, &s->roots[i], &config->roots[i]);
        else
            close_fd(config->roots[i].fd);
    }
    s->root_count = config->root_count;
    return s->roots ? rc : -ENOMEM;
}

static int fill_server(struct gofer_server *s, const struct gofer_config *config) {
    uint32_t limit = 0;
    int rc = handle_limit(&limit);
    if (rc < 0)
        return rc;
    handle_table_init(&s->handles, limit);
    find_features(s, config->options);
    bool wanted = false;
    for (size_t i = 0; i < config->root_count; i++)
        wanted = wanted || config->roots[i].flags & (GOFER_ROOT_WATCHED | GOFER_ROOT_SHARED);
    rc = watch_table_init(&s->watches, wanted);
    if (rc < 0)
        log_warning(LOG_GOFER, "no inotify (%d): watched mounts are revalidated instead", rc);
    return batch_new(config->uring, &s->batch);
}

static void close_roots(const struct gofer_config *config) {
    for (size_t i = 0; i < config->root_count; i++)
        close_fd(config->roots[i].fd);
}

int gofer_server_new(const struct gofer_config *config, struct gofer_server **ret) {
    if (config->root_count == 0 || config->root_count > GOFER_ROOTS_MAX)
        return -EINVAL;
    struct gofer_server *s = calloc(1, sizeof(*s));
    if (!s) {
        close_roots(config);
        close_fd(config->proc_fd);
        return -ENOMEM;
    }
    mutex_init(&s->channels_lock, RANK_GOFER_CONN);
    list_init(&s->channels);
    s->watches.inotify_fd = -1;
    int rc = open_proc(s, config->proc_fd);
    if (rc == 0)
        rc = fill_server(s, config);
    if (rc == 0)
        rc = add_roots(s, config);
    else
        close_roots(config);
    if (rc < 0) {
        gofer_server_free(s);
        return rc;
    }
    *ret = s;
    return 0;
}

void gofer_server_free(struct gofer_server *s) {
    channels_end(s);
    handle_table_done(&s->handles);
    watch_table_done(&s->watches);
    batch_free(s->batch);
    free(s->roots);
    close_fd(s->proc_fd);
    free(s);
}

int gofer_main(const struct gofer_config *config) {
    /* One malloc arena: a second one makes the C library read /sys, which the filter would end us for. */
    (void)mallopt(M_ARENA_MAX, 1);
    if (config->options & GOFER_OPTION_DIE_WITH_PARENT && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    (void)umask(0);
    struct gofer_server *s;
    int rc = gofer_server_new(config, &s);
    if (rc < 0) {
        close_fd(config->socket);
        return rc;
    }
    struct channel *first = channel_new(s, config->socket);
    rc = first ? 0 : -ENOMEM;
    if (rc == 0 && config->ready)
        config->ready(config->ready_arg);
    if (rc == 0 && !(config->options & GOFER_OPTION_NO_FILTER))
        rc = gofer_filter_install(log_fd());
    if (rc == 0)
        channel_serve(first);
    if (first)
        channel_end(first);
    gofer_server_free(s);
    return rc;
}
