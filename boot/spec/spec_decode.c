/* SPDX-License-Identifier: Apache-2.0
 * boot/spec/spec_decode.c: the table walker of spec_internal.h, and the arena behind a struct spec.
 *
 * It sees hostile JSON (tests/fuzz/config). Depth is bounded by the tables themselves; sizes by
 * SPEC_MAX_BYTES of text.
 */
#include "boot/spec/spec_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct spec_arena {
    struct spec_arena *next;
    _Alignas(16) char data[];
};

void *spec_alloc(struct spec *s, size_t size) {
    struct spec_arena *block = calloc(1, sizeof *block + size);

    if (!block)
        return NULL;
    block->next = s->arena;
    s->arena = block;
    return block->data;
}

char *spec_strdup(struct spec *s, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = spec_alloc(s, size);

    return copy ? memcpy(copy, text, size) : NULL;
}

int spec_warn(struct spec *s, const char *fmt, ...) {
    char text[512];
    va_list args;

    if (s->warnings.count >= SPEC_MAX_WARNINGS) {
        s->dropped_warnings++;
        return 0;
    }
    if (!s->warnings.items) {
        s->warnings.items = spec_alloc(s, (SPEC_MAX_WARNINGS + 1) * sizeof(char *));
        if (!s->warnings.items)
            return -ENOMEM;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    char *copy = spec_strdup(s, text);
    if (!copy)
        return -ENOMEM;
    s->warnings.items[s->warnings.count++] = copy;
    return 0;
}

static void path_print(const struct spec_path *path, char *buffer, size_t size) {
    size_t used = 0;

    if (!path) {
        buffer[0] = '\0';
        return;
    }
    path_print(path->parent, buffer, size);
    used = strlen(buffer);
    if (path->name)
        snprintf(buffer + used, size - used, "%s%s", used ? "." : "", path->name);
    else
        snprintf(buffer + used, size - used, "[%zu]", path->index);
}

static const char *type_name(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static int wrong_type(const struct spec_path *path, const char *want, const json_t *got, struct err **err) {
    char text[512];

    path_print(path, text, sizeof text);
    return err_set(err, EINVAL, "spec.invalid", "%s must be %s, not %s", text, want, type_name(got));
}

static int bad_value(const struct spec_path *path, const char *why, struct err **err) {
    char text[512];

    path_print(path, text, sizeof text);
    return err_set(err, EINVAL, "spec.invalid", "%s %s", text, why);
}

static int no_memory(struct err **err) {
    return err_set(err, ENOMEM, "out-of-memory", "reading the container's configuration");
}

static int decode_string(struct spec *s, const json_t *v, const struct spec_path *path, char **ret,
                         struct err **err) {
    if (!json_is_string(v))
        return wrong_type(path, "a string", v, err);
    if (strlen(json_string_value(v)) != json_string_length(v))
        return bad_value(path, "holds a NUL character", err);
    *ret = spec_strdup(s, json_string_value(v));
    return *ret ? 0 : no_memory(err);
}

/* Unsigned 64-bit values do not fit jansson's integers: it hands the larger ones over as reals (see
 * spec_load_json). */
static int decode_u64(const json_t *v, const struct spec_path *path, uint64_t *ret, struct err **err) {
    if (json_is_integer(v)) {
        if (json_integer_value(v) < 0)
            return bad_value(path, "must not be negative", err);
        *ret = (uint64_t)json_integer_value(v);
        return 0;
    }
    if (!json_is_real(v))
        return wrong_type(path, "a number", v, err);
    double real = json_real_value(v);
    if (!(real >= 0))
        return bad_value(path, "must not be negative", err);
    if (real < 9007199254740992.0) {
        *ret = (uint64_t)real;
        return (double)*ret == real ? 0 : bad_value(path, "must be a whole number", err);
    }
    if (real > 18446744073709551616.0)
        return bad_value(path, "is too large", err);
    *ret = real >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)real;
    return 0;
}

static int decode_i64(const json_t *v, const struct spec_path *path, int64_t *ret, struct err **err) {
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return 0;
    }
    if (!json_is_real(v))
        return wrong_type(path, "a number", v, err);
    double real = json_real_value(v);
    /* Clients that compute limits in unsigned 64 bits send 2^63 and above for "no limit": clamped (kubelet
     * does). */
    if (real >= 9223372036854775808.0 && real <= 18446744073709551616.0) {
        *ret = INT64_MAX;
        return 0;
    }
    if (!(real > -9007199254740992.0 && real < 9007199254740992.0) || (double)(int64_t)real != real)
        return bad_value(path, "must be a whole number of 64 bits", err);
    *ret = (int64_t)real;
    return 0;
}

static int decode_u32(const json_t *v, const struct spec_path *path, uint32_t *ret, struct err **err) {
    uint64_t wide;
    int r = decode_u64(v, path, &wide, err);

    if (r < 0)
        return r;
    if (wide > UINT32_MAX)
        return bad_value(path, "does not fit 32 bits", err);
    *ret = (uint32_t)wide;
    return 0;
}

