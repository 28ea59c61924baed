/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/processes.c: fork, exec, exit, wait, groups and sessions. Sources: fork(2), clone(2),
 * execve(2), wait(2), waitid(2), setpgid(2), setsid(2), prctl(2), pidfd_open(2), vfork(2), credentials(7).
 *
 * The programs that are executed are this one, with a check's name: see main() in conform_main.c, and
 * /bin/sh.
 */
#include "conform.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

CHECK(exit_codes) {
    static const int codes[] = {0, 1, 42, 255, 256, -1};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(codes[i]);
        EQ(wait_exit(pid), codes[i] & 255);
    }
}

CHECK(wait_variants) {
    int status;
    struct rusage usage;

    ERR(wait(&status), ECHILD);
    ERR(waitpid(99999999, &status, 0), ECHILD);
    ERR(waitpid(-1, &status, 0x100), EINVAL);
    pid_t a = fork();
    if (a == 0) {
        sleep_ms(30);
        _exit(1);
    }
    EQ(waitpid(a, &status, WNOHANG), 0);
    ERR(waitpid(-getpgrp() - 1000000, &status, 0), ECHILD);
    EQ(wait4(a, &status, 0, &usage), a);
    EQ(WEXITSTATUS(status), 1);
    pid_t b = fork();
    if (b == 0)
        _exit(2);
    EQ(waitpid(0, &status, 0), b);
    pid_t c = fork();
    if (c == 0)
        _exit(3);
    EQ(waitpid(-getpgrp(), NULL, 0), c);
    ERR(waitpid(c, NULL, 0), ECHILD);
    /* A bad status pointer: the child is reaped all the same. */
    pid_t d = fork();
    if (d == 0)
        _exit(3);
    ERR(syscall(SYS_wait4, d, 8, 0, NULL), EFAULT);
    ERR(waitpid(d, NULL, 0), ECHILD);
}

CHECK(waitid_variants) {
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        _exit(7);
    OK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
    EQ(info.si_signo, SIGCHLD);
    EQ(info.si_code, CLD_EXITED);
    EQ(info.si_status, 7);
    EQ(info.si_pid, pid);
    EQ(info.si_uid, getuid());
    OK(waitid(P_ALL, 0, &info, WEXITED));
    EQ(info.si_pid, pid);
    ERR(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
    ERR(waitid(P_ALL, 0, &info, 0), EINVAL);
    ERR(waitid((idtype_t)9, 0, &info, WEXITED), EINVAL);
    pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    memset(&info, 1, sizeof info);
    OK(waitid(P_PGID, (id_t)getpgrp(), &info, WEXITED | WNOHANG));
    EQ(info.si_pid, 0);
    EQ(info.si_signo, 0);
    OK(kill(pid, SIGSTOP));
    OK(waitid(P_PID, (id_t)pid, &info, WSTOPPED));
    EQ(info.si_code, CLD_STOPPED);
    EQ(info.si_status, SIGSTOP);
    OK(kill(pid, SIGCONT));
    OK(waitid(P_PID, (id_t)pid, &info, WCONTINUED));
    EQ(info.si_code, CLD_CONTINUED);
    OK(kill(pid, SIGKILL));
    OK(waitid(P_PID, (id_t)pid, &info, WEXITED));
    EQ(info.si_code, CLD_KILLED);
    EQ(info.si_status, SIGKILL);
}

CHECK(zombies_and_reaping) {
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    WAIT_UNTIL(process_state(pid) == 'Z');
    OK(kill(pid, 0)); /* still there */
    EQ(wait_exit(pid), 0);
    ERR(kill(pid, 0), ESRCH);
    EQ(process_state(pid), 0);
    signal(SIGCHLD, SIG_IGN); /* children reap themselves */
    pid = fork();
    if (pid == 0)
        _exit(0);
    ERR(waitpid(pid, NULL, 0), ECHILD);
    struct sigaction sa = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    OK(sigaction(SIGCHLD, &sa, NULL));
    pid = fork();
    if (pid == 0)
        _exit(0);
    ERR(wait(NULL), ECHILD);
}

CHECK(orphans_go_to_the_subreaper) {
    int p[2], status;
    pid_t grandchild;

    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    int is = 0;
    OK(prctl(PR_GET_CHILD_SUBREAPER, &is));
    EQ(is, 1);
    OK(pipe(p));
    pid_t me = getpid();
    pid_t child = fork();
    if (child == 0) {
        pid_t g = fork();
        if (g == 0) {
            pid_t parent = getppid();
            write(p[1], &(pid_t){getpid()}, sizeof g);
            while (getppid() == parent && parent != me)
                sleep_ms(2);
            _exit(getppid() == me ? 21 : 22);
        }
        sleep_ms(20);
        _exit(20);
    }
    EQ(wait_exit(child), 20);
    EQ(read(p[0], &grandchild, sizeof grandchild), sizeof grandchild);
    EQ(waitpid(-1, &status, 0), grandchild);
    EQ(WEXITSTATUS(status), 21);
}

CHECK(parent_death_signal) {
    int p[2];
    char c;

    OK(pipe(p));
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            write(p[1], "x", 1);
            pause();
            _exit(0);
        }
        read(p[0], &c, 1);
        _exit(0);
    }
    EQ(wait_exit(child), 0);
    int status;
    OK(waitpid(-1, &status, 0));
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGTERM);
}

