/* SPDX-License-Identifier: Apache-2.0
 * boot/kernel_real.c: the kernel seam on sentry/kernel: kernel, containers, signals, ends.
 */
#include "boot/kernel_real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/abi/linux/sched.h"
#include "base/abi/linux/seccomp.h"
#include "base/abi/linux/signal.h"
#include "base/abi/linux/termios.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "boot/container_cgroup.h"
#include "boot/network_setup.h"
#include "sentry/fs/devpts/tty.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/fs/host/host.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

/* ---- the kernel ---- */

int boot_kernel_create(const struct boot_kernel_config *config, struct boot_kernel **ret, struct err **err) {
    struct boot_kernel *k = calloc(1, sizeof *k);
    struct kernel_config kc = {.platform = config->platform, .proc_fd = config->proc_fd};

    if (!k)
        return err_set(err, ENOMEM, "out-of-memory", "making the kernel");
    k->config = *config;
    mutex_init(&k->lock, RANK_CONTROL);
    list_init(&k->containers);
    int r = kernel_create(&kc, &k->kernel, err);
    if (r < 0) {
        free(k);
        return r;
    }
    if (config->strace_fd >= 0)
        syscall_strace_enable(config->strace_fd);
    *ret = k;
    return 0;
}

/* ---- ends of processes ---- */

static void entry_free(struct boot_process_entry *e) {
    task_unref(e->task);
    tty_unref(e->terminal);
    free(e);
}

static void process_exited(struct container *container, uint64_t cookie, int wait_status) {
    struct boot_container *c = container_owner(container);
    struct boot_process_entry *e = (struct boot_process_entry *)(uintptr_t)cookie;

    mutex_lock(&c->lock);
    list_del(&e->node);
    bool gofer_lost = c->gofer_lost;
    mutex_unlock(&c->lock);
    if (e->terminal) { /* what it wrote last is seen before its end; and its terminal ends with it, as with a
                          session's leader */
        host_console_flush(e->terminal);
        tty_hangup(e->terminal);
    }
    struct boot_exit exit = {
        .container_id = c->id,
        .pid = e->pid,
        .wait_status = wait_status,
        .is_init = e->is_init,
        .reason = gofer_lost                   ? END_GOFER_LOST
                  : e->task->group->oom_killed ? END_OOM
                  : (wait_status & 0x7f)       ? END_SIGNAL
                                               : END_EXIT,
        .why = gofer_lost ? "the gofer of this container has ended" : NULL,
    };
    c->kernel->config.on_exit(c->kernel->config.arg, &exit);
    entry_free(e);
}

static const struct container_events g_events = {.process_exited = process_exited};

/* ---- containers ---- */

static void container_free(struct boot_container *c) {
    if (c->devpts)
        filesystem_unref(c->devpts);
    gofer_session_unref(c->gofer);
    user_ns_unref(c->user_ns);
    free(c->seccomp);
    free(c->id);
    free(c);
}

static struct boot_container *container_new(struct boot_kernel *k,
                                            const struct boot_container_config *config) {
    struct boot_container *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->kernel = k;
    c->spec = config->spec;
    c->id = strdup(config->id);
    mutex_init(&c->lock, RANK_CONTAINERS);
    list_init(&c->node);
    list_init(&c->processes);
    if (c->id)
        return c;
    container_free(c);
    return NULL;
}

static int attach_gofer(struct boot_container *c, const struct boot_container_config *config,
                        struct err **err) {
    for (size_t i = 1; i < config->gofer_fd_count; i++)
        close_fd(config->gofer_fds[i]);
    if (config->gofer_fd_count == 0)
        return err_set(err, EINVAL, "container.gofer", "container \"%s\" has no gofer", c->id);
    int r = gofer_session_create(c->kernel->kernel, config->gofer_fds[0], &c->gofer);
    return r < 0 ? err_set(err, -r, "container.gofer", "speaking with the gofer of container \"%s\"", c->id)
                 : 0;
}

/* ---- namespaces ---- */

static int set_map(struct user_ns *ns, bool group, const struct spec_id_mappings *m) {
    cleanup(freep) struct id_extent *extents = calloc(m->count + 1, sizeof *extents);

    if (!extents)
        return -ENOMEM;
    for (size_t i = 0; i < m->count; i++)
        extents[i] = (struct id_extent){m->items[i].container_id, m->items[i].host_id, m->items[i].size};
    return user_ns_set_map(ns, group, extents, m->count);
}

