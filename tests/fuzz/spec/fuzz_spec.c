/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/spec/fuzz_spec.c: config.json, as a client of `runsc` writes it and as the sandbox is sent it
 * (boot/spec/spec.h).
 */
#include <stdlib.h>

#include "boot/spec/spec.h"

static void free_error(struct err *e) {
    if (e)
        free(err_text(e));
    err_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err *e = NULL;
    struct spec *s = NULL;
    json_t *document;

    if (spec_load_json((const char *)data, size, "config.json", &document, &e) < 0) {
        ASSERT(e != NULL);
        free_error(e);
        return 0;
    }
    if (spec_parse(document, &s, &e) < 0)
        ASSERT(e != NULL);
    free_error(e);
    spec_free(s);
    e = NULL;
    s = NULL;
    if (spec_parse_process(document, &s, &e) < 0)
        ASSERT(e != NULL);
    free_error(e);
    spec_free(s);
    e = NULL;
    s = NULL;
    if (spec_parse_resources(document, &s, &e) < 0)
        ASSERT(e != NULL);
    free_error(e);
    spec_free(s);
    json_decref(document);
    return 0;
}
