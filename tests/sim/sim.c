/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/sim.c: the simulated world (sim.h).
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* ---- memory ---- */

/* The arena: bump allocation and free lists by power of two, all inside the region, header included. */
enum { ARENA_CLASSES = 28 };
struct arena {
    size_t used;
    void *free_list[ARENA_CLASSES];
};
static struct arena *g_arena;
static const size_t ARENA_BYTES = 256u << 20;

struct mem_head {
    size_t size;
    const struct netstack_type *type;
};

static int class_of(size_t n) {
    int c = 4;
    while (((size_t)1 << c) < n)
        c++;
    return c;
}

static void *arena_alloc(size_t n) {
    int c = class_of(n);
    if (g_arena->free_list[c]) {
        void *p = g_arena->free_list[c];
        memcpy(&g_arena->free_list[c], p, sizeof(void *));
        return p;
    }
    size_t size = (size_t)1 << c;
    ASSERT_LT(g_arena->used + size, ARENA_BYTES);
    void *p = (char *)g_arena + g_arena->used;
    g_arena->used += size;
    return p;
}

static void arena_free(void *p, size_t n) {
    int c = class_of(n);
    memcpy(p, &g_arena->free_list[c], sizeof(void *));
    g_arena->free_list[c] = p;
}

static void *mem_get(struct sim_host *h, size_t len, const struct netstack_type *type, bool zero) {
    if (h->fail_after >= 0 && h->fail_after-- == 0) {
        h->failed++;
        return NULL;
    }
    size_t all = sizeof(struct mem_head) + len;
    struct mem_head *m = h->sim->arena ? arena_alloc(all) : malloc(all);
    ASSERT_NOT_NULL(m);
    m->size = len;
    m->type = type;
    memset(m + 1, zero ? 0 : 0xa5, len);
    h->live_objects++;
    h->live_bytes += len;
    if (h->live_bytes > h->peak_bytes)
        h->peak_bytes = h->live_bytes;
    return m + 1;
}

static void mem_put(struct sim_host *h, void *p, const struct netstack_type *type, size_t len) {
    struct mem_head *m = (struct mem_head *)p - 1;
    ASSERT_EQ(m->size, len);
    ASSERT_TRUE(m->type == type);
    h->live_objects--;
    h->live_bytes -= len;
    memset(p, 0x5a, len);
    if (h->sim->arena)
        arena_free(m, sizeof(*m) + len);
    else
        free(m);
}

static void *op_alloc(void *ctx, const struct netstack_type *type) {
    return mem_get(ctx, type->size, type, true);
}

static void op_free(void *ctx, const struct netstack_type *type, void *obj) {
    mem_put(ctx, obj, type, type->size);
}

static void *op_bytes(void *ctx, size_t len) {
    return mem_get(ctx, len, NULL, false);
}

static void op_free_bytes(void *ctx, void *p, size_t len) {
    mem_put(ctx, p, NULL, len);
}

static const struct netstack_alloc_ops alloc_ops = {
    .alloc = op_alloc,
    .free = op_free,
    .alloc_bytes = op_bytes,
    .free_bytes = op_free_bytes,
};

void sim_arena_enable(struct sim *s) {
    g_arena =
        mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_TRUE(g_arena != MAP_FAILED);
    g_arena->used = (sizeof(*g_arena) + 63) & ~(size_t)63;
    s->arena = true;
}

size_t sim_arena_size(void) {
    return g_arena->used;
}

void sim_arena_save(void *to) {
    memcpy(to, g_arena, g_arena->used);
}

void sim_arena_restore(const void *from) {
    const struct arena *a = from;
    size_t now = g_arena->used;
    memcpy(g_arena, from, a->used);
    if (now > a->used)
        memset((char *)g_arena + a->used, 0, now - a->used);
}

void sim_arena_disable(void) {
    munmap(g_arena, ARENA_BYTES);
    g_arena = NULL;
}

/* ---- host ---- */

