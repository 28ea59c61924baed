/* SPDX-License-Identifier: Apache-2.0
 * tests/sim/sim.h: a deterministic world for stacks: a clock that only this moves, seeded random numbers,
 * links with faults, an allocator that counts, and byte streams that check themselves.
 *
 * Everything follows from the seed; nothing sleeps, no thread runs. Used by the simulation and by netstack's
 * unit tests.
 */
#pragma once

#include "netstack/link/channel.h"
#include "netstack/link/fault.h"
#include "netstack/netstack.h"
#include "tests/support/test.h"

enum { SIM_MAX_HOSTS = 4, SIM_MAX_LINKS = 4 };

struct sim;

struct sim_host {
    struct sim *sim;
    struct netstack *st;
    struct netns *ns;
    uint64_t rng;
    size_t live_objects, live_bytes, peak_bytes;
    int64_t fail_after; /* allocations until one fails; -1: never */
    size_t failed;
};

/* Two interfaces joined by a link that misbehaves as told, each way by its own state. */
struct sim_link {
    struct nic *nic[2];
    struct sim_host *host[2];
    struct fault_config fault;
    struct fault_state state[2];
    uint64_t frames[2], lost[2];
};

struct sim_frame {
    struct sim_frame *next;
    int64_t at;
    uint64_t order;
    struct sim_link *link;
    int to;
    struct channel_frame meta;
    uint8_t data[];
};

struct sim {
    uint64_t seed;
    uint64_t rng;
    int64_t now;
    struct sim_host hosts[SIM_MAX_HOSTS];
    int host_count;
    struct sim_link links[SIM_MAX_LINKS];
    int link_count;
    struct sim_frame *frames; /* by time, then order of sending */
    uint64_t order, delivered;
    bool arena;        /* memory from one region that can be copied: sim_arena_*() */
    uint32_t notified; /* socket_notify calls */
    void (*frame_hook)(struct sim *s, struct sim_link *l, int from, const uint8_t *data, uint32_t len);
};

void sim_init(struct sim *s, uint64_t seed);
struct sim_host *sim_add_host(struct sim *s);
/* Ethernet by default; MTU and offloads of both ends. */
struct sim_link *sim_add_link(struct sim *s, struct sim_host *a, struct sim_host *b, uint32_t mtu,
                              uint32_t offloads);
/* Frees stacks and checks that nothing is left. All sockets must be closed. */
void sim_done(struct sim *s);
uint64_t sim_random(struct sim *s);
uint64_t sim_below(struct sim *s, uint64_t n);
void sim_host_addr(struct sim_host *h, struct nic *nic, const char *addr, unsigned prefix_len);
/* The host puts its own address on what it sends and forwards. 0, -ENOMEM. */
int sim_masquerade(struct sim_host *h);
struct ipa sim_ip(const char *text);
struct ns_addr sim_addr(const char *ip, uint16_t port);
/* Runs the next event, not later than `until`. False: there is none before it, and now == until. */
bool sim_step(struct sim *s, int64_t until);
void sim_run_for(struct sim *s, int64_t ns);
/* Moves frames that stacks have queued onto their links; sim_step() does it, too. */
void sim_collect(struct sim *s);

/* Arena mode: everything that the stacks hold lies in one region, which is copied out and back at the same
 * address. */
void sim_arena_enable(struct sim *s);
size_t sim_arena_size(void);
void sim_arena_save(void *to);
void sim_arena_restore(const void *from);
void sim_arena_disable(void);

/* Sends or receives without waiting; -EAGAIN and the like as the library gives them. */
ssize_t sim_send(struct nsock *s, const void *buf, size_t len, uint32_t flags);
ssize_t sim_recv(struct nsock *s, void *buf, size_t len, uint32_t flags);

/* A byte of a stream, by its position and a key: no stream needs to be kept. */
static inline uint8_t sim_stream_byte(uint64_t key, uint64_t at) {
    uint64_t x = (at + key) * 0x9e3779b97f4a7c15ull;
    return (uint8_t)(x >> 56 ^ x >> 24);
}

#define SIM_MS(n) ((int64_t)(n)*1000000)
#define SIM_S(n)  ((int64_t)(n)*1000000000)
