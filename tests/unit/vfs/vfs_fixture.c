/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/vfs/vfs_fixture.c: see vfs_fixture.h.
 */
#include "tests/unit/vfs/vfs_fixture.h"

#include <stdlib.h>

#include "platform/fake/fake.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/users.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/uaccess.h"

HEAP_TYPE(test_kernel, struct kernel, 0);

static void release_platform(struct hostref *h) {
    struct platform *p = h->host.ptr;

    p->ops->destroy(p);
}

static const struct hostref_ops g_platform_ops = {.name = "platform", .release = release_platform};

static void make_kernel(struct fixture *f) {
    struct platform *p;

    ASSERT_OK(heap_init(1ull << 30, (uint64_t)random(), NULL));
    struct kernel *k = f->k = heap_new(test_kernel);
    heap_set_root(k);
    ASSERT_OK(platform_fake_create(&p));
    k->platform = (struct hostref){.ops = &g_platform_ops, .host.ptr = p};
    mutex_init(&k->taskset_lock, RANK_TASKSET);
    mutex_init(&k->containers_lock, RANK_CONTAINERS);
    list_init(&k->containers);
    k->cpu_count = 2;
    k->total_memory = 1ull << 30;
    k->next_inode = 1000;
    k->users = user_table_new();
    k->root_user_ns = user_ns_new(k, NULL, NULL);
    k->root_pid_ns = pid_ns_new(k, NULL, k->root_user_ns);
    k->root_cgroup = cgroup_new_root(k);
    ASSERT_OK(timer_queue_create(&k->timers));
    ASSERT_OK(memfile_create(k, &k->memfile, NULL));
    ASSERT_OK(vfs_create(k));
}

struct task *fixture_task(struct fixture *f, bool thread) {
    struct kernel *k = f->k;
    struct thread_group *g = thread ? thread_group_ref(f->t->group) : thread_group_new(k, sighand_new());
    struct task *t = task_new(k, NULL, g);

    thread_group_unref(g);
    for (int i = 0; !thread && i < LINUX_RLIM_NLIMITS; i++)
        g->limits[i] = (struct linux_rlimit64){LINUX_RLIM_INFINITY, LINUX_RLIM_INFINITY};
    g->limits[LINUX_RLIMIT_NOFILE] = (struct linux_rlimit64){1024, 1048576};
    if (!thread) {
        mutex_lock(&k->taskset_lock);
        ASSERT_OK(pid_alloc_locked(k->root_pid_ns, NULL, 0, &t->pid));
        mutex_unlock(&k->taskset_lock);
        g->pid = pid_ref(t->pid);
        g->leader = t;
    } else {
        t->pid = pid_ref(g->pid);
    }
    t->creds = f->t ? creds_ref((struct creds *)(uintptr_t)f->t->creds) : creds_new_root(k->root_user_ns);
    t->account = user_account_get(k->users, 0);
    if (!f->t) {
        struct path root = mnt_ns_root(f->ns);
        t->files = fd_table_new();
        t->fs = fs_context_new(&root, &root, 022);
        path_put(&root);
        t->nsproxy = nsproxy_new(k, k->root_user_ns, k->root_pid_ns, f->ns, k->root_cgroup, "test");
        ASSERT_OK(mm_create(k, &t->mm));
        t->mm->mmap_base = 0x700000000000;
    } else {
        t->files = thread ? fd_table_ref(f->t->files) : fd_table_copy(f->t->files);
        t->fs = thread ? fs_context_ref(f->t->fs) : fs_context_copy(f->t->fs);
        t->nsproxy = nsproxy_ref(f->t->nsproxy);
        t->mm = mm_ref(f->t->mm);
    }
    return t;
}

void fixture_task_done(struct task *t) {
    if (t->group->leader == t) {
        mutex_lock(&t->kernel->taskset_lock);
        pid_free_numbers_locked(t->pid);
        mutex_unlock(&t->kernel->taskset_lock);
    }
    task_unref(t);
}

