/* SPDX-License-Identifier: Apache-2.0
 * tests/fuzz/egress/fuzz_egress.c: the egress policy. The first byte says what the rest is: a policy file, a
 * question of the sandbox's, or an answer from the network.
 */
#include <stdlib.h>
#include <string.h>

#include "uplink/egress.h"

enum { ROOM = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char rules[] =
        "allow tcp www.example.test 443\nallow any *.below.test *\nallow icmp 192.0.2.0/24";
    const char *text = rules;
    size_t len = sizeof rules - 1, line, n;
    struct egress *e;

    if (size == 0)
        return 0;
    if (data[0] == 0) {
        text = (const char *)data + 1;
        len = size - 1;
    }
    if (egress_parse(text, len, &e, &line) < 0)
        return 0;
    uint8_t *m = malloc(ROOM);
    ASSERT(m);
    size_t count = size - 1 < ROOM ? size - 1 : ROOM;
    memcpy(m, data + 1, count);
    if (data[0] == 1 && !egress_dns_question(e, m, count, ROOM, &n))
        ASSERT(n <= count);
    if (data[0] == 2)
        egress_dns_answer(e, m, count);
    free(m);
    egress_free(e);
    return 0;
}
