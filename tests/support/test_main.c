/* SPDX-License-Identifier: Apache-2.0
 * tests/support/test_main.c: main() of every unit test executable: runs each test in a child of its own and
 * reports (test.h).
 *
 * The child is a session leader and a subreaper, so that whatever a test starts is found and ended; the time
 * limit is a guard against hangs, not a measurement.
 */
#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mutex.h"
#include "base/ref.h"
#include "tests/support/test.h"

#ifndef TEST_SUITE
#define TEST_SUITE "unit"
#endif

enum { EXIT_PASS = 0, EXIT_TEST_FAILED = 99, EXIT_SKIPPED = 98, MAX_FDS = 1024 };

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static struct test_case *g_tests, **g_tests_end = &g_tests;
static struct {
    bool list, no_fork, verbose;
    unsigned int timeout_s;
    char **patterns;
    int pattern_count;
} g_options = {.timeout_s = 60};
static char *g_reason; /* shared with the child: why it was skipped */
enum { REASON_SIZE = 512 };

void test_register(struct test_case *t) {
    *g_tests_end = t;
    g_tests_end = &t->next;
}

void test_fail_at(const char *file, int line, const char *fmt, ...) {
    va_list args;

    fflush(stdout);
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n");
    fflush(stderr);
    if (g_options.no_fork)
        abort();
    _exit(EXIT_TEST_FAILED);
}

void test_skip(const char *fmt, ...) {
    va_list args;

    va_start(args, fmt);
    vsnprintf(g_reason, REASON_SIZE, fmt, args);
    va_end(args);
    fprintf(stderr, "skipped: %s\n", g_reason);
    fflush(stderr);
    _exit(EXIT_SKIPPED);
}

static void open_fds(bool *ret_open) {
    DIR *dir = opendir("/proc/self/fd");

    memset(ret_open, 0, MAX_FDS);
    if (!dir)
        test_fail_at(__FILE__, __LINE__, "/proc/self/fd: cannot be listed");
    for (struct dirent *e; (e = readdir(dir));) {
        int fd = atoi(e->d_name);
        if (e->d_name[0] != '.' && fd != dirfd(dir) && fd < MAX_FDS)
            ret_open[fd] = true;
    }
    closedir(dir);
}

static void check_fds(const struct test_case *t, const bool *before) {
    bool after[MAX_FDS];

    open_fds(after);
    for (int fd = 0; fd < MAX_FDS; fd++) {
        char path[64], target[256] = "?";
        if (after[fd] == before[fd])
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n < 0 ? 1 : n] = '\0';
        test_fail_at(t->file, t->line, "%s: descriptor %d %s: %s", t->name, fd,
                     after[fd] ? "left open" : "closed", target);
    }
}

static void check_children(const struct test_case *t) {
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG);

    if (pid == 0)
        test_fail_at(t->file, t->line, "%s: a child process was left running", t->name);
    if (pid > 0)
        test_fail_at(t->file, t->line, "%s: child process %d was not waited for (status 0x%x)", t->name, pid,
                     status);
}

/* In the child: the test and the checks that nothing is left. */
static void run_body(const struct test_case *t) {
    bool fds[MAX_FDS];

    open_fds(fds);
    t->run();
    mutex_assert_none_held();
    if (ref_leaks() > 0)
        test_fail_at(t->file, t->line, "%s: references were left", t->name);
    check_children(t);
    check_fds(t, fds);
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        test_fail_at(t->file, t->line, "%s: memory was left", t->name);
}

/* Ends everything that the test started: its session's processes, then its orphans, which fall to it as
   subreaper and to us when it ends. */
static void reap_strays(void) {
    int status;

    for (int tries = 0; tries < 100; tries++) {
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0)
            return;
        if (pid == 0) {
            /* A child of ours that is still there is an orphan of the test. */
            char path[64];
            FILE *f;
            snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
            f = fopen(path, "re");
            for (int child; f && fscanf(f, "%d", &child) == 1;)
                kill(child, SIGKILL);
            if (f)
                fclose(f);
            poll(NULL, 0, 10);
        }
    }
}

static int64_t now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* Waits for the child, at most until the time limit; true if it ended by itself. */
static bool wait_limited(pid_t pid, unsigned int timeout_s, int *ret_status) {
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int64_t deadline = now_ms() + timeout_s * 1000ll;
    int ready;

    do {
        int64_t left = deadline - now_ms();
        ready = poll(&p, 1, left > 0 ? (int)left : 0);
    } while (ready < 0 && errno == EINTR);
    close(pidfd);
    if (ready == 0) {
        kill(-pid, SIGABRT);
        poll(NULL, 0, 200);
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
    }
    *ret_status = test_wait(pid);
    return ready != 0;
}

