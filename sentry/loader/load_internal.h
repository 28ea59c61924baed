/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/load_internal.h: what the loader's files share. An address space is built with every
 * operation kept for one batch (mm_batch_begin), then bss tails and the stack are written.
 */
#pragma once

#include <elf.h>

#include "sentry/loader/loader.h"
#include "sentry/mm/mm_areas.h"

struct vfs_view;

/* Limits on what is read from a program: as Linux's. */
enum { ELF_HEADERS_MAX = 65536, SCRIPT_LINE = 256, SCRIPT_DEPTH = 5 };

/* A program's headers, checked. */
struct elf_image {
    struct file *file;         /* borrowed */
    struct mappable *mappable; /* reference */
    Elf64_Ehdr header;
    Elf64_Phdr *segments; /* malloc'd; header.e_phnum of them */
    char *interpreter;    /* malloc'd PT_INTERP path, or NULL */
    bool exec_stack;      /* PT_GNU_STACK with PF_X; absent: not, as Linux on x86-64 */
    gva_t bias;           /* once mapped: added to every address in the file */
    gva_t entry, headers; /* once mapped */
    gva_t first, end;     /* once mapped: lowest address and end of the highest segment's memory */
};

/* bad: errno for what is no (fitting) program: -ENOEXEC, or -ELIBBAD for an interpreter. */
int elf_read(struct task *t, struct file *file, int bad, struct elf_image *ret) must_check;
void elf_done(struct elf_image *e);

/* The tail of a page behind a segment's file bytes, to be zeroed once the batch is done. */
struct load_zero {
    gva_t start;
    uint64_t len;
};

struct load_state {
    struct task *task;
    const struct load_request *request;
    struct mm *mm;
    struct elf_image program, interpreter;
    bool randomize;
    gva_t stack_top;
    struct load_zero *zeros; /* malloc'd */
    size_t zero_count;
};

/* Maps all segments; *e becomes complete. place: where position-independent code goes: 0: mmap's choice.
 * mm->lock held, batch open. */
int elf_map_locked(struct load_state *s, struct elf_image *e, gva_t place) must_check;
/* Random number below `limit` (0 when not randomizing). */
uint64_t load_random(const struct load_state *s, uint64_t limit);
/* load_stack.c */
int stack_map_locked(struct load_state *s) must_check;
int stack_write(struct load_state *s, struct guest_regs *ret_regs) must_check; /* after the batch */
int stack_check_size(struct task *t, const struct load_request *r) must_check; /* -E2BIG */
/* vdso.c */
int vdso_map_locked(struct load_state *s) must_check;
