/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/netfilter.c: iptables' own calls and nf_tables' messages, in a network namespace of their
 * own, so as root. Source: iptables(8), nft(8).
 */
#include "conform.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netlink.h>

static void own_namespace(void) {
    struct ifreq q = {.ifr_name = "lo"};

    if (!is_root())
        check_skip("packet rules are root's");
    OK(unshare(CLONE_NEWNET));
    int u = OK(socket(AF_INET, SOCK_DGRAM, 0));
    q.ifr_flags = IFF_UP;
    OK(ioctl(u, SIOCSIFFLAGS, &q));
    close(u);
}

static struct ipt_getinfo info_of(int fd, const char *table) {
    struct ipt_getinfo i = {0};
    socklen_t len = sizeof i;
    strcpy(i.name, table);
    OK(getsockopt(fd, SOL_IP, IPT_SO_GET_INFO, &i, &len));
    return i;
}

CHECK(legacy_info) {
    static const char *const tables[] = {"filter", "nat", "mangle", "raw"};
    own_namespace();
    int fd = OK(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));

    for (unsigned k = 0; k < sizeof tables / sizeof *tables; k++) {
        struct ipt_getinfo i = info_of(fd, tables[k]);
        printf("%s: hooks %x, %u entries, %u bytes:", i.name, i.valid_hooks, i.num_entries, i.size);
        for (int h = 0; h < 5; h++)
            if (i.valid_hooks & 1u << h)
                printf(" %u-%u", i.hook_entry[h], i.underflow[h]);
        printf("\n");
    }
}

CHECK(legacy_errors) {
    own_namespace();
    int fd = OK(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
    struct ipt_getinfo i = {.name = "nonsense"};
    struct ipt_get_entries g = {.name = "filter"};
    struct ipt_replace r = {.name = "filter"};
    socklen_t len = sizeof i;

    ERR(getsockopt(fd, SOL_IP, IPT_SO_GET_INFO, &i, &len), ENOENT);
    len = sizeof i - 1;
    ERR(getsockopt(fd, SOL_IP, IPT_SO_GET_INFO, &i, &len), EINVAL);
    len = sizeof g;
    ERR(getsockopt(fd, SOL_IP, IPT_SO_GET_ENTRIES, &g, &len), EAGAIN);
    g.size = 100;
    ERR(getsockopt(fd, SOL_IP, IPT_SO_GET_ENTRIES, &g, &len), EINVAL);
    ERR(setsockopt(fd, SOL_IP, IPT_SO_SET_REPLACE, &r, sizeof r - 1), EINVAL);
    ERR(setsockopt(fd, SOL_IP, IPT_SO_SET_REPLACE, &r, sizeof r), EINVAL);
    r.num_counters = 4;
    ERR(setsockopt(fd, SOL_IP, IPT_SO_SET_REPLACE, &r, sizeof r), EINVAL);
}

CHECK(legacy_revisions) {
    static const struct {
        const char *name;
        int option;
        uint8_t revision;
    } ask[] = {{"tcp", IPT_SO_GET_REVISION_MATCH, 0},       {"conntrack", IPT_SO_GET_REVISION_MATCH, 3},
               {"conntrack", IPT_SO_GET_REVISION_MATCH, 9}, {"addrtype", IPT_SO_GET_REVISION_MATCH, 1},
               {"nonsense", IPT_SO_GET_REVISION_MATCH, 0},  {"MASQUERADE", IPT_SO_GET_REVISION_TARGET, 0},
               {"MARK", IPT_SO_GET_REVISION_TARGET, 2},     {"DNAT", IPT_SO_GET_REVISION_TARGET, 2}};
    own_namespace();
    int fd = OK(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));

    for (unsigned k = 0; k < sizeof ask / sizeof *ask; k++) {
        struct xt_get_revision rev = {.revision = ask[k].revision};
        socklen_t len = sizeof rev;
        strcpy(rev.name, ask[k].name);
        int r = getsockopt(fd, SOL_IP, ask[k].option, &rev, &len);
        printf("%s %d: %d %s\n", ask[k].name, ask[k].revision, r, r < 0 ? strerrorname_np(errno) : "");
    }
}

