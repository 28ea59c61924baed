/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/runsc/spec_test.c: reading config.json: what clients write is understood, what is wrong is named
 * by its JSON path.
 */
#include "boot/spec/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "tests/support/test.h"

#define PROCESS "\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\"}"
#define HEAD    "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"}"

static int parse(const char *text, struct spec **ret, struct err **err) {
    cleanup(json_decrefp) json_t *document = NULL;
    int r = spec_load_json(text, strlen(text), "config.json", &document, err);

    return r < 0 ? r : spec_parse(document, ret, err);
}

static const struct {
    const char *text, *wants; /* wants: what the error says */
} g_bad[] = {
    {"", "config.json: line 1"},
    {"{", "config.json: line 1"},
    {"[]", "the document must be a JSON object, not an array"},
    {"{}", "ociVersion is missing"},
    {"{\"ociVersion\":1}", "ociVersion must be a string, not a number"},
    {"{\"ociVersion\":\"1.0.2\"}", "root.path is missing"},
    {"{\"ociVersion\":\"2.0.0\",\"root\":{\"path\":\"r\"}}", "ociVersion 2.0.0 is not supported"},
    {"{\"ociVersion\":\"x\",\"root\":{\"path\":\"r\"}}", "ociVersion must be a version"},
    {"{\"ociVersion\":\"1.0.2\",\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"}}", "duplicate"},
    {"{\"ociVersion\":\"1.0.2\",\"root\":{}}", "root.path is missing"},
    {"{\"ociVersion\":\"1.0.2\",\"root\":[]}", "root must be an object, not an array"},
    {HEAD ",\"process\":{}}", "process.args must name a program"},
    {HEAD ",\"process\":{\"args\":[],\"cwd\":\"/\"}}", "process.args must name a program"},
    {HEAD ",\"process\":{\"args\":[1],\"cwd\":\"/\"}}", "process.args[0] must be a string, not a number"},
    {HEAD ",\"process\":{\"args\":[\"\"],\"cwd\":\"/\"}}", "process.args[0] must not be empty"},
    {HEAD ",\"process\":{\"args\":[\"sh\"]}}", "process.cwd is missing"},
    {HEAD ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"tmp\"}}",
     "process.cwd must be an absolute path, not \"tmp\""},
    {HEAD ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"terminal\":\"yes\"}}",
     "process.terminal must be true or false, not a string"},
    {HEAD ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"user\":{\"uid\":-1}}}",
     "process.user.uid must not be negative"},
    {HEAD ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"user\":{\"uid\":4294967296}}}",
     "process.user.uid does not fit 32 bits"},
    {HEAD ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"user\":{\"uid\":1.5}}}",
     "process.user.uid must be a whole number"},
    {HEAD ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"user\":{\"umask\":512}}}",
     "process.user.umask must be at most"},
    {HEAD ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/"
          "\",\"rlimits\":[{\"type\":\"RLIMIT_X\",\"hard\":1,\"soft\":1}]}}",
     "process.rlimits[0].type: unknown limit \"RLIMIT_X\""},
    {HEAD ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/"
          "\",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"hard\":1,\"soft\":2}]}}",
     "process.rlimits[0]: soft"},
    {HEAD
     ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"hard\":1}]}}",
     "process.rlimits[0].soft is missing"},
    {HEAD ",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\",\"oomScoreAdj\":2000}}",
     "process.oomScoreAdj must lie"},
    {HEAD ",\"process\":{\"args\":[\"a\\u0000b\"],\"cwd\":\"/\"}}", "line 1"},
    {HEAD ",\"mounts\":[{\"type\":\"tmpfs\"}]}", "mounts[0].destination is missing"},
    {HEAD ",\"mounts\":[{\"destination\":\"/x\"}]}", "mounts[0].type is missing"},
    {HEAD ",\"mounts\":[{\"destination\":\"/x\",\"type\":\"bind\"}]}", "mounts[0].source is missing"},
    {HEAD ",\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"ro\",5]}]}",
     "mounts[0].options[1] must be a string"},
    {HEAD ",\"hooks\":{\"prestart\":[{\"path\":\"x\"}]}}", "hooks.prestart[0].path must be absolute"},
    {HEAD ",\"hooks\":{\"poststop\":[{\"path\":\"/x\",\"timeout\":0}]}}",
     "hooks.poststop[0].timeout must be positive"},
    {HEAD ",\"hostname\":\"x\"}", "hostname needs an entry \"uts\""},
    {HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"bogus\"}]}}",
     "linux.namespaces[0].type: unknown namespace \"bogus\""},
    {HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}",
     "linux.namespaces[1].type: \"pid\" is given twice"},
    {HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]}}",
     "linux.namespaces[0].path must be absolute"},
    {HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"user\"}]}}", "linux.uidMappings is missing"},
    {HEAD ",\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}]}}",
     "need an entry \"user\""},
    {HEAD ",\"linux\":{\"rootfsPropagation\":\"up\"}}", "linux.rootfsPropagation: unknown value \"up\""},
    {HEAD ",\"linux\":{\"devices\":[{\"path\":\"/dev/x\",\"type\":\"q\"}]}}",
     "linux.devices[0].type must be"},
    {HEAD ",\"linux\":{\"maskedPaths\":[\"proc\"]}}", "linux.maskedPaths[0] must be absolute"},
    {HEAD ",\"linux\":{\"seccomp\":{}}}", "linux.seccomp.defaultAction is missing"},
    {HEAD ",\"linux\":{\"seccomp\":{\"defaultAction\":\"NO\"}}}",
     "linux.seccomp.defaultAction: unknown action \"NO\""},
    {HEAD ",\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"x\"],"
          "\"action\":\"SCMP_ACT_ALLOW\",\"args\":"
          "[{\"index\":6,\"value\":0,\"op\":\"SCMP_CMP_EQ\"}]}]}}}",
     "linux.seccomp.syscalls[0].args[0].index must be at most 5"},
    {HEAD ",\"linux\":{\"resources\":{\"memory\":{\"limit\":\"1G\"}}}}",
     "linux.resources.memory.limit must be a number, not a string"},
    {HEAD ",\"linux\":{\"resources\":{\"devices\":[{\"access\":\"rwm\"}]}}}",
     "linux.resources.devices[0].allow is missing"},
};

