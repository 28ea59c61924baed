/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/load_elf.c: reading and mapping ELF programs and interpreters. Source: ELF gABI ch. 4-5,
 * elf(5); what is refused with which errno is Linux's.
 *
 * libelf sees a copy of our own making: the ELF header and the program headers, side by side in one bounded
 * buffer, never the file.
 */
#include <errno.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/limits.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/load_internal.h"
#include "sentry/vfs/file.h"

/* ---- reading ---- */

static bool header_ok(const Elf64_Ehdr *h) {
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_ident[EI_DATA] != ELFDATA2LSB)
        return false;
    if ((h->e_type != ET_EXEC && h->e_type != ET_DYN) || h->e_machine != EM_X86_64)
        return false;
    return h->e_phentsize == sizeof(Elf64_Phdr) && h->e_phnum > 0 &&
           h->e_phnum * sizeof(Elf64_Phdr) <= ELF_HEADERS_MAX;
}

static int read_exact(struct task *t, struct file *file, void *to, size_t size, uint64_t offset) {
    ssize_t n = file_read_kernel(t, file, to, size, offset);

    if (n < 0)
        return (int)n;
    return (size_t)n == size ? 0 : -EIO;
}

/* The program headers as libelf understands them, from `image`: header (its tables' places made ours) and
 * program headers. */
static int translate_headers(char *image, size_t size, struct elf_image *e) {
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory(image, size);
    Elf64_Ehdr *header = elf ? elf64_getehdr(elf) : NULL;
    Elf64_Phdr *segments = header ? elf64_getphdr(elf) : NULL;
    int result = segments ? 0 : -ENOEXEC;

    if (result == 0) {
        size_t bytes = e->header.e_phnum * sizeof *segments;
        e->segments = malloc(bytes);
        if (e->segments)
            memcpy(e->segments, segments, bytes);
        else
            result = -ENOMEM;
    }
    elf_end(elf);
    return result;
}

static int read_segments(struct task *t, struct elf_image *e, int bad) {
    size_t bytes = e->header.e_phnum * sizeof(Elf64_Phdr);
    Elf64_Ehdr copy = e->header;
    char *image = malloc(sizeof copy + bytes);

    if (!image)
        return -ENOMEM;
    int result = copy.e_phoff > INT64_MAX - bytes
                     ? bad
                     : read_exact(t, e->file, image + sizeof copy, bytes, copy.e_phoff);
    copy.e_phoff = sizeof copy;
    copy.e_ehsize = sizeof copy;
    copy.e_shoff = 0;
    copy.e_shnum = copy.e_shstrndx = 0;
    memcpy(image, &copy, sizeof copy);
    if (result == 0)
        result = translate_headers(image, sizeof copy + bytes, e);
    free(image);
    return result == -ENOEXEC ? bad : result;
}

static int read_interpreter_path(struct task *t, struct elf_image *e, const Elf64_Phdr *p) {
    if (p->p_filesz > LINUX_PATH_MAX || p->p_filesz < 2)
        return -ENOEXEC;
    char *path = malloc(p->p_filesz);
    if (!path)
        return -ENOMEM;
    int result = p->p_offset > INT64_MAX - LINUX_PATH_MAX
                     ? -EIO
                     : read_exact(t, e->file, path, p->p_filesz, p->p_offset);
    if (result == 0 && path[p->p_filesz - 1] != '\0')
        result = -ENOEXEC;
    if (result < 0)
        free(path);
    else
        e->interpreter = path;
    return result;
}

static int look_at_segments(struct task *t, struct elf_image *e) {
    for (unsigned i = 0; i < e->header.e_phnum; i++) {
        const Elf64_Phdr *p = &e->segments[i];
        if (p->p_type == PT_GNU_STACK)
            e->exec_stack = p->p_flags & PF_X;
        if (p->p_type != PT_INTERP || e->interpreter)
            continue;
        int result = read_interpreter_path(t, e, p);
        if (result < 0)
            return result;
    }
    return 0;
}

