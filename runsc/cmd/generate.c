/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/generate.c: hidden: prints manual pages and completions, for the build: `generate man [COMMAND]`,
 * `generate bash|zsh|fish`, `generate commands` (the names that have a page).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runsc/cli.h"
#include "runsc/manual/manual.h"

static int print_page(const char *name, struct err **err) {
    const struct command *c = name ? command_find(name) : NULL;

    if (name && (!c || !c->summary))
        return err_set(err, ENOENT, "usage", "there is no command %s", name);
    manual_page(stdout, c);
    return 0;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    static const char *const shells[] = {"bash", "zsh", "fish"};

    (void)cli;
    (void)options;
    if (strcmp(argv[0], "man") == 0)
        return print_page(argc > 1 ? argv[1] : NULL, err);
    for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
        if (strcmp(argv[0], shells[i]) == 0) {
            manual_completion(stdout, (enum shell)i);
            return 0;
        }
    if (strcmp(argv[0], "commands") != 0)
        return err_set(err, EINVAL, "usage", "generate takes man, bash, zsh, fish or commands");
    for (const struct command *const *c = g_commands; *c; c++)
        if ((*c)->summary)
            printf("%s\n", (*c)->name);
    return 0;
}

const struct command g_cmd_generate = {
    .name = "generate", .arguments = "WHAT [COMMAND]", .min_args = 1, .max_args = 2, .run = run};