CHECK(fork_copies_memory) {
    static int data = 1;
    int *heap = malloc(sizeof *heap), *shared = OKP(mmap(NULL, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0));

    *heap = 1;
    pid_t pid = fork();
    if (pid == 0) {
        data = *heap = 2;
        *shared = 5;
        _exit(getppid() == 0);
    }
    EQ(wait_exit(pid), 0);
    EQ(data, 1);
    EQ(*heap, 1);
    EQ(*shared, 5);
}

CHECK(vfork_waits_and_shares) {
    static volatile int data;
    pid_t pid = vfork();

    if (pid == 0) {
        data = 9;
        _exit(4);
    }
    EQ(data, 9);
    EQ(wait_exit(pid), 4);
    pid = vfork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "exit 6", NULL);
        _exit(1);
    }
    EQ(wait_exit(pid), 6);
}

static int clone_child(void *arg) {
    *(volatile int *)arg = 77;
    return 5;
}

CHECK(clone_flags) {
    static char stack[65536];
    static volatile int data;
    static pid_t parent_tid, child_tid;
    int pidfd;

    pid_t pid = OK(clone(clone_child, stack + sizeof stack, CLONE_VM | SIGCHLD, (void *)&data));
    EQ(wait_exit(pid), 5);
    EQ(data, 77);
    data = 0;
    pid = OK(
        clone(clone_child, stack + sizeof stack, SIGCHLD | CLONE_PARENT_SETTID, (void *)&data, &parent_tid));
    EQ(parent_tid, pid);
    EQ(wait_exit(pid), 5);
    EQ(data, 0);
    pid = OK(clone(clone_child, stack + sizeof stack, SIGCHLD | CLONE_PIDFD, (void *)&data, &pidfd));
    siginfo_t info;
    OK(waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED));
    EQ(info.si_pid, pid);
    EQ(info.si_status, 5);
    EQ(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    (void)child_tid;
    /* No exit signal: only __WCLONE or __WALL waits for it. */
    pid = OK(clone(clone_child, stack + sizeof stack, CLONE_VM, (void *)&data));
    ERR(waitpid(pid, NULL, 0), ECHILD);
    int status;
    EQ(waitpid(pid, &status, __WALL), pid);
    EQ(WEXITSTATUS(status), 5);
    ERR(syscall(SYS_clone, CLONE_THREAD | SIGCHLD, 0, 0, 0, 0), EINVAL);
    ERR(syscall(SYS_clone, CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0), EINVAL);
}

