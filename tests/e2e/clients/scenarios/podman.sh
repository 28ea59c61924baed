# SPDX-License-Identifier: Apache-2.0
# What only podman does.
p() { podman --runtime "$work/bin/$RT" "$@"; }

quick_version() { podman --runtime "$work/bin/$RT" info --format '{{.Host.OCIRuntime.Version}}' | grep -c "^$RT version"; }
long_pod() {
    p pod create --name pod --network none >/dev/null
    p run -d --pod pod --name a $I sleep 1000 >/dev/null
    p run -d --pod pod --name b $I sleep 1000 >/dev/null
    p pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}'
    p exec a sh -c 'echo in the pod >/dev/shm/x'
    p exec b cat /dev/shm/x
    p exec a hostname
    p exec b hostname
    p pod pause pod >/dev/null
    p pod unpause pod >/dev/null
    p exec b echo still here
    p pod stop -t 0 pod >/dev/null
    p pod start pod >/dev/null
    p exec b echo again
    p pod rm -f -t 0 pod >/dev/null
}
long_pod_share_pid() {
    p pod create --name pod --network none --share ipc,net,uts,pid >/dev/null
    p run -d --pod pod --name a $I sleep 1000 >/dev/null
    p run --rm --pod pod $I sh -c 'ps | grep -c "[s]leep 1000"'
    p pod rm -f -t 0 pod >/dev/null
}
long_kube() {
    cat >pod.yaml <<END
apiVersion: v1
kind: Pod
metadata:
  name: kube
spec:
  hostNetwork: true
  containers:
  - name: one
    image: localhost/bb:1
    imagePullPolicy: Never
    command: ["/bin/sleep", "1000"]
    env: [{name: WORD, value: said}]
  - name: two
    image: localhost/bb:1
    imagePullPolicy: Never
    command: ["/bin/sh", "-c", "echo second; sleep 1000"]
END
    p play kube pod.yaml >/dev/null
    p exec kube-one /bin/sh -c 'echo $WORD'
    wait_for 10 sh -c 'podman logs kube-two | grep -q second'
    p generate kube kube 2>/dev/null | grep -c 'kind: Pod'
    p play kube --down pod.yaml >/dev/null
}
long_secret() {
    printf hidden | p secret create sec - >/dev/null
    p run --rm $N --secret sec $I cat /run/secrets/sec
    echo
    p run --rm $N --secret sec,type=env,target=SEC $I sh -c 'echo $SEC'
    p secret rm sec >/dev/null
}
long_userns() {
    p run --rm $N --uidmap 0:100000:65536 --gidmap 0:100000:65536 $I sh -c 'id -u; cat /proc/self/uid_map | tr -s " "; touch /x && ls -n /x | tr -s " " | cut -d" " -f3'
}
long_preserve_fds() {
    p run --rm $N --preserve-fds 1 $I sh -c 'cat <&3' 3<"$work/image/data/file"
    p run -d --name one $N $I sleep 1000 >/dev/null
    p exec --preserve-fds 1 one sh -c 'cat <&3' 3<"$work/image/data/file"
}
long_umask() { p run --rm $N --umask 0077 $I sh -c 'umask; touch /x; ls -l /x | cut -c1-10'; }
long_cgroup_parent() {
    p run -d --name one $N --cgroup-parent "/parent-$tag" $I sleep 1000 >/dev/null
    grep -c "/parent-$tag/" "/proc/$(p inspect --format '{{.State.Pid}}' one)/cgroup"
}
long_hooks_dir() {
    mkdir hooks
    cat >hooks/hook.json <<END
{"version": "1.0.0", "hook": {"path": "/bin/sh", "args": ["sh", "-c", "cat >$PWD/said"]}, "when": {"always": true}, "stages": ["createRuntime"]}
END
    p --hooks-dir "$PWD/hooks" run --rm $N $I true
    grep -o '"status": *"[a-z]*"' said | tr -d ' '
}
long_init_restart() {
    p create --name one $N $I sleep 1000 >/dev/null
    p init one >/dev/null
    state_of one
    p start one >/dev/null
    p restart -t 0 one >/dev/null
    state_of one
}
long_checkpoint_probe() { rc p container checkpoint nosuch 2>/dev/null; }
long_rootfs() { p run --rm $N --rootfs "$work/image:O" cat /data/file; }
long_tmpfs_copy_up() { p run --rm $N --mount type=tmpfs,destination=/data $I cat /data/file; }
long_read_only_tmpfs() { p run --rm $N --read-only $I sh -c 'touch /tmp/x /run/x /var/tmp/x && echo written'; }
long_run_in_pod_new() {
    p run -d --pod new:fresh --network none --name a $I sleep 1000 >/dev/null 2>&1 || p run -d --pod new:fresh --name a $I sleep 1000 >/dev/null
    p exec a echo ran
    p pod rm -f -t 0 fresh >/dev/null
}
