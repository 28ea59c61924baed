/* SPDX-License-Identifier: Apache-2.0
 * runsc/manual/manual.h: manual pages and completions of shells, made from the same tables that parse the
 * command line, so that none of them can name an option that is not there. `runsc generate` prints them; the
 * build installs them.
 */
#pragma once

#include <stdio.h>

#include "runsc/cli.h"

/* What a table of options does not say of a command. */
struct manual_text {
    const char *command;     /* "": runsc itself */
    const char *description; /* paragraphs, an empty line between two */
    const char *status;      /* exit status, where it is more than 0 or 1; NULL: it is not */
    const char *example;     /* lines of a shell; NULL: none */
};
const struct manual_text *manual_text(const char *command);

/* roff, man(7): runsc(8) for NULL, runsc-COMMAND(8) otherwise. */
void manual_page(FILE *to, const struct command *c);
enum shell { SHELL_BASH, SHELL_ZSH, SHELL_FISH };
void manual_completion(FILE *to, enum shell shell);
