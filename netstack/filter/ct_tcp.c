/* SPDX-License-Identifier: Apache-2.0
 * netstack/filter/ct_tcp.c: the states of a tracked TCP connection, as an observer in the middle sees them.
 * Sequence numbers are not checked. Sources: RFC 9293 section 3.3.2, RFC 5382; names and time-outs as
 * /proc/net/nf_conntrack and /proc/sys/net/netfilter show them.
 */
#include "netstack/filter/ct_tcp.h"

#include "netstack/wire/wire_tcp.h"

const char *const nf_tcp_state_names[CT_TCP_STATES] = {
    "NONE",       "SYN_SENT", "SYN_RECV",  "ESTABLISHED", "FIN_WAIT",
    "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",       "SYN_SENT2",
};

static uint8_t flags_of(const uint8_t *tcp) {
    return tcp[13] & (TH_SYN | TH_ACK | TH_FIN | TH_RST);
}

bool ct_tcp_may_begin(const uint8_t *tcp) {
    uint8_t f = flags_of(tcp);
    return f == TH_SYN || f == TH_ACK;
}

bool ct_tcp_reopens(const struct nf_conn *ct, int dir, const uint8_t *tcp) {
    if (flags_of(tcp) != TH_SYN)
        return false;
    return ct->tcp_state == CT_TCP_TIME_WAIT || ct->tcp_state == CT_TCP_CLOSE ||
           (ct->tcp_state == CT_TCP_LAST_ACK && dir == 0);
}

static uint8_t after_syn(struct nf_conn *ct, int dir, bool ack) {
    uint8_t s = ct->tcp_state;
    if (!ack && dir == 0)
        return s == CT_TCP_NONE ? CT_TCP_SYN_SENT : s;
    if (s == CT_TCP_SYN_SENT && dir == 1)
        return ack ? CT_TCP_SYN_RECV : CT_TCP_SYN_SENT2;
    return ack && s == CT_TCP_SYN_SENT2 ? CT_TCP_SYN_RECV : s;
}

static uint8_t after_fin(struct nf_conn *ct, int dir) {
    uint8_t s = ct->tcp_state;
    ct->tcp_last_dir |= (uint8_t)(1 << dir);
    if (s == CT_TCP_TIME_WAIT || s == CT_TCP_CLOSE)
        return s;
    return ct->tcp_last_dir == 3 ? CT_TCP_LAST_ACK : CT_TCP_FIN_WAIT;
}

static uint8_t after_ack(struct nf_conn *ct, int dir) {
    switch (ct->tcp_state) {
    case CT_TCP_NONE: /* picked up in its middle */
        return CT_TCP_ESTABLISHED;
    case CT_TCP_SYN_RECV:
        return dir == 0 ? CT_TCP_ESTABLISHED : CT_TCP_SYN_RECV;
    case CT_TCP_FIN_WAIT: /* the other side's acknowledgement of the FIN */
        return ct->tcp_last_dir & 1 << dir ? CT_TCP_FIN_WAIT : CT_TCP_CLOSE_WAIT;
    case CT_TCP_LAST_ACK:
        return CT_TCP_TIME_WAIT;
    default:
        return ct->tcp_state;
    }
}

bool ct_tcp_packet(struct nf_conn *ct, int dir, const uint8_t *tcp) {
    uint8_t f = flags_of(tcp);
    bool both = (f & TH_SYN && f & (TH_FIN | TH_RST)) || (f & TH_FIN && f & TH_RST);
    if (f == 0 || both)
        return false;
    if (f & TH_RST)
        ct->tcp_state = CT_TCP_CLOSE;
    else if (f & TH_SYN)
        ct->tcp_state = after_syn(ct, dir, f & TH_ACK);
    else if (f & TH_FIN)
        ct->tcp_state = after_fin(ct, dir);
    else
        ct->tcp_state = after_ack(ct, dir);
    if (ct->tcp_state == CT_TCP_ESTABLISHED && ct->status & CT_S_SEEN_REPLY)
        ct->status |= CT_S_ASSURED;
    return true;
}

uint32_t ct_tcp_timeout(const struct nf_conn *ct) {
    static const uint32_t seconds[CT_TCP_STATES] = {
        [CT_TCP_NONE] = 120,           [CT_TCP_SYN_SENT] = 120,  [CT_TCP_SYN_RECV] = 60,
        [CT_TCP_ESTABLISHED] = 432000, [CT_TCP_FIN_WAIT] = 120,  [CT_TCP_CLOSE_WAIT] = 60,
        [CT_TCP_LAST_ACK] = 30,        [CT_TCP_TIME_WAIT] = 120, [CT_TCP_CLOSE] = 10,
        [CT_TCP_SYN_SENT2] = 120,
    };
    /* an established one that nobody answered is no better than a SYN (Linux: 300 s) */
    if (ct->tcp_state == CT_TCP_ESTABLISHED && !(ct->status & CT_S_SEEN_REPLY))
        return 300;
    return seconds[ct->tcp_state];
}