static int decode_strings(struct spec *s, const json_t *v, const struct spec_path *path,
                          struct spec_strings *ret, struct err **err) {
    if (!json_is_array(v))
        return wrong_type(path, "an array of strings", v, err);
    size_t count = json_array_size(v);
    char **items = spec_alloc(s, (count + 1) * sizeof *items);
    if (!items)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        struct spec_path at = {.parent = path, .index = i};
        int r = decode_string(s, json_array_get(v, i), &at, &items[i], err);
        if (r < 0)
            return r;
    }
    *ret = (struct spec_strings){items, count};
    return 0;
}

static int decode_ids(struct spec *s, const json_t *v, const struct spec_path *path, struct spec_ids *ret,
                      struct err **err) {
    if (!json_is_array(v))
        return wrong_type(path, "an array of numbers", v, err);
    size_t count = json_array_size(v);
    uint32_t *items = spec_alloc(s, (count + 1) * sizeof *items);
    if (!items)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        struct spec_path at = {.parent = path, .index = i};
        int r = decode_u32(json_array_get(v, i), &at, &items[i], err);
        if (r < 0)
            return r;
    }
    *ret = (struct spec_ids){items, count};
    return 0;
}

static int decode_map(struct spec *s, const json_t *v, const struct spec_path *path, struct spec_map *ret,
                      struct err **err) {
    if (!json_is_object(v))
        return wrong_type(path, "an object of strings", v, err);
    struct spec_pair *items = spec_alloc(s, (json_object_size(v) + 1) * sizeof *items);
    if (!items)
        return no_memory(err);
    size_t n = 0;
    for (void *i = json_object_iter((json_t *)(uintptr_t)v); i;
         i = json_object_iter_next((json_t *)(uintptr_t)v, i)) {
        const char *key = json_object_iter_key(i);
        struct spec_path at = {.parent = path, .name = key};
        int r = decode_string(s, json_object_iter_value(i), &at, &items[n].value, err);
        if (r < 0)
            return r;
        items[n].key = spec_strdup(s, key);
        if (!items[n++].key)
            return no_memory(err);
    }
    *ret = (struct spec_map){items, n};
    return 0;
}

struct any_array {
    void *items;
    size_t count;
};

static int decode_array(struct spec *s, const json_t *v, const struct spec_path *path,
                        const struct spec_field *f, struct any_array *ret, struct err **err) {
    if (!json_is_array(v))
        return wrong_type(path, "an array of objects", v, err);
    size_t count = json_array_size(v);
    char *items = spec_alloc(s, (count + 1) * f->size);
    if (!items)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        struct spec_path at = {.parent = path, .index = i};
        int r = spec_decode_object(s, json_array_get(v, i), &at, f->table, items + i * f->size, err);
        if (r < 0)
            return r;
    }
    *ret = (struct any_array){items, count};
    return 0;
}

static int decode_bool(const json_t *v, const struct spec_path *path, bool *ret, struct err **err) {
    if (!json_is_boolean(v))
        return wrong_type(path, "true or false", v, err);
    *ret = json_is_true(v);
    return 0;
}

static int decode_field(struct spec *s, const json_t *v, const struct spec_path *path,
                        const struct spec_field *f, void *at, struct err **err) {
    switch (f->kind) {
    case FIELD_STRING:
        return decode_string(s, v, path, at, err);
    case FIELD_BOOL:
        return decode_bool(v, path, at, err);
    case FIELD_OPT_BOOL:
        ((struct spec_bool *)at)->set = true;
        return decode_bool(v, path, &((struct spec_bool *)at)->value, err);
    case FIELD_U32:
        return decode_u32(v, path, at, err);
    case FIELD_U64:
        return decode_u64(v, path, at, err);
    case FIELD_I64:
        return decode_i64(v, path, at, err);
    case FIELD_OPT_U64:
        ((struct spec_u64 *)at)->set = true;
        return decode_u64(v, path, &((struct spec_u64 *)at)->value, err);
    case FIELD_OPT_I64:
        ((struct spec_i64 *)at)->set = true;
        return decode_i64(v, path, &((struct spec_i64 *)at)->value, err);
    case FIELD_STRINGS:
        return decode_strings(s, v, path, at, err);
    case FIELD_IDS:
        return decode_ids(s, v, path, at, err);
    case FIELD_MAP:
        return decode_map(s, v, path, at, err);
    case FIELD_OBJECT:
        if (f->marks)
            *(bool *)at = true;
        return spec_decode_object(s, v, path, f->table, at, err);
    case FIELD_ARRAY:
        return decode_array(s, v, path, f, at, err);
    case FIELD_IGNORED:
        return 0;
    }
    return -EINVAL;
}

static const struct spec_field *find_field(const struct spec_table *table, const char *name) {
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->fields[i].name, name) == 0)
            return &table->fields[i];
    return NULL;
}

