/* SPDX-License-Identifier: Apache-2.0
 * boot/walls_host.c: see walls.h. Sources: user_namespaces(7), mount_namespaces(7), pivot_root(2) (the
 * pivot_root(".", ".") idiom), fsopen(2), capabilities(7), prctl(2).
 */
#include "boot/walls.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW /* since Linux 5.14 */
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

#define NOBODY 65534

static const char *const g_wall_names[WALLS] = {
    [WALL_USER_NS] = "user-ns",         [WALL_MOUNT_NS] = "mount-ns",
    [WALL_PID_NS] = "pid-ns",           [WALL_NET_NS] = "net-ns",
    [WALL_IPC_NS] = "ipc-ns",           [WALL_UTS_NS] = "uts-ns",
    [WALL_OWN_PROCFS] = "own-procfs",   [WALL_EMPTY_ROOT] = "empty-root",
    [WALL_NO_CAPS] = "no-capabilities", [WALL_NO_NEW_PRIVS] = "no-new-privs",
    [WALL_LIMITS] = "limits",           [WALL_SECCOMP] = "seccomp",
};

const char *wall_name(enum wall w) {
    return g_wall_names[w];
}

void wall_is_up(struct walls *walls, enum wall w) {
    walls->up[w] = true;
    free(walls->why[w]);
    walls->why[w] = NULL;
    log_debug(LOG_BOOT, "wall %s is up", g_wall_names[w]);
}

int wall_failed(struct walls *walls, enum wall w, int errnum, const char *step, struct err **err) {
    if (walls->zero_privilege) {
        walls->up[w] = false;
        free(walls->why[w]);
        walls->why[w] = NULL;
        if (asprintf(&walls->why[w], "%s: %s", step, strerror(errnum)) < 0)
            walls->why[w] = NULL;
        log_warning(LOG_BOOT, "wall %s is down: %s: %s", g_wall_names[w], step, strerror(errnum));
        return 0;
    }
    char code[48];
    snprintf(code, sizeof code, "wall.%s", g_wall_names[w]);
    int r = err_set(err, errnum, code, "the sandbox's %s wall cannot go up: %s", g_wall_names[w], step);
    err_explain(err, "this host does not allow it here",
                "runsc doctor tells why; --zero-privilege runs with the walls that are left");
    return r;
}

