/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm.h: guest address spaces as policy: areas, the mmap family's rules, limits, faults, and copies in and out (DESIGN 5).
 *
 * The host kernel does the mapping (platform/platform.h); this folder says what lies where. A struct mm owns one address space of the platform. Its
 * areas (struct vma) are in an augmented tree ordered by address (largest gap below, for address search). mm->lock (RANK_MM) protects the tree and
 * may be held over platform batches (they block).
 *
 * References: a task holds its mm; an area holds its file (or mappable). Source: mmap(2), mremap(2), mprotect(2), madvise(2), brk(2).
 */
#pragma once

#include <bsd/sys/tree.h>
#include <sys/types.h>

#include "base/hostref.h"
#include "base/list.h"
#include "base/mutex.h"
#include "base/ref.h"
#include "platform/platform.h"

struct file;
struct inode;
struct kernel;
struct mappable;
struct task;
struct mm;

/* ---- what can be mapped ---- */

/* Where one piece of an object's bytes lies on the host. */
struct host_range {
    int fd;              /* borrowed while the mappable is referenced; -1: nothing there (access gives SIGBUS) */
    uint64_t offset;     /* in fd */
    uint64_t len;        /* bytes of contiguous range from the asked-for offset, > 0 */
};

struct mappable_ops {
    /* Does: tells where bytes [offset, offset+len) lie, at least the first piece of them; allocates backing if there is none. For a shared
       mapping without write permission the descriptor given is read-only.
       Caller holds RANK_MM. May block. Returns 0, -ENOMEM, -EIO; past the end of the object: fd -1. Required. */
    int (*range)(struct mappable *m, uint64_t offset, uint64_t len, bool shared, bool writable, struct host_range *ret);
    void (*release)(struct mappable *m); /* the last reference is gone. Required */
};

/* Something that areas map: a tmpfs or memfd inode, shared anonymous memory, a host file. Embedded in (or allocated by) its owner. */
struct mappable {
    struct ref ref;
    const struct mappable_ops *ops;
    uint64_t id;               /* futex keys of shared words: (id, offset) */
    struct mutex lock;         /* RANK_MAPPABLE */
    struct list vmas;          /* of vma.mappable_node: shared and private mappings of it */
};
struct mappable *mappable_ref(struct mappable *m);
struct mappable *mappable_unref(struct mappable *m); /* NULL is fine; returns NULL */
void mappable_init(struct mappable *m, const struct mappable_ops *ops, struct kernel *k);
/* After truncation or hole punching: takes [offset, offset+len) out of every mapping, so that the next access faults (SIGBUS past the end).
   No RANK_MM or higher lock held. */
void mappable_invalidate(struct mappable *m, uint64_t offset, uint64_t len);

/* ---- areas ---- */

enum vma_flags {
    VMA_SHARED = 1, VMA_GROWSDOWN = 2, VMA_LOCKED = 4, VMA_DONTFORK = 8, VMA_WIPEONFORK = 16, VMA_NORESERVE = 32, VMA_DONTDUMP = 64,
    VMA_SEALED = 128, VMA_STACK = 256, VMA_HEAP = 512, VMA_SPECIAL = 1024 /* vdso, vvar */,
};

struct vma {
    RB_ENTRY(vma) node;
    struct mm *mm;
    gva_t start, end;        /* page aligned, start < end */
    uint64_t gap, max_gap;   /* free bytes below; largest in the subtree */
    uint32_t prot, max_prot; /* LINUX_PROT_* */
    uint32_t flags;          /* enum vma_flags */
    struct mappable *mappable; /* reference; NULL: private anonymous */
    struct file *file;       /* reference, for names in maps and ETXTBSY; NULL: none */
    uint64_t offset;         /* of `start` in the mappable, bytes */
    uint64_t mapped_end;     /* gva: pages beyond (to end) lie past the object's end and are not mapped on the host */
    struct list mappable_node;
    const char *name;        /* "[vdso]" ...: static string, or NULL */
};

