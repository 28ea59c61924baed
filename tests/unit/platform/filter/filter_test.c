/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/filter/filter_test.c: every call number, from every byte of the stub's code and its
 * surroundings, against what the thread roles' filters are meant to allow, which is written down here once
 * more and independently.
 */
#include "platform/stub/stub_filter.h"

#include <linux/audit.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "platform/stub/stub_layout.h"
#include "platform/stub/stub_symbols.h"
#include "platform/stub/stub_thread.h"
#include "tests/support/test.h"

extern const unsigned char stub_image[], stub_image_end[];

struct allowed {
    uint64_t site;
    int number;
};

static const struct allowed helper_allowed[] = {
    {SYM_site_helper_wait, SYS_futex},
    {SYM_site_helper_wake, SYS_futex},
    {SYM_site_park, SYS_futex},
    {SYM_site_helper_any, SYS_mmap},
    {SYM_site_helper_any, SYS_munmap},
    {SYM_site_helper_any, SYS_mprotect},
    {SYM_site_helper_any, SYS_mremap},
    {SYM_site_helper_any, SYS_madvise},
    {SYM_site_helper_any, SYS_mlock},
    {SYM_site_helper_any, SYS_munlock},
    {SYM_site_helper_any, SYS_recvmsg},
    {SYM_site_helper_any, SYS_close},
    {SYM_site_helper_any, SYS_getppid},
    {SYM_site_helper_any, SYS_exit_group},
    {SYM_site_helper_report, SYS_set_robust_list},
    {SYM_site_child_map, SYS_mmap},
    {SYM_site_thread_filter, SYS_seccomp},
    {SYM_site_exit, SYS_exit},
    {SYM_site_die, SYS_exit_group},
    {SYM_site_futex, SYS_futex},
    {SYM_site_sigreturn, SYS_rt_sigreturn},
};

static const struct allowed guest_allowed[] = {{SYM_site_park, SYS_futex}, {SYM_site_exit, SYS_exit}};

static const struct allowed systrap_allowed[] = {
    {SYM_site_futex, SYS_futex}, {SYM_site_sigreturn, SYS_rt_sigreturn}, {SYM_site_exit, SYS_exit}};

static uint32_t run(const struct bpf_builder *b, uint64_t ip, int number, const uint64_t *args) {
    struct seccomp_data d = {.nr = number, .arch = AUDIT_ARCH_X86_64, .instruction_pointer = ip};
    uint32_t action = 0;
    if (args)
        memcpy(d.args, args, sizeof(d.args));
    ASSERT_EQ(bpf_run(b->code, b->count, &d, &action), 0);
    return action;
}

static bool listed(const struct allowed *list, size_t count, uint64_t ip, int number) {
    for (size_t i = 0; i < count; i++)
        if (list[i].site == ip && list[i].number == number)
            return true;
    return false;
}

/* All numbers at all addresses of the stub's text, and at addresses that differ from a site in one bit. */
static void sweep(const struct bpf_builder *b, const struct allowed *list, size_t count) {
    size_t allows = 0;
    for (uint64_t ip = STUB_TEXT - 16; ip < STUB_TEXT + (uint64_t)(stub_image_end - stub_image) + 16; ip++)
        for (int number = -1; number < 500; number++) {
            uint32_t action = run(b, ip, number, NULL);
            bool want = listed(list, count, ip, number);
            if (want != (action == SECCOMP_RET_ALLOW) || (!want && action != SECCOMP_RET_TRAP))
                test_fail_at(__FILE__, __LINE__, "call %d at +%lx: %x", number, (long)(ip - STUB_TEXT),
                             action);
            allows += want;
        }
    ASSERT_EQ(allows, count);
    for (size_t i = 0; i < count; i++)
        for (int bit = 0; bit < 64; bit++)
            if (!listed(list, count, list[i].site ^ 1ull << bit, list[i].number))
                ASSERT_EQ(run(b, list[i].site ^ 1ull << bit, list[i].number, NULL), SECCOMP_RET_TRAP);
}

TEST(helper_filter_over_every_site_and_number) {
    struct bpf_builder b;
    ASSERT_EQ(stub_filter_helper(&b), 0);
    sweep(&b, helper_allowed, ARRAY_SIZE(helper_allowed));
}

TEST(ptrace_guest_filter_over_every_site_and_number) {
    struct bpf_builder b;
    ASSERT_EQ(stub_filter_ptrace_guest(&b), 0);
    sweep(&b, guest_allowed, ARRAY_SIZE(guest_allowed));
}

