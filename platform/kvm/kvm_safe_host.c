/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_safe_host.c: the SIGBUS handler behind x86_64/kvm_safe.S. Any other SIGBUS goes to the
 * handler that was there before (crash reports).
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "platform/kvm/kvm_internal.h"

extern const char kvm_safe_copy_access[], kvm_safe_copy_failed[];
extern const char kvm_safe_cmpxchg_access[], kvm_safe_cmpxchg_failed[];

static struct sigaction g_before; /* process-wide, as handlers are; set once */

static void on_sigbus(int signo, siginfo_t *info, void *context) {
    greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (*rip == (greg_t)kvm_safe_copy_access) {
        *rip = (greg_t)kvm_safe_copy_failed;
    } else if (*rip == (greg_t)kvm_safe_cmpxchg_access) {
        *rip = (greg_t)kvm_safe_cmpxchg_failed;
    } else if (g_before.sa_flags & SA_SIGINFO) {
        g_before.sa_sigaction(signo, info, context);
    } else {
        struct sigaction end = {.sa_handler = SIG_DFL};
        (void)sigaction(signo, &end, NULL); /* the access happens again, and ends the process */
    }
}

int kvm_safe_install(void) {
    struct sigaction now, handler = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    handler.sa_sigaction = on_sigbus;
    sigemptyset(&handler.sa_mask);
    if (sigaction(SIGBUS, NULL, &now) < 0)
        return -errno;
    if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_sigbus)
        return 0; /* another platform of this process */
    g_before = now;
    return sigaction(SIGBUS, &handler, NULL) < 0 ? -errno : 0;
}
