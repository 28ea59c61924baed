/* SPDX-License-Identifier: Apache-2.0
 * sentry/loader/load_stack.c: the first stack: strings, auxiliary vector, argv and envp, as the x86-64 psABI
 * (3.4.1) and Linux lay them out:
 *
 *   stack_top - 8      a zero word
 *   file name          AT_EXECFN
 *   envp's strings, below them argv's strings
 *   (random gap)       "x86_64" for AT_PLATFORM, 16 random bytes for AT_RANDOM
 *   auxv, envp, argv, argc: the stack pointer, 16-byte aligned
 *
 * All of it is made in one buffer and written at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/abi/linux/auxvec.h"
#include "base/abi/linux/resource.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/load_internal.h"
#include "sentry/mm/uaccess.h"

enum {
    RANDOM_BYTES = 16,
    CLOCK_TICKS = 100,
    FIRST_STACK = 128 * 1024 /* as Linux: room below the strings */
};
#define PLATFORM_NAME "x86_64"
#define STACK_LIMIT   (8ull << 20)
#define ARGUMENTS_MIN 131072ull

/* ---- sizes ---- */

struct sizes {
    uint64_t argc, envc, strings; /* strings: bytes with NULs, the file name's included */
};

static void add_strings(char **v, uint64_t *count, uint64_t *bytes) {
    for (; v && v[*count]; ++*count)
        *bytes += strlen(v[*count]) + 1;
}

static struct sizes measure(const struct load_request *r) {
    struct sizes z = {.strings = strlen(r->filename) + 1};

    add_strings(r->argv, &z.argc, &z.strings);
    add_strings(r->envp, &z.envc, &z.strings);
    if (z.argc == 0) { /* an empty argv becomes {""} */
        z.argc = 1;
        z.strings++;
    }
    return z;
}

uint64_t load_arguments_limit(struct task *t) {
    uint64_t limit = MIN(STACK_LIMIT / 4 * 3, task_limit(t, LINUX_RLIMIT_STACK) / 4);

    return MAX(limit, ARGUMENTS_MIN);
}

int stack_check_size(struct task *t, const struct load_request *r) {
    struct sizes z = measure(r);

    return z.strings + (z.argc + z.envc) * sizeof(uint64_t) > load_arguments_limit(t) ? -E2BIG : 0;
}

int stack_map_locked(struct load_state *s) {
    struct sizes z = measure(s->request);
    uint64_t used = z.strings + (z.argc + z.envc + 64) * sizeof(uint64_t) + 3 * PAGE_SIZE,
             size = page_up(z.strings + 8) + FIRST_STACK;
    struct map_plan p = {.end = s->stack_top,
                         .prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
                         .max_prot = LINUX_PROT_READ | LINUX_PROT_WRITE | LINUX_PROT_EXEC,
                         .flags = VMA_GROWSDOWN};
    struct list dead;

    if (s->program.exec_stack)
        p.prot |= LINUX_PROT_EXEC;
    uint64_t limit = page_down(task_limit(s->task, LINUX_RLIMIT_STACK));
    size = MIN(size, limit);
    size = MAX(size, page_up(used));
    p.start = p.end - size;
    list_init(&dead);
    int result = mm_map_locked(s->mm, &p, &dead);
    vma_free_list(&dead);
    s->mm->stack_start = s->stack_top - PAGE_SIZE; /* until the stack pointer is known */
    return result;
}

/* ---- contents ---- */

/* The buffer stands for guest memory [base, top). */
struct stack {
    char *bytes;
    gva_t base, top, at; /* at: grows down */
};

static void push(struct stack *k, const void *data, size_t size) {
    k->at -= size;
    memcpy(k->bytes + (k->at - k->base), data, size);
}

static void push_word(struct stack *k, uint64_t word) {
    push(k, &word, sizeof word);
}

/* Copies strings upward from `at`, their addresses to `pointers`; returns the end. */
static gva_t put_strings(struct stack *k, gva_t at, char **v, uint64_t count, uint64_t *pointers) {
    for (uint64_t i = 0; i < count; i++) {
        const char *string = v && v[i] ? v[i] : "";
        size_t size = strlen(string) + 1;
        memcpy(k->bytes + (at - k->base), string, size);
        pointers[i] = at;
        at += size;
    }
    return at;
}

/* Bytes that a signal frame may take: siginfo, ucontext and the XSAVE area with its alignment
 * (sigaltstack(2), AT_MINSIGSTKSZ). */
static uint64_t min_signal_stack(struct kernel *k) {
    return (kernel_platform(k)->fpu_size + 4 + 63 + 15 + 8 + 128 + 304 + 15) / 16 * 16;
}

static void aux(struct mm *mm, uint64_t type, uint64_t value) {
    ASSERT(mm->auxv_words + 2 <= MM_AUXV_WORDS);
    mm->auxv[mm->auxv_words++] = type;
    mm->auxv[mm->auxv_words++] = value;
}

