/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/runsc/cgroup_test.c: cgroups against recorded hosts: the texts of /proc as they were, the trees
 * as directories of ordinary files.
 */
#include "runsc/cgroup/cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/support/test.h"

/* Debian 12 with systemd-less v1 and a v2 tree beside it, as in OCI.md. */
static const char g_hybrid[] =
    "20 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "31 20 0:25 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    "33 31 0:27 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
    "34 31 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "35 31 0:29 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
    "36 31 0:30 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "37 31 0:31 / /sys/fs/cgroup/systemd rw,relatime shared:5 - cgroup cgroup rw,xattr,name=systemd\n"
    "38 31 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
static const char g_hybrid_self[] =
    "9:name=systemd:/user\n8:pids:/\n4:memory:/process_api/4bfa\n3:cpuset:/\n1:cpu:/\n0::/deep\n";
/* Inside a container: a part of each hierarchy is mounted. */
static const char g_nested[] =
    "50 40 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro,nosuid - cgroup cgroup rw,cpu,cpuacct\n";
static const char g_nested_self[] = "3:cpu,cpuacct:/docker/abc/sub\n";
static const char g_unified[] =
    "30 20 0:25 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

static void plan(struct cgroup *g, const char *path, const char *id) {
    struct spec s = {.linux_.cgroups_path = (char *)(uintptr_t)path};

    ASSERT_OK(cgroup_plan(g, &s, id, NULL));
}

static const char *directory_of(const struct cgroup *g, const char *controllers) {
    for (size_t i = 0; i < g->count; i++)
        if (strcmp(g->items[i].controllers, controllers) == 0)
            return g->items[i].directory;
    return "none";
}

TEST(hierarchies_of_a_hybrid_host) {
    struct cgroup g;

    ASSERT_OK(cgroup_parse(g_hybrid, g_hybrid_self, "", &g, NULL));
    ASSERT_EQ(g.count, 7);
    plan(&g, "/docker/x", "x");
    ASSERT_STREQ(directory_of(&g, "memory"), "/sys/fs/cgroup/memory/docker/x");
    ASSERT_STREQ(directory_of(&g, "name=systemd"), "/sys/fs/cgroup/systemd/docker/x");
    ASSERT_STREQ(directory_of(&g, ""), "/sys/fs/cgroup/unified/docker/x");
    ASSERT_TRUE(g.required);
    cgroup_done(&g);
}

TEST(without_a_path_it_lies_below_our_own_group) {
    struct cgroup g;

    ASSERT_OK(cgroup_parse(g_hybrid, g_hybrid_self, "", &g, NULL));
    plan(&g, NULL, "box");
    ASSERT_STREQ(directory_of(&g, "memory"), "/sys/fs/cgroup/memory/process_api/4bfa/box");
    ASSERT_STREQ(directory_of(&g, "cpu"), "/sys/fs/cgroup/cpu/box");
    ASSERT_STREQ(directory_of(&g, ""), "/sys/fs/cgroup/unified/deep/box");
    ASSERT_FALSE(g.required);
    cgroup_done(&g);
}

TEST(within_a_container_paths_are_relative_to_what_is_mounted) {
    struct cgroup g;

    ASSERT_OK(cgroup_parse(g_nested, g_nested_self, "", &g, NULL));
    plan(&g, "rel", "x");
    ASSERT_STREQ(directory_of(&g, "cpu,cpuacct"), "/sys/fs/cgroup/cpu,cpuacct/sub/rel");
    cgroup_done(&g);
}

TEST(a_path_that_climbs_is_refused) {
    struct cgroup g;
    cleanup(err_freep) struct err *err = NULL;
    char path[] = "/a/../../b";
    struct spec s = {.linux_.cgroups_path = path};

    ASSERT_OK(cgroup_parse(g_unified, "0::/\n", "", &g, NULL));
    ASSERT_EQ(cgroup_plan(&g, &s, "x", &err), -EINVAL);
    cgroup_done(&g);
}

/* ---- trees ---- */

static void put(const char *root, const char *file, const char *text) {
    char path[512];

    snprintf(path, sizeof path, "%s%s", root, file);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ASSERT_OK(fd);
    ASSERT_OK(write(fd, text, strlen(text)));
    close(fd);
}

