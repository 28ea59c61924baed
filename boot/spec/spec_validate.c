/* SPDX-License-Identifier: Apache-2.0
 * boot/spec/spec_validate.c: what a config.json means, beyond the types of its fields: values that are known,
 * paths that are absolute, combinations that make sense. Also the small look-ups of spec.h.
 *
 * Lenient where clients need it (OCI.md 10.6): unknown capabilities and seccomp names, options of another
 * runtime. Strict where a silent guess would change what the container may do: unknown namespaces, seccomp
 * actions, rlimits, relative paths.
 */
#include "boot/spec/spec_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define INVALID(...) err_set(err, EINVAL, "spec.invalid", __VA_ARGS__)

static const struct {
    const char *type, *file;
    int flag;
} g_namespaces[NS_KINDS] = {
    [NS_PID] = {"pid", "pid", CLONE_NEWPID},
    [NS_NETWORK] = {"network", "net", CLONE_NEWNET},
    [NS_MOUNT] = {"mount", "mnt", CLONE_NEWNS},
    [NS_IPC] = {"ipc", "ipc", CLONE_NEWIPC},
    [NS_UTS] = {"uts", "uts", CLONE_NEWUTS},
    [NS_USER] = {"user", "user", CLONE_NEWUSER},
    [NS_CGROUP] = {"cgroup", "cgroup", CLONE_NEWCGROUP},
    [NS_TIME] = {"time", "time", 0x80},
};

