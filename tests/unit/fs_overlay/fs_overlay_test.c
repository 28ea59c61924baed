/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fs_overlay/fs_overlay_test.c:
 * sentry/fs/overlay: tmpfs over host files behind a gofer, as `runsc do` has it. The host's directory must be
 * the same after every test.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/mman.h"
#include "fs_fixture.h"
#include "fs_stress.h"
#include "gofer/protocol.h"
#include "gofer_fixture.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/mm.h"
#include "tests/support/test.h"

struct fixture {
    struct gofer_fixture gofer;
    struct fs_fixture fs;
    struct gofer_session *session;
    struct vfs_view *v;
};

/* a/one "1", a/b/two "two", a/link -> one, f "lower", hard and hard2 one file of mode 0640 */
static void make_lower(struct fixture *f) {
    int dir = f->gofer.dir;
    ASSERT_OK(mkdirat(dir, "a", 0751));
    ASSERT_OK(mkdirat(dir, "a/b", 0755));
    gofer_fixture_write(&f->gofer, "a/one", "1");
    gofer_fixture_write(&f->gofer, "a/b/two", "two");
    ASSERT_OK(symlinkat("one", dir, "a/link"));
    gofer_fixture_write(&f->gofer, "f", "lower");
    gofer_fixture_write(&f->gofer, "hard", "linked");
    ASSERT_OK(fchmodat(dir, "hard", 0640, 0));
    ASSERT_OK(linkat(dir, "hard", dir, "hard2", 0));
}

static void start(struct fixture *f) {
    static const struct gofer_fixture_options options = {.root_flags =
                                                             GOFER_ROOT_EXCLUSIVE | GOFER_ROOT_READ_ONLY};
    struct filesystem *lower, *upper, *fs;
    int sock = gofer_fixture_spawn(&f->gofer, &options);
    make_lower(f);
    fs_fixture_kernel(&f->fs);
    ASSERT_OK(gofer_session_create(f->fs.k, sock, &f->session));
    struct gofer_mount m = {.session = f->session, .layer = 1};
    struct mount_options o = {
        .source = "none", .creds = f->fs.creds, .user_ns = f->fs.k->root_user_ns, .internal = &m};
    ASSERT_OK(filesystem_create(f->fs.k, "gofer", &o, &lower));
    ASSERT_OK(tmpfs_create(f->fs.k, /* layer= */ 1, 0755, &upper));
    struct overlay_mount om = {.lower = lower, .upper = upper};
    o.internal = &om;
    ASSERT_OK(filesystem_create(f->fs.k, "overlay", &o, &fs));
    filesystem_unref(lower);
    filesystem_unref(upper);
    fs_fixture_mount(&f->fs, fs);
    f->v = &f->fs.view;
}

static void check_host(struct fixture *f, const char *name, const char *want) {
    char buf[64];
    int fd = openat(f->gofer.dir, name, O_RDONLY);
    ASSERT_OK(fd);
    ssize_t n = read(fd, buf, sizeof(buf) - 1);
    ASSERT_OK(n);
    buf[n] = '\0';
    ASSERT_STREQ(buf, want);
    close(fd);
}

static void end(struct fixture *f) {
    check_host(f, "a/one", "1");
    check_host(f, "a/b/two", "two");
    check_host(f, "f", "lower");
    check_host(f, "hard2", "linked");
    gofer_session_unref(f->session);
    fs_fixture_end(&f->fs);
    gofer_fixture_end(&f->gofer);
}

static void expect_content(struct fixture *f, const char *path, const char *want) {
    char buf[256];
    ASSERT_OK(fs_read_file(&f->fs, path, buf, sizeof(buf)));
    ASSERT_STREQ(buf, want);
}

static void expect_list(struct fixture *f, const char *path, const char *want) {
    char buf[1024];
    ASSERT_OK(fs_list(&f->fs, path, buf, sizeof(buf)));
    ASSERT_STREQ(buf, want);
}

