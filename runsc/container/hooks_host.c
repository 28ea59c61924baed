/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/hooks_host.c: see hooks.h. Source: config.md "POSIX-platform Hooks".
 */
#include "runsc/container/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "runsc/container/foreground.h"

#define HOOK_STDERR_MAX 4096

struct hook_run {
    const struct spec_hook *hook;
    const char *name, *cwd;
    char *state;
    pid_t pid;
    int pid_fd, in, out; /* out: its standard error */
    char text[HOOK_STDERR_MAX];
    size_t text_size;
};

static noreturn_fn void hook_child(const struct hook_run *h, int in, int out) {
    static char *no_env[] = {NULL};
    char *self[] = {h->hook->path, NULL};
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    int null = open("/dev/null", O_RDWR);
    if (dup2(in, 0) < 0 || dup2(null, 1) < 0 || dup2(out, 2) < 0 || chdir(h->cwd) < 0)
        _exit(126);
    (void)close_range(3, ~0u, 0);
    execve(h->hook->path, h->hook->args.count ? h->hook->args.items : self,
           h->hook->env.items ? h->hook->env.items : no_env);
    (void)!write(2, strerror(errno), strlen(strerror(errno)));
    _exit(127);
}

static int start_hook(struct hook_run *h, struct err **err) {
    int in[2], out[2];

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        return err_set(err, errno, "hook.start", "starting the %s hook %s", h->name, h->hook->path);
    h->pid = fork();
    if (h->pid == 0)
        hook_child(h, in[0], out[1]);
    close_fd(in[0]);
    close_fd(out[1]);
    h->in = in[1];
    h->out = out[0];
    h->pid_fd = h->pid > 0 ? (int)syscall(SYS_pidfd_open, h->pid, 0) : -1;
    return h->pid < 0 || h->pid_fd < 0
               ? err_set(err, errno, "hook.start", "starting the %s hook %s", h->name, h->hook->path)
               : 0;
}

/* Feeds it and listens until it has ended. 0, or -ETIMEDOUT. A hook that never reads its input is fine. */
static int attend(struct hook_run *h) {
    int64_t deadline =
        h->hook->timeout_s.set ? monotonic_ns() + h->hook->timeout_s.value * NSEC_PER_SEC : CLOCK_NEVER;
    size_t sent = 0, size = strlen(h->state);

    for (;;) {
        struct pollfd p[] = {{.fd = h->pid_fd, .events = POLLIN},
                             {.fd = sent < size ? h->in : -1, .events = POLLOUT},
                             {.fd = h->out, .events = POLLIN}};
        int64_t left = deadline == CLOCK_NEVER ? -1 : (deadline - monotonic_ns()) / 1000000 + 1;
        if (deadline != CLOCK_NEVER && left <= 0)
            return -ETIMEDOUT;
        if (poll(p, ARRAY_SIZE(p), (int)MIN(left, (int64_t)INT32_MAX)) < 0 && errno != EINTR)
            return -errno;
        if (p[1].revents) {
            ssize_t n = write(h->in, h->state + sent, size - sent);
            sent = n > 0 ? sent + (size_t)n : size;
        }
        if (sent == size)
            closep(&h->in);
        if (p[2].revents) {
            char buffer[512];
            ssize_t n = read(h->out, buffer, sizeof buffer);
            size_t keep = n > 0 ? MIN((size_t)n, sizeof h->text - 1 - h->text_size) : 0;
            memcpy(h->text + h->text_size, buffer, keep);
            h->text_size += keep;
            if (n <= 0)
                closep(&h->out);
        } else if (p[0].revents) {
            return 0; /* ended, and all it said is read; a daemon it left behind may keep the pipe */
        }
    }
}

static int run_hook(struct hook_run *h, struct err **err) {
    int r = start_hook(h, err), status = 0;

    if (r >= 0)
        r = attend(h);
    if (r < 0 && h->pid > 0)
        kill(h->pid, SIGKILL);
    while (h->pid > 0 && waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
        ;
    closep(&h->in);
    closep(&h->out);
    closep(&h->pid_fd);
    h->text[strcspn(h->text, "\n")] = '\0';
    if (r == -ETIMEDOUT)
        return err_set(err, ETIMEDOUT, "hook.timeout", "%s hook %s: hook ran past specified timeout of %.1fs",
                       h->name, h->hook->path, (double)h->hook->timeout_s.value);
    if (r < 0)
        return err_set(err, -r, "hook.start", "running the %s hook %s", h->name, h->hook->path);
    if (status == 0)
        return 0;
    (void)err_set(err, 0, "hook.failed", "error running %s hook %s: exit status %d%s%s", h->name,
                  h->hook->path, exit_code_of(status), h->text[0] ? ", stderr: " : "", h->text);
    return -ECANCELED;
}

int hooks_run(const struct spec_hook_list *list, const char *name, const char *cwd, json_t *state,
              struct err **err) {
    int r = 0;

    if (list->count == 0)
        return 0;
    cleanup(freep) char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;
    if (!text)
        return err_set(err, ENOMEM, "out-of-memory", "running hooks");
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; r >= 0 && i < list->count; i++) {
        struct hook_run h = {.hook = &list->items[i],
                             .name = name,
                             .cwd = cwd,
                             .state = text,
                             .pid_fd = -1,
                             .in = -1,
                             .out = -1};
        log_debug(LOG_CLI, "%s hook %s", name, h.hook->path);
        r = run_hook(&h, err);
    }
    return r;
}

