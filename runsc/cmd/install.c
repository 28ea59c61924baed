/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/install.c: install and uninstall: the clients on this host learn of this runtime, or forget it.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/register/register.h"

struct install_args {
    struct option_list clients;
    const char *config, *name, *path;
    bool dry_run;
};
#define O(n, l, k, member, v, h)                                                                             \
    {                                                                                                        \
        .name = n, .letter = l, .kind = OPTION_##k, .offset = offsetof(struct install_args, member),         \
        .value = v, .help = h                                                                                \
    }
static const struct option_def g_options[] = {
    O("client", 'c', LIST, clients, "docker|podman|containerd",
      "for this client only (default: all that are on this host)"),
    O("config", 0, STRING, config, "FILE", "the client's configuration, where it is not in its usual place"),
    O("name", 'n', STRING, name, "NAME", "what the runtime is called there (default runsc)"),
    O("path", 0, STRING, path, "FILE", "the program to register (default: this one)"),
    O("dry-run", 0, FLAG, dry_run, NULL, "show what would be written"),
};

static bool is_word(const char *text) {
    return *text &&
           strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(text);
}

static int check(const struct install_args *a, struct err **err) {
    if (a->name && !is_word(a->name))
        return err_set(err, EINVAL, "usage", "--name takes letters, digits, - and _, not \"%s\"", a->name);
    if (a->config && a->clients.count != 1)
        return err_set(err, EINVAL, "usage", "--config goes with exactly one --client");
    if (a->path && (a->path[0] != '/' || strpbrk(a->path, "\"\\\n")))
        return err_set(err, EINVAL, "usage", "--path must be an absolute path without quotes, not \"%s\"",
                       a->path);
    for (size_t i = 0; i < a->clients.count; i++)
        if (!registration_default_file(a->clients.items[i]))
            return err_set(err, EINVAL, "usage", "--client takes docker, podman or containerd, not \"%s\"",
                           a->clients.items[i]);
    return 0;
}

static int one(const struct install_args *a, const char *client, const char *path, char **args,
               struct err **err) {
    struct registration r = {.client = client,
                             .file = a->config ? a->config : registration_default_file(client),
                             .name = a->name ? a->name : "runsc",
                             .path = path,
                             .args = args,
                             .dry_run = a->dry_run};
    int result = registration_apply(&r, err);

    if (result < 0)
        return result;
    printf("%s: %s%s\n", client, r.file, result ? path ? ": registered" : ": taken out" : ": nothing to do");
    if (result && strcmp(client, "podman") != 0 && !a->dry_run)
        printf("%s: takes effect after: systemctl %s %s\n", client,
               strcmp(client, "docker") == 0 ? "reload" : "restart", client);
    return 0;
}

static int all(const struct install_args *a, const char *path, char **args, struct err **err) {
    static const char *const known[] = {"docker", "podman", "containerd"};
    size_t done = 0;
    int r = check(a, err);

    for (size_t i = 0; r >= 0 && i < a->clients.count; i++, done++)
        r = one(a, a->clients.items[i], path, args, err);
    for (size_t i = 0; r >= 0 && a->clients.count == 0 && i < ARRAY_SIZE(known); i++)
        if (registration_client_present(known[i])) {
            r = one(a, known[i], path, args, err);
            done++;
        }
    if (r >= 0 && done == 0)
        r = err_set(err, ENOENT, "install.no-client",
                    "there is no docker, podman or containerd on this host");
    return r;
}

static int run_install(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct install_args *a = options;
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    (void)cli;
    (void)argc;
    if (n < 0 && !a->path)
        return err_set(err, errno, "install.self", "finding this program");
    self[MAX(n, (ssize_t)0)] = '\0';
    return all(a, a->path ? a->path : self, argv, err);
}

static int run_uninstall(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    (void)cli;
    (void)argc;
    (void)argv;
    return all(options, NULL, NULL, err);
}

const struct command g_cmd_install = {.name = "install",
                                      .arguments = "[-- RUNTIME ARGUMENTS]",
                                      .summary = "register this runtime with docker, podman and containerd",
                                      .options = g_options,
                                      .option_count = ARRAY_SIZE(g_options),
                                      .options_size = sizeof(struct install_args),
                                      .max_args = -1,
                                      .run = run_install};
const struct command g_cmd_uninstall = {.name = "uninstall",
                                        .arguments = "",
                                        .summary = "take this runtime out of the clients' configuration",
                                        .options = g_options,
                                        .option_count = ARRAY_SIZE(g_options),
                                        .options_size = sizeof(struct install_args),
                                        .run = run_uninstall};
