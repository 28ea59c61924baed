/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/ptrace.c: who may trace whom, stops by signals and groups, events, waiting, the tracer's end.
 * Registers, memory and system calls are in ptrace_calls.c. Source: ptrace(2).
 */
#include "conform.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <grp.h>

static long trace(int request, pid_t pid, unsigned long addr, unsigned long data) {
    return syscall(SYS_ptrace, (long)request, pid, addr, data);
}

static void sleeps(void *arg) {
    (void)arg;
    for (;;)
        pause();
}

static pid_t sleeper(void) {
    pid_t pid = spawn(sleeps, NULL);
    WAIT_UNTIL(process_state(pid) == 'S');
    return pid;
}

/* Waits for any state of pid; the wait status. */
static int wait_any(pid_t pid) {
    int status;
    EQ(waitpid(pid, &status, __WALL), pid);
    return status;
}

static void end(pid_t pid) {
    int status;
    OK(kill(pid, SIGKILL));
    do
        EQ(waitpid(pid, &status, __WALL), pid);
    while (WIFSTOPPED(status) &&
           (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXIT << 8) || trace(PTRACE_CONT, pid, 0, 0) == 0));
    EQ(status, SIGKILL);
}
#define STOPPED(sig)      ((sig) << 8 | 0x7f)
#define EVENT(sig, event) ((event) << 16 | STOPPED(sig))

static void traceme_and_stop(void *arg) {
    OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
    raise(SIGSTOP);
    if (arg)
        ((void (*)(void))arg)();
}

/* A tracee at its first stop. It runs fn after. */
static pid_t tracee(void (*fn)(void)) {
    fflush(stdout);
    pid_t pid = spawn(traceme_and_stop, (void *)fn);
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    return pid;
}

CHECK(requests_are_refused) {
    pid_t pid = sleeper();
    ERR(trace(PTRACE_ATTACH, 999999, 0, 0), ESRCH);
    ERR(trace(PTRACE_CONT, pid, 0, 0), ESRCH);
    ERR(trace(PTRACE_PEEKDATA, pid, 0, 0), ESRCH);
    ERR(trace(PTRACE_KILL, pid, 0, 0), ESRCH);
    ERR(trace(PTRACE_INTERRUPT, pid, 0, 0), ESRCH);
    ERR(trace(12345, pid, 0, 0), ESRCH);
    ERR(trace(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
    ERR(trace(PTRACE_SEIZE, pid, 1, 0), EIO);
    ERR(trace(PTRACE_SEIZE, pid, 0, 0x80000000), EIO);
    OK(trace(PTRACE_SEIZE, pid, 0, 0));
    ERR(trace(PTRACE_SEIZE, pid, 0, 0), EPERM);
    ERR(trace(PTRACE_ATTACH, pid, 0, 0), EPERM);
    ERR(trace(PTRACE_CONT, pid, 0, 0), ESRCH); /* it runs */
    ERR(trace(PTRACE_GETREGS, pid, 0, 0), ESRCH);
    end(pid);
}

CHECK(traceme_once) {
    pid_t pid = fork();
    if (pid == 0) {
        OK(trace(PTRACE_TRACEME, 0, 0, 0));
        ERR(trace(PTRACE_TRACEME, 0, 0, 0), EPERM);
        _exit(0);
    }
    EQ(wait_any(pid), 0);
}

CHECK(others_processes_are_not_to_be_traced) {
    pid_t pid = sleeper();
    if (fork() == 0) {
        become_nobody();
        ERR(trace(PTRACE_ATTACH, pid, 0, 0), EPERM);
        ERR(trace(PTRACE_SEIZE, pid, 0, 0), EPERM);
        _exit(0);
    }
    int status;
    OK(wait(&status));
    EQ(status, 0);
    end(pid);
}

static void undumpable(void *arg) {
    (void)arg;
    become_nobody();
    OK(prctl(PR_SET_DUMPABLE, 0));
    sleeps(NULL);
}

CHECK(what_is_not_dumpable_is_not_to_be_traced) {
    pid_t pid = spawn(undumpable, NULL);
    sleep_ms(50);
    WAIT_UNTIL(process_state(pid) == 'S');
    if (fork() == 0) {
        become_nobody();
        ERR(trace(PTRACE_ATTACH, pid, 0, 0), EPERM);
        _exit(0);
    }
    int status;
    OK(wait(&status));
    EQ(status, 0);
    end(pid);
}

CHECK(attach_stops_by_sigstop) {
    pid_t pid = sleeper();
    siginfo_t info;
    OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    EQ(process_state(pid), 't');
    OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    EQ(info.si_signo, SIGSTOP);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    WAIT_UNTIL(process_state(pid) == 'S');
    end(pid);
}

static int proc_number(pid_t pid, const char *field) {
    char name[64], text[8192];
    int value = -1;
    snprintf(name, sizeof name, "/proc/%d/status", pid);
    char *at = strstr(get_file(name, text, sizeof text), field);
    if (at)
        sscanf(at + strlen(field), " %d", &value);
    return value;
}

CHECK(tracer_pid_is_shown) {
    pid_t pid = sleeper();
    EQ(proc_number(pid, "TracerPid:"), 0);
    OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    EQ(proc_number(pid, "TracerPid:"), getpid());
    OK(ptrace(PTRACE_DETACH, pid, 0, 0));
    EQ(proc_number(pid, "TracerPid:"), 0);
    end(pid);
}

/* ---- signals ---- */

static volatile sig_atomic_t g_caught, g_caught_pid;

static void on_signal(int signo, siginfo_t *info, void *context) {
    (void)context;
    g_caught = signo;
    g_caught_pid = info->si_pid;
}

static void catches(void) {
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &sa, NULL));
    OK(sigaction(SIGUSR2, &sa, NULL));
    raise(SIGUSR1);
    _exit(g_caught == SIGUSR1 ? 1 : g_caught == SIGUSR2 ? (g_caught_pid == getppid() ? 2 : 3) : 4);
}

