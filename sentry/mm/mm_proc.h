/* SPDX-License-Identifier: Apache-2.0
 * sentry/mm/mm_proc.h: what /proc/PID/{maps,smaps,smaps_rollup,statm,status} say of an address space. Source:
 * proc(5).
 *
 * viewer: the reading task, from whose root file names are told; may be NULL. mm->lock is taken inside; may
 * block (paths, the platform's usage).
 */
#pragma once

#include "base/compiler.h"

struct mm;
struct task;
struct text;

void mm_proc_maps(struct mm *mm, struct task *viewer, struct text *out);
/* The same without the vsyscall page. */
void mm_proc_areas(struct mm *mm, struct task *viewer, struct text *out);
void mm_proc_smaps(struct mm *mm, struct task *viewer, struct text *out);
void mm_proc_smaps_rollup(struct mm *mm, struct task *viewer, struct text *out);

/* Numbers in bytes for stat, statm and status; resident is the host's word. */
struct mm_numbers {
    uint64_t total, peak, locked, resident, shared, data, stack, exec, library, page_tables;
    gva_t code_start, code_end, data_start, data_end, brk_start, stack_start, arg_start, arg_end, env_start,
        env_end;
};
void mm_proc_numbers(struct mm *mm, struct mm_numbers *ret);
