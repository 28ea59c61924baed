/* SPDX-License-Identifier: Apache-2.0
 * base/err.h: errors for people: a chain of what was being done, with object, errno, cause, remedy and stable
 * code.
 *
 * Below boot/ and runsc/ a failure is a negative errno and nothing else. Above, functions take `struct err
 * **err` last, return a negative errno, and set *err exactly once where the failure is first understood;
 * callers add what they were doing with err_wrap() on the way up; main prints once. err may be NULL: then
 * only the errno travels. A child process sends its error to its parent as data: err_encode()/err_decode().
 */
#pragma once

#include "base/compiler.h"

struct err {
    int errnum;       /* positive errno, 0 if none applies */
    const char *code; /* stable, like "spec.invalid" or "rootfs.unreadable": static string or interned */
    char *message;    /* what failed, with the object: "mounts[3].source: ..." */
    char *cause;      /* likely cause, NULL if the message says it all */
    char *remedy;     /* what to do, or NULL */
    char *context;    /* "creating container x: reading config.json", outermost first; NULL if none */
};

/* Each sets *err (if err is not NULL and *err is NULL) and returns -errnum (or -EINVAL for 0). */
int err_set(struct err **err, int errnum, const char *code, const char *fmt, ...) printf_like(4, 5);
/* Adds cause and remedy to the error just set; either may be NULL. */
void err_explain(struct err **err, const char *cause, const char *remedy);
/* Puts "doing: " before what the chain says; returns -errnum of *err, or `fallback` if none is set. */
int err_wrap(struct err **err, int fallback, const char *fmt, ...) printf_like(3, 4);
/* One line: "context: message: strerror (cause; remedy) [code]"; caller frees. */
char *err_text(const struct err *err);
/* As JSON-free bytes for a pipe; caller frees *ret_data. */
int err_encode(const struct err *err, char **ret_data, size_t *ret_size);
/* Untrusted input: bounded and checked. NULL on garbage. */
struct err *err_decode(const char *data, size_t size);
struct err *err_free(struct err *err); /* NULL is fine; returns NULL */
void err_freep(struct err **err);
