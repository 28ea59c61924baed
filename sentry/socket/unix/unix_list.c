/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/unix/unix_list.c: all unix sockets that have an open file (unix.h).
 */
#include "sentry/socket/unix/unix.h"

#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/socket/unix/unix_internal.h"

static void fill(struct unix_sock *s, struct unix_info *i) {
    mutex_lock(&s->lock);
    *i = (struct unix_info){.inode = s->inode,
                            .type = s->type,
                            .listening = s->state == UNIX_LISTENING,
                            .connected = s->state == UNIX_CONNECTED,
                            .refs = atomic_load(&s->ref.count)};
    if (s->name) {
        size_t len = s->name->len - sizeof s->name->address.family;
        memcpy(i->name, s->name->address.path, MIN(len, sizeof i->name - 1));
        for (size_t at = 0; at < len && i->name[0] == '\0'; at++)
            if (i->name[at] == '\0')
                i->name[at] = '@';
    }
    mutex_unlock(&s->lock);
}

void unix_each(struct kernel *k, void (*fn)(void *ctx, const struct unix_info *i), void *ctx) {
    struct unix_info info;

    /* One look at a time: a sock's own lock comes before the list's. */
    for (struct unix_sock *s = unix_list_next(k, NULL); s; s = unix_list_next(k, s)) {
        fill(s, &info);
        fn(ctx, &info);
    }
}
