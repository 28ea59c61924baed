/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/cgroup/cgroupfs_core.c: the files cgroup.*, and what is a number or "max" in others. Source:
 * Documentation/admin-guide/cgroup-v2 "Core Interface Files".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/fs/cgroup/cgroupfs_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"

static const struct {
    const char *name;
    unsigned bit;
} g_controllers[] = {
    {"cpuset", CGROUP_CPUSET}, {"cpu", CGROUP_CPU}, {"memory", CGROUP_MEMORY}, {"pids", CGROUP_PIDS}};

/* ---- numbers ---- */

int cgroupfs_parse(const char *data, size_t len, uint64_t max, bool allow_max, uint64_t *ret) {
    char text[32];
    char *end;

    while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == ' '))
        len--;
    if (len == 0 || len >= sizeof text)
        return -EINVAL;
    memcpy(text, data, len);
    text[len] = '\0';
    if (allow_max && strcmp(text, "max") == 0) {
        *ret = CGROUP_MAX;
        return 0;
    }
    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (allow_max && *end && !end[1] && strchr("kKmMgG", *end)) { /* memory sizes */
        n <<= *end == 'k' || *end == 'K' ? 10 : *end == 'm' || *end == 'M' ? 20 : 30;
        end++;
    }
    if (errno || *end)
        return -EINVAL;
    if (n > max)
        return -ERANGE;
    *ret = n;
    return 0;
}

void cgroupfs_show_max(struct text *out, uint64_t value) {
    if (value == CGROUP_MAX)
        text_printf(out, "max\n");
    else
        text_printf(out, "%llu\n", (unsigned long long)value);
}

/* ---- controllers ---- */

static void show_controllers(struct text *out, unsigned set) {
    const char *sep = "";

    for (size_t i = 0; i < ARRAY_SIZE(g_controllers); i++) {
        if (!(set & g_controllers[i].bit))
            continue;
        text_printf(out, "%s%s", sep, g_controllers[i].name);
        sep = " ";
    }
    text_printf(out, "\n");
}

static int controllers_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    show_controllers(out, cgroup_controllers(group_of(n)));
    return 0;
}

static int subtree_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    show_controllers(out, group_of(n)->subtree_control);
    return 0;
}

static unsigned controller_bit(const char *name, size_t len) {
    for (size_t i = 0; i < ARRAY_SIZE(g_controllers); i++)
        if (strlen(g_controllers[i].name) == len && memcmp(g_controllers[i].name, name, len) == 0)
            return g_controllers[i].bit;
    return 0;
}

static ssize_t subtree_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    unsigned enable = 0, disable = 0;

    (void)t;
    for (const char *at = data, *end = data + len; at < end;) {
        size_t word = strcspn(at, " \n");
        unsigned bit = word > 1 ? controller_bit(at + 1, word - 1) : 0;
        if (word > 0 && (!bit || (*at != '+' && *at != '-')))
            return -EINVAL;
        if (word > 0 && *at == '+') {
            enable |= bit;
            disable &= ~bit;
        } else if (word > 0) {
            disable |= bit;
            enable &= ~bit;
        }
        at += word + 1;
    }
    int r = cgroup_set_control(group_of(n), enable, disable);
    return r < 0 ? r : (ssize_t)len;
}

/* ---- processes ---- */

/* Numbers as the reader's pid namespace has them; 0 for those that it does not see. */
static void show_group_locked(struct thread_group *g, bool threads, struct pid_ns *ns, struct text *out) {
    struct task *t;

    if (!threads) {
        text_printf(out, "%d\n", pid_nr(g->pid, ns));
        return;
    }
    list_for_each_entry(t, &g->tasks, group_node) if (atomic_load(&t->state) < TASK_ZOMBIE)
        text_printf(out, "%d\n", pid_nr(t->pid, ns));
}

static int show_tasks(struct kernfs_inode *n, struct task *t, bool threads, struct text *out) {
    struct cgroup *c = group_of(n);
    struct thread_group *g;

    if (!t)
        return -ESRCH;
    mutex_lock(&c->kernel->taskset_lock);
    list_for_each_entry(g, &c->groups, cgroup_node) show_group_locked(g, threads, task_pid_ns(t), out);
    mutex_unlock(&c->kernel->taskset_lock);
    return 0;
}

static int procs_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    return show_tasks(n, t, /* threads= */ false, out);
}

static int threads_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    return show_tasks(n, t, /* threads= */ true, out);
}

/* 0 is the writer itself. */
static ssize_t move_process(struct kernfs_inode *n, struct task *t, const char *data, size_t len,
                            bool thread) {
    uint64_t number;
    int r = t ? cgroupfs_parse(data, len, INT32_MAX, /* allow_max= */ false, &number) : -ESRCH;

    if (r < 0)
        return r;
    struct task *who = number == 0 ? task_ref(t) : task_find(t, (int)number);
    if (!who)
        return -ESRCH;
    struct cgroup *old = thread ? task_get_cgroup(who) : NULL;
    if (thread && old != group_of(n))
        r = -EOPNOTSUPP; /* a thread alone moves only within a threaded subtree */
    else
        r = cgroup_move(group_of(n), who, task_creds(t));
    cgroup_unref(old);
    task_unref(who);
    return r < 0 ? r : (ssize_t)len;
}

