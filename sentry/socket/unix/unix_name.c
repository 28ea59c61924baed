/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/unix/unix_name.c: names of unix sockets: nodes in file systems and the abstract table.
 * Source: unix(7) "Address format", "Autobind feature".
 *
 * Abstract names belong to a network namespace, whose identity (nsproxy.net) is part of the key. The table is
 * a chained hash in the heap, one a kernel.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/stat.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/socket/unix/unix_internal.h"
#include "sentry/vfs/fd_table.h"

enum { PATH_OFFSET = offsetof(struct linux_sockaddr_un, path), BUCKETS = 256, AUTOBIND_NAMES = 1 << 20 };

HEAP_TYPE(unix_name, struct unix_name, 0);

static void name_destroy(struct unix_name *n) {
    path_put(&n->path);
    heap_free(n);
}
DEFINE_REF(unix_name, name_destroy);

struct abstract_entry {
    struct abstract_entry *next;
    struct unix_name *name; /* borrowed: the sock holds it and removes the entry first */
    struct unix_sock *sock; /* borrowed */
    uint64_t net;           /* inode of the network namespace */
};
HEAP_TYPE(unix_abstract, struct abstract_entry, 0);

struct unix_names {
    struct mutex lock; /* RANK_EVENT */
    struct abstract_entry *buckets[BUCKETS];
    struct list all; /* of unix_sock.all_node */
    struct unix_flight flight;
};
HEAP_TYPE(unix_names, struct unix_names, 0);

static struct unix_names *names_of(struct kernel *k) {
    static struct mutex making = MUTEX_INIT(RANK_RENAME);

    mutex_lock(&making);
    if (!k->unix_names) {
        k->unix_names = heap_new(unix_names);
        if (k->unix_names) {
            mutex_init(&k->unix_names->lock, RANK_EVENT);
            list_init(&k->unix_names->all);
            unix_flight_init(&k->unix_names->flight);
        }
    }
    mutex_unlock(&making);
    return k->unix_names;
}

struct unix_flight *unix_flight_of(struct kernel *k) {
    struct unix_names *names = names_of(k);

    return names ? &names->flight : NULL;
}

void unix_list_add(struct kernel *k, struct unix_sock *s) {
    struct unix_names *names = names_of(k);

    if (!names)
        return;
    mutex_lock(&names->lock);
    list_add_tail(&names->all, &s->all_node);
    mutex_unlock(&names->lock);
}

void unix_list_remove(struct unix_sock *s) {
    struct unix_names *names = ((struct kernel *)heap_root())->unix_names;

    if (!names)
        return;
    mutex_lock(&names->lock);
    list_del(&s->all_node);
    mutex_unlock(&names->lock);
}

struct unix_sock *unix_list_next(struct kernel *k, struct unix_sock *after) {
    struct unix_names *names = names_of(k);
    struct unix_sock *next = NULL;

    if (!names) {
        unix_sock_unref(after);
        return NULL;
    }
    mutex_lock(&names->lock);
    /* `after` may have left the list meanwhile: then its node points at itself and the walk ends */
    for (struct list *at = after ? after->all_node.next : names->all.next; at != &names->all && !next;
         at = at->next) {
        struct unix_sock *s = container_of(at, struct unix_sock, all_node);
        if (s == after)
            break;
        if (unix_sock_tryref(s))
            next = s;
    }
    mutex_unlock(&names->lock);
    unix_sock_unref(after);
    return next;
}

int unix_address_check(const struct socket_address *a, bool *ret_unnamed, bool *ret_abstract) {
    const struct linux_sockaddr_un *un = (const struct linux_sockaddr_un *)&a->storage;

    if (a->len < sizeof un->family || a->len > sizeof *un || un->family != LINUX_AF_UNIX)
        return -EINVAL;
    *ret_unnamed = a->len == PATH_OFFSET;
    *ret_abstract = a->len > PATH_OFFSET && un->path[0] == '\0';
    return 0;
}

static unsigned hash_name(uint64_t net, const char *path, size_t len) {
    uint64_t h = 0xcbf29ce484222325ull ^ net;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)path[i]) * 0x100000001b3ull;
    return (unsigned)(h % BUCKETS);
}

static uint64_t net_of(struct task *t) {
    return t->nsproxy->net->inode;
}

static struct abstract_entry *find_locked(struct unix_names *names, uint64_t net,
                                          const struct linux_sockaddr_un *un, uint32_t len) {
    struct abstract_entry *e = names->buckets[hash_name(net, un->path, len - PATH_OFFSET)];

    while (e && !(e->net == net && e->name->len == len &&
                  memcmp(e->name->address.path, un->path, len - PATH_OFFSET) == 0))
        e = e->next;
    return e;
}

