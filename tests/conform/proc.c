/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/proc.c: what programs read in /proc. Sources: proc(5).
 */
#include "conform.h"

#include <dirent.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

static char g_text[1 << 20];

static const char *field(const char *text, const char *name) {
    static char value[256];
    const char *p = text;
    size_t n = strlen(name);

    for (; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (strncmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1;
            p += strspn(p, " \t");
            size_t size = strcspn(p, "\n");
            snprintf(value, sizeof value, "%.*s", (int)size, p);
            return value;
        }
    check_fail(__FILE__, __LINE__, "no field %s", name);
}

CHECK(self_is_a_link) {
    char a[64], b[64];

    snprintf(a, sizeof a, "%d", getpid());
    ssize_t n = OK(readlink("/proc/self", b, sizeof b - 1));
    b[n] = '\0';
    STREQ(a, b);
    n = OK(readlink("/proc/thread-self", b, sizeof b - 1));
    b[n] = '\0';
    snprintf(a, sizeof a, "%d/task/%d", getpid(), gettid());
    STREQ(a, b);
    struct statfs s;
    OK(statfs("/proc", &s));
    EQ(s.f_type, 0x9fa0);
}

CHECK(status_fields) {
    get_file("/proc/self/status", g_text, sizeof g_text);
    EQ(atoi(field(g_text, "Pid")), getpid());
    EQ(atoi(field(g_text, "Tgid")), getpid());
    EQ(atoi(field(g_text, "PPid")), getppid());
    EQ(atoi(field(g_text, "Threads")), 1);
    TRUE(strncmp(field(g_text, "State"), "R", 1) == 0);
    TRUE(atoi(field(g_text, "VmRSS")) > 0);
    TRUE(atoi(field(g_text, "VmSize")) > 0);
    EQ(atoi(field(g_text, "Uid")), (int)getuid());
    EQ(strtoul(field(g_text, "SigBlk"), NULL, 16), 0);
    EQ(atoi(field(g_text, "NoNewPrivs")), 0);
    STREQ(field(g_text, "Umask"), "0022");
}

CHECK(stat_fields) {
    int pid, ppid, pgrp, session, n;
    char comm[32], state;

    OK(prctl(PR_SET_NAME, "a) (b"));
    get_file("/proc/self/stat", g_text, sizeof g_text);
    char *end = strrchr(g_text, ')');
    EQ(sscanf(g_text, "%d (%31[^\n]", &pid, comm), 2);
    EQ(pid, getpid());
    EQ(memcmp(comm, "a) (b)", 6), 0);
    EQ(sscanf(end + 2, "%c %d %d %d", &state, &ppid, &pgrp, &session), 4);
    EQ(state, 'R');
    EQ(ppid, getppid());
    EQ(pgrp, getpgrp());
    EQ(session, getsid(0));
    n = 0;
    for (char *p = end; *p; p++)
        n += *p == ' ';
    EQ(n, 50);
}

CHECK(cmdline_environ_comm) {
    get_file("/proc/self/cmdline", g_text, sizeof g_text);
    TRUE(strlen(g_text) > 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {"cat", "/proc/self/cmdline", "/proc/self/environ", "/proc/self/comm", NULL};
        char *envp[] = {"A=1", "B=two words", NULL};
        int fd = open("out", O_WRONLY | O_CREAT, 0600);
        dup2(fd, 1);
        execve("/bin/cat", argv, envp);
        _exit(1);
    }
    EQ(wait_exit(pid), 0);
    static const char want[] =
        "cat\0/proc/self/cmdline\0/proc/self/environ\0/proc/self/comm\0A=1\0B=two words\0cat\n";
    int fd = OK(open("out", O_RDONLY));
    EQ(read(fd, g_text, sizeof g_text), sizeof want - 1);
    MEMEQ(g_text, want, sizeof want - 1);
}

CHECK(exe_cwd_root) {
    char link[4096], cwd[4096];

    ssize_t n = OK(readlink("/proc/self/exe", link, sizeof link - 1));
    link[n] = '\0';
    OK(access(link, X_OK));
    n = OK(readlink("/proc/self/cwd", link, sizeof link - 1));
    link[n] = '\0';
    OKP(getcwd(cwd, sizeof cwd));
    STREQ(link, cwd);
    n = OK(readlink("/proc/self/root", link, sizeof link - 1));
    link[n] = '\0';
    STREQ(link, "/");
    put_file("f", "x");
    OK(access("/proc/self/cwd/f", R_OK));
}

CHECK(fd_directory) {
    char path[64], link[4096], cwd[4096];
    int fd = make_file("f", "content"), p[2], seen = 0;

    OK(pipe(p));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = OK(readlink(path, link, sizeof link - 1));
    link[n] = '\0';
    OKP(getcwd(cwd, sizeof cwd));
    strcat(cwd, "/f");
    STREQ(link, cwd);
    int again = OK(open(path, O_RDONLY));
    char b[8];
    EQ(read(again, b, 8), 7);
    snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
    n = OK(readlink(path, link, sizeof link - 1));
    link[n] = '\0';
    TRUE(strncmp(link, "pipe:[", 6) == 0);
    int w = OK(open(path, O_WRONLY | O_NONBLOCK)); /* the other end of the same pipe */
    EQ(write(w, "x", 1), 1);
    EQ(read(p[0], b, 1), 1);
    DIR *d = OKP(opendir("/proc/self/fd"));
    for (struct dirent *e; (e = readdir(d));)
        seen += e->d_name[0] != '.' && (atoi(e->d_name) == fd || atoi(e->d_name) == p[1]);
    EQ(seen, 2);
    ERR(open("/proc/self/fd/99", O_RDONLY), ENOENT);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    OK(lseek(fd, 3, SEEK_SET));
    get_file(path, g_text, sizeof g_text);
    EQ(atoi(field(g_text, "pos")), 3);
    EQ(strtol(field(g_text, "flags"), NULL, 8) & O_ACCMODE, O_RDWR);
}

/* The line of /proc/self/maps that holds the address. */
static const char *map_of(const void *address) {
    static char line[4400];
    FILE *f = OKP(fopen("/proc/self/maps", "re"));
    unsigned long start, end;

    while (fgets(line, sizeof line, f))
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && (uintptr_t)address >= start &&
            (uintptr_t)address < end) {
            fclose(f);
            return strchr(line, ' ') + 1;
        }
    fclose(f);
    return "none";
}

