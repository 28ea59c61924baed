/* SPDX-License-Identifier: Apache-2.0
 * sentry/vfs/file_async.h: signals instead of waiting: O_ASYNC (SIGIO), and the owner of a file, to whom
 * dnotify and leases speak as well. Source: fcntl(2), "Managing signals"; open(2), O_ASYNC.
 *
 * The owner and its signal lie in an object of their own, made when first asked for, that outlives the file
 * for as long as a signal is on its way: wake-ups cannot send one (locks), so that is deferred (timer.h).
 */
#pragma once

#include "base/mutex.h"
#include "base/ref.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/waitq.h"

struct file;
struct inotify;
struct pid;
struct task;

struct file_async {
    struct ref ref;
    struct kernel *kernel;
    struct waiter waiter; /* on the file's queue while O_ASYNC is set */
    struct deferred deferred;
    _Atomic uint32_t events; /* POLL* that happened since the last signal */
    struct mutex lock;       /* RANK_LEAF; the rest */
    struct pid *owner;       /* reference, or NULL */
    int role, signal;        /* enum pid_role; F_SETSIG: 0: SIGIO */
    kuid_t uid, euid;        /* of who set the owner */
    int fd;                  /* as F_SETFL named it, for si_fd */
    struct inotify *dnotify; /* F_NOTIFY: reference, or NULL */
};
DECLARE_REF(file_async);

/* The file's, made if there is none: borrowed while the file is referenced; NULL: no memory. */
struct file_async *file_async_of(struct task *t, struct file *f);
void file_async_done(struct file *f);

/* F_SETOWN and its kind: pid (reference taken) may be NULL. -ENOMEM (then it is dropped). */
int file_set_owner(struct task *t, struct file *f, struct pid *pid, int role) must_check;
/* New reference or NULL. */
struct pid *file_get_owner(struct file *f, int *ret_role);
int file_set_owner_signal(struct task *t, struct file *f, int signo) must_check;
int file_get_owner_signal(struct file *f);
/* Can files of this kind send SIGIO at all? */
bool file_can_async(struct file *f);
/* Starts or stops it; F_SETFL and FIOASYNC. */
int file_set_async(struct task *t, struct file *f, int fd, bool on) must_check;
/* Something else to tell the owner: LINUX_POLL_* bits by their events (dnotify and leases: POLLMSG). Any
 * lock.
 */
void file_async_tell(struct file_async *a, uint32_t events);
