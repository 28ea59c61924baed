/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/file_lock.c: see file_lock.h. Source: fcntl(2) "Advisory record locking", flock(2).
 *
 * inode.posix_locks holds POSIX and OFD locks, which exclude each other, inode.flocks those of flock(2),
 * which do not mix with them. An owner's own locks never overlap and are kept apart by type. Owners: a
 * descriptor table (POSIX), an open file (OFD, flock); they are compared, never followed.
 *
 * Deadlock (POSIX only): who waits says for whom on vfs.blocked_locks; before a wait the chain is followed
 * for MAX_CHAIN steps, as Linux does. /proc/locks shows vfs.all_locks: so lists of locks change under both
 * locks, inode.locks_lock, then vfs.lock_graph.
 */
#include "sentry/vfs/file_lock.h"

#include <errno.h>

#include "base/clock.h"
#include "sentry/heap/heap.h"
#include "sentry/heap/text.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs_internal.h"

enum { MAX_CHAIN = 10 };

struct file_lock {
    struct list node;
    const void *owner;
    enum lock_kind kind;
    enum lock_type type;
    uint64_t start, end; /* inclusive */
    struct pid *pid;     /* reference: of the process that set it; NULL for OFD */
    struct list listed;  /* vfs.all_locks */
    uint64_t dev, ino;   /* of its file */
};
HEAP_TYPE(file_lock, struct file_lock, 0);

/* On the waiter's stack, listed while it waits. */
struct blocked {
    struct list node;
    const void *owner, *blocker;
};

static const void *owner_of(struct task *t, struct file *f, enum lock_kind kind) {
    return kind == LOCK_POSIX ? (const void *)t->files : f;
}

static struct list *list_of(struct inode *i, enum lock_kind kind) {
    return kind == LOCK_FLOCK ? &i->flocks : &i->posix_locks;
}

static void lock_free(struct file_lock *l) {
    if (!l)
        return;
    pid_unref(l->pid);
    heap_free(l);
}

static void free_all(struct list *gone) {
    while (!list_empty(gone)) {
        struct file_lock *l = list_first_entry(gone, struct file_lock, node);
        list_del(&l->node);
        lock_free(l);
    }
}

static struct file_lock *find_conflict_locked(struct list *locks, const void *owner,
                                              const struct lock_range *r) {
    struct file_lock *l;

    list_for_each_entry(l, locks, node) if (l->owner != owner && l->start <= r->end && r->start <= l->end &&
                                            (l->type == LOCK_WRITE || r->type == LOCK_WRITE)) return l;
    return NULL;
}

/* Room for what apply_locked() may need: the new lock, and the second half of one that it splits. */
struct spare {
    struct file_lock *new, *half;
};

static int spare_get(struct task *t, enum lock_kind kind, struct spare *s) {
    s->new = heap_new(file_lock);
    s->half = heap_new(file_lock);
    if (!s->new || !s->half) {
        lock_free(s->new);
        lock_free(s->half);
        return -ENOLCK;
    }
    list_init(&s->new->node);
    list_init(&s->half->node);
    list_init(&s->new->listed);
    list_init(&s->half->listed);
    if (kind != LOCK_OFD) {
        s->new->pid = pid_ref(t->group->pid);
        s->half->pid = pid_ref(t->group->pid);
    }
    return 0;
}

static void list_lock_locked(struct inode *i, struct list *at, struct file_lock *l) {
    l->dev = i->fs->dev;
    l->ino = i->ino;
    list_add_tail(at, &l->node);
    list_add_tail(&vfs_of(i->fs)->all_locks, &l->listed);
}

static void unlist_lock_locked(struct file_lock *l, struct list *gone) {
    list_del(&l->node);
    list_del(&l->listed);
    list_add(gone, &l->node);
}

/* The owner's locks after [start, end] has become r->type. Those that end up in `gone` are freed by the
 * caller without the locks. */
