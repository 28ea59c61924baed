/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_thread.h: how the helper clones: the only two sets of flags that its filter lets
 * through.
 */
#pragma once

#include <sched.h>

/* A new address space: the sentry's keeper thread becomes its parent, as it is the zygote's. */
#define STUB_PROCESS_FLAGS CLONE_PARENT
/* Sent by tgkill to interrupt a guest thread. Guest code sees no host signal, so any will do. */
enum { STUB_KICK_SIGNAL = 10 /* SIGUSR1 */ };

/* A guest thread of this address space. */
#define STUB_THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
/* ... whose end the host notes in its slot. */
#define STUB_SLOT_FLAGS (STUB_THREAD_FLAGS | CLONE_CHILD_CLEARTID)
