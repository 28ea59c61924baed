/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/landlock.c: see landlock.h.
 */
#include "sentry/vfs/landlock.h"

#include <errno.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs_internal.h"

#define FILE_RIGHTS                                                                                          \
    (LINUX_LANDLOCK_FS_EXECUTE | LINUX_LANDLOCK_FS_WRITE_FILE | LINUX_LANDLOCK_FS_READ_FILE |                \
     LINUX_LANDLOCK_FS_TRUNCATE | LINUX_LANDLOCK_FS_IOCTL_DEV)

struct landlock_ruleset {
    struct file file;
    uint64_t handled_fs, handled_net; /* constant */
    struct mutex lock;                /* RANK_EVENT */
    struct landlock_rules rules;
};

HEAP_TYPE(landlock_ruleset, struct landlock_ruleset, 0);
HEAP_TYPE(landlock_layer, struct landlock_layer, 0);

/* ---- rules ---- */

static void rules_done(struct landlock_rules *r) {
    for (size_t i = 0; i < r->count; i++)
        dentry_unref(r->rules[i].dentry);
    heap_free(r->rules);
    *r = (struct landlock_rules){0};
}

static int compare(const struct landlock_rule *a, const struct inode *inode, uint64_t port) {
    if (a->inode != inode)
        return (uintptr_t)a->inode < (uintptr_t)inode ? -1 : 1;
    return a->port < port ? -1 : a->port > port;
}

/* Where it is, or would be. */
static size_t find(const struct landlock_rules *r, const struct inode *inode, uint64_t port,
                   bool *ret_there) {
    size_t low = 0, high = r->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = compare(&r->rules[middle], inode, port);
        if (c == 0) {
            *ret_there = true;
            return middle;
        }
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_there = false;
    return low;
}

static uint64_t granted_by(const struct landlock_rules *r, const struct inode *inode, uint64_t port) {
    bool there;
    size_t at = find(r, inode, port, &there);

    return there ? r->rules[at].access : 0;
}

static int grow(struct landlock_rules *r, size_t room) {
    struct landlock_rule *more =
        r->rules ? heap_realloc(r->rules, room * sizeof *more) : heap_alloc_array(room, sizeof *more);

    if (!more)
        return -ENOMEM;
    r->rules = more;
    r->room = room;
    return 0;
}

static int add_locked(struct landlock_rules *r, struct dentry *d, uint64_t port, uint64_t access) {
    struct inode *inode = d ? d->inode : NULL;
    bool there;
    size_t at = find(r, inode, port, &there);

    if (there) {
        r->rules[at].access |= access;
        return 0;
    }
    if (r->count == LANDLOCK_RULES_MAX)
        return -E2BIG;
    if (r->count == r->room && grow(r, r->room ? 2 * r->room : 8) < 0)
        return -ENOMEM;
    memmove(&r->rules[at + 1], &r->rules[at], (r->count - at) * sizeof r->rules[0]);
    r->rules[at] = (struct landlock_rule){d ? dentry_ref(d) : NULL, inode, port, access};
    r->count++;
    return 0;
}

/* ---- rulesets ---- */

static void ruleset_release(struct file *f) {
    struct landlock_ruleset *s = container_of(f, struct landlock_ruleset, file);

    rules_done(&s->rules);
    file_done(f);
    heap_free(s);
}

static const struct file_ops ruleset_ops = {.name = "landlock-ruleset", .release = ruleset_release};

bool file_is_landlock_ruleset(const struct file *f) {
    return f->ops == &ruleset_ops;
}

int landlock_ruleset_new(struct task *t, uint64_t handled_fs, uint64_t handled_net, struct file **ret) {
    struct landlock_ruleset *s = heap_new(landlock_ruleset);

    if (!s)
        return -ENOMEM;
    int r = file_init_anon(&s->file, &ruleset_ops, "anon_inode:[landlock-ruleset]", 0, LINUX_O_RDWR,
                           FILE_READ | FILE_WRITE | FILE_STREAM, task_creds(t));
    if (r < 0) {
        heap_free(s);
        return r;
    }
    mutex_init(&s->lock, RANK_EVENT);
    s->handled_fs = handled_fs;
    s->handled_net = handled_net;
    *ret = &s->file;
    return 0;
}

