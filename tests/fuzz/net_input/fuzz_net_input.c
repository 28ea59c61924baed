/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/net_input/fuzz_net_input.c: arbitrary frames into a stack with sockets of every kind: Ethernet,
 * ARP, IPv4, IPv6 with extension headers, ICMP, NDP, IGMP, MLD, UDP, TCP to listeners, fragments. The input
 * is a list of frames: two bytes of length and flags, then the frame. Nothing may crash, leak or grow without
 * bound.
 */
#include "tests/fuzz/net_input/fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct fuzz_net f;
    fuzz_net_start(&f);
    for (int frames = 0; size >= 2 && frames < 64; frames++) {
        size_t len = (size_t)(data[0] & 7) << 8 | data[1];
        uint8_t flags = data[0] >> 3;
        data += 2;
        size -= 2;
        len = len < size ? len : size;
        fuzz_net_frame(&f, data, len, flags & 1);
        if (flags & 2)
            fuzz_net_pass(&f, SIM_MS(1) << (flags >> 2));
        data += len;
        size -= len;
    }
    ASSERT_LT(f.h->peak_bytes, 16u << 20);
    fuzz_net_pass(&f, SIM_S(200));
    fuzz_net_end(&f);
    return 0;
}