TEST(systrap_guest_filter_over_every_site_and_number) {
    struct bpf_builder b;
    ASSERT_EQ(stub_filter_systrap_guest(&b), 0);
    sweep(&b, systrap_allowed, ARRAY_SIZE(systrap_allowed));
    for (uint64_t op = 0; op < 600; op++) {
        uint64_t args[6] = {STUB_BASE, op};
        ASSERT_EQ(run(&b, SYM_site_futex, SYS_futex, args), op <= 1 ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
    }
}

TEST(other_architectures_are_trapped) {
    static const uint32_t arch[] = {AUDIT_ARCH_I386, AUDIT_ARCH_X86_64 ^ 1, AUDIT_ARCH_AARCH64, 0};
    struct bpf_builder b;
    ASSERT_EQ(stub_filter_helper(&b), 0);
    for (size_t i = 0; i < ARRAY_SIZE(arch); i++)
        for (size_t n = 0; n < ARRAY_SIZE(helper_allowed); n++) {
            struct seccomp_data d = {.nr = helper_allowed[n].number,
                                     .arch = arch[i],
                                     .instruction_pointer = helper_allowed[n].site};
            uint32_t action;
            ASSERT_EQ(bpf_run(b.code, b.count, &d, &action), 0);
            ASSERT_EQ(action, SECCOMP_RET_TRAP);
        }
}

TEST(clone_and_prctl_only_as_meant) {
    struct bpf_builder b;
    ASSERT_EQ(stub_filter_helper(&b), 0);
    uint64_t flags[] = {STUB_PROCESS_FLAGS, STUB_THREAD_FLAGS, STUB_SLOT_FLAGS};
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        uint64_t args[6] = {flags[i], ~0ull, ~0ull, ~0ull, ~0ull, ~0ull};
        ASSERT_EQ(run(&b, SYM_site_helper_any, SYS_clone, args), SECCOMP_RET_ALLOW);
        for (int bit = 0; bit < 64; bit++) {
            args[0] = flags[i] ^ 1ull << bit;
            bool other = args[0] == STUB_THREAD_FLAGS || args[0] == STUB_SLOT_FLAGS;
            ASSERT_EQ(run(&b, SYM_site_helper_any, SYS_clone, args),
                      other ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
        }
    }
    for (int option = 0; option < 80; option++) {
        uint64_t args[6] = {(uint64_t)option};
        ASSERT_EQ(run(&b, SYM_site_helper_any, SYS_prctl, args),
                  option == PR_SET_PDEATHSIG ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
    }
}

TEST(parked_guest_threads_may_wait_and_not_wake) {
    struct bpf_builder b;
    ASSERT_EQ(stub_filter_ptrace_guest(&b), 0);
    for (uint64_t op = 0; op < 600; op++) {
        uint64_t args[6] = {STUB_CMD, op};
        ASSERT_EQ(run(&b, SYM_site_park, SYS_futex, args), op == 0 ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP);
    }
}

/* Each `syscall` of the text, wherever the byte pair occurs, lies before a site label: none is there by
 * accident. */
TEST(every_syscall_instruction_is_a_known_site) {
    size_t found = 0;
    for (const unsigned char *p = stub_image; p + 1 < stub_image_end; p++) {
        if (p[0] != 0x0f || (p[1] != 0x05 && p[1] != 0x34))
            continue;
        ASSERT_EQ(p[1], 0x05); /* no sysenter */
        uint64_t ip = STUB_TEXT + (uint64_t)(p - stub_image) + 2;
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(helper_allowed); i++)
            known |= helper_allowed[i].site == ip;
        /* the two calls of `strip`, made before there is a filter */
        found += known;
        /* site_frame: made to be trapped */
        ASSERT_TRUE(known || ip == SYM_site_frame || (ip > SYM_strip && ip < SYM_helper));
    }
    ASSERT_EQ(found, 11);
}

TEST(the_image_fits_and_holds_both_programs) {
    struct bpf_builder helper, guest;
    char page[STUB_TEXT_SIZE - STUB_FILTERS_OFFSET];
    ASSERT_EQ(stub_filter_helper(&helper), 0);
    ASSERT_EQ(stub_filter_ptrace_guest(&guest), 0);
    ASSERT_EQ(stub_filters_image(&helper, &guest, page, sizeof(page)), 0);
    struct {
        uint64_t count, code;
    } head[2];
    memcpy(head, page, sizeof(head));
    ASSERT_EQ(head[0].count, helper.count);
    ASSERT_EQ(head[0].code, STUB_FILTERS + FILTER_CODE);
    ASSERT_EQ(head[1].count, guest.count);
    ASSERT_EQ(head[1].code, STUB_FILTERS + FILTER_CODE + helper.count * 8);
    ASSERT_MEMEQ(page + FILTER_CODE, helper.code, helper.count * 8);
    ASSERT_EQ(stub_filters_image(&helper, &guest, page, FILTER_CODE + 8), -EINVAL);
}
