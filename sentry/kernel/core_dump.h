/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/core_dump.h: core files of guest processes. Source: core(5).
 */
#pragma once

#include "base/compiler.h"
#include "sentry/kernel/signal.h"

struct task;
struct text;
struct thread_group;

/* The signals whose default action dumps core. */
#define SIG_CORE                                                                                             \
    (SIGBIT(LINUX_SIGQUIT) | SIGBIT(LINUX_SIGILL) | SIGBIT(LINUX_SIGTRAP) | SIGBIT(LINUX_SIGABRT) |          \
     SIGBIT(LINUX_SIGBUS) | SIGBIT(LINUX_SIGFPE) | SIGBIT(LINUX_SIGSEGV) | SIGBIT(LINUX_SIGXCPU) |           \
     SIGBIT(LINUX_SIGXFSZ) | SIGBIT(LINUX_SIGSYS))

/* Ends the process of t by `info`'s signal, with a core file if limits, dumpability and the pattern let it
   have one. OWN THREAD, no locks held. May block long; SIGKILL cuts it short. */
void core_dump_and_exit(struct task *t, const struct linux_siginfo *info);
/* Another thread of the process dumps: t, on its way out, holds still until that is done. OWN THREAD. */
void core_dump_await(struct task *t);
/* t will not come to a halt any more: it is too far in its end. signal_lock held. */
void core_dump_leaving_locked(struct task *t);
/* SIGKILL for a process that dumps. signal_lock held. */
void core_dump_abort_locked(struct thread_group *g);

/* core_notes.c: the notes of the process and of its threads, appended as they stand in the file. NT_FILE and
 * the like come with the first thread, t. All threads hold still. May block. */
void core_notes_append(struct task *t, const struct linux_siginfo *info, struct text *out);
