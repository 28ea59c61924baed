/* SPDX-License-Identifier: Apache-2.0
 * base/cleanup.h: cleanup functions for memory, descriptors and the like: `cleanup(closep) int fd = -1;`.
 * Never for locks (STYLE D, docs/style.md). Every one keeps errno and takes the empty value.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>

#include "base/compiler.h"

void freep(void *pp); /* pp: address of any pointer from malloc */
void closep(int *fd); /* closes and sets to -1 if >= 0 */
void fclosep(FILE **f);
void closedirp(DIR **d);
int close_fd(int fd);  /* closes if >= 0, keeps errno; returns -1 */
int steal_fd(int *fd); /* hands the descriptor over and sets *fd to -1 */