static ssize_t procs_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    return move_process(n, t, data, len, /* thread= */ false);
}

static ssize_t threads_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    return move_process(n, t, data, len, /* thread= */ true);
}

/* ---- states ---- */

static int events_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct cgroup *c = group_of(n);

    (void)t;
    mutex_lock(&c->kernel->taskset_lock);
    bool populated = c->populated > 0, frozen = cgroup_frozen_locked(c);
    mutex_unlock(&c->kernel->taskset_lock);
    text_printf(out, "populated %d\nfrozen %d\n", populated, frozen);
    return 0;
}

static void drop_group(void *object) {
    cgroup_unref(object);
}

static int watch_group(struct kernfs_inode *n, struct kernfs_watch *ret) {
    struct cgroup *c = group_of(n);

    *ret = (struct kernfs_watch){
        .queue = &c->changed, .event = &c->event, .object = cgroup_ref(c), .drop = drop_group};
    return 0;
}

static int freeze_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "%d\n", group_of(n)->freeze);
    return 0;
}

static ssize_t freeze_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    uint64_t on;
    int r = cgroupfs_parse(data, len, 1, /* allow_max= */ false, &on);

    (void)t;
    if (r < 0)
        return r;
    cgroup_set_freeze(group_of(n), on);
    return (ssize_t)len;
}

static ssize_t kill_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    uint64_t one;
    int r = cgroupfs_parse(data, len, 1, /* allow_max= */ false, &one);

    (void)t;
    if (r < 0)
        return r;
    if (one != 1)
        return -ERANGE;
    cgroup_kill(group_of(n));
    return (ssize_t)len;
}

static int type_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t;
    text_printf(out, "domain\n");
    return 0;
}

static ssize_t type_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    (void)n, (void)t;
    return len >= 8 && memcmp(data, "threaded", 8) == 0 ? -EOPNOTSUPP : -EINVAL;
}

static int stat_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "nr_descendants %u\nnr_dying_descendants 0\n", group_of(n)->descendants);
    return 0;
}

#define TREE_LIMIT(name, field)                                                                              \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        (void)t;                                                                                             \
        cgroupfs_show_max(out, group_of(n)->field);                                                          \
        return 0;                                                                                            \
    }                                                                                                        \
    static ssize_t name##_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {      \
        uint64_t value;                                                                                      \
        (void)t;                                                                                             \
        int r = cgroupfs_parse(data, len, INT32_MAX, /* allow_max= */ true, &value);                         \
        if (r < 0)                                                                                           \
            return r;                                                                                        \
        mutex_lock(&group_of(n)->kernel->taskset_lock);                                                      \
        group_of(n)->field = value;                                                                          \
        mutex_unlock(&group_of(n)->kernel->taskset_lock);                                                    \
        return (ssize_t)len;                                                                                 \
    }                                                                                                        \
    static const struct kernfs_ops name = {                                                                  \
        .mode = LINUX_S_IFREG | 0644, .show = name##_show, .store = name##_store, CGROUP_NODE}
TREE_LIMIT(max_depth, max_depth);
TREE_LIMIT(max_descendants, max_descendants);

static const struct kernfs_ops g_controllers_file = {
    .mode = LINUX_S_IFREG | 0444, .show = controllers_show, CGROUP_NODE};
static const struct kernfs_ops g_subtree = {
    .mode = LINUX_S_IFREG | 0644, .show = subtree_show, .store = subtree_store, CGROUP_NODE};
static const struct kernfs_ops g_procs = {
    .mode = LINUX_S_IFREG | 0644, .show = procs_show, .store = procs_store, CGROUP_NODE};
static const struct kernfs_ops g_threads = {
    .mode = LINUX_S_IFREG | 0644, .show = threads_show, .store = threads_store, CGROUP_NODE};
static const struct kernfs_ops g_events = {
    .mode = LINUX_S_IFREG | 0444, .show = events_show, .watch = watch_group, CGROUP_NODE};
static const struct kernfs_ops g_freeze = {
    .mode = LINUX_S_IFREG | 0644, .show = freeze_show, .store = freeze_store, CGROUP_NODE};
static const struct kernfs_ops g_kill = {.mode = LINUX_S_IFREG | 0200, .store = kill_store, CGROUP_NODE};
static const struct kernfs_ops g_type = {
    .mode = LINUX_S_IFREG | 0644, .show = type_show, .store = type_store, CGROUP_NODE};
static const struct kernfs_ops g_stat = {.mode = LINUX_S_IFREG | 0444, .show = stat_show, CGROUP_NODE};

const struct cgroup_file cgroupfs_core_files[] = {
    {"cgroup.controllers", 0, &g_controllers_file},
    {"cgroup.events", 0, &g_events},
    {"cgroup.freeze", 0, &g_freeze},
    {"cgroup.kill", 0, &g_kill},
    {"cgroup.max.depth", 0, &max_depth},
    {"cgroup.max.descendants", 0, &max_descendants},
    {"cgroup.procs", 0, &g_procs},
    {"cgroup.stat", 0, &g_stat},
    {"cgroup.subtree_control", 0, &g_subtree},
    {"cgroup.threads", 0, &g_threads},
    {"cgroup.type", 0, &g_type},
    {NULL, 0, NULL},
};
