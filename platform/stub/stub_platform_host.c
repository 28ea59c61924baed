/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_platform_host.c: sets up what all stubs of a platform share: the files, the socket, the
 * code and filters, the keeper thread with its zygote.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "platform/stub/stub_filter.h"
#include "platform/stub/stub.h"
#include "platform/stub/stub_zygote.h"

extern const char stub_image[], stub_image_end[];

enum { MIN_ADDRESS = 0x10000 };

/* The same memory file by a descriptor that cannot write. */
static int reopen_read_only(const struct stub_platform *p, int fd) {
    char path[64];
    snprintf(path, sizeof(path), "%sself/fd/%d", p->proc_fd >= 0 ? "" : "/proc/", fd);
    int r = openat(p->proc_fd >= 0 ? p->proc_fd : AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    return r < 0 ? -errno : r;
}

static int write_text(int fd, const struct bpf_builder *guest) {
    struct bpf_builder helper;
    char filters[STUB_TEXT_SIZE - STUB_FILTERS_OFFSET] = {0};
    int r = stub_filter_helper(&helper);
    if (r == 0)
        r = stub_filters_image(&helper, guest, filters, sizeof(filters));
    if (r)
        return r;
    size_t size = (size_t)(stub_image_end - stub_image);
    ASSERT(size <= STUB_FILTERS_OFFSET);
    if (ftruncate(fd, STUB_TEXT_SIZE) || pwrite(fd, stub_image, size, 0) != (ssize_t)size ||
        pwrite(fd, filters, sizeof(filters), STUB_FILTERS_OFFSET) != (ssize_t)sizeof(filters))
        return errno ? -errno : -EIO;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
        return -errno;
    return 0;
}

static int open_files(struct stub_platform *p, const struct stub_role *role, struct err **err) {
    int r = stub_file_init(&p->commands, "stub-commands", CMD_SIZE);
    if (r == 0)
        r = stub_file_init(&p->messages, "stub-messages", role->message_unit);
    if (r == 0)
        r = stub_file_init(&p->patches, "stub-patches", PATCH_SIZE);
    if (r)
        return err_set(err, -r, "platform.memfd", "platform: cannot make a memory file");
    p->text_fd = memfd_create("stub-text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    r = p->text_fd < 0 ? -errno : write_text(p->text_fd, &role->guest);
    if (r)
        return err_set(err, -r, "platform.text", "platform: cannot prepare the stub's code");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p->sockets))
        return err_set(err, errno, "platform.socket", "platform: cannot make the socket for descriptors");
    return 0;
}

/* The zygote's first report says that it stands. */
static int greet_zygote(struct stub_platform *p, struct err **err) {
    struct stub_space *z = p->zygote;
    mutex_lock(&z->lock);
    /* its death before the first report is seen by the keeper */
    stub_batch_add(z, DO_EXPECT, (uint32_t)p->pid, (struct stub_call){SYS_getppid, {0}});
    int64_t r = stub_batch_run(z, NULL);
    mutex_unlock(&z->lock);
    if (r >= 0)
        return 0;
    int status = atomic_load(&z->status);
    if (status >= 0)
        return err_set(err, ECHILD, "platform.zygote", "platform: the first stub ended while it was %s",
                       stub_zygote_step(status));
    err_set(err, ECHILD, "platform.zygote",
            "platform: the first stub was killed by signal %d while it was made", -status);
    err_explain(err, "the host refuses a call that stubs need (seccomp, mremap, munmap)", NULL);
    return -ECHILD;
}

/* Stubs go first when the host runs out of memory. Best effort: without a procfs there is no way. */
static void prefer_for_oom(const struct stub_platform *p) {
    char path[64];
    if (p->proc_fd < 0)
        return;
    snprintf(path, sizeof(path), "%d/oom_score_adj", (int)p->zygote->pid);
    cleanup(closep) int fd = openat(p->proc_fd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "1000", 4) != 4)
        log_warning(LOG_PLATFORM, "cannot set oom_score_adj of stubs: %s", strerror(errno));
}

static void set_limits(struct stub_platform *p, const struct stub_vdso *v) {
    struct platform_limits *l = &p->base.limits;
    *l = (struct platform_limits){.min_address = MIN_ADDRESS, .max_address = STUB_BASE};
    if (!v->parts)
        return;
    uint64_t at = v->start;
    if (p->zygote->messages->vdso_moved)
        at = STUB_VDSO;
    else if (v->start < STUB_BASE) /* it is sealed: the guest's addresses end below it */
        l->max_address = v->start & ~0xffffffffull;
    l->host_vdso_start = at;
    l->host_vdso_end = at + (v->end - v->start);
    l->host_clock_gettime = v->clock_gettime ? at + v->clock_gettime : 0;
    l->host_gettimeofday = v->gettimeofday ? at + v->gettimeofday : 0;
    l->host_time = v->time ? at + v->time : 0;
    l->host_getcpu = v->getcpu ? at + v->getcpu : 0;
}

