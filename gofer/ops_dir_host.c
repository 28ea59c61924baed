/* SPDX-License-Identifier: Apache-2.0
 * gofer/ops_dir_host.c: LISTDIR, a page of a directory with the attributes of every entry. Stateless between
 * pages: a page opens the directory anew and goes on at the cookie, the host's own directory offset
 * (getdents64(2): d_off).
 */
#include "gofer/server_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LIST_SIZE_MIN 1024u
/* An entry of ours is 152 bytes and the name where the kernel's is 19 and the name: five times as much for
 * names of 8 bytes. What was read and does not fit is read again for the next page. */
#define ENTRY_RATIO 5u
#define ENTRIES_MAX (GOFER_PAYLOAD_MAX / sizeof(struct gofer_dirent))

struct page {
    struct statx_job jobs[ENTRIES_MAX];
    const struct dirent64 *sources[ENTRIES_MAX];
    size_t count;
    char names[GOFER_PAYLOAD_MAX / ENTRY_RATIO + 1024] __attribute__((aligned(8)));
};

static size_t entry_size(const char *name) {
    return (sizeof(struct gofer_dirent) + strlen(name) + 7) & ~7ul;
}

static bool is_dot(const char *name) {
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Chooses the entries that fit. *cookie: after the last one chosen (or skipped). True if the page is full. */
static bool choose(struct page *page, ssize_t bytes, size_t *room, uint64_t *cookie) {
    for (ssize_t at = 0; at < bytes;) {
        const struct dirent64 *d = (const struct dirent64 *)(page->names + at);
        at += d->d_reclen;
        if (!is_dot(d->d_name) && gofer_name_check(d->d_name, strlen(d->d_name)) == 0) {
            size_t size = entry_size(d->d_name);
            if (size > *room || page->count == ENTRIES_MAX)
                return true;
            *room -= size;
            page->jobs[page->count].name = d->d_name;
            page->sources[page->count++] = d;
        }
        *cookie = (uint64_t)d->d_off;
    }
    return false;
}

static int put_entry(struct gofer_call *c, const struct statx_job *job, const struct dirent64 *d) {
    size_t size = entry_size(d->d_name);
    struct gofer_dirent *e = gofer_put_space(&c->out, size);
    if (!e)
        return -EMSGSIZE;
    e->cookie = (uint64_t)d->d_off;
    e->ino = d->d_ino;
    e->entry_size = (uint32_t)size;
    e->name_size = (uint16_t)strlen(d->d_name);
    e->type = d->d_type;
    memcpy(e + 1, d->d_name, e->name_size);
    if (job->result == 0) {
        e->has_attr = 1;
        attr_from_statx(&job->stx, &e->attr);
        e->ino = e->attr.ino; /* a mount point's own */
        e->type = (uint8_t)IFTODT(e->attr.mode);
    }
    return 0;
}

static int put_page(struct gofer_call *c, int fd, struct page *page, struct gofer_listdir_reply *reply) {
    batch_statx(c->server->batch, fd, page->jobs, page->count);
    for (size_t i = 0; i < page->count; i++) {
        if (page->jobs[i].result == -ENOENT) /* gone since it was read */
            continue;
        int rc = put_entry(c, &page->jobs[i], page->sources[i]);
        if (rc < 0)
            return rc;
        reply->count++;
    }
    return 0;
}

static int list_page(struct gofer_call *c, int fd, const struct gofer_listdir *req) {
    cleanup(freep) struct page *page = malloc(sizeof(*page));
    if (!page)
        return -ENOMEM;
    struct gofer_listdir_reply *reply = gofer_put_space(&c->out, sizeof(*reply));
    if (!reply)
        return -EMSGSIZE;
    reply->cookie = req->cookie;
    if (req->cookie && lseek(fd, (off_t)req->cookie, SEEK_SET) < 0)
        return -errno;
    size_t room = req->size;
    do {
        page->count = 0;
        ssize_t n = getdents64(fd, page->names, MAX(room / ENTRY_RATIO, (size_t)LIST_SIZE_MIN));
        if (n < 0)
            return -errno;
        if (n == 0) {
            reply->flags |= GOFER_LIST_END;
            return 0;
        }
        bool full = choose(page, n, &room, &reply->cookie);
        int rc = put_page(c, fd, page, reply);
        if (rc < 0)
            return rc;
        if (full)
            return 0;
    } while (room >= LIST_SIZE_MIN);
    return 0;
}

int op_listdir(struct gofer_call *c) {
    struct gofer_listdir req;
    int rc = call_request(c, &req, sizeof(req));
    if (rc < 0)
        return rc;
    if (req.size < LIST_SIZE_MIN || req.size > GOFER_PAYLOAD_MAX || req.zero || req.cookie > INT64_MAX)
        return -EPROTO;
    cleanup(gofer_handle_unrefp) struct gofer_handle *h = NULL;
    rc = call_dir(c, req.handle, &h);
    if (rc < 0)
        return rc;
    cleanup(closep) int fd = reopen(c->server, h->fd, O_RDONLY | O_DIRECTORY);
    return fd < 0 ? fd : list_page(c, fd, &req);
}
