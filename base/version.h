/* SPDX-License-Identifier: Apache-2.0
 * base/version.h: what this build is, from git describe (cmake/version.cmake). Only version.c is rebuilt when
 * it changes.
 */
#pragma once

extern const char runsc_version[]; /* "1.2.0-14-gabcdef", or "0.0.0-g<commit>" before the first tag */
extern const char runsc_commit[];
