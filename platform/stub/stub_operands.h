/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_operands.h: a trapped guest thread brings its call's operands along, and puts results in
 * place itself (stub_operands.c, in the stub).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct stub_slot;

/* `regs` as in struct stub_slot. */
void stub_bring(struct stub_slot *s, const uint64_t *regs);
/* False: memory that should take a result cannot be written; all is still to be done. */
bool stub_put_given(struct stub_slot *s);

/* stub.S */
uint64_t stub_copy(void *to, const void *from, uint64_t size);
uint64_t stub_touch(uint64_t address, uint64_t size);
