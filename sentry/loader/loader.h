/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/loader.h: programs: ELF (by libelf), scripts, the first stack, the auxiliary vector, our
 * vDSO. Source: execve(2), ELF gABI ch. 4-5, getauxval(3), vdso(7). Everything read from the program is
 * hostile.
 */
#pragma once

#include "platform/platform.h"

struct creds;
struct file;
struct kernel;
struct mm;
struct task;

/* What execve's arguments may take altogether: strings and their pointers (execve(2), "Limits on size of
 * arguments and environment"). */
uint64_t load_arguments_limit(struct task *t);

/* The program that really runs: behind the "#!" lines of scripts. */
struct load_image {
    struct file *file; /* new reference */
    char **argv;       /* malloc'd, as its strings: free_strings() */
};
/* Follows scripts from `file`, opened as `filename`. -ENOEXEC, -ELOOP (more than 5), -ENOENT, -EACCES ... On
   success end with load_image_done(). May block. Set-id bits and file capabilities count on the image's file,
   never on a script's: so execve calls this before it makes credentials. */
int load_resolve(struct task *t, struct file *file, const char *filename, char **argv,
                 struct load_image *ret) must_check;
void load_image_done(struct load_image *image);

struct load_request {
    struct file *file;    /* the opened program, or load_image.file: borrowed */
    const char *filename; /* AT_EXECFN and first argument of scripts */
    char **argv, **envp;
    const struct creds *creds; /* after set-id rules: AT_UID.. and AT_SECURE */
    bool secure;
};

struct load_result {
    struct mm *mm; /* new reference: complete address space with the first stack in place; mm->exe is set */
    struct guest_regs regs; /* rip, rsp, segments and flags for the first instruction */
    char name[16];          /* comm */
    struct file *exe;       /* new reference: the program that is run (interpreter of a script) */
};

/* Makes a new address space with the program in it (scripts are followed). `t` gives root, cwd, creds and
   limits for finding interpreters; nothing of `t` is changed. 0, -ENOEXEC, -ENOENT (interpreter missing),
   -EACCES, -E2BIG, -ELIBBAD, -ELOOP, -ENOMEM, -EINVAL ... May block. OWN THREAD of t. */
int load_program(struct task *t, const struct load_request *request, struct load_result *ret) must_check;

/* The vDSO image and its parameter page, made once a kernel, after the shared memory file. k->vdso is set. */
int vdso_create(struct kernel *k) must_check;
void vdso_destroy(struct kernel *k);
/* An address space whose tasks change their time namespace: in one that shifts clocks the vDSO makes the
 * calls. */
void vdso_shift(struct mm *mm, bool shifted);
/* Tells every running guest of new clock offsets (kernel.realtime_offset_ns, monotonic_offset_ns:
 * settimeofday, restore). */
void vdso_update_clocks(struct kernel *k);