static void expect_absent(struct fixture *f, const char *path) {
    struct kstat ks;
    ASSERT_EQ(fs_stat(&f->fs, path, &ks), -ENOENT);
}

static uint64_t ino_of(struct fixture *f, const char *path) {
    struct kstat ks;
    ASSERT_OK(fs_stat(&f->fs, path, &ks));
    return ks.ino;
}

/* All unused dentries and with them inodes are forgotten. */
static void forget(struct fixture *f) {
    dentry_invalidate_tree(f->v->root.dentry);
}

TEST(lower_shows_through) {
    struct fixture f;
    start(&f);
    expect_content(&f, "/a/one", "1");
    expect_content(&f, "/a/link", "1");
    expect_list(&f, "/", "a f hard hard2 ");
    expect_list(&f, "/a", "b link one ");
    expect_absent(&f, "/none");
    struct kstat ks;
    struct stat st;
    ASSERT_OK(fs_stat(&f.fs, "/a", &ks));
    ASSERT_OK(fstatat(f.gofer.dir, "a", &st, 0));
    ASSERT_EQ(ks.mode, st.st_mode);
    ASSERT_EQ(ks.ino, st.st_ino);
    end(&f);
}

TEST(write_copies_up) {
    struct fixture f;
    start(&f);
    uint64_t ino = ino_of(&f, "/a/one");
    struct file *file, *reader;
    struct kstat before, after;
    char buf[32];
    ASSERT_OK(fs_stat(&f.fs, "/a", &before));
    ASSERT_OK(fs_open(&f.fs, "/a/one", LINUX_O_RDONLY, 0, &reader));
    ASSERT_OK(fs_open(&f.fs, "/a/one", LINUX_O_RDWR, 0, &file));
    ASSERT_EQ(fs_pread(file, buf, sizeof(buf), 0), 1);
    ASSERT_EQ(fs_pwrite(file, "+", 1, FILE_APPEND), 1);
    ASSERT_EQ(fs_pread(reader, buf, sizeof(buf), 0), 2); /* what was open before follows */
    file_unref(file);
    file_unref(reader);
    expect_content(&f, "/a/one", "1+");
    ASSERT_EQ(ino_of(&f, "/a/one"), ino);
    ASSERT_OK(fs_stat(&f.fs, "/a", &after));
    ASSERT_EQ(after.mtime_ns, before.mtime_ns); /* nothing was made in it that the guest could see */
    ASSERT_EQ(after.mode, before.mode);
    expect_list(&f, "/a", "b link one ");
    forget(&f);
    ASSERT_EQ(ino_of(&f, "/a/one"), ino);
    expect_content(&f, "/a/one", "1+");
    end(&f);
}

TEST(truncating_open_copies_no_content) {
    struct fixture f;
    start(&f);
    ASSERT_OK(fs_write_file(&f.fs, "/f", "new"));
    expect_content(&f, "/f", "new");
    struct kstat ks;
    ASSERT_OK(fs_stat(&f.fs, "/f", &ks));
    ASSERT_EQ(ks.mode & 0777, 0644);
    end(&f);
}

TEST(attributes_copy_up) {
    struct fixture f;
    start(&f);
    struct path p;
    struct kstat ks, before;
    ASSERT_OK(fs_stat(&f.fs, "/f", &before));
    ASSERT_OK(path_lookup(f.v, LINUX_AT_FDCWD, "/f", 0, &p));
    struct setattr s = {.mask = SETATTR_MODE, .mode = 0600};
    ASSERT_OK(vfs_setattr(&p, &s, f.fs.creds));
    ASSERT_OK(vfs_getattr(&p, &ks));
    ASSERT_EQ(ks.mode & 07777, 0600);
    ASSERT_EQ(ks.mtime_ns, before.mtime_ns);
    ASSERT_EQ(p.dentry->inode->mode, 0600);
    path_put(&p);
    expect_content(&f, "/f", "lower");
    ASSERT_OK(path_lookup(f.v, LINUX_AT_FDCWD, "/a/b", 0, &p));
    s = (struct setattr){.mask = SETATTR_MTIME, .mtime_ns = 77};
    ASSERT_OK(vfs_setattr(&p, &s, f.fs.creds));
    ASSERT_OK(vfs_getattr(&p, &ks));
    ASSERT_EQ(ks.mtime_ns, 77);
    path_put(&p);
    expect_content(&f, "/a/b/two", "two");
    end(&f);
}

