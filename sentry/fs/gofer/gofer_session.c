/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/gofer/gofer_session.c: a connection to a gofer as an object of the sentry's heap.
 */
#include <errno.h>
#include <string.h>

#include "sentry/fs/gofer/gofer_internal.h"
#include "sentry/heap/heap.h"

HEAP_TYPE(gofer_session, struct gofer_session, 0);

static void session_destroy(struct gofer_session *s) {
    hostref_release(&s->conn); /* and with it all handles */
    heap_free(s);
}

DEFINE_REF(gofer_session, session_destroy);

static void conn_release(struct hostref *h) {
    gofer_conn_close(h->host.ptr);
}

static const struct hostref_ops conn_hostref_ops = {.name = "gofer_conn", .release = conn_release};

int gofer_session_create(struct kernel *k, int sock, struct gofer_session **ret) {
    struct gofer_conn *conn;
    ASSERT(fs_type_find(gofer_fs_type.name)); /* also makes the linker take its file */
    int rc = gofer_conn_open(sock, &conn);
    if (rc < 0)
        return rc;
    struct gofer_session *s = heap_new(gofer_session);
    if (!s) {
        gofer_conn_close(conn);
        return -ENOMEM;
    }
    gofer_session_ref_init(s);
    s->kernel = k;
    s->conn = (struct hostref){.ops = &conn_hostref_ops, .host.ptr = conn};
    mutex_init(&s->events_lock, RANK_GOFER_EVENTS);
    list_init(&s->filesystems);
    mutex_init(&s->close_lock, RANK_HOSTFD_CACHE);
    *ret = s;
    return 0;
}

int gofer_session_fd(const struct gofer_session *s) {
    return gofer_conn_fd(session_conn(s));
}

int gofer_session_event_fd(const struct gofer_session *s) {
    return gofer_conn_inotify_fd(session_conn(s));
}

size_t gofer_session_root_count(const struct gofer_session *s) {
    return gofer_conn_root_count(session_conn(s));
}

void session_close_handle(struct gofer_session *s, gofer_handle_t handle, bool now) {
    gofer_handle_t batch[GFS_CLOSE_BATCH];
    uint32_t count = 0;
    if (!handle)
        return;
    mutex_lock(&s->close_lock);
    s->closes[s->close_count++] = handle;
    if (now || s->close_count == GFS_CLOSE_BATCH) {
        count = s->close_count;
        memcpy(batch, s->closes, count * sizeof(batch[0]));
        s->close_count = 0;
    }
    mutex_unlock(&s->close_lock);
    /* A failure means that the gofer is gone, which the next request will say. */
    int rc = count ? gofer_conn_close_handles(session_conn(s), batch, count) : 0;
    (void)rc;
}
