# SPDX-License-Identifier: Apache-2.0
# limit: 300
# Set-ups that are broken on purpose: each gives its stable code and a message that a stranger understands, never "EOF", and leaves nothing.
. "$(dirname "$0")/../lib.sh"

bundle=$state/bundle
mkdir -p "$bundle/rootfs/bin" "$bundle/rootfs/proc" "$bundle/rootfs/dev" "$state/small"
cp "$(command -v busybox)" "$bundle/rootfs/bin/busybox"
for name in sh sleep true; do ln -s busybox "$bundle/rootfs/bin/$name"; done
cd "$bundle" || exit 1

# $args, $cwd, and further members of: $process, $mounts (items), $linux, $top
reset() { args='["true"]' cwd=/ process='' mounts='' linux='' top='' root=rootfs; }
write_config() {
    cat >"$bundle/config.json" <<END
{"ociVersion": "1.0.2", "root": {"path": "$root"}, "process": {"args": $args, "env": ["PATH=/bin"], "cwd": "$cwd"$process},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}$mounts]$top,
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]$linux}}
END
}
# broken NAME CODE TEXT [COMMAND...]: the command (default: run the bundle) fails with the code and says TEXT.
broken() {
    local name=$1 code=$2 text=$3
    shift 3
    [ $# -gt 0 ] || set -- runsc run x
    write_config
    check "$name" fails "$code" "$text" "$@"
    reset
}
fails() {
    local code=$1 text=$2 said
    shift 2
    said=$("$@" 2>&1 </dev/null) && { echo "did not fail"; return 1; }
    contains "$said" "$text" && contains "$said" "[$code]" && [[ $said != *EOF* ]] && equal "$(left_in_root)" 0
}
# In a mount namespace of its own: without SCRIPT's victim.
without() {
    local script=$1 root=${2:-$state/root}
    unshare --mount -- sh -c "$script; exec '$RUNSC' --root '$root' --platform='$PLATFORM' run x"
}
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$RUNSC" --root "$state/theirs" --platform="$PLATFORM" run x; }
in_user_ns() { unshare --user --map-root-user -- sh -c "$1; exec '$RUNSC' --root '$state/root' --platform='$PLATFORM' run x"; }

reset
write_config
check the_bundle_is_right runsc run x

# the bundle
broken bundle_missing bundle.missing "/no/such" runsc run --bundle /no/such x
rm config.json
check config_missing fails file.read config.json runsc run x
echo '{"ociVersion": "1.0.2", ' >config.json
check config_cut_off fails spec.syntax "line" runsc run x
reset
root=nowhere; broken rootfs_missing rootfs.missing "nowhere"
root=config.json; broken rootfs_is_a_file rootfs.missing "config.json"
args='[]'; broken no_program spec.invalid "process.args"
process=', "user": {"uid": 5000000000}'; broken uid_too_big spec.invalid "process.user.uid"
process=', "rlimits": [{"type": "RLIMIT_FOO", "soft": 1, "hard": 1}]'; broken unknown_rlimit spec.invalid "RLIMIT_FOO"
top=", \"hostname\": \"$(printf 'a%.0s' $(seq 100))\""; broken long_hostname spec.invalid "hostname"
linux=', "seccomp": {"defaultAction": "SCMP_ACT_FROB"}'; broken unknown_seccomp_action spec.invalid "SCMP_ACT_FROB"
linux=', "devices": [{"path": "/dev/x", "type": "q", "major": 1, "minor": 3}]'; broken unknown_device_type spec.invalid "linux.devices[0].type"
linux=', "sysctl": {"kernel.nosuch": "1"}'; broken unknown_sysctl sysctl.failed "kernel.nosuch"
broken bad_id container.id "a/b" runsc run a/b

# the program
args='["/bin/nosuch"]'; broken program_missing exec.not-found "no such file or directory"
args='["nosuch"]'; broken program_not_in_path exec.not-found "executable file not found in \$PATH"
{ printf '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0\x01\0\0\0'; head -c 200 /dev/zero; } >rootfs/bin/arm
printf '#!/no/such/interpreter\n' >rootfs/bin/script
echo text >rootfs/bin/text
cp /bin/ls rootfs/bin/dynamic
chmod +x rootfs/bin/*
args='["/bin/arm"]'; broken wrong_architecture exec.format "x86-64"
args='["/bin/text"]'; broken no_program_at_all exec.format "x86-64"
args='["/bin/script"]'; broken script_without_interpreter exec.interpreter "interpreter"
args='["/bin/dynamic"]'; broken program_without_loader exec.interpreter "interpreter"
args='["/proc"]'; broken program_is_a_directory exec.failed "permission denied"
cwd=/no/such; broken cwd_missing process.cwd "/no/such"

# mounts, namespaces, hooks
mounts=', {"destination": "/x", "type": "nosuchfs", "source": "none"}'; broken unknown_file_system mount.type "nosuchfs"
mounts=', {"destination": "/x", "type": "tmpfs", "source": "none", "options": ["size=abc"]}'; broken bad_mount_option mount.failed "option"
mounts=', {"destination": "/x", "type": "bind", "source": "/no/such/source"}'; broken bind_source_missing mount.bind "/no/such/source"
linux=', "rootfsPropagation": "sideways"'; broken unknown_propagation spec.invalid "sideways"
top=', "hooks": {"prestart": [{"path": "/no/such/hook"}]}'; broken hook_missing hook.failed "/no/such/hook"
top=', "hooks": {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}]}'; broken hook_fails hook.failed "exit status 3"
write_config
sed -i 's|{"type": "network"}|{"type": "network", "path": "/no/such/ns"}|' config.json
check namespace_missing fails standin.join "/no/such/ns" runsc run x

# the caller
touch plain
process=', "terminal": true'; broken console_socket_is_a_file console.socket "plain" runsc create --console-socket plain x
process=', "terminal": true'; broken console_socket_missing console.missing "console socket" runsc create x
broken preserved_fd_closed preserve-fds "descriptor" runsc run --preserve-fds 40 x
broken unknown_platform platform.unknown "vax" "$RUNSC" --root "$state/root" --platform=vax run x
broken pid_file_nowhere pid-file "/no/such" runsc run --pid-file /no/such/pid x

# the host
broken no_proc launch.socket "/proc is not mounted" without "umount -l /proc"
linux=', "cgroupsPath": "/broken"'; broken read_only_cgroups cgroup.create "read-only" without 'for m in /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,ro,bind $m 2>/dev/null; done'
broken full_disk state.save "full" without "mount -t tmpfs -o size=4k none '$state/small'; head -c 4096 /dev/zero >'$state/small/f'" "$state/small/root"
broken read_only_state state.root "read-only" without "mount -t tmpfs -o ro none '$state/small'" "$state/small/root"
broken no_user_namespaces wall.namespaces "namespaces" in_user_ns "echo 0 >/proc/sys/user/max_user_namespaces"
broken no_network_namespaces wall.namespaces "namespaces" in_user_ns "echo 0 >/proc/sys/user/max_net_namespaces"
broken state_not_ours state.root "permission denied" as_nobody
linux=', "cgroupsPath": "/broken", "resources": {"cpu": {"cpus": "777"}}'; broken impossible_cpus cgroup.limit "linux.resources.cpu.cpus"
