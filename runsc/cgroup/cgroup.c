/* SPDX-License-Identifier: Apache-2.0
 * runsc/cgroup/cgroup.c: which hierarchies there are and where a container's groups lie in them. Sources:
 * cgroups(7), proc_pid_mountinfo(5).
 */
#include "runsc/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "runsc/container/container.h"

static int no_memory(struct err **err) {
    return err_set(err, ENOMEM, "out-of-memory", "looking at cgroups");
}

static void unescape(char *s) {
    char *out = s;

    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
            *out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 3;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
}

static bool in_list(const char *list, const char *word, size_t size) {
    for (; *list; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == size && strncmp(list, word, size) == 0)
            return true;
    return false;
}

/* The controllers of a v1 mount are among its super options, beside "rw" and such. */
static char *controllers_of(const char *options) {
    static const char *const known[] = {"cpu",        "cpuacct", "cpuset", "memory",  "devices",
                                        "freezer",    "blkio",   "pids",   "net_cls", "net_prio",
                                        "perf_event", "hugetlb", "rdma",   "misc"};
    char *out = calloc(1, strlen(options) + 2);

    for (const char *o = options; out && *o; o += strcspn(o, ","), o += *o == ',') {
        size_t size = strcspn(o, ",");
        bool wanted = strncmp(o, "name=", 5) == 0;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
            wanted |= strlen(known[i]) == size && strncmp(o, known[i], size) == 0;
        if (wanted) {
            if (*out)
                strcat(out, ",");
            strncat(out, o, size);
        }
    }
    return out;
}

/* "ID:CONTROLLERS:PATH" lines; v2 is "0::PATH". */
static char *own_group(const char *self, const struct cgroup_hierarchy *h) {
    for (const char *line = self; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *controllers = memchr(line, ':', strcspn(line, "\n"));
        const char *path = controllers ? memchr(controllers + 1, ':', strcspn(controllers + 1, "\n")) : NULL;
        if (!path)
            continue;
        size_t size = (size_t)(path - controllers - 1);
        size_t first = strcspn(h->controllers, ",");
        char list[256];
        if (size >= sizeof list)
            continue;
        memcpy(list, controllers + 1, size);
        list[size] = '\0';
        if (h->v2 ? size == 0 : size > 0 && in_list(list, h->controllers, first))
            return strndup(path + 1, strcspn(path + 1, "\n"));
    }
    return strdup("/");
}

static int add_mount(struct cgroup *g, char *line, const char *self, const char *prefix, struct err **err) {
    char *field[6] = {NULL}, *rest = NULL;
    char *dash = strstr(line, " - ");

    if (!dash)
        return 0;
    *dash = '\0';
    char *word = strtok_r(line, " ", &rest);
    for (int i = 0; i < 6 && word; i++, word = strtok_r(NULL, " ", &rest))
        field[i] = word;
    char *type = strtok_r(dash + 3, " ", &rest);
    char *source = strtok_r(NULL, " ", &rest), *options = strtok_r(NULL, " ", &rest);
    if (!field[4] || !type || !source || !options || strncmp(type, "cgroup", 6) != 0)
        return 0;
    struct cgroup_hierarchy h = {.v2 = strcmp(type, "cgroup2") == 0};
    unescape(field[3]);
    unescape(field[4]);
    h.controllers = h.v2 ? strdup("") : controllers_of(options);
    h.mount_root = strdup(field[3]);
    h.own = own_group(self, &h);
    for (size_t i = 0; i < g->count && h.controllers; i++)
        if (strcmp(g->items[i].controllers, h.controllers) == 0) { /* mounted twice: the first will do */
            free(h.controllers);
            free(h.mount_root);
            free(h.own);
            return 0;
        }
    if (asprintf(&h.mount_point, "%s%s", prefix, field[4]) < 0)
        h.mount_point = NULL;
    struct cgroup_hierarchy *items = realloc(g->items, (g->count + 1) * sizeof *items);
    if (items)
        g->items = items;
    if (!items || !h.controllers || !h.mount_root || !h.own || !h.mount_point)
        return no_memory(err);
    g->items[g->count++] = h;
    return 0;
}

int cgroup_parse(const char *mountinfo, const char *self, const char *prefix, struct cgroup *ret,
                 struct err **err) {
    cleanup(freep) char *text = strdup(mountinfo);
    char *rest = NULL;
    int r = text ? 0 : no_memory(err);

    *ret = (struct cgroup){.count = 0};
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line && r >= 0;
         line = strtok_r(NULL, "\n", &rest))
        r = add_mount(ret, line, self, prefix, err);
    if (r < 0)
        cgroup_done(ret);
    return r;
}

