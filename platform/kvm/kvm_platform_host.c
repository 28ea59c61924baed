/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_platform_host.c: makes the machine. /dev/kvm is opened before the process gives up its
 * privileges and its view of /dev (platform_kvm_open()).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "platform/kvm/kvm_internal.h"
#include "platform/kvm/kvm_kick.h"
#include "platform/kvm/x86_64/kvm_ring0.h"
#include "platform/platform_calls.h"

int platform_kvm_open(void) {
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int kvm_slot_set(struct kvm_machine *m, uint32_t slot, uint64_t gpa, uint64_t size, char *memory) {
    struct kvm_userspace_memory_region region = {
        .slot = slot, .guest_phys_addr = gpa, .memory_size = size, .userspace_addr = (uint64_t)memory};
    return ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

void kvm_slot_clear(struct kvm_machine *m, uint32_t slot, uint64_t gpa) {
    struct kvm_userspace_memory_region region = {.slot = slot, .guest_phys_addr = gpa};
    (void)ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void machine_free(struct kvm_machine *m) {
    if (m->files.memory)
        kvm_files_done(m);
    kvm_pool_done(m);
    if (m->vm_fd >= 0)
        close(m->vm_fd);
    kvm_frames_done(m);
    if (m->toggle && m->toggle != MAP_FAILED)
        munmap(m->toggle, PAGE_SIZE);
    free(m->cpuid);
    if (m->kvm_fd >= 0)
        close(m->kvm_fd);
    free(m);
}

static void destroy(struct platform *p) {
    machine_free((struct kvm_machine *)p);
}

static const struct platform_ops kvm_ops = {
    .name = "kvm",
    .as_create = kvm_as_create,
    .as_fork = kvm_as_fork,
    .as_apply = kvm_as_apply,
    .as_copy_in = kvm_as_copy_in,
    .as_copy_out = kvm_as_copy_out,
    .as_peek = kvm_as_peek,
    .as_poke = kvm_as_poke,
    .as_usage = kvm_as_usage,
    .as_pages = kvm_as_pages,
    .as_kill = kvm_as_kill,
    .as_unref = kvm_as_unref,
    .context_create = kvm_context_create,
    .context_destroy = kvm_context_destroy,
    .context_switch = kvm_context_switch,
    .context_cpu_time = kvm_context_cpu_time,
    .context_interrupt = kvm_context_interrupt,
    .context_get_fpu = kvm_context_get_fpu,
    .context_set_fpu = kvm_context_set_fpu,
    .context_reset_fpu = kvm_context_reset_fpu,
    .context_atomic32 = kvm_context_atomic32,
    .destroy = destroy,
};

/* Beside boot's own list: nothing with any arguments; ioctls by their request alone (kvm_host_ioctls). */
const int kvm_host_calls[] = {-1};
/* These numbers mean something to descriptors of KVM only. */
const unsigned long kvm_host_ioctls[] = {KVM_RUN,
                                         KVM_SET_USER_MEMORY_REGION,
                                         KVM_CREATE_VCPU,
                                         KVM_SET_CPUID2,
                                         KVM_GET_SREGS,
                                         KVM_SET_SREGS,
                                         KVM_SET_MSRS,
                                         KVM_SET_XCRS,
                                         KVM_GET_XSAVE2,
                                         KVM_SET_XSAVE,
                                         KVM_SET_DEVICE_ATTR,
                                         KVM_GET_VCPU_EVENTS,
                                         0};

/* ---- set-up ---- */

static int check_host(struct kvm_machine *m, struct err **err) {
    static const struct {
        int capability, least;
        const char *name;
    } needed[] = {{KVM_CAP_USER_MEMORY, 1, "user memory"},
                  {KVM_CAP_IMMEDIATE_EXIT, 1, "immediate exit"},
                  {KVM_CAP_XSAVE, 1, "xsave"},
                  {KVM_CAP_XCRS, 1, "xcrs"},
                  {KVM_CAP_EXT_CPUID, 1, "cpuid"},
                  {KVM_CAP_SYNC_MMU, 1, "MMU notifiers"},
                  {KVM_CAP_XSAVE2, 1, "xsave2"},
                  {KVM_CAP_NR_MEMSLOTS, 1024, "1024 memory slots"}};
    const int sync = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
    int version = ioctl(m->kvm_fd, KVM_GET_API_VERSION, 0);
    if (version != 12)
        return err_set(err, ENOTSUP, "platform.kvm", "kvm: interface version %d, not 12", version);
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (ioctl(m->kvm_fd, KVM_CHECK_EXTENSION, needed[i].capability) < needed[i].least)
            return err_set(err, ENOTSUP, "platform.kvm", "kvm: this host's lacks %s", needed[i].name);
    if ((ioctl(m->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS) & sync) != sync)
        return err_set(err, ENOTSUP, "platform.kvm", "kvm: this host's lacks shared registers");
    return 0;
}

static int read_cpuid(struct kvm_machine *m, struct err **err) {
    enum { ENTRIES_MAX = 1024 };
    for (uint32_t count = 128; count <= ENTRIES_MAX; count *= 2) {
        free(m->cpuid);
        m->cpuid = calloc(1, sizeof(*m->cpuid) + count * sizeof(m->cpuid->entries[0]));
        if (!m->cpuid)
            return err_set(err, ENOMEM, "platform.memory", "kvm: no memory");
        m->cpuid->nent = count;
        if (ioctl(m->kvm_fd, KVM_GET_SUPPORTED_CPUID, m->cpuid) == 0)
            return 0;
        if (errno != E2BIG)
            break;
    }
    return err_set(err, errno, "platform.kvm", "kvm: reading the cpu features");
}

/* The state components that guests may use: what the host enables, of x87, SSE, AVX and AVX-512. */
static void measure_fpu(struct kvm_machine *m) {
    enum { FIRST_EXTENDED = 2, LAST_EXTENDED = 7, STANDARD_SIZE = 576 };
    uint32_t low, high, a, b, c, d;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    m->xcr0 = low & 0xe7;
    m->base.fpu_size = STANDARD_SIZE;
    for (uint32_t i = FIRST_EXTENDED; i <= LAST_EXTENDED; i++) {
        __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0xd), "c"(i));
        if (m->xcr0 >> i & 1)
            m->base.fpu_size = MAX(m->base.fpu_size, (size_t)a + b);
    }
}

static int make_ring0(struct kvm_machine *m) {
    enum { ENTRIES = 512, BITS = KVM_PTE_PRESENT | KVM_PTE_WRITE | KVM_PTE_ACCESSED | KVM_PTE_DIRTY };
    enum { TABLES = (RING0_PAGES + ENTRIES - 1) / ENTRIES, KERNEL_ENTRY = 511, KERNEL_DIRECTORY = 510 };
    uint32_t pages[RING0_PAGES], tables[TABLES];
    uint32_t pdpt = kvm_frame_alloc(m, true), directory = kvm_frame_alloc(m, true);
    uint32_t root = kvm_frame_alloc(m, true);
    for (unsigned i = 0; i < TABLES; i++)
        tables[i] = kvm_frame_alloc(m, true);
    for (unsigned i = 0; i < RING0_PAGES; i++) /* the first of all, so they lie in a row */
        pages[i] = kvm_frame_alloc(m, true);
    if (!pdpt || !directory || !root || !tables[TABLES - 1] || !pages[RING0_PAGES - 1])
        return -ENOMEM;
    ASSERT(pages[RING0_PAGES - 1] - pages[0] == RING0_PAGES - 1);
    uint64_t *table = (uint64_t *)m->frames.memory;
    const size_t words = PAGE_SIZE / sizeof(*table);
    table[root * words + KERNEL_ENTRY] = pdpt * PAGE_SIZE | BITS;
    table[pdpt * words + KERNEL_DIRECTORY] = directory * PAGE_SIZE | BITS;
    for (unsigned i = 0; i < TABLES; i++)
        table[directory * words + i] = tables[i] * PAGE_SIZE | BITS;
    for (unsigned i = 0; i < RING0_PAGES; i++)
        table[tables[i / ENTRIES] * words + i % ENTRIES] = pages[i] * PAGE_SIZE | BITS;
    m->ring0_root = root;
    m->ring0_table = pdpt;
    m->ring0 = m->frames.memory + pages[0] * PAGE_SIZE;
    kvm_ring0_fill(m->ring0);
    return 0;
}

static int machine_init(struct kvm_machine *m, struct err **err) {
    enum { MIN_ADDRESS = 0x10000 };
    int r = check_host(m, err);
    if (r == 0)
        r = read_cpuid(m, err);
    if (r)
        return r;
    measure_fpu(m);
    m->base.limits = (struct platform_limits){.min_address = MIN_ADDRESS, .max_address = 0x7ffffffff000};
    m->run_size = (size_t)ioctl(m->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    m->vm_fd = ioctl(m->kvm_fd, KVM_CREATE_VM, 0);
    if (m->vm_fd < 0)
        return err_set(err, errno, "platform.kvm", "kvm: making a virtual machine");
    (void)ioctl(m->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000ul); /* for Intel's without unrestricted guests */
    int xsave = ioctl(m->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
    m->xsave_size = (size_t)MAX(xsave, (int)sizeof(struct kvm_xsave));
    m->base.fpu_size = MIN(m->base.fpu_size, m->xsave_size);
    m->toggle = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->toggle == MAP_FAILED)
        return err_set(err, errno, "platform.memory", "kvm: no memory");
    mutex_init(&m->toggle_lock, RANK_LEAF);
    r = kvm_frames_init(m, err);
    if (r)
        return r;
    if (kvm_files_init(m) < 0 || make_ring0(m) < 0)
        return err_set(err, ENOMEM, "platform.memory", "kvm: no memory for the first pages");
    kvm_pool_init(m);
    r = kvm_safe_install();
    if (r == 0)
        r = kvm_kick_install();
    return r ? err_set(err, -r, "platform.kvm", "kvm: signal handlers") : 0;
}

int kvm_machine_create(const struct platform_config *config, struct platform **ret, struct err **err) {
    struct kvm_machine *m = calloc(1, sizeof(*m));
    if (!m)
        return err_set(err, ENOMEM, "platform.memory", "kvm: no memory");
    m->base.ops = &kvm_ops;
    m->vm_fd = m->frames.fd = -1;
    list_init(&m->pool.idle);
    m->kvm_fd = config->kvm_fd ? config->kvm_fd : platform_kvm_open();
    int r = 0;
    if (m->kvm_fd > 0 && config->kvm_fd) /* ours to close */
        m->kvm_fd = fcntl(config->kvm_fd, F_DUPFD_CLOEXEC, 0);
    if (m->kvm_fd < 0) {
        r = err_set(err, config->kvm_fd > 0 ? errno : -m->kvm_fd, "platform.kvm", "kvm: opening /dev/kvm");
        err_explain(err, NULL,
                    "load the kvm module and give this user access to /dev/kvm, or use --platform=systrap");
    }
    if (r == 0)
        r = machine_init(m, err);
    if (r) {
        machine_free(m);
        return r;
    }
    *ret = &m->base;
    return 0;
}

const char *platform_kvm_entry(const struct platform *p) {
    uint32_t entry = atomic_load(&((const struct kvm_machine *)p)->entry);
    return entry == KVM_ENTRY_HARDWARE ? "syscall in hardware"
           : entry == KVM_ENTRY_FAULT  ? "a fault at the target of syscall"
                                       : "";
}

int platform_kvm_create(const struct platform_config *config, struct platform **ret, struct err **err) {
    struct kvm_verdict verdict;
    int r = kvm_selftest(config, &verdict);
    if (r == 0)
        r = verdict.error;
    if (r) {
        r = err_set(err, -r, "platform.kvm", "kvm: the self-test failed at: %s", verdict.step);
        err_explain(err, NULL, "use --platform=systrap; `runsc platforms` tells more");
        return r;
    }
    r = kvm_machine_create(config, ret, err);
    if (r == 0) {
        struct kvm_machine *m = (struct kvm_machine *)*ret;
        atomic_store(&m->entry, verdict.entry);
        log_info(LOG_PLATFORM, "kvm: calls by %s, %u ns each", platform_kvm_entry(*ret), verdict.call_ns);
    }
    return r;
}
