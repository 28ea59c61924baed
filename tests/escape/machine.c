/* SPDX-License-Identifier: Apache-2.0
 * tests/escape/machine.c: what an x86-64 program can do to its machine besides the ordinary: int 0x80,
 * sysenter, segments, flags, 32-bit code, addresses beyond the canonical, odd arguments of every system call.
 */
#include "attack.h"

#include <asm/ldt.h>
#include <sys/resource.h>

static void int80(uint64_t n) {
    long r;

    attack_catch_faults();
    TRY(__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(0), "c"(0), "d"(0) : "memory"));
    _exit(0);
}

CHECK(int_0x80_is_refused) {
    static const int calls[] = {1, 2, 5, 11, 20, 37, 102, 125, 190, 252, 384};

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int status = attack_in_child(int80, (uint64_t)calls[i], 1000);
        TRUE(status != -1);
    }
    still_alive();
}

static void odd_instruction(uint64_t n) {
    attack_catch_faults();
    switch (n) {
    case 0:
        TRY(__asm__ volatile("sysenter"));
        break;
    case 1:
        TRY(__asm__ volatile("int $3"));
        break;
    case 2:
        TRY(__asm__ volatile("int $1"));
        break;
    case 3:
        TRY(__asm__ volatile("int $0xff"));
        break;
    case 4:
        TRY(__asm__ volatile("in $0x60, %%al" : : : "rax"));
        break;
    case 5:
        TRY(__asm__ volatile("mov %%cr3, %%rax" : : : "rax"));
        break;
    case 6:
        TRY(__asm__ volatile("rdmsr" : : "c"(0xc0000080) : "rax", "rdx"));
        break;
    case 7:
        TRY(__asm__ volatile("wrmsr" : : "c"(0xc0000080), "a"(0), "d"(0)));
        break;
    case 8:
        TRY(__asm__ volatile("lgdt (%rsp)"));
        break;
    case 9:
        TRY(__asm__ volatile("vmcall" : : "a"(0)));
        break;
    case 10:
        TRY(__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(3)));
        break;
    case 11:
        TRY(__asm__ volatile("pushq $0x23; pushq $1f; lretq; 1:" : : : "memory"));
        break; /* compatibility mode */
    case 12:
        TRY(__asm__ volatile("pushf; orq $0x40000, (%rsp); popf; movl 1(%rsp), %eax"));
        break; /* alignment check */
    case 13:
        TRY(__asm__ volatile("pushf; orq $0x100, (%%rsp); popf; nop; nop; mov $39, %%eax; syscall; nop"
                             :
                             :
                             : "rax", "rcx", "r11", "memory"));
        break;
    case 14:
        TRY(__asm__ volatile("mov $0x8000000000000000, %%rax; jmp *%%rax" : : : "rax"));
        break;
    case 15:
        TRY(__asm__ volatile("mov $0x7ffffffffffe, %%rax; jmp *%%rax" : : : "rax"));
        break;
    case 16:
        TRY(__asm__ volatile("mov $0, %%rsp; mov $39, %%eax; syscall; ud2" : : : "rax"));
        break;
    case 17:
        TRY(__asm__ volatile("mov $0xffffffffff600000, %%rax; call *%%rax"
                             :
                             :
                             : "rax", "rcx", "r11", "memory"));
        break;
    case 18:
        TRY(__asm__ volatile("std; mov $39, %%eax; syscall; cld" : : : "rax", "rcx", "r11", "memory"));
        break;
    case 19:
        TRY(__asm__ volatile("pushf; orq $0x3000, (%rsp); popf; cli"));
        break;
    case 20:
        TRY(__asm__ volatile("xabort $1"));
        break;
    case 21:
        TRY(__asm__ volatile("wrfsbase %0" : : "r"(0x8000000000000000)));
        break;
    case 22:
        TRY(__asm__ volatile("wrgsbase %0; mov %%gs:0, %%rax" : : "r"(0x7fff80000000) : "rax"));
        break;
    case 23:
        TRY(__asm__ volatile("wrpkru" : : "a"(0xffffffff), "c"(0), "d"(0)));
        break;
    default:
        break;
    }
    _exit(0);
}

CHECK(odd_instructions) {
    for (uint64_t n = 0; n <= 23; n++) {
        int status = attack_in_child(odd_instruction, n, 1000);
        if (status == -1)
            printf("instruction %d had to be killed\n", (int)n);
    }
    still_alive();
}

