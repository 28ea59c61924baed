/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/user_ns_store.c: what writing /proc/PID/{uid_map,gid_map,setgroups} does. Source:
 * user_namespaces(7), "Defining user and group ID mappings" and "The /proc/pid/setgroups file". The text is
 * the guest's.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/task.h"

/* One decimal number of at most 32 bits; moves *at behind it. */
static bool parse_number(const char **at, const char *end, uint32_t *ret) {
    uint64_t value = 0;
    bool any = false;

    while (*at < end && (**at == ' ' || **at == '\t'))
        ++*at;
    for (; *at < end && isdigit((unsigned char)**at); ++*at, any = true) {
        value = value * 10 + (unsigned)(**at - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *ret = (uint32_t)value;
    return any;
}

/* "inside outside count" lines. How many, or -EINVAL. */
static int parse_extents(const char *data, size_t len, struct id_extent *extents) {
    const char *at = data, *end = data + len;
    int count = 0;

    while (at < end) {
        struct id_extent *e = &extents[count];
        if (count == USER_NS_MAX_EXTENTS)
            return -EINVAL;
        if (!parse_number(&at, end, &e->inside) || !parse_number(&at, end, &e->outside) ||
            !parse_number(&at, end, &e->count))
            return -EINVAL;
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (at < end && *at != '\n' && *at != '\0')
            return -EINVAL;
        at++;
        count++;
    }
    return count ? count : -EINVAL;
}

/* May the writer map these ids? */
static bool may_map(struct user_ns *ns, struct task *writer, bool gid, const struct id_extent *e, int count) {
    const struct creds *c = task_creds(writer);
    struct user_ns *parent = ns->parent;

    if (count == 1 && e->count == 1 && c->euid == ns->owner) { /* one's own id needs no capability */
        if (!gid && make_kuid(parent, e->outside) == c->euid)
            return true;
        mutex_lock(&ns->lock);
        bool denied = ns->setgroups_denied;
        mutex_unlock(&ns->lock);
        if (gid && denied && make_kgid(parent, e->outside) == c->egid)
            return true;
    }
    return creds_has_cap_in(c, parent, gid ? LINUX_CAP_SETGID : LINUX_CAP_SETUID);
}

static int store_map(struct user_ns *ns, struct task *writer, bool gid, const char *data, size_t len) {
    const struct creds *c = task_creds(writer);

    if (!ns->parent || (c->user_ns != ns && c->user_ns != ns->parent) ||
        !creds_has_cap_in(c, ns, LINUX_CAP_SYS_ADMIN))
        return -EPERM;
    struct id_extent *extents = heap_alloc_bytes(USER_NS_MAX_EXTENTS * sizeof *extents);
    if (!extents)
        return -ENOMEM;
    int r = parse_extents(data, len, extents);
    if (r > 0)
        r = may_map(ns, writer, gid, extents, r) ? user_ns_set_map(ns, gid, extents, (size_t)r) : -EPERM;
    heap_free(extents);
    return r;
}

static int store_setgroups(struct user_ns *ns, struct task *writer, const char *data, size_t len) {
    while (len > 0 && isspace((unsigned char)data[len - 1]))
        len--;
    bool allow = len == 5 && memcmp(data, "allow", 5) == 0, deny = len == 4 && memcmp(data, "deny", 4) == 0;
    int r = 0;

    if (!allow && !deny)
        return -EINVAL;
    if (!creds_has_cap_in(task_creds(writer), ns, LINUX_CAP_SYS_ADMIN))
        return -EPERM;
    mutex_lock(&ns->lock);
    if (allow && ns->setgroups_denied)
        r = -EPERM;
    else if (deny && ns->gid_map_count > 0 && !ns->setgroups_denied)
        r = -EPERM; /* too late */
    else if (deny)
        ns->setgroups_denied = true;
    mutex_unlock(&ns->lock);
    return r;
}

int user_ns_store(struct user_ns *ns, struct task *writer, enum user_ns_file what, const char *data,
                  size_t len) {
    if (what == USER_NS_SETGROUPS)
        return store_setgroups(ns, writer, data, len);
    return store_map(ns, writer, what == USER_NS_GID_MAP, data, len);
}
