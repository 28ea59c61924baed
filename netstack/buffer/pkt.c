/* SPDX-License-Identifier: Apache-2.0
 * netstack/buffer/pkt.c: packet buffers (pkt.h). Pools are the typed allocator's; the stack's lock is held.
 */
#include "netstack/buffer/pkt.h"

#include <errno.h>

#include "netstack/wire/checksum.h"

NETSTACK_TYPE(t_pkt, struct pkt);
NETSTACK_TYPE(t_view, struct view);
NETSTACK_TYPE(t_block, struct block);

static struct block *block_new(struct nsmem *mem, uint32_t cap) {
    struct block *b = nsmem_alloc(mem, &t_block);
    if (!b)
        return NULL;
    b->refs = 1;
    b->cap = cap;
    b->bytes = nsmem_bytes(mem, cap);
    if (!b->bytes) {
        nsmem_free(mem, &t_block, b);
        return NULL;
    }
    return b;
}

static void block_unref(struct nsmem *mem, struct block *b) {
    if (!b)
        return;
    ASSERT(b->refs > 0);
    if (--b->refs)
        return;
    nsmem_free_bytes(mem, b->bytes, b->cap);
    nsmem_free(mem, &t_block, b);
}

struct pkt *pkt_new(struct nsmem *mem, uint32_t headroom, uint32_t room) {
    struct pkt *p = nsmem_alloc(mem, &t_pkt);
    if (!p)
        return NULL;
    list_init(&p->link);
    p->mem = mem;
    p->last = &p->first;
    p->first.blk = block_new(mem, headroom + room ? headroom + room : 1);
    if (!p->first.blk) {
        nsmem_free(mem, &t_pkt, p);
        return NULL;
    }
    p->first.off = headroom;
    p->truesize = (uint32_t)sizeof(*p) + p->first.blk->cap;
    return p;
}

struct pkt *pkt_new_copy(struct nsmem *mem, uint32_t headroom, const void *data, uint32_t len) {
    struct pkt *p = pkt_new(mem, headroom, len);
    if (p)
        memcpy(pkt_put(p, len), data, len);
    return p;
}

void pkt_free(struct pkt *p) {
    if (!p)
        return;
    struct nsmem *mem = p->mem;
    ASSERT(list_empty(&p->link));
    if (unlikely(p->ct))
        nf_conn_put(mem, p->ct);
    block_unref(mem, p->first.blk);
    for (struct view *v = p->first.next, *next; v; v = next) {
        next = v->next;
        block_unref(mem, v->blk);
        nsmem_free(mem, &t_view, v);
    }
    nsmem_free(mem, &t_pkt, p);
}

void pkt_queue_free(struct list *queue) {
    while (!list_empty(queue)) {
        struct pkt *p = list_first_entry(queue, struct pkt, link);
        list_del(&p->link);
        pkt_free(p);
    }
}

/* A range that goes on where the last view ends makes that one longer, so that the pieces in which a stream
 * was sent do not stay pieces for the reader. */
static struct view *view_append(struct pkt *p, struct block *blk, uint32_t off, uint32_t len) {
    struct view *v = p->last;
    if (v->blk == blk && v->len > 0 && v->off + v->len == off) {
        v->len += len;
        p->len += len;
        p->truesize += len;
        return v;
    }
    v = nsmem_alloc(p->mem, &t_view);
    if (!v)
        return NULL;
    blk->refs++;
    *v = (struct view){.blk = blk, .off = off, .len = len};
    p->last->next = v;
    p->last = v;
    p->len += len;
    p->truesize += (uint32_t)sizeof(*v) + len;
    return v;
}

int pkt_append_range(struct pkt *p, const struct pkt *src, uint32_t off, uint32_t len) {
    uint32_t old_len = p->len;
    ASSERT(off <= src->len);
    ASSERT(len <= src->len - off);
    for (const struct view *v = &src->first; v && len; v = v->next) {
        if (off >= v->len) {
            off -= v->len;
            continue;
        }
        uint32_t n = MIN(v->len - off, len);
        if (!view_append(p, v->blk, v->off + off, n)) {
            pkt_trim_to(p, old_len);
            return -ENOMEM;
        }
        len -= n;
        off = 0;
    }
    return 0;
}