CHECK(bases_and_tables) {
    struct user_desc d = {
        .entry_number = 0, .base_addr = 0x1000, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1};

    ERR(syscall(SYS_arch_prctl, 0x1002 /* SET_FS */, 0x8000000000000000ull), EPERM);
    ERR(syscall(SYS_arch_prctl, 0x1001 /* SET_GS */, ~0ull), EPERM);
    syscall(SYS_modify_ldt, 1, &d, sizeof d);
    syscall(SYS_modify_ldt, 0x11, &d, sizeof d);
    syscall(SYS_set_thread_area, &d);
    syscall(SYS_iopl, 3);
    syscall(SYS_ioperm, 0x60, 1, 1);
    still_alive();
}

static volatile uint64_t g_seed;

/* Random system calls with arguments that are each small, a pointer, a descriptor, or anything at all. */
static void noise(uint64_t round) {
    /* Those that would only stop the attack: exits, stops, waits without end. */
    static const int skip[] = {60,  231, 57,  58,  56,  435, 34,  61,  247, 23,  7,  270,
                               271, 130, 128, 15,  62,  200, 234, 129, 297, 424, 35, 230,
                               37,  38,  65,  220, 202, 449, 101, 240, 0,   19};
    uint64_t seed = round * 2654435761u + 12345;
    char *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    freopen("/dev/null", "w", stdout); /* some of these calls write */
    signal(SIGALRM, SIG_DFL);
    alarm(4);
    syscall(SYS_prlimit64, 0, 1, (uint64_t[]){1 << 20, 1 << 20}, NULL); /* file size */
    for (int fd = 3; fd < 20; fd++)
        open(fd % 2 ? "/dev/null" : "noise", O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < 1500; i++) {
        long number = (long)(attack_random(&seed) % 460), arg[6];
        bool skipped = false;
        for (size_t k = 0; k < sizeof skip / sizeof *skip; k++)
            skipped |= skip[k] == number;
        if (skipped)
            continue;
        for (int k = 0; k < 6; k++) {
            uint64_t r = attack_random(&seed);
            switch (r >> 32 & 7) {
            case 0:
                arg[k] = 0;
                break;
            case 1:
                arg[k] = (long)(r & 31);
                break;
            case 2:
                arg[k] = (long)(uintptr_t)(page + (r & 0xfff8));
                break;
            case 3:
                arg[k] = -(long)(r & 255);
                break;
            case 4:
                arg[k] = (long)(uintptr_t) "noise";
                break;
            case 5:
                arg[k] = 1l << (r & 63);
                break;
            case 6:
                arg[k] = (long)(uintptr_t)page + 65536 - (long)(r & 15);
                break;
            default:
                arg[k] = (long)r;
                break;
            }
        }
        g_seed = seed;
        syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
    }
}

CHECK(random_system_calls) {
    for (uint64_t round = 0; round < 40; round++)
        attack_in_child(noise, round, 6000);
    still_alive();
}

static void pointers(uint64_t first) {
    static const uint64_t bad[] = {0,
                                   1,
                                   0xfff,
                                   0x7ffffffff000,
                                   0x7fffffffffff,
                                   0x800000000000,
                                   0xffff800000000000,
                                   ~0ull,
                                   0x7fff00000000,
                                   0x7fff80010000};

    freopen("/dev/null", "w", stdout);
    become_nobody(); /* a kill of process 1 is the guest's own affair */
    for (long number = (long)first; number < (long)first + 20; number++) {
        if (number == 60 || number == 231 || number == 57 || number == 58 || number == 56 || number == 435 ||
            number == 34 || number == 15 || number == 59 || number == 322 || number == 11 || number == 9 ||
            number == 10 || number == 25 || number == 28 || number == 61 || number == 12 || number == 218 ||
            number == 273 || number == 158 || number == 131 || number == 334 || number == 130 ||
            number == 128 || number == 33 || number == 3 || number == 436 || number == 302 || number == 160 ||
            number == 157 || number == 317 || number == 13 || number == 14 || number == 161 || number == 80 ||
            number == 62 || number == 200 || number == 109 || number == 112 || number == 105 ||
            number == 106 || number == 117 || number == 119)
            continue; /* those that would take the ground from under this loop */
        struct itimerval t = {.it_value.tv_usec = 100000};
        struct sigaction sa = {.sa_handler = attack_caught, .sa_flags = SA_NODEFER};
        sigaction(SIGALRM, &sa, NULL);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            setitimer(ITIMER_REAL, &t, NULL);
            TRY(syscall(number, bad[i], bad[i], bad[i], bad[i], bad[i], bad[i]));
        }
        setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    }
}

CHECK(pointers_everywhere) {
    for (uint64_t first = 0; first < 460; first += 20)
        attack_in_child(pointers, first, 5000);
    still_alive();
}
