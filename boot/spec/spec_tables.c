/* SPDX-License-Identifier: Apache-2.0
 * boot/spec/spec_tables.c: every field of the OCI runtime spec (1.2) for Linux, with its type and its place
 * in struct spec. Order follows config.md and config-linux.md, so that the two can be read side by side.
 */
#include "boot/spec/spec_internal.h"

#define F(n, k, type, member)                                                                                \
    { .name = n, .kind = k, .offset = offsetof(type, member) }
#define REQUIRED(n, k, type, member)                                                                         \
    { .name = n, .kind = k, .offset = offsetof(type, member), .required = true }
#define OBJECT(n, type, member, t)                                                                           \
    { .name = n, .kind = FIELD_OBJECT, .offset = offsetof(type, member), .table = &(t) }
#define MARKED(n, type, member, t)                                                                           \
    { .name = n, .kind = FIELD_OBJECT, .offset = offsetof(type, member), .table = &(t), .marks = true }
#define ARRAY(n, type, member, t)                                                                            \
    {                                                                                                        \
        .name = n, .kind = FIELD_ARRAY, .offset = offsetof(type, member), .table = &(t),                     \
        .size = sizeof(*((type *)0)->member.items)                                                           \
    }
#define IGNORED(n)                                                                                           \
    { .name = n, .kind = FIELD_IGNORED }
#define TABLE(name) static const struct spec_table name##_table = SPEC_TABLE(name##_fields)

static const struct spec_field console_fields[] = {
    {.name = "height", .kind = FIELD_U64, .offset = 0, .required = true},
    {.name = "width", .kind = FIELD_U64, .offset = sizeof(uint64_t), .required = true},
};
TABLE(console);

static const struct spec_field user_fields[] = {
    F("uid", FIELD_U32, struct spec_user, uid),
    F("gid", FIELD_U32, struct spec_user, gid),
    F("umask", FIELD_OPT_U64, struct spec_user, umask),
    F("additionalGids", FIELD_IDS, struct spec_user, additional_gids),
    F("username", FIELD_STRING, struct spec_user, username),
};
TABLE(user);

static const struct spec_field capabilities_fields[] = {
    F("bounding", FIELD_STRINGS, struct spec_capabilities, bounding),
    F("effective", FIELD_STRINGS, struct spec_capabilities, effective),
    F("inheritable", FIELD_STRINGS, struct spec_capabilities, inheritable),
    F("permitted", FIELD_STRINGS, struct spec_capabilities, permitted),
    F("ambient", FIELD_STRINGS, struct spec_capabilities, ambient),
};
TABLE(capabilities);

static const struct spec_field rlimit_fields[] = {
    REQUIRED("type", FIELD_STRING, struct spec_rlimit, type),
    REQUIRED("hard", FIELD_U64, struct spec_rlimit, hard),
    REQUIRED("soft", FIELD_U64, struct spec_rlimit, soft),
};
TABLE(rlimit);

/* Offsets are relative to the anonymous struct that holds them. */
#define SUB(n, k, type, outer, member)                                                                       \
    { .name = n, .kind = k, .offset = offsetof(type, outer.member) - offsetof(type, outer) }

static const struct spec_field scheduler_fields[] = {
    SUB("policy", FIELD_STRING, struct spec_process, scheduler, policy),
    SUB("nice", FIELD_I64, struct spec_process, scheduler, nice),
    SUB("priority", FIELD_I64, struct spec_process, scheduler, priority),
    SUB("flags", FIELD_STRINGS, struct spec_process, scheduler, flags),
    SUB("runtime", FIELD_U64, struct spec_process, scheduler, runtime),
    SUB("deadline", FIELD_U64, struct spec_process, scheduler, deadline),
    SUB("period", FIELD_U64, struct spec_process, scheduler, period),
};
TABLE(scheduler);

static const struct spec_field io_priority_fields[] = {
    SUB("class", FIELD_STRING, struct spec_process, io_priority, class_name),
    SUB("priority", FIELD_I64, struct spec_process, io_priority, priority),
};
TABLE(io_priority);

static const struct spec_field affinity_fields[] = {
    SUB("initial", FIELD_STRING, struct spec_process, exec_cpu_affinity, initial),
    SUB("final", FIELD_STRING, struct spec_process, exec_cpu_affinity, final),
};
TABLE(affinity);