int walls_namespaces(struct walls *walls, int created, struct err **err) {
    static const struct {
        enum wall wall;
        int flag;
    } kinds[] = {{WALL_USER_NS, CLONE_NEWUSER}, {WALL_MOUNT_NS, CLONE_NEWNS}, {WALL_PID_NS, CLONE_NEWPID},
                 {WALL_NET_NS, CLONE_NEWNET},   {WALL_IPC_NS, CLONE_NEWIPC},  {WALL_UTS_NS, CLONE_NEWUTS}};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        /* Believed only where it cannot be seen: the first process of a pid namespace knows that it is. */
        bool up = (created & kinds[i].flag) && (kinds[i].flag != CLONE_NEWPID || getpid() == 1);
        int r = 0;
        if (up)
            wall_is_up(walls, kinds[i].wall);
        else
            r = wall_failed(walls, kinds[i].wall, EPERM, "the namespace could not be made", err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A new file system, mounted nowhere: its descriptor, or -errno and the step that failed. */
static int detached_mount(const char *type, unsigned attributes, const char **ret_step) {
    cleanup(closep) int fs = fsopen(type, FSOPEN_CLOEXEC);

    *ret_step = "fsopen";
    if (fs < 0)
        return -errno;
    *ret_step = "creating the file system";
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    *ret_step = "mounting it";
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    return fd < 0 ? -errno : fd;
}

#define PROCFS_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

int walls_own_procfs(struct walls *walls, int *ret, int *ret_linkless, struct err **err) {
    const char *step = "it needs a pid namespace";
    bool own = walls->up[WALL_PID_NS];
    cleanup(closep) int fd = own ? detached_mount("proc", PROCFS_ATTRIBUTES, &step) : -EPERM;
    cleanup(closep) int linkless =
        fd >= 0 ? detached_mount("proc", PROCFS_ATTRIBUTES | MOUNT_ATTR_NOSYMFOLLOW, &step) : fd;

    *ret = *ret_linkless = -1;
    if (linkless < 0)
        return wall_failed(walls, WALL_OWN_PROCFS, -linkless, step, err);
    *ret = steal_fd(&fd);
    *ret_linkless = steal_fd(&linkless);
    wall_is_up(walls, WALL_OWN_PROCFS);
    return 0;
}

static int pivot_here(const char **ret_step) {
    *ret_step = "pivot_root";
    if (syscall(SYS_pivot_root, ".", ".") < 0)
        return -errno;
    /* The old root now lies over the new one. */
    *ret_step = "unmounting the host's tree";
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}

int walls_pivot_into(const char *path, struct err **err) {
    const char *step;

    if (chdir(path) < 0)
        return err_set(err, errno, "root.pivot", "entering %s", path);
    int r = pivot_here(&step);
    return r < 0 ? err_set(err, -r, "root.pivot", "making %s the root: %s", path, step) : 0;
}

/* Any directory will do to hang the new root on for a moment. */
static const char *mount_place(void) {
    static const char *const places[] = {"/proc", "/tmp", "/run", "/dev", "/sys", "/mnt", "/etc"};
    struct stat st;

    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (lstat(places[i], &st) == 0 && S_ISDIR(st.st_mode))
            return places[i];
    return NULL;
}

int walls_empty_root(struct walls *walls, int hanger, struct err **err) {
    const char *step = "it needs a mount namespace", *place = mount_place();

    if (!walls->up[WALL_MOUNT_NS])
        return wall_failed(walls, WALL_EMPTY_ROOT, EPERM, step, err);
    if (!place)
        return wall_failed(walls, WALL_EMPTY_ROOT, ENOENT, "the host's root holds no usual directory", err);
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return wall_failed(walls, WALL_EMPTY_ROOT, errno, "making mounts private", err);
    cleanup(closep) int root = detached_mount(
        "tmpfs", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &step);
    if (root < 0)
        return wall_failed(walls, WALL_EMPTY_ROOT, -root, step, err);
    if (hanger >= 0 && move_mount(hanger, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return wall_failed(walls, WALL_EMPTY_ROOT, errno, "attaching a file system to the host's tree", err);
    if (move_mount(root, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0 || fchdir(root) < 0)
        return wall_failed(walls, WALL_EMPTY_ROOT, errno, "attaching the empty root", err);
    int r = pivot_here(&step);
    if (r < 0)
        return wall_failed(walls, WALL_EMPTY_ROOT, -r, step, err);
    wall_is_up(walls, WALL_EMPTY_ROOT);
    return 0;
}

int walls_become_nobody(struct walls *walls, struct err **err) {
    if (walls->up[WALL_USER_NS] || geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return err_set(err, errno, "wall.nobody", "becoming an unprivileged user");
    /* Changing users hides our own /proc entries and memory from us and our stubs: not wanted. */
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0
               ? err_set(err, errno, "wall.nobody", "staying visible to ourselves")
               : 0;
}

static int drop_capabilities(uint64_t keep, const char **ret_step) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    uint32_t low = (uint32_t)keep, high = (uint32_t)(keep >> 32);

    *ret_step = "dropping the bounding set";
    for (int cap = 0; cap < 64; cap++)
        if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            if (errno == EINVAL)
                break; /* beyond the last one that this kernel knows */
            if (errno != EPERM)
                return -errno;
            break; /* without CAP_SETPCAP: what is not permitted cannot be used, and no_new_privs stops execs
                      from adding any */
        }
    *ret_step = "locking the secure bits";
    unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                         SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                         SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 && errno != EPERM)
        return -errno;
    *ret_step = "clearing ambient capabilities";
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return -errno;
    *ret_step = "reading capabilities";
    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    data[0] = (struct __user_cap_data_struct){.effective = low & data[0].permitted,
                                              .permitted = low & data[0].permitted};
    data[1] = (struct __user_cap_data_struct){.effective = high & data[1].permitted,
                                              .permitted = high & data[1].permitted};
    *ret_step = "dropping capabilities";
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int walls_drop_privileges(struct walls *walls, uint64_t keep, struct err **err) {
    const char *step;
    int r = drop_capabilities(keep, &step);

    if (r < 0)
        r = wall_failed(walls, WALL_NO_CAPS, -r, step, err);
    else
        wall_is_up(walls, WALL_NO_CAPS);
    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return wall_failed(walls, WALL_NO_NEW_PRIVS, errno, "prctl", err);
    wall_is_up(walls, WALL_NO_NEW_PRIVS);
    return 0;
}

int walls_limits(struct walls *walls, struct err **err) {
    struct rlimit none = {1, 1},
                  files; /* 1 byte: 0 would still start the program of core_pattern (core(5)) */

    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return wall_failed(walls, WALL_LIMITS, errno, "forbidding core dumps", err);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0)
            return wall_failed(walls, WALL_LIMITS, errno, "raising the limit of open files", err);
    }
    wall_is_up(walls, WALL_LIMITS);
    return 0;
}

char *walls_json(const struct walls *walls) {
    json_t *list = json_array();

    for (int w = 0; list && w < WALLS; w++)
        json_array_append_new(list, json_pack("{s:s,s:b,s:s*}", "wall", g_wall_names[w], "up", walls->up[w],
                                              "why", walls->why[w]));
    char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    return text;
}

void walls_done(struct walls *walls) {
    for (int w = 0; w < WALLS; w++) {
        free(walls->why[w]);
        walls->why[w] = NULL;
    }
}
