/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fs_gofer/fs_stress.c: see fs_stress.h.
 */
#include "fs_stress.h"

#include <pthread.h>
#include <stdio.h>

#include "base/abi/linux/fcntl.h"
#include "sentry/heap/heap.h"
#include "tests/support/test.h"

struct worker {
    struct fs_fixture *f;
    uint64_t random;
    unsigned rounds;
};

static uint64_t next(struct worker *w) {
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    return w->random ^= w->random << 17;
}

static void name(struct worker *w, char *buf, size_t size) {
    snprintf(buf, size, "/s%d/n%d", (int)(next(w) % 4), (int)(next(w) % 6));
}

static void expect(int rc, const char *what) {
    static const int may[] = {0,          -ENOENT, -EEXIST, -EISDIR, -ENOTDIR,
                              -ENOTEMPTY, -ELOOP,  -EINVAL, -EPERM,  -EBUSY};
    for (size_t i = 0; i < sizeof(may) / sizeof(may[0]); i++)
        if (rc == may[i])
            return;
    ASSERT_FAIL("%s: %s", what, strerror(-rc));
}

static int check_content(struct fs_fixture *f, const char *path) {
    char buf[64];
    int rc = fs_read_file(f, path, buf, sizeof(buf));
    if (rc == 0) /* one write's bytes, or those of another that has begun */
        ASSERT_TRUE(strcmp(buf, "") == 0 || strncmp(buf, "content", 7) == 0 || strcmp(buf, "lower") == 0);
    return rc;
}

static int open_and_write(struct worker *w, const char *path) {
    struct file *file;
    int rc =
        fs_open(w->f, path, LINUX_O_RDWR | LINUX_O_CREAT | (next(w) % 2 ? LINUX_O_TRUNC : 0), 0644, &file);
    if (rc < 0)
        return rc;
    char text[16];
    snprintf(text, sizeof(text), "content%d", (int)(next(w) % 1000));
    ssize_t n = fs_pwrite(file, text, strlen(text), 0);
    ASSERT_EQ(n, (ssize_t)strlen(text));
    ASSERT_GE(fs_pread(file, text, 7, 0), 0);
    file_unref(file);
    return 0;
}

static int chmod_path(struct worker *w, const char *path) {
    struct path p;
    int rc = path_lookup(&w->f->view, LINUX_AT_FDCWD, path, 0, &p);
    if (rc < 0)
        return rc;
    struct setattr s = {.mask = SETATTR_MODE, .mode = 0600 | (uint32_t)(next(w) & 077)};
    rc = p.dentry->inode->type == LINUX_S_IFLNK ? 0 : vfs_setattr(&p, &s, w->f->creds);
    path_put(&p);
    return rc == -ESTALE ? -ENOENT : rc;
}

static void one(struct worker *w) {
    struct vfs_view *v = &w->f->view;
    char a[32], b[32], dir[16], buf[512];
    struct kstat ks;
    name(w, a, sizeof(a));
    name(w, b, sizeof(b));
    snprintf(dir, sizeof(dir), "/s%d", (int)(next(w) % 4));
    switch (next(w) % 14) {
    case 0:
    case 1:
        return expect(open_and_write(w, a), "write");
    case 2:
        return expect(check_content(w->f, a), "read");
    case 3:
        return expect(vfs_rename(v, LINUX_AT_FDCWD, a, LINUX_AT_FDCWD, b, 0), "rename");
    case 4:
        return expect(vfs_rename(v, LINUX_AT_FDCWD, a, LINUX_AT_FDCWD, b, LINUX_RENAME_EXCHANGE), "exchange");
    case 5:
        return expect(vfs_unlink(v, LINUX_AT_FDCWD, a), "unlink");
    case 6:
        return expect(vfs_mkdir(v, LINUX_AT_FDCWD, a, 0755), "mkdir");
    case 7:
        return expect(vfs_rmdir(v, LINUX_AT_FDCWD, a), "rmdir");
    case 8:
        return expect(vfs_link(v, LINUX_AT_FDCWD, a, LINUX_AT_FDCWD, b, 0), "link");
    case 9:
        return expect(vfs_symlink(v, b, LINUX_AT_FDCWD, a), "symlink");
    case 10:
        return expect(fs_stat(w->f, a, &ks), "stat");
    case 11:
        return expect(fs_list(w->f, dir, buf, sizeof(buf)), "list");
    case 12:
        return expect(chmod_path(w, a), "chmod");
    default:
        if (next(w) % 20 == 0)
            dentry_invalidate_tree(v->root.dentry);
        return expect(fs_readlink(w->f, a, buf, sizeof(buf)), "readlink");
    }
}

