/* SPDX-License-Identifier: Apache-2.0
 * sentry/socket/netlink/nft_sets.c: nf_tables' sets and maps, and their elements, to and from messages.
 * Called with the stack's lock held. Elements do not time out and carry no expressions. Source: nft(8),
 * libnftnl.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "netstack/filter/nf_abi.h"
#include "sentry/heap/heap.h"
#include "sentry/socket/netlink/nfnetlink.h"

enum {
    SET_TABLE = 1,
    SET_NAME = 2,
    SET_FLAGS = 3,
    SET_KEY_TYPE = 4,
    SET_KEY_LEN = 5,
    SET_DATA_TYPE = 6,
    SET_DATA_LEN = 7,
    SET_POLICY = 8,
    SET_DESC = 9,
    SET_ID = 10,
    SET_USERDATA = 13,
    SET_HANDLE = 16,
    DESC_SIZE = 1,
    DESC_CONCAT = 2,
    FIELD_LEN = 1,
    LIST_TABLE = 1,
    LIST_SET = 2,
    LIST_ELEMENTS = 3,
    LIST_SET_ID = 4,
    ELEM_KEY = 1,
    ELEM_DATA = 2,
    ELEM_FLAGS = 3,
    ELEM_TIMEOUT = 4,
    ELEM_USERDATA = 6,
    ELEM_EXPR = 7,
    ELEM_OBJREF = 9,
    ELEM_KEY_END = 10,
    ELEM_EXPRESSIONS = 11,
    ELEM_MAX = 11,
    ELEM_INTERVAL_END = 1,
    ELEM_CATCHALL = 2,
    ELEMS_PER_MESSAGE = 32,
    KNOWN_FLAGS = NF_SET_ANONYMOUS | NF_SET_CONSTANT | NF_SET_INTERVAL | NF_SET_MAP | NF_SET_CONCAT,
};

struct nf_set *nft_find_set(struct nf_table *t, const struct nl_attr *name, const struct nl_attr *id) {
    char text[NF_LONG_NAME];
    uint32_t number;
    struct nf_set *s = nfa_name(name, text) == 0 ? nf_set_find(t, text) : NULL;
    if (s || !nfa_u32(id, &number))
        return s;
    for (uint32_t i = 0; i < t->set_cap; i++)
        if (t->sets[i] && t->sets[i]->id == number)
            return t->sets[i];
    return NULL;
}

/* ---- sets ---- */

static void put_desc(struct nl_out *o, const struct nf_set *s) {
    size_t desc = nfa_nest(o, SET_DESC);
    if (s->field_count) {
        size_t list = nfa_nest(o, DESC_CONCAT);
        for (uint32_t i = 0; i < s->field_count; i++) {
            size_t field = nfa_nest(o, NFA_LIST_ELEM);
            nfa_put_u32(o, FIELD_LEN, s->field_len[i]);
            nl_nest_end(o, field);
        }
        nl_nest_end(o, list);
    }
    nl_nest_end(o, desc);
}

static void put_set(struct nft_request *q, const struct nf_table *t, const struct nf_set *s) {
    struct nl_out *o = &q->r->out;
    nft_begin(q, NFT_MSG_NEWSET, t->family);
    nl_put_string(o, SET_TABLE, t->name);
    nl_put_string(o, SET_NAME, s->name);
    nfa_put_u64(o, SET_HANDLE, s->handle);
    if (s->flags)
        nfa_put_u32(o, SET_FLAGS, s->flags);
    nfa_put_u32(o, SET_KEY_TYPE, s->key_type);
    nfa_put_u32(o, SET_KEY_LEN, s->key_len);
    if (s->flags & NF_SET_MAP) {
        nfa_put_u32(o, SET_DATA_TYPE, s->data_type);
        nfa_put_u32(o, SET_DATA_LEN, s->data_len);
    }
    if (s->userdata_len)
        nl_put(o, SET_USERDATA, s->userdata, s->userdata_len);
    put_desc(o, s);
    nl_end(o);
}

