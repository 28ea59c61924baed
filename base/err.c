/* SPDX-License-Identifier: Apache-2.0
 * base/err.c: see err.h.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Used when there is no memory for an error: it must not be freed. */
static struct err g_err_nomem = {.errnum = ENOMEM, .code = "out-of-memory"};

int err_set(struct err **err, int errnum, const char *code, const char *fmt, ...) {
    int result = errnum > 0 ? -errnum : -EINVAL;

    if (!err || *err)
        return result;
    struct err *e = calloc(1, sizeof *e);
    va_list args;
    va_start(args, fmt);
    if (!e || vasprintf(&e->message, fmt, args) < 0) {
        free(e);
        e = &g_err_nomem;
    } else {
        e->errnum = errnum;
        e->code = strdup(code);
    }
    va_end(args);
    *err = e;
    return result;
}

void err_explain(struct err **err, const char *cause, const char *remedy) {
    if (!err || !*err || *err == &g_err_nomem)
        return;
    struct err *e = *err;
    if (cause) {
        free(e->cause);
        e->cause = strdup(cause);
    }
    if (remedy) {
        free(e->remedy);
        e->remedy = strdup(remedy);
    }
}

int err_wrap(struct err **err, int fallback, const char *fmt, ...) {
    if (!err || !*err)
        return fallback;
    struct err *e = *err;
    int result = e->errnum > 0 ? -e->errnum : -EINVAL;
    if (e == &g_err_nomem)
        return result;
    char *doing = NULL, *all = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&doing, fmt, args);
    va_end(args);
    if (n < 0)
        return result;
    if (e->context && asprintf(&all, "%s: %s", doing, e->context) >= 0) {
        free(e->context);
        free(doing);
        e->context = all;
    } else if (!e->context) {
        e->context = doing;
    } else {
        free(doing);
    }
    return result;
}

char *err_text(const struct err *e) {
    char *text = NULL;
    char errnum[160] = "";

    if (e->errnum > 0)
        snprintf(errnum, sizeof errnum, ": %s", strerror(e->errnum));
    /* Clients match "no such file or directory" and "permission denied" in lower case (OCI.md 3). */
    if (errnum[0] && errnum[2] >= 'A' && errnum[2] <= 'Z')
        errnum[2] += 'a' - 'A';
    bool why = e->cause || e->remedy;
    if (asprintf(&text, "%s%s%s%s%s%s%s%s%s [%s]", e->context ? e->context : "", e->context ? ": " : "",
                 e->message ? e->message : "out of memory", errnum, why ? " (" : "", e->cause ? e->cause : "",
                 e->cause && e->remedy ? "; " : "", e->remedy ? e->remedy : "", why ? ")" : "",
                 e->code ? e->code : "?") < 0)
        return NULL;
    return text;
}

/* Wire form: errnum as 4 bytes, then five strings, each NUL-terminated; an empty one stands for NULL. */
int err_encode(const struct err *e, char **ret_data, size_t *ret_size) {
    const char *part[5] = {e->code, e->message, e->cause, e->remedy, e->context};
    size_t size = sizeof e->errnum;

    for (int i = 0; i < 5; i++)
        size += (part[i] ? strlen(part[i]) : 0) + 1;
    char *data = malloc(size), *at = data;
    if (!data)
        return -ENOMEM;
    memcpy(at, &e->errnum, sizeof e->errnum);
    at += sizeof e->errnum;
    for (int i = 0; i < 5; i++)
        at = stpcpy(at, part[i] ? part[i] : "") + 1;
    *ret_data = data;
    *ret_size = size;
    return 0;
}

struct err *err_decode(const char *data, size_t size) {
    int errnum;

    if (size < sizeof errnum + 5 || size > 65536 || data[size - 1] != '\0')
        return NULL;
    memcpy(&errnum, data, sizeof errnum);
    const char *at = data + sizeof errnum, *end = data + size, *part[5];
    for (int i = 0; i < 5; i++) {
        if (at >= end)
            return NULL;
        part[i] = at;
        at += strnlen(at, (size_t)(end - at)) + 1;
    }
    if (at != end || errnum < 0 || errnum > 4095)
        return NULL;
    struct err *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->errnum = errnum;
    e->code = strdup(part[0]);
    e->message = strdup(part[1]);
    e->cause = *part[2] ? strdup(part[2]) : NULL;
    e->remedy = *part[3] ? strdup(part[3]) : NULL;
    e->context = *part[4] ? strdup(part[4]) : NULL;
    return e;
}

struct err *err_free(struct err *e) {
    if (!e || e == &g_err_nomem)
        return NULL;
    free((char *)(uintptr_t)e->code);
    free(e->message);
    free(e->cause);
    free(e->remedy);
    free(e->context);
    free(e);
    return NULL;
}

void err_freep(struct err **err) {
    *err = err_free(*err);
}
