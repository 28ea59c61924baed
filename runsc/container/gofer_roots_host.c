/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/gofer_roots_host.c: see gofer_roots.h. Sources: open_tree(2), mount_setattr(2),
 * move_mount(2), proc_pid_mountinfo(5).
 */
#include "runsc/container/gofer_roots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

/* File systems that show or steer the host and whose like the sentry makes itself. */
static const char *const g_covered[] = {
    "proc",      "sysfs",   "devtmpfs", "devpts",      "cgroup",     "cgroup2",  "mqueue",    "securityfs",
    "debugfs",   "tracefs", "bpf",      "pstore",      "configfs",   "efivarfs", "selinuxfs", "fusectl",
    "hugetlbfs", "autofs",  "nsfs",     "binfmt_misc", "rpc_pipefs", NULL};

static int take_tree(struct root_tree *r, struct err **err) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (r->recursive ? AT_RECURSIVE : 0);
    int fd = open_tree(AT_FDCWD, r->path, flags);

    if (fd < 0 && errno == EINVAL &&
        !r->recursive) /* in a user namespace, mounts below may not be uncovered */
        fd = open_tree(AT_FDCWD, r->path, flags | AT_RECURSIVE);
    if (fd < 0)
        return err_set(err, errno, errno == ENOENT ? "mount.no-source" : "mount.bind",
                       "binding %s for the gofer", r->path);
    struct mount_attr a = {.attr_set =
                               MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (r->read_only ? MOUNT_ATTR_RDONLY : 0),
                           .propagation = MS_PRIVATE};
    if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof a) < 0) {
        int result = err_set(err, errno, "mount.attributes", "restricting the gofer's view of %s", r->path);
        close_fd(fd);
        return result;
    }
    return fd;
}

static int empty_tmpfs(const char *options_note, struct err **err) {
    cleanup(closep) int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    int fd = -1;

    if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) == 0 &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    return fd < 0 ? err_set(err, errno, "mount.tmpfs", "making %s", options_note) : fd;
}

