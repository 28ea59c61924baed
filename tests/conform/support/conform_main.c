/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/support/conform_main.c: main() and helps of the conformance programs (conform.h).
 */
#include "conform.h"

#include <fnmatch.h>
#include <ftw.h>
#include <grp.h>
#include <stdarg.h>
#include <sys/mount.h>

enum { EXIT_FAILED = 66, EXIT_SKIPPED = 67, TIME_LIMIT_S = 120 /* only against hanging */ };

static struct check *g_checks, **g_checks_end = &g_checks;
static pid_t g_main_pid;

void check_register(struct check *c) {
    *g_checks_end = c;
    g_checks_end = &c->next;
}

void check_fail(const char *file, int line, const char *fmt, ...) {
    char text[1024];
    const char *base = strrchr(file, '/');
    int n = snprintf(text, sizeof text, "  %s:%d: ", base ? base + 1 : file, line);
    va_list args;

    va_start(args, fmt);
    n += vsnprintf(text + n, sizeof text - (size_t)n - 1, fmt, args);
    va_end(args);
    if (n > (int)sizeof text - 2)
        n = (int)sizeof text - 2;
    text[n++] = '\n';
    fflush(stdout);
    if (write(STDOUT_FILENO, text, (size_t)n) < 0)
        _exit(EXIT_FAILED);
    _exit(EXIT_FAILED);
}

void check_skip(const char *fmt, ...) {
    va_list args;

    printf("  skipped: ");
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    _exit(EXIT_SKIPPED);
}

static const char *err_name(int e) {
    const char *name = strerrorname_np(e);
    return name ? name : "?";
}

long long check_ok(const char *file, int line, const char *text, long long result, int err) {
    if (result < 0)
        check_fail(file, line, "%s: %s", text, err_name(err));
    return result;
}

void check_err(const char *file, int line, const char *text, long long result, int err, int want) {
    if (result != -1)
        check_fail(file, line, "%s: gave %lld, not %s", text, result, err_name(want));
    if (err != want)
        check_fail(file, line, "%s: %s, not %s", text, err_name(err), err_name(want));
}

void check_eq(const char *file, int line, const char *left, const char *right, long long a, long long b) {
    if (a != b)
        check_fail(file, line, "%s == %s: %lld (0x%llx) != %lld (0x%llx)", left, right, a,
                   (unsigned long long)a, b, (unsigned long long)b);
}

void check_str(const char *file, int line, const char *left, const char *right, const char *a,
               const char *b) {
    if (strcmp(a, b) != 0)
        check_fail(file, line, "%s == %s: \"%s\" != \"%s\"", left, right, a, b);
}

void check_mem(const char *file, int line, const char *left, const char *right, const void *a, const void *b,
               size_t n) {
    const unsigned char *x = a, *y = b;

    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            check_fail(file, line, "%s == %s: byte %zu of %zu: 0x%02x != 0x%02x", left, right, i, n, x[i],
                       y[i]);
}

void put_file(const char *path, const char *text) {
    int fd = OK(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));

    EQ(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

void private_world(void) {
    char cwd[512];

    OK(unshare(CLONE_NEWNS));
    OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    OKP(getcwd(cwd, sizeof cwd));
    OK(mount("world", cwd, "tmpfs", 0, NULL));
    OK(chdir(cwd));
}

char *get_file(const char *path, char *buffer, size_t size) {
    int fd = OK(open(path, O_RDONLY | O_CLOEXEC));
    size_t done = 0;
    ssize_t n;

    while (done < size - 1 && (n = OK(read(fd, buffer + done, size - 1 - done))) > 0)
        done += (size_t)n;
    buffer[done] = '\0';
    close(fd);
    return buffer;
}

int make_file(const char *path, const char *text) {
    put_file(path, text);
    return OK(open(path, O_RDWR | O_CLOEXEC));
}

pid_t spawn(void (*fn)(void *), void *arg) {
    fflush(stdout);
    pid_t pid = OK(fork());
    if (pid == 0) {
        fn(arg);
        fflush(stdout);
        _exit(0);
    }
    return pid;
}

int wait_status(pid_t pid) {
    int status;

    EQ(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    return status;
}

int wait_exit(pid_t pid) {
    int status = wait_status(pid);

    if (!WIFEXITED(status))
        check_fail(__FILE__, __LINE__, "the child did not exit: wait status 0x%x", status);
    return WEXITSTATUS(status);
}

void sleep_ms(int ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000l};

    while (nanosleep(&t, &t) < 0 && errno == EINTR) {
    }
}

int64_t now_ns(clockid_t id) {
    struct timespec t;

    OK(clock_gettime(id, &t));
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

bool is_root(void) {
    return geteuid() == 0;
}

void become_nobody(void) {
    OK(setgroups(0, NULL));
    OK(setresgid(65534, 65534, 65534));
    OK(setresuid(65534, 65534, 65534));
}

char process_state(pid_t pid) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    return end ? end[2] : 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path) < 0 ? 0 : 0;
}

