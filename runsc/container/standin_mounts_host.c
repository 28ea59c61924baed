/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/standin_mounts_host.c: see standin_mounts.h. Sources: config.md "Mounts", mount_setattr(2),
 * openat2(2) (RESOLVE_IN_ROOT).
 */
#include "runsc/container/standin_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "boot/walls.h"
#include "runsc/container/hooks.h"

struct mount_plan {
    uint64_t set, clear; /* MOUNT_ATTR_* */
    unsigned long propagation;
    bool bind, recursive;
};

static const struct {
    const char *name;
    uint64_t set, clear;
    unsigned long propagation;
} g_options[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY, 0},
    {"nosuid", MOUNT_ATTR_NOSUID, 0, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID, 0},
    {"nodev", MOUNT_ATTR_NODEV, 0, 0},
    {"dev", 0, MOUNT_ATTR_NODEV, 0},
    {"noexec", MOUNT_ATTR_NOEXEC, 0, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC, 0},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0, 0},
    {"private", 0, 0, MS_PRIVATE},
    {"rprivate", 0, 0, MS_PRIVATE},
    {"shared", 0, 0, MS_SHARED},
    {"rshared", 0, 0, MS_SHARED},
    {"slave", 0, 0, MS_SLAVE},
    {"rslave", 0, 0, MS_SLAVE},
    {"unbindable", 0, 0, MS_UNBINDABLE},
    {"runbindable", 0, 0, MS_UNBINDABLE},
};

static struct mount_plan plan_options(const struct spec_mount *m) {
    struct mount_plan p = {.bind = spec_mount_is_bind(m), .recursive = spec_mount_has_option(m, "rbind")};

    for (size_t i = 0; i < m->options.count; i++)
        for (size_t j = 0; j < ARRAY_SIZE(g_options); j++)
            if (strcmp(m->options.items[i], g_options[j].name) == 0) {
                p.set = (p.set & ~g_options[j].clear) | g_options[j].set;
                p.clear = (p.clear & ~g_options[j].set) | g_options[j].clear;
                p.propagation = g_options[j].propagation ? g_options[j].propagation : p.propagation;
            }
    return p;
}

