/* SPDX-License-Identifier: Apache-2.0
 * sentry/fs/proc/proc_sys_net.c: /proc/sys/net of the reader's network namespace. What the stack honours can
 * be set; other values that programs read are constants, read-only. Source: tcp(7), ip(7), ipv6(7), icmp(7),
 * the kernel's Documentation/networking/ip-sysctl.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/proc/proc_internal.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/net_ns.h"
#include "sentry/kernel/task.h"

enum { CAP_NET_ADMIN_NR = 12, VALUES_MAX = 3 };

enum kind { INT, UINT, U16, BOOL, WORD, CONST, PING_RANGE };

struct knob {
    const char *name;
    enum kind kind;
    size_t offset; /* in struct netns_sysctl */
    unsigned count;
    int64_t min, max;
    const char *constant;
};

#define AT(member) offsetof(struct netns_sysctl, member)
#define FLAG(file, member)                                                                                   \
    { file, BOOL, AT(member), 1, 0, 1, NULL }
#define NUMBER(file, kind, member, low, high)                                                                \
    { file, kind, AT(member), 1, low, high, NULL }
#define FIXED(file, text)                                                                                    \
    { file, CONST, 0, 1, 0, 0, text }

static const struct knob core_knobs[] = {FIXED("default_qdisc", "pfifo_fast"),
                                         FIXED("dev_weight", "64"),
                                         FIXED("netdev_max_backlog", "1000"),
                                         FIXED("optmem_max", "131072"),
                                         NUMBER("rmem_default", UINT, rmem_default, 2304, INT32_MAX),
                                         NUMBER("rmem_max", UINT, rmem_max, 2304, INT32_MAX),
                                         NUMBER("somaxconn", UINT, somaxconn, 0, INT32_MAX),
                                         NUMBER("wmem_default", UINT, wmem_default, 4608, INT32_MAX),
                                         NUMBER("wmem_max", UINT, wmem_max, 4608, INT32_MAX),
                                         {NULL}};

static const struct knob ipv4_knobs[] = {
    FLAG("icmp_echo_ignore_all", icmp_echo_ignore_all),
    FLAG("icmp_echo_ignore_broadcasts", icmp_echo_ignore_broadcasts),
    NUMBER("icmp_ratelimit", INT, icmp_ratelimit_ms, 0, INT32_MAX),
    NUMBER("ip_default_ttl", INT, ip_default_ttl, 1, 255),
    FLAG("ip_forward", ip_forward),
    {"ip_local_port_range", U16, AT(port_min), 2, 1, 65535, NULL},
    FIXED("ip_local_reserved_ports", ""),
    FIXED("ip_nonlocal_bind", "0"),
    NUMBER("ip_unprivileged_port_start", U16, unprivileged_port_start, 0, 65535),
    NUMBER("ipfrag_high_thresh", UINT, ipfrag_high_thresh, 0, INT32_MAX),
    NUMBER("ipfrag_time", INT, ipfrag_time_s, 0, INT32_MAX),
    {"ping_group_range", PING_RANGE, 0, 2, 0, INT32_MAX, NULL},
    FLAG("tcp_abort_on_overflow", tcp_abort_on_overflow),
    FIXED("tcp_allowed_congestion_control", "reno cubic"),
    FIXED("tcp_available_congestion_control", "reno cubic"),
    NUMBER("tcp_challenge_ack_limit", UINT, tcp_challenge_ack_limit, 0, INT32_MAX),
    {"tcp_congestion_control", WORD, AT(tcp_congestion_control), 1, 0, 16, NULL},
    FLAG("tcp_dsack", tcp_dsack),
    NUMBER("tcp_ecn", INT, tcp_ecn, 0, 2),
    NUMBER("tcp_fastopen", INT, tcp_fastopen, 0, INT32_MAX),
    NUMBER("tcp_fin_timeout", INT, tcp_fin_timeout_s, 0, 86400),
    NUMBER("tcp_keepalive_intvl", INT, tcp_keepalive_intvl_s, 1, 32767),
    NUMBER("tcp_keepalive_probes", INT, tcp_keepalive_probes, 1, 127),
    NUMBER("tcp_keepalive_time", INT, tcp_keepalive_time_s, 1, 32767),
    NUMBER("tcp_max_orphans", UINT, tcp_max_orphans, 0, INT32_MAX),
    NUMBER("tcp_max_syn_backlog", UINT, tcp_max_syn_backlog, 0, INT32_MAX),
    NUMBER("tcp_max_tw_buckets", UINT, tcp_max_tw_buckets, 0, INT32_MAX),
    FIXED("tcp_mem", "188319\t251094\t376638"),
    FLAG("tcp_moderate_rcvbuf", tcp_moderate_rcvbuf),
    FLAG("tcp_mtu_probing", tcp_mtu_probing),
    FLAG("tcp_no_metrics_save", tcp_no_metrics_save),
    NUMBER("tcp_orphan_retries", INT, tcp_orphan_retries, 0, 255),
    FLAG("tcp_rfc1337", tcp_rfc1337),
    {"tcp_rmem", UINT, AT(tcp_rmem), 3, 1, 1 << 30, NULL},
    NUMBER("tcp_retries1", INT, tcp_retries1, 0, 255),
    NUMBER("tcp_retries2", INT, tcp_retries2, 0, 255),
    FLAG("tcp_sack", tcp_sack),
    FLAG("tcp_slow_start_after_idle", tcp_slow_start_after_idle),
    NUMBER("tcp_syn_retries", INT, tcp_syn_retries, 1, 127),
    NUMBER("tcp_synack_retries", INT, tcp_synack_retries, 0, 127),
    FLAG("tcp_syncookies", tcp_syncookies),
    FLAG("tcp_timestamps", tcp_timestamps),
    FLAG("tcp_tw_reuse", tcp_tw_reuse),
    FLAG("tcp_window_scaling", tcp_window_scaling),
    {"tcp_wmem", UINT, AT(tcp_wmem), 3, 1, 1 << 30, NULL},
    FIXED("udp_mem", "376638\t502188\t753276"),
    FIXED("udp_rmem_min", "4096"),
    FIXED("udp_wmem_min", "4096"),
    {NULL}};

