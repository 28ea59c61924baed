/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_frames_host.c: the pool of frames: one sparse memfd, mapped twice. Slots of the machine
 * cover it as far as it was handed out. A freed frame keeps its host page for a while (up to DIRTY_MAX), then
 * gives it back.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "platform/kvm/kvm_internal.h"

enum {
    DIRTY_MAX = 4096,   /* frames: 16 MiB */
    PREPARE = 64,       /* frames whose host pages are made at once, as they are first handed out */
    RETIRED_MAX = 1024, /* page table pages that wait before the machine is flushed for their sake */
    SLOT_FRAMES = KVM_FRAME_SLOT_SIZE / PAGE_SIZE
};

static char *frame_memory(const struct kvm_frames *f, uint32_t frame) {
    return f->memory + (uint64_t)frame * PAGE_SIZE;
}

/* All memory of the host, and its swap: more cannot be had. */
static uint32_t capacity_of_host(void) {
    struct sysinfo info;
    uint64_t bytes = 1ull << 32;
    if (sysinfo(&info) == 0)
        bytes = ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
    bytes = (bytes + KVM_FRAME_SLOT_SIZE) & ~(KVM_FRAME_SLOT_SIZE - 1);
    return (uint32_t)(MIN(bytes, KVM_WINDOWS_BASE - KVM_FRAME_SLOT_SIZE) / PAGE_SIZE);
}

int kvm_frames_init(struct kvm_machine *m, struct err **err) {
    struct kvm_frames *f = &m->frames;
    mutex_init(&f->lock, RANK_LEAF);
    f->capacity = capacity_of_host();
    uint64_t size = (uint64_t)f->capacity * PAGE_SIZE;
    f->fd = memfd_create("guest", MFD_CLOEXEC);
    if (f->fd < 0 || ftruncate(f->fd, (off_t)size) < 0)
        return err_set(err, errno, "platform.memory", "kvm: the file for guest memory");
    f->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f->fd, 0);
    f->guest_view = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, f->fd, 0);
    f->info = mmap(NULL, f->capacity * sizeof(*f->info), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f->memory == MAP_FAILED || f->guest_view == MAP_FAILED || f->info == MAP_FAILED)
        return err_set(err, errno, "platform.memory", "kvm: address space for %u guest pages", f->capacity);
    f->unused = 1;
    f->zero = kvm_frame_alloc(m, true);
    if (f->zero == KVM_NO_FRAME)
        return err_set(err, ENOMEM, "platform.memory", "kvm: the first guest page");
    return 0;
}

void kvm_frames_done(struct kvm_machine *m) {
    struct kvm_frames *f = &m->frames;
    uint64_t size = (uint64_t)f->capacity * PAGE_SIZE;
    if (f->memory && f->memory != MAP_FAILED)
        munmap(f->memory, size);
    if (f->guest_view && f->guest_view != MAP_FAILED)
        munmap(f->guest_view, size);
    if (f->info && f->info != MAP_FAILED)
        munmap(f->info, f->capacity * sizeof(*f->info));
    if (f->fd >= 0)
        close(f->fd);
}

/* A frame that was never used. Each begins a slot or lies in one that is there. */
static uint32_t take_unused_locked(struct kvm_machine *m) {
    struct kvm_frames *f = &m->frames;
    if (f->unused == f->capacity)
        return KVM_NO_FRAME;
    if (f->unused == 1 || f->unused % SLOT_FRAMES == 0) {
        uint32_t slot = f->unused / SLOT_FRAMES;
        uint64_t gpa = slot * KVM_FRAME_SLOT_SIZE;
        if (kvm_slot_set(m, slot, gpa, KVM_FRAME_SLOT_SIZE, f->guest_view + gpa) < 0)
            return KVM_NO_FRAME;
    }
    if (f->unused == 1 || f->unused % PREPARE == 0) {
        uint32_t count = MIN((uint32_t)PREPARE - f->unused % PREPARE, f->capacity - f->unused);
        char *view = f->guest_view + (uint64_t)f->unused * PAGE_SIZE;
        if (madvise(view, count * PAGE_SIZE, MADV_POPULATE_WRITE) < 0 && errno != EINVAL)
            return KVM_NO_FRAME;
    }
    return f->unused++;
}

static uint32_t pop_locked(struct kvm_frames *f, uint32_t *list) {
    uint32_t frame = *list;
    if (frame != KVM_NO_FRAME)
        *list = f->info[frame].next;
    return frame;
}

uint32_t kvm_frame_alloc(struct kvm_machine *m, bool zeroed) {
    struct kvm_frames *f = &m->frames;
    mutex_lock(&f->lock);
    uint32_t frame = pop_locked(f, &f->dirty);
    bool dirty = frame != KVM_NO_FRAME;
    if (dirty)
        f->dirty_count--;
    else if ((frame = pop_locked(f, &f->clean)) == KVM_NO_FRAME)
        frame = take_unused_locked(m);
    mutex_unlock(&f->lock);
    if (frame == KVM_NO_FRAME)
        return frame;
    atomic_store(&f->info[frame].refs, 1);
    if (dirty && zeroed)
        memset(frame_memory(f, frame), 0, PAGE_SIZE);
    return frame;
}

void kvm_frame_ref(struct kvm_machine *m, uint32_t frame) {
    if (frame != m->frames.zero)
        atomic_fetch_add(&m->frames.info[frame].refs, 1);
}

static void push_locked(struct kvm_frames *f, uint32_t *list, uint32_t frame) {
    f->info[frame].next = *list;
    *list = frame;
}

static void free_locked(struct kvm_frames *f, uint32_t frame) {
    off_t at = (off_t)frame * (off_t)PAGE_SIZE;
    if (f->dirty_count >= DIRTY_MAX &&
        fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, PAGE_SIZE) == 0) {
        push_locked(f, &f->clean, frame);
        return;
    }
    push_locked(f, &f->dirty, frame);
    f->dirty_count++;
}

void kvm_frame_unref(struct kvm_machine *m, uint32_t frame) {
    struct kvm_frames *f = &m->frames;
    if (frame == f->zero || atomic_fetch_sub(&f->info[frame].refs, 1) != 1)
        return;
    mutex_lock(&f->lock);
    free_locked(f, frame);
    mutex_unlock(&f->lock);
}

void kvm_frame_retire(struct kvm_machine *m, uint32_t frame) {
    struct kvm_frames *f = &m->frames;
    mutex_lock(&f->lock);
    push_locked(f, &f->retired, frame);
    bool enough = ++f->retired_count % RETIRED_MAX == 0;
    mutex_unlock(&f->lock);
    if (enough)
        kvm_flush_machine(m);
}

uint32_t kvm_frames_take_retired(struct kvm_machine *m) {
    struct kvm_frames *f = &m->frames;
    mutex_lock(&f->lock);
    uint32_t list = f->retired;
    f->retired = KVM_NO_FRAME;
    f->retired_count = 0;
    mutex_unlock(&f->lock);
    return list;
}

void kvm_frames_recycle(struct kvm_machine *m, uint32_t retired) {
    struct kvm_frames *f = &m->frames;
    mutex_lock(&f->lock);
    for (uint32_t frame; (frame = pop_locked(f, &retired)) != KVM_NO_FRAME;)
        free_locked(f, frame);
    mutex_unlock(&f->lock);
}