CHECK(clone_files_and_fs) {
    static char stack[65536];
    pid_t pid = OK(syscall(SYS_clone, CLONE_FILES | CLONE_FS | SIGCHLD, 0, 0, 0, 0));

    (void)stack;
    if (pid == 0) {
        dup2(0, 40);
        mkdir("sub", 0755);
        chdir("sub");
        umask(0123);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    OK(fcntl(40, F_GETFD));
    char cwd[4096];
    OKP(getcwd(cwd, sizeof cwd));
    STREQ(strrchr(cwd, '/'), "/sub");
    EQ(umask(0), 0123);
}

CHECK(clone3_call) {
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } args = {.exit_signal = SIGCHLD};
    pid_t pid = OK(syscall(SYS_clone3, &args, sizeof args));

    if (pid == 0)
        _exit(8);
    EQ(wait_exit(pid), 8);
    ERR(syscall(SYS_clone3, &args, 32), EINVAL);
    args.flags = 1;
    ERR(syscall(SYS_clone3, &args, sizeof args), EINVAL);
    args.flags = 0;
    args.stack = 4096;
    ERR(syscall(SYS_clone3, &args, sizeof args), EINVAL);
}

CHECK(exec_arguments_and_environment) {
    int p[2];
    char text[256];

    OK(pipe(p));
    pid_t pid = fork();
    if (pid == 0) {
        dup2(p[1], 1);
        char *argv[] = {"zero", "-c", "echo \"$0|$1|$2|$VAR\"", "a b", "", "c", NULL};
        char *envp[] = {"VAR=value", "PATH=/bin:/usr/bin", NULL};
        execve("/bin/sh", argv, envp);
        _exit(1);
    }
    close(p[1]);
    ssize_t n = OK(read(p[0], text, sizeof text - 1));
    text[n] = '\0';
    STREQ(text, "a b||c|value\n");
    EQ(wait_exit(pid), 0);
}

CHECK(exec_errors) {
    char *argv[] = {"x", NULL}, *envp[] = {NULL};

    ERR(execve("/no/such", argv, envp), ENOENT);
    ERR(execve("/", argv, envp), EACCES);
    put_file("text", "no program\n");
    ERR(execve("text", argv, envp), EACCES);
    OK(chmod("text", 0755));
    ERR(execve("text", argv, envp), ENOEXEC);
    put_file("empty", "");
    OK(chmod("empty", 0755));
    ERR(execve("empty", argv, envp), ENOEXEC);
    put_file("elf", "\177ELF garbage");
    OK(chmod("elf", 0755));
    ERR(execve("elf", argv, envp), ENOEXEC);
    put_file("script", "#!/no/such/interpreter\n");
    OK(chmod("script", 0755));
    ERR(execve("script", argv, envp), ENOENT);
    put_file("loop", "#!loop\n");
    OK(chmod("loop", 0755));
    ERR(execve("loop", argv, envp), ELOOP);
    ERR(execve("text/x", argv, envp), ENOTDIR);
    ERR(execve((char *)8, argv, envp), EFAULT);
    ERR(execve("/bin/sh", (char **)8, envp), EFAULT);
    /* One argument may be 128 KiB long at most. */
    char *huge = malloc(200000);
    memset(huge, 'x', 199999);
    huge[199999] = '\0';
    char *big[] = {"sh", huge, NULL};
    ERR(execve("/bin/sh", big, envp), E2BIG);
}

CHECK(scripts) {
    char text[256];
    int p[2];

    put_file("script", "#!/bin/sh -e\necho \"$0 $1\"\n");
    OK(chmod("script", 0755));
    OK(pipe(p));
    pid_t pid = fork();
    if (pid == 0) {
        dup2(p[1], 1);
        execl("./script", "ignored", "arg", NULL);
        _exit(1);
    }
    close(p[1]);
    ssize_t n = OK(read(p[0], text, sizeof text - 1));
    text[n] = '\0';
    STREQ(text, "./script arg\n");
    EQ(wait_exit(pid), 0);
}

static const char *self(void) {
    static char path[4096];
    ssize_t n = OK(readlink("/proc/self/exe", path, sizeof path - 1));

    path[n] = '\0';
    return path;
}

CHECK(text_file_busy) {
    put_file("copy", "");
    char command[9000];
    snprintf(command, sizeof command, "cp '%s' copy", self());
    EQ(system(command), 0);
    OK(chmod("copy", 0755));
    int fd = OK(open("copy", O_WRONLY));
    char *argv[] = {"copy", NULL};
    ERR(execve("copy", argv, environ), ETXTBSY);
    close(fd);
    ERR(open(self(), O_WRONLY), ETXTBSY);
}

