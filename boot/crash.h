/* SPDX-License-Identifier: Apache-2.0
 * boot/crash.h: a sandbox process that crashes says so.
 */
#pragma once

#include "base/compiler.h"

/* Handlers of SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT that print what happened and where and end the
   process with 128 + signal. The calling thread gets an alternate stack. Stubs reset all handlers. */
int crash_handlers_install(void) must_check;