/* Waits for the check's process, at most TIME_LIMIT_S. SIGCHLD is blocked in this process. */
static int wait_for_check(pid_t pid) {
    const struct timespec limit = {TIME_LIMIT_S, 0};
    sigset_t set;
    int status;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid)
            return status;
        if (sigtimedwait(&set, NULL, &limit) < 0 && errno == EAGAIN) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1;
        }
    }
}

static int run_forked(const struct check *c) {
    sigset_t set, old;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &old);
    pid_t pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        setpgid(0, 0);
        c->run();
        fflush(stdout);
        _exit(0);
    }
    int status = pid < 0 ? -1 : wait_for_check(pid);
    if (pid > 0)
        kill(-pid, SIGKILL); /* what the check left running */
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    return status;
}

static bool run_check(const struct check *c, const char *dir, int number, bool no_fork) {
    char path[4096];
    int status = 0;

    printf("# check %s\n", c->name);
    fflush(stdout);
    snprintf(path, sizeof path, "%s/%d", dir, number);
    if (mkdir(path, 0755) < 0 || chdir(path) < 0)
        printf("  no working directory: %s\n", err_name(errno));
    fflush(stdout);
    if (no_fork)
        c->run();
    else
        status = run_forked(c);
    if (chdir("/") < 0 || nftw(path, remove_entry, 20, FTW_DEPTH | FTW_PHYS) < 0)
        status = status ? status : 0;
    if (status == 0) {
        printf("ok %s\n", c->name);
    } else if (status > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED) {
        printf("skip %s\n", c->name);
    } else {
        if (status < 0)
            printf("  did not end in %d s\n", TIME_LIMIT_S);
        else if (WIFSIGNALED(status))
            printf("  killed by signal %d\n", WTERMSIG(status));
        else if (WEXITSTATUS(status) != EXIT_FAILED)
            printf("  exit status %d\n", WEXITSTATUS(status));
        printf("not ok %s\n", c->name);
        fflush(stdout);
        return false;
    }
    fflush(stdout);
    return true;
}

static bool selected(const struct check *c, char **patterns) {
    if (!*patterns)
        return true;
    for (; *patterns; patterns++)
        if (fnmatch(*patterns, c->name, 0) == 0)
            return true;
    return false;
}

int main(int argc, char **argv) {
    const char *tmp = getenv("TMPDIR");
    char dir[4000];
    bool list = false, no_fork = false;
    int failed = 0, number = 0;

    char **patterns = argv + (argc > 0);
    for (; *patterns && (*patterns)[0] == '-'; patterns++) {
        if (strcmp(*patterns, "--list") == 0)
            list = true;
        else if (strcmp(*patterns, "--no-fork") == 0)
            no_fork = true;
    }
    g_main_pid = getpid();
    umask(022);
    snprintf(dir, sizeof dir, "%s/conform-XXXXXX", tmp ? tmp : "/tmp");
    if (!list && !mkdtemp(dir))
        printf("# no temporary directory %s: %s\n", dir, err_name(errno));
    if (!list)
        chmod(dir, 0755);
    for (const struct check *c = g_checks; c; c = c->next) {
        if (!selected(c, patterns))
            continue;
        if (list)
            printf("%s\n", c->name);
        else
            failed += !run_check(c, dir, number++, no_fork);
    }
    if (!list)
        rmdir(dir);
    return failed > 0;
}
