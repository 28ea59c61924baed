/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_mm.c: the memory family: decoding only; the rules are sentry/mm's.
 */
#include <errno.h>

#include "base/abi/linux/capability.h"
#include "base/abi/linux/limits.h"
#include "base/abi/linux/mman.h"
#include "base/abi/linux/uio.h"
#include "sentry/fs/pidfd/pidfd.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

int64_t sys_mmap(struct task *t, const struct syscall_args *a) {
    struct mmap_request r = {.addr = a->arg[0],
                             .len = a->arg[1],
                             .prot = (uint32_t)a->arg[2],
                             .flags = (uint32_t)a->arg[3],
                             .offset = a->arg[5]};

    if (r.offset % PAGE_SIZE != 0)
        return -EINVAL;
    if (!(r.flags & LINUX_MAP_ANONYMOUS)) {
        r.file = fd_get(t, (int)a->arg[4]);
        if (!r.file)
            return -EBADF;
    }
    int64_t result = mm_mmap(t, t->mm, &r);
    file_unref(r.file);
    return result;
}

int64_t sys_munmap(struct task *t, const struct syscall_args *a) {
    return mm_munmap(t->mm, a->arg[0], a->arg[1]);
}

int64_t sys_mprotect(struct task *t, const struct syscall_args *a) {
    if (a->arg[2] >> 32)
        return -EINVAL;
    return mm_mprotect(t, a->arg[0], a->arg[1], (uint32_t)a->arg[2]);
}

/* Protection keys: none can be had, as on a machine without them (pkeys(7)). */
int64_t sys_pkey_mprotect(struct task *t, const struct syscall_args *a) {
    if ((int)a->arg[3] != -1)
        return -EINVAL;
    return sys_mprotect(t, a);
}

int64_t sys_pkey_alloc(struct task *t, const struct syscall_args *a) {
    (void)t;
    if (a->arg[0] != 0 || (a->arg[1] & ~(uint64_t)LINUX_PKEY_ACCESS_MASK))
        return -EINVAL;
    return -ENOSPC;
}

int64_t sys_pkey_free(struct task *t, const struct syscall_args *a) {
    (void)t, (void)a;
    return -EINVAL;
}

int64_t sys_brk(struct task *t, const struct syscall_args *a) {
    return mm_brk(t, a->arg[0]);
}

int64_t sys_mremap(struct task *t, const struct syscall_args *a) {
    struct mremap_request r = {.old = a->arg[0],
                               .old_len = a->arg[1],
                               .new_len = a->arg[2],
                               .flags = (uint32_t)a->arg[3],
                               .new_addr = a->arg[4]};

    if (a->arg[3] >> 32)
        return -EINVAL;
    return mm_mremap(t, &r);
}

int64_t sys_remap_file_pages(struct task *t, const struct syscall_args *a) {
    if (a->arg[2] != 0 || a->arg[3] > UINT64_MAX / PAGE_SIZE)
        return -EINVAL;
    return mm_remap_file_pages(t, a->arg[0], a->arg[1], a->arg[3] * PAGE_SIZE);
}

int64_t sys_madvise(struct task *t, const struct syscall_args *a) {
    return mm_madvise(t, t->mm, a->arg[0], a->arg[1], (int)a->arg[2]);
}

int64_t sys_msync(struct task *t, const struct syscall_args *a) {
    return mm_msync(t, a->arg[0], a->arg[1], (int)a->arg[2]);
}

