/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/create.c: everything up to the program's first instruction.
 */
#include "runsc/cmd/create.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/console/console.h"

int write_pid_file(const char *path, pid_t pid, struct err **err) {
    cleanup(freep) char *temporary = NULL;
    char text[16];
    int n = snprintf(text, sizeof text, "%d", pid);

    if (asprintf(&temporary, "%s.%d.tmp", path, getpid()) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "writing %s", path);
    cleanup(closep) int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, (size_t)n) != n || rename(temporary, path) < 0) {
        int r = err_set(err, errno, "pid-file", "writing the pid file %s", path);
        unlink(temporary);
        return r;
    }
    return 0;
}

/* Who carries the terminal: the caller itself, or whoever listens on the console socket. */
static int prepare_terminal(const struct create_args *a, const struct spec *spec, struct foreground *f,
                            int *ret_slave, struct err **err) {
    const struct spec_process *p = &spec->process;
    cleanup(closep) int master = -1;

    if (a->console_socket && !p->terminal)
        return err_set(err, EINVAL, "console.unused",
                       "cannot use console socket if process.terminal is false");
    if (!p->terminal)
        return 0;
    if (f && !a->console_socket) {
        *ret_slave = fcntl(f->slave_fd, F_DUPFD_CLOEXEC, 3);
        return *ret_slave < 0 ? err_set(err, errno, "console.pty", "handing the terminal on") : 0;
    }
    if (!a->console_socket)
        return err_set(err, EINVAL, "console.missing",
                       "cannot allocate tty if runsc will detach without setting console socket");
    int r = console_pair((uint16_t)p->console_size.height, (uint16_t)p->console_size.width, &master,
                         ret_slave, err);
    return r < 0 ? r : console_send_master(a->console_socket, master, err);
}

static int check_preserved(int64_t count, int *fds, struct err **err) {
    if (count < 0 || count > CONTROL_MAX_FDS - 16)
        return err_set(err, EINVAL, "usage", "--preserve-fds must lie between 0 and %d",
                       CONTROL_MAX_FDS - 16);
    for (int i = 0; i < (int)count; i++) {
        fds[i] = 3 + i;
        if (fcntl(fds[i], F_GETFD) < 0)
            return err_set(err, EBADF, "preserve-fds", "--preserve-fds %lld: descriptor %d is not open",
                           (long long)count, fds[i]);
    }
    return 0;
}

static int root_policy(const struct create_args *a, const struct spec *spec, struct create_options *o,
                       struct err **err) {
    const char *overlay = a->overlay ? a->overlay : spec_annotation(spec, "dev.runsc.overlay");

    if (overlay && strcmp(overlay, "memory") != 0 && strcmp(overlay, "none") != 0)
        return err_set(err, EINVAL, "usage", "the overlay policy must be none or memory, not \"%s\"",
                       overlay);
    o->overlay = overlay && strcmp(overlay, "memory") == 0;
    return 0;
}

int create_from_bundle(struct cli *cli, const struct create_args *a, const char *id, struct foreground *f,
                       struct container **ret, struct err **err) {
    cleanup(json_decrefp) json_t *config = NULL;
    cleanup(spec_freep) struct spec *spec = NULL;
    cleanup(closep) int slave = -1;
    int extra[CONTROL_MAX_FDS];
    char host_name[65];
    uint16_t rows = 0, columns = 0;

    /* Descriptors of the caller that happen to be open must reach nobody: containerd's shim leaves a socket
     * at 3. */
    int r = check_preserved(a->preserve_fds, extra, err);
    if (f)
        *f = foreground_none(cli);
    if (r >= 0)
        r = container_check_id(id, err);
    if (r >= 0)
        r = bundle_load(cli, a->bundle ? a->bundle : ".", &config, &spec, err);
    if (r >= 0 && !spec->process.set)
        r = err_set(err, EINVAL, "spec.invalid", "process is missing");
    if (r >= 0 && f)
        r = foreground_prepare(f, cli, spec->process.terminal && !a->console_socket, &rows, &columns, err);
    if (r >= 0)
        r = prepare_terminal(a, spec, f, &slave, err);
    struct create_options o = {.id = id,
                               .bundle = a->bundle ? a->bundle : ".",
                               .config = config,
                               .spec = spec,
                               .stdio = {0, 1, 2},
                               .tty_fd = slave,
                               .extra_fds = extra,
                               .extra_fd_count = (size_t)a->preserve_fds,
                               .standin = true,
                               .cgroups = true,
                               .keep_stderr = f != NULL,
                               .owner_fd = f ? f->owner[1] : -1};
    if (r >= 0 && !spec_namespace(spec, NS_UTS) && gethostname(host_name, sizeof host_name) == 0)
        o.host_name = host_name;
    if (r >= 0)
        r = root_policy(a, spec, &o, err);
    if (r >= 0)
        r = runsc_container_create(cli, &o, ret, err);
    if (r >= 0 && a->pid_file) {
        const struct container_state *s = &(*ret)->state;
        r = write_pid_file(a->pid_file, s->standin.pid ? s->standin.pid : getpid(), err);
        if (r < 0) {
            (void)!runsc_container_destroy(*ret, NULL);
            container_close(*ret);
            *ret = NULL;
        }
    }
    return r;
}

static const struct option_def g_options[] = {CREATE_OPTIONS(struct create_args, )};

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;

    (void)argc;
    return create_from_bundle(cli, options, argv[0], NULL, &c, err);
}

const struct command g_cmd_create = {.name = "create",
                                     .arguments = "ID",
                                     .summary = "create a container from a bundle",
                                     .options = g_options,
                                     .option_count = ARRAY_SIZE(g_options),
                                     .options_size = sizeof(struct create_args),
                                     .permute = true,
                                     .min_args = 1,
                                     .max_args = 1,
                                     .run = run};
