/* SPDX-License-Identifier: Apache-2.0
 * gofer/codec.c: bounded reading and writing of message bodies.
 */
#include "gofer/codec.h"

#include <errno.h>
#include <string.h>

#define TYPE_MASK 0170000u

int gofer_get(struct gofer_reader *r, void *out, size_t size) {
    if (r->left < size)
        return -EPROTO;
    memcpy(out, r->data, size);
    r->data += size;
    r->left -= size;
    return 0;
}

int gofer_get_string(struct gofer_reader *r, char out[GOFER_NAME_MAX + 1]) {
    uint16_t size;
    if (r->left < sizeof(size))
        return -EPROTO;
    memcpy(&size, r->data, sizeof(size));
    if (size == 0 || size > GOFER_NAME_MAX || r->left - sizeof(size) < size)
        return -EPROTO;
    const uint8_t *bytes = r->data + sizeof(size);
    if (memchr(bytes, 0, size))
        return -EPROTO;
    memcpy(out, bytes, size);
    out[size] = '\0';
    r->data += sizeof(size) + size;
    r->left -= sizeof(size) + size;
    return 0;
}

int gofer_get_name(struct gofer_reader *r, char out[GOFER_NAME_MAX + 1]) {
    char name[GOFER_NAME_MAX + 1];
    int rc = gofer_get_string(r, name);
    if (rc < 0)
        return rc;
    size_t size = strlen(name);
    if (gofer_name_check(name, size) < 0)
        return -EPROTO;
    memcpy(out, name, size + 1);
    return 0;
}

int gofer_get_end(const struct gofer_reader *r) {
    return r->left ? -EPROTO : 0;
}

void *gofer_put_space(struct gofer_writer *w, size_t size) {
    if (w->capacity - w->size < size)
        return NULL;
    void *at = w->data + w->size;
    memset(at, 0, size);
    w->size += size;
    return at;
}

int gofer_put(struct gofer_writer *w, const void *data, size_t size) {
    if (w->capacity - w->size < size)
        return -EMSGSIZE;
    if (size)
        memcpy(w->data + w->size, data, size);
    w->size += size;
    return 0;
}

int gofer_put_string(struct gofer_writer *w, const char *name, size_t size) {
    uint16_t size16 = (uint16_t)size;
    if (size > GOFER_NAME_MAX || w->capacity - w->size < sizeof(size16) + size)
        return -EMSGSIZE;
    int rc = gofer_put(w, &size16, sizeof(size16));
    return rc < 0 ? rc : gofer_put(w, name, size);
}

int gofer_name_check(const char *name, size_t size) {
    if (size > GOFER_NAME_MAX)
        return -ENAMETOOLONG;
    if (size == 0 || memchr(name, '/', size) || memchr(name, 0, size))
        return -EINVAL;
    if (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')))
        return -EINVAL;
    return 0;
}

bool gofer_attr_valid(const struct gofer_attr *attr) {
    switch (attr->mode & TYPE_MASK) {
    case 0010000: /* FIFO, character, directory, block, regular, link, socket */
    case 0020000:
    case 0040000:
    case 0060000:
    case 0100000:
    case 0120000:
    case 0140000:
        break;
    default:
        return false;
    }
    return attr->mode <= 0177777 && attr->size <= INT64_MAX && attr->atime.nsec < 1000000000 &&
           attr->mtime.nsec < 1000000000 && attr->ctime.nsec < 1000000000 && attr->btime.nsec < 1000000000;
}
