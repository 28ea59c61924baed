/* SPDX-License-Identifier: Apache-2.0
 * base/log.h: the debug log, per category and process. Nothing is logged by default and library code never
 * logs an error that it also returns (STYLE 25). Never log guest data contents, environment values or
 * anything that may be a secret.
 *
 * log_init() names the process ("runsc", "boot", "gofer") and takes an already open descriptor, so that a
 * sandboxed process needs no file access. One line per message, written by one write(2): time, process,
 * category, level, text.
 */
#pragma once

#include "base/compiler.h"

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_TRACE };

enum log_category {
    LOG_GENERAL,
    LOG_BOOT,
    LOG_CONTROL,
    LOG_GOFER,
    LOG_PLATFORM,
    LOG_KERNEL,
    LOG_SIGNAL,
    LOG_MM,
    LOG_VFS,
    LOG_FS,
    LOG_LOADER,
    LOG_STRACE,
    LOG_NET,
    LOG_TTY,
    LOG_CLI,
    LOG_CATEGORIES,
};

extern uint8_t g_log_levels[LOG_CATEGORIES];

/* fd < 0: no log. spec: "debug", or "info,kernel=trace,vfs=debug"; -EINVAL on an unknown word. */
int log_init(const char *process, int fd, const char *spec) must_check;
int log_fd(void);
void log_write(enum log_category category, enum log_level level, const char *fmt, ...) printf_like(3, 4);
const char *log_category_name(enum log_category category);

#define log_on(category, level) unlikely(g_log_levels[category] >= (level))
#define log_at(category, level, ...)                                                                         \
    (log_on(category, level) ? log_write(category, level, __VA_ARGS__) : (void)0)
#define log_error(category, ...)   log_at(category, LOG_ERROR, __VA_ARGS__)
#define log_warning(category, ...) log_at(category, LOG_WARNING, __VA_ARGS__)
#define log_info(category, ...)    log_at(category, LOG_INFO, __VA_ARGS__)
#define log_debug(category, ...)   log_at(category, LOG_DEBUG, __VA_ARGS__)
#define log_trace(category, ...)   log_at(category, LOG_TRACE, __VA_ARGS__)