static const struct spec_field process_fields[] = {
    F("terminal", FIELD_BOOL, struct spec_process, terminal),
    OBJECT("consoleSize", struct spec_process, console_size, console_table),
    OBJECT("user", struct spec_process, user, user_table),
    F("args", FIELD_STRINGS, struct spec_process, args),
    F("commandLine", FIELD_STRING, struct spec_process, command_line),
    F("env", FIELD_STRINGS, struct spec_process, env),
    F("cwd", FIELD_STRING, struct spec_process, cwd),
    MARKED("capabilities", struct spec_process, capabilities, capabilities_table),
    ARRAY("rlimits", struct spec_process, rlimits, rlimit_table),
    F("noNewPrivileges", FIELD_BOOL, struct spec_process, no_new_privileges),
    F("apparmorProfile", FIELD_STRING, struct spec_process, apparmor_profile),
    F("oomScoreAdj", FIELD_OPT_I64, struct spec_process, oom_score_adj),
    MARKED("scheduler", struct spec_process, scheduler, scheduler_table),
    F("selinuxLabel", FIELD_STRING, struct spec_process, selinux_label),
    MARKED("ioPriority", struct spec_process, io_priority, io_priority_table),
    OBJECT("execCPUAffinity", struct spec_process, exec_cpu_affinity, affinity_table),
};
const struct spec_table g_spec_process_table = SPEC_TABLE(process_fields);

static const struct spec_field id_mapping_fields[] = {
    REQUIRED("containerID", FIELD_U32, struct spec_id_mapping, container_id),
    REQUIRED("hostID", FIELD_U32, struct spec_id_mapping, host_id),
    REQUIRED("size", FIELD_U32, struct spec_id_mapping, size),
};
TABLE(id_mapping);

static const struct spec_field mount_fields[] = {
    REQUIRED("destination", FIELD_STRING, struct spec_mount, destination),
    F("type", FIELD_STRING, struct spec_mount, type),
    F("source", FIELD_STRING, struct spec_mount, source),
    F("options", FIELD_STRINGS, struct spec_mount, options),
    ARRAY("uidMappings", struct spec_mount, uid_mappings, id_mapping_table),
    ARRAY("gidMappings", struct spec_mount, gid_mappings, id_mapping_table),
};
TABLE(mount);

static const struct spec_field hook_fields[] = {
    REQUIRED("path", FIELD_STRING, struct spec_hook, path),
    F("args", FIELD_STRINGS, struct spec_hook, args),
    F("env", FIELD_STRINGS, struct spec_hook, env),
    F("timeout", FIELD_OPT_I64, struct spec_hook, timeout_s),
};
TABLE(hook);

static const struct spec_field hooks_fields[] = {
    ARRAY("prestart", struct spec_hooks, prestart, hook_table),
    ARRAY("createRuntime", struct spec_hooks, create_runtime, hook_table),
    ARRAY("createContainer", struct spec_hooks, create_container, hook_table),
    ARRAY("startContainer", struct spec_hooks, start_container, hook_table),
    ARRAY("poststart", struct spec_hooks, poststart, hook_table),
    ARRAY("poststop", struct spec_hooks, poststop, hook_table),
};
TABLE(hooks);

static const struct spec_field root_fields[] = {
    {.name = "path", .kind = FIELD_STRING, .offset = 0, .required = true},
    {.name = "readonly",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct spec, root.readonly) - offsetof(struct spec, root)},
};
TABLE(root);

static const struct spec_field device_rule_fields[] = {
    REQUIRED("allow", FIELD_BOOL, struct spec_device_rule, allow),
    F("type", FIELD_STRING, struct spec_device_rule, type),
    F("major", FIELD_OPT_I64, struct spec_device_rule, major),
    F("minor", FIELD_OPT_I64, struct spec_device_rule, minor),
    F("access", FIELD_STRING, struct spec_device_rule, access),
};
TABLE(device_rule);

static const struct spec_field memory_fields[] = {
    SUB("limit", FIELD_OPT_I64, struct spec_resources, memory, limit),
    SUB("reservation", FIELD_OPT_I64, struct spec_resources, memory, reservation),
    SUB("swap", FIELD_OPT_I64, struct spec_resources, memory, swap),
    SUB("kernel", FIELD_OPT_I64, struct spec_resources, memory, kernel),
    SUB("kernelTCP", FIELD_OPT_I64, struct spec_resources, memory, kernel_tcp),
    SUB("swappiness", FIELD_OPT_U64, struct spec_resources, memory, swappiness),
    SUB("disableOOMKiller", FIELD_OPT_BOOL, struct spec_resources, memory, disable_oom_killer),
    SUB("useHierarchy", FIELD_OPT_BOOL, struct spec_resources, memory, use_hierarchy),
    SUB("checkBeforeUpdate", FIELD_OPT_BOOL, struct spec_resources, memory, check_before_update),
};
TABLE(memory);