static void apply_locked(struct inode *i, const void *owner, enum lock_kind kind, const struct lock_range *r,
                         struct spare *s, struct list *gone) {
    struct list *locks = list_of(i, kind);
    struct file_lock *l, *next;
    uint64_t start = r->start, end = r->end;

    list_for_each_entry_safe(l, next, locks, node) {
        if (l->owner != owner)
            continue;
        if (l->type == r->type) { /* touching or overlapping: grows the new one */
            bool touches = l->start <= (end == UINT64_MAX ? end : end + 1) &&
                           start <= (l->end == UINT64_MAX ? l->end : l->end + 1);
            if (touches) {
                start = MIN(start, l->start);
                end = MAX(end, l->end);
                unlist_lock_locked(l, gone);
            }
            continue;
        }
        if (l->start > r->end || r->start > l->end)
            continue;
        if (l->start < r->start && l->end > r->end) { /* split: happens once at most */
            struct file_lock *half = s->half;
            s->half = NULL;
            half->owner = owner;
            half->kind = kind;
            half->type = l->type;
            half->start = r->end + 1;
            half->end = l->end;
            l->end = r->start - 1;
            list_lock_locked(i, &l->node, half); /* before it in the list: seen already */
        } else if (l->start < r->start) {
            l->end = r->start - 1;
        } else if (l->end > r->end) {
            l->start = r->end + 1;
        } else {
            unlist_lock_locked(l, gone);
        }
    }
    if (r->type == LOCK_NONE)
        return;
    struct file_lock *new = s->new;
    s->new = NULL;
    new->owner = owner;
    new->kind = kind;
    new->type = r->type;
    new->start = start;
    new->end = end;
    list_lock_locked(i, locks, new);
}

/* One try. `blocker`: set on -EAGAIN. */
static int try_set(struct inode *i, const void *owner, enum lock_kind kind, const struct lock_range *r,
                   struct spare *s, const void **ret_blocker) {
    struct list gone = LIST_INIT(gone);
    struct list *locks = list_of(i, kind);
    struct vfs *v = vfs_of(i->fs);
    bool dropped = false;
    int result = 0;

    mutex_lock(&i->locks_lock);
    mutex_lock(&v->lock_graph);
    if (kind == LOCK_FLOCK) { /* a conversion lets go first: flock(2) */
        const struct lock_range none = {LOCK_NONE, r->start, r->end, 0};
        struct file_lock *l;
        list_for_each_entry(l, locks, node) dropped |= l->owner == owner && l->type != r->type;
        if (dropped)
            apply_locked(i, owner, kind, &none, s, &gone);
    }
    struct file_lock *conflict = r->type == LOCK_NONE ? NULL : find_conflict_locked(locks, owner, r);
    if (conflict) {
        *ret_blocker = conflict->owner;
        result = -EAGAIN;
    } else {
        apply_locked(i, owner, kind, r, s, &gone);
    }
    mutex_unlock(&v->lock_graph);
    mutex_unlock(&i->locks_lock);
    if (!list_empty(&gone) || result == 0)
        waitq_wake(&i->locks_queue, WAIT_ANY);
    free_all(&gone);
    return result;
}

static bool would_deadlock_locked(struct vfs *v, const void *owner, const void *blocker) {
    for (int i = 0; i < MAX_CHAIN; i++) {
        struct blocked *b;
        const void *next = NULL;
        if (blocker == owner)
            return true;
        list_for_each_entry(b, &v->blocked_locks, node) if (b->owner == blocker) next = b->blocker;
        if (!next)
            return false;
        blocker = next;
    }
    return false;
}

static int note_blocked(struct vfs *v, struct blocked *b, enum lock_kind kind) {
    int r = 0;

    if (kind != LOCK_POSIX)
        return 0;
    mutex_lock(&v->lock_graph);
    list_del(&b->node);
    if (would_deadlock_locked(v, b->owner, b->blocker))
        r = -EDEADLK;
    else
        list_add_tail(&v->blocked_locks, &b->node);
    mutex_unlock(&v->lock_graph);
    return r;
}

static int wait_and_set(struct task *t, struct inode *i, const void *owner, enum lock_kind kind,
                        const struct lock_range *r, struct spare *s) {
    struct vfs *v = vfs_of(i->fs);
    struct blocked b = {.owner = owner};
    struct waiter w;
    int result;

    list_init(&b.node);
    waiter_init_task(&w, t, WAIT_ANY);
    waitq_add(&i->locks_queue, &w);
    for (;;) {
        result = try_set(i, owner, kind, r, s, &b.blocker);
        if (result != -EAGAIN)
            break;
        result = note_blocked(v, &b, kind);
        if (result == 0)
            result = task_block(t, CLOCK_NEVER);
        if (result < 0)
            break;
    }
    waitq_remove(&w);
    mutex_lock(&v->lock_graph);
    list_del(&b.node);
    mutex_unlock(&v->lock_graph);
    return result;
}

