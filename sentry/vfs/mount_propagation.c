/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/mount_propagation.c: shared, slave, private and unbindable mounts. Source: mount_namespaces(7),
 * "SHARED SUBTREES".
 *
 * A mount in a peer group has peer_group != 0; one that receives from a group has master_group != 0; it may
 * have both. All such mounts are on vfs.grouped, in which an event looks for receivers: a walk of that list
 * per hop, which is as long as the number of grouped mounts of all namespaces. Lock: vfs.mounts_lock.
 */
#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/vfs/vfs_internal.h"

static void regroup(struct vfs *v, struct mount *m) {
    bool listed = !list_empty(&m->peer_node);
    bool grouped = m->peer_group || m->master_group;

    if (grouped && !listed)
        list_add_tail(&v->grouped, &m->peer_node);
    else if (!grouped && listed)
        list_del(&m->peer_node);
    if (m->propagation != PROPAGATE_UNBINDABLE || grouped)
        m->propagation = m->peer_group     ? PROPAGATE_SHARED
                         : m->master_group ? PROPAGATE_SLAVE
                                           : PROPAGATE_PRIVATE;
}

/* `m` is a new copy of `from`. */
void mount_group_join_locked(struct vfs *v, struct mount *m, struct mount *from, unsigned how) {
    if (how & COPY_AS_SLAVE && from->peer_group) {
        m->master_group = from->peer_group;
    } else {
        m->peer_group = from->peer_group;
        m->master_group = from->master_group;
    }
    m->propagation = PROPAGATE_PRIVATE;
    regroup(v, m);
}

static bool group_has_members(struct vfs *v, int group) {
    struct mount *m;

    list_for_each_entry(m, &v->grouped, peer_node) if (m->peer_group == group) return true;
    return false;
}

/* The last peer of a group hands its slaves to its own master. */
static void leave_peers(struct vfs *v, struct mount *m) {
    int group = m->peer_group;

    m->peer_group = 0;
    if (!group || group_has_members(v, group))
        return;
    struct mount *s, *tmp;
    list_for_each_entry_safe(s, tmp, &v->grouped, peer_node) {
        if (s->master_group == group) {
            s->master_group = m->master_group;
            regroup(v, s);
        }
    }
}

void mount_group_leave_locked(struct vfs *v, struct mount *m) {
    leave_peers(v, m);
    m->master_group = 0;
    regroup(v, m);
}

void mount_set_propagation_locked(struct vfs *v, struct mount *m, enum propagation p) {
    int group = m->peer_group;

    switch (p) {
    case PROPAGATE_SHARED:
        if (!group)
            m->peer_group = ++v->last_group;
        m->propagation = p;
        break;
    case PROPAGATE_SLAVE:
        if (group) {
            int master = m->master_group;
            m->peer_group = 0;
            if (group_has_members(v, group)) {
                m->master_group = group;
            } else {
                m->peer_group = group;
                leave_peers(v, m);
                m->master_group = master;
            }
        }
        break;
    case PROPAGATE_PRIVATE:
    case PROPAGATE_UNBINDABLE:
        mount_group_leave_locked(v, m);
        m->propagation = p;
        break;
    }
    regroup(v, m);
}

/* ---- events ---- */

/* A receiver of what happens on `source` at `at`: peers, slaves, and their peers and slaves in turn. Breadth
   first: receivers are chained in `copy`, which serves as the queue's link and mark. */
static struct mount *collect_receivers(struct vfs *v, struct mount *source) {
    struct mount *m, *first = NULL, *last = NULL;

    list_for_each_entry(m, &v->grouped, peer_node) m->copy = NULL;
    source->copy = source; /* marks it, and ends the chain */
    for (struct mount *from = source; from; from = from == source         ? first
                                                   : from->copy == source ? NULL
                                                                          : from->copy) {
        if (!from->peer_group)
            continue;
        list_for_each_entry(m, &v->grouped, peer_node) {
            if (m->copy || m == source ||
                (m->peer_group != from->peer_group && m->master_group != from->peer_group))
                continue;
            m->copy = source;
            if (last)
                last->copy = m;
            else
                first = m;
            last = m;
        }
    }
    return first;
}

static bool receives(struct mount *m, struct mount *source, struct dentry *at) {
    return m->ns && m->fs == source->fs && dentry_is_below(at, m->root);
}

