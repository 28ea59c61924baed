/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/checksum.h: the Internet checksum (RFC 1071, update by RFC 1624).
 *
 * A running sum is a 32-bit ones-complement sum of 16-bit words in memory order, so a folded result is stored
 * by memcpy, without a swap. Sums of parts add up when every part but the last has an even length;
 * csum_add_at() takes care of parts that start at an odd offset.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Adds `len` bytes at `p` to `sum`, as if they started at an even offset. */
uint32_t csum_partial(const void *p, size_t len, uint32_t sum);

/* Copies and sums in one pass over the cache lines. */
uint32_t csum_copy(void *restrict dst, const void *restrict src, size_t len, uint32_t sum);

static inline uint16_t csum_reduce(uint32_t sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* The complement that goes into a header. A correct block, checksum included, folds to 0. */
static inline uint16_t csum_fold(uint32_t sum) {
    return (uint16_t)~csum_reduce(sum);
}

static inline uint32_t csum_add(uint32_t a, uint32_t b) {
    uint64_t s = (uint64_t)a + b;
    return (uint32_t)(s + (s >> 32));
}

/* Adds the sum of a part that starts at byte `offset` of the whole: odd starts swap (RFC 1071 section 2 (B)).
 */
static inline uint32_t csum_add_at(uint32_t sum, uint32_t part, size_t offset) {
    if (offset & 1)
        part = __builtin_bswap16(csum_reduce(part));
    return csum_add(sum, part);
}

static inline void csum_store(void *at, uint16_t folded) {
    memcpy(at, &folded, sizeof(folded));
}