/* With the kernel's lock, which keeps it from being destroyed. */
static struct boot_container *find_container_locked(struct boot_kernel *k, const char *id) {
    struct boot_container *c;

    list_for_each_entry(c, &k->containers, node) if (strcmp(c->id, id) == 0) return c;
    return NULL;
}

/* That of a container whose user namespace is joined, or NULL. */
static struct user_ns *shared_user_ns(struct boot_container *c, const struct boot_container_config *config) {
    struct user_ns *ns = NULL;

    mutex_lock(&c->kernel->lock);
    for (size_t i = 0; !ns && i < config->share_count; i++) {
        struct boot_container *other = find_container_locked(c->kernel, config->shares[i].container);
        if (other && (config->shares[i].flags & LINUX_CLONE_NEWUSER))
            ns = user_ns_ref(other->user_ns);
    }
    mutex_unlock(&c->kernel->lock);
    return ns;
}

/* The host's user ids are the kernel's own here, so what the spec maps to the host it maps to the sandbox's
 * first user namespace. */
static int make_user_ns(struct boot_container *c, const struct boot_container_config *config,
                        struct err **err) {
    struct kernel *k = c->kernel->kernel;
    const struct spec_namespace *n = spec_namespace(c->spec, NS_USER);

    c->user_ns = shared_user_ns(c, config);
    if (c->user_ns)
        return 0;
    if (!n || n->path || c->spec->linux_.uid_mappings.count == 0) {
        c->user_ns = user_ns_ref(k->root_user_ns);
        return 0;
    }
    struct creds *owner = creds_new_root(k->root_user_ns);
    c->user_ns = owner ? user_ns_new(k, k->root_user_ns, owner) : NULL;
    creds_unref(owner);
    if (!c->user_ns)
        return err_set(err, ENOMEM, "out-of-memory", "making container \"%s\"", c->id);
    int r = set_map(c->user_ns, /* group= */ false, &c->spec->linux_.uid_mappings);
    if (r == 0)
        r = set_map(c->user_ns, /* group= */ true, &c->spec->linux_.gid_mappings);
    return r < 0 ? err_set(err, -r, "userns.maps",
                           "linux.uidMappings, linux.gidMappings: mapping the container's users")
                 : 0;
}

