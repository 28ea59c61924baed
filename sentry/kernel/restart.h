/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/restart.h: result codes that exist inside the kernel only. As Linux's ERESTART*: signal(7),
 * "Interruption of system calls". Asserted away before anything returns to the guest (task_run.c).
 */
#pragma once

enum {
    ERESTARTSYS = 512,           /* restart if no handler runs or it has SA_RESTART, else EINTR */
    ERESTARTNOINTR = 513,        /* always restart */
    ERESTARTNOHAND = 514,        /* restart only if no handler runs */
    ERESTART_RESTARTBLOCK = 516, /* as NOHAND, but through restart_syscall and the task's restart block */
    ENORESULT = 600, /* the call has set all registers itself (execve, rt_sigreturn) or the task ends */
};
