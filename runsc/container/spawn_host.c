/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/spawn_host.c: see spawn.h. Sources: clone3(2), user_namespaces(7).
 */
#include "runsc/container/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "boot/boot.h"

#define NOBODY 65534u

static int write_file(pid_t pid, const char *name, const char *text) {
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    cleanup(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* The one user of the namespace, 0 inside, is nobody of the host, so that not even a kernel bug that confuses
 * namespaces finds root. */
static int write_maps(pid_t pid, struct err **err) {
    bool root = geteuid() == 0;
    char uids[32], gids[32];

    snprintf(uids, sizeof uids, "0 %u 1\n", root ? NOBODY : geteuid());
    snprintf(gids, sizeof gids, "0 %u 1\n", root ? NOBODY : getegid());
    int r = root ? 0 : write_file(pid, "setgroups", "deny");
    if (r >= 0)
        r = write_file(pid, "uid_map", uids);
    if (r >= 0)
        r = write_file(pid, "gid_map", gids);
    return r < 0 ? err_set(err, -r, "spawn.maps", "mapping the user of a new user namespace") : 0;
}

static int write_mapping(pid_t pid, const char *name, const struct spec_id_mappings *m) {
    char text[4096];
    size_t used = 0;

    for (size_t i = 0; i < m->count && used < sizeof text - 64; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%u %u %u\n", m->items[i].container_id,
                                 m->items[i].host_id, m->items[i].size);
    return m->count ? write_file(pid, name, text) : 0;
}

static int write_spec_maps(pid_t pid, const struct spec_linux *l, struct err **err) {
    int r = geteuid() == 0 ? 0 : write_file(pid, "setgroups", "deny");

    if (r >= 0)
        r = write_mapping(pid, "uid_map", &l->uid_mappings);
    if (r >= 0)
        r = write_mapping(pid, "gid_map", &l->gid_mappings);
    return r < 0 ? err_set(err, -r, "spawn.maps",
                           "linux.uidMappings: mapping the users of the container's user namespace")
                 : 0;
}

static int become_namespace_root(struct err **err) {
    if ((setgroups(0, NULL) < 0 && errno != EPERM) || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_set(err, errno, "spawn.user", "becoming the user of the new user namespace");
    return 0;
}

static noreturn_fn void child_main(const struct spawn *s, int release_fd, int status_fd, int namespaces) {
    struct err *err = NULL;
    sigset_t none;
    char byte;
    int r = 0;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int signo = 1; signo < 32; signo++) /* SIGPIPE comes ignored from conmon */
        (void)signal(signo, SIG_DFL);
    while ((r = (int)read(release_fd, &byte, 1)) < 0 && errno == EINTR)
        ;
    if (r != 1)
        _exit(1); /* the parent gave up */
    close_fd(release_fd);
    r = (namespaces & CLONE_NEWUSER) && (s->become_nobody || s->maps) ? become_namespace_root(&err) : 0;
    if (r >= 0)
        r = s->run(s->arg, status_fd, namespaces, &err);
    if (!err)
        (void)err_set(&err, r < 0 ? -r : ECHILD, "spawn.failed", "starting the %s", s->who);
    boot_report_error(status_fd, err);
    _exit(1);
}

static pid_t clone_process(int flags, bool sibling) {
    struct clone_args a = {.flags = (uint64_t)(unsigned)flags | (sibling ? CLONE_PARENT : 0),
                           .exit_signal = sibling ? 0 : SIGCHLD};

    return (pid_t)syscall(SYS_clone3, &a, sizeof a);
}

int child_spawn(const struct spawn *s, struct child *ret, struct err **err) {
    int release[2], status[2], namespaces = s->namespaces;

    if (pipe2(release, O_CLOEXEC) < 0)
        return err_set(err, errno, "spawn.pipe", "starting the %s", s->who);
    if (pipe2(status, O_CLOEXEC) < 0) {
        int r = err_set(err, errno, "spawn.pipe", "starting the %s", s->who);
        close_fd(release[0]);
        close_fd(release[1]);
        return r;
    }
    pid_t pid = clone_process(namespaces, s->sibling);
    if (pid < 0 && s->may_lack && (namespaces & CLONE_NEWUSER) &&
        geteuid() == 0) { /* root can have the others without it */
        namespaces &= ~CLONE_NEWUSER;
        pid = clone_process(namespaces, s->sibling);
    }
    if (pid < 0 && s->may_lack && namespaces) {
        log_warning(LOG_CLI, "the %s gets no namespaces: %s", s->who, strerror(errno));
        namespaces = 0;
        pid = clone_process(0, s->sibling);
    }
    if (pid == 0) {
        close_fd(release[1]);
        close_fd(status[0]);
        child_main(s, release[0], status[1], namespaces);
    }
    int saved = errno;
    close_fd(release[0]);
    close_fd(status[1]);
    *ret = (struct child){
        .pid = pid, .release_fd = release[1], .status_fd = status[0], .namespaces = namespaces};
    int r = 0;
    if (pid < 0) {
        ret->pid = 0;
        r = err_set(err, saved, "wall.namespaces", "starting the %s in namespaces of its own", s->who);
        err_explain(err,
                    saved == ENOSPC ? "the limit on namespaces (/proc/sys/user/max_*_namespaces) is reached"
                                    : "this host does not allow it; in a chroot nobody may",
                    "runsc doctor tells why; --zero-privilege runs with the walls that are left");
    } else if ((namespaces & CLONE_NEWUSER) && s->become_nobody) {
        r = write_maps(pid, err);
    } else if ((namespaces & CLONE_NEWUSER) && s->maps) {
        r = write_spec_maps(pid, s->maps, err);
    }
    if (r < 0)
        child_end(ret);
    return r;
}

int child_release(struct child *c, struct err **err) {
    int r = write(c->release_fd, "g", 1) == 1
                ? 0
                : err_set(err, errno, "spawn.release", "letting a child process go on");

    c->release_fd = close_fd(c->release_fd);
    return r;
}

int child_wait_ready(struct child *c, const char *who, char **ret_text, struct err **err) {
    return boot_read_report(steal_fd(&c->status_fd), who, ret_text, err);
}

void child_end(struct child *c) {
    closep(&c->release_fd);
    closep(&c->status_fd);
    if (c->pid > 0) {
        kill(c->pid, SIGKILL);
        while (waitpid(c->pid, NULL, __WALL) < 0 && errno == EINTR)
            ;
    }
    c->pid = 0;
}

int child_exec_self(char *const argv[], const int *fds, size_t fd_count, bool keep_stderr, struct err **err) {
    static char *no_env[] = {NULL};
    int exe = open("/proc/self/exe", O_PATH | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int base = MAX(64, SPAWN_FIRST_FD + (int)fd_count + 1);
    cleanup(freep) int *high = calloc(fd_count + 1, sizeof *high);

    if (exe < 0 || null < 0)
        return err_set(err, errno, "spawn.exec", "opening %s", exe < 0 ? "/proc/self/exe" : "/dev/null");
    if (!high)
        return err_set(err, ENOMEM, "out-of-memory", "executing this program again");
    for (size_t i = 0; i < fd_count; i++) { /* out of the way of the numbers to come */
        high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, base);
        if (fds[i] >= 0 && high[i] < 0)
            return err_set(err, errno, "spawn.exec", "placing descriptors");
    }
    exe = fcntl(exe, F_DUPFD_CLOEXEC, base);
    for (int i = 0; i < (keep_stderr ? 2 : 3); i++)
        if (dup2(null, i) < 0)
            return err_set(err, errno, "spawn.exec", "placing descriptors");
    if (close_range(3, (unsigned)base - 1, 0) < 0 && errno != ENOSYS)
        return err_set(err, errno, "spawn.exec", "closing descriptors");
    for (size_t i = 0; i < fd_count; i++)
        if (high[i] >= 0 && dup2(high[i], SPAWN_FIRST_FD + (int)i) < 0)
            return err_set(err, errno, "spawn.exec", "placing descriptors");
    if (close_range((unsigned)base, ~0u, CLOSE_RANGE_CLOEXEC) < 0 && errno != EINVAL && errno != ENOSYS)
        return err_set(err, errno, "spawn.exec", "closing descriptors on exec");
    syscall(SYS_execveat, exe, "", argv, no_env, AT_EMPTY_PATH);
    return err_set(err, errno, "spawn.exec", "executing this program again");
}

static bool g_no_leak_check;

void spawn_no_leak_check(void) {
    g_no_leak_check = true;
}

#if defined(__SANITIZE_ADDRESS__)
int __lsan_is_turned_off(void); /* a hook of sanitizer/lsan_interface.h */
int __lsan_is_turned_off(void) {
    return g_no_leak_check;
}
#endif
