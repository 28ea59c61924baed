# SPDX-License-Identifier: Apache-2.0
# Sourced by run: the clients' own folders and daemons, images, and how a scenario is run. $work, $runsc, $platform, $long, $times, $out are set.

tag=${work##*-}

# ---- set-up ----

setup() {
    mount --make-rprivate / || return 1
    mount -t tmpfs -o mode=755 none /run || return 1
    mkdir -p "$work"/{bin,tmp,podman,docker,containerd,image} /run/lock
    ip link set lo up
    echo 1 >/proc/sys/net/ipv4/ip_forward
    for directory in /var/lib/cni /var/lib/containers /var/lib/docker /var/lib/containerd; do
        [ -d "$directory" ] && mount -t tmpfs none "$directory"
    done
    # A copy: a build meanwhile must not change what is tested. Arguments that clients cannot give come by a wrapper of the same name.
    cp "$runsc" "$work/bin/runsc.real" || return 1
    printf '#!/bin/sh\nexec %s --platform=%s ${RUNSC_TEST_ARGS:-} "$@"\n' "$work/bin/runsc.real" "$platform" >"$work/bin/runsc"
    ln -s "$(command -v runc)" "$work/bin/runc"
    chmod +x "$work/bin/runsc"
    make_image
}

# busybox as a root file system: small, so that imports cost nothing.
make_image() {
    local image=$work/image applet
    mkdir -p "$image"/{bin,etc,tmp,root,proc,sys,dev,home/user,data,usr/bin,usr/sbin,var/run}
    chmod 1777 "$image/tmp"
    cp "$(command -v busybox)" "$image/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$image/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$image/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n' >"$image/etc/group"
    echo "of the image" >"$image/data/file"
    chown -R 1000:1000 "$image/home/user"
    tar -C "$image" -cf "$work/image.tar" .
}

teardown() {
    local name
    for name in dockerd containerd; do
        [ -f "$work/$name.pid" ] && stop_daemon "$name"
    done
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

stop_daemon() { # NAME
    local pid
    pid=$(cat "$work/$1.pid")
    kill "$pid" 2>/dev/null
    wait_for 20 test ! -d "/proc/$pid" || kill -9 "$pid"
    rm -f "$work/$1.pid"
}

start_podman() {
    unset DOCKER_CONFIG
    export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
    # Without CAP_SYS_RESOURCE podman's own default limits cannot be set.
    cat >"$CONTAINERS_CONF" <<END
[containers]
default_ulimits = ["nofile=20000:20000","nproc=30000:30000"]
init_path = "/usr/bin/docker-init"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runsc"
tmp_dir = "$work/podman/tmp"
[engine.runtimes]
runsc = ["$work/bin/runsc"]
runc = ["$work/bin/runc"]
[network]
network_backend = "cni"
END
    cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
graphroot = "$work/podman/root"
runroot = "$work/podman/run"
END
    podman import "$work/image.tar" localhost/bb:1 >"$work/podman.log" 2>&1
}

start_docker() {
    cat >"$work/daemon.json" <<END
{"runtimes": {"runsc": {"path": "$work/bin/runsc"}}, "cgroup-parent": "/clients-$tag",
 "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 20000, "Hard": 20000}}}
END
    dockerd --config-file "$work/daemon.json" --data-root "$work/docker/data" --exec-root "$work/docker/exec" --pidfile "$work/docker/pid" \
        -H "unix://$work/docker.sock" --storage-driver overlay2 >"$work/dockerd.log" 2>&1 &
    echo $! >"$work/dockerd.pid"
    export DOCKER_HOST=unix://$work/docker.sock DOCKER_CONFIG=$work/docker/config DOCKER_BUILDKIT=0
    wait_for 60 docker info && docker import "$work/image.tar" localhost/bb:1 >/dev/null
}

start_ctr() {
    cat >"$work/containerd.toml" <<END
version = 2
root = "$work/containerd/root"
state = "$work/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$work/containerd.sock"
END
    containerd --config "$work/containerd.toml" >"$work/containerd.log" 2>&1 &
    echo $! >"$work/containerd.pid"
    export CONTAINERD_ADDRESS=$work/containerd.sock CONTAINERD_NAMESPACE=clients-$tag
    wait_for 60 ctr version
}

start_buildah() { start_podman; }

# An ordinary user, who is in /etc of this mount namespace only.
start_rootless() {
    cp -a /etc "$work/etc" && mount --bind "$work/etc" /etc || return 1
    useradd --create-home --home-dir "$work/home" tester || return 1
    grep -q '^tester:' /etc/subuid || { echo tester:200000:65536 >>/etc/subuid; echo tester:200000:65536 >>/etc/subgid; }
    chmod 755 "$work"
    mkdir -p "/run/user/$(id -u tester)" "$work/home/.config/containers"
    cat >"$work/home/.config/containers/containers.conf" <<END
[containers]
default_ulimits = ["nofile=20000:20000","nproc=30000:30000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "cni"
END
    printf '[storage]\ndriver = "vfs"\n' >"$work/home/.config/containers/storage.conf"
    chown -R tester: "$work/home" "/run/user/$(id -u tester)"
    u podman import "$work/image.tar" localhost/bb:1 >"$work/rootless.log" 2>&1
}
u() {
    (cd "$work/home" && setpriv --reuid tester --regid tester --init-groups env -i PATH="$PATH" LC_ALL=C USER=tester HOME="$work/home" \
        XDG_RUNTIME_DIR="/run/user/$(id -u tester)" "$@")
}

# ---- the clients, with the runtime of the moment ($RT) ----

docker() { command /usr/bin/docker "$@"; }
# c: podman or docker, whose command lines agree.
c() {
    local verb=$1
    shift
    case $client.$verb in
    podman.*) podman --runtime "$work/bin/$RT" "$verb" "$@" ;;
    docker.run | docker.create) docker "$verb" --runtime "$RT" "$@" ;;
    *) docker "$verb" "$@" ;;
    esac
}
# In a terminal of its own; carriage returns taken out.
in_terminal() {
    local words
    words=$(printf '%q ' "$@")
    script -qec "$(declare -f docker c); client=$client RT=$RT work=$work; $words" /dev/null </dev/null | tr -d '\r' | sed 's/^\^@*//; s/\x00//g'
}
# rc COMMAND...: shows its exit status, which may be any.
rc() {
    local status=0
    "$@" || status=$?
    echo "rc $status"
}
# fails TEXT COMMAND...: it must fail, and say TEXT in any case of letters.
fails() {
    local text=$1 said status=0
    shift
    said=$("$@" 2>&1) || status=$?
    if [ $status != 0 ] && grep -qiF -- "$text" <<<"$said"; then
        echo "fails ($status) with: $text"
    else
        echo "status $status, said: $said"
        return 1
    fi
}
state_of() { c inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$1"; }
is_state() { [ "$(c inspect --format '{{.State.Status}}' "$1")" = "$2" ]; }

# ---- running scenarios ----

wanted() {
    [ ${#patterns[@]} = 0 ] && return 0
    local p
    # shellcheck disable=SC2053
    for p in "${patterns[@]}"; do [[ $1 == ${p#e2e/clients/} ]] && return 0; done
    return 1
}

expected_reason() { # NAME
    awk -v id="$1" '!/^#/ && NF { p = $1; gsub(/[.]/, "\\.", p); gsub(/\*/, ".*", p)
        if (id ~ ("^" p "$")) { sub(/^[^ ]+ */, ""); print; exit } }' "$here/expected_failures.txt"
}

result() { # NAME good|bad MILLISECONDS [text of a failure]
    local reason
    reason=$(expected_reason "$1")
    if [ "$2" = good ] && [ -n "$reason" ]; then
        echo "TEST e2e/clients/$1 xpass $3 passes, but is in tests/e2e/clients/expected_failures.txt"
        return 1
    elif [ "$2" = good ]; then
        echo "TEST e2e/clients/$1 pass $3"
    elif [ -n "$reason" ]; then
        echo "TEST e2e/clients/$1 xfail $3 $reason"
    else
        [ -n "${4:-}" ] && printf '%s\n' "$4" | sed 's/^/  /' | head -n 60
        echo "TEST e2e/clients/$1 fail $3"
        return 1
    fi
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# with_runtime RUNTIME FUNCTION: in a subshell with set -e, in an empty directory; its output in $out. What it leaves is removed.
with_runtime() {
    local file=$out/$client.${2#*_}.$1 status limit
    limit=$(sed -n "s/^$2() {.*# limit: //p" "$here"/scenarios/*.sh | head -n 1)
    limit=${limit:-120}
    (
        RT=$1
        set -e -o pipefail
        cd "$(mktemp -d "$work/tmp/XXXXXX")"
        "$2"
    ) >"$file" 2>&1 </dev/null &
    local pid=$!
    (sleep "$limit" && echo "clients/run: took longer than $limit s" >>"$file" && kill_tree $pid) 2>/dev/null &
    local watch=$!
    disown $watch # else its death is announced
    wait $pid
    status=$?
    kill_tree $watch
    "clean_$client"
    return $status
}

kill_tree() { # PID: it and its descendants
    local child
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do kill_tree "$child"; done
    kill -9 "$1" 2>/dev/null
}

clean_podman() {
    podman ps -aq 2>/dev/null | xargs -r podman rm -f -t 0 >/dev/null 2>&1
    podman pod ps -q 2>/dev/null | xargs -r podman pod rm -f -t 0 >/dev/null 2>&1
    podman volume ls -q 2>/dev/null | xargs -r podman volume rm -f >/dev/null 2>&1
    true
}
clean_buildah() { clean_podman; }
clean_rootless() {
    u podman ps -aq 2>/dev/null | xargs -r -n 1 setpriv --reuid tester --regid tester --init-groups env -i PATH="$PATH" USER=tester \
        HOME="$work/home" XDG_RUNTIME_DIR="/run/user/$(id -u tester)" podman rm -f -t 0 >/dev/null 2>&1
    true
}
clean_docker() {
    docker ps -aq 2>/dev/null | xargs -r /usr/bin/docker rm -f -v >/dev/null 2>&1
    docker volume ls -q 2>/dev/null | xargs -r /usr/bin/docker volume rm -f >/dev/null 2>&1
    true
}
clean_ctr() {
    local id
    for id in $(ctr task ls -q 2>/dev/null); do ctr task kill -s KILL "$id" >/dev/null 2>&1; done
    for id in $(ctr container ls -q 2>/dev/null); do
        ctr task rm -f "$id" >/dev/null 2>&1
        ctr container rm "$id" >/dev/null 2>&1
    done
    true
}

run_scenario() { # FUNCTION
    local name=$client.${1#*_} start control status
    wanted "$name" || return 0
    with_runtime runc "$1"
    control=$?
    if [ $control != 0 ]; then
        result "$name" bad 0 "the control fails: runc, status $control
$(tail -n 30 "$out/$name.runc")"
        return
    fi
    start=$(now_ms)
    with_runtime runsc "$1"
    status=$?
    if [ $status = 0 ] && cmp -s "$out/$name.runc" "$out/$name.runsc"; then
        result "$name" good $(($(now_ms) - start))
    else
        result "$name" bad $(($(now_ms) - start)) "status $status
$(diff "$out/$name.runc" "$out/$name.runsc" | head -n 40)"
    fi
}

# Processes, mounts and control groups that a client's scenarios left.
check_leftovers() {
    local left
    wait_for 10 no_process
    left=$(ps -eo pid,ppid,args | grep -F "$work/bin/runsc.real" | grep -v grep
        mount | grep -E "$work/(podman|containerd|docker/data)" | grep -vE "podman/root/overlay |docker/data(/overlay2)? |/tmp type"
        cgroups_of "$tag" | grep -vE "/((clients|parent)-$tag(/deeper)?|conmon)$"
        ls -A /run/runsc 2>/dev/null)
    if [ -z "$left" ]; then result "$client.nothing_left" good 0; else result "$client.nothing_left" bad 0 "$left"; fi
}
no_process() { ! ls -l /proc/[0-9]*/exe 2>/dev/null | grep -qF "$work/bin/runsc.real"; }

# For tests/bench: the scenario "true", from call to return.
time_true() {
    local i start
    for i in $(seq "$times"); do
        start=$(now_us)
        (cd "$work/tmp" && quick_true) >/dev/null 2>&1 </dev/null || echo failed
        echo $(($(now_us) - start))
    done | sort -n | awk -v name="$client run --rm /bin/true, $RT" '{ v[NR] = $1 } END {
        printf "%-42s min %.0f ms, median %.0f ms\n", name, v[1] / 1000, v[int((NR + 1) / 2)] / 1000 }'
}
now_us() { echo $(($(date +%s%N) / 1000)); }

run_client() { # NAME
    local scenario bad=0
    client=$1
    "start_$client" || { result "$client.start" bad 0 "$(tail -n 20 "$work"/*.log)"; return 1; }
    unset -f $(compgen -A function quick_; compgen -A function long_) 2>/dev/null
    case $client in podman | docker) . "$here/scenarios/common.sh" ;; esac
    . "$here/scenarios/$client.sh"
    if [ "$times" -gt 0 ]; then
        for RT in runc runsc runc runsc; do time_true; done
        teardown
        return
    fi
    for scenario in $(compgen -A function "$([ $long = 1 ] && echo long_ || echo quick_)"); do
        run_scenario "$scenario" # no ||: it would switch off the scenario's set -e
        [ $? = 0 ] || bad=1
    done
    check_leftovers || bad=1
    teardown
    return $bad
}
