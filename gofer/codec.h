/* SPDX-License-Identifier: Apache-2.0
 * gofer/codec.h: bounded reading and writing of message bodies (gofer/protocol.h). Pure: no host calls, no
 * allocation.
 *
 * A reader never passes its end: every get says -EPROTO instead and leaves its output untouched. A writer
 * that would overflow takes nothing and says -EMSGSIZE.
 */
#pragma once

#include "base/compiler.h"
#include "gofer/protocol.h"

struct gofer_reader {
    const uint8_t *data;
    size_t left;
};

struct gofer_writer {
    uint8_t *data;
    size_t size, capacity;
};

int gofer_get(struct gofer_reader *r, void *out, size_t size) must_check;
/* A file name, checked by gofer_name_check(), with a NUL added. */
int gofer_get_name(struct gofer_reader *r, char out[GOFER_NAME_MAX + 1]) must_check;
/* Any string of 1..255 bytes without NUL (an xattr name), with a NUL added. */
int gofer_get_string(struct gofer_reader *r, char out[GOFER_NAME_MAX + 1]) must_check;
/* -EPROTO unless everything was read. */
int gofer_get_end(const struct gofer_reader *r) must_check;

int gofer_put(struct gofer_writer *w, const void *data, size_t size) must_check;
int gofer_put_string(struct gofer_writer *w, const char *name, size_t size) must_check;
/* Room for `size` bytes to be filled in later, zeroed; NULL if there is none. */
void *gofer_put_space(struct gofer_writer *w, size_t size) must_check;

/* -EINVAL: empty, '/', NUL, "." or ".."; -ENAMETOOLONG. */
int gofer_name_check(const char *name, size_t size) must_check;
/* Whether attributes could be true: one known file type, times within a second's nanoseconds. */
bool gofer_attr_valid(const struct gofer_attr *attr);
