/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_creds.c: user and group ids, groups, capabilities. Source: credentials(7), setuid(2),
 * setreuid(2), setresuid(2), setfsuid(2), getgroups(2), capget(2), capabilities(7), user_namespaces(7).
 */
#include <errno.h>

#include "base/abi/linux/limits.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"

/* ---- reading ---- */

static uint32_t show_uid(struct task *t, kuid_t uid) {
    return from_kuid(t->creds->user_ns, uid);
}
static uint32_t show_gid(struct task *t, kgid_t gid) {
    return from_kgid(t->creds->user_ns, gid);
}

int64_t sys_getuid(struct task *t, const struct syscall_args *a) {
    (void)a;
    return show_uid(t, t->creds->uid);
}
int64_t sys_geteuid(struct task *t, const struct syscall_args *a) {
    (void)a;
    return show_uid(t, t->creds->euid);
}
int64_t sys_getgid(struct task *t, const struct syscall_args *a) {
    (void)a;
    return show_gid(t, t->creds->gid);
}
int64_t sys_getegid(struct task *t, const struct syscall_args *a) {
    (void)a;
    return show_gid(t, t->creds->egid);
}

static int put3(struct task *t, const struct syscall_args *a, uint32_t x, uint32_t y, uint32_t z) {
    if (copy_out(t, a->arg[0], &x, sizeof x) < 0 || copy_out(t, a->arg[1], &y, sizeof y) < 0 ||
        copy_out(t, a->arg[2], &z, sizeof z) < 0)
        return -EFAULT;
    return 0;
}

int64_t sys_getresuid(struct task *t, const struct syscall_args *a) {
    const struct creds *c = t->creds;
    return put3(t, a, show_uid(t, c->uid), show_uid(t, c->euid), show_uid(t, c->suid));
}
int64_t sys_getresgid(struct task *t, const struct syscall_args *a) {
    const struct creds *c = t->creds;
    return put3(t, a, show_gid(t, c->gid), show_gid(t, c->egid), show_gid(t, c->sgid));
}

/* ---- changing user ids ---- */

/* A number from the guest; -1 stands for "leave it" and gives INVALID_ID with true. */
static bool get_uid(struct task *t, uint64_t arg, kuid_t *ret) {
    *ret = make_kuid(t->creds->user_ns, (uint32_t)arg);
    return *ret != INVALID_ID || (uint32_t)arg == INVALID_ID;
}
static bool get_gid(struct task *t, uint64_t arg, kgid_t *ret) {
    *ret = make_kgid(t->creds->user_ns, (uint32_t)arg);
    return *ret != INVALID_ID || (uint32_t)arg == INVALID_ID;
}

static int commit_uids(struct task *t, struct creds *c) {
    c->fsuid = c->euid;
    creds_fix_caps_for_ids(c, t->creds);
    creds_fix_caps_for_fsuid(c, t->creds);
    task_set_creds(t, c);
    return 0;
}

int64_t sys_setuid(struct task *t, const struct syscall_args *a) {
    kuid_t uid = make_kuid(t->creds->user_ns, (uint32_t)a->arg[0]);
    const struct creds *old = t->creds;
    bool capable = task_capable(t, LINUX_CAP_SETUID);

    if (uid == INVALID_ID)
        return -EINVAL;
    if (!capable && uid != old->uid && uid != old->suid)
        return -EPERM;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    if (capable)
        c->uid = c->suid = uid;
    c->euid = uid;
    return commit_uids(t, c);
}

int64_t sys_setreuid(struct task *t, const struct syscall_args *a) {
    const struct creds *old = t->creds;
    bool capable = task_capable(t, LINUX_CAP_SETUID);
    kuid_t ruid, euid;

    if (!get_uid(t, a->arg[0], &ruid) || !get_uid(t, a->arg[1], &euid))
        return -EINVAL;
    if (ruid != INVALID_ID && !capable && ruid != old->uid && ruid != old->euid)
        return -EPERM;
    if (euid != INVALID_ID && !capable && euid != old->uid && euid != old->euid && euid != old->suid)
        return -EPERM;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    if (ruid != INVALID_ID)
        c->uid = ruid;
    if (euid != INVALID_ID)
        c->euid = euid;
    if (ruid != INVALID_ID || (euid != INVALID_ID && euid != old->uid))
        c->suid = c->euid;
    return commit_uids(t, c);
}

static bool allowed3(uint32_t id, uint32_t x, uint32_t y, uint32_t z) {
    return id == INVALID_ID || id == x || id == y || id == z;
}

