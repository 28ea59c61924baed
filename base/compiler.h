/* SPDX-License-Identifier: Apache-2.0
 * base/compiler.h: attributes, assertions, clang's thread-safety annotations.
 *
 * assert() of <assert.h> is not used: ASSERT stays on in every build (docs/style.md). It is for what our own
 * code guarantees, never for a value that came from a guest, a stub, a client or a gofer peer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must_check             __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define noreturn_fn            __attribute__((noreturn))
#define likely(x)              __builtin_expect(!!(x), 1)
#define unlikely(x)            __builtin_expect(!!(x), 0)
#define cleanup(fn)            __attribute__((cleanup(fn)))
#define ARRAY_SIZE(a)          (sizeof(a) / sizeof((a)[0]))
#define PAGE_SIZE              4096ul
#define PAGE_MASK              (~(PAGE_SIZE - 1))
#define page_down(x)           ((uint64_t)(x)&PAGE_MASK)
#define page_up(x)             (((uint64_t)(x) + PAGE_SIZE - 1) & PAGE_MASK) /* 0 near 2^64: check */
/* Each argument once; they may be nested, so every use has its own names. */
#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
#define PICK_(op, a, b, x, y)                                                                                \
    ({                                                                                                       \
        __typeof__(a) x = (a);                                                                               \
        __typeof__(b) y = (b);                                                                               \
        x op y ? x : y;                                                                                      \
    })
#define MIN(a, b) PICK_(<, a, b, PASTE(min_a_, __COUNTER__), PASTE(min_b_, __COUNTER__))
#define MAX(a, b) PICK_(>, a, b, PASTE(max_a_, __COUNTER__), PASTE(max_b_, __COUNTER__))

/* Hands a pointer over and clears the variable, for variables with a cleanup attribute. */
#define TAKE(p)                                                                                              \
    ({                                                                                                       \
        __typeof__(p) take_ = (p);                                                                           \
        (p) = NULL;                                                                                          \
        take_;                                                                                               \
    })

noreturn_fn void assert_failed(const char *expr, const char *file, int line);
#define ASSERT(expr) ((expr) ? (void)0 : assert_failed(#expr, __FILE__, __LINE__))

/* A guest virtual address: an integer, so that it cannot be dereferenced by mistake. */
typedef uint64_t gva_t;

#if defined(__clang__)
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif
#define CAPABILITY(name)  TSA(capability(name))
#define ACQUIRES(...)     TSA(acquire_capability(__VA_ARGS__))
#define RELEASES(...)     TSA(release_capability(__VA_ARGS__))
#define TRY_ACQUIRES(...) TSA(try_acquire_capability(__VA_ARGS__))
#define REQUIRES(...)     TSA(requires_capability(__VA_ARGS__))
#define EXCLUDES(...)     TSA(locks_excluded(__VA_ARGS__))
#define ASSERTS_HELD(...) TSA(assert_capability(__VA_ARGS__))
#define NO_TSA            TSA(no_thread_safety_analysis)
#if defined(__clang__) && __clang_major__ >= 19
#define GUARDED_BY(m) TSA(guarded_by(m))
#else
#define GUARDED_BY(m)
#endif
