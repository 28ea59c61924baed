/* SPDX-License-Identifier: Apache-2.0
 * tests/conform/core_dumps.c: core files of dying processes: when, where, what is in them. Where the host's
 * pattern is not plain "core", what needs a file is skipped. Source: core(5).
 */
#include "conform.h"

#include <elf.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/resource.h>

static void set_limit(rlim_t bytes) {
    struct rlimit r = {bytes, RLIM_INFINITY};
    OK(setrlimit(RLIMIT_CORE, &r));
}

static void needs_files(void) {
    char pattern[256];
    get_file("/proc/sys/kernel/core_pattern", pattern, sizeof pattern);
    if (strcmp(pattern, "core\n") != 0)
        check_skip("core_pattern is %s", strtok(pattern, "\n"));
}

static volatile uint64_t g_mark = 0x1122334455667788;
static const volatile uint64_t g_constant = 0x5544332211;

static void dies(void *arg) {
    int signo = (int)(intptr_t)arg;
    g_mark++;
    if (signo == SIGSEGV)
        *(volatile int *)8 = 1;
    raise(signo);
}

/* The wait status of a child that dies of that signal. */
static int death(int signo) {
    return wait_status(spawn(dies, (void *)(intptr_t)signo));
}

/* The file's name: with or without the number, as core_uses_pid says. */
static int open_core(pid_t pid) {
    char name[64];
    int fd = open("core", O_RDONLY);
    snprintf(name, sizeof name, "core.%d", pid);
    return fd >= 0 ? fd : open(name, O_RDONLY);
}

CHECK(a_limit_of_zero_means_none) {
    set_limit(0);
    EQ(death(SIGABRT), SIGABRT);
    EQ(death(SIGSEGV), SIGSEGV);
    EQ(open_core(0), -1);
}

CHECK(signals_that_dump) {
    static const int dumping[] = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGFPE,
                                  SIGBUS,  SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
    static const int others[] = {SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGALRM, SIGPIPE, SIGUSR1};
    needs_files();
    set_limit(RLIM_INFINITY);
    for (size_t i = 0; i < sizeof dumping / sizeof *dumping; i++)
        EQ(death(dumping[i]), dumping[i] | 0x80);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        EQ(death(others[i]), others[i]);
}

CHECK(waitid_says_dumped) {
    siginfo_t info;
    needs_files();
    set_limit(RLIM_INFINITY);
    pid_t pid = spawn(dies, (void *)SIGABRT);
    OK(waitid(P_PID, (id_t)pid, &info, WEXITED));
    EQ(info.si_code, CLD_DUMPED);
    EQ(info.si_status, SIGABRT);
}

static void dies_undumpable(void *arg) {
    (void)arg;
    OK(prctl(PR_SET_DUMPABLE, 0));
    raise(SIGABRT);
}

CHECK(what_is_not_dumpable_is_not_dumped) {
    needs_files();
    set_limit(RLIM_INFINITY);
    EQ(wait_status(spawn(dies_undumpable, NULL)), SIGABRT);
    EQ(open_core(0), -1);
}

CHECK(the_file_and_its_mode) {
    struct stat st;
    needs_files();
    set_limit(RLIM_INFINITY);
    umask(0);
    pid_t pid = spawn(dies, (void *)SIGABRT);
    EQ(wait_status(pid), SIGABRT | 0x80);
    int fd = OK(open_core(pid));
    OK(fstat(fd, &st));
    EQ(st.st_mode, S_IFREG | 0600);
    EQ(st.st_nlink, 1);
}

CHECK(a_small_limit_cuts_it_off) {
    struct stat st;
    needs_files();
    set_limit(4095);
    EQ(death(SIGABRT), SIGABRT);
    EQ(open_core(0), -1);
    set_limit(65536);
    pid_t pid = spawn(dies, (void *)SIGABRT);
    EQ(wait_status(pid), SIGABRT | 0x80);
    OK(fstat(OK(open_core(pid)), &st));
    TRUE(st.st_size > 0); /* its size may be larger: a hole */
}

/* ---- contents ---- */

struct core {
    char *bytes;
    size_t size;
    Elf64_Ehdr *e;
    Elf64_Phdr *p;
};

static struct core load(pid_t pid) {
    struct core c;
    struct stat st;
    int fd = OK(open_core(pid));
    OK(fstat(fd, &st));
    c.size = (size_t)st.st_size;
    c.bytes = OKP(mmap(NULL, c.size, PROT_READ, MAP_PRIVATE, fd, 0));
    c.e = (Elf64_Ehdr *)c.bytes;
    c.p = (Elf64_Phdr *)(c.bytes + c.e->e_phoff);
    return c;
}

/* The n-th note of that type: its descriptor, or NULL. */
static void *note(const struct core *c, uint32_t type, int n, size_t *ret_size) {
    const char *at = c->bytes + c->p[0].p_offset, *end = at + c->p[0].p_filesz;
    while (at < end) {
        const Elf64_Nhdr *h = (const Elf64_Nhdr *)at;
        const char *data = at + sizeof *h + ((h->n_namesz + 3) & ~3u);
        if (h->n_type == type && n-- == 0) {
            *ret_size = h->n_descsz;
            return (void *)(uintptr_t)data;
        }
        at = data + ((h->n_descsz + 3) & ~3u);
    }
    return NULL;
}

