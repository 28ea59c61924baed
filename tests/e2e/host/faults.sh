# SPDX-License-Identifier: Apache-2.0
# Broken set-ups and killed processes: each ends with a message that a stranger understands, and leaves nothing behind.
. "$(dirname "$0")/../lib.sh"

bundle=$state/bundle
mkdir -p "$bundle"
ln -s "$ROOTFS" "$bundle/rootfs"
config() { # CMD-AS-JSON [EXTRA-MEMBERS]: the bundle's config.json
    cat >"$bundle/config.json" <<END
{"ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": true}, "process": {"args": $1, "env": ["PATH=/bin:/usr/bin"], "cwd": "/"},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}]${2:-},
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]${3:-}}}
END
}
nothing_left() { equal "$(left_in_root)" 0 && ! pgrep -af "runsc (boot|gofer).*$state"; }
# fails TEXT [RUN OPTIONS...]: `run` fails, says TEXT and leaves nothing.
fails() { local text=$1; shift; works && refused "$text" runsc run --bundle "$bundle" "$@" broken && nothing_left; }

check no_bundle refused "opening the bundle /no/such" runsc run --bundle /no/such x
check no_config refused "config.json" runsc run --bundle "$bundle" x
echo '{"ociVersion": 5}' >"$bundle/config.json"
check wrong_type fails "ociVersion must be a string"
echo '{"ociVersion": "1.0.2", ' >"$bundle/config.json"
check bad_syntax fails "config.json: line"
config '["/bin/true"]' '' ', "rootfsPropagation": "sideways"'
check wrong_value fails 'linux.rootfsPropagation: unknown value "sideways"'
config '["/bin/true"]' '' ', "resources": {"pids": {"limit": "many"}}'
check wrong_limit fails "linux.resources.pids.limit must be a number"
config '["/bin/true"]'
sed -i 's/"rootfs"/"nowhere"/' "$bundle/config.json"
check no_rootfs fails "root.path: the container's root"
config '["/bin/true"]' ', "hooks": {"prestart": [{"path": "/bin/sh", "args": ["sh", "-c", "echo from the hook >&2; exit 3"]}]}'
check failing_hook fails "exit status 3, stderr: from the hook"
config '["/bin/true"]' ', "hooks": {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "9"], "timeout": 1}]}'
check slow_hook fails "hook ran past specified timeout of 1.0s"
config '["no-such-program"]'
check missing_program fails "executable file not found in \$PATH"
config '["/etc/passwd"]'
check not_executable fails "permission denied"
config '["/bin/true"]'
sed -i 's|{"destination": "/proc"|{"destination": "/x", "type": "bind", "source": "/no/such/source"}, {"destination": "/proc"|' "$bundle/config.json"
check missing_bind_source fails "/no/such/source"
config '["/bin/true"]'
check bad_console_socket fails "cannot use console socket if process.terminal is false" --console-socket /no/such
sed -i 's/"process": {/"process": {"terminal": true, /' "$bundle/config.json"
check no_console_socket refused "without setting console socket" runsc create --bundle "$bundle" x
check dead_console_socket refused "connecting to the console socket /no/such" runsc create --bundle "$bundle" --console-socket /no/such x

# ---- processes that are killed ----
config '["/bin/sleep", "1000"]'
pid_of() { sed -n "s/.*\"$1Process\":{\"pid\":\([0-9]*\).*/\1/p" "$state/root/box/state.json"; }
started() { runsc_itself run --bundle "$bundle" box >"$state/said" 2>&1 & pid=$!; for _ in $(seq 200); do grep -q '"started":true' "$state/root/box/state.json" 2>/dev/null && return; sleep 0.05; done; return 1; }
killed() { # WHO TEXT CODE
    local pid
    works && started && kill -KILL "$(pid_of "$1")"
    wait "$pid"
    equal $? "$3" && contains "$(cat "$state/said")" "$2" && nothing_left
}
check killed_gofer killed gofer "the gofer" 137
check killed_sandbox killed sandbox "killed by signal 9" 1
check killed_standin killed standin "" 137
detached() {
    works && runsc create --bundle "$bundle" --pid-file "$state/pid" box </dev/null >/dev/null 2>&1 && runsc start box || return 1
    runsc exec --detach --pid-file "$state/exec" box /bin/sleep 1000 </dev/null >/dev/null 2>&1 || return 1
    kill -KILL "$(cat "$state/exec")" && kill -0 "$(cat "$state/pid")" || return 1
    equal "$(runsc state box | sed -n 's/.*"status": "\(.*\)".*/\1/p')" running || return 1
    kill -KILL "$(pid_of sandbox)"
    for _ in $(seq 100); do runsc state box | grep -q stopped && break; sleep 0.05; done
    runsc state box | grep -q stopped && refused "not running" runsc kill box && refused "stopped" runsc exec box /bin/true || return 1
    runsc delete box && nothing_left
}
check killed_exec_then_sandbox detached
half_made() {
    works && mkdir -p "$state/root/half" && refused "" runsc start half && runsc delete --force half && nothing_left
}
check half_made_container half_made
json_log() {
    runsc --log "$state/log" --log-format json start nobody && return 1
    contains "$(cat "$state/log")" '"level":"error","msg":"container nobody: container does not exist'
}
check json_log json_log
stray() { # containerd's shim leaves a socket at descriptor 3
    config '["/bin/ls", "/proc/self/fd"]'
    equal "$(runsc run --bundle "$bundle" box 3</dev/null 4</dev/null | tr '\n' ' ')" "0 1 2 3 "
}
check stray_descriptors_stay_out stray
preserved() {
    config '["/bin/sh", "-c", "cat <&3"]'
    echo handed on >"$state/three"
    equal "$(runsc run --bundle "$bundle" --preserve-fds 1 box 3<"$state/three")" "handed on"
}
check preserved_descriptors preserved
hook_asks() { # as clients' hooks do, while `create` holds the lock
    config '["/bin/true"]' ", \"hooks\": {\"createRuntime\": [{\"path\": \"$RUNSC\", \"args\": [\"runsc\", \"--root\", \"$state/root\", \"state\", \"box\"], \"timeout\": 5}]}"
    runsc run --bundle "$bundle" box
}
check a_hook_may_ask_for_the_state hook_asks
