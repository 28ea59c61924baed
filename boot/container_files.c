/* SPDX-License-Identifier: Apache-2.0
 * boot/container_files.c: reading and copying the container's own files while it is built: /etc/passwd for
 * HOME, and what an image has at a place that a tmpfs will cover (the mount option tmpcopyup). All that is
 * read here was written by strangers: sizes, depths and counts are bounded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/stat.h"
#include "base/cleanup.h"
#include "boot/kernel_real.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/vfs.h"

#define COPY_MAX_DEPTH 64
#define COPY_MAX_NAMES (1u << 20)
#define COPY_CHUNK     (256u << 10)

int boot_read_file(const struct vfs_view *v, const char *path, size_t max, char **ret) {
    struct open_request o = {.dirfd = LINUX_AT_FDCWD,
                             .flags = LINUX_O_RDONLY | LINUX_O_CLOEXEC | LINUX_O_NONBLOCK};
    cleanup(freep) char *text = malloc(max + 1);
    struct file *f;

    if (!text)
        return -ENOMEM;
    int r = vfs_open(v, path, &o, &f);
    if (r < 0)
        return r;
    ssize_t n =
        (f->inode->type & LINUX_S_IFMT) == LINUX_S_IFREG ? file_read_kernel(NULL, f, text, max, 0) : -EINVAL;
    file_unref(f);
    if (n < 0)
        return (int)n;
    text[n] = '\0';
    *ret = TAKE(text);
    return 0;
}

/* ---- copying a tree ---- */

struct copy {
    struct vfs_view from, to;
    unsigned depth;
    size_t names_left;
};

struct names {
    struct dir_emit emit;
    char **items;
    size_t count, max;
};

static int add_name(struct dir_emit *e, const char *name, size_t len, uint64_t ino, unsigned type,
                    uint64_t next) {
    struct names *n = container_of(e, struct names, emit);

    (void)ino, (void)type, (void)next;
    if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
        return 0;
    if (n->count == n->max)
        return -E2BIG;
    if ((n->count & (n->count - 1)) == 0) {
        char **more = realloc(n->items, MAX(n->count * 2, (size_t)16) * sizeof *more);
        if (!more)
            return -ENOMEM;
        n->items = more;
    }
    n->items[n->count] = strndup(name, len);
    return n->items[n->count] ? (n->count++, 0) : -ENOMEM;
}

static void names_done(struct names *n) {
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i]);
    free(n->items);
}

static int list_names(struct copy *c, struct names *n) {
    struct open_request o = {.dirfd = LINUX_AT_FDCWD,
                             .flags = LINUX_O_RDONLY | LINUX_O_DIRECTORY | LINUX_O_CLOEXEC};
    struct file *f;
    size_t before;

    int r = vfs_open(&c->from, ".", &o, &f);
    if (r < 0)
        return r;
    do { /* a readdir may give part of a directory */
        before = n->count;
        r = file_readdir(f, &n->emit);
    } while (r >= 0 && n->count > before);
    file_unref(f);
    return r;
}

static int copy_data(struct copy *c, const char *name, struct file *to) {
    struct open_request o = {.dirfd = LINUX_AT_FDCWD,
                             .flags = LINUX_O_RDONLY | LINUX_O_CLOEXEC | LINUX_O_NOFOLLOW | LINUX_O_NONBLOCK};
    cleanup(freep) char *buffer = malloc(COPY_CHUNK);
    struct file *from;
    uint64_t at = 0;

    int r = buffer ? vfs_open(&c->from, name, &o, &from) : -ENOMEM;
    if (r < 0)
        return r;
    for (;;) {
        struct uio_segment one;
        struct uio u;
        ssize_t n = file_read_kernel(NULL, from, buffer, COPY_CHUNK, at);
        if (n <= 0) {
            r = (int)n;
            break;
        }
        uio_init_kernel(&u, &one, buffer, (size_t)n);
        ssize_t written = file_pwrite(NULL, to, &u, at, 0);
        if (written != n) {
            r = written < 0 ? (int)written : -ENOSPC;
            break;
        }
        at += (uint64_t)n;
    }
    file_unref(from);
    return r;
}

static int copy_regular(struct copy *c, const char *name, uint32_t mode) {
    struct open_request o = {.dirfd = LINUX_AT_FDCWD,
                             .flags = LINUX_O_CREAT | LINUX_O_EXCL | LINUX_O_WRONLY | LINUX_O_CLOEXEC,
                             .mode = mode};
    struct file *to;

    int r = vfs_open(&c->to, name, &o, &to);
    if (r < 0)
        return r;
    r = copy_data(c, name, to);
    file_unref(to);
    return r;
}