int64_t sys_setresuid(struct task *t, const struct syscall_args *a) {
    const struct creds *old = t->creds;
    kuid_t ruid, euid, suid;

    if (!get_uid(t, a->arg[0], &ruid) || !get_uid(t, a->arg[1], &euid) || !get_uid(t, a->arg[2], &suid))
        return -EINVAL;
    if (!task_capable(t, LINUX_CAP_SETUID) &&
        (!allowed3(ruid, old->uid, old->euid, old->suid) || !allowed3(euid, old->uid, old->euid, old->suid) ||
         !allowed3(suid, old->uid, old->euid, old->suid)))
        return -EPERM;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    c->uid = ruid != INVALID_ID ? ruid : c->uid;
    c->euid = euid != INVALID_ID ? euid : c->euid;
    c->suid = suid != INVALID_ID ? suid : c->suid;
    return commit_uids(t, c);
}

/* Gives the old value whether or not it worked. setfsuid(2). */
int64_t sys_setfsuid(struct task *t, const struct syscall_args *a) {
    const struct creds *old = t->creds;
    uint32_t before = show_uid(t, old->fsuid);
    kuid_t uid = make_kuid(old->user_ns, (uint32_t)a->arg[0]);

    if (uid == INVALID_ID || uid == old->fsuid ||
        (uid != old->uid && uid != old->euid && uid != old->suid && !task_capable(t, LINUX_CAP_SETUID)))
        return before;
    struct creds *c = creds_copy(old);
    if (!c)
        return before;
    c->fsuid = uid;
    creds_fix_caps_for_fsuid(c, old);
    task_set_creds(t, c);
    return before;
}

/* ---- changing group ids ---- */

static int commit_gids(struct task *t, struct creds *c) {
    c->fsgid = c->egid;
    task_set_creds(t, c);
    return 0;
}

int64_t sys_setgid(struct task *t, const struct syscall_args *a) {
    kgid_t gid = make_kgid(t->creds->user_ns, (uint32_t)a->arg[0]);
    const struct creds *old = t->creds;
    bool capable = task_capable(t, LINUX_CAP_SETGID);

    if (gid == INVALID_ID)
        return -EINVAL;
    if (!capable && gid != old->gid && gid != old->sgid)
        return -EPERM;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    if (capable)
        c->gid = c->sgid = gid;
    c->egid = gid;
    return commit_gids(t, c);
}

int64_t sys_setregid(struct task *t, const struct syscall_args *a) {
    const struct creds *old = t->creds;
    bool capable = task_capable(t, LINUX_CAP_SETGID);
    kgid_t rgid, egid;

    if (!get_gid(t, a->arg[0], &rgid) || !get_gid(t, a->arg[1], &egid))
        return -EINVAL;
    if (rgid != INVALID_ID && !capable && rgid != old->gid && rgid != old->egid)
        return -EPERM;
    if (egid != INVALID_ID && !capable && egid != old->gid && egid != old->egid && egid != old->sgid)
        return -EPERM;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    if (rgid != INVALID_ID)
        c->gid = rgid;
    if (egid != INVALID_ID)
        c->egid = egid;
    if (rgid != INVALID_ID || (egid != INVALID_ID && egid != old->gid))
        c->sgid = c->egid;
    return commit_gids(t, c);
}

int64_t sys_setresgid(struct task *t, const struct syscall_args *a) {
    const struct creds *old = t->creds;
    kgid_t rgid, egid, sgid;

    if (!get_gid(t, a->arg[0], &rgid) || !get_gid(t, a->arg[1], &egid) || !get_gid(t, a->arg[2], &sgid))
        return -EINVAL;
    if (!task_capable(t, LINUX_CAP_SETGID) &&
        (!allowed3(rgid, old->gid, old->egid, old->sgid) || !allowed3(egid, old->gid, old->egid, old->sgid) ||
         !allowed3(sgid, old->gid, old->egid, old->sgid)))
        return -EPERM;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    c->gid = rgid != INVALID_ID ? rgid : c->gid;
    c->egid = egid != INVALID_ID ? egid : c->egid;
    c->sgid = sgid != INVALID_ID ? sgid : c->sgid;
    return commit_gids(t, c);
}

int64_t sys_setfsgid(struct task *t, const struct syscall_args *a) {
    const struct creds *old = t->creds;
    uint32_t before = show_gid(t, old->fsgid);
    kgid_t gid = make_kgid(old->user_ns, (uint32_t)a->arg[0]);

    if (gid == INVALID_ID || gid == old->fsgid ||
        (gid != old->gid && gid != old->egid && gid != old->sgid && !task_capable(t, LINUX_CAP_SETGID)))
        return before;
    struct creds *c = creds_copy(old);
    if (!c)
        return before;
    c->fsgid = gid;
    task_set_creds(t, c);
    return before;
}

/* ---- groups ---- */

int64_t sys_getgroups(struct task *t, const struct syscall_args *a) {
    const struct creds *c = t->creds;
    int size = (int)a->arg[0];

    if (size < 0)
        return -EINVAL;
    if (size == 0)
        return (int64_t)c->group_count;
    if ((size_t)size < c->group_count)
        return -EINVAL;
    for (size_t i = 0; i < c->group_count; i++) {
        uint32_t gid = show_gid(t, c->groups[i]);
        if (copy_out(t, a->arg[1] + i * sizeof gid, &gid, sizeof gid) < 0)
            return -EFAULT;
    }
    return (int64_t)c->group_count;
}