static int decode_fields(const struct nl_attr *desc, struct nf_set *s) {
    struct nl_attr d[DESC_CONCAT + 1], elem, f[FIELD_LEN + 1];
    uint16_t type;
    uint32_t len, total = 0;
    if (!desc->data)
        return 0;
    int rc = nl_parse(desc->data, desc->len, d, DESC_CONCAT);
    if (rc < 0 || !d[DESC_CONCAT].data)
        return rc;
    const unsigned char *at = d[DESC_CONCAT].data;
    size_t left = d[DESC_CONCAT].len;
    while (nfa_next(&at, &left, &type, &elem)) {
        if (s->field_count == ARRAY_SIZE(s->field_len))
            return -E2BIG;
        rc = nl_parse(elem.data, elem.len, f, FIELD_LEN);
        if (rc < 0 || !nfa_u32(&f[FIELD_LEN], &len) || len == 0 || len > NF_REG_BYTES)
            return rc < 0 ? rc : -EINVAL;
        s->field_len[s->field_count++] = (uint8_t)len;
        total += (len + 3) & ~3u;
    }
    return total == s->key_len ? 0 : -EINVAL;
}

/* "__set%d": the first number that is free. */
static int number_name(struct nf_table *t, char name[NF_LONG_NAME]) {
    char *mark = strstr(name, "%d"), stem[NF_LONG_NAME];
    if (!mark)
        return strchr(name, '%') ? -EINVAL : 0;
    if (strchr(mark + 1, '%'))
        return -EINVAL;
    *mark = '\0';
    memcpy(stem, name, NF_LONG_NAME);
    for (unsigned i = 0; i <= NF_SETS_MAX; i++) {
        snprintf(name, NF_LONG_NAME, "%.100s%u", stem, i);
        if (!nf_set_find(t, name))
            return 0;
    }
    return -ENFILE;
}

static int decode_set(struct nft_request *q, struct nf_set *s) {
    const struct nl_attr *a = q->a;
    int rc = nfa_name(&a[SET_NAME], s->name);
    if (rc < 0)
        return rc;
    if (!nfa_u32(&a[SET_KEY_LEN], &s->key_len) || !nfa_u32(&a[SET_ID], &s->id))
        return -EINVAL;
    if (s->key_len == 0 || s->key_len > NF_REG_BYTES)
        return -EINVAL;
    (void)nfa_u32(&a[SET_KEY_TYPE], &s->key_type); /* what it means is the program's */
    (void)nfa_u32(&a[SET_FLAGS], &s->flags);
    if (s->flags & ~(uint32_t)KNOWN_FLAGS)
        return -EOPNOTSUPP;
    if (s->flags & NF_SET_MAP) {
        if (!nfa_u32(&a[SET_DATA_TYPE], &s->data_type))
            return -EINVAL;
        (void)nfa_u32(&a[SET_DATA_LEN], &s->data_len);
        if (s->data_type != NFT_DATA_VERDICT && (s->data_len == 0 || s->data_len > NF_REG_BYTES))
            return -EINVAL;
    } else if (a[SET_DATA_TYPE].data) {
        return -EINVAL;
    }
    if (a[SET_USERDATA].data) {
        if (a[SET_USERDATA].len > NF_USERDATA_MAX)
            return -EINVAL;
        s->userdata_len = (uint16_t)a[SET_USERDATA].len;
        memcpy(s->userdata, a[SET_USERDATA].data, s->userdata_len);
    }
    return decode_fields(&a[SET_DESC], s);
}

static int new_set(struct nft_request *q, struct nf_table *t) {
    struct nf_set *like = heap_alloc_bytes(sizeof *like), *s;
    if (!like)
        return -ENOMEM;
    memset(like, 0, sizeof *like);
    int rc = decode_set(q, like);
    if (rc == 0 && nf_set_find(t, like->name))
        rc = q->r->h.flags & LINUX_NLM_F_EXCL ? -EEXIST : 1;
    if (rc == 0)
        rc = number_name(t, like->name);
    like->handle = ++t->next_handle;
    if (rc == 0)
        rc = nf_set_new(q->ns, t, like, &s);
    heap_free(like);
    return MIN(rc, 0);
}

static void dump_sets(struct nft_request *q) {
    char name[NF_LONG_NAME] = "";
    bool by_table = nfa_name(&q->a[SET_TABLE], name) == 0;
    struct nf_table *t;
    if (!q->set)
        return;
    list_for_each_entry(t, &q->set->tables, link) {
        bool wanted = !t->legacy && (q->family == 0 || q->family == t->family) &&
                      (!by_table || strcmp(t->name, name) == 0);
        for (uint32_t i = 0; wanted && i < t->set_cap; i++)
            if (t->sets[i])
                put_set(q, t, t->sets[i]);
    }
}