struct pkt *pkt_clone(const struct pkt *p) {
    struct pkt *c = nsmem_alloc(p->mem, &t_pkt);
    if (!c)
        return NULL;
    *c = *p;
    if (unlikely(c->ct))
        nf_conn_ref(c->ct);
    list_init(&c->link);
    c->first.next = NULL;
    c->last = &c->first;
    c->first.blk->refs++;
    c->len = p->first.len;
    for (const struct view *v = p->first.next; v; v = v->next) {
        if (!view_append(c, v->blk, v->off, v->len)) {
            pkt_free(c);
            return NULL;
        }
    }
    c->truesize = p->truesize;
    return c;
}

/* Puts a fresh private block with `headroom` in front of the chain, as the new first view. */
static int prepend_block(struct pkt *p, uint32_t headroom) {
    struct block *b = block_new(p->mem, headroom);
    if (!b)
        return -ENOMEM;
    if (p->first.len == 0) { /* nothing in it: just replace */
        block_unref(p->mem, p->first.blk);
    } else {
        struct view *v = nsmem_alloc(p->mem, &t_view);
        if (!v) {
            block_unref(p->mem, b);
            return -ENOMEM;
        }
        *v = p->first;
        if (p->last == &p->first)
            p->last = v;
        p->first.next = v;
    }
    p->first.blk = b;
    p->first.off = headroom;
    p->first.len = 0;
    p->truesize += headroom;
    return 0;
}

uint8_t *pkt_push(struct pkt *p, uint32_t n) {
    if (p->first.blk->refs > 1 || p->first.off < n) {
        if (prepend_block(p, MAX(n, (uint32_t)PKT_HEADROOM)) < 0)
            return NULL;
    }
    p->first.off -= n;
    p->first.len += n;
    p->len += n;
    return p->first.blk->bytes + p->first.off;
}

uint8_t *pkt_put(struct pkt *p, uint32_t n) {
    struct view *v = p->last;
    if (v->blk->refs > 1 || v->blk->cap - v->off - v->len < n) {
        struct block *b = block_new(p->mem, MAX(n, (uint32_t)PKT_TAIL_BLOCK));
        if (!b)
            return NULL;
        v = view_append(p, b, 0, 0);
        block_unref(p->mem, b);
        if (!v)
            return NULL;
        p->truesize += b->cap;
    }
    uint8_t *at = v->blk->bytes + v->off + v->len;
    v->len += n;
    p->len += n;
    return at;
}

/* Gathers the first `n` bytes into one private block. */
static int gather_front(struct pkt *p, uint32_t n) {
    uint32_t headroom = PKT_HEADROOM;
    struct block *b = block_new(p->mem, headroom + n);
    if (!b)
        return -ENOMEM;
    pkt_copy_out(p, 0, b->bytes + headroom, n);
    uint32_t whole = p->len;
    struct view *spare = NULL;
    if (p->first.len > n) { /* the rest of the first view stays behind the gathered part */
        spare = nsmem_alloc(p->mem, &t_view);
        if (!spare) {
            block_unref(p->mem, b);
            return -ENOMEM;
        }
        *spare = p->first;
        spare->off += n;
        spare->len -= n;
        if (p->last == &p->first)
            p->last = spare;
        p->first.next = spare;
    } else {
        pkt_trim_front(p, n);
        block_unref(p->mem, p->first.blk);
    }
    p->first.blk = b;
    p->first.off = headroom;
    p->first.len = n;
    p->len = whole;
    p->truesize += headroom + n;
    return 0;
}

const uint8_t *pkt_header(struct pkt *p, uint32_t n) {
    if (likely(p->first.len >= n))
        return p->first.blk->bytes + p->first.off;
    if (p->len < n || gather_front(p, n) < 0)
        return NULL;
    return p->first.blk->bytes + p->first.off;
}

const uint8_t *pkt_tcp_header(struct pkt *p, uint32_t at) {
    enum { MIN_LEN = 20, OFFSET_AT = 12 }; /* RFC 9293 section 3.1 */
    const uint8_t *h = pkt_header(p, at + MIN_LEN);
    return h ? pkt_header(p, MIN(p->len, at + (uint32_t)(h[at + OFFSET_AT] >> 4) * 4)) : NULL;
}