TEST(unlink_leaves_whiteout) {
    struct fixture f;
    start(&f);
    struct file *file;
    struct kstat ks;
    char buf[8];
    ASSERT_OK(fs_open(&f.fs, "/f", LINUX_O_RDONLY, 0, &file));
    ASSERT_OK(vfs_unlink(f.v, LINUX_AT_FDCWD, "/f"));
    expect_absent(&f, "/f");
    expect_list(&f, "/", "a hard hard2 ");
    ASSERT_EQ(fs_pread(file, buf, sizeof(buf), 0), 5); /* goes on */
    ASSERT_OK(vfs_getattr(&file->path, &ks));
    ASSERT_EQ(ks.nlink, 0);
    file_unref(file);
    forget(&f);
    expect_absent(&f, "/f");
    ASSERT_OK(fs_write_file(&f.fs, "/f", "again"));
    expect_content(&f, "/f", "again");
    ASSERT_OK(vfs_unlink(f.v, LINUX_AT_FDCWD, "/f"));
    forget(&f);
    expect_absent(&f, "/f");
    expect_list(&f, "/", "a hard hard2 ");
    end(&f);
}

TEST(new_directory_over_whiteout_is_opaque) {
    struct fixture f;
    start(&f);
    ASSERT_EQ(vfs_rmdir(f.v, LINUX_AT_FDCWD, "/a"), -ENOTEMPTY);
    ASSERT_OK(vfs_unlink(f.v, LINUX_AT_FDCWD, "/a/one"));
    ASSERT_OK(vfs_unlink(f.v, LINUX_AT_FDCWD, "/a/link"));
    ASSERT_OK(vfs_unlink(f.v, LINUX_AT_FDCWD, "/a/b/two"));
    ASSERT_OK(vfs_rmdir(f.v, LINUX_AT_FDCWD, "/a/b"));
    ASSERT_OK(vfs_rmdir(f.v, LINUX_AT_FDCWD, "/a"));
    expect_list(&f, "/", "f hard hard2 ");
    ASSERT_OK(vfs_mkdir(f.v, LINUX_AT_FDCWD, "/a", 0700));
    expect_list(&f, "/a", "");
    expect_absent(&f, "/a/one");
    forget(&f);
    expect_list(&f, "/a", "");
    ASSERT_OK(fs_write_file(&f.fs, "/a/one", "mine"));
    expect_list(&f, "/a", "one ");
    end(&f);
}

TEST(create_in_lower_directory) {
    struct fixture f;
    start(&f);
    ASSERT_OK(fs_write_file(&f.fs, "/a/b/new", "n"));
    expect_list(&f, "/a/b", "new two ");
    uint64_t ino = ino_of(&f, "/a/b/new");
    forget(&f);
    ASSERT_EQ(ino_of(&f, "/a/b/new"), ino);
    ASSERT_OK(vfs_symlink(f.v, "/a/b/new", LINUX_AT_FDCWD, "/s"));
    expect_content(&f, "/s", "n");
    ASSERT_OK(vfs_mknod(f.v, LINUX_AT_FDCWD, "/a/fifo", 010644, 0));
    ASSERT_EQ(vfs_mknod(f.v, LINUX_AT_FDCWD, "/a/w", 020644, 0), -EPERM); /* a whiteout */
    ASSERT_EQ(vfs_mkdir(f.v, LINUX_AT_FDCWD, "/a/b", 0755), -EEXIST);
    expect_list(&f, "/a", "b fifo link one ");
    end(&f);
}

