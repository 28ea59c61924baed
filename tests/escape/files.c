/* SPDX-License-Identifier: Apache-2.0
 * tests/escape/files.c: a guest, root in its container, that looks for a way to the host's files, processes
 * and devices. CANARY and HOSTPID in the environment name a file and a process of the host that no path and
 * no number may reach.
 */
#include "attack.h"

#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

static const char *canary(void) {
    const char *path = getenv("CANARY");

    if (!path)
        check_fail(__FILE__, __LINE__, "CANARY is not set");
    return path;
}

static bool is_canary(int fd) {
    char text[64] = "";

    return read(fd, text, sizeof text - 1) > 0 && strstr(text, "canary-of-the-host") != NULL;
}

CHECK(canary_is_not_there) {
    char path[4096];

    TRUE(open(canary(), O_RDONLY) < 0);
    for (int up = 0; up < 60; up++) {
        char dots[256] = "";
        for (int i = 0; i < up; i++)
            strcat(dots, "../");
        snprintf(path, sizeof path, "%s%s", dots, canary() + 1);
        TRUE(open(path, O_RDONLY) < 0);
    }
    static const char *const ways[] = {
        "/proc/1/root",           "/proc/self/root",    "/proc/1/cwd", "/proc/self/cwd/../../../../../..",
        "/proc/thread-self/root", "/proc/self/fd/0/..", "/dev/fd/..",  "/sys/..",
        "/proc/self/map_files/.."};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        snprintf(path, sizeof path, "%s%s", ways[i], canary());
        int fd = open(path, O_RDONLY);
        TRUE(fd < 0 || !is_canary(fd));
    }
    for (int pid = 1; pid < 400; pid++) {
        snprintf(path, sizeof path, "/proc/%d/root%s", pid, canary());
        int fd = open(path, O_RDONLY);
        TRUE(fd < 0 || !is_canary(fd));
        close(fd);
    }
}

static _Atomic int g_stop;

static void *swap_names(void *arg) {
    (void)arg;
    while (!g_stop) {
        renameat2(AT_FDCWD, "a", AT_FDCWD, "link", RENAME_EXCHANGE);
        rename("deep/x/y", "moved");
        rename("moved", "deep/x/y");
    }
    return NULL;
}

CHECK(rename_races) {
    pthread_t t;
    char path[512];

    OK(mkdir("a", 0755));
    OK(mkdir("a/b", 0755));
    OK(symlink("/", "link"));
    OK(mkdir("deep", 0755));
    OK(mkdir("deep/x", 0755));
    OK(mkdir("deep/x/y", 0755));
    OK(mkdir("deep/x/y/z", 0755));
    int inside = OK(open("deep/x/y/z", O_RDONLY | O_DIRECTORY));
    EQ(pthread_create(&t, NULL, swap_names, NULL), 0);
    snprintf(path, sizeof path, "a/b/../../../../../../../..%s", canary());
    int64_t end = now_ns(CLOCK_MONOTONIC) + 2000000000;
    while (now_ns(CLOCK_MONOTONIC) < end) {
        int fd = open(path, O_RDONLY);
        TRUE(fd < 0 || !is_canary(fd));
        close(fd);
        /* Upwards out of a directory that is being moved. */
        fd = openat(inside, "../../../../../../../../../../..", O_RDONLY | O_DIRECTORY);
        if (fd >= 0) {
            int c = openat(fd, canary() + 1, O_RDONLY);
            TRUE(c < 0);
            close(fd);
        }
        struct open_how how = {.flags = O_RDONLY | O_DIRECTORY, .resolve = RESOLVE_BENEATH};
        fd = (int)syscall(SYS_openat2, inside, "..", &how, sizeof how);
        TRUE(fd < 0);
    }
    g_stop = 1;
    pthread_join(t, NULL);
    still_alive();
}

