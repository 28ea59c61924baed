/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_internal.h: guests in a virtual machine without a kernel of its own.
 *
 * One machine (KVM VM) per platform. Guest-physical memory is made of slots:
 *   frames   one sparse memfd, handed out page by page (kvm_frames): private guest memory and page tables;
 *            guest-physical address = offset in the file;
 *   windows  16 MiB pieces of host files (kvm_files): file mappings and the shared memory file.
 * A space (address_space) is a tree of areas and a page table that is filled by faults. Private pages are
 * counted frames, shared on fork and copied on write. A context (guest thread) runs on a virtual cpu (vCPU)
 * of a pool while it is in context_switch().
 *
 * Ring 0 of the guest is a page of one-byte stubs (kvm_ring0): each exception and each `syscall` ends in a
 * `hlt`, that is in KVM_RUN returning. All registers travel in the shared kvm_run page: one host call an
 * exit.
 *
 * Page table rule (PLATFORM.md 1.4): entries are added, and rights given, by plain stores. Whatever is taken
 * away is followed by a flush (kvm_flush) before the page is used for anything else: every vCPU that runs the
 * space leaves the guest once, since the host's walk of our tables may have begun before the change and end
 * after it; then the pages are unmapped from the machine's view, which drops what was remembered of them. A
 * page table page that is given up is not used again before the whole machine was flushed.
 *
 * Locks: kvm_space.lock (RANK_AS) protects areas, tables and the list of contexts; kvm_files.lock
 * (RANK_AS_DONATION) inside it; kvm_pool.lock, kvm_frames.lock (RANK_LEAF) inside both, never both at once.
 */
#pragma once

#include <bsd/sys/tree.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/mutex.h"
#include "platform/platform.h"

struct kvm_machine;

/* ---- frames ---- */

#define KVM_FRAME_SLOT_SIZE (1ull << 30) /* guest-physical bytes per slot of frames */
#define KVM_WINDOWS_BASE    (1ull << 38) /* windows lie above it, frames below */
enum { KVM_NO_FRAME = 0 };               /* frame 0 is never handed out */

struct kvm_frame {
    _Atomic uint32_t refs; /* page table entries that hold it; 1 for a page table page */
    uint32_t next;         /* in a list of free frames */
};

struct kvm_frames {
    int fd;
    char *memory;           /* all frames, for the sentry */
    char *guest_view;       /* the same, for the machine: what is unmapped here is flushed from every guest */
    struct kvm_frame *info; /* one for each */
    uint32_t capacity, zero; /* `zero` is a frame of zeros that anybody may map read-only */
    struct mutex lock;       /* protects: */
    uint32_t unused;         /* frames from here on were never handed out */
    uint32_t dirty, clean;   /* lists of free frames: with old content; without (given back to the host) */
    uint32_t dirty_count;
    uint32_t retired, retired_count; /* page table pages that wait for a flush of the whole machine */
};

int kvm_frames_init(struct kvm_machine *m, struct err **err) must_check;
void kvm_frames_done(struct kvm_machine *m);
/* A frame with one reference, or KVM_NO_FRAME: the host has no memory for us. `zeroed`: full of zeros. */
uint32_t kvm_frame_alloc(struct kvm_machine *m, bool zeroed) must_check;
void kvm_frame_ref(struct kvm_machine *m, uint32_t frame);
/* The caller has flushed it from every place that it took it out of. */
void kvm_frame_unref(struct kvm_machine *m, uint32_t frame);
/* Gives a page table page up: it is used again only after a flush of the whole machine. */
void kvm_frame_retire(struct kvm_machine *m, uint32_t frame);
/* What was retired until now, and may be used again once the machine was flushed. */
uint32_t kvm_frames_take_retired(struct kvm_machine *m);
void kvm_frames_recycle(struct kvm_machine *m, uint32_t retired);

/* ---- flushing what guests' cpus remember ---- */

enum { KVM_FLUSH_SPANS = 32 };

struct kvm_flush {
    struct kvm_space *space; /* whose entries were changed */
    unsigned count;
    bool everything; /* too many spans */
    struct {
        char *start, *end;
    } spans[KVM_FLUSH_SPANS]; /* of guest_view or of windows */
};

void kvm_flush_add(struct kvm_flush *f, char *page);
/* No vCPU uses a translation of this space to any of the pages after this. With space->lock. */
void kvm_flush_run(struct kvm_flush *f);
void kvm_flush_machine(struct kvm_machine *m);

