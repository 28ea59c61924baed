/* SPDX-License-Identifier: Apache-2.0
 * runsc/cgroup/cgroup_tree_host.c: the directories of a container's groups: made, joined, removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "runsc/cgroup/cgroup_internal.h"

static bool has_controller(const char *list, const char *word) {
    size_t size = strlen(word);

    for (; *list; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == size && strncmp(list, word, size) == 0)
            return true;
    return false;
}

struct cgroup_hierarchy *cgroup_find(struct cgroup *g, const char *controller) {
    for (size_t i = 0; i < g->count; i++)
        if (!g->items[i].v2 && g->items[i].directory && has_controller(g->items[i].controllers, controller))
            return &g->items[i];
    return NULL;
}

struct cgroup_hierarchy *cgroup_find_v2(struct cgroup *g) {
    for (size_t i = 0; i < g->count; i++)
        if (g->items[i].v2 && g->items[i].directory)
            return &g->items[i];
    return NULL;
}

static int write_at(const char *directory, const char *file, const char *value) {
    char path[4400];

    if (snprintf(path, sizeof path, "%s/%s", directory, file) >= (int)sizeof path)
        return -ENAMETOOLONG;
    cleanup(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n;
    do
        n = write(fd, value, strlen(value));
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

static int read_at(const char *directory, const char *file, char *buffer, size_t size) {
    char path[4400];

    if (snprintf(path, sizeof path, "%s/%s", directory, file) >= (int)sizeof path)
        return -ENAMETOOLONG;
    cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, size - 1);
    if (n < 0)
        return -errno;
    buffer[n] = '\0';
    buffer[strcspn(buffer, "\n")] = '\0';
    return 0;
}

int cgroup_read(const struct cgroup_hierarchy *h, const char *file, char *buffer, size_t size) {
    return read_at(h->directory, file, buffer, size);
}

int cgroup_write(const struct cgroup_hierarchy *h, const char *file, const char *value, const char *what,
                 struct err **err) {
    int r = write_at(h->directory, file, value);

    return r < 0 ? err_set(err, -r, "cgroup.limit", "%s: writing \"%s\" to %s/%s", what, value, h->directory,
                           file)
                 : 0;
}

int cgroup_write_i64(const struct cgroup_hierarchy *h, const char *file, int64_t value, const char *what,
                     struct err **err) {
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)value);
    return cgroup_write(h, file, text, what, err);
}

bool cgroup_has(const struct cgroup_hierarchy *h, const char *file) {
    char path[4400];

    return snprintf(path, sizeof path, "%s/%s", h->directory, file) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

/* ---- making ---- */

