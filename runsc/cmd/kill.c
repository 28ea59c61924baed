/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/kill.c: sends a signal to a container's init, or to all its processes.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "runsc/container/container.h"

struct kill_args {
    bool all;
};
static const struct option_def g_options[] = {
    {.name = "all",
     .letter = 'a',
     .kind = OPTION_FLAG,
     .offset = 0,
     .help = "signal every process of the container"},
};

/* "15", "TERM", "SIGTERM", "sigterm", "RTMIN+3"; -1: unknown. Numbers are the same here and in the guest. */
static int signal_number(const char *text) {
    char *end;
    long n = strtol(text, &end, 10);

    if (end != text && *end == '\0')
        return n >= 0 && n <= 64 ? (int)n : -1;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (int i = 1; i < 32; i++)
        if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), text) == 0)
            return i;
    if (strncasecmp(text, "RTMIN+", 6) == 0 && isdigit((unsigned char)text[6])) {
        n = 34 + strtol(text + 6, &end, 10);
        return *end == '\0' && n <= 64 ? (int)n : -1;
    }
    return strcasecmp(text, "IOT") == 0 ? SIGABRT : strcasecmp(text, "CLD") == 0 ? SIGCHLD : -1;
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct kill_args *a = options;
    cleanup(container_closep) struct container *c = NULL;
    struct control_channel channel;
    int signo = argc > 1 ? signal_number(argv[1]) : SIGTERM;

    if (signo < 0)
        return err_set(err, EINVAL, "kill.signal", "unknown signal \"%s\"", argv[1]);
    int r = container_open(cli, argv[0], CONTAINER_READ, &c, err);
    if (r < 0)
        return r;
    /* One round trip: whether it runs is the sandbox's to say. */
    bool gone = !c->state.has_init || !host_process_alive(&c->state.sandbox) ||
                container_connect(c, &channel, NULL) < 0;
    if (gone && a->all)
        return 0;
    if (gone)
        return err_set(err, ESRCH, "container.not-running", "container not running");
    json_t *request = container_request(c, "signal");
    if (request) {
        json_object_set_new(request, "signal", json_integer(signo));
        /* SIGKILL of init ends the container, and so everything in it. */
        json_object_set_new(request, "scope", json_string(a->all ? "all" : "process"));
    }
    struct err *why = NULL;
    r = control_call(&channel, request, NULL, 0, NULL, &why);
    json_decref(request);
    control_channel_done(&channel);
    if (r == -ECONNRESET || r == -EPIPE) { /* it ended while we asked */
        err_free(TAKE(why));
        r = err_set(&why, ESRCH, "container.not-running", "container not running");
    }
    if (r == -ESRCH && a->all) /* as with runc, all of nothing have been told */
        r = 0;
    else if (r < 0 && err)
        *err = TAKE(why);
    err_free(why);
    return r;
}

const struct command g_cmd_kill = {.name = "kill",
                                   .arguments = "ID [SIGNAL]",
                                   .summary = "send a signal (default TERM) to a container",
                                   .options = g_options,
                                   .option_count = ARRAY_SIZE(g_options),
                                   .options_size = sizeof(struct kill_args),
                                   .permute = true,
                                   .min_args = 1,
                                   .max_args = 2,
                                   .run = run};