/* The table as it is, with another policy for OUTPUT: what is dropped is told to the sender. */
CHECK(legacy_policy) {
    struct {
        struct ipt_get_entries g;
        char bytes[4096];
    } get = {.g.name = "filter"};
    struct {
        struct ipt_replace r;
        char bytes[4096];
    } put = {.r.name = "filter"};
    struct xt_counters counters[16];
    own_namespace();
    int fd = OK(socket(AF_INET, SOCK_RAW, IPPROTO_RAW)), u = OK(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(9999), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct ipt_getinfo i = info_of(fd, "filter");
    socklen_t len = sizeof get.g + i.size;

    get.g.size = i.size;
    OK(getsockopt(fd, SOL_IP, IPT_SO_GET_ENTRIES, &get, &len));
    put.r.valid_hooks = i.valid_hooks;
    put.r.num_entries = i.num_entries;
    put.r.size = i.size;
    memcpy(put.r.hook_entry, i.hook_entry, sizeof i.hook_entry);
    memcpy(put.r.underflow, i.underflow, sizeof i.underflow);
    put.r.counters = counters;
    memcpy(put.r.entries, get.g.entrytable, i.size);
    put.r.num_counters = i.num_entries + 1;
    ERR(setsockopt(fd, SOL_IP, IPT_SO_SET_REPLACE, &put, sizeof put.r + i.size), EAGAIN);
    put.r.num_counters = i.num_entries;
    struct ipt_entry *e = (void *)((char *)put.r.entries + i.underflow[NF_INET_LOCAL_OUT]);
    struct xt_standard_target *t = (void *)ipt_get_target(e);
    t->verdict = -7;
    ERR(setsockopt(fd, SOL_IP, IPT_SO_SET_REPLACE, &put, sizeof put.r + i.size), EINVAL);
    t->verdict = 1;
    ERR(setsockopt(fd, SOL_IP, IPT_SO_SET_REPLACE, &put, sizeof put.r + i.size), EINVAL);
    t->verdict = -NF_DROP - 1;
    EQ(sendto(u, "x", 1, 0, (void *)&a, sizeof a), 1);
    OK(setsockopt(fd, SOL_IP, IPT_SO_SET_REPLACE, &put, sizeof put.r + i.size));
    ERR(sendto(u, "x", 1, 0, (void *)&a, sizeof a), EPERM);
    OK(getsockopt(fd, SOL_IP, IPT_SO_GET_ENTRIES, &get, &len));
    e = (void *)((char *)get.g.entrytable + i.underflow[NF_INET_LOCAL_OUT]);
    printf("dropped %d packets, %d bytes\n", (int)e->counters.pcnt, (int)e->counters.bcnt);
}

CHECK(without_capability) {
    own_namespace();
    int fd = OK(socket(AF_INET, SOCK_RAW, IPPROTO_RAW)),
        n = OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
    struct ipt_getinfo i = {.name = "filter"};
    socklen_t len = sizeof i;
    struct {
        struct nlmsghdr h;
        struct nfgenmsg g;
    } m = {{sizeof m, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, NLM_F_REQUEST, 1, 0}, {0}};
    char b[1024];

    OK(setresuid(1000, 1000, 1000));
    ERR(getsockopt(fd, SOL_IP, IPT_SO_GET_INFO, &i, &len), EPERM);
    ERR(setsockopt(fd, SOL_IP, IPT_SO_SET_REPLACE, &i, sizeof i), EPERM);
    EQ(send(n, &m, sizeof m, 0), (int)sizeof m);
    OK(recv(n, b, sizeof b, MSG_DONTWAIT));
    struct nlmsghdr *h = (void *)b;
    printf("type %d, error %d\n", h->nlmsg_type, ((struct nlmsgerr *)NLMSG_DATA(h))->error);
}

/* ---- nf_tables ---- */

static char out[8192];
static size_t out_len;

static void put_message(unsigned type, unsigned flags, unsigned seq, unsigned family, unsigned resource) {
    struct nlmsghdr h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg)),
                         .nlmsg_type = (uint16_t)type,
                         .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
                         .nlmsg_seq = seq};
    struct nfgenmsg g = {.nfgen_family = (uint8_t)family, .res_id = htons((uint16_t)resource)};
    memcpy(out + out_len, &h, sizeof h);
    memcpy(out + out_len + sizeof h, &g, sizeof g);
    out_len += h.nlmsg_len;
}

