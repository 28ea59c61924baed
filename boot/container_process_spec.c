/* SPDX-License-Identifier: Apache-2.0
 * boot/container_process_spec.c: from an OCI process to the kernel's process_spec: credentials, limits,
 * descriptors, terminal. Source: runtime-spec config.md "Process".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/resource.h"
#include "base/abi/linux/termios.h"
#include "base/cleanup.h"
#include "boot/kernel_real.h"
#include "sentry/fs/devpts/tty.h"
#include "sentry/fs/host/host.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

/* ---- credentials ---- */

static void set_capabilities(struct creds *c, const struct spec_capabilities *caps) {
    if (!caps->set)
        return; /* as creds_new_root(): all of them, which a user id other than 0 loses at the execve */
    c->bounding = spec_capability_bits(&caps->bounding);
    c->permitted = spec_capability_bits(&caps->permitted);
    c->effective = spec_capability_bits(&caps->effective) & c->permitted;
    c->inheritable = spec_capability_bits(&caps->inheritable);
    c->ambient = spec_capability_bits(&caps->ambient) & c->permitted & c->inheritable;
}

/* Kernel ids, each once, as runc hands them on. */
static int set_groups(struct creds *c, const struct spec_ids *ids) {
    cleanup(freep) kgid_t *groups = calloc(ids->count + 1, sizeof *groups);
    size_t count = 0;

    if (!groups)
        return -ENOMEM;
    for (size_t i = 0; i < ids->count; i++) {
        kgid_t g = make_kgid(c->user_ns, ids->items[i]);
        size_t j = 0;
        if (g == INVALID_ID)
            return -EINVAL;
        while (j < count && groups[j] != g)
            j++;
        groups[j] = g;
        count = MAX(count, j + 1);
    }
    return creds_set_groups(c, groups, count);
}

static int make_creds(struct user_ns *ns, const struct spec_process *p, struct creds **ret,
                      struct err **err) {
    struct creds *c = creds_new_root(ns);

    if (!c)
        return err_set(err, ENOMEM, "out-of-memory", "making a process");
    c->uid = c->euid = c->suid = c->fsuid = make_kuid(ns, p->user.uid);
    c->gid = c->egid = c->sgid = c->fsgid = make_kgid(ns, p->user.gid);
    int r = c->uid == INVALID_ID || c->gid == INVALID_ID ? -EINVAL : set_groups(c, &p->user.additional_gids);
    if (r < 0) {
        creds_unref(c);
        r = err_set(err, -r, "process.user", "process.user: becoming user %u, group %u", p->user.uid,
                    p->user.gid);
        if (r == -EINVAL)
            err_explain(err, "an id has no mapping in the container's user namespace",
                        "see linux.uidMappings and linux.gidMappings");
        return r;
    }
    set_capabilities(c, &p->capabilities);
    *ret = c;
    return 0;
}

/* ---- limits ---- */

static bool set_limits(struct linux_rlimit64 *limits, const struct spec_process *p) {
    for (size_t i = 0; i < p->rlimits.count; i++) {
        int number = spec_rlimit_number(p->rlimits.items[i].type);
        if (number >= 0 && number < LINUX_RLIM_NLIMITS)
            limits[number] =
                (struct linux_rlimit64){.cur = p->rlimits.items[i].soft, .max = p->rlimits.items[i].hard};
    }
    return p->rlimits.count > 0;
}

/* ---- descriptors ---- */

struct files {
    struct file **items;
    size_t count;
};

static void files_done(struct files *f) {
    for (size_t i = 0; i < f->count; i++)
        file_unref(f->items[i]);
    free(f->items);
}

static int take_host_fd(struct kernel *k, int fd, const struct creds *c, struct file **ret, struct err **err,
                        size_t number) {
    if (fd < 0)
        return 0;
    int r = host_file_new(k, fd, c, ret);
    return r < 0 ? err_set(err, -r, "process.stdio", "passing descriptor %zu to the container", number) : 0;
}

