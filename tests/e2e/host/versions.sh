# SPDX-License-Identifier: Apache-2.0
# long: builds the commit before this one
# limit: 1500
# What another version has written: this runsc does state, exec, kill and delete on a container that the previous commit's binary started, and
# refuses a state of a version that it does not know.
. "$(dirname "$0")/../lib.sh"
source=$(cd "$(dirname "$0")/../../.." && pwd)

bundle=$state/bundle
mkdir -p "$bundle/rootfs/bin"
cp "$(command -v busybox)" "$bundle/rootfs/bin/busybox"
for name in sleep echo; do ln -s busybox "$bundle/rootfs/bin/$name"; done
cat >"$bundle/config.json" <<'END'
{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "process": {"args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/"},
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]}}
END
status_of() { runsc state "$1" | sed -n 's/.*"status": *"\([a-z]*\)".*/\1/p'; }

unknown_version() {
    runsc run --detach --bundle "$bundle" future </dev/null >/dev/null 2>&1 || return 1
    cp "$state/root/future/state.json" "$state/kept"
    sed -i 's/"version":[0-9]*/"version":9999/' "$state/root/future/state.json"
    refused "version 9999" runsc state future || return 1
    cp "$state/kept" "$state/root/future/state.json"
    runsc delete --force future
}
check a_later_version_is_refused unknown_version

git -C "$source" -c safe.directory='*' archive HEAD~1 >"$state/before.tar" 2>/dev/null || exit 0
mkdir "$state/before" && tar -C "$state/before" -xf "$state/before.tar"
(cd "$state/before" && cmake --preset release && ninja -C build/release runsc) >&2 || exit 1
before() { "$state/before/build/release/runsc/runsc" --root "$state/root" --platform="$PLATFORM" "$@"; }
older() {
    before run --detach --bundle "$bundle" old </dev/null >/dev/null 2>&1 || return 1
    equal "$(status_of old)" running && equal "$(runsc exec old echo in exec)" "in exec" && runsc kill old KILL || return 1
    local i
    for i in $(seq 100); do [ "$(status_of old)" = stopped ] && break; sleep 0.05; done
    equal "$(status_of old)" stopped && runsc delete old && equal "$(runsc list -q)" ""
}
check the_previous_commits_container older
