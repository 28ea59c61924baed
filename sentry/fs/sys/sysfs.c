/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/sys/sysfs.c: what programs read of /sys: cpus, NUMA nodes, memory settings, empty classes.
 * Source: sysfs(5), Documentation/ABI. There are no devices but network interfaces
 * (sysfs_net.c): other classes and buses are empty directories. cgroup comes with its own issue.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/sys/sysfs_internal.h"
#include "sentry/kernel/kernel.h"

enum { SYSFS_MAGIC = 0x62656572 };

#define TEXT_FILE(name, ...)                                                                                 \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        (void)n, (void)t;                                                                                    \
        text_printf(out, __VA_ARGS__);                                                                       \
        return 0;                                                                                            \
    }                                                                                                        \
    static const struct kernfs_ops name = {.mode = LINUX_S_IFREG | 0444, .show = name##_show}
#define DIRECTORY(name, ...)                                                                                 \
    static const struct kernfs_entry name##_entries[] = {__VA_ARGS__{NULL, NULL}};                           \
    static const struct kernfs_ops name = {.mode = LINUX_S_IFDIR | 0755, .entries = name##_entries}

static void append_range(unsigned count, struct text *out) {
    text_printf(out, count > 1 ? "0-%u\n" : "%u\n", count - 1);
}

static int cpu_range_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    append_range(n->inode.fs->kernel->cpu_count, out);
    return 0;
}
static const struct kernfs_ops cpu_range = {.mode = LINUX_S_IFREG | 0444, .show = cpu_range_show};

/* ---- cpuN ---- */

static void inherit_number(struct kernfs_inode *n, const struct kernfs_inode *dir) {
    n->number = dir->number;
}

static int core_id_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    (void)t;
    text_printf(out, "%llu\n", (unsigned long long)n->number);
    return 0;
}
static const struct kernfs_ops core_id = {
    .mode = LINUX_S_IFREG | 0444, .show = core_id_show, .inherit = inherit_number};
TEXT_FILE(package_id, "0\n");
TEXT_FILE(one, "1\n");
static const struct kernfs_entry topology_entries[] = {{"core_id", &core_id},
                                                       {"core_siblings_list", &cpu_range},
                                                       {"physical_package_id", &package_id},
                                                       {"thread_siblings_list", &core_id},
                                                       {NULL, NULL}};
static const struct kernfs_ops topology = {
    .mode = LINUX_S_IFDIR | 0755, .entries = topology_entries, .inherit = inherit_number};
static const struct kernfs_entry cpu_entries[] = {{"online", &one}, {"topology", &topology}, {NULL, NULL}};
static const struct kernfs_ops cpu_dir = {.mode = LINUX_S_IFDIR | 0755, .entries = cpu_entries};

static int cpus_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    unsigned count = dir->inode.fs->kernel->cpu_count;

    for (unsigned i = 0; i < count; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "cpu%u", i);
        if ((size_t)n == len && memcmp(text, name, len) == 0)
            return kernfs_new(dir->inode.fs, &cpu_dir, kernfs_child_ino(dir->inode.ino, name, len), 0, 0,
                              NULL, NULL, i, ret);
    }
    return -ENOENT;
}

static int cpus_list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {
    for (uint64_t i = from; i < dir->inode.fs->kernel->cpu_count; i++) {
        char text[16];
        int len = snprintf(text, sizeof text, "cpu%u", (unsigned)i);
        if (e->emit(e, text, (size_t)len, kernfs_child_ino(dir->inode.ino, text, (size_t)len), LINUX_DT_DIR,
                    i + 1))
            break;
    }
    return 0;
}

TEXT_FILE(empty_list, "\n");
TEXT_FILE(kernel_max, "8191\n");
static const struct kernfs_entry cpus_entries[] = {{"isolated", &empty_list},
                                                   {"kernel_max", &kernel_max},
                                                   {"offline", &empty_list},
                                                   {"online", &cpu_range},
                                                   {"possible", &cpu_range},
                                                   {"present", &cpu_range},
                                                   {NULL, NULL}};
static const struct kernfs_ops cpus = {
    .mode = LINUX_S_IFDIR | 0755, .entries = cpus_entries, .lookup = cpus_lookup, .list = cpus_list};

/* ---- nodes ---- */

static int node_meminfo_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    unsigned long long total = n->inode.fs->kernel->total_memory / 1024;

    (void)t;
    text_printf(
        out,
        "Node 0 MemTotal:       %8llu kB\nNode 0 MemFree:        %8llu kB\nNode 0 MemUsed:        %8llu kB\n",
        total, total, 0ull);
    return 0;
}
static const struct kernfs_ops node_meminfo = {.mode = LINUX_S_IFREG | 0444, .show = node_meminfo_show};
TEXT_FILE(zero_range, "0\n");
TEXT_FILE(distance, "10\n");
DIRECTORY(node0, {"cpulist", &cpu_range}, {"distance", &distance}, {"meminfo", &node_meminfo}, );
DIRECTORY(nodes, {"has_cpu", &zero_range}, {"has_memory", &zero_range}, {"node0", &node0},
          {"online", &zero_range}, {"possible", &zero_range}, );

/* ---- the tree ---- */

TEXT_FILE(thp_enabled, "always [madvise] never\n");
TEXT_FILE(thp_defrag, "always defer defer+madvise [madvise] never\n");
TEXT_FILE(thp_shmem, "always within_size advise [never] deny force\n");
TEXT_FILE(thp_size, "2097152\n");
DIRECTORY(thp, {"defrag", &thp_defrag}, {"enabled", &thp_enabled}, {"hpage_pmd_size", &thp_size},
          {"shmem_enabled", &thp_shmem}, );
DIRECTORY(empty_dir, );
DIRECTORY(kernel_mm, {"hugepages", &empty_dir}, {"transparent_hugepage", &thp}, );
DIRECTORY(kernel_dir, {"mm", &kernel_mm}, {"security", &empty_dir}, );
DIRECTORY(devices_system, {"cpu", &cpus}, {"node", &nodes}, );
DIRECTORY(devices, {"system", &devices_system}, {"virtual", &empty_dir}, );
DIRECTORY(fs_dir, {"cgroup", &empty_dir}, );
DIRECTORY(class_dir, {"net", &sysfs_net_dir}, {"power_supply", &empty_dir}, {"tty", &empty_dir}, );
DIRECTORY(root, {"block", &empty_dir}, {"bus", &empty_dir}, {"class", &class_dir}, {"dev", &empty_dir},
          {"devices", &devices}, {"firmware", &empty_dir}, {"fs", &fs_dir}, {"kernel", &kernel_dir},
          {"module", &empty_dir}, {"power", &empty_dir}, );

static int sysfs_mount(struct kernel *k, const struct fs_type *type, const struct mount_options *o,
                       struct filesystem **ret) {
    struct kernfs_mount_request request = {.type = type, .root = &root, .magic = SYSFS_MAGIC};

    (void)o;
    return kernfs_mount(k, &request, ret);
}

static const struct fs_type g_sysfs_type = {.name = "sysfs", .user_mountable = true, .mount = sysfs_mount};

__attribute__((constructor)) static void register_sysfs(void) {
    fs_type_register(&g_sysfs_type);
}
