# SPDX-License-Identifier: Apache-2.0
# What only docker does.
long_build() {
    cat >Dockerfile <<'END'
FROM localhost/bb:1 AS base
RUN mkdir /made && echo stage one >/made/one
FROM base AS second
COPY file /made/two
RUN cat /made/one /made/two >/made/both && chmod 600 /made/both
FROM localhost/bb:1
COPY --from=second /made /made
ENV WORD=said
WORKDIR /made
USER 1000
CMD ["sh", "-c", "id -u; echo $WORD; ls -l | tr -s ' ' | cut -d' ' -f1,9; cat one two"]
END
    echo copied >file
    docker_build_default
    c run --rm $N localhost/built:1
    c rmi localhost/built:1 >/dev/null
}
# docker build has no --runtime: the daemon's default is changed for the moment by a reload of its configuration.
docker_build_default() {
    sed "s|^{|{\"default-runtime\": \"$RT\", |" "$work/daemon.json" >new.json
    cp "$work/daemon.json" old.json
    cp new.json "$work/daemon.json"
    kill -HUP "$(cat "$work/docker/pid")"
    wait_for 10 sh -c "/usr/bin/docker info 2>/dev/null | grep -q 'Default Runtime: $RT'"
    docker build -q --network none -t localhost/built:1 . >/dev/null
    cp old.json "$work/daemon.json"
    kill -HUP "$(cat "$work/docker/pid")"
}
long_cgroup_parent() {
    c run -d --name one $N --cgroup-parent "/clients-$tag/deeper" $I sleep 1000 >/dev/null
    grep -c "/deeper/" "/proc/$(c inspect --format '{{.State.Pid}}' one)/cgroup"
}
long_inspect_pid_gone() {
    c run -d --name one $N $I sleep 1000 >/dev/null
    pid=$(c inspect --format '{{.State.Pid}}' one)
    c rm -f one >/dev/null
    wait_for 10 test ! -d "/proc/$pid"
    echo gone
}
long_live_restore_kill_exec() {
    c run -d --name one $N $I sleep 1000 >/dev/null
    c exec -d one sleep 3000 >/dev/null
    sleep 0.5
    c exec one sh -c 'kill -9 $(ps | grep "[s]leep 3000" | sed "s/^ *//" | cut -d" " -f1)'
    sleep 0.5
    c exec one sh -c 'ps | grep -c "[s]leep 3000" || true'
}
long_network_names() {
    c network create net1 >/dev/null
    c run -d --name web --network net1 $I sh -c 'mkdir -p /tmp/w; echo served >/tmp/w/index.html; httpd -f -p 80 -h /tmp/w' >/dev/null
    sleep 1
    c run --rm --network net1 $I wget -q -O - http://web/ || { c rm -f web >/dev/null; c network rm net1 >/dev/null; return 1; }
    c rm -f web >/dev/null
    c network rm net1 >/dev/null
}
