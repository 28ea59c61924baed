/* SPDX-License-Identifier: Apache-2.0
 * platform/systrap/systrap_patch.h: call sites of the guest, patched into jumps that skip the trap
 * (systrap_patch_host.c).
 */
#pragma once

#include "platform/stub/stub.h"

/* Around the time in which guest code of a thread runs: nobody patches then. May wait, a few microseconds. */
void systrap_gate_enter(struct stub_space *s);
void systrap_gate_leave(struct stub_space *s);

/* The guest, stopped, has trapped with that number and return address: after enough traps the site is
 * patched. `answered`: it answers such calls by itself, so that we see few of them. */
void systrap_patch_count(struct stub_space *s, uint64_t number, uint64_t rip, bool answered);

/* If rip is in a trampoline: its site. */
struct systrap_site {
    uint64_t rip; /* behind the old `syscall` */
    uint32_t number;
    bool refused; /* written to by a debugger: not patched again */
};
bool systrap_patch_at_trampoline(struct stub_space *s, uint64_t rip, struct systrap_site *ret);
/* rip is the return address of a site that was patched at some time. */
bool systrap_patch_is_site(struct stub_space *s, uint64_t rip);
/* rip, where an illegal instruction was met, is where a site that is patched now had its `syscall`. */
bool systrap_patch_is_middle(struct stub_space *s, uint64_t rip);

/* For debuggers: a peek shows what the guest's program says, and a poke into a patched site first puts that
 * back, for good. */
ssize_t systrap_as_peek(struct address_space *as, void *to, gva_t from, size_t size);
ssize_t systrap_as_poke(struct address_space *as, gva_t to, const void *from, size_t size);

extern const struct stub_hooks systrap_hooks;
