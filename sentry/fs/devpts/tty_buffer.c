/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/devpts/tty_buffer.c: rings of bytes that grow by doubling up to what the caller allows.
 */
#include <string.h>

#include "sentry/fs/devpts/tty_internal.h"
#include "sentry/heap/heap.h"

static bool grow(struct tty_buffer *b, size_t max) {
    size_t capacity = MIN(b->capacity ? b->capacity * 2 : 256, max);
    unsigned char *data = heap_alloc_bytes(capacity);

    if (!data)
        return false;
    for (size_t i = 0; i < b->len; i++)
        data[i] = tty_buffer_at(b, i);
    heap_free(b->data);
    b->data = data;
    b->start = 0;
    b->capacity = capacity;
    return true;
}

bool tty_buffer_put(struct tty_buffer *b, unsigned char byte, size_t max) {
    if (b->len >= max || (b->len == b->capacity && !grow(b, max)))
        return false;
    b->data[(b->start + b->len) % b->capacity] = byte;
    b->len++;
    return true;
}

unsigned char tty_buffer_at(const struct tty_buffer *b, size_t index) {
    ASSERT(index < b->len);
    return b->data[(b->start + index) % b->capacity];
}

void tty_buffer_drop(struct tty_buffer *b, size_t count) {
    ASSERT(count <= b->len);
    b->len -= count;
    b->start = b->len == 0 ? 0 : (b->start + count) % b->capacity;
}

void tty_buffer_trim(struct tty_buffer *b, size_t count) {
    ASSERT(count <= b->len);
    b->len -= count;
}

void tty_buffer_clear(struct tty_buffer *b) {
    b->start = b->len = 0;
}

void tty_buffer_done(struct tty_buffer *b) {
    heap_free(b->data);
    *b = (struct tty_buffer){0};
}

const unsigned char *tty_buffer_span(const struct tty_buffer *b, size_t *ret_len) {
    *ret_len = b->capacity ? MIN(b->len, b->capacity - b->start) : 0;
    return b->data + b->start;
}
