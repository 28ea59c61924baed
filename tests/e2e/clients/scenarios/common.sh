# SPDX-License-Identifier: Apache-2.0
# What podman and docker do alike. A scenario runs under set -e with runc and with runsc ($RT); both must reach its end and print the same.
# c is the client; I the image; N options for a run without network.
I=localhost/bb:1
N="--network none"

# ---- quick ----

quick_true() { c run --rm $N $I /bin/true; }
quick_echo() { c run --rm $N $I echo one "two  three"; }
quick_exit_codes() {
    rc c run --rm $N $I sh -c 'exit 7'
    rc c run --rm $N $I sh -c 'kill -9 $$'
    rc c run --rm $N $I sh -c 'kill -TERM $$; exit 3'
    fails "not found" c run --rm $N $I nosuch
    fails "no such file" c run --rm $N $I /no/such
    fails "permission denied" c run --rm $N $I /etc/passwd
    fails "" c run --rm $N --workdir /etc/passwd $I true
}
quick_stdin() {
    printf 'a\nb\n' | c run -i --rm $N $I cat
    head -c 3000000 /dev/zero | c run -i --rm $N $I wc -c
    c run --rm $N $I sh -c 'echo out; echo err >&2' 2>&1 >/dev/null
}
quick_terminal() {
    in_terminal c run --rm -t $N $I sh -c 'tty; ls -l /dev/console | cut -c1-10; ls /dev/pts; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal'
}
quick_detached() {
    c run -d --name one $N $I sleep 1000 >/dev/null
    state_of one
    rc c exec one sh -c 'echo in; exit 3'
    echo text | c exec -i one cat
    in_terminal c exec -it one tty
    fails "not found" c exec one nosuch
    fails "permission denied" c exec one /etc/passwd
    c exec -d one sh -c 'echo detached >/tmp/said' >/dev/null
    wait_for 10 c exec one test -s /tmp/said
    c exec one cat /tmp/said
    c kill --signal KILL one >/dev/null
    c wait one
    state_of one
    c rm one >/dev/null
    fails "no such" c inspect one
}
quick_signals() {
    c run -d --name one $N $I sh -c 'trap "echo term; exit 5" TERM; trap "echo usr1" USR1; echo ready; while :; do sleep 0.1; done' >/dev/null
    wait_for 20 sh -c "$(declare -f docker c); client=$client RT=$RT work=$work; c logs one | grep -q ready"
    c kill --signal USR1 one >/dev/null
    sleep 0.5
    c stop -t 10 one >/dev/null
    state_of one
    c logs one
    c start one >/dev/null
    state_of one
    c rm -f one >/dev/null
}
quick_pause() {
    c run -d --name one $N $I sh -c 'i=0; while :; do i=$((i+1)); echo $i >/tmp/n; usleep 20000; done' >/dev/null
    c pause one >/dev/null
    state_of one
    fails "" c exec one true
    c unpause one >/dev/null
    state_of one
    c exec one sh -c 'a=$(cat /tmp/n); sleep 0.5; b=$(cat /tmp/n); [ "$a" != "$b" ] && echo goes on'
    c pause one >/dev/null
    c rm -f one >/dev/null
}
quick_volumes() {
    mkdir host
    echo from the host >host/file
    c run --rm $N -v "$PWD/host:/mnt" $I sh -c 'cat /mnt/file; echo from inside >/mnt/new'
    cat host/new
    fails "read-only" c run --rm $N -v "$PWD/host:/mnt:ro" $I sh -c 'cat /mnt/file; echo x >/mnt/file'
    c run --rm $N --tmpfs /scratch:size=1m $I sh -c 'grep " /scratch " /proc/mounts | cut -d" " -f2,3; echo x >/scratch/x && cat /scratch/x; dd if=/dev/zero of=/scratch/y bs=1M count=2 2>&1 | grep -o "No space.*"'
    fails "read-only" c run --rm $N --read-only $I touch /file
    c run --rm $N --read-only --tmpfs /tmp $I sh -c 'touch /tmp/file && echo yes'
}
quick_users() {
    c run --rm $N $I id
    c run --rm $N --user 1000 $I id
    c run --rm $N --user 1000:2000 $I id
    c run --rm $N --user user --group-add 2000 $I id
    c run --rm $N -e A=b -e C $I sh -c 'env | grep -E "^(A|C|HOME|PATH)=" | sort'
    c run --rm $N --workdir /data $I sh -c 'pwd; cat file'
    c run --rm $N --hostname box $I sh -c 'hostname; cat /etc/hostname'
    c run --rm $N $I sh -c 'umask; echo $$'
}

