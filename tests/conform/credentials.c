/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/credentials.c: ids, groups, capabilities, limits, names of the system. Sources:
 * credentials(7), capabilities(7), setuid(2), setresuid(2), setgroups(2), capget(2), prctl(2), getrlimit(2),
 * getpriority(2), sethostname(2), getrandom(2).
 */
#include "conform.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

static void need_root(void) {
    if (!is_root())
        check_skip("geteuid: not root");
}

static void expect_uids(uid_t r, uid_t e, uid_t s) {
    uid_t a, b, c;

    OK(getresuid(&a, &b, &c));
    EQ(a, r);
    EQ(b, e);
    EQ(c, s);
}

static struct __user_cap_data_struct g_caps[2];
static uint64_t caps(int which) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};

    OK(syscall(SYS_capget, &h, g_caps));
    uint32_t *low = which == 0   ? &g_caps[0].effective
                    : which == 1 ? &g_caps[0].permitted
                                 : &g_caps[0].inheritable;
    uint32_t *high = which == 0   ? &g_caps[1].effective
                     : which == 1 ? &g_caps[1].permitted
                                  : &g_caps[1].inheritable;
    return *low | (uint64_t)*high << 32;
}

static int set_caps(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)}};

    return (int)syscall(SYS_capset, &h, d);
}

CHECK(setuid_as_root_sets_all) {
    need_root();
    OK(setuid(1000));
    expect_uids(1000, 1000, 1000);
    ERR(setuid(0), EPERM);
    OK(setuid(1000));
    EQ(caps(0), 0);
    EQ(caps(1), 0);
}

CHECK(seteuid_and_back) {
    need_root();
    uint64_t all = caps(1);
    OK(seteuid(1000));
    expect_uids(0, 1000, 0);
    EQ(caps(0), 0);
    EQ(caps(1), all);
    ERR(setuid(5), EPERM);
    OK(seteuid(0));
    EQ(caps(0), all);
}

CHECK(setresuid_rules) {
    need_root();
    OK(setresuid(1, 2, 3));
    expect_uids(1, 2, 3);
    OK(setresuid((uid_t)-1, 3, (uid_t)-1));
    expect_uids(1, 3, 3);
    OK(setresuid(3, 1, 1));
    expect_uids(3, 1, 1);
    ERR(setresuid(4, (uid_t)-1, (uid_t)-1), EPERM);
    OK(setreuid(1, 3));
    expect_uids(1, 3, 3);
    ERR(setreuid(7, (uid_t)-1), EPERM);
}

CHECK(setgid_family) {
    gid_t a, b, c;

    need_root();
    OK(setresgid(10, 11, 12));
    OK(getresgid(&a, &b, &c));
    EQ(a * 10000 + b * 100 + c, 101112);
    OK(setresuid(1000, 1000, 1000));
    OK(setegid(12));
    ERR(setegid(13), EPERM);
    OK(setregid((gid_t)-1, 10));
    ERR(setgid(99), EPERM);
    EQ(getegid(), 10);
}

CHECK(groups) {
    gid_t g[4] = {30, 10, 20, 10}, got[8];

    need_root();
    OK(setgroups(4, g));
    EQ(getgroups(0, NULL), 4);
    EQ(getgroups(8, got), 4);
    EQ(got[0], 10);
    EQ(got[3], 30);
    ERR(getgroups(2, got), EINVAL);
    ERR(setgroups(65537, g), EINVAL);
    OK(setuid(1000));
    ERR(setgroups(1, g), EPERM);
    EQ(getgroups(8, got), 4);
}

CHECK(supplementary_groups_give_access) {
    need_root();
    put_file("f", "x");
    OK(chown("f", 0, 4321));
    OK(chmod("f", 0040));
    OK(setgroups(1, (gid_t[]){4321}));
    OK(setresgid(5, 5, 5));
    OK(setresuid(5, 5, 5));
    OK(open("f", O_RDONLY));
}

CHECK(fsuid_decides_about_files) {
    need_root();
    put_file("f", "x");
    OK(chmod("f", 0600));
    EQ(setfsuid(1000), 0);
    EQ(setfsuid((uid_t)-1), 1000);
    ERR(open("f", O_RDONLY), EACCES);
    EQ(setfsuid(0), 1000);
    OK(open("f", O_RDONLY));
}

