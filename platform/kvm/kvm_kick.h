/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_kick.h: the signal that takes a thread out of KVM_RUN.
 */
#pragma once

#include <signal.h>

#include "base/compiler.h"

enum { KICK_SIGNAL = SIGUSR1 };
int kvm_kick_install(void) must_check;