int64_t sys_mincore(struct task *t, const struct syscall_args *a) {
    unsigned char vec[1024];
    gva_t addr = a->arg[0], out = a->arg[2];
    uint64_t pages = a->arg[1] / PAGE_SIZE + (a->arg[1] % PAGE_SIZE != 0);

    if (addr % PAGE_SIZE != 0)
        return -EINVAL;
    if (pages > UINT64_MAX / 2 / PAGE_SIZE || addr + pages * PAGE_SIZE < addr)
        return -ENOMEM;
    while (pages > 0) {
        uint64_t n = MIN(pages, (uint64_t)sizeof vec);
        int result = mm_mincore(t->mm, addr, n * PAGE_SIZE, vec);
        if (result == 0)
            result = copy_out(t, out, vec, n);
        if (result == 0 && (atomic_load_explicit(&t->pending_work, memory_order_relaxed) & TASK_WORK_EXIT))
            result = -EINTR; /* it dies: no more of what may be terabytes */
        if (result < 0)
            return result;
        addr += n * PAGE_SIZE;
        out += n;
        pages -= n;
    }
    return 0;
}

int64_t sys_mlock(struct task *t, const struct syscall_args *a) {
    return mm_mlock(t, a->arg[0], a->arg[1], /* on_fault= */ false);
}

int64_t sys_mlock2(struct task *t, const struct syscall_args *a) {
    if ((uint32_t)a->arg[2] & ~(uint32_t)LINUX_MLOCK_ONFAULT)
        return -EINVAL;
    return mm_mlock(t, a->arg[0], a->arg[1], a->arg[2] & LINUX_MLOCK_ONFAULT);
}

int64_t sys_munlock(struct task *t, const struct syscall_args *a) {
    return mm_munlock(t, a->arg[0], a->arg[1]);
}

int64_t sys_mlockall(struct task *t, const struct syscall_args *a) {
    return mm_mlockall(t, (int)a->arg[0]);
}

int64_t sys_munlockall(struct task *t, const struct syscall_args *a) {
    (void)a;
    return mm_munlockall(t);
}

int64_t sys_mseal(struct task *t, const struct syscall_args *a) {
    if (a->arg[2] != 0)
        return -EINVAL;
    return mm_mseal(t->mm, a->arg[0], a->arg[1]);
}

/* ---- process_vm_readv, process_vm_writev ---- */

/* Remote segments: as they come, unchecked but for their number and total; a bad address ends the transfer.
 */
static int read_remote(struct task *t, gva_t iov, uint64_t count, struct linux_iovec **ret) {
    if (count > LINUX_UIO_MAXIOV)
        return -EINVAL;
    struct linux_iovec *v = heap_alloc_bytes(MAX(count, 1ul) * sizeof *v);
    if (!v)
        return -ENOMEM;
    if (copy_in(t, v, iov, count * sizeof *v) < 0) {
        heap_free(v);
        return -EFAULT;
    }
    for (uint64_t i = 0; i < count; i++) {
        if ((int64_t)v[i].len < 0) {
            heap_free(v);
            return -EINVAL;
        }
    }
    *ret = v;
    return 0;
}

enum { TRANSFER_CHUNK = 65536 };

/* One piece, at most TRANSFER_CHUNK: bytes moved, fewer than `size` at a bad page, or -EFAULT. */
static ssize_t transfer_piece(struct mm *remote, struct uio *local, gva_t addr, char *buffer, size_t size,
                              bool write) {
    if (!write) {
        ssize_t got = mm_read(remote, buffer, addr, size, /* force= */ false);
        return got > 0 ? uio_write(local, buffer, (size_t)got) : got;
    }
    ssize_t got = uio_read(local, buffer, size);
    if (got <= 0)
        return got;
    return mm_write(remote, addr, buffer, (size_t)got, /* force= */ false);
}

static int64_t transfer(struct mm *remote, struct uio *local, const struct linux_iovec *v, uint64_t count,
                        char *buffer, bool write) {
    int64_t done = 0;

    for (uint64_t i = 0; i < count; i++) {
        for (uint64_t at = 0; at < v[i].len && local->remaining > 0;) {
            uint64_t left = MIN(v[i].len - at, local->remaining);
            size_t want = MIN(left, (uint64_t)TRANSFER_CHUNK);
            ssize_t n = transfer_piece(remote, local, v[i].base + at, buffer, want, write);
            if (n <= 0)
                return done > 0 ? done : n;
            done += n;
            at += (uint64_t)n;
            if ((size_t)n < want)
                return done;
        }
    }
    return done;
}

