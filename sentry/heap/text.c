/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/text.c: see text.h.
 */
#include "sentry/heap/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sentry/heap/heap.h"

static bool text_reserve(struct text *x, size_t more) {
    if (x->failed)
        return false;
    if (x->len + more + 1 <= x->capacity)
        return true;
    size_t capacity = MAX(x->capacity * 2, x->len + more + 512);
    char *data = x->data ? heap_realloc(x->data, capacity) : heap_alloc_bytes(capacity);
    if (!data) {
        x->failed = true;
        return false;
    }
    x->data = data;
    x->capacity = capacity;
    return true;
}

void text_append(struct text *x, const char *data, size_t len) {
    if (!text_reserve(x, len))
        return;
    memcpy(x->data + x->len, data, len);
    x->len += len;
    x->data[x->len] = '\0';
}

void text_printf(struct text *x, const char *fmt, ...) {
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    ASSERT(n >= 0);
    if (!text_reserve(x, (size_t)n))
        return;
    va_start(args, fmt);
    vsnprintf(x->data + x->len, (size_t)n + 1, fmt, args);
    va_end(args);
    x->len += (size_t)n;
}

void text_append_escaped(struct text *x, const char *s) {
    for (; *s; s++) {
        if (strchr(" \t\n\\#", *s))
            text_printf(x, "\\%03o", (unsigned char)*s);
        else
            text_append(x, s, 1);
    }
}

void text_done(struct text *x) {
    heap_free(x->data);
    *x = (struct text){0};
}