/* Adds to the message that begins at `at`. */
static void put_attribute(size_t at, unsigned type, const void *data, size_t len) {
    struct nlattr a = {.nla_len = (uint16_t)(sizeof a + len), .nla_type = (uint16_t)type};
    struct nlmsghdr *h = (void *)(out + at);
    memset(out + out_len, 0, NLA_ALIGN(sizeof a + len));
    memcpy(out + out_len, &a, sizeof a);
    memcpy(out + out_len + sizeof a, data, len);
    out_len += NLA_ALIGN(sizeof a + len);
    h->nlmsg_len = (uint32_t)(out_len - at);
}

static void put_named(unsigned msg, unsigned flags, unsigned seq, const char *table, const char *chain) {
    size_t at = out_len;
    put_message(NFNL_SUBSYS_NFTABLES << 8 | msg, flags, seq, NFPROTO_IPV4, 0);
    put_attribute(at, NFTA_CHAIN_TABLE, table, strlen(table) + 1); /* NFTA_TABLE_NAME is 1, too */
    if (chain)
        put_attribute(at, NFTA_CHAIN_NAME, chain, strlen(chain) + 1);
}

static void batch(unsigned type, unsigned seq) {
    put_message(type, 0, seq, 0, NFNL_SUBSYS_NFTABLES);
}

/* Sends what was put, and shows the answers. */
static void talk(int fd) {
    char b[8192];
    EQ(send(fd, out, out_len, 0), (int)out_len);
    out_len = 0;
    for (;;) {
        ssize_t n = recv(fd, b, sizeof b, MSG_DONTWAIT);
        if (n < 0)
            break;
        for (struct nlmsghdr *h = (void *)b; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_ERROR)
                printf(" %u: error %d\n", h->nlmsg_seq, ((struct nlmsgerr *)NLMSG_DATA(h))->error);
            else
                printf(" %u: type %x, flags %x\n", h->nlmsg_seq, h->nlmsg_type, h->nlmsg_flags);
        }
    }
    printf(".\n");
}

CHECK(tables_in_batches) {
    own_namespace();
    int fd = OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));

    put_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, 1, 0, 0);
    talk(fd);
    put_named(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, 2, "t", NULL); /* not in a batch */
    talk(fd);
    batch(NFNL_MSG_BATCH_BEGIN, 3);
    put_named(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, 4, "t", NULL);
    put_named(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, 5, "t", "c");
    batch(NFNL_MSG_BATCH_END, 6);
    talk(fd);
    batch(NFNL_MSG_BATCH_BEGIN, 7);
    put_named(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK, 8, "t", "d");
    put_named(NFT_MSG_DELCHAIN, NLM_F_ACK, 9, "t", "nonsense");
    batch(NFNL_MSG_BATCH_END, 10);
    talk(fd);
    put_named(NFT_MSG_GETCHAIN, 0, 11, "t", "c");
    put_named(NFT_MSG_GETCHAIN, 0, 12, "t", "d");
    put_message(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, NLM_F_DUMP, 13, NFPROTO_IPV4, 0);
    talk(fd);
    batch(NFNL_MSG_BATCH_BEGIN, 14);
    put_named(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 15, "t", NULL);
    batch(NFNL_MSG_BATCH_END, 16);
    talk(fd);
    batch(NFNL_MSG_BATCH_BEGIN, 17);
    put_named(NFT_MSG_DELTABLE, NLM_F_ACK, 18, "t", NULL); /* no end: nothing happens */
    talk(fd);
    put_named(NFT_MSG_GETTABLE, 0, 19, "t", NULL);
    put_named(NFT_MSG_GETTABLE, 0, 20, "u", NULL);
    talk(fd);
}