int elf_read(struct task *t, struct file *file, int bad, struct elf_image *e) {
    *e = (struct elf_image){.file = file};
    ssize_t n = file_read_kernel(t, file, &e->header, sizeof e->header, 0);

    if (n < 0)
        return (int)n;
    if ((size_t)n < sizeof e->header || !header_ok(&e->header) || !file->ops->mmap)
        return bad;
    int result = read_segments(t, e, bad);
    if (result == 0)
        result = look_at_segments(t, e);
    if (result < 0)
        return result;
    struct mmap_request r = {.len = PAGE_SIZE,
                             .prot = LINUX_PROT_READ | LINUX_PROT_EXEC,
                             .flags = LINUX_MAP_PRIVATE,
                             .file = file};
    return file->ops->mmap(file, &r, &e->mappable);
}

void elf_done(struct elf_image *e) {
    free(e->segments);
    free(e->interpreter);
    e->mappable = mappable_unref(e->mappable);
    e->segments = NULL;
    e->interpreter = NULL;
}

/* ---- mapping ---- */

/* Lowest page and end of all loadable segments, as the file numbers them. -EINVAL: none, or addresses that
 * cannot be. */
static int measure(const struct elf_image *e, gva_t task_size, gva_t *ret_low, gva_t *ret_high) {
    gva_t low = UINT64_MAX, high = 0;

    for (unsigned i = 0; i < e->header.e_phnum; i++) {
        const Elf64_Phdr *p = &e->segments[i];
        if (p->p_type != PT_LOAD)
            continue;
        if (p->p_filesz > p->p_memsz || p->p_memsz > task_size || p->p_vaddr > task_size - p->p_memsz)
            return -EINVAL;
        if (p->p_filesz > 0 &&
            (p->p_offset % PAGE_SIZE != p->p_vaddr % PAGE_SIZE || p->p_offset > INT64_MAX - task_size))
            return -EINVAL;
        low = MIN(low, page_down(p->p_vaddr));
        high = MAX(high, p->p_vaddr + p->p_memsz);
    }
    if (high == 0)
        return -EINVAL;
    *ret_low = low;
    *ret_high = page_up(high);
    return 0;
}

/* Largest alignment that is asked for and is a power of two; others are ignored, as by Linux. */
static uint64_t alignment_of(const struct elf_image *e, gva_t task_size) {
    uint64_t align = PAGE_SIZE;

    for (unsigned i = 0; i < e->header.e_phnum; i++) {
        uint64_t a = e->segments[i].p_align;
        if (e->segments[i].p_type == PT_LOAD && (a & (a - 1)) == 0 && a < task_size / 4)
            align = MAX(align, a);
    }
    return align;
}

static uint32_t prot_of(const Elf64_Phdr *p) {
    return (p->p_flags & PF_R ? LINUX_PROT_READ : 0u) | (p->p_flags & PF_W ? LINUX_PROT_WRITE : 0u) |
           (p->p_flags & PF_X ? LINUX_PROT_EXEC : 0u);
}

static int remember_zero(struct load_state *s, gva_t start, uint64_t len) {
    if (len == 0)
        return 0;
    struct load_zero *bigger = realloc(s->zeros, (s->zero_count + 1) * sizeof *bigger);
    if (!bigger)
        return -ENOMEM;
    s->zeros = bigger;
    s->zeros[s->zero_count++] = (struct load_zero){start, len};
    return 0;
}

/* File bytes privately, then anonymous memory; the rest of the last file page is zeroed later if the segment
 * is writable. */
static int map_segment_locked(struct load_state *s, const struct elf_image *e, const Elf64_Phdr *p) {
    gva_t start = e->bias + p->p_vaddr, file_end = start + p->p_filesz, end = start + p->p_memsz;
    struct map_plan plan = {.prot = prot_of(p),
                            .max_prot = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC};
    gva_t anonymous = page_down(start);
    struct list dead;
    int result = 0;

    list_init(&dead);
    if (p->p_filesz > 0) {
        plan.start = page_down(start);
        plan.end = anonymous = page_up(file_end);
        plan.mappable = e->mappable;
        plan.file = e->file;
        plan.offset = page_down(p->p_offset);
        result = mm_map_locked(s->mm, &plan, &dead);
        if (result == 0 && p->p_memsz > p->p_filesz && (p->p_flags & PF_W))
            result = remember_zero(s, file_end, page_up(file_end) - file_end);
    }
    if (result == 0 && page_up(end) > anonymous) {
        plan.start = anonymous;
        plan.end = page_up(end);
        plan.mappable = NULL;
        plan.file = NULL;
        plan.offset = 0;
        result = mm_map_locked(s->mm, &plan, &dead);
    }
    vma_free_list(&dead); /* its references are not the last ones: *e holds others */
    return result;
}

