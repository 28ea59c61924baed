/* SPDX-License-Identifier: Apache-2.0
 * boot/boot.c: the sandbox process, from its first instruction to its last (boot.h). Order matters: all walls
 * are up before the control server reads a byte that a guest could have had a hand in; the platform's zygote
 * is cloned while the process is small and before the filter is there, but after the capabilities are gone.
 */
#include "boot/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/ref.h"
#include "boot/controller.h"
#include "boot/crash.h"
#include "boot/filter.h"
#include "boot/walls.h"
#include "platform/platform.h"

#if defined(__SANITIZE_THREAD__) || defined(RUNSC_COVERAGE)
#define NO_FILTER 1 /* their runtimes make host calls of their own. AddressSanitizer's are in filter.c */
#else
#define NO_FILTER 0
#endif
#if defined(__SANITIZE_ADDRESS__) || NO_FILTER
#define REPORTS_CRASHES 1 /* their runtimes do */
#else
#define REPORTS_CRASHES 0
#endif

enum { SANDBOX_LEAKED = 124 }; /* exit status of a debug build that found objects left */

struct sandbox {
    struct walls walls;
    int proc_fd, linkless_proc_fd;
    struct platform *platform;
    struct boot_kernel *kernel;
    struct controller *controller;
};

static int put_up_filter(struct sandbox *s, const struct boot_options *o, struct err **err) {
    if (NO_FILTER) {
        bool zero = s->walls.zero_privilege;
        s->walls.zero_privilege = true;
        int r = wall_failed(&s->walls, WALL_SECCOMP, ENOTSUP, "this is an instrumented build", err);
        s->walls.zero_privilege = zero;
        return r;
    }
    struct err *why = NULL;
    int r = filter_install(s->platform ? s->platform->ops->name : "none", STDERR_FILENO, &why);
    if (r >= 0)
        wall_is_up(&s->walls, WALL_SECCOMP);
    else if (o->zero_privilege)
        r = wall_failed(&s->walls, WALL_SECCOMP, -r, "seccomp", err);
    else if (err && !*err)
        *err = TAKE(why);
    err_free(why);
    return r;
}

/* The filter names descriptor FILTER_PROC_FD, so it must be that one. */
static int place_proc_fd(struct sandbox *s, struct err **err) {
    if (s->proc_fd < 0 || s->proc_fd == FILTER_PROC_FD)
        return 0;
    if (dup3(s->proc_fd, FILTER_PROC_FD, O_CLOEXEC) < 0)
        return err_set(err, errno, "sandbox.start", "placing the procfs descriptor");
    close_fd(s->proc_fd);
    s->proc_fd = FILTER_PROC_FD;
    return 0;
}

/* Starting needs links (a memory file is opened again, read-only); running must not have them. */
static int give_up_links(struct sandbox *s, struct err **err) {
    if (s->linkless_proc_fd < 0)
        return 0;
    if (dup3(s->linkless_proc_fd, FILTER_PROC_FD, O_CLOEXEC) < 0)
        return err_set(err, errno, "sandbox.start", "placing the procfs descriptor");
    s->linkless_proc_fd = close_fd(s->linkless_proc_fd);
    return 0;
}

static int put_up_walls(struct sandbox *s, const struct boot_options *o, struct err **err) {
    int r = walls_namespaces(&s->walls, o->namespaces, err);

    if (r >= 0)
        r = walls_own_procfs(&s->walls, &s->proc_fd, &s->linkless_proc_fd, err);
    if (r >= 0)
        r = place_proc_fd(s, err);
    if (r >= 0)
        r = walls_empty_root(&s->walls, s->proc_fd, err);
    if (r >= 0)
        r = walls_limits(&s->walls, err);
    if (r >= 0)
        r = walls_become_nobody(&s->walls, err);
    if (r >= 0)
        r = walls_drop_privileges(&s->walls, /* keep= */ 0, err);
    return r;
}

static int make_platform(struct sandbox *s, const struct boot_options *o, struct err **err) {
    if (strcmp(o->platform, "none") == 0) /* tests of boot/ and runsc/ with the fake kernel */
        return 0;
    struct platform_config config = {
        .proc_fd = s->proc_fd, .kvm_fd = o->kvm_fd, .no_privilege = o->zero_privilege};
    int r = platform_create(o->platform, &config, &s->platform, err);
    if (r == -ENOENT && err && !*err) {
        (void)err_set(err, ENOENT, "platform.unknown", "there is no platform \"%s\" in this build",
                      o->platform);
        err_explain(err, NULL, "--platform=auto chooses one");
    }
    return r;
}

static int make_kernel(struct sandbox *s, const struct boot_options *o, struct err **err) {
    struct controller_config config = {.listen_fd = o->listen_fd,
                                       .connections = &o->control_fd,
                                       .connection_count = 1,
                                       .platform = s->platform ? s->platform->ops->name : "none"};
    int r = controller_create(&config, &s->controller, err);

    if (r < 0)
        return r;
    struct boot_kernel_config kernel = {.platform = s->platform,
                                        .proc_fd = s->proc_fd,
                                        .strace_fd = o->strace_fd,
                                        .xray = o->xray,
                                        .on_exit = controller_on_exit,
                                        .arg = s->controller};
    r = boot_kernel_create(&kernel, &s->kernel, err);
    if (r >= 0)
        controller_set_kernel(s->controller, s->kernel);
    return r;
}

int boot_main(const struct boot_options *o) {
    struct sandbox s = {.walls.zero_privilege = o->zero_privilege, .proc_fd = -1, .linkless_proc_fd = -1};
    cleanup(err_freep) struct err *err = NULL;
    /* One arena: with more, malloc counts the cpus in /sys and free() asks /proc/sys/vm/overcommit_memory
       before it shrinks one. Kernel objects have their own heap, so its lock is seldom met. */
    (void)mallopt(M_ARENA_MAX, 1);
    int r = REPORTS_CRASHES ? 0 : crash_handlers_install();

    if (r >= 0)
        r = put_up_walls(&s, o, &err);
    if (r >= 0)
        r = make_platform(&s, o, &err);
    if (r >= 0)
        r = make_kernel(&s, o, &err);
    if (r >= 0)
        r = give_up_links(&s, &err);
    if (r >= 0)
        r = put_up_filter(&s, o, &err);
    cleanup(freep) char *report = r >= 0 ? walls_json(&s.walls) : NULL;
    if (r >= 0)
        r = report ? controller_set_walls(s.controller, report) : -ENOMEM;
    if (r < 0) {
        if (!err)
            (void)err_set(&err, -r, "sandbox.start", "starting the sandbox");
        log_error(LOG_BOOT, "start failed: %s", err->message ? err->message : "?");
        boot_report_error(o->status_fd, err);
        return 1;
    }
    boot_report_ready(o->status_fd, report);
    int code = controller_run(s.controller);
#ifndef RUNSC_DEBUG
    /* The host takes everything down faster than we could, stubs first (we are their namespace's init). Debug
     * builds look for leaks. */
    _exit(code);
#endif
    controller_end_containers(s.controller);
    boot_kernel_destroy(s.kernel);
    controller_free(s.controller);
    walls_done(&s.walls);
    return ref_leaks() > 0 ? SANDBOX_LEAKED : code;
}
