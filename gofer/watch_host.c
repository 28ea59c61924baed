/* SPDX-License-Identifier: Apache-2.0
 * gofer/watch_host.c: inotify watches, counted, since the kernel gives one inode one watch however often it
 * is added.
 *
 * The sentry holds the inotify descriptor too (HELLO donates it) and reads the events; here watches are only
 * added and removed. Adding and counting are one step under the lock, else a removal by another thread could
 * take away a watch just given out.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "gofer/transport_host.h"

#define WATCH_DEFAULT                                                                                        \
    (IN_ATTRIB | IN_MODIFY | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_MOVED_FROM |         \
     IN_MOVED_TO)

struct watch {
    int wd;
    uint32_t count;
};

static int compare_watches(const void *a, const void *b) {
    int left = ((const struct watch *)a)->wd;
    int right = ((const struct watch *)b)->wd;
    return (left > right) - (left < right);
}

int watch_table_init(struct watch_table *t, bool wanted) {
    *t = (struct watch_table){.inotify_fd = -1, .grave = {-1, -1}};
    mutex_init(&t->lock, RANK_HOSTFD_CACHE);
    if (!wanted)
        return 0;
    t->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (t->inotify_fd < 0)
        return -errno;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, t->grave) < 0) /* slower at the end, no more */
        t->grave[0] = t->grave[1] = -1;
    return 0;
}

/* Whoever closes an inotify instance last waits, for a clock tick and a grace period of the host's kernel,
 * until its marks are gone: all of a container's end would wait. A descriptor in flight in a socket that
 * nothing but its own queue holds is closed by the kernel's collector of such sockets (unix(7)) instead. */
static void bury(struct watch_table *t) {
    char byte = 0;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};

    if (t->grave[0] >= 0 && gofer_send(t->grave[0], &iov, 1, t->inotify_fd) >= 0)
        (void)!gofer_send(t->grave[0], &iov, 1, t->grave[1]);
    t->inotify_fd = close_fd(t->inotify_fd);
    t->grave[1] = close_fd(t->grave[1]);
    t->grave[0] = close_fd(t->grave[0]);
}

void watch_table_done(struct watch_table *t) {
    while (t->tree) {
        struct watch *w = *(struct watch **)t->tree;
        tdelete(w, &t->tree, compare_watches);
        free(w);
    }
    if (t->inotify_fd >= 0)
        bury(t);
}

static int count_locked(struct watch_table *t, int wd) REQUIRES(&t->lock) {
    struct watch key = {.wd = wd};
    struct watch **found = tfind(&key, &t->tree, compare_watches);
    if (found) {
        (*found)->count++;
        return 0;
    }
    struct watch *w = malloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    *w = (struct watch){.wd = wd, .count = 1};
    if (!tsearch(w, &t->tree, compare_watches)) {
        free(w);
        return -ENOMEM;
    }
    return 0;
}

static int get_locked(struct watch_table *t, int fd, uint32_t mask) REQUIRES(&t->lock) {
    int wd = inotify_add_watch(t->inotify_fd, fd_name(fd).text, mask | IN_MASK_ADD);
    if (wd < 0)
        return -errno;
    int rc = count_locked(t, wd);
    if (rc < 0) {
        inotify_rm_watch(t->inotify_fd, wd);
        return rc;
    }
    return wd;
}

int watch_get(struct watch_table *t, int fd, uint32_t mask) {
    if (t->inotify_fd < 0)
        return -EOPNOTSUPP;
    mutex_lock(&t->lock);
    int rc = get_locked(t, fd, mask ? mask : WATCH_DEFAULT);
    mutex_unlock(&t->lock);
    return rc;
}

static void put_locked(struct watch_table *t, int wd) REQUIRES(&t->lock) {
    struct watch key = {.wd = wd};
    struct watch **found = tfind(&key, &t->tree, compare_watches);
    ASSERT(found);
    struct watch *w = *found;
    if (--w->count > 0)
        return;
    tdelete(w, &t->tree, compare_watches);
    free(w);
    inotify_rm_watch(t->inotify_fd, wd); /* fails if the inode is gone, and the watch with it */
}

void watch_put(struct watch_table *t, int wd) {
    if (wd < 0)
        return;
    mutex_lock(&t->lock);
    put_locked(t, wd);
    mutex_unlock(&t->lock);
}