CHECK(maps_lines) {
    int fd = make_file("f", "x"), local = 0;
    char *a = OKP(mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    char *s = OKP(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));

    OK(mprotect(a + 4096, 4096, PROT_NONE));
    EQ(strncmp(map_of(a), "rw-p 00000000 00:00 0", 21), 0);
    EQ(strncmp(map_of(a + 4096), "---p ", 5), 0);
    EQ(strncmp(map_of(s), "r--s 00000000 ", 14), 0);
    TRUE(strstr(map_of(s), "/f\n") != NULL);
    TRUE(strstr(map_of(&local), "[stack]") != NULL);
    char *heap = sbrk(4096);
    TRUE(strstr(map_of(heap), "[heap]") != NULL);
    EQ(strncmp(map_of((void *)(uintptr_t)map_of), "r-xp ", 5), 0);
    TRUE(strstr(map_of((void *)getauxval(AT_SYSINFO_EHDR)), "[vdso]") != NULL);
    OK(munmap(a, 3 * 4096));
    STREQ(map_of(a), "none");
}

CHECK(maps_are_ordered_and_disjoint) {
    FILE *f = OKP(fopen("/proc/self/maps", "re"));
    static char line[4400];
    unsigned long start, end, last = 0;
    int n = 0;

    while (fgets(line, sizeof line, f)) {
        EQ(sscanf(line, "%lx-%lx", &start, &end), 2);
        TRUE(start >= last);
        TRUE(end > start);
        last = end;
        n++;
    }
    TRUE(n > 5);
    fclose(f);
}

CHECK(statm_and_limits) {
    long size, resident;

    get_file("/proc/self/statm", g_text, sizeof g_text);
    EQ(sscanf(g_text, "%ld %ld", &size, &resident), 2);
    TRUE(size >= resident);
    TRUE(resident > 0);
    syscall(SYS_prlimit64, 0, 7, (uint64_t[]){123, 456}, NULL);
    get_file("/proc/self/limits", g_text, sizeof g_text);
    char *p = strstr(g_text, "Max open files");
    TRUE(p != NULL);
    EQ(strtol(p + 14, &p, 10), 123);
    EQ(strtol(p, NULL, 10), 456);
}

CHECK(task_directory) {
    int n = 0;
    DIR *d = OKP(opendir("/proc/self/task"));

    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            EQ(atoi(e->d_name), gettid());
            n++;
        }
    EQ(n, 1);
    char path[64];
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    snprintf(path, sizeof path, "/proc/self/task/%d/children", gettid());
    if (access(path, R_OK) == 0) {
        get_file(path, g_text, sizeof g_text);
        EQ(atoi(g_text), pid);
    }
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    OK(access(path, R_OK));
    OK(kill(pid, SIGKILL));
    wait_status(pid);
    ERR(access(path, R_OK), ENOENT);
}

CHECK(process_directories_are_listed) {
    int found = 0;
    DIR *d = OKP(opendir("/proc"));

    for (struct dirent *e; (e = readdir(d));)
        found += atoi(e->d_name) == getpid();
    EQ(found, 1);
    ERR(open("/proc/99999999", O_RDONLY), ENOENT);
    ERR(mkdir("/proc/x", 0700), ENOENT);
    ERR(unlink("/proc/self/stat"), EPERM);
}

