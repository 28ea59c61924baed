/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/siphash.h: SipHash-2-4, the keyed hash behind tables, sequence numbers, ports and cookies.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
    uint64_t k[2];
};

uint64_t siphash(const struct siphash_key *key, const void *data, size_t len);