CHECK(a_signal_can_be_let_through_swallowed_or_changed) {
    int want[] = {1, 4, 2}, signo[] = {SIGUSR1, 0, SIGUSR2};
    for (int i = 0; i < 3; i++) {
        pid_t pid = tracee(catches);
        OK(ptrace(PTRACE_CONT, pid, 0, 0));
        EQ(wait_any(pid), STOPPED(SIGUSR1));
        ERR(trace(PTRACE_CONT, pid, 0, 65), EIO);
        OK(trace(PTRACE_CONT, pid, 0, (unsigned long)signo[i]));
        EQ(wait_any(pid), want[i] << 8);
    }
}

static void ignores(void) {
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    raise(SIGCHLD);
    _exit(0);
}

CHECK(ignored_signals_are_reported) {
    pid_t pid = tracee(ignores);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGUSR1));
    OK(trace(PTRACE_CONT, pid, 0, SIGUSR1));
    EQ(wait_any(pid), STOPPED(SIGCHLD));
    OK(trace(PTRACE_CONT, pid, 0, SIGCHLD));
    EQ(wait_any(pid), 0);
}

static void raises_int(void) {
    raise(SIGINT);
    _exit(0);
}

CHECK(a_fatal_signal_kills_when_let_through) {
    pid_t pid = tracee(raises_int);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGINT));
    OK(trace(PTRACE_CONT, pid, 0, SIGINT));
    EQ(wait_any(pid), SIGINT);
}

CHECK(siginfo_can_be_read_and_changed) {
    siginfo_t info;
    pid_t pid = tracee(catches);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGUSR1));
    OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    EQ(info.si_signo, SIGUSR1);
    EQ(info.si_code, SI_TKILL);
    EQ(info.si_pid, pid);
    info.si_signo = SIGUSR2;
    info.si_pid = getpid();
    OK(ptrace(PTRACE_SETSIGINFO, pid, 0, &info));
    OK(trace(PTRACE_CONT, pid, 0, SIGUSR2));
    EQ(wait_any(pid), 2 << 8);
    ERR(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info), ESRCH);
}

