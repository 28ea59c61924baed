/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_platform.c: guests in stub processes (platform/stub), whose threads trap their own
 * calls by seccomp and their faults by signals into the stub's handler, which hands over by shared memory and
 * futexes. Needs no ptrace and no privilege.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "platform/platform.h"
#include "platform/platform_calls.h"
#include "platform/stub/stub_filter.h"
#include "platform/systrap/systrap_internal.h"
#include "platform/systrap/systrap_patch.h"

static void systrap_destroy(struct platform *base) {
    struct stub_platform *p = (struct stub_platform *)base;
    stub_platform_done(p);
    free(p);
}

static const struct platform_ops systrap_ops = {
    .name = "systrap",
    .as_create = stub_as_create,
    .as_fork = stub_as_fork,
    .as_apply = stub_as_apply,
    .as_copy_in = stub_as_copy_in,
    .as_copy_out = stub_as_copy_out,
    .as_gather = stub_as_gather,
    .as_scatter = stub_as_scatter,
    .as_peek = systrap_as_peek,
    .as_poke = systrap_as_poke,
    .as_usage = stub_as_usage,
    .as_share = stub_as_share,
    .as_pages = stub_as_pages,
    .as_kill = stub_as_kill,
    .as_unref = stub_as_unref,
    .context_create = systrap_context_create,
    .context_destroy = systrap_context_destroy,
    .context_switch = systrap_context_switch,
    .context_cpu_time = systrap_context_cpu_time,
    .context_interrupt = systrap_context_interrupt,
    .context_get_fpu = systrap_context_get_fpu,
    .context_set_fpu = systrap_context_set_fpu,
    .context_reset_fpu = systrap_context_reset_fpu,
    .context_atomic32 = systrap_context_atomic32,
    .context_follow_cpu = systrap_context_follow_cpu,
    .context_take = systrap_context_take,
    .context_give = systrap_context_give,
    .context_answers = systrap_context_answers,
    .context_settle = systrap_context_settle,
    .context_await = systrap_context_await,
    .destroy = systrap_destroy,
};

/* Beyond what the sandbox process may do anyway (boot/filter.c: futex, memory, its own socket and files,
   tgkill, its procfs read-only). A number here is allowed with any arguments, so nothing that boot's list
   restricts may be added. */
const int systrap_host_calls[] = {
    SYS_waitid, SYS_kill, SYS_get_robust_list, SYS_process_vm_readv, SYS_process_vm_writev, -1};

enum { HWCAP2_FSGSBASE_BIT = 2 };

static int check_host(struct err **err, const struct stub_platform *p) {
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT)) {
        err_set(err, ENOTSUP, "platform.fsgsbase",
                "systrap: the host does not let programs set fs and gs bases");
        err_explain(err, "a cpu before 2012 or a kernel before 5.9", "use --platform=ptrace");
        return -ENOTSUP;
    }
    if (p->base.fpu_size + 4 > SLOT_FPU_SIZE)
        return err_set(err, ENOTSUP, "platform.fpu", "systrap: FPU state of %zu bytes does not fit a slot",
                       p->base.fpu_size);
    return 0;
}

/* Under both locks. */
static int space_fork(struct stub_space *parent, struct stub_space *child) NO_TSA {
    int r = systrap_patches_fork(parent, child);
    return r ? r : systrap_add_first_thread(child);
}

static void space_free(struct stub_space *s) {
    systrap_free_parked(s);
    systrap_patches_free(s);
}

static const struct stub_hooks systrap_hooks = {.fork = space_fork, .free = space_free};

int platform_systrap_create(const struct platform_config *config, struct platform **ret, struct err **err) {
    struct stub_role role = {
        .message_unit = SLOT_SIZE * SLOT_CHUNK, .handlers = true, .hooks = &systrap_hooks};
    if (stub_filter_systrap_guest(&role.guest))
        return err_set(err, EINVAL, "platform.filter", "platform: guest filter: %s", role.guest.error);
    struct stub_platform *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, ENOMEM, "platform.memory", "platform: no memory");
    p->base.ops = &systrap_ops;
    int r = stub_platform_init(p, config, &role, err);
    if (r == 0) {
        r = check_host(err, p);
        if (r)
            stub_platform_done(p);
    }
    if (r) {
        free(p);
        return r;
    }
    *ret = &p->base;
    return 0;
}
