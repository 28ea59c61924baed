/* SPDX-License-Identifier: Apache-2.0
 * platform/stub/stub_slot_host.c: slots of guest threads (systrap): a space's message area grows by units of
 * SLOT_CHUNK slots, which its helper maps behind each other. Slots are zeroed before reuse.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "platform/stub/stub.h"

static struct stub_slot *slot_at(const struct stub_space *s, uint32_t number) {
    char *unit = number < SLOT_CHUNK ? (char *)s->messages : s->chunks[number / SLOT_CHUNK - 1].unit;
    return (struct stub_slot *)(unit + (size_t)(number % SLOT_CHUNK) * SLOT_SIZE);
}

static int make_room_locked(struct stub_space *s) REQUIRES(&s->lock) {
    uint32_t slots = (s->chunk_count + 2) * SLOT_CHUNK;
    uint32_t *free_slots = reallocarray(s->free_slots, slots, sizeof(*free_slots));
    if (!free_slots)
        return -ENOMEM;
    s->free_slots = free_slots;
    struct stub_chunk *chunks = reallocarray(s->chunks, s->chunk_count + 1, sizeof(*chunks));
    if (!chunks)
        return -ENOMEM;
    s->chunks = chunks;
    return 0;
}

static void add_free_locked(struct stub_space *s, uint32_t first, uint32_t last) REQUIRES(&s->lock) {
    for (uint32_t i = last + 1; i > first; i--) /* the lowest is given out first */
        s->free_slots[s->free_count++] = i - 1;
}

static int grow_locked(struct stub_space *s) REQUIRES(&s->lock) {
    struct stub_file *f = &s->platform->messages;
    int r = make_room_locked(s);
    if (r)
        return r;
    if (!s->has_slots) { /* the rest of the unit that every space has */
        s->has_slots = true;
        add_free_locked(s, 1, SLOT_CHUNK - 1);
        return 0;
    }
    struct stub_chunk chunk;
    void *unit;
    uint64_t at = STUB_BASE + (uint64_t)(s->chunk_count + 1) * f->unit;
    if (at + f->unit > STUB_BASE + STUB_MSG_SIZE)
        return -EAGAIN;
    r = stub_file_get(f, &chunk.index, &unit);
    if (r)
        return r;
    chunk.unit = unit;
    stub_batch_add(s, DO_CHECK, 0,
                   (struct stub_call){SYS_mmap,
                                      {at, f->unit, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, FD_MSG,
                                       (uint64_t)chunk.index * f->unit}});
    int64_t result = stub_batch_run(s, NULL);
    if (result < 0 && result != -ESRCH) {
        stub_file_put(f, chunk.index); /* not mapped, says the helper */
        return (int)result;
    }
    s->chunks[s->chunk_count++] =
        chunk; /* a dying process may have it mapped: given back when that is reaped */
    if (result < 0)
        return (int)result;
    uint32_t first = s->chunk_count * SLOT_CHUNK;
    add_free_locked(s, first, first + SLOT_CHUNK - 1);
    return 0;
}

int stub_slot_get_locked(struct stub_space *s, uint32_t *ret_number, struct stub_slot **ret_slot) {
    int r = s->free_count ? 0 : grow_locked(s);
    if (r == 0) {
        *ret_number = s->free_slots[--s->free_count];
        *ret_slot = slot_at(s, *ret_number);
        memset(*ret_slot, 0, SLOT_FPU);
    }
    return r;
}

int stub_slot_get(struct stub_space *s, uint32_t *ret_number, struct stub_slot **ret_slot) {
    mutex_lock(&s->lock);
    int r = stub_slot_get_locked(s, ret_number, ret_slot);
    mutex_unlock(&s->lock);
    return r;
}

struct stub_slot *stub_slot_early(const struct stub_space *s, uint32_t number) {
    ASSERT(number < SLOT_CHUNK);
    return slot_at(s, number);
}

void stub_slot_put(struct stub_space *s, uint32_t number) {
    mutex_lock(&s->lock);
    s->free_slots[s->free_count++] = number;
    mutex_unlock(&s->lock);
}

void stub_slots_free(struct stub_space *s) {
    for (uint32_t i = 0; i < s->chunk_count; i++)
        stub_file_put(&s->platform->messages, s->chunks[i].index);
    free(s->chunks);
    free(s->free_slots);
}
