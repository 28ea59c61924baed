/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/vfs/files_test.c: what tmpfs files and directories do, locks, xattrs, inotify.
 */
#include <pthread.h>
#include <unistd.h>

#include "base/abi/linux/dirent.h"
#include "base/abi/linux/poll.h"
#include "base/abi/linux/time.h"
#include "base/abi/linux/xattr.h"
#include "tests/unit/vfs/vfs_fixture.h"

#define f (*fp)

/* Lists a directory in pieces of `size` bytes; the number of entries, or -errno. Names' first letters are
 * xored to see that each came once. */
static int64_t count_entries(struct fixture *fp, int64_t fd, size_t size, unsigned *ret_seen) {
    static char buf[65536];
    int64_t total = 0;

    *ret_seen = 0;
    for (;;) {
        gva_t at = room(&f, size);
        int64_t n = CALL(getdents64, (uint64_t)fd, at, size);
        if (n <= 0)
            return n < 0 ? n : total;
        get(&f, buf, at, (size_t)n);
        for (int64_t i = 0; i < n;) {
            struct linux_dirent64 *d = (struct linux_dirent64 *)(void *)(buf + i);
            unsigned number = 0;
            if (sscanf(d->name, "n%u", &number) == 1)
                *ret_seen ^= number * 2654435761u;
            i += d->reclen;
            total++;
        }
    }
}

WITH_FIXTURE(getdents_in_pieces_while_changing) {
    char name[32];
    unsigned want = 0, seen;

    ASSERT_OK(CALL(mkdir, S("/d"), 0755));
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "/d/n%u", i);
        int64_t fd = do_open(&f, name, LINUX_O_CREAT | LINUX_O_WRONLY, 0644);
        ASSERT_OK(fd);
        ASSERT_OK(CALL(close, (uint64_t)fd));
        want ^= i * 2654435761u;
    }
    int64_t d = do_open(&f, "/d", LINUX_O_RDONLY | LINUX_O_DIRECTORY, 0);
    ASSERT_EQ(CALL(getdents64, (uint64_t)d, room(&f, 32), 10), -EINVAL);
    ASSERT_EQ(count_entries(&f, d, 200, &seen), 1002);
    ASSERT_EQ(seen, want);
    ASSERT_EQ(CALL(lseek, (uint64_t)d, 0, 0), 0);
    ASSERT_EQ(count_entries(&f, d, 40000, &seen), 1002);
    ASSERT_EQ(CALL(lseek, (uint64_t)d, 0, 0), 0);
    /* Half read, then all removed: the rest is gone, no entry comes twice. */
    ASSERT_GT(CALL(getdents64, (uint64_t)d, room(&f, 4096), 4096), 0);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "/d/n%u", i);
        ASSERT_OK(CALL(unlink, S(name)));
    }
    ASSERT_EQ(count_entries(&f, d, 4096, &seen), 0);
    ASSERT_OK(CALL(rmdir, S("/d")));
    ASSERT_EQ(CALL(getdents64, (uint64_t)d, room(&f, 4096), 4096), -ENOENT);
    int64_t file = do_open(&f, "/x", LINUX_O_CREAT | LINUX_O_RDWR, 0644);
    ASSERT_EQ(CALL(getdents64, (uint64_t)file, room(&f, 64), 64), -ENOTDIR);
    ASSERT_EQ(CALL(read, (uint64_t)do_open(&f, "/", LINUX_O_RDONLY, 0), room(&f, 8), 8), -EISDIR);
}