CHECK(capget_and_capset) {
    struct __user_cap_header_struct h = {0x1234, 0};

    need_root();
    ERR(syscall(SYS_capget, &h, g_caps), EINVAL);
    EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
    uint64_t all = caps(1);
    TRUE(all & 1 << CAP_CHOWN);
    OK(set_caps(1 << CAP_KILL, 1 << CAP_KILL | 1 << CAP_CHOWN, 0));
    EQ(caps(0), 1 << CAP_KILL);
    ERR(set_caps(1 << CAP_SETUID, 1 << CAP_KILL, 0), EPERM);
    ERR(set_caps(0, all, 0), EPERM);
    put_file("f", "");
    ERR(chown("f", 5, 5), EPERM);
    OK(set_caps(1 << CAP_CHOWN, 1 << CAP_CHOWN, 1 << CAP_CHOWN));
    OK(chown("f", 5, 5));
    h = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 99999999};
    ERR(syscall(SYS_capget, &h, g_caps), ESRCH);
}

CHECK(root_without_dac_override) {
    need_root();
    put_file("f", "x");
    OK(chown("f", 1000, 1000));
    OK(chmod("f", 0600));
    OK(set_caps(caps(0) & ~(1ull << CAP_DAC_OVERRIDE | 1ull << CAP_DAC_READ_SEARCH), caps(1), 0));
    ERR(open("f", O_RDONLY), EACCES);
    OK(set_caps(caps(1), caps(1), 0));
    OK(open("f", O_RDONLY));
}

CHECK(keepcaps_and_ambient) {
    need_root();
    uint64_t one = 1ull << CAP_NET_BIND_SERVICE;
    OK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    OK(setresuid(1000, 1000, 1000));
    EQ(caps(0), 0);
    TRUE(caps(1) & one);
    OK(set_caps(one, one, one));
    OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0));
    EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0), 1);
    ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), EPERM);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/grep", "grep", "-qE", "^CapEff:.*0000000000000400$", "/proc/self/status", NULL);
        _exit(9);
    }
    EQ(wait_exit(pid), 0);
    OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    pid = fork();
    if (pid == 0) {
        execl("/bin/grep", "grep", "-qE", "^CapEff:.*0000000000000000$", "/proc/self/status", NULL);
        _exit(9);
    }
    EQ(wait_exit(pid), 0);
}

CHECK(bounding_set) {
    need_root();
    EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 1);
    OK(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
    EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
    ERR(prctl(PR_CAPBSET_READ, 200), EINVAL);
    pid_t pid = fork();
    if (pid == 0) {
        put_file("f", "");
        execl("/bin/chown", "chown", "5", "f", NULL);
        _exit(9);
    }
    freopen("/dev/null", "w", stderr);
    EQ(wait_exit(pid), 1);
}

CHECK(setuid_program) {
    char command[9000], out[64];

    need_root();
    snprintf(command, sizeof command, "cp /usr/bin/id idcopy && chown 1234:4321 idcopy && chmod 6755 idcopy");
    EQ(system(command), 0);
    OK(chmod(".", 0777));
    pid_t pid = fork();
    if (pid == 0) {
        become_nobody();
        int fd = open("out", O_WRONLY | O_CREAT, 0666);
        dup2(fd, 1);
        execl("./idcopy", "id", "-u", NULL);
        _exit(9);
    }
    EQ(wait_exit(pid), 0);
    STREQ(get_file("out", out, sizeof out), "1234\n");
    /* no_new_privs switches that off. */
    pid = fork();
    if (pid == 0) {
        become_nobody();
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        int fd = open("out2", O_WRONLY | O_CREAT, 0666);
        dup2(fd, 1);
        execl("./idcopy", "id", "-u", NULL);
        _exit(9);
    }
    EQ(wait_exit(pid), 0);
    STREQ(get_file("out2", out, sizeof out), "65534\n");
}

