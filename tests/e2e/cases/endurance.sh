# SPDX-License-Identifier: Apache-2.0
# long: 100,000 fork and exec, 1,000,000 threads made and joined, 1,000,000 signals
# limit: 3600
# Nothing may grow over it: descriptors, tasks, the process's memory, and (inside, where /proc/meminfo's Slab is the
# sentry's own heap) kernel objects. The first tenth warms up; the rest must leave things as that left them.
cat >endurance.c <<'C'
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static long value_of(const char *file, const char *key) {
    char line[256];
    long value = -1;
    FILE *f = fopen(file, "r");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            value = atol(line + strlen(key));
    if (f)
        fclose(f);
    return value;
}

static int entries(const char *name, int numbers_only) {
    DIR *d = opendir(name);
    int n = 0;

    for (struct dirent *e; d && (e = readdir(d));)
        n += !numbers_only || (e->d_name[0] >= '0' && e->d_name[0] <= '9');
    if (d)
        closedir(d);
    return n;
}

struct state {
    int fds, threads, processes;
    long resident, slab;
};

static struct state look(void) {
    struct utsname u;
    uname(&u);
    usleep(100000);
    return (struct state){entries("/proc/self/fd", 0), entries("/proc/self/task", 0), entries("/proc", 1),
                          value_of("/proc/self/status", "VmRSS:"),
                          strstr(u.release, "runsc") ? value_of("/proc/meminfo", "Slab:") : 0};
}

static void fork_and_exec(void) {
    char *argv[] = {"true", NULL};
    pid_t pid = vfork();
    int status;

    if (pid == 0) {
        execve("/bin/true", argv, environ);
        _exit(1);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        puts("a child failed");
}

static void *thread(void *arg) {
    return arg;
}

static void make_thread(void) {
    pthread_t t;

    if (pthread_create(&t, NULL, thread, NULL) != 0 || pthread_join(t, NULL) != 0)
        puts("a thread failed");
}

static volatile long g_signals;

static void on_signal(int n) {
    (void)n;
    g_signals++;
}

static void send_signal(void) {
    raise(SIGUSR1);
}

static void endure(const char *name, void (*fn)(void), long count) {
    for (long i = 0; i < count / 10; i++)
        fn();
    struct state before = look();
    for (long i = 0; i < count - count / 10; i++)
        fn();
    struct state after = look();
    int steady = after.fds == before.fds && after.threads == before.threads && after.processes <= before.processes &&
                 after.resident <= before.resident + 1024 && after.slab <= before.slab + 1024;
    printf("%s: %s\n", name, steady ? "steady" : "grows");
    if (!steady)
        printf("fds %d %d threads %d %d processes %d %d resident %ld %ld slab %ld %ld\n", before.fds, after.fds,
               before.threads, after.threads, before.processes, after.processes, before.resident, after.resident,
               before.slab, after.slab);
}

int main(int argc, char **argv) {
    long part = argc > 1 ? atol(argv[1]) : 1;

    signal(SIGUSR1, on_signal);
    endure("fork and exec", fork_and_exec, 100000 / part);
    endure("threads", make_thread, 1000000 / part);
    endure("signals", send_signal, 1000000 / part);
    printf("%ld signals\n", g_signals * part);
}
C
gcc -O2 -pthread -o endurance endurance.c && ./endurance "${ENDURANCE_PART:-1}"