/* A new v1 cpuset has no cpus and takes no process: they come down from the parent. */
static int fill_cpuset(const char *directory, const char *parent) {
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    char value[4096];

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        if (read_at(directory, files[i], value, sizeof value) < 0 || value[0])
            continue;
        int r = read_at(parent, files[i], value, sizeof value);
        if (r >= 0 && value[0])
            r = write_at(directory, files[i], value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Controllers must be handed down level by level in v2; those that the parent lacks are left out. */
static void enable_controllers(const char *parent) {
    char available[512], *rest = NULL;

    if (read_at(parent, "cgroup.controllers", available, sizeof available) < 0)
        return;
    for (char *word = strtok_r(available, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char text[64];
        snprintf(text, sizeof text, "+%s", word);
        (void)write_at(parent, "cgroup.subtree_control", text);
    }
}

static int make_directory(struct cgroup_hierarchy *h, size_t mount_size) {
    char *path = h->directory;
    bool cpuset = has_controller(h->controllers, "cpuset");

    for (char *slash = path + mount_size; slash; slash = strchr(slash + 1, '/')) {
        char *next = strchr(slash + 1, '/');
        if (slash[1] == '\0' || slash[1] == '/')
            continue;
        *slash = '\0';
        char *parent = strdup(path);
        *slash = '/';
        if (next)
            *next = '\0';
        if (h->v2 && parent)
            enable_controllers(parent);
        int r = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
        if (r >= 0 && cpuset && parent)
            r = fill_cpuset(path, parent);
        free(parent);
        if (next)
            *next = '/';
        if (r < 0)
            return r;
    }
    return 0;
}

static void forget(struct cgroup_hierarchy *h) {
    free(h->directory);
    h->directory = NULL;
}

/* v1 hierarchies without a controller and v2 beside v1 are for bookkeeping only: they may fail. */
static bool is_optional(const struct cgroup *g, const struct cgroup_hierarchy *h) {
    return !g->required || strncmp(h->controllers, "name=", 5) == 0 || (h->v2 && g->count > 1);
}

int cgroup_create(struct cgroup *g, const struct spec_resources *resources, struct err **err) {
    for (size_t i = 0; i < g->count; i++) {
        struct cgroup_hierarchy *h = &g->items[i];
        char frozen[32];
        if (!h->directory)
            continue;
        int r = make_directory(h, strlen(h->mount_point));
        if (r < 0 && is_optional(g, h)) {
            log_info(LOG_CLI, "no cgroup %s: %s", h->directory, strerror(-r));
            forget(h);
            continue;
        }
        if (r < 0) {
            r = err_set(err, -r, "cgroup.create", "making the cgroup %s", h->directory);
            err_explain(err, r == -EROFS ? "the host's cgroup file system is read-only here" : NULL,
                        "remove linux.cgroupsPath and linux.resources from config.json to run without limits "
                        "of the host");
            return r;
        }
        if (has_controller(h->controllers, "freezer") &&
            read_at(h->directory, "freezer.state", frozen, sizeof frozen) >= 0 &&
            strcmp(frozen, "FROZEN") == 0)
            return err_set(err, EBUSY, "cgroup.frozen", "container's cgroup unexpectedly frozen: %s",
                           h->directory);
    }
    int r = cgroup_write_limits_v1(g, resources, /* create= */ true, err);
    return r < 0 ? r : cgroup_write_limits_v2(g, resources, err);
}

int cgroup_set(struct cgroup *g, const struct spec_resources *resources, struct err **err) {
    int r = cgroup_write_limits_v1(g, resources, /* create= */ false, err);

    return r < 0 ? r : cgroup_write_limits_v2(g, resources, err);
}

int cgroup_join(struct cgroup *g, pid_t pid, struct err **err) {
    char text[16];

    snprintf(text, sizeof text, "%d", pid);
    for (size_t i = 0; i < g->count; i++) {
        struct cgroup_hierarchy *h = &g->items[i];
        int r = h->directory ? write_at(h->directory, "cgroup.procs", text) : 0;
        if (r < 0 && is_optional(g, h))
            continue;
        if (r < 0)
            return err_set(err, -r, "cgroup.join", "putting process %d into the cgroup %s", pid,
                           h->directory);
    }
    return 0;
}

static void move_group(const struct cgroup_hierarchy *from, const struct cgroup_hierarchy *to) {
    char path[4400], pid[32];

    snprintf(path, sizeof path, "%s/cgroup.procs", from->directory);
    cleanup(fclosep) FILE *f = fopen(path, "re");
    while (f && fgets(pid, sizeof pid, f)) {
        pid[strcspn(pid, "\n")] = '\0';
        (void)!write_at(to->directory, "cgroup.procs", pid);
    }
}

void cgroup_move_all(const struct cgroup *from, struct cgroup *to) {
    for (size_t i = 0; i < from->count; i++)
        for (size_t j = 0; j < to->count; j++)
            if (from->items[i].directory && to->items[j].directory &&
                strcmp(from->items[i].mount_point, to->items[j].mount_point) == 0)
                move_group(&from->items[i], &to->items[j]);
}

/* ---- removing ---- */

/* Groups made below (by a guest's init system, say) go first. */
static int remove_tree(const char *directory) {
    DIR *d = opendir(directory);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        char path[4400];
        if (e->d_type == DT_DIR && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            snprintf(path, sizeof path, "%s/%s", directory, e->d_name) < (int)sizeof path)
            (void)!remove_tree(path);
    }
    if (d)
        closedir(d);
    return rmdir(directory) < 0 && errno != ENOENT ? -errno : 0;
}

int cgroup_remove(struct cgroup *g, struct err **err) {
    int result = 0, pause_ms = 1; /* about a second for all together */

    for (size_t i = 0; i < g->count; i++) {
        int r = g->items[i].directory ? remove_tree(g->items[i].directory) : 0;
        for (; r == -EBUSY && pause_ms <= 512; pause_ms *= 2) {
            struct timespec t = {.tv_nsec = pause_ms * 1000000L};
            nanosleep(&t, NULL);
            r = remove_tree(g->items[i].directory);
        }
        if (r < 0 && result == 0)
            result = err_set(err, -r, "cgroup.remove", "Failed to remove cgroup %s", g->items[i].directory);
    }
    return result;
}