struct cpuid {
    uint32_t a, b, c, d;
};

static struct cpuid cpuid(uint32_t leaf, uint32_t sub) {
    struct cpuid r = {.a = leaf, .c = sub};
    __asm__("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
    return r;
}

/* Guests may use all that the host enables but AMX, for which a process must ask. Intel SDM vol. 1 13.2. */
static void measure_fpu(struct stub_platform *p) {
    enum { FIRST_EXTENDED = 2, LAST_EXTENDED = 62, STANDARD_SIZE = 576 };
    const uint64_t amx = 3ull << 17;
    uint32_t low, high;
    ASSERT(cpuid(1, 0).c & 1u << 27); /* XSAVE, without which no x86-64 host of ours runs */
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    p->regset_size = cpuid(0xd, 0).b;
    p->fpu_features = ((uint64_t)high << 32 | low) & ~amx;
    p->base.fpu_size = STANDARD_SIZE;
    for (uint32_t i = FIRST_EXTENDED; i <= LAST_EXTENDED; i++) {
        if (!(p->fpu_features >> i & 1)) /* in a virtual machine each cpuid is an exit to the hypervisor */
            continue;
        struct cpuid r = cpuid(0xd, i);
        p->base.fpu_size = MAX(p->base.fpu_size, (size_t)r.a + r.b);
    }
}

static int start(struct stub_platform *p, const struct stub_role *role, struct err **err) {
    int r = open_files(p, role, err);
    if (r)
        return r;
    r = stub_space_new(p, &p->zygote);
    if (r)
        return err_set(err, -r, "platform.memory", "platform: no memory for the first stub");
    cleanup(closep) int commands = reopen_read_only(p, p->commands.fd);
    cleanup(closep) int text = reopen_read_only(p, p->text_fd);
    cleanup(closep) int patches = reopen_read_only(p, p->patches.fd);
    if (commands < 0 || text < 0 || patches < 0) {
        err_set(err, -MIN(commands, MIN(text, patches)), "platform.reopen",
                "platform: cannot open the stubs' pages read-only");
        err_explain(err, "/proc/self/fd is not there", "mount a procfs, or pass one to the platform");
        return -EACCES;
    }
    struct zygote_plan plan = {
        .command_fd = commands,
        .message_fd = p->messages.fd,
        .socket_fd = p->sockets[1],
        .text_fd = text,
        .patch_fd = patches,
        .handlers = role->handlers,
        .command_offset = (uint64_t)p->zygote->command_index * p->commands.unit,
        .message_offset = (uint64_t)p->zygote->message_index * p->messages.unit,
        .message_size = p->messages.unit,
    };
    stub_vdso_find(&plan.vdso, p->proc_fd);
    r = stub_keeper_start(p, &plan, err);
    if (r == 0)
        r = greet_zygote(p, err);
    if (r)
        return r;
    set_limits(p, &plan.vdso);
    if (role->handlers)
        p->base.limits.min_address = PATCH_END;
    prefer_for_oom(p);
    return 0;
}

int stub_platform_init(struct stub_platform *p, const struct platform_config *config,
                       const struct stub_role *role, struct err **err) {
    p->proc_fd = config->proc_fd;
    p->no_patches = config->no_patches;
    p->hooks = role->hooks;
    p->pid = getpid();
    p->text_fd = p->commands.fd = p->messages.fd = p->patches.fd = p->sockets[0] = p->sockets[1] = -1;
    mutex_init(&p->donation, RANK_AS_DONATION);
    mutex_init(&p->table, RANK_LEAF);
    for (unsigned i = 0; i < STUB_TABLE_BUCKETS; i++)
        list_init(&p->spaces[i]);
    list_init(&p->early);
    list_init(&p->abandoned);
    stub_cpus_init(&p->cpus, config->pin_cpus == 0);
    measure_fpu(p);
    int r = start(p, role, err);
    if (r)
        stub_platform_done(p);
    return r;
}

void stub_platform_done(struct stub_platform *p) {
    stub_keeper_stop(p);
    while (!list_empty(&p->abandoned)) {
        struct stub_space *s = list_first_entry(&p->abandoned, struct stub_space, table_link);
        list_del(&s->table_link);
        stub_space_put(s);
    }
    if (p->zygote) {
        stub_space_put(p->zygote);
        p->zygote = NULL;
    }
    stub_file_done(&p->commands);
    stub_file_done(&p->messages);
    stub_file_done(&p->patches);
    p->text_fd = close_fd(p->text_fd);
    p->sockets[0] = close_fd(p->sockets[0]);
    p->sockets[1] = close_fd(p->sockets[1]);
}
