/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/loader/loader_fixture.c: see loader_fixture.h.
 */
#include "tests/unit/loader/loader_fixture.h"

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/stat.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/heap/heap.h"
#include "sentry/vfs/fd_table.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/vfs.h"

struct bytes_file {
    struct file base;
    struct memstore *store;
};
HEAP_TYPE(test_bytes_file, struct bytes_file, 0);

static struct bytes_file *of(struct file *f) {
    return container_of(f, struct bytes_file, base);
}

static ssize_t bytes_read(struct file *f, struct uio *to, uint64_t *offset) {
    ssize_t n = memstore_read(of(f)->store, to, *offset, to->remaining);

    *offset += n > 0 ? (uint64_t)n : 0;
    return n;
}

static int bytes_mmap(struct file *f, const struct mmap_request *request, struct mappable **ret) {
    (void)request;
    *ret = mappable_ref(memstore_mappable(of(f)->store));
    return 0;
}

static void bytes_release(struct file *f) {
    memstore_unref(of(f)->store);
    file_done(f);
    heap_free(of(f));
}

static const struct file_ops g_bytes_ops = {
    .name = "bytes", .read = bytes_read, .mmap = bytes_mmap, .release = bytes_release};

struct file *bytes_file_new(struct fixture *f, const void *data, size_t size) {
    struct bytes_file *b = heap_new(test_bytes_file);
    struct uio u;
    struct uio_segment one;

    ASSERT_OK(file_init_anon(&b->base, &g_bytes_ops, "bytes", LINUX_S_IFREG, 0, FILE_READ | FILE_POS,
                             task_creds(f->task)));
    ASSERT_OK(memstore_create(f->kernel, &b->store));
    uio_init_kernel(&u, &one, (void *)(uintptr_t)data, size);
    ASSERT_EQ(memstore_write(b->store, &u, 0, size), size);
    return &b->base;
}

void loader_root_init(struct fixture *f) {
    struct filesystem *fs;
    struct mnt_ns *ns;

    ASSERT_OK(tmpfs_create(f->kernel, 0, 0755, &fs));
    ASSERT_OK(mnt_ns_new(f->kernel, fs, 0, f->kernel->root_user_ns, &ns));
    filesystem_unref(fs);
    f->mnt_ns = ns;
    struct path root = mnt_ns_root(ns);
    f->task->fs = fs_context_new(&root, &root, 022);
    path_put(&root);
}

void loader_root_done(struct fixture *f) {
    f->task->fs = fs_context_unref(f->task->fs);
    f->mnt_ns = mnt_ns_unref(f->mnt_ns);
}

void loader_put(struct fixture *f, const char *path, const void *data, size_t size) {
    struct vfs_view v;
    struct file *file;
    struct open_request o = {.dirfd = LINUX_AT_FDCWD, .flags = LINUX_O_CREAT | LINUX_O_WRONLY, .mode = 0755};
    struct uio u;
    struct uio_segment one;

    vfs_view_of(f->task, &v);
    ASSERT_OK(vfs_open(&v, path, &o, &file));
    vfs_view_done(&v);
    uio_init_kernel(&u, &one, (void *)(uintptr_t)data, size);
    ASSERT_EQ(file_write(f->task, file, &u, 0), size);
    file_unref(file);
}

void image_init(struct image *i, uint16_t type) {
    uint64_t base = type == ET_EXEC ? IMAGE_BASE : 0;

    memset(i, 0, sizeof *i);
    memset(i->rest, 0xc3, sizeof i->rest);
    i->h.header = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                               .e_type = type,
                               .e_machine = EM_X86_64,
                               .e_version = EV_CURRENT,
                               .e_entry = base + sizeof i->h,
                               .e_phoff = sizeof(Elf64_Ehdr),
                               .e_ehsize = sizeof(Elf64_Ehdr),
                               .e_phentsize = sizeof(Elf64_Phdr),
                               .e_phnum = 2};
    i->h.segment[IMAGE_CODE] = (Elf64_Phdr){.p_type = PT_LOAD,
                                            .p_flags = PF_R | PF_X,
                                            .p_vaddr = base,
                                            .p_filesz = 4096,
                                            .p_memsz = 4096,
                                            .p_align = 4096};
    i->h.segment[IMAGE_DATA] = (Elf64_Phdr){.p_type = PT_LOAD,
                                            .p_flags = PF_R | PF_W,
                                            .p_offset = 4096,
                                            .p_vaddr = base + 0x2000,
                                            .p_filesz = 16,
                                            .p_memsz = IMAGE_BSS,
                                            .p_align = 4096};
}