int nft_set_request(struct nft_request *q, unsigned msg) {
    static const struct nl_attr none;
    struct nf_table *t;
    if (msg == NFT_MSG_GETSET && nft_is_dump(q)) {
        dump_sets(q);
        return 0;
    }
    int rc = nft_table_of(q, &q->a[SET_TABLE], &t);
    if (rc < 0)
        return rc;
    if (msg == NFT_MSG_NEWSET)
        return new_set(q, t);
    struct nf_set *s = nft_find_set(t, &q->a[SET_NAME], &none);
    if (!s)
        return msg == NFT_MSG_DESTROYSET ? 0 : -ENOENT;
    if (msg == NFT_MSG_GETSET) {
        put_set(q, t, s);
        return 0;
    }
    return nf_set_del(q->ns, t, s);
}

/* ---- elements ---- */

static void put_elem(struct nl_out *o, const struct nf_table *t, const struct nf_set *s,
                     const struct nf_elem *e) {
    size_t elem = nfa_nest(o, NFA_LIST_ELEM);
    uint32_t flags = (e->interval_end ? ELEM_INTERVAL_END : 0u) | (e->catchall ? ELEM_CATCHALL : 0u);
    if (!e->catchall)
        nft_put_data(o, ELEM_KEY, e->key, s->key_len);
    if (e->has_end)
        nft_put_data(o, ELEM_KEY_END, e->key_end, s->key_len);
    if (s->flags & NF_SET_MAP && !e->interval_end) {
        if (s->data_type == NFT_DATA_VERDICT)
            nft_put_verdict(o, ELEM_DATA, t, &e->verdict);
        else
            nft_put_data(o, ELEM_DATA, e->data, s->data_len);
    }
    if (flags)
        nfa_put_u32(o, ELEM_FLAGS, flags);
    if (e->comment_len)
        nl_put(o, ELEM_USERDATA, e->comment, e->comment_len);
    nl_nest_end(o, elem);
}

/* A message holds a list of 64 KiB at most: several, then. */
static void put_elems(struct nft_request *q, const struct nf_table *t, const struct nf_set *s) {
    struct nl_out *o = &q->r->out;
    for (uint32_t i = 0; i < s->elem_count; i += ELEMS_PER_MESSAGE) {
        nft_begin(q, NFT_MSG_NEWSETELEM, t->family);
        nl_put_string(o, LIST_TABLE, t->name);
        nl_put_string(o, LIST_SET, s->name);
        size_t list = nfa_nest(o, LIST_ELEMENTS);
        for (uint32_t k = i; k < MIN(i + ELEMS_PER_MESSAGE, s->elem_count); k++)
            put_elem(o, t, s, s->elems[k]);
        nl_nest_end(o, list);
        nl_end(o);
    }
}

static int decode_key(struct nf_table *t, const struct nf_set *s, const struct nl_attr *a, uint8_t *key) {
    struct nf_verdict v;
    uint32_t len;
    int rc = nft_decode_data(t, a, key, &len, &v);
    return rc < 0 ? rc : len == s->key_len ? 0 : -EINVAL;
}

static int decode_elem_data(struct nf_table *t, const struct nf_set *s, const struct nl_attr *a, bool adding,
                            struct nf_elem *e) {
    uint32_t len;
    bool wanted = s->flags & NF_SET_MAP && !e->interval_end && adding;
    if (!a->data)
        return wanted ? -EINVAL : 0;
    if (!(s->flags & NF_SET_MAP) || e->interval_end)
        return -EINVAL;
    int rc = nft_decode_data(t, a, e->data, &len, &e->verdict);
    if (rc < 0)
        return rc;
    return (s->data_type == NFT_DATA_VERDICT) == (len == UINT32_MAX) &&
                   (len == UINT32_MAX || len == s->data_len)
               ? 0
               : -EINVAL;
}

