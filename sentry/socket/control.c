/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/control.c: control messages between their guest form and struct socket_control. Source:
 * cmsg(3), unix(7) "Ancillary messages".
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/uaccess.h"
#include "sentry/socket/socket.h"
#include "sentry/vfs/fd_table.h"

enum { CAP_SETUID_NR = 7, CAP_SETGID_NR = 6, CAP_SYS_ADMIN_NR = 21 };

void socket_control_done(struct socket_control *c) {
    for (size_t i = 0; i < c->file_count; i++)
        file_unref(c->files[i]);
    heap_free(c->files);
    pid_unref(c->pid);
    *c = (struct socket_control){0};
}

static int take_rights(struct task *t, const unsigned char *data, size_t size, struct socket_control *c) {
    size_t count = size / sizeof(int32_t);

    if (c->file_count + count > LINUX_SCM_MAX_FD)
        return -EINVAL;
    if (count == 0)
        return 0;
    size_t bytes = (c->file_count + count) * sizeof *c->files;
    struct file **files = c->files ? heap_realloc(c->files, bytes) : heap_alloc_array(count, sizeof *files);
    if (!files)
        return -ENOMEM;
    c->files = files;
    for (size_t i = 0; i < count; i++) {
        int32_t fd;
        memcpy(&fd, data + i * sizeof fd, sizeof fd);
        struct file *f = fd_get_any(t, fd);
        if (!f)
            return -EBADF;
        c->files[c->file_count++] = f;
    }
    return 0;
}

static int take_credentials(struct task *t, const unsigned char *data, size_t size,
                            struct socket_control *c) {
    struct linux_ucred u;
    const struct creds *own = task_creds(t);

    if (size != sizeof u)
        return -EINVAL;
    memcpy(&u, data, sizeof u);
    kuid_t uid = make_kuid(own->user_ns, u.uid);
    kgid_t gid = make_kgid(own->user_ns, u.gid);
    if (uid == INVALID_ID || gid == INVALID_ID)
        return -EINVAL;
    bool pid_ok = u.pid == task_tgid(t) || task_capable(t, CAP_SYS_ADMIN_NR);
    bool uid_ok = uid == own->uid || uid == own->euid || uid == own->suid || task_capable(t, CAP_SETUID_NR);
    bool gid_ok = gid == own->gid || gid == own->egid || gid == own->sgid || task_capable(t, CAP_SETGID_NR);
    if (!pid_ok || !uid_ok || !gid_ok)
        return -EPERM;
    struct kernel *k = t->kernel;
    mutex_lock(&k->taskset_lock);
    struct pid *pid = pid_find_locked(task_pid_ns(t), u.pid);
    if (pid)
        pid_ref(pid);
    mutex_unlock(&k->taskset_lock);
    if (!pid)
        return -ESRCH;
    pid_unref(c->pid);
    c->pid = pid;
    c->uid = uid;
    c->gid = gid;
    c->has_creds = true;
    return 0;
}

static int take_message(struct task *t, struct socket *s, struct socket_message *m,
                        const struct linux_cmsghdr *h, const unsigned char *body) {
    size_t size = (size_t)(h->len - sizeof *h);

    if (s->ops->control_in)
        return s->ops->control_in(s, t, m, h, body, size);
    if (h->level != LINUX_SOL_SOCKET)
        return 0;
    return h->type == LINUX_SCM_RIGHTS        ? take_rights(t, body, size, m->control)
           : h->type == LINUX_SCM_CREDENTIALS ? take_credentials(t, body, size, m->control)
                                              : -EINVAL;
}

static int parse(struct task *t, struct socket *s, struct socket_message *m, const unsigned char *data,
                 uint64_t len) {
    uint64_t at = 0;

    while (len - at >= sizeof(struct linux_cmsghdr)) {
        struct linux_cmsghdr h;
        memcpy(&h, data + at, sizeof h);
        if (h.len < sizeof h || h.len > len - at)
            return -EINVAL;
        int r = take_message(t, s, m, &h, data + at + sizeof h);
        if (r < 0)
            return r;
        uint64_t step = LINUX_CMSG_ALIGN(h.len);
        if (step >= len - at)
            break;
        at += step;
    }
    return 0;
}

