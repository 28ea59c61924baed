/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_patch_host.c: lazily turns hot `mov $number, %eax; syscall` into a jump that skips
 * the trap; also `syscall; cmp $imm32, %rax`, which glibc's read() and syscall() and Go's runtime have
 * (wrapped sites): the comparison moves into the trampoline, by way of which the thread returns.
 *
 * The seven bytes become `jmp *pointer`, through a page of pointers below 2 GiB, to a trampoline that loads
 * number and return address and goes on in the stub's text (patched_entry). Pages and trampolines are a unit
 * of a file that stubs can only read, one unit per address space, made at its first patch and copied at fork.
 *  - Only after PATCH_AFTER traps at a site, so that short programs do not pay.
 *  - Only in private mappings that are not writable: nothing that a program generates or rewrites.
 *  - Only while no other thread of the address space runs guest code (the gate), as seven bytes are not
 * written at once. A thread that stands between the two instructions executes byte 06 when it goes on, which
 * is no instruction: SIGILL, taken for the call that it is. So is a jump straight to the old `syscall`, and a
 * call that the sentry restarts.
 *  - A wrapped site is left alone if code near by jumps to its comparison, where other bytes lie then. A
 * thread that is to go on there (after a signal, in a clone) is sent to the trampoline's.
 *  - A trampoline finds the thread's slot by its gs base. A thread whose gs base is not a stub address (the
 * guest has set it) makes an ordinary call from the trampoline, which traps as ever.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "platform/stub/stub_symbols.h"
#include "platform/systrap/systrap_internal.h"
#include "platform/systrap/systrap_patch.h"

enum { ANSWERED_WEIGHT = 10 };
enum { PATCH_AFTER = 20, HITS_LATER = 12 };
enum { SITE_SIZE = 7, OLD_CALL = 5, SITE_MAX = 8, CODE_BEFORE = 7, COMPARE_SIZE = 6 };
enum { HEAD_SIZE = 24, TAIL = 44 /* in the trampoline of a wrapped site */, SCAN = 32 << 10 };
#define GATE_PATCHING 0x80000000u

struct systrap_patches { /* all under the space's lock but for readers of site[0 .. count) */
    uint32_t index;      /* unit of the patch file */
    char *unit;
    _Atomic uint32_t count;
    struct systrap_site site[PATCH_SITES];
    _Atomic uint64_t wrapped[64]; /* filter: a bit for each rip of a wrapped site, by its low 12 bits */
};

static size_t size_of_site(const struct systrap_site *site) {
    return site->wrapped ? SITE_MAX : SITE_SIZE;
}

/* ---- the gate ---- */

void systrap_gate_enter(struct stub_space *s) {
    for (;;) {
        uint32_t old = atomic_fetch_add(&s->gate, 1);
        if (likely(!(old & GATE_PATCHING)))
            return;
        systrap_gate_leave(s);
        while ((old = atomic_load(&s->gate)) & GATE_PATCHING)
            stub_futex_wait(&s->gate, old, -1);
    }
}

void systrap_gate_leave(struct stub_space *s) {
    atomic_fetch_sub(&s->gate, 1);
}

static bool gate_close(struct stub_space *s) {
    uint32_t none = 0;
    return atomic_compare_exchange_strong(&s->gate, &none, GATE_PATCHING);
}

static void gate_open(struct stub_space *s) {
    atomic_fetch_and(&s->gate, ~GATE_PATCHING);
    stub_futex_wake(&s->gate, INT32_MAX);
}

/* ---- look-ups ---- */

static uint64_t trampoline_at(uint32_t i) {
    return PATCH_CODE + (uint64_t)i * TRAMPOLINE_SIZE;
}

