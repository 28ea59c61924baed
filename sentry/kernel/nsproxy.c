/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/nsproxy.c: see nsproxy.h. Source: namespaces(7), uts_namespaces(7), clone(2).
 */
#include "sentry/kernel/nsproxy.h"

#include <errno.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/ipc/ipc_ns.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/vfs/mount.h"

HEAP_TYPE(uts_ns, struct uts_ns, 0);
HEAP_TYPE(nsproxy, struct nsproxy, 0);

static void uts_ns_destroy(struct uts_ns *ns) {
    user_ns_unref(ns->user_ns);
    heap_free(ns);
}
DEFINE_REF(uts_ns, uts_ns_destroy);

static void nsproxy_destroy(struct nsproxy *n) {
    uts_ns_unref(n->uts);
    mnt_ns_unref(n->mnt);
    pid_ns_unref(n->pid_for_children);
    ipc_ns_unref(n->ipc);
    net_namespace_unref(n->net);
    cgroup_ns_unref(n->cgroup);
    time_ns_unref(n->time);
    time_ns_unref(n->time_for_children);
    heap_free(n);
}
DEFINE_REF(nsproxy, nsproxy_destroy);

struct uts_ns *uts_ns_new(struct kernel *k, struct user_ns *user_ns, const struct uts_ns *like) {
    struct uts_ns *ns = heap_new(uts_ns);

    if (!ns)
        return NULL;
    uts_ns_ref_init(ns);
    mutex_init(&ns->lock, RANK_LEAF);
    ns->user_ns = user_ns_ref(user_ns);
    ns->inode = kernel_new_inode(k);
    memcpy(ns->nodename, like ? like->nodename : "(none)", like ? sizeof ns->nodename : 7);
    memcpy(ns->domainname, like ? like->domainname : "(none)", like ? sizeof ns->domainname : 7);
    return ns;
}

struct nsproxy *nsproxy_new(struct kernel *k, struct user_ns *user_ns, struct pid_ns *pid_ns,
                            struct mnt_ns *mnt, struct cgroup *cgroup, const char *hostname) {
    struct nsproxy *n = heap_new(nsproxy);

    if (!n)
        return NULL;
    nsproxy_ref_init(n);
    n->uts = uts_ns_new(k, user_ns, NULL);
    n->ipc = ipc_ns_new(k, user_ns);
    n->net = k->network ? net_namespace_ref(net_namespace_initial(k)) : NULL; /* unit tests may have none */
    n->cgroup = cgroup_ns_new(k, user_ns, cgroup);
    n->time = time_ns_new(k, user_ns, NULL);
    n->time_for_children = n->time ? time_ns_ref(n->time) : NULL;
    n->mnt = mnt ? mnt_ns_ref(mnt) : NULL;
    n->pid_for_children = pid_ns_ref(pid_ns);
    if (!n->uts || !n->ipc || !n->cgroup || !n->time)
        return nsproxy_unref(n);
    if (hostname) {
        strncpy(n->uts->nodename, hostname, sizeof n->uts->nodename - 1);
        n->uts->nodename[sizeof n->uts->nodename - 1] = '\0';
    }
    return n;
}

struct nsproxy *nsproxy_copy(struct nsproxy *from) {
    struct nsproxy *n = heap_new(nsproxy);

    if (!n)
        return NULL;
    nsproxy_ref_init(n);
    n->uts = uts_ns_ref(from->uts);
    n->mnt = from->mnt ? mnt_ns_ref(from->mnt) : NULL;
    n->pid_for_children = pid_ns_ref(from->pid_for_children);
    n->ipc = ipc_ns_ref(from->ipc);
    n->net = from->net ? net_namespace_ref(from->net) : NULL;
    n->cgroup = cgroup_ns_ref(from->cgroup);
    n->time = time_ns_ref(from->time);
    n->time_for_children = time_ns_ref(from->time_for_children);
    return n;
}

/* The task's own stays: time_namespaces(7). */
static int unshare_time(struct kernel *k, struct user_ns *user_ns, bool wanted, struct time_ns **slot) {
    if (!wanted)
        return 0;
    struct time_ns *ns = time_ns_new(k, user_ns, *slot);
    if (!ns)
        return -ENOMEM;
    time_ns_unref(*slot);
    *slot = ns;
    return 0;
}

void nsproxy_enter_time(struct nsproxy *n) {
    if (n->time == n->time_for_children)
        return;
    time_ns_freeze(n->time_for_children);
    time_ns_unref(n->time);
    n->time = time_ns_ref(n->time_for_children);
}

