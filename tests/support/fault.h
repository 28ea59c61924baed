/* SPDX-License-Identifier: Apache-2.0
 * tests/support/fault.h: makes the Nth allocation fail.
 *
 * Unit test executables are linked with --wrap for malloc, calloc, realloc, strdup, strndup, asprintf and
 * vasprintf, so that product code needs no hooks. Only the thread that asked is affected.
 */
#pragma once

#include <stdbool.h>

/* The nth allocation from now on (1: the next) fails; 0: none. */
void fault_fail_nth(unsigned int n);
/* Whether it has failed since. */
bool fault_fired(void);

/* Runs scenario() with the first allocation failing, then with the second, and so on until none fails: so
   every error path is taken once. The scenario must cope with failure (return early, leave nothing). Returns
   how many allocations there are. */
unsigned int fault_sweep(void (*scenario)(void));