static int open_in_root(int root, const char *path, uint64_t flags, uint64_t mode) {
    struct open_how how = {
        .flags = flags | O_CLOEXEC, .mode = mode, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* The mount point below the root, made where it is missing: directories, and at the end a file if a file is
 * to be mounted. */
static int open_target(int root, const char *destination, bool file) {
    cleanup(freep) char *path = strdup(destination);
    int fd = open_in_root(root, destination, O_PATH, 0);

    if (fd >= 0 || errno != ENOENT || !path)
        return fd < 0 ? -errno : fd;
    for (char *slash = path; slash; slash = strchr(slash + 1, '/')) {
        char *next = strchr(slash + 1, '/');
        bool last = !next;
        if (next)
            *next = '\0';
        *slash = '\0';
        cleanup(closep) int parent = open_in_root(root, slash == path ? "/" : path, O_PATH | O_DIRECTORY, 0);
        int r = parent < 0     ? -1
                : last && file ? mknodat(parent, slash + 1, S_IFREG | 0644, 0)
                               : mkdirat(parent, slash + 1, 0755);
        int saved = errno;
        *slash = '/';
        if (next)
            *next = '/';
        if (r < 0 && saved != EEXIST)
            return -saved;
    }
    fd = open_in_root(root, destination, O_PATH, 0);
    return fd < 0 ? -errno : fd;
}

static int bind_tree(const struct spec_mount *m, const char *bundle, const struct mount_plan *p,
                     struct err **err) {
    cleanup(freep) char *source = NULL;

    if (m->source[0] == '/' ? !(source = strdup(m->source))
                            : asprintf(&source, "%s/%s", bundle, m->source) < 0)
        return err_set(err, ENOMEM, "out-of-memory", "mounting %s", m->destination);
    int fd =
        open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (p->recursive ? AT_RECURSIVE : 0));
    return fd < 0 ? err_set(err, errno, "mount.bind", "mounting %s: binding %s", m->destination, source) : fd;
}

/* mode=, size= and the like go to the file system; what is a mount attribute does not, nor do options only
 * the sentry knows. */
static int new_file_system(const struct spec_mount *m) {
    static const char *const wanted[] = {"mode", "size", "gid", "uid", "ptmxmode", "nr_inodes", "nr_blocks"};
    const char *type =
        strcmp(m->type, "cgroup") == 0 ? "tmpfs" : m->type; /* an empty place; the sentry shows its own */
    cleanup(closep) int fs = fsopen(type, FSOPEN_CLOEXEC);

    for (size_t i = 0; fs >= 0 && i < m->options.count; i++) {
        const char *option = m->options.items[i], *equals = strchr(option, '=');
        for (size_t j = 0; equals && j < ARRAY_SIZE(wanted); j++)
            if (strlen(wanted[j]) == (size_t)(equals - option) &&
                strncmp(option, wanted[j], (size_t)(equals - option)) == 0)
                (void)fsconfig(fs, FSCONFIG_SET_STRING, wanted[j], equals + 1, 0);
    }
    if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static int mount_one(int root, const struct spec_mount *m, const char *bundle, struct err **err) {
    struct mount_plan p = plan_options(m);
    struct stat st;
    cleanup(closep) int tree = p.bind ? bind_tree(m, bundle, &p, err) : new_file_system(m);

    if (tree < 0 && !p.bind) { /* clients can do without; the guest's own is the sentry's */
        log_info(LOG_CLI, "no %s at %s for clients: %s", m->type, m->destination, strerror(-tree));
        return 0;
    }
    if (tree < 0)
        return tree;
    struct mount_attr a = {
        .attr_set = p.set, .attr_clr = p.clear, .propagation = p.propagation ? p.propagation : MS_PRIVATE};
    if (mount_setattr(tree, "", AT_EMPTY_PATH | (p.recursive ? AT_RECURSIVE : 0), &a, sizeof a) < 0)
        return err_set(err, errno, "mount.attributes", "mounting %s: setting its options", m->destination);
    bool file = fstat(tree, &st) == 0 && !S_ISDIR(st.st_mode);
    cleanup(closep) int target = open_target(root, m->destination, file);
    if (target < 0)
        return err_set(err, -target, "mount.target", "mounting %s: making the mount point", m->destination);
    if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return err_set(err, errno, "mount.attach", "mounting %s", m->destination);
    return 0;
}

int standin_mounts(const struct spec *spec, const char *rootfs, const char *bundle, json_t *state,
                   struct err **err) {
    const char *wanted = spec->linux_.rootfs_propagation;
    bool shared = wanted && strstr(wanted, "shared"), private_ = wanted && strstr(wanted, "private");

    if (!shared && mount("none", "/", NULL, MS_REC | (private_ ? MS_PRIVATE : MS_SLAVE), NULL) < 0)
        return err_set(err, errno, "mount.propagation", "setting the propagation of the root");
    cleanup(closep) int tree =
        open_tree(AT_FDCWD, rootfs, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    struct mount_attr a = {.propagation = MS_PRIVATE};
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &a, sizeof a) < 0 ||
        move_mount(tree, "", AT_FDCWD, rootfs, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_set(err, errno, "rootfs.mount", "binding the rootfs %s", rootfs);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < spec->mounts.count; i++)
        r = mount_one(tree, &spec->mounts.items[i], bundle, err);
    if (r >= 0 && spec->root.readonly) {
        struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
        if (mount_setattr(tree, "", AT_EMPTY_PATH, &ro, sizeof ro) < 0)
            r = err_set(err, errno, "rootfs.mount", "making the rootfs read-only");
    }
    if (r >= 0 && spec->hooks.create_container.count) {
        json_object_set_new(state, "pid", json_integer(getpid()));
        r = hooks_run(&spec->hooks.create_container, "createContainer", rootfs, state, err);
    }
    return r < 0 ? r : walls_pivot_into(rootfs, err);
}

/* ---- the command line that others see ---- */

static char *g_title;
static size_t g_title_size;

void process_title_init(int argc, char **argv) {
    g_title = argv[0];
    for (int i = 0; i < argc && argv[i] == g_title + g_title_size; i++)
        g_title_size += strlen(argv[i]) + 1;
}

void process_title_set(char **words, size_t count) {
    size_t used = 0;

    if (!g_title)
        return;
    memset(g_title, 0, g_title_size);
    for (size_t i = 0; i < count && used + 1 < g_title_size; i++) {
        size_t n = MIN(strlen(words[i]), g_title_size - used - 1);
        memcpy(g_title + used, words[i], n);
        used += n + 1;
    }
}
