/* SPDX-License-Identifier: Apache-2.0
 * platform/kvm/kvm_files_host.c: host files in the machine's memory, 16 MiB at a time.
 *
 * A file is known by its inode, so that every mapping of it, of whatever space, sees the same pages: those of
 * the host's page cache. Windows are made at the first fault and stay as long as the file is mapped anywhere;
 * a few files that nobody maps are kept for the next process that runs the same program, but none that has
 * no name any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/host_fstat.h"
#include "platform/kvm/kvm_internal.h"

enum { IDLE_MAX = 64, FIRST_SLOT = KVM_WINDOWS_BASE / KVM_FRAME_SLOT_SIZE };

static int compare(const struct kvm_window *a, const struct kvm_window *b) {
    return a->index < b->index ? -1 : a->index > b->index;
}
RB_GENERATE_INTERNAL(kvm_window_tree, kvm_window, node, compare, __attribute__((unused)) static)

static int compare_files(const struct kvm_file *a, const struct kvm_file *b) {
    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return a->writable - b->writable;
}
RB_GENERATE_INTERNAL(kvm_file_tree, kvm_file, node, compare_files, __attribute__((unused)) static)

int kvm_files_init(struct kvm_machine *m) {
    struct kvm_files *f = &m->files;
    uint32_t address_bits = 36;
    mutex_init(&f->lock, RANK_AS_DONATION);
    RB_INIT(&f->all);
    list_init(&f->idle);
    for (uint32_t i = 0; i < m->cpuid->nent; i++)
        if (m->cpuid->entries[i].function == 0x80000008)
            address_bits = m->cpuid->entries[i].eax & 0xff;
    uint64_t windows =
        address_bits > 38 ? ((1ull << MIN(address_bits, 48u)) - KVM_WINDOWS_BASE) / KVM_WINDOW_SIZE : 0;
    int slots = ioctl(m->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
    f->next_slot = FIRST_SLOT;
    f->end_slot = (uint32_t)MIN((uint64_t)MAX(slots, FIRST_SLOT), FIRST_SLOT + windows);
    f->memory = calloc(f->end_slot - FIRST_SLOT + 1, sizeof(*f->memory));
    return f->memory ? 0 : -ENOMEM;
}

/* ---- windows; with files.lock ---- */

static uint64_t window_gpa(uint32_t slot) {
    return KVM_WINDOWS_BASE + (uint64_t)(slot - FIRST_SLOT) * KVM_WINDOW_SIZE;
}

static uint32_t take_slot_locked(struct kvm_files *f) {
    if (f->free_count)
        return f->free_slots[--f->free_count];
    return f->next_slot < f->end_slot ? f->next_slot++ : 0;
}

/* There is room: reserve_slot_locked() made it before the slot was taken. */
static void give_slot_locked(struct kvm_machine *m, uint32_t slot) {
    struct kvm_files *f = &m->files;
    m->files.memory[slot - FIRST_SLOT] = NULL;
    f->free_slots[f->free_count++] = slot;
}

static bool reserve_slot_locked(struct kvm_machine *m) {
    struct kvm_files *f = &m->files;
    size_t used = f->next_slot - FIRST_SLOT;
    if (used < f->free_capacity)
        return true;
    size_t more = f->free_capacity ? f->free_capacity * 2 : 64;
    uint32_t *slots = reallocarray(f->free_slots, more, sizeof(*slots));
    if (!slots)
        return false;
    f->free_slots = slots;
    f->free_capacity = more;
    return true;
}

static struct kvm_window *new_window_locked(struct kvm_machine *m, struct kvm_file *f, uint64_t index) {
    struct kvm_window *w = malloc(sizeof(*w));
    if (!w || !reserve_slot_locked(m)) {
        free(w);
        return NULL;
    }
    w->index = index;
    w->slot = take_slot_locked(&m->files);
    w->memory = MAP_FAILED;
    if (w->slot)
        w->memory = mmap(NULL, KVM_WINDOW_SIZE, PROT_READ | (f->writable ? PROT_WRITE : 0),
                         MAP_SHARED | MAP_NORESERVE, f->fd, (off_t)(index * KVM_WINDOW_SIZE));
    w->gpa = w->slot ? window_gpa(w->slot) : 0;
    if (w->memory == MAP_FAILED || kvm_slot_set(m, w->slot, w->gpa, KVM_WINDOW_SIZE, w->memory) < 0) {
        if (w->memory != MAP_FAILED)
            munmap(w->memory, KVM_WINDOW_SIZE);
        if (w->slot)
            give_slot_locked(m, w->slot);
        free(w);
        return NULL;
    }
    m->files.memory[w->slot - FIRST_SLOT] = w->memory;
    RB_INSERT(kvm_window_tree, &f->windows, w);
    return w;
}

