/* SPDX-License-Identifier: Apache-2.0
 * sentry/kernel/container_process.c: processes that come from outside: a container's init and `exec`.
 * Everything is loaded and checked before the process exists; the error texts are those that OCI clients look
 * for. Source: execvp(3) for the look-up in PATH; runtime-spec config.md "process".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/fcntl.h"
#include "base/cleanup.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/exec_internal.h"
#include "sentry/kernel/control_group.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/session.h"
#include "sentry/kernel/users.h"
#include "sentry/loader/loader.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

void container_default_limits(struct kernel *k, struct linux_rlimit64 *limits) {
    uint64_t tasks = MAX(k->total_memory >> 16, 1024ull);

    for (int i = 0; i < LINUX_RLIM_NLIMITS; i++)
        limits[i] = (struct linux_rlimit64){LINUX_RLIM_INFINITY, LINUX_RLIM_INFINITY};
    limits[LINUX_RLIMIT_STACK].cur = 8 << 20;
    limits[LINUX_RLIMIT_CORE].cur = 0;
    limits[LINUX_RLIMIT_NPROC] = limits[LINUX_RLIMIT_SIGPENDING] = (struct linux_rlimit64){tasks, tasks};
    limits[LINUX_RLIMIT_NOFILE] = (struct linux_rlimit64){1024, 1048576};
    limits[LINUX_RLIMIT_MEMLOCK] = (struct linux_rlimit64){8 << 20, 8 << 20};
    limits[LINUX_RLIMIT_MSGQUEUE] = (struct linux_rlimit64){819200, 819200};
    limits[LINUX_RLIMIT_NICE] = limits[LINUX_RLIMIT_RTPRIO] = (struct linux_rlimit64){0, 0};
}

/* ---- finding the program ---- */

