/* SPDX-License-Identifier: Apache-2.0
 * tests/e2e/host/kill_at.c: kill_at N CMD...: runs CMD and kills it at its Nth system call (its children go
 * on). Exit status: 9 when it was killed, else CMD's own. Source: ptrace(2).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    long left = argc > 2 ? strtol(argv[1], NULL, 10) * 2 : 0; /* each call stops twice */
    int status;

    if (left <= 0)
        return 2;
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        execv(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    for (int signo = 0; waitpid(pid, &status, __WALL) == pid;) {
        if (WIFEXITED(status))
            return WEXITSTATUS(status);
        if (WIFSIGNALED(status))
            return 9;
        signo = WSTOPSIG(status);
        if (signo == SIGTRAP || signo == SIGSTOP)
            signo = 0;
        if (--left <= 0)
            kill(pid, SIGKILL);
        else
            ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signo);
    }
    return 1;
}