bool systrap_patch_at_trampoline(struct stub_space *s, uint64_t rip, struct systrap_place *ret) {
    struct systrap_patches *p = atomic_load_explicit(&s->patches, memory_order_acquire);
    if (!p || rip < PATCH_CODE || rip >= PATCH_BASE + PATCH_SIZE)
        return false;
    uint32_t i = (uint32_t)(rip - PATCH_CODE) / TRAMPOLINE_SIZE;
    if (i >= atomic_load_explicit(&p->count, memory_order_acquire))
        return false;
    uint64_t offset = rip - trampoline_at(i);
    ret->site = p->site[i];
    ret->rip = ret->site.rip;
    ret->is_return = ret->site.wrapped && offset >= TAIL;
    if (ret->is_return && offset >= TAIL + COMPARE_SIZE)
        ret->rip += COMPARE_SIZE;
    return true;
}

bool systrap_patch_find(struct stub_space *s, uint64_t back, struct systrap_site *ret) {
    struct systrap_patches *p = atomic_load_explicit(&s->patches, memory_order_acquire);
    uint32_t count = p ? atomic_load_explicit(&p->count, memory_order_acquire) : 0;
    for (uint32_t i = 0; i < count; i++) {
        if (back == (p->site[i].wrapped ? trampoline_at(i) + TAIL : p->site[i].rip)) {
            *ret = p->site[i];
            return true;
        }
    }
    return false;
}

static bool is_patched(struct stub_space *s, const struct systrap_patches *p, uint32_t i);

uint64_t systrap_patch_resume(struct stub_space *s, uint64_t rip, uint64_t back) {
    struct systrap_patches *p = atomic_load_explicit(&s->patches, memory_order_acquire);
    struct systrap_place place;
    if (likely(!p) || likely(rip == back) ||
        !(atomic_load_explicit(&p->wrapped[rip / 64 % 64], memory_order_acquire) >> rip % 64 & 1))
        return rip;
    if (back && systrap_patch_at_trampoline(s, back, &place) && place.is_return && place.rip == rip)
        return back; /* from where it came, so the site is what it was */
    uint32_t count = atomic_load_explicit(&p->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++)
        if (p->site[i].wrapped && p->site[i].rip == rip && is_patched(s, p, i))
            return trampoline_at(i) + TAIL;
    return rip;
}

/* ---- patching ---- */

enum pattern { NO_PATTERN, PLAIN, WRAPPED };

/* `code` are CODE_BEFORE bytes before rip and COMPARE_SIZE behind it. */
static enum pattern find_pattern(const unsigned char *code, struct systrap_site *site) {
    const unsigned char *plain = code + CODE_BEFORE - SITE_SIZE, *behind = code + CODE_BEFORE;
    uint32_t operand;
    memcpy(&operand, plain + 1, sizeof(operand));
    if (behind[-2] != 0x0f || behind[-1] != 0x05)
        return NO_PATTERN;
    if (plain[0] == 0xb8 && operand == site->number)
        return PLAIN;
    if (behind[0] != 0x48 || behind[1] != 0x3d) /* cmp $imm32, %rax */
        return NO_PATTERN;
    memcpy(&site->compare, behind + 2, sizeof(site->compare));
    site->wrapped = true;
    return WRAPPED;
}

/* Private, executable, not writable, says the host. */
static bool is_quiet_text(struct stub_space *s, uint64_t start, uint64_t end, struct stub_mapping *m) {
    return stub_mapping_find(s, start, m) == 0 && end <= m->end && m->is_private &&
           m->prot == (PROT_READ | PROT_EXEC);
}

/* Where the instruction at code[i], if it is a direct jump or call, goes to. */
static uint64_t jump_target(const unsigned char *code, size_t i, uint64_t at) {
    int32_t far;
    if (code[i] == 0xeb || (code[i] & 0xf0) == 0x70 || (code[i] & 0xfc) == 0xe0)
        return at + 2 + (uint64_t)(int64_t)(int8_t)code[i + 1];
    size_t opcode = code[i] == 0x0f && (code[i + 1] & 0xf0) == 0x80 ? 2 : 1;
    if (opcode == 1 && code[i] != 0xe8 && code[i] != 0xe9)
        return 0;
    memcpy(&far, code + i + opcode, sizeof(far));
    return at + opcode + 4 + (uint64_t)(int64_t)far;
}

