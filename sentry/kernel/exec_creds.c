/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/exec_creds.c: what execve(2) does to credentials: set-id bits, file capabilities, root's
 * capabilities. Source: capabilities(7), "Transformation of capabilities during execve()";
 * user_namespaces(7); prctl(2), PR_SET_NO_NEW_PRIVS.
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "sentry/kernel/exec_internal.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

struct file_caps {
    cap_set_t permitted, inheritable;
    bool effective, present;
};

static void read_file_caps(struct inode *inode, const struct user_ns *ns, struct file_caps *ret) {
    struct linux_vfs_cap_data data = {0};

    if (!inode->ops->getxattr)
        return;
    ssize_t n = inode->ops->getxattr(inode, "security.capability", &data, sizeof data);
    uint32_t revision = data.magic_etc & LINUX_VFS_CAP_REVISION_MASK;
    bool rev2 =
        revision == LINUX_VFS_CAP_REVISION_2 && n == (ssize_t)offsetof(struct linux_vfs_cap_data, rootid);
    bool rev3 = revision == LINUX_VFS_CAP_REVISION_3 && n == (ssize_t)sizeof data;
    if ((!rev2 && !rev3) || (rev2 && ns->parent) || (rev3 && data.rootid != 0))
        return; /* of another namespace's root, or garbage */
    ret->permitted = (data.data[0].permitted | (uint64_t)data.data[1].permitted << 32) & CAP_FULL_SET;
    ret->inheritable = (data.data[0].inheritable | (uint64_t)data.data[1].inheritable << 32) & CAP_FULL_SET;
    ret->effective = data.magic_etc & LINUX_VFS_CAP_FLAGS_EFFECTIVE;
    ret->present = true;
}

/* Set-id bits. True if they changed an id. */
static bool apply_set_id(struct creds *c, const struct kstat *st) {
    kuid_t euid = c->euid;
    kgid_t egid = c->egid;

    if (from_kuid(c->user_ns, st->uid) == OVERFLOW_ID || from_kgid(c->user_ns, st->gid) == OVERFLOW_ID)
        return false;
    if (st->mode & LINUX_S_ISUID)
        c->euid = st->uid;
    if ((st->mode & (LINUX_S_ISGID | LINUX_S_IXGRP)) == (LINUX_S_ISGID | LINUX_S_IXGRP))
        c->egid = st->gid;
    return c->euid != euid || c->egid != egid;
}

/* The transformation; true if the program has become privileged by it. */
static bool transform_caps(struct creds *c, const struct creds *old, struct file_caps f, bool set_id) {
    kuid_t root = make_kuid(c->user_ns, 0);
    bool as_root = !(c->securebits & LINUX_SECBIT_NOROOT) && (c->euid == root || c->uid == root);

    if (as_root && !(f.present && c->uid != root && c->euid == root)) {
        f.permitted = f.inheritable = CAP_FULL_SET;
        f.effective = c->euid == root;
    }
    bool privileged = set_id || f.present;
    if (privileged)
        c->ambient = 0;
    c->permitted = (old->inheritable & f.inheritable) | (f.permitted & c->bounding) | c->ambient;
    c->effective = f.effective ? c->permitted : c->ambient;
    bool grew = (c->permitted & ~c->ambient) != 0;
    return c->uid != root && (f.effective || grew);
}

int exec_creds(struct task *t, struct file *file, struct creds **ret, bool *ret_secure) {
    const struct creds *old = t->creds;
    struct kstat st;
    struct file_caps caps = {0};
    bool set_id = false;

    int r = vfs_getattr(&file->path, &st);
    if (r < 0)
        return r;
    struct creds *c = creds_copy(old);
    if (!c)
        return -ENOMEM;
    bool may_gain = !t->no_new_privs && ptrace_tracer_is_capable(t, c->user_ns) &&
                    !(atomic_load(&file->path.mount->flags) & MOUNT_NOSUID);
    if (may_gain) {
        set_id = apply_set_id(c, &st);
        read_file_caps(file->inode, c->user_ns, &caps);
    }
    c->suid = c->fsuid = c->euid;
    c->sgid = c->fsgid = c->egid;
    bool privileged = transform_caps(c, old, caps, set_id);
    if (t->no_new_privs) { /* root loses nothing by it, others win nothing */
        c->permitted &= old->permitted | (old->uid == make_kuid(c->user_ns, 0) ? CAP_FULL_SET : 0);
        c->effective &= c->permitted;
    }
    c->securebits &= ~(uint32_t)LINUX_SECBIT_KEEP_CAPS;
    *ret_secure = set_id || c->uid != c->euid || c->gid != c->egid || privileged;
    *ret = c;
    return 0;
}
