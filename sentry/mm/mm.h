/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm.h: guest address spaces as policy: areas, the mmap family's rules, limits, faults, and copies
 * in and out (DESIGN 5).
 *
 * The host kernel does the mapping (platform/platform.h); this folder says what lies where. A struct mm owns
 * one address space of the platform. Its areas (struct vma) are in an augmented tree ordered by address
 * (largest gap below, for address search). mm->lock (RANK_MM) protects the tree and may be held over platform
 * batches (they block).
 *
 * References: a task holds its mm; an area holds its file and mappable. mm_unref() may block; call it with no
 * lock held, best after the contexts of its address space have been destroyed (then the stub ends at once).
 * Source: mmap(2), mremap(2), mprotect(2), madvise(2), brk(2), mlock(2), proc(5).
 */
#pragma once

#include <bsd/sys/tree.h>
#include <sys/types.h>

#include "base/hostref.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "platform/platform.h"

struct aio_table;
struct as_batch;
struct file;
struct kernel;
struct mappable;
struct mm;
struct pid;
struct task;
struct user_ns;
struct vma;

/* ---- what can be mapped ---- */

/* Where one piece of an object's bytes lies on the host. */
struct host_range {
    int fd;          /* borrowed while the mappable is referenced; -1: nothing there (access gives SIGBUS) */
    uint64_t offset; /* in fd */
    uint64_t len;    /* bytes of contiguous range from the asked-for offset, page aligned, > 0 */
};

struct mappable_ops {
    /* Does: tells where bytes [offset, offset+len) (page aligned) lie, at least the first piece of them;
       allocates backing if there is none. With `shared` and not `writable` the descriptor given is read-only:
       the guest must never be able to write through it. A host file whose end the host itself guards (SIGBUS)
       may give the whole length, its end or not. Caller holds RANK_MM. May block. Returns 0, -ENOMEM, -EIO;
       past the end of the object: fd -1. Required. */
    int (*range)(struct mappable *m, uint64_t offset, uint64_t len, bool shared, bool writable,
                 struct host_range *ret);
    /* Does: MADV_REMOVE, as fallocate(PUNCH_HOLE|KEEP_SIZE). Caller holds nothing. Optional (absent:
     * -EOPNOTSUPP). */
    int (*punch)(struct mappable *m, uint64_t offset, uint64_t len);
    /* Does: takes note that an area of it has come to be (+1: mmap, fork, a split) or gone (-1). m->lock
       held. Optional. */
    void (*areas_changed)(struct mappable *m, const struct vma *v, int change);
    void (*release)(struct mappable *m); /* the last reference is gone. No lock held. Required */
    bool ranges_reused; /* what range() gave is given to others after release(): first it must be sure that
                           nothing maps it */
};

/* Something that areas map: a tmpfs or memfd inode, shared anonymous memory, a host file. Embedded in (or
 * allocated by) its owner. */
struct mappable {
    struct ref ref;
    const struct mappable_ops *ops;
    uint64_t id;              /* futex keys of shared words: (id, offset) */
    struct mutex lock;        /* RANK_MAPPABLE */
    struct list vmas;         /* of vma.link: shared and private mappings of it */
    uint64_t writable_shared; /* lock; of them, how many are shared and may become writable */
    bool write_sealed;        /* lock; no new one of those */
};
DECLARE_REF(mappable);
void mappable_init(struct mappable *m, const struct mappable_ops *ops, struct kernel *k); /* count 1 */
/* After truncation: takes [offset, offset+len) out of every mapping, private copies included, so that the
   next access faults (SIGBUS past the end). No RANK_MM or higher lock held. May block. */
void mappable_invalidate(struct mappable *m, uint64_t offset, uint64_t len);

/* memfd seals: no new shared mapping may be writable; F_SEAL_WRITE (not future_only) gives -EBUSY while there
 * is one. */
int mappable_seal_write(struct mappable *m, bool future_only) must_check;

/* ---- areas ---- */

enum vma_flags {
    VMA_SHARED = 1,
    VMA_GROWSDOWN = 2,
    VMA_LOCKED = 4,
    VMA_DONTFORK = 8,
    VMA_WIPEONFORK = 16,
    VMA_NORESERVE = 32,
    VMA_DONTDUMP = 64,
    VMA_SEALED = 128,
    VMA_LOCKONFAULT = 256,
    VMA_SPECIAL = 512 /* vdso, vvar */,
};

struct vma {
    RB_ENTRY(vma) node;
    struct mm *mm;
    gva_t start, end;          /* page aligned, start < end */
    uint64_t gap, max_gap;     /* free bytes below (less the guard gap of a stack); largest in the subtree */
    uint32_t prot, max_prot;   /* LINUX_PROT_* */
    uint32_t flags;            /* enum vma_flags */
    struct mappable *mappable; /* reference; NULL: private anonymous */
    struct file *file;         /* reference, for names in maps and ETXTBSY; NULL: none */
    uint64_t offset;           /* of `start` in the mappable, bytes */
    gva_t mapped_end; /* what lies from here to `end` is past the object's end (or was, when last looked at)
                         and not mapped on the host */
    struct list link; /* in mappable->vmas (its lock); or on a list of areas to be freed */
    const char *name; /* "[vdso]" ...: static string, or NULL */
};

enum { MM_AUXV_WORDS = 2 * 24 };

