/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/time_ns.c: see time_ns.h.
 */
#include "sentry/kernel/time_ns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/time.h"
#include "sentry/heap/heap.h"
#include "sentry/heap/text.h"
#include "sentry/kernel/clocks.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"

HEAP_TYPE(time_ns, struct time_ns, 0);

static void time_ns_destroy(struct time_ns *ns) {
    user_ns_unref(ns->user_ns);
    heap_free(ns);
}
DEFINE_REF(time_ns, time_ns_destroy);

struct time_ns *time_ns_new(struct kernel *k, struct user_ns *user_ns, struct time_ns *like) {
    struct time_ns *ns = heap_new(time_ns);

    if (!ns)
        return NULL;
    time_ns_ref_init(ns);
    mutex_init(&ns->lock, RANK_LEAF);
    ns->user_ns = user_ns_ref(user_ns);
    ns->inode = kernel_new_inode(k);
    ns->frozen = !like;
    if (like) {
        mutex_lock(&like->lock);
        ns->monotonic_ns = like->monotonic_ns;
        ns->boottime_ns = like->boottime_ns;
        mutex_unlock(&like->lock);
    }
    return ns;
}

void time_ns_freeze(struct time_ns *ns) {
    mutex_lock(&ns->lock);
    ns->frozen = true;
    mutex_unlock(&ns->lock);
}

bool time_ns_shifts(const struct time_ns *ns) {
    return ns && (ns->monotonic_ns || ns->boottime_ns);
}

int time_ns_enter_for_children(struct task *t) {
    if (t->nsproxy->time == t->nsproxy->time_for_children)
        return 0;
    struct nsproxy *n = nsproxy_copy(t->nsproxy);
    if (!n)
        return -ENOMEM;
    nsproxy_enter_time(n);
    task_set_nsproxy(t, n);
    return 0;
}

int64_t time_ns_offset(const struct time_ns *ns, int clock) {
    switch (clock) {
    case LINUX_CLOCK_MONOTONIC:
    case LINUX_CLOCK_MONOTONIC_RAW:
    case LINUX_CLOCK_MONOTONIC_COARSE:
        return ns->monotonic_ns;
    case LINUX_CLOCK_BOOTTIME:
    case LINUX_CLOCK_BOOTTIME_ALARM:
        return ns->boottime_ns;
    default:
        return 0;
    }
}

/* ---- the file ---- */

/* As the kernel's timespec: nanoseconds count upwards. */
static void show_one(struct text *out, const char *name, int64_t ns) {
    int64_t sec = ns / NSEC_PER_SEC, nsec = ns % NSEC_PER_SEC;

    if (nsec < 0) {
        nsec += NSEC_PER_SEC;
        sec--;
    }
    text_printf(out, "%-10s %10lld %9lld\n", name, (long long)sec, (long long)nsec);
}

void time_ns_show(struct time_ns *ns, struct text *out) {
    mutex_lock(&ns->lock);
    int64_t monotonic = ns->monotonic_ns, boottime = ns->boottime_ns;
    mutex_unlock(&ns->lock);
    show_one(out, "monotonic", monotonic);
    show_one(out, "boottime", boottime);
}

struct time_line {
    bool boottime;
    int64_t sec;
    uint64_t nsec;
};

static int parse_line(const char *line, struct time_line *ret) {
    char name[10];
    long long sec;
    unsigned long nsec;

    if (sscanf(line, "%9s %lld %lu", name, &sec, &nsec) != 3 || nsec >= NSEC_PER_SEC)
        return -EINVAL;
    if (strcmp(name, "boottime") == 0 || strcmp(name, "7") == 0)
        ret->boottime = true;
    else if (strcmp(name, "monotonic") == 0 || strcmp(name, "1") == 0)
        ret->boottime = false;
    else
        return -EINVAL;
    ret->sec = sec;
    ret->nsec = nsec;
    return 0;
}

/* The clock that it makes must be neither before its start nor near the end of 64-bit time. */
static int check_range(struct kernel *k, const struct time_line *line) {
    const int64_t most = INT64_MAX / NSEC_PER_SEC;
    int64_t now = line->boottime ? clock_guest_boottime(k) : clock_guest_monotonic(k);

    if (line->sec > most || line->sec < -most)
        return -ERANGE;
    int64_t sec =
        now / NSEC_PER_SEC + line->sec + (now % NSEC_PER_SEC + (int64_t)line->nsec >= NSEC_PER_SEC ? 1 : 0);
    return sec < 0 || sec > most / 2 ? -ERANGE : 0;
}

ssize_t time_ns_store(struct time_ns *ns, struct task *writer, const char *data, size_t len) {
    struct time_line lines[2];
    size_t count = 0, used = 0;
    char text[PAGE_SIZE];

    if (len >= sizeof text)
        return -EINVAL;
    memcpy(text, data, len);
    text[len] = '\0';
    for (char *line = text; line && *line && count < ARRAY_SIZE(lines); count++) {
        char *end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        int r = parse_line(line, &lines[count]);
        if (r < 0)
            return r;
        used = end ? (size_t)(end - text) : len;
        line = end;
    }
    if (!task_capable_in(writer, ns->user_ns, LINUX_CAP_SYS_TIME))
        return -EPERM;
    for (size_t i = 0; i < count; i++) {
        int r = check_range(writer->kernel, &lines[i]);
        if (r < 0)
            return r;
    }
    mutex_lock(&ns->lock);
    bool frozen = ns->frozen;
    for (size_t i = 0; i < count && !frozen; i++)
        *(lines[i].boottime ? &ns->boottime_ns : &ns->monotonic_ns) =
            lines[i].sec * NSEC_PER_SEC + (int64_t)lines[i].nsec;
    mutex_unlock(&ns->lock);
    return frozen ? -EACCES : (ssize_t)used;
}