static void make_auxv(struct load_state *s, gva_t random, gva_t platform, gva_t filename) {
    const struct creds *c = s->request->creds;
    struct mm *mm = s->mm;

    if (mm->vdso)
        aux(mm, LINUX_AT_SYSINFO_EHDR, mm->vdso);
    aux(mm, LINUX_AT_MINSIGSTKSZ, min_signal_stack(mm->kernel));
    aux(mm, LINUX_AT_HWCAP, getauxval(AT_HWCAP));
    aux(mm, LINUX_AT_PAGESZ, PAGE_SIZE);
    aux(mm, LINUX_AT_CLKTCK, CLOCK_TICKS);
    aux(mm, LINUX_AT_PHDR, s->program.headers);
    aux(mm, LINUX_AT_PHENT, sizeof(Elf64_Phdr));
    aux(mm, LINUX_AT_PHNUM, s->program.header.e_phnum);
    aux(mm, LINUX_AT_BASE, s->program.interpreter ? s->interpreter.bias : 0);
    aux(mm, LINUX_AT_FLAGS, 0);
    aux(mm, LINUX_AT_ENTRY, s->program.entry);
    aux(mm, LINUX_AT_UID, from_kuid(c->user_ns, c->uid));
    aux(mm, LINUX_AT_EUID, from_kuid(c->user_ns, c->euid));
    aux(mm, LINUX_AT_GID, from_kgid(c->user_ns, c->gid));
    aux(mm, LINUX_AT_EGID, from_kgid(c->user_ns, c->egid));
    aux(mm, LINUX_AT_SECURE, s->request->secure);
    aux(mm, LINUX_AT_RANDOM, random);
    aux(mm, LINUX_AT_HWCAP2, getauxval(AT_HWCAP2));
    aux(mm, LINUX_AT_EXECFN, filename);
    aux(mm, LINUX_AT_PLATFORM, platform);
    aux(mm, LINUX_AT_NULL, 0);
}

/* Below the strings: platform name, random bytes, auxv. */
static int push_tables(struct load_state *s, struct stack *k, gva_t filename) {
    char random[RANDOM_BYTES];

    k->at = (k->at - load_random(s, 8192)) & ~15ull;
    push(k, PLATFORM_NAME, sizeof PLATFORM_NAME);
    gva_t platform = k->at;
    int result = kernel_random(s->mm->kernel, random, sizeof random);
    if (result < 0)
        return result;
    push(k, random, sizeof random);
    make_auxv(s, k->at, platform, filename);
    return 0;
}

static int fill(struct load_state *s, struct stack *k, const struct sizes *z, uint64_t *pointers) {
    const struct load_request *r = s->request;
    struct mm *mm = s->mm;

    k->at = k->top;
    push_word(k, 0);
    push(k, r->filename, strlen(r->filename) + 1);
    gva_t filename = k->at;
    k->at = k->top - sizeof(uint64_t) - z->strings;
    mm->arg_start = k->at;
    mm->arg_end = mm->env_start = put_strings(k, k->at, r->argv, z->argc, pointers);
    mm->env_end = put_strings(k, mm->env_start, r->envp, z->envc, pointers + z->argc);
    ASSERT(mm->env_end == filename);
    int result = push_tables(s, k, filename);
    if (result < 0)
        return result;
    uint64_t words = mm->auxv_words + z->envc + 1 + z->argc + 1 + 1;
    k->at = (k->at - words * sizeof(uint64_t)) & ~15ull;
    gva_t sp = k->at;
    k->at += words * sizeof(uint64_t);
    push(k, mm->auxv, mm->auxv_words * sizeof(uint64_t));
    push_word(k, 0);
    push(k, pointers + z->argc, z->envc * sizeof(uint64_t));
    push_word(k, 0);
    push(k, pointers, z->argc * sizeof(uint64_t));
    push_word(k, z->argc);
    ASSERT(k->at == sp);
    return 0;
}

int stack_write(struct load_state *s, struct guest_regs *regs) {
    struct sizes z = measure(s->request);
    uint64_t pointer_bytes = (z.argc + z.envc) * sizeof(uint64_t);
    uint64_t size = page_up(z.strings + pointer_bytes + sizeof s->mm->auxv + 8192 + 512);
    struct stack k = {.bytes = calloc(1, size), .base = s->stack_top - size, .top = s->stack_top};
    uint64_t *pointers = malloc(pointer_bytes);
    int result = k.bytes && pointers ? fill(s, &k, &z, pointers) : -ENOMEM;

    if (result == 0) {
        uint64_t used = k.top - k.at;
        ssize_t n = mm_write(s->mm, k.at, k.bytes + (k.at - k.base), used, /* force= */ false);
        result = n < 0 ? (int)n : (uint64_t)n == used ? 0 : -EFAULT;
    }
    if (result == 0) {
        s->mm->stack_start = k.at;
        regs->rsp = k.at;
    }
    free(pointers);
    free(k.bytes);
    return result;
}
