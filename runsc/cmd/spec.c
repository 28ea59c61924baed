/* SPDX-License-Identifier: Apache-2.0
 * runsc/cmd/spec.c: writes an example config.json, as runc's `spec` does.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "runsc/cli.h"

struct spec_args {
    const char *bundle;
    bool rootless;
};
static const struct option_def g_options[] = {
    {.name = "bundle",
     .letter = 'b',
     .kind = OPTION_STRING,
     .offset = offsetof(struct spec_args, bundle),
     .value = "DIR",
     .help = "where to write it (default: here)"},
    {.name = "rootless",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct spec_args, rootless),
     .help = "for an ordinary user"},
};

static const char g_template[] =
    "{\"ociVersion\":\"1.0.2\",\"process\":{\"terminal\":true,\"user\":{\"uid\":0,\"gid\":0},\"args\":["
    "\"sh\"],"
    "\"env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/"
    "bin\",\"TERM=xterm\"],\"cwd\":\"/\","
    "\"capabilities\":{\"bounding\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"effective\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],"
    "\"permitted\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],\"noNewPrivileges\":true},"
    "\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"runsc\",\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/"
    "dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"strictatime\",\"mode=755\","
    "\"size=65536k\"]},"
    "{\"destination\":\"/dev/"
    "pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"nosuid\",\"noexec\",\"newinstance\","
    "\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]},"
    "{\"destination\":\"/dev/"
    "shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\","
    "\"size=65536k\"]},"
    "{\"destination\":\"/dev/"
    "mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
    "{\"destination\":\"/"
    "sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}],"
    "\"linux\":{\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},\"namespaces\":[{\"type\":"
    "\"pid\"},{\"type\":\"network\"},"
    "{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}],\"maskedPaths\":[\"/proc/acpi\",\"/proc/"
    "kcore\",\"/proc/keys\",\"/proc/latency_stats\","
    "\"/proc/timer_list\",\"/proc/timer_stats\",\"/proc/sched_debug\",\"/sys/firmware\",\"/proc/"
    "scsi\"],\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\","
    "\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]}}";

static void make_rootless(json_t *config) {
    json_t *linux_part = json_object_get(config, "linux"),
           *namespaces = json_object_get(linux_part, "namespaces");

    json_array_append_new(namespaces, json_pack("{s:s}", "type", "user"));
    for (size_t i = 0; i < json_array_size(namespaces); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(namespaces, i), "type")), "network") == 0)
            json_array_remove(namespaces, i--);
    json_object_set_new(
        linux_part, "uidMappings",
        json_pack("[{s:i,s:I,s:i}]", "containerID", 0, "hostID", (json_int_t)geteuid(), "size", 1));
    json_object_set_new(
        linux_part, "gidMappings",
        json_pack("[{s:i,s:I,s:i}]", "containerID", 0, "hostID", (json_int_t)getegid(), "size", 1));
    json_object_del(linux_part, "resources");
}

static int run(struct cli *cli, void *options, int argc, char **argv, struct err **err) {
    const struct spec_args *a = options;
    cleanup(closep) int dir = open(a->bundle ? a->bundle : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)cli;
    (void)argc;
    (void)argv;
    if (dir < 0)
        return err_set(err, errno, "bundle.missing", "opening %s", a->bundle);
    cleanup(closep) int fd = openat(dir, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set(err, errno, "spec.exists", "file config.json exists: remove it first");
    cleanup(json_decrefp) json_t *config = json_loads(g_template, 0, NULL);
    ASSERT(config);
    if (a->rootless)
        make_rootless(config);
    if (json_dumpfd(config, fd, JSON_INDENT(4)) < 0 || write(fd, "\n", 1) != 1)
        return err_set(err, errno, "spec.write", "writing config.json");
    return 0;
}

const struct command g_cmd_spec = {.name = "spec",
                                   .arguments = "",
                                   .summary = "write an example config.json",
                                   .options = g_options,
                                   .option_count = ARRAY_SIZE(g_options),
                                   .options_size = sizeof(struct spec_args),
                                   .permute = true,
                                   .run = run};