bool landlock_rule_unhandled(const struct file *f, bool port, uint64_t access) {
    const struct landlock_ruleset *s = container_of(f, struct landlock_ruleset, file);

    return access & ~(port ? s->handled_net : s->handled_fs);
}

static int add_rule(struct file *f, struct dentry *d, uint64_t port, uint64_t access) {
    struct landlock_ruleset *s = container_of(f, struct landlock_ruleset, file);

    if (d && !inode_is_dir(d->inode) && access & ~FILE_RIGHTS)
        return -EINVAL;
    mutex_lock(&s->lock);
    int r = add_locked(&s->rules, d, port, access);
    mutex_unlock(&s->lock);
    return r;
}

int landlock_add_path(struct file *f, const struct path *p, uint64_t access) {
    return add_rule(f, p->dentry, 0, access);
}

int landlock_add_port(struct file *f, uint64_t port, uint64_t access) {
    return add_rule(f, NULL, port, access);
}

/* ---- layers ---- */

static void landlock_layer_destroy(struct landlock_layer *l) {
    landlock_layer_unref(l->below); /* LANDLOCK_LAYERS_MAX at most */
    rules_done(&l->rules);
    heap_free(l);
}
DEFINE_REF(landlock_layer, landlock_layer_destroy);

static int copy_rules(struct landlock_ruleset *s, struct landlock_rules *ret) {
    int r = 0;

    mutex_lock(&s->lock);
    if (s->rules.count > 0)
        r = grow(ret, s->rules.count);
    for (; r == 0 && ret->count < s->rules.count; ret->count++) {
        ret->rules[ret->count] = s->rules.rules[ret->count];
        if (ret->rules[ret->count].dentry)
            dentry_ref(ret->rules[ret->count].dentry);
    }
    mutex_unlock(&s->lock);
    return r;
}

int landlock_restrict(struct task *t, struct file *f) {
    struct landlock_ruleset *s = container_of(f, struct landlock_ruleset, file);
    struct landlock_layer *below = t->creds->landlock;

    if (below && below->depth == LANDLOCK_LAYERS_MAX)
        return -E2BIG;
    struct landlock_layer *l = heap_new(landlock_layer);
    struct creds *c = creds_copy(t->creds);
    if (l)
        landlock_layer_ref_init(l);
    if (!l || !c || copy_rules(s, &l->rules) < 0) {
        creds_unref(c);
        landlock_layer_unref(l);
        return -ENOMEM;
    }
    l->handled_fs = s->handled_fs;
    l->handled_net = s->handled_net;
    l->depth = below ? below->depth + 1 : 1;
    l->below = below ? landlock_layer_ref(below) : NULL;
    landlock_layer_unref(c->landlock);
    c->landlock = l;
    task_set_creds(t, c);
    return 0;
}

bool landlock_contains(const struct landlock_layer *a, const struct landlock_layer *b) {
    while (b && a && b->depth > a->depth)
        b = b->below;
    return !a || a == b;
}

/* ---- files ---- */

/* By layer, the newest first: what is allowed. */
struct rights {
    uint64_t of[LANDLOCK_LAYERS_MAX];
};

static void add_granted(const struct landlock_layer *l, const struct inode *i, struct rights *r) {
    for (size_t n = 0; l; l = l->below, n++)
        r->of[n] |= granted_by(&l->rules, i, 0);
}

/* One step towards the root of all; false at the end. */
static bool step_up(struct path *at) {
    while (at->dentry == at->mount->root)
        if (!path_cross_up(at))
            return false;
    struct dentry *parent = dentry_parent(at->dentry);
    bool top = parent == at->dentry; /* removed, or moved out of a bind mount */
    dentry_unref(at->dentry);
    at->dentry = parent;
    return !top;
}

static void collect(const struct landlock_layer *domain, const struct path *p, struct rights *ret) {
    struct path at = path_get(p);
    size_t n = 0;

    *ret = (struct rights){0};
    do {
        /* on both sides of a mount point */
        add_granted(domain, at.dentry->inode, ret);
    } while (step_up(&at));
    path_put(&at);
    for (const struct landlock_layer *l = domain; l; l = l->below, n++)
        ret->of[n] = (ret->of[n] & (l->handled_fs | LINUX_LANDLOCK_FS_REFER)) |
                     ~(l->handled_fs | LINUX_LANDLOCK_FS_REFER);
}

