/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/guest.c: see guest.h.
 */
#include "tests/unit/platform/guest/guest.h"

#include <dirent.h>
#include <stdio.h>

static int g_proc_fd = -1;

void guest_start_platform(struct guest *g) {
    struct err *err = NULL;
    memset(g, 0, sizeof(*g));
    g_proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_OK(g_proc_fd);
    struct platform_config config = {.proc_fd = g_proc_fd};
    if (strcmp(TEST_PLATFORM, "kvm") == 0 && access("/dev/kvm", R_OK | W_OK) < 0)
        test_skip("/dev/kvm: cannot be opened");
    int r = platform_create(TEST_PLATFORM, &config, &g->platform, &err);
    if (r) {
        char *text = err_text(err);
        test_fail_at(__FILE__, __LINE__, "platform_create: %s", text);
    }
    g->ops = g->platform->ops;
}

void guest_map(struct guest *g, uint64_t addr, uint64_t len, int prot) {
    ASSERT_EQ(guest_apply(g, (struct as_op){.kind = AS_MAP_ANON, .addr = addr, .len = len, .prot = prot}), 0);
}

int guest_apply(struct guest *g, struct as_op op) {
    return g->ops->as_apply(g->as, &op, 1, NULL);
}

void guest_fill(struct guest *g) {
    size_t size = (size_t)(guest_code_end - guest_code);
    guest_map(g, CODE_ADDRESS, 0x1000, PROT_READ | PROT_WRITE);
    ASSERT_EQ(g->ops->as_copy_out(g->as, CODE_ADDRESS, guest_code, size), (ssize_t)size);
    ASSERT_EQ(guest_apply(g, (struct as_op){.kind = AS_PROTECT,
                                            .addr = CODE_ADDRESS,
                                            .len = 0x1000,
                                            .prot = PROT_READ | PROT_EXEC}),
              0);
    guest_map(g, DATA_ADDRESS, DATA_SIZE, PROT_READ | PROT_WRITE);
    guest_map(g, STACK_TOP - 0x10000, 0x10000, PROT_READ | PROT_WRITE);
}

void guest_start(struct guest *g) {
    guest_start_platform(g);
    ASSERT_EQ(g->ops->as_create(g->platform, &g->as), 0);
    guest_fill(g);
    ASSERT_EQ(g->ops->context_create(g->as, &g->context), 0);
}

void guest_end(struct guest *g) {
    g->ops->context_destroy(g->context);
    if (g->as)
        g->ops->as_unref(g->as);
    g->ops->destroy(g->platform);
    close(g_proc_fd);
}

void guest_close_proc(void) {
    close(g_proc_fd);
}

void guest_enter(struct guest *g, uint64_t rip) {
    g->regs = (struct guest_regs){
        .rip = rip, .rsp = STACK_TOP - 16, .rflags = 0x202, .cs = 0x33, .ss = 0x2b, .orig_rax = ~0ull};
}

void guest_run(struct guest *g) {
    g->ops->context_switch(g->context, &g->regs, false, &g->event);
}

void guest_step_once(struct guest *g) {
    g->ops->context_switch(g->context, &g->regs, true, &g->event);
}

void guest_expect_call(struct guest *g, uint64_t number) {
    guest_run(g);
    ASSERT_EQ(g->event.kind, EVENT_SYSCALL);
    ASSERT_EQ(g->regs.orig_rax, number);
}

void guest_expect_fault(struct guest *g, int signo, int code, uint64_t address, uint64_t rip) {
    guest_run(g);
    ASSERT_EQ(g->event.kind, EVENT_FAULT);
    ASSERT_EQ(g->event.signo, signo);
    ASSERT_EQ(g->event.code, code);
    ASSERT_EQ(g->event.address, address);
    ASSERT_EQ(g->regs.rip, rip);
    ASSERT_EQ(g->regs.orig_rax, ~0ull);
}

uint64_t guest_word(struct guest *g, uint64_t addr) {
    uint64_t value = 0;
    ASSERT_EQ(g->ops->as_copy_in(g->as, &value, addr, sizeof(value)), 8);
    return value;
}

void guest_set_word(struct guest *g, uint64_t addr, uint64_t value) {
    ASSERT_EQ(g->ops->as_copy_out(g->as, addr, &value, sizeof(value)), 8);
}

/* Walks /proc for processes whose parent this is. */
static int children(pid_t *ret_youngest) {
    int count = 0;
    DIR *d = opendir("/proc");
    struct dirent *e;
    *ret_youngest = 0;
    while ((e = readdir(d))) {
        char path[300], text[512];
        pid_t pid = atoi(e->d_name);
        if (pid <= 0)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        FILE *f = fopen(path, "r");
        if (!f)
            continue;
        size_t n = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        text[n] = 0;
        char *end = strrchr(text, ')');
        char state;
        int parent;
        if (end && sscanf(end + 1, " %c %d", &state, &parent) == 2 && parent == getpid()) {
            count++;
            *ret_youngest = MAX(*ret_youngest, pid);
        }
    }
    closedir(d);
    return count;
}

int guest_count_stubs(void) {
    pid_t pid;
    return children(&pid);
}

pid_t guest_stub_pid(void) {
    pid_t pid;
    children(&pid);
    return pid;
}