static void free_window_locked(struct kvm_machine *m, struct kvm_file *f, struct kvm_window *w) {
    RB_REMOVE(kvm_window_tree, &f->windows, w);
    kvm_slot_clear(m, w->slot, w->gpa);
    munmap(w->memory, KVM_WINDOW_SIZE);
    give_slot_locked(m, w->slot);
    free(w);
}

static void free_file_locked(struct kvm_machine *m, struct kvm_file *f) {
    struct kvm_window *w, *next;
    RB_FOREACH_SAFE(w, kvm_window_tree, &f->windows, next)
    free_window_locked(m, f, w);
    RB_REMOVE(kvm_file_tree, &m->files.all, f);
    close(f->fd);
    free(f);
}

char *kvm_window_memory(struct kvm_machine *m, uint64_t gpa) {
    uint64_t at = gpa - KVM_WINDOWS_BASE;
    return m->files.memory[at / KVM_WINDOW_SIZE] + at % KVM_WINDOW_SIZE;
}

/* ---- files ---- */

static int new_file_locked(struct kvm_machine *m, int fd, const struct kvm_file *key, struct kvm_file **ret) {
    struct kvm_file *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (f->fd < 0) {
        int r = -errno;
        free(f);
        return r;
    }
    f->device = key->device;
    f->inode = key->inode;
    f->writable = key->writable;
    RB_INIT(&f->windows);
    RB_INSERT(kvm_file_tree, &m->files.all, f);
    *ret = f;
    return 0;
}

int kvm_file_get(struct kvm_machine *m, int fd, struct kvm_file **ret) {
    struct stat st;
    int flags = fcntl(fd, F_GETFL), r = 0;
    *ret = NULL;
    if (flags < 0 || host_fstat(fd, &st) < 0)
        return -errno;
    if ((flags & O_ACCMODE) == O_WRONLY)
        return -EACCES;
    if (!S_ISREG(st.st_mode))
        return -ENODEV;
    struct kvm_file key = {
        .device = st.st_dev, .inode = st.st_ino, .writable = (flags & O_ACCMODE) == O_RDWR};
    mutex_lock(&m->files.lock);
    struct kvm_file *f = RB_FIND(kvm_file_tree, &m->files.all, &key);
    if (!f)
        r = new_file_locked(m, fd, &key, &f);
    if (r == 0 && f->refs++ == 0 && f->idle) {
        list_del(&f->link);
        f->idle = false;
        m->files.idle_count--;
    }
    mutex_unlock(&m->files.lock);
    *ret = f;
    return r;
}

void kvm_file_ref(struct kvm_machine *m, struct kvm_file *f) {
    mutex_lock(&m->files.lock);
    f->refs++;
    mutex_unlock(&m->files.lock);
}

static void retire_locked(struct kvm_machine *m, struct kvm_file *f) {
    struct kvm_files *files = &m->files;
    struct stat st;
    if (host_fstat(f->fd, &st) < 0 || st.st_nlink == 0) {
        free_file_locked(m, f);
        return;
    }
    list_add_tail(&files->idle, &f->link);
    f->idle = true;
    if (++files->idle_count > IDLE_MAX) {
        struct kvm_file *oldest = list_first_entry(&files->idle, struct kvm_file, link);
        list_del(&oldest->link);
        files->idle_count--;
        free_file_locked(m, oldest);
    }
}

void kvm_file_unref(struct kvm_machine *m, struct kvm_file *f) {
    if (!f)
        return;
    mutex_lock(&m->files.lock);
    if (--f->refs == 0)
        retire_locked(m, f);
    mutex_unlock(&m->files.lock);
}

uint64_t kvm_file_size(const struct kvm_file *f) {
    struct stat st;
    return host_fstat(f->fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

int kvm_file_page(struct kvm_machine *m, struct kvm_file *f, uint64_t offset, char **ret_memory,
                  uint64_t *ret_gpa) {
    if (offset >= page_up(kvm_file_size(f)))
        return -ERANGE;
    struct kvm_window key = {.index = offset / KVM_WINDOW_SIZE};
    mutex_lock(&m->files.lock);
    struct kvm_window *w = RB_FIND(kvm_window_tree, &f->windows, &key);
    if (!w)
        w = new_window_locked(m, f, key.index);
    if (w) {
        *ret_memory = w->memory + offset % KVM_WINDOW_SIZE;
        *ret_gpa = w->gpa + offset % KVM_WINDOW_SIZE;
    }
    mutex_unlock(&m->files.lock);
    return w ? 0 : -ENOMEM;
}

void kvm_files_done(struct kvm_machine *m) {
    struct kvm_file *f, *next;
    RB_FOREACH_SAFE(f, kvm_file_tree, &m->files.all, next) {
        ASSERT(f->refs == 0);
        free_file_locked(m, f);
    }
    free(m->files.free_slots);
    free(m->files.memory);
}
