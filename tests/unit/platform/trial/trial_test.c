/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/platform/trial/trial_test.c: platform_try(): verdicts and figures of real platforms, and the
 * reason where there is none.
 */
#include <errno.h>
#include <string.h>

#include "platform/platform_trial.h"
#include "tests/support/test.h"

static void works(const char *name) {
    struct platform_trial t;
    ASSERT_EQ(platform_try(name, &t), 0);
    if (t.error)
        test_fail_at(__FILE__, __LINE__, "%s: %s", name, t.why);
    ASSERT_GT(t.call_ns, 0);
}

TEST(stub_platforms_work) {
    works("ptrace");
    works("systrap");
}

TEST(an_unknown_platform_says_so) {
    struct platform_trial t;
    ASSERT_EQ(platform_try("carrier-pigeon", &t), 0);
    ASSERT_EQ(t.error, -ENOENT);
    ASSERT_TRUE(strstr(t.why, "carrier-pigeon") != NULL);
}
