/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_operands.c: what a trapped guest thread has brought along of its memory, and what
 * it is given to put there before it goes on (stub_operands.c is its side).
 *
 * What the slot says is hostile: addresses, sizes and places are copied once, with the call, and checked. The
 * bytes are the guest's, as those that process_vm_readv would fetch. A guest that says that memory can be
 * written, and then it cannot, loses its own results: the call ends in EFAULT, or in nothing at all.
 */
#include <errno.h>
#include <string.h>

#include "platform/systrap/systrap_internal.h"

static bool overlap(const struct stub_operand *o, gva_t at, size_t size) {
    return at < o->address + o->size && o->address < at + size;
}

/* Copies the slot's list, of what makes sense: all within guest memory and the slot's data. */
static uint32_t take_list(struct systrap_context *c, const struct stub_operand *from, uint32_t count,
                          uint32_t max, struct stub_operand *to) {
    uint64_t end = c->space->platform->base.limits.max_address;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < count && i < max; i++) {
        struct stub_operand o;
        memcpy(&o, &from[i], sizeof(o));
        if (o.size && o.size <= OPERAND_MAX && o.at <= OPERAND_MAX - o.size && o.address < end &&
            o.size <= end - o.address)
            to[taken++] = o;
    }
    return taken;
}

void systrap_take_operands(struct systrap_context *c) {
    struct systrap_operands *o = &c->operands;
    struct stub_slot *s = c->slot;
    o->in_count = take_list(c, s->in, *(volatile uint32_t *)&s->in_count, OPERANDS_IN, o->in);
    o->out_count = take_list(c, s->out, *(volatile uint32_t *)&s->out_count, OPERANDS_OUT, o->out);
    o->used = 0;
}

void systrap_forget_operands(struct systrap_context *c) {
    c->operands.in_count = c->operands.out_count = c->operands.given_count = 0;
    c->slot->given_count = 0;
}

bool systrap_put_given(struct systrap_context *c) {
    struct systrap_operands *o = &c->operands;
    bool all = true;
    for (uint32_t i = 0; i < o->given_count; i++) {
        const struct stub_operand *g = &o->given[i];
        const char *from = (const char *)c->slot + SLOT_DATA + g->at;
        if (stub_as_copy_out((struct address_space *)c->space, g->address, from, g->size) != g->size)
            all = false;
    }
    o->given_count = 0;
    c->slot->given_count = 0;
    return all;
}

void systrap_context_settle(struct context *context, bool waits) {
    struct systrap_context *c = systrap_context_of(context);
    if (waits)
        systrap_spin_wait_in_sentry(c);
    c->operands.in_count = 0;
    if (unlikely(c->operands.given_count))
        (void)!systrap_put_given(c); /* it could be written when the call was made */
}

void systrap_context_answers(struct context *context, const struct platform_answers *answers) {
    struct systrap_context *c = systrap_context_of(context);
    struct stub_answers *a = &c->slot->answers;
    c->answers = answers != NULL;
    a->on = 0;
    if (!answers)
        return;
    a->pid = answers->pid;
    a->tid = answers->tid;
    a->uid = answers->uid;
    a->euid = answers->euid;
    a->gid = answers->gid;
    a->egid = answers->egid;
    a->on = 1; /* the thread is stopped, or waits for its first instruction */
}

static bool is_given(const struct systrap_operands *o, gva_t at, size_t size) {
    for (uint32_t i = 0; i < o->given_count; i++)
        if (overlap(&o->given[i], at, size))
            return true;
    return false;
}

size_t systrap_context_take(struct context *context, void *to, gva_t from, size_t size) {
    struct systrap_context *c = systrap_context_of(context);
    struct systrap_operands *o = &c->operands;
    if (unlikely(is_given(o, from, size)))
        systrap_context_settle(context, /* waits= */ false);
    for (uint32_t i = 0; i < o->in_count; i++) {
        const struct stub_operand *in = &o->in[i];
        if (from < in->address || from >= in->address + in->size)
            continue;
        size_t n = MIN(size, in->address + in->size - from);
        memcpy(to, (const char *)c->slot + SLOT_DATA + in->at + (from - in->address), n);
        return n;
    }
    return 0;
}

static bool is_writable(const struct systrap_operands *o, gva_t to, size_t size) {
    for (uint32_t i = 0; i < o->out_count; i++)
        if (to >= o->out[i].address && to - o->out[i].address <= o->out[i].size &&
            size <= o->out[i].size - (to - o->out[i].address))
            return true;
    return false;
}

/* Where the next result may lie in the slot's data: behind what was brought in, so that that stays. */
size_t systrap_context_give(struct context *context, gva_t to, const void *from, size_t size) {
    struct systrap_context *c = systrap_context_of(context);
    struct systrap_operands *o = &c->operands;
    struct stub_operand *last = o->given_count ? &o->given[o->given_count - 1] : NULL;
    bool follows = last && last->address + last->size == to;
    if (!is_writable(o, to, size) || size > SLOT_DATA_SIZE - OPERAND_MAX - o->used || size == 0 ||
        (!follows && (o->given_count == OPERANDS_GIVEN || is_given(o, to, size)))) {
        systrap_context_settle(
            context, /* waits= */ false); /* what comes now is not to be overtaken, nor taken for what was */
        return 0;
    }
    memcpy((char *)c->slot + SLOT_DATA + OPERAND_MAX + o->used, from, size);
    if (follows) {
        last->size += (uint32_t)size;
    } else {
        last = &o->given[o->given_count++];
        *last = (struct stub_operand){to, (uint32_t)size, OPERAND_MAX + o->used};
    }
    o->used += (uint32_t)size;
    c->slot->given[o->given_count - 1] = *last;
    c->slot->given_count = o->given_count;
    for (uint32_t i = 0; i < o->in_count; i++)
        if (unlikely(overlap(&o->in[i], to, size)))
            o->in[i].size = 0; /* no longer what lies there */
    return size;
}
