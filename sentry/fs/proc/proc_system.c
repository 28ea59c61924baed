/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_system.c: files of /proc that tell of the system as the guest sees it: time, memory,
 * cpus, file systems. Source: proc(5).
 */
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/stat.h"
#include "base/clock.h"
#include "sentry/fs/proc/proc_machine.h"
#include "sentry/heap/heap.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/kernel_host.h"
#include "sentry/kernel/nsproxy.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/usage.h"
#include "sentry/mm/memfile.h"
#include "sentry/vfs/file_lock.h"

static struct kernel *kernel_of(struct kernfs_inode *n) {
    return n->inode.fs->kernel;
}

/* What the reader's time namespace adds to the time since boot. */
static int64_t boot_offset(struct task *reader) {
    return reader ? time_ns_offset(reader->nsproxy->time, LINUX_CLOCK_BOOTTIME) : 0;
}

static int uptime_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    int64_t up = (monotonic_ns() - kernel_of(n)->boot_time_ns + boot_offset(t)) / (NSEC_PER_SEC / 100);

    text_printf(out, "%lld.%02lld %lld.%02lld\n", (long long)(up / 100), (long long)(up % 100),
                (long long)(up / 100), (long long)(up % 100));
    return 0;
}

static int locks_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct kernel *k = kernel_of(n);

    file_locks_show(k, t ? task_pid_ns(t) : k->root_pid_ns, out);
    return 0;
}

static int version_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "Linux version %s (runsc@sandbox) (gcc) %s\n", kernel_of(n)->release,
                kernel_of(n)->version);
    return 0;
}

/* The load is the host's, as in sysinfo(2): what a program goes by that wants to know whether to wait. */
static int loadavg_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct kernel *k = kernel_of(n);
    struct kernel_usage u;
    uint64_t loads[3];

    (void)t;
    usage_of_kernel(k, &u);
    host_load_average(loads);
    mutex_lock(&k->taskset_lock);
    int last = proc_ns(n)->last_number;
    mutex_unlock(&k->taskset_lock);
    for (int i = 0; i < 3; i++)
        text_printf(out, "%lu.%02lu ", loads[i] >> 16, (loads[i] & 0xffff) * 100 >> 16);
    text_printf(out, "%u/%u %d\n", MAX(u.running, 1u), u.tasks, last);
    return 0;
}

static int cmdline_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t;
    text_printf(out, "runsc\n");
    return 0;
}

/* What is in use is what the sandbox's objects hold: shared memory and the heap. Private guest memory is the
 * host's to count, per process. */
static int meminfo_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct kernel *k = kernel_of(n);
    uint64_t total = k->total_memory / 1024, shared = memfile_allocated(k->memfile) / 1024,
             slab = heap_bytes_in_use() / 1024;
    uint64_t used = MIN(total, shared + slab), free = total - used;

    (void)t;
#define ROW(label, kb) text_printf(out, "%-16s%8llu kB\n", label ":", (unsigned long long)(kb))
    ROW("MemTotal", total);
    ROW("MemFree", free);
    ROW("MemAvailable", free);
    ROW("Buffers", 0);
    ROW("Cached", shared);
    ROW("SwapCached", 0);
    ROW("Active", shared);
    ROW("Inactive", 0);
    ROW("Active(anon)", shared);
    ROW("Inactive(anon)", 0);
    ROW("Active(file)", 0);
    ROW("Inactive(file)", 0);
    ROW("Unevictable", 0);
    ROW("Mlocked", 0);
    ROW("SwapTotal", 0);
    ROW("SwapFree", 0);
    ROW("Dirty", 0);
    ROW("Writeback", 0);
    ROW("AnonPages", 0);
    ROW("Mapped", 0);
    ROW("Shmem", shared);
    ROW("Slab", slab);
    ROW("SReclaimable", 0);
    ROW("SUnreclaim", slab);
    ROW("CommitLimit", total);
    ROW("Committed_AS", used);
    ROW("VmallocTotal", 34359738367ull);
    ROW("VmallocUsed", 0);
    ROW("VmallocChunk", 0);
    ROW("AnonHugePages", 0);
    text_printf(out, "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        "
                     "0\nHugePages_Surp:        0\n");
    ROW("Hugepagesize", 2048);
    ROW("Hugetlb", 0);
#undef ROW
    return 0;
}

/* ---- cpus ---- */

