/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/fs_gofer/fs_gofer_test.c:
 * sentry/fs/gofer against a real gofer: what the guest would see, and what is on the host.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/abi/linux/fcntl.h"
#include "base/abi/linux/mman.h"
#include "fs_fixture.h"
#include "fs_stress.h"
#include "gofer/protocol.h"
#include "gofer_fixture.h"
#include "sentry/fs/gofer/gofer.h"
#include "sentry/heap/heap.h"
#include "sentry/mm/mm.h"
#include "tests/support/test.h"

struct fixture {
    struct gofer_fixture gofer;
    struct fs_fixture fs;
    struct gofer_session *session;
};

static void start(struct fixture *f, const struct gofer_fixture_options *o) {
    static const struct gofer_fixture_options none;
    struct filesystem *fs;
    int sock = gofer_fixture_spawn(&f->gofer, o ? o : &none);
    fs_fixture_kernel(&f->fs);
    ASSERT_OK(gofer_session_create(f->fs.k, sock, &f->session));
    struct gofer_mount m = {.session = f->session, .root = 0};
    struct mount_options options = {
        .source = "none", .creds = f->fs.creds, .user_ns = f->fs.k->root_user_ns, .internal = &m};
    ASSERT_OK(filesystem_create(f->fs.k, "gofer", &options, &fs));
    fs_fixture_mount(&f->fs, fs);
}

static void end(struct fixture *f) {
    gofer_session_unref(f->session);
    fs_fixture_end(&f->fs);
    gofer_fixture_end(&f->gofer);
}

static void host_write(struct fixture *f, const char *name, const char *content) {
    gofer_fixture_write(&f->gofer, name, content);
}