static const struct knob ipv4_conf_knobs[] = {
    FIXED("accept_local", "0"),     FIXED("accept_redirects", "0"), FIXED("accept_source_route", "0"),
    FIXED("arp_announce", "0"),     FIXED("arp_filter", "0"),       FIXED("arp_ignore", "0"),
    FLAG("forwarding", ip_forward), FIXED("log_martians", "0"),     FIXED("proxy_arp", "0"),
    FIXED("route_localnet", "0"),   FIXED("rp_filter", "0"),        FIXED("secure_redirects", "1"),
    FIXED("send_redirects", "1"),   FIXED("src_valid_mark", "0"),   {NULL}};

static const struct knob ipv6_knobs[] = {FIXED("bindv6only", "0"), FIXED("ip_nonlocal_bind", "0"), {NULL}};
static const struct knob ipv6_conf_knobs[] = {FIXED("accept_dad", "1"),
                                              FIXED("accept_ra", "1"),
                                              FIXED("accept_redirects", "0"),
                                              FIXED("addr_gen_mode", "0"),
                                              FIXED("autoconf", "1"),
                                              FIXED("disable_ipv6", "0"),
                                              FLAG("forwarding", ip6_forwarding),
                                              NUMBER("hop_limit", INT, ip6_hop_limit, 1, 255),
                                              FIXED("use_tempaddr", "0"),
                                              {NULL}};
static const struct knob unix_knobs[] = {FIXED("max_dgram_qlen", "10"), {NULL}};

/* ---- one value ---- */

static int64_t value_at(const struct netns_sysctl *k, const struct knob *knob, unsigned i) {
    const unsigned char *at = (const unsigned char *)k + knob->offset;

    switch (knob->kind) {
    case BOOL:
        return *(const bool *)at;
    case U16:
        return ((const uint16_t *)at)[i];
    case UINT:
        return ((const uint32_t *)at)[i];
    default:
        return ((const int *)at)[i];
    }
}

static void set_value_at(struct netns_sysctl *k, const struct knob *knob, unsigned i, int64_t v) {
    unsigned char *at = (unsigned char *)k + knob->offset;

    switch (knob->kind) {
    case BOOL:
        *(bool *)at = v != 0;
        break;
    case U16:
        ((uint16_t *)at)[i] = (uint16_t)v;
        break;
    case UINT:
        ((uint32_t *)at)[i] = (uint32_t)v;
        break;
    default:
        ((int *)at)[i] = (int)v;
        break;
    }
}

