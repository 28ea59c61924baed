/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/base/err_test.c: base/err.h: chains, text, and the wire form read from an untrusted child.
 */
#include "base/err.h"

#include <stdlib.h>

#include "tests/support/fault.h"
#include "tests/support/test.h"

static void assert_text(const struct err *e, const char *want) {
    char *text = err_text(e);

    ASSERT_STREQ(text, want);
    free(text);
}

TEST(err_chain_reads_as_a_sentence) {
    struct err *e = NULL;

    ASSERT_EQ(err_set(&e, ENOENT, "rootfs.missing", "root.path: %s", "/no"), -ENOENT);
    assert_text(e, "root.path: /no: no such file or directory [rootfs.missing]");
    err_explain(&e, "the bundle was moved", "give --bundle");
    ASSERT_EQ(err_wrap(&e, -EIO, "reading %s", "config.json"), -ENOENT);
    ASSERT_EQ(err_wrap(&e, -EIO, "creating container %s", "x"), -ENOENT);
    assert_text(e, "creating container x: reading config.json: root.path: /no: no such file or directory "
                   "(the bundle was moved; give --bundle) [rootfs.missing]");
    ASSERT_NULL(err_free(e));
}

TEST(err_without_errno) {
    struct err *e = NULL;

    ASSERT_EQ(err_set(&e, 0, "spec.invalid", "mounts[3]: no source"), -EINVAL);
    assert_text(e, "mounts[3]: no source [spec.invalid]");
    err_freep(&e);
    ASSERT_NULL(e);
    err_freep(&e);
}

TEST(err_first_one_stays) {
    struct err *e = NULL;

    err_set(&e, EIO, "a", "first");
    ASSERT_EQ(err_set(&e, EPERM, "b", "second"), -EPERM);
    ASSERT_STREQ(e->message, "first");
    err_free(e);
}

TEST(err_null_receiver) {
    ASSERT_EQ(err_set(NULL, EIO, "a", "text"), -EIO);
    ASSERT_EQ(err_wrap(NULL, -EPERM, "doing"), -EPERM);
    err_explain(NULL, "cause", NULL);
}

TEST(err_travels_as_data) {
    struct err *e = NULL;
    char *data;
    size_t size;

    err_set(&e, ENOSPC, "disk.full", "writing \"%s\"", "x");
    err_explain(&e, NULL, "free some");
    err_wrap(&e, 0, "saving");
    ASSERT_EQ(err_encode(e, &data, &size), 0);
    struct err *copy = err_decode(data, size);
    ASSERT_NOT_NULL(copy);
    ASSERT_EQ(copy->errnum, ENOSPC);
    ASSERT_STREQ(copy->code, "disk.full");
    ASSERT_NULL(copy->cause);
    char *a = err_text(e), *b = err_text(copy);
    ASSERT_STREQ(a, b);
    free(a);
    free(b);
    free(data);
    err_free(e);
    err_free(copy);
}

TEST(err_decode_refuses_garbage) {
    struct err *e = NULL;
    char *data;
    size_t size;

    err_set(&e, EIO, "code", "message");
    ASSERT_EQ(err_encode(e, &data, &size), 0);
    for (size_t n = 0; n < size; n++)
        ASSERT_NULL(err_decode(data, n)); /* cut short anywhere */
    char *more = malloc(size + 1);
    ASSERT_NOT_NULL(more);
    memcpy(more, data, size);
    more[size] = '\0';
    ASSERT_NULL(err_decode(more, size + 1)); /* a string too many */
    data[3] = (char)0x80;                    /* a negative errno */
    ASSERT_NULL(err_decode(data, size));
    ASSERT_NULL(err_decode(NULL, 0));
    free(more);
    free(data);
    err_free(e);
}

static void build_and_drop(void) {
    struct err *e = NULL;
    char *data = NULL;
    size_t size;

    ASSERT_EQ(err_set(&e, ENOENT, "code", "message %d", 1), -ENOENT);
    ASSERT_NOT_NULL(e); /* out of memory is an error too */
    err_explain(&e, "cause", "remedy");
    ASSERT_LT(err_wrap(&e, -EIO, "inner"), 0);
    ASSERT_LT(err_wrap(&e, -EIO, "outer"), 0);
    char *text = err_text(e);
    free(text);
    if (err_encode(e, &data, &size) == 0) {
        struct err *copy = err_decode(data, size);
        if (copy) {
            text = err_text(copy);
            free(text);
            err_free(copy);
        }
        free(data);
    }
    err_free(e);
}

TEST(err_survives_every_failing_allocation) {
    ASSERT_GT(fault_sweep(build_and_drop), 8);
}
