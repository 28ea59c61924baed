/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/path_text.c: the name of a path, for getcwd(2), /proc/PID/{fd,cwd,exe,maps,mountinfo}. Source:
 * getcwd(2), proc(5).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/limits.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/vfs_internal.h"

/* Text that grows to the front. */
struct front {
    char *buf;
    size_t size, at;
    bool failed;
};

static void put_front(struct front *b, const char *text, size_t len) {
    if (b->failed)
        return;
    if (b->at < len) {
        size_t size = b->size * 2 + len, used = b->size - b->at;
        char *grown = heap_alloc_bytes(size);
        if (!grown) {
            b->failed = true;
            return;
        }
        memcpy(grown + size - used, b->buf + b->at, used);
        heap_free(b->buf);
        *b = (struct front){grown, size, size - used, false};
    }
    b->at -= len;
    memcpy(b->buf + b->at, text, len);
}

/* Goes up from *p to `root`, writing names; true if it got there. */
static bool write_names(struct front *b, struct path *p, const struct path *root) {
    char name[LINUX_NAME_MAX + 1];
    size_t len;

    while (!path_equal(p, root)) {
        if (p->dentry == p->mount->root) {
            if (!path_cross_up(p))
                return false;
            continue;
        }
        struct dentry *parent = dentry_parent_and_name(p->dentry, name, &len);
        bool top = parent == p->dentry;
        dentry_unref(p->dentry);
        p->dentry = parent;
        if (top)
            return false;
        put_front(b, name, len);
        put_front(b, "/", 1);
    }
    return true;
}

/* Also a terminal of a container without a devpts of its own: it is on no mount. */
static bool is_anonymous(const struct path *p) {
    return !p->mount || (p->mount->flags & MOUNT_INTERNAL && p->dentry != p->mount->root &&
                         p->dentry->parent == p->dentry);
}

int path_text(const struct path *p, const struct path *root, char **ret) {
    static const char deleted[] = " (deleted)", unreachable[] = "(unreachable)";
    struct front b = {heap_alloc_bytes(256), 256, 255, false};

    if (!b.buf)
        return -ENOMEM;
    if (is_anonymous(p)) {
        put_front(&b, p->dentry->name, p->dentry->name_len);
    } else {
        struct path at = path_get(p);
        if (atomic_load(&p->dentry->unhashed) && p->dentry->parent != p->dentry)
            put_front(&b, deleted, sizeof deleted - 1);
        size_t before = b.size - b.at;
        bool reached = write_names(&b, &at, root);
        path_put(&at);
        if (b.size - b.at == before)
            put_front(&b, "/", 1);
        if (!reached && !(p->mount->flags & MOUNT_INTERNAL))
            put_front(&b, unreachable, sizeof unreachable - 1);
    }
    if (b.failed) {
        heap_free(b.buf);
        return -ENOMEM;
    }
    memmove(b.buf, b.buf + b.at, b.size - b.at);
    *ret = b.buf;
    return 0;
}

/* Names from the mount's root up, put together from the end. */
char *mount_root_text(const struct mount *m) {
    char path[LINUX_PATH_MAX], name[LINUX_NAME_MAX + 1];
    size_t at = sizeof path, len;
    struct dentry *d = dentry_ref(m->root);

    while (d != m->fs->root) {
        struct dentry *up = dentry_parent_and_name(d, name, &len);
        dentry_unref(d);
        bool fits = up != d && len + 1 < at;
        d = up;
        if (!fits)
            break;
        at -= len + 1;
        path[at] = '/';
        memcpy(path + at + 1, name, len);
    }
    dentry_unref(d);
    if (at == sizeof path)
        path[--at] = '/';
    return heap_strndup(path + at, sizeof path - at);
}