struct mm {
    struct ref ref;
    struct ref memory; /* keeps the struct alone: mappable_invalidate() may not be the one that ends an mm */
    struct kernel *kernel;
    struct hostref as; /* host.ptr: struct address_space */
    struct mutex lock; /* RANK_MM; two by address order, or a new one after an old one. The rest */
    RB_HEAD(vma_tree, vma) areas;
    size_t area_count;
    uint64_t total_bytes, data_bytes, stack_bytes, exec_bytes, locked_bytes, peak_bytes;
    gva_t mmap_base; /* top-down search starts here */
    gva_t brk_start, brk;
    gva_t stack_start; /* the first stack pointer: tells which area is [stack] */
    gva_t code_start, code_end, data_start, data_end, arg_start, arg_end, env_start, env_end, vdso;
    uint32_t default_flags; /* mlockall(MCL_FUTURE): VMA_LOCKED, VMA_LOCKONFAULT */
    struct as_batch *batch; /* operations that wait for mm_batch_end() (the loader's), or NULL */
    gva_t spurious_addr;    /* the last fault for which the tree had no reason, and how many in a row */
    unsigned spurious_count;
    struct file *exe;             /* reference: /proc/PID/exe */
    uint64_t auxv[MM_AUXV_WORDS]; /* /proc/PID/auxv */
    size_t auxv_words;
    _Atomic int dumpable;    /* PR_SET_DUMPABLE: 0, 1, 2 */
    uint32_t dump_filter;    /* /proc/PID/coredump_filter: core(5) */
    struct user_ns *user_ns; /* reference, of the exec: ptrace access checks; NULL until the exec sets it */
    int membarrier_state;
    bool thp_disabled;     /* PR_SET_THP_DISABLE: kept, without effect on the host */
    struct pid *user;      /* reference, or NULL: who shmctl(2) says was the last to have (de)tached */
    struct aio_table *aio; /* lock to set, then its own: contexts of io_setup(2), or NULL */
};
DECLARE_REF(mm);

static inline struct address_space *mm_as(struct mm *mm) {
    return mm->as.host.ptr;
}

enum { MAX_MAP_COUNT = 65530 }; /* Linux's default of vm.max_map_count */
#define MMAP_MIN_ADDR   0x10000ull
#define STACK_GUARD_GAP (256 * PAGE_SIZE)

/* An empty one (execve); layout is the loader's to set. 0, -ENOMEM, -EAGAIN. May block. */
int mm_create(struct kernel *k, struct mm **ret) must_check;
/* fork(2): areas copied, address space forked. May block. */
int mm_fork(struct mm *parent, struct mm **ret) must_check;

struct mmap_request {
    gva_t addr;
    uint64_t len;
    uint32_t prot, flags; /* LINUX_PROT_*, LINUX_MAP_* */
    struct file *file;    /* borrowed; NULL: anonymous, or `object` */
    uint64_t offset;
    /* An object of the kernel's, mapped shared from its start (shmat(2)). */
    struct mappable *object; /* borrowed; NULL: none */
    const char *object_name; /* for maps; lives as long as the object */
    bool object_readonly;    /* it may never become writable */
};
/* mmap(2) whole: limits of task `t` apply. Returns the address or -errno. OWN THREAD of t. */
int64_t mm_mmap(struct task *t, struct mm *mm, const struct mmap_request *request);
int mm_munmap(struct mm *mm, gva_t addr, uint64_t len);
/* shmdt(2): unmaps what is left of the mapping of an object of this kind that was made at `addr`. -EINVAL:
 * there is none. */
int mm_unmap_object(struct mm *mm, gva_t addr, const struct mappable_ops *kind);
/* Whose it is, as shmctl(2) tells who was the last to attach or detach. */
void mm_set_user(struct mm *mm, struct pid *process);
/* prot: LINUX_PROT_* with GROWSDOWN, GROWSUP. */
int mm_mprotect(struct task *t, gva_t addr, uint64_t len, uint32_t prot);
struct mremap_request {
    gva_t old;
    uint64_t old_len, new_len;
    uint32_t flags; /* LINUX_MREMAP_* */
    gva_t new_addr;
};
int64_t mm_mremap(struct task *t, const struct mremap_request *request);
/* remap_file_pages(2): [addr, addr+len), part of a shared mapping, shows the object from `offset` on. */
int mm_remap_file_pages(struct task *t, gva_t addr, uint64_t len, uint64_t offset);
int64_t mm_brk(struct task *t, gva_t to);
int mm_madvise(struct task *t, struct mm *mm, gva_t addr, uint64_t len, int advice);
int mm_mlock(struct task *t, gva_t addr, uint64_t len, bool on_fault);
int mm_munlock(struct task *t, gva_t addr, uint64_t len);
int mm_mlockall(struct task *t, int flags); /* LINUX_MCL_* */
int mm_munlockall(struct task *t);
int mm_msync(struct task *t, gva_t addr, uint64_t len, int flags);
/* One byte a page into `vec` (of len / PAGE_SIZE bytes). */
int mm_mincore(struct mm *mm, gva_t addr, uint64_t len, unsigned char *vec);
int mm_mseal(struct mm *mm, gva_t addr, uint64_t len);

/* A fault at `addr` by the guest (access: LINUX_PROT_* wanted; only page faults, x86 vector 14) or by a copy:
   grows a stack, maps what has come into being since. 0: try again; otherwise signo and si_code are set and
   -EFAULT comes back. `t` gives the stack's limit; NULL: no growth. May block. */
int mm_fault(struct task *t, struct mm *mm, gva_t addr, uint32_t access, int *ret_signo, int *ret_code);

/* Futex key of a word: shared object and offset, or the mm itself for private. */
struct futex_key {
    uint64_t object; /* mappable id, or address of the mm */
    uint64_t offset;
};
/* private: FUTEX_PRIVATE_FLAG. -EFAULT if nothing is mapped there. */
int mm_futex_key(struct mm *mm, gva_t addr, bool private, struct futex_key *ret) must_check;

/* Calls fn for each area in order with mm->lock held. */
void mm_for_each_vma(struct mm *mm, void (*fn)(const struct vma *vma, void *arg), void *arg);