TEST(rename_file) {
    struct fixture f;
    start(&f);
    uint64_t ino = ino_of(&f, "/f");
    ASSERT_OK(vfs_rename(f.v, LINUX_AT_FDCWD, "/f", LINUX_AT_FDCWD, "/a/g", 0));
    expect_absent(&f, "/f");
    expect_content(&f, "/a/g", "lower");
    ASSERT_EQ(ino_of(&f, "/a/g"), ino);
    forget(&f);
    expect_absent(&f, "/f");
    ASSERT_EQ(ino_of(&f, "/a/g"), ino);
    ASSERT_OK(vfs_rename(f.v, LINUX_AT_FDCWD, "/a/g", LINUX_AT_FDCWD, "/a/one", 0)); /* over a lower file */
    expect_content(&f, "/a/one", "lower");
    ASSERT_OK(vfs_rename(f.v, LINUX_AT_FDCWD, "/a/one", LINUX_AT_FDCWD, "/f", 0)); /* over a whiteout */
    expect_content(&f, "/f", "lower");
    forget(&f);
    expect_absent(&f, "/a/one");
    expect_list(&f, "/a", "b link ");
    expect_list(&f, "/", "a f hard hard2 ");
    end(&f);
}

TEST(rename_lower_directory) {
    struct fixture f;
    start(&f);
    uint64_t ino = ino_of(&f, "/a");
    ASSERT_OK(vfs_rename(f.v, LINUX_AT_FDCWD, "/a", LINUX_AT_FDCWD, "/z", 0));
    expect_absent(&f, "/a");
    expect_content(&f, "/z/b/two", "two");
    ASSERT_EQ(ino_of(&f, "/z"), ino);
    forget(&f);
    expect_absent(&f, "/a");
    expect_list(&f, "/z", "b link one ");
    expect_content(&f, "/z/b/two", "two");
    ASSERT_OK(fs_write_file(&f.fs, "/z/b/two", "changed"));
    /* One inside the moved one moves on its own, and back to where it was. */
    ASSERT_OK(vfs_rename(f.v, LINUX_AT_FDCWD, "/z/b", LINUX_AT_FDCWD, "/b", 0));
    ASSERT_OK(vfs_mkdir(f.v, LINUX_AT_FDCWD, "/a", 0755));
    ASSERT_OK(vfs_rename(f.v, LINUX_AT_FDCWD, "/b", LINUX_AT_FDCWD, "/a/b", 0));
    forget(&f);
    expect_content(&f, "/a/b/two", "changed");
    expect_list(&f, "/a", "b ");
    expect_list(&f, "/z", "link one ");
    end(&f);
}

TEST(new_directory_moves_over_lower_one) {
    struct fixture f;
    start(&f);
    ASSERT_OK(vfs_unlink(f.v, LINUX_AT_FDCWD, "/a/b/two"));
    ASSERT_OK(vfs_mkdir(f.v, LINUX_AT_FDCWD, "/n", 0755));
    ASSERT_OK(fs_write_file(&f.fs, "/n/x", "x"));
    ASSERT_EQ(vfs_rename(f.v, LINUX_AT_FDCWD, "/n", LINUX_AT_FDCWD, "/a", 0), -ENOTEMPTY);
    ASSERT_OK(vfs_rename(f.v, LINUX_AT_FDCWD, "/n", LINUX_AT_FDCWD, "/a/b", 0)); /* empty by now */
    forget(&f);
    expect_list(&f, "/a/b", "x ");
    expect_absent(&f, "/a/b/two");
    end(&f);
}