int socket_control_copy_in(struct task *t, struct socket *s, struct socket_message *m, gva_t control,
                           uint64_t len) {
    if (len == 0)
        return 0;
    if (len > SOCKET_CONTROL_MAX)
        return -ENOBUFS;
    unsigned char *data = heap_alloc_bytes(len);
    if (!data)
        return -ENOMEM;
    int r = copy_in(t, data, control, len);
    if (r == 0)
        r = parse(t, s, m, data, len);
    heap_free(data);
    if (r < 0)
        socket_control_done(m->control);
    return r;
}

/* ---- out ---- */

int control_put(struct control_out *o, int level, int type, const void *data, uint64_t size) {
    struct linux_cmsghdr h = {.len = LINUX_CMSG_LEN(size), .level = level, .type = type};

    if (o->left < sizeof h) {
        *o->flags |= LINUX_MSG_CTRUNC;
        return 0;
    }
    if (h.len > o->left) {
        *o->flags |= LINUX_MSG_CTRUNC;
        h.len = o->left;
    }
    int r = copy_out(o->t, o->at, &h, sizeof h);
    if (r == 0)
        r = copy_out(o->t, o->at + sizeof h, data, h.len - sizeof h);
    if (r < 0)
        return r;
    uint64_t step = MIN(LINUX_CMSG_ALIGN(h.len), o->left);
    o->at += step;
    o->left -= step;
    o->used += step;
    return 0;
}

/* Installs as many as there is room and there are free numbers for; the rest is dropped with MSG_CTRUNC. */
static int put_rights(struct control_out *o, struct socket_control *c, bool cloexec) {
    uint64_t room = o->left > sizeof(struct linux_cmsghdr)
                        ? (o->left - sizeof(struct linux_cmsghdr)) / sizeof(int32_t)
                        : 0;
    int32_t numbers[LINUX_SCM_MAX_FD];
    size_t count = 0, wanted = MIN(c->file_count, (size_t)room);

    for (; count < wanted; count++) {
        int fd = fd_install(o->t, file_ref(c->files[count]), 0, cloexec);
        if (fd < 0) {
            file_unref(c->files[count]);
            break;
        }
        numbers[count] = fd;
    }
    if (count < c->file_count)
        *o->flags |= LINUX_MSG_CTRUNC;
    return count > 0 ? control_put(o, LINUX_SOL_SOCKET, LINUX_SCM_RIGHTS, numbers, count * sizeof numbers[0])
                     : 0;
}

int64_t socket_control_copy_out(struct task *t, struct socket *s, struct socket_message *m, gva_t control,
                                uint64_t len, bool cloexec) {
    struct socket_control *c = m->control;
    struct control_out o = {.t = t, .at = control, .left = control ? len : 0, .flags = &m->ret_flags};
    int r = 0;

    if (s->pass_credentials) {
        struct user_ns *ns = task_creds(t)->user_ns;
        struct linux_ucred u = {.pid = 0, .uid = OVERFLOW_ID, .gid = OVERFLOW_ID};
        if (c->has_creds) {
            u.pid = c->pid ? pid_nr(c->pid, task_pid_ns(t)) : 0;
            u.uid = from_kuid(ns, c->uid);
            u.gid = from_kgid(ns, c->gid);
        }
        r = control_put(&o, LINUX_SOL_SOCKET, LINUX_SCM_CREDENTIALS, &u, sizeof u);
    }
    if (r == 0 && c->file_count > 0)
        r = put_rights(&o, c, cloexec);
    if (r == 0 && s->ops->control_out)
        r = s->ops->control_out(s, t, m, &o);
    socket_control_done(c);
    return r < 0 ? r : (int64_t)o.used;
}
