/* SPDX-License-Identifier: Apache-2.0
 * runsc/container/seccomp_profile_host.c: see seccomp_profile.h. Sources: runtime-spec config-linux.md
 * "Seccomp"; seccomp_rule_add(3), seccomp_export_bpf(3); runc's behaviour by experiment (docs/cli.md).
 */
#include "runsc/container/seccomp_profile.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { MAX_PROGRAM = 4096, X32_BIT = 0x40000000, STUB_LENGTH = 6 };

static int invalid(struct err **err, const char *what, const char *name) {
    return err_set(err, EINVAL, "seccomp.unsupported", "linux.seccomp: %s \"%s\"", what, name);
}

/* ---- names ---- */

static int action_of(const char *name, const struct spec_u64 *errno_ret, uint32_t *ret, struct err **err) {
    uint16_t data = errno_ret->set ? (uint16_t)errno_ret->value : EPERM;

    if (strcmp(name, "SCMP_ACT_ALLOW") == 0)
        *ret = SCMP_ACT_ALLOW;
    else if (strcmp(name, "SCMP_ACT_ERRNO") == 0)
        *ret = SCMP_ACT_ERRNO(data);
    else if (strcmp(name, "SCMP_ACT_KILL") == 0 || strcmp(name, "SCMP_ACT_KILL_THREAD") == 0)
        *ret = SCMP_ACT_KILL_THREAD;
    else if (strcmp(name, "SCMP_ACT_KILL_PROCESS") == 0)
        *ret = SCMP_ACT_KILL_PROCESS;
    else if (strcmp(name, "SCMP_ACT_TRAP") == 0)
        *ret = SCMP_ACT_TRAP;
    else if (strcmp(name, "SCMP_ACT_TRACE") == 0)
        *ret = SCMP_ACT_TRACE(data);
    else if (strcmp(name, "SCMP_ACT_LOG") == 0)
        *ret = SCMP_ACT_LOG;
    else
        return invalid(err, "a supervisor outside cannot answer calls of the sandbox: unsupported action",
                       name);
    return 0;
}

static enum scmp_compare operator_of(const char *name) {
    static const struct {
        const char *name;
        enum scmp_compare op;
    } table[] = {{"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
                 {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT}};

    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (strcmp(name, table[i].name) == 0)
            return table[i].op;
    return SCMP_CMP_MASKED_EQ; /* spec_validate.c has checked them */
}

static int check_flags(const struct spec_strings *flags, bool *ret_log, struct err **err) {
    static const char *const harmless[] = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                           "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};

    for (size_t i = 0; i < flags->count; i++) {
        bool known = strcmp(flags->items[i], "SECCOMP_FILTER_FLAG_LOG") == 0;
        *ret_log |= known;
        for (size_t k = 0; k < ARRAY_SIZE(harmless); k++)
            known |= strcmp(flags->items[i], harmless[k]) == 0;
        if (!known)
            return invalid(err, "unknown flag", flags->items[i]);
    }
    return 0;
}

/* ---- rules ---- */

static struct scmp_arg_cmp comparison(const struct spec_seccomp_arg *a) {
    struct scmp_arg_cmp c = {
        .arg = (unsigned)a->index, .op = operator_of(a->op), .datum_a = a->value, .datum_b = a->value_two};
    return c;
}

static bool names_an_argument_twice(const struct spec_seccomp_rule *rule) {
    for (size_t i = 0; i < rule->args.count; i++)
        for (size_t j = 0; j < i; j++)
            if (rule->args.items[i].index == rule->args.items[j].index)
                return true;
    return false;
}

/* Conditions on one argument are alternatives, as runc has it; others must all hold. */
static int add_rule(scmp_filter_ctx ctx, uint32_t action, int number, const struct spec_seccomp_rule *rule) {
    struct scmp_arg_cmp c[6];
    int r = 0;

    if (rule->args.count <= ARRAY_SIZE(c) && !names_an_argument_twice(rule)) {
        for (size_t i = 0; i < rule->args.count; i++)
            c[i] = comparison(&rule->args.items[i]);
        return seccomp_rule_add_array(ctx, action, number, (unsigned)rule->args.count, c);
    }
    for (size_t i = 0; i < rule->args.count && r == 0; i++) {
        c[0] = comparison(&rule->args.items[i]);
        r = seccomp_rule_add_array(ctx, action, number, 1, c);
    }
    return r;
}

/* Adds the rule for each of its names; *newest is the greatest number seen. */
static int add_rules(scmp_filter_ctx ctx, const struct spec_seccomp *p, uint32_t fallback, int *newest,
                     struct err **err) {
    for (size_t i = 0; i < p->syscalls.count; i++) {
        const struct spec_seccomp_rule *rule = &p->syscalls.items[i];
        uint32_t action = 0;
        int r = action_of(rule->action, &rule->errno_ret, &action, err);
        if (r < 0)
            return r;
        for (size_t k = 0; k < rule->names.count; k++) {
            int number = seccomp_syscall_resolve_name(rule->names.items[k]);
            int here = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, rule->names.items[k]);
            if (here > *newest)
                *newest = here;
            if (number == __NR_SCMP_ERROR || action == fallback)
                continue;
            r = add_rule(ctx, action, number, rule);
            if (r < 0)
                return err_set(err, -r, "seccomp.rule", "linux.seccomp.syscalls[%zu]: adding a rule for %s",
                               i, rule->names.items[k]);
        }
    }
    return 0;
}

