/* SPDX-License-Identifier: Apache-2.0
 * netstack/stack/sock_filter.h: classic BPF over packets: SO_ATTACH_FILTER. Source: McCanne, Jacobson, "The
 * BSD Packet Filter", 1993; the kernel's Documentation/networking/filter.
 */
#pragma once

#include "netstack/buffer/pkt.h"

/* As struct sock_filter. */
struct bpf_insn {
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
};

enum { BPF_MAX_INSNS = 4096 };

/* A program that reads only within its scratch memory and ends in a return on every path; jumps go forward,
 * so it ends. */
bool filter_valid(const struct bpf_insn *insns, size_t count);
/* How many bytes of the packet to keep, from `start` on; 0: drop it. Loads beyond the packet drop it. The
 * program is valid. */
uint32_t filter_run(const struct bpf_insn *insns, size_t count, const struct pkt *p, uint32_t start);
