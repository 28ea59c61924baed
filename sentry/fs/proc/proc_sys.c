/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_sys.c: /proc/sys: what programs read and what a container may set; its net/ is in
 * proc_sys_net.c. Values that nothing here enforces are constants, read-only, as in a container
 * whose /proc/sys is mounted read-only. Source: proc(5), sysctl.
 */
#include "sentry/fs/proc/proc_sys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"

CONSTANT(zero_value, "0");
CONSTANT(one_value, "1");
CONSTANT(two_value, "2");
CONSTANT(ostype, "Linux");
CONSTANT(cap_last_cap, "40");
CONSTANT(ngroups_max, "65536");
CONSTANT(overflow_id, "65534");
CONSTANT(threads_max, "192729");
CONSTANT(printk, "4\t4\t1\t7");
CONSTANT(tainted, "0");
CONSTANT(seccomp_actions, "kill_process kill_thread trap errno user_notif trace log allow");
CONSTANT(seccomp_logged, "kill_process kill_thread trap errno user_notif trace log");
CONSTANT(sched_rt, "950000");
CONSTANT(perf_paranoid, "4");
CONSTANT(max_map_count, "65530");
CONSTANT(mmap_min_addr, "65536");
CONSTANT(swappiness, "60");
CONSTANT(overcommit_ratio, "50");
CONSTANT(entropy, "256");
CONSTANT(poolsize, "256");

static int osrelease_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "%s\n", n->inode.fs->kernel->release);
    return 0;
}

static int version_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "%s\n", n->inode.fs->kernel->version);
    return 0;
}

static int pid_max_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "%d\n", proc_ns(n)->pid_max);
    return 0;
}

/* ---- names of the reader's UTS namespace ---- */

static int show_uts(struct kernfs_inode *n, struct task *t, bool domain, struct text *out) {
    struct nsproxy *ns = t ? task_get_nsproxy(t) : NULL;

    (void)n;
    if (!ns)
        return -ESRCH;
    char name[65];
    mutex_lock(&ns->uts->lock);
    snprintf(name, sizeof name, "%s", domain ? ns->uts->domainname : ns->uts->nodename);
    mutex_unlock(&ns->uts->lock);
    text_printf(out, "%s\n", name);
    nsproxy_unref(ns);
    return 0;
}

static int hostname_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    return show_uts(n, t, /* domain= */ false, out);
}

static int domainname_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    return show_uts(n, t, /* domain= */ true, out);
}

enum { CAP_SYS_ADMIN_NR = 21 };

static ssize_t store_uts(struct task *t, bool domain, const char *data, size_t len) {
    struct nsproxy *ns = t ? task_get_nsproxy(t) : NULL;
    size_t size = strcspn(data, "\n");

    if (!ns)
        return -ESRCH;
    ssize_t r = !creds_has_cap_in(task_creds(t), ns->uts->user_ns, CAP_SYS_ADMIN_NR) ? -EPERM : (ssize_t)len;
    if (r >= 0) {
        char *to = domain ? ns->uts->domainname : ns->uts->nodename;
        size = MIN(size, (size_t)64);
        mutex_lock(&ns->uts->lock);
        memcpy(to, data, size);
        to[size] = '\0';
        mutex_unlock(&ns->uts->lock);
    }
    nsproxy_unref(ns);
    return r;
}

/* ---- core files ---- */

static int core_pattern_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct core_settings *s = &n->inode.fs->kernel->core;

    (void)t;
    char pattern[CORE_PATTERN_MAX];
    mutex_lock(&s->lock);
    memcpy(pattern, s->pattern, sizeof pattern);
    mutex_unlock(&s->lock);
    text_printf(out, "%s\n", pattern);
    return 0;
}

static bool may_set_core(struct kernfs_inode *n, struct task *t) {
    return t && creds_has_cap_in(task_creds(t), n->inode.fs->kernel->root_user_ns, CAP_SYS_ADMIN_NR);
}

static ssize_t core_pattern_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    struct core_settings *s = &n->inode.fs->kernel->core;
    size_t size = MIN(strcspn(data, "\n"), sizeof s->pattern - 1);

    if (!may_set_core(n, t))
        return -EPERM;
    mutex_lock(&s->lock);
    memset(s->pattern, 0, sizeof s->pattern);
    memcpy(s->pattern, data, size);
    mutex_unlock(&s->lock);
    return (ssize_t)len;
}

static int core_uses_pid_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "%d\n", n->inode.fs->kernel->core.uses_pid);
    return 0;
}

static ssize_t core_uses_pid_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    int64_t value;
    int r = may_set_core(n, t) ? proc_parse_store(data, len, 0, INT32_MAX, &value) : -EPERM;

    if (r < 0)
        return r;
    n->inode.fs->kernel->core.uses_pid = value != 0;
    return (ssize_t)len;
}