# ---- long ----

long_caps() {
    show='grep -E "^(Cap|NoNewPrivs)" /proc/self/status'
    c run --rm $N $I sh -c "$show"
    c run --rm $N --user 1000 $I sh -c "$show"
    c run --rm $N --cap-drop ALL $I sh -c "$show"
    c run --rm $N --cap-drop ALL --cap-add CHOWN $I sh -c "$show"
    c run --rm $N --cap-add SYS_PTRACE $I sh -c "$show"
    c run --rm $N --security-opt no-new-privileges $I sh -c "$show"
    fails "not permitted" c run --rm $N --cap-drop CHOWN $I chown 5:5 /data/file
}
long_ulimits() {
    c run --rm $N --ulimit nofile=100:200 --ulimit core=0 --ulimit nproc=30000 $I sh -c 'ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -u'
    c run --rm $N --ulimit nofile=10 --ulimit nproc=30000 $I sh -c 'exec 3</dev/null; exec 9</dev/null && echo 9; exec 12</dev/null' 2>&1 | tail -n 1 | grep -o "9" || true
}
long_memory() {
    c run --rm $N --memory 64m $I sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max 2>/dev/null || true' >/dev/null
    c run -d --name hog $N --memory 64m --memory-swap 64m $I sh -c 'a=x; while :; do a=$a$a; done' >/dev/null
    c wait hog
    c inspect --format '{{.State.OOMKilled}}' hog
    c run -d --name calm $N --memory 64m $I sleep 1000 >/dev/null
    c inspect --format '{{.HostConfig.Memory}}' calm
}
long_pids_limit() {
    c run --rm $N --pids-limit 20 $I sh -c 'i=0; while [ $i -lt 40 ]; do sleep 2 & i=$((i+1)); done; echo all started' >said 2>&1 || true
    grep -oE "fork|all started" said | sort -u
}
long_health() {
    c run -d --name one $N --health-cmd 'test -e /tmp/good' --health-interval 1s --health-retries 1 --health-timeout 5s $I sleep 1000 2>errors >/dev/null
    grep -v 'systemd connection' errors || true # podman would have systemd look
    c exec one touch /tmp/good
    if [ "$client" = podman ]; then
        rc podman healthcheck run one
        c exec one rm /tmp/good
        rc podman healthcheck run one
    else
        wait_for 20 sh -c "/usr/bin/docker inspect --format '{{.State.Health.Status}}' one | grep -qx healthy"
        c exec one rm /tmp/good
        wait_for 20 sh -c "/usr/bin/docker inspect --format '{{.State.Health.Status}}' one | grep -qx unhealthy"
        echo health was seen to change
    fi
}
long_top() {
    c run -d --name one $N $I sleep 1000 >/dev/null
    c top one | sed -n '2p' | grep -o 'sleep 1000' | sed 's/ *$//'
    c exec -d one sleep 2000 >/dev/null
    wait_for 10 sh -c "$(declare -f docker c); client=$client RT=$RT work=$work; c top one | grep -q 'sleep 2000'"
    if [ "$client" = docker ]; then c top one -o pid,args | sed 1d | sed 's/^ *[0-9]* *//' | sort; else c top one args | sed 1d | sed 's/ *$//' | sort; fi
}
long_stats() {
    c run -d --name one $N --memory 100m $I sh -c 'while :; do :; done' >/dev/null
    sleep 1
    c stats --no-stream --format '{{.Name}} {{.MemUsage}}' one | sed 's/ [0-9.]*[kKMG]*i*B / some /'
    c stats --no-stream --format '{{.CPUPerc}}' one | awk '{ print ($1 + 0 > 1) ? "busy" : "idle " $1 }'
    c stats --no-stream --format '{{.PIDs}}' one | awk '{ print ($1 + 0 > 0) ? "pids" : "none" }'
}
long_logs() {
    c run --name one $N $I sh -c 'for i in 1 2 3; do echo line $i; done; echo err >&2' >/dev/null 2>&1
    c logs one 2>/dev/null
    c logs --tail 1 one 2>&1 | wc -l
    c run -d --name two $N $I sh -c 'sleep 1; echo later' >/dev/null
    c logs -f two
}
long_attach() {
    c run -d -i --name one $N $I sh -c 'read a; echo got $a' >/dev/null
    (sleep 1; echo word; sleep 1) | timeout 20 "$(command -v "$client")" attach one 2>&1 || true
    c wait one
    c logs one
}
long_cp() {
    c create --name one $N $I sleep 1000 >/dev/null
    echo before >file
    c cp file one:/data/before
    c cp one:/data/file from-created
    cat from-created
    c start one >/dev/null
    echo live >file
    c cp file one:/data/live
    c exec one cat /data/before /data/live
    c exec one sh -c 'mkdir /data/dir; echo deep >/data/dir/deep'
    c cp one:/data/dir copied
    cat copied/deep
    c exec one sh -c 'ls /data'
    mkdir tree
    echo t >tree/t
    c cp tree one:/tmp/
    c exec one cat /tmp/tree/t
    c stop -t 0 one >/dev/null
    echo after >file
    c cp file one:/data/after
    c start one >/dev/null
    c exec one cat /data/after
}
long_diff_commit() {
    c run --name one $N $I sh -c 'echo new >/data/new; rm /data/file; mkdir /data/d; echo x >>/etc/passwd'
    c diff one | grep -E '/(data|etc)' | sort
    c commit one localhost/committed:1 >/dev/null 2>&1
    c run --rm $N localhost/committed:1 sh -c 'ls /data; cat /data/new; tail -n 1 /etc/passwd'
    c save -o saved.tar localhost/committed:1 >/dev/null 2>&1
    c rm one >/dev/null
    c rmi localhost/committed:1 >/dev/null
    c load -i saved.tar >/dev/null 2>&1
    c run --rm $N localhost/committed:1 cat /data/new
    c rmi localhost/committed:1 >/dev/null
}
long_export() {
    c run --name one $N $I sh -c 'echo in the export >/data/x'
    c export one | tar -xO data/x
}
long_update() {
    c run -d --name one $N --memory 100m --memory-swap 200m --pids-limit 100 $I sleep 1000 >/dev/null
    if [ "$client" = docker ]; then
        c update --memory 50m --memory-swap 60m --cpu-shares 512 one >/dev/null
        c inspect --format '{{.HostConfig.Memory}} {{.HostConfig.CpuShares}}' one
    fi
    pid=$(c inspect --format '{{.State.Pid}}' one)
    path=$(awk -F: '$2 == "memory" { print $3 }' "/proc/$pid/cgroup")
    cat "/sys/fs/cgroup/memory$path/memory.limit_in_bytes"
    c exec one sh -c 'cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null' || true
}
long_restart_policy() {
    mkdir host
    c run -d --name one $N --restart on-failure:2 -v "$PWD/host:/mnt" $I sh -c 'echo run >>/mnt/runs; exit 3' >/dev/null
    wait_for 30 sh -c '[ $(wc -l <host/runs) = 3 ]'
    wait_for 20 is_state one exited
    state_of one
    wc -l <host/runs
    c run -d --name two $N --restart always $I sleep 1000 >/dev/null
    pid=$(c inspect --format '{{.State.Pid}}' two)
    kill -9 "$pid"
    wait_for 30 sh -c "$(declare -f docker c); client=$client RT=$RT work=$work; [ \$(c inspect --format '{{.State.Pid}} {{.State.Status}}' two | grep -v '^$pid ' | grep -c '[1-9].*running') = 1 ]"
    echo restarted
}
long_external_kill() {
    c run -d --name one $N $I sleep 1000 >/dev/null
    kill -9 "$(c inspect --format '{{.State.Pid}}' one)"
    c wait one
    state_of one
}
long_init() {
    c run --rm $N --init $I sh -c 'cat /proc/1/comm | sed "s/docker-init/init/;s/catatonit/init/;s/tini/init/"; sh -c "sleep 0.1 &"; sleep 0.5; ls -d /proc/[0-9]* | wc -l'
    c run -d --name one $N --init $I sleep 1000 >/dev/null
    c stop -t 10 one >/dev/null
    state_of one
}
long_host_namespaces() {
    c run --rm --network none --uts host $I hostname | grep -c .
    c run --rm $N --ipc host $I true
    rc c run --rm $N --pid host $I sh -c 'echo ran'
}
long_container_namespaces() {
    c run -d --name one $N --hostname first --ipc shareable $I sleep 1000 >/dev/null
    c run --rm --network container:one $I sh -c 'ls /sys/class/net'
    c run --rm $N --ipc container:one $I sh -c 'echo shared >/dev/shm/x'
    c exec one cat /dev/shm/x
    rc c run --rm $N --pid container:one $I sh -c 'ps | grep -c "[s]leep 1000"'
}
long_sysctl() {
    c run --rm $N --sysctl net.ipv4.ip_forward=1 $I cat /proc/sys/net/ipv4/ip_forward
    c run --rm $N --sysctl kernel.msgmax=1000 $I cat /proc/sys/kernel/msgmax
    fails "" c run --rm $N --sysctl kernel.nosuch=1 $I true
}
long_sysctl_shm() { c run --rm $N --sysctl kernel.shm_rmid_forced=1 $I cat /proc/sys/kernel/shm_rmid_forced; }
long_oom_score() {
    c run --rm $N --oom-score-adj 500 $I cat /proc/self/oom_score_adj
    c run -d --name one $N --oom-score-adj 300 $I sleep 1000 >/dev/null
    cat "/proc/$(c inspect --format '{{.State.Pid}}' one)/oom_score_adj"
}
long_privileged() {
    # Where the host itself lacks a capability, docker's control cannot: then this is what it would say.
    c run --rm $N --privileged $I true 2>/dev/null || { [ "$RT" = runc ] && printf 'CapBnd:\t\nmounted\nwritable\nmore\n' && return; }
    c run --rm $N --privileged $I sh -c 'grep CapBnd /proc/self/status | cut -c1-8; mount -t tmpfs none /mnt 2>/dev/null || { mkdir /m; mount -t tmpfs none /m; } && echo mounted; echo >/proc/sys/kernel/domainname && echo writable'
    c run -d --name one $N $I sleep 1000 >/dev/null
    c exec --privileged one sh -c '[ $(grep CapEff /proc/self/status | cut -f2) != 00000000a80425fb ] && echo more'
}
long_devices() {
    c run --rm $N --device /dev/null:/dev/mine $I sh -c 'ls -l /dev/mine | cut -c1-10; echo x >/dev/mine && echo written'
    c run --rm $N $I sh -c 'ls /dev | grep -vE "^(core|console|mqueue|shm)$"; for d in null zero full random urandom tty; do ls -l /dev/$d | tr -s " " | cut -d" " -f1,5,6; done'
    c run --rm $N $I sh -c '{ head -c 4 /dev/zero | wc -c; echo x >/dev/full; } 2>&1' | sed 's/.*: //' || true
}
long_exec_variants() {
    c run -d --name one $N -e BASE=b $I sleep 1000 >/dev/null
    c exec --user 1000 one id
    c exec --user user one sh -c 'id -un; echo $HOME'
    c exec -e EXTRA=e one sh -c 'echo $BASE $EXTRA'
    c exec --workdir /data one pwd
    fails "" c exec --workdir /nosuch one pwd
    rc c exec one sh -c 'kill -9 $$'
    head -c 1000000 /dev/zero | c exec -i one wc -c
    c exec one sh -c 'echo out; echo err >&2' 2>&1 >/dev/null
}
long_exec_many() {
    c run -d --name one $N $I sleep 1000 >/dev/null
    for i in 1 2 3 4 5 6; do c exec one echo "exec $i" >"said$i" & done
    wait
    cat said*
}
long_exec_ends_with_container() {
    c run -d --name one $N $I sleep 1000 >/dev/null
    (rc c exec one sleep 2000 >ended) &
    sleep 1
    c kill one >/dev/null
    wait
    cat ended
}
long_masks() {
    c run --rm $N $I sh -c 'wc -c </proc/kcore; echo x 2>/dev/null >/proc/sys/kernel/domainname || echo read-only; grep -c . /proc/mounts >/dev/null && echo mounts' 2>/dev/null
}
long_volume_named() {
    c volume create vol >/dev/null
    c run --rm $N -v vol:/vol $I sh -c 'echo kept >/vol/file'
    c run --rm $N -v vol:/vol $I cat /vol/file
    c run --rm $N -v fresh:/data $I cat /data/file # a new volume gets what the image has there
    c run -d --name one $N -v vol:/vol $I sleep 1000 >/dev/null
    c run --rm $N --volumes-from one $I cat /vol/file
}
long_volume_live() {
    mkdir host
    c run -d --name one $N -v "$PWD/host:/mnt" $I sleep 1000 >/dev/null
    c exec one ls /mnt
    echo 1 >host/a
    c exec one cat /mnt/a
    echo 22 >host/a
    c exec one cat /mnt/a
    rm host/a
    echo 3 >host/b
    c exec one ls /mnt
    mv host/b host/c
    c exec one cat /mnt/c
    c exec one sh -c 'echo inside >/mnt/c; chmod 640 /mnt/c; ln -s c /mnt/l'
    cat host/c
    stat -c %a host/c
    readlink host/l
}
long_file_bind() {
    echo one >file
    c run -d --name one $N -v "$PWD/file:/etc/some.conf" $I sleep 1000 >/dev/null
    c exec one cat /etc/some.conf
    echo two >file
    c exec one cat /etc/some.conf
    c exec one sh -c 'echo three >/etc/some.conf'
    cat file
}
long_seccomp() {
    cat >profile.json <<'END'
{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
 "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]}
END
    fails "" c run --rm $N --security-opt "seccomp=$PWD/profile.json" $I mkdir /x
    c run --rm $N --security-opt "seccomp=$PWD/profile.json" $I sh -c 'mkdir /x 2>&1 | sed "s/.*: //"; grep Seccomp: /proc/self/status'
    c run --rm $N $I grep Seccomp: /proc/self/status
    c run --rm $N --security-opt seccomp=unconfined $I sh -c 'mkdir /x && grep Seccomp: /proc/self/status'
}
long_shm() {
    c run --rm $N --shm-size 1m $I sh -c 'grep " /dev/shm " /proc/mounts | cut -d" " -f2; dd if=/dev/zero of=/dev/shm/x bs=1M count=2 2>&1 | grep -o "No space.*"'
    c run --rm $N $I sh -c 'df /dev/shm | tail -n 1 | tr -s " " | cut -d" " -f2'
}
long_events() {
    local since
    sleep 1.1 # events are told by the second
    since=$(date +%s)
    c run --name one $N $I true
    c rm one >/dev/null
    sleep 1
    if [ "$client" = docker ]; then
        docker events --since "$since" --until "$(date +%s)" --filter type=container --format '{{.Action}}'
    else
        podman events --since "$since" --until "$(date +%s)" --stream=false --filter type=container --format '{{.Status}}' 2>/dev/null | sort -u
    fi
}
long_rename_rerun() {
    c run --name one $N $I sh -c 'echo x >>/data/count; wc -l </data/count'
    c start -a one
    c start -a one
    c rename one other
    c rm other >/dev/null
}
long_proc_view() {
    c run --rm $N --cpus 0.5 --memory 256m $I sh -c 'cat /proc/1/comm; ls /proc/self/ns | tr "\n" " "; cut -d" " -f3 /proc/self/stat; readlink /proc/self/exe'
}
long_stdio_file() {
    c run --rm $N $I sh -c 'echo a; echo b >&2; echo c' >mixed 2>&1
    sort mixed
    c run --rm $N $I cat </dev/null
    c run --rm -i $N $I cat <"$work/image/data/file"
}
long_network_bridge() {
    c run --rm $I sh -c 'ls /sys/class/net; ip -o -4 addr show eth0 | wc -l; ip route | grep -c default'
    c run -d --name web -p 127.0.0.1:18080:80 $I sh -c 'mkdir -p /tmp/w; echo served >/tmp/w/index.html; httpd -f -p 80 -h /tmp/w' >/dev/null
    sleep 1
    busybox wget -q -O - http://127.0.0.1:18080/
}
long_network_host() {
    c run --rm --network host $I sh -c 'ls /sys/class/net | grep -c lo'
}
# The control needs fewer to show that the scenario is right.
many() { if [ "$RT" = runsc ]; then echo "$1"; else echo 3; fi; }
long_many_in_a_row() { # limit: 400
    local i
    for i in $(seq "$(many 300)"); do
        [ "$(c run --rm $N $I echo "$i")" = "$i" ] || { echo "number $i failed"; return 1; }
    done
    echo all ran
}
long_many_at_once() { # limit: 300
    local i
    for i in $(seq "$(many 30)"); do
        (c run -d --name "many$i" $N $I sh -c "echo $i; sleep 1000" >"id$i" 2>"err$i" || cat "err$i") &
    done
    wait
    for i in $(seq "$(many 30)"); do
        wait_for 30 sh -c "$(declare -f docker c); client=$client RT=$RT work=$work; c logs many$i | grep -qx $i"
        c exec "many$i" true
    done
    for i in $(seq "$(many 30)"); do c rm -f "many$i" >/dev/null 2>&1 & done
    wait
    c ps -aq | wc -l
}