WITH_FIXTURE(holes_truncate_and_fallocate) {
    struct linux_stat st;

    int64_t fd = do_open(&f, "/s", LINUX_O_CREAT | LINUX_O_RDWR, 0644);
    ASSERT_EQ(CALL(pwrite64, (uint64_t)fd, S("end"), 3, 1 << 20), 3);
    ASSERT_EQ(CALL(lseek, (uint64_t)fd, 0, LINUX_SEEK_END), (1 << 20) + 3);
    ASSERT_EQ(CALL(lseek, (uint64_t)fd, 0, LINUX_SEEK_DATA), 1 << 20);
    ASSERT_EQ(CALL(lseek, (uint64_t)fd, 0, LINUX_SEEK_HOLE), 0);
    ASSERT_EQ(CALL(lseek, (uint64_t)fd, 2 << 20, LINUX_SEEK_DATA), -ENXIO);
    ASSERT_EQ(CALL(lseek, (uint64_t)fd, -1, LINUX_SEEK_SET), -EINVAL);
    ASSERT_OK(stat_of(&f, "/s", &st));
    ASSERT_LE(st.blocks, 16);
    ASSERT_OK(CALL(ftruncate, (uint64_t)fd, 10));
    ASSERT_OK(CALL(ftruncate, (uint64_t)fd, 20));
    ASSERT_EQ(CALL(lseek, (uint64_t)fd, 0, LINUX_SEEK_SET), 0);
    ASSERT_EQ(CALL(read, (uint64_t)fd, room(&f, 100), 100), 20);
    ASSERT_OK(CALL(fallocate, (uint64_t)fd, 0, 0, 100000));
    ASSERT_OK(stat_of(&f, "/s", &st));
    ASSERT_EQ(st.size, 100000);
    ASSERT_EQ(CALL(pwrite64, (uint64_t)fd, S("xyz"), 3, 4096), 3);
    ASSERT_EQ(CALL(fallocate, (uint64_t)fd, LINUX_FALLOC_FL_PUNCH_HOLE, 0, 10), -EOPNOTSUPP);
    ASSERT_OK(CALL(fallocate, (uint64_t)fd, LINUX_FALLOC_FL_PUNCH_HOLE | LINUX_FALLOC_FL_KEEP_SIZE, 4096, 2));
    gva_t at = room(&f, 4);
    char text[4] = "";
    ASSERT_EQ(CALL(pread64, (uint64_t)fd, at, 3, 4096), 3);
    get(&f, text, at, 3);
    ASSERT_MEMEQ(text, "\0\0z", 3);
    ASSERT_EQ(CALL(fallocate, (uint64_t)fd, 0, 0, 0), -EINVAL);
    ASSERT_EQ(CALL(truncate, S("/"), 0), -EISDIR);
    ASSERT_EQ(CALL(truncate, S("/s"), -1), -EINVAL);
    f.t->group->limits[LINUX_RLIMIT_FSIZE].cur = 100;
    ASSERT_EQ(CALL(pwrite64, (uint64_t)fd, S("abcdef"), 6, 97), 3);
    ASSERT_EQ(CALL(pwrite64, (uint64_t)fd, S("abcdef"), 6, 97 + (1u << 20)), -EFBIG);
}

WITH_FIXTURE(append_and_rwf) {
    struct {
        uint64_t base, len;
    } iov[2];

    write_file(&f, "/a", "start");
    int64_t fd = do_open(&f, "/a", LINUX_O_RDWR | LINUX_O_APPEND, 0);
    ASSERT_EQ(write_str(&f, fd, "+1"), 2);
    ASSERT_EQ(CALL(lseek, (uint64_t)fd, 0, LINUX_SEEK_CUR), 7);
    ASSERT_EQ(CALL(pwrite64, (uint64_t)fd, S("+2"), 2, 0), 2); /* Linux appends here too */
    ASSERT_STREQ(read_file(&f, "/a"), "start+1+2");
    ASSERT_OK(CALL(fcntl, (uint64_t)fd, LINUX_F_SETFL, 0));
    ASSERT_EQ(CALL(fcntl, (uint64_t)fd, LINUX_F_GETFL, 0), LINUX_O_RDWR | LINUX_O_LARGEFILE);
    iov[0].base = S("AB");
    iov[0].len = 2;
    iov[1].base = S("C");
    iov[1].len = 1;
    ASSERT_EQ(CALL(pwritev2, (uint64_t)fd, put(&f, iov, sizeof iov), 2, 1, 0, 0), 3);
    ASSERT_EQ(CALL(pwritev2, (uint64_t)fd, put(&f, iov, sizeof iov), 2, 0, 0, LINUX_RWF_APPEND), 3);
    ASSERT_STREQ(read_file(&f, "/a"), "sABCt+1+2ABC");
    ASSERT_EQ(CALL(pwritev2, (uint64_t)fd, put(&f, iov, sizeof iov), 2, 0, 0, 0x1000), -EOPNOTSUPP);
    ASSERT_EQ(CALL(writev, (uint64_t)fd, put(&f, iov, sizeof iov), 1025), -EINVAL);
    ASSERT_EQ(CALL(preadv, (uint64_t)fd, put(&f, iov, sizeof iov), 2, -1), -EINVAL);
    ASSERT_EQ(CALL(read, (uint64_t)fd, 8 /* nothing mapped */, 4), -EFAULT);
}

