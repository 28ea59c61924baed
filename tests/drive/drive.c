/* SPDX-License-Identifier: Apache-2.0
 * tests/drive/drive.c: runs one program in the sentry, on a platform of choice, with a root in memory: no
 * boot, gofer, walls or OCI.
 *
 *     sentry_drive [--strace] [--log=SPEC] [--platform=NAME] [--env=K=V]... [--copy=HOST_PATH]... -- PROGRAM
 * ARG...
 *
 * Each --copy puts a host file or tree at the same path inside. Ends with the program's status, 128 + signal,
 * or 125 if it could not be started.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/abi/linux/fcntl.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "platform/platform.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/mount.h"
#include "tests/drive/drive.h"

enum { MAX_LIST = 64, CANNOT_START = 125 };

static struct {
    const char *platform, *log;
    const char *copy[MAX_LIST];
    char *env[MAX_LIST];
    size_t copies, envs;
    bool strace;
} g_options = {.platform = "ptrace"};

static _Atomic uint32_t g_ended;
static int g_status;

static void process_exited(struct container *c, uint64_t cookie, int wait_status) {
    (void)c;
    (void)cookie;
    g_status = wait_status;
    atomic_store(&g_ended, 1);
    host_futex_wake(&g_ended, 1);
}
static const struct container_events g_events = {.process_exited = process_exited};

static noreturn_fn void die(const char *what, int r, struct err *err) {
    char *text = err ? err_text(err) : NULL;

    fprintf(stderr, "drive: %s: %s\n", what, text ? text : strerror(-r));
    free(text);
    err_free(err);
    exit(CANNOT_START);
}

static void mount_at(struct container *c, const struct vfs_view *v, const char *type_name, const char *at) {
    const struct fs_type *type = fs_type_find(type_name);
    struct mount_options o = {
        .source = type_name, .creds = v->creds, .user_ns = v->creds->user_ns, .pid_ns = c->pid_ns};
    struct filesystem *fs;
    struct path path;

    if (!type || !drive_mkdirs(v, at))
        return;
    int r = type->mount(c->kernel, type, &o, &fs);
    if (r == 0)
        r = path_lookup(v, LINUX_AT_FDCWD, at, LOOKUP_FOLLOW, &path);
    if (r < 0)
        die(at, r, NULL);
    r = vfs_mount_fs(c->mnt_ns, fs, &path, 0, type_name);
    filesystem_unref(fs);
    path_put(&path);
    if (r < 0)
        die(at, r, NULL);
}

static void make_tree(struct container *c, const struct creds *creds) {
    struct path root = mnt_ns_root(c->mnt_ns);
    struct vfs_view v = {.root = root, .cwd = root, .creds = creds};
    static const struct {
        const char *name;
        int minor;
    } devices[] = {
        {"/dev/null", 3}, {"/dev/zero", 5}, {"/dev/full", 7}, {"/dev/random", 8}, {"/dev/urandom", 9}};

    if (!drive_mkdirs(&v, "/dev") || !drive_mkdirs(&v, "/tmp"))
        exit(CANNOT_START);
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        int r = vfs_mknod(&v, LINUX_AT_FDCWD, devices[i].name, LINUX_S_IFCHR | 0666,
                          (1u << 8) | (unsigned)devices[i].minor);
        if (r < 0)
            fprintf(stderr, "drive: %s: %s\n", devices[i].name, strerror(-r));
    }
    mount_at(c, &v, "proc", "/proc");
    for (size_t i = 0; i < g_options.copies; i++)
        if (!drive_copy(&v, g_options.copy[i]))
            exit(CANNOT_START);
    path_put(&root);
}

static int run(struct kernel *k, char **argv) {
    struct creds *creds = creds_new_root(k->root_user_ns);
    struct filesystem *fs;
    struct mnt_ns *ns;
    struct container *c;
    struct task *t;
    struct err *err = NULL;
    struct file *files[3];

    int r = tmpfs_create(k, 0, 0755, &fs);
    if (r == 0)
        r = mnt_ns_new(k, fs, 0, k->root_user_ns, &ns);
    if (r == 0)
        filesystem_unref(fs);
    if (r == 0)
        r = container_create(k, "drive", ns, "drive", &g_events, &c);
    if (r < 0)
        die("container", r, NULL);
    make_tree(c, creds);
    for (int i = 0; i < 3; i++)
        if ((r = drive_host_file(i, creds, &files[i])) < 0)
            die("stdio", r, NULL);
    struct process_spec spec = {
        .argv = argv, .envp = g_options.env, .creds = creds, .umask = -1, .files = files, .file_count = 3};
    r = container_create_process(c, &spec, /* is_init= */ true, &t, &err);
    if (r < 0)
        die("process", r, err);
    r = container_start_process(t);
    task_unref(t);
    while (r == 0 && !atomic_load(&g_ended))
        host_futex_wait(&g_ended, 0, CLOCK_NEVER);
    container_destroy(c);
    return g_status;
}

static void parse(int argc, char **argv) {
    static const struct option options[] = {
        {"strace", no_argument, NULL, 's'},         {"log", required_argument, NULL, 'l'},
        {"platform", required_argument, NULL, 'p'}, {"env", required_argument, NULL, 'e'},
        {"copy", required_argument, NULL, 'c'},     {0}};
    int o;

    while ((o = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (o == 's')
            g_options.strace = true;
        else if (o == 'l')
            g_options.log = optarg;
        else if (o == 'p')
            g_options.platform = optarg;
        else if (o == 'e' && g_options.envs < MAX_LIST - 1)
            g_options.env[g_options.envs++] = optarg;
        else if (o == 'c' && g_options.copies < MAX_LIST)
            g_options.copy[g_options.copies++] = optarg;
        else
            exit(CANNOT_START);
    }
    if (optind >= argc)
        exit(CANNOT_START);
}

int main(int argc, char **argv) {
    struct err *err = NULL;
    struct platform *p;
    struct kernel *k;

    parse(argc, argv);
    if (g_options.log && log_init("drive", 2, g_options.log) < 0)
        return CANNOT_START;
    struct platform_config pc = {.proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (platform_create(g_options.platform, &pc, &p, &err) < 0)
        die("platform", 0, err);
    struct kernel_config kc = {.platform = p, .proc_fd = -1};
    if (kernel_create(&kc, &k, &err) < 0)
        die("kernel", 0, err);
    if (g_options.strace)
        syscall_strace_enable(2);
    int status = run(k, argv + optind);
    kernel_destroy(k);
    if (ref_leaks() > 0)
        return CANNOT_START;
    return status & 0x7f ? 128 + (status & 0x7f) : status >> 8;
}
