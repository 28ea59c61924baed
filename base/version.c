/* SPDX-License-Identifier: Apache-2.0
 * base/version.c: see version.h.
 */
#include "base/version.h"

#include <version.h> /* the generated one, in the build folder */

const char runsc_version[] = RUNSC_VERSION;
const char runsc_commit[] = RUNSC_COMMIT;
