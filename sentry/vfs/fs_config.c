/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/fs_config.c: see fs_config.h. Source: fsopen(2), fsconfig(2), fsmount(2), fspick(2); messages
 * and errors as observed (tests/conform/mount_api.c).
 */
#include "sentry/vfs/fs_config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/vfs_internal.h"

enum phase { PHASE_CREATE_PARAMS, PHASE_MADE, PHASE_RECONF_PARAMS, PHASE_FAILED };
enum { MESSAGES_MAX = 8, MESSAGE_SIZE = 128, OPTIONS_MAX = 4096 };

struct fs_config {
    struct file base;
    const struct fs_type *type;
    struct pid_ns *pid_ns;   /* reference: of the opener */
    struct user_ns *user_ns; /* reference */
    struct mutex lock;       /* RANK_FS_CONFIG; all below */
    enum phase phase;
    struct filesystem *fs; /* reference, once made or picked */
    bool readonly;
    char *source;  /* heap */
    char *options; /* heap, comma separated; NULL: none */
    unsigned message_count;
    char messages[MESSAGES_MAX][MESSAGE_SIZE]; /* oldest first */
};
HEAP_TYPE(fs_config, struct fs_config, 0);

static struct fs_config *config_of(struct file *f) {
    return container_of(f, struct fs_config, base);
}

/* A line for whoever reads the file; the oldest goes when there are too many. */
static printf_like(2, 3) void complain(struct fs_config *c, const char *fmt, ...) {
    va_list args;

    if (c->message_count == MESSAGES_MAX) {
        memmove(c->messages[0], c->messages[1], (MESSAGES_MAX - 1) * MESSAGE_SIZE);
        c->message_count--;
    }
    va_start(args, fmt);
    int n = vsnprintf(c->messages[c->message_count], MESSAGE_SIZE - 1, fmt, args);
    c->messages[c->message_count++][MIN(n, MESSAGE_SIZE - 2)] = '\n';
    va_end(args);
}

/* One message a read. */
static ssize_t config_read(struct file *f, struct uio *to, uint64_t *offset) {
    struct fs_config *c = config_of(f);
    char text[MESSAGE_SIZE];

    (void)offset;
    mutex_lock(&c->lock);
    ssize_t r = c->message_count == 0 ? -ENODATA : strlen(c->messages[0]) > to->remaining ? -EMSGSIZE : 0;
    if (r == 0) {
        memcpy(text, c->messages[0], sizeof text);
        memmove(c->messages[0], c->messages[1], --c->message_count * MESSAGE_SIZE);
    }
    mutex_unlock(&c->lock);
    return r < 0 ? r : uio_write(to, text, strlen(text));
}

static void config_release(struct file *f) {
    struct fs_config *c = config_of(f);

    filesystem_unref(c->fs);
    pid_ns_unref(c->pid_ns);
    user_ns_unref(c->user_ns);
    heap_free(c->source);
    heap_free(c->options);
    file_done(f);
    heap_free(c);
}

static const struct file_ops config_ops = {
    .name = "fscontext",
    .read = config_read,
    .release = config_release,
};

bool file_is_fs_config(struct file *f) {
    return f->ops == &config_ops;
}

static int config_new(struct task *t, const struct fs_type *type, struct filesystem *fs, enum phase phase,
                      struct file **ret) {
    struct fs_config *c = heap_new(fs_config);

    if (!c)
        return -ENOMEM;
    int r = file_init_anon(&c->base, &config_ops, "anon_inode:[fscontext]", 0, LINUX_O_RDWR,
                           FILE_READ | FILE_WRITE | FILE_STREAM, task_creds(t));
    if (r < 0) {
        heap_free(c);
        return r;
    }
    mutex_init(&c->lock, RANK_FS_CONFIG);
    c->type = type;
    c->fs = fs ? filesystem_ref(fs) : NULL;
    c->pid_ns = pid_ns_ref(task_pid_ns(t));
    c->user_ns = user_ns_ref(task_creds(t)->user_ns);
    c->phase = phase;
    *ret = &c->base;
    return 0;
}

int fs_config_new(struct task *t, const struct fs_type *type, struct file **ret) {
    return config_new(t, type, NULL, PHASE_CREATE_PARAMS, ret);
}

int fs_config_pick(struct task *t, struct mount *m, struct file **ret) {
    return config_new(t, m->fs->type, m->fs, PHASE_RECONF_PARAMS, ret);
}

/* ---- parameters ---- */

static struct mount_options options_locked(struct fs_config *c, struct task *t, const char *data) {
    return (struct mount_options){.source = c->source ? c->source : "none",
                                  .data = data,
                                  .flags = c->readonly ? MOUNT_READONLY : 0,
                                  .creds = task_creds(t),
                                  .user_ns = c->user_ns,
                                  .pid_ns = c->pid_ns,
                                  .view_task = t};
}

static int set_source_locked(struct fs_config *c, const char *value) {
    if (!value) {
        complain(c, "e %s: Non-string source", c->type->name);
        return -EINVAL;
    }
    if (c->source) {
        complain(c, "e %s: Multiple sources", c->type->name);
        return -EINVAL;
    }
    c->source = heap_strdup(value);
    return c->source ? 0 : -ENOMEM;
}

