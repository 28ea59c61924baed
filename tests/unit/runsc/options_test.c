/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/runsc/options_test.c: every form in which clients write options (OCI.md 10.4).
 */
#include "runsc/options.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "tests/support/test.h"

struct sample {
    bool all, tty, interactive;
    const char *root;
    struct option_list env;
    int64_t fds;
};
#define O(n, l, k, m)                                                                                        \
    { .name = n, .letter = l, .kind = OPTION_##k, .offset = offsetof(struct sample, m), .help = "help" }
static const struct option_def g_defs[] = {
    O("all", 'a', FLAG, all),     O("tty", 't', FLAG, tty), O("interactive", 'i', FLAG, interactive),
    O("root", 'r', STRING, root), O("env", 'e', LIST, env), O("preserve-fds", 0, NUMBER, fds)};

#define PARSE(permute, ...)                                                                                  \
    struct sample s = {.all = false};                                                                        \
    char *argv[] = {__VA_ARGS__, NULL};                                                                      \
    int next = 0, argc = (int)ARRAY_SIZE(argv) - 1;                                                          \
    cleanup(err_freep) struct err *err = NULL;                                                               \
    int r = options_parse(g_defs, ARRAY_SIZE(g_defs), &s, argc, argv, permute, &next, &err)
#define S (char[])

TEST(long_forms) {
    PARSE(false, S{"--root"}, S{"/x"}, S{"--all"}, S{"--tty=false"}, S{"--preserve-fds=3"}, S{"id"},
          S{"--all=x"});
    ASSERT_EQ(r, 0);
    ASSERT_STREQ(s.root, "/x");
    ASSERT_TRUE(s.all);
    ASSERT_FALSE(s.tty);
    ASSERT_EQ(s.fds, 3);
    ASSERT_STREQ(argv[next], "id");
}

TEST(single_dash_long_form) {
    PARSE(false, S{"-root=/y"}, S{"-interactive"}, S{"id"});
    ASSERT_EQ(r, 0);
    ASSERT_STREQ(s.root, "/y");
    ASSERT_TRUE(s.interactive);
}

TEST(letters) {
    PARSE(false, S{"-it"}, S{"-r/z"}, S{"-e"}, S{"A=1"}, S{"-eB=2"}, S{"id"});
    ASSERT_EQ(r, 0);
    ASSERT_TRUE(s.tty);
    ASSERT_TRUE(s.interactive);
    ASSERT_STREQ(s.root, "/z");
    ASSERT_EQ(s.env.count, 2);
    ASSERT_STREQ(s.env.items[1], "B=2");
    free(s.env.items);
}

TEST(end_of_options) {
    PARSE(true, S{"--"}, S{"--all"});
    ASSERT_EQ(r, 0);
    ASSERT_FALSE(s.all);
    ASSERT_STREQ(argv[next], "--all");
}

TEST(options_after_arguments) {
    PARSE(true, S{"id"}, S{"--all"}, S{"15"}, S{"-r"}, S{"/q"});
    ASSERT_EQ(r, 0);
    ASSERT_TRUE(s.all);
    ASSERT_STREQ(s.root, "/q");
    ASSERT_EQ(argc - next, 2);
    ASSERT_STREQ(argv[next], "id");
    ASSERT_STREQ(argv[next + 1], "15");
}

TEST(a_commands_own_options_are_left_alone) {
    PARSE(false, S{"ls"}, S{"--all"}, S{"-x"});
    ASSERT_EQ(r, 0);
    ASSERT_FALSE(s.all);
    ASSERT_EQ(argc - next, 3);
}

TEST(help_in_both_forms) {
    PARSE(false, S{"-h"});
    ASSERT_EQ(r, OPTIONS_HELP);
    char *again[] = {S{"--help"}, NULL};
    ASSERT_EQ(options_parse(g_defs, ARRAY_SIZE(g_defs), &s, 1, again, false, &next, &err), OPTIONS_HELP);
}

static void expect_error(char *first, char *second, const char *text) {
    struct sample s = {.all = false};
    char *argv[] = {first, second, NULL};
    int next;
    cleanup(err_freep) struct err *err = NULL;

    ASSERT_EQ(options_parse(g_defs, ARRAY_SIZE(g_defs), &s, second ? 2 : 1, argv, false, &next, &err),
              -EINVAL);
    ASSERT_CONTAINS(err->message, text);
}

TEST(errors) {
    expect_error(S{"--nope"}, NULL, "unknown option --nope");
    expect_error(S{"-z"}, NULL, "unknown option -z");
    expect_error(S{"--root"}, NULL, "option --root needs a value");
    expect_error(S{"--all=maybe"}, NULL, "option --all takes true or false");
    expect_error(S{"--preserve-fds"}, S{"x"}, "takes a number");
}
