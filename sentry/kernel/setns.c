/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/setns.c: joining namespaces. Everything is checked and made first; then the commit. Source:
 * setns(2), user_namespaces(7), pid_namespaces(7), mount_namespaces(7).
 */
#include <errno.h>

#include "sentry/kernel/ipc/ipc_ns.h"
#include "sentry/kernel/ipc/sem.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/loader/loader.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"

void ns_set_done(struct ns_set *s) {
    user_ns_unref(s->user);
    uts_ns_unref(s->uts);
    mnt_ns_unref(s->mnt);
    pid_ns_unref(s->pid);
    ipc_ns_unref(s->ipc);
    net_namespace_unref(s->net);
    cgroup_ns_unref(s->cgroup);
    time_ns_unref(s->time);
    *s = (struct ns_set){0};
}

/* All but the user and pid namespace. */
static void take_from(struct nsproxy *n, uint64_t flags, struct ns_set *ret) {
    ret->uts = flags & LINUX_CLONE_NEWUTS ? uts_ns_ref(n->uts) : NULL;
    ret->mnt = flags & LINUX_CLONE_NEWNS ? mnt_ns_ref(n->mnt) : NULL;
    ret->ipc = flags & LINUX_CLONE_NEWIPC ? ipc_ns_ref(n->ipc) : NULL;
    ret->net = flags & LINUX_CLONE_NEWNET ? net_namespace_ref(n->net) : NULL;
    ret->cgroup = flags & LINUX_CLONE_NEWCGROUP ? cgroup_ns_ref(n->cgroup) : NULL;
    ret->time = flags & LINUX_CLONE_NEWTIME ? time_ns_ref(n->time) : NULL;
}

int ns_set_of_task(struct task *target, uint64_t flags, struct ns_set *ret) {
    struct nsproxy *n = task_get_nsproxy(target);

    *ret = (struct ns_set){0};
    if (!n)
        return -ESRCH;
    if (flags & LINUX_CLONE_NEWUSER) {
        struct creds *c = task_get_creds(target);
        ret->user = user_ns_ref(c->user_ns);
        creds_unref(c);
    }
    ret->pid = flags & LINUX_CLONE_NEWPID ? pid_ns_ref(task_pid_ns(target)) : NULL;
    take_from(n, flags, ret);
    nsproxy_unref(n);
    return 0;
}

static bool single_threaded(struct task *t) {
    mutex_lock(&t->group->signal_lock);
    bool single = t->group->task_count == 1;
    mutex_unlock(&t->group->signal_lock);
    return single;
}

static int check_user(struct task *t, struct user_ns *user) {
    if (user == t->creds->user_ns || !single_threaded(t) || atomic_load(&t->fs->ref.count) > 1)
        return -EINVAL;
    return creds_has_cap_in(t->creds, user, LINUX_CAP_SYS_ADMIN) ? 0 : -EPERM;
}

/* `c`: the credentials that the task will have. */
static bool may_join(const struct creds *c, struct user_ns *owner) {
    return creds_has_cap_in(c, owner, LINUX_CAP_SYS_ADMIN) &&
           creds_has_cap_in(c, c->user_ns, LINUX_CAP_SYS_ADMIN);
}

static int check_others(struct task *t, const struct creds *c, const struct ns_set *s) {

    if (s->uts && !may_join(c, s->uts->user_ns))
        return -EPERM;
    if (s->mnt && (!may_join(c, s->mnt->user_ns) || !creds_has_cap_in(c, c->user_ns, LINUX_CAP_SYS_CHROOT)))
        return -EPERM;
    if (s->mnt && atomic_load(&t->fs->ref.count) > 1)
        return -EINVAL;
    if (s->net && !may_join(c, s->net->user_ns))
        return -EPERM;
    if (s->ipc && !may_join(c, s->ipc->user_ns))
        return -EPERM;
    if (s->pid && !may_join(c, s->pid->user_ns))
        return -EPERM;
    if (s->pid && !pid_ns_within(s->pid, task_pid_ns(t)))
        return -EINVAL;
    if (s->cgroup && !may_join(c, s->cgroup->user_ns))
        return -EPERM;
    if (s->time && !single_threaded(t))
        return -EUSERS;
    if (s->time && !may_join(c, s->time->user_ns))
        return -EPERM;
    return 0;
}

#define REPLACE(type, slot, with)                                                                            \
    do {                                                                                                     \
        if (with) {                                                                                          \
            type##_unref(slot);                                                                              \
            (slot) = type##_ref(with);                                                                       \
        }                                                                                                    \
    } while (0)

static void put_into(struct nsproxy *n, const struct ns_set *s) {
    REPLACE(uts_ns, n->uts, s->uts);
    REPLACE(mnt_ns, n->mnt, s->mnt);
    REPLACE(pid_ns, n->pid_for_children, s->pid);
    REPLACE(ipc_ns, n->ipc, s->ipc);
    REPLACE(net_namespace, n->net, s->net);
    REPLACE(cgroup_ns, n->cgroup, s->cgroup);
    REPLACE(time_ns, n->time_for_children, s->time);
    nsproxy_enter_time(n);
}

void nsproxy_share(struct nsproxy *n, struct nsproxy *other, uint64_t flags) {
    struct ns_set s = {0};

    take_from(other, flags, &s);
    put_into(n, &s);
    ns_set_done(&s);
}

int task_setns(struct task *t, const struct ns_set *s) {
    cleanup(creds_unrefp) struct creds *c = NULL;
    cleanup(nsproxy_unrefp) struct nsproxy *n = NULL;

    might_block();
    int r = s->user ? check_user(t, s->user) : 0;
    if (r < 0)
        return r;
    if (s->user) {
        c = creds_copy(t->creds);
        if (!c)
            return -ENOMEM;
        creds_fill_new_user_ns(c, s->user);
    }
    r = check_others(t, c ? c : t->creds, s);
    if (r < 0)
        return r;
    n = nsproxy_copy(t->nsproxy);
    if (!n)
        return -ENOMEM;
    put_into(n, s);
    if (s->mnt) {
        struct path root = mnt_ns_root(s->mnt);
        fs_context_set_root(t->fs, &root);
        fs_context_set_cwd(t->fs, &root);
        path_put(&root);
    }
    if (s->ipc)
        sem_leave_undo(t);
    if (s->time)
        vdso_shift(t->mm, time_ns_shifts(s->time));
    if (c)
        task_set_creds(t, TAKE(c));
    task_set_nsproxy(t, TAKE(n));
    return 0;
}
