/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/loader.h: programs: ELF (by libelf), scripts, the first stack, the auxiliary vector, our vDSO. Source: execve(2), ELF gABI ch. 4-5,
 * getauxval(3), vdso(7). Everything read from the program is hostile.
 */
#pragma once

#include "base/compiler.h"
#include "platform/platform.h"

struct creds;
struct file;
struct guest_regs;
struct kernel;
struct mm;
struct path;
struct task;

struct load_request {
    struct file *file;         /* the opened program: borrowed */
    const char *filename;      /* AT_EXECFN and first argument of scripts */
    char **argv, **envp;
    const struct creds *creds; /* after set-id rules: AT_UID.. and AT_SECURE */
    bool secure;
};

struct load_result {
    struct mm *mm;             /* new reference: complete address space with the first stack in place */
    struct guest_regs regs;    /* rip, rsp, segments and flags for the first instruction */
    char name[16];             /* comm */
    struct file *exe;          /* new reference: the program that is run (interpreter of a script) */
};

/* Makes a new address space with the program in it. `t` gives root, cwd, creds and limits for finding interpreters; nothing of `t` is changed.
   0, -ENOEXEC, -ENOENT (interpreter missing), -EACCES, -E2BIG, -ELIBBAD, -ELOOP, -ENOMEM ... May block. OWN THREAD of t. */
int load_program(struct task *t, const struct load_request *request, struct load_result *ret) must_check;

/* The vDSO image and its parameter page, made once a kernel. */
int vdso_create(struct kernel *k) must_check;
/* Tells every running guest of new clock offsets (settimeofday, restore). */
void vdso_update_clocks(struct kernel *k);