void hooks_run_leniently(struct cli *cli, const struct spec_hook_list *list, const char *name,
                         const char *cwd, json_t *state) {
    for (size_t i = 0; i < list->count; i++) {
        struct spec_hook_list one = {.items = &list->items[i], .count = 1};
        struct err *err = NULL;
        if (hooks_run(&one, name, cwd, state, &err) < 0) {
            char *text = err ? err_text(err) : NULL;
            cli_warn(cli, "%s", text ? text : name);
            free(text);
        }
        err_free(err);
    }
}

int hooks_load(struct container *c, struct spec **ret, struct err **err) {
    cleanup(json_decrefp) json_t *document = json_pack("{s:s,s:{s:s},s:O*}", "ociVersion", RUNSC_SPEC_VERSION,
                                                       "root", "path", "/", "hooks", c->state.hooks);

    return document ? spec_parse(document, ret, err)
                    : err_set(err, ENOMEM, "out-of-memory", "reading the hooks of container %s", c->id);
}

/* ---- in the guest ---- */

static json_t *guest_request(struct container *c, const struct spec_hook *h) {
    json_t *args = json_array(), *env = json_array();

    for (size_t i = 0; i < h->args.count; i++)
        json_array_append_new(args, json_string(h->args.items[i]));
    if (h->args.count == 0)
        json_array_append_new(args, json_string(h->path));
    else
        json_array_set_new(args, 0, json_string(h->path));
    for (size_t i = 0; i < h->env.count; i++)
        json_array_append_new(env, json_string(h->env.items[i]));
    return json_pack("{s:s,s:s,s:{s:o,s:o,s:s,s:{s:i,s:i}},s:[b,b,b],s:i}", "verb", "exec", "container",
                     c->id, "process", "args", args, "env", env, "cwd", "/", "user", "uid", 0, "gid", 0,
                     "fds_stdio", 1, 0, 0, "fds_owner", 1);
}

static int run_guest_hook(struct container *c, const struct spec_hook *h, const char *state,
                          struct err **err) {
    struct control_channel channel, owner;
    int in[2], pair[2], r;
    json_t *event = NULL;

    if (pipe2(in, O_CLOEXEC) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set(err, errno, "hook.start", "starting the startContainer hook %s", h->path);
    control_channel_init(&owner, pair[0]);
    int fds[] = {in[0], pair[1]};
    r = container_connect(c, &channel, err);
    if (r >= 0) {
        json_t *request = guest_request(c, h);
        r = control_call(&channel, request, fds, 2, NULL, err);
        json_decref(request);
        control_channel_done(&channel);
    }
    close_fd(in[0]);
    close_fd(pair[1]);
    if (r >= 0)
        (void)!write(in[1], state, strlen(state)); /* below a pipe's size */
    close_fd(in[1]);
    if (r >= 0)
        r = control_receive(&owner, &event, err);
    int status = (int)json_integer_value(json_object_get(event, "status"));
    if (r >= 0 && status != 0) {
        (void)err_set(err, 0, "hook.failed", "error running startContainer hook %s: exit status %d", h->path,
                      exit_code_of(status));
        r = -ECANCELED;
    }
    json_decref(event);
    control_channel_done(&owner);
    return r;
}

int hooks_run_in_guest(struct container *c, const struct spec_hook_list *list, struct err **err) {
    cleanup(json_decrefp) json_t *state = list->count ? container_state_json(c, STATUS_CREATED) : NULL;
    cleanup(freep) char *text = state ? json_dumps(state, JSON_COMPACT) : NULL;
    int r = 0;

    if (list->count && !text)
        return err_set(err, ENOMEM, "out-of-memory", "running hooks");
    for (size_t i = 0; r >= 0 && i < list->count; i++)
        r = run_guest_hook(c, &list->items[i], text, err);
    return r;
}
