/* SPDX-License-Identifier: Apache-2.0
 * tests/drive/drive_files.c: fills the guest's root from the host, and gives the driver's own descriptors to
 * the guest.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/uaccess.h"
#include "tests/drive/drive.h"

bool drive_mkdirs(const struct vfs_view *v, const char *path) {
    char part[4096];

    for (const char *at = strchr(path + 1, '/');; at = strchr(at + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", at ? (int)(at - path) : (int)strlen(path), path);
        int r = vfs_mkdir(v, LINUX_AT_FDCWD, part, 0755);
        if (r < 0 && r != -EEXIST) {
            fprintf(stderr, "drive: mkdir %s: %s\n", part, strerror(-r));
            return false;
        }
        if (!at)
            return true;
    }
}

static bool copy_bytes(const struct vfs_view *v, const char *path, mode_t mode) {
    static char buf[1 << 20];
    struct open_request o = {.dirfd = LINUX_AT_FDCWD,
                             .flags = LINUX_O_CREAT | LINUX_O_WRONLY | LINUX_O_TRUNC,
                             .mode = mode & 07777};
    struct file *f = NULL;
    int in = open(path, O_RDONLY | O_CLOEXEC);
    int r = in < 0 ? -errno : vfs_open(v, path, &o, &f);
    ssize_t n = 0;

    for (uint64_t offset = 0; r == 0 && (n = read(in, buf, sizeof buf)) > 0; offset += (uint64_t)n) {
        struct uio_segment one;
        struct uio u;
        uio_init_kernel(&u, &one, buf, (size_t)n);
        if (f->ops->write(f, &u, &offset) != n)
            r = -EIO;
        offset -= (uint64_t)n;
    }
    if (r < 0)
        fprintf(stderr, "drive: %s: %s\n", path, strerror(-r));
    file_unref(f);
    if (in >= 0)
        close(in);
    return r == 0;
}

static bool copy_dir(const struct vfs_view *v, const char *path) {
    DIR *d = opendir(path);
    struct dirent *e;
    bool ok = d && drive_mkdirs(v, path);
    char child[4096];

    while (ok && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(child, sizeof child, "%s/%s", path, e->d_name);
        ok = drive_copy(v, child);
    }
    if (d)
        closedir(d);
    return ok;
}

bool drive_copy(const struct vfs_view *v, const char *path) {
    char parent[4096], target[4096];
    struct stat st;

    if (lstat(path, &st) < 0) {
        perror(path);
        return false;
    }
    snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    if (parent[0] && !drive_mkdirs(v, parent))
        return false;
    if (S_ISDIR(st.st_mode))
        return copy_dir(v, path);
    if (S_ISREG(st.st_mode))
        return copy_bytes(v, path, st.st_mode);
    if (!S_ISLNK(st.st_mode))
        return true;
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0)
        return false;
    target[n] = '\0';
    int r = vfs_symlink(v, target, LINUX_AT_FDCWD, path);
    return r == 0 || r == -EEXIST;
}

/* ---- descriptors ---- */

struct drive_file {
    struct file file;
    int fd;
};
HEAP_TYPE(drive_file, struct drive_file, HEAP_PLAIN);

static ssize_t host_read(struct file *f, struct uio *to, uint64_t *offset) {
    char buf[4096];

    (void)offset;
    ssize_t n = read(container_of(f, struct drive_file, file)->fd, buf, MIN(sizeof buf, to->remaining));
    return n <= 0 ? n : uio_write(to, buf, (size_t)n);
}

static ssize_t host_write(struct file *f, struct uio *from, uint64_t *offset) {
    char buf[65536];

    (void)offset;
    ssize_t n = uio_read(from, buf, MIN(sizeof buf, from->remaining));
    return n <= 0 ? n : write(container_of(f, struct drive_file, file)->fd, buf, (size_t)n);
}

static void host_release(struct file *f) {
    file_done(f);
    heap_free(container_of(f, struct drive_file, file));
}

static const struct file_ops g_host_ops = {
    .name = "drive", .read = host_read, .write = host_write, .release = host_release};

int drive_host_file(int fd, const struct creds *c, struct file **ret) {
    struct drive_file *d = heap_new(drive_file);

    if (!d)
        return -ENOMEM;
    int r = file_init_anon(&d->file, &g_host_ops, "host:[drive]", 0, LINUX_O_RDWR,
                           FILE_READ | FILE_WRITE | FILE_STREAM, c);
    if (r < 0)
        return r;
    d->fd = fd;
    *ret = &d->file;
    return 0;
}
