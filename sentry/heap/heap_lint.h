/* SPDX-License-Identifier: Apache-2.0
 * sentry/heap/heap_lint.h: where the binary lies, for the lint and for images.
 */
#pragma once

#include "base/compiler.h"

/* First and past-the-last address of the running binary (never a library). */
void heap_image_range(uint64_t *ret_start, uint64_t *ret_end);