/* Does any code near by, taken as instructions from whichever byte on, jump to `target`? Compilers keep a
 * function together; what they jump to from afar is its start. */
static bool is_jumped_to(struct stub_space *s, const struct stub_mapping *m, uint64_t target) {
    enum { LONGEST = 6 };
    uint64_t from = MAX(m->start, target - SCAN), to = MIN(m->end, target + SCAN);
    unsigned char *code = malloc(to - from);
    bool found = !code || to - from < LONGEST ||
                 stub_as_copy_in((struct address_space *)s, code, from, to - from) != (ssize_t)(to - from);
    for (size_t i = 0; !found && i + LONGEST <= to - from; i++)
        found = jump_target(code, i, from + i) == target;
    free(code);
    return found;
}

static int map_unit(struct stub_space *s, const struct systrap_patches *p) REQUIRES(&s->lock) {
    stub_batch_add(s, DO_CHECK, 0,
                   (struct stub_call){SYS_mmap,
                                      {PATCH_BASE, PATCH_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED,
                                       FD_PATCH, (uint64_t)p->index * PATCH_SIZE}});
    return 0;
}

static struct systrap_patches *new_patches(struct stub_platform *platform) {
    void *unit;
    struct systrap_patches *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    if (stub_file_get(&platform->patches, &p->index, &unit)) {
        free(p);
        return NULL;
    }
    p->unit = unit;
    uint64_t entry = SYM_patched_entry;
    memcpy(p->unit + (PATCH_ENTRY - PATCH_BASE), &entry, sizeof(entry));
    return p;
}

static struct systrap_patches *get_patches_locked(struct stub_space *s) REQUIRES(&s->lock) {
    struct systrap_patches *p = s->patches;
    if (p)
        return p;
    p = new_patches(s->platform);
    if (!p)
        return NULL;
    (void)map_unit(s, p);
    int64_t r = stub_batch_run(s, NULL);
    if (r < 0 && r != -ESRCH) {
        stub_file_put(&s->platform->patches, p->index);
        free(p);
        return NULL;
    }
    atomic_store_explicit(&s->patches, p,
                          memory_order_release); /* given back with the space, also if it has died */
    return r < 0 ? NULL : p;
}

/* Behind the head: the call, with its number in %rax already, and at TAIL the comparison that the patch has
 * taken the place of, and the way back behind it. */
static void write_wrapped(char *code, uint32_t index, struct systrap_site site) {
    unsigned char rest[] = {0x0f, 0x05, 0xf4,                      /* syscall; hlt */
                            0x48, 0xb9, 0,    0, 0, 0, 0, 0, 0, 0, /* movabs $tail, %rcx */
                            0xff, 0x24, 0x25, 0, 0, 0, 0,          /* jmp *PATCH_ENTRY */
                            0x48, 0x3d, 0,    0, 0, 0,             /* tail: cmp $compare, %rax */
                            0xff, 0x24, 0x25, 0, 0, 0, 0};         /* jmp *back */
    uint32_t entry = PATCH_ENTRY, back = PATCH_BASE + 8 * (PATCH_SITES + index);
    uint64_t tail = trampoline_at(index) + TAIL;
    static_assert(HEAD_SIZE + 20 == TAIL && HEAD_SIZE + sizeof(rest) <= TRAMPOLINE_SIZE, "wrapped");
    memcpy(rest + 5, &tail, sizeof(tail));
    memcpy(rest + 16, &entry, sizeof(entry));
    memcpy(rest + 22, &site.compare, sizeof(site.compare));
    memcpy(rest + 29, &back, sizeof(back));
    code[HEAD_SIZE - 1] = 3; /* what the head's jump goes over */
    memcpy(code + HEAD_SIZE, rest, sizeof(rest));
}

/* Flags must survive, and no register but rcx and r11 is free: rcx = 0 if r11 >> 32 is STUB_HIGH, by bswap
 * and lea. */