WITH_FIXTURE(xattrs) {
    gva_t buf = room(&f, 256);
    char text[64];

    write_file(&f, "/x", "");
    ASSERT_EQ(CALL(getxattr, S("/x"), S("user.a"), buf, 10), -ENODATA);
    ASSERT_OK(CALL(setxattr, S("/x"), S("user.a"), S("value"), 5, 0));
    ASSERT_EQ(CALL(setxattr, S("/x"), S("user.a"), S("value"), 5, LINUX_XATTR_CREATE), -EEXIST);
    ASSERT_EQ(CALL(setxattr, S("/x"), S("user.b"), S("value"), 5, LINUX_XATTR_REPLACE), -ENODATA);
    ASSERT_EQ(CALL(setxattr, S("/x"), S("foo.b"), S("value"), 5, 0), -EOPNOTSUPP);
    ASSERT_EQ(CALL(setxattr, S("/x"), S(""), S("value"), 5, 0), -ERANGE);
    ASSERT_EQ(CALL(setxattr, S("/x"), S("user.big"), buf, 65537, 0), -E2BIG);
    ASSERT_OK(CALL(setxattr, S("/x"), S("trusted.overlay.opaque"), S("y"), 1, 0));
    ASSERT_EQ(CALL(getxattr, S("/x"), S("user.a"), buf, 0), 5);
    ASSERT_EQ(CALL(getxattr, S("/x"), S("user.a"), buf, 3), -ERANGE);
    ASSERT_EQ(CALL(getxattr, S("/x"), S("user.a"), buf, 100), 5);
    ASSERT_EQ(CALL(listxattr, S("/x"), buf, 100), 30);
    get(&f, text, buf, 30);
    ASSERT_MEMEQ(text, "user.a\0trusted.overlay.opaque", 30);
    struct task *other = fixture_task(&f, false);
    fixture_become(other, 1000, 1000);
    ASSERT_EQ(CALL_ON(other, listxattr, S("/x"), buf, 100), 7);
    ASSERT_EQ(CALL_ON(other, getxattr, S("/x"), S("trusted.overlay.opaque"), buf, 100), -ENODATA);
    ASSERT_EQ(CALL_ON(other, setxattr, S("/x"), S("user.c"), S("v"), 1, 0), -EACCES);
    ASSERT_EQ(CALL_ON(other, setxattr, S("/x"), S("trusted.c"), S("v"), 1, 0), -EPERM);
    ASSERT_OK(CALL(removexattr, S("/x"), S("user.a")));
    ASSERT_EQ(CALL(removexattr, S("/x"), S("user.a")), -ENODATA);
    fixture_task_done(other);
}

static int64_t lock(struct task *t, struct fixture *fp, int64_t fd, int cmd, int type, int64_t start,
                    int64_t len) {
    struct linux_flock fl = {.type = (int16_t)type, .start = start, .len = len};

    return CALL_ON(t, fcntl, (uint64_t)fd, (uint64_t)cmd, put(&f, &fl, sizeof fl));
}

struct locker {
    struct task *t;
    int64_t fd, result;
    gva_t lock;
    pthread_t thread;
};

static void *locker_main(void *arg) {
    struct locker *l = arg;

    l->result = CALL_ON(l->t, fcntl, (uint64_t)l->fd, LINUX_F_SETLKW, l->lock);
    return NULL;
}

