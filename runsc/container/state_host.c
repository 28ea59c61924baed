/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/state_host.c: the container's directory, its lock and its state file (container.h).
 */
#include "runsc/container/container.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <poll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define STATE_MAX (4u << 20)

int container_check_id(const char *id, struct err **err) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-";

    if (!*id || strlen(id) > 240 || strcmp(id, ".") == 0 || strcmp(id, "..") == 0 ||
        strspn(id, allowed) != strlen(id)) {
        int r = err_set(err, EINVAL, "container.id", "invalid container ID format: \"%.64s\"", id);
        err_explain(err, "an ID has 1 to 240 of the characters A-Z a-z 0-9 _ + . -", NULL);
        return r;
    }
    return 0;
}

/* ---- processes ---- */

uint64_t host_process_start_time(pid_t pid) {
    char path[32], text[1024];

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    cleanup(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *at = strrchr(text, ')'); /* the name before it may hold anything */
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    at += 2;
    for (int field = 3; field < 22 && at; field++)
        at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL;
    return at ? strtoull(at, NULL, 10) : 0;
}

struct host_process host_process_of(pid_t pid) {
    return (struct host_process){.pid = pid, .started = host_process_start_time(pid)};
}

bool host_process_alive(const struct host_process *p) {
    return p->pid > 0 && p->started != 0 && host_process_start_time(p->pid) == p->started;
}

static void signal_and_wait(const struct host_process *p, int signo, int timeout_ms) {
    if (p->pid <= 0)
        return;
    cleanup(closep) int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (fd < 0 || !host_process_alive(p)) /* looked at after the pidfd holds whoever it is */
        return;
    if (signo)
        (void)syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0);
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, timeout_ms) < 0 && errno == EINTR)
        ;
}

void host_process_wait(const struct host_process *p, int timeout_ms) {
    signal_and_wait(p, 0, timeout_ms);
}

void host_process_kill(const struct host_process *p, int timeout_ms) {
    signal_and_wait(p, SIGKILL, timeout_ms);
}

/* ---- files ---- */

int read_text_file(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size, struct err **err) {
    bool standard = strcmp(path, "-") == 0;
    cleanup(closep) int fd = standard ? dup(STDIN_FILENO) : openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    size_t size = 0, capacity = 65536;
    ssize_t n = 0;

    if (fd < 0)
        return err_set(err, errno, "file.read", "opening %s", path);
    cleanup(freep) char *text = malloc(capacity + 1);
    while (text && (n = read(fd, text + size, capacity - size)) > 0) {
        size += (size_t)n;
        if (size > max)
            return err_set(err, EFBIG, "file.too-large", "%s has more than %zu bytes", path, max);
        if (size == capacity) {
            char *more = realloc(text, capacity * 2 + 1);
            if (!more)
                return err_set(err, ENOMEM, "out-of-memory", "reading %s", path);
            text = more;
            capacity *= 2;
        }
    }
    if (!text || n < 0)
        return err_set(err, text ? errno : ENOMEM, "file.read", "reading %s", path);
    text[size] = '\0';
    *ret_size = size;
    *ret = TAKE(text);
    return 0;
}

