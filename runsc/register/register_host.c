/* SPDX-License-Identifier: Apache-2.0
 * runsc/register/register_host.c: see register.h. Sources: dockerd(8) "daemon.json", containers.conf(5) (a
 * file of our own in containers.conf.d), containerd-config.toml(5) (a marked block at the end).
 */
#include "runsc/register/register.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CONFIG_MAX (4u << 20)

static const struct {
    const char *client, *file, *programs[2], *directory;
} g_clients[] = {
    {"docker", "/etc/docker/daemon.json", {"/usr/sbin/dockerd", "/usr/bin/dockerd"}, "/etc/docker"},
    {"podman",
     "/etc/containers/containers.conf.d/50-runsc.conf",
     {"/usr/bin/podman", "/usr/bin/buildah"},
     "/etc/containers"},
    {"containerd",
     "/etc/containerd/config.toml",
     {"/usr/bin/containerd", "/usr/local/bin/containerd"},
     "/etc/containerd"},
};

const char *registration_default_file(const char *client) {
    for (size_t i = 0; i < ARRAY_SIZE(g_clients); i++)
        if (strcmp(g_clients[i].client, client) == 0)
            return g_clients[i].file;
    return NULL;
}

bool registration_client_present(const char *client) {
    for (size_t i = 0; i < ARRAY_SIZE(g_clients); i++)
        if (strcmp(g_clients[i].client, client) == 0)
            return access(g_clients[i].programs[0], X_OK) == 0 ||
                   access(g_clients[i].programs[1], X_OK) == 0 || access(g_clients[i].directory, F_OK) == 0;
    return false;
}

/* ---- files ---- */

/* "" where there is none. */
static int read_config(const char *file, char **ret, mode_t *ret_mode, struct err **err) {
    cleanup(closep) int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat st = {.st_mode = 0644};

    if (fd < 0 && errno != ENOENT)
        return err_set(err, errno, "install.read", "opening %s", file);
    if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_size > CONFIG_MAX))
        return err_set(err, st.st_size > CONFIG_MAX ? EFBIG : errno, "install.read", "reading %s", file);
    cleanup(freep) char *text = calloc(1, CONFIG_MAX + 1);
    size_t size = 0;
    ssize_t n = 0;
    while (text && fd >= 0 && size < CONFIG_MAX && (n = read(fd, text + size, CONFIG_MAX - size)) > 0)
        size += (size_t)n;
    if (!text || n < 0)
        return err_set(err, text ? errno : ENOMEM, "install.read", "reading %s", file);
    *ret_mode = st.st_mode & 07777;
    *ret = TAKE(text);
    return 0;
}

