/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/cgroups.c: control groups, version 2, where the checks may make some: the tree, processes,
 * events, freezer, kill, pids, clone3 into a group, cgroup namespaces.
 */
#include "conform.h"

#include <linux/sched.h>
#include <sys/mount.h>

/* A cgroup2 mount on "cg" and in it a group "t" of the check's own, with all controllers that there are. */
static char g_top[256];

static void write_to(const char *path, const char *text) {
    int fd = OK(open(path, O_WRONLY));

    EQ(OK(write(fd, text, strlen(text))), (long)strlen(text));
    close(fd);
}

static int try_write(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    int e = n < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return e;
}

static char *at(const char *name) {
    static char paths[8][512];
    static int n;
    char *p = paths[n++ % 8];

    snprintf(p, 512, "%s/%s", g_top, name);
    return p;
}

static void enter_world(void) {
    char name[64];

    OK(unshare(CLONE_NEWNS));
    OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    OK(mkdir("cg", 0755));
    if (mount("none", "cg", "cgroup2", 0, NULL) < 0)
        check_skip("cgroup2 does not mount: %s", strerror(errno));
    (void)try_write("cg/cgroup.subtree_control", "+pids"); /* not everywhere */
    snprintf(name, sizeof name, "cg/conform-%d", getpid());
    if (mkdir(name, 0755) < 0)
        check_skip("no group can be made: %s", strerror(errno));
    OKP(realpath(name, g_top));
    if (access(at("cgroup.kill"), F_OK) < 0 || access(at("cgroup.freeze"), F_OK) < 0) {
        rmdir(g_top);
        check_skip("no cgroup.kill or cgroup.freeze");
    }
}

static void leave_world(void) {
    OK(rmdir(g_top));
}

static void sleeper(void *arg) {
    (void)arg;
    for (;;)
        pause();
}

static char *show(const char *name) {
    static char text[4096];

    return get_file(at(name), text, sizeof text);
}

static pid_t sleeper_in(const char *group) {
    char number[16], path[256];
    pid_t pid = spawn(sleeper, NULL);

    snprintf(number, sizeof number, "%d", pid);
    snprintf(path, sizeof path, "%s%scgroup.procs", group, *group ? "/" : "");
    write_to(at(path), number);
    return pid;
}

