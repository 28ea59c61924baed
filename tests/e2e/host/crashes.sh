# SPDX-License-Identifier: Apache-2.0
# limit: 500
# runsc is killed at each of its system calls in create, start, exec and delete: what it leaves can always be deleted, and then nothing is left.
# Also: verbs on one id at the same time, and a state whose pids belong to others by now.
. "$(dirname "$0")/../lib.sh"
cc -O1 -o "$state/kill_at" "$(dirname "$0")/kill_at.c" || exit 1
# A copy: its processes are told from those of other tests by their executable.
cp "$RUNSC" "$state/runsc"
RUNSC=$state/runsc

bundle=$state/bundle
mkdir -p "$bundle/rootfs/bin"
cp "$(command -v busybox)" "$bundle/rootfs/bin/busybox"
ln -s busybox "$bundle/rootfs/bin/sleep"
cat >"$bundle/config.json" <<END
{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "process": {"args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/"},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
 "linux": {"cgroupsPath": "/crash-$$", "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]}}
END

none_of_ours() { ! ls -l /proc/[0-9]*/exe 2>/dev/null | grep -F "$state/runsc" | grep -q .; }
left_over() { # what a deleted container leaves
    local i
    for i in $(seq 100); do none_of_ours && break; sleep 0.05; done
    ls -l /proc/[0-9]*/exe 2>/dev/null | grep -F "$state/runsc"
    find /sys/fs/cgroup -mindepth 2 -maxdepth 2 -name "crash-$$"
    ls -A "$state/root" 2>/dev/null
}
# Each Nth call, closely at first and to the end; N where the verb ends by itself ends the row.
sweep() { # VERB: expects the functions before_VERB and verb_VERB
    local n status left
    for ((n = 1; n < 3000; n += 1 + n / 12)); do
        "before_$1" || { echo "preparing $1 at $n failed"; return 1; }
        # A sanitized one cannot look for leaks while it is traced, and says so by its status.
        ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "$state/kill_at" "$n" "$RUNSC" --root "$state/root" --platform="$PLATFORM" "${args[@]}" </dev/null >/dev/null 2>&1
        status=$?
        runsc delete --force c || { echo "$1, killed at call $n: cannot be deleted"; return 1; }
        left=$(left_over)
        [ -z "$left" ] || { echo "$1, killed at call $n, leaves: $left"; return 1; }
        [ $status = 9 ] || { [ "$n" -gt 20 ] && [ $status = 0 ]; return; }
    done
    echo "$1 never ended"
    return 1
}
before_create() { args=(create --bundle "$bundle" --pid-file "$state/pid" c); }
before_start() { args=(start c); runsc create --bundle "$bundle" c </dev/null >/dev/null 2>&1; }
before_exec() { args=(exec --detach --pid-file "$state/pid" c sleep 2000); runsc run --detach --bundle "$bundle" c </dev/null >/dev/null 2>&1; }
before_delete() { args=(delete --force c); runsc run --detach --bundle "$bundle" c </dev/null >/dev/null 2>&1; }
for verb in create start exec delete; do check "killed_in_$verb" sweep $verb; done

# One of many creates of the same id wins; many deletes are all content.
same_id() {
    local i won
    for i in 1 2 3 4 5 6; do (runsc create --bundle "$bundle" c </dev/null >/dev/null 2>&1 && echo won >"$state/won.$i") & done
    wait
    won=$(ls "$state"/won.* | wc -l)
    rm -f "$state"/won.*
    equal "$won" 1 || return 1
    for i in 1 2 3; do (runsc start c >/dev/null 2>&1 && echo won >"$state/won.$i") & done
    wait
    equal "$(ls "$state"/won.* | wc -l)" 1 || return 1
    rm -f "$state"/won.*
    for i in 1 2 3 4 5 6; do (runsc delete --force c || echo lost >"$state/lost.$i") & done
    wait
    ! ls "$state"/lost.* 2>/dev/null && equal "$(left_over)" ""
}
check verbs_on_one_id_at_once same_id

# A pid that another process has by now is left alone.
reused() {
    local victim status
    runsc run --detach --bundle "$bundle" c </dev/null >/dev/null 2>&1 || return 1
    sleep 0.05 # not in the same tick: a pid comes round again much later
    sleep 1000 &
    victim=$!
    sed -i "s/\"standinProcess\":{\"pid\":[0-9]*/\"standinProcess\":{\"pid\":$victim/" "$state/root/c/state.json"
    runsc delete --force c
    kill -0 $victim
    status=$?
    kill $victim
    return $status
}
check a_reused_pid_is_left_alone reused
