/* SPDX-License-Identifier: Apache-2.0
 * netstack/wire/checksum.c: the sum over memory, eight 32-bit words at a time in vector registers.
 * Called for every packet that no link and no loopback vouches for. Sources: RFC 1071 sections 1 and 2.
 */
#include "netstack/wire/checksum.h"

typedef uint64_t u64x4 __attribute__((vector_size(32)));

enum { VEC = sizeof(u64x4) };

static uint32_t fold64(uint64_t s) {
    s = (s & 0xffffffff) + (s >> 32);
    s = (s & 0xffffffff) + (s >> 32);
    return (uint32_t)s;
}

/* Sums 32-bit halves into 64-bit lanes: no lane overflows below 2^32 rounds, far above any packet. */
static const uint8_t *sum_vectors(const uint8_t *p, size_t rounds, uint64_t *total) {
    u64x4 acc_lo = {0}, acc_hi = {0};
    for (size_t i = 0; i < rounds; i++, p += VEC) {
        u64x4 v;
        memcpy(&v, p, VEC);
        acc_lo += v & 0xffffffffull;
        acc_hi += v >> 32;
    }
    for (int lane = 0; lane < 4; lane++)
        *total += fold64(acc_lo[lane]) + (uint64_t)fold64(acc_hi[lane]);
    return p;
}

uint32_t csum_partial(const void *data, size_t len, uint32_t sum) {
    const uint8_t *p = data;
    uint64_t total = sum;

    if (len >= VEC) {
        p = sum_vectors(p, len / VEC, &total);
        len %= VEC;
    }
    for (; len >= 4; len -= 4, p += 4) {
        uint32_t w;
        memcpy(&w, p, sizeof(w));
        total += w;
    }
    if (len >= 2) {
        uint16_t w;
        memcpy(&w, p, sizeof(w));
        total += w;
        p += 2;
        len -= 2;
    }
    if (len)
        total += *p; /* little-endian: a last odd byte is the low half of its word */
    return fold64(total);
}

uint32_t csum_copy(void *restrict dst, const void *restrict src, size_t len, uint32_t sum) {
    enum { STEP = 4096 }; /* even, and well inside the first cache */
    uint8_t *d = dst;
    const uint8_t *s = src;
    while (len) {
        size_t n = len < STEP ? len : STEP;
        memcpy(d, s, n);
        sum = csum_partial(d, n, sum);
        d += n;
        s += n;
        len -= n;
    }
    return sum;
}
