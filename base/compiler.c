/* SPDX-License-Identifier: Apache-2.0
 * base/compiler.c: what happens when an assertion fails: one line on standard error and in the log, then
 * abort.
 */
#include "base/compiler.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

void assert_failed(const char *expr, const char *file, int line) {
    char text[512];
    int n = snprintf(text, sizeof text, "runsc: internal error: assertion failed: %s (%s:%d)\n", expr, file,
                     line);

    if (n > (int)sizeof text - 1)
        n = sizeof text - 1;
    if (write(STDERR_FILENO, text, (size_t)n) < 0 || log_fd() < 0 || write(log_fd(), text, (size_t)n) < 0) {
        /* nothing better can be done than to end */
    }
    abort();
}