static int knob_show(struct kernfs_inode *n, struct task *t, struct text *out) {
    const struct knob *knob = (const struct knob *)(uintptr_t)n->number;
    struct netns_sysctl k;

    if (!t)
        return -ESRCH;
    struct net_namespace *net = task_net_namespace(t);
    netns_sysctl_get(net->netns, &k);
    if (knob->kind == CONST)
        text_printf(out, "%s\n", knob->constant);
    else if (knob->kind == WORD)
        text_printf(out, "%.16s\n", (const char *)&k + knob->offset);
    else if (knob->kind == PING_RANGE)
        text_printf(out, "%u\t%u\n", atomic_load(&net->ping_low), atomic_load(&net->ping_high));
    else
        for (unsigned i = 0; i < knob->count; i++)
            text_printf(out, "%ld%c", (long)value_at(&k, knob, i), i + 1 < knob->count ? '\t' : '\n');
    return 0;
}

/* As many numbers as there are, or as the write has: those behind keep their values. */
static int parse(const struct knob *knob, const char *data, int64_t values[VALUES_MAX], unsigned *ret_count) {
    unsigned count = 0;

    while (count < knob->count) {
        char *end;
        data += strspn(data, " \t\n");
        if (!*data)
            break;
        errno = 0;
        values[count] = strtoll(data, &end, 0);
        if (end == data || errno || (*end && !strchr(" \t\n", *end)) || values[count] < knob->min ||
            values[count] > knob->max)
            return -EINVAL;
        data = end;
        count++;
    }
    *ret_count = count;
    return count > 0 ? 0 : -EINVAL;
}

static int store_word(struct net_namespace *net, const struct knob *knob, const char *data) {
    struct netns_sysctl k;
    size_t len = strcspn(data, " \t\n");

    if (len == 0 || len >= (size_t)knob->max)
        return -EINVAL;
    if (!(len == 4 && memcmp(data, "reno", 4) == 0) && !(len == 5 && memcmp(data, "cubic", 5) == 0))
        return -ENOENT;
    netns_sysctl_get(net->netns, &k);
    char *to = (char *)&k + knob->offset;
    memset(to, 0, (size_t)knob->max);
    memcpy(to, data, len);
    return netns_sysctl_set(net->netns, &k);
}

static int store_numbers(struct net_namespace *net, const struct knob *knob, const char *data) {
    int64_t values[VALUES_MAX];
    struct netns_sysctl k;
    unsigned count;
    int r = parse(knob, data, values, &count);

    if (r < 0)
        return r;
    if (knob->kind == PING_RANGE) {
        if (count != 2)
            return -EINVAL;
        bool none = values[0] > values[1];
        atomic_store(&net->ping_low, none ? 1 : (uint32_t)values[0]);
        atomic_store(&net->ping_high, none ? 0 : (uint32_t)values[1]);
        return 0;
    }
    netns_sysctl_get(net->netns, &k);
    for (unsigned i = 0; i < count; i++)
        set_value_at(&k, knob, i, values[i]);
    return netns_sysctl_set(net->netns, &k);
}

static ssize_t knob_store(struct kernfs_inode *n, struct task *t, const char *data, size_t len) {
    const struct knob *knob = (const struct knob *)(uintptr_t)n->number;

    if (!t)
        return -ESRCH;
    struct net_namespace *net = task_net_namespace(t);
    if (!creds_has_cap_in(task_creds(t), net->user_ns, CAP_NET_ADMIN_NR))
        return -EPERM;
    int r = knob->kind == WORD ? store_word(net, knob, data) : store_numbers(net, knob, data);
    return r < 0 ? r : (ssize_t)len;
}

static const struct kernfs_ops knob_file = {
    .mode = LINUX_S_IFREG | 0644, .show = knob_show, .store = knob_store};
static const struct kernfs_ops constant_file = {.mode = LINUX_S_IFREG | 0444, .show = knob_show};

/* ---- directories ---- */

static int find(struct kernfs_inode *dir, const struct knob *knobs, const char *name, size_t len,
                struct inode **ret) {
    for (const struct knob *k = knobs; k->name; k++) {
        if (strlen(k->name) == len && memcmp(k->name, name, len) == 0)
            return kernfs_new(dir->inode.fs, k->kind == CONST ? &constant_file : &knob_file,
                              kernfs_child_ino(dir->inode.ino, name, len), 0, 0, NULL, NULL,
                              (uint64_t)(uintptr_t)k, ret);
    }
    return -ENOENT;
}

