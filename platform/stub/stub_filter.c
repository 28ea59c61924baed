/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_filter.c: see stub_filter.h. A call is known by the address behind its `syscall`
 * instruction (the site_ labels of stub.S), so that a guest which jumps into the stub's code gets what that
 * one place may do and no more.
 */
#include "platform/stub/stub_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "platform/stub/stub_layout.h"
#include "platform/stub/stub_thread.h"
#include "platform/stub/stub_symbols.h"

enum {
    L_ARCH = 1,
    L_SITE,
    L_ANY,
    L_REPORT,
    L_MAP,
    L_FILTER,
    L_EXIT,
    L_DIE,
    L_WAIT,
    L_WAKE,
    L_PARK,
    L_CLONE,
    L_CLONE_LOW,
    L_PRCTL,
    L_FUTEX,
    L_FUTEX_OP,
    L_RETURN,
    L_ALLOW,
    L_TRAP,
};

/* Everything that does not come from a 64-bit `syscall` in the stub's own gigabytes is trapped; then A holds
 * the low half of rip. */
static void only_stub_code(struct bpf_builder *b) {
    bpf_load_ip_high(b);
    bpf_if_equal(b, STUB_HIGH, L_ARCH, L_TRAP);
    bpf_label(b, L_ARCH);
    bpf_load_arch(b);
    bpf_if_equal(b, AUDIT_ARCH_X86_64, L_SITE, L_TRAP);
    bpf_label(b, L_SITE);
    bpf_load_ip_low(b);
}

static void at_site(struct bpf_builder *b, uint64_t site, uint16_t then) {
    bpf_if_equal(b, (uint32_t)site, then, BPF_NEXT);
}

/* One call and no other. */
static void only_number(struct bpf_builder *b, uint16_t label, uint32_t number, uint16_t then) {
    bpf_label(b, label);
    bpf_load_number(b);
    bpf_if_equal(b, number, then, L_TRAP);
}

static void finish_actions(struct bpf_builder *b) {
    bpf_label(b, L_TRAP);
    bpf_return(b, SECCOMP_RET_TRAP);
    bpf_label(b, L_ALLOW);
    bpf_return(b, SECCOMP_RET_ALLOW);
}

/* Calls of a batch: their arguments come from the sentry, by a page that no guest can write. */
static void batch_calls(struct bpf_builder *b) {
    static const uint32_t numbers[] = {SYS_mmap,  SYS_munmap,  SYS_mprotect, SYS_mremap, SYS_madvise,
                                       SYS_mlock, SYS_munlock, SYS_recvmsg,  SYS_close,  SYS_getppid};
    bpf_label(b, L_ANY);
    bpf_load_number(b);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        bpf_if_equal(b, numbers[i], L_ALLOW, BPF_NEXT);
    bpf_if_equal(b, SYS_clone, L_CLONE, BPF_NEXT);
    bpf_if_equal(b, SYS_prctl, L_PRCTL, BPF_NEXT);
    bpf_if_equal(b, SYS_exit_group, L_ALLOW, L_TRAP);
    bpf_label(b, L_CLONE);
    bpf_load_arg_high(b, 0);
    bpf_if_equal(b, 0, L_CLONE_LOW, L_TRAP);
    bpf_label(b, L_CLONE_LOW);
    bpf_load_arg_low(b, 0);
    bpf_if_equal(b, STUB_PROCESS_FLAGS, L_ALLOW, BPF_NEXT);
    bpf_if_equal(b, STUB_THREAD_FLAGS, L_ALLOW, BPF_NEXT);
    bpf_if_equal(b, STUB_SLOT_FLAGS, L_ALLOW, L_TRAP);
    bpf_label(b, L_PRCTL);
    bpf_load_arg_low(b, 0);
    bpf_if_equal(b, PR_SET_PDEATHSIG, L_ALLOW, L_TRAP);
}