uint8_t *pkt_writable(struct pkt *p, uint32_t n) {
    if (p->len < n)
        return NULL;
    if ((p->first.len < n || p->first.blk->refs > 1) && gather_front(p, n) < 0)
        return NULL;
    return p->first.blk->bytes + p->first.off;
}

/* Empty views are freed, but for the first, which is embedded and may end up empty. */
void pkt_trim_front(struct pkt *p, uint32_t n) {
    ASSERT(n <= p->len);
    p->len -= n;
    uint32_t k = MIN(n, p->first.len);
    p->first.off += k;
    p->first.len -= k;
    n -= k;
    while (n) {
        struct view *v = p->first.next;
        k = MIN(n, v->len);
        v->off += k;
        v->len -= k;
        n -= k;
        if (v->len == 0) {
            p->first.next = v->next;
            if (p->last == v)
                p->last = &p->first;
            block_unref(p->mem, v->blk);
            nsmem_free(p->mem, &t_view, v);
        }
    }
}

void pkt_trim_to(struct pkt *p, uint32_t len) {
    ASSERT(len <= p->len);
    p->len = len;
    struct view *v = &p->first;
    for (; v->next && len > v->len; v = v->next)
        len -= v->len;
    v->len = len;
    p->last = v;
    struct view *rest = v->next;
    v->next = NULL;
    while (rest) {
        struct view *next = rest->next;
        block_unref(p->mem, rest->blk);
        nsmem_free(p->mem, &t_view, rest);
        rest = next;
    }
}

int pkt_append_copy(struct pkt *p, const void *data, uint32_t len, uint32_t *ret_done) {
    const uint8_t *src = data;
    *ret_done = 0;
    while (len) {
        struct view *v = p->last;
        uint32_t room = v->blk->refs > 1 ? 0 : v->blk->cap - v->off - v->len;
        uint32_t n = MIN(len, room ? room : (uint32_t)PKT_BLOCK_MAX);
        uint8_t *at = pkt_put(p, n);
        if (!at)
            return -ENOMEM;
        memcpy(at, src, n);
        src += n;
        len -= n;
        *ret_done += n;
    }
    return 0;
}

int pkt_absorb(struct pkt *p, struct pkt *src) {
    ASSERT(list_empty(&src->link));
    if (src->first.len > 0) {
        if (!view_append(p, src->first.blk, src->first.off, src->first.len))
            return -ENOMEM;
        src->len -= src->first.len;
        src->first.len = 0;
    }
    if (src->first.next) {
        p->last->next = src->first.next;
        p->last = src->last;
        p->len += src->len;
        src->first.next = NULL;
        src->last = &src->first;
    }
    p->truesize += src->truesize;
    pkt_free(src);
    return 0;
}

uint32_t pkt_copy_out(const struct pkt *p, uint32_t off, void *dst, uint32_t len) {
    uint8_t *d = dst;
    uint32_t done = 0;
    for (const struct view *v = &p->first; v && done < len; v = v->next) {
        if (off >= v->len) {
            off -= v->len;
            continue;
        }
        uint32_t n = MIN(v->len - off, len - done);
        memcpy(d + done, v->blk->bytes + v->off + off, n);
        done += n;
        off = 0;
    }
    return done;
}

uint32_t pkt_csum(const struct pkt *p, uint32_t off, uint32_t len, uint32_t sum) {
    uint32_t done = 0;
    for (const struct view *v = &p->first; v && done < len; v = v->next) {
        if (off >= v->len) {
            off -= v->len;
            continue;
        }
        uint32_t n = MIN(v->len - off, len - done);
        sum = csum_add_at(sum, csum_partial(v->blk->bytes + v->off + off, n, 0), done);
        done += n;
        off = 0;
    }
    return sum;
}

int pkt_csum_complete(struct pkt *p) {
    if (p->csum != CSUM_PARTIAL)
        return 0;
    uint32_t at = (uint32_t)p->csum_start + p->csum_offset;
    uint8_t *h = pkt_writable(p, at + 2);
    if (!h)
        return -ENOMEM;
    uint16_t folded = csum_fold(pkt_csum(p, p->csum_start, p->len - p->csum_start, 0));
    if (folded == 0 && p->gso != GSO_TCP && p->proto == 17)
        folded = 0xffff; /* RFC 768: zero means none */
    csum_store(h + at, folded);
    p->csum = CSUM_NONE;
    return 0;
}