static int share_namespaces(struct boot_container *c, const struct boot_container_config *config,
                            struct err **err) {
    for (size_t i = 0; i < config->share_count; i++) {
        mutex_lock(&c->kernel->lock);
        struct boot_container *other = find_container_locked(c->kernel, config->shares[i].container);
        int r = other ? container_share(c->container, other->container, config->shares[i].flags) : -ENOENT;
        mutex_unlock(&c->kernel->lock);
        if (r < 0)
            return err_set(err, -r, "container.join", "joining the namespaces of container \"%s\"",
                           config->shares[i].container);
    }
    return 0;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The compiled profile. What it does is checked by the kernel when it is installed. */
static int take_seccomp(struct boot_container *c, const struct boot_container_config *config,
                        struct err **err) {
    const char *hex = config->seccomp;
    size_t size = hex ? strlen(hex) / 2 : 0;

    if (!hex)
        return 0;
    c->seccomp_count = size / sizeof *c->seccomp;
    c->seccomp_log = config->seccomp_log;
    if (c->seccomp_count == 0 || c->seccomp_count > LINUX_BPF_MAXINSNS || size % sizeof *c->seccomp)
        return err_set(err, EINVAL, "seccomp.program",
                       "the seccomp program of container \"%s\" has %zu bytes", c->id, size);
    c->seccomp = malloc(size);
    if (!c->seccomp)
        return err_set(err, ENOMEM, "out-of-memory", "making container \"%s\"", c->id);
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return err_set(err, EINVAL, "seccomp.program",
                           "the seccomp program of container \"%s\" is no hexadecimal text", c->id);
        ((unsigned char *)c->seccomp)[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

/* The names that the spec gives to a UTS namespace of its own. */
static void set_names(struct boot_container *c, const struct boot_container_config *config) {
    for (size_t i = 0; i < config->share_count; i++)
        if (config->shares[i].flags & LINUX_CLONE_NEWUTS)
            return;
    struct uts_ns *uts = c->container->nsproxy->uts;
    const char *name = c->spec->hostname ? c->spec->hostname : config->host_name;

    mutex_lock(&uts->lock);
    if (name)
        snprintf(uts->nodename, sizeof uts->nodename, "%s", name);
    if (c->spec->domainname)
        snprintf(uts->domainname, sizeof uts->domainname, "%s", c->spec->domainname);
    mutex_unlock(&uts->lock);
}

struct creds *boot_builder_creds(struct boot_container *c) {
    struct creds *creds = creds_new_root(c->kernel->kernel->root_user_ns);

    if (creds) {
        creds->fsuid = make_kuid(c->user_ns, 0);
        creds->fsgid = make_kgid(c->user_ns, 0);
        if (creds->fsuid == INVALID_ID || creds->fsgid == INVALID_ID)
            creds->fsuid = creds->fsgid = 0; /* a map without root */
    }
    return creds;
}

static int make_container(struct boot_container *c, const struct boot_container_config *config,
                          struct mnt_ns *ns, struct err **err) {
    int r = container_create(c->kernel->kernel, c->id, mnt_ns_ref(ns), "runsc", &g_events, &c->container);

    if (r < 0)
        return err_set(err, -r, "out-of-memory", "making container \"%s\"", c->id);
    container_set_owner(c->container, c);
    r = share_namespaces(c, config, err);
    if (r == 0)
        set_names(c, config);
    boot_container_update(c, c->spec);
    return r;
}

static int build(struct boot_container *c, const struct boot_container_config *config, struct err **err) {
    struct mnt_ns *ns = NULL;

    int r = attach_gofer(c, config, err);
    if (r == 0)
        r = make_user_ns(c, config, err);
    if (r == 0)
        r = take_seccomp(c, config, err);
    if (r == 0)
        r = boot_mounts_create(c, config, &ns, err);
    if (r < 0)
        return r;
    r = make_container(c, config, ns, err);
    if (r == 0)
        r = boot_mounts_fill(c, config, ns, err);
    mnt_ns_unref(ns);
    return r;
}

static void close_process_fds(const struct boot_process *p) {
    for (int i = 0; i < 3; i++)
        close_fd(p->stdio[i]);
    close_fd(p->tty_fd);
    for (size_t i = 0; i < p->extra_fd_count; i++)
        close_fd(p->extra_fds[i]);
}

int boot_container_create(struct boot_kernel *k, const struct boot_container_config *config,
                          struct boot_container **ret, boot_pid_t *ret_pid, struct err **err) {
    struct boot_container *c = container_new(k, config);
    struct boot_process_entry *init;

    int r = c ? build(c, config, err)
              : err_set(err, ENOMEM, "out-of-memory", "making container \"%s\"", config->id);
    if (r < 0)
        close_process_fds(&config->process);
    else
        r = boot_process_make(c, &config->process, /* is_init= */ true, &init, err);
    if (r >= 0)
        r = boot_sysctls_apply(c, err);
    if (r < 0) {
        if (c && c->container)
            container_destroy(c->container);
        if (c)
            container_free(c);
        return err_wrap(err, r, "creating container \"%s\"", config->id);
    }
    if (config->init_killable)
        c->container->init->group->unkillable = false; /* it has not run yet */
    mutex_lock(&k->lock);
    list_add_tail(&k->containers, &c->node);
    mutex_unlock(&k->lock);
    *ret_pid = init->pid;
    *ret = c;
    return 0;
}

int boot_container_start(struct boot_container *c, struct err **err) {
    int r = container_start_process(c->container->init);

    return r < 0 ? err_set(err, -r, "container.start", "starting container \"%s\"", c->id) : 0;
}

int boot_network_configure(struct boot_kernel *k, const json_t *document, int *fds, size_t fd_count,
                           struct err **err) {
    struct netns *ns = net_namespace_netns(net_namespace_initial(k->kernel));

    network_config_lock(k->kernel);
    int r = network_configure(ns, document, fds, fd_count, &k->network, err);
    network_config_unlock(k->kernel);
    return r;
}

int boot_port_forward(struct boot_kernel *k, int fd, uint16_t port, struct err **err) {
    struct netns *ns = net_namespace_netns(net_namespace_initial(k->kernel));
    int r = k->network.forwards ? 0 : port_forwards_new(&k->network.forwards);

    if (r < 0)
        close_fd(fd);
    else
        r = port_forward_start(k->network.forwards, ns, fd, port);
    return r < 0 ? err_set(err, -r, "network.forward", "connecting to port %u of the container", port) : 0;
}

int boot_exec(struct boot_container *c, const struct boot_process *process, boot_pid_t *ret_pid,
              struct err **err) {
    struct boot_process_entry *e;
    int r = boot_process_make(c, process, /* is_init= */ false, &e, err);

    if (r < 0)
        return r;
    struct task *t = task_ref(e->task);
    *ret_pid = e->pid;
    r = container_start_process(t);
    task_unref(t);
    return r < 0 ? err_set(err, -r, "exec.start", "starting a process in container \"%s\"", c->id) : 0;
}

void boot_container_destroy(struct boot_container *c) {
    struct boot_kernel *k = c->kernel;
    struct boot_process_entry *e, *next;

    mutex_lock(&k->lock);
    list_del(&c->node);
    mutex_unlock(&k->lock);
    container_destroy(c->container);
    list_for_each_entry_safe(e, next, &c->processes, node) {
        list_del(&e->node);
        entry_free(e);
    }
    container_free(c);
}

void boot_kernel_destroy(struct boot_kernel *k) {
    while (!list_empty(&k->containers))
        boot_container_destroy(list_first_entry(&k->containers, struct boot_container, node));
    host_poll_destroy(k->kernel);
    resolver_relay_stop(k->network.relay);
    port_forwards_free(k->network.forwards);
    kernel_destroy(k->kernel);
    packet_capture_free(k->network.capture);
    close_fd(k->config.strace_fd);
    free(k);
}

/* ---- signals, sizes, pause ---- */

static struct tty *terminal_of(struct boot_container *c, boot_pid_t pid) {
    struct boot_process_entry *e;
    struct tty *tty = NULL;

    mutex_lock(&c->lock);
    list_for_each_entry(e, &c->processes, node) if (e->pid == pid && e->terminal) tty = tty_ref(e->terminal);
    mutex_unlock(&c->lock);
    return tty;
}

static int signal_foreground(struct boot_container *c, boot_pid_t pid, int signo) {
    struct tty *tty = terminal_of(c, pid);
    struct pid *group = NULL;

    if (tty) {
        mutex_lock(&tty->lock);
        group = tty->foreground ? pid_ref(tty->foreground) : NULL;
        mutex_unlock(&tty->lock);
    }
    tty_unref(tty);
    struct task *t = group ? NULL : container_find_process(c->container, pid);
    if (t)
        group = task_get_pgrp(t);
    task_unref(t);
    if (!group)
        return -ESRCH;
    struct linux_siginfo info = {.signo = signo, .code = LINUX_SI_USER};
    if (signo > 0)
        signal_send_pgrp(group, &info);
    pid_unref(group);
    return 0;
}

int boot_signal(struct boot_container *c, enum boot_signal_scope scope, boot_pid_t pid, int signo) {
    if (scope == SIGNAL_ALL)
        return container_signal_all(c->container, signo);
    if (scope == SIGNAL_FOREGROUND)
        return signal_foreground(c, pid, signo);
    struct task *t = container_find_process(c->container, pid);
    int r = t ? container_signal(c->container, t, signo) : -ESRCH;
    task_unref(t);
    return r;
}

int boot_set_winsize(struct boot_container *c, boot_pid_t pid, uint16_t rows, uint16_t columns) {
    struct tty *tty = terminal_of(c, pid);

    if (!tty)
        return -ENOTTY;
    tty_set_winsize(tty, &(struct linux_winsize){.row = rows, .col = columns});
    tty_unref(tty);
    return 0;
}

void boot_container_update(struct boot_container *c, const struct spec *resources) {
    struct cgroup_limits limits = c->container->cgroup->limits;

    boot_cgroup_limits(resources, &limits);
    cgroup_set_limits(c->container->cgroup, &limits);
}

int boot_container_pause(struct boot_container *c, struct err **err) {
    (void)err;
    container_pause(c->container);
    return 0;
}

int boot_container_resume(struct boot_container *c, struct err **err) {
    (void)err;
    container_resume(c->container);
    return 0;
}

size_t boot_container_pids(struct boot_container *c, boot_pid_t *pids, size_t max) {
    return container_pids(c->container, pids, max);
}