static const struct kernfs_ops core_pattern = {
    .mode = LINUX_S_IFREG | 0644, .show = core_pattern_show, .store = core_pattern_store};
static const struct kernfs_ops core_uses_pid = {
    .mode = LINUX_S_IFREG | 0644, .show = core_uses_pid_show, .store = core_uses_pid_store};

static ssize_t hostname_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    (void)n;
    return store_uts(t, /* domain= */ false, data, len);
}

static ssize_t domainname_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    (void)n;
    return store_uts(t, /* domain= */ true, data, len);
}

/* ---- random ---- */

static void append_uuid(const unsigned char b[16], struct text *out) {
    text_printf(out, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\n", b[0], b[1],
                b[2], b[3], b[4], b[5], (b[6] & 0x0f) | 0x40, b[7], (b[8] & 0x3f) | 0x80, b[9], b[10], b[11],
                b[12], b[13], b[14], b[15]);
}

static int uuid_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    unsigned char bytes[16];

    (void)t;
    int r = kernel_random(n->inode.fs->kernel, bytes, sizeof bytes);
    if (r == 0)
        append_uuid(bytes, out);
    return r;
}

static int boot_id_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    append_uuid(n->inode.fs->kernel->boot_id, out);
    return 0;
}

static const struct kernfs_ops osrelease = {.mode = LINUX_S_IFREG | 0444, .show = osrelease_show};
static const struct kernfs_ops version = {.mode = LINUX_S_IFREG | 0444, .show = version_show};
static const struct kernfs_ops pid_max = {.mode = LINUX_S_IFREG | 0444, .show = pid_max_show};
static const struct kernfs_ops hostname = {
    .mode = LINUX_S_IFREG | 0644, .show = hostname_show, .store = hostname_store};
static const struct kernfs_ops domainname = {
    .mode = LINUX_S_IFREG | 0644, .show = domainname_show, .store = domainname_store};
static const struct kernfs_ops uuid = {.mode = LINUX_S_IFREG | 0444, .show = uuid_show};
static const struct kernfs_ops boot_id = {.mode = LINUX_S_IFREG | 0444, .show = boot_id_show};

DIRECTORY(random_dir, {"boot_id", &boot_id}, {"entropy_avail", &entropy}, {"poolsize", &poolsize},
          {"uuid", &uuid});
DIRECTORY(seccomp_dir, {"actions_avail", &seccomp_actions}, {"actions_logged", &seccomp_logged});
DIRECTORY(kernel_dir, {"cap_last_cap", &cap_last_cap}, {"core_pattern", &core_pattern},
          {"core_uses_pid", &core_uses_pid}, {"domainname", &domainname}, {"dmesg_restrict", &one_value},
          {"hostname", &hostname}, {"io_uring_disabled", &two_value}, {"kptr_restrict", &two_value},
          {"msgmax", &proc_sys_msgmax}, {"msgmnb", &proc_sys_msgmnb}, {"msgmni", &proc_sys_msgmni},
          {"ngroups_max", &ngroups_max}, {"osrelease", &osrelease}, {"ostype", &ostype},
          {"overflowgid", &overflow_id}, {"overflowuid", &overflow_id},
          {"perf_event_paranoid", &perf_paranoid}, {"pid_max", &pid_max}, {"printk", &printk},
          {"random", &random_dir}, {"randomize_va_space", &two_value}, {"sched_rt_runtime_us", &sched_rt},
          {"seccomp", &seccomp_dir}, {"sem", &proc_sys_sem}, {"shmall", &proc_sys_shmall},
          {"shmmax", &proc_sys_shmmax}, {"shm_rmid_forced", &zero_value}, {"shmmni", &proc_sys_shmmni},
          {"tainted", &tainted}, {"threads-max", &threads_max}, {"unprivileged_userns_clone", &one_value},
          {"version", &version});
DIRECTORY(vm_dir, {"max_map_count", &max_map_count}, {"mmap_min_addr", &mmap_min_addr},
          {"overcommit_memory", &zero_value}, {"overcommit_ratio", &overcommit_ratio},
          {"swappiness", &swappiness});
DIRECTORY(user_dir, {"max_user_namespaces", &threads_max}, {"max_mnt_namespaces", &threads_max},
          {"max_pid_namespaces", &threads_max});

static const struct kernfs_entry sys_entries[] = {
    {"fs", &proc_sys_fs_dir}, {"kernel", &kernel_dir}, {"net", &proc_sys_net_dir},
    {"user", &user_dir},      {"vm", &vm_dir},         {NULL, NULL}};
const struct kernfs_ops proc_sys_dir = {.mode = LINUX_S_IFDIR | 0555, .entries = sys_entries};
