#include "runsc/cli.h"
static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) { (void)cli;(void)options;(void)argc;(void)argv; return err_set(err, 38, "x", "x"); }
const struct command g_cmd_exec = {.name = "exec", .arguments = "", .run = run};
