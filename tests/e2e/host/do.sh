# SPDX-License-Identifier: Apache-2.0
# `runsc do`: exit codes, signals, standard streams, errors for people, what it leaves behind.
. "$(dirname "$0")/../lib.sh"

exits() { runsc do -- sh -c "exit $1"; equal $? "$1"; }
check exit_0 exits 0
check exit_42 exits 42
check exit_255 exits 255
killed() { runsc do -- sh -c 'kill -TERM $$'; equal $? 143; }
check killed_by_a_signal killed
echo_through() { equal "$(printf 'a\nb' | runsc do -- cat)" "$(printf 'a\nb')"; }
check stdin_to_stdout echo_through
sent() { # by sendfile(2), whose position is the host's
    printf 'ab\ncd' >"$state/file"
    equal "$(runsc do -- python3 -c 'import os
os.lseek(0, 1, 0)
while os.sendfile(1, 0, None, 2): pass' <"$state/file" | cat)" "$(printf 'b\ncd')"
}
check a_file_as_stdin_is_sent sent
streams_apart() { equal "$(runsc do -- sh -c 'echo out; echo err >&2' 2>/dev/null)" out && equal "$(runsc do -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" err; }
check stdout_and_stderr_apart streams_apart
no_such() { local text; text=$(runsc do -- /no/such/program 2>&1); equal $? 127 || return 1; contains "$text" "/no/such/program"; }
check missing_program no_such
not_executable() { runsc do -- /etc/passwd >/dev/null 2>&1; equal $? 126; }
check not_executable not_executable
arguments() { equal "$(runsc do -- printf '%s|' 'a b' '' '$x' '*')" 'a b||$x|*|'; }
check arguments_untouched arguments
signal_passed() {
    runsc_itself do -- sh -c 'trap "echo got; exit 9" TERM; echo ready; while :; do sleep 0.05; done' >"$state/sig" &
    local pid=$! i
    for i in $(seq 100); do grep -q ready "$state/sig" && break; sleep 0.1; done
    kill -TERM $pid
    wait $pid
    equal $? 9 && contains "$(cat "$state/sig")" got
}
check signals_are_passed_on signal_passed
no_write() { echo before >"$state/file"; runsc do -- sh -c "echo after >$state/file; cat $state/file" | grep -qx after && equal "$(cat "$state/file")" before; }
check host_files_stay no_write
is_not_host() { equal "$(runsc do -- sh -c 'dmesg 2>/dev/null | wc -l; ls /proc/1/exe >/dev/null && echo seen')" "$(printf '0\nseen')"; }
check own_kernel is_not_host
own_pids() { contains "$(runsc do -- sh -c 'echo pid $$; ls /proc | grep -c "^[0-9]"')" "pid 1"; }
check own_pid_namespace own_pids
rootfs_option() { equal "$(runsc do --rootfs "$ROOTFS" -- cat /etc/hostname)" runsc-test; }
check rootfs_option rootfs_option
big_output() { equal "$(runsc do -- sh -c 'yes | head -c 20000000' | md5sum)" "$(yes | head -c 20000000 | md5sum)"; }
check big_output big_output
closed_pipe() { works || return 1; runsc do -- yes | head -n 1 >/dev/null; equal "${PIPESTATUS[1]}" 0; }
check closed_pipe_ends_it closed_pipe
host_views_covered() { # many mounts that show the host, and covers that are mounts themselves
    mkdir -p "$state/views" && touch "$state/views/"{1..40} || return 1
    equal "$(unshare -m bash -c '
        . "$0"
        for view in "$1"/*; do mount --bind /proc/self/ns/uts "$view"; done
        runsc do -- sh -c "stat -c %F \"\$1\"/* | sort | uniq -c | sed \"s/^ *//\"" sh "$1"' "$(dirname "$0")/../lib.sh" "$state/views")" \
        "40 character special file"
}
check views_of_the_host_are_covered host_views_covered
nothing_left() {
    local before after
    works || return 1
    before=$(grep -c . /proc/self/mountinfo)
    runsc do -- true
    after=$(grep -c . /proc/self/mountinfo)
    equal "$before" "$after" && equal "$(left_in_root)" 0 && ! pgrep -f "runsc.*--root $state" >/dev/null
}
check nothing_is_left_behind nothing_left
killed_sandbox() {
    works || return 1
    runsc_itself do -- sleep 100 &
    local pid=$! i
    for i in $(seq 100); do pgrep -P $pid >/dev/null && break; sleep 0.05; done
    sleep 0.3
    kill -KILL $pid
    wait $pid 2>/dev/null
    for i in $(seq 100); do pgrep -f "runsc.*--root $state" >/dev/null || return 0; sleep 0.05; done
    pgrep -af "runsc.*--root $state"
    return 1
}
check killed_caller_leaves_nothing killed_sandbox
terminal() { local text; text=$(script -qec "stty rows 33 cols 77; $RUNSC --root $state/root --platform=$PLATFORM do -t -- sh -c 'tty; stty size; test -t 0 && echo yes; exit 5'" /dev/null </dev/null); equal $? 5 && contains "$text" /dev/pts/ && contains "$text" "33 77" && contains "$text" yes; }
check terminal terminal
