# SPDX-License-Identifier: Apache-2.0
# containerd by ctr; containers on a root file system of their own, so that no image store is needed.
root_of() { rm -rf "rootfs-$1" && cp -a "$work/image" "rootfs-$1" && echo "$PWD/rootfs-$1"; }
r() { # ID [options...] -- CMD...: ctr run
    local id=$1 options=()
    shift
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    ctr run --runc-binary "$work/bin/$RT" --env PATH=/bin "${options[@]}" --rootfs "$(root_of "$id")" "$id" "$@"
}
quick_true() { r one --rm -- /bin/true; }
quick_echo() { r one --rm -- echo one "two  three"; }
quick_exit_codes() {
    rc r one --rm -- sh -c 'exit 7'
    rc r two --rm -- sh -c 'kill -9 $$'
    fails "not found" r three --rm -- nosuch
    fails "permission denied" r four --rm -- /etc/passwd
}
quick_task() {
    r one -d -- sleep 1000
    ctr task ls | awk 'NR > 1 { print $1, $3 }'
    ctr task exec --exec-id e1 one echo from exec
    rc ctr task exec --exec-id e2 one sh -c 'exit 4'
    fails "not found" ctr task exec --exec-id e3 one nosuch
    ctr task pause one
    ctr task ls | awk 'NR > 1 { print $3 }'
    ctr task resume one
    ctr task ps one | sed 1d | wc -l
    ctr task kill -s KILL one
    wait_for 10 sh -c 'ctr task ls | grep -q STOPPED'
    ctr task ls | awk 'NR > 1 { print $3 }'
    ctr task rm one 2>&1 | grep -o 'exit.*137' || true
    ctr container rm one
}
long_terminal() { script -qec "$(declare -f r root_of); RT=$RT work=$work; r one --rm -t -- sh -c 'tty; [ -t 0 ] && echo terminal'" /dev/null </dev/null | tr -d '\r'; }
long_kill_all() {
    r one -d -- sh -c 'sleep 1000 & wait'
    ctr task kill -a -s KILL one
    wait_for 10 sh -c 'ctr task ls | grep -q STOPPED'
    ctr task rm one 2>&1 | grep -o 'exit.*137' || true
}
long_exec_kill() {
    r one -d -- sleep 1000
    ctr task exec -d --exec-id e1 one sleep 2000
    ctr task kill -s KILL --exec-id e1 one
    wait_for 10 sh -c '! ctr task exec --exec-id p$RANDOM one ps | grep -q "[s]leep 2000"'
    echo the exec has ended
}
long_metrics() {
    r one -d -- sleep 1000
    ctr task metrics one | awk '$1 ~ /^(pids.current|memory.usage_in_bytes)$/ { print $1, ($2 > 0) ? "some" : "none" }'
}
long_memory() {
    rc r one --rm --memory-limit 67108864 -- sh -c 'a=x; while :; do a=$a$a; done'
}
long_cgroup() {
    r one -d --cgroup "/clients-$tag/mine" -- sleep 1000
    grep -c "/clients-$tag/mine" "/proc/$(ctr task ls | awk 'NR > 1 { print $2 }')/cgroup"
}
# A pod as the CRI plugin makes it: a sandbox, and containers that name it by annotations and join its namespaces.
long_cri_pod() {
    local pid
    r sandbox -d --annotation io.kubernetes.cri.container-type=sandbox --annotation io.kubernetes.cri.sandbox-id=sandbox -- sleep 1000
    pid=$(ctr task ls | awk '$1 == "sandbox" { print $2 }')
    for id in a b; do
        r $id -d --annotation io.kubernetes.cri.container-type=container --annotation io.kubernetes.cri.sandbox-id=sandbox \
            --with-ns "network:/proc/$pid/ns/net" --with-ns "ipc:/proc/$pid/ns/ipc" --with-ns "uts:/proc/$pid/ns/uts" -- sleep 1000
        ctr task exec --exec-id e1 $id sh -c 'echo in a container; ls /data'
    done
    ctr task kill -s KILL a
    wait_for 10 sh -c 'ctr task ls | grep "^a " | grep -q STOPPED'
    ctr task rm a >/dev/null 2>&1 || true
    ctr task exec --exec-id e2 b echo b lives
    ctr task kill -s KILL b
    wait_for 10 sh -c 'ctr task ls | grep "^b " | grep -q STOPPED'
    ctr task rm b >/dev/null 2>&1 || true
    ctr task exec --exec-id e3 sandbox echo the sandbox lives
    ctr task kill -s KILL sandbox
    wait_for 10 sh -c 'ctr task ls | grep "^sandbox " | grep -q STOPPED'
    ctr task ls | awk 'NR > 1 { print $1, $3 }'
}