static void reap_killed(pid_t pid) {
    int status = wait_status(pid);

    TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

CHECK(tree_and_processes) {
    char text[64], number[16];

    enter_world();
    STREQ(show("cgroup.type"), "domain\n");
    STREQ(show("cgroup.procs"), "");
    STREQ(show("cgroup.events"), "populated 0\nfrozen 0\n");
    STREQ(show("cgroup.max.depth"), "max\n");
    OK(mkdir(at("a"), 0755));
    ERR(mkdir(at("a"), 0755), EEXIST);
    ERR(mkdir(at("cgroup.procs"), 0755), EEXIST);
    ERR(open(at("file"), O_CREAT | O_RDWR, 0644), EACCES);
    ERR(rmdir(g_top), EBUSY);
    pid_t pid = sleeper_in("a");
    snprintf(number, sizeof number, "%d\n", pid);
    STREQ(show("a/cgroup.procs"), number);
    STREQ(show("a/cgroup.threads"), number);
    STREQ(show("a/cgroup.events"), "populated 1\nfrozen 0\n");
    STREQ(show("cgroup.events"), "populated 1\nfrozen 0\n");
    ERR(rmdir(at("a")), EBUSY);
    EQ(try_write(at("a/cgroup.procs"), "99999999"), ESRCH);
    EQ(try_write(at("a/cgroup.procs"), "junk"), EINVAL);
    EQ(try_write(at("a/cgroup.type"), "junk"), EINVAL);
    snprintf(text, sizeof text, "/proc/%d/cgroup", pid);
    char *got = OKP(strstr(get_file(text, (char[512]){0}, 512), "0::"));
    TRUE(strstr(got, "/a\n") != NULL);
    kill(pid, SIGKILL);
    reap_killed(pid);
    STREQ(show("a/cgroup.procs"), "");
    STREQ(show("a/cgroup.events"), "populated 0\nfrozen 0\n");
    int fd = OK(open(at("a/cgroup.procs"), O_RDONLY));
    OK(rmdir(at("a")));
    ERR(read(fd, text, sizeof text), ENODEV);
    leave_world();
}

CHECK(kill_takes_all) {
    enter_world();
    OK(mkdir(at("a"), 0755));
    OK(mkdir(at("a/b"), 0755));
    pid_t one = sleeper_in("a"), two = sleeper_in("a/b");
    EQ(try_write(at("a/cgroup.kill"), "0"), ERANGE);
    EQ(try_write(at("a/cgroup.kill"), "2"), ERANGE);
    write_to(at("a/cgroup.kill"), "1");
    reap_killed(one);
    reap_killed(two);
    OK(rmdir(at("a/b")));
    OK(rmdir(at("a")));
    leave_world();
}

CHECK(freezer) {
    enter_world();
    OK(mkdir(at("a"), 0755));
    _Atomic unsigned *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = OK(fork());
    if (pid == 0)
        for (;; sleep_ms(1))
            ++*n;
    char number[16];
    snprintf(number, sizeof number, "%d", pid);
    write_to(at("a/cgroup.procs"), number);
    WAIT_UNTIL(*n > 2);
    int events = OK(open(at("a/cgroup.events"), O_RDONLY));
    char text[64];
    OK(read(events, text, sizeof text));
    struct pollfd p = {.fd = events, .events = POLLPRI};
    EQ(OK(poll(&p, 1, 0)), 0);
    EQ(try_write(at("a/cgroup.freeze"), "2"), ERANGE);
    write_to(at("a/cgroup.freeze"), "1");
    WAIT_UNTIL(strcmp(show("a/cgroup.events"), "populated 1\nfrozen 1\n") == 0);
    EQ(OK(poll(&p, 1, 5000)), 1);
    unsigned seen = *n;
    sleep_ms(50);
    EQ(*n, seen);
    write_to(at("a/cgroup.freeze"), "0");
    WAIT_UNTIL(*n > seen);
    kill(pid, SIGKILL);
    reap_killed(pid);
    write_to(at("a/cgroup.freeze"), "1");
    pid = sleeper_in("a");
    WAIT_UNTIL(strcmp(show("a/cgroup.events"), "populated 1\nfrozen 1\n") == 0);
    kill(pid, SIGKILL);
    reap_killed(pid);
    OK(rmdir(at("a")));
    leave_world();
}

CHECK(pids_limit) {
    enter_world();
    if (access(at("pids.max"), F_OK) < 0) {
        rmdir(g_top);
        check_skip("no pids controller here");
    }
    STREQ(show("pids.max"), "max\n");
    pid_t pid = OK(fork());
    if (pid == 0) {
        write_to(at("cgroup.procs"), "0");
        write_to(at("pids.max"), "2");
        pid_t one = OK(fork());
        if (one == 0)
            sleeper(NULL);
        ERR(fork(), EAGAIN);
        STREQ(show("pids.current"), "2\n");
        STREQ(show("pids.events"), "max 1\n");
        kill(one, SIGKILL);
        reap_killed(one);
        pid_t two = OK(fork());
        if (two == 0)
            _exit(0);
        EQ(wait_exit(two), 0);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    EQ(try_write(at("pids.max"), "junk"), EINVAL);
    write_to(at("pids.max"), "max");
    leave_world();
}

CHECK(clone_into) {
    enter_world();
    OK(mkdir(at("a"), 0755));
    int dir = OK(open(at("a"), O_RDONLY | O_DIRECTORY));
    struct clone_args c = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (unsigned)dir};
    pid_t pid = OK(syscall(SYS_clone3, &c, sizeof c));
    if (pid == 0)
        sleeper(NULL);
    char number[16];
    snprintf(number, sizeof number, "%d\n", pid);
    STREQ(show("a/cgroup.procs"), number);
    write_to(at("a/cgroup.kill"), "1");
    reap_killed(pid);
    c.cgroup = 0;
    int null = OK(open("/dev/null", O_RDONLY));
    c.cgroup = (unsigned)null;
    ERR(syscall(SYS_clone3, &c, sizeof c), EBADF);
    OK(rmdir(at("a")));
    leave_world();
}

CHECK(namespace_shows_its_root) {
    enter_world();
    OK(mkdir(at("a"), 0755));
    pid_t pid = OK(fork());
    if (pid == 0) {
        char text[512];
        write_to(at("a/cgroup.procs"), "0");
        OK(unshare(CLONE_NEWCGROUP));
        STREQ(OKP(strstr(get_file("/proc/self/cgroup", text, sizeof text), "0::")), "0::/\n");
        STREQ(OKP(strstr(get_file("/proc/1/cgroup", text, sizeof text), "0::")) != NULL ? "y" : "n", "y");
        OK(mkdir("inner", 0755));
        OK(mount("none", "inner", "cgroup2", 0, NULL));
        OK(access("inner/cgroup.procs", F_OK));
        ERR(access("inner/a", F_OK), ENOENT);
        write_to(at("cgroup.procs"), "0");
        STREQ(OKP(strstr(get_file("/proc/self/cgroup", text, sizeof text), "0::")), "0::/..\n");
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    OK(rmdir(at("a")));
    leave_world();
}

CHECK(controllers_go_down_the_tree) {
    enter_world();
    if (!strstr(show("cgroup.controllers"), "pids")) {
        rmdir(g_top);
        check_skip("no pids controller here");
    }
    STREQ(show("cgroup.subtree_control"), "\n");
    OK(mkdir(at("a"), 0755));
    ERR(access(at("a/pids.max"), F_OK), ENOENT);
    write_to(at("cgroup.subtree_control"), "+pids");
    STREQ(show("cgroup.subtree_control"), "pids\n");
    STREQ(show("a/cgroup.controllers"), "pids\n");
    OK(access(at("a/pids.max"), F_OK));
    EQ(try_write(at("cgroup.procs"), "0"), EBUSY);
    EQ(try_write(at("cgroup.subtree_control"), "+nonesuch"), EINVAL);
    EQ(try_write(at("cgroup.subtree_control"), "pids"), EINVAL);
    EQ(try_write(at("a/cgroup.subtree_control"), "+memory"), ENOENT);
    write_to(at("cgroup.subtree_control"), "-pids");
    ERR(access(at("a/pids.max"), F_OK), ENOENT);
    write_to(at("cgroup.max.depth"), "1");
    ERR(mkdir(at("a/b"), 0755), EAGAIN);
    write_to(at("cgroup.max.descendants"), "1");
    ERR(mkdir(at("c"), 0755), EAGAIN);
    OK(rmdir(at("a")));
    leave_world();
}