TEST(what_is_wrong_is_named_by_its_path) {
    for (size_t i = 0; i < ARRAY_SIZE(g_bad); i++) {
        cleanup(err_freep) struct err *err = NULL;
        cleanup(spec_freep) struct spec *s = NULL;
        int r = parse(g_bad[i].text, &s, &err);
        if (r >= 0)
            ASSERT_FAIL("accepted: %s", g_bad[i].text);
        cleanup(freep) char *text = err_text(err);
        ASSERT_CONTAINS(text, g_bad[i].wants);
    }
}

TEST(unknown_fields_are_warnings_with_their_path) {
    cleanup(spec_freep) struct spec *s = NULL;

    ASSERT_OK(parse(HEAD ",\"x\":1,\"process\":{\"args\":[\"sh\"],\"cwd\":\"/"
                         "\",\"y\":{},\"capabilities\":{\"bounding\":[\"CAP_NEW\",\"CAP_KILL\"]}}}",
                    &s, NULL));
    ASSERT_EQ(s->warnings.count, 3);
    ASSERT_STREQ(s->warnings.items[0], "x: unknown field, ignored");
    ASSERT_STREQ(s->warnings.items[1], "process.y: unknown field, ignored");
    ASSERT_CONTAINS(s->warnings.items[2], "process.capabilities.bounding: unknown capability CAP_NEW");
    ASSERT_EQ(spec_capability_bits(&s->process.capabilities.bounding), 1u << 5);
}

TEST(warnings_are_bounded) {
    cleanup(spec_freep) struct spec *s = NULL;
    char text[16384] = HEAD;

    for (int i = 0; i < 500; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ",\"u%d\":0", i);
    strcat(text, "}");
    ASSERT_OK(parse(text, &s, NULL));
    ASSERT_EQ(s->warnings.count, SPEC_MAX_WARNINGS);
    ASSERT_EQ(s->dropped_warnings, 500 - SPEC_MAX_WARNINGS);
}

