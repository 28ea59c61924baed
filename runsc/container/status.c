/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/status.c: what state a container is in, asked of its sandbox, and told as JSON.
 */
#include "runsc/container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

int container_connect(struct container *c, struct control_channel *ret, struct err **err) {
    return control_connect(c->dir_fd, "control.sock", ret, err);
}

json_t *container_request(const struct container *c, const char *verb) {
    return json_pack("{s:s,s:s}", "verb", verb, "container", c->id);
}

const char *container_status_name(enum container_status s) {
    static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

    return names[s];
}

/* Whatever cannot be asked any more has stopped. */
enum container_status container_status(struct container *c) {
    struct control_channel channel;
    json_t *answer = NULL;
    enum container_status status = STATUS_STOPPED;

    if (!c->state.has_init)
        return host_process_alive(&c->state.sandbox) ? STATUS_CREATING : STATUS_STOPPED;
    if (!host_process_alive(&c->state.sandbox) || container_connect(c, &channel, NULL) < 0)
        return STATUS_STOPPED;
    cleanup(json_decrefp) json_t *request = container_request(c, "state");
    if (control_call(&channel, request, NULL, 0, &answer, NULL) >= 0) {
        const char *name = json_string_value(json_object_get(answer, "status"));
        for (int s = STATUS_CREATING; name && s <= STATUS_STOPPED; s++)
            if (strcmp(name, container_status_name((enum container_status)s)) == 0)
                status = (enum container_status)s;
    }
    json_decref(answer);
    control_channel_done(&channel);
    return status;
}

json_t *container_state_json(struct container *c, enum container_status status) {
    struct container_state *s = &c->state;
    int pid = status == STATUS_STOPPED ? 0 : (int)(s->standin.pid ? s->standin.pid : s->sandbox.pid);

    return json_pack("{s:s,s:s,s:i,s:s,s:s,s:s,s:s,s:o,s:s}", "ociVersion",
                     s->oci_version ? s->oci_version : RUNSC_SPEC_VERSION, "id", c->id, "pid", pid, "status",
                     container_status_name(status), "bundle", s->bundle ? s->bundle : "", "rootfs",
                     s->rootfs ? s->rootfs : "", "created", s->created ? s->created : "0001-01-01T00:00:00Z",
                     "annotations", s->annotations ? json_incref(s->annotations) : json_object(), "owner",
                     s->owner ? s->owner : "");
}