static void make_parents(const char *file) {
    cleanup(freep) char *path = strdup(file);

    for (char *slash = path ? strchr(path + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
}

static int write_config(const struct registration *r, const char *text, mode_t mode, struct err **err) {
    cleanup(freep) char *temporary = NULL;
    size_t size = strlen(text);

    if (r->dry_run) {
        printf("# %s\n%s", r->file, text);
        return 1;
    }
    make_parents(r->file);
    if (asprintf(&temporary, "%s.runsc-new", r->file) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "writing %s", r->file);
    cleanup(closep) int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0 || fchmod(fd, mode) < 0 || write(fd, text, size) != (ssize_t)size || fsync(fd) < 0 ||
        rename(temporary, r->file) < 0) {
        int result = err_set(err, errno, "install.write", "writing %s", r->file);
        unlink(temporary);
        return result;
    }
    return 1;
}

/* ---- docker ---- */

static json_t *docker_entry(const struct registration *r) {
    json_t *entry = json_pack("{s:s}", "path", r->path), *args = json_array();

    for (char *const *a = r->args; a && *a; a++)
        json_array_append_new(args, json_string(*a));
    if (json_array_size(args))
        json_object_set(entry, "runtimeArgs", args);
    json_decref(args);
    return entry;
}

static int apply_docker(const struct registration *r, const char *old, mode_t mode, struct err **err) {
    json_error_t where;
    cleanup(json_decrefp) json_t *config =
        old[strspn(old, " \t\r\n")] ? json_loads(old, JSON_REJECT_DUPLICATES, &where) : json_object();

    if (!json_is_object(config)) {
        int result = err_set(err, EINVAL, "install.syntax", "%s is no JSON object", r->file);
        err_explain(err, config ? NULL : where.text, "correct it; it has not been touched");
        return result;
    }
    json_t *runtimes = json_object_get(config, "runtimes");
    if (runtimes && !json_is_object(runtimes))
        return err_set(err, EINVAL, "install.syntax", "%s: \"runtimes\" is no object", r->file);
    if (!r->path) {
        if (!json_object_get(runtimes, r->name))
            return 0;
        json_object_del(runtimes, r->name);
        if (json_object_size(runtimes) == 0)
            json_object_del(config, "runtimes");
    } else {
        cleanup(json_decrefp) json_t *entry = docker_entry(r);
        if (json_equal(json_object_get(runtimes, r->name), entry))
            return 0;
        if (!runtimes) {
            runtimes = json_object();
            json_object_set_new(config, "runtimes", runtimes);
        }
        json_object_set(runtimes, r->name, entry);
    }
    cleanup(freep) char *dumped = json_dumps(config, JSON_INDENT(4));
    cleanup(freep) char *text = NULL;
    if (!dumped || asprintf(&text, "%s\n", dumped) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "writing %s", r->file);
    return write_config(r, text, mode, err);
}

/* ---- podman: a file of our own ---- */

static int apply_podman(const struct registration *r, const char *old, mode_t mode, struct err **err) {
    cleanup(freep) char *text = NULL;

    if (!r->path) {
        if (!*old)
            return 0;
        if (r->dry_run) {
            printf("# %s is removed\n", r->file);
            return 1;
        }
        return unlink(r->file) < 0 ? err_set(err, errno, "install.write", "removing %s", r->file) : 1;
    }
    if (*old && !strstr(old, "# made by runsc install"))
        return err_set(err, EEXIST, "install.foreign", "%s was not made by runsc install", r->file);
    if (asprintf(&text, "# made by runsc install\n[engine.runtimes]\n%s = [\"%s\"]\n", r->name, r->path) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "writing %s", r->file);
    return strcmp(old, text) == 0 ? 0 : write_config(r, text, mode, err);
}

/* ---- containerd: a marked block ---- */

/* The old text without our block, in place; false: there was none. */
static bool cut_block(char *text, const char *begin, const char *end) {
    char *from = strstr(text, begin), *to = from ? strstr(from, end) : NULL;

    if (!to)
        return false;
    to += strlen(end);
    memmove(from, to, strlen(to) + 1);
    return true;
}

static char *containerd_block(const struct registration *r, const char *old, const char *begin,
                              const char *end) {
    bool first = strstr(old, "version = 2") || strstr(old, "version=2") || !*old;
    const char *plugin = first ? "plugins.\"io.containerd.grpc.v1.cri\"" : "plugins.cri";
    char *text = NULL;

    if (strstr(old, "version = 3") || strstr(old, "version=3"))
        plugin = "plugins.'io.containerd.cri.v1.runtime'";
    if (asprintf(&text,
                 "%s[%s.containerd.runtimes.%s]\n  runtime_type = "
                 "\"io.containerd.runc.v2\"\n[%s.containerd.runtimes.%s.options]\n  BinaryName = \"%s\"\n%s",
                 begin, plugin, r->name, plugin, r->name, r->path, end) < 0)
        return NULL;
    return text;
}

static int apply_containerd(const struct registration *r, char *old, mode_t mode, struct err **err) {
    cleanup(freep) char *begin = NULL, *end = NULL, *entry = NULL, *before = strdup(old), *block = NULL,
                        *text = NULL;

    if (!before || asprintf(&begin, "# begin of what runsc install made: %s\n", r->name) < 0 ||
        asprintf(&end, "# end of what runsc install made: %s\n", r->name) < 0 ||
        asprintf(&entry, "containerd.runtimes.%s]", r->name) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "writing %s", r->file);
    bool had = cut_block(old, begin, end);
    if (!r->path)
        return had ? write_config(r, old, mode, err) : 0;
    if (strstr(old, entry))
        return err_set(err, EEXIST, "install.foreign", "%s has a runtime %s that runsc install did not make",
                       r->file, r->name);
    block = containerd_block(r, old, begin, end);
    size_t size = strlen(old);
    if (!block || asprintf(&text, "%s%s%s%s", *old ? "" : "version = 2\n", old,
                           size && old[size - 1] != '\n' ? "\n" : "", block) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "writing %s", r->file);
    return strcmp(before, text) == 0 ? 0 : write_config(r, text, mode, err);
}

int registration_apply(const struct registration *r, struct err **err) {
    cleanup(freep) char *old = NULL;
    mode_t mode = 0;
    int result = read_config(r->file, &old, &mode, err);

    if (result < 0)
        return result;
    if (strcmp(r->client, "docker") == 0)
        return apply_docker(r, old, mode, err);
    if (strcmp(r->client, "podman") == 0)
        return apply_podman(r, old, mode, err);
    return apply_containerd(r, old, mode, err);
}