static void write_trampoline(char *code, uint32_t index, struct systrap_site site) {
    static const unsigned char head[] = {
        0xf3, 0x49, 0x0f, 0xae, 0xcb,             /* rdgsbase %r11 */
        0x4c, 0x89, 0xd9,                         /* mov %r11, %rcx */
        0x48, 0x0f, 0xc9,                         /* bswap %rcx: low half 0xff7f0000 for 0x7fff....... */
        0x89, 0xc9,                               /* mov %ecx, %ecx */
        0x48, 0x8d, 0x89, 0x00, 0x00, 0x81, 0x00, /* lea 0x810000(%rcx), %rcx */
        0x89, 0xc9,                               /* mov %ecx, %ecx */
        0xe3, 0x08,                               /* jrcxz over the next three */
    };
    static const unsigned char slow[] = {0xb8, 0,    0,    0,
                                         0,    0x0f, 0x05, 0xf4}; /* mov $number, %eax; syscall; hlt */
    static const unsigned char fast[] = {0xb8, 0,    0,    0, 0,  /* mov $number, %eax */
                                         0x48, 0xb9, 0,    0, 0, 0, 0, 0, 0, 0, /* movabs $rip, %rcx */
                                         0xff, 0x24, 0x25, 0, 0, 0, 0};         /* jmp *PATCH_ENTRY */
    uint32_t entry = PATCH_ENTRY;
    static_assert(sizeof(head) + sizeof(slow) + sizeof(fast) <= TRAMPOLINE_SIZE, "trampoline");
    static_assert(sizeof(head) == HEAD_SIZE, "head");
    memcpy(code, head, sizeof(head));
    if (site.wrapped) {
        write_wrapped(code, index, site);
        return;
    }
    code += sizeof(head);
    memcpy(code, slow, sizeof(slow));
    memcpy(code + 1, &site.number, 4);
    code += sizeof(slow);
    memcpy(code, fast, sizeof(fast));
    memcpy(code + 1, &site.number, 4);
    memcpy(code + 7, &site.rip, 8);
    memcpy(code + 18, &entry, 4);
}

/* What a patched site looks like: as many bytes as it has. */
static void jump_for(unsigned char *jump, uint32_t index) {
    uint32_t pointer = PATCH_BASE + 8 * index;
    jump[SITE_SIZE] = 0x90;
    jump[0] = 0xff;
    jump[1] = 0x24;
    jump[2] = 0x25;
    memcpy(jump + 3, &pointer, sizeof(pointer));
}

/* The site's trampoline, which may be there from a time when other memory with the same code lay there; -1:
 * no room. */
static int trampoline_locked(struct stub_space *s, struct systrap_site site) REQUIRES(&s->lock) {
    struct systrap_patches *p = get_patches_locked(s);
    uint32_t count = p ? p->count : PATCH_SITES;
    for (uint32_t i = 0; p && i < count; i++)
        if (p->site[i].rip == site.rip && p->site[i].wrapped == site.wrapped &&
            (site.wrapped ? p->site[i].compare == site.compare : p->site[i].number == site.number))
            return (int)i;
    if (count == PATCH_SITES)
        return -1;
    uint64_t code = trampoline_at(count), back = site.rip + COMPARE_SIZE;
    write_trampoline(p->unit + (code - PATCH_BASE), count, site);
    memcpy(p->unit + 8 * (size_t)count, &code, sizeof(code));
    memcpy(p->unit + 8 * (size_t)(PATCH_SITES + count), &back, sizeof(back));
    if (site.wrapped)
        atomic_fetch_or(&p->wrapped[site.rip / 64 % 64], 1ull << site.rip % 64);
    p->site[count] = site;
    atomic_store_explicit(&p->count, count + 1, memory_order_release);
    return (int)count;
}

static void patch(struct stub_space *s, struct systrap_site site) {
    unsigned char jump[SITE_MAX];
    mutex_lock(&s->lock);
    int i = trampoline_locked(s, site);
    bool refused = i >= 0 && s->patches->site[i].refused;
    mutex_unlock(&s->lock);
    if (i < 0 || refused)
        return;
    jump_for(jump, (uint32_t)i);
    ssize_t n = stub_as_poke((struct address_space *)s, systrap_site_start(&site), jump, size_of_site(&site));
    log_debug(LOG_PLATFORM, "stub %d: site %" PRIx64 " number %u%s patched: %zd", (int)s->pid, site.rip,
              site.number, site.wrapped ? " or any other" : "", n);
}

