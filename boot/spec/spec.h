/* SPDX-License-Identifier: Apache-2.0
 * boot/spec/spec.h: an OCI config.json as C data, checked.
 *
 * One parser serves the command line (runsc/, which reads bundles) and the sandbox process (which is sent the
 * same document over the control socket). Rules: a field of a wrong type or value is an error that names its
 * JSON path ("mounts[3].options[0]: ..."); an unknown field is a warning with its path, kept in spec.warnings
 * and shown once; null counts as absent, as podman sends it. Sources: OCI runtime-spec 1.2 config.md and
 * config-linux.md; OCI.md 5 for what clients really write.
 *
 * Ownership: everything hangs off one arena; spec_unref() frees all. Strings borrow nothing from the JSON
 * document.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

/* Bounds: a document beyond them is refused (STYLE 29). */
#define SPEC_MAX_BYTES    (16u << 20)
#define SPEC_MAX_DEPTH    64
#define SPEC_MAX_WARNINGS 64

struct spec_strings {
    char **items; /* NULL-terminated, so that it serves as an argv */
    size_t count;
};
struct spec_pair {
    char *key, *value;
};
struct spec_map {
    struct spec_pair *items;
    size_t count;
};
struct spec_ids {
    uint32_t *items;
    size_t count;
};
struct spec_i64 {
    bool set;
    int64_t value;
};
struct spec_u64 {
    bool set;
    uint64_t value;
};
struct spec_bool {
    bool set, value;
};

struct spec_user {
    uint32_t uid, gid;
    struct spec_u64 umask;
    struct spec_ids additional_gids;
    char *username;
};
struct spec_capabilities {
    bool set; /* the object is there: absent sets are then empty */
    struct spec_strings bounding, effective, inheritable, permitted, ambient;
};
struct spec_rlimit {
    char *type; /* "RLIMIT_NOFILE" */
    uint64_t hard, soft;
};
struct spec_process {
    bool set;
    bool terminal, no_new_privileges;
    struct {
        uint64_t height, width;
    } console_size;
    struct spec_user user;
    struct spec_strings args, env;
    char *command_line, *cwd, *apparmor_profile, *selinux_label;
    struct spec_capabilities capabilities;
    struct {
        struct spec_rlimit *items;
        size_t count;
    } rlimits;
    struct spec_i64 oom_score_adj;
    struct {
        bool set;
        char *policy;
        int64_t nice, priority;
        struct spec_strings flags;
        uint64_t runtime, deadline, period;
    } scheduler;
    struct {
        bool set;
        char *class_name;
        int64_t priority;
    } io_priority;
    struct {
        char *initial, *final;
    } exec_cpu_affinity;
};
struct spec_id_mapping {
    uint32_t container_id, host_id, size;
};
struct spec_id_mappings {
    struct spec_id_mapping *items;
    size_t count;
};
struct spec_mount {
    char *destination, *type, *source;
    struct spec_strings options;
    struct spec_id_mappings uid_mappings, gid_mappings;
};
struct spec_hook {
    char *path;
    struct spec_strings args, env;
    struct spec_i64 timeout_s;
};
struct spec_hook_list {
    struct spec_hook *items;
    size_t count;
};
struct spec_hooks {
    struct spec_hook_list prestart, create_runtime, create_container, start_container, poststart, poststop;
};
enum spec_namespace_kind {
    NS_PID,
    NS_NETWORK,
    NS_MOUNT,
    NS_IPC,
    NS_UTS,
    NS_USER,
    NS_CGROUP,
    NS_TIME,
    NS_KINDS
};
struct spec_namespace {
    char *type, *path; /* path NULL: a new one */
    enum spec_namespace_kind kind;
};
struct spec_device {
    char *path, *type;
    int64_t major, minor;
    struct spec_u64 file_mode, uid, gid;
};
struct spec_device_rule {
    bool allow;
    char *type, *access;
    struct spec_i64 major, minor;
};
struct spec_blkio_device {
    int64_t major, minor;
    uint64_t rate, weight, leaf_weight;
};
struct spec_blkio_devices {
    struct spec_blkio_device *items;
    size_t count;
};
struct spec_hugepage_limit {
    char *page_size;
    uint64_t limit;
};
struct spec_net_priority {
    char *name;
    uint32_t priority;
};
struct spec_resources {
    bool set;
    struct {
        struct spec_device_rule *items;
        size_t count;
    } devices;
    struct {
        struct spec_i64 limit, reservation, swap, kernel, kernel_tcp;
        struct spec_u64 swappiness;
        struct spec_bool disable_oom_killer, use_hierarchy, check_before_update;
    } memory;
    struct {
        struct spec_u64 shares, burst, period, realtime_period;
        struct spec_i64 quota, realtime_runtime, idle;
        char *cpus, *mems;
    } cpu;
    struct spec_i64 pids_limit;
    struct {
        struct spec_u64 weight, leaf_weight;
        struct spec_blkio_devices weight_device, read_bps, write_bps, read_iops, write_iops;
    } block_io;
    struct {
        struct spec_hugepage_limit *items;
        size_t count;
    } hugepages;
    struct {
        struct spec_u64 class_id;
        struct {
            struct spec_net_priority *items;
            size_t count;
        } priorities;
    } network;
    struct spec_map unified;
};
struct spec_seccomp_arg {
    uint64_t index, value, value_two;
    char *op;
};
struct spec_seccomp_rule {
    struct spec_strings names;
    char *action;
    struct spec_u64 errno_ret;
    struct {
        struct spec_seccomp_arg *items;
        size_t count;
    } args;
};
struct spec_seccomp {
    bool set;
    char *default_action, *listener_path, *listener_metadata;
    struct spec_u64 default_errno_ret;
    struct spec_strings architectures, flags;
    struct {
        struct spec_seccomp_rule *items;
        size_t count;
    } syscalls;
};
struct spec_linux {
    struct spec_id_mappings uid_mappings, gid_mappings;
    struct spec_map sysctl;
    struct spec_resources resources;
    char *cgroups_path;
    struct {
        struct spec_namespace *items;
        size_t count;
    } namespaces;
    struct {
        struct spec_device *items;
        size_t count;
    } devices;
    struct spec_seccomp seccomp;
    char *rootfs_propagation, *mount_label;
    struct spec_strings masked_paths, readonly_paths;
    struct {
        bool set;
        char *clos_id, *l3_cache_schema, *mem_bw_schema;
        struct spec_bool enable_cmt, enable_mbm;
    } intel_rdt;
    struct {
        char *domain;
        struct spec_strings flags;
    } personality;
};
struct spec_arena;
struct spec {
    char *oci_version, *hostname, *domainname;
    struct {
        char *path;
        bool readonly;
    } root;
    struct spec_process process;
    struct {
        struct spec_mount *items;
        size_t count;
    } mounts;
    struct spec_hooks hooks;
    struct spec_map annotations;
    struct spec_linux linux_;

