/* SPDX-License-Identifier: Apache-2.0
 * base/log.c: see log.h. One write(2) a line; safe from any thread; allocates nothing.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint8_t g_log_levels[LOG_CATEGORIES];
static int g_log_fd = -1;
static char g_log_process[16] = "?";

static const char *const g_category_names[LOG_CATEGORIES] = {
    [LOG_GENERAL] = "general",   [LOG_BOOT] = "boot",     [LOG_CONTROL] = "control", [LOG_GOFER] = "gofer",
    [LOG_PLATFORM] = "platform", [LOG_KERNEL] = "kernel", [LOG_SIGNAL] = "signal",   [LOG_MM] = "mm",
    [LOG_VFS] = "vfs",           [LOG_FS] = "fs",         [LOG_LOADER] = "loader",   [LOG_STRACE] = "strace",
    [LOG_NET] = "net",           [LOG_TTY] = "tty",       [LOG_CLI] = "cli",
};
static const char *const g_level_names[] = {"none", "error", "warning", "info", "debug", "trace"};

const char *log_category_name(enum log_category category) {
    return g_category_names[category];
}

int log_fd(void) {
    return g_log_fd;
}

static int level_of(const char *word, size_t size) {
    for (size_t i = 0; i < ARRAY_SIZE(g_level_names); i++)
        if (strlen(g_level_names[i]) == size && memcmp(word, g_level_names[i], size) == 0)
            return (int)i;
    return -EINVAL;
}

static int apply_word(const char *word, size_t size) {
    const char *equals = memchr(word, '=', size);
    int level = equals ? level_of(equals + 1, size - (size_t)(equals + 1 - word)) : level_of(word, size);

    if (level < 0)
        return level;
    for (int c = 0; c < LOG_CATEGORIES; c++) {
        if (!equals) {
            g_log_levels[c] = (uint8_t)level;
        } else if (strlen(g_category_names[c]) == (size_t)(equals - word) &&
                   memcmp(word, g_category_names[c], (size_t)(equals - word)) == 0) {
            g_log_levels[c] = (uint8_t)level;
            return 0;
        }
    }
    return equals ? -EINVAL : 0;
}

int log_init(const char *process, int fd, const char *spec) {
    memset(g_log_levels, 0, sizeof g_log_levels);
    snprintf(g_log_process, sizeof g_log_process, "%s", process);
    g_log_fd = fd;
    while (fd >= 0 && spec && *spec) {
        size_t size = strcspn(spec, ",");
        int r = apply_word(spec, size);
        if (r < 0)
            return r;
        spec += size + (spec[size] == ',');
    }
    return 0;
}

void log_write(enum log_category category, enum log_level level, const char *fmt, ...) {
    char line[2048];
    struct timespec now;
    int saved = errno;

    if (g_log_fd < 0)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    int n =
        snprintf(line, sizeof line, "%lld.%06ld %s[%ld] %s %s: ", (long long)now.tv_sec, now.tv_nsec / 1000,
                 g_log_process, syscall(SYS_gettid), g_category_names[category], g_level_names[level]);
    va_list args;
    va_start(args, fmt);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, args);
    va_end(args);
    n = m < 0 ? n : MIN(n + m, (int)sizeof line - 2);
    line[n++] = '\n';
    if (write(g_log_fd, line, (size_t)n) < 0) {
        /* a full disk must not end the sandbox */
    }
    errno = saved;
}