struct cpu_flag {
    uint8_t leaf; /* index into g_leaves */
    uint8_t reg;  /* 0 eax, 1 ebx, 2 ecx, 3 edx */
    uint8_t bit;
    const char *name;
};
enum { LEAF_1, LEAF_7, LEAF_80000001, LEAF_D_1, LEAF_7_1, LEAVES };
static const struct cpu_flag g_cpu_flags[] = {
    {LEAF_1, 3, 0, "fpu"},
    {LEAF_1, 3, 1, "vme"},
    {LEAF_1, 3, 2, "de"},
    {LEAF_1, 3, 3, "pse"},
    {LEAF_1, 3, 4, "tsc"},
    {LEAF_1, 3, 5, "msr"},
    {LEAF_1, 3, 6, "pae"},
    {LEAF_1, 3, 8, "cx8"},
    {LEAF_1, 3, 11, "sep"},
    {LEAF_1, 3, 13, "pge"},
    {LEAF_1, 3, 15, "cmov"},
    {LEAF_1, 3, 16, "pat"},
    {LEAF_1, 3, 19, "clflush"},
    {LEAF_1, 3, 23, "mmx"},
    {LEAF_1, 3, 24, "fxsr"},
    {LEAF_1, 3, 25, "sse"},
    {LEAF_1, 3, 26, "sse2"},
    {LEAF_1, 3, 28, "ht"},
    {LEAF_80000001, 3, 11, "syscall"},
    {LEAF_80000001, 3, 20, "nx"},
    {LEAF_80000001, 3, 26, "pdpe1gb"},
    {LEAF_80000001, 3, 27, "rdtscp"},
    {LEAF_80000001, 3, 29, "lm"},
    {LEAF_1, 2, 0, "pni"},
    {LEAF_1, 2, 1, "pclmulqdq"},
    {LEAF_1, 2, 9, "ssse3"},
    {LEAF_1, 2, 12, "fma"},
    {LEAF_1, 2, 13, "cx16"},
    {LEAF_1, 2, 19, "sse4_1"},
    {LEAF_1, 2, 20, "sse4_2"},
    {LEAF_1, 2, 22, "movbe"},
    {LEAF_1, 2, 23, "popcnt"},
    {LEAF_1, 2, 25, "aes"},
    {LEAF_1, 2, 26, "xsave"},
    {LEAF_1, 2, 28, "avx"},
    {LEAF_1, 2, 29, "f16c"},
    {LEAF_1, 2, 30, "rdrand"},
    {LEAF_1, 2, 31, "hypervisor"},
    {LEAF_80000001, 2, 0, "lahf_lm"},
    {LEAF_80000001, 2, 5, "abm"},
    {LEAF_80000001, 2, 6, "sse4a"},
    {LEAF_80000001, 2, 8, "3dnowprefetch"},
    {LEAF_7, 1, 0, "fsgsbase"},
    {LEAF_7, 1, 3, "bmi1"},
    {LEAF_7, 1, 5, "avx2"},
    {LEAF_7, 1, 8, "bmi2"},
    {LEAF_7, 1, 9, "erms"},
    {LEAF_7, 1, 16, "avx512f"},
    {LEAF_7, 1, 17, "avx512dq"},
    {LEAF_7, 1, 18, "rdseed"},
    {LEAF_7, 1, 19, "adx"},
    {LEAF_7, 1, 21, "avx512ifma"},
    {LEAF_7, 1, 23, "clflushopt"},
    {LEAF_7, 1, 24, "clwb"},
    {LEAF_7, 1, 28, "avx512cd"},
    {LEAF_7, 1, 29, "sha_ni"},
    {LEAF_7, 1, 30, "avx512bw"},
    {LEAF_7, 1, 31, "avx512vl"},
    {LEAF_D_1, 0, 0, "xsaveopt"},
    {LEAF_D_1, 0, 1, "xsavec"},
    {LEAF_D_1, 0, 2, "xgetbv1"},
    {LEAF_7_1, 0, 4, "avx_vnni"},
    {LEAF_7_1, 0, 5, "avx512_bf16"},
    {LEAF_7, 2, 1, "avx512vbmi"},
    {LEAF_7, 2, 6, "avx512_vbmi2"},
    {LEAF_7, 2, 8, "gfni"},
    {LEAF_7, 2, 9, "vaes"},
    {LEAF_7, 2, 10, "vpclmulqdq"},
    {LEAF_7, 2, 11, "avx512_vnni"},
    {LEAF_7, 2, 12, "avx512_bitalg"},
    {LEAF_7, 2, 14, "avx512_vpopcntdq"},
    {LEAF_7, 2, 22, "rdpid"},
    {LEAF_7, 3, 4, "fsrm"},
    {LEAF_7, 3, 14, "serialize"},
};

