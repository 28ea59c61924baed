/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/overlay/overlay_options.c: the options of an overlay that a guest mounts, and the directories
 * that they name. Source: Documentation/filesystems/overlayfs; errors as observed (tests/conform/overlays.c).
 *
 * Of what Linux has, `metacopy=on` copies the data too, `index` and `nfs_export` keep no index, and `xino`,
 * `uuid`, `volatile` and `verity=off` make no difference: each is taken and shown.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/fs/overlay/overlay_internal.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"

/* ---- parsing ---- */

static int set_text(char **text, const char *value) {
    if (!value || !*value)
        return -EINVAL;
    heap_free(*text);
    *text = heap_strdup(value);
    return *text ? 0 : -ENOMEM;
}

static void show(struct overlay_request *r, const char *key, const char *value) {
    size_t n = strlen(r->shown);
    snprintf(r->shown + n, sizeof(r->shown) - n, ",%s%s%s", key, value ? "=" : "", value ? value : "");
}

static int parse_redirect(struct overlay_request *r, const char *value) {
    r->redirect_dir = strcmp(value, "on") == 0;
    r->redirect_follow = r->redirect_dir || strcmp(value, "follow") == 0 || strcmp(value, "off") == 0;
    if (!r->redirect_follow && strcmp(value, "nofollow") != 0)
        return -EINVAL;
    if (strcmp(value, "off") != 0)
        show(r, "redirect_dir", value);
    return 0;
}

/* Options that choose among words, the first of which is what there is without them. */
static int parse_choice(struct overlay_request *r, const char *key, const char *value) {
    static const char *const choices[][4] = {
        {"index", "off", "on"},        {"nfs_export", "off", "on"},   {"metacopy", "off", "on"},
        {"xino", "off", "on", "auto"}, {"uuid", "auto", "on", "off"},
    };
    for (size_t c = 0; c < ARRAY_SIZE(choices); c++) {
        if (strcmp(key, choices[c][0]) != 0)
            continue;
        for (size_t v = 1; v < 4; v++) {
            if (!choices[c][v] || strcmp(value, choices[c][v]) != 0)
                continue;
            if (v > 1)
                show(r, key, value);
            return 0;
        }
        return -EINVAL;
    }
    return strcmp(key, "verity") == 0 && strcmp(value, "off") == 0 ? 0 : -ENOENT;
}

/* One more lower layer below those before: its colons are its own. */
static int append_lower(struct overlay_request *r, const char *value) {
    size_t old = r->lowerdir ? strlen(r->lowerdir) + 1 : 0, n = old;
    if (!value || !*value)
        return -EINVAL;
    char *all = heap_alloc_bytes(old + 2 * strlen(value) + 1);
    if (!all)
        return -ENOMEM;
    if (old) {
        memcpy(all, r->lowerdir, old - 1);
        all[old - 1] = ':';
    }
    for (; *value; value++) {
        if (*value == ':' || *value == '\\')
            all[n++] = '\\';
        all[n++] = *value;
    }
    all[n] = '\0';
    heap_free(r->lowerdir);
    r->lowerdir = all;
    return 0;
}

static int parse_one(struct overlay_request *r, const char *key, const char *value) {
    if (strcmp(key, "lowerdir") == 0)
        return set_text(&r->lowerdir, value);
    if (strcmp(key, "lowerdir+") == 0)
        return append_lower(r, value);
    if (strcmp(key, "upperdir") == 0)
        return set_text(&r->upperdir, value);
    if (strcmp(key, "workdir") == 0)
        return set_text(&r->workdir, value);
    if (strcmp(key, "userxattr") == 0 && !value) {
        r->userxattr = true;
        return 0;
    }
    if (!value) {
        if (strcmp(key, "volatile") == 0)
            show(r, key, NULL);
        return strcmp(key, "volatile") == 0 || strcmp(key, "default_permissions") == 0 ? 0 : -ENOENT;
    }
    return strcmp(key, "redirect_dir") == 0 ? parse_redirect(r, value) : parse_choice(r, key, value);
}

/* Cuts the next option off: at a comma that no backslash stands before. */
static char *next_option(char **at) {
    char *item = *at, *p = item;
    if (!item)
        return NULL;
    while (*p && *p != ',')
        p += *p == '\\' && p[1] ? 2 : 1;
    *at = *p ? p + 1 : NULL;
    *p = '\0';
    return item;
}