CHECK(masks_can_be_read_and_changed) {
    uint64_t mask = 0;
    pid_t pid = tracee(catches);
    ERR(trace(PTRACE_GETSIGMASK, pid, 4, (unsigned long)&mask), EINVAL);
    OK(trace(PTRACE_GETSIGMASK, pid, 8, (unsigned long)&mask));
    EQ(mask, 0);
    mask = 1ull << (SIGUSR1 - 1) | 1ull << (SIGKILL - 1);
    OK(trace(PTRACE_SETSIGMASK, pid, 8, (unsigned long)&mask));
    OK(trace(PTRACE_GETSIGMASK, pid, 8, (unsigned long)&mask));
    EQ(mask, 1ull << (SIGUSR1 - 1));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 4 << 8); /* blocked: neither reported nor caught */
}

CHECK(pending_signals_can_be_looked_at) {
    struct {
        uint64_t off;
        uint32_t flags;
        int32_t nr;
    } q = {0, 0, 10};
    siginfo_t info[10];
    sigset_t set;
    uint64_t mask = 1ull << (SIGRTMIN - 1) | 1ull << (SIGUSR1 - 1);
    pid_t pid = tracee(NULL);
    sigemptyset(&set);
    OK(trace(PTRACE_SETSIGMASK, pid, 8, (unsigned long)&mask));
    for (int i = 0; i < 3; i++)
        OK(sigqueue(pid, SIGRTMIN, (union sigval){.sival_int = i}));
    EQ(trace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&q, (unsigned long)info), 0);
    q.flags = 1;
    EQ(trace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&q, (unsigned long)info), 3);
    EQ(info[1].si_value.sival_int, 1);
    q.off = 2;
    EQ(trace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&q, (unsigned long)info), 1);
    EQ(info[0].si_value.sival_int, 2);
    q.flags = 2;
    ERR(trace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&q, (unsigned long)info), EINVAL);
    q.flags = 0;
    q.nr = -1;
    ERR(trace(PTRACE_PEEKSIGINFO, pid, (unsigned long)&q, (unsigned long)info), EINVAL);
    end(pid);
}

/* ---- stops of the group ---- */

CHECK(a_stop_signal_let_through_stops_the_group) {
    siginfo_t info;
    pid_t pid = sleeper();
    OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    OK(kill(pid, SIGTSTP));
    EQ(wait_any(pid), STOPPED(SIGTSTP));
    OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    OK(trace(PTRACE_CONT, pid, 0, SIGTSTP));
    EQ(wait_any(pid), STOPPED(SIGTSTP));
    ERR(trace(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info), EINVAL); /* a group stop */
    OK(ptrace(PTRACE_CONT, pid, 0, 0)); /* runs on, although its group is stopped */
    WAIT_UNTIL(process_state(pid) == 'S');
    end(pid);
}

CHECK(seized_tasks_run_until_interrupted) {
    siginfo_t info;
    pid_t pid = sleeper();
    OK(trace(PTRACE_SEIZE, pid, 0, 0));
    sleep_ms(20);
    EQ(process_state(pid), 'S');
    OK(trace(PTRACE_INTERRUPT, pid, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, 128));
    OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    EQ(info.si_signo, SIGTRAP);
    EQ(info.si_code, 128 << 8 | SIGTRAP);
    OK(trace(PTRACE_CONT, pid, 0, 0));
    WAIT_UNTIL(process_state(pid) == 'S');
    end(pid);
}

CHECK(seized_tasks_listen_for_the_end_of_a_stop) {
    int status;
    pid_t pid = sleeper();
    OK(trace(PTRACE_SEIZE, pid, 0, 0));
    OK(kill(pid, SIGSTOP));
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    ERR(trace(PTRACE_LISTEN, pid, 0, 0), EIO);
    OK(trace(PTRACE_CONT, pid, 0, SIGSTOP));
    EQ(wait_any(pid), EVENT(SIGSTOP, 128));
    OK(trace(PTRACE_LISTEN, pid, 0, 0));
    ERR(trace(PTRACE_CONT, pid, 0, 0), ESRCH);
    EQ(waitpid(pid, &status, WNOHANG | __WALL), 0);
    OK(kill(pid, SIGCONT));
    EQ(wait_any(pid), EVENT(SIGTRAP, 128));
    OK(trace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGCONT));
    OK(trace(PTRACE_CONT, pid, 0, SIGCONT));
    WAIT_UNTIL(process_state(pid) == 'S');
    end(pid);
}

CHECK(only_the_seized_can_be_interrupted) {
    pid_t pid = tracee(NULL);
    ERR(trace(PTRACE_INTERRUPT, pid, 0, 0), EIO);
    ERR(trace(PTRACE_LISTEN, pid, 0, 0), EIO);
    end(pid);
}