/* The receivers of an event, in an array from the heap; count 0: none, and *ret NULL. */
static int receivers_of(struct vfs *v, struct mount *source, struct dentry *at, struct mount ***ret,
                        size_t *ret_count) {
    struct mount *first = collect_receivers(v, source);
    size_t n = 0, at_index = 0;

    *ret = NULL;
    *ret_count = 0;
    for (struct mount *m = first; m && m != source; m = m->copy)
        n++;
    if (n == 0)
        return 0;
    struct mount **array = heap_alloc_array(n, sizeof *array);
    if (!array)
        return -ENOMEM;
    for (struct mount *m = first; m && m != source; m = m->copy)
        if (receives(m, source, at))
            array[at_index++] = m;
    *ret = array;
    *ret_count = at_index;
    return 0;
}

/* A receiver of a mount event, and the copy that it got. */
struct delivery {
    struct mount *to, *copy;
};

/* Which earlier copy (or the original, for `parent` itself) the one for `to` is made of: a peer's, else one
 * of its master's group. Receivers come breadth first, so that a group's copy is there before its slaves need
 * it. */
static struct mount *copy_of_group(const struct delivery *done, size_t count, struct mount *tree,
                                   const struct mount *parent, int group) {
    if (!group)
        return NULL;
    if (parent->peer_group == group)
        return tree;
    for (size_t i = 0; i < count; i++)
        if (done[i].copy && done[i].to->peer_group == group)
            return done[i].copy;
    return NULL;
}

static int deliver(struct vfs *v, struct delivery *all, size_t n, struct mount *tree, struct mount *parent,
                   struct dentry *at, struct list *gone) {
    struct mount *to = all[n].to;
    struct mount *from = copy_of_group(all, n, tree, parent, to->peer_group);
    unsigned how = from ? 0 : COPY_AS_SLAVE;

    if (!from)
        from = copy_of_group(all, n, tree, parent, to->master_group);
    if (!from) /* its master does not show the place */
        from = tree;
    if (parent->ns && to->ns->user_ns != parent->ns->user_ns)
        how |= COPY_LOCK;
    int r = mount_copy_tree_locked(v, from, from->root, /* recursive= */ true, how, &all[n].copy, gone);
    if (r < 0)
        return r;
    if (how & COPY_AS_SLAVE && to->peer_group)
        for (struct mount *m = all[n].copy; m; m = mount_next_locked(m, all[n].copy))
            mount_set_propagation_locked(v, m, PROPAGATE_SHARED);
    /* What is mounted there already stays below: the newest is found first. */
    mount_attach_locked(v, all[n].copy, to, at, to->ns);
    mnt_ns_changed_locked(v, to->ns);
    return 0;
}

int mount_propagate_attach_locked(struct vfs *v, struct mount *tree, struct mount *parent, struct dentry *at,
                                  struct list *gone) {
    struct mount **to;
    size_t count, i;

    if (!parent->peer_group)
        return 0;
    for (struct mount *m = tree; m; m = mount_next_locked(m, tree))
        mount_set_propagation_locked(v, m, PROPAGATE_SHARED);
    int r = receivers_of(v, parent, at, &to, &count);
    struct delivery *all = r == 0 && count > 0 ? heap_alloc_array(count, sizeof *all) : NULL;
    if (count > 0 && r == 0 && !all)
        r = -ENOMEM;
    for (i = 0; r == 0 && i < count; i++)
        all[i].to = to[i];
    for (i = 0; r == 0 && i < count; i++)
        r = deliver(v, all, i, tree, parent, at, gone);
    for (size_t j = 0; r < 0 && all && j < i; j++) /* all or nobody */
        if (all[j].copy)
            mount_detach_tree_locked(v, all[j].copy, gone);
    heap_free(all);
    heap_free(to);
    return r;
}

void mount_propagate_detach_locked(struct vfs *v, struct mount *m, struct list *gone) {
    struct mount **from;
    size_t count;

    if (!m->parent || !m->parent->peer_group || receivers_of(v, m->parent, m->mountpoint, &from, &count) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        struct mount *copy = mount_on_locked(v, from[i], m->mountpoint);
        if (copy && copy != m && copy->fs == m->fs && copy->root == m->root && !(copy->flags & MOUNT_LOCKED))
            mount_detach_tree_locked(v, copy, gone);
    }
    heap_free(from);
}