static const struct spec_field cpu_fields[] = {
    SUB("shares", FIELD_OPT_U64, struct spec_resources, cpu, shares),
    SUB("quota", FIELD_OPT_I64, struct spec_resources, cpu, quota),
    SUB("burst", FIELD_OPT_U64, struct spec_resources, cpu, burst),
    SUB("period", FIELD_OPT_U64, struct spec_resources, cpu, period),
    SUB("realtimeRuntime", FIELD_OPT_I64, struct spec_resources, cpu, realtime_runtime),
    SUB("realtimePeriod", FIELD_OPT_U64, struct spec_resources, cpu, realtime_period),
    SUB("cpus", FIELD_STRING, struct spec_resources, cpu, cpus),
    SUB("mems", FIELD_STRING, struct spec_resources, cpu, mems),
    SUB("idle", FIELD_OPT_I64, struct spec_resources, cpu, idle),
};
TABLE(cpu);

static const struct spec_field pids_fields[] = {
    {.name = "limit", .kind = FIELD_OPT_I64, .offset = 0},
};
TABLE(pids);

static const struct spec_field blkio_weight_fields[] = {
    REQUIRED("major", FIELD_I64, struct spec_blkio_device, major),
    REQUIRED("minor", FIELD_I64, struct spec_blkio_device, minor),
    F("weight", FIELD_U64, struct spec_blkio_device, weight),
    F("leafWeight", FIELD_U64, struct spec_blkio_device, leaf_weight),
};
TABLE(blkio_weight);

static const struct spec_field blkio_rate_fields[] = {
    REQUIRED("major", FIELD_I64, struct spec_blkio_device, major),
    REQUIRED("minor", FIELD_I64, struct spec_blkio_device, minor),
    REQUIRED("rate", FIELD_U64, struct spec_blkio_device, rate),
};
TABLE(blkio_rate);

#define SUB_ARRAY(n, type, outer, member, t)                                                                 \
    {                                                                                                        \
        .name = n, .kind = FIELD_ARRAY, .offset = offsetof(type, outer.member) - offsetof(type, outer),      \
        .table = &(t), .size = sizeof(*((type *)0)->outer.member.items)                                      \
    }

static const struct spec_field block_io_fields[] = {
    SUB("weight", FIELD_OPT_U64, struct spec_resources, block_io, weight),
    SUB("leafWeight", FIELD_OPT_U64, struct spec_resources, block_io, leaf_weight),
    SUB_ARRAY("weightDevice", struct spec_resources, block_io, weight_device, blkio_weight_table),
    SUB_ARRAY("throttleReadBpsDevice", struct spec_resources, block_io, read_bps, blkio_rate_table),
    SUB_ARRAY("throttleWriteBpsDevice", struct spec_resources, block_io, write_bps, blkio_rate_table),
    SUB_ARRAY("throttleReadIOPSDevice", struct spec_resources, block_io, read_iops, blkio_rate_table),
    SUB_ARRAY("throttleWriteIOPSDevice", struct spec_resources, block_io, write_iops, blkio_rate_table),
};
TABLE(block_io);

static const struct spec_field hugepage_fields[] = {
    REQUIRED("pageSize", FIELD_STRING, struct spec_hugepage_limit, page_size),
    REQUIRED("limit", FIELD_U64, struct spec_hugepage_limit, limit),
};
TABLE(hugepage);

static const struct spec_field priority_fields[] = {
    REQUIRED("name", FIELD_STRING, struct spec_net_priority, name),
    REQUIRED("priority", FIELD_U32, struct spec_net_priority, priority),
};
TABLE(priority);

static const struct spec_field network_fields[] = {
    SUB("classID", FIELD_OPT_U64, struct spec_resources, network, class_id),
    SUB_ARRAY("priorities", struct spec_resources, network, priorities, priority_table),
};
TABLE(network);

static const struct spec_field resources_fields[] = {
    ARRAY("devices", struct spec_resources, devices, device_rule_table),
    OBJECT("memory", struct spec_resources, memory, memory_table),
    OBJECT("cpu", struct spec_resources, cpu, cpu_table),
    OBJECT("pids", struct spec_resources, pids_limit, pids_table),
    OBJECT("blockIO", struct spec_resources, block_io, block_io_table),
    ARRAY("hugepageLimits", struct spec_resources, hugepages, hugepage_table),
    OBJECT("network", struct spec_resources, network, network_table),
    IGNORED("rdma"),
    F("unified", FIELD_MAP, struct spec_resources, unified),
};
const struct spec_table g_spec_resources_table = SPEC_TABLE(resources_fields);

static const struct spec_field namespace_fields[] = {
    REQUIRED("type", FIELD_STRING, struct spec_namespace, type),
    F("path", FIELD_STRING, struct spec_namespace, path),
};
TABLE(namespace);

static const struct spec_field device_fields[] = {
    REQUIRED("path", FIELD_STRING, struct spec_device, path),
    REQUIRED("type", FIELD_STRING, struct spec_device, type),
    F("major", FIELD_I64, struct spec_device, major),
    F("minor", FIELD_I64, struct spec_device, minor),
    F("fileMode", FIELD_OPT_U64, struct spec_device, file_mode),
    F("uid", FIELD_OPT_U64, struct spec_device, uid),
    F("gid", FIELD_OPT_U64, struct spec_device, gid),
};
TABLE(device);