int spec_decode_object(struct spec *s, const json_t *object, const struct spec_path *path,
                       const struct spec_table *table, void *out, struct err **err) {
    json_t *o = (json_t *)(uintptr_t)object;

    if (!json_is_object(o))
        return path ? wrong_type(path, "an object", o, err)
                    : err_set(err, EINVAL, "spec.invalid", "the document must be a JSON object, not %s",
                              type_name(o));
    for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
        struct spec_path at = {.parent = path, .name = json_object_iter_key(i)};
        const struct spec_field *f = find_field(table, at.name);
        const json_t *v = json_object_iter_value(i);
        char text[512];
        if (!f) {
            path_print(&at, text, sizeof text);
            if (spec_warn(s, "%s: unknown field, ignored", text) < 0)
                return no_memory(err);
            continue;
        }
        if (json_is_null(v))
            continue;
        int r = decode_field(s, v, &at, f, (char *)out + f->offset, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < table->count; i++) {
        struct spec_path at = {.parent = path, .name = table->fields[i].name};
        const json_t *v = json_object_get(o, at.name);
        if (table->fields[i].required && (!v || json_is_null(v)))
            return bad_value(&at, "is missing", err);
    }
    return 0;
}

static int parse_with(const json_t *document, const struct spec_table *table, size_t offset,
                      struct spec **ret, struct err **err) {
    cleanup(spec_freep) struct spec *s = calloc(1, sizeof *s);

    if (!s)
        return no_memory(err);
    int r = spec_decode_object(s, document, NULL, table, (char *)s + offset, err);
    if (r < 0)
        return r;
    *ret = TAKE(s);
    return 0;
}

int spec_parse(const json_t *document, struct spec **ret, struct err **err) {
    cleanup(spec_freep) struct spec *s = NULL;
    int r = parse_with(document, &g_spec_table, 0, &s, err);

    if (r >= 0)
        r = spec_validate(s, err);
    if (r < 0)
        return r;
    *ret = TAKE(s);
    return 0;
}

int spec_parse_process(const json_t *document, struct spec **ret, struct err **err) {
    cleanup(spec_freep) struct spec *s = NULL;
    int r = parse_with(document, &g_spec_process_table, offsetof(struct spec, process), &s, err);

    if (r >= 0) {
        s->process.set = true;
        r = spec_validate_process(s, "", err);
    }
    if (r < 0)
        return r;
    *ret = TAKE(s);
    return 0;
}

int spec_parse_resources(const json_t *document, struct spec **ret, struct err **err) {
    int r = parse_with(document, &g_spec_resources_table, offsetof(struct spec, linux_.resources), ret, err);

    if (r >= 0)
        (*ret)->linux_.resources.set = true;
    return r;
}

/* jansson recurses as deep as the text nests (its own bound is 2048): a shallow bound first, outside strings.
 */
static bool too_deep(const char *text, size_t size) {
    size_t depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < size; i++) {
        if (in_string) {
            if (text[i] == '\\')
                i++;
            else if (text[i] == '"')
                in_string = false;
        } else if (text[i] == '"') {
            in_string = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > SPEC_MAX_DEPTH)
                return true;
        } else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
            depth--;
        }
    }
    return false;
}

/* JSON_DECODE_INT_AS_REAL would lose small integers, so integers beyond 63 bits (rlimits of 2^64-1) are made
 * reals by adding ".0". */
static char *widen_integers(const char *text, size_t size, size_t *ret_size) {
    char *out = malloc(size * 2 + 3);
    size_t n = 0;
    bool in_string = false;

    for (size_t i = 0; out && i < size; i++) {
        char c = text[i];
        out[n++] = c;
        if (in_string) {
            if (c == '\\' && i + 1 < size)
                out[n++] = text[++i];
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c >= '0' && c <= '9') {
            size_t start = i;
            while (i + 1 < size && text[i + 1] >= '0' && text[i + 1] <= '9')
                out[n++] = text[++i];
            bool whole = i + 1 >= size || !strchr(".eE", text[i + 1]);
            bool fraction = start > 0 && strchr(".eE+", text[start - 1]);
            if (whole && !fraction && i - start + 1 >= 19) {
                out[n++] = '.';
                out[n++] = '0';
            }
        }
    }
    *ret_size = n;
    return out;
}

int spec_load_json(const char *text, size_t size, const char *what, json_t **ret, struct err **err) {
    json_error_t why;
    size_t wide_size = 0;

    if (size > SPEC_MAX_BYTES)
        return err_set(err, EFBIG, "spec.too-large", "%s has %zu bytes; at most %u are read", what, size,
                       SPEC_MAX_BYTES);
    if (too_deep(text, size))
        return err_set(err, EINVAL, "spec.invalid", "%s nests more than %d levels deep", what,
                       SPEC_MAX_DEPTH);
    cleanup(freep) char *wide = widen_integers(text, size, &wide_size);
    if (!wide)
        return no_memory(err);
    *ret = json_loadb(wide, wide_size, JSON_REJECT_DUPLICATES, &why);
    if (!*ret)
        return err_set(err, EINVAL, "spec.syntax", "%s: line %d, column %d: %s", what, why.line, why.column,
                       why.text);
    return 0;
}

struct spec *spec_free(struct spec *s) {
    while (s && s->arena) {
        struct spec_arena *next = s->arena->next;
        free(s->arena);
        s->arena = next;
    }
    free(s);
    return NULL;
}

void spec_freep(struct spec **s) {
    *s = spec_free(*s);
}