CHECK(chroot_and_mounts_do_not_lead_out) {
    int top = OK(open("/", O_RDONLY | O_DIRECTORY));

    OK(mkdir("jail", 0755));
    if (chroot("jail") == 0) {
        TRUE(openat(top, canary() + 1, O_RDONLY) < 0);
        fchdir(top);
        for (int i = 0; i < 100; i++)
            chdir("..");
        chroot(".");
        TRUE(open(canary(), O_RDONLY) < 0);
    }
    mkdir("/tmp/m", 0755);
    static const char *const types[] = {"proc",    "sysfs",   "tmpfs",   "ext4", "devtmpfs",
                                        "cgroup2", "overlay", "debugfs", "bpf",  "nfs"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (mount("none", "/tmp/m", types[i], 0, NULL) == 0) {
            TRUE(access(canary(), F_OK) < 0);
            umount2("/tmp/m", MNT_DETACH);
        }
    umount2("/", MNT_DETACH);
    umount2("/proc", MNT_DETACH);
    TRUE(open(canary(), O_RDONLY) < 0);
}

CHECK(devices_of_the_host) {
    static const struct {
        const char *path;
        int major, minor;
    } devices[] = {{"/dev/mem", 1, 1},   {"/dev/kmem", 1, 2},   {"/dev/port", 1, 4},
                   {"/dev/kmsg", 1, 11}, {"/dev/vda", 254, 0},  {"/dev/sda", 8, 0},
                   {"/dev/loop0", 7, 0}, {"/dev/kvm", 10, 232}, {"/dev/loop-control", 10, 237},
                   {"/dev/tty1", 4, 1},  {"/dev/console", 5, 1}};

    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char name[32];
        snprintf(name, sizeof name, "node%zu", i);
        if (i < 10)
            TRUE(open(devices[i].path, O_RDONLY) < 0);
        mknod(name, S_IFCHR | 0600, makedev((unsigned)devices[i].major, (unsigned)devices[i].minor));
        if (i < 10)
            TRUE(open(name, O_RDONLY | O_NONBLOCK) < 0);
        unlink(name);
        if (mknod(name, S_IFBLK | 0600, makedev((unsigned)devices[i].major, (unsigned)devices[i].minor)) == 0)
            TRUE(open(name, O_RDONLY | O_NONBLOCK) < 0);
        unlink(name);
    }
}

CHECK(powers_of_the_host) {
    static const long calls[] = {SYS_init_module,
                                 SYS_finit_module,
                                 SYS_delete_module,
                                 SYS_kexec_load,
                                 SYS_bpf,
                                 SYS_perf_event_open,
                                 SYS_iopl,
                                 SYS_ioperm,
                                 SYS_swapon,
                                 SYS_swapoff,
                                 SYS_acct,
                                 SYS_quotactl,
                                 SYS_io_uring_setup,
                                 SYS_open_by_handle_at,
                                 SYS_lookup_dcookie,
                                 SYS_fanotify_init,
                                 SYS_add_key,
                                 SYS_keyctl,
                                 SYS_vhangup};

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        TRUE(syscall(calls[i], "x", 1, 2, 3, 4, 5) < 0 || calls[i] == SYS_vhangup);
    TRUE(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL) <= 0); /* CAD off: harmless anywhere */
    struct timespec t = {1, 0};
    clock_settime(CLOCK_REALTIME, &t); /* the guest's own clock at most */
}

CHECK(processes_of_the_host) {
    const char *text = getenv("HOSTPID");
    int host = text ? atoi(text) : 0;

    kill(host, SIGKILL);
    kill(-host, SIGKILL);
    syscall(SYS_tkill, host, SIGKILL);
    sigqueue(host, SIGKILL, (union sigval){0});
    ptrace(PTRACE_ATTACH, host, 0, 0);
    ptrace(PTRACE_SEIZE, 1, 0, 0);
    char b[8];
    struct iovec v = {b, 8}, from = {(void *)0x400000, 8};
    process_vm_readv(host, &v, 1, &from, 1, 0);
    syscall(SYS_pidfd_open, host, 0);
    syscall(SYS_kcmp, host, getpid(), 0, 0, 0);
    syscall(SYS_migrate_pages, host, 8, "x", "x");
    setpriority(PRIO_PROCESS, (unsigned)host, 19);
    for (int pid = 2; pid < 70000; pid++)
        if (pid != getpid() && pid != getppid())
            kill(pid, SIGKILL);
    still_alive();
}

CHECK(descriptors_left_over) {
    char path[64], target[4096];

    for (int fd = 0; fd < 1000; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n < 0)
            continue;
        target[n] = '\0';
        TRUE(strstr(target, "runsc") == NULL || fd <= 2);
        struct stat st;
        OK(fstat(fd, &st));
        TRUE(!S_ISDIR(st.st_mode));
    }
}

static void exec_garbage(uint64_t seed) {
    static unsigned char image[8192];
    int in = open("/proc/self/exe", O_RDONLY), fd;
    uint64_t state = seed * 1000003 + 7;
    char *argv[] = {"garbage", NULL}, *envp[] = {NULL};

    read(in, image, sizeof image);
    int changes = (int)(attack_random(&state) % 24) + 1;
    for (int i = 0; i < changes; i++)
        image[attack_random(&state) % (seed % 3 ? 512 : 64)] =
            (unsigned char)(attack_random(&state) % 5 ? attack_random(&state) : 0xff);
    char name[32];
    snprintf(name, sizeof name, "elf%d", getpid());
    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    write(fd, image, attack_random(&state) % 4 ? sizeof image : attack_random(&state) % 512);
    close(fd);
    execve(name, argv, envp);
    _exit(0);
}

CHECK(garbage_programs) {
    for (uint64_t i = 0; i < 600; i++)
        attack_in_child(exec_garbage, i, 1000);
    still_alive();
}
