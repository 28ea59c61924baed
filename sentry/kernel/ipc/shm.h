/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/ipc/shm.h: System V shared memory. Source: shmget(2), shmop(2), shmctl(2).
 *
 * A segment is an object that areas map (struct mappable) over a byte store of the shared memory file. Its
 * memory lives while an area maps it or the table has it; the number of its areas is the number of attaches.
 * Lock order: mappable.lock, then ipc_ns.lock.
 */
#pragma once

#include "base/compiler.h"
#include "sentry/kernel/ipc/ipc_ns.h"

/* Each: OWN THREAD of t; the errors and their order are those of the man page. May block. */
int64_t shm_get(struct task *t, int32_t key, uint64_t size, int flags);
int64_t shm_attach(struct task *t, int id, gva_t addr, int flags);
int shm_detach(struct task *t, gva_t addr) must_check;
int shm_lock(struct task *t, int id, bool lock) must_check;
/* Sums of all segments; the highest index in use. */
int shm_info(struct task *t, struct linux_shm_info *ret);
/* Of a segment, bytes: for /proc/sysvipc/shm. */
uint64_t shm_resident_bytes(struct ipc_object *o);
