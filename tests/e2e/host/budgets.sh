# SPDX-License-Identifier: Apache-2.0
# limit: 200
# Limits on a run, and the report of how it ended.
. "$(dirname "$0")/../lib.sh"
report=$state/report
# ends CODE REASON OPTIONS... -- CMD...: `do` ends with the code and the report says why.
ends() {
    local code=$1 reason=$2
    shift 2
    rm -f "$report"
    timeout 60 "$RUNSC" --root "$state/root" --platform="$PLATFORM" do --report "$report" "$@" >"$state/said" 2>&1
    equal $? "$code" && equal "$(sed -n 's/.*"reason": "\(.*\)".*/\1/p' "$report")" "$reason"
}
check exit ends 3 exit -- sh -c 'exit 3'
check signal ends 143 signal -- sh -c 'kill -TERM $$'
check wall ends 137 wall --wall 1 -- sleep 100
check cpu_time ends 137 cpu-time --cpu-time 1 -- sh -c 'while :; do :; done'
check max_output ends 137 max-output --max-output 1K -- sh -c 'while :; do echo 0123456789; done'
cut_off() { equal "$(wc -c <"$state/said")" 1024; }
check output_is_cut_off cut_off
check below_every_limit ends 0 exit --wall 100 --cpu-time 100 --memory 256M --pids 50 --max-output 1M -- sh -c 'echo fine'
passed_on() { equal "$(cat "$state/said")" fine; }
check output_is_passed_on passed_on
memory_limited=$(grep -sc . /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cgroup.controllers | grep -c ':[1-9]')
[ "$memory_limited" = 0 ] || check memory ends 137 oom --memory 48M -- sh -c 'a=x; while :; do a=$a$a; done'
# A group that the guest makes: the sandbox's kernel holds its limit by itself, as where the host gives no cgroup.
cat >"$state/group.sh" <<'END'
cd /sys/fs/cgroup && echo +memory >cgroup.subtree_control && mkdir hog && echo 48M >hog/memory.max || exit 1
sh -c 'echo $$ >/sys/fs/cgroup/hog/cgroup.procs; a=x; while :; do a=$a$a; done' 2>/dev/null
echo "status $?"
grep -x 'oom_kill 1' hog/memory.events
[ "$(cat hog/memory.peak)" -lt 536870912 ] && echo in time
END
group_memory() {
    equal "$(runsc do -- sh -c "$(cat "$state/group.sh")" 2>/dev/null)" 'status 137
oom_kill 1
in time'
}
check group_memory group_memory
forks() { runsc do --pids 8 -- sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait' 2>&1 | grep -qi fork; }
check pids forks
check bad_size refused "takes a number of bytes" runsc do --memory lots -- true