static bool may_setgroups(struct task *t) {
    struct user_ns *ns = t->creds->user_ns;

    if (!task_capable(t, LINUX_CAP_SETGID))
        return false;
    if (!ns->parent)
        return true;
    mutex_lock(&ns->lock);
    bool may = ns->gid_map_count > 0 && !ns->setgroups_denied;
    mutex_unlock(&ns->lock);
    return may;
}

int64_t sys_setgroups(struct task *t, const struct syscall_args *a) {
    int count = (int)a->arg[0];
    kgid_t *groups = NULL;

    if (!may_setgroups(t))
        return -EPERM;
    if (count < 0 || count > LINUX_NGROUPS_MAX)
        return -EINVAL;
    if (count > 0 && !(groups = heap_alloc_bytes((size_t)count * sizeof *groups)))
        return -ENOMEM;
    int r = count ? copy_in(t, groups, a->arg[1], (size_t)count * sizeof *groups) : 0;
    for (int i = 0; i < count && r == 0; i++) {
        groups[i] = make_kgid(t->creds->user_ns, groups[i]);
        if (groups[i] == INVALID_ID)
            r = -EINVAL;
    }
    struct creds *c = r == 0 ? creds_copy(t->creds) : NULL;
    if (r == 0 && !c)
        r = -ENOMEM;
    if (r == 0)
        r = creds_set_groups(c, groups, (size_t)count);
    heap_free(groups);
    if (r < 0) {
        creds_unref(c);
        return r;
    }
    task_set_creds(t, c);
    return 0;
}

/* ---- capabilities ---- */

/* How many 64-bit halves the version has; a wrong version gets ours written back. capget(2). */
static int cap_version(struct task *t, gva_t at, struct linux_cap_header *h, unsigned *ret_words) {
    if (copy_in(t, h, at, sizeof *h) < 0)
        return -EFAULT;
    switch (h->version) {
    case LINUX_CAPABILITY_VERSION_1:
        *ret_words = 1;
        return 0;
    case LINUX_CAPABILITY_VERSION_2:
    case LINUX_CAPABILITY_VERSION_3:
        *ret_words = 2;
        return 0;
    }
    uint32_t ours = LINUX_CAPABILITY_VERSION_3;
    return copy_out(t, at, &ours, sizeof ours) < 0 ? -EFAULT : -EINVAL;
}

int64_t sys_capget(struct task *t, const struct syscall_args *a) {
    struct linux_cap_header h;
    unsigned words;

    int r = cap_version(t, a->arg[0], &h, &words);
    if (r < 0)
        return r == -EINVAL && !a->arg[1] ? 0 : r; /* a probe for the version */
    if (h.pid < 0)
        return -EINVAL;
    struct task *target = h.pid == 0 ? task_ref(t) : task_find(t, h.pid);
    if (!target)
        return -ESRCH;
    cleanup(creds_unrefp) struct creds *c = task_get_creds(target);
    task_unref(target);
    struct linux_cap_data data[2];
    for (unsigned i = 0; i < 2; i++)
        data[i] =
            (struct linux_cap_data){(uint32_t)(c->effective >> 32 * i), (uint32_t)(c->permitted >> 32 * i),
                                    (uint32_t)(c->inheritable >> 32 * i)};
    return copy_out(t, a->arg[1], data, words * sizeof data[0]);
}

int64_t sys_capset(struct task *t, const struct syscall_args *a) {
    struct linux_cap_header h;
    struct linux_cap_data data[2] = {0};
    const struct creds *old = t->creds;
    unsigned words;

    int r = cap_version(t, a->arg[0], &h, &words);
    if (r < 0)
        return r;
    if (h.pid != 0 && h.pid != task_tid(t))
        return -EPERM;
    if (copy_in(t, data, a->arg[1], words * sizeof data[0]) < 0)
        return -EFAULT;
    cap_set_t effective = (data[0].effective | (cap_set_t)data[1].effective << 32) & CAP_FULL_SET;
    cap_set_t permitted = (data[0].permitted | (cap_set_t)data[1].permitted << 32) & CAP_FULL_SET;
    cap_set_t inheritable = (data[0].inheritable | (cap_set_t)data[1].inheritable << 32) & CAP_FULL_SET;
    bool setpcap = task_capable(t, LINUX_CAP_SETPCAP);
    if ((!setpcap && (inheritable & ~(old->inheritable | old->permitted))) ||
        (inheritable & ~(old->inheritable | old->bounding)) || (permitted & ~old->permitted) ||
        (effective & ~permitted))
        return -EPERM;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    c->effective = effective;
    c->permitted = permitted;
    c->inheritable = inheritable;
    c->ambient &= permitted & inheritable;
    task_set_creds(t, c);
    return 0;
}
