/* SPDX-License-Identifier: Apache-2.0
 * boot/spec/spec_internal.h: the table-driven decoder behind spec.h. A table says for each field its type and
 * where it goes; one walker checks types, follows nested tables, builds paths for errors and notes unknown
 * fields.
 */
#pragma once

#include "boot/spec/spec.h"

enum field_kind {
    FIELD_STRING,   /* char * */
    FIELD_BOOL,     /* bool */
    FIELD_OPT_BOOL, /* struct spec_bool */
    FIELD_U32,      /* uint32_t */
    FIELD_U64, /* uint64_t; JSON beyond int64 is accepted as a real (18446744073709551615 of "infinity") */
    FIELD_I64, /* int64_t */
    FIELD_OPT_U64, /* struct spec_u64 */
    FIELD_OPT_I64, /* struct spec_i64 */
    FIELD_STRINGS, /* struct spec_strings */
    FIELD_IDS,     /* struct spec_ids */
    FIELD_MAP,     /* struct spec_map, string values */
    FIELD_OBJECT,  /* embedded, `table`; `set_offset` >= 0: a bool to set */
    FIELD_ARRAY,   /* {items, count} of objects of `size` bytes, `table` */
    FIELD_IGNORED, /* known, of no use to a sandbox: accepted whatever it holds */
};

struct spec_field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    const struct spec_table *table;
    size_t size;
    bool required;
    bool marks; /* FIELD_OBJECT: the first member is `bool set` */
};
struct spec_table {
    const struct spec_field *fields;
    size_t count;
};

struct spec_path {
    const struct spec_path *parent;
    const char *name; /* NULL: an index */
    size_t index;
};

#define SPEC_TABLE(t)                                                                                        \
    { t, ARRAY_SIZE(t) }

extern const struct spec_table g_spec_table, g_spec_process_table, g_spec_resources_table;

int spec_decode_object(struct spec *s, const json_t *object, const struct spec_path *path,
                       const struct spec_table *table, void *out, struct err **err) must_check;
/* Meaning, beyond types: after decoding. `whole`: a full config, not a bare process. */
int spec_validate_process(struct spec *s, const char *prefix, struct err **err) must_check;
int spec_validate(struct spec *s, struct err **err) must_check;
void *spec_alloc(struct spec *s, size_t size); /* zeroed, of the arena; NULL without memory */
char *spec_strdup(struct spec *s, const char *text);
int spec_warn(struct spec *s, const char *fmt, ...) printf_like(2, 3);