int cgroup_discover(struct cgroup *ret, struct err **err) {
    cleanup(freep) char *mountinfo = NULL;
    cleanup(freep) char *self = NULL;
    size_t size;

    *ret = (struct cgroup){.count = 0};
    int r = read_text_file(AT_FDCWD, "/proc/self/mountinfo", 16u << 20, &mountinfo, &size, err);
    if (r >= 0 && read_text_file(AT_FDCWD, "/proc/self/cgroup", 1u << 20, &self, &size, NULL) < 0)
        return 0; /* a kernel without cgroups */
    return r < 0 ? r : cgroup_parse(mountinfo, self, "", ret, err);
}

static bool wants_limits(const struct spec_resources *r) {
    return r->memory.limit.value > 0 || r->memory.swap.value > 0 || r->memory.reservation.value > 0 ||
           r->cpu.shares.value || r->cpu.quota.value > 0 || r->cpu.cpus || r->cpu.mems ||
           r->pids_limit.value > 0 || r->block_io.weight.value || r->hugepages.count || r->unified.count;
}

/* ".." in a path from the spec could lead to another's group. */
static bool climbs(const char *path) {
    for (const char *at = path; *at; at += strcspn(at, "/"), at += *at == '/')
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0'))
            return true;
    return false;
}

/* Our own group as seen below the mount point: paths in /proc/self/cgroup count from the hierarchy's root,
 * the mount may not. */
static const char *own_below_mount(const struct cgroup_hierarchy *h) {
    size_t size = strlen(h->mount_root);

    if (strcmp(h->mount_root, "/") == 0)
        return h->own;
    return strncmp(h->own, h->mount_root, size) == 0 && (h->own[size] == '/' || !h->own[size]) ? h->own + size
                                                                                               : "/";
}

int cgroup_plan(struct cgroup *g, const struct spec *spec, const char *id, struct err **err) {
    const char *path = spec->linux_.cgroups_path;

    if (path && *path && climbs(path))
        return err_set(err, EINVAL, "spec.invalid", "linux.cgroupsPath must not hold \"..\": \"%s\"", path);
    g->required = (path && *path) || wants_limits(&spec->linux_.resources);
    for (size_t i = 0; i < g->count; i++) {
        struct cgroup_hierarchy *h = &g->items[i];
        const char *own = path && path[0] == '/' ? "" : own_below_mount(h);
        const char *below = path && *path ? path : id;
        if (asprintf(&h->directory, "%s%s%s%s", h->mount_point, strcmp(own, "/") == 0 ? "" : own,
                     below[0] == '/' ? "" : "/", below) < 0) {
            h->directory = NULL;
            return no_memory(err);
        }
    }
    return 0;
}

json_t *cgroup_to_json(const struct cgroup *g) {
    json_t *list = json_array();

    for (size_t i = 0; list && i < g->count; i++)
        if (g->items[i].directory)
            json_array_append_new(list, json_pack("{s:s,s:s,s:b}", "controllers", g->items[i].controllers,
                                                  "directory", g->items[i].directory, "v2", g->items[i].v2));
    return list;
}

int cgroup_from_json(const json_t *list, struct cgroup *ret, struct err **err) {
    size_t i;
    json_t *one;

    *ret = (struct cgroup){.items = calloc(json_array_size(list) + 1, sizeof *ret->items), .required = true};
    if (!ret->items)
        return no_memory(err);
    json_array_foreach((json_t *)(uintptr_t)list, i, one) {
        struct cgroup_hierarchy *h = &ret->items[ret->count++];
        const char *controllers = json_string_value(json_object_get(one, "controllers"));
        const char *directory = json_string_value(json_object_get(one, "directory"));
        h->controllers = strdup(controllers ? controllers : "");
        h->directory = directory && directory[0] == '/' ? strdup(directory) : NULL;
        h->v2 = json_is_true(json_object_get(one, "v2"));
        if (!h->controllers || !h->directory) {
            cgroup_done(ret);
            return err_set(err, EINVAL, "state.invalid", "the state file's list of cgroups is damaged");
        }
    }
    return 0;
}

void cgroup_done(struct cgroup *g) {
    for (size_t i = 0; i < g->count; i++) {
        free(g->items[i].controllers);
        free(g->items[i].mount_point);
        free(g->items[i].mount_root);
        free(g->items[i].own);
        free(g->items[i].directory);
    }
    free(g->items);
    *g = (struct cgroup){.count = 0};
}
