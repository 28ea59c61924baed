/* SPDX-License-Identifier: Apache-2.0
 * runsc/options.h: command-line options from one table per command, which also makes --help.
 *
 * Accepted forms, because clients use them all (OCI.md 10.4): --name value, --name=value, -name (single
 * dash), -n value, -nvalue, clusters of one-letter flags (-it), --flag, --flag=true|false, and "--" as the
 * end of options.
 */
#pragma once

#include <stdio.h>

#include "base/compiler.h"
#include "base/err.h"

enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_STRING, /* const char *, borrowed from argv */
    OPTION_LIST,   /* struct option_list: may be repeated */
    OPTION_NUMBER, /* int64_t */
};
struct option_list {
    const char **items; /* owned; items borrowed */
    size_t count;
};
struct option_def {
    const char *name;
    char letter; /* 0: none */
    enum option_kind kind;
    size_t offset;
    const char *value; /* what it is called in help */
    const char *help;  /* NULL: accepted, not shown (other runtimes' options that mean nothing here) */
};

enum { OPTIONS_HELP = 1 };
/* Fills `out` and sets *ret_next to the first argument that is no option. With `permute` options may also
   follow arguments: argv is reordered. 0, OPTIONS_HELP if -h or --help was among them, or an error. */
int options_parse(const struct option_def *defs, size_t count, void *out, int argc, char **argv, bool permute,
                  int *ret_next, struct err **err) must_check;
void options_print(FILE *to, const struct option_def *defs, size_t count);
