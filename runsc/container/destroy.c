/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/destroy.c: starting a created container, and ending whatever there is of one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runsc/container/container.h"

int container_start(struct container *c, struct err **err) {
    struct control_channel channel;

    if (!c->state.has_init)
        return err_set(err, EINVAL, "container.creating", "container %s was never fully created", c->id);
    int r = container_connect(c, &channel, err);
    if (r < 0)
        return r;
    json_t *request = container_request(c, "start");
    r = control_call(&channel, request, NULL, 0, NULL, err);
    json_decref(request);
    control_channel_done(&channel);
    if (r < 0)
        return r;
    c->state.started = true;
    return container_save(c, err);
}

/* A container in another's sandbox is destroyed there; the sandbox goes on. */
static void destroy_in_sandbox(struct container *c) {
    struct control_channel channel;

    if (container_connect(c, &channel, NULL) < 0)
        return;
    json_t *request = container_request(c, "destroy");
    (void)!control_call(&channel, request, NULL, 0, NULL, NULL);
    json_decref(request);
    control_channel_done(&channel);
}

static void reap(const struct host_process *p) {
    if (p->pid > 0)
        (void)!waitpid(p->pid, NULL, WNOHANG);
}

int runsc_container_destroy(struct container *c, struct err **err) {
    struct container_state *s = &c->state;
    bool own_sandbox = !s->sandbox_id || strcmp(s->sandbox_id, c->id) == 0;

    if (!own_sandbox && host_process_alive(&s->sandbox))
        destroy_in_sandbox(c);
    if (own_sandbox)
        host_process_kill(&s->sandbox);
    host_process_kill(&s->standin);
    host_process_kill(&s->gofer);
    /* Ours to reap if we made them; else the caller's subreaper does it. */
    reap(&s->sandbox);
    reap(&s->standin);
    reap(&s->gofer);
    log_info(LOG_CLI, "container %s is destroyed", c->id);
    return container_remove_files(c, err);
}

int container_end_run(struct cli *cli, const char *id, int r, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    struct err *why = NULL;
    int end = container_open(cli, id, CONTAINER_OLD, &c, &why);

    if (end >= 0)
        end = runsc_container_destroy(c, &why);
    if (r >= 0 && end < 0 && end != -ENOENT) {
        *err = TAKE(why);
        r = end;
    }
    err_free(why);
    return r;
}