void fixture_init(struct fixture *f) {
    struct filesystem *fs;

    *f = (struct fixture){0};
    make_kernel(f);
    ASSERT_OK(tmpfs_create(f->k, 0, 0755, &fs));
    ASSERT_OK(mnt_ns_new(f->k, fs, MOUNT_RELATIME, f->k->root_user_ns, &f->ns));
    filesystem_unref(fs);
    f->t = fixture_task(f, /* thread= */ false);
    struct mmap_request r = {.len = SCRATCH_SIZE,
                             .prot = LINUX_PROT_READ | LINUX_PROT_WRITE,
                             .flags = LINUX_MAP_PRIVATE | LINUX_MAP_ANONYMOUS};
    int64_t at = mm_mmap(f->t, f->t->mm, &r);
    ASSERT_GT(at, 0);
    f->scratch = f->at = (gva_t)at;
}

void fixture_done(struct fixture *f) {
    struct kernel *k = f->k;

    fixture_task_done(f->t);
    mnt_ns_unref(f->ns);
    vfs_destroy(k);
    timer_queue_destroy(k->timers);
    memfile_destroy(k->memfile);
    pid_ns_unref(k->root_pid_ns);
    cgroup_unref(k->root_cgroup);
    user_ns_unref(k->root_user_ns);
    user_table_free(k->users);
    ASSERT_EQ(heap_lint(stderr), 0);
    hostref_release(&k->platform);
    heap_free(k);
    heap_destroy();
}

void fixture_become(struct task *t, uint32_t uid, uint32_t gid) {
    struct creds *c = creds_copy(t->creds);

    c->uid = c->euid = c->suid = c->fsuid = uid;
    c->gid = c->egid = c->sgid = c->fsgid = gid;
    c->effective = c->permitted = 0;
    creds_unref((struct creds *)(uintptr_t)t->creds);
    t->creds = c;
}

/* ---- guest memory ---- */

gva_t room(struct fixture *f, size_t size) {
    if (f->at + size > f->scratch + SCRATCH_SIZE)
        f->at = f->scratch; /* used again: tests do not keep arguments for long */
    gva_t at = f->at;
    ASSERT_LE(size, SCRATCH_SIZE);
    f->at = (at + size + 15) & ~15ull;
    return at;
}

gva_t put(struct fixture *f, const void *data, size_t size) {
    gva_t at = room(f, size);

    ASSERT_OK(copy_out(f->t, at, data, size));
    return at;
}

gva_t put_str(struct fixture *f, const char *s) {
    return put(f, s, strlen(s) + 1);
}

void get(struct fixture *f, void *to, gva_t from, size_t size) {
    ASSERT_OK(copy_in(f->t, to, from, size));
}

int64_t call_args(struct task *t, syscall_fn fn, struct syscall_args a) {
    int64_t r = fn(t, &a);

    mutex_assert_none_held();
    return r;
}

/* ---- short forms ---- */

int64_t do_open(struct fixture *f, const char *name, uint32_t flags, uint32_t mode) {
    return CALL_ON(f->t, open, put_str(f, name), flags, mode);
}

int64_t write_str(struct fixture *f, int64_t fd, const char *text) {
    return CALL_ON(f->t, write, (uint64_t)fd, put_str(f, text), strlen(text));
}

const char *read_str(struct fixture *f, int64_t fd, size_t max) {
    static char text[4096];
    gva_t at = room(f, sizeof text);
    int64_t n = CALL_ON(f->t, read, (uint64_t)fd, at, MIN(max, sizeof text - 1));

    if (n < 0) {
        snprintf(text, sizeof text, "<%s>", strerrorname_np((int)-n));
        return text;
    }
    get(f, text, at, (size_t)n);
    text[n] = '\0';
    return text;
}

void write_file(struct fixture *f, const char *name, const char *text) {
    int64_t fd = do_open(f, name, LINUX_O_WRONLY | LINUX_O_CREAT | LINUX_O_TRUNC, 0644);

    ASSERT_OK(fd);
    ASSERT_EQ(write_str(f, fd, text), strlen(text));
    ASSERT_OK(CALL_ON(f->t, close, (uint64_t)fd));
}

const char *read_file(struct fixture *f, const char *name) {
    int64_t fd = do_open(f, name, LINUX_O_RDONLY, 0);

    if (fd < 0)
        return strerrorname_np((int)-fd);
    const char *text = read_str(f, fd, 4095);
    ASSERT_OK(CALL_ON(f->t, close, (uint64_t)fd));
    return text;
}

int64_t stat_of(struct fixture *f, const char *name, struct linux_stat *ret) {
    gva_t at = room(f, sizeof *ret);
    int64_t r = CALL_ON(f->t, lstat, put_str(f, name), at);

    if (r == 0)
        get(f, ret, at, sizeof *ret);
    return r;
}
