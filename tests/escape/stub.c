/* SPDX-License-Identifier: Apache-2.0
 * tests/escape/stub.c: a guest that knows how the stub is laid out (platform/stub/stub_layout.h) and attacks
 * it: maps over it, scribbles on it, jumps into it with registers of its choice. Each attack may end the
 * attacking process, never another, and never the sandbox.
 */
#include "attack.h"

#include "platform/stub/stub_layout.h"

static const uint64_t g_regions[][2] = {
    {STUB_BASE, 0x40000},        {STUB_CMD, CMD_SIZE}, {STUB_TEXT, STUB_TEXT_SIZE},
    {STUB_VDSO, STUB_VDSO_SIZE}, {STUB_END, 0x100000}, {HOST_TASK_END - 0x10000, 0x10000},
    {PATCH_BASE, PATCH_SIZE}, /* this one is the guest's own under ptrace */
};
enum { REGIONS = sizeof g_regions / sizeof *g_regions };

static void memory_calls(uint64_t i) {
    char *at = (char *)g_regions[i][0];
    size_t size = g_regions[i][1];
    void *mine = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (size_t n = 4096; n <= size; n *= 2) {
        TRUE(mprotect(at, n, PROT_READ | PROT_WRITE | PROT_EXEC) < 0);
        munmap(at, n);
        TRUE(mmap(at, n, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
             MAP_FAILED);
        TRUE(mmap(at, n, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
             MAP_FAILED);
        TRUE(mremap(mine, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED);
        TRUE(mremap(at, n, n, MREMAP_MAYMOVE) == MAP_FAILED);
        TRUE(mremap(at, 0, n, MREMAP_MAYMOVE) == MAP_FAILED);
        madvise(at, n, MADV_DONTNEED);
        madvise(at, n, MADV_REMOVE);
        madvise(at, n, MADV_FREE);
        mlock(at, n);
        msync(at, n, MS_SYNC);
    }
    /* Ranges that begin in our memory and end in the stub's. */
    uint64_t below = g_regions[i][0] - 0x10000;
    munmap((void *)below, 0x20000);
    mprotect((void *)below, 0x20000, PROT_READ);
    mmap((void *)below, 0x20000, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    brk(at);
}

CHECK(memory_calls_on_the_stub) {
    for (uint64_t i = 0; i < REGIONS - 1; i++) {
        int status = attack_in_child(memory_calls, i, 5000);
        TRUE(status >= 0 && WIFEXITED(status));
        EQ(WEXITSTATUS(status), 0);
    }
    still_alive();
}

static void scribble(uint64_t i) {
    uint64_t seed = 88172645463325252ull + i;

    attack_catch_faults();
    for (size_t n = 0; n < g_regions[i][1]; n += 64)
        TRY(*(volatile uint64_t *)(g_regions[i][0] + n) = attack_random(&seed));
    for (int n = 0; n < 1000; n++) {
        getppid();
        TRY(*(volatile uint64_t *)(g_regions[i][0] + attack_random(&seed) % g_regions[i][1] / 8 * 8) =
                attack_random(&seed));
    }
}

CHECK(scribbling_over_the_stub) {
    for (uint64_t i = 0; i < REGIONS; i++)
        attack_in_child(scribble, i, 5000);
    still_alive();
}

static void *scribble_on(void *arg) {
    uint64_t seed = (uintptr_t)arg;

    for (;;)
        TRY(*(volatile uint32_t *)(STUB_BASE + attack_random(&seed) % 0x40000 / 4 * 4) =
                (uint32_t)attack_random(&seed));
    return NULL;
}

static void race(uint64_t unused) {
    pthread_t t;

    (void)unused;
    attack_catch_faults();
    pthread_create(&t, NULL, scribble_on, (void *)77777);
    for (int n = 0; n < 3000; n++) {
        char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p != MAP_FAILED)
            munmap(p, 8192);
        pid_t pid = n % 50 ? -1 : fork();
        if (pid == 0)
            _exit(0);
    }
}

CHECK(scribbling_while_the_helper_works) {
    attack_in_child(race, 0, 10000);
    still_alive();
}

/* Calls whose operands and results go through the slots that another thread overwrites: lists, sizes and
   places of them, answers, turns. Whatever comes of it comes to this process. */
static void race_operands(uint64_t i) {
    static char buffer[20000];
    struct stat st;
    pthread_t t;
    int zero = open("/dev/zero", O_RDONLY), pair[2];

    attack_catch_faults();
    if (pipe(pair) < 0)
        return;
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    pthread_create(&t, NULL, scribble_on, (void *)(uintptr_t)(88888 + i));
    for (int n = 0; n < 3000; n++) {
        TRY(read(zero, buffer, (size_t)(n * 7 % 20000)));
        TRY(write(pair[1], buffer, (size_t)(n * 11 % 20000)));
        TRY(read(pair[0], buffer + n, 4096));
        TRY(stat("/proc/self/maps", &st));
        TRY(read(zero, (char *)STUB_BASE + 0x10000, 64));
        TRY(write(pair[1], (char *)STUB_BASE + 0x14000, 64));
        TRY(kill(getpid(), 0));
    }
}

CHECK(scribbling_over_operands) {
    for (uint64_t i = 0; i < 4; i++)
        attack_in_child(race_operands, i, 3000);
    still_alive();
}

/* Registers as a guest would load them to make the stub's own system calls do harm. */
static void jump(uint64_t target) {
    static const uint64_t numbers[] = {2 /* open */,
                                       59 /* execve */,
                                       62 /* kill */,
                                       9 /* mmap */,
                                       10 /* mprotect */,
                                       56 /* clone */,
                                       101 /* ptrace */,
                                       41 /* socket */,
                                       257 /* openat */,
                                       200 /* tkill */,
                                       15 /* rt_sigreturn */};
    static const char path[] = "/etc/passwd";

    become_nobody(); /* what runs as the guest's own kill(-1) shall not reach the parent */
    attack_catch_faults();
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint64_t a = numbers[i] == 62 || numbers[i] == 200 ? (uint64_t)-1 : (uint64_t)(uintptr_t)path;
        TRY(__asm__ volatile(
            "mov %[s9], %%r9\n\tmov %[s10], %%r10\n\tmov %[s8], %%r8\n\tjmp *%[to]"
            :
            : "a"(numbers[i]), "D"(a), "S"(numbers[i] == 62 ? 9ull : 0ull),
              "d"(7ull), [s10] "r"(0x22ull), [s8] "r"(~0ull), [s9] "r"(0ull), [to] "r"(target)
            : "r8", "r9", "r10", "rcx", "r11", "memory"));
    }
}

CHECK(jumps_into_the_stubs_code) {
    int ended = 0, killed = 0;

    for (uint64_t at = STUB_TEXT; at < STUB_TEXT + 0x1800; at += 3) {
        int status = attack_in_child(jump, at, 300);
        ended += status >= 0;
        killed += status == -1;
    }
    printf("tried every third byte\n");
    TRUE(ended + killed > 0);
    still_alive();
}

CHECK(jumps_into_the_hosts_vdso) {
    for (uint64_t at = STUB_VDSO; at < STUB_VDSO + STUB_VDSO_SIZE; at += 0x1000 - 32)
        attack_in_child(jump, at, 100);
    still_alive();
}

static void read_stub(uint64_t unused) {
    volatile uint64_t sum = 0;

    (void)unused;
    attack_catch_faults();
    for (uint64_t i = 0; i < REGIONS; i++)
        for (uint64_t n = 0; n < g_regions[i][1]; n += 4096) {
            TRY(sum += *(volatile uint64_t *)(g_regions[i][0] + n));
            int fd = open("/dev/null", O_WRONLY);
            write(fd, (void *)(g_regions[i][0] + n), 4096); /* as a buffer of a call */
            close(fd);
            fd = open("/dev/zero", O_RDONLY);
            TRUE(read(fd, (void *)(g_regions[i][0] + n), 4096) <= 0);
            close(fd);
            uint32_t *word = (void *)(g_regions[i][0] + n);
            syscall(SYS_futex, word, 0, 0, &(struct timespec){0, 1000}, NULL, 0);
            syscall(SYS_futex, word, 5, 1, 1, word, 0x0000a000); /* WAKE_OP: an atomic write */
            syscall(SYS_set_robust_list, word, 24);
            syscall(SYS_set_tid_address, word);
        }
}

CHECK(stub_addresses_as_arguments) {
    attack_in_child(read_stub, 0, 20000);
    still_alive();
}

static void forge_frame(uint64_t n) {
    uint64_t frame[200], seed = n * 7919 + 1;

    for (size_t i = 0; i < 200; i++)
        frame[i] = attack_random(&seed);
    frame[23] = n & 1 ? STUB_TEXT + attack_random(&seed) % 0x1800 : frame[23]; /* rip or thereabouts */
    frame[25] = n & 2 ? 0x33 : frame[25];
    frame[22] = n & 4 ? (uint64_t)(uintptr_t)&frame[100] : frame[22];
    attack_catch_faults();
    TRY(__asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall" : : "r"(frame) : "memory"));
}

CHECK(forged_signal_frames) {
    for (uint64_t n = 0; n < 400; n++)
        attack_in_child(forge_frame, n, 300);
    still_alive();
}