/* ---- windows on host files ---- */

#define KVM_WINDOW_SIZE (16ull << 20)

struct kvm_window {
    RB_ENTRY(kvm_window) node;
    uint64_t index; /* its place in the file, in windows */
    char *memory;
    uint64_t gpa;
    uint32_t slot;
};

struct kvm_file {
    RB_ENTRY(kvm_file) node;
    struct list link; /* kvm_files.idle, if `idle` */
    bool idle;        /* nobody maps it; kept for who comes next */
    int fd;           /* our own */
    uint64_t device, inode;
    bool writable;
    unsigned refs; /* areas */
    RB_HEAD(kvm_window_tree, kvm_window) windows;
};

struct kvm_files {
    struct mutex lock; /* protects: */
    RB_HEAD(kvm_file_tree, kvm_file) all;
    struct list idle; /* least recently used first */
    unsigned idle_count;
    uint32_t next_slot; /* slots from here on were never used */
    uint32_t *free_slots;
    size_t free_count, free_capacity;
    uint32_t end_slot;
    char *
        *memory; /* of the window in each slot; read without the lock by who holds a reference to its file */
};

int kvm_files_init(struct kvm_machine *m) must_check;
void kvm_files_done(struct kvm_machine *m);
/* The file behind the descriptor, which stays the caller's. -ENODEV, -EACCES, -EMFILE, -ENOMEM. */
int kvm_file_get(struct kvm_machine *m, int fd, struct kvm_file **ret) must_check;
void kvm_file_ref(struct kvm_machine *m, struct kvm_file *f);
void kvm_file_unref(struct kvm_machine *m, struct kvm_file *f); /* takes NULL */
/* The page at `offset`: its place in our memory and in the machine's. -ERANGE: behind the file's end. */
int kvm_file_page(struct kvm_machine *m, struct kvm_file *f, uint64_t offset, char **ret_memory,
                  uint64_t *ret_gpa) must_check;
uint64_t kvm_file_size(const struct kvm_file *f);
/* Where a window's guest-physical page is in our memory. */
char *kvm_window_memory(struct kvm_machine *m, uint64_t gpa);

/* ---- address spaces ---- */

struct kvm_area {
    RB_ENTRY(kvm_area) node;
    gva_t start, end;
    int prot;
    bool shared, dont_fork, wipe_on_fork;
    struct kvm_file *file; /* holds a reference; NULL: anonymous */
    uint64_t offset;       /* of `start` in the file */
};

struct kvm_space {
    struct kvm_machine *machine;
    _Atomic unsigned refs;
    _Atomic bool dead;
    struct mutex lock; /* protects: */
    RB_HEAD(kvm_area_tree, kvm_area) areas;
    struct list contexts;
    _Atomic uint32_t quiescing; /* somebody waits for contexts to leave the guest */
    uint32_t root;              /* frame of the top page table */
    uint64_t root_serial;       /* no two roots of a machine have the same */
    uint64_t pages;             /* entries that hold a page */
    uint64_t tables;            /* page table pages, the root included */
    uint64_t shrunk_to;         /* their number when they were last made anew */
};

static inline struct kvm_space *kvm_space_of(struct address_space *as) {
    return (struct kvm_space *)as;
}

/* Page table entries. Software bits say what the page is; an entry without PRESENT may still hold a page. */
#define KVM_PTE_PRESENT  0x1ull
#define KVM_PTE_WRITE    0x2ull
#define KVM_PTE_USER     0x4ull
#define KVM_PTE_ACCESSED 0x20ull
#define KVM_PTE_DIRTY    0x40ull
#define KVM_PTE_FRAME    0x200ull /* a frame, of which this entry holds a reference */
#define KVM_PTE_WINDOW   0x400ull /* a page of a window */
#define KVM_PTE_NX       (1ull << 63)
#define KVM_PTE_ADDRESS  0x000ffffffffff000ull

/* kvm_tables.c; all with space->lock */
int kvm_tables_init(struct kvm_space *s) must_check;
void kvm_tables_done(struct kvm_space *s); /* no entry holds a page any more */
/* The entry for `at`; NULL: no table (and with `create`: no memory). */
uint64_t *kvm_tables_entry(struct kvm_space *s, gva_t at, bool create);
/* The first entry in [*at, end) that holds a page, and its address in *at; NULL: none. */
uint64_t *kvm_tables_next(struct kvm_space *s, gva_t *at, gva_t end);
/* Makes the tables anew when far more of them are there than pages need. */
void kvm_tables_shrink(struct kvm_space *s);

