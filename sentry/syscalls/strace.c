/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/strace.c: one line per system call, after the call, from the formats of syscalls.def. The
 * guest's memory is read a second time here, for people only: nothing is decided by it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/kernel/restart.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"

int g_strace_fd = -1;

void syscall_strace_enable(int fd) {
    g_strace_fd = fd;
}

struct line {
    char text[1024];
    size_t len;
};

static void add(struct line *l, const char *fmt, ...) printf_like(2, 3);
static void add(struct line *l, const char *fmt, ...) {
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(l->text + l->len, sizeof l->text - l->len, fmt, args);
    va_end(args);
    l->len = MIN(l->len + (size_t)MAX(n, 0), sizeof l->text - 2);
}

static void add_path(struct line *l, struct task *t, gva_t at) {
    char text[128];
    size_t n = at ? copy_in_partial(t, text, at, sizeof text) : 0;

    if (n == 0) {
        add(l, "%#lx", at);
        return;
    }
    size_t len = strnlen(text, n);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == '"')
            text[i] = '?';
    add(l, "\"%.*s\"%s", (int)len, text, len == n ? "..." : "");
}

static void add_arg(struct line *l, struct task *t, char format, uint64_t v) {
    switch (format) {
    case 'd':
        add(l, "%d", (int)v);
        break;
    case 'f':
        if ((int)v == LINUX_AT_FDCWD)
            add(l, "AT_FDCWD");
        else
            add(l, "%d", (int)v);
        break;
    case 'u':
        add(l, "%lu", v);
        break;
    case 's':
        add_path(l, t, v);
        break;
    case 'm':
        add(l, "%#o", (unsigned)v);
        break;
    default:
        add(l, "%#lx", v);
    }
}

static void add_result(struct line *l, int64_t result) {
    if (result == -ENORESULT)
        add(l, " = ?");
    else if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK)
        add(l, " = ? (interrupted, may restart)");
    else if (result < 0 && result > -4096)
        add(l, " = -1 %s", strerrorname_np((int)-result) ? strerrorname_np((int)-result) : "E?");
    else
        add(l, " = %s%lx", (uint64_t)result > 9 ? "0x" : "", result);
}

void syscall_strace(struct task *t, uint64_t number, const struct syscall_args *a, int64_t result) {
    const struct syscall_entry *e = number < g_syscall_count ? &g_syscalls[number] : NULL;
    const char *format = e && e->name ? e->format : "xxxxxx";
    struct line l = {.len = 0};

    add(&l, "[%5d] ", task_tid(t));
    if (e && e->name)
        add(&l, "%s(", e->name);
    else
        add(&l, "syscall_%lu(", number);
    for (int i = 0; format[i] && i < 6; i++) {
        if (i > 0)
            add(&l, ", ");
        add_arg(&l, t, format[i], a->arg[i]);
    }
    add(&l, ")%s", e && !e->fn ? " [not there]" : "");
    add_result(&l, result);
    l.text[l.len++] = '\n';
    strace_write(l.text, l.len);
}
