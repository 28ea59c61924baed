/* SPDX-License-Identifier: Apache-2.0
 * sentry/syscalls/sys_misc.c: what the machine and the kernel are, random numbers, architecture state, and
 * calls that containers are refused. Source: uname(2), sysinfo(2), getrandom(2), arch_prctl(2),
 * personality(2), membarrier(2), kcmp(2), reboot(2), sethostname(2).
 */
#include <errno.h>
#include <string.h>

#include "base/abi/linux/system.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/clocks.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/file.h"

/* ---- names ---- */

int64_t sys_uname(struct task *t, const struct syscall_args *a) {
    struct uts_ns *uts = t->nsproxy->uts;
    struct linux_utsname u = {.sysname = "Linux"};

    strncpy(u.release, t->kernel->release, sizeof u.release - 1);
    strncpy(u.version, t->kernel->version, sizeof u.version - 1);
    strcpy(u.machine, (t->personality & 0xff) == LINUX_PER_LINUX32 ? "i686" : "x86_64");
    mutex_lock(&uts->lock);
    memcpy(u.nodename, uts->nodename, sizeof u.nodename);
    memcpy(u.domainname, uts->domainname, sizeof u.domainname);
    mutex_unlock(&uts->lock);
    return copy_out(t, a->arg[0], &u, sizeof u);
}

static int64_t set_name(struct task *t, const struct syscall_args *a, bool domain) {
    struct uts_ns *uts = t->nsproxy->uts;
    char name[LINUX_UTS_LEN] = "";
    int len = (int)a->arg[1];

    if (!task_capable_in(t, uts->user_ns, LINUX_CAP_SYS_ADMIN))
        return -EPERM;
    if (len < 0 || len >= LINUX_UTS_LEN)
        return -EINVAL;
    if (copy_in(t, name, a->arg[0], (size_t)len) < 0)
        return -EFAULT;
    mutex_lock(&uts->lock);
    memcpy(domain ? uts->domainname : uts->nodename, name, sizeof name);
    mutex_unlock(&uts->lock);
    return 0;
}

int64_t sys_sethostname(struct task *t, const struct syscall_args *a) {
    return set_name(t, a, /* domain= */ false);
}

int64_t sys_setdomainname(struct task *t, const struct syscall_args *a) {
    return set_name(t, a, /* domain= */ true);
}

int64_t sys_sysinfo(struct task *t, const struct syscall_args *a) {
    struct kernel *k = t->kernel;
    struct linux_sysinfo s = {.mem_unit = 1};

    s.uptime =
        (clock_guest_boottime(k) + time_ns_offset(t->nsproxy->time, LINUX_CLOCK_BOOTTIME)) / NSEC_PER_SEC;
    host_load_average(s.loads);
    s.totalram = k->total_memory;
    s.freeram = MIN(host_free_memory(), k->total_memory);
    mutex_lock(&k->taskset_lock);
    s.procs = (uint16_t)MIN(k->task_count, 0xffffull);
    mutex_unlock(&k->taskset_lock);
    return copy_out(t, a->arg[0], &s, sizeof s);
}

int64_t sys_personality(struct task *t, const struct syscall_args *a) {
    uint32_t old = t->personality;

    if ((uint32_t)a->arg[0] != 0xffffffffu)
        t->personality = (uint32_t)a->arg[0];
    return old;
}

/* ---- random numbers ---- */

enum { RANDOM_CHUNK = 4096, RANDOM_MAX = 0x7ffff000 };

int64_t sys_getrandom(struct task *t, const struct syscall_args *a) {
    uint64_t size = MIN(a->arg[1], (uint64_t)RANDOM_MAX), done = 0;
    uint32_t flags = (uint32_t)a->arg[2];
    char small[256];

    if ((flags & ~(uint32_t)(LINUX_GRND_NONBLOCK | LINUX_GRND_RANDOM | LINUX_GRND_INSECURE)) ||
        (flags & (LINUX_GRND_RANDOM | LINUX_GRND_INSECURE)) == (LINUX_GRND_RANDOM | LINUX_GRND_INSECURE))
        return -EINVAL;
    char *chunk = size <= sizeof small ? small : heap_alloc_bytes(RANDOM_CHUNK);
    if (!chunk)
        return -ENOMEM;
    int r = 0;
    while (done < size && r == 0) {
        uint64_t n = MIN(size - done, chunk == small ? sizeof small : (uint64_t)RANDOM_CHUNK);
        r = kernel_random(t->kernel, chunk, n);
        size_t copied = r == 0 ? copy_out_partial(t, a->arg[0] + done, chunk, n) : 0;
        done += copied;
        if (r == 0 && copied < n)
            r = -EFAULT;
        if (signal_pending(t))
            break; /* short is allowed past 256 bytes: getrandom(2) */
    }
    if (chunk != small)
        heap_free(chunk);
    return done > 0 || r == 0 ? (int64_t)done : r;
}

/* ---- architecture ---- */

int64_t sys_arch_prctl(struct task *t, const struct syscall_args *a) {
    uint64_t top = kernel_platform(t->kernel)->limits.max_address;

    switch ((int)a->arg[0]) {
    case LINUX_ARCH_SET_FS:
    case LINUX_ARCH_SET_GS:
        if (a->arg[1] >= top)
            return -EPERM;
        *((int)a->arg[0] == LINUX_ARCH_SET_FS ? &t->regs.fs_base : &t->regs.gs_base) = a->arg[1];
        return 0;
    case LINUX_ARCH_GET_FS:
        return copy_out(t, a->arg[1], &t->regs.fs_base, sizeof t->regs.fs_base);
    case LINUX_ARCH_GET_GS:
        return copy_out(t, a->arg[1], &t->regs.gs_base, sizeof t->regs.gs_base);
    case LINUX_ARCH_GET_CPUID:
        return 1;
    case LINUX_ARCH_SET_CPUID:
        return -ENODEV; /* as without cpuid faulting */
    default:
        return -EINVAL;
    }
}

