/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/files.c: open, read, write, lseek, truncate and what they say when they fail. Sources:
 * open(2), read(2), write(2), lseek(2), truncate(2), fallocate(2), pread(2), readv(2), copy_file_range(2),
 * sendfile(2).
 */
#include "conform.h"

#include <sys/sendfile.h>

CHECK(open_missing) {
    ERR(open("no", O_RDONLY), ENOENT);
    ERR(open("no/such", O_RDONLY | O_CREAT, 0600), ENOENT);
    ERR(open("", O_RDONLY), ENOENT);
}

CHECK(open_creates_with_umask) {
    struct stat st;

    umask(027);
    close(OK(open("f", O_WRONLY | O_CREAT, 0777)));
    OK(stat("f", &st));
    EQ(st.st_mode, S_IFREG | 0750);
    EQ(st.st_size, 0);
    EQ(st.st_nlink, 1);
}

CHECK(open_excl) {
    close(OK(open("f", O_WRONLY | O_CREAT | O_EXCL, 0600)));
    ERR(open("f", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    OK(symlink("nowhere", "dangling"));
    ERR(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
}

CHECK(open_creates_through_dangling_link) {
    char text[16];

    OK(symlink("target", "link"));
    int fd = OK(open("link", O_WRONLY | O_CREAT, 0600));
    EQ(write(fd, "x", 1), 1);
    STREQ(get_file("target", text, sizeof text), "x");
}

CHECK(open_directory_flags) {
    OK(mkdir("d", 0755));
    put_file("f", "");
    ERR(open("d", O_WRONLY), EISDIR);
    ERR(open("d", O_RDWR), EISDIR);
    ERR(open("d", O_RDONLY | O_CREAT, 0600), EISDIR);
    ERR(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
    ERR(open("f/x", O_RDONLY), ENOTDIR);
    ERR(open("f/", O_RDONLY), ENOTDIR);
    ERR(open("new/", O_WRONLY | O_CREAT, 0600), EISDIR);
    int fd = OK(open("d", O_RDONLY | O_DIRECTORY));
    char c;
    ERR(read(fd, &c, 1), EISDIR);
    ERR(write(fd, &c, 1), EBADF);
}

CHECK(open_trunc) {
    char text[16];

    put_file("f", "content");
    close(OK(open("f", O_WRONLY | O_TRUNC)));
    STREQ(get_file("f", text, sizeof text), "");
}

CHECK(open_nofollow) {
    put_file("f", "x");
    OK(symlink("f", "l"));
    ERR(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
    int fd = OK(open("l", O_PATH | O_NOFOLLOW));
    struct stat st;
    OK(fstat(fd, &st));
    TRUE(S_ISLNK(st.st_mode));
    char to[8];
    EQ(readlinkat(fd, "", to, sizeof to), 1);
}

CHECK(open_path_descriptor) {
    char c;

    put_file("f", "x");
    int fd = OK(open("f", O_PATH));
    ERR(read(fd, &c, 1), EBADF);
    ERR(write(fd, &c, 1), EBADF);
    ERR(lseek(fd, 0, SEEK_SET), EBADF);
    ERR(fchmod(fd, 0600), EBADF);
    ERR(ftruncate(fd, 0), EBADF);
    EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
}

CHECK(open_tmpfile) {
    struct stat st;
    char text[16];
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);

    if (fd < 0 && errno == EOPNOTSUPP)
        check_skip("open(O_TMPFILE): EOPNOTSUPP on the host's /tmp");
    OK(fd);
    OK(fstat(fd, &st));
    EQ(st.st_nlink, 0);
    EQ(write(fd, "abc", 3), 3);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
    STREQ(get_file("named", text, sizeof text), "abc");
}

CHECK(access_modes_are_enforced_on_the_descriptor) {
    char c = 'x';

    put_file("f", "abc");
    int r = OK(open("f", O_RDONLY)), w = OK(open("f", O_WRONLY));
    ERR(write(r, &c, 1), EBADF);
    ERR(read(w, &c, 1), EBADF);
    ERR(ftruncate(r, 0), EINVAL);
    EQ(fcntl(r, F_GETFL) & O_ACCMODE, O_RDONLY);
    EQ(fcntl(w, F_GETFL) & O_ACCMODE, O_WRONLY);
}

CHECK(append_moves_to_the_end) {
    char text[32];

    put_file("f", "start");
    int fd = OK(open("f", O_RDWR | O_APPEND));
    EQ(lseek(fd, 0, SEEK_CUR), 0);
    EQ(write(fd, "-1", 2), 2);
    EQ(lseek(fd, 0, SEEK_CUR), 7);
    OK(lseek(fd, 0, SEEK_SET));
    EQ(write(fd, "-2", 2), 2);
    STREQ(get_file("f", text, sizeof text), "start-1-2");
    /* pwrite on an O_APPEND file appends too, whatever the offset (BUGS in pwrite(2)). */
    EQ(pwrite(fd, "-3", 2, 0), 2);
    EQ(lseek(fd, 0, SEEK_CUR), 9);
    STREQ(get_file("f", text, sizeof text), "start-1-2-3");
}

CHECK(lseek_rules) {
    int fd = make_file("f", "0123456789");

    EQ(lseek(fd, 4, SEEK_SET), 4);
    EQ(lseek(fd, -2, SEEK_CUR), 2);
    EQ(lseek(fd, -1, SEEK_END), 9);
    ERR(lseek(fd, -1, SEEK_SET), EINVAL);
    ERR(lseek(fd, -11, SEEK_END), EINVAL);
    ERR(lseek(fd, 0, 99), EINVAL);
    EQ(lseek(fd, 0, SEEK_CUR), 9);
    EQ(lseek(fd, 100, SEEK_SET), 100);
    char c;
    EQ(read(fd, &c, 1), 0);
    ERR(lseek(-1, 0, SEEK_SET), EBADF);
    ERR(lseek(fd, INT64_MAX, SEEK_CUR), EINVAL);
}

CHECK(writing_past_the_end_leaves_zeros) {
    char buffer[64], zeros[40] = {0};
    struct stat st;
    int fd = make_file("f", "ab");

    EQ(pwrite(fd, "z", 1, 42), 1);
    OK(fstat(fd, &st));
    EQ(st.st_size, 43);
    EQ(pread(fd, buffer, sizeof buffer, 0), 43);
    MEMEQ(buffer + 2, zeros, 40);
    EQ(buffer[42], 'z');
}

CHECK(seek_data_and_hole) {
    int fd = make_file("f", "");

    OK(ftruncate(fd, 1 << 20));
    EQ(pwrite(fd, "x", 1, 512 << 10), 1);
    off_t data = OK(lseek(fd, 0, SEEK_DATA));
    off_t hole = OK(lseek(fd, 512 << 10, SEEK_HOLE));
    /* A file system may report everything as data. */
    TRUE(data >= 0 && data <= 512 << 10);
    TRUE(hole > 512 << 10 && hole <= 1 << 20);
    ERR(lseek(fd, 1 << 20, SEEK_DATA), ENXIO);
    ERR(lseek(fd, 2 << 20, SEEK_HOLE), ENXIO);
}

CHECK(pread_pwrite_leave_the_position) {
    char b[8];
    int fd = make_file("f", "0123456789");

    OK(lseek(fd, 3, SEEK_SET));
    EQ(pread(fd, b, 2, 7), 2);
    MEMEQ(b, "78", 2);
    EQ(pwrite(fd, "AB", 2, 0), 2);
    EQ(lseek(fd, 0, SEEK_CUR), 3);
    ERR(pread(fd, b, 2, -1), EINVAL);
    EQ(pread(fd, b, 2, 100), 0);
    int p[2];
    OK(pipe(p));
    ERR(pread(p[0], b, 1, 0), ESPIPE);
    ERR(lseek(p[0], 0, SEEK_CUR), ESPIPE);
}

CHECK(vectors) {
    char a[4], b[4], c[8];
    int fd = make_file("f", "0123456789");
    struct iovec in[3] = {{a, 3}, {b, 0}, {c, 7}};

    EQ(readv(fd, in, 3), 10);
    MEMEQ(a, "012", 3);
    MEMEQ(c, "3456789", 7);
    OK(lseek(fd, 0, SEEK_SET));
    struct iovec out[2] = {{(void *)"XY", 2}, {(void *)"Z", 1}};
    EQ(writev(fd, out, 2), 3);
    EQ(pwritev(fd, out, 2, 8), 3);
    char text[32];
    STREQ(get_file("f", text, sizeof text), "XYZ34567XYZ");
    EQ(preadv(fd, in, 3, 9), 2);
    ERR(readv(fd, in, -1), EINVAL);
    EQ(readv(fd, in, 0), 0);
    ERR(readv(fd, in, 1025), EINVAL);
    struct iovec huge[2] = {{a, SIZE_MAX / 2}, {b, SIZE_MAX / 2 + 10}};
    ERR(readv(fd, huge, 2), EINVAL);
}

CHECK(preadv2_flags) {
    char a[4];
    int fd = make_file("f", "0123");
    struct iovec v = {a, 2};

    OK(lseek(fd, 1, SEEK_SET));
    EQ(preadv2(fd, &v, 1, -1, 0), 2);
    MEMEQ(a, "12", 2);
    EQ(lseek(fd, 0, SEEK_CUR), 3);
    EQ(preadv2(fd, &v, 1, 0, 0), 2);
    ERR(preadv2(fd, &v, 1, 0, 0x40000000), EOPNOTSUPP);
    EQ(pwritev2(fd, &v, 1, 0, RWF_APPEND), 2);
    char text[16];
    STREQ(get_file("f", text, sizeof text), "012301");
}

CHECK(bad_buffers) {
    int fd = make_file("f", "0123456789");
    char *page = OKP(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

    OK(mprotect(page + 4096, 4096, PROT_NONE));
    ERR(read(fd, page + 4096, 1), EFAULT);
    ERR(write(fd, page + 4096, 1), EFAULT);
    ERR(read(fd, (void *)-4096l, 4096), EFAULT);
    EQ(read(fd, page + 4096, 0), 0);
    /* Half of the buffer is good: what fits before the fault is written. */
    memset(page, 'w', 4096);
    OK(lseek(fd, 0, SEEK_SET));
    EQ(write(fd, page + 4096 - 5, 10), 5);
    struct stat st;
    OK(fstat(fd, &st));
    EQ(st.st_size, 10);
    OK(open("f", O_RDONLY));
    ERR(open((char *)page + 4096, O_RDONLY), EFAULT);
    ERR(open((char *)1, O_RDONLY), EFAULT);
}

CHECK(truncate_rules) {
    char text[16];
    struct stat st;

    put_file("f", "0123456789");
    OK(truncate("f", 4));
    STREQ(get_file("f", text, sizeof text), "0123");
    OK(truncate("f", 8));
    int fd = OK(open("f", O_RDWR));
    EQ(read(fd, text, sizeof text), 8);
    MEMEQ(text, "0123\0\0\0\0", 8);
    ERR(truncate("f", -1), EINVAL);
    ERR(truncate("no", 1), ENOENT);
    OK(mkdir("d", 0700));
    ERR(truncate("d", 0), EISDIR);
    OK(ftruncate(fd, 0));
    OK(fstat(fd, &st));
    EQ(st.st_size, 0);
    EQ(lseek(fd, 0, SEEK_CUR), 8);
}

CHECK(fallocate_modes) {
    struct stat st;
    int fd = make_file("f", "");

    if (fallocate(fd, 0, 0, 8192) < 0 && errno == EOPNOTSUPP)
        check_skip("fallocate: EOPNOTSUPP on the host's /tmp");
    OK(fstat(fd, &st));
    EQ(st.st_size, 8192);
    OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 4096));
    OK(fstat(fd, &st));
    EQ(st.st_size, 8192);
    EQ(pwrite(fd, "abcdefgh", 8, 4096), 8);
    OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4));
    char b[8];
    EQ(pread(fd, b, 8, 4096), 8);
    MEMEQ(b, "\0\0\0\0efgh", 8);
    ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
    ERR(fallocate(fd, 0, 0, 0), EINVAL);
    ERR(fallocate(fd, 0, -1, 10), EINVAL);
    int r = OK(open("f", O_RDONLY));
    ERR(fallocate(r, 0, 0, 10), EBADF);
    EQ(posix_fallocate(fd, 0, 20000), 0);
    OK(fstat(fd, &st));
    EQ(st.st_size, 20000);
}

CHECK(copy_between_files) {
    char text[32];
    int in = make_file("in", "0123456789"), out = make_file("out", "");
    off_t from = 2, to = 1;

    EQ(copy_file_range(in, &from, out, &to, 5, 0), 5);
    EQ(from, 7);
    EQ(to, 6);
    EQ(lseek(in, 0, SEEK_CUR), 0);
    EQ(copy_file_range(in, NULL, out, NULL, 100, 0), 10);
    EQ(lseek(out, 0, SEEK_CUR), 10);
    STREQ(get_file("out", text, sizeof text), "0123456789");
    OK(lseek(in, 5, SEEK_SET));
    EQ(sendfile(out, in, NULL, 3), 3);
    from = 0;
    EQ(sendfile(out, in, &from, 2), 2);
    EQ(from, 2);
    EQ(lseek(in, 0, SEEK_CUR), 8);
    STREQ(get_file("out", text, sizeof text), "012345678956701");
    EQ(sendfile(out, in, &(off_t){100}, 5), 0);
    ERR(copy_file_range(in, NULL, out, NULL, 1, 1), EINVAL);
}

CHECK(unlinked_file_lives_until_closed) {
    struct stat st;
    char text[8];
    int fd = make_file("f", "abc");

    OK(unlink("f"));
    ERR(stat("f", &st), ENOENT);
    OK(fstat(fd, &st));
    EQ(st.st_nlink, 0);
    EQ(pread(fd, text, 3, 0), 3);
    EQ(pwrite(fd, "xyz", 3, 3), 3);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = OK(open(path, O_RDONLY));
    EQ(read(again, text, 6), 6);
    MEMEQ(text, "abcxyz", 6);
    char target[4096];
    ssize_t n = OK(readlink(path, target, sizeof target));
    TRUE(n > 12 && memcmp(target + n - 12, "/f (deleted)", 12) == 0);
}

CHECK(rlimit_fsize_and_sigxfsz) {
    signal(SIGXFSZ, SIG_IGN);
    OK(syscall(SYS_prlimit64, 0, 1, (uint64_t[]){100, 100}, NULL));
    int fd = make_file("f", "");
    char b[200] = {0};
    EQ(write(fd, b, 200), 100);
    ERR(write(fd, b, 1), EFBIG);
    ERR(ftruncate(fd, 101), EFBIG);
    OK(ftruncate(fd, 100));
}

CHECK(big_offsets) {
    struct stat st;
    int fd = make_file("f", "");

    EQ(pwrite(fd, "x", 1, 1ll << 33), 1);
    OK(fstat(fd, &st));
    EQ(st.st_size, (1ll << 33) + 1);
    char c;
    EQ(pread(fd, &c, 1, 1ll << 33), 1);
    EQ(c, 'x');
    ERR(pwrite(fd, "x", 1, INT64_MAX), EINVAL);
    ERR(pwrite(fd, "x", 1, INT64_MAX - 4096), EFBIG);
}

CHECK(position_is_shared_by_dup_and_fork_only) {
    char c;
    int a = make_file("f", "0123456789"), b = OK(dup(a)), other = OK(open("f", O_RDONLY));

    EQ(read(a, &c, 1), 1);
    EQ(lseek(b, 0, SEEK_CUR), 1);
    EQ(lseek(other, 0, SEEK_CUR), 0);
    pid_t pid = fork();
    if (pid == 0) {
        EQ(read(a, &c, 1), 1);
        _exit(c);
    }
    EQ(wait_exit(pid), '1');
    EQ(lseek(b, 0, SEEK_CUR), 2);
}

CHECK(dev_files) {
    char b[16] = "xxxxxxxxxxxxxxx";
    int null = OK(open("/dev/null", O_RDWR)), zero = OK(open("/dev/zero", O_RDWR)),
        full = OK(open("/dev/full", O_RDWR));

    EQ(read(null, b, 8), 0);
    EQ(write(null, b, 8), 8);
    EQ(read(zero, b, 8), 8);
    MEMEQ(b, "\0\0\0\0\0\0\0\0", 8);
    ERR(write(full, b, 1), ENOSPC);
    EQ(read(full, b, 1), 1);
    int random = OK(open("/dev/urandom", O_RDONLY));
    EQ(read(random, b, sizeof b), sizeof b);
    struct stat st;
    OK(fstat(null, &st));
    EQ(st.st_rdev, 0x103);
    TRUE(S_ISCHR(st.st_mode));
}

CHECK(sync_family) {
    int fd = make_file("f", "abc"), p[2];

    OK(fsync(fd));
    OK(fdatasync(fd));
    OK(syncfs(fd));
    OK(sync_file_range(fd, 0, 3, SYNC_FILE_RANGE_WRITE));
    OK(pipe(p));
    ERR(fsync(p[0]), EINVAL);
    ERR(fsync(-1), EBADF);
    EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
    EQ(posix_fadvise(fd, 0, 0, 99), EINVAL);
    EQ(posix_fadvise(p[0], 0, 0, POSIX_FADV_NORMAL), ESPIPE);
    OK(readahead(fd, 0, 3));
}