static uint64_t missing(const struct landlock_layer *domain, const struct rights *r, uint64_t access) {
    uint64_t denied = 0;

    for (size_t n = 0; n < domain->depth; n++)
        denied |= access & ~r->of[n];
    return denied;
}

static bool is_nowhere(const struct path *p) {
    return p->mount->flags & MOUNT_INTERNAL;
}

uint64_t landlock_denied(const struct landlock_layer *l, const struct path *p, uint64_t access) {
    struct rights r;

    if (!l || is_nowhere(p))
        return 0;
    collect(l, p, &r);
    return missing(l, &r, access);
}

int landlock_check_denied(const struct landlock_layer *l, const struct path *p, uint64_t access) {
    return landlock_denied(l, p, access) ? -EACCES : 0;
}

uint64_t landlock_make_right(uint32_t type) {
    switch (type) {
    case LINUX_S_IFLNK:
        return LINUX_LANDLOCK_FS_MAKE_SYM;
    case LINUX_S_IFDIR:
        return LINUX_LANDLOCK_FS_MAKE_DIR;
    case LINUX_S_IFCHR:
        return LINUX_LANDLOCK_FS_MAKE_CHAR;
    case LINUX_S_IFBLK:
        return LINUX_LANDLOCK_FS_MAKE_BLOCK;
    case LINUX_S_IFIFO:
        return LINUX_LANDLOCK_FS_MAKE_FIFO;
    case LINUX_S_IFSOCK:
        return LINUX_LANDLOCK_FS_MAKE_SOCK;
    default:
        return LINUX_LANDLOCK_FS_MAKE_REG;
    }
}

static uint64_t remove_right(const struct inode *i) {
    return inode_is_dir(i) ? LINUX_LANDLOCK_FS_REMOVE_DIR : LINUX_LANDLOCK_FS_REMOVE_FILE;
}

/* Nothing that goes from `from` to `to` may gain a right thereby. */
static bool gains(const struct landlock_layer *domain, const struct inode *what, const struct rights *from,
                  const struct rights *to) {
    uint64_t matter = inode_is_dir(what) ? LINUX_LANDLOCK_FS_ALL : FILE_RIGHTS;
    struct rights own = {0}; /* what rules on the thing itself grant goes along */

    add_granted(domain, what, &own);
    for (size_t n = 0; n < domain->depth; n++)
        if (to->of[n] & ~(from->of[n] | own.of[n]) & matter & ~LINUX_LANDLOCK_FS_REFER)
            return true;
    return false;
}

int landlock_check_refer(const struct creds *c, const struct path *from_dir, struct dentry *moved,
                         const struct path *to_dir, struct dentry *replaced, bool keeps, bool exchange) {
    const struct landlock_layer *domain = c->landlock;
    struct inode *second = replaced ? replaced->inode : NULL;
    struct rights from, to;

    if (!domain || is_nowhere(to_dir))
        return 0;
    uint64_t at_from =
        (keeps ? 0 : remove_right(moved->inode)) | (exchange ? landlock_make_right(second->type) : 0);
    uint64_t at_to = landlock_make_right(moved->inode->type) | (second && !keeps ? remove_right(second) : 0);
    collect(domain, to_dir, &to);
    if (from_dir->dentry == to_dir->dentry)
        return missing(domain, &to, at_from | at_to) ? -EACCES : 0;
    collect(domain, from_dir, &from);
    if (missing(domain, &from, at_from) || missing(domain, &to, at_to))
        return -EACCES;
    if (missing(domain, &from, LINUX_LANDLOCK_FS_REFER) || missing(domain, &to, LINUX_LANDLOCK_FS_REFER) ||
        gains(domain, moved->inode, &from, &to) || (exchange && gains(domain, second, &to, &from)))
        return -EXDEV;
    return 0;
}

int landlock_check_mount(const struct creds *c) {
    for (const struct landlock_layer *l = c->landlock; l; l = l->below)
        if (l->handled_fs)
            return -EPERM;
    return 0;
}

/* ---- ports ---- */

int landlock_check_port(const struct creds *c, uint16_t port, uint64_t access) {
    for (const struct landlock_layer *l = c->landlock; l; l = l->below)
        if (access & l->handled_net & ~granted_by(&l->rules, NULL, port))
            return -EACCES;
    return 0;
}