/* podman writes nulls for what is not set; kubelet limits of 2^63 and rlimits of 2^64-1. */
TEST(what_clients_really_write) {
    cleanup(spec_freep) struct spec *s = NULL;

    ASSERT_OK(parse(
        HEAD
        ",\"hooks\":null,\"annotations\":{\"a\":\"b\"},\"process\":{\"terminal\":true,\"consoleSize\":{"
        "\"height\":30,\"width\":100},"
        "\"user\":{\"uid\":1000,\"gid\":5,\"umask\":18,\"additionalGids\":[7,8]},\"args\":[\"sh\",\"-c\","
        "\"x\"],\"env\":[\"A=1\"],\"cwd\":\"/w\","
        "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":18446744073709551615,\"soft\":1024}]},"
        "\"mounts\":[{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"/"
        "s\",\"options\":[\"rbind\",\"ro\"]},"
        "{\"destination\":\"proc\",\"type\":\"proc\"}],"
        "\"linux\":{\"resources\":{\"memory\":{\"limit\":9223372036854775808,\"swap\":-1},\"pids\":null},"
        "\"namespaces\":[{\"type\":\"network\",\"path\":\"/run/netns/"
        "x\"},{\"type\":\"pid\",\"path\":\"\"}]}}",
        &s, NULL));
    ASSERT_TRUE(s->process.terminal);
    ASSERT_EQ(s->process.console_size.height, 30);
    ASSERT_EQ(s->process.user.umask.value, 022);
    ASSERT_EQ(s->process.user.additional_gids.items[1], 8);
    ASSERT_STREQ(s->process.args.items[2], "x");
    ASSERT_NULL(s->process.args.items[3]);
    ASSERT_TRUE(s->process.rlimits.items[0].hard == UINT64_MAX);
    ASSERT_TRUE(s->linux_.resources.memory.limit.value == INT64_MAX);
    ASSERT_EQ(s->linux_.resources.memory.swap.value, -1);
    ASSERT_FALSE(s->linux_.resources.pids_limit.set);
    ASSERT_TRUE(spec_mount_is_bind(&s->mounts.items[0]));
    ASSERT_STREQ(s->mounts.items[1].destination, "/proc");
    ASSERT_STREQ(spec_annotation(s, "a"), "b");
    ASSERT_NULL(spec_annotation(s, "c"));
    ASSERT_STREQ(spec_namespace(s, NS_NETWORK)->path, "/run/netns/x");
    ASSERT_NULL(spec_namespace(s, NS_PID)->path);
    ASSERT_NULL(spec_namespace(s, NS_IPC));
}

TEST(deep_nesting_is_refused_before_it_is_parsed) {
    cleanup(err_freep) struct err *err = NULL;
    cleanup(spec_freep) struct spec *s = NULL;
    char text[4096];

    memset(text, '[', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ASSERT_EQ(parse(text, &s, &err), -EINVAL);
    ASSERT_CONTAINS(err->message, "nests more than");
}

TEST(digits_within_strings_stay_as_they_are) {
    cleanup(json_decrefp) json_t *j = NULL;
    const char *text = "{\"a\":\"12345678901234567890123\\\"9999999999999999999\",\"b\":1.5e3,\"c\":"
                       "12345678901234567890,\"d\":-5}";

    ASSERT_OK(spec_load_json(text, strlen(text), "x", &j, NULL));
    ASSERT_STREQ(json_string_value(json_object_get(j, "a")), "12345678901234567890123\"9999999999999999999");
    ASSERT_TRUE(json_real_value(json_object_get(j, "b")) == 1500.0);
    ASSERT_TRUE(json_is_real(json_object_get(j, "c")));
    ASSERT_EQ(json_integer_value(json_object_get(j, "d")), -5);
}

TEST(names_of_limits_and_namespaces) {
    ASSERT_EQ(spec_rlimit_number("RLIMIT_NPROC"), RLIMIT_NPROC);
    ASSERT_EQ(spec_rlimit_number("NPROC"), -1);
    ASSERT_STREQ(spec_namespace_name(NS_MOUNT), "mnt");
}