CHECK(attaching_to_a_stopped_process) {
    int status;
    pid_t pid = sleeper();
    OK(kill(pid, SIGSTOP));
    EQ(waitpid(pid, &status, WUNTRACED), pid);
    OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
    EQ(waitpid(pid, &status, WNOHANG | __WALL), pid); /* at once */
    EQ(status, STOPPED(SIGSTOP));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    OK(ptrace(PTRACE_DETACH, pid, 0, 0));
    WAIT_UNTIL(process_state(pid) == 'T'); /* back in its group stop */
    end(pid);
}

CHECK(seizing_a_stopped_process) {
    int status;
    pid_t pid = sleeper();
    OK(kill(pid, SIGTSTP));
    EQ(waitpid(pid, &status, WUNTRACED), pid);
    OK(trace(PTRACE_SEIZE, pid, 0, 0));
    EQ(waitpid(pid, &status, WNOHANG | __WALL), pid);
    EQ(status, EVENT(SIGTSTP, 128));
    end(pid);
}

CHECK(detach_can_inject) {
    pid_t pid = sleeper();
    OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    ERR(trace(PTRACE_DETACH, pid, 0, 99), EIO);
    OK(trace(PTRACE_DETACH, pid, 0, SIGTERM));
    EQ(wait_any(pid), SIGTERM);
}

CHECK(kill_request_kills) {
    pid_t pid = tracee(NULL);
    OK(trace(PTRACE_KILL, pid, 0, 0));
    EQ(wait_any(pid), SIGKILL);
}

CHECK(waitid_tells_trapped) {
    siginfo_t info;
    pid_t pid = spawn(traceme_and_stop, NULL);
    OK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT | __WALL));
    EQ(info.si_code, CLD_TRAPPED);
    EQ(info.si_status, SIGSTOP);
    EQ(info.si_pid, pid);
    OK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | __WALL));
    EQ(info.si_code, CLD_TRAPPED);
    info.si_pid = 99;
    OK(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG | __WALL));
    EQ(info.si_pid, 0);
    end(pid);
}

static siginfo_t g_chld;
static volatile sig_atomic_t g_chlds;

static void on_chld(int signo, siginfo_t *info, void *context) {
    (void)signo, (void)context;
    g_chld = *info;
    g_chlds++;
}

CHECK(the_tracer_gets_sigchld) {
    struct sigaction sa = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGCHLD, &sa, NULL));
    pid_t pid = spawn(traceme_and_stop, NULL);
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    WAIT_UNTIL(g_chlds == 1);
    EQ(g_chld.si_code, CLD_TRAPPED);
    EQ(g_chld.si_status, SIGSTOP);
    EQ(g_chld.si_pid, pid);
    end(pid);
}

/* ---- events ---- */

static void forks(void) {
    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    int status;
    waitpid(pid, &status, 0);
    _exit(WEXITSTATUS(status));
}

static unsigned long event_message(pid_t pid) {
    unsigned long message = 0;
    OK(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
    return message;
}

CHECK(options_are_checked) {
    pid_t pid = tracee(NULL);
    ERR(trace(PTRACE_SETOPTIONS, pid, 0, 0x80000000), EINVAL);
    ERR(trace(PTRACE_SETOPTIONS, pid, 0, 0x100), EINVAL);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | 0xff));
    end(pid);
}

CHECK(event_fork) {
    pid_t pid = tracee(forks);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_FORK));
    pid_t child = (pid_t)event_message(pid);
    EQ(wait_any(child), STOPPED(SIGSTOP));
    OK(ptrace(PTRACE_CONT, child, 0, 0));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(child), 3 << 8); /* the tracer sees it first, then the parent */
    int status = wait_any(pid);
    if (status == STOPPED(SIGCHLD)) {
        OK(trace(PTRACE_CONT, pid, 0, SIGCHLD));
        status = wait_any(pid);
    }
    EQ(status, 3 << 8);
}