bool systrap_patch_is_middle(struct stub_space *s, uint64_t rip) {
    struct systrap_patches *p = atomic_load_explicit(&s->patches, memory_order_acquire);
    uint32_t count = p ? atomic_load_explicit(&p->count, memory_order_acquire) : 0, pointer;
    unsigned char code[SITE_SIZE];
    if (count == 0 ||
        stub_as_copy_in((struct address_space *)s, code, rip - OLD_CALL, SITE_SIZE) != SITE_SIZE)
        return false;
    memcpy(&pointer, code + 3, sizeof(pointer));
    uint32_t i = (pointer - PATCH_BASE) / 8;
    return code[0] == 0xff && code[1] == 0x24 && code[2] == 0x25 && pointer % 8 == 0 && i < count &&
           !p->site[i].wrapped && p->site[i].rip == rip - OLD_CALL + SITE_SIZE;
}

/* False: the site looks right but may not be patched, so that asking again is not worth it. */
static bool try_patch(struct stub_space *s, struct systrap_site site) {
    unsigned char code[CODE_BEFORE + COMPARE_SIZE];
    struct stub_mapping m;
    if (s->platform->proc_fd < 0)
        return false;
    ssize_t n = stub_as_copy_in((struct address_space *)s, code, site.rip - CODE_BEFORE, sizeof(code));
    if (n != sizeof(code) || find_pattern(code, &site) == NO_PATTERN)
        return true;
    uint64_t start = systrap_site_start(&site);
    if (!is_quiet_text(s, start, start + size_of_site(&site), &m) ||
        (site.wrapped && is_jumped_to(s, &m, site.rip)))
        return false;
    patch(s, site);
    return true;
}

/* Calls that make use of the frame that a trap leaves, with the FPU state in it: signals to oneself, clones.
 * From a patched site that frame would have to be made by a trap of its own, after the hand-over. */
static bool better_trapped(uint64_t number) {
    switch (number) {
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
    case SYS_rt_sigreturn:
    case SYS_clone:
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork:
    case SYS_execve:
    case SYS_exit: /* so that the thread can be kept for the next one */
        return true;
    default:
        return false;
    }
}

void systrap_patch_count(struct stub_space *s, uint64_t number, uint64_t rip, bool answered) {
    _Atomic uint8_t *hits = &s->patch_hits[(rip ^ rip >> 8) % ARRAY_SIZE(s->patch_hits)];
    uint8_t n = atomic_load_explicit(hits, memory_order_relaxed);
    if (likely(n > PATCH_AFTER) || s->platform->no_patches)
        return;
    if (answered)
        n = (uint8_t)MIN(n + ANSWERED_WEIGHT, (int)PATCH_AFTER);
    atomic_store_explicit(hits, n + 1, memory_order_relaxed);
    if (n != PATCH_AFTER || number > UINT32_MAX || better_trapped(number) || rip < PATCH_END + CODE_BEFORE)
        return;
    if (!gate_close(s)) {
        atomic_store_explicit(hits, PATCH_AFTER - HITS_LATER, memory_order_relaxed); /* others run: later */
        return;
    }
    bool again = try_patch(s, (struct systrap_site){.rip = rip, .number = (uint32_t)number});
    gate_open(s);
    if (again)
        atomic_store_explicit(hits, 0, memory_order_relaxed); /* others share the counter */
}

/* ---- debuggers ---- */

static void original_code(unsigned char *code, struct systrap_site site) {
    if (site.wrapped) {
        static const unsigned char wrapped[] = {0x0f, 0x05, 0x48, 0x3d};
        memcpy(code, wrapped, sizeof(wrapped));
        memcpy(code + sizeof(wrapped), &site.compare, sizeof(site.compare));
        return;
    }
    code[0] = 0xb8;
    memcpy(code + 1, &site.number, sizeof(site.number));
    code[5] = 0x0f;
    code[6] = 0x05;
}

