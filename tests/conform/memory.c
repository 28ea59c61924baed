/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/memory.c: address spaces. Sources: mmap(2), mprotect(2), mremap(2), brk(2), madvise(2),
 * msync(2), mincore(2), memfd_create(2), mlock(2), fork(2).
 */
#include "conform.h"

#include <setjmp.h>
#include <sys/resource.h>

static sigjmp_buf g_jump;
static void on_fault(int signo) {
    siglongjmp(g_jump, signo);
}

/* The signal that touching a byte gives, 0 if none. */
static int touch(volatile char *p, bool write) {
    struct sigaction sa = {.sa_handler = on_fault};

    OK(sigaction(SIGSEGV, &sa, NULL));
    OK(sigaction(SIGBUS, &sa, NULL));
    int signo = sigsetjmp(g_jump, 1);
    if (signo == 0) {
        if (write)
            *p = 1;
        else
            (void)*p;
    }
    return signo;
}

static char *anon(size_t size) {
    return OKP(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static bool mapped(void *p) {
    return msync((void *)((uintptr_t)p & ~4095ul), 4096, MS_ASYNC) == 0;
}

CHECK(anonymous_memory_is_zero) {
    char *p = anon(65536);

    for (int i = 0; i < 65536; i++)
        EQ(p[i], 0);
    p[65535] = 1;
    OK(munmap(p, 65536));
    TRUE(!mapped(p));
    EQ(touch(p, false), SIGSEGV);
}

CHECK(mmap_refuses) {
    int fd = make_file("f", "x"), r = OK(open("f", O_RDONLY)), w = OK(open("f", O_WRONLY)), p[2];

    OK(pipe(p));
    ERRP(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    ERRP(mmap(NULL, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
    ERRP(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 99, 0), EBADF);
    ERRP(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 100), EINVAL);
    ERRP(mmap((void *)100, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
    ERRP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0), EACCES);
    ERRP(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, w, 0), EACCES);
    ERRP(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, p[0], 0), ENODEV);
    ERRP(mmap(NULL, 1ul << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    ERRP(mmap(NULL, SIZE_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 0));
    OKP(mmap(NULL, 4096, PROT_READ, MAP_SHARED, r, 0));
    ERRP(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, OK(open(".", O_RDONLY)), 0), ENODEV);
    ERR(munmap((void *)100, 4096), EINVAL);
    ERR(munmap((void *)4096, 0), EINVAL);
    OK(munmap((void *)0x500000000000, 4096)); /* nothing there: fine */
}

CHECK(fixed_replaces_and_noreplace_refuses) {
    char *p = anon(3 * 4096);

    memset(p, 'x', 3 * 4096);
    EQ(OKP(mmap(p + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)), p + 4096);
    EQ(p[4096], 0);
    EQ(p[4095], 'x');
    EQ(p[8192], 'x');
    EQ(touch(p + 4096, true), SIGSEGV);
    ERRP(mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
    OK(munmap(p + 4096, 4096));
    EQ(OKP(mmap(p + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)),
       p + 4096);
    OK(munmap(p + 4096, 4096));
    EQ(OKP(mmap(p + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)),
       p + 4096); /* a free hint is taken */
}

CHECK(hint_that_is_taken_is_not_used) {
    char *p = anon(4096);

    TRUE(mmap(p, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != p);
}

CHECK(map_32bit) {
    char *p = OKP(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));

    TRUE((uintptr_t)p < 1ul << 31);
}

CHECK(mprotect_splits) {
    char *p = anon(5 * 4096);

    OK(mprotect(p + 4096, 4096, PROT_READ));
    OK(mprotect(p + 3 * 4096, 4096, PROT_NONE));
    EQ(touch(p, true), 0);
    EQ(touch(p + 4096, false), 0);
    EQ(touch(p + 4096, true), SIGSEGV);
    EQ(touch(p + 2 * 4096, true), 0);
    EQ(touch(p + 3 * 4096, false), SIGSEGV);
    EQ(touch(p + 4 * 4096, true), 0);
    OK(mprotect(p, 5 * 4096, PROT_READ | PROT_WRITE));
    EQ(touch(p + 3 * 4096, true), 0);
    ERR(mprotect(p + 1, 4096, PROT_READ), EINVAL);
    OK(munmap(p + 2 * 4096, 4096));
    ERR(mprotect(p, 5 * 4096, PROT_READ), ENOMEM);
    EQ(touch(p + 4096, true), SIGSEGV); /* changed up to the hole */
    EQ(touch(p + 4 * 4096, true), 0);
    OK(mprotect(p, 0, PROT_READ));
    ERR(mprotect(p, 4096, 0x100), EINVAL);
}

CHECK(executable_memory) {
    static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
    char *p = anon(4096);

    memcpy(p, code, sizeof code);
    OK(mprotect(p, 4096, PROT_READ | PROT_EXEC));
    EQ(((int (*)(void))(uintptr_t)p)(), 42);
    /* Changed code takes effect at once. */
    OK(mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
    p[1] = 43;
    EQ(((int (*)(void))(uintptr_t)p)(), 43);
}

CHECK(private_file_mapping) {
    int fd = make_file("f", "0123456789");
    char *p = OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0)), text[16];

    MEMEQ(p, "0123456789", 10);
    EQ(p[10], 0);
    p[0] = 'X';
    STREQ(get_file("f", text, sizeof text), "0123456789");
    EQ(pwrite(fd, "new", 3, 5), 3);
    close(fd);
    EQ(p[0], 'X');
    EQ(p[1], '1');
}

CHECK(shared_file_mapping) {
    int fd = make_file("f", "0123456789");
    char *p = OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)), text[16];

    p[0] = 'X';
    STREQ(get_file("f", text, sizeof text), "X123456789"); /* at once, without msync */
    EQ(pwrite(fd, "Y", 1, 1), 1);
    EQ(p[1], 'Y');
    char *q = OKP(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    p[2] = 'Z';
    EQ(q[2], 'Z');
    OK(msync(p, 4096, MS_SYNC));
    ERR(msync(p, 4096, MS_SYNC | MS_ASYNC), EINVAL);
    ERR(msync(p + 1, 1, MS_SYNC), EINVAL);
    OK(unlink("f"));
    p[3] = 'W';
    EQ(q[3], 'W');
    close(fd);
    EQ(q[0], 'X');
    /* Bytes beyond the end within the last page can be written, and are lost. */
    p[100] = 'L';
    EQ(q[100], 'L');
}

CHECK(shared_file_mapping_between_processes) {
    int fd = make_file("f", "0");
    char *p = OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    pid_t pid = fork();

    if (pid == 0) {
        p[0] = 'c';
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    EQ(p[0], 'c');
    char text[8];
    STREQ(get_file("f", text, sizeof text), "c");
}

CHECK(mapping_grows_with_its_file) {
    int fd = make_file("f", "x");
    char *p = OKP(mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0));

    EQ(touch(p + 4096, false), SIGBUS);
    OK(ftruncate(fd, 8192));
    EQ(touch(p + 4096, false), 0);
    OK(ftruncate(fd, 1));
    EQ(touch(p + 4096, false), SIGBUS);
    EQ(p[0], 'x');
    OK(ftruncate(fd, 0));
    EQ(touch(p, false), SIGBUS);
    ERR(read(OK(open("/dev/zero", O_RDONLY)), p, 1), EFAULT);
}

CHECK(shared_anonymous_over_fork) {
    volatile int *p = OKP(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    pid_t pid = fork();

    if (pid == 0) {
        while (p[0] != 1) {
        }
        p[1024] = 2;
        _exit(0);
    }
    p[0] = 1;
    while (p[1024] != 2) {
    }
    EQ(wait_exit(pid), 0);
}

CHECK(copy_on_write_both_ways) {
    char *p = anon(1 << 20);
    int to[2], from[2];
    char c;

    memset(p, 'a', 1 << 20);
    OK(pipe(to));
    OK(pipe(from));
    pid_t pid = fork();
    if (pid == 0) {
        read(to[0], &c, 1);
        for (int i = 0; i < 1 << 20; i++)
            if (p[i] != 'a')
                _exit(1);
        memset(p, 'b', 1 << 20);
        write(from[1], "x", 1);
        read(to[0], &c, 1);
        _exit(p[5] == 'b' ? 0 : 2);
    }
    memset(p, 'c', 1 << 20);
    EQ(write(to[1], "x", 1), 1);
    EQ(read(from[0], &c, 1), 1);
    EQ(p[77777], 'c');
    EQ(write(to[1], "x", 1), 1);
    EQ(wait_exit(pid), 0);
}

CHECK(mremap_rules) {
    char *p = anon(4 * 4096), *q;

    memset(p, 'x', 4 * 4096);
    EQ(OKP(mremap(p, 4 * 4096, 2 * 4096, 0)), p);
    TRUE(!mapped(p + 2 * 4096));
    EQ(p[4096], 'x');
    q = OKP(mremap(p, 2 * 4096, 100 * 4096, MREMAP_MAYMOVE));
    EQ(q[4096], 'x');
    EQ(q[2 * 4096], 0);
    char *to = anon(4096);
    EQ(OKP(mremap(q, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to)), to);
    EQ(to[0], 'x');
    TRUE(!mapped(q));
    EQ(q[4096], 'x');
    char *block = OKP(mmap(q, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    (void)block;
    ERRP(mremap(q, 4096, 8192, 0), ENOMEM);
    ERRP(mremap(q, 4096, 0, 0), EINVAL);
    ERRP(mremap(q + 1, 4096, 4096, 0), EINVAL);
    ERRP(mremap(q, 4096, 4096, MREMAP_FIXED, to), EINVAL);
    ERRP(mremap(q + 4096, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, q + 8192), EINVAL);
    ERRP(mremap((void *)0x500000000000, 4096, 8192, MREMAP_MAYMOVE), EFAULT);
    to = anon(4096);
    to[0] = 'x';
    q = OKP(mremap(to, 4096, 4096, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL));
    TRUE(q != to);
    EQ(q[0], 'x');
    EQ(to[0], 0);
    /* A size of zero makes a second view of shared memory. */
    char *shared = OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    char *view = OKP(mremap(shared, 0, 4096, MREMAP_MAYMOVE));
    shared[0] = 's';
    EQ(view[0], 's');
}

CHECK(brk_moves) {
    char *start = sbrk(0);

    EQ(sbrk(3 * 4096), start);
    EQ(sbrk(0), start + 3 * 4096);
    memset(start, 'x', 3 * 4096);
    EQ(sbrk(-2 * 4096), start + 3 * 4096);
    EQ(sbrk(2 * 4096), start + 4096);
    EQ(start[4096 * 2], 0);
    EQ(syscall(SYS_brk, 0), start + 3 * 4096);
    EQ(syscall(SYS_brk, (char *)8), start + 3 * 4096); /* refused: the old value */
    struct rlimit r = {(rlim_t)4096, RLIM_INFINITY};
    OK(setrlimit(RLIMIT_DATA, &r));
    EQ(sbrk(1 << 24), (void *)-1);
    EQ(errno, ENOMEM);
}

CHECK(madvise_kinds) {
    char *p = anon(4 * 4096);

    memset(p, 'x', 4 * 4096);
    OK(madvise(p + 4096, 4096, MADV_DONTNEED));
    EQ(p[4096], 0);
    EQ(p[0], 'x');
    OK(madvise(p, 4096, MADV_WILLNEED));
    OK(madvise(p, 4096, MADV_SEQUENTIAL));
    OK(madvise(p, 4096, MADV_FREE));
    ERR(madvise(p, 4096, 999), EINVAL);
    ERR(madvise(p + 1, 4096, MADV_DONTNEED), EINVAL);
    OK(munmap(p + 8192, 4096));
    ERR(madvise(p, 4 * 4096, MADV_DONTNEED), ENOMEM);
    int fd = make_file("f", "file");
    char *q = OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    q[0] = 'X';
    OK(madvise(q, 4096, MADV_DONTNEED));
    EQ(q[0], 'f'); /* the file's content again */
    char *s = OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    s[0] = 's';
    OK(madvise(s, 4096, MADV_DONTNEED));
    EQ(s[0], 's');
    OK(madvise(s, 4096, MADV_REMOVE));
    EQ(s[0], 0);
}

CHECK(dontfork_and_wipeonfork) {
    char *p = anon(2 * 4096);

    memset(p, 'x', 2 * 4096);
    OK(madvise(p, 4096, MADV_DONTFORK));
    OK(madvise(p + 4096, 4096, MADV_WIPEONFORK));
    pid_t pid = fork();
    if (pid == 0) {
        EQ(touch(p, false), SIGSEGV);
        EQ(p[4096], 0);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
    EQ(p[0], 'x');
    EQ(p[4096], 'x');
}

CHECK(mincore_answers) {
    unsigned char v[4] = {0};
    char *p = anon(4 * 4096);

    memset(p, 1, 2 * 4096);
    OK(mincore(p, 4 * 4096, v));
    EQ(v[0] & 1, 1);
    EQ(v[1] & 1, 1);
    EQ(v[3] & 1, 0);
    OK(munmap(p + 4096, 4096));
    ERR(mincore(p, 4 * 4096, v), ENOMEM);
    ERR(mincore(p + 1, 4096, v), EINVAL);
    ERR(mincore(p, 4096, (void *)8), EFAULT);
}

CHECK(memfd) {
    int fd = OK(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    char path[64], target[64];

    OK(ftruncate(fd, 8192));
    char *p = OKP(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    p[5000] = 'm';
    char c;
    EQ(pread(fd, &c, 1, 5000), 1);
    EQ(c, 'm');
    EQ(fcntl(fd, F_GET_SEALS), 0);
    OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    ERR(ftruncate(fd, 4096), EPERM);
    ERR(ftruncate(fd, 16384), EPERM);
    ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    OK(munmap(p, 8192));
    OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    ERR(write(fd, "x", 1), EPERM);
    ERRP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
    OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = OK(readlink(path, target, sizeof target - 1));
    target[n] = '\0';
    STREQ(target, "/memfd:name (deleted)");
    int plain = OK(memfd_create("", 0));
    EQ(fcntl(plain, F_GET_SEALS), F_SEAL_SEAL);
    EQ(fcntl(plain, F_GETFD), 0);
    ERR(memfd_create("x", 0x1000), EINVAL);
    struct stat st;
    OK(fstat(fd, &st));
    EQ(st.st_mode, S_IFREG | 0777);
    EQ(st.st_nlink, 0);
}

static int depth(int n) {
    volatile char page[4096];

    page[0] = (char)n;
    return n == 0 ? 0 : depth(n - 1) + page[0] * 0;
}

CHECK(stack_grows) {
    EQ(depth(1000), 0); /* 4 MiB of the usual 8 */
}

CHECK(growsdown_mapping) {
    char *area = anon(64 * 4096);

    OK(munmap(area, 64 * 4096));
    char *p = OKP(mmap(area + 60 * 4096, 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0));
    EQ(touch(p, true), 0);
    EQ(touch(p - 1, true), 0);
    EQ(touch(p - 4097, true), 0);
}

CHECK(rlimit_as) {
    struct rlimit r = {1ul << 30, RLIM_INFINITY};

    OK(setrlimit(RLIMIT_AS, &r));
    ERRP(mmap(NULL, 1ul << 31, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
    char *p = OKP(mmap(NULL, 1ul << 28, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    OK(munmap(p, 1ul << 28));
}

CHECK(mlock_and_limits) {
    char *p = anon(4 * 4096);

    OK(mlock(p, 4096));
    OK(munlock(p, 4096));
    OK(munmap(p + 8192, 4096));
    ERR(mlock(p, 4 * 4096), ENOMEM);
    ERR(mlock2(p, 4096, 9), EINVAL);
    OK(mlockall(MCL_CURRENT));
    OK(munlockall());
    ERR(mlockall(0), EINVAL);
    if (!is_root())
        return;
    struct rlimit r = {8192, 8192};
    OK(setrlimit(RLIMIT_MEMLOCK, &r));
    become_nobody();
    char *q = anon(16 * 4096);
    ERR(mlock(q, 16 * 4096), ENOMEM);
    OK(mlock(q, 4096));
}

CHECK(big_sparse_mapping) {
    size_t size = 1ul << 36;
    char *p =
        OKP(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));

    p[0] = 1;
    p[size / 2] = 2;
    p[size - 1] = 3;
    EQ(p[size / 2], 2);
    OK(munmap(p, size));
}

CHECK(many_mappings) {
    enum { N = 2000 };
    char *p = anon(2 * N * 4096);

    for (int i = 0; i < N; i++)
        OK(mprotect(p + 2 * i * 4096, 4096, PROT_READ));
    EQ(touch(p + 2 * 777 * 4096, true), SIGSEGV);
    EQ(touch(p + (2 * 777 + 1) * 4096, true), 0);
    OK(munmap(p, 2 * N * 4096));
    TRUE(!mapped(p + N * 4096));
}

CHECK(process_vm_readv_of_a_child) {
    static char data[64] = "before";
    pid_t pid = fork();

    if (pid == 0) {
        strcpy(data, "in the child");
        raise(SIGSTOP);
        _exit(data[0] == 'I' ? 0 : 1);
    }
    int status;
    EQ(waitpid(pid, &status, WUNTRACED), pid);
    char copy[64];
    struct iovec mine = {copy, sizeof copy}, theirs = {data, sizeof data}, bad = {(void *)16, 8};
    EQ(process_vm_readv(pid, &mine, 1, &theirs, 1, 0), 64);
    STREQ(copy, "in the child");
    ERR(process_vm_readv(pid, &mine, 1, &bad, 1, 0), EFAULT);
    mine = (struct iovec){(void *)"I", 1};
    EQ(process_vm_writev(pid, &mine, 1, &theirs, 1, 0), 1);
    OK(kill(pid, SIGCONT));
    EQ(wait_exit(pid), 0);
}

/* ---- calls between processes, rare calls ---- */

CHECK(process_vm_moves_bytes) {
    char *p = anon(3 * 4096), local[16] = "";
    OK(munmap(p + 8192, 4096)); /* nothing lies behind */
    strcpy(p + 4090, "straddles");
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    strcpy(p + 4090, "changed..");
    struct iovec mine[2] = {{local, 4}, {local + 4, 6}}, theirs = {p + 4090, 10};
    EQ(process_vm_readv(pid, mine, 2, &theirs, 1, 0), 10);
    STREQ(local, "straddles");
    mine[0].iov_base = "written";
    mine[0].iov_len = 8;
    EQ(process_vm_writev(pid, mine, 1, &theirs, 1, 0), 8);
    EQ(process_vm_readv(pid, &(struct iovec){local, 8}, 1, &theirs, 1, 0), 8);
    STREQ(local, "written");
    STREQ(p + 4090, "changed..");
    theirs.iov_base = p + 8190;
    theirs.iov_len = 10;
    OK(munmap(p + 4096, 4096));
    EQ(process_vm_readv(pid, &(struct iovec){local, 10}, 1, &theirs, 1, 0),
       2); /* up to the bad page; the child still has it */
    ERR(process_vm_readv(pid, mine, 1, &theirs, 1, 1), EINVAL);
    ERR(process_vm_readv(pid, mine, 1025, &theirs, 1, 0), EINVAL);
    theirs.iov_base = (void *)8;
    ERR(process_vm_readv(pid, &(struct iovec){local, 8}, 1, &theirs, 1, 0), EFAULT);
    kill(pid, SIGKILL);
    wait_status(pid);
    ERR(process_vm_readv(pid, &(struct iovec){local, 8}, 1, &theirs, 1, 0), ESRCH);
}

CHECK(remap_file_pages_shows_other_pages) {
    int fd = OK(memfd_create("pages", 0));
    OK(ftruncate(fd, 4 * 4096));
    char *p = OKP(mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    for (int i = 0; i < 4; i++)
        p[i * 4096] = (char)('a' + i);
    OK(remap_file_pages(p, 4096, 0, 3, 0));
    EQ(p[0], 'd');
    EQ(p[4096], 'b');
    ERR(remap_file_pages(p, 4096, PROT_READ, 0, 0), EINVAL);
    ERR(remap_file_pages(anon(4096), 4096, 0, 0, 0), EINVAL);
}

CHECK(mremap_dontunmap_leaves_an_empty_area) {
    char *p = anon(2 * 4096);
    p[0] = 'x';
    char *q = OKP(mremap(p, 2 * 4096, 2 * 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL));
    TRUE(q != p);
    EQ(q[0], 'x');
    EQ(p[0], 0);
    ERRP(mremap(p, 4096, 2 * 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL), EINVAL);
    ERRP(mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, (void *)1), EINVAL);
}

CHECK(shared_mapping_is_had_twice_by_mremap) {
    char *p = OKP(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    char *q = OKP(mremap(p, 0, 4096, MREMAP_MAYMOVE));
    p[7] = 'm';
    EQ(q[7], 'm');
    ERRP(mremap(anon(4096), 0, 4096, MREMAP_MAYMOVE), EINVAL);
}

CHECK(truncation_takes_pages_away) {
    int fd = OK(memfd_create("short", 0));
    OK(ftruncate(fd, 3 * 4096));
    char *shared = OKP(mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    char *private = OKP(mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    shared[0] = 's';
    shared[4096 + 100] = 't';
    private[2 * 4096] = 'p';
    OK(ftruncate(fd, 4096 + 50));
    EQ(touch(shared + 2 * 4096, false), SIGBUS);
    EQ(touch(private + 2 * 4096, false), SIGBUS);
    EQ(shared[4096 + 100], 0);
    OK(ftruncate(fd, 3 * 4096));
    EQ(shared[2 * 4096], 0);
    EQ(private[2 * 4096], 0);
    EQ(shared[0], 's');
}

CHECK(process_madvise_takes_hints) {
    char *p = anon(4 * 4096);
    int pidfd = OK(syscall(SYS_pidfd_open, getpid(), 0));
    struct iovec v[2] = {{p, 4096}, {p + 8192, 8192}};
    EQ(syscall(SYS_process_madvise, pidfd, v, 2, MADV_COLD, 0), 3 * 4096);
    ERR(syscall(SYS_process_madvise, pidfd, v, 2, MADV_COLD, 1), EINVAL);
    ERR(syscall(SYS_process_madvise, -1, v, 2, MADV_COLD, 0), EBADF);
}
