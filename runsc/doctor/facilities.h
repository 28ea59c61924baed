/* SPDX-License-Identifier: Apache-2.0
 * runsc/doctor/facilities.h: what `runsc doctor` looks at besides walls and platforms: facilities of the host
 * that something works better with, or at all.
 */
#pragma once

#include <jansson.h>

#include "runsc/cli.h"

/* Appends {"kind","name","up","why","remedy"}; remedy NULL: none needed. */
void doctor_add(json_t *report, const char *kind, const char *name, bool up, const char *why,
                const char *remedy);
/* A line each, kind "host"; changes nothing on the host. */
void doctor_facilities(struct cli *cli, json_t *report);