static void *memory_at(const struct core *c, const volatile void *address) {
    uint64_t a = (uint64_t)(uintptr_t)address;
    for (int i = 1; i < c->e->e_phnum; i++)
        if (a >= c->p[i].p_vaddr && a < c->p[i].p_vaddr + c->p[i].p_filesz)
            return c->bytes + c->p[i].p_offset + (a - c->p[i].p_vaddr);
    return NULL;
}

static struct core core_of(int signo, pid_t *ret_pid) {
    needs_files();
    set_limit(RLIM_INFINITY);
    *ret_pid = spawn(dies, (void *)(intptr_t)signo);
    EQ(wait_status(*ret_pid), signo | 0x80);
    return load(*ret_pid);
}

CHECK(headers_of_the_file) {
    pid_t pid;
    struct core c = core_of(SIGABRT, &pid);
    MEMEQ(c.e->e_ident, ELFMAG, SELFMAG);
    EQ(c.e->e_type, ET_CORE);
    EQ(c.e->e_machine, EM_X86_64);
    EQ(c.p[0].p_type, PT_NOTE);
    for (int i = 1; i < c.e->e_phnum; i++) {
        EQ(c.p[i].p_type, PT_LOAD);
        TRUE(c.p[i].p_offset % 4096 == 0);
        TRUE(c.p[i].p_offset + c.p[i].p_filesz <= c.size);
        TRUE(c.p[i].p_filesz <= c.p[i].p_memsz);
    }
}

CHECK(notes_of_the_process) {
    pid_t pid;
    size_t size;
    struct core c = core_of(SIGSEGV, &pid);
    prstatus_t *status = note(&c, NT_PRSTATUS, 0, &size);
    TRUE(status != NULL);
    EQ(size, sizeof *status);
    EQ(status->pr_pid, pid);
    EQ(status->pr_ppid, getpid());
    EQ(status->pr_cursig, SIGSEGV);
    EQ(status->pr_info.si_signo, SIGSEGV);
    EQ(status->pr_fpvalid, 1);
    prpsinfo_t *info = note(&c, NT_PRPSINFO, 0, &size);
    TRUE(info != NULL);
    EQ(size, sizeof *info);
    EQ(info->pr_pid, pid);
    EQ(info->pr_sname, 'R');
    TRUE(strncmp(info->pr_fname, "core_dumps", 10) == 0);
    TRUE(strstr(info->pr_psargs, "core_dumps") != NULL);
    siginfo_t *si = note(&c, NT_SIGINFO, 0, &size);
    TRUE(si != NULL);
    EQ(si->si_signo, SIGSEGV);
    EQ((uintptr_t)si->si_addr, 8);
    Elf64_auxv_t *aux = note(&c, NT_AUXV, 0, &size);
    TRUE(aux != NULL && size >= 16 * sizeof *aux);
    TRUE(note(&c, NT_PRFPREG, 0, &size) != NULL);
    EQ(size, 512);
    TRUE(note(&c, NT_X86_XSTATE, 0, &size) != NULL);
    TRUE(size >= 576);
    uint64_t *files = note(&c, NT_FILE, 0, &size);
    TRUE(files != NULL && files[0] > 0);
    EQ(files[1], 4096);
}

CHECK(memory_is_in_it) {
    pid_t pid;
    struct core c = core_of(SIGABRT, &pid);
    uint64_t *mark = memory_at(&c, &g_mark);
    TRUE(mark != NULL);
    EQ(*mark, 0x1122334455667789);
    int on_stack = 0;
    TRUE(memory_at(&c, &on_stack) != NULL);
    TRUE(memory_at(&c, &g_constant) == NULL || *(uint64_t *)memory_at(&c, &g_constant) == g_constant);
}

CHECK(the_filter_rules_what_is_in_it) {
    pid_t pid;
    char text[32];
    STREQ(get_file("/proc/self/coredump_filter", text, sizeof text), "00000033\n");
    int fd = OK(open("/proc/self/coredump_filter", O_WRONLY));
    EQ(write(fd, "0x1b1\n", 6), 6);
    STREQ(get_file("/proc/self/coredump_filter", text, sizeof text), "000001b1\n");
    EQ(pwrite(fd, "0", 1, 0), 1);
    close(fd);
    struct core c = core_of(SIGABRT, &pid); /* inherited */
    TRUE(memory_at(&c, &g_mark) == NULL);
}

static void *waits(void *arg) {
    for (;;)
        pause();
    return arg;
}

static void dies_with_threads(void *arg) {
    pthread_t t;
    for (int i = 0; i < 3; i++)
        EQ(pthread_create(&t, NULL, waits, NULL), 0);
    sleep_ms(30);
    dies(arg);
}

CHECK(all_threads_are_in_it) {
    size_t size;
    needs_files();
    set_limit(RLIM_INFINITY);
    pid_t pid = spawn(dies_with_threads, (void *)SIGABRT);
    EQ(wait_status(pid), SIGABRT | 0x80);
    struct core c = load(pid);
    for (int i = 0; i < 4; i++) {
        prstatus_t *status = note(&c, NT_PRSTATUS, i, &size);
        TRUE(status != NULL);
        TRUE(status->pr_reg[16] != 0);
        TRUE(note(&c, NT_PRFPREG, i, &size) != NULL);
    }
    TRUE(note(&c, NT_PRSTATUS, 4, &size) == NULL);
}

CHECK(many_deaths_with_threads) {
    needs_files();
    set_limit(1 << 20);
    for (int i = 0; i < 10; i++)
        EQ(wait_status(spawn(dies_with_threads, (void *)SIGABRT)), SIGABRT | 0x80);
}