int container_open_root(struct cli *cli, struct err **err) {
    int r = cli_root(cli, err);

    if (r < 0)
        return r;
    int fd = open(cli->root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    for (char *slash = cli->root_path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        (void)mkdir(cli->root_path, 0755);
        *slash = '/';
    }
    if (mkdir(cli->root_path, 0700) < 0 && errno != EEXIST)
        return err_set(err, errno, "state.root", "making the state directory %s", cli->root_path);
    fd = open(cli->root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_set(err, errno, "state.root", "opening the state directory %s", cli->root_path) : fd;
}

/* The file may be removed by its holder while we wait for it: then the lock is on a dead file, and we take
 * the new one. */
static int take_lock(int root_fd, const char *id, struct err **err) {
    char name[300];

    snprintf(name, sizeof name, "%s.lock", id);
    for (;;) {
        struct stat ours, named;
        cleanup(closep) int fd = openat(root_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return err_set(err, errno, "state.lock", "opening the lock of container %s", id);
        while (flock(fd, LOCK_EX) < 0)
            if (errno != EINTR)
                return err_set(err, errno, "state.lock", "locking container %s", id);
        if (fstat(fd, &ours) == 0 && fstatat(root_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
            ours.st_ino == named.st_ino)
            return steal_fd(&fd);
    }
}

/* Of a create that was killed before it made the directory; one that another holds is left alone. */
static void drop_stale_lock(int root_fd, const char *id) {
    struct stat ours, named;
    char name[300];

    snprintf(name, sizeof name, "%s.lock", id);
    cleanup(closep) int fd = openat(root_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
        faccessat(root_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && fstat(fd, &ours) == 0 &&
        fstatat(root_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && ours.st_ino == named.st_ino)
        unlinkat(root_fd, name, 0);
}

static char *take_string(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));

    return s ? strdup(s) : NULL;
}

static struct host_process process_from_json(const json_t *o) {
    return (struct host_process){.pid = (pid_t)json_integer_value(json_object_get(o, "pid")),
                                 .started = (uint64_t)json_integer_value(json_object_get(o, "started"))};
}

static json_t *process_to_json(const struct host_process *p) {
    return json_pack("{s:i,s:I}", "pid", (int)p->pid, "started", (json_int_t)p->started);
}

void container_add_exec(struct container *c, pid_t pid) {
    struct host_process added = host_process_of(pid);
    json_t *living = json_array(), *one;
    size_t i;

    json_array_foreach(c->state.execs, i, one) {
        struct host_process p = process_from_json(one);
        if (host_process_alive(&p))
            json_array_append(living, one);
    }
    if (pid > 0)
        json_array_append_new(living, process_to_json(&added));
    json_decref(c->state.execs);
    c->state.execs = living;
}

json_t *container_host_pids(struct container *c) {
    json_t *pids = json_array(), *one;
    size_t i;

    if (host_process_alive(&c->state.standin))
        json_array_append_new(pids, json_integer(c->state.standin.pid));
    json_array_foreach(c->state.execs, i, one) {
        struct host_process p = process_from_json(one);
        if (host_process_alive(&p))
            json_array_append_new(pids, json_integer(p.pid));
    }
    return pids;
}

static int load_state(struct container *c, struct err **err) {
    cleanup(freep) char *text = NULL;
    struct container_state *s = &c->state;
    size_t size;
    json_t *o = NULL;

    if (faccessat(c->dir_fd, "state.json", F_OK, 0) < 0)
        return 0; /* half made */
    int r = read_text_file(c->dir_fd, "state.json", STATE_MAX, &text, &size, err);
    if (r >= 0)
        r = spec_load_json(text, size, "state.json", &o, err);
    if (r < 0)
        return err_wrap(err, r, "reading the state of container %s", c->id);
    if (json_integer_value(json_object_get(o, "version")) != STATE_VERSION) {
        r = err_set(err, EPROTO, "state.version",
                    "the state of container %s has version %lld, this runsc knows %d", c->id,
                    (long long)json_integer_value(json_object_get(o, "version")), STATE_VERSION);
        err_explain(err, "it was made by another version of runsc", "use that one");
        json_decref(o);
        return r;
    }
    s->id = take_string(o, "id");
    s->bundle = take_string(o, "bundle");
    s->rootfs = take_string(o, "rootfs");
    s->oci_version = take_string(o, "ociVersion");
    s->created = take_string(o, "created");
    s->sandbox_id = take_string(o, "sandbox");
    s->owner = take_string(o, "owner");
    s->network = take_string(o, "network");
    s->network_namespace = take_string(o, "networkNamespace");
    s->resolv_conf = take_string(o, "resolvConf");
    s->standin = process_from_json(json_object_get(o, "standinProcess"));
    s->sandbox = process_from_json(json_object_get(o, "sandboxProcess"));
    s->gofer = process_from_json(json_object_get(o, "goferProcess"));
    s->uplink = process_from_json(json_object_get(o, "uplinkProcess"));
    s->has_init = json_is_true(json_object_get(o, "hasInit"));
    s->started = json_is_true(json_object_get(o, "started"));
    s->annotations = json_incref(json_object_get(o, "annotations"));
    s->hooks = json_incref(json_object_get(o, "hooks"));
    s->cgroups = json_incref(json_object_get(o, "cgroups"));
    s->execs = json_incref(json_object_get(o, "execs"));
    json_decref(o);
    return 0;
}

int container_save(struct container *c, struct err **err) {
    struct container_state *s = &c->state;
    json_t *o = json_pack(
        "{s:i,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*,s:o,s:o,s:o,s:o,s:b,s:b,s:O*,s:O*,s:O*,s:O*}",
        "version", STATE_VERSION, "id", s->id, "bundle", s->bundle, "rootfs", s->rootfs, "ociVersion",
        s->oci_version, "created", s->created, "sandbox", s->sandbox_id, "owner", s->owner, "network",
        s->network, "networkNamespace", s->network_namespace, "resolvConf", s->resolv_conf, "standinProcess",
        process_to_json(&s->standin), "sandboxProcess", process_to_json(&s->sandbox), "goferProcess",
        process_to_json(&s->gofer), "uplinkProcess", process_to_json(&s->uplink), "hasInit", s->has_init,
        "started", s->started, "annotations", s->annotations, "hooks", s->hooks, "cgroups", s->cgroups,
        "execs", s->execs);
    cleanup(freep) char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

    json_decref(o);
    if (!text)
        return err_set(err, ENOMEM, "out-of-memory", "saving the state of container %s", c->id);
    cleanup(closep) int fd =
        openat(c->dir_fd, "state.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t size = strlen(text);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size ||
        renameat(c->dir_fd, "state.json.new", c->dir_fd, "state.json") < 0) {
        int r = err_set(err, errno, "state.save", "saving the state of container %s", c->id);
        err_explain(err, NULL, "is the state directory's file system full or read-only?");
        return r;
    }
    return 0;
}

static int open_dir(struct container *c, enum container_open how, struct err **err) {
    if (how == CONTAINER_NEW && mkdirat(c->root_fd, c->id, 0700) < 0) {
        if (errno == EEXIST)
            return err_set(err, EEXIST, "container.exists", "container with given ID already exists: %s",
                           c->id);
        return err_set(err, errno, "state.directory", "making the state directory of container %s", c->id);
    }
    c->dir_fd = openat(c->root_fd, c->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (c->dir_fd < 0 && errno == ENOENT)
        return err_set(err, ENOENT, "container.unknown", "container %s: container does not exist", c->id);
    if (c->dir_fd < 0)
        return err_set(err, errno, "state.directory", "opening the state directory of container %s", c->id);
    return how == CONTAINER_NEW ? 0 : load_state(c, err);
}

int container_open(struct cli *cli, const char *id, enum container_open how, struct container **ret,
                   struct err **err) {
    cleanup(container_closep) struct container *c = NULL;
    int r = container_check_id(id, err);

    if (r < 0)
        return r;
    c = calloc(1, sizeof *c);
    if (!c)
        return err_set(err, ENOMEM, "out-of-memory", "opening container %s", id);
    c->cli = cli;
    c->root_fd = c->dir_fd = c->lock_fd = -1;
    c->id = strdup(id);
    r = c->root_fd = container_open_root(cli, err);
    if (r < 0)
        return r;
    /* An unknown id must not leave a lock file behind. */
    if (how != CONTAINER_NEW && faccessat(c->root_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
        if (how == CONTAINER_OLD)
            drop_stale_lock(c->root_fd, id);
        return err_set(err, ENOENT, "container.unknown", "container %s: container does not exist", id);
    }
    r = how == CONTAINER_READ ? 0 : (c->lock_fd = take_lock(c->root_fd, id, err));
    if (r < 0)
        return r;
    r = open_dir(c, how, err);
    if (r == -ENOENT && c->dir_fd < 0 && c->lock_fd >= 0) {
        char name[300];
        snprintf(name, sizeof name, "%s.lock", id);
        unlinkat(c->root_fd, name, 0);
    }
    if (r < 0)
        return r;
    *ret = TAKE(c);
    return 0;
}

void container_close(struct container *c) {
    if (!c)
        return;
    struct container_state *s = &c->state;
    json_decref(s->annotations);
    json_decref(s->hooks);
    json_decref(s->cgroups);
    json_decref(s->execs);
    free(s->id);
    free(s->bundle);
    free(s->rootfs);
    free(s->oci_version);
    free(s->created);
    free(s->sandbox_id);
    free(s->owner);
    free(s->network);
    free(s->network_namespace);
    free(s->resolv_conf);
    close_fd(c->dir_fd);
    close_fd(c->lock_fd);
    close_fd(c->root_fd);
    free(c->id);
    free(c);
}

void container_closep(struct container **c) {
    container_close(*c);
    *c = NULL;
}

int container_remove_files(struct container *c, struct err **err) {
    static const char *const names[] = {"state.json", "state.json.new", "control.sock", "exit.json"};
    char lock[300];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (unlinkat(c->dir_fd, names[i], 0) < 0 && errno != ENOENT)
            return err_set(err, errno, "state.remove", "removing %s of container %s", names[i], c->id);
    if (unlinkat(c->root_fd, c->id, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_set(err, errno, "state.remove", "removing the state directory of container %s", c->id);
    snprintf(lock, sizeof lock, "%s.lock", c->id);
    unlinkat(c->root_fd, lock, 0);
    return 0;
}

static int is_container(const struct dirent *d) {
    return d->d_name[0] != '.' && d->d_type != DT_REG;
}

int container_list(struct cli *cli, char ***ret, struct err **err) {
    struct dirent **found = NULL;
    int r = cli_root(cli, err);

    if (r < 0)
        return r;
    int n = scandir(cli->root_path, &found, is_container, alphasort);
    if (n < 0 && errno != ENOENT)
        return err_set(err, errno, "state.root", "reading the state directory %s", cli->root_path);
    n = MAX(n, 0);
    char **ids = calloc((size_t)n + 1, sizeof *ids);
    for (int i = 0; i < n; i++) {
        if (ids)
            ids[i] = strdup(found[i]->d_name);
        free(found[i]);
    }
    free(found);
    *ret = ids;
    return ids ? 0 : err_set(err, ENOMEM, "out-of-memory", "listing containers");
}