/* A mount point for tree i: a directory or a file, as the tree's own root. */
static int make_place(int base, const char *name, int tree, struct err **err) {
    struct stat st;

    if (fstat(tree, &st) < 0)
        return err_set(err, errno, "mount.stat", "looking at a mount");
    if (S_ISDIR(st.st_mode))
        return mkdirat(base, name, 0700) < 0
                   ? err_set(err, errno, "mount.place", "making a mount point for the gofer")
                   : 0;
    int fd = openat(base, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    close_fd(fd);
    return fd < 0 ? err_set(err, errno, "mount.place", "making a mount point for the gofer") : 0;
}

/* "\040" and the like back to bytes, in place. */
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

static bool is_covered(const char *type) {
    for (const char *const *t = g_covered; *t; t++)
        if (strcmp(*t, type) == 0)
            return true;
    return false;
}

static int cover(const char *target, struct err **err) {
    struct stat st;

    /* Beneath one that was covered before, or where this user, and so the gofer, cannot get. */
    if (lstat(target, &st) < 0)
        return errno == ENOENT || errno == EACCES
                   ? 0
                   : err_set(err, errno, "mount.cover", "looking at %s", target);
    if (!S_ISDIR(st.st_mode))
        return mount("/dev/null", target, NULL, MS_BIND, NULL) < 0 && errno != ENOENT
                   ? err_set(err, errno, "mount.cover", "covering %s", target)
                   : 0;
    cleanup(closep) int fs = empty_tmpfs("a cover for a host file system", err);
    if (fs < 0)
        return fs;
    struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC};
    if (mount_setattr(fs, "", AT_EMPTY_PATH, &a, sizeof a) < 0 ||
        move_mount(fs, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_set(err, errno, "mount.cover", "covering %s", target);
    return 0;
}

/* Field 5 of a line is the mount point, the one after " - " the type. */
static int cover_if_view(char *line, const char *place, struct err **err) {
    size_t place_size = strlen(place);
    char *point = line, *rest = NULL;

    for (int field = 1; field < 5 && point; field++)
        point = strchr(point, ' ') ? strchr(point, ' ') + 1 : NULL;
    char *type = point ? strstr(point, " - ") : NULL;
    if (!type || strncmp(point, place, place_size) != 0 || point[place_size] != '/')
        return 0;
    type = strtok_r(type + 3, " \n", &rest);
    point[strcspn(point, " ")] = '\0';
    unescape(point);
    return type && is_covered(type) ? cover(point, err) : 0;
}

/* Parents come before children. The list is read whole first: a cover is a mount too, and may be of a type
 * that is covered, so that a list which is read as it grows need not end. */
static int cover_host_views(const char *place, struct err **err) {
    cleanup(fclosep) FILE *f = fopen("/proc/self/mountinfo", "re");
    cleanup(freep) char *all = NULL;
    size_t capacity = 0;
    int r = 0;

    if (!f || (getdelim(&all, &capacity, '\0', f) < 0 && ferror(f)))
        return err_set(err, errno, "mount.info", "reading /proc/self/mountinfo");
    for (char *line = all, *next; r >= 0 && line && *line; line = next) {
        char *end = strchr(line, '\n');
        next = end ? end + 1 : NULL;
        if (end)
            *end = '\0';
        r = cover_if_view(line, place, err);
    }
    return r;
}

static int attach(int base, const char *place, struct root_tree *root, size_t i, int tree, struct err **err) {
    char name[24];

    snprintf(name, sizeof name, "%zu", i);
    int r = make_place(base, name, tree, err);
    if (r < 0)
        return r;
    if (move_mount(tree, "", base, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_set(err, errno, "mount.attach", "mounting %s below %s", root->path, place);
    return 0;
}

static const char *find_place(void) {
    static const char *const places[] = {"/tmp", "/run", "/mnt", "/proc", "/dev", "/sys", "/etc"};
    struct stat st;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (lstat(places[i], &st) == 0 && S_ISDIR(st.st_mode))
            return places[i];
    return NULL;
}

int gofer_roots_make(struct root_tree *roots, size_t count, const char **ret_place, struct err **err) {
    const char *place = find_place();
    bool recursive = false;
    int r = 0;

    if (!place)
        return err_set(err, ENOENT, "mount.place", "the host's root holds no usual directory");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_set(err, errno, "mount.private", "making the gofer's mounts private");
    cleanup(freep) int *trees = calloc(count, sizeof *trees);
    if (!trees)
        return err_set(err, ENOMEM, "out-of-memory", "preparing the gofer's mounts");
    for (size_t i = 0; i < count; i++) { /* all sources first: the tmpfs may hide some */
        r = trees[i] = take_tree(&roots[i], err);
        if (r < 0)
            return r;
        recursive |= roots[i].recursive;
    }
    cleanup(closep) int base = empty_tmpfs("the gofer's root", err);
    if (base < 0)
        return base;
    if (move_mount(base, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_set(err, errno, "mount.place", "attaching the gofer's root");
    for (size_t i = 0; r >= 0 && i < count; i++) {
        r = attach(base, place, &roots[i], i, trees[i], err);
        close_fd(trees[i]);
    }
    if (r >= 0 && recursive)
        r = cover_host_views(place, err);
    for (size_t i = 0; r >= 0 && i < count; i++) {
        char name[24];
        snprintf(name, sizeof name, "%zu", i);
        roots[i].fd = openat(base, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
        if (roots[i].fd < 0)
            r = err_set(err, errno, "mount.open", "opening %s for the gofer", roots[i].path);
    }
    *ret_place = place;
    return r;
}

int gofer_roots_open(struct root_tree *roots, size_t count, struct err **err) {
    for (size_t i = 0; i < count; i++) {
        roots[i].fd = open(roots[i].path, O_PATH | O_CLOEXEC);
        if (roots[i].fd < 0)
            return err_set(err, errno, errno == ENOENT ? "mount.no-source" : "mount.open",
                           "opening %s for the gofer", roots[i].path);
    }
    return 0;
}
