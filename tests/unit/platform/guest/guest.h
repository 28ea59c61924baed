/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/guest/guest.h: a guest for tests of a platform: one address space with code, data and a
 * stack, one context.
 */
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/platform.h"
#include "tests/support/test.h"

#define CODE_ADDRESS 0x10000000ull
#define DATA_ADDRESS 0x20000000ull
#define DATA_SIZE    0x10000ull
#define STACK_TOP    0x30010000ull

extern const char guest_code[], guest_code_end[];
/* Where a label of guest_code.S lies in the guest. */
#define GUEST(label)                                                                                         \
    ({                                                                                                       \
        extern const char label[];                                                                           \
        CODE_ADDRESS + (uint64_t)(label - guest_code);                                                       \
    })

struct guest {
    struct platform *platform;
    const struct platform_ops *ops;
    struct address_space *as;
    struct context *context;
    struct guest_regs regs;
    struct platform_event event;
};

void guest_start(struct guest *g);          /* platform, address space, context */
void guest_start_platform(struct guest *g); /* the platform alone */
void guest_fill(struct guest *g);           /* code, data and stack into g->as */
void guest_end(struct guest *g);
void guest_close_proc(void);                     /* after a platform that guest_end() did not end */
void guest_enter(struct guest *g, uint64_t rip); /* sets the registers to a fresh start there */
void guest_run(struct guest *g);                 /* one switch */
void guest_step_once(struct guest *g);
void guest_expect_call(struct guest *g, uint64_t number);
void guest_expect_fault(struct guest *g, int signo, int code, uint64_t address, uint64_t rip);

void guest_map(struct guest *g, uint64_t addr, uint64_t len, int prot);
int guest_apply(struct guest *g, struct as_op op);
uint64_t guest_word(struct guest *g, uint64_t addr);
void guest_set_word(struct guest *g, uint64_t addr, uint64_t value);
int guest_count_stubs(void); /* children of this process */
pid_t guest_stub_pid(void);  /* the youngest of them */
