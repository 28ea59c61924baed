/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_list.c: what is in a merged directory: the upper entries, then the lower ones
 * that none of them hides.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/fcntl.h"
#include "sentry/fs/overlay/overlay_internal.h"
#include "sentry/heap/heap.h"

enum { LIST_MAX = 1 << 24 };

struct collector {
    struct dir_emit emit; /* first */
    struct overlay_list *list;
    int error;
};

static void *grow(void *array, size_t bytes) {
    return array ? heap_realloc(array, bytes) : heap_alloc_bytes(bytes);
}

static int reserve(struct overlay_list *l, size_t name_len) {
    if (l->count == l->capacity) {
        uint32_t capacity = l->capacity ? l->capacity * 2 : 16;
        struct overlay_entry *entries =
            capacity > LIST_MAX ? NULL : grow(l->entries, capacity * sizeof(*entries));
        if (!entries)
            return -ENOMEM;
        l->entries = entries;
        l->capacity = capacity;
    }
    while (l->names_capacity - l->names_size < name_len) {
        size_t capacity = l->names_capacity ? l->names_capacity * 2 : 512;
        char *names = capacity > UINT32_MAX ? NULL : grow(l->names, capacity);
        if (!names)
            return -ENOMEM;
        l->names = names;
        l->names_capacity = capacity;
    }
    return 0;
}

static int compare(const char *a, size_t a_len, const char *b, size_t b_len) {
    int order = memcmp(a, b, MIN(a_len, b_len));
    return order ? order : (a_len > b_len) - (a_len < b_len);
}

static bool hidden(const struct overlay_list *l, const char *name, size_t len) {
    uint32_t low = 0, high = l->sorted_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct overlay_entry *e = &l->entries[l->sorted[middle]];
        int order = compare(name, len, l->names + e->name_offset, e->name_len);
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

static int collect(struct dir_emit *emit, const char *name, size_t len, uint64_t ino, unsigned type,
                   uint64_t next) {
    struct collector *c = container_of(emit, struct collector, emit);
    struct overlay_list *l = c->list;
    (void)next;
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
        return 0;
    if (hidden(l, name, len))
        return 0;
    c->error = reserve(l, len);
    if (c->error < 0)
        return 1;
    l->entries[l->count++] = (struct overlay_entry){
        .ino = ino, .name_offset = (uint32_t)l->names_size, .name_len = (uint16_t)len, .type = (uint8_t)type};
    memcpy(l->names + l->names_size, name, len);
    l->names_size += len;
    return 0;
}

static int read_layer(struct overlay_fs *o, struct mount *m, struct inode *dir, struct overlay_list *l) {
    struct collector c = {.emit.emit = collect, .list = l};
    struct file *f;
    int rc = vfs_layer_open(m, dir, LINUX_O_RDONLY | LINUX_O_DIRECTORY, o->creds, &f);
    if (rc < 0)
        return rc;
    /* Not by file_readdir(): the overlay's own locks are held, and this file is nobody else's. */
    rc = f->ops->readdir ? f->ops->readdir(f, &c.emit) : -ENOTDIR;
    file_unref(f);
    return rc < 0 ? rc : c.error;
}

/* Inode numbers as stat shows them, and which entries are whiteouts. One that has gone meanwhile counts as
 * one. */
static int resolve_upper(struct overlay_fs *o, struct inode *dir, struct overlay_list *l) {
    for (uint32_t n = 0; n < l->upper_count; n++) {
        struct overlay_entry *e = &l->entries[n];
        struct inode *i;
        int rc = overlay_layer_lookup(dir, l->names + e->name_offset, e->name_len, &i);
        if (rc < 0 && rc != -ENOENT)
            return rc;
        e->whiteout = rc < 0 || overlay_is_whiteout(i);
        if (rc == 0) {
            e->ino = overlay_ino_of_upper(o, i);
            inode_unref(i);
        }
    }
    return 0;
}

static int order_entries(const void *a, const void *b, void *arg) {
    const struct overlay_list *l = arg;
    const struct overlay_entry *x = &l->entries[*(const uint32_t *)a], *y = &l->entries[*(const uint32_t *)b];
    return compare(l->names + x->name_offset, x->name_len, l->names + y->name_offset, y->name_len);
}

/* So that what comes now can be told from what is there. */
static int sort_all(struct overlay_list *l) {
    if (l->count == 0)
        return 0;
    heap_free(l->sorted);
    l->sorted_count = 0;
    l->sorted = heap_alloc_bytes(l->count * sizeof(*l->sorted));
    if (!l->sorted)
        return -ENOMEM;
    for (uint32_t n = 0; n < l->count; n++)
        l->sorted[n] = n;
    l->sorted_count = l->count;
    qsort_r(l->sorted, l->count, sizeof(*l->sorted), order_entries, l);
    return 0;
}

/* Which of a lower layer's entries, from `first` on, are whiteouts; inode numbers as stat shows them. */
static int resolve_lower(struct overlay_fs *o, const struct overlay_part *part, struct overlay_list *l,
                         uint32_t first) {
    for (uint32_t n = first; n < l->count; n++) {
        struct overlay_entry *e = &l->entries[n];
        struct inode *i;
        e->ino = overlay_ino_of_lower(o, part->layer, e->ino);
        if (e->type != LINUX_DT_CHR)
            continue;
        int rc = overlay_layer_lookup(part->inode, l->names + e->name_offset, e->name_len, &i);
        if (rc < 0 && rc != -ENOENT)
            return rc;
        e->whiteout = rc < 0 || overlay_is_whiteout(i);
        if (rc == 0)
            inode_unref(i);
    }
    return 0;
}

static int read_lowers(struct overlay_inode *dir, struct overlay_list *l) {
    struct overlay_fs *o = ofs_of(&dir->inode);
    struct overlay_part part;
    int rc = 0;
    for (uint32_t n = 0; rc == 0 && oino_part(dir, n, &part); n++) {
        uint32_t first = l->count;
        rc = sort_all(l);
        if (rc == 0)
            rc = read_layer(o, o->lowers[part.layer].mount, part.inode, l);
        if (rc == 0)
            rc = resolve_lower(o, &part, l, first);
    }
    return rc;
}

int overlay_list_read(struct overlay_inode *dir, struct overlay_list *ret) {
    struct overlay_fs *o = ofs_of(&dir->inode);
    struct inode *upper = oino_upper(dir);
    int rc = 0;
    *ret = (struct overlay_list){0};
    if (upper) {
        rc = read_layer(o, o->upper, upper, ret);
        ret->upper_count = ret->count;
        if (rc == 0)
            rc = resolve_upper(o, upper, ret);
    }
    return rc < 0 ? rc : read_lowers(dir, ret);
}

void overlay_list_done(struct overlay_list *l) {
    heap_free(l->entries);
    heap_free(l->names);
    heap_free(l->sorted);
    *l = (struct overlay_list){0};
}
