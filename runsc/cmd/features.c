/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/features.c: what this runtime supports, in the OCI features document's form.
 */
#include <errno.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "runsc/cli.h"
#include "version.h"

static const char g_features[] =
    "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"1.0.2\","
    "\"hooks\":[\"prestart\",\"createRuntime\",\"createContainer\",\"startContainer\",\"poststart\","
    "\"poststop\"],"
    "\"mountOptions\":[\"bind\",\"dev\",\"exec\",\"noatime\",\"nodev\",\"noexec\",\"nosuid\",\"private\","
    "\"rbind\",\"relatime\",\"ro\",\"rprivate\","
    "\"rshared\",\"rslave\",\"rw\",\"shared\",\"slave\",\"strictatime\",\"suid\",\"tmpcopyup\"],"
    "\"linux\":{\"namespaces\":[\"cgroup\",\"ipc\",\"mount\",\"network\",\"pid\",\"user\",\"uts\"],"
    "\"cgroup\":{\"v1\":true,\"v2\":false,\"systemd\":false,\"systemdUser\":false},"
    "\"seccomp\":{\"enabled\":true,\"actions\":[\"SCMP_ACT_ALLOW\",\"SCMP_ACT_ERRNO\",\"SCMP_ACT_KILL\","
    "\"SCMP_ACT_KILL_PROCESS\",\"SCMP_ACT_KILL_THREAD\","
    "\"SCMP_ACT_LOG\",\"SCMP_ACT_TRACE\",\"SCMP_ACT_TRAP\"],\"operators\":[\"SCMP_CMP_EQ\",\"SCMP_CMP_GE\","
    "\"SCMP_CMP_GT\",\"SCMP_CMP_LE\","
    "\"SCMP_CMP_LT\",\"SCMP_CMP_MASKED_EQ\",\"SCMP_CMP_NE\"],\"archs\":[\"SCMP_ARCH_X86_64\"]},"
    "\"apparmor\":{\"enabled\":false},\"selinux\":{\"enabled\":false}},\"annotations\":{}}";

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    cleanup(json_decrefp) json_t *features = json_loads(g_features, 0, NULL);

    (void)cli;
    (void)options;
    (void)argc;
    (void)argv;
    ASSERT(features);
    json_object_set_new(json_object_get(features, "annotations"), "dev.runsc.version",
                        json_string(RUNSC_VERSION));
    if (json_dumpf(features, stdout, JSON_INDENT(4)) < 0 || putchar('\n') == EOF || fflush(stdout) == EOF)
        return err_set(err, EIO, "output", "writing the features");
    return 0;
}

const struct command g_cmd_features = {
    .name = "features", .arguments = "", .summary = "show what this runtime supports", .run = run};