int overlay_request_parse(const char *data, struct overlay_request *ret) {
    char *copy = data ? heap_strdup(data) : NULL, *at = copy, *item;
    int rc = data && !copy ? -ENOMEM : 0;
    *ret = (struct overlay_request){.redirect_follow = true};
    while (rc == 0 && (item = next_option(&at))) {
        char *value = strchr(item, '=');
        if (value)
            *value++ = '\0';
        if (*item)
            rc = parse_one(ret, item, value);
    }
    heap_free(copy);
    return rc;
}

void overlay_request_done(struct overlay_request *r) {
    heap_free(r->lowerdir);
    heap_free(r->upperdir);
    heap_free(r->workdir);
    *r = (struct overlay_request){0};
}

/* ---- directories ---- */

struct opening {
    const struct overlay_request *r;
    const struct mount_options *options;
    struct overlay_fs *o;
    struct path upper, work; /* references, or none */
    unsigned stack;
};

static void remove_backslashes(char *text) {
    char *to = text;
    for (; *text; text++) {
        if (*text == '\\' && text[1])
            text++;
        *to++ = *text;
    }
    *to = '\0';
}

static int find_directory(struct opening *p, const char *name, struct path *ret) {
    struct vfs_view v;
    char *plain = heap_strdup(name);
    if (!plain)
        return -ENOMEM;
    remove_backslashes(plain);
    vfs_view_of(p->options->view_task, &v);
    int rc = path_lookup(&v, LINUX_AT_FDCWD, plain, LOOKUP_FOLLOW, ret);
    vfs_view_done(&v);
    heap_free(plain);
    if (rc == 0 && !inode_is_dir(ret->dentry->inode)) {
        path_put(ret);
        rc = -EINVAL;
    }
    return rc;
}

/* Files of a pseudo file system are made as they are looked at: they are no layer's. */
static int add_layer(struct opening *p, const struct path *at, struct mount **ret) {
    if (at->mount->fs->flags & FS_NO_CACHE)
        return -EINVAL;
    p->stack = MAX(p->stack, at->mount->fs->stack);
    return vfs_layer_mount_path(p->options->view_task->nsproxy->mnt, at, ret);
}

static int open_lower(struct opening *p, const char *name) {
    struct overlay_fs *o = p->o;
    struct path at;
    if (o->lower_count == OVERLAY_LOWER_MAX)
        return -EINVAL;
    int rc = find_directory(p, name, &at);
    if (rc < 0)
        return rc;
    rc = add_layer(p, &at, &o->lowers[o->lower_count].mount);
    o->lower_count += rc == 0;
    path_put(&at);
    return rc;
}

static int open_lowers(struct opening *p) {
    char *list = heap_strdup(p->r->lowerdir), *at = list;
    size_t count = 1;
    int rc = list ? 0 : -ENOMEM;
    for (const char *c = p->r->lowerdir; *c; c++)
        count += *c == ':';
    p->o->lowers = heap_alloc_array(MIN(count, (size_t)OVERLAY_LOWER_MAX), sizeof(*p->o->lowers));
    if (!p->o->lowers)
        rc = -ENOMEM;
    while (rc == 0 && at) {
        char *name = at;
        while (*at && *at != ':')
            at += *at == '\\' && at[1] ? 2 : 1;
        bool more = *at;
        *at = '\0';
        at = more ? at + 1 : NULL;
        rc = *name ? open_lower(p, name) : -EINVAL;
    }
    heap_free(list);
    return rc;
}

/* Linux makes copies there; here files are made without a name. That it is empty for us is enough. */
static int prepare_work(struct opening *p) {
    struct inode *dir = p->work.dentry->inode, *made;
    mutex_lock(&dir->dir_lock);
    int rc = overlay_upper_check_locked(dir, "work", 4, NULL);
    if (rc == 0)
        rc = dir->ops->mkdir ? dir->ops->mkdir(dir, "work", 4, 0, p->o->creds, &made) : -EPERM;
    if (rc == 0)
        inode_unref(made);
    overlay_upper_changed(dir);
    mutex_unlock(&dir->dir_lock);
    return rc == -ESTALE ? 0 : rc;
}

static int open_upper(struct opening *p) {
    const struct creds *c = p->options->creds;
    struct overlay_fs *o = p->o;
    if (!p->r->upperdir)
        return 0;
    if (!p->r->workdir)
        return -EINVAL;
    int rc = find_directory(p, p->r->upperdir, &p->upper);
    if (rc == 0)
        rc = find_directory(p, p->r->workdir, &p->work);
    if (rc < 0)
        return rc;
    struct inode *dir = p->upper.dentry->inode;
    /* A whiteout cannot be kept in an overlay. */
    if (dir->fs->type == &overlay_fs_type || !dir->ops->tmpfile || !dir->ops->mknod || !dir->ops->setxattr)
        return -EINVAL;
    if (p->upper.mount != p->work.mount || dentry_is_below(p->upper.dentry, p->work.dentry) ||
        dentry_is_below(p->work.dentry, p->upper.dentry))
        return -EINVAL;
    rc = add_layer(p, &p->upper, &o->upper);
    if (rc < 0)
        return rc;
    rc = path_permission(&p->upper, c, MAY_WRITE | MAY_EXEC);
    if (rc == 0)
        rc = path_permission(&p->work, c, MAY_WRITE | MAY_EXEC);
    if (rc == 0)
        rc = prepare_work(p);
    o->force_readonly = rc == -EACCES || rc == -EPERM; /* shown, but not written to: as Linux */
    return o->force_readonly ? 0 : rc;
}

