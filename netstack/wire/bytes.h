/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/bytes.h: big-endian loads and stores at any alignment. Bounds are the caller's.
 */
#pragma once

#include <stdint.h>
#include <string.h>

static inline uint16_t get_be16(const void *p) {
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap16(v);
}

static inline uint32_t get_be32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline void put_be16(void *p, uint16_t v) {
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void put_be32(void *p, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}