CHECK(limits) {
    struct rlimit r, old;

    OK(getrlimit(RLIMIT_NOFILE, &r));
    r.rlim_cur = 50;
    r.rlim_max = 100;
    OK(setrlimit(RLIMIT_NOFILE, &r));
    OK(getrlimit(RLIMIT_NOFILE, &old));
    EQ(old.rlim_cur, 50);
    EQ(old.rlim_max, 100);
    r.rlim_cur = 101;
    ERR(setrlimit(RLIMIT_NOFILE, &r), EINVAL);
    ERR(getrlimit((__rlimit_resource_t)99, &r), EINVAL);
    OK(prlimit(getpid(), RLIMIT_CORE, &(struct rlimit){0, 0}, &old));
    OK(prlimit(0, RLIMIT_CORE, NULL, &r));
    EQ(r.rlim_max, 0);
    pid_t pid = fork();
    if (pid == 0) {
        getrlimit(RLIMIT_NOFILE, &r);
        _exit((int)r.rlim_cur);
    }
    EQ(wait_exit(pid), 50);
    if (!is_root())
        return;
    become_nobody();
    r = (struct rlimit){50, 200};
    ERR(setrlimit(RLIMIT_NOFILE, &r), EPERM);
    r = (struct rlimit){20, 60};
    OK(setrlimit(RLIMIT_NOFILE, &r));
}

CHECK(cpu_limit_signals) {
    pid_t pid = fork();

    if (pid == 0) {
        OK(setrlimit(RLIMIT_CPU, &(struct rlimit){1, 5}));
        OK(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
        for (;;) {
        }
    }
    int status = wait_status(pid);
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGXCPU);
}

CHECK(priorities) {
    if (is_root())
        (void)setpriority(PRIO_PROCESS, 0, 0); /* whatever the caller's is */
    errno = 0;
    EQ(getpriority(PRIO_PROCESS, 0), 0);
    OK(setpriority(PRIO_PROCESS, 0, 5));
    EQ(getpriority(PRIO_PROCESS, 0), 5);
    EQ(nice(3), 8);
    ERR(setpriority(9, 0, 5), EINVAL);
    ERR(getpriority(PRIO_PROCESS, 99999999), ESRCH);
    OK(setpriority(PRIO_PROCESS, 0, 100));
    EQ(getpriority(PRIO_PROCESS, 0), 19);
    if (!is_root())
        return;
    become_nobody();
    ERR(setpriority(PRIO_PROCESS, 0, 0), EACCES);
}

CHECK(host_name) {
    struct utsname u;
    char name[65];

    OK(uname(&u));
    OK(gethostname(name, sizeof name));
    STREQ(name, u.nodename);
    ERR(syscall(SYS_uname, 8), EFAULT);
    if (!is_root())
        return;
    become_nobody();
    ERR(sethostname("x", 1), EPERM);
}

CHECK(random_bytes) {
    char a[64] = {0}, b[64] = {0};

    EQ(getrandom(a, sizeof a, 0), sizeof a);
    EQ(getrandom(b, sizeof b, GRND_NONBLOCK), sizeof b);
    TRUE(memcmp(a, b, sizeof a) != 0);
    ERR(getrandom(a, 1, 0x100), EINVAL);
    ERR(getrandom((void *)8, 1, 0), EFAULT);
}

CHECK(system_information) {
    struct sysinfo s;

    OK(sysinfo(&s));
    TRUE(s.totalram > 0);
    TRUE(s.procs > 0);
    TRUE(s.mem_unit >= 1);
    ERR(sysinfo((void *)8), EFAULT);
    EQ(sysconf(_SC_PAGESIZE), 4096);
    EQ(sysconf(_SC_CLK_TCK), 100);
}

CHECK(unknown_system_calls) {
    ERR(syscall(1000), ENOSYS);
    ERR(syscall(600), ENOSYS);
    ERR(syscall(-5), ENOSYS);
    ERR(syscall(183 /* afs_syscall */), ENOSYS);
}

CHECK(vsyscall_page) {
    /* time() at its fixed address, if this kernel has the page. */
    FILE *f = fopen("/proc/self/maps", "re");
    char line[512];
    int found = 0;

    while (f && fgets(line, sizeof line, f))
        found |= strstr(line, "[vsyscall]") != NULL;
    if (!found)
        check_skip("/proc/self/maps: no [vsyscall]");
    time_t t = ((time_t(*)(time_t *))0xffffffffff600400ul)(NULL);
    TRUE(t - time(NULL) <= 1 && time(NULL) - t <= 1);
}
