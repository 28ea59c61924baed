/* SPDX-License-Identifier: Apache-2.0
 * boot/container_sysctl.c: linux.sysctl: written as a process of the container would write them, through
 * /proc/sys in a procfs that no one else sees, so that what the container did with its own /proc does not
 * matter. Source: runtime-spec config-linux.md "Sysctl".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "boot/kernel_real.h"
#include "boot/spec/spec.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/layer.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

#define SYSCTL_MAX 4096

/* Clients set these for every container; a kernel without the feature behind them runs programs all the same.
 */
static const char *const g_dispensable[] = {"net.ipv4.ping_group_range",
                                            "net.ipv4.ip_unprivileged_port_start"};

static bool is_dispensable(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(g_dispensable); i++)
        if (strcmp(g_dispensable[i], name) == 0)
            return true;
    return false;
}

/* sysctl(8): dots separate, and a slash stands for a dot within a name; a name with slashes first is a path
 * already. */
static char *path_of(const char *name) {
    size_t first = strcspn(name, "./");
    char *path = NULL;

    if (asprintf(&path, "/sys/%s", name) < 0)
        return NULL;
    if (name[first] == '.')
        for (char *p = path + 5; *p; p++)
            *p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
    return path;
}

static struct uio as_of(struct task *t, struct uio_segment *one, void *buffer, size_t size) {
    struct uio u;

    uio_init_kernel(&u, one, buffer, size);
    u.reader = t;
    return u;
}

/* Does it hold that value already? Blanks between numbers count as one. */
static bool holds(struct task *t, struct file *f, const char *value) {
    char text[SYSCTL_MAX];
    struct uio_segment one;
    struct uio u = as_of(t, &one, text, sizeof text - 1);
    ssize_t n = file_pread(NULL, f, &u, 0, 0);
    const char *a = text, *b = value;

    if (n < 0)
        return false;
    text[n] = '\0';
    for (;;) {
        a += strspn(a, " \t\n");
        b += strspn(b, " \t\n");
        size_t size = strcspn(a, " \t\n");
        if (size != strcspn(b, " \t\n") || memcmp(a, b, size) != 0)
            return false;
        if (size == 0)
            return true;
        a += size;
        b += size;
    }
}

static int store(struct task *t, const struct vfs_view *v, const char *path, const char *value) {
    struct open_request o = {.dirfd = LINUX_AT_FDCWD, .flags = LINUX_O_RDONLY | LINUX_O_CLOEXEC};
    struct uio_segment one;
    struct file *f;

    int r = vfs_open(v, path, &o, &f);
    if (r < 0)
        return r;
    bool same = holds(t, f, value);
    file_unref(f);
    if (same)
        return 0;
    o.flags = LINUX_O_WRONLY | LINUX_O_CLOEXEC;
    r = vfs_open(v, path, &o, &f);
    if (r < 0)
        return r;
    struct uio u = as_of(t, &one, (char *)(uintptr_t)value, strlen(value));
    ssize_t n = file_pwrite(NULL, f, &u, 0, 0);
    file_unref(f);
    return n < 0 ? (int)n : 0;
}

static int apply_one(struct task *t, const struct vfs_view *v, const struct spec_pair *s, struct err **err) {
    cleanup(freep) char *path = path_of(s->key);
    int r = path ? store(t, v, path, s->value) : -ENOMEM;

    if (r < 0 && is_dispensable(s->key)) {
        log_warning(LOG_BOOT, "linux.sysctl: %s does not exist in this kernel: left out", s->key);
        return 0;
    }
    if (r < 0) {
        r = err_set(err, -r, "sysctl.failed", "linux.sysctl: setting %s to \"%s\"", s->key, s->value);
        err_explain(err, "the sandbox's kernel has no such setting, or not that value for it", NULL);
    }
    return r;
}

/* Init has not run yet; while settings are written in its name it has all capabilities, as a runtime has
 * before it gives them up. */
static int apply_all(struct task *init, const struct vfs_view *v, const struct spec_map *all,
                     struct err **err) {
    struct creds *own = task_get_creds(init), *lent = creds_copy(own);
    int dumpable = init->mm->dumpable, r = 0;

    if (!lent) {
        creds_unref(own);
        return err_set(err, ENOMEM, "out-of-memory", "linux.sysctl");
    }
    lent->permitted = lent->effective = CAP_FULL_SET;
    task_set_creds(init, lent);
    for (size_t i = 0; r == 0 && i < all->count; i++)
        r = apply_one(init, v, &all->items[i], err);
    task_set_creds(init, own);
    init->mm->dumpable = dumpable;
    return r;
}

int boot_sysctls_apply(struct boot_container *c, struct err **err) {
    const struct spec_map *all = &c->spec->linux_.sysctl;
    struct kernel *k = c->kernel->kernel;
    struct filesystem *fs = NULL;
    struct mount *m = NULL;

    if (all->count == 0)
        return 0;
    struct creds *creds = creds_new_root(k->root_user_ns);
    struct mount_options o = {
        .source = "proc", .creds = creds, .user_ns = k->root_user_ns, .pid_ns = c->container->pid_ns};
    int r = creds ? filesystem_create(k, "proc", &o, &fs) : -ENOMEM;
    if (r == 0)
        r = vfs_layer_mount(fs, &m);
    if (r < 0) {
        r = err_set(err, -r, "sysctl.failed", "linux.sysctl: reaching the kernel's settings");
    } else {
        struct path root = {.mount = m, .dentry = fs->root};
        struct vfs_view v = {.root = root, .cwd = root, .creds = creds, .task = c->container->init};
        r = apply_all(c->container->init, &v, all, err);
    }
    mount_unref(m);
    if (fs)
        filesystem_unref(fs);
    creds_unref(creds);
    return r;
}
