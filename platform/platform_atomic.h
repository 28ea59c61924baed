/* SPDX-License-Identifier: Apache-2.0
 * platform/platform_atomic.h: what an atomic operation makes of a guest word, for platforms that do it here
 * and not in the guest.
 */
#pragma once

#include "platform/platform.h"

/* The word that takes the place of `old`. */
static inline uint32_t platform_atomic_result(enum as_atomic_op op, uint32_t old, uint32_t operand,
                                              uint32_t expected) {
    switch (op) {
    case ATOMIC_XCHG:
        return operand;
    case ATOMIC_CMPXCHG:
        return old == expected ? operand : old;
    case ATOMIC_ADD:
        return old + operand;
    case ATOMIC_OR:
        return old | operand;
    case ATOMIC_AND:
        return old & operand;
    case ATOMIC_XOR:
        return old ^ operand;
    }
    return old;
}
