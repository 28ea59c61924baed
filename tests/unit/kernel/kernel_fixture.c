/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/kernel/kernel_fixture.c: see kernel_fixture.h.
 */
#include "tests/unit/kernel/kernel_fixture.h"

#include <stdio.h>

#include "base/abi/linux/mman.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/users.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

static void process_exited(struct container *c, uint64_t cookie, int wait_status) {
    struct fixture *f = container_owner(c);

    (void)cookie;
    f->status = wait_status;
    atomic_fetch_add(&f->ended, 1);
    host_futex_wake(&f->ended, 1);
}
static const struct container_events g_events = {.process_exited = process_exited};

void fixture_init(struct fixture *f) {
    struct kernel_config config = {.proc_fd = -1, .heap_max_bytes = 256 << 20};
    struct filesystem *fs;
    struct mnt_ns *ns;

    *f = (struct fixture){0};
    ASSERT_OK(platform_fake_create(&config.platform));
    ASSERT_OK(kernel_create(&config, &f->kernel, NULL));
    ASSERT_OK(tmpfs_create(f->kernel, 0, 0755, &fs));
    ASSERT_OK(mnt_ns_new(f->kernel, fs, 0, f->kernel->root_user_ns, &ns));
    filesystem_unref(fs);
    ASSERT_OK(container_create(f->kernel, "test", ns, "box", &g_events, &f->container));
    container_set_owner(f->container, f);
}

void fixture_done(struct fixture *f) {
    container_destroy(f->container);
    ASSERT_EQ(fake_live(kernel_platform(f->kernel)), 0);
    ASSERT_EQ(f->kernel->task_count, 0);
    kernel_destroy(f->kernel);
}

/* As container_create_process() does, without a program. */
struct task *fixture_start(struct fixture *f, fake_code_fn *fn, void *arg) {
    static gva_t next_entry = 0x400000;
    struct kernel *k = f->kernel;
    struct thread_group *g = thread_group_new(k, sighand_new());
    struct task *t = task_new(k, f->container, g);
    struct path root = mnt_ns_root(f->container->mnt_ns);
    struct pid *pid;
    bool is_init = !f->container->init;

    thread_group_unref(g);
    g->from_outside = true;
    container_default_limits(k, g->limits);
    t->exit_signal = LINUX_SIGCHLD;
    t->creds = creds_new_root(k->root_user_ns);
    t->account = user_account_get(k->users, 0);
    t->nsproxy = nsproxy_ref(f->container->nsproxy);
    t->files = fd_table_new();
    t->fs = fs_context_new(&root, &root, 022);
    path_put(&root);
    ASSERT_OK(mm_create(k, &t->mm));
    t->mm->mmap_base = 0x700000000000;
    t->mm->dumpable = 1;
    t->mm->user_ns = user_ns_ref(k->root_user_ns);
    t->regs = (struct guest_regs){.rip = next_entry, .rsp = 0x7000000, .orig_rax = ~0ull};
    fake_at(kernel_platform(k), next_entry, fn, arg);
    next_entry += 0x1000;
    ASSERT_OK(task_start(t));
    mutex_lock(&k->taskset_lock);
    ASSERT_OK(pid_alloc_locked(f->container->pid_ns, NULL, 0, &pid));
    g->pgrp = pid_ref(pid);
    g->session = pid_ref(pid);
    task_link_locked(t, pid, NULL);
    if (is_init)
        f->container->init = task_ref(t);
    mutex_unlock(&k->taskset_lock);
    task_go(t);
    return t;
}

int fixture_wait(struct fixture *f, uint32_t count) {
    uint32_t seen;

    while ((seen = atomic_load(&f->ended)) < count)
        host_futex_wait(&f->ended, seen, CLOCK_NEVER);
    return f->status;
}

int fixture_run(struct fixture *f, fake_code_fn *fn, void *arg) {
    task_unref(fixture_start(f, fn, arg));
    return fixture_wait(f, 1);
}

/* ---- inside a guest function ---- */

gva_t guest_page(struct fake_guest *g) {
    return FAKE_CALL(g, LINUX_SYS_mmap, 0, PAGE_SIZE, LINUX_PROT_READ | LINUX_PROT_WRITE,
                     LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS, (uint64_t)-1, 0);
}

void guest_exit(struct fake_guest *g, int code) {
    FAKE_CALL(g, LINUX_SYS_exit_group, (uint64_t)code);
}

void guest_expect(struct fake_guest *g, int64_t got, int64_t want, const char *what, int line) {
    if (got == want)
        return;
    fprintf(stderr, "line %d: %s is %ld (%#lx), not %ld\n", line, what, (long)got, (unsigned long)got,
            (long)want);
    guest_exit(g, 99);
}

void guest_put(struct fake_guest *g, gva_t at, uint64_t value) {
    fake_store(g, at, &value, sizeof value);
}

uint64_t guest_get(struct fake_guest *g, gva_t at) {
    uint64_t value;

    fake_load(g, &value, at, sizeof value);
    return value;
}

uint32_t guest_get32(struct fake_guest *g, gva_t at) {
    uint32_t value;

    fake_load(g, &value, at, sizeof value);
    return value;
}