WITH_FIXTURE(record_locks_conflict_split_and_deadlock) {
    int64_t fd = do_open(&f, "/l", LINUX_O_CREAT | LINUX_O_RDWR, 0644);
    struct linux_flock fl;

    struct task *other =
        fixture_task(&f, false); /* shares the open file, not the descriptors: another owner */
    ASSERT_OK(lock(f.t, &f, fd, LINUX_F_SETLK, LINUX_F_WRLCK, 0, 100));
    ASSERT_EQ(lock(other, &f, fd, LINUX_F_SETLK, LINUX_F_RDLCK, 50, 1), -EAGAIN);
    ASSERT_OK(lock(f.t, &f, fd, LINUX_F_SETLK, LINUX_F_UNLCK, 40, 20));
    ASSERT_OK(lock(other, &f, fd, LINUX_F_SETLK, LINUX_F_RDLCK, 40, 20));
    ASSERT_EQ(lock(f.t, &f, fd, LINUX_F_SETLK, LINUX_F_WRLCK, 30, 11), -EAGAIN);
    fl = (struct linux_flock){.type = LINUX_F_WRLCK, .start = 45, .len = 0};
    gva_t at = put(&f, &fl, sizeof fl);
    ASSERT_OK(CALL(fcntl, (uint64_t)fd, LINUX_F_GETLK, at));
    get(&f, &fl, at, sizeof fl);
    ASSERT_EQ(fl.type, LINUX_F_RDLCK);
    ASSERT_EQ(fl.start, 40);
    ASSERT_EQ(fl.len, 20);
    ASSERT_EQ(fl.pid, task_tgid(other));
    /* Each holds one and wants the other's. */
    ASSERT_OK(lock(f.t, &f, fd, LINUX_F_SETLK, LINUX_F_UNLCK, 0, 0));
    ASSERT_OK(lock(other, &f, fd, LINUX_F_SETLK, LINUX_F_UNLCK, 0, 0));
    ASSERT_OK(lock(f.t, &f, fd, LINUX_F_SETLK, LINUX_F_WRLCK, 0, 1));
    ASSERT_OK(lock(other, &f, fd, LINUX_F_SETLK, LINUX_F_WRLCK, 1, 1));
    fl = (struct linux_flock){.type = LINUX_F_WRLCK, .start = 0, .len = 1};
    struct locker l = {.t = other, .fd = fd, .lock = put(&f, &fl, sizeof fl)};
    ASSERT_EQ(pthread_create(&l.thread, NULL, locker_main, &l), 0);
    usleep(5000);
    ASSERT_EQ(lock(f.t, &f, fd, LINUX_F_SETLKW, LINUX_F_WRLCK, 1, 1), -EDEADLK);
    ASSERT_OK(lock(f.t, &f, fd, LINUX_F_SETLK, LINUX_F_UNLCK, 0, 1));
    ASSERT_EQ(pthread_join(l.thread, NULL), 0);
    ASSERT_EQ(l.result, 0);
    /* Closing any descriptor of the file drops the process's locks. */
    int64_t fd2 = CALL_ON(other, open, S("/l"), LINUX_O_RDONLY);
    ASSERT_OK(CALL_ON(other, close, (uint64_t)fd2));
    ASSERT_OK(lock(f.t, &f, fd, LINUX_F_SETLK, LINUX_F_WRLCK, 0, 0));
    int64_t ro = do_open(&f, "/l", LINUX_O_RDONLY, 0);
    ASSERT_EQ(lock(f.t, &f, ro, LINUX_F_SETLK, LINUX_F_WRLCK, 0, 0), -EBADF);
    fixture_task_done(other);
}