    struct spec_arena *arena;
    struct spec_strings warnings;
    size_t dropped_warnings;
};

/* All return 0 and a new object in *ret, or a negative errno with *err set. The JSON is borrowed. */
int spec_parse(const json_t *document, struct spec **ret, struct err **err) must_check;
/* A process document (exec --process): a struct spec whose `process` alone is filled. */
int spec_parse_process(const json_t *document, struct spec **ret, struct err **err) must_check;
/* A LinuxResources document (update --resources): only linux_.resources is filled. */
int spec_parse_resources(const json_t *document, struct spec **ret, struct err **err) must_check;
/* Text to JSON with bounds, duplicate keys refused; `what` names it in errors ("config.json"). New reference
 * in *ret. */
int spec_load_json(const char *text, size_t size, const char *what, json_t **ret,
                   struct err **err) must_check;
struct spec *spec_free(struct spec *s); /* NULL is fine; returns NULL */
void spec_freep(struct spec **s);

/* The namespace entry of this kind, or NULL: the host's is used. */
const struct spec_namespace *spec_namespace(const struct spec *s, enum spec_namespace_kind kind);
/* The value of an annotation, or NULL. */
const char *spec_annotation(const struct spec *s, const char *key);
/* Is this mount served by the gofer (a bind of a host path)? */
bool spec_mount_is_bind(const struct spec_mount *m);
bool spec_mount_has_option(const struct spec_mount *m, const char *option);
/* Bit set of the names; unknown ones (a newer kernel's) become warnings, unknown to us is not wrong
 * (OCI.md 10.6). */
uint64_t spec_capability_bits(const struct spec_strings *names);
/* The host's RLIMIT_* number, or -1. */
int spec_rlimit_number(const char *type);
/* The CLONE_NEW* flag of a kind, its name in /proc/PID/ns. */
int spec_namespace_flag(enum spec_namespace_kind kind);
const char *spec_namespace_name(enum spec_namespace_kind kind);
