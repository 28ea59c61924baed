/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/kernel.c: the kernel object: made once a sandbox, before any guest, and taken down after the
 * last container.
 */
#include "sentry/kernel/kernel.h"

#include <errno.h>

#include "sentry/heap/heap.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/creds.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/users.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/memfile.h"
#include "sentry/vfs/mount.h"

HEAP_TYPE(kernel, struct kernel, 0);

#define DEFAULT_HEAP_BYTES (4ull << 30)  /* of addresses; memory is used as objects come */
#define FIRST_INODE        4026531840ull /* where Linux's namespace inodes begin */

static void release_platform(struct hostref *h) {
    struct platform *p = h->host.ptr;
    p->ops->destroy(p);
}
static const struct hostref_ops g_platform_ref_ops = {.name = "platform", .release = release_platform};

/* What needs nothing but the heap. */
static int create_own_parts(struct kernel *k, const struct kernel_config *config) {
    mutex_init(&k->taskset_lock, RANK_TASKSET);
    mutex_init(&k->containers_lock, RANK_CONTAINERS);
    list_init(&k->containers);
    k->cpu_count = config->cpu_count ? config->cpu_count : host_cpu_count();
    k->total_memory = config->total_memory ? config->total_memory : host_total_memory();
    k->next_inode = FIRST_INODE;
    k->release = "6.12.0-runsc";
    k->version = "#1 SMP PREEMPT_DYNAMIC";
    core_settings_init(&k->core);
    int r = host_random(k->boot_id, sizeof k->boot_id);
    if (r < 0)
        return r;
    k->users = user_table_new();
    k->futexes = futex_table_new();
    k->root_user_ns = user_ns_new(k, NULL, NULL);
    if (!k->users || !k->futexes || !k->root_user_ns)
        return -ENOMEM;
    k->root_pid_ns = pid_ns_new(k, NULL, k->root_user_ns);
    k->root_cgroup = cgroup_new_root(k);
    if (!k->root_pid_ns || !k->root_cgroup)
        return -ENOMEM;
    r = timer_queue_create(&k->timers);
    return r < 0 ? r : network_create(k);
}

int kernel_create(const struct kernel_config *config, struct kernel **ret, struct err **err) {
    uint64_t seed;

    int r = host_random(&seed, sizeof seed);
    if (r < 0)
        return err_set(err, -r, "kernel.random", "getrandom");
    r = heap_init(config->heap_max_bytes ? config->heap_max_bytes : DEFAULT_HEAP_BYTES, seed, err);
    if (r < 0)
        return err_wrap(err, r, "making the kernel's heap");
    struct kernel *k = heap_new(kernel);
    if (!k) {
        heap_destroy();
        return err_set(err, ENOMEM, "out-of-memory", "making the kernel");
    }
    heap_set_root(k);
    k->platform = (struct hostref){.ops = &g_platform_ref_ops, .host.ptr = config->platform};
    k->proc_dir = config->proc_fd >= 0 ? hostref_fd(config->proc_fd) : (struct hostref){0};
    r = create_own_parts(k, config);
    if (r == 0)
        r = memfile_create(k, &k->memfile, err);
    if (r == 0)
        r = vfs_create(k);
    if (r == 0)
        r = vdso_create(k);
    if (r < 0) {
        kernel_destroy(k);
        if (err && *err)
            return err_wrap(err, r, "making the kernel");
        return err_set(err, -r, "kernel.create", "making the kernel");
    }
    *ret = k;
    return 0;
}

void kernel_destroy(struct kernel *k) {
    ASSERT(list_empty(&k->containers));
    memory_guard_end(k);
    if (k->vfs)
        vfs_destroy(k);
    vdso_destroy(k);
    network_destroy(k);
    timer_queue_destroy(k->timers);
    if (k->memfile)
        memfile_destroy(k->memfile);
    cgroup_unref(k->root_cgroup);
    pid_ns_unref(k->root_pid_ns);
    user_ns_unref(k->root_user_ns);
    user_table_free(k->users);
    futex_table_free(k->futexes);
    heap_free(k->unix_names);
    hostref_release(&k->platform);
    hostref_release(&k->proc_dir);
    heap_free(k);
#ifdef RUNSC_DEBUG
    ASSERT(heap_leaks(stderr) == 0); /* it has named them */
#endif
    heap_destroy();
}

int kernel_random(struct kernel *k, void *to, size_t size) {
    (void)k;
    return host_random(to, size);
}

uint64_t kernel_new_inode(struct kernel *k) {
    return atomic_fetch_add_explicit(&k->next_inode, 1, memory_order_relaxed);
}

void kernel_set_realtime(struct kernel *k, int64_t wanted) {
    k->realtime_offset_ns = wanted - realtime_ns();
    vdso_update_clocks(k);
}

void kernel_pause(struct kernel *k) {
    struct container *c;

    mutex_lock(&k->containers_lock);
    list_for_each_entry(c, &k->containers, node) container_pause(c);
    mutex_unlock(&k->containers_lock);
}

void kernel_resume(struct kernel *k) {
    struct container *c;

    mutex_lock(&k->containers_lock);
    list_for_each_entry(c, &k->containers, node) container_resume(c);
    mutex_unlock(&k->containers_lock);
}