static int decode_elem(struct nf_table *t, const struct nf_set *s, const struct nl_attr *elem, bool adding,
                       struct nf_elem *e) {
    struct nl_attr a[ELEM_MAX + 1];
    uint32_t flags = 0;
    int rc = nl_parse(elem->data, elem->len, a, ELEM_MAX);
    memset(e, 0, sizeof *e);
    (void)nfa_u32(&a[ELEM_FLAGS], &flags);
    if (rc < 0)
        return rc;
    if (a[ELEM_EXPR].data || a[ELEM_EXPRESSIONS].data || a[ELEM_OBJREF].data || a[ELEM_TIMEOUT].data)
        return -EOPNOTSUPP;
    if (flags & ~3u || (flags & ELEM_INTERVAL_END && !(s->flags & NF_SET_INTERVAL)))
        return -EINVAL;
    e->interval_end = flags & ELEM_INTERVAL_END;
    e->catchall = flags & ELEM_CATCHALL;
    if (e->catchall == (a[ELEM_KEY].data != NULL))
        return -EINVAL;
    if (!e->catchall)
        rc = decode_key(t, s, &a[ELEM_KEY], e->key);
    e->has_end = a[ELEM_KEY_END].data != NULL;
    if (rc == 0 && e->has_end)
        rc = decode_key(t, s, &a[ELEM_KEY_END], e->key_end);
    if (rc == 0 && a[ELEM_USERDATA].data) {
        e->comment_len = (uint16_t)MIN(a[ELEM_USERDATA].len, (size_t)NF_USERDATA_MAX);
        memcpy(e->comment, a[ELEM_USERDATA].data, e->comment_len);
    }
    return rc < 0 ? rc : decode_elem_data(t, s, &a[ELEM_DATA], adding, e);
}

static int change_elems(struct nft_request *q, struct nf_table *t, struct nf_set *s, unsigned msg) {
    const unsigned char *at = q->a[LIST_ELEMENTS].data;
    size_t left = at ? q->a[LIST_ELEMENTS].len : 0;
    bool adding = msg == NFT_MSG_NEWSETELEM;
    struct nl_attr elem;
    uint16_t type;
    int rc = 0;
    if (!at && adding)
        return -EINVAL;
    if (s->flags & NF_SET_CONSTANT && nf_set_users(t, s) > 0)
        return -EBUSY;
    s = nf_set_own(q->ns, t, s);
    struct nf_elem *e = s ? heap_alloc_bytes(sizeof *e) : NULL;
    if (!e)
        return -ENOMEM;
    if (!at)
        nf_set_flush(q->ns, s);
    while (rc == 0 && nfa_next(&at, &left, &type, &elem)) {
        rc = decode_elem(t, s, &elem, adding, e);
        if (rc == 0)
            rc = adding ? nf_elem_add(q->ns, s, e) : nf_elem_del(q->ns, s, e);
        if ((rc == -EEXIST && !(q->r->h.flags & LINUX_NLM_F_EXCL)) ||
            (rc == -ENOENT && msg == NFT_MSG_DESTROYSETELEM))
            rc = 0;
    }
    heap_free(e);
    return rc;
}

/* `nft get element`: the elements of the request that are there. */
static int get_elems(struct nft_request *q, struct nf_table *t, struct nf_set *s) {
    const unsigned char *at = q->a[LIST_ELEMENTS].data;
    size_t left = at ? q->a[LIST_ELEMENTS].len : 0;
    struct nl_attr elem;
    uint16_t type;
    struct nl_out *o = &q->r->out;
    int rc = 0;
    struct nf_elem *e = heap_alloc_bytes(sizeof *e);
    if (!e)
        return -ENOMEM;
    while (rc == 0 && nfa_next(&at, &left, &type, &elem)) {
        rc = decode_elem(t, s, &elem, /* adding= */ false, e);
        const struct nf_elem *hit = rc == 0 ? nf_set_lookup(s, e->key) : NULL;
        if (!hit)
            rc = rc < 0 ? rc : -ENOENT;
        if (rc < 0)
            break;
        nft_begin(q, NFT_MSG_NEWSETELEM, t->family);
        nl_put_string(o, LIST_TABLE, t->name);
        nl_put_string(o, LIST_SET, s->name);
        size_t list = nfa_nest(o, LIST_ELEMENTS);
        put_elem(o, t, s, hit);
        nl_nest_end(o, list);
        nl_end(o);
    }
    heap_free(e);
    return rc;
}

int nft_elem_request(struct nft_request *q, unsigned msg) {
    struct nf_table *t;
    int rc = nft_table_of(q, &q->a[LIST_TABLE], &t);
    if (rc < 0)
        return rc;
    struct nf_set *s = nft_find_set(t, &q->a[LIST_SET], &q->a[LIST_SET_ID]);
    if (!s)
        return -ENOENT;
    if (msg != NFT_MSG_GETSETELEM)
        return change_elems(q, t, s, msg);
    if (!nft_is_dump(q))
        return get_elems(q, t, s);
    put_elems(q, t, s);
    return 0;
}
