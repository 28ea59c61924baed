/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/runsc/walls_test.c: what the sandbox process may still do behind its list of host calls and
 * without privileges.
 */
#include "boot/walls.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "boot/filter.h"
#include "tests/support/test.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/* Each is made in a child behind the list and must end it with 125 and a line that says so. */
static const struct {
    const char *name;
    long number, a, b, c, d;
} g_forbidden[] = {
    {"open", SYS_open, (long)"/etc/passwd", O_RDONLY, 0, 0},
    {"openat elsewhere", SYS_openat, 5, (long)"x", O_RDONLY, 0},
    {"openat to make", SYS_openat, FILTER_PROC_FD, (long)"x", O_RDWR | O_CREAT, 0600},
    {"openat to write", SYS_openat, FILTER_PROC_FD, (long)"x", O_WRONLY, 0},
    {"openat to truncate", SYS_openat, FILTER_PROC_FD, (long)"x", O_RDWR | O_CLOEXEC | O_TRUNC, 0},
    {"openat2", SYS_openat2, FILTER_PROC_FD, 0, 0, 0},
    {"socket", SYS_socket, AF_INET, SOCK_STREAM, 0, 0},
    {"unix socket", SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0},
    {"connect", SYS_connect, 0, 0, 0, 0},
    {"execve", SYS_execve, (long)"/bin/sh", 0, 0, 0},
    {"fork", SYS_fork, 0, 0, 0, 0},
    {"clone of a process", SYS_clone, SIGCHLD, 0, 0, 0},
    {"clone into a user namespace", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0},
    {"unshare", SYS_unshare, CLONE_NEWUSER, 0, 0, 0},
    {"setns", SYS_setns, 0, 0, 0, 0},
    {"mount", SYS_mount, 0, 0, 0, 0},
    {"chroot", SYS_chroot, (long)"/", 0, 0, 0},
    {"executable mmap", SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS},
    {"executable mprotect", SYS_mprotect, 0, 4096, PROT_READ | PROT_EXEC, 0},
    {"typing into a terminal", SYS_ioctl, 0, TIOCSTI, 0, 0},
    {"ioctl with high bits", SYS_ioctl, 0, (long)((1ul << 32) | TIOCSTI), 0, 0},
    {"stat by name", SYS_newfstatat, AT_FDCWD, (long)"/", 0, 0},
    {"prctl", SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0},
    {"raising a limit", SYS_prlimit64, 0, 7, 1, 0},
    {"bpf", SYS_bpf, 0, 0, 0, 0},
    {"io_uring", SYS_io_uring_setup, 0, 0, 0, 0},
    {"keyctl", SYS_keyctl, 0, 0, 0, 0},
    {"x32", 0x40000000l + SYS_getpid, 0, 0, 0, 0},
};

/* Exit status of a child that makes the call behind the list, and what it said. */
static int behind_list(const char *platform, size_t i, char *said, size_t size) {
    int said_pipe[2];

    ASSERT_OK(pipe(said_pipe));
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_install(platform, said_pipe[1], NULL) < 0)
            _exit(1);
        long r = syscall(g_forbidden[i].number, g_forbidden[i].a, g_forbidden[i].b, g_forbidden[i].c,
                         g_forbidden[i].d, -1, 0);
        _exit(r == 0 ? 2 : 3);
    }
    close(said_pipe[1]);
    int status = test_wait(pid);
    ssize_t n = read(said_pipe[0], said, size - 1);
    said[n > 0 ? n : 0] = '\0';
    close(said_pipe[0]);
    return status;
}

static void all_forbidden(const char *platform) {
    for (size_t i = 0; i < ARRAY_SIZE(g_forbidden); i++) {
        char said[256];
        int status = behind_list(platform, i, said, sizeof said);
        if (status == SIGSYS) /* another architecture's call: killed at once */
            continue;
        if (status != 125 << 8)
            ASSERT_FAIL("%s: %s ended with status %#x", platform, g_forbidden[i].name, (unsigned)status);
        ASSERT_CONTAINS(said, "forbidden host call");
    }
}

TEST(forbidden_calls_end_the_process_and_say_so) {
    all_forbidden("none");
}

TEST(a_platforms_calls_do_not_undo_the_checks) {
    all_forbidden("ptrace");
    all_forbidden("systrap");
}

TEST(what_the_sandbox_needs_goes_on) {
    int pair[2];
    cleanup(closep) int file = memfd_create("x", MFD_CLOEXEC);

    ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    pid_t pid = fork();
    if (pid == 0) {
        struct stat st;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_install("none", 2, NULL) < 0)
            _exit(1);
        void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        bool ok = m != MAP_FAILED && mprotect(m, 4096, PROT_READ) == 0 && munmap(m, 4096) == 0;
        ok = ok && send(pair[0], "x", 1, 0) == 1 && ftruncate(file, 10) == 0 && fstat(file, &st) == 0 &&
             st.st_size == 10;
        ok = ok && syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS;
        /* names that the C library looks up by itself do not exist */
        ok = ok && syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) == -1 && errno == ENOENT;
        _exit(ok ? 0 : 2);
    }
    ASSERT_EQ(test_wait(pid), 0);
    close(pair[0]);
    close(pair[1]);
}

#endif

TEST(privileges_are_gone_for_good) {
    pid_t pid = fork();
    if (pid == 0) {
        struct walls walls = {.zero_privilege = false};
        cleanup(err_freep) struct err *err = NULL;
        if (walls_drop_privileges(&walls, 0, &err) < 0)
            _exit(1);
        bool ok = walls.up[WALL_NO_CAPS] && walls.up[WALL_NO_NEW_PRIVS] &&
                  prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
        for (int cap = 0; cap <= 40; cap++)
            ok = ok && (geteuid() != 0 || prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 0);
        ok = ok && mount("none", "/", NULL, 0, NULL) == -1 && errno == EPERM && chroot("/") == -1 &&
             errno == EPERM;
        _exit(ok ? 0 : 2);
    }
    ASSERT_EQ(test_wait(pid), 0);
}

TEST(a_wall_that_cannot_go_up_is_an_error_or_recorded) {
    struct walls strict = {.zero_privilege = false}, lenient = {.zero_privilege = true};
    cleanup(err_freep) struct err *err = NULL;

    ASSERT_EQ(walls_namespaces(&strict, 0, &err), -EPERM);
    ASSERT_STREQ(err->code, "wall.user-ns");
    ASSERT_CONTAINS(err->remedy, "--zero-privilege");
    ASSERT_OK(walls_namespaces(&lenient, 0, NULL));
    cleanup(freep) char *json = walls_json(&lenient);
    ASSERT_CONTAINS(json, "{\"wall\":\"user-ns\",\"up\":false,\"why\":\"the namespace could not be made");
    walls_done(&lenient);
    walls_done(&strict);
}
