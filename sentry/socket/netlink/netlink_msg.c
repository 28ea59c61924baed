/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/netlink_msg.c: messages and attributes (netlink.h). Source: netlink(7), RFC 3549
 * section 2.3.
 */
#include <errno.h>
#include <string.h>

#include "sentry/heap/heap.h"
#include "sentry/socket/netlink/netlink.h"

enum { OUT_MAX = 64 << 20 };

void nl_out_done(struct nl_out *o) {
    heap_free(o->data);
    o->data = NULL;
    o->len = o->cap = 0;
}

/* Room for `size` more bytes, zeroed, or NULL. */
static unsigned char *grow(struct nl_out *o, size_t size) {
    size = LINUX_NLMSG_ALIGN(size);
    if (o->failed)
        return NULL;
    if (o->len + size > o->cap) {
        size_t cap = MAX(o->cap * 2, MAX(o->len + size, (size_t)2048));
        unsigned char *p = cap > OUT_MAX ? NULL
                           : o->data     ? heap_realloc(o->data, cap)
                                         : heap_alloc_bytes(cap);
        if (!p) {
            o->failed = true;
            return NULL;
        }
        o->data = p;
        o->cap = cap;
    }
    unsigned char *at = o->data + o->len;
    memset(at, 0, size);
    o->len += size;
    return at;
}

void nl_begin(struct nl_out *o, uint16_t type, uint16_t flags, const void *fixed, size_t size) {
    struct linux_nlmsghdr h = {.type = type, .flags = flags, .seq = o->seq, .pid = o->pid};

    o->start = o->len;
    unsigned char *at = grow(o, sizeof h);
    if (at)
        memcpy(at, &h, sizeof h);
    at = grow(o, size);
    if (at)
        memcpy(at, fixed, size);
}

void nl_put(struct nl_out *o, uint16_t type, const void *data, size_t size) {
    struct linux_nlattr a = {.len = (uint16_t)(sizeof a + size), .type = type};
    unsigned char *at = grow(o, sizeof a + size);

    if (!at)
        return;
    memcpy(at, &a, sizeof a);
    if (size > 0)
        memcpy(at + sizeof a, data, size);
}

void nl_put_u8(struct nl_out *o, uint16_t type, uint8_t v) {
    nl_put(o, type, &v, sizeof v);
}

void nl_put_u16(struct nl_out *o, uint16_t type, uint16_t v) {
    nl_put(o, type, &v, sizeof v);
}

void nl_put_u32(struct nl_out *o, uint16_t type, uint32_t v) {
    nl_put(o, type, &v, sizeof v);
}

void nl_put_string(struct nl_out *o, uint16_t type, const char *s) {
    nl_put(o, type, s, strlen(s) + 1);
}

void nl_put_ip(struct nl_out *o, uint16_t type, const struct ipa *ip) {
    bool v4 = ipa_is_v4(ip);

    nl_put(o, type, v4 ? ip->b + 12 : ip->b, v4 ? 4 : 16);
}

size_t nl_nest(struct nl_out *o, uint16_t type) {
    size_t at = o->len;

    nl_put(o, type, NULL, 0);
    return at;
}

void nl_nest_end(struct nl_out *o, size_t at) {
    uint16_t len = (uint16_t)(o->len - at);

    if (!o->failed)
        memcpy(o->data + at, &len, sizeof len);
}

void nl_raw(struct nl_out *o, const void *data, size_t size) {
    unsigned char *at = size ? grow(o, size) : NULL;

    if (at)
        memcpy(at, data, size);
}

void nl_end(struct nl_out *o) {
    uint32_t len = (uint32_t)(o->len - o->start);

    if (!o->failed)
        memcpy(o->data + o->start, &len, sizeof len);
}

int nl_parse(const unsigned char *data, size_t size, struct nl_attr *table, size_t max) {
    memset(table, 0, (max + 1) * sizeof *table);
    while (size >= sizeof(struct linux_nlattr)) {
        struct linux_nlattr a;
        memcpy(&a, data, sizeof a);
        if (a.len < sizeof a || a.len > size)
            return -EINVAL;
        uint16_t type = a.type & LINUX_NLA_TYPE_MASK;
        if (type <= max)
            table[type] = (struct nl_attr){data + sizeof a, a.len - sizeof a};
        size_t step = MIN((size_t)LINUX_NLMSG_ALIGN(a.len), size);
        data += step;
        size -= step;
    }
    return 0;
}

bool nl_u32(const struct nl_attr *a, uint32_t *ret) {
    if (!a->data || a->len < sizeof *ret)
        return false;
    memcpy(ret, a->data, sizeof *ret);
    return true;
}

int nl_ip(const struct nl_attr *a, int family, struct ipa *ret) {
    bool v4 = family == NS_AF_INET;

    *ret = v4 ? IPA_ANY4 : IPA_ANY6;
    if (!a->data)
        return 0;
    if (a->len < (v4 ? 4u : 16u))
        return -EINVAL;
    *ret = v4 ? ipa_from4_wire(a->data) : ipa_from6_wire(a->data);
    return 0;
}

int nl_name(const struct nl_attr *a, char name[NS_IFNAMSIZ]) {
    size_t len = strnlen((const char *)a->data, a->len);

    if (len >= NS_IFNAMSIZ)
        return -EINVAL;
    memset(name, 0, NS_IFNAMSIZ);
    memcpy(name, a->data, len);
    return 0;
}