CHECK(exec_keeps_and_closes) {
    int keep = OK(open("/dev/null", O_RDONLY)), drop = OK(open("/dev/null", O_RDONLY | O_CLOEXEC));
    pid_t pid = fork();

    if (pid == 0) {
        char command[128];
        snprintf(command, sizeof command, "test -e /proc/self/fd/%d && test ! -e /proc/self/fd/%d && exit 9",
                 keep, drop);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(1);
    }
    EQ(wait_exit(pid), 9);
}

CHECK(exec_resets_handlers_and_keeps_ignored) {
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGUSR1, SIG_IGN);
        signal(SIGUSR2, (void (*)(int))exit);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_SETMASK, &set, NULL);
        raise(SIGHUP);
        execl("/bin/grep", "grep", "-E", "^(SigBlk|SigIgn|SigCgt|ShdPnd)", "/proc/self/status", NULL);
        _exit(1);
    }
    EQ(wait_exit(pid), 0);
}

static void *exec_from_thread(void *arg) {
    (void)arg;
    execl("/bin/sh", "sh", "-c", "exit 11", NULL);
    _exit(1);
}

static void *sleep_thread(void *arg) {
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

CHECK(exec_from_a_thread_takes_the_leaders_id) {
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t a, b;
        pthread_create(&a, NULL, sleep_thread, NULL);
        pthread_create(&b, NULL, exec_from_thread, NULL);
        pause();
        _exit(2);
    }
    EQ(wait_exit(pid), 11);
}

static void *exit_all(void *arg) {
    (void)arg;
    sleep_ms(20);
    syscall(SYS_exit_group, 12);
    return NULL;
}

CHECK(exit_group_from_a_thread) {
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t a, b;
        pthread_create(&a, NULL, sleep_thread, NULL);
        pthread_create(&b, NULL, exit_all, NULL);
        for (;;)
            pause();
    }
    EQ(wait_exit(pid), 12);
}

static void *late_exit(void *arg) {
    (void)arg;
    sleep_ms(60);
    syscall(SYS_exit_group, 13);
    return NULL;
}

CHECK(leader_exits_first) {
    pid_t pid = fork();

    if (pid == 0) {
        pthread_t a;
        pthread_create(&a, NULL, late_exit, NULL);
        syscall(SYS_exit, 1);
    }
    WAIT_UNTIL(process_state(pid) == 'Z');
    int status;
    pid_t early = waitpid(pid, &status, WNOHANG);
    printf("waited for before the last thread ended: %d\n", early == pid);
    if (early == 0)
        EQ(wait_exit(pid), 13);
}

CHECK(process_groups) {
    pid_t pid = fork();

    if (pid == 0) {
        for (;;)
            pause();
    }
    EQ(getpgid(pid), getpgrp());
    OK(setpgid(pid, pid));
    EQ(getpgid(pid), pid);
    pid_t other = fork();
    if (other == 0) {
        for (;;)
            pause();
    }
    OK(setpgid(other, pid));
    OK(kill(-pid, SIGTERM));
    EQ(WTERMSIG(wait_status(pid)), SIGTERM);
    EQ(WTERMSIG(wait_status(other)), SIGTERM);
    ERR(setpgid(0, 99999999), EPERM);
    ERR(setpgid(99999999, 0), ESRCH);
    ERR(setpgid(0, -1), EINVAL);
    ERR(getpgid(99999999), ESRCH);
    ERR(kill(-pid, 0), ESRCH);
}

CHECK(setpgid_after_exec) {
    int p[2];
    char c;

    OK(pipe2(p, O_CLOEXEC));
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "read x", NULL);
        _exit(1);
    }
    close(p[1]);
    EQ(read(p[0], &c, 1), 0); /* closed by the exec */
    ERR(setpgid(pid, pid), EACCES);
    OK(kill(pid, SIGKILL));
    wait_status(pid);
}