static void expect(const char *root, const char *file, const char *want) {
    char path[512], text[256] = "";

    snprintf(path, sizeof path, "%s%s", root, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ASSERT_OK(fd);
    ASSERT_OK(read(fd, text, sizeof text - 1));
    close(fd);
    ASSERT_STREQ(text, want);
}

static const char *make_root(char *buffer, size_t size) {
    snprintf(buffer, size, "/tmp/runsc-cgroup-XXXXXX");
    ASSERT_NOT_NULL(mkdtemp(buffer));
    return buffer;
}

static void remove_root(const char *root) {
    char command[600];

    snprintf(command, sizeof command, "rm -rf %s", root);
    ASSERT_EQ(system(command), 0);
}

/* The files that the kernel would make are made beforehand; writes of ordinary files overwrite from the
 * start. */
static void make_v1_tree(const char *root) {
    static const char *const files[] = {"memory/d/x/memory.limit_in_bytes",
                                        "memory/d/x/memory.memsw.limit_in_bytes",
                                        "memory/d/x/cgroup.procs",
                                        "memory/d/x/memory.soft_limit_in_bytes",
                                        "cpu/d/x/cpu.shares",
                                        "cpu/d/x/cpu.cfs_quota_us",
                                        "cpu/d/x/cpu.cfs_period_us",
                                        "cpu/d/x/cgroup.procs",
                                        "cpuset/d/x/cpuset.cpus",
                                        "cpuset/d/x/cpuset.mems",
                                        "cpuset/d/x/cgroup.procs",
                                        "pids/d/x/pids.max",
                                        "pids/d/x/cgroup.procs",
                                        "freezer/d/x/cgroup.procs",
                                        "freezer/d/x/freezer.state",
                                        "systemd/d/x/cgroup.procs",
                                        "unified/d/x/cgroup.procs"};

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char name[128];
        snprintf(name, sizeof name, "/sys/fs/cgroup/%s", files[i]);
        put(root, name, "");
    }
    put(root, "/sys/fs/cgroup/cpuset/cpuset.cpus", "0-3\n");
    put(root, "/sys/fs/cgroup/cpuset/cpuset.mems", "0\n");
    put(root, "/sys/fs/cgroup/cpuset/d/cpuset.cpus", "");
    put(root, "/sys/fs/cgroup/cpuset/d/cpuset.mems", "");
}

TEST(limits_of_v1) {
    char buffer[64];
    const char *root = make_root(buffer, sizeof buffer);
    struct cgroup g;
    struct spec_resources r = {.memory.limit = {true, 1000},
                               .memory.swap = {true, 3000},
                               .cpu.shares = {true, 512},
                               .cpu.quota = {true, 50000},
                               .pids_limit = {true, 7},
                               .memory.reservation = {true, 0}};

    make_v1_tree(root);
    put(root, "/sys/fs/cgroup/memory/d/x/memory.memsw.limit_in_bytes", "500");
    ASSERT_OK(cgroup_parse(g_hybrid, g_hybrid_self, root, &g, NULL));
    plan(&g, "/d/x", "x");
    ASSERT_OK(cgroup_create(&g, &r, NULL));
    ASSERT_OK(cgroup_join(&g, 1234, NULL));
    expect(root, "/sys/fs/cgroup/memory/d/x/memory.limit_in_bytes", "1000");
    expect(root, "/sys/fs/cgroup/memory/d/x/memory.memsw.limit_in_bytes", "3000");
    expect(root, "/sys/fs/cgroup/memory/d/x/memory.soft_limit_in_bytes", "");
    expect(root, "/sys/fs/cgroup/cpu/d/x/cpu.shares", "512");
    expect(root, "/sys/fs/cgroup/cpu/d/x/cpu.cfs_period_us", "");
    expect(root, "/sys/fs/cgroup/pids/d/x/pids.max", "149"); /* 7 tasks, and the sandbox's own */
    expect(root, "/sys/fs/cgroup/cpuset/d/x/cpuset.cpus", "0-3");
    expect(root, "/sys/fs/cgroup/cpuset/d/cpuset.mems", "0");
    expect(root, "/sys/fs/cgroup/unified/d/x/cgroup.procs", "1234");
    cgroup_done(&g);
    remove_root(root);
}