CHECK(event_fork_of_the_seized) {
    pid_t pid = tracee(forks);
    OK(ptrace(PTRACE_DETACH, pid, 0, SIGSTOP));
    WAIT_UNTIL(process_state(pid) == 'T');
    OK(trace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEFORK));
    EQ(wait_any(pid), EVENT(SIGSTOP, 128));
    OK(trace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_FORK));
    pid_t child = (pid_t)event_message(pid);
    int status = wait_any(child);
    TRUE(status == EVENT(SIGTRAP, 128) || status == EVENT(SIGSTOP, 128));
    printf("child: %s\n", status == EVENT(SIGTRAP, 128) ? "trap" : "stop");
    end(child);
    end(pid);
}

static void vforks(void) {
    pid_t pid = vfork();
    if (pid == 0)
        _exit(4);
    int status;
    waitpid(pid, &status, 0);
    _exit(WEXITSTATUS(status));
}

CHECK(event_vfork_and_done) {
    pid_t pid = tracee(vforks);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_VFORK));
    pid_t child = (pid_t)event_message(pid);
    EQ(wait_any(child), STOPPED(SIGSTOP));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    OK(ptrace(PTRACE_DETACH, child, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_VFORK_DONE));
    EQ(event_message(pid), child);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    int status = wait_any(pid);
    if (status == STOPPED(SIGCHLD)) {
        OK(trace(PTRACE_CONT, pid, 0, SIGCHLD));
        status = wait_any(pid);
    }
    EQ(status, 4 << 8);
}

static void *thread_ends(void *arg) {
    return arg;
}

static void makes_a_thread(void) {
    pthread_t t;
    pthread_create(&t, NULL, thread_ends, NULL);
    pthread_join(t, NULL);
    raise(SIGUSR1);
    exit(6);
}

CHECK(event_clone_and_the_end_of_a_thread) {
    pid_t pid = tracee(makes_a_thread);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_CLONE));
    pid_t thread = (pid_t)event_message(pid);
    EQ(wait_any(thread), STOPPED(SIGSTOP));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    OK(ptrace(PTRACE_CONT, thread, 0, 0));
    EQ(wait_any(thread), 0); /* a thread's end, by its own number */
    EQ(wait_any(pid), STOPPED(SIGUSR1));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 6 << 8);
}

static void execs(void) {
    execl("/proc/self/exe", "x", "--list", (char *)0);
    _exit(99);
}

CHECK(execve_without_the_option_gives_sigtrap) {
    siginfo_t info;
    pid_t pid = tracee(execs);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGTRAP));
    OK(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    EQ(info.si_code, SI_USER);
    end(pid);
}

CHECK(event_exec) {
    pid_t pid = tracee(execs);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXEC));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_EXEC));
    EQ(event_message(pid), pid);
    end(pid);
}

static void *thread_execs(void *arg) {
    (void)arg;
    execs();
    return NULL;
}

static void execs_from_a_thread(void) {
    pthread_t t;
    pthread_create(&t, NULL, thread_execs, NULL);
    for (;;)
        pause();
}

CHECK(event_exec_from_a_thread) {
    pid_t pid = tracee(execs_from_a_thread);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_CLONE));
    pid_t thread = (pid_t)event_message(pid);
    EQ(wait_any(thread), STOPPED(SIGSTOP));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    OK(ptrace(PTRACE_CONT, thread, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_EXEC)); /* by the leader's number */
    EQ(event_message(pid), thread);
    end(pid);
}

static void exits(void) {
    _exit(17);
}

CHECK(event_exit) {
    struct user_regs_struct regs;
    pid_t pid = tracee(exits);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_EXIT));
    EQ(event_message(pid), 17 << 8);
    OK(ptrace(PTRACE_GETREGS, pid, 0, &regs));
    EQ(regs.rdi, 17);
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), 17 << 8);
}

CHECK(event_exit_by_a_signal) {
    pid_t pid = tracee(raises_int);
    OK(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEEXIT));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGINT));
    OK(trace(PTRACE_CONT, pid, 0, SIGINT));
    EQ(wait_any(pid), EVENT(SIGTRAP, PTRACE_EVENT_EXIT));
    EQ(event_message(pid) & 0x7f, SIGINT);
    OK(kill(pid, SIGKILL)); /* comes too late */
    sleep_ms(20);
    EQ(process_state(pid), 't');
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    EQ(wait_any(pid) & 0x7f, SIGINT);
}

