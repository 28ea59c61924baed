/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/sock_errq.c: the error queue of IP_RECVERR and IPV6_RECVERR. Bounded by the receive buffer.
 * Source: ip(7) "IP_RECVERR", recvmsg(2) "MSG_ERRQUEUE".
 */
#include <errno.h>

#include "netstack/stack/nsock.h"

NETSTACK_TYPE(t_err, struct err_entry);

static struct err_entry *new_entry(struct nsock *s, const void *data, uint32_t len) {
    struct nsmem *mem = &s->ns->st->mem;
    if (s->err_mem >= s->rcvbuf)
        return NULL;
    struct err_entry *e = nsmem_alloc(mem, &t_err);
    if (!e)
        return NULL;
    e->payload = pkt_new_copy(mem, 0, data, len);
    if (!e->payload) {
        nsmem_free(mem, &t_err, e);
        return NULL;
    }
    s->err_mem += e->payload->truesize + (uint32_t)sizeof(*e);
    list_add_tail(&s->errq, &e->link);
    nsock_wake(s, NS_POLLERR);
    return e;
}

void errq_add(struct nsock *s, const struct icmp_err *err, uint32_t skip, uint16_t dport) {
    uint32_t n = err->quoted_len > skip ? err->quoted_len - skip : 0;
    struct err_entry *e = new_entry(s, err->quoted + MIN(skip, err->quoted_len), n);
    if (!e)
        return;
    e->info = (struct ns_cmsg){.have = NS_CMSG_RECVERR,
                               .ee_errno = (uint32_t)err->err,
                               .ee_info = err->mtu,
                               .ee_origin = err->origin,
                               .ee_type = err->type,
                               .ee_code = err->code};
    nsock_fill_addr(s, &e->info.offender, &err->offender, 0, 0);
    nsock_fill_addr(s, &e->name, &err->dst, dport, 0);
}

void errq_add_local(struct nsock *s, int err, uint32_t info, const struct ipa *dst, uint16_t dport) {
    struct err_entry *e = new_entry(s, "", 0);
    if (!e)
        return;
    e->info = (struct ns_cmsg){
        .have = NS_CMSG_RECVERR, .ee_errno = (uint32_t)err, .ee_info = info, .ee_origin = NS_EE_ORIGIN_LOCAL};
    nsock_fill_addr(s, &e->name, dst, dport, 0);
}

static void drop_first(struct nsock *s) {
    struct err_entry *e = list_first_entry(&s->errq, struct err_entry, link);
    list_del(&e->link);
    s->err_mem -= e->payload->truesize + (uint32_t)sizeof(*e);
    pkt_free(e->payload);
    nsmem_free(&s->ns->st->mem, &t_err, e);
}

ssize_t errq_recv(struct nsock *s, struct ns_msg *m) {
    if (list_empty(&s->errq))
        return -EAGAIN;
    struct err_entry *e = list_first_entry(&s->errq, struct err_entry, link);
    uint32_t len = e->payload->len;
    uint32_t n = pkt_to_iov(e->payload, 0, m, 0, len);
    m->flags = NS_MSG_ERRQUEUE | (n < len ? NS_MSG_TRUNC : 0);
    m->has_name = e->name.family != 0;
    m->name = e->name;
    m->cmsg = e->info;
    drop_first(s);
    s->err =
        list_empty(&s->errq) ? 0 : (int)list_first_entry(&s->errq, struct err_entry, link)->info.ee_errno;
    return n;
}

void errq_purge(struct nsock *s) {
    while (!list_empty(&s->errq))
        drop_first(s);
}

void nsock_zerocopy_done(struct nsock *s) {
    struct netstack *st = s->ns->st;
    stack_enter(st);
    uint32_t number = s->zerocopy_next++;
    /* as Linux: ranges that follow one another grow together */
    struct err_entry *last = list_empty(&s->errq) ? NULL : list_last_entry(&s->errq, struct err_entry, link);
    if (last && last->info.ee_origin == NS_EE_ORIGIN_ZEROCOPY && last->info.ee_data + 1 == number) {
        last->info.ee_data = number;
    } else {
        struct err_entry *e = new_entry(s, "", 0);
        if (e)
            e->info = (struct ns_cmsg){.have = NS_CMSG_RECVERR,
                                       .ee_info = number,
                                       .ee_data = number,
                                       .ee_origin = NS_EE_ORIGIN_ZEROCOPY,
                                       .ee_code = NS_EE_CODE_ZEROCOPY_COPIED};
    }
    stack_leave(st);
}
