/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_directory.h: an open /proc/PID as a name for the process. Source: pidfd_send_signal(2).
 */
#pragma once

struct file;
struct pid;

/* Of the process whose directory this is: borrowed while the file is referenced; NULL: it is none. */
struct pid *proc_directory_pid(struct file *f);
