/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/nf_blob/fuzz_nf_blob.c: iptables blobs of any kind, and a packet through what they became. The
 * input: a byte for family and table, hook entries and underflows in units of 8 bytes, then entries; the
 * number of entries is counted by their own offsets, so that inputs get past that check.
 */
#include <stdlib.h>

#include "netstack/filter/nf_legacy.h"
#include "tests/fuzz/net_input/fuzz_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fuzz_net f;

static uint32_t count_entries(const uint8_t *p, size_t size, uint32_t next_at) {
    uint32_t n = 0;
    for (size_t at = 0; at + next_at + 2 <= size; n++) {
        uint16_t step;
        memcpy(&step, p + at + next_at, sizeof(step));
        if (step == 0)
            break;
        at += step;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const tables[] = {"filter", "nat", "mangle", "raw"};
    static const uint32_t hooks[] = {0xe, 0x1b, 0x1f, 0x9};
    struct xt_replace r = {0};
    struct xt_counters counters[8];
    struct xt_getinfo info;
    if (size < 11)
        return 0;
    int family = data[0] & 1 ? NS_AF_INET6 : NS_AF_INET;
    unsigned kind = data[0] >> 1 & 3;
    memcpy(r.name, tables[kind], strlen(tables[kind]));
    r.valid_hooks = hooks[kind];
    for (int h = 0; h < 5; h++) {
        r.hook_entry[h] = data[1 + h] * 8u;
        r.underflow[h] = data[6 + h] * 8u;
    }
    data += 11;
    size -= 11;
    r.size = (uint32_t)size;
    r.num_entries = count_entries(data, size, family == NS_AF_INET ? 90 : 142);
    fuzz_net_start(&f);
    if (nf_legacy_info(f.h->ns, family, r.name, &info) == 0) {
        r.num_counters = info.num_entries;
        if (nf_legacy_replace(f.h->ns, family, &r, data, counters) == 0) {
            uint8_t *out = malloc(size);
            if (out && nf_legacy_entries(f.h->ns, family, r.name, (uint32_t)size, out) < 0)
                abort();
            free(out);
            fuzz_net_frame(&f, data, size, /* ip_sums= */ true);
            struct ns_iov iov = {"x", 1};
            struct ns_msg m = {
                .iov = &iov, .iov_count = 1, .has_name = true, .name = sim_addr("127.0.0.1", 9)};
            struct nsock *x;
            if (nsock_new(f.h->ns, NS_AF_INET, NS_SOCK_DGRAM, 0, NULL, &x) == 0) {
                (void)!nsock_send(x, &m);
                nsock_close(x);
            }
            fuzz_net_pass(&f, SIM_S(1));
        }
    }
    fuzz_net_end(&f);
    return 0;
}