static const char *path_of_env(char **envp) {
    for (; envp && *envp; envp++)
        if (strncmp(*envp, "PATH=", 5) == 0)
            return *envp + 5;
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static int try_program(const struct vfs_view *v, const char *name, struct file **ret) {
    return vfs_open_exec(v, LINUX_AT_FDCWD, name, 0, ret);
}

static int search_path(const struct vfs_view *v, const char *name, const char *path, char **ret_name,
                       struct file **ret) {
    int best = -ENOENT;

    for (const char *at = path;; at++) {
        size_t len = strcspn(at, ":");
        char *candidate = NULL;
        if (asprintf(&candidate, "%.*s/%s", len ? (int)len : 1, len ? at : ".", name) < 0)
            return -ENOMEM;
        int r = try_program(v, candidate, ret);
        if (r == 0) {
            *ret_name = candidate;
            return 0;
        }
        free(candidate);
        if (r == -EACCES)
            best = r;
        at += len;
        if (!*at)
            return best;
    }
}

static int find_program(const struct vfs_view *v, const struct process_spec *spec, char **ret_name,
                        struct file **ret, struct err **err) {
    const char *name = spec->argv[0];

    if (!name || !*name)
        return err_set(err, EINVAL, "process.args", "process.args[0] is empty");
    if (strchr(name, '/')) {
        int r = try_program(v, name, ret);
        *ret_name = r == 0 ? strdup(name) : NULL;
        if (r == 0 && !*ret_name)
            r = -ENOMEM;
        if (r == -ENOENT || r == -ENOTDIR)
            return err_set(err, -r, "exec.not-found", "exec: \"%s\": stat %s", name, name);
        return r < 0 ? err_set(err, -r, "exec.failed", "exec: \"%s\"", name) : 0;
    }
    int r = search_path(v, name, path_of_env(spec->envp), ret_name, ret);
    if (r == -ENOENT || r == -ENOTDIR)
        return err_set(err, 0, "exec.not-found", "exec: \"%s\": executable file not found in $PATH", name),
               -ENOENT;
    return r < 0 ? err_set(err, -r, "exec.failed", "exec: \"%s\"", name) : 0;
}

/* ---- the task ---- */

static int make_fs(struct container *c, const struct process_spec *spec, struct task *t, struct err **err) {
    struct path root = mnt_ns_root(c->mnt_ns), cwd = {0};
    struct vfs_view v = {.root = root, .cwd = root, .creds = t->creds};
    const char *name = spec->cwd ? spec->cwd : "/";

    int r = path_lookup(&v, LINUX_AT_FDCWD, name, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &cwd);
    if (r < 0) {
        r = err_set(err, -r, "process.cwd", "chdir to cwd (\"%s\") set in config.json failed", name);
    } else {
        t->fs = fs_context_new(&root, &cwd, spec->umask < 0 ? 022 : (uint32_t)spec->umask & 0777);
        if (!t->fs)
            r = err_set(err, ENOMEM, "out-of-memory", "making the process");
    }
    path_put(&root);
    path_put(&cwd);
    return r;
}

static int make_files(const struct process_spec *spec, struct task *t) {
    t->files = fd_table_new();
    if (!t->files)
        return -ENOMEM;
    for (size_t i = 0; i < spec->file_count; i++) {
        if (!spec->files[i])
            continue;
        int r = fd_install(t, spec->files[i], (int)i, /* cloexec= */ false);
        if (r < 0)
            return r;
        spec->files[i] = NULL;
    }
    return 0;
}

static struct task *new_task(struct container *c, const struct process_spec *spec) {
    struct kernel *k = c->kernel;
    struct sighand *sighand = sighand_new();
    struct thread_group *g = sighand ? thread_group_new(k, sighand) : NULL;

    if (!g) {
        sighand_unref(sighand);
        return NULL;
    }
    struct task *t = task_new(k, c, g);
    thread_group_unref(g);
    if (!t)
        return NULL;
    if (spec->limits)
        memcpy(g->limits, spec->limits, sizeof g->limits);
    else
        container_default_limits(k, g->limits);
    g->exit_cookie = spec->cookie;
    g->from_outside = !spec->internal;
    t->creds = creds_ref(spec->creds);
    t->nsproxy = nsproxy_ref(c->nsproxy);
    t->no_new_privs = spec->no_new_privs;
    t->oom_score_adj = spec->oom_score_adj;
    t->exit_signal = LINUX_SIGCHLD;
    t->account = user_account_get(k->users, spec->creds->uid);
    return t->account ? t : task_unref(t);
}

/* The program itself is there and may be executed. */
static int load_failed(struct err **err, const char *name, int r) {
    const char *code = r == -ENOENT                     ? "exec.interpreter"
                       : r == -ENOEXEC || r == -ELIBBAD ? "exec.format"
                                                        : "exec.failed";

    r = err_set(err, -r, code, "exec: \"%s\"", name);
    if (r == -ENOENT)
        err_explain(
            err, "the program is there, but not the interpreter that its first line or its ELF header names",
            "put the interpreter (for a dynamic program: its ld.so and libraries) into the image");
    if (r == -ENOEXEC || r == -ELIBBAD)
        err_explain(err, "it is no ELF program for x86-64 and does not begin with #!", NULL);
    return r;
}

static int load(struct task *t, const struct process_spec *spec, struct err **err) {
    struct load_result loaded = {0};
    cleanup(freep) char *name = NULL;
    struct file *file = NULL;
    struct creds *creds = NULL;
    struct vfs_view v;
    bool secure;

    vfs_view_of(t, &v);
    int r = find_program(&v, spec, &name, &file, err);
    vfs_view_done(&v);
    if (r < 0)
        return r;
    r = exec_creds(t, file, &creds, &secure);
    if (r == 0) {
        task_set_creds(t, creds);
        struct load_request q = {.file = file,
                                 .filename = name,
                                 .argv = spec->argv,
                                 .envp = spec->envp,
                                 .creds = creds,
                                 .secure = secure};
        r = load_program(t, &q, &loaded);
    }
    file_unref(file);
    if (r < 0)
        return load_failed(err, spec->argv[0], r);
    t->mm = loaded.mm;
    if (!t->mm->exe)
        t->mm->exe = TAKE(loaded.exe);
    file_unref(loaded.exe);
    t->mm->dumpable = !secure;
    t->mm->user_ns = user_ns_ref(creds->user_ns);
    t->regs = loaded.regs;
    t->regs.orig_rax = ~0ull;
    task_set_name(t, loaded.name);
    return 0;
}

/* Nobody else sees t yet, so the caller may act for its own thread. */
static int install_seccomp(struct task *t, const struct process_spec *spec, struct err **err) {
    if (!spec->seccomp)
        return 0;
    int64_t r = seccomp_set_filter(t, spec->seccomp, spec->seccomp_count,
                                   spec->seccomp_log ? LINUX_SECCOMP_FILTER_FLAG_LOG : 0);
    return r < 0 ? err_set(err, (int)-r, "seccomp.install", "installing the container's seccomp filter") : 0;
}

static int publish(struct container *c, struct task *t, bool is_init, struct err **err) {
    struct kernel *k = c->kernel;
    struct pid *pid = NULL;

    int r = task_start(t);
    if (r < 0)
        return err_set(err, -r, "process.start", "starting the process");
    mutex_lock(&k->taskset_lock);
    if (!c->pid_ns->init && (!is_init || c->shares_pid_ns))
        r = -ESRCH;
    if (r == 0)
        r = pid_alloc_locked(c->pid_ns, NULL, 0, &pid);
    if (r == 0) {
        t->group->pgrp = pid_ref(pid);
        t->group->session = pid_ref(pid);
        task_link_locked(t, pid, NULL);
        cgroup_task_linked_locked(t, c->cgroup);
        if (is_init)
            c->init = task_ref(t);
    }
    mutex_unlock(&k->taskset_lock);
    if (r == 0)
        return 0;
    task_abort(t);
    return err_set(err, -r, "container.stopped", "container \"%s\" is not running", c->id);
}

static int make_process(struct container *c, const struct process_spec *spec, bool is_init, struct task **ret,
                        struct err **err) {
    struct task *t = new_task(c, spec);

    if (!t)
        return err_set(err, ENOMEM, "out-of-memory", "making the process");
    int r = make_fs(c, spec, t, err);
    if (r == 0) {
        r = make_files(spec, t);
        if (r < 0)
            r = err_set(err, -r, "process.files", "giving the process its descriptors");
    }
    if (r == 0)
        r = load(t, spec, err);
    if (r == 0)
        r = install_seccomp(t, spec, err);
    if (r == 0)
        r = publish(c, t, is_init, err);
    if (r < 0) {
        task_unref(t);
        return r;
    }
    if (spec->terminal)
        tty_maybe_become_controlling(spec->terminal, t);
    *ret = t;
    return 0;
}

int container_create_process(struct container *c, const struct process_spec *spec, bool is_init,
                             struct task **ret, struct err **err) {
    might_block();
    int r = make_process(c, spec, is_init, ret, err);
    for (size_t i = 0; i < spec->file_count; i++)
        file_unref(spec->files[i]); /* those that were not taken */
    if (spec->terminal)
        tty_unref(spec->terminal);
    creds_unref(spec->creds);
    return r;
}

int container_start_process(struct task *t) {
    task_go(t);
    return 0;
}
