/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_patch.h: call sites of the guest, patched into jumps that skip the trap
 * (systrap_patch_host.c).
 */
#pragma once

#include "platform/stub/stub.h"

/* Around the time in which guest code of a thread runs, and in which it is decided where: nobody patches
 * then. May wait, a few microseconds. */
void systrap_gate_enter(struct stub_space *s);
void systrap_gate_leave(struct stub_space *s);

/* The guest, stopped, has trapped with that number and return address: after enough traps the site is
 * patched. `answered`: it answers such calls by itself, so that we see few of them. */
void systrap_patch_count(struct stub_space *s, uint64_t number, uint64_t rip, bool answered);

/* A call site: `mov $number, %eax; syscall`, or, if it is `wrapped`, `syscall; cmp $compare, %rax`. */
struct systrap_site {
    uint64_t rip; /* behind the old `syscall` */
    uint32_t number, compare;
    bool wrapped;
    bool refused; /* written to by a debugger: not patched again */
};
static inline uint64_t systrap_site_start(const struct systrap_site *site) {
    return site->rip - (site->wrapped ? 2 : 7);
}

/* Where in the guest's program a thread is whose rip is in a trampoline. */
struct systrap_place {
    struct systrap_site site;
    uint64_t rip;   /* site.rip, or behind the comparison of a wrapped site */
    bool is_return; /* the call is over; otherwise it has not begun */
};
bool systrap_patch_at_trampoline(struct stub_space *s, uint64_t rip, struct systrap_place *ret);
/* The site, patched at some time, that hands over with `back` as the place to go on at. */
bool systrap_patch_find(struct stub_space *s, uint64_t back, struct systrap_site *ret);
/* Where a thread that is to go on at `rip` must go: elsewhere if the comparison that lay there has moved.
 * `back`: what the call at hand, if it came by a patched site, has as the place to go on at; 0: it did not.
 */
uint64_t systrap_patch_resume(struct stub_space *s, uint64_t rip, uint64_t back);
/* rip, where an illegal instruction was met, is where a site that is patched now had its `syscall`. */
bool systrap_patch_is_middle(struct stub_space *s, uint64_t rip);

/* For debuggers: a peek shows what the guest's program says, and a poke into a patched site first puts that
 * back, for good. */
ssize_t systrap_as_peek(struct address_space *as, void *to, gva_t from, size_t size);
ssize_t systrap_as_poke(struct address_space *as, gva_t to, const void *from, size_t size);

/* For stub_hooks: the child's copy; and the end. */
int systrap_patches_fork(struct stub_space *parent, struct stub_space *child) must_check;
void systrap_patches_free(struct stub_space *s);
