/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/ps.c: the processes of a container as the host sees them: its stand-ins (OCI.md 10.5). dockerd
 * looks the pids up in its own ps.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

struct ps_args {
    const char *format;
};
static const struct option_def g_options[] = {
    {.name = "format",
     .letter = 'f',
     .kind = OPTION_STRING,
     .offset = 0,
     .value = "table|json",
     .help = "output format"},
};

static bool is_ours(const char *line, size_t column, const json_t *pids) {
    char *end;
    size_t i;
    const json_t *pid;

    line += strspn(line, " ");
    for (; column > 0; column--) {
        line += strcspn(line, " ");
        line += strspn(line, " ");
    }
    long n = strtol(line, &end, 10);
    json_array_foreach(pids, i, pid) if (end != line && json_integer_value(pid) == n) return true;
    return false;
}

/* ps(1)'s header says in which column the pids are. */
static int filter_table(FILE *f, const json_t *pids, struct err **err) {
    cleanup(freep) char *line = NULL;
    size_t capacity = 0, column = 0;
    bool found = false;

    if (getline(&line, &capacity, f) <= 0)
        return err_set(err, EIO, "ps.output", "ps printed nothing");
    cleanup(freep) char *header = strdup(line);
    char *rest = NULL;
    for (char *word = header ? strtok_r(header, " \n", &rest) : NULL; word && !found;
         word = strtok_r(NULL, " \n", &rest)) {
        found = strcmp(word, "PID") == 0;
        column += !found;
    }
    if (!found)
        return err_set(err, EINVAL, "ps.output", "couldn't find PID field in ps output");
    fputs(line, stdout);
    while (getline(&line, &capacity, f) > 0)
        if (is_ours(line, column, pids))
            fputs(line, stdout);
    return 0;
}

static int print_table(const json_t *pids, int argc, char **argv, struct err **err) {
    static char ps[] = "ps", ef[] = "-ef", path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
    char *env[] = {path, NULL};
    cleanup(freep) char **command = calloc((size_t)argc + 3, sizeof *command);
    int pipes[2];

    if (!command || pipe(pipes) < 0)
        return err_set(err, errno, "ps.start", "starting ps");
    command[0] = ps;
    command[1] = ef;
    for (int i = 0; i < argc; i++)
        command[1 + i] = argv[i];
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipes[1], STDOUT_FILENO);
        close_fd(pipes[0]);
        close_fd(pipes[1]);
        execvpe("ps", command, env);
        _exit(127);
    }
    close_fd(pipes[1]);
    cleanup(fclosep) FILE *f = fdopen(pipes[0], "r");
    int r = pid < 0 || !f ? err_set(err, errno, "ps.start", "starting ps") : filter_table(f, pids, err);
    if (pid > 0)
        (void)!waitpid(pid, NULL, 0);
    return r;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct ps_args *a = options;
    cleanup(container_closep) struct container *c = NULL;
    int r = container_open(cli, argv[0], CONTAINER_READ, &c, err);

    if (r < 0)
        return r;
    if (a->format && strcmp(a->format, "json") != 0 && strcmp(a->format, "table") != 0)
        return err_set(err, EINVAL, "usage", "--format must be table or json, not \"%s\"", a->format);
    cleanup(json_decrefp) json_t *pids = container_host_pids(c);
    if (a->format && strcmp(a->format, "json") == 0) {
        json_dumpf(pids, stdout, JSON_COMPACT);
        return putchar('\n') == EOF;
    }
    return print_table(pids, argc - 1, argv + 1, err);
}

const struct command g_cmd_ps = {.name = "ps",
                                 .arguments = "ID [PS OPTIONS]",
                                 .summary = "show a container's processes on the host",
                                 .options = g_options,
                                 .option_count = ARRAY_SIZE(g_options),
                                 .options_size = sizeof(struct ps_args),
                                 .min_args = 1,
                                 .max_args = -1,
                                 .run = run};