WITH_FIXTURE(ofd_and_flock_belong_to_the_open_file) {
    int64_t a = do_open(&f, "/l", LINUX_O_CREAT | LINUX_O_RDWR, 0644), b = do_open(&f, "/l", LINUX_O_RDWR, 0);

    ASSERT_OK(CALL(flock, (uint64_t)a, LINUX_LOCK_EX));
    ASSERT_EQ(CALL(flock, (uint64_t)b, LINUX_LOCK_SH | LINUX_LOCK_NB), -EAGAIN);
    ASSERT_OK(CALL(flock, (uint64_t)a, LINUX_LOCK_SH));
    ASSERT_OK(CALL(flock, (uint64_t)b, LINUX_LOCK_SH | LINUX_LOCK_NB));
    ASSERT_EQ(CALL(flock, (uint64_t)a, LINUX_LOCK_EX | LINUX_LOCK_NB), -EAGAIN);
    ASSERT_EQ(CALL(flock, (uint64_t)a, 77), -EINVAL);
    ASSERT_OK(lock(f.t, &f, a, LINUX_F_OFD_SETLK, LINUX_F_WRLCK, 0, 10));
    ASSERT_EQ(lock(f.t, &f, b, LINUX_F_OFD_SETLK, LINUX_F_WRLCK, 5, 10), -EAGAIN);
    ASSERT_EQ(lock(f.t, &f, b, LINUX_F_SETLK, LINUX_F_WRLCK, 5, 10), -EAGAIN);
    int64_t a2 = CALL(dup, (uint64_t)a);
    ASSERT_OK(CALL(close, (uint64_t)a));
    ASSERT_EQ(lock(f.t, &f, b, LINUX_F_OFD_SETLK, LINUX_F_WRLCK, 5, 10), -EAGAIN);
    ASSERT_OK(CALL(close, (uint64_t)a2));
    ASSERT_OK(lock(f.t, &f, b, LINUX_F_OFD_SETLK, LINUX_F_WRLCK, 5, 10));
}

/* The next event as "mask name". */
static const char *next_event(struct fixture *fp, int64_t in) {
    static char text[500], raw[400];
    static int64_t have, at;

    if (at == have) {
        gva_t to = room(&f, sizeof raw);
        have = at = 0;
        int64_t n = CALL(read, (uint64_t)in, to, sizeof raw);
        if (n < 0)
            return strerrorname_np((int)-n);
        get(&f, raw, to, (size_t)n);
        have = n;
    }
    struct linux_inotify_event *e = (struct linux_inotify_event *)(void *)(raw + at);
    snprintf(text, sizeof text, "%x %s", e->mask, e->len ? e->name : "-");
    at += (int64_t)(sizeof *e + e->len);
    return text;
}

WITH_FIXTURE(inotify_tells_what_happens) {
    ASSERT_OK(CALL(mkdir, S("/d"), 0755));
    int64_t in = CALL(inotify_init1, LINUX_IN_NONBLOCK);
    ASSERT_OK(in);
    ASSERT_EQ(CALL(inotify_add_watch, (uint64_t)in, S("/d"), 0), -EINVAL);
    ASSERT_EQ(CALL(inotify_add_watch, (uint64_t)in, S("/none"), LINUX_IN_ALL_EVENTS), -ENOENT);
    int64_t wd = CALL(inotify_add_watch, (uint64_t)in, S("/d"),
                      LINUX_IN_ALL_EVENTS & ~(LINUX_IN_OPEN | LINUX_IN_ACCESS));
    ASSERT_EQ(wd, 1);
    ASSERT_STREQ(next_event(&f, in), "EAGAIN");
    write_file(&f, "/d/a", "x");
    ASSERT_STREQ(next_event(&f, in), "100 a");
    ASSERT_STREQ(next_event(&f, in), "2 a");
    ASSERT_STREQ(next_event(&f, in), "8 a");
    ASSERT_OK(CALL(chmod, S("/d/a"), 0600));
    ASSERT_STREQ(next_event(&f, in), "4 a");
    ASSERT_OK(CALL(rename, S("/d/a"), S("/d/b")));
    ASSERT_STREQ(next_event(&f, in), "40 a");
    ASSERT_STREQ(next_event(&f, in), "80 b");
    ASSERT_OK(CALL(unlink, S("/d/b")));
    ASSERT_STREQ(next_event(&f, in), "200 b");
    ASSERT_OK(CALL(mkdir, S("/d/sub"), 0755));
    ASSERT_STREQ(next_event(&f, in), "40000100 sub");
    ASSERT_OK(CALL(rmdir, S("/d/sub")));
    ASSERT_STREQ(next_event(&f, in), "40000200 sub");
    ASSERT_OK(CALL(rmdir, S("/d")));
    ASSERT_STREQ(next_event(&f, in), "400 -");
    ASSERT_STREQ(next_event(&f, in), "8000 -");
    ASSERT_STREQ(next_event(&f, in), "EAGAIN");
    ASSERT_EQ(CALL(inotify_rm_watch, (uint64_t)in, (uint64_t)wd), -EINVAL);
    wd = CALL(inotify_add_watch, (uint64_t)in, S("/"), LINUX_IN_CREATE);
    ASSERT_OK(CALL(inotify_rm_watch, (uint64_t)in, (uint64_t)wd));
    ASSERT_STREQ(next_event(&f, in), "8000 -");
    ASSERT_OK(CALL(inotify_add_watch, (uint64_t)in, S("/"), LINUX_IN_CREATE)); /* left to the end */
}

