/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/membership_host.c: see membership.h. Namespaces are compared by their inodes in
 * /proc/PID/ns of the stand-ins, so that any path to one will do. Source: namespaces(7).
 */
#include "runsc/container/membership.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Inside one kernel these mean something; sharing one of them takes a shared kernel. */
static bool joins_sandbox(enum spec_namespace_kind kind) {
    return kind == NS_PID || kind == NS_IPC || kind == NS_UTS || kind == NS_NETWORK;
}

static const char *sandbox_annotation(const struct spec *spec) {
    static const struct {
        const char *type, *id;
    } names[] = {{"io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"},
                 {"io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID"}};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *type = spec_annotation(spec, names[i].type);
        if (type && strcmp(type, "container") == 0)
            return spec_annotation(spec, names[i].id);
    }
    return NULL;
}

bool membership_is_pod(const struct spec *spec) {
    const char *cri = spec_annotation(spec, "io.kubernetes.cri.container-type");
    const char *crio = spec_annotation(spec, "io.kubernetes.cri-o.ContainerType");

    return (cri && strcmp(cri, "sandbox") == 0) || (crio && strcmp(crio, "sandbox") == 0);
}

/* Namespaces that the spec joins by path and that are not this process's own (the host's, as far as a client
 * of ours is concerned). */
struct wanted {
    struct stat ns[NS_KINDS];
    bool set[NS_KINDS];
    size_t count;
};

static void list_wanted(const struct spec *spec, struct wanted *w) {
    *w = (struct wanted){0};
    for (size_t i = 0; i < spec->linux_.namespaces.count; i++) {
        const struct spec_namespace *n = &spec->linux_.namespaces.items[i];
        char own[64];
        struct stat ours;
        snprintf(own, sizeof own, "/proc/self/ns/%s", spec_namespace_name(n->kind));
        if (!n->path || stat(n->path, &w->ns[n->kind]) < 0 || stat(own, &ours) < 0 ||
            ours.st_ino == w->ns[n->kind].st_ino)
            continue;
        w->set[n->kind] = true;
        w->count++;
    }
}

static uint64_t shared_with(const struct wanted *w, const struct host_process *p, bool *ret_joins) {
    uint64_t flags = 0;

    for (int kind = 0; kind < NS_KINDS; kind++) {
        char path[64];
        struct stat theirs;
        snprintf(path, sizeof path, "/proc/%d/ns/%s", p->pid,
                 spec_namespace_name((enum spec_namespace_kind)kind));
        if (!w->set[kind] || kind == NS_MOUNT || stat(path, &theirs) < 0 ||
            theirs.st_ino != w->ns[kind].st_ino)
            continue;
        flags |= (uint64_t)(unsigned)spec_namespace_flag((enum spec_namespace_kind)kind);
        *ret_joins |= joins_sandbox((enum spec_namespace_kind)kind);
    }
    return flags;
}

static const char *sandbox_of(const struct container *c) {
    return c->state.sandbox_id ? c->state.sandbox_id : c->id;
}

static int enter(struct membership *m, const struct container *c, struct err **err) {
    if (m->sandbox_id && strcmp(m->sandbox_id, sandbox_of(c)) != 0) {
        int r = err_set(err, EINVAL, "sandbox.two",
                        "linux.namespaces: it joins containers of two sandboxes, %s and %s", m->sandbox_id,
                        sandbox_of(c));
        err_explain(err, "a sandbox has a kernel of its own, and a container runs in one", NULL);
        return r;
    }
    if (m->sandbox_id)
        return 0;
    m->sandbox_id = strdup(sandbox_of(c));
    m->lender = strdup(c->id);
    m->sandbox = c->state.sandbox;
    return m->sandbox_id && m->lender
               ? 0
               : err_set(err, ENOMEM, "out-of-memory", "finding the container's sandbox");
}

static int consider(struct cli *cli, const char *id, const struct wanted *w, const char *annotated,
                    struct membership *m, struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    bool joins = annotated && strcmp(id, annotated) == 0;
    int r = 0;

    if (container_open(cli, id, CONTAINER_READ, &c, NULL) < 0 || !c->state.has_init ||
        !host_process_alive(&c->state.sandbox) || !host_process_alive(&c->state.standin))
        return 0; /* no longer there */
    uint64_t flags = shared_with(w, &c->state.standin, &joins);
    if (joins)
        r = enter(m, c, err);
    if (r >= 0 && flags && m->sandbox_id && strcmp(m->sandbox_id, sandbox_of(c)) == 0)
        json_array_append_new(m->shares, json_pack("[s,I]", c->id, (json_int_t)flags));
    return r;
}

static void free_ids(char **ids) {
    for (size_t i = 0; ids && ids[i]; i++)
        free(ids[i]);
    free(ids);
}

int membership_find(struct cli *cli, const struct spec *spec, struct membership *ret, struct err **err) {
    const char *annotated = sandbox_annotation(spec);
    struct wanted w;
    char **ids = NULL;

    *ret = (struct membership){0};
    list_wanted(spec, &w);
    if (w.count == 0 && !annotated)
        return 0;
    ret->shares = json_array();
    int r = container_list(cli, &ids, err);
    for (size_t i = 0; r >= 0 && ids[i]; i++)
        r = consider(cli, ids[i], &w, annotated, ret, err);
    free_ids(ids);
    if (r >= 0 && annotated && !ret->sandbox_id)
        cli_warn(cli,
                 "the annotations name the sandbox %.64s, which does not run here: the container gets a "
                 "sandbox of its own",
                 annotated);
    if (r < 0)
        membership_done(ret);
    return r;
}

void membership_done(struct membership *m) {
    free(m->sandbox_id);
    free(m->lender);
    json_decref(m->shares);
    *m = (struct membership){0};
}

char *membership_other(struct container *c) {
    char **ids = NULL, *found = NULL;

    if (container_list(c->cli, &ids, NULL) < 0)
        return NULL;
    for (size_t i = 0; ids[i] && !found; i++) {
        cleanup(container_closep) struct container *other = NULL;
        if (strcmp(ids[i], c->id) != 0 && container_open(c->cli, ids[i], CONTAINER_READ, &other, NULL) >= 0 &&
            strcmp(sandbox_of(other), sandbox_of(c)) == 0 && host_process_alive(&other->state.standin))
            found = strdup(other->id);
    }
    free_ids(ids);
    return found;
}
