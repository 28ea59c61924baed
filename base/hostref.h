/* SPDX-License-Identifier: Apache-2.0
 * base/hostref.h: the only way in which a kernel object refers to something of the host: a descriptor, a
 * thread, an object of malloc or of a platform. A hostref lies in the sentry's heap; its `host` part means
 * nothing in another process, and its ops say how to let it go (and, later, how to make it again on restore).
 * The heap's lint knows this type and skips `host`.
 *
 * Ownership: one owner, no count; share what contains it instead. hostref_release() is idempotent.
 */
#pragma once

#include "base/compiler.h"

struct hostref;
struct hostref_ops {
    const char *name;
    void (*release)(struct hostref *h); /* lets go of h->host; called once; may block */
};

struct hostref {
    const struct hostref_ops *ops; /* NULL: empty */
    union {
        int fd;
        void *ptr;
        uint64_t word;
    } host;
};

static inline void hostref_release(struct hostref *h) {
    const struct hostref_ops *ops = h->ops;
    h->ops = NULL;
    if (ops)
        ops->release(h);
    h->host.word = 0;
}

extern const struct hostref_ops hostref_fd_ops; /* host.fd, closed on release */

static inline struct hostref hostref_fd(int fd) {
    return (struct hostref){.ops = &hostref_fd_ops, .host.fd = fd};
}
/* The descriptor, or -1 if empty. */
static inline int hostref_get_fd(const struct hostref *h) {
    return h->ops ? h->host.fd : -1;
}