/* Takes all descriptors but tty_fd. */
static int host_files(struct kernel *k, const struct boot_process *p, const struct creds *c, struct files *f,
                      struct err **err) {
    int r = 0;

    for (size_t i = 0; i < f->count; i++) {
        int fd = i < 3 ? p->stdio[i] : p->extra_fds[i - 3];
        if (r < 0)
            close_fd(fd);
        else
            r = take_host_fd(k, fd, c, &f->items[i], err, i);
    }
    return r;
}

/* ---- terminals ---- */

static int open_slave(struct boot_container *c, struct tty *tty, const struct creds *creds,
                      struct file **ret) {
    char name[16], text[32];
    struct path root = mnt_ns_root(c->container->mnt_ns), at = {0};
    struct vfs_view v = {.root = root, .cwd = root, .creds = creds};
    int len = snprintf(name, sizeof name, "%d", tty->index);

    snprintf(text, sizeof text, "/dev/pts/%s", name);
    int r = path_lookup(&v, LINUX_AT_FDCWD, text, 0, &at);
    if (r == 0 && at.dentry->inode->fs != c->devpts) {
        path_put(&at);
        r = -ENOENT;
    }
    if (r < 0) {
        /* No devpts of ours at /dev/pts: the file has no name, as with TIOCGPTPEER. */
        at.mount = NULL;
        r = dentry_lookup(c->devpts->root, name, (size_t)len, &at.dentry);
    }
    if (r == 0)
        r = tty_open_slave(tty, &at, LINUX_O_RDWR, creds, ret);
    path_put(&at);
    path_put(&root);
    return r;
}

/* /dev/console is the terminal, as runc bind-mounts it. */
static void name_console(struct boot_container *c, struct tty *tty, const struct creds *creds) {
    char text[32];
    struct path root = mnt_ns_root(c->container->mnt_ns), from, at;
    struct vfs_view v = {.root = root, .cwd = root, .creds = creds};

    snprintf(text, sizeof text, "/dev/pts/%d", tty->index);
    if (path_lookup(&v, LINUX_AT_FDCWD, text, 0, &from) == 0) {
        if (boot_make_place(&v, "/dev/console", /* directory= */ false) == 0 &&
            path_lookup(&v, LINUX_AT_FDCWD, "/dev/console", LOOKUP_FOLLOW, &at) == 0) {
            if (vfs_mount_bind(c->container->mnt_ns, &from, &at, /* recursive= */ false) < 0) {
                /* a container without /dev/console works; the terminal itself is there */
            }
            path_put(&at);
        }
        path_put(&from);
    }
    path_put(&root);
}

static int attach_terminal(struct boot_container *c, const struct boot_process *p, bool is_init,
                           const struct creds *creds, struct files *f, struct tty **ret, struct err **err) {
    struct kernel *k = c->kernel->kernel;
    struct tty *tty = NULL;
    struct file *slave;

    int r = tty_new_console(k, c->devpts, creds->uid, &tty);
    if (r < 0)
        close_fd(p->tty_fd);
    if (r == 0) {
        if (p->rows || p->columns)
            tty_set_winsize(tty, &(struct linux_winsize){.row = p->rows, .col = p->columns});
        r = host_console_attach(k, tty, p->tty_fd);
    }
    if (r == 0)
        r = open_slave(c, tty, creds, &slave);
    if (r < 0) {
        tty_unref(tty);
        return err_set(err, -r, "process.terminal", "making the terminal");
    }
    for (size_t i = 0; i < 3; i++) {
        file_unref(f->items[i]);
        f->items[i] = file_ref(slave);
    }
    file_unref(slave);
    if (is_init)
        name_console(c, tty, creds);
    *ret = tty;
    return 0;
}

/* ---- the process ---- */

static int make(struct boot_container *c, const struct boot_process *p, struct boot_process_entry *e,
                struct process_spec *ps, struct err **err) {
    struct linux_rlimit64 limits[LINUX_RLIM_NLIMITS];
    struct task *t = NULL;

    container_default_limits(c->kernel->kernel, limits);
    if (set_limits(limits, p->spec))
        ps->limits = limits;
    int r = container_create_process(c->container, ps, e->is_init, &t, err);
    if (r < 0)
        return r;
    e->task = t;
    e->pid = task_tgid_in(t, c->kernel->kernel->root_pid_ns);
    return 0;
}