static int64_t transfer_with(struct task *t, struct task *other, struct uio *local,
                             const struct linux_iovec *v, uint64_t count, bool write) {
    int result = task_ptrace_may_access(t, other, /* attach= */ true);
    if (result < 0)
        return result;
    struct mm *remote = task_get_mm(other);
    if (!remote)
        return -ESRCH;
    char *buffer = heap_alloc_bytes(TRANSFER_CHUNK);
    int64_t moved = buffer ? transfer(remote, local, v, count, buffer, write) : -ENOMEM;
    heap_free(buffer);
    mm_unref(remote);
    return moved;
}

static int64_t process_vm(struct task *t, const struct syscall_args *a, bool write) {
    struct linux_iovec *v;
    struct uio local;

    if (a->arg[5] != 0)
        return -EINVAL;
    int64_t result = uio_init_iovec(&local, t, a->arg[1], a->arg[2]);
    if (result < 0)
        return result;
    result = local.remaining > 0 ? read_remote(t, a->arg[3], a->arg[4], &v) : 0;
    if (result < 0 || local.remaining == 0) {
        uio_done(&local);
        return result;
    }
    struct task *other = task_find(t, (int)a->arg[0]);
    result = other ? transfer_with(t, other, &local, v, a->arg[4], write) : -ESRCH;
    task_unref(other);
    heap_free(v);
    uio_done(&local);
    return result;
}

int64_t sys_process_vm_readv(struct task *t, const struct syscall_args *a) {
    return process_vm(t, a, /* write= */ false);
}

int64_t sys_process_vm_writev(struct task *t, const struct syscall_args *a) {
    return process_vm(t, a, /* write= */ true);
}

/* ---- process_madvise ---- */

/* Advice that another process may be given: it changes no contents. */
static bool is_remote_advice(int advice) {
    return advice == LINUX_MADV_COLD || advice == LINUX_MADV_PAGEOUT || advice == LINUX_MADV_WILLNEED ||
           advice == LINUX_MADV_COLLAPSE;
}

static int64_t advise_each(struct task *t, struct mm *mm, const struct linux_iovec *v, uint64_t count,
                           int advice) {
    int64_t done = 0;

    for (uint64_t i = 0; i < count; i++) {
        int result = mm_madvise(t, mm, v[i].base, v[i].len, advice);
        if (result < 0)
            return done > 0 ? done : result;
        done += (int64_t)v[i].len;
    }
    return done;
}

static int64_t advise_process(struct task *t, struct task *other, const struct linux_iovec *v, uint64_t count,
                              int advice) {
    if (!is_remote_advice(advice) && other->group != t->group)
        return -EINVAL;
    int64_t result = task_ptrace_may_access(t, other, /* attach= */ false);
    if (result == 0 && other->group != t->group && !task_capable(t, LINUX_CAP_SYS_NICE))
        result = -EPERM;
    if (result < 0)
        return result;
    struct mm *mm = task_get_mm(other);
    if (!mm)
        return -ESRCH;
    result = advise_each(t, mm, v, count, advice);
    mm_unref(mm);
    return result;
}

int64_t sys_process_madvise(struct task *t, const struct syscall_args *a) {
    struct linux_iovec *v;
    struct task *other;

    if (a->arg[4] != 0)
        return -EINVAL;
    int64_t result = read_remote(t, a->arg[1], a->arg[2], &v);
    if (result < 0)
        return result;
    result = pidfd_task(t, (int)a->arg[0], &other);
    if (result == 0) {
        result = advise_process(t, other, v, a->arg[2], (int)a->arg[3]);
        task_unref(other);
    }
    heap_free(v);
    return result;
}
