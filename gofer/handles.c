/* SPDX-License-Identifier: Apache-2.0
 * gofer/handles.c: the table from handle to open file. It grows as needed up to what RLIMIT_NOFILE leaves,
 * and then says -EMFILE, upon which the sentry gives back what its dentry cache holds and asks again. A
 * handle's upper half is a generation, so that one used after CLOSE finds nothing rather than another file.
 */
#include "gofer/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void gofer_handle_destroy(struct gofer_handle *h) {
    watch_put(&h->server->watches, h->watch);
    watch_put(&h->server->watches, h->watch_held);
    close(h->fd);
    free(h);
}

DEFINE_REF(gofer_handle, gofer_handle_destroy);

struct gofer_handle *gofer_handle_new(struct gofer_server *s, const struct server_root *root, int fd) {
    struct gofer_handle *h = calloc(1, sizeof(*h));
    if (!h) {
        close(fd);
        return NULL;
    }
    h->server = s;
    h->root = root;
    h->fd = fd;
    h->watch = h->watch_held = -1;
    gofer_handle_ref_init(h);
    return h;
}

void handle_table_init(struct handle_table *t, uint32_t limit) {
    *t = (struct handle_table){.limit = limit};
    mutex_init(&t->lock, RANK_LEAF);
}

void handle_table_done(struct handle_table *t) {
    for (uint32_t i = 0; i < t->capacity; i++)
        gofer_handle_unref(t->slots[i].handle);
    free(t->slots);
    t->slots = NULL;
    t->capacity = t->count = t->first_free = 0;
}

static int grow_locked(struct handle_table *t) REQUIRES(&t->lock) {
    uint32_t capacity = t->capacity ? t->capacity * 2 : 64;
    struct handle_slot *slots = reallocarray(t->slots, capacity, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = t->capacity; i < capacity; i++)
        slots[i] = (struct handle_slot){.generation = 1, .next_free = i + 1 < capacity ? i + 2 : 0};
    t->first_free = t->capacity + 1;
    t->slots = slots;
    t->capacity = capacity;
    return 0;
}

static int add_locked(struct handle_table *t, struct gofer_handle *h, gofer_handle_t *ret_id)
    REQUIRES(&t->lock) {
    if (t->count >= t->limit)
        return -EMFILE;
    if (!t->first_free) {
        int rc = grow_locked(t);
        if (rc < 0)
            return rc;
    }
    uint32_t index = t->first_free - 1;
    struct handle_slot *slot = &t->slots[index];
    ASSERT(!slot->handle);
    t->first_free = slot->next_free;
    slot->handle = h;
    t->count++;
    *ret_id = (uint64_t)slot->generation << 32 | index;
    return 0;
}

int handle_table_add(struct handle_table *t, struct gofer_handle *h, gofer_handle_t *ret_id) {
    mutex_lock(&t->lock);
    int rc = add_locked(t, h, ret_id);
    mutex_unlock(&t->lock);
    return rc;
}

static struct handle_slot *find_locked(struct handle_table *t, gofer_handle_t id) REQUIRES(&t->lock) {
    uint32_t index = (uint32_t)id;
    if (index >= t->capacity || !t->slots[index].handle || t->slots[index].generation != id >> 32)
        return NULL;
    return &t->slots[index];
}

struct gofer_handle *handle_table_get(struct handle_table *t, gofer_handle_t id) {
    mutex_lock(&t->lock);
    struct handle_slot *slot = find_locked(t, id);
    struct gofer_handle *h = slot ? gofer_handle_ref(slot->handle) : NULL;
    mutex_unlock(&t->lock);
    return h;
}

static struct gofer_handle *remove_locked(struct handle_table *t, gofer_handle_t id, bool *pinned)
    REQUIRES(&t->lock) {
    struct handle_slot *slot = find_locked(t, id);
    if (!slot)
        return NULL;
    if (slot->handle->pinned) {
        *pinned = true;
        return NULL;
    }
    struct gofer_handle *h = slot->handle;
    slot->handle = NULL;
    /* 0 is never a generation, so that no handle is 0. */
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = t->first_free;
    t->first_free = (uint32_t)id + 1;
    t->count--;
    return h;
}

struct gofer_handle *handle_table_remove(struct handle_table *t, gofer_handle_t id, bool *pinned) {
    mutex_lock(&t->lock);
    struct gofer_handle *h = remove_locked(t, id, pinned);
    mutex_unlock(&t->lock);
    return h;
}