TEST(exchange) {
    struct fixture f;
    start(&f);
    ASSERT_OK(vfs_rename(f.v, LINUX_AT_FDCWD, "/f", LINUX_AT_FDCWD, "/a", LINUX_RENAME_EXCHANGE));
    forget(&f);
    expect_content(&f, "/a", "lower");
    expect_content(&f, "/f/b/two", "two");
    ASSERT_OK(vfs_rename(f.v, LINUX_AT_FDCWD, "/f", LINUX_AT_FDCWD, "/a", LINUX_RENAME_EXCHANGE));
    forget(&f);
    expect_content(&f, "/f", "lower");
    expect_content(&f, "/a/b/two", "two");
    ASSERT_EQ(vfs_rename(f.v, LINUX_AT_FDCWD, "/f", LINUX_AT_FDCWD, "/g", LINUX_RENAME_WHITEOUT), -EINVAL);
    end(&f);
}

TEST(hard_links_stay_links) {
    struct fixture f;
    start(&f);
    struct kstat ks;
    ASSERT_EQ(ino_of(&f, "/hard"), ino_of(&f, "/hard2"));
    ASSERT_OK(fs_stat(&f.fs, "/hard", &ks));
    ASSERT_EQ(ks.nlink, 2);
    ASSERT_OK(fs_write_file(&f.fs, "/hard", "changed"));
    expect_content(&f, "/hard2", "changed");
    forget(&f);
    expect_content(&f, "/hard2", "changed");
    ASSERT_EQ(ino_of(&f, "/hard"), ino_of(&f, "/hard2"));
    ASSERT_OK(vfs_link(f.v, LINUX_AT_FDCWD, "/hard", LINUX_AT_FDCWD, "/hard3", 0));
    ASSERT_OK(fs_stat(&f.fs, "/hard2", &ks));
    ASSERT_EQ(ks.nlink, 3);
    ASSERT_OK(vfs_unlink(f.v, LINUX_AT_FDCWD, "/hard"));
    ASSERT_OK(fs_stat(&f.fs, "/hard2", &ks));
    ASSERT_EQ(ks.nlink, 2);
    expect_content(&f, "/hard3", "changed");
    forget(&f);
    expect_content(&f, "/hard2", "changed");
    expect_absent(&f, "/hard");
    ASSERT_OK(vfs_unlink(f.v, LINUX_AT_FDCWD, "/hard2"));
    ASSERT_OK(fs_stat(&f.fs, "/hard3", &ks));
    ASSERT_EQ(ks.nlink, 1);
    end(&f);
}

TEST(removed_lower_link_counts) {
    struct fixture f;
    start(&f);
    struct kstat ks;
    ASSERT_OK(vfs_unlink(f.v, LINUX_AT_FDCWD, "/hard"));
    forget(&f);
    ASSERT_OK(fs_stat(&f.fs, "/hard2", &ks));
    ASSERT_EQ(ks.nlink, 1);
    expect_content(&f, "/hard2", "linked");
    ASSERT_OK(fs_write_file(&f.fs, "/hard2", "x"));
    ASSERT_OK(fs_stat(&f.fs, "/hard2", &ks));
    ASSERT_EQ(ks.nlink, 1);
    end(&f);
}

TEST(xattrs) {
    struct fixture f;
    start(&f);
    struct path p;
    char buf[64];
    ASSERT_OK(path_lookup(f.v, LINUX_AT_FDCWD, "/f", 0, &p));
    ASSERT_OK(vfs_setxattr(&p, "user.k", "v", 1, 0, f.fs.creds));
    ASSERT_EQ(vfs_getxattr(&p, "user.k", buf, sizeof(buf), f.fs.creds), 1);
    ASSERT_EQ(vfs_listxattr(&p, buf, sizeof(buf), f.fs.creds), 7); /* none of the overlay's own */
    ASSERT_STREQ(buf, "user.k");
    ASSERT_EQ(vfs_getxattr(&p, "trusted.overlay.origin", buf, sizeof(buf), f.fs.creds), -ENODATA);
    /* Not the overlay's own of that name, which the guest never sees. */
    ASSERT_OK(vfs_setxattr(&p, "trusted.overlay.opaque", "y", 1, 0, f.fs.creds));
    ASSERT_OK(vfs_removexattr(&p, "trusted.overlay.opaque", f.fs.creds));
    ASSERT_OK(vfs_removexattr(&p, "user.k", f.fs.creds));
    path_put(&p);
    expect_content(&f, "/f", "lower");
    end(&f);
}

