/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/net_filter/fuzz_net_filter.c: classic BPF programs of any kind over packets of any length: what
 * is let in ends, and reads nothing but the packet. The input: a byte for the packet's length, one for the
 * start, the packet's bytes as they come, then instructions.
 */
#include "netstack/stack/sock_filter.h"
#include "tests/fuzz/net_input/fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fuzz_net f;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bpf_insn program[64];
    if (size < 2 || size - 2 < data[0])
        return 0;
    uint32_t len = data[0], start = len ? data[1] % (len + 1) : 0;
    size_t count = MIN((size - 2 - len) / sizeof(program[0]), ARRAY_SIZE(program));
    if (count == 0)
        return 0;
    memcpy(program, data + 2 + len, count * sizeof(program[0]));
    if (!filter_valid(program, count))
        return 0;
    fuzz_net_start(&f);
    struct pkt *p = netstack_pkt_copy(f.h->st, data + 2, len);
    if (p)
        (void)filter_run(program, count, p, start);
    netstack_pkt_free(f.h->st, p);
    fuzz_net_end(&f);
    return 0;
}
