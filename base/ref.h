/* SPDX-License-Identifier: Apache-2.0
 * base/ref.h: reference counts, with a registry of live objects in debug builds.
 *
 * DEFINE_REF(file, file_destroy) makes file_ref(), file_tryref() and file_unref(). unref takes NULL, returns
 * NULL, and calls destroy(obj) when the last reference goes; destroy runs with no lock above RANK_NOBLOCK
 * held by the caller unless the type says otherwise. The struct has a member `struct ref ref`. Debug builds
 * count live objects by type name: ref_leaks() prints and returns how many are left.
 */
#pragma once

#include <stdatomic.h>

#include "base/compiler.h"

struct ref {
    _Atomic uint32_t count;
};

#ifdef RUNSC_DEBUG
void ref_registry_add(const char *type, const void *obj);
void ref_registry_remove(const char *type, const void *obj);
#else
static inline void ref_registry_add(const char *type, const void *obj) {
    (void)type;
    (void)obj;
}
static inline void ref_registry_remove(const char *type, const void *obj) {
    (void)type;
    (void)obj;
}
#endif
/* Prints each type with live objects to standard error (debug builds); the number of live objects in all. */
size_t ref_leaks(void);

static inline void ref_get(struct ref *r) {
    uint32_t old = atomic_fetch_add_explicit(&r->count, 1, memory_order_relaxed);
    ASSERT(old > 0);
    ASSERT(old < UINT32_MAX / 2);
}

/* For look-ups by a pointer that does not itself hold a reference: false if the object is already ending. */
static inline bool ref_tryget(struct ref *r) {
    uint32_t old = atomic_load_explicit(&r->count, memory_order_relaxed);
    do {
        if (old == 0)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&r->count, &old, old + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

/* True if that was the last reference. */
static inline bool ref_put(struct ref *r) {
    uint32_t old = atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel);
    ASSERT(old > 0);
    return old == 1;
}

#define DECLARE_REF(type)                                                                                    \
    struct type *type##_ref(struct type *obj);                                                               \
    bool type##_tryref(struct type *obj);                                                                    \
    struct type *type##_unref(struct type *obj);                                                             \
    void type##_unrefp(struct type **obj)

/* In one .c file per type. <type>_ref_init() sets the count to 1. */
#define DEFINE_REF(type, destroy)                                                                            \
    static inline void type##_ref_init(struct type *obj) {                                                   \
        atomic_init(&obj->ref.count, 1);                                                                     \
        ref_registry_add(#type, obj);                                                                        \
    }                                                                                                        \
    struct type *type##_ref(struct type *obj) {                                                              \
        ref_get(&obj->ref);                                                                                  \
        return obj;                                                                                          \
    }                                                                                                        \
    bool type##_tryref(struct type *obj) {                                                                   \
        return ref_tryget(&obj->ref);                                                                        \
    }                                                                                                        \
    struct type *type##_unref(struct type *obj) {                                                            \
        if (obj && ref_put(&obj->ref)) {                                                                     \
            ref_registry_remove(#type, obj);                                                                 \
            destroy(obj);                                                                                    \
        }                                                                                                    \
        return NULL;                                                                                         \
    }                                                                                                        \
    void type##_unrefp(struct type **obj) {                                                                  \
        *obj = type##_unref(*obj);                                                                           \
    }                                                                                                        \
    _Static_assert(1, "")