static void append_cpu_flags(struct text *out) {
    static const uint32_t leaf[LEAVES][2] = {[LEAF_1] = {1, 0},
                                             [LEAF_7] = {7, 0},
                                             [LEAF_80000001] = {0x80000001, 0},
                                             [LEAF_D_1] = {0xd, 1},
                                             [LEAF_7_1] = {7, 1}};
    uint32_t regs[LEAVES][4] = {0};

    for (int i = 0; i < LEAVES; i++)
        if (!__get_cpuid_count(leaf[i][0], leaf[i][1], &regs[i][0], &regs[i][1], &regs[i][2], &regs[i][3]))
            memset(regs[i], 0, sizeof regs[i]);
    text_printf(out, "flags\t\t:");
    for (size_t i = 0; i < ARRAY_SIZE(g_cpu_flags); i++)
        if (regs[g_cpu_flags[i].leaf][g_cpu_flags[i].reg] >> g_cpu_flags[i].bit & 1)
            text_printf(out, " %s", g_cpu_flags[i].name);
    text_printf(out, "\n");
}

static void cpu_names(char vendor[13], char brand[49]) {
    uint32_t a, r[4];

    __get_cpuid(0, &a, &r[0], &r[2], &r[1]);
    memcpy(vendor, r, 12);
    vendor[12] = '\0';
    for (uint32_t i = 0; i < 3; i++)
        if (__get_cpuid(0x80000002 + i, &r[0], &r[1], &r[2], &r[3]))
            memcpy(brand + i * 16, r, 16);
    brand[48] = '\0';
}

static int cpuinfo_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    char vendor[13], brand[49] = "";
    uint32_t a = 0, b, c, d;
    unsigned cpus = kernel_of(n)->cpu_count;

    (void)t;
    cpu_names(vendor, brand);
    __get_cpuid(1, &a, &b, &c, &d);
    unsigned family = (a >> 8 & 15) + ((a >> 8 & 15) == 15 ? a >> 20 & 255 : 0);
    unsigned model = (a >> 4 & 15) | (a >> 12 & 0xf0);
    for (unsigned i = 0; i < cpus; i++) {
        text_printf(out,
                    "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: "
                    "%s\nstepping\t: %u\n",
                    i, vendor, family, model, brand, a & 15);
        text_printf(out,
                    "microcode\t: 0x1\ncpu MHz\t\t: 2000.000\ncache size\t: 1024 KB\nphysical id\t: "
                    "0\nsiblings\t: %u\n",
                    cpus);
        text_printf(out,
                    "core id\t\t: %u\ncpu cores\t: %u\napicid\t\t: %u\ninitial apicid\t: %u\nfpu\t\t: yes\n",
                    i, cpus, i, i);
        text_printf(out, "fpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\n");
        append_cpu_flags(out);
        text_printf(out, "bugs\t\t:\nbogomips\t: 4000.00\nclflush size\t: 64\ncache_alignment\t: 64\n");
        text_printf(out, "address sizes\t: 46 bits physical, 48 bits virtual\npower management:\n\n");
    }
    return 0;
}

enum { TICK_NS = NSEC_PER_SEC / 100 };

/* One line: user, nice, system, idle and so on, in ticks. Which cpu ran what is not known: each gets its
 * part. */
static void append_cpu(struct text *out, const char *name, int64_t user_ns, int64_t system_ns,
                       int64_t all_ns) {
    int64_t idle = MAX(all_ns - user_ns - system_ns, 0);

    text_printf(out, "%s %lld 0 %lld %lld 0 0 0 0 0 0\n", name, (long long)(user_ns / TICK_NS),
                (long long)(system_ns / TICK_NS), (long long)(idle / TICK_NS));
}

static int stat_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct kernel *k = kernel_of(n);
    int64_t up = monotonic_ns() - k->boot_time_ns, boot = realtime_ns() + k->realtime_offset_ns - up;
    struct kernel_usage u;
    char name[16];

    boot -= boot_offset(t);
    usage_of_kernel(k, &u);
    append_cpu(out, "cpu ", u.user_ns, u.system_ns, up * k->cpu_count);
    for (unsigned i = 0; i < k->cpu_count; i++) {
        snprintf(name, sizeof name, "cpu%u", i);
        append_cpu(out, name, u.user_ns / k->cpu_count, u.system_ns / k->cpu_count, up);
    }
    text_printf(
        out,
        "intr 0\nctxt %lu\nbtime %lld\nprocesses %lu\nprocs_running %u\nprocs_blocked 0\nsoftirq 0 0 0 0 0 "
        "0 0 0 0 0 0\n",
        u.switches, (long long)(boot / NSEC_PER_SEC), u.forks, MAX(u.running, 1u));
    return 0;
}

