/* SPDX-License-Identifier: Apache-2.0
 * uplink/uplink_internal.h: what the files of this folder share.
 *
 * A source is something that epoll watches; its owner embeds it. Since one round of events may end objects
 * that later events of the same round name, what ends goes to `dead` and is freed after the round.
 */
#pragma once

#include <sys/socket.h>

#include "base/list.h"
#include "netstack/link/vnet.h"
#include "netstack/netstack.h"
#include "uplink/uplink.h"

enum {
    UPLINK_MAX_CONNECTIONS = 4096,
    UPLINK_MAX_UDP = 1024,
    UPLINK_MAX_ECHO = 64,
    UPLINK_FRAME_MAX = 65536 + 64,
    UPLINK_SCRATCH = 262144,
};

struct uplink;

struct source {
    /* Does: handles what epoll says of the descriptor (EPOLL*). */
    void (*ready)(struct uplink *u, struct source *s, uint32_t events);
    /* Does: frees the owner. */
    void (*free)(struct source *s);
    struct list node; /* uplink.dead */
    int fd;           /* -1: none */
    bool dead;
};

/* The user object of a socket of our stack. */
struct station {
    /* Does: handles readiness of the stack's socket. */
    void (*ready)(struct uplink *u, struct station *s);
    struct list node; /* uplink.stations, while it waits for its turn */
};

/* A packet of the guest's, with what decides about it. */
struct frame {
    const uint8_t *bytes;
    uint32_t len;
    struct vnet_hdr hdr;
    struct ipa src, dst;
    uint8_t proto;
    uint32_t net, trans; /* offsets; trans is 0 where there is no whole transport header */
};

struct uplink {
    const struct uplink_config *config;
    struct netstack *st;
    struct netns *ns;
    struct nic *nic;
    int epoll_fd;
    struct source link;
    struct list dead, stations;
    struct list connections, listeners; /* uplink_tcp.c */
    struct list ports, echoes, gates;   /* uplink_udp.c, uplink_icmp.c, uplink_publish.c */
    unsigned connection_count, flow_count, echo_count;
    int64_t next_sweep; /* of idle flows; NETSTACK_NEVER: there are none */
    struct ipa gateway4, gateway6, resolver4, guest4, guest6;
    bool over; /* the sandbox has gone */
    uint8_t scratch[UPLINK_SCRATCH];
};

/* ---- uplink.c ---- */
/* -errno if epoll does not take it. */
int source_add(struct uplink *u, struct source *s, uint32_t events) must_check;
/* Closes the descriptor and has the owner freed later. Idempotent. */
void source_end(struct uplink *u, struct source *s);
void station_init(struct station *s, void (*ready)(struct uplink *, struct station *));
/* Before its owner ends. */
void station_done(struct station *s);
/* Has the station looked at before the loop sleeps. */
void station_wake(struct uplink *u, struct station *s);
/* Hands a frame to our stack. */
void uplink_inject(struct uplink *u, const struct frame *f);
/* Sends a finished frame to the guest; what the link does not take is lost. */
void uplink_emit(struct uplink *u, const struct vnet_hdr *hdr, const void *frame, size_t len);
/* Makes a non-blocking host socket connected, or about to be (-EINPROGRESS), to an address. */
int uplink_host_socket(int type, int protocol, const struct ipa *ip, uint16_t port, int *ret);
/* May the sandbox reach it? 0, -EACCES (a matter of policy), -ENETUNREACH (never: loopback, groups). */
int uplink_may_reach(struct uplink *u, uint8_t proto, const struct ipa *ip, uint16_t port) must_check;
/* A socket of our stack at an address that need not be ours. */
int uplink_socket_at(struct uplink *u, int type, const struct ipa *ip, uint16_t port, struct station *user,
                     struct nsock **ret) must_check;
/* 4-tuple and such in one place. */
static inline uint16_t frame_port(const struct frame *f, uint32_t at) {
    return get_be16(f->bytes + f->trans + at);
}

/* ---- uplink_tcp.c ---- */
/* True: the frame opens a connection and has been taken care of. */
bool uplink_tcp_frame(struct uplink *u, const struct frame *f);
/* A connection from outside, on a published port: takes fd. */
void uplink_tcp_from_outside(struct uplink *u, int fd, const struct ipa *peer, uint16_t guest_port);
void uplink_tcp_done(struct uplink *u);

/* ---- uplink_udp.c ---- */
/* Sees to it that a datagram finds somebody; true: it may not pass, and has been answered. */
bool uplink_udp_frame(struct uplink *u, const struct frame *f);
void uplink_udp_sweep(struct uplink *u, int64_t now);
void uplink_udp_done(struct uplink *u);

/* ---- uplink_icmp.c ---- */
bool uplink_icmp_frame(struct uplink *u, const struct frame *f);
/* Tells the guest why its packet went nowhere: errnum positive. */
void uplink_unreachable(struct uplink *u, const struct frame *f, int errnum);
void uplink_echo_sweep(struct uplink *u, int64_t now);
void uplink_icmp_done(struct uplink *u);

/* ---- uplink_publish.c ---- */
int uplink_publish(struct uplink *u) must_check;
void uplink_publish_done(struct uplink *u);