struct mm {
    struct ref ref;
    struct kernel *kernel;
    struct hostref as;             /* host.ptr: struct address_space */
    struct mutex lock;             /* RANK_MM; the rest */
    RB_HEAD(vma_tree, vma) areas;
    size_t area_count;
    uint64_t total_bytes, data_bytes, stack_bytes, exec_bytes, shared_bytes, locked_bytes, peak_bytes;
    gva_t mmap_base;               /* top-down search starts here */
    gva_t brk_start, brk;
    gva_t stack_start;             /* initial sp's area top */
    gva_t code_start, code_end, data_start, data_end, arg_start, arg_end, env_start, env_end, vdso;
    uint32_t default_flags;        /* mlockall(MCL_FUTURE) */
    struct file *exe;              /* reference: /proc/PID/exe */
    uint64_t auxv[2 * 32];         /* /proc/PID/auxv */
    size_t auxv_words;
    int dumpable;                  /* PR_SET_DUMPABLE: 0, 1, 2 */
    struct user_ns *user_ns;       /* of the exec: ptrace access checks */
    int membarrier_state;
};
DECLARE_REF(mm);

static inline struct address_space *mm_as(struct mm *mm) {
    return mm->as.host.ptr;
}

/* An empty one (execve). 0, -ENOMEM, -EAGAIN. May block. */
int mm_create(struct kernel *k, struct mm **ret) must_check;
/* fork(2): areas copied, address space forked. May block. */
int mm_fork(struct mm *parent, struct mm **ret) must_check;

struct mmap_request {
    gva_t addr;
    uint64_t len;
    uint32_t prot, flags;      /* LINUX_PROT_*, LINUX_MAP_* */
    struct file *file;         /* borrowed; NULL: anonymous */
    uint64_t offset;
};
/* mmap(2) whole: limits of task `t` apply. Returns the address or -errno. OWN THREAD of t. */
int64_t mm_mmap(struct task *t, struct mm *mm, const struct mmap_request *request);
int mm_munmap(struct mm *mm, gva_t addr, uint64_t len);
int mm_mprotect(struct task *t, gva_t addr, uint64_t len, uint32_t prot, bool grows_down, bool grows_up);
int64_t mm_mremap(struct task *t, gva_t old, uint64_t old_len, uint64_t new_len, uint32_t flags, gva_t new_addr);
int64_t mm_brk(struct task *t, gva_t to);
int mm_madvise(struct task *t, struct mm *mm, gva_t addr, uint64_t len, int advice);
/* Maps pages of the sentry's own making (vdso): private, no file. */
int mm_map_special(struct mm *mm, gva_t addr, uint64_t len, uint32_t prot, int host_fd, uint64_t offset, const char *name);
/* Free range for an image of `len` bytes near `hint` rules of the loader; 0 if none. */
gva_t mm_find_gap(struct mm *mm, uint64_t len, gva_t low, gva_t high);

/* A fault at `addr` by the guest (access: LINUX_PROT_* wanted) or by a copy: grows a stack, maps what has come into being since.
   0: try again; otherwise signo and si_code are set and -EFAULT comes back. May block. */
int mm_fault(struct task *t, struct mm *mm, gva_t addr, uint32_t access, int *ret_signo, int *ret_code);

/* Futex key of a word: shared object and offset, or the mm itself for private. */
struct futex_key {
    uint64_t object; /* mappable id, or address of the mm */
    uint64_t offset;
};
/* private: FUTEX_PRIVATE_FLAG. -EFAULT if nothing is mapped there. */
int mm_futex_key(struct mm *mm, gva_t addr, bool private, struct futex_key *ret);

/* For /proc/PID/{maps,smaps,statm}: calls fn for each area in order with mm->lock held. */
void mm_for_each_vma(struct mm *mm, void (*fn)(const struct vma *vma, void *arg), void *arg);