static void show_output(int fd) {
    char buffer[4096];
    off_t at = 0;
    ssize_t n;

    while ((n = pread(fd, buffer, sizeof buffer, at)) > 0) {
        fwrite(buffer, 1, (size_t)n, stdout);
        at += n;
    }
    fflush(stdout);
}

static const char *describe(int status, bool in_time, char *text, size_t size) {
    if (!in_time)
        snprintf(text, size, "did not end in time");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "killed by signal %s", sigabbrev_np(WTERMSIG(status)) ?: "?");
    else if (WEXITSTATUS(status) == EXIT_TEST_FAILED)
        text[0] = '\0';
    else
        snprintf(text, size, "exit status %d", WEXITSTATUS(status));
    return text;
}

enum outcome { PASS, FAIL, SKIP, EXPECTED, UNEXPECTED_PASS, OUTCOMES };
static const char *const g_outcome_names[OUTCOMES] = {"pass", "fail", "skip", "xfail", "xpass"};

static enum outcome run_test(const struct test_case *t) {
    char text[128] = "";
    int status;

    if (g_options.no_fork) {
        run_body(t);
        return PASS;
    }
    int output = memfd_create("test-output", MFD_CLOEXEC);
    int64_t start = now_ms();
    g_reason[0] = '\0';
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        close(output);
        run_body(t);
        fflush(NULL);
        _exit(EXIT_PASS);
    }
    if (pid < 0) {
        printf("fork: %s\n", strerror(errno));
        exit(1);
    }
    bool in_time = wait_limited(pid, t->timeout_s ? t->timeout_s : g_options.timeout_s, &status);
    kill(-pid, SIGKILL);
    reap_strays();
    enum outcome o = FAIL;
    if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_PASS)
        o = t->xfail ? UNEXPECTED_PASS : PASS;
    else if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED)
        o = SKIP;
    else if (t->xfail)
        o = EXPECTED;
    if (o == FAIL || g_options.verbose)
        show_output(output);
    close(output);
    const char *reason = o == SKIP              ? g_reason
                         : o == UNEXPECTED_PASS ? "is listed as an expected failure: make it a TEST"
                         : o == EXPECTED        ? t->xfail
                         : o == FAIL            ? describe(status, in_time, text, sizeof text)
                                                : "";
    printf("TEST %s.%s %s %lld%s%s\n", TEST_SUITE, t->name, g_outcome_names[o], (long long)(now_ms() - start),
           *reason ? " " : "", reason);
    fflush(stdout);
    return o;
}

static bool selected(const struct test_case *t) {
    for (int i = 0; i < g_options.pattern_count; i++)
        if (fnmatch(g_options.patterns[i], t->name, 0) == 0)
            return true;
    return g_options.pattern_count == 0;
}

static void parse_options(int argc, char **argv) {
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--list") == 0)
            g_options.list = true;
        else if (strcmp(argv[i], "--no-fork") == 0)
            g_options.no_fork = true;
        else if (strcmp(argv[i], "--verbose") == 0)
            g_options.verbose = true;
        else if (strncmp(argv[i], "--timeout=", 10) == 0)
            g_options.timeout_s = (unsigned int)strtoul(argv[i] + 10, NULL, 10);
        else {
            fprintf(stderr,
                    "usage: %s [--list] [--no-fork] [--verbose] [--timeout=SECONDS] [TEST-PATTERN...]\n",
                    argv[0]);
            exit(2);
        }
    }
    g_options.patterns = argv + i;
    g_options.pattern_count = argc - i;
}

int main(int argc, char **argv) {
    int counts[OUTCOMES] = {0}, total = 0;

    parse_options(argc, argv);
    g_reason = mmap(NULL, REASON_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (const struct test_case *t = g_tests; t; t = t->next) {
        if (!selected(t))
            continue;
        total++;
        if (g_options.list)
            printf("%s.%s\n", TEST_SUITE, t->name);
        else
            counts[run_test(t)]++;
    }
    if (total == 0) {
        fprintf(stderr, "%s: no such test\n", argv[0]);
        return 2;
    }
    if (!g_options.list)
        printf("# %s: %d passed, %d failed, %d skipped, %d expected failures\n", TEST_SUITE, counts[PASS],
               counts[FAIL] + counts[UNEXPECTED_PASS], counts[SKIP], counts[EXPECTED]);
    return counts[FAIL] + counts[UNEXPECTED_PASS] > 0;
}
