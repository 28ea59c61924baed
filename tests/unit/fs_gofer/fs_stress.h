/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fs_gofer/fs_stress.h: threads that make, link, rename, write, list and remove a few names in a
 * few directories at once.
 */
#pragma once

#include "fs_fixture.h"

/* Directories /s0 .. /s3 are made first, or exist. Every call must succeed or fail as it may when others
 * change names. */
void fs_stress(struct fs_fixture *f, unsigned threads, unsigned rounds);

/* Runs the same calls single-threaded with hardly any memory left in the heap, a little more each time, until
 * all succeed: each may say -ENOMEM, and nothing may be lost or broken by that. */
void fs_starve(struct fs_fixture *f);