TEST(tmpfile_and_big_copy) {
    struct fixture f;
    size_t size = 3000000;
    char *data = malloc(size), *back = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = i / 300000 % 2 ? (char)(i * 31) : 0;
    start(&f);
    int fd = openat(f.gofer.dir, "big", O_WRONLY | O_CREAT, 0644);
    ASSERT_EQ(write(fd, data, size), (ssize_t)size);
    ASSERT_OK(ftruncate(fd, (off_t)size + 100000)); /* a hole at the end */
    close(fd);
    struct file *file;
    struct kstat ks;
    ASSERT_OK(fs_open(&f.fs, "/big", LINUX_O_RDWR, 0, &file));
    ASSERT_EQ(fs_pread(file, back, size, 0), (ssize_t)size);
    ASSERT_MEMEQ(data, back, size);
    ASSERT_OK(vfs_getattr(&file->path, &ks));
    ASSERT_EQ(ks.size, size + 100000);
    ASSERT_LT(ks.blocks * 512, size); /* zeros were not written */
    file_unref(file);
    ASSERT_OK(fs_open(&f.fs, "/a", LINUX_O_RDWR | LINUX_O_TMPFILE, 0600, &file));
    ASSERT_EQ(fs_pwrite(file, "t", 1, 0), 1);
    file_unref(file);
    free(data);
    free(back);
    end(&f);
}

TEST(mapping_of_lower_file) {
    struct fixture f;
    start(&f);
    struct file *file;
    struct mappable *m;
    struct host_range r;
    char c;
    ASSERT_OK(fs_open(&f.fs, "/a/b/two", LINUX_O_RDONLY, 0, &file));
    struct mmap_request q = {
        .len = 4096, .prot = LINUX_PROT_READ | LINUX_PROT_EXEC, .flags = LINUX_MAP_PRIVATE, .file = file};
    ASSERT_OK(file->ops->mmap(file, &q, &m));
    ASSERT_OK(m->ops->range(m, 0, 4096, false, false, &r));
    ASSERT_EQ(pread(r.fd, &c, 1, (off_t)r.offset), 1); /* the host's own file: no copy in between */
    ASSERT_EQ(c, 't');
    file_unref(file);
    mappable_unref(m);
    end(&f);
}

TEST(read_only_file_system) {
    struct fixture f;
    start(&f);
    f.v->root.mount->fs->flags |= FS_READONLY;
    struct file *file;
    ASSERT_EQ(fs_open(&f.fs, "/f", LINUX_O_RDWR, 0, &file), -EROFS);
    ASSERT_EQ(vfs_unlink(f.v, LINUX_AT_FDCWD, "/f"), -EROFS);
    expect_content(&f, "/f", "lower");
    end(&f);
}

TEST(many_threads_change_names) {
    struct fixture f;
    start(&f);
    for (int d = 0; d < 4; d++) { /* half of the names are in the lower layer */
        char name[32];
        snprintf(name, sizeof(name), "s%d", d);
        ASSERT_OK(mkdirat(f.gofer.dir, name, 0755));
        for (int n = 0; n < 3; n++) {
            snprintf(name, sizeof(name), "s%d/n%d", d, n);
            gofer_fixture_write(&f.gofer, name, "lower");
        }
    }
    fs_stress(&f.fs, 6, 3000);
    end(&f);
}

TEST_TIMEOUT(memory_runs_out, 120) {
    struct fixture f;
    start(&f);
    fs_starve(&f.fs);
    end(&f);
}
