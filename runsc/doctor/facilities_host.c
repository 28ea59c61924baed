/* SPDX-License-Identifier: Apache-2.0
 * runsc/doctor/facilities_host.c: see facilities.h. Each look is a call that asks and does not change, or a
 * descriptor that is closed again.
 */
#include "runsc/doctor/facilities.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "runsc/cgroup/cgroup.h"

void doctor_add(json_t *report, const char *kind, const char *name, bool up, const char *why,
                const char *remedy) {
    json_array_append_new(report, json_pack("{s:s,s:s,s:b,s:s,s:s*}", "kind", kind, "name", name, "up", up,
                                            "why", why, "remedy", remedy));
}

static void host(json_t *report, const char *name, bool up, const char *remedy, const char *fmt, ...)
    printf_like(5, 6);
static void host(json_t *report, const char *name, bool up, const char *remedy, const char *fmt, ...) {
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    doctor_add(report, "host", name, up, text, up ? NULL : remedy);
}

static long read_number(const char *path, long otherwise) {
    cleanup(fclosep) FILE *f = fopen(path, "re");
    long value;

    return f && fscanf(f, "%ld", &value) == 1 ? value : otherwise;
}

static void look_at_kernel(json_t *report) {
    struct utsname u;
    unsigned major = 0, minor = 0;

    if (uname(&u) < 0)
        return;
    (void)sscanf(u.release, "%u.%u", &major, &minor);
    host(report, "kernel", major > 5 || (major == 5 && minor >= 12), "Linux 5.12 or later", "%s %s %s",
         u.sysname, u.release, u.machine);
}

/* ---- cgroups ---- */

static void look_at_cgroups(json_t *report) {
    struct cgroup g;
    bool v1 = false, v2 = false, writable = false;

    if (cgroup_discover(&g, NULL) >= 0) {
        for (size_t i = 0; i < g.count; i++) {
            struct statvfs fs;
            v1 |= !g.items[i].v2;
            v2 |= g.items[i].v2;
            writable |= access(g.items[i].mount_point, W_OK) == 0 &&
                        statvfs(g.items[i].mount_point, &fs) == 0 && !(fs.f_flag & ST_RDONLY);
        }
        cgroup_done(&g);
    }
    host(report, "cgroups", (v1 || v2) && writable,
         "mount cgroups writable; without them limits are the sentry's own", "%s%s",
         v1 && v2 ? "v1, and v2 beside it"
         : v1     ? "v1"
         : v2     ? "v2"
                  : "none mounted",
         (v1 || v2) && !writable ? ", not writable" : "");
    static const char *const controllers[] = {"memory", "pids", "cpu", "freezer"};
    for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
        char name[32];
        bool there = false;
        if (cgroup_discover(&g, NULL) >= 0) {
            for (size_t j = 0; j < g.count; j++)
                there |= g.items[j].v2 ? !v1 : strstr(g.items[j].controllers, controllers[i]) != NULL;
            cgroup_done(&g);
        }
        snprintf(name, sizeof name, "cgroup-%s", controllers[i]);
        host(report, name, there, "enable the controller on the kernel's command line", "%s",
             there ? "" : "the host has no such controller");
    }
}

/* ---- calls ---- */

static void look_at_call(json_t *report, const char *name, bool works, int errnum, const char *remedy) {
    host(report, name, works, remedy, "%s", works ? "" : strerror(errnum));
}

static void look_at_calls(json_t *report) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
    struct io_uring_params params = {0};

    cleanup(closep) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    cleanup(closep) int beneath = (int)syscall(SYS_openat2, root, ".", &how, sizeof how);
    look_at_call(report, "openat2", beneath >= 0, errno,
                 "the gofer resolves names in steps of its own without it (slower)");
    cleanup(closep) int tree = (int)syscall(SYS_open_tree, root, "", OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    look_at_call(report, "open_tree", tree >= 0, errno,
                 "Linux 5.2 or later, or a container with a looser seccomp profile");
    bool setattr = syscall(SYS_mount_setattr, -1, "", AT_EMPTY_PATH, NULL, (size_t)0) < 0 &&
                   errno != ENOSYS && errno != EPERM;
    look_at_call(report, "mount_setattr", setattr, errno,
                 "Linux 5.12 or later, or a container with a looser seccomp profile");
    cleanup(closep) int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    look_at_call(report, "pidfd_open", pidfd >= 0, errno, "Linux 5.3 or later");
    cleanup(closep) int uring = (int)syscall(SYS_io_uring_setup, 1, &params);
    look_at_call(report, "io_uring", uring >= 0, errno,
                 "plain calls serve; sysctl kernel.io_uring_disabled=0 allows it");
    cleanup(closep) int memory = (int)syscall(SYS_memfd_create, "doctor", 1u);
    look_at_call(report, "memfd_create", memory >= 0, errno, "Linux 3.17 or later: nothing runs without it");
    cleanup(closep) int notify = inotify_init1(IN_CLOEXEC);
    look_at_call(report, "inotify", notify >= 0, errno, "raise sysctl fs.inotify.max_user_instances");
    look_at_call(report, "seccomp-filter", prctl(PR_GET_SECCOMP) >= 0, errno,
                 "a kernel with CONFIG_SECCOMP_FILTER");
    cleanup(closep) int packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    look_at_call(report, "packet-sockets", packet >= 0, errno, "CAP_NET_RAW: --network=sandbox needs it");
}

