/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/text.h: text that grows, for what pseudo file systems show.
 */
#pragma once

#include "base/compiler.h"

/* Growing text in heap memory. After an allocation failure further appends do nothing and `failed` is set:
 * one check at the end. */
struct text {
    char *data;
    size_t len, capacity;
    bool failed;
};
void text_printf(struct text *x, const char *fmt, ...) printf_like(2, 3);
void text_append(struct text *x, const char *data, size_t len);
/* With \ooo for space, tab, newline, backslash and '#', as in mountinfo. */
void text_append_escaped(struct text *x, const char *s);
void text_done(struct text *x);