/* kvm_areas.c; all with space->lock */
int kvm_area_compare(const struct kvm_area *a, const struct kvm_area *b);
RB_PROTOTYPE(kvm_area_tree, kvm_area, node, kvm_area_compare)
/* The first area that ends above `at`. */
struct kvm_area *kvm_area_find(struct kvm_space *s, gva_t at);
/* Every area lies inside or outside [start, end) afterwards. */
int kvm_areas_cut(struct kvm_space *s, gva_t start, gva_t end) must_check;
bool kvm_areas_cover(struct kvm_space *s, gva_t start, gva_t end);
/* Takes the file's reference over. */
int kvm_area_add(struct kvm_space *s, const struct kvm_area *area) must_check;
void kvm_area_remove(struct kvm_space *s, struct kvm_area *area);

/* kvm_pages.c: what entries hold; all with space->lock */
struct kvm_fault {
    int signo, code; /* 0: none */
};
enum { KVM_FORCE = 0x100 }; /* beside PROT_*: whatever the area's protection says (ptrace) */
/* Makes [at] ready for `access`. Returns its entry, or NULL and why. */
uint64_t *kvm_page_touch(struct kvm_space *s, gva_t at, int access, struct kvm_fault *ret);
char *kvm_page_memory(struct kvm_space *s, uint64_t entry);
void kvm_pages_drop(struct kvm_space *s, gva_t start, gva_t end);
void kvm_pages_protect(struct kvm_space *s, const struct kvm_area *area);
int kvm_pages_move(struct kvm_space *s, gva_t from, gva_t to, uint64_t len) must_check;
int kvm_pages_share(struct kvm_space *child, struct kvm_space *parent, const struct kvm_area *area,
                    struct kvm_flush *flush) must_check;
/* Drops entries for pages that their files no longer have. Returns how many. */
size_t kvm_pages_drop_truncated(struct kvm_space *s);

/* kvm_space.c, kvm_apply.c, kvm_copy.c: the contract's as_* */
int kvm_as_create(struct platform *p, struct address_space **ret_as) must_check;
int kvm_as_fork(struct address_space *as, struct address_space **ret_as) must_check;
int kvm_as_apply(struct address_space *as, const struct as_op *ops, size_t count,
                 size_t *ret_done) must_check;
ssize_t kvm_as_copy_in(struct address_space *as, void *to, gva_t from, size_t size);
ssize_t kvm_as_copy_out(struct address_space *as, gva_t to, const void *from, size_t size);
ssize_t kvm_as_peek(struct address_space *as, void *to, gva_t from, size_t size);
ssize_t kvm_as_poke(struct address_space *as, gva_t to, const void *from, size_t size);
int kvm_as_usage(struct address_space *as, struct as_usage *ret);
int kvm_as_pages(struct address_space *as, gva_t addr, size_t count, uint8_t *ret);
void kvm_as_kill(struct address_space *as);
void kvm_as_unref(struct address_space *as);
void kvm_space_ref(struct kvm_space *s);
/* Every context of the space has left the guest since this was called. With s->lock. */
void kvm_space_quiesce(struct kvm_space *s);
int kvm_context_atomic32(struct context *c, enum as_atomic_op op, gva_t address, uint32_t operand,
                         uint32_t expected, uint32_t *ret_old);

/* x86_64/kvm_safe.S: accesses to memory that may lack a host page (a file that got shorter) */
/* Returns bytes NOT copied. */
size_t kvm_safe_copy(void *to, const void *from, size_t size);
/* Returns 0 and *ret_old, or -EFAULT. */
int kvm_safe_cmpxchg(uint32_t *at, uint32_t expected, uint32_t new, uint32_t *ret_old);
int kvm_safe_install(void) must_check; /* kvm_safe_host.c: the SIGBUS handler that makes them so */

/* ---- vCPUs and contexts ---- */

struct kvm_context {
    struct kvm_space *space; /* holds a reference */
    struct list link;        /* space->contexts */
    pid_t tid;               /* of the owner */
    int64_t cpu_before_ns;   /* what the owner had used when it made this */
    _Atomic uint32_t running, interrupted;
    _Atomic uint32_t exits;        /* times that it left the guest */
    struct kvm_vcpu *_Atomic vcpu; /* has our FPU state; pool.lock to change */
    bool fpu_saved;                /* `fpu` has it; one of the two always */
    char *fpu;                     /* machine->xsave_size bytes */
};