/* ---- privileges, limits, devices ---- */

static bool has_capability(int cap) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    return syscall(SYS_capget, &header, data) == 0 && (data[cap / 32].effective & (1u << (cap % 32)));
}

static void look_at_privileges(json_t *report) {
    static const struct {
        int cap;
        const char *name, *remedy;
    } caps[] = {
        {CAP_SYS_ADMIN, "cap-sys-admin", "run as root, or rootless through user namespaces"},
        {CAP_NET_ADMIN, "cap-net-admin", "--network=sandbox needs it"},
        {CAP_SYS_RESOURCE, "cap-sys-resource", "oomScoreAdj cannot be lowered and host limits not raised"},
        {CAP_MKNOD, "cap-mknod", "device nodes in images cannot be made on the host"}};

    host(report, "user", true, NULL, "%s", geteuid() == 0 ? "root" : "an ordinary user");
    for (size_t i = 0; i < ARRAY_SIZE(caps); i++)
        host(report, caps[i].name, has_capability(caps[i].cap), caps[i].remedy, "%s",
             has_capability(caps[i].cap) ? "" : "not held");
}

static void look_at_limits(json_t *report) {
    struct rlimit files = {0};
    long user_ns = read_number("/proc/sys/user/max_user_namespaces", 0),
         yama = read_number("/proc/sys/kernel/yama/ptrace_scope", 0);
    long unprivileged = read_number("/proc/sys/kernel/unprivileged_userns_clone", 1);
    long watches = read_number("/proc/sys/fs/inotify/max_user_watches", 0);

    host(report, "user-namespaces", user_ns > 0 && (unprivileged || geteuid() == 0),
         "sysctl user.max_user_namespaces=65536 kernel.unprivileged_userns_clone=1", "at most %ld", user_ns);
    host(report, "ptrace", yama < 3,
         "sysctl kernel.yama.ptrace_scope=1 (after a restart of the host); systrap does not need it",
         "kernel.yama.ptrace_scope is %ld", yama);
    host(report, "inotify-watches", watches >= 8192, "sysctl fs.inotify.max_user_watches=524288",
         "at most %ld", watches);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    host(report, "open-files", files.rlim_max >= 4096,
         "raise the hard limit: ulimit -Hn, LimitNOFILE=", "at most %llu a process",
         (unsigned long long)files.rlim_max);
}

static void look_at_devices(json_t *report) {
    host(report, "/dev/kvm", access("/dev/kvm", R_OK | W_OK) == 0,
         "not needed: systrap serves; nested virtualization or a bare machine has it", "%s",
         access("/dev/kvm", R_OK | W_OK) == 0 ? "usable" : strerror(errno));
    host(report, "/dev/net/tun", access("/dev/net/tun", R_OK | W_OK) == 0, "only TAP links need it", "%s",
         access("/dev/net/tun", R_OK | W_OK) == 0 ? "usable" : strerror(errno));
    host(report, "/proc", access("/proc/self/ns/pid", F_OK) == 0, "mount -t proc proc /proc", "%s",
         access("/proc/self/ns/pid", F_OK) == 0 ? "" : "not mounted");
}

static void look_at_state(struct cli *cli, json_t *report) {
    struct statvfs fs;
    cleanup(freep) char *path = cli_root(cli, NULL) >= 0 ? strdup(cli->root_path) : NULL;

    for (char *slash; path && access(path, F_OK) < 0 && (slash = strrchr(path, '/')) && slash != path;)
        *slash = '\0'; /* the nearest directory that exists */
    bool writable = path && access(path, W_OK) == 0 && statvfs(path, &fs) == 0 && !(fs.f_flag & ST_RDONLY) &&
                    fs.f_bavail > 16;
    host(report, "state-directory", writable, "--root names another one", "%s%s",
         cli->root_path ? cli->root_path : "?", writable ? "" : ": read-only, full or not ours");
}

void doctor_facilities(struct cli *cli, json_t *report) {
    look_at_kernel(report);
    look_at_privileges(report);
    look_at_cgroups(report);
    look_at_calls(report);
    look_at_limits(report);
    look_at_devices(report);
    look_at_state(cli, report);
}