static int insert(struct task *t, struct unix_sock *s, struct unix_name *name) {
    struct unix_names *names = names_of(t->kernel);
    struct abstract_entry *e = names ? heap_new(unix_abstract) : NULL;

    if (!e)
        return -ENOMEM;
    *e = (struct abstract_entry){.name = name, .sock = s, .net = net_of(t)};
    mutex_lock(&names->lock);
    bool taken = find_locked(names, e->net, &name->address, name->len) != NULL;
    if (!taken) {
        struct abstract_entry **bucket =
            &names->buckets[hash_name(e->net, name->address.path, name->len - PATH_OFFSET)];
        e->next = *bucket;
        *bucket = e;
    }
    mutex_unlock(&names->lock);
    if (taken)
        heap_free(e);
    return taken ? -EADDRINUSE : 0;
}

static struct unix_name *name_new(const struct linux_sockaddr_un *un, uint32_t len) {
    struct unix_name *n = heap_new(unix_name);

    if (!n)
        return NULL;
    unix_name_ref_init(n);
    n->len = len;
    memcpy(&n->address, un, len);
    return n;
}

/* unix(7), "Autobind feature": an abstract name of five hexadecimal digits. */
static int autobind(struct unix_sock *s, struct task *t, struct unix_name **ret) {
    uint32_t start;
    int r = kernel_random(t->kernel, &start, sizeof start);

    for (uint32_t i = 0; r == 0 && i < AUTOBIND_NAMES; i++) {
        struct linux_sockaddr_un un = {.family = LINUX_AF_UNIX};
        snprintf(un.path + 1, 6, "%05x", (start + i) % AUTOBIND_NAMES);
        struct unix_name *name = name_new(&un, PATH_OFFSET + 6);
        r = name ? insert(t, s, name) : -ENOMEM;
        if (r == 0)
            *ret = name;
        else
            unix_name_unref(name);
        if (r != -EADDRINUSE)
            return r;
        r = 0;
    }
    return r < 0 ? r : -ENOSPC;
}

static void node_gone(struct inode_node *node) {
    (void)node; /* the path in the name keeps the inode: it cannot end with the socket on it */
}
static const struct inode_node_ops unix_node_ops = {.name = "unix", .release = node_gone};

static int bind_path(struct unix_sock *s, struct task *t, const struct linux_sockaddr_un *un, uint32_t len,
                     struct unix_name **ret) {
    char path[LINUX_UNIX_PATH_MAX + 1];
    size_t size = strnlen(un->path, len - PATH_OFFSET);
    struct vfs_view view;

    memcpy(path, un->path, size);
    path[size] = '\0';
    /* getsockname tells the name with its NUL, whether or not it was given (unix(7), "Pathname sockets"). */
    struct linux_sockaddr_un full = {.family = LINUX_AF_UNIX};
    memcpy(full.path, path, MIN(size + 1, sizeof full.path));
    struct unix_name *name = name_new(&full, (uint32_t)(PATH_OFFSET + MIN(size + 1, sizeof full.path)));
    if (!name)
        return -ENOMEM;
    vfs_view_of(t, &view);
    int r = vfs_bind_socket(&view, path, 0777, &name->path);
    vfs_view_done(&view);
    if (r < 0) {
        name->path = (struct path){0};
        unix_name_unref(name);
        return r == -EEXIST ? -EADDRINUSE : r;
    }
    struct inode *inode = name->path.dentry->inode;
    mutex_lock(&inode->locks_lock);
    s->node.ops = &unix_node_ops;
    inode->node = &s->node;
    mutex_unlock(&inode->locks_lock);
    *ret = name;
    return 0;
}

int unix_bind_name(struct unix_sock *s, struct task *t, const struct socket_address *a) {
    const struct linux_sockaddr_un *un = (const struct linux_sockaddr_un *)&a->storage;
    bool unnamed, abstract;
    struct unix_name *name = NULL;
    int r = unix_address_check(a, &unnamed, &abstract);

    if (r < 0)
        return r;
    mutex_lock(&s->lock);
    bool bound = s->name != NULL;
    mutex_unlock(&s->lock);
    if (bound)
        return unnamed ? 0 : -EINVAL;
    if (unnamed) {
        r = autobind(s, t, &name);
    } else if (abstract) {
        name = name_new(un, a->len);
        r = name ? insert(t, s, name) : -ENOMEM;
        if (r < 0)
            name = unix_name_unref(name);
    } else {
        r = bind_path(s, t, un, a->len, &name);
    }
    if (r < 0)
        return r;
    /* Two threads that bind one socket at once: the second name goes again. */
    mutex_lock(&s->lock);
    bool lost = s->name != NULL;
    if (!lost)
        s->name = name;
    mutex_unlock(&s->lock);
    if (lost)
        unix_name_unref(name);
    return lost ? -EINVAL : 0;
}

