/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/pipe/pipe_internal.h: the ring of a pipe.
 *
 * Bytes lie in pages of the heap, one per slot. Readers hold read_lock and writers write_lock over their
 * copies from and to guest memory, so that a page that is being read is not taken away and one being filled
 * is not yet in the ring; `lock` protects the ring's indices, for moments. Order: read_lock, write_lock,
 * lock.
 */
#pragma once

#include "sentry/vfs/pipe.h"
#include "sentry/vfs/vfs.h"

struct pipe_slot {
    char *page; /* heap bytes */
    uint32_t offset, len;
    bool packet; /* O_DIRECT: read(2) never joins it with the next */
};

struct pipe {
    struct inode_node node;
    unsigned users; /* open files; the inode's locks_lock */
    struct mutex read_lock, write_lock;
    struct waitq queue;     /* both ends */
    struct mutex lock;      /* RANK_PIPE; the rest */
    struct pipe_slot *ring; /* `slots` of them, a power of two */
    size_t slots, head, count;
    char *spare; /* a page kept for the next write */
    unsigned readers, writers;
    uint32_t reader_opens,
        writer_opens; /* count up: who waits in open(2) sees that the other end came, even if it left again */
};

struct pipe_file {
    struct file base;
    struct pipe *pipe;
    /* As this end was counted in: was the other there, and how often it had been opened. */
    bool met;
    uint32_t other_opens;
    bool early_reader; /* opened before any writer: no HUP until one has come */
};

struct pipe *pipe_of(const struct file *f); /* NULL: not a pipe */

/* read_lock held: the first bytes, which stay valid until pipe_consume(). 0: empty. */
size_t pipe_peek(struct pipe *p, char **ret, bool *ret_packet);
/* n bytes (of those peeked) are done; drop_rest: so is the rest of a packet. Wakes writers. */
void pipe_consume(struct pipe *p, size_t n, bool drop_rest);
/* write_lock held. Room for n (1..PAGE_SIZE) bytes? 0, -EAGAIN, -EPIPE. */
int pipe_room(struct pipe *p, size_t n) must_check;
char *pipe_page(struct pipe *p); /* an empty page, or NULL */
void pipe_push(struct pipe *p, char *page, uint32_t offset, size_t n,
               bool packet); /* takes the page; room was there. Wakes readers */
void pipe_page_put(struct pipe *p, char *page);
