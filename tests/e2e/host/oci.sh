# SPDX-License-Identifier: Apache-2.0
# The OCI verbs by hand: a busybox bundle and the Debian bundle; run, create, state, start, exec, ps, kill, wait, delete, list.
. "$(dirname "$0")/../lib.sh"

busybox=$state/busybox
mkdir -p "$busybox/rootfs/bin" "$busybox/rootfs/proc" "$busybox/rootfs/dev" "$busybox/rootfs/tmp" "$busybox/rootfs/etc"
cp "$(command -v busybox)" "$busybox/rootfs/bin/busybox"
for name in sh ls cat echo sleep ps id true false kill mount hostname env; do ln -s busybox "$busybox/rootfs/bin/$name"; done
echo 'root:x:0:0:root:/:/bin/sh' >"$busybox/rootfs/etc/passwd"

config() { # ROOT CMD...: a config.json on standard output
    local root=$1 args="" a
    shift
    for a in "$@"; do
        a=${a//\\/\\\\}
        args+="\"${a//\"/\\\"}\","
    done
    cat <<END
{"ociVersion": "1.0.2", "root": {"path": "$root", "readonly": false}, "hostname": "e2e",
 "process": {"user": {"uid": 0, "gid": 0}, "args": [${args%,}], "env": ["PATH=/bin:/usr/bin", "FROM=config"], "cwd": "/"},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]}}
END
}
bundle() { config rootfs "$@" >"$busybox/config.json"; }
status_of() { runsc state "$1" | sed -n 's/.*"status": *"\([a-z]*\)".*/\1/p'; }

bundle sh -c 'echo hello from $FROM; hostname; exit 3'
runs() { local text; text=$(runsc run --bundle "$busybox" one); equal $? 3 && equal "$text" "$(printf 'hello from config\ne2e')"; }
check run_busybox runs
run_gone() { works && refused "does not exist" runsc state one && equal "$(runsc list -q)" ""; }
check run_removes_it run_gone

bundle sh -c 'echo started; trap "exit 7" TERM; while :; do sleep 0.05; done'
check create runsc create --bundle "$busybox" --pid-file "$state/pid" two
created() { equal "$(status_of two)" created; }
check state_created created
check pid_file_names_a_process kill -0 "$(cat "$state/pid" 2>/dev/null || echo 999999999)"
twice() { refused "already exists" runsc create --bundle "$busybox" two && equal "$(status_of two)" created; }
check create_twice_fails twice
check start runsc start two
running() { equal "$(status_of two)" running; }
check state_running running
start_again() { refused "running" runsc start two; }
check start_twice_fails start_again
execs() { local text; text=$(runsc exec two sh -c 'echo in exec; exit 6'); equal $? 6 && equal "$text" "in exec"; }
check exec execs
exec_env() { equal "$(runsc exec --env A=b --cwd /tmp two sh -c 'echo $A; pwd')" "$(printf 'b\n/tmp')"; }
check exec_env_and_cwd exec_env
exec_missing() { refused "/no/such" runsc exec two /no/such && equal "$(status_of two)" running; }
check exec_missing_program exec_missing
listed() { contains "$(runsc list)" two; }
check list listed
ps_shows() { contains "$(runsc ps two)" sleep || contains "$(runsc ps two)" sh; }
check ps ps_shows
delete_running() { refused "not stopped" runsc delete two; }
check delete_running_fails delete_running
check kill_term runsc kill two TERM
stops() { local i; for i in $(seq 100); do [ "$(status_of two)" = stopped ] && return 0; sleep 0.05; done; status_of two; return 1; }
check state_stopped stops
kill_stopped() { refused "not running" runsc kill two TERM; }
check kill_stopped_fails kill_stopped
check delete runsc delete two
gone() { works && refused "does not exist" runsc state two; }
check deleted_is_gone gone
force_nothing() { works && equal "$(runsc delete --force nothing 2>&1)" ""; }
check delete_force_of_nothing force_nothing

bundle sh -c 'while :; do sleep 1; done'
forced() { runsc create --bundle "$busybox" three && runsc start three && runsc delete --force three && refused "does not exist" runsc state three; }
check delete_force forced
two_at_once() {
    runsc create --bundle "$busybox" a && runsc create --bundle "$busybox" b && runsc start a && runsc start b &&
        equal "$(runsc list -q | sort | tr '\n' ' ')" "a b " && runsc kill a KILL && equal "$(status_of b)" running && runsc kill b KILL
    local r=$?
    runsc delete --force a
    runsc delete --force b
    return $r
}
check two_containers two_at_once

bundle sh -c 'kill -TERM $$; sh -c "kill -KILL 1"; exit 4'
immune() { runsc run --bundle "$busybox" immune; equal $? 4; }
check init_is_immune_from_within immune

config "$ROOTFS" bash -c 'python3 -c "print(6 * 7)"; git --version | cut -d" " -f1; id -u' >"$state/config.json"
debian() { equal "$(runsc run --bundle "$state" debian)" "$(printf '42\ngit\n0')"; }
check run_debian debian

broken() { echo '{"ociVersion": "1.0.2", "process": {"args": "sh"}}' >"$busybox/config.json"; local text; text=$(runsc run --bundle "$busybox" x 2>&1) && return 1; contains "$text" process.args; }
check error_names_the_json_path broken
garbage() { echo '{"ociVersion": ' >"$busybox/config.json"; local text; text=$(runsc run --bundle "$busybox" x 2>&1) && return 1; contains "$text" config.json; }
check error_of_garbage garbage
no_bundle() { local text; text=$(runsc run --bundle /no/such x 2>&1) && return 1; contains "$text" /no/such; }
check error_of_no_bundle no_bundle
spec() { mkdir "$state/spec" && (cd "$state/spec" && runsc spec) && grep -q ociVersion "$state/spec/config.json"; }
check spec spec
version() { contains "$("$RUNSC" --version | head -n 1)" "runsc version "; }
check version version