/* Its root is the group that the caller is in now. */
static int unshare_cgroup(struct task *t, struct user_ns *user_ns, bool wanted, struct cgroup_ns **slot) {
    if (!wanted)
        return 0;
    struct cgroup *root = task_get_cgroup(t);
    struct cgroup_ns *ns = root ? cgroup_ns_new(t->kernel, user_ns, root) : NULL;
    cgroup_unref(root);
    if (!ns)
        return -ENOMEM;
    cgroup_ns_unref(*slot);
    *slot = ns;
    return 0;
}

static int unshare_net(struct kernel *k, struct user_ns *user_ns, bool wanted, struct net_namespace **slot) {
    if (!wanted)
        return 0;
    struct net_namespace *ns = net_namespace_new(k, user_ns);
    if (!ns)
        return -ENOMEM;
    net_namespace_unref(*slot);
    *slot = ns;
    return 0;
}

static int unshare_ipc(struct kernel *k, struct user_ns *user_ns, bool wanted, struct ipc_ns **slot) {
    if (!wanted)
        return 0;
    struct ipc_ns *ns = ipc_ns_new(k, user_ns);
    if (!ns)
        return -ENOMEM;
    ipc_ns_unref(*slot);
    *slot = ns;
    return 0;
}

static int unshare_uts(struct kernel *k, struct user_ns *user_ns, struct uts_ns **slot) {
    struct uts_ns *old = *slot, *ns = uts_ns_new(k, user_ns, NULL);

    if (!ns)
        return -ENOMEM;
    mutex_lock(&old->lock);
    memcpy(ns->nodename, old->nodename, sizeof ns->nodename);
    memcpy(ns->domainname, old->domainname, sizeof ns->domainname);
    mutex_unlock(&old->lock);
    uts_ns_unref(old);
    *slot = ns;
    return 0;
}

static int unshare_pid(struct task *t, struct user_ns *user_ns, struct pid_ns **slot) {
    struct pid_ns *parent = task_pid_ns(t);

    if (*slot != parent)
        return -EINVAL; /* unshared once already: clone(2), unshare(2) */
    if (parent->level + 1 >= PID_MAX_LEVEL)
        return -ENOSPC;
    struct pid_ns *ns = pid_ns_new(t->kernel, parent, user_ns);
    if (!ns)
        return -ENOMEM;
    pid_ns_unref(*slot);
    *slot = ns;
    return 0;
}

static int unshare_mnt(struct user_ns *user_ns, struct mnt_ns **slot) {
    struct mnt_ns *copy;

    if (!*slot)
        return 0;
    int r = mnt_ns_copy(*slot, user_ns, &copy);
    if (r < 0)
        return r;
    mnt_ns_unref(*slot);
    *slot = copy;
    return 0;
}

int nsproxy_unshare(struct task *t, uint64_t flags, struct user_ns *user_ns, struct nsproxy **ret) {
    struct kernel *k = t->kernel;

    might_block();
    if (user_ns == t->creds->user_ns && !task_capable(t, LINUX_CAP_SYS_ADMIN))
        return -EPERM;
    cleanup(nsproxy_unrefp) struct nsproxy *n = nsproxy_copy(t->nsproxy);
    if (!n)
        return -ENOMEM;
    int r = flags & LINUX_CLONE_NEWUTS ? unshare_uts(k, user_ns, &n->uts) : 0;
    if (r == 0 && (flags & LINUX_CLONE_NEWPID))
        r = unshare_pid(t, user_ns, &n->pid_for_children);
    if (r == 0)
        r = unshare_ipc(k, user_ns, flags & LINUX_CLONE_NEWIPC, &n->ipc);
    if (r == 0)
        r = unshare_net(k, user_ns, flags & LINUX_CLONE_NEWNET, &n->net);
    if (r == 0)
        r = unshare_cgroup(t, user_ns, flags & LINUX_CLONE_NEWCGROUP, &n->cgroup);
    if (r == 0)
        r = unshare_time(k, user_ns, flags & LINUX_CLONE_NEWTIME, &n->time_for_children);
    if (r == 0 && (flags & LINUX_CLONE_NEWNS))
        r = unshare_mnt(user_ns, &n->mnt);
    if (r < 0)
        return r;
    *ret = TAKE(n);
    return 0;
}

void task_set_nsproxy(struct task *t, struct nsproxy *ns) {
    mutex_lock(&t->lock);
    struct nsproxy *old = t->nsproxy;
    t->nsproxy = ns;
    mutex_unlock(&t->lock);
    nsproxy_unref(old);
}