TEST(read_file_and_attributes) {
    struct fixture f;
    start(&f, NULL);
    ASSERT_OK(mkdirat(f.gofer.dir, "etc", 0755));
    host_write(&f, "etc/hosts", "localhost");
    char buf[100];
    ASSERT_OK(fs_read_file(&f.fs, "/etc/hosts", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "localhost");
    struct kstat ks;
    struct stat st;
    ASSERT_OK(fs_stat(&f.fs, "/etc/hosts", &ks));
    ASSERT_OK(fstatat(f.gofer.dir, "etc/hosts", &st, 0));
    ASSERT_EQ(ks.ino, st.st_ino);
    ASSERT_EQ(ks.size, 9);
    ASSERT_EQ(ks.mode, st.st_mode);
    ASSERT_EQ(ks.mtime_ns, st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec);
    ASSERT_EQ(fs_stat(&f.fs, "/etc/none", &ks), -ENOENT);
    ASSERT_EQ(fs_stat(&f.fs, "/etc/hosts/x", &ks), -ENOTDIR);
    end(&f);
}

TEST(symlinks_are_resolved_inside) {
    struct fixture f;
    start(&f, NULL);
    ASSERT_OK(mkdirat(f.gofer.dir, "a", 0755));
    host_write(&f, "a/file", "inside");
    ASSERT_OK(symlinkat("/a/file", f.gofer.dir, "abs"));
    ASSERT_OK(symlinkat("../../../../a/file", f.gofer.dir, "a/up"));
    ASSERT_OK(symlinkat("../outside/secret", f.gofer.dir, "out"));
    ASSERT_OK(symlinkat("loop", f.gofer.dir, "loop"));
    char buf[100];
    ASSERT_OK(fs_read_file(&f.fs, "/abs", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "inside");
    ASSERT_OK(fs_read_file(&f.fs, "/a/up", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "inside");
    ASSERT_EQ(fs_read_file(&f.fs, "/out", buf, sizeof(buf)), -ENOENT);
    ASSERT_EQ(fs_read_file(&f.fs, "/loop", buf, sizeof(buf)), -ELOOP);
    ASSERT_OK(fs_readlink(&f.fs, "/abs", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "/a/file");
    end(&f);
}

TEST(write_create_append_truncate) {
    struct fixture f;
    start(&f, NULL);
    ASSERT_OK(fs_write_file(&f.fs, "/new", "hello"));
    char buf[100] = {0};
    int fd = openat(f.gofer.dir, "new", O_RDONLY);
    ASSERT_OK(fd);
    ASSERT_EQ(read(fd, buf, sizeof(buf)), 5);
    close(fd);
    struct file *file;
    struct kstat ks;
    ASSERT_OK(fs_open(&f.fs, "/new", LINUX_O_RDWR, 0, &file));
    ASSERT_EQ(fs_pwrite(file, " world", 6, FILE_APPEND), 6);
    ASSERT_OK(fs_stat(&f.fs, "/new", &ks));
    ASSERT_EQ(ks.size, 11); /* seen at once, by name */
    ASSERT_EQ(fs_pread(file, buf, sizeof(buf), 0), 11);
    ASSERT_MEMEQ(buf, "hello world", 11);
    ASSERT_OK(vfs_truncate(&file->path, 3, /* opened= */ true, f.fs.creds));
    ASSERT_OK(fs_stat(&f.fs, "/new", &ks));
    ASSERT_EQ(ks.size, 3);
    file_unref(file);
    ASSERT_EQ(fs_open(&f.fs, "/new", LINUX_O_RDWR | LINUX_O_CREAT | LINUX_O_EXCL, 0644, &file), -EEXIST);
    end(&f);
}

TEST(big_io_crosses_bounce_buffers) {
    struct fixture f;
    start(&f, NULL);
    size_t size = 1000001;
    char *data = malloc(size), *back = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 7 + i / 4096);
    struct file *file;
    ASSERT_OK(fs_open(&f.fs, "/big", LINUX_O_RDWR | LINUX_O_CREAT, 0600, &file));
    ASSERT_EQ(fs_pwrite(file, data, size, 5), (ssize_t)size);
    ASSERT_EQ(fs_pread(file, back, size, 5), (ssize_t)size);
    ASSERT_MEMEQ(data, back, size);
    ASSERT_EQ(fs_pread(file, back, 10, size + 5), 0);
    file_unref(file);
    free(data);
    free(back);
    end(&f);
}

TEST(names) {
    struct fixture f;
    start(&f, NULL);
    struct fs_fixture *fs = &f.fs;
    struct kstat ks, other;
    char buf[200];
    ASSERT_OK(vfs_mkdir(&fs->view, LINUX_AT_FDCWD, "/d", 0755));
    ASSERT_EQ(vfs_mkdir(&fs->view, LINUX_AT_FDCWD, "/d", 0755), -EEXIST);
    ASSERT_OK(fs_write_file(fs, "/d/one", "1"));
    ASSERT_OK(vfs_link(&fs->view, LINUX_AT_FDCWD, "/d/one", LINUX_AT_FDCWD, "/two", 0));
    ASSERT_OK(fs_stat(fs, "/d/one", &ks));
    ASSERT_OK(fs_stat(fs, "/two", &other));
    ASSERT_EQ(ks.ino, other.ino);
    ASSERT_EQ(ks.nlink, 2);
    ASSERT_OK(vfs_symlink(&fs->view, "one", LINUX_AT_FDCWD, "/d/link"));
    ASSERT_OK(vfs_mknod(&fs->view, LINUX_AT_FDCWD, "/d/fifo", 010644, 0));
    ASSERT_OK(fs_list(fs, "/d", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "fifo link one ");
    ASSERT_EQ(vfs_rmdir(&fs->view, LINUX_AT_FDCWD, "/d"), -ENOTEMPTY);
    ASSERT_OK(vfs_rename(&fs->view, LINUX_AT_FDCWD, "/d/one", LINUX_AT_FDCWD, "/d/uno", 0));
    ASSERT_EQ(fs_stat(fs, "/d/one", &ks), -ENOENT);
    ASSERT_OK(fs_read_file(fs, "/d/uno", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "1");
    ASSERT_OK(vfs_rename(&fs->view, LINUX_AT_FDCWD, "/d", LINUX_AT_FDCWD, "/e", 0));
    ASSERT_OK(fs_read_file(fs, "/e/uno", buf, sizeof(buf)));
    ASSERT_OK(vfs_unlink(&fs->view, LINUX_AT_FDCWD, "/two"));
    ASSERT_OK(fs_stat(fs, "/e/uno", &ks));
    ASSERT_EQ(ks.nlink, 1);
    ASSERT_OK(vfs_unlink(&fs->view, LINUX_AT_FDCWD, "/e/uno"));
    ASSERT_OK(vfs_unlink(&fs->view, LINUX_AT_FDCWD, "/e/link"));
    ASSERT_OK(vfs_unlink(&fs->view, LINUX_AT_FDCWD, "/e/fifo"));
    ASSERT_OK(fs_list(fs, "/e", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "");
    ASSERT_OK(vfs_rmdir(&fs->view, LINUX_AT_FDCWD, "/e"));
    ASSERT_OK(fs_list(fs, "/", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "");
    end(&f);
}

TEST(unlinked_file_goes_on) {
    struct fixture f;
    start(&f, NULL);
    struct file *file;
    struct kstat ks;
    char buf[10];
    ASSERT_OK(fs_open(&f.fs, "/tmp", LINUX_O_RDWR | LINUX_O_CREAT, 0600, &file));
    ASSERT_EQ(fs_pwrite(file, "data", 4, 0), 4);
    ASSERT_OK(vfs_unlink(&f.fs.view, LINUX_AT_FDCWD, "/tmp"));
    ASSERT_EQ(fs_pread(file, buf, 10, 0), 4);
    ASSERT_OK(vfs_getattr(&file->path, &ks));
    ASSERT_EQ(ks.nlink, 0);
    ASSERT_EQ(ks.size, 4);
    ASSERT_OK(fs_write_file(&f.fs, "/tmp", "another"));
    ASSERT_EQ(fs_pread(file, buf, 10, 0), 4);
    file_unref(file);
    end(&f);
}

TEST(setattr_through_the_vfs) {
    struct fixture f;
    start(&f, NULL);
    struct path p;
    struct kstat ks;
    host_write(&f, "file", "0123456789");
    ASSERT_OK(path_lookup(&f.fs.view, LINUX_AT_FDCWD, "/file", 0, &p));
    struct setattr s = {.mask = SETATTR_MODE | SETATTR_MTIME, .mode = 0640, .mtime_ns = -1500000000};
    ASSERT_OK(vfs_setattr(&p, &s, f.fs.creds));
    ASSERT_OK(vfs_getattr(&p, &ks));
    ASSERT_EQ(ks.mode & 07777, 0640);
    ASSERT_EQ(p.dentry->inode->mode, 0640);
    ASSERT_EQ(ks.mtime_ns, -1500000000);
    ASSERT_OK(vfs_truncate(&p, 4, false, f.fs.creds));
    ASSERT_OK(vfs_getattr(&p, &ks));
    ASSERT_EQ(ks.size, 4);
    path_put(&p);
    end(&f);
}

/* After a listing, looking at what it showed costs no message: the gofer is stopped and would not answer. */
TEST(listing_answers_lookups) {
    struct fixture f;
    start(&f, NULL);
    ASSERT_OK(mkdirat(f.gofer.dir, "d", 0755));
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof(name), "d/file%03d", i);
        host_write(&f, name, "x");
    }
    char buf[8192];
    ASSERT_OK(fs_list(&f.fs, "/d", buf, sizeof(buf)));
    ASSERT_EQ(strlen(buf), 300 * 8);
    kill(f.gofer.pid, SIGSTOP);
    struct kstat ks;
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof(name), "/d/file%03d", i);
        ASSERT_OK(fs_stat(&f.fs, name, &ks));
        ASSERT_EQ(ks.size, 1);
    }
    ASSERT_EQ(fs_stat(&f.fs, "/d/absent", &ks), -ENOENT);
    kill(f.gofer.pid, SIGCONT);
    ASSERT_OK(
        fs_read_file(&f.fs, "/d/file007", buf, sizeof(buf))); /* and a handle is made when it is needed */
    ASSERT_STREQ(buf, "x");
    ASSERT_OK(vfs_unlink(&f.fs.view, LINUX_AT_FDCWD, "/d/file008"));
    ASSERT_EQ(fs_stat(&f.fs, "/d/file008", &ks), -ENOENT);
    ASSERT_OK(fs_write_file(&f.fs, "/d/absent", "now"));
    ASSERT_OK(fs_stat(&f.fs, "/d/absent", &ks));
    end(&f);
}

TEST(opens_again_without_a_message) {
    struct fixture f;
    start(&f, NULL);
    char buf[16];
    host_write(&f, "file", "content");
    ASSERT_OK(fs_read_file(&f.fs, "/file", buf, sizeof(buf)));
    kill(f.gofer.pid, SIGSTOP);
    ASSERT_OK(fs_read_file(&f.fs, "/file", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "content");
    kill(f.gofer.pid, SIGCONT);
    end(&f);
}

static void sees_host_changes(uint32_t flags) {
    struct fixture f;
    start(&f, &(struct gofer_fixture_options){.root_flags = flags});
    struct kstat ks;
    char buf[100];
    ASSERT_EQ(fs_stat(&f.fs, "/file", &ks), -ENOENT); /* a negative dentry */
    host_write(&f, "file", "one");
    ASSERT_OK(fs_read_file(&f.fs, "/file", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "one");
    host_write(&f, "file", "three");
    ASSERT_OK(fs_stat(&f.fs, "/file", &ks));
    ASSERT_EQ(ks.size, 5);
    ASSERT_OK(fchmodat(f.gofer.dir, "file", 0600, 0));
    ASSERT_OK(fs_stat(&f.fs, "/file", &ks));
    ASSERT_EQ(ks.mode & 0777, 0600);
    host_write(&f, "replacement", "replaced!");
    ASSERT_OK(renameat(f.gofer.dir, "replacement", f.gofer.dir, "file"));
    ASSERT_OK(fs_read_file(&f.fs, "/file", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "replaced!");
    ASSERT_OK(mkdirat(f.gofer.dir, "d", 0755));
    ASSERT_OK(fs_list(&f.fs, "/", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "d file ");
    ASSERT_OK(fs_list(&f.fs, "/d", buf, sizeof(buf)));
    host_write(&f, "d/x", "");
    ASSERT_OK(fs_list(&f.fs, "/d", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "x ");
    ASSERT_OK(fs_stat(&f.fs, "/d/x", &ks));
    ASSERT_OK(renameat(f.gofer.dir, "d", f.gofer.dir, "e"));
    ASSERT_EQ(fs_stat(&f.fs, "/d/x", &ks), -ENOENT);
    ASSERT_OK(fs_stat(&f.fs, "/e/x", &ks));
    ASSERT_OK(unlinkat(f.gofer.dir, "e/x", 0));
    ASSERT_EQ(fs_stat(&f.fs, "/e/x", &ks), -ENOENT);
    end(&f);
}

TEST(watched_root_sees_host_changes) {
    sees_host_changes(GOFER_ROOT_WATCHED);
}

TEST(shared_root_sees_host_changes) {
    sees_host_changes(GOFER_ROOT_SHARED);
}

TEST(watched_root_answers_from_its_cache) {
    struct fixture f;
    start(&f, &(struct gofer_fixture_options){.root_flags = GOFER_ROOT_WATCHED});
    struct kstat ks;
    host_write(&f, "file", "one");
    ASSERT_OK(fs_stat(&f.fs, "/file", &ks));
    ASSERT_EQ(fs_stat(&f.fs, "/none", &ks), -ENOENT);
    ASSERT_EQ(fs_stat(&f.fs, "/none", &ks), -ENOENT);
    ASSERT_OK(fs_stat(&f.fs, "/file", &ks));
    kill(f.gofer.pid, SIGSTOP);
    for (int i = 0; i < 100; i++) {
        ASSERT_OK(fs_stat(&f.fs, "/file", &ks));
        ASSERT_EQ(fs_stat(&f.fs, "/none", &ks), -ENOENT);
    }
    kill(f.gofer.pid, SIGCONT);
    end(&f);
}

TEST_TIMEOUT(overflowed_event_queue_distrusts_all, 180) {
    struct fixture f;
    start(&f, &(struct gofer_fixture_options){.root_flags = GOFER_ROOT_WATCHED});
    struct kstat ks;
    host_write(&f, "file", "one");
    ASSERT_OK(fs_stat(&f.fs, "/file", &ks));
    ASSERT_EQ(fs_stat(&f.fs, "/last", &ks), -ENOENT);
    for (int i = 0; i < 7000; i++) { /* three events each; fs.inotify.max_queued_events is 16384 */
        ASSERT_OK(fchmodat(f.gofer.dir, "file", 0600 | (i & 7), 0));
        ASSERT_OK(mkdirat(f.gofer.dir, "t", 0700));
        ASSERT_OK(unlinkat(f.gofer.dir, "t", AT_REMOVEDIR));
    }
    host_write(&f, "last", "x");
    ASSERT_OK(fs_stat(&f.fs, "/last", &ks));
    end(&f);
}

TEST(handles_are_given_back_when_they_run_out) {
    struct fixture f;
    start(&f, &(struct gofer_fixture_options){.nofile = 512});
    char name[32], buf[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "file%d", i);
        host_write(&f, name, name);
    }
    for (int i = 0; i < 1000; i++) {
        struct kstat ks;
        snprintf(name, sizeof(name), "/file%d", i);
        ASSERT_OK(fs_stat(&f.fs, name, &ks));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "/file%d", i);
        ASSERT_OK(fs_read_file(&f.fs, name, buf, sizeof(buf)));
        ASSERT_STREQ(buf, name + 1);
    }
    end(&f);
}

TEST(own_descriptors_run_out) {
    struct fixture f;
    start(&f, NULL);
    char name[32], buf[16];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "file%d", i);
        host_write(&f, name, name);
    }
    struct rlimit limit = {100, 100};
    ASSERT_OK(setrlimit(RLIMIT_NOFILE, &limit));
    for (int i = 0; i < 200; i++) { /* each stays open for the next time, as long as there is room */
        snprintf(name, sizeof(name), "/file%d", i);
        ASSERT_OK(fs_read_file(&f.fs, name, buf, sizeof(buf)));
        ASSERT_STREQ(buf, name + 1);
    }
    end(&f);
}

TEST(watched_directories_are_given_up_last) {
    struct fixture f;
    start(&f, &(struct gofer_fixture_options){.root_flags = GOFER_ROOT_WATCHED, .nofile = 512});
    char name[32], buf[16];
    struct kstat ks;
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        ASSERT_OK(mkdirat(f.gofer.dir, name, 0755));
    }
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "/d%d/none", i);
        ASSERT_EQ(fs_stat(&f.fs, name, &ks), -ENOENT);
    }
    host_write(&f, "d0/none", "now"); /* its watch is gone: nothing cached of it is believed */
    ASSERT_OK(fs_read_file(&f.fs, "/d0/none", buf, sizeof(buf)));
    ASSERT_STREQ(buf, "now");
    host_write(&f, "d599/none", "too");
    ASSERT_OK(fs_stat(&f.fs, "/d599/none", &ks));
    end(&f);
}

/* A bind-mounted file, like /etc/resolv.conf of a container. */
static void file_as_root(uint32_t flags) {
    struct fixture f;
    start(&f, &(struct gofer_fixture_options){.root_flags = flags, .file_root = true});
    struct file *file;
    struct kstat ks;
    char buf[16];
    ASSERT_OK(vfs_getattr(&f.fs.view.root, &ks));
    ASSERT_EQ(ks.mode & S_IFMT, S_IFREG);
    ASSERT_EQ(ks.size, 5);
    host_write(&f, "file", "changed");
    ASSERT_OK(vfs_getattr(&f.fs.view.root, &ks));
    ASSERT_EQ(ks.size, 7);
    ASSERT_OK(vfs_open_path(&f.fs.view, &f.fs.view.root, LINUX_O_RDWR, &file));
    ASSERT_EQ(fs_pread(file, buf, sizeof(buf), 0), 7);
    ASSERT_EQ(fs_pwrite(file, "guest", 5, FILE_APPEND), 5);
    ASSERT_OK(vfs_getattr(&file->path, &ks));
    ASSERT_EQ(ks.size, 12);
    file_unref(file);
    end(&f);
}

TEST(file_as_shared_root) {
    file_as_root(GOFER_ROOT_SHARED);
}

TEST(file_as_watched_root) {
    file_as_root(GOFER_ROOT_WATCHED);
}

TEST(mapping_gives_the_right_descriptor) {
    struct fixture f;
    start(&f, NULL);
    host_write(&f, "file", "0123456789");
    struct file *file;
    struct mappable *m;
    struct host_range r;
    ASSERT_OK(fs_open(&f.fs, "/file", LINUX_O_RDONLY, 0, &file));
    struct mmap_request q = {.len = 4096, .prot = LINUX_PROT_READ, .flags = LINUX_MAP_SHARED, .file = file};
    ASSERT_OK(file->ops->mmap(file, &q, &m));
    ASSERT_OK(m->ops->range(m, 0, 8192, true, false, &r));
    ASSERT_EQ(r.len, 4096);
    ASSERT_EQ(r.offset, 0);
    ASSERT_EQ(fcntl(r.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    ASSERT_OK(m->ops->range(m, 4096, 4096, true, false, &r));
    ASSERT_EQ(r.fd, -1);
    file_unref(file);
    mappable_unref(m);
    ASSERT_OK(fs_open(&f.fs, "/file", LINUX_O_RDWR, 0, &file));
    q.prot |= LINUX_PROT_WRITE;
    ASSERT_OK(file->ops->mmap(file, &q, &m));
    file_unref(file); /* the mapping keeps the descriptor */
    ASSERT_OK(m->ops->range(m, 0, 4096, true, true, &r));
    ASSERT_EQ(fcntl(r.fd, F_GETFL) & O_ACCMODE, O_RDWR);
    ASSERT_OK(m->ops->range(m, 0, 4096, true, false, &r));
    ASSERT_EQ(fcntl(r.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    mappable_unref(m);
    end(&f);
}

TEST(dead_gofer_is_eio) {
    struct fixture f;
    start(&f, NULL);
    struct kstat ks;
    kill(f.gofer.pid, SIGKILL);
    test_wait(f.gofer.pid);
    ASSERT_EQ(fs_stat(&f.fs, "/x", &ks), -EIO);
    gofer_session_unref(f.session);
    fs_fixture_end(&f.fs);
    close(f.gofer.dir);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", f.gofer.path);
    ASSERT_EQ(system(command), 0);
}

TEST(many_threads_change_names) {
    struct fixture f;
    start(&f, NULL);
    fs_stress(&f.fs, 6, 3000);
    end(&f);
}

TEST(many_threads_change_names_in_a_watched_root) {
    struct fixture f;
    start(&f, &(struct gofer_fixture_options){.root_flags = GOFER_ROOT_WATCHED});
    fs_stress(&f.fs, 6, 1500);
    end(&f);
}

TEST(many_threads_change_names_in_a_shared_root) {
    struct fixture f;
    start(&f, &(struct gofer_fixture_options){.root_flags = GOFER_ROOT_SHARED});
    fs_stress(&f.fs, 6, 1500);
    end(&f);
}

TEST_TIMEOUT(memory_runs_out, 120) {
    struct fixture f;
    start(&f, NULL);
    fs_starve(&f.fs);
    end(&f);
}