static int add_architectures(scmp_filter_ctx ctx, const struct spec_strings *names, struct err **err) {
    for (size_t i = 0; i < names->count; i++) {
        uint32_t arch = 0;
        if (strcmp(names->items[i], "SCMP_ARCH_X86") == 0)
            arch = SCMP_ARCH_X86;
        else if (strcmp(names->items[i], "SCMP_ARCH_X32") == 0)
            arch = SCMP_ARCH_X32;
        if (!arch) /* our own, or one that no program here can have */
            continue;
        int r = seccomp_arch_add(ctx, arch);
        if (r < 0 && r != -EEXIST)
            return err_set(err, -r, "seccomp.architecture", "linux.seccomp.architectures: %s",
                           names->items[i]);
    }
    return 0;
}

/* ---- the program ---- */

/* Calls newer than the profile knows give ENOSYS, which programs can deal with, and not the default errno. */
static size_t write_stub(struct sock_filter *f, int newest) {
    const struct sock_filter stub[STUB_LENGTH] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)newest, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };

    memcpy(f, stub, sizeof stub);
    return STUB_LENGTH;
}

static bool wants_stub(const struct spec_seccomp *p, uint32_t fallback) {
    return fallback != SCMP_ACT_ALLOW && fallback != SCMP_ACT_LOG && !p->default_errno_ret.set;
}

/* As many instructions as fit, behind those that are there; the new count, or -errno. */
static ssize_t export_program(scmp_filter_ctx ctx, struct sock_filter *f, size_t count) {
    cleanup(closep) int fd = memfd_create("seccomp", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    int r = seccomp_export_bpf(ctx, fd);
    if (r < 0)
        return r;
    ssize_t n = pread(fd, f + count, (MAX_PROGRAM - count) * sizeof *f + 1, 0);
    if (n < 0)
        return -errno;
    if (n == 0 || (size_t)n % sizeof *f)
        return -E2BIG;
    return (ssize_t)(count + (size_t)n / sizeof *f);
}

static json_t *hexadecimal(const struct sock_filter *f, size_t count) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = (const unsigned char *)f;
    size_t size = count * sizeof *f;
    cleanup(freep) char *text = malloc(2 * size + 1);

    if (!text)
        return NULL;
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return json_stringn(text, 2 * size);
}

static int compile(scmp_filter_ctx ctx, const struct spec_seccomp *p, uint32_t fallback, json_t **ret,
                   struct err **err) {
    cleanup(freep) struct sock_filter *f = calloc(MAX_PROGRAM + 1, sizeof *f);
    int newest = -1;
    size_t count = 0;
    bool log = false;

    if (!f)
        return err_set(err, ENOMEM, "out-of-memory", "compiling linux.seccomp");
    int r = check_flags(&p->flags, &log, err);
    if (r >= 0)
        r = add_architectures(ctx, &p->architectures, err);
    if (r >= 0)
        r = add_rules(ctx, p, fallback, &newest, err);
    if (r < 0)
        return r;
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: profiles are long */
    if (newest >= 0 && wants_stub(p, fallback))
        count = write_stub(f, newest);
    ssize_t n = export_program(ctx, f, count);
    if (n < 0)
        return err_set(err, (int)-n, "seccomp.compile", "compiling linux.seccomp");
    json_t *program = hexadecimal(f, (size_t)n);
    *ret = program ? json_pack("{s:o,s:b}", "program", program, "log", log) : NULL;
    return *ret ? 0 : err_set(err, ENOMEM, "out-of-memory", "compiling linux.seccomp");
}

int seccomp_profile_compile(const struct spec_seccomp *profile, json_t **ret, struct err **err) {
    uint32_t fallback = 0;

    *ret = NULL;
    if (!profile->set)
        return 0;
    if (profile->listener_path && *profile->listener_path)
        return invalid(err, "a supervisor outside cannot answer calls of the sandbox: listenerPath",
                       profile->listener_path);
    int r = action_of(profile->default_action, &profile->default_errno_ret, &fallback, err);
    if (r < 0)
        return r;
    scmp_filter_ctx ctx = seccomp_init(fallback);
    if (!ctx)
        return err_set(err, ENOMEM, "seccomp.compile", "compiling linux.seccomp");
    r = compile(ctx, profile, fallback, ret, err);
    seccomp_release(ctx);
    return r;
}