WITH_FIXTURE(times) {
    struct linux_stat st;
    struct linux_timespec ts[2] = {{100, 5}, {-1, 999999999}};

    write_file(&f, "/t", "x");
    ASSERT_OK(CALL(utimensat, AT, S("/t"), put(&f, ts, sizeof ts), 0));
    ASSERT_OK(stat_of(&f, "/t", &st));
    ASSERT_EQ(st.atime_sec, 100);
    ASSERT_EQ(st.atime_nsec, 5);
    ASSERT_EQ(st.mtime_sec, -1);
    ASSERT_EQ(st.mtime_nsec, 999999999);
    ts[0].nsec = LINUX_UTIME_OMIT;
    ts[1].nsec = LINUX_UTIME_NOW;
    ASSERT_OK(CALL(utimensat, AT, S("/t"), put(&f, ts, sizeof ts), 0));
    ASSERT_OK(stat_of(&f, "/t", &st));
    ASSERT_EQ(st.atime_sec, 100);
    ASSERT_GT(st.mtime_sec, 1000000000);
    ts[0].nsec = 1000000000;
    ASSERT_EQ(CALL(utimensat, AT, S("/t"), put(&f, ts, sizeof ts), 0), -EINVAL);
}

WITH_FIXTURE(memfd_seals) {
    int64_t fd = CALL(memfd_create, S("m"), LINUX_MFD_ALLOW_SEALING);

    ASSERT_OK(fd);
    ASSERT_EQ(write_str(&f, fd, "data"), 4);
    ASSERT_OK(CALL(fcntl, (uint64_t)fd, LINUX_F_ADD_SEALS, LINUX_F_SEAL_SHRINK | LINUX_F_SEAL_GROW));
    ASSERT_EQ(CALL(ftruncate, (uint64_t)fd, 2), -EPERM);
    ASSERT_EQ(CALL(ftruncate, (uint64_t)fd, 10), -EPERM);
    ASSERT_EQ(write_str(&f, fd, "x"), -EPERM);
    ASSERT_EQ(CALL(pwrite64, (uint64_t)fd, S("zz"), 2, 0), 2);
    ASSERT_OK(CALL(fcntl, (uint64_t)fd, LINUX_F_ADD_SEALS, LINUX_F_SEAL_WRITE | LINUX_F_SEAL_SEAL));
    ASSERT_EQ(CALL(pwrite64, (uint64_t)fd, S("zz"), 2, 0), -EPERM);
    ASSERT_EQ(CALL(fcntl, (uint64_t)fd, LINUX_F_ADD_SEALS, LINUX_F_SEAL_WRITE), -EPERM);
    ASSERT_EQ(CALL(fcntl, (uint64_t)fd, LINUX_F_GET_SEALS, 0), 15);
    fd = CALL(memfd_create, S("n"), 0);
    ASSERT_EQ(CALL(fcntl, (uint64_t)fd, LINUX_F_ADD_SEALS, LINUX_F_SEAL_WRITE), -EPERM);
}
