# SPDX-License-Identifier: Apache-2.0
# config.json's linux.seccomp: enforced for init and exec, as runc has it; what cannot be enforced is refused.
. "$(dirname "$0")/../lib.sh"

bundle_root=$state/seccomp
mkdir -p "$bundle_root/rootfs/bin" "$bundle_root/rootfs/proc" "$bundle_root/rootfs/tmp"
cp "$(command -v busybox)" "$bundle_root/rootfs/bin/busybox"
for name in sh cat echo sleep mkdir chmod grep true hostname; do ln -s busybox "$bundle_root/rootfs/bin/$name"; done

config() { # SECCOMP-JSON CMD...
    local profile=$1 args="" a
    shift
    for a in "$@"; do
        a=${a//\\/\\\\}
        args+="\"${a//\"/\\\"}\","
    done
    cat >"$bundle_root/config.json" <<END
{"ociVersion": "1.0.2", "root": {"path": "rootfs"},
 "process": {"user": {"uid": 0, "gid": 0}, "args": [${args%,}], "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": true},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}],
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}], "seccomp": $profile}}
END
}
once() { runsc run --bundle "$bundle_root" sc 2>&1; }
deny() { # NAME ACTION [ERRNO]: everything but that call
    echo "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": [\"SCMP_ARCH_X86_64\", \"SCMP_ARCH_X86\", \"SCMP_ARCH_X32\"],
      \"syscalls\": [{\"names\": [\"$1\", \"no_such_call\"], \"action\": \"$2\"${3:+, \"errnoRet\": $3}}]}"
}

denied() { config "$(deny mkdir SCMP_ACT_ERRNO)" sh -c 'mkdir /tmp/x; echo $?'; contains "$(once)" "Operation not permitted"; }
check errno_is_eperm_by_default denied
with_errno() { config "$(deny mkdir SCMP_ACT_ERRNO 18)" mkdir /tmp/x; contains "$(once)" "nvalid cross-device link"; }
check errno_as_given with_errno
kills() { config "$(deny mkdir SCMP_ACT_KILL_PROCESS)" mkdir /tmp/x; once >/dev/null; equal $? $((128 + 31)); }
check kill_process kills
shown() { config "$(deny mkdir SCMP_ACT_ERRNO)" grep Seccomp: /proc/self/status; contains "$(once)" "2"; }
check shown_in_proc shown
no_profile() { config '{"defaultAction": "SCMP_ACT_ALLOW"}' echo fine; equal "$(once)" fine; }
check allow_all no_profile
by_argument() {
    config '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["chmod", "fchmodat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 18,
      "args": [{"index": 1, "value": 511, "op": "SCMP_CMP_EQ"}]}]}' sh -c 'echo >/tmp/f; chmod 700 /tmp/f && echo yes; chmod 777 /tmp/f || echo no'
    local text
    text=$(once)
    contains "$text" yes && contains "$text" no
}
check by_argument by_argument
exec_too() {
    config "$(deny mkdir SCMP_ACT_ERRNO)" sh -c 'while :; do sleep 0.1; done'
    runsc create --bundle "$bundle_root" sx && runsc start sx && contains "$(runsc exec sx mkdir /tmp/y 2>&1)" "Operation not permitted"
    local r=$?
    runsc delete --force sx
    return $r
}
check exec_is_filtered exec_too
newer() {
    config '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read", "write", "execve", "exit_group", "brk", "arch_prctl", "mmap", "munmap",
      "mprotect", "prctl", "set_tid_address", "getuid", "uname", "ioctl", "open", "fstat", "rseq", "prlimit64", "getrandom", "newfstatat",
      "set_robust_list", "readlink", "getcwd", "getpid", "rt_sigaction", "getppid", "stat", "lseek", "close"], "action": "SCMP_ACT_ALLOW"}]}' echo allowed
    contains "$(once)" allowed
}
check default_is_to_refuse newer
notify() { config "$(deny mkdir SCMP_ACT_NOTIFY)" true; refused "SCMP_ACT_NOTIFY" runsc run --bundle "$bundle_root" sn; }
check notify_is_refused notify
flag() { config '{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_NONSENSE"]}' true; refused "NONSENSE" runsc run --bundle "$bundle_root" sf; }
check unknown_flag_is_refused flag
# bubblewrap brings a filter of its own, as compiled bytes on a descriptor: mkdir gives EXDEV.
printf '\x20\0\0\0\0\0\0\0\x15\0\0\x01\x53\0\0\0\x06\0\0\0\x12\0\x05\0\x06\0\0\0\0\0\xff\x7f' >"$state/filter"
bubblewrap() {
    local text
    text=$(runsc do -- sh -c 'bwrap --ro-bind / / --tmpfs /tmp --proc /proc --dev /dev --unshare-all --seccomp 9 mkdir /tmp/x 9<"$0"' "$state/filter" 2>&1)
    contains "$text" "nvalid cross-device link"
}
check bubblewrap_with_a_filter bubblewrap
