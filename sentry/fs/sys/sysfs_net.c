/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/sys/sysfs_net.c: /sys/class/net: the interfaces of the sandbox's first network namespace, each a
 * directory (Linux has links into /sys/devices). Source: sysfs(5), the kernel's
 * Documentation/ABI/testing/sysfs-class-net.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/sys/sysfs_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/net_ns.h"

static int info_of(const struct kernfs_inode *n, struct nic_info *ret) {
    struct kernel *k = n->inode.fs->kernel;

    network_config_lock(k);
    struct nic *nic = nic_by_index(net_namespace_initial(k)->netns, (uint32_t)n->number);
    if (nic)
        nic_info(nic, ret);
    network_config_unlock(k);
    return nic ? 0 : -ENODEV;
}

static void inherit(struct kernfs_inode *n, const struct kernfs_inode *dir) {
    n->number = dir->number;
}

static const char *operstate(const struct nic_info *i) {
    return i->flags & NS_IFF_LOOPBACK ? "unknown" : i->flags & NS_IFF_UP ? "up" : "down";
}

#define NET_FILE(name, ...)                                                                                  \
    static int name##_show(struct kernfs_inode *n, struct task *t, struct text *out) {                       \
        struct nic_info i;                                                                                   \
        int r = info_of(n, &i);                                                                              \
        (void)t;                                                                                             \
        if (r == 0)                                                                                          \
            text_printf(out, __VA_ARGS__);                                                                   \
        return r;                                                                                            \
    }                                                                                                        \
    static const struct kernfs_ops name = {                                                                  \
        .mode = LINUX_S_IFREG | 0444, .show = name##_show, .inherit = inherit}
NET_FILE(addr_assign_type, "%d\n", i.kind[0] ? 1 : 0);
NET_FILE(addr_len, "6\n");
NET_FILE(address, "%02x:%02x:%02x:%02x:%02x:%02x\n", i.mac.b[0], i.mac.b[1], i.mac.b[2], i.mac.b[3],
         i.mac.b[4], i.mac.b[5]);
NET_FILE(broadcast, "%s\n", i.flags &NS_IFF_LOOPBACK ? "00:00:00:00:00:00" : "ff:ff:ff:ff:ff:ff");
NET_FILE(carrier, "%d\n", i.flags &NS_IFF_LOWER_UP ? 1 : 0);
NET_FILE(flags, "0x%x\n", i.flags & 0xffff & ~(unsigned)NS_IFF_RUNNING);
NET_FILE(ifindex, "%u\n", i.ifindex);
NET_FILE(iflink, "%u\n", i.peer_ifindex ? i.peer_ifindex : i.ifindex);
NET_FILE(mtu, "%u\n", i.mtu);
NET_FILE(state, "%s\n", operstate(&i));
NET_FILE(txqlen, "%u\n", i.txqlen);
NET_FILE(type, "%u\n", i.arphrd);
NET_FILE(uevent, "INTERFACE=%s\nIFINDEX=%u\n", i.name, i.ifindex);
NET_FILE(rx_bytes, "%lu\n", i.stats.rx_bytes);
NET_FILE(rx_packets, "%lu\n", i.stats.rx_packets);
NET_FILE(rx_errors, "%lu\n", i.stats.rx_errors);
NET_FILE(rx_dropped, "%lu\n", i.stats.rx_dropped);
NET_FILE(tx_bytes, "%lu\n", i.stats.tx_bytes);
NET_FILE(tx_packets, "%lu\n", i.stats.tx_packets);
NET_FILE(tx_errors, "%lu\n", i.stats.tx_errors);
NET_FILE(tx_dropped, "%lu\n", i.stats.tx_dropped);

static const struct kernfs_entry statistics_entries[] = {
    {"rx_bytes", &rx_bytes},     {"rx_dropped", &rx_dropped}, {"rx_errors", &rx_errors},
    {"rx_packets", &rx_packets}, {"tx_bytes", &tx_bytes},     {"tx_dropped", &tx_dropped},
    {"tx_errors", &tx_errors},   {"tx_packets", &tx_packets}, {NULL, NULL}};
static const struct kernfs_ops statistics = {
    .mode = LINUX_S_IFDIR | 0755, .entries = statistics_entries, .inherit = inherit};
static const struct kernfs_entry interface_entries[] = {{"addr_assign_type", &addr_assign_type},
                                                        {"addr_len", &addr_len},
                                                        {"address", &address},
                                                        {"broadcast", &broadcast},
                                                        {"carrier", &carrier},
                                                        {"flags", &flags},
                                                        {"ifindex", &ifindex},
                                                        {"iflink", &iflink},
                                                        {"mtu", &mtu},
                                                        {"operstate", &state},
                                                        {"statistics", &statistics},
                                                        {"tx_queue_len", &txqlen},
                                                        {"type", &type},
                                                        {"uevent", &uevent},
                                                        {NULL, NULL}};
static const struct kernfs_ops interface_dir = {.mode = LINUX_S_IFDIR | 0755, .entries = interface_entries};

static int lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    struct kernel *k = dir->inode.fs->kernel;
    char text[NS_IFNAMSIZ] = "";
    struct nic_info i = {0};

    if (len >= sizeof text)
        return -ENOENT;
    memcpy(text, name, len);
    network_config_lock(k);
    struct nic *nic = nic_by_name(net_namespace_initial(k)->netns, text);
    if (nic)
        nic_info(nic, &i);
    network_config_unlock(k);
    if (!nic)
        return -ENOENT;
    return kernfs_new(dir->inode.fs, &interface_dir, kernfs_child_ino(dir->inode.ino, name, len), 0, 0, NULL,
                      NULL, i.ifindex, ret);
}

static int list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {
    struct kernel *k = dir->inode.fs->kernel;
    struct nic_info i;

    for (;; from = i.ifindex) {
        network_config_lock(k);
        struct nic *nic = nic_next(net_namespace_initial(k)->netns, (uint32_t)from);
        if (nic)
            nic_info(nic, &i);
        network_config_unlock(k);
        size_t len = nic ? strlen(i.name) : 0;
        if (!nic ||
            e->emit(e, i.name, len, kernfs_child_ino(dir->inode.ino, i.name, len), LINUX_DT_DIR, i.ifindex))
            return 0;
    }
}

const struct kernfs_ops sysfs_net_dir = {.mode = LINUX_S_IFDIR | 0755, .lookup = lookup, .list = list};
