/* SPDX-License-Identifier: Apache-2.0
 * gofer/batch_host.c: the attributes of many entries of one directory, by io_uring where that is faster.
 *
 * io_uring hands every STATX to a worker thread of the kernel. For inodes in the host's cache that costs ten
 * times a plain call; where each waits for a disk, the batch waits for all of them at once. So a batch starts
 * with plain calls and goes on in the ring only if those were slow. The ring is made before the process's
 * filter is up, one per gofer, restricted to IORING_OP_STATX for good; a batch that finds it in use makes
 * plain calls. WALK gains nothing from it: the directory of each step is the descriptor that the step before
 * it opens, and openat takes no ring-relative one.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>

#include "base/clock.h"

#define RING_ENTRIES 64
#define PROBE_JOBS   4
#define SLOW_NS      25000 /* per plain call: such a call has waited for a device */

struct gofer_batch {
    enum gofer_uring mode;
    bool has_ring;
    struct mutex lock; /* ring */
    struct io_uring ring;
};

static int ring_init(struct io_uring *ring) {
    struct io_uring_params params = {.flags = IORING_SETUP_R_DISABLED};
    int rc = io_uring_queue_init_params(RING_ENTRIES, ring, &params);
    if (rc < 0)
        return rc;
    struct io_uring_restriction allow = {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_STATX};
    /* liburing 2.3's shared library does not export its own functions for these two. */
    rc = io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, &allow, 1);
    if (rc == 0)
        rc = io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (rc < 0)
        io_uring_queue_exit(ring);
    return rc;
}

int batch_new(enum gofer_uring mode, struct gofer_batch **ret) {
    struct gofer_batch *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->mode = mode;
    mutex_init(&b->lock, RANK_HOSTFD_CACHE);
    if (mode != GOFER_URING_NEVER) {
        int rc = ring_init(&b->ring);
        b->has_ring = rc == 0;
        if (rc < 0 && mode == GOFER_URING_ALWAYS) {
            free(b);
            return rc;
        }
    }
    *ret = b;
    return 0;
}

void batch_free(struct gofer_batch *b) {
    if (!b)
        return;
    if (b->has_ring)
        io_uring_queue_exit(&b->ring);
    free(b);
}

#define JOB_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT)
#define JOB_MASK  (STATX_BASIC_STATS | STATX_BTIME)

static void plain(int dir, struct statx_job *jobs, size_t count) {
    for (size_t i = 0; i < count; i++)
        jobs[i].result = statx(dir, jobs[i].name, JOB_FLAGS, JOB_MASK, &jobs[i].stx) < 0 ? -errno : 0;
}

/* Waits for every job of a submitted group: they write into the caller's memory. */
static void reap_locked(struct gofer_batch *b, unsigned count) REQUIRES(&b->lock) {
    for (unsigned done = 0; done < count;) {
        struct io_uring_cqe *cqe;
        int rc = io_uring_wait_cqe(&b->ring, &cqe);
        if (rc == -EINTR || rc == -EAGAIN)
            continue;
        ASSERT(rc == 0);
        struct statx_job *job = io_uring_cqe_get_data(cqe);
        job->result = cqe->res;
        io_uring_cqe_seen(&b->ring, cqe);
        done++;
    }
}

/* Jobs that the ring did not take are left with -EAGAIN for a plain call. */
static void ring_group_locked(struct gofer_batch *b, int dir, struct statx_job *jobs, unsigned count)
    REQUIRES(&b->lock) {
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
        ASSERT(sqe);
        io_uring_prep_statx(sqe, dir, jobs[i].name, JOB_FLAGS, JOB_MASK, &jobs[i].stx);
        io_uring_sqe_set_data(sqe, &jobs[i]);
    }
    unsigned submitted = 0;
    while (submitted < count) {
        int rc = io_uring_submit(&b->ring);
        if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
            break;
        submitted += rc > 0 ? (unsigned)rc : 0;
    }
    reap_locked(b, submitted);
    if (submitted < count) { /* the ring is of no more use: entries of ours are stuck in it */
        b->has_ring = false;
        io_uring_queue_exit(&b->ring);
    }
}

static size_t ring_locked(struct gofer_batch *b, int dir, struct statx_job *jobs, size_t count)
    REQUIRES(&b->lock) {
    size_t done = 0;
    while (done < count && b->has_ring) {
        unsigned group = (unsigned)MIN(count - done, (size_t)RING_ENTRIES);
        for (unsigned i = 0; i < group; i++)
            jobs[done + i].result = -EAGAIN;
        ring_group_locked(b, dir, jobs + done, group);
        done += group;
    }
    return done;
}

static void by_ring(struct gofer_batch *b, int dir, struct statx_job *jobs, size_t count) {
    size_t done = 0;
    if (mutex_trylock(&b->lock)) {
        done = ring_locked(b, dir, jobs, count);
        mutex_unlock(&b->lock);
    }
    plain(dir, jobs + done, count - done);
    for (size_t i = 0; i < done; i++) {
        if (jobs[i].result == -EAGAIN)
            plain(dir, jobs + i, 1);
    }
}

void batch_statx(struct gofer_batch *b, int dir, struct statx_job *jobs, size_t count) {
    if (b->mode == GOFER_URING_ALWAYS) {
        by_ring(b, dir, jobs, count);
        return;
    }
    if (b->mode == GOFER_URING_NEVER || count <= 2 * PROBE_JOBS) {
        plain(dir, jobs, count);
        return;
    }
    int64_t start = monotonic_ns();
    plain(dir, jobs, PROBE_JOBS);
    bool slow = monotonic_ns() - start > (int64_t)PROBE_JOBS * SLOW_NS;
    (slow ? by_ring(b, dir, jobs + PROBE_JOBS, count - PROBE_JOBS)
          : plain(dir, jobs + PROBE_JOBS, count - PROBE_JOBS));
}