static uint64_t next_random(uint64_t *x) {
    uint64_t z = (*x += 0x9e3779b97f4a7c15ull); /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static int64_t op_now(void *ctx) {
    return ((struct sim_host *)ctx)->sim->now;
}

static int64_t op_realtime(void *ctx) {
    return ((struct sim_host *)ctx)->sim->now + 1700000000ll * 1000000000;
}

static void op_random(void *ctx, void *buf, size_t len) {
    struct sim_host *h = ctx;
    uint8_t *p = buf;
    while (len) {
        uint64_t v = next_random(&h->rng);
        size_t n = len < 8 ? len : 8;
        memcpy(p, &v, n);
        p += n;
        len -= n;
    }
}

static void op_notify(void *ctx, void *user, uint32_t events) {
    struct sim_host *h = ctx;
    h->sim->notified++;
    if (user && user != h)
        *(uint32_t *)user |= events;
}

static const struct netstack_host_ops host_ops = {
    .now_ns = op_now,
    .realtime_ns = op_realtime,
    .random = op_random,
    .socket_notify = op_notify,
};

void sim_init(struct sim *s, uint64_t seed) {
    memset(s, 0, sizeof(*s));
    s->seed = seed;
    s->rng = seed;
    s->now = SIM_S(1000);
}

uint64_t sim_random(struct sim *s) {
    return next_random(&s->rng);
}

uint64_t sim_below(struct sim *s, uint64_t n) {
    return n ? sim_random(s) % n : 0;
}

struct sim_host *sim_add_host(struct sim *s) {
    ASSERT_LT(s->host_count, SIM_MAX_HOSTS);
    struct sim_host *h = &s->hosts[s->host_count];
    h->sim = s;
    h->rng = s->seed * 31 + (uint64_t)s->host_count++ + 7;
    h->fail_after = -1;
    struct netstack_config c = {.host = &host_ops, .host_ctx = h, .alloc = &alloc_ops, .alloc_ctx = h};
    ASSERT_EQ(netstack_new(&c, &h->st), 0);
    ASSERT_EQ(netns_new(h->st, &h->ns), 0);
    ASSERT_EQ(nic_set_up(nic_by_name(h->ns, "lo"), true), 0);
    return h;
}

static struct nic *add_end(struct sim *s, struct sim_host *h, uint32_t mtu, uint32_t offloads, int end) {
    struct channel_config c = {
        .name = "",
        .arphrd = NS_ARPHRD_ETHER,
        .mac = {{2, 0, 0, 0, (uint8_t)s->link_count, (uint8_t)end}},
        .mtu = mtu,
        .offloads = offloads,
        .gso_max = offloads & NIC_TSO ? 65536 : 0,
        .queue_max = 10000,
    };
    struct nic *nic;
    ASSERT_EQ(channel_link_new(h->ns, &c, &nic), 0);
    ASSERT_EQ(nic_set_up(nic, true), 0);
    return nic;
}

struct sim_link *sim_add_link(struct sim *s, struct sim_host *a, struct sim_host *b, uint32_t mtu,
                              uint32_t offloads) {
    ASSERT_LT(s->link_count, SIM_MAX_LINKS);
    struct sim_link *l = &s->links[s->link_count];
    l->host[0] = a;
    l->host[1] = b;
    l->nic[0] = add_end(s, a, mtu, offloads, 1);
    l->nic[1] = add_end(s, b, mtu, offloads, 2);
    l->fault.delay_ns = SIM_MS(1);
    fault_init(&l->state[0], sim_random(s));
    fault_init(&l->state[1], sim_random(s));
    s->link_count++;
    return l;
}

struct ipa sim_ip(const char *text) {
    struct ipa ip;
    ASSERT_TRUE(ipa_parse(text, &ip));
    return ip;
}

struct ns_addr sim_addr(const char *ip, uint16_t port) {
    struct ns_addr a = {.ip = sim_ip(ip), .port = port};
    a.family = ipa_is_v4(&a.ip) ? NS_AF_INET : NS_AF_INET6;
    return a;
}

void sim_host_addr(struct sim_host *h, struct nic *nic, const char *addr, unsigned prefix_len) {
    struct nic_addr a = {.addr = sim_ip(addr),
                         .prefix_len = (uint8_t)prefix_len,
                         .flags = NS_IFA_F_NODAD,
                         .valid_s = UINT32_MAX,
                         .preferred_s = UINT32_MAX};
    (void)h;
    a.broadcast = IPA_ANY4;
    if (ipa_is_v4(&a.addr) && prefix_len < 31) {
        uint32_t host = 0xffffffffu >> prefix_len;
        a.broadcast = ipa_from4(ipa_to4(&a.addr) | host);
    }
    ASSERT_EQ(nic_addr_add(nic, &a), 0);
}

/* ---- time and frames ---- */

static void insert_frame(struct sim *s, struct sim_frame *f) {
    struct sim_frame **at = &s->frames;
    f->order = s->order++;
    while (*at && ((*at)->at < f->at || ((*at)->at == f->at && (*at)->order < f->order)))
        at = &(*at)->next;
    f->next = *at;
    *at = f;
}

/* RUNSC_SIM_TRACE=1: one line per TCP frame on the wire, with its fate. */
static void trace_frame(const struct sim *s, int from, const uint8_t *d, uint32_t len,
                        const struct fault_verdict *v) {
    bool v4 = d[12] == 8 && d[13] == 0 && d[23] == 6, v6 = d[12] == 0x86 && d[20] == 6;
    if (len < 54 || (!v4 && !v6))
        return;
    uint32_t ip_hlen = v4 ? (d[14] & 15) * 4u : 40, ip_len = v4 ? get_be16(d + 16) : get_be16(d + 18) + 40u;
    const uint8_t *t = d + 14 + ip_hlen;
    uint32_t hlen = (uint32_t)(t[12] >> 4) * 4;
    fprintf(stderr, "%.6f %d: flags %02x seq %u ack %u win %u len %u %s%s\n",
            (double)(s->now - SIM_S(1000)) / 1e9, from, t[13], get_be32(t + 4), get_be32(t + 8),
            get_be16(t + 14), ip_len - ip_hlen - hlen,
            v->copies == 0   ? "LOST"
            : v->copies == 2 ? "DUP"
                             : "",
            v->corrupt ? " CORRUPT" : "");
}

static void send_frame(struct sim *s, struct sim_link *l, int from, const uint8_t *data,
                       const struct channel_frame *m) {
    struct fault_verdict v;
    l->frames[from]++;
    if (s->frame_hook)
        s->frame_hook(s, l, from, data, m->len);
    fault_decide(&l->state[from], &l->fault, s->now, m->len, &v);
    if (getenv("RUNSC_SIM_TRACE"))
        trace_frame(s, from, data, m->len, &v);
    if (v.copies == 0)
        l->lost[from]++;
    for (int i = 0; i < v.copies; i++) {
        struct sim_frame *f = malloc(sizeof(*f) + m->len);
        ASSERT_NOT_NULL(f);
        *f = (struct sim_frame){.at = v.arrive_ns[i], .link = l, .to = !from, .meta = *m};
        memcpy(f->data, data, m->len);
        if (v.corrupt && i == 0)
            f->data[v.corrupt_bit / 8] ^= (uint8_t)(1 << v.corrupt_bit % 8);
        if (v.ce && m->len > 16 && f->data[12] == 8 && f->data[13] == 0 && f->data[15] & 3)
            f->data[15] |= 3; /* the checksum is made good below */
        if (v.ce && m->len > 34 && f->data[12] == 8 && f->data[13] == 0 && (f->data[15] & 3) == 3) {
            f->data[24] = f->data[25] = 0;
            uint32_t sum = 0;
            for (int k = 14; k < 34; k += 2)
                sum += (uint32_t)f->data[k] << 8 | f->data[k + 1];
            while (sum >> 16)
                sum = (sum & 0xffff) + (sum >> 16);
            f->data[24] = (uint8_t)(~sum >> 8);
            f->data[25] = (uint8_t)~sum;
        }
        insert_frame(s, f);
    }
}

void sim_collect(struct sim *s) {
    static uint8_t buf[131072];
    struct channel_frame m;
    for (int i = 0; i < s->link_count; i++) {
        struct sim_link *l = &s->links[i];
        for (int end = 0; end < 2; end++)
            while (channel_link_read(l->nic[end], buf, sizeof(buf), &m) >= 0)
                send_frame(s, l, end, buf, &m);
    }
}

static void deliver(struct sim *s, struct sim_frame *f) {
    struct sim_host *h = f->link->host[f->to];
    struct pkt *p = netstack_pkt_copy(h->st, f->data, f->meta.len);
    s->delivered++;
    if (p) {
        if (f->meta.csum_partial) {
            p->csum = CSUM_PARTIAL;
            p->csum_start = f->meta.csum_start;
            p->csum_offset = f->meta.csum_offset;
        }
        if (f->meta.gso_size) {
            p->gso = GSO_TCP;
            p->gso_size = f->meta.gso_size;
        }
        nic_input(f->link->nic[f->to], p);
    }
    free(f);
}

static int64_t next_timer(struct sim *s) {
    int64_t t = INT64_MAX;
    for (int i = 0; i < s->host_count; i++) {
        int64_t d = netstack_next_deadline(s->hosts[i].st);
        t = d < t ? d : t;
    }
    return t;
}

bool sim_step(struct sim *s, int64_t until) {
    sim_collect(s);
    int64_t timer = next_timer(s), frame = s->frames ? s->frames->at : INT64_MAX;
    int64_t at = timer < frame ? timer : frame;
    if (at > until) {
        s->now = until > s->now ? until : s->now;
        return false;
    }
    if (at > s->now)
        s->now = at;
    if (frame <= timer) {
        struct sim_frame *f = s->frames;
        s->frames = f->next;
        deliver(s, f);
    } else {
        for (int i = 0; i < s->host_count; i++)
            netstack_run(s->hosts[i].st);
    }
    sim_collect(s);
    return true;
}

void sim_run_for(struct sim *s, int64_t ns) {
    int64_t until = s->now + ns;
    while (sim_step(s, until)) {
    }
}

void sim_done(struct sim *s) {
    while (s->frames) {
        struct sim_frame *f = s->frames;
        s->frames = f->next;
        free(f);
    }
    for (int i = 0; i < s->host_count; i++) {
        struct sim_host *h = &s->hosts[i];
        h->fail_after = -1;
        netns_unref(h->ns);
        netstack_free(h->st);
        ASSERT_EQ(h->live_objects, 0);
        ASSERT_EQ(h->live_bytes, 0);
    }
}

ssize_t sim_send(struct nsock *s, const void *buf, size_t len, uint32_t flags) {
    struct ns_iov iov = {(void *)(uintptr_t)buf, len};
    struct ns_msg m = {.iov = &iov, .iov_count = 1, .flags = flags};
    return nsock_send(s, &m);
}

ssize_t sim_recv(struct nsock *s, void *buf, size_t len, uint32_t flags) {
    struct ns_iov iov = {buf, len};
    struct ns_msg m = {.iov = &iov, .iov_count = 1, .flags = flags};
    return nsock_recv(s, &m);
}