int file_lock_set(struct task *t, struct file *f, enum lock_kind kind, const struct lock_range *r,
                  bool wait) {
    const void *owner = owner_of(t, f, kind), *blocker;
    struct spare s;
    int result = spare_get(t, kind, &s);

    if (result < 0)
        return result;
    result = try_set(f->inode, owner, kind, r, &s, &blocker);
    if (result == -EAGAIN && wait)
        result = wait_and_set(t, f->inode, owner, kind, r, &s);
    lock_free(s.new);
    lock_free(s.half);
    return result;
}

void file_lock_test(struct task *t, struct file *f, enum lock_kind kind, struct lock_range *r) {
    struct inode *i = f->inode;
    struct pid_ns *ns = task_pid_ns(t);

    mutex_lock(&i->locks_lock);
    struct file_lock *l = find_conflict_locked(list_of(i, kind), owner_of(t, f, kind), r);
    if (l)
        *r = (struct lock_range){l->type, l->start, l->end, l->kind == LOCK_OFD ? -1 : pid_nr(l->pid, ns)};
    else
        r->type = LOCK_NONE;
    mutex_unlock(&i->locks_lock);
}

static void drop_owned(struct inode *i, struct list *locks, const void *owner) {
    struct list gone = LIST_INIT(gone);
    struct file_lock *l, *next;

    mutex_lock(&i->locks_lock);
    if (list_empty(locks)) { /* nearly every close */
        mutex_unlock(&i->locks_lock);
        return;
    }
    mutex_lock(&vfs_of(i->fs)->lock_graph);
    list_for_each_entry_safe(l, next, locks, node) {
        if (l->owner == owner)
            unlist_lock_locked(l, &gone);
    }
    mutex_unlock(&vfs_of(i->fs)->lock_graph);
    mutex_unlock(&i->locks_lock);
    if (list_empty(&gone))
        return;
    waitq_wake(&i->locks_queue, WAIT_ANY);
    free_all(&gone);
}

void file_lock_close(struct fd_table *files, struct file *f) {
    if (!(f->mode & FILE_PATH))
        drop_owned(f->inode, &f->inode->posix_locks, files);
}

void file_lock_release(struct file *f) {
    if (f->mode & FILE_PATH)
        return;
    drop_owned(f->inode, &f->inode->posix_locks, f);
    drop_owned(f->inode, &f->inode->flocks, f);
}

/* ---- /proc/locks ---- */

static void show_one(const struct file_lock *l, unsigned number, int pid, struct text *out) {
    static const char *const kinds[] = {
        [LOCK_POSIX] = "POSIX ", [LOCK_OFD] = "OFDLCK", [LOCK_FLOCK] = "FLOCK "};

    text_printf(out, "%u: %s ADVISORY  %s %d %02x:%02x:%lu ", number, kinds[l->kind],
                l->type == LOCK_WRITE ? "WRITE" : "READ", pid, (unsigned)(l->dev >> 8 & 0xfff),
                (unsigned)((l->dev & 0xff) | (l->dev >> 12 & 0xfff00)), (unsigned long)l->ino);
    if (l->kind == LOCK_FLOCK || l->end >= INT64_MAX)
        text_printf(out, "%lu EOF\n", l->kind == LOCK_FLOCK ? 0ul : (unsigned long)l->start);
    else
        text_printf(out, "%lu %lu\n", (unsigned long)l->start, (unsigned long)l->end);
}

void file_locks_show(struct kernel *k, struct pid_ns *ns, struct text *out) {
    struct vfs *v = k->vfs;
    struct file_lock *l;
    unsigned number = 0;

    mutex_lock(&v->lock_graph);
    list_for_each_entry(l, &v->all_locks, listed) {
        int pid = l->kind == LOCK_OFD ? -1 : pid_nr(l->pid, ns);
        if (pid != 0) /* somebody who is not to be seen from here */
            show_one(l, ++number, pid, out);
    }
    mutex_unlock(&v->lock_graph);
}