/* *ret_env is NULL where the spec's own list will do; its strings are the spec's and *ret_home. */
static int complete_env(struct boot_container *c, const struct spec_process *p, char **ret_home,
                        char ***ret_env, struct err **err) {
    struct path root = mnt_ns_root(c->container->mnt_ns);
    struct creds *creds = creds_new_root(c->kernel->kernel->root_user_ns);
    struct vfs_view v = {.root = root, .cwd = root, .creds = creds};
    int r = creds ? boot_default_home(&v, p->user.uid, p->env.items, ret_home) : -ENOMEM;

    path_put(&root);
    creds_unref(creds);
    if (r == 0 && *ret_home) {
        *ret_env = calloc(p->env.count + 2, sizeof **ret_env);
        r = *ret_env ? 0 : -ENOMEM;
    }
    if (r < 0)
        return err_set(err, -r, "out-of-memory", "making a process");
    if (*ret_env) {
        memcpy(*ret_env, p->env.items, p->env.count * sizeof **ret_env);
        (*ret_env)[p->env.count] = *ret_home;
    }
    return 0;
}

static void close_descriptors(const struct boot_process *p, const struct files *f) {
    for (size_t i = 0; i < f->count; i++)
        close_fd(i < 3 ? p->stdio[i] : p->extra_fds[i - 3]);
}

int boot_process_make(struct boot_container *c, const struct boot_process *p, bool is_init,
                      struct boot_process_entry **ret, struct err **err) {
    struct kernel *k = c->kernel->kernel;
    struct boot_process_entry *e = calloc(1, sizeof *e);
    struct creds *creds = NULL;
    cleanup(freep) char *home = NULL;
    cleanup(freep) char **env = NULL;
    struct files f = {.items = calloc(3 + p->extra_fd_count, sizeof *f.items),
                      .count = 3 + p->extra_fd_count};
    int r = e && f.items ? 0 : err_set(err, ENOMEM, "out-of-memory", "making a process");

    if (r == 0)
        r = make_creds(c->user_ns, p->spec, &creds, err);
    if (r == 0)
        r = complete_env(c, p->spec, &home, &env, err);
    if (r < 0)
        close_descriptors(p, &f);
    else
        r = host_files(k, p, creds, &f, err);
    if (r == 0 && p->spec->terminal)
        r = attach_terminal(c, p, is_init, creds, &f, &e->terminal, err);
    else
        close_fd(p->tty_fd);
    if (r < 0) {
        files_done(&f);
        creds_unref(creds);
        if (e)
            tty_unref(e->terminal);
        free(e);
        return r;
    }
    e->container = c;
    e->is_init = is_init;
    list_init(&e->node);
    mutex_lock(&c->lock);
    list_add_tail(&c->processes, &e->node);
    mutex_unlock(&c->lock);
    struct process_spec ps = {
        .argv = p->spec->args.items,
        .envp = env ? env : p->spec->env.items,
        .cwd = p->spec->cwd,
        .creds = creds,
        .no_new_privs = p->spec->no_new_privileges,
        .umask = p->spec->user.umask.set ? (int)p->spec->user.umask.value : -1,
        .oom_score_adj = p->spec->oom_score_adj.set ? (int)p->spec->oom_score_adj.value : 0,
        .files = f.items,
        .file_count = f.count,
        .seccomp = c->seccomp,
        .seccomp_count = c->seccomp_count,
        .seccomp_log = c->seccomp_log,
        .terminal = e->terminal ? tty_ref(e->terminal) : NULL,
        .cookie = (uint64_t)(uintptr_t)e,
    };
    r = make(c, p, e, &ps, err);
    free(f.items);
    if (r < 0) {
        mutex_lock(&c->lock);
        list_del(&e->node);
        mutex_unlock(&c->lock);
        tty_unref(e->terminal);
        free(e);
        return r;
    }
    *ret = e;
    return 0;
}