CHECK(sessions) {
    pid_t pid = fork();

    if (pid == 0) {
        pid_t sid = OK(setsid());
        EQ(sid, getpid());
        EQ(getpgrp(), sid);
        EQ(getsid(0), sid);
        ERR(setsid(), EPERM);
        ERR(setpgid(0, 0), EPERM);
        pid_t child = fork();
        if (child == 0) {
            EQ(getsid(0), sid);
            EQ(getpgrp(), sid);
            _exit(0);
        }
        EQ(wait_exit(child), 0);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    ERR(getsid(99999999), ESRCH);
}

CHECK(orphaned_stopped_group_gets_hup_and_cont) {
    int p[2];
    char c = 0;

    OK(pipe(p));
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t leader = fork();
    if (leader == 0) {
        setsid();
        pid_t job = fork();
        if (job == 0) {
            setpgid(0, 0);
            raise(SIGSTOP);
            write(p[1], "c", 1); /* only if SIGHUP does not kill first */
            _exit(0);
        }
        int status;
        waitpid(job, &status, WUNTRACED);
        _exit(0);
    }
    EQ(wait_exit(leader), 0);
    int status;
    OK(waitpid(-1, &status, 0));
    TRUE(WIFSIGNALED(status));
    EQ(WTERMSIG(status), SIGHUP);
    close(p[1]);
    EQ(read(p[0], &c, 1), 0);
}

CHECK(pidfds) {
    pid_t pid = fork();

    if (pid == 0) {
        for (;;)
            pause();
    }
    int fd = OK(syscall(SYS_pidfd_open, pid, 0));
    EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    struct pollfd p = {fd, POLLIN, 0};
    EQ(poll(&p, 1, 0), 0);
    OK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
    EQ(poll(&p, 1, 10000), 1);
    EQ(p.revents, POLLIN);
    siginfo_t info;
    OK(waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED));
    EQ(info.si_status, SIGTERM);
    ERR(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
    ERR(syscall(SYS_pidfd_open, pid, 0), ESRCH);
    ERR(syscall(SYS_pidfd_open, -1, 0), EINVAL);
}

CHECK(names_and_dumpable) {
    char name[16];

    OK(prctl(PR_SET_NAME, "a name that is too long"));
    OK(prctl(PR_GET_NAME, name));
    STREQ(name, "a name that is ");
    char text[64];
    STREQ(get_file("/proc/self/comm", text, sizeof text), "a name that is \n");
    put_file("/proc/self/comm", "other");
    OK(prctl(PR_GET_NAME, name));
    STREQ(name, "other");
    EQ(prctl(PR_GET_DUMPABLE), 1);
    OK(prctl(PR_SET_DUMPABLE, 0));
    EQ(prctl(PR_GET_DUMPABLE), 0);
    ERR(prctl(PR_SET_DUMPABLE, 2), EINVAL);
    ERR(prctl(9999, 0, 0, 0, 0), EINVAL);
    EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    ERR(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
}

CHECK(rusage_of_children) {
    struct rusage r;
    pid_t pid = fork();

    if (pid == 0) {
        int64_t start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
        while (now_ns(CLOCK_PROCESS_CPUTIME_ID) - start < 50000000) {
        }
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    OK(getrusage(RUSAGE_CHILDREN, &r));
    TRUE(r.ru_utime.tv_sec * 1000000 + r.ru_utime.tv_usec + r.ru_stime.tv_sec * 1000000 +
             r.ru_stime.tv_usec >=
         40000);
    ERR(getrusage(5, &r), EINVAL);
}

CHECK(fork_bomb_of_limited_size) {
    struct rlimit r = {40, 40};
    int children = 0;

    if (!is_root())
        check_skip("geteuid: not root");
    OK(setrlimit(RLIMIT_NPROC, &r));
    OK(setresgid(64123, 64123, 64123));
    OK(setresuid(64123, 64123, 64123));
    for (; children < 100; children++) {
        pid_t pid = fork();
        if (pid < 0)
            break;
        if (pid == 0) {
            pause();
            _exit(0);
        }
    }
    EQ(errno, EAGAIN);
    EQ(children, 39);
    signal(SIGTERM, SIG_IGN);
    OK(kill(0, SIGTERM));
    while (wait(NULL) > 0) {
    }
}

CHECK(many_children_in_a_row) {
    for (int i = 0; i < 300; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(i & 127);
        EQ(wait_exit(pid), i & 127);
    }
}