static inline struct kvm_context *kvm_context_of(struct context *c) {
    return (struct kvm_context *)c;
}

struct kvm_vcpu {
    struct list link; /* pool.idle or busy */
    unsigned number;
    int fd;
    struct kvm_run *run;
    uint64_t *stack_top;              /* in our memory: behind the highest word of the exception stack */
    struct kvm_context *owner;        /* whose FPU state it has; pool.lock */
    const struct kvm_context *loaded; /* whose segments it has; the holder's alone */
    uint64_t root_serial;             /* of the tables that it uses; likewise */
};

struct kvm_pool {
    struct mutex lock;      /* protects: */
    struct list idle, busy; /* least recently used first */
    unsigned count;
    _Atomic uint32_t returned, waiting; /* counts vCPUs given back; who waits sleeps on it */
    unsigned soft_limit, hard_limit;    /* make new ones up to; not beyond */
};

void kvm_pool_init(struct kvm_machine *m);
void kvm_pool_done(struct kvm_machine *m);
/* A vCPU with the context's FPU state, for the calling thread alone. -EAGAIN: the host makes no more. */
int kvm_vcpu_take(struct kvm_context *c, struct kvm_vcpu **ret) must_check;
void kvm_vcpu_give(struct kvm_context *c, struct kvm_vcpu *v);
void kvm_vcpu_forget(struct kvm_context *c); /* the context ends */

/* kvm_context_host.c, kvm_switch_host.c */
int kvm_context_create(struct address_space *as, struct context **ret_context) must_check;
void kvm_context_destroy(struct context *context);
int kvm_context_cpu_time(struct context *context, int64_t *ret_ns);
void kvm_context_interrupt(struct context *context);
void kvm_context_kick(struct kvm_context *c); /* out of the guest, if it is in there */
void kvm_context_switch(struct context *context, struct guest_regs *regs, bool step,
                        struct platform_event *ret_event);
ssize_t kvm_context_get_fpu(struct context *context, void *buffer, size_t size);
int kvm_context_set_fpu(struct context *context, const void *buffer, size_t size);
int kvm_context_reset_fpu(struct context *context);
void kvm_fpu_initial(struct kvm_machine *m, char *fpu);

/* ---- the machine ---- */

enum kvm_entry { KVM_ENTRY_UNKNOWN, KVM_ENTRY_HARDWARE, KVM_ENTRY_FAULT };

struct kvm_machine {
    struct platform base; /* first */
    int kvm_fd, vm_fd;
    size_t run_size;   /* of a vCPU's shared page */
    size_t xsave_size; /* what KVM_GET_XSAVE2 stores */
    uint64_t xcr0;
    struct kvm_cpuid2 *cpuid;
    char *ring0;          /* frames of the guest's ring 0 (x86_64/kvm_ring0.h) */
    uint32_t ring0_root;  /* of a space with nothing but ring 0 */
    uint32_t ring0_table; /* frame of the table that every root has in its last entry */
    _Atomic uint64_t next_serial;
    _Atomic uint32_t entry; /* enum kvm_entry, as seen */
    char *toggle;           /* the page of the slot that is put in and taken out to flush all */
    struct mutex toggle_lock;
    struct kvm_frames frames;
    struct kvm_files files;
    struct kvm_pool pool;
};

int kvm_slot_set(struct kvm_machine *m, uint32_t slot, uint64_t gpa, uint64_t size, char *memory) must_check;
void kvm_slot_clear(struct kvm_machine *m, uint32_t slot,
                    uint64_t gpa); /* harmless on one that is not there */

/* kvm_selftest_host.c: does this host's KVM run guests as the rest expects? In a child, within a second. */
struct kvm_verdict {
    int error;        /* 0, or -errno */
    char step[32];    /* where it failed */
    uint32_t entry;   /* enum kvm_entry */
    uint32_t call_ns; /* one system call, there and back: the least of many */
};
int kvm_selftest(const struct platform_config *config, struct kvm_verdict *ret) must_check;
/* The platform without the test. */
int kvm_machine_create(const struct platform_config *config, struct platform **ret,
                       struct err **err) must_check;
