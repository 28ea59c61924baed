/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/err/fuzz_err.c: the error that a child sends its parent (base/err.h): what decodes must encode
 * to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err *e = err_decode((const char *)data, size);
    char *again;
    size_t again_size;

    if (!e)
        return 0;
    free(err_text(e));
    if (err_encode(e, &again, &again_size) == 0) {
        ASSERT(again_size == size);
        ASSERT(memcmp(again, data, size) == 0);
        free(again);
    }
    err_wrap(&e, 0, "reading %d", 1);
    err_free(e);
    return 0;
}
