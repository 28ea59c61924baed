/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fs_gofer/fs_fixture.c: a kernel object without tasks, and file systems on it.
 */
#include "fs_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/memfile.h"
#include "sentry/mm/uaccess.h"
#include "tests/support/test.h"

HEAP_TYPE(test_kernel, struct kernel, 0);

void fs_fixture_kernel(struct fs_fixture *f) {
    *f = (struct fs_fixture){0};
    ASSERT_OK(heap_init(64ull << 20, 42, NULL));
    f->k = heap_new(test_kernel);
    ASSERT_NOT_NULL(f->k);
    mutex_init(&f->k->containers_lock, RANK_CONTAINERS);
    mutex_init(&f->k->taskset_lock, RANK_TASKSET);
    f->k->next_inode = 1;
    f->k->root_user_ns = user_ns_new(f->k, NULL, NULL);
    ASSERT_NOT_NULL(f->k->root_user_ns);
    f->creds = creds_new_root(f->k->root_user_ns);
    ASSERT_NOT_NULL(f->creds);
    ASSERT_OK(memfile_create(f->k, &f->k->memfile, NULL));
    ASSERT_OK(vfs_create(f->k));
}

void fs_fixture_mount(struct fs_fixture *f, struct filesystem *fs) {
    ASSERT_OK(mnt_ns_new(f->k, fs, 0, f->k->root_user_ns, &f->ns));
    filesystem_unref(fs); /* the mount has its own */
    f->view.root = mnt_ns_root(f->ns);
    f->view.cwd = path_get(&f->view.root);
    f->view.creds = f->creds;
}

void fs_fixture_end(struct fs_fixture *f) {
    path_put(&f->view.root);
    path_put(&f->view.cwd);
    if (f->ns)
        mnt_ns_unref(f->ns);
    vfs_destroy(f->k);
    memfile_destroy(f->k->memfile);
    creds_unref(f->creds);
    user_ns_unref(f->k->root_user_ns);
    heap_free(f->k);
    heap_print_objects(stderr);
    ASSERT_EQ(heap_lint(stderr), 0);
    heap_destroy();
}

int fs_open(struct fs_fixture *f, const char *path, uint32_t flags, uint32_t mode, struct file **ret) {
    struct open_request o = {.dirfd = LINUX_AT_FDCWD, .flags = flags, .mode = mode};
    return vfs_open(&f->view, path, &o, ret);
}

ssize_t fs_pwrite(struct file *file, const void *data, size_t size, uint64_t offset) {
    struct uio_segment seg;
    struct uio u;
    uio_init_kernel(&u, &seg, (void *)data, size);
    return file->ops->write(file, &u, &offset);
}

ssize_t fs_pread(struct file *file, void *data, size_t size, uint64_t offset) {
    struct uio_segment seg;
    struct uio u;
    uio_init_kernel(&u, &seg, data, size);
    return file->ops->read ? file->ops->read(file, &u, &offset) : -EISDIR;
}

int fs_write_file(struct fs_fixture *f, const char *path, const char *content) {
    struct file *file;
    int rc = fs_open(f, path, LINUX_O_WRONLY | LINUX_O_CREAT | LINUX_O_TRUNC, 0644, &file);
    if (rc < 0)
        return rc;
    ssize_t n = content[0] ? fs_pwrite(file, content, strlen(content), 0) : 0;
    file_unref(file);
    return n < 0 ? (int)n : 0;
}

int fs_read_file(struct fs_fixture *f, const char *path, char *buf, size_t size) {
    struct file *file;
    int rc = fs_open(f, path, LINUX_O_RDONLY, 0, &file);
    if (rc < 0)
        return rc;
    ssize_t n = fs_pread(file, buf, size - 1, 0);
    file_unref(file);
    if (n >= 0)
        buf[n] = '\0';
    return n < 0 ? (int)n : 0;
}

int fs_stat(struct fs_fixture *f, const char *path, struct kstat *ret) {
    struct path p;
    int rc = path_lookup(&f->view, LINUX_AT_FDCWD, path, 0, &p);
    if (rc < 0)
        return rc;
    rc = vfs_getattr(&p, ret);
    path_put(&p);
    return rc;
}

int fs_readlink(struct fs_fixture *f, const char *path, char *buf, size_t size) {
    struct path p;
    char *target;
    int rc = path_lookup(&f->view, LINUX_AT_FDCWD, path, 0, &p);
    if (rc < 0)
        return rc;
    rc = p.dentry->inode->ops->readlink ? p.dentry->inode->ops->readlink(p.dentry->inode, NULL, &target)
                                        : -EINVAL;
    if (rc == 0) {
        snprintf(buf, size, "%s", target);
        heap_free(target);
    }
    path_put(&p);
    return rc;
}

enum { NAMES_MAX = 4096 };
struct collect {
    struct dir_emit emit; /* first */
    char *names[NAMES_MAX];
    size_t count;
};

static int collect_name(struct dir_emit *e, const char *name, size_t len, uint64_t ino, unsigned type,
                        uint64_t next) {
    struct collect *c = (struct collect *)e;
    (void)ino, (void)type, (void)next;
    if ((len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0))
        return 0;
    ASSERT_LT(c->count, NAMES_MAX);
    c->names[c->count++] = strndup(name, len);
    return 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int fs_list(struct fs_fixture *f, const char *path, char *buf, size_t size) {
    struct file *file;
    int rc = fs_open(f, path, LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0, &file);
    if (rc < 0)
        return rc;
    struct collect *c = calloc(1, sizeof(*c));
    ASSERT_NOT_NULL(c);
    c->emit.emit = collect_name;
    rc = file_readdir(file, &c->emit);
    file_unref(file);
    qsort(c->names, c->count, sizeof(c->names[0]), compare_names);
    buf[0] = '\0';
    for (size_t i = 0; i < c->count; i++) {
        size_t used = strlen(buf);
        snprintf(buf + used, size - used, "%s ", c->names[i]);
        free(c->names[i]);
    }
    free(c);
    return rc;
}