static int filesystems_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    const struct fs_type *type;
    unsigned position = 0;

    (void)n, (void)t;
    while ((type = fs_type_next(&position)))
        text_printf(out, "%s\t%s\n", type->needs_device ? "" : "nodev", type->name);
    return 0;
}

static int devices_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t;
    text_printf(out, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n");
    return 0;
}

static int swaps_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t;
    text_printf(out, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    return 0;
}

static int empty_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t, (void)out;
    return 0;
}

static int partitions_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)n, (void)t;
    text_printf(out, "major minor  #blocks  name\n\n");
    return 0;
}

static int vmstat_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    struct kernel *k = kernel_of(n);

    (void)t;
    text_printf(out,
                "nr_free_pages %llu\nnr_shmem %llu\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault "
                "0\npgmajfault 0\noom_kill 0\n",
                (unsigned long long)(k->total_memory / PAGE_SIZE),
                (unsigned long long)(memfile_allocated(k->memfile) / PAGE_SIZE));
    return 0;
}

#define TEXT_FILE(name, perm, fn)                                                                            \
    static const struct kernfs_ops name = {.mode = LINUX_S_IFREG | (perm), .show = fn}
TEXT_FILE(system_cmdline, 0444, cmdline_show);
TEXT_FILE(system_cpuinfo, 0444, cpuinfo_show);
TEXT_FILE(system_devices, 0444, devices_show);
TEXT_FILE(system_filesystems, 0444, filesystems_show);
TEXT_FILE(system_empty, 0444, empty_show);
TEXT_FILE(system_loadavg, 0444, loadavg_show);
TEXT_FILE(system_meminfo, 0444, meminfo_show);
TEXT_FILE(system_partitions, 0444, partitions_show);
TEXT_FILE(system_stat, 0444, stat_show);
TEXT_FILE(system_swaps, 0444, swaps_show);
TEXT_FILE(system_locks, 0444, locks_show);
TEXT_FILE(system_uptime, 0444, uptime_show);
TEXT_FILE(system_version, 0444, version_show);
TEXT_FILE(system_vmstat, 0444, vmstat_show);

const struct kernfs_entry proc_system_entries[] = {{"buddyinfo", &proc_buddyinfo},
                                                   {"bus", &proc_empty_dir},
                                                   {"cgroups", &proc_cgroups},
                                                   {"cmdline", &system_cmdline},
                                                   {"consoles", &proc_nothing},
                                                   {"cpuinfo", &system_cpuinfo},
                                                   {"crypto", &proc_nothing},
                                                   {"devices", &system_devices},
                                                   {"diskstats", &proc_nothing},
                                                   {"dma", &proc_dma},
                                                   {"driver", &proc_empty_dir},
                                                   {"execdomains", &proc_execdomains},
                                                   {"filesystems", &system_filesystems},
                                                   {"fs", &proc_empty_dir},
                                                   {"interrupts", &proc_interrupts},
                                                   {"iomem", &proc_nothing_private},
                                                   {"ioports", &proc_nothing_private},
                                                   {"irq", &proc_empty_dir},
                                                   {"kallsyms", &proc_nothing},
                                                   {"kmsg", &proc_kmsg},
                                                   {"loadavg", &system_loadavg},
                                                   {"locks", &system_locks},
                                                   {"meminfo", &system_meminfo},
                                                   {"misc", &proc_nothing},
                                                   {"modules", &system_empty},
                                                   {"mounts", &proc_self_mounts_link},
                                                   {"net", &proc_self_net_link},
                                                   {"pagetypeinfo", &proc_pagetypeinfo},
                                                   {"partitions", &system_partitions},
                                                   {"pressure", &proc_pressure_dir},
                                                   {"self", &proc_self_link},
                                                   {"slabinfo", &proc_slabinfo},
                                                   {"softirqs", &proc_softirqs},
                                                   {"stat", &system_stat},
                                                   {"swaps", &system_swaps},
                                                   {"sys", &proc_sys_dir},
                                                   {"sysvipc", &proc_sysvipc_dir},
                                                   {"thread-self", &proc_thread_self_link},
                                                   {"timer_list", &proc_nothing_private},
                                                   {"tty", &proc_tty_dir},
                                                   {"uptime", &system_uptime},
                                                   {"version", &system_version},
                                                   {"vmallocinfo", &proc_nothing_private},
                                                   {"vmstat", &system_vmstat},
                                                   {"zoneinfo", &proc_zoneinfo},
                                                   {NULL, NULL}};