int stub_filter_helper(struct bpf_builder *b) {
    bpf_init(b);
    only_stub_code(b);
    at_site(b, SYM_site_helper_wait, L_WAIT);
    at_site(b, SYM_site_helper_wake, L_WAKE);
    at_site(b, SYM_site_park, L_PARK);
    at_site(b, SYM_site_futex, L_FUTEX);
    at_site(b, SYM_site_sigreturn, L_RETURN);
    at_site(b, SYM_site_helper_any, L_ANY);
    at_site(b, SYM_site_helper_report, L_REPORT);
    at_site(b, SYM_site_child_map, L_MAP);
    at_site(b, SYM_site_thread_filter, L_FILTER);
    at_site(b, SYM_site_exit, L_EXIT);
    bpf_if_equal(b, (uint32_t)SYM_site_die, L_DIE, L_TRAP);
    batch_calls(b);
    only_number(b, L_WAIT, SYS_futex, L_ALLOW);
    only_number(b, L_WAKE, SYS_futex, L_ALLOW);
    only_number(b, L_PARK, SYS_futex, L_ALLOW);
    only_number(b, L_FUTEX, SYS_futex, L_ALLOW);
    only_number(b, L_RETURN, SYS_rt_sigreturn, L_ALLOW);
    only_number(b, L_REPORT, SYS_set_robust_list, L_ALLOW);
    only_number(b, L_MAP, SYS_mmap, L_ALLOW);
    only_number(b, L_FILTER, SYS_seccomp, L_ALLOW);
    only_number(b, L_EXIT, SYS_exit, L_ALLOW);
    only_number(b, L_DIE, SYS_exit_group, L_ALLOW);
    finish_actions(b);
    return bpf_finish(b);
}

int stub_filter_ptrace_guest(struct bpf_builder *b) {
    bpf_init(b);
    only_stub_code(b);
    at_site(b, SYM_site_park, L_PARK);
    bpf_if_equal(b, (uint32_t)SYM_site_exit, L_EXIT, L_TRAP);
    only_number(b, L_PARK, SYS_futex, L_WAIT);
    bpf_label(b, L_WAIT);
    bpf_load_arg_low(b, 1);
    bpf_if_equal(b, 0, L_ALLOW, L_TRAP); /* FUTEX_WAIT */
    only_number(b, L_EXIT, SYS_exit, L_ALLOW);
    finish_actions(b);
    return bpf_finish(b);
}

int stub_filter_systrap_guest(struct bpf_builder *b) {
    bpf_init(b);
    only_stub_code(b);
    at_site(b, SYM_site_futex, L_FUTEX);
    at_site(b, SYM_site_sigreturn, L_RETURN);
    bpf_if_equal(b, (uint32_t)SYM_site_exit, L_EXIT, L_TRAP);
    only_number(b, L_FUTEX, SYS_futex, L_FUTEX_OP);
    bpf_label(b, L_FUTEX_OP);
    bpf_load_arg_low(b, 1);
    bpf_if_equal(b, 0, L_ALLOW, BPF_NEXT); /* FUTEX_WAIT */
    bpf_if_equal(b, 1, L_ALLOW, L_TRAP);   /* FUTEX_WAKE */
    only_number(b, L_RETURN, SYS_rt_sigreturn, L_ALLOW);
    only_number(b, L_EXIT, SYS_exit, L_ALLOW);
    finish_actions(b);
    return bpf_finish(b);
}

struct stub_program { /* struct sock_fprog with the stub's pointer */
    uint64_t count, code;
};

static size_t put_program(char *page, unsigned header, size_t at, const struct bpf_builder *b) {
    struct stub_program p = {b->count, STUB_FILTERS + at};
    memcpy(page + header, &p, sizeof(p));
    memcpy(page + at, b->code, b->count * sizeof(b->code[0]));
    return at + b->count * sizeof(b->code[0]);
}

int stub_filters_image(const struct bpf_builder *helper, const struct bpf_builder *guest, void *page,
                       size_t size) {
    if (FILTER_CODE + (size_t)(helper->count + guest->count) * sizeof(helper->code[0]) > size)
        return -EINVAL;
    size_t at = put_program(page, HELPER_PROGRAM, FILTER_CODE, helper);
    put_program(page, GUEST_PROGRAM, at, guest);
    return 0;
}
