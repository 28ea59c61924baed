# SPDX-License-Identifier: Apache-2.0
# File systems that programs inside mount: an overlay as a root to install into, and FUSE servers of Debian packages.
. "$(dirname "$0")/../lib.sh"

inside() { timeout -k 5 100 "$RUNSC" --root "$state/root" --platform="$PLATFORM" do -- bash -euc "$1" inside "${@:2}" 2>&1; }

overlay_root() {
    equal "$(inside '
        mkdir "$2/r"; mount -t tmpfs -o mode=755 t "$2/r"; cd "$2/r"; mkdir u w m
        mount -t overlay overlay -o "lowerdir=$1,upperdir=u,workdir=w" m
        chroot m bash -c "dpkg -r --force-all less >/dev/null 2>&1; dpkg -s less >/dev/null 2>&1 || echo removed; mkdir /usr/share/x; mv /usr/share/x /srv/x
            rm /etc/issue; ls -d /etc/issue /usr/bin/less /srv/x 2>/dev/null; echo added >>/etc/passwd; tail -n 1 /etc/passwd"
        tar -C u -cf u.tar .; tar -tvf u.tar | grep ^c | grep -c -e "/etc/issue" -e "/usr/bin/less$"
        umount m; ls -d u/srv/x' "$ROOTFS" "$state")" "removed
/srv/x
added
2
u/srv/x"
}
check overlay_as_a_root overlay_root

# The device, which `runsc do` does not give: then the server's command; $2/m has the name $3 when it serves.
fuse='
    mkdir "$2/d" "$2/m" "$2/src"; mount -t tmpfs t "$2/d"; mknod "$2/d/fuse" c 10 229; touch /dev/fuse; mount --bind "$2/d/fuse" /dev/fuse
    serve() { "$@" & for _ in {1..100}; do [ ! -e "$m/$name" ] || return 0; sleep 0.1; done; echo does not serve; exit 1; }
    m=$2/m name=$3
'
squashfuse_mounts() {
    equal "$(inside "$fuse"'
        echo text >"$2/src/f"; ln -s f "$2/src/link"; mksquashfs "$2/src" "$2/image" -quiet -no-progress >/dev/null
        serve squashfuse -f "$2/image" "$m"; cat "$m/link"; ls "$m"; grep -o "fuse.squashfuse r[wo]" /proc/mounts
        umount "$m"; wait; ls "$m"; echo status $?' "$ROOTFS" "$state" f)" "text
f
link
fuse.squashfuse rw
status 0"
}
check squashfuse_mounts squashfuse_mounts
bindfs_mounts() {
    equal "$(inside "$fuse"'
        cp /bin/true "$2/src/true"; serve bindfs -f "$2/src" "$m"; "$m/true"; echo "ran $?"
        echo one >"$m/new"; mkdir "$m/sub"; mv "$m/new" "$m/sub/two"; ln "$m/sub/two" "$m/three"; chmod 600 "$m/three"; rm "$m/true"
        stat -c "%n %a %h" "$2/src/three"; cat "$2/src/sub/two"; ls "$2/src"; umount "$m"; wait' "$ROOTFS" "$state" true |
        sed "s,$state,STATE,")" "ran 0
STATE/src/three 600 2
one
sub
three"
}
check bindfs_mounts bindfs_mounts
# A pause while requests wait for a server that is stopped, with others behind their locks; nothing is then done twice.
pause_amid_requests() {
    mkfifo "$state/go"
    timeout -k 5 100 "$RUNSC" --root "$state/root" --platform="$PLATFORM" do -- bash -euc "$fuse"'
        touch "$2/src/a"; serve bindfs -o attr_timeout=0,entry_timeout=0 -f "$2/src" "$m"; server=$!
        kill -STOP $server; mkdir "$m/new" & one=$!; stat -c %s "$m/a" >"$2/size" & two=$!; mkdir "$m/other" & three=$!
        sleep 0.5; echo waiting; read -r -t 60; kill -CONT $server
        for p in $one $two $three; do wait $p; echo status $?; done; cat "$2/size"; ls "$m"; umount "$m"; wait' inside "$ROOTFS" "$state" a \
        <"$state/go" >"$state/paused" 2>&1 &
    local i id
    exec 5>"$state/go"
    for i in $(seq 300); do grep -q waiting "$state/paused" && break; sleep 0.1; done
    id=$(runsc list -q | head -n 1)
    timeout 30 "$RUNSC" --root "$state/root" pause "$id" && timeout 30 "$RUNSC" --root "$state/root" resume "$id" || return 1
    echo >&5
    wait $!
    equal "$(cat "$state/paused")" "waiting
status 0
status 0
status 0
0
a
new
other"
}
check pause_amid_requests pause_amid_requests
