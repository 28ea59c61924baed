/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/core_pattern.c: see core_pattern.h. A file's name never gets a component from a value
 * (slashes in names become '!'); a program's arguments are split before values are put in. Source: core(5).
 */
#include "sentry/kernel/core_pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/heap/text.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/vfs.h"

enum { MAX_ARGUMENTS = 32 };

void core_settings_init(struct core_settings *s) {
    mutex_init(&s->lock, RANK_LEAF);
    memcpy(s->pattern, "core", sizeof "core");
}

static void append_name(struct text *out, const char *name) {
    if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'))) {
        text_append(out, "!", 1);
        name++;
    }
    for (; *name; name++)
        text_append(out, *name == '/' ? "!" : name, 1);
}

static void append_exe(struct task *t, struct text *out, bool whole) {
    char *path = NULL;
    struct file *exe = t->mm ? t->mm->exe : NULL;

    if (!exe || path_text(&exe->path, NULL, &path) < 0)
        return;
    const char *last = strrchr(path, '/');
    append_name(out, whole || !last ? path : last + 1);
    heap_free(path);
}

static void append_hostname(struct task *t, struct text *out) {
    char name[65];

    mutex_lock(&t->nsproxy->uts->lock);
    snprintf(name, sizeof name, "%s", t->nsproxy->uts->nodename);
    mutex_unlock(&t->nsproxy->uts->lock);
    append_name(out, name);
}

/* One % specifier; true if it named the process. */
static bool append_value(struct task *t, const struct linux_siginfo *info, char what, struct text *out) {
    char name[LINUX_TASK_COMM_LEN];
    struct pid_ns *own = task_pid_ns(t), *root = t->kernel->root_pid_ns;

    switch (what) {
    case '%':
        text_append(out, "%", 1);
        break;
    case 'p':
        text_printf(out, "%d", task_tgid_in(t, own));
        return true;
    case 'P':
        text_printf(out, "%d", task_tgid_in(t, root));
        break;
    case 'i':
        text_printf(out, "%d", task_tid_in(t, own));
        break;
    case 'I':
        text_printf(out, "%d", task_tid_in(t, root));
        break;
    case 'u':
        text_printf(out, "%u", from_kuid(t->kernel->root_user_ns, t->creds->uid));
        break;
    case 'g':
        text_printf(out, "%u", from_kgid(t->kernel->root_user_ns, t->creds->gid));
        break;
    case 'd':
        text_printf(out, "%d", t->mm ? t->mm->dumpable : 0);
        break;
    case 's':
        text_printf(out, "%d", info->signo);
        break;
    case 't':
        text_printf(out, "%lld", (long long)(realtime_ns() / NSEC_PER_SEC));
        break;
    case 'c':
        text_printf(out, "%llu", (unsigned long long)task_limit(t, LINUX_RLIMIT_CORE));
        break;
    case 'h':
        append_hostname(t, out);
        break;
    case 'e':
        task_get_name(t, name);
        append_name(out, name);
        break;
    case 'f':
        append_exe(t, out, /* whole= */ false);
        break;
    case 'E':
        append_exe(t, out, /* whole= */ true);
        break;
    }
    return false;
}

/* True if the process's number is in it. */
static bool append_expanded(struct task *t, const struct linux_siginfo *info, const char *pattern, size_t len,
                            struct text *out) {
    bool has_pid = false;

    for (size_t i = 0; i < len; i++) {
        if (pattern[i] != '%') {
            text_append(out, &pattern[i], 1);
        } else if (i + 1 < len) {
            has_pid |= append_value(t, info, pattern[i + 1], out);
            i++;
        }
    }
    return has_pid;
}

static char *taken(struct text *text) {
    text_append(text, "", 1);
    char *copy = text->failed ? NULL : strdup(text->data);
    text_done(text);
    return copy;
}

static int expand_program(struct task *t, const struct linux_siginfo *info, const char *pattern,
                          struct core_target *ret) {
    size_t count = 0;

    ret->argv = calloc(MAX_ARGUMENTS + 1, sizeof *ret->argv);
    if (!ret->argv)
        return -ENOMEM;
    while (count < MAX_ARGUMENTS) {
        struct text one = {0};
        pattern += strspn(pattern, " \t");
        size_t len = strcspn(pattern, " \t");
        if (len == 0)
            break;
        (void)append_expanded(t, info, pattern, len, &one);
        ret->argv[count] = taken(&one);
        if (!ret->argv[count++])
            return -ENOMEM;
        pattern += len;
    }
    return count > 0 ? 0 : -EINVAL;
}

static int expand_name(struct task *t, const struct linux_siginfo *info, const char *pattern, bool uses_pid,
                       struct core_target *ret) {
    struct text name = {0};

    bool has_pid = append_expanded(t, info, pattern, strlen(pattern), &name);
    if (uses_pid && !has_pid)
        text_printf(&name, ".%d", task_tgid(t));
    ret->name = taken(&name);
    return ret->name ? 0 : -ENOMEM;
}

int core_pattern_expand(struct task *t, const struct linux_siginfo *info, struct core_target *ret) {
    struct core_settings *s = &t->kernel->core;
    char pattern[CORE_PATTERN_MAX];

    *ret = (struct core_target){0};
    mutex_lock(&s->lock);
    memcpy(pattern, s->pattern, sizeof pattern);
    bool uses_pid = s->uses_pid;
    mutex_unlock(&s->lock);
    int r = pattern[0] == '|' ? expand_program(t, info, pattern + 1, ret)
                              : expand_name(t, info, pattern, uses_pid, ret);
    if (r < 0)
        core_target_done(ret);
    return r;
}

void core_target_done(struct core_target *target) {
    for (size_t i = 0; target->argv && target->argv[i]; i++)
        free(target->argv[i]);
    free(target->argv);
    free(target->name);
    *target = (struct core_target){0};
}
