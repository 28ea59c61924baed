/* SPDX-License-Identifier: Apache-2.0
 * platform/ptrace/ptrace_platform.c: guests in stub processes (platform/stub), their threads under
 * PTRACE_SYSEMU. Works wherever ptrace does; the reference for correctness.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include <sys/syscall.h>

#include "platform/platform.h"
#include "platform/platform_calls.h"
#include "platform/ptrace/ptrace_internal.h"
#include "platform/stub/stub_filter.h"

static void ptrace_destroy(struct platform *base) {
    struct stub_platform *p = (struct stub_platform *)base;
    stub_platform_done(p);
    free(p);
}

static const struct platform_ops ptrace_ops = {
    .name = "ptrace",
    .as_create = stub_as_create,
    .as_fork = stub_as_fork,
    .as_apply = stub_as_apply,
    .as_copy_in = stub_as_copy_in,
    .as_copy_out = stub_as_copy_out,
    .as_gather = stub_as_gather,
    .as_scatter = stub_as_scatter,
    .as_peek = stub_as_peek,
    .as_poke = stub_as_poke,
    .as_usage = stub_as_usage,
    .as_share = stub_as_share,
    .as_pages = stub_as_pages,
    .as_kill = stub_as_kill,
    .as_unref = stub_as_unref,
    .context_create = ptrace_context_create,
    .context_destroy = ptrace_context_destroy,
    .context_switch = ptrace_context_switch,
    .context_cpu_time = ptrace_context_cpu_time,
    .context_interrupt = ptrace_context_interrupt,
    .context_get_fpu = ptrace_context_get_fpu,
    .context_set_fpu = ptrace_context_set_fpu,
    .context_reset_fpu = ptrace_context_reset_fpu,
    .context_atomic32 = ptrace_context_atomic32,
    .context_follow_cpu = ptrace_context_follow_cpu,
    .context_await = ptrace_context_await,
    .destroy = ptrace_destroy,
};

/* Beyond what the sandbox process may do anyway (boot/filter.c: futex, memory, its own socket and files,
   tgkill, its procfs read-only). A number here is allowed with any arguments, so nothing that boot's list
   restricts may be added. */
const int ptrace_host_calls[] = {SYS_ptrace,
                                 SYS_wait4,
                                 SYS_waitid,
                                 SYS_kill,
                                 SYS_get_robust_list,
                                 SYS_process_vm_readv,
                                 SYS_process_vm_writev,
                                 -1};

static const struct stub_hooks ptrace_hooks = {.fork = ptrace_add_first_thread};

/* Every stop of a guest thread sends its tracer's process a SIGCHLD, which would wake whichever thread does
   not block it, for nothing: who waits for stops is in waitpid(). Ends of traced threads send one whatever
   the flag, hence the mask, which all threads of the process inherit. */
static void refuse_sigchld(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
    sigset_t child;
    (void)sigaction(SIGCHLD, &standard, NULL); /* neither can fail, and both only save time */
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    (void)pthread_sigmask(SIG_BLOCK, &child, NULL);
}

int platform_ptrace_create(const struct platform_config *config, struct platform **ret, struct err **err) {
    struct stub_role role = {.message_unit = PAGE_SIZE, .hooks = &ptrace_hooks};
    if (stub_filter_ptrace_guest(&role.guest))
        return err_set(err, EINVAL, "platform.filter", "platform: guest filter: %s", role.guest.error);
    struct stub_platform *p = calloc(1, sizeof(*p));
    if (!p)
        return err_set(err, ENOMEM, "platform.memory", "platform: no memory");
    p->base.ops = &ptrace_ops;
    refuse_sigchld();
    int r = stub_platform_init(p, config, &role, err);
    if (r) {
        free(p);
        return r;
    }
    *ret = &p->base;
    return 0;
}
