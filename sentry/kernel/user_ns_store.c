/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/user_ns_store.c: writes to /proc/PID/{uid_map,gid_map,setgroups}. Source: user_namespaces(7) "Defining user and group ID mappings: writing to
 * uid_map and gid_map", "The /proc/pid/setgroups file".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/capability.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/task.h"

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

static int parse_number(const char **at, const char *end, uint32_t *ret) {
    uint64_t value = 0;
    const char *from = *at = skip_blanks(*at, end);

    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        value = value * 10 + (uint64_t)(**at - '0');
        if (value > UINT32_MAX)
            return -EINVAL;
    }
    *ret = (uint32_t)value;
    return *at == from ? -EINVAL : 0;
}

/* Lines of "inside outside count"; at most USER_NS_MAX_EXTENTS. */
static int parse_map(const char *data, size_t len, struct id_extent *extents, size_t *ret_count) {
    const char *at = data, *end = data + len;
    size_t count = 0;

    while (at < end) {
        struct id_extent e;
        if (count == USER_NS_MAX_EXTENTS || parse_number(&at, end, &e.inside) < 0 || parse_number(&at, end, &e.outside) < 0 ||
            parse_number(&at, end, &e.count) < 0)
            return -EINVAL;
        at = skip_blanks(at, end);
        if (at < end && *at != '\n')
            return -EINVAL;
        at += at < end;
        extents[count++] = e;
    }
    *ret_count = count;
    return count > 0 ? 0 : -EINVAL;
}

/* May `writer` define this map? A process without capabilities in the parent namespace may map its own id alone (and, for groups, only with setgroups denied). */
static bool may_map(struct user_ns *ns, struct task *writer, bool group, const struct id_extent *extents, size_t count) {
    const struct creds *c = task_creds(writer);
    int cap = group ? LINUX_CAP_SETGID : LINUX_CAP_SETUID;

    if (creds_has_cap_in(c, ns->parent, cap) && creds_has_cap_in(c, ns, LINUX_CAP_SYS_ADMIN))
        return true;
    if (count != 1 || extents[0].count != 1 || c->euid != ns->owner)
        return false;
    if (!group)
        return make_kuid(ns->parent, extents[0].outside) == c->euid;
    return make_kgid(ns->parent, extents[0].outside) == c->egid && ns->setgroups_denied;
}

static int store_map(struct user_ns *ns, struct task *writer, bool group, const char *data, size_t len) {
    struct id_extent *extents = heap_alloc_bytes(USER_NS_MAX_EXTENTS * sizeof *extents);
    size_t count;

    if (!extents)
        return -ENOMEM;
    int r = parse_map(data, len, extents, &count);
    if (r == 0 && !creds_has_cap_in(task_creds(writer), ns, LINUX_CAP_SYS_ADMIN))
        r = -EPERM;
    if (r == 0 && !may_map(ns, writer, group, extents, count))
        r = -EPERM;
    if (r == 0)
        r = user_ns_set_map(ns, group, extents, count);
    heap_free(extents);
    return r;
}

/* "deny" only before the group map is written, and never back. */
static int store_setgroups(struct user_ns *ns, struct task *writer, const char *data, size_t len) {
    while (len > 0 && strchr(" \t\n", data[len - 1]))
        len--;
    bool allow = len == 5 && memcmp(data, "allow", 5) == 0, deny = len == 4 && memcmp(data, "deny", 4) == 0;
    if (!allow && !deny)
        return -EINVAL;
    if (!creds_has_cap_in(task_creds(writer), ns, LINUX_CAP_SYS_ADMIN))
        return -EPERM;
    mutex_lock(&ns->lock);
    int r = (allow && ns->setgroups_denied) || (deny && ns->gid_map_count > 0) ? -EPERM : 0;
    if (r == 0)
        ns->setgroups_denied = deny;
    mutex_unlock(&ns->lock);
    return r;
}

int user_ns_store(struct user_ns *ns, struct task *writer, enum user_ns_file what, const char *data, size_t len) {
    if (!ns->parent)
        return -EPERM;
    if (what == USER_NS_SETGROUPS)
        return store_setgroups(ns, writer, data, len);
    return store_map(ns, writer, what == USER_NS_GID_MAP, data, len);
}