static bool is_patched(struct stub_space *s, const struct systrap_patches *p, uint32_t i) {
    unsigned char code[SITE_MAX], jump[SITE_MAX];
    size_t size = size_of_site(&p->site[i]);
    jump_for(jump, i);
    return stub_as_copy_in((struct address_space *)s, code, systrap_site_start(&p->site[i]), size) ==
               (ssize_t)size &&
           memcmp(code, jump, size) == 0;
}

/* True if the site overlaps [at, at + size) and is patched now. */
static bool is_patched_in(struct stub_space *s, const struct systrap_patches *p, uint32_t i, gva_t at,
                          size_t size) {
    gva_t start = systrap_site_start(&p->site[i]);
    return start < at + size && start + size_of_site(&p->site[i]) > at && is_patched(s, p, i);
}

ssize_t systrap_as_peek(struct address_space *as, void *to, gva_t from, size_t size) {
    struct stub_space *s = stub_space_of(as);
    ssize_t n = stub_as_peek(as, to, from, size);
    struct systrap_patches *p = atomic_load_explicit(&s->patches, memory_order_acquire);
    uint32_t count = p && n > 0 ? atomic_load_explicit(&p->count, memory_order_acquire) : 0;
    for (uint32_t i = 0; i < count; i++) {
        unsigned char code[SITE_MAX];
        if (!is_patched_in(s, p, i, from, (size_t)n))
            continue;
        original_code(code, p->site[i]);
        for (gva_t at = systrap_site_start(&p->site[i]), k = 0; k < size_of_site(&p->site[i]); at++, k++)
            if (at >= from && at < from + (size_t)n)
                ((unsigned char *)to)[at - from] = code[k];
    }
    return n;
}

ssize_t systrap_as_poke(struct address_space *as, gva_t to, const void *from, size_t size) {
    struct stub_space *s = stub_space_of(as);
    struct systrap_patches *p = atomic_load_explicit(&s->patches, memory_order_acquire);
    uint32_t count = p ? atomic_load_explicit(&p->count, memory_order_acquire) : 0;
    for (uint32_t i = 0; i < count; i++) {
        unsigned char code[SITE_MAX];
        if (!is_patched_in(s, p, i, to, size))
            continue;
        mutex_lock(&s->lock);
        p->site[i].refused = true;
        mutex_unlock(&s->lock);
        original_code(code, p->site[i]);
        (void)stub_as_poke(as, systrap_site_start(&p->site[i]), code, size_of_site(&p->site[i]));
    }
    return stub_as_poke(as, to, from, size);
}

/* ---- fork and end ---- */

int systrap_patches_fork(struct stub_space *parent, struct stub_space *child) NO_TSA {
    struct systrap_patches *from = parent->patches;
    if (!from)
        return 0;
    struct systrap_patches *p = new_patches(parent->platform);
    if (!p)
        return -ENOMEM;
    uint32_t count = from->count;
    memcpy(p->site, from->site, count * sizeof(from->site[0]));
    memcpy(p->unit, from->unit, (size_t)(PATCH_CODE - PATCH_BASE));
    memcpy(p->unit + (PATCH_CODE - PATCH_BASE), from->unit + (PATCH_CODE - PATCH_BASE),
           (size_t)count * TRAMPOLINE_SIZE);
    for (size_t i = 0; i < ARRAY_SIZE(p->wrapped); i++)
        p->wrapped[i] = from->wrapped[i];
    p->count = count;
    child->patches = p;
    return map_unit(child, p);
}

void systrap_patches_free(struct stub_space *s) {
    struct systrap_patches *p = s->patches;
    if (!p)
        return;
    memset(p->unit, 0,
           PATCH_CODE - PATCH_BASE); /* pointers; what they pointed to is written anew before it is reached */
    stub_file_put_clean(&s->platform->patches, p->index);
    free(p);
}