static int find_by_path(struct task *t, const struct linux_sockaddr_un *un, uint32_t len,
                        struct unix_sock **ret) {
    char path[LINUX_UNIX_PATH_MAX + 1];
    size_t size = strnlen(un->path, len - PATH_OFFSET);
    struct vfs_view view;
    struct path found;

    memcpy(path, un->path, size);
    path[size] = '\0';
    vfs_view_of(t, &view);
    int r = path_lookup(&view, LINUX_AT_FDCWD, path, LOOKUP_FOLLOW, &found);
    vfs_view_done(&view);
    if (r < 0)
        return r;
    r = path_permission(&found, task_creds(t), MAY_WRITE);
    struct inode *inode = found.dentry->inode;
    if (r == 0 && inode->type != LINUX_S_IFSOCK)
        r = -ECONNREFUSED;
    if (r == 0) {
        mutex_lock(&inode->locks_lock);
        struct unix_sock *s = inode->node && inode->node->ops == &unix_node_ops
                                  ? container_of(inode->node, struct unix_sock, node)
                                  : NULL;
        if (!s || !unix_sock_tryref(s))
            r = -ECONNREFUSED;
        else
            *ret = s;
        mutex_unlock(&inode->locks_lock);
    }
    path_put(&found);
    return r;
}

int unix_find(struct task *t, const struct socket_address *a, int type, struct unix_sock **ret) {
    const struct linux_sockaddr_un *un = (const struct linux_sockaddr_un *)&a->storage;
    bool unnamed, abstract;
    struct unix_sock *s = NULL;
    int r = unix_address_check(a, &unnamed, &abstract);

    if (r < 0)
        return r;
    if (unnamed)
        return -EINVAL;
    if (abstract) {
        struct unix_names *names = names_of(t->kernel);
        if (!names)
            return -ENOMEM;
        mutex_lock(&names->lock);
        struct abstract_entry *e = find_locked(names, net_of(t), un, a->len);
        if (e && unix_sock_tryref(e->sock))
            s = e->sock;
        mutex_unlock(&names->lock);
        r = s ? 0 : -ECONNREFUSED;
    } else {
        r = find_by_path(t, un, a->len, &s);
    }
    if (r == 0 && s->type != type) {
        unix_sock_unref(s);
        r = -EPROTOTYPE;
    }
    if (r == 0)
        *ret = s;
    return r;
}

static void remove_abstract(struct kernel *k, struct unix_sock *s, struct unix_name *name) {
    struct unix_names *names = k->unix_names;
    struct abstract_entry *gone = NULL;

    mutex_lock(&names->lock);
    for (unsigned i = 0; i < BUCKETS && !gone; i++) {
        struct abstract_entry **at = &names->buckets[i];
        while (*at && (*at)->sock != s)
            at = &(*at)->next;
        gone = *at;
        if (gone)
            *at = gone->next;
    }
    mutex_unlock(&names->lock);
    ASSERT(!gone || gone->name == name);
    heap_free(gone);
}

void unix_unbind(struct unix_sock *s) {
    mutex_lock(&s->lock);
    struct unix_name *name = s->name ? unix_name_ref(s->name) : NULL;
    mutex_unlock(&s->lock);
    if (!name)
        return;
    if (name->path.dentry) {
        struct inode *inode = name->path.dentry->inode;
        mutex_lock(&inode->locks_lock);
        if (inode->node == &s->node)
            inode->node = NULL;
        mutex_unlock(&inode->locks_lock);
    } else {
        remove_abstract(heap_root(), s, name);
    }
    unix_name_unref(name);
}

void unix_name_fill(const struct unix_name *name, struct socket_address *ret) {
    struct linux_sockaddr_un *un = (struct linux_sockaddr_un *)&ret->storage;

    memset(&ret->storage, 0, sizeof ret->storage);
    un->family = LINUX_AF_UNIX;
    ret->len = name ? name->len : PATH_OFFSET;
    if (name)
        memcpy(un, &name->address, name->len);
}