/* No layer may be another, or lie in one. */
static int check_overlap(const struct opening *p) {
    const struct overlay_fs *o = p->o;
    for (uint32_t a = 0; a < o->lower_count; a++) {
        struct dentry *d = o->lowers[a].mount->root;
        if (o->upper && (dentry_is_below(d, p->upper.dentry) || dentry_is_below(p->upper.dentry, d) ||
                         dentry_is_below(d, p->work.dentry) || dentry_is_below(p->work.dentry, d)))
            return -ELOOP;
        for (uint32_t b = 0; b < o->lower_count; b++)
            if (a != b && dentry_is_below(d, o->lowers[b].mount->root))
                return -ELOOP;
    }
    return 0;
}

/* ---- what the layers' files are numbered by ---- */

enum { MARK_SHIFT = 56 };

static void choose_marks(struct overlay_fs *o) {
    const struct filesystem *first = o->upper ? o->upper->fs : o->lowers[0].mount->fs;
    for (uint32_t n = 0; n < o->lower_count; n++) {
        const struct filesystem *fs = o->lowers[n].mount->fs;
        if (fs == first)
            continue;
        uint32_t same = 0;
        while (o->lowers[same].mount->fs != fs)
            same++;
        o->lowers[n].mark = (uint64_t)(same % 127 + 1) << MARK_SHIFT;
    }
}

/* ---- /proc/mounts ---- */

static char *append_text(char *to, const char *text) {
    size_t n = strlen(text);
    memcpy(to, text, n + 1);
    return to + n;
}

static char *append_option(char *to, const char *key, const char *value) {
    if (!value)
        return to;
    to = append_text(to, key);
    for (; *value; value++) {
        if (strchr(" \t\n\\", *value))
            to += snprintf(to, 5, "\\%03o", (unsigned char)*value);
        else
            *to++ = *value;
    }
    *to = '\0';
    return to;
}

static int describe(const struct overlay_request *r, struct overlay_fs *o) {
    const char *const values[] = {r->lowerdir, r->upperdir, r->upperdir ? r->workdir : NULL};
    static const char *const keys[] = {",lowerdir=", ",upperdir=", ",workdir="};
    size_t size = sizeof(r->shown) + sizeof(",userxattr");
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        size += strlen(keys[i]) + (values[i] ? 4 * strlen(values[i]) : 0);
    char *at = o->options = heap_alloc_bytes(size);
    if (!at)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        at = append_option(at, keys[i], values[i]);
    at = append_text(at, r->shown);
    (void)append_text(at, r->userxattr ? ",userxattr" : "");
    return 0;
}

int overlay_request_open(const struct overlay_request *r, const struct mount_options *options,
                         struct overlay_fs *o) {
    static const enum lock_rank ranks[FS_STACK_MAX + 1] = {RANK_OVERLAY, RANK_STACK1_OVERLAY,
                                                           RANK_STACK2_OVERLAY};
    struct opening p = {.r = r, .options = options, .o = o};
    int rc = r->lowerdir ? open_upper(&p) : -EINVAL;
    if (rc == 0)
        rc = open_lowers(&p);
    if (rc == 0 && !o->upper && o->lower_count < 2)
        rc = -EINVAL;
    if (rc == 0)
        rc = check_overlap(&p);
    if (rc == 0)
        rc = filesystem_stack_over(&o->fs, p.stack);
    if (rc == 0)
        rc = describe(r, o);
    if (p.upper.mount)
        path_put(&p.upper);
    if (p.work.mount)
        path_put(&p.work);
    if (rc < 0)
        return rc;
    o->rank = ranks[o->fs.stack];
    o->redirect_dir = r->redirect_dir;
    o->redirect_follow = r->redirect_follow;
    choose_marks(o);
    o->xattr_prefix = heap_strdup(r->userxattr ? "user.overlay." : "trusted.overlay.");
    return o->xattr_prefix ? 0 : -ENOMEM;
}