static int copy_link(struct copy *c, const char *name, struct inode *inode) {
    cleanup(freep) char *target = NULL;
    char *text = NULL;
    int r = inode->ops->readlink ? inode->ops->readlink(inode, NULL, &text) : -EINVAL;

    if (r < 0)
        return r;
    r = vfs_symlink(&c->to, text, LINUX_AT_FDCWD, name);
    heap_free(text);
    return r;
}

static int copy_owner(const struct path *p, const struct kstat *st, const struct creds *creds) {
    struct setattr s = {.mask = SETATTR_UID | SETATTR_GID, .uid = st->uid, .gid = st->gid};
    int r = vfs_setattr(p, &s, creds);

    if (r < 0 || (st->mode & LINUX_S_IFMT) == LINUX_S_IFLNK)
        return r;
    s = (struct setattr){
        .mask = SETATTR_MODE | SETATTR_MTIME, .mode = st->mode & 07777, .mtime_ns = st->mtime_ns};
    return vfs_setattr(p, &s, creds);
}

static int copy_directory(struct copy *c);

/* The subdirectory becomes the root of both views for the time: no name in it can lead out. */
static int copy_subdirectory(struct copy *c, const struct path *from, const struct path *to) {
    struct copy inner = *c;

    if (c->depth == 0)
        return -ELOOP;
    inner.from.root = inner.from.cwd = *from;
    inner.to.root = inner.to.cwd = *to;
    inner.depth--;
    int r = copy_directory(&inner);
    c->names_left = inner.names_left;
    return r;
}

static int copy_one(struct copy *c, const char *name) {
    struct path from, to;
    struct kstat st;

    int r = path_lookup(&c->from, LINUX_AT_FDCWD, name, 0, &from);
    if (r < 0)
        return r;
    r = vfs_getattr(&from, &st);
    uint32_t type = st.mode & LINUX_S_IFMT;
    if (r == 0 && type == LINUX_S_IFDIR)
        r = vfs_mkdir(&c->to, LINUX_AT_FDCWD, name, st.mode & 07777);
    else if (r == 0 && type == LINUX_S_IFREG)
        r = copy_regular(c, name, st.mode & 07777);
    else if (r == 0 && type == LINUX_S_IFLNK)
        r = copy_link(c, name, from.dentry->inode);
    else if (r == 0 && type != LINUX_S_IFSOCK)
        r = vfs_mknod(&c->to, LINUX_AT_FDCWD, name, st.mode, st.rdev);
    if (r == 0 && type != LINUX_S_IFSOCK) {
        r = path_lookup(&c->to, LINUX_AT_FDCWD, name, 0, &to);
        if (r == 0) {
            if (type == LINUX_S_IFDIR)
                r = copy_subdirectory(c, &from, &to);
            if (r == 0)
                r = copy_owner(&to, &st, c->to.creds);
            path_put(&to);
        }
    }
    path_put(&from);
    return r;
}

static int copy_directory(struct copy *c) {
    struct names n = {.emit = {.emit = add_name}, .max = c->names_left};
    int r = list_names(c, &n);

    c->names_left -= MIN(n.count, c->names_left);
    for (size_t i = 0; r == 0 && i < n.count; i++)
        r = copy_one(c, n.items[i]);
    names_done(&n);
    return r;
}

int boot_copy_tree(const struct path *from, const struct path *to, const struct creds *creds) {
    struct copy c = {.from = {.root = *from, .cwd = *from, .creds = creds},
                     .to = {.root = *to, .cwd = *to, .creds = creds},
                     .depth = COPY_MAX_DEPTH,
                     .names_left = COPY_MAX_NAMES};

    return copy_directory(&c);
}

/* ---- HOME ---- */

#define PASSWD_MAX (1u << 20)

/* Field 6 of the line whose field 3 is `uid`, in place; NULL: none. passwd(5). */
static const char *home_in(char *text, uint32_t uid) {
    char *line, *rest = text;

    while ((line = strsep(&rest, "\n"))) {
        const char *fields[7] = {NULL};
        char *end;
        size_t n = 0;
        for (char *field; n < ARRAY_SIZE(fields) && (field = strsep(&line, ":"));)
            fields[n++] = field;
        if (n < 6 || !*fields[2])
            continue;
        unsigned long number = strtoul(fields[2], &end, 10);
        if (*end == '\0' && number == uid)
            return fields[5];
    }
    return NULL;
}

/* As runc: a process without HOME gets that of its user, "/" where there is none. */
int boot_default_home(const struct vfs_view *v, uint32_t uid, char *const env[], char **ret) {
    cleanup(freep) char *text = NULL;

    for (; env && *env; env++)
        if (strncmp(*env, "HOME=", 5) == 0)
            return 0;
    const char *home = boot_read_file(v, "/etc/passwd", PASSWD_MAX, &text) == 0 ? home_in(text, uid) : NULL;
    return asprintf(ret, "HOME=%s", home && *home ? home : "/") < 0 ? -ENOMEM : 0;
}