static int list(struct kernfs_inode *dir, const struct knob *knobs, uint64_t from, struct dir_emit *e) {
    uint64_t at = 0;

    for (const struct knob *k = knobs; k->name; k++, at++) {
        size_t len = strlen(k->name);
        if (at >= from &&
            e->emit(e, k->name, len, kernfs_child_ino(dir->inode.ino, k->name, len), LINUX_DT_REG, at + 1))
            break;
    }
    return 0;
}

#define KNOB_DIRECTORY(tag, knobs, ...)                                                                      \
    static int tag##_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {    \
        return find(dir, knobs, name, len, ret);                                                             \
    }                                                                                                        \
    static int tag##_list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {                     \
        return list(dir, knobs, from, e);                                                                    \
    }                                                                                                        \
    static const struct kernfs_entry tag##_entries[] = {__VA_ARGS__{NULL, NULL}};                            \
    static const struct kernfs_ops tag = {                                                                   \
        .mode = LINUX_S_IFDIR | 0555, .entries = tag##_entries, .lookup = tag##_lookup, .list = tag##_list}

KNOB_DIRECTORY(ipv4_conf_one, ipv4_conf_knobs, );
KNOB_DIRECTORY(ipv6_conf_one, ipv6_conf_knobs, );

/* conf/: "all", "default" and the interfaces, which share the namespace's values. */
static int conf_lookup(struct kernfs_inode *dir, const struct kernfs_ops *one, const char *name, size_t len,
                       struct inode **ret) {
    struct kernel *k = dir->inode.fs->kernel;
    char text[NS_IFNAMSIZ] = "";

    if (len >= sizeof text)
        return -ENOENT;
    memcpy(text, name, len);
    network_config_lock(k);
    bool there = nic_by_name(net_namespace_initial(k)->netns, text) != NULL;
    network_config_unlock(k);
    if (!there && strcmp(text, "all") != 0 && strcmp(text, "default") != 0)
        return -ENOENT;
    return kernfs_new(dir->inode.fs, one, kernfs_child_ino(dir->inode.ino, name, len), 0, 0, NULL, NULL, 0,
                      ret);
}

static int conf_list(struct kernfs_inode *dir, uint64_t from, struct dir_emit *e) {
    static const char *const fixed[] = {"all", "default"};
    struct kernel *k = dir->inode.fs->kernel;
    struct nic_info info;

    for (; from < ARRAY_SIZE(fixed); from++) {
        size_t len = strlen(fixed[from]);
        if (e->emit(e, fixed[from], len, kernfs_child_ino(dir->inode.ino, fixed[from], len), LINUX_DT_DIR,
                    from + 1))
            return 0;
    }
    for (;;) {
        network_config_lock(k);
        struct nic *nic = nic_next(net_namespace_initial(k)->netns, (uint32_t)(from - ARRAY_SIZE(fixed)));
        if (nic)
            nic_info(nic, &info);
        network_config_unlock(k);
        if (!nic)
            return 0;
        from = ARRAY_SIZE(fixed) + info.ifindex;
        size_t len = strlen(info.name);
        if (e->emit(e, info.name, len, kernfs_child_ino(dir->inode.ino, info.name, len), LINUX_DT_DIR, from))
            return 0;
    }
}

static int conf4_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    return conf_lookup(dir, &ipv4_conf_one, name, len, ret);
}

static int conf6_lookup(struct kernfs_inode *dir, const char *name, size_t len, struct inode **ret) {
    return conf_lookup(dir, &ipv6_conf_one, name, len, ret);
}

static const struct kernfs_ops ipv4_conf = {
    .mode = LINUX_S_IFDIR | 0555, .lookup = conf4_lookup, .list = conf_list};
static const struct kernfs_ops ipv6_conf = {
    .mode = LINUX_S_IFDIR | 0555, .lookup = conf6_lookup, .list = conf_list};
KNOB_DIRECTORY(core_dir, core_knobs, );
KNOB_DIRECTORY(ipv4_dir, ipv4_knobs, {"conf", &ipv4_conf}, );
KNOB_DIRECTORY(ipv6_dir, ipv6_knobs, {"conf", &ipv6_conf}, );
KNOB_DIRECTORY(unix_dir, unix_knobs, );

static const struct kernfs_entry entries[] = {
    {"core", &core_dir}, {"ipv4", &ipv4_dir}, {"ipv6", &ipv6_dir}, {"unix", &unix_dir}, {NULL, NULL}};
const struct kernfs_ops proc_sys_net_dir = {.mode = LINUX_S_IFDIR | 0555, .entries = entries};