/* ---- membarrier ---- */

enum {
    MEMBARRIER_SUPPORTED =
        LINUX_MEMBARRIER_CMD_GLOBAL | LINUX_MEMBARRIER_CMD_GLOBAL_EXPEDITED |
        LINUX_MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | LINUX_MEMBARRIER_CMD_PRIVATE_EXPEDITED |
        LINUX_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | LINUX_MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE |
        LINUX_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
};

int64_t sys_membarrier(struct task *t, const struct syscall_args *a) {
    int command = (int)a->arg[0];
    struct mm *mm = t->mm;

    if (a->arg[1])
        return -EINVAL;
    switch (command) {
    case LINUX_MEMBARRIER_CMD_QUERY:
        return MEMBARRIER_SUPPORTED;
    case LINUX_MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
        return 0;
    case LINUX_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
    case LINUX_MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
        __atomic_fetch_or(&mm->membarrier_state, command >> 1, __ATOMIC_RELAXED);
        return 0;
    case LINUX_MEMBARRIER_CMD_PRIVATE_EXPEDITED:
    case LINUX_MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE:
        if (!(__atomic_load_n(&mm->membarrier_state, __ATOMIC_RELAXED) & command))
            return -EPERM;
        break;
    case LINUX_MEMBARRIER_CMD_GLOBAL:
    case LINUX_MEMBARRIER_CMD_GLOBAL_EXPEDITED:
        break;
    default:
        return -EINVAL;
    }
    host_memory_barrier(); /* of all threads of the host, guests' included */
    return 0;
}

/* ---- kcmp ---- */

static int compare(const void *a, const void *b) {
    return a == b ? 0 : (uintptr_t)a < (uintptr_t)b ? 1 : 2;
}

/* The file behind a descriptor of another task: new reference. */
static struct file *file_of(struct task *t, uint64_t fd) {
    struct fd_table *table = task_get_files(t);
    struct file *f = NULL;

    if (table && fd <= INT32_MAX && fd_table_next(table, (int)fd, &f) != (int)fd) {
        file_unref(f);
        f = NULL;
    }
    fd_table_unref(table);
    return f;
}

static int kcmp_files(struct task *x, struct task *y, uint64_t fd1, uint64_t fd2) {
    struct file *a = file_of(x, fd1), *b = file_of(y, fd2);
    int r = a && b ? compare(a, b) : -EBADF;

    file_unref(a);
    file_unref(b);
    return r;
}

static int kcmp_two(struct task *x, struct task *y, const struct syscall_args *a) {
    switch ((int)a->arg[2]) {
    case LINUX_KCMP_FILE:
        return kcmp_files(x, y, a->arg[3], a->arg[4]);
    case LINUX_KCMP_VM:
        return compare(x->mm, y->mm);
    case LINUX_KCMP_FILES:
        return compare(x->files, y->files);
    case LINUX_KCMP_FS:
        return compare(x->fs, y->fs);
    case LINUX_KCMP_SIGHAND:
        return compare(x->group->sighand, y->group->sighand);
    case LINUX_KCMP_IO:
    case LINUX_KCMP_SYSVSEM:
        return compare(x->group, y->group);
    default:
        return -EINVAL;
    }
}

int64_t sys_kcmp(struct task *t, const struct syscall_args *a) {
    struct task *x = task_find(t, (int)a->arg[0]), *y = task_find(t, (int)a->arg[1]);
    int r = -ESRCH;

    if (x && y) {
        r = task_ptrace_may_access(t, x, /* attach= */ false);
        if (r == 0)
            r = task_ptrace_may_access(t, y, /* attach= */ false);
        if (r == 0)
            r = kcmp_two(x, y, a);
    }
    task_unref(x);
    task_unref(y);
    return r;
}

/* ---- refused to containers ---- */

#define REFUSED(name)                                                                                        \
    int64_t sys_##name(struct task *t, const struct syscall_args *a) {                                       \
        (void)t;                                                                                             \
        (void)a;                                                                                             \
        return -EPERM;                                                                                       \
    }
/* Each wants a capability in the initial user namespace, which containers do not have on a real host either.
 */
REFUSED(reboot)
REFUSED(ioperm)
REFUSED(init_module)
REFUSED(finit_module)
REFUSED(delete_module)
REFUSED(swapon)
REFUSED(swapoff)
REFUSED(acct)
REFUSED(syslog)
REFUSED(kexec_load)
REFUSED(kexec_file_load)
/* Keyrings, as container clients' own filters refuse them: a kernel's keys are not of a namespace. */
REFUSED(add_key)
REFUSED(request_key)
REFUSED(keyctl)
/* As where kernel.io_uring_disabled is 2 (docs/kernel.md). */
REFUSED(io_uring_setup)
REFUSED(io_uring_enter)
REFUSED(io_uring_register)

int64_t sys_iopl(struct task *t, const struct syscall_args *a) {
    (void)t;
    return (uint32_t)a->arg[0] > 3 ? -EINVAL : -EPERM;
}