static const struct spec_field seccomp_arg_fields[] = {
    REQUIRED("index", FIELD_U64, struct spec_seccomp_arg, index),
    REQUIRED("value", FIELD_U64, struct spec_seccomp_arg, value),
    F("valueTwo", FIELD_U64, struct spec_seccomp_arg, value_two),
    REQUIRED("op", FIELD_STRING, struct spec_seccomp_arg, op),
};
TABLE(seccomp_arg);

static const struct spec_field seccomp_rule_fields[] = {
    REQUIRED("names", FIELD_STRINGS, struct spec_seccomp_rule, names),
    REQUIRED("action", FIELD_STRING, struct spec_seccomp_rule, action),
    F("errnoRet", FIELD_OPT_U64, struct spec_seccomp_rule, errno_ret),
    ARRAY("args", struct spec_seccomp_rule, args, seccomp_arg_table),
    IGNORED("comment"),
    IGNORED("includes"),
    IGNORED("excludes"),
};
TABLE(seccomp_rule);

static const struct spec_field seccomp_fields[] = {
    REQUIRED("defaultAction", FIELD_STRING, struct spec_seccomp, default_action),
    F("defaultErrnoRet", FIELD_OPT_U64, struct spec_seccomp, default_errno_ret),
    F("architectures", FIELD_STRINGS, struct spec_seccomp, architectures),
    F("flags", FIELD_STRINGS, struct spec_seccomp, flags),
    F("listenerPath", FIELD_STRING, struct spec_seccomp, listener_path),
    F("listenerMetadata", FIELD_STRING, struct spec_seccomp, listener_metadata),
    ARRAY("syscalls", struct spec_seccomp, syscalls, seccomp_rule_table),
};
TABLE(seccomp);

static const struct spec_field rdt_fields[] = {
    SUB("closID", FIELD_STRING, struct spec_linux, intel_rdt, clos_id),
    SUB("l3CacheSchema", FIELD_STRING, struct spec_linux, intel_rdt, l3_cache_schema),
    SUB("memBwSchema", FIELD_STRING, struct spec_linux, intel_rdt, mem_bw_schema),
    SUB("enableCMT", FIELD_OPT_BOOL, struct spec_linux, intel_rdt, enable_cmt),
    SUB("enableMBM", FIELD_OPT_BOOL, struct spec_linux, intel_rdt, enable_mbm),
};
TABLE(rdt);

static const struct spec_field personality_fields[] = {
    SUB("domain", FIELD_STRING, struct spec_linux, personality, domain),
    SUB("flags", FIELD_STRINGS, struct spec_linux, personality, flags),
};
TABLE(personality);

static const struct spec_field linux_fields[] = {
    ARRAY("uidMappings", struct spec_linux, uid_mappings, id_mapping_table),
    ARRAY("gidMappings", struct spec_linux, gid_mappings, id_mapping_table),
    F("sysctl", FIELD_MAP, struct spec_linux, sysctl),
    MARKED("resources", struct spec_linux, resources, g_spec_resources_table),
    F("cgroupsPath", FIELD_STRING, struct spec_linux, cgroups_path),
    ARRAY("namespaces", struct spec_linux, namespaces, namespace_table),
    ARRAY("devices", struct spec_linux, devices, device_table),
    IGNORED("netDevices"),
    MARKED("seccomp", struct spec_linux, seccomp, seccomp_table),
    F("rootfsPropagation", FIELD_STRING, struct spec_linux, rootfs_propagation),
    F("maskedPaths", FIELD_STRINGS, struct spec_linux, masked_paths),
    F("readonlyPaths", FIELD_STRINGS, struct spec_linux, readonly_paths),
    F("mountLabel", FIELD_STRING, struct spec_linux, mount_label),
    MARKED("intelRdt", struct spec_linux, intel_rdt, rdt_table),
    OBJECT("personality", struct spec_linux, personality, personality_table),
    IGNORED("timeOffsets"),
};
TABLE(linux);

static const struct spec_field spec_fields[] = {
    REQUIRED("ociVersion", FIELD_STRING, struct spec, oci_version),
    OBJECT("root", struct spec, root, root_table),
    MARKED("process", struct spec, process, g_spec_process_table),
    F("hostname", FIELD_STRING, struct spec, hostname),
    F("domainname", FIELD_STRING, struct spec, domainname),
    ARRAY("mounts", struct spec, mounts, mount_table),
    OBJECT("hooks", struct spec, hooks, hooks_table),
    F("annotations", FIELD_MAP, struct spec, annotations),
    OBJECT("linux", struct spec, linux_, linux_table),
};
const struct spec_table g_spec_table = SPEC_TABLE(spec_fields);