/* ---- who waits ---- */

static int g_pipe[2];

static void traces_parents_child(void *arg) {
    pid_t pid = (pid_t)(intptr_t)arg;
    char c;
    OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGSTOP));
    OK(ptrace(PTRACE_CONT, pid, 0, 0));
    OK(write(g_pipe[1], "x", 1));
    EQ(wait_any(pid), STOPPED(SIGTERM));
    OK(trace(PTRACE_CONT, pid, 0, SIGTERM));
    EQ(wait_any(pid), SIGTERM);
    (void)c;
}

CHECK(the_parent_waits_behind_the_tracer) {
    char c;
    OK(pipe(g_pipe));
    pid_t pid = sleeper(), tracer = spawn(traces_parents_child, (void *)(intptr_t)pid);
    EQ(read(g_pipe[0], &c, 1), 1);
    OK(kill(pid, SIGTERM));
    int status;
    EQ(waitpid(pid, &status, 0), pid);
    EQ(status, SIGTERM);
    EQ(wait_exit(tracer), 0);
}

static void attaches_and_ends(void *arg) {
    pid_t pid = (pid_t)(intptr_t)arg;
    OK(ptrace(PTRACE_ATTACH, pid, 0, 0));
    EQ(wait_any(pid), STOPPED(SIGSTOP));
}

CHECK(the_end_of_the_tracer_lets_go) {
    pid_t pid = sleeper();
    EQ(wait_exit(spawn(attaches_and_ends, (void *)(intptr_t)pid)), 0);
    WAIT_UNTIL(process_state(pid) == 'S');
    EQ(proc_number(pid, "TracerPid:"), 0);
    end(pid);
}

static void seizes_and_ends(void *arg) {
    OK(trace(PTRACE_SEIZE, (pid_t)(intptr_t)arg, 0, PTRACE_O_EXITKILL));
}

CHECK(the_end_of_the_tracer_kills_if_asked) {
    pid_t pid = sleeper();
    EQ(wait_exit(spawn(seizes_and_ends, (void *)(intptr_t)pid)), 0);
    int status;
    EQ(waitpid(pid, &status, 0), pid);
    EQ(status, SIGKILL);
}

static void *attaches_only(void *arg) {
    OK(ptrace(PTRACE_ATTACH, (pid_t)(intptr_t)arg, 0, 0));
    sleep_ms(200);
    return NULL;
}

CHECK(a_request_by_another_thread_of_the_tracer_is_refused) {
    pthread_t t;
    pid_t pid = sleeper();
    EQ(pthread_create(&t, NULL, attaches_only, (void *)(intptr_t)pid), 0);
    int status;
    EQ(waitpid(pid, &status, __WALL), pid);
    EQ(status, STOPPED(SIGSTOP));
    ERR(trace(PTRACE_CONT, pid, 0, 0), ESRCH);
    EQ(pthread_join(t, NULL), 0);
    WAIT_UNTIL(process_state(pid) == 'S');
    end(pid);
}

static void drops_privileges_by_exec(void) {
    if (getuid() == 0) {
        gid_t none = 0;
        (void)none;
        OK(setgroups(0, NULL));
        OK(setresgid(65534, 65534, 65534));
        OK(setresuid(65534, 65534, 65534));
    }
    OK(ptrace(PTRACE_TRACEME, 0, 0, 0));
    _exit(0);
}

CHECK(a_childs_traceme_needs_no_privilege_of_its_own) {
    pid_t pid = fork();
    if (pid == 0)
        drops_privileges_by_exec();
    EQ(wait_any(pid), 0);
}

CHECK(a_kill_ends_a_stop) {
    for (int i = 0; i < 20; i++) {
        pid_t pid = tracee(NULL);
        OK(kill(pid, SIGKILL));
        EQ(wait_any(pid), SIGKILL);
    }
}

CHECK(many_stops) {
    pid_t pid = sleeper();
    OK(trace(PTRACE_SEIZE, pid, 0, 0));
    for (int i = 0; i < 300; i++) {
        OK(trace(PTRACE_INTERRUPT, pid, 0, 0));
        EQ(wait_any(pid), EVENT(SIGTRAP, 128));
        OK(trace(PTRACE_CONT, pid, 0, 0));
    }
    end(pid);
}