static const struct {
    const char *name;
    int number;
} g_rlimits[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

/* By number: capabilities(7). */
static const char *const g_capabilities[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

static bool one_of(const char *word, const char *const *words) {
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static int capability_number(const char *name) {
    for (size_t i = 0; i < ARRAY_SIZE(g_capabilities); i++)
        if (strcasecmp(name, g_capabilities[i]) == 0 || strcasecmp(name, g_capabilities[i] + 4) == 0)
            return (int)i;
    return -1;
}

uint64_t spec_capability_bits(const struct spec_strings *names) {
    uint64_t bits = 0;

    for (size_t i = 0; i < names->count; i++) {
        int n = capability_number(names->items[i]);
        if (n >= 0)
            bits |= 1ull << n;
    }
    return bits;
}

int spec_rlimit_number(const char *type) {
    for (size_t i = 0; i < ARRAY_SIZE(g_rlimits); i++)
        if (strcmp(type, g_rlimits[i].name) == 0)
            return g_rlimits[i].number;
    return -1;
}

int spec_namespace_flag(enum spec_namespace_kind kind) {
    return g_namespaces[kind].flag;
}

const char *spec_namespace_name(enum spec_namespace_kind kind) {
    return g_namespaces[kind].file;
}

const struct spec_namespace *spec_namespace(const struct spec *s, enum spec_namespace_kind kind) {
    for (size_t i = 0; i < s->linux_.namespaces.count; i++)
        if (s->linux_.namespaces.items[i].kind == kind)
            return &s->linux_.namespaces.items[i];
    return NULL;
}

const char *spec_annotation(const struct spec *s, const char *key) {
    for (size_t i = 0; i < s->annotations.count; i++)
        if (strcmp(s->annotations.items[i].key, key) == 0)
            return s->annotations.items[i].value;
    return NULL;
}

bool spec_mount_has_option(const struct spec_mount *m, const char *option) {
    for (size_t i = 0; i < m->options.count; i++)
        if (strcmp(m->options.items[i], option) == 0)
            return true;
    return false;
}

bool spec_mount_is_bind(const struct spec_mount *m) {
    return (m->type && strcmp(m->type, "bind") == 0) || spec_mount_has_option(m, "bind") ||
           spec_mount_has_option(m, "rbind");
}

static int check_capabilities(struct spec *s, const char *prefix, struct err **err) {
    const struct spec_capabilities *c = &s->process.capabilities;
    const struct {
        const char *name;
        const struct spec_strings *set;
    } sets[] = {{"bounding", &c->bounding},
                {"effective", &c->effective},
                {"inheritable", &c->inheritable},
                {"permitted", &c->permitted},
                {"ambient", &c->ambient}};

    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        for (size_t j = 0; j < sets[i].set->count; j++) {
            const char *name = sets[i].set->items[j];
            if (capability_number(name) < 0 &&
                spec_warn(s, "%scapabilities.%s: unknown capability %s, ignored", prefix, sets[i].name,
                          name) < 0)
                return err_set(err, ENOMEM, "out-of-memory", "checking capabilities");
        }
    return 0;
}

static int check_rlimits(struct spec *s, const char *prefix, struct err **err) {
    for (size_t i = 0; i < s->process.rlimits.count; i++) {
        const struct spec_rlimit *l = &s->process.rlimits.items[i];
        if (spec_rlimit_number(l->type) < 0)
            return INVALID("%srlimits[%zu].type: unknown limit \"%s\"", prefix, i, l->type);
        if (l->soft > l->hard)
            return INVALID("%srlimits[%zu]: soft limit %llu of %s exceeds its hard limit %llu", prefix, i,
                           (unsigned long long)l->soft, l->type, (unsigned long long)l->hard);
        for (size_t j = 0; j < i; j++)
            if (strcmp(l->type, s->process.rlimits.items[j].type) == 0)
                return INVALID("%srlimits[%zu].type: %s is given twice", prefix, i, l->type);
    }
    return 0;
}

int spec_validate_process(struct spec *s, const char *prefix, struct err **err) {
    struct spec_process *p = &s->process;

    if (p->args.count == 0)
        return INVALID("%sargs must name a program", prefix);
    if (p->args.items[0][0] == '\0')
        return INVALID("%sargs[0] must not be empty", prefix);
    if (!p->cwd)
        return INVALID("%scwd is missing", prefix);
    if (p->cwd[0] != '/')
        return INVALID("%scwd must be an absolute path, not \"%s\"", prefix, p->cwd);
    if (p->user.umask.set && p->user.umask.value > 0777)
        return INVALID("%suser.umask must be at most 0777 (511)", prefix);
    if (p->console_size.height > UINT16_MAX || p->console_size.width > UINT16_MAX)
        return INVALID("%sconsoleSize must be at most 65535 in each direction", prefix);
    if (p->oom_score_adj.set && (p->oom_score_adj.value < -1000 || p->oom_score_adj.value > 1000))
        return INVALID("%soomScoreAdj must lie between -1000 and 1000", prefix);
    int r = check_capabilities(s, prefix, err);
    return r < 0 ? r : check_rlimits(s, prefix, err);
}

static int check_namespaces(struct spec *s, struct err **err) {
    for (size_t i = 0; i < s->linux_.namespaces.count; i++) {
        struct spec_namespace *n = &s->linux_.namespaces.items[i];
        for (n->kind = 0; n->kind < NS_KINDS && strcmp(n->type, g_namespaces[n->kind].type) != 0;)
            n->kind++;
        if (n->kind == NS_KINDS)
            return INVALID("linux.namespaces[%zu].type: unknown namespace \"%s\"", i, n->type);
        if (n->path && n->path[0] == '\0')
            n->path = NULL;
        if (n->path && n->path[0] != '/')
            return INVALID("linux.namespaces[%zu].path must be absolute, not \"%s\"", i, n->path);
        for (size_t j = 0; j < i; j++)
            if (s->linux_.namespaces.items[j].kind == n->kind)
                return INVALID("linux.namespaces[%zu].type: \"%s\" is given twice", i, n->type);
    }
    const struct spec_namespace *user = spec_namespace(s, NS_USER);
    if (!user && (s->linux_.uid_mappings.count || s->linux_.gid_mappings.count))
        return INVALID("linux.uidMappings and gidMappings need an entry \"user\" in linux.namespaces");
    if (user && !user->path && !s->linux_.uid_mappings.count)
        return INVALID("linux.uidMappings is missing: a new user namespace without it has no users");
    return 0;
}

static int check_mounts(struct spec *s, struct err **err) {
    for (size_t i = 0; i < s->mounts.count; i++) {
        struct spec_mount *m = &s->mounts.items[i];
        if (m->destination[0] == '\0')
            return INVALID("mounts[%zu].destination must not be empty", i);
        if (m->destination[0] != '/') { /* as runc: relative means below the root */
            size_t size = strlen(m->destination) + 2;
            char *absolute = spec_alloc(s, size);
            if (!absolute ||
                spec_warn(s, "mounts[%zu].destination \"%s\" should be absolute", i, m->destination) < 0)
                return err_set(err, ENOMEM, "out-of-memory", "checking mounts");
            snprintf(absolute, size, "/%s", m->destination);
            m->destination = absolute;
        }
        if (spec_mount_is_bind(m)) {
            if (!m->source || m->source[0] == '\0')
                return INVALID("mounts[%zu].source is missing: the bind mount at %s needs one", i,
                               m->destination);
        } else if (!m->type || m->type[0] == '\0') {
            return INVALID("mounts[%zu].type is missing: the mount at %s is no bind mount", i,
                           m->destination);
        }
    }
    return 0;
}

static int check_hooks(const struct spec *s, struct err **err) {
    const struct {
        const char *name;
        const struct spec_hook_list *list;
    } lists[] = {{"prestart", &s->hooks.prestart},
                 {"createRuntime", &s->hooks.create_runtime},
                 {"createContainer", &s->hooks.create_container},
                 {"startContainer", &s->hooks.start_container},
                 {"poststart", &s->hooks.poststart},
                 {"poststop", &s->hooks.poststop}};

    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (size_t j = 0; j < lists[i].list->count; j++) {
            const struct spec_hook *h = &lists[i].list->items[j];
            if (h->path[0] != '/')
                return INVALID("hooks.%s[%zu].path must be absolute, not \"%s\"", lists[i].name, j, h->path);
            if (h->timeout_s.set && h->timeout_s.value <= 0)
                return INVALID("hooks.%s[%zu].timeout must be positive", lists[i].name, j);
        }
    return 0;
}

static const char *const g_seccomp_actions[] = {
    "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",   "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW",        "SCMP_ACT_LOG",         "SCMP_ACT_NOTIFY", NULL};
static const char *const g_seccomp_ops[] = {"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",        "SCMP_CMP_EQ",
                                            "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ", NULL};

static int check_seccomp(const struct spec *s, struct err **err) {
    const struct spec_seccomp *c = &s->linux_.seccomp;

    if (!c->set)
        return 0;
    if (!one_of(c->default_action, g_seccomp_actions))
        return INVALID("linux.seccomp.defaultAction: unknown action \"%s\"", c->default_action);
    for (size_t i = 0; i < c->syscalls.count; i++) {
        const struct spec_seccomp_rule *rule = &c->syscalls.items[i];
        if (!one_of(rule->action, g_seccomp_actions))
            return INVALID("linux.seccomp.syscalls[%zu].action: unknown action \"%s\"", i, rule->action);
        if (rule->names.count == 0)
            return INVALID("linux.seccomp.syscalls[%zu].names must name a system call", i);
        for (size_t j = 0; j < rule->args.count; j++) {
            if (rule->args.items[j].index > 5)
                return INVALID("linux.seccomp.syscalls[%zu].args[%zu].index must be at most 5", i, j);
            if (!one_of(rule->args.items[j].op, g_seccomp_ops))
                return INVALID("linux.seccomp.syscalls[%zu].args[%zu].op: unknown operator \"%s\"", i, j,
                               rule->args.items[j].op);
        }
    }
    return 0;
}

static int check_linux(struct spec *s, struct err **err) {
    static const char *const propagations[] = {"",      "private", "rprivate",   "shared",      "rshared",
                                               "slave", "rslave",  "unbindable", "runbindable", NULL};
    static const char *const device_types[] = {"c", "b", "u", "p", NULL};
    struct spec_linux *l = &s->linux_;

    if (l->rootfs_propagation && !one_of(l->rootfs_propagation, propagations))
        return INVALID("linux.rootfsPropagation: unknown value \"%s\"", l->rootfs_propagation);
    for (size_t i = 0; i < l->devices.count; i++) {
        const struct spec_device *d = &l->devices.items[i];
        if (!one_of(d->type, device_types))
            return INVALID("linux.devices[%zu].type must be c, b, u or p, not \"%s\"", i, d->type);
        if (d->path[0] != '/')
            return INVALID("linux.devices[%zu].path must be absolute, not \"%s\"", i, d->path);
        if (d->major < 0 || d->major > UINT32_MAX || d->minor < 0 || d->minor > UINT32_MAX)
            return INVALID("linux.devices[%zu]: device numbers %lld:%lld are out of range", i,
                           (long long)d->major, (long long)d->minor);
    }
    for (size_t i = 0; i < l->masked_paths.count; i++)
        if (l->masked_paths.items[i][0] != '/')
            return INVALID("linux.maskedPaths[%zu] must be absolute, not \"%s\"", i,
                           l->masked_paths.items[i]);
    for (size_t i = 0; i < l->readonly_paths.count; i++)
        if (l->readonly_paths.items[i][0] != '/')
            return INVALID("linux.readonlyPaths[%zu] must be absolute, not \"%s\"", i,
                           l->readonly_paths.items[i]);
    return check_seccomp(s, err);
}

static int check_version(const struct spec *s, struct err **err) {
    char *end;
    long major = strtol(s->oci_version, &end, 10);

    if (end == s->oci_version || *end != '.')
        return INVALID("ociVersion must be a version like 1.0.2, not \"%s\"", s->oci_version);
    if (major != 1) {
        int r = err_set(err, EINVAL, "spec.version", "ociVersion %s is not supported", s->oci_version);
        err_explain(err, "this runtime implements version 1 of the OCI runtime spec", NULL);
        return r;
    }
    return 0;
}

int spec_validate(struct spec *s, struct err **err) {
    int r = check_version(s, err);

    if (r >= 0 && (!s->root.path || !s->root.path[0]))
        r = INVALID("root.path is missing");
    if (r >= 0 && s->process.set)
        r = spec_validate_process(s, "process.", err);
    if (r >= 0)
        r = check_namespaces(s, err);
    if (r >= 0)
        r = check_mounts(s, err);
    if (r >= 0)
        r = check_hooks(s, err);
    if (r >= 0)
        r = check_linux(s, err);
    if (r >= 0 && s->hostname && !spec_namespace(s, NS_UTS) && s->hostname[0])
        r = INVALID("hostname needs an entry \"uts\" in linux.namespaces");
    if (r >= 0 && s->hostname && strlen(s->hostname) > 64)
        r = INVALID("hostname has more than 64 bytes");
    if (r >= 0 && s->domainname && strlen(s->domainname) > 64)
        r = INVALID("domainname has more than 64 bytes");
    return r;
}