CHECK(system_files) {
    struct utsname u;
    int cpus = 0;

    get_file("/proc/meminfo", g_text, sizeof g_text);
    TRUE(atol(field(g_text, "MemTotal")) > 0);
    TRUE(atol(field(g_text, "MemAvailable")) > 0);
    get_file("/proc/cpuinfo", g_text, sizeof g_text);
    for (char *p = g_text; (p = strstr(p, "processor\t:")); p++)
        cpus++;
    TRUE(cpus >= 1);
    EQ(cpus, sysconf(_SC_NPROCESSORS_ONLN));
    OK(uname(&u));
    STREQ(u.sysname, "Linux");
    STREQ(u.machine, "x86_64");
    get_file("/proc/version", g_text, sizeof g_text);
    TRUE(strncmp(g_text, "Linux version ", 14) == 0);
    get_file("/proc/sys/kernel/osrelease", g_text, sizeof g_text);
    g_text[strlen(g_text) - 1] = '\0';
    STREQ(g_text, u.release);
    get_file("/proc/uptime", g_text, sizeof g_text);
    TRUE(atof(g_text) > 0);
    get_file("/proc/loadavg", g_text, sizeof g_text);
    get_file("/proc/stat", g_text, sizeof g_text);
    TRUE(strncmp(g_text, "cpu ", 4) == 0);
    TRUE(strstr(g_text, "\nbtime ") != NULL);
    get_file("/proc/filesystems", g_text, sizeof g_text);
    TRUE(strstr(g_text, "proc\n") != NULL);
    TRUE(strstr(g_text, "tmpfs\n") != NULL);
    get_file("/proc/self/mounts", g_text, sizeof g_text);
    TRUE(strstr(g_text, " / ") != NULL);
    TRUE(strstr(g_text, " /proc proc ") != NULL);
    get_file("/proc/self/mountinfo", g_text, sizeof g_text);
    TRUE(strstr(g_text, " - proc ") != NULL);
    get_file("/proc/sys/kernel/pid_max", g_text, sizeof g_text);
    TRUE(atoi(g_text) > 300);
    get_file("/proc/sys/kernel/random/boot_id", g_text, sizeof g_text);
    EQ(strlen(g_text), 37);
    get_file("/proc/self/cgroup", g_text, sizeof g_text);
}

CHECK(mem_file) {
    static char data[16] = "before";
    int fd = OK(open("/proc/self/mem", O_RDWR));
    char b[16];

    EQ(pread(fd, b, sizeof b, (off_t)(uintptr_t)data), sizeof b);
    STREQ(b, "before");
    EQ(pwrite(fd, "after", 6, (off_t)(uintptr_t)data), 6);
    STREQ(data, "after");
    ERR(pread(fd, b, 1, 16), EIO);
}

CHECK(auxv_agrees) {
    unsigned long v[2];
    int fd = OK(open("/proc/self/auxv", O_RDONLY)), seen = 0;

    while (OK(read(fd, v, sizeof v)) == sizeof v && v[0] != 0) {
        if (v[0] != AT_HWCAP) /* libc answers that one with bits of its own */
            EQ(getauxval(v[0]), v[1]);
        seen |= v[0] == AT_PAGESZ         ? 1
                : v[0] == AT_RANDOM       ? 2
                : v[0] == AT_ENTRY        ? 4
                : v[0] == AT_SYSINFO_EHDR ? 8
                                          : 0;
    }
    EQ(seen, 15);
    EQ(getauxval(AT_PAGESZ), 4096);
    EQ(getauxval(AT_CLKTCK), 100);
    EQ(getauxval(AT_SECURE), 0);
    EQ(getauxval(AT_UID), getuid());
}

CHECK(other_users_files_are_closed) {
    if (!is_root())
        check_skip("geteuid: not root");
    char path[64];
    pid_t pid = fork();

    if (pid == 0) {
        become_nobody();
        snprintf(path, sizeof path, "/proc/%d/mem", getppid());
        ERR(open(path, O_RDONLY), EACCES);
        snprintf(path, sizeof path, "/proc/%d/environ", getppid());
        ERR(open(path, O_RDONLY), EACCES);
        snprintf(path, sizeof path, "/proc/%d/fd", getppid());
        ERR(open(path, O_RDONLY), EACCES);
        snprintf(path, sizeof path, "/proc/%d/exe", getppid());
        ERR(readlink(path, g_text, 10), EACCES);
        snprintf(path, sizeof path, "/proc/%d/stat", getppid());
        OK(open(path, O_RDONLY));
        snprintf(path, sizeof path, "/proc/%d/cmdline", getppid());
        OK(open(path, O_RDONLY));
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
}
