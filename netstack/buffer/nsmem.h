/* SPDX-License-Identifier: Apache-2.0
 * netstack/buffer/nsmem.h: the typed allocator that the creator of a stack hands in.
 *
 * Every byte of a stack's state comes from here, so that the sentry's heap can carry, copy and save it
 * (DESIGN section 4). Objects are asked for by a static type descriptor, packet bytes as plain blocks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct netstack_type {
    const char *name;
    size_t size;
    size_t align;
    uint32_t id;                /* counts from 0 in order of registration */
    struct netstack_type *next; /* netstack_types() */
};

/* At file scope, once a type. Types are registered at program start, before constructors without a priority
 * run, so that a creator can give each one a cache of its own: it finds it by `id`. */
#define NETSTACK_TYPE(tag, t)                                                                                \
    static struct netstack_type tag = {.name = #t, .size = sizeof(t), .align = _Alignof(t)};                 \
    __attribute__((constructor(200))) static void register_##tag(void) {                                     \
        netstack_type_register(&tag);                                                                        \
    }                                                                                                        \
    _Static_assert(sizeof(t) > 0, "")

enum { NETSTACK_TYPE_MAX = 64 };
void netstack_type_register(struct netstack_type *type);
/* All types, in order of falling id. */
const struct netstack_type *netstack_types(void);

struct netstack_alloc_ops {
    /* Does: returns a zeroed object of `type`. Caller holds: the stack's lock. May block: no.
     * Returns+ownership: NULL if there is no memory; else owned by the stack until free(). Required. */
    void *(*alloc)(void *ctx, const struct netstack_type *type);
    /* Does: takes an object of alloc() back. Caller holds: the stack's lock. May block: no. Required. */
    void (*free)(void *ctx, const struct netstack_type *type, void *obj);
    /* Does: returns `len` bytes (> 0), not zeroed, aligned to 16: packet data and tables. Rest as alloc().
     * Required. */
    void *(*alloc_bytes)(void *ctx, size_t len);
    /* Does: takes bytes of alloc_bytes() back; `len` is what was asked for. Required. */
    void (*free_bytes)(void *ctx, void *p, size_t len);
};

struct nsmem {
    const struct netstack_alloc_ops *ops;
    void *ctx;
};

static inline void *nsmem_alloc(struct nsmem *m, const struct netstack_type *type) {
    return m->ops->alloc(m->ctx, type);
}

static inline void nsmem_free(struct nsmem *m, const struct netstack_type *type, void *obj) {
    if (obj)
        m->ops->free(m->ctx, type, obj);
}

static inline void *nsmem_bytes(struct nsmem *m, size_t len) {
    return m->ops->alloc_bytes(m->ctx, len);
}

static inline void nsmem_free_bytes(struct nsmem *m, void *p, size_t len) {
    if (p)
        m->ops->free_bytes(m->ctx, p, len);
}
