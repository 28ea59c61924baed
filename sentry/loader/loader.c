/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/loader.c: load_program(): a new address space with a program, its interpreter, stack, vDSO
 * and break in it (loader.h).
 *
 * Layout as Linux's on x86-64, below the platform's top: the stack at a random place near the top, mmap_base
 * below the room that it may grow into, position-independent programs with an interpreter at two thirds of
 * the space, others (static-pie, ld.so itself) where mmap puts them.
 */
#include "sentry/loader/loader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/resource.h"
#include "base/abi/linux/system.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/load_internal.h"
#include "sentry/mm/uaccess.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/vfs.h"

#define PIE_BASE           0x555555554000ull /* 2/3 of a 47-bit space */
#define RANDOM_PAGES       (1ull << 28)      /* mmap_rnd_bits */
#define STACK_RANDOM_PAGES (1ull << 22)
#define BRK_RANDOM         (1ull << 30)
#define STACK_GAP_MIN      (128ull << 20)

uint64_t load_random(const struct load_state *s, uint64_t limit) {
    uint64_t r;

    if (!s->randomize || kernel_random(s->mm->kernel, &r, sizeof r) < 0)
        return 0;
    return r % limit;
}

/* Stack top and mmap_base. As Linux: the gap is the stack's limit, and room for its randomness and guard,
 * between 128 MiB and 5/6 of the space. */
static void choose_layout(struct load_state *s) {
    gva_t top = mm_task_size(s->mm);
    uint64_t pad = STACK_GUARD_GAP + (s->randomize ? STACK_RANDOM_PAGES * PAGE_SIZE : 0);
    uint64_t gap = task_limit(s->task, LINUX_RLIMIT_STACK), most = top / 6 * 5;

    if (gap + pad > gap)
        gap += pad;
    gap = MAX(gap, STACK_GAP_MIN);
    gap = MIN(gap, most);
    /* Two pages stay free at the very top, for the vDSO above the stack. */
    s->stack_top = top - (2ull << 20) - load_random(s, STACK_RANDOM_PAGES) * PAGE_SIZE;
    s->mm->mmap_base = page_down(top - gap - load_random(s, RANDOM_PAGES) * PAGE_SIZE);
}

static int open_interpreter(struct load_state *s, struct file **ret) {
    struct vfs_view view;

    vfs_view_of(s->task, &view);
    int result = vfs_open_exec(&view, LINUX_AT_FDCWD, s->program.interpreter, 0, ret);
    vfs_view_done(&view);
    return result;
}

static void set_brk_locked(struct load_state *s) {
    struct mm *mm = s->mm;
    gva_t start = s->program.end;

    /* A program without interpreter lies among the mappings: its break goes where programs usually lie. */
    if (s->program.header.e_type == ET_DYN && !s->program.interpreter)
        start = PIE_BASE;
    start = page_up(start + load_random(s, BRK_RANDOM / PAGE_SIZE) * PAGE_SIZE);
    if (!range_free_locked(mm, start, start + PAGE_SIZE))
        start = s->program.end;
    mm->brk_start = mm->brk = start;
}

static int map_all_locked(struct load_state *s) {
    gva_t place = 0;

    if (s->program.interpreter)
        place = PIE_BASE + load_random(s, RANDOM_PAGES) * PAGE_SIZE;
    int result = stack_map_locked(s);
    if (result == 0)
        result = elf_map_locked(s, &s->program, place);
    if (result == 0 && s->program.interpreter)
        result = elf_map_locked(s, &s->interpreter, 0);
    if (result == 0)
        result = vdso_map_locked(s);
    if (result == 0 && s->mm->total_bytes > task_limit(s->task, LINUX_RLIMIT_AS))
        result = -ENOMEM;
    if (result == 0)
        set_brk_locked(s);
    return result;
}

static int zero_tails(struct load_state *s) {
    static const char zeros[PAGE_SIZE];

    for (size_t i = 0; i < s->zero_count; i++) {
        ssize_t n = mm_write(s->mm, s->zeros[i].start, zeros, s->zeros[i].len, /* force= */ false);
        if (n != (ssize_t)s->zeros[i].len)
            return -EFAULT;
    }
    return 0;
}

static int build(struct load_state *s, struct guest_regs *regs) {
    struct as_batch batch;

    choose_layout(s);
    mm_batch_begin(s->mm, &batch);
    mutex_lock(&s->mm->lock);
    int result = map_all_locked(s);
    mutex_unlock(&s->mm->lock);
    int applied = mm_batch_end(s->mm);
    if (result == 0)
        result = applied;
    if (result == 0)
        result = zero_tails(s);
    if (result == 0)
        result = stack_write(s, regs);
    regs->rip = s->program.interpreter ? s->interpreter.entry : s->program.entry;
    return result;
}

/* A program's own name, as in /proc/PID/comm: of the script if it is one. */
static void set_name(const char *filename, char *name, size_t size) {
    const char *slash = strrchr(filename, '/');

    memset(name, 0, size);
    filename = slash ? slash + 1 : filename;
    memcpy(name, filename, strnlen(filename, size - 1));
}

/* All that is opened and read, before there is an address space. */
static int read_all(struct load_state *s, struct file **ret_interpreter) {
    struct task *t = s->task;
    int result = stack_check_size(t, s->request);

    if (result == 0)
        result = elf_read(t, s->request->file, -ENOEXEC, &s->program);
    if (result == 0 && s->program.interpreter)
        result = open_interpreter(s, ret_interpreter);
    if (result == 0 && s->program.interpreter)
        result = elf_read(t, *ret_interpreter, -ELIBBAD, &s->interpreter);
    return result;
}

static int load_binary(struct task *t, const struct load_request *r, struct load_result *ret) {
    struct load_state s = {.task = t, .request = r, .randomize = !(t->personality & LINUX_ADDR_NO_RANDOMIZE)};
    struct file *interpreter = NULL;
    struct guest_regs regs = {.orig_rax = ~0ull, .cs = 0x33, .ss = 0x2b, .rflags = 0x202};
    int result = read_all(&s, &interpreter);

    if (result == 0)
        result = mm_create(t->kernel, &s.mm);
    if (result == 0)
        result = build(&s, &regs);
    elf_done(&s.program);
    elf_done(&s.interpreter);
    file_unref(interpreter);
    free(s.zeros);
    if (result < 0) {
        mm_unref(s.mm);
        return result;
    }
    s.mm->exe = file_ref(r->file);
    ret->mm = s.mm;
    ret->regs = regs;
    ret->exe = file_ref(r->file);
    return 0;
}

int load_program(struct task *t, const struct load_request *request, struct load_result *ret) {
    struct load_request r = *request;
    struct load_image image;

    might_block();
    int result = load_resolve(t, request->file, request->filename, request->argv, &image);
    if (result < 0)
        return result;
    r.file = image.file;
    r.argv = image.argv;
    result = load_binary(t, &r, ret);
    if (result == 0)
        set_name(request->filename, ret->name, sizeof ret->name);
    load_image_done(&image);
    return result;
}
