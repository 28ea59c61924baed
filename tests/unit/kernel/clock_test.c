/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/kernel/clock_test.c: clock_gettime(2) with an offset between the guest's clocks and the host's.
 */
#include "base/abi/linux/time.h"
#include "base/clock.h"
#include "sentry/kernel/kernel_host.h"
#include "tests/unit/kernel/kernel_fixture.h"

enum { HOUR_S = 3600 };

static int64_t seconds(struct fake_guest *g, gva_t page) {
    EXPECT(g, FAKE_CALL(g, LINUX_SYS_clock_gettime, LINUX_CLOCK_REALTIME, page), 0);
    return (int64_t)guest_get(g, page);
}

/* The guest's clock is a thousand hours ahead; two readings of the test lie less than one apart. */
static void reads(struct fake_guest *g, void *arg) {
    struct fixture *f = arg;
    struct platform_limits *l = &kernel_platform(f->kernel)->limits;
    gva_t page = guest_page(g);
    int64_t host = realtime_ns() / NSEC_PER_SEC;

    EXPECT(g, (seconds(g, page) - host) / HOUR_S, 1000);
    l->host_vdso_start = 0;
    l->host_vdso_end = UINT64_MAX; /* wherever the call comes from */
    EXPECT(g, (seconds(g, page) - host) / HOUR_S, 0);
    guest_exit(g, 0);
}

TEST(a_clock_has_the_guests_offset_unless_the_hosts_vdso_asks) {
    struct fixture f;

    fixture_init(&f);
    kernel_set_realtime(f.kernel, realtime_ns() + 1000ll * HOUR_S * NSEC_PER_SEC);
    ASSERT_EQ(fixture_run(&f, reads, &f), 0);
    fixture_done(&f);
}