static void note_bounds(struct load_state *s, const struct elf_image *e) {
    struct mm *mm = s->mm;

    mm->code_start = UINT64_MAX;
    for (unsigned i = 0; i < e->header.e_phnum; i++) {
        const Elf64_Phdr *p = &e->segments[i];
        if (p->p_type != PT_LOAD)
            continue;
        gva_t start = e->bias + p->p_vaddr, end = start + p->p_filesz;
        if (p->p_flags & PF_X)
            mm->code_start = MIN(mm->code_start, start);
        if (p->p_flags & PF_X)
            mm->code_end = MAX(mm->code_end, end);
        mm->data_start = MAX(mm->data_start, start);
        mm->data_end = MAX(mm->data_end, end);
    }
    if (mm->code_start == UINT64_MAX)
        mm->code_start = mm->data_start;
}

/* AT_PHDR: PT_PHDR, or the segment that holds the table. */
static gva_t headers_address(const struct elf_image *e) {
    for (unsigned i = 0; i < e->header.e_phnum; i++)
        if (e->segments[i].p_type == PT_PHDR)
            return e->bias + e->segments[i].p_vaddr;
    for (unsigned i = 0; i < e->header.e_phnum; i++) {
        const Elf64_Phdr *p = &e->segments[i];
        if (p->p_type == PT_LOAD && p->p_offset <= e->header.e_phoff &&
            e->header.e_phoff - p->p_offset < p->p_filesz)
            return e->bias + p->p_vaddr + (e->header.e_phoff - p->p_offset);
    }
    return 0;
}

/* Where the file's address `low` comes to lie; sets the bias. */
static int choose_bias_locked(struct load_state *s, struct elf_image *e, gva_t place, gva_t low, gva_t high) {
    gva_t task_size = mm_task_size(s->mm), min = kernel_platform(s->mm->kernel)->limits.min_address;
    uint64_t align = alignment_of(e, task_size);

    if (e->header.e_type == ET_EXEC) {
        e->bias = 0;
        if (low < MAX(min, MMAP_MIN_ADDR))
            return -EPERM;
        return high <= task_size && range_free_locked(s->mm, low, high) ? 0 : -EEXIST;
    }
    uint64_t span = high - low;
    if (place) {
        e->bias = (place - low) & ~(align - 1);
        gva_t start = e->bias + low;
        if (start >= MMAP_MIN_ADDR && start <= task_size - span &&
            range_free_locked(s->mm, start, start + span))
            return 0;
    }
    int64_t found = mm_search_locked(s->mm, 0, span + align - PAGE_SIZE, 0);
    if (found < 0)
        return (int)found;
    e->bias = ((gva_t)found - low + align - 1) & ~(align - 1);
    return 0;
}

int elf_map_locked(struct load_state *s, struct elf_image *e, gva_t place) {
    gva_t low, high;
    int result = measure(e, mm_task_size(s->mm), &low, &high);

    if (result == 0)
        result = choose_bias_locked(s, e, place, low, high);
    for (unsigned i = 0; result == 0 && i < e->header.e_phnum; i++)
        if (e->segments[i].p_type == PT_LOAD && e->segments[i].p_memsz > 0)
            result = map_segment_locked(s, e, &e->segments[i]);
    if (result < 0)
        return result;
    e->first = e->bias + low;
    e->end = e->bias + high;
    e->entry = e->bias + e->header.e_entry;
    e->headers = headers_address(e);
    if (e->entry >= mm_task_size(s->mm))
        return -EINVAL;
    if (e == &s->program)
        note_bounds(s, e);
    return 0;
}