static int append_locked(struct fs_config *c, const char *item) {
    size_t old = c->options ? strlen(c->options) + 1 : 0, len = strlen(item);

    if (old + len + 2 > OPTIONS_MAX) {
        complain(c, "e VFS: Legacy: Cumulative options too large");
        return -EINVAL;
    }
    char *all = heap_alloc_bytes(old + len + 1);
    if (!all)
        return -ENOMEM;
    snprintf(all, old + len + 1, "%s%s%s", old ? c->options : "", old ? "," : "", item);
    heap_free(c->options);
    c->options = all;
    return 0;
}

/* Flags of every file system; those without effect here are taken too. */
static bool general_flag_locked(struct fs_config *c, const char *key) {
    static const char *const without_effect[] = {"sync",       "async", "dirsync", "lazytime",
                                                 "nolazytime", "mand",  "nomand"};

    if (strcmp(key, "ro") == 0 || strcmp(key, "rw") == 0) {
        c->readonly = key[1] == 'o';
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(without_effect); i++)
        if (strcmp(key, without_effect[i]) == 0)
            return true;
    return false;
}

static int set_locked(struct fs_config *c, struct task *t, const char *key, const char *value) {
    if (c->phase != PHASE_CREATE_PARAMS && c->phase != PHASE_RECONF_PARAMS)
        return -EBUSY;
    if (general_flag_locked(c, key))
        return 0;
    if (strcmp(key, "source") == 0)
        return set_source_locked(c, value);
    size_t size = strlen(key) + (value ? strlen(value) + 1 : 0) + 1;
    char *item = heap_alloc_bytes(size);
    if (!item)
        return -ENOMEM;
    snprintf(item, size, "%s%s%s", key, value ? "=" : "", value ? value : "");
    struct mount_options o = options_locked(c, t, item);
    int r = c->type->check_option ? c->type->check_option(t->kernel, &o) : -ENOENT;
    if (r < 0)
        complain(c, r == -ENOENT ? "e %s: Unknown parameter '%s'" : "e %s: Bad value for '%s'", c->type->name,
                 key);
    if (r == -ENOENT)
        r = -EINVAL;
    if (r == 0)
        r = append_locked(c, item);
    heap_free(item);
    return r;
}

int fs_config_set(struct task *t, struct file *f, const char *key, const char *value) {
    struct fs_config *c = config_of(f);

    mutex_lock(&c->lock);
    int r = set_locked(c, t, key, value);
    mutex_unlock(&c->lock);
    return r;
}

int fs_config_refuse(struct file *f, const char *key) {
    struct fs_config *c = config_of(f);

    mutex_lock(&c->lock);
    int r = c->phase == PHASE_CREATE_PARAMS || c->phase == PHASE_RECONF_PARAMS ? -EINVAL : -EBUSY;
    if (r == -EINVAL)
        complain(c, "e %s: Unknown parameter '%s'", c->type->name, key);
    mutex_unlock(&c->lock);
    return r;
}

/* ---- commands ---- */

static int create_locked(struct fs_config *c, struct task *t) {
    if (c->phase != PHASE_CREATE_PARAMS)
        return -EBUSY;
    int r = fs_type_may_mount(c->type, t);
    if (r < 0)
        return r;
    struct mount_options o = options_locked(c, t, c->options);
    r = filesystem_for_guest(t, c->type, &o, &c->fs);
    c->phase = r < 0 ? PHASE_FAILED : PHASE_MADE;
    return r;
}

int fs_config_create(struct task *t, struct file *f) {
    struct fs_config *c = config_of(f);

    mutex_lock(&c->lock);
    int r = create_locked(c, t);
    mutex_unlock(&c->lock);
    return r;
}

static int reconfigure_locked(struct fs_config *c, struct task *t) {
    if (c->phase != PHASE_RECONF_PARAMS)
        return -EBUSY;
    if (!filesystem_admin(c->fs, t))
        return -EPERM;
    struct mount_options o = options_locked(c, t, c->options);
    int r = filesystem_reconfigure(c->fs, &o);
    if (r < 0)
        c->phase = PHASE_FAILED;
    heap_free(c->options);
    c->options = NULL;
    return r;
}

int fs_config_reconfigure(struct task *t, struct file *f) {
    struct fs_config *c = config_of(f);

    mutex_lock(&c->lock);
    int r = reconfigure_locked(c, t);
    mutex_unlock(&c->lock);
    return r;
}

int fs_config_take(struct file *f, struct filesystem **ret, char **ret_source) {
    struct fs_config *c = config_of(f);
    int r = 0;

    mutex_lock(&c->lock);
    if (!c->fs) {
        r = -EINVAL;
    } else if (c->phase != PHASE_MADE) {
        r = -EBUSY;
    } else {
        c->phase = PHASE_RECONF_PARAMS;
        *ret = filesystem_ref(c->fs);
        *ret_source = c->source;
        c->source = NULL;
    }
    mutex_unlock(&c->lock);
    return r;
}