static void *work(void *arg) {
    struct worker *w = arg;
    for (unsigned i = 0; i < w->rounds; i++)
        one(w);
    return NULL;
}

void fs_stress(struct fs_fixture *f, unsigned threads, unsigned rounds) {
    pthread_t ids[16];
    struct worker workers[16];
    for (int i = 0; i < 4; i++) {
        char dir[16];
        snprintf(dir, sizeof(dir), "/s%d", i);
        expect(vfs_mkdir(&f->view, LINUX_AT_FDCWD, dir, 0755), "mkdir");
    }
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.f = f, .random = 88172645463325252ull + i * 977, .rounds = rounds};
        ASSERT_EQ(pthread_create(&ids[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
}

/* ---- without memory ---- */

enum { BALLAST_MAX = 1 << 16, BALLAST_SMALL = 512, ROUNDS_MAX = 400 };

/* 0, or -ENOMEM somewhere (or what follows from it: a name that was not made is not there). */
static int starved_calls(struct fs_fixture *f) {
    struct vfs_view *v = &f->view;
    char buf[512];
    struct kstat ks;
    const int rcs[] = {
        vfs_mkdir(v, LINUX_AT_FDCWD, "/m", 0755),
        fs_write_file(f, "/m/file", "content"),
        vfs_symlink(v, "file", LINUX_AT_FDCWD, "/m/link"),
        vfs_link(v, LINUX_AT_FDCWD, "/m/file", LINUX_AT_FDCWD, "/m/hard", 0),
        vfs_rename(v, LINUX_AT_FDCWD, "/m/file", LINUX_AT_FDCWD,
                   "/m/a-name-that-is-longer-than-what-fits-inline", 0),
        fs_stat(f, "/m/hard", &ks),
        fs_readlink(f, "/m/link", buf, sizeof(buf)),
        fs_list(f, "/m", buf, sizeof(buf)),
        fs_read_file(f, "/m/hard", buf, sizeof(buf)),
        vfs_rename(v, LINUX_AT_FDCWD, "/m", LINUX_AT_FDCWD, "/m2", 0),
    };
    int worst = 0;
    for (size_t i = 0; i < sizeof(rcs) / sizeof(rcs[0]); i++) {
        ASSERT_TRUE(rcs[i] == 0 || rcs[i] == -ENOMEM || rcs[i] == -ENOENT || rcs[i] == -EEXIST ||
                    rcs[i] == -ENOSPC || rcs[i] == -ENFILE);
        if (rcs[i])
            worst = -ENOMEM;
    }
    return worst;
}

static void remove_all(struct fs_fixture *f) {
    static const char *const files[] = {"file", "link", "hard",
                                        "a-name-that-is-longer-than-what-fits-inline"};
    struct vfs_view *v = &f->view;
    for (int d = 0; d < 2; d++) {
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
            char path[128];
            snprintf(path, sizeof(path), "/%s/%s", d ? "m2" : "m", files[i]);
            int rc = vfs_unlink(v, LINUX_AT_FDCWD, path);
            if (rc != -ENOENT)
                ASSERT_EQ(rc, 0);
        }
        int rc = vfs_rmdir(v, LINUX_AT_FDCWD, d ? "/m2" : "/m");
        if (rc != -ENOENT)
            ASSERT_EQ(rc, 0);
    }
}

static void *g_ballast[BALLAST_MAX];

static size_t fill_heap(void) {
    static const size_t sizes[] = {1 << 20, 1 << 16, 1 << 12, BALLAST_SMALL, 64, 16};
    size_t count = 0;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        void *p;
        while (count < BALLAST_MAX && (p = heap_alloc_bytes(sizes[s])))
            g_ballast[count++] = p;
    }
    return count;
}

void fs_starve(struct fs_fixture *f) {
    int rc = -ENOMEM;
    for (unsigned round = 0; rc < 0; round++) {
        ASSERT_LT(round, ROUNDS_MAX);
        dentry_invalidate_tree(f->view.root.dentry);
        size_t count = fill_heap();
        size_t spare = round; /* of the last ones, which are the smallest, then larger ones */
        for (size_t i = 0; i < spare && count > 0; i++)
            heap_free(g_ballast[--count]);
        rc = starved_calls(f);
        while (count > 0)
            heap_free(g_ballast[--count]);
        remove_all(f);
    }
}