TEST(a_frozen_group_left_behind_is_refused) {
    char buffer[64];
    const char *root = make_root(buffer, sizeof buffer);
    struct cgroup g;
    struct spec_resources none = {.set = false};
    cleanup(err_freep) struct err *err = NULL;

    make_v1_tree(root);
    put(root, "/sys/fs/cgroup/freezer/d/x/freezer.state", "FROZEN\n");
    ASSERT_OK(cgroup_parse(g_hybrid, g_hybrid_self, root, &g, NULL));
    plan(&g, "/d/x", "x");
    ASSERT_EQ(cgroup_create(&g, &none, &err), -EBUSY);
    ASSERT_CONTAINS(err->message, "container's cgroup unexpectedly frozen");
    cgroup_done(&g);
    remove_root(root);
}

TEST(limits_of_v2) {
    char buffer[64];
    const char *root = make_root(buffer, sizeof buffer);
    static const char *const files[] = {"memory.max", "memory.swap.max", "memory.low",   "pids.max",
                                        "cpu.weight", "cpu.max",         "cgroup.procs", "io.weight"};
    struct spec_pair unified[] = {{(char *)(uintptr_t) "io.weight", (char *)(uintptr_t) "77"}};
    struct spec_resources r = {.memory.limit = {true, 1000},
                               .memory.swap = {true, 3000},
                               .cpu.shares = {true, 1024},
                               .cpu.quota = {true, 50000},
                               .pids_limit = {true, -1},
                               .unified = {unified, 1}};
    struct cgroup g;

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char name[128];
        snprintf(name, sizeof name, "/sys/fs/cgroup/p/x/%s", files[i]);
        put(root, name, "");
    }
    put(root, "/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    put(root, "/sys/fs/cgroup/cgroup.subtree_control", "");
    ASSERT_OK(cgroup_parse(g_unified, "0::/\n", root, &g, NULL));
    plan(&g, "/p/x", "x");
    ASSERT_OK(cgroup_create(&g, &r, NULL));
    expect(root, "/sys/fs/cgroup/p/x/memory.max", "1000");
    expect(root, "/sys/fs/cgroup/p/x/memory.swap.max", "2000");
    expect(root, "/sys/fs/cgroup/p/x/memory.low", "");
    expect(root, "/sys/fs/cgroup/p/x/pids.max", "max");
    expect(root, "/sys/fs/cgroup/p/x/cpu.weight", "39");
    expect(root, "/sys/fs/cgroup/p/x/cpu.max", "50000 100000");
    expect(root, "/sys/fs/cgroup/p/x/io.weight", "77");
    cgroup_done(&g);
    remove_root(root);
}

TEST(groups_survive_the_state_file_and_are_removed) {
    char buffer[64], path[128];
    const char *root = make_root(buffer, sizeof buffer);
    struct cgroup g, again;
    struct spec_resources none = {.set = false};

    put(root, "/sys/fs/cgroup/marker", "");
    ASSERT_OK(cgroup_parse(g_unified, "0::/\n", root, &g, NULL));
    plan(&g, "/p/x", "x");
    ASSERT_OK(cgroup_create(&g, &none, NULL));
    cleanup(json_decrefp) json_t *list = cgroup_to_json(&g);
    ASSERT_OK(cgroup_from_json(list, &again, NULL));
    snprintf(path, sizeof path, "%s/sys/fs/cgroup/p/x", root);
    ASSERT_EQ(access(path, F_OK), 0);
    ASSERT_OK(cgroup_remove(&again, NULL));
    ASSERT_ERRNO(access(path, F_OK), ENOENT);
    ASSERT_OK(cgroup_remove(&again, NULL)); /* twice is fine */
    cgroup_done(&g);
    cgroup_done(&again);
    remove_root(root);
}

TEST(no_cgroups_at_all_are_tolerated_without_limits) {
    struct cgroup g;
    struct spec_resources none = {.set = false}, some = {.pids_limit = {true, 5}};
    struct spec s = {.linux_.resources = some};
    cleanup(err_freep) struct err *err = NULL;

    ASSERT_OK(cgroup_parse("20 1 254:0 / / rw - ext4 /dev/vda rw\n", "", "", &g, NULL));
    ASSERT_EQ(g.count, 0);
    plan(&g, NULL, "x");
    ASSERT_OK(cgroup_create(&g, &none, NULL));
    ASSERT_OK(cgroup_plan(&g, &s, "x", NULL));
    ASSERT_EQ(cgroup_create(&g, &some, &err), -ENOTSUP);
    ASSERT_CONTAINS(err->message, "linux.resources.pids.limit: the host has no cgroup controller pids");
    cgroup_done(&g);
}
