# SPDX-License-Identifier: Apache-2.0
# long: makes and checks the Debian package
# limit: 600
# The Debian package: lintian has nothing to say, it installs, upgrades while a container runs, and is removed without a trace. All in a throw-away
# overlay of the Debian root. Also `cmake --install` into a DESTDIR.
. "$(dirname "$0")/../lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$here/../../../build/release" && pwd)
command -v lintian >/dev/null || apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends lintian >/dev/null 2>&1

ninja -C "$build" runsc manual >&2 || exit 1
staged() {
    DESTDIR=$state/staged cmake --install "$build" --prefix /usr >/dev/null || return 1
    local command
    for command in $("$RUNSC" generate commands); do [ -s "$state/staged/usr/share/man/man8/runsc-$command.8.gz" ] || { echo "no page of $command"; return 1; }; done
    "$state/staged/usr/bin/runsc" --version >/dev/null && bash -n "$state/staged/usr/share/bash-completion/completions/runsc" &&
        [ -s "$state/staged/usr/share/zsh/vendor-completions/_runsc" ] && [ -s "$state/staged/usr/share/fish/vendor_completions.d/runsc.fish" ]
}
check install_to_destdir staged
pages() { local page; for page in "$state"/staged/usr/share/man/man8/*.gz; do equal "$(LC_ALL=C.UTF-8 man --warnings -l "$page" 2>&1 >/dev/null)" "" || return 1; done; }
check pages_are_right_roff pages
complete() { # what bash offers is what the table has
    local offered
    offered=$(bash -c ". '$state/staged/usr/share/bash-completion/completions/runsc'; COMP_WORDS=(runsc kill --); COMP_CWORD=2; _runsc; echo \"\${COMPREPLY[*]}\"")
    contains "$offered" "--all" && contains "$offered" "--help"
}
check bash_completes_options complete

package() { (cd "$build" && cpack -B "$state/deb") && ls "$state"/deb/*.deb; }
check package_is_made package
deb=$(ls "$state"/deb/*.deb 2>/dev/null)
clean() { equal "$(lintian --allow-root --fail-on error,warning "$deb" 2>&1 | grep -v 'running with root')" ""; }
check lintian_is_silent clean
# The next version: the same with another number.
dpkg-deb -R "$deb" "$state/next" && sed -i 's/^Version: .*/Version: 0.1.1/' "$state/next/DEBIAN/control" && dpkg-deb -b "$state/next" "$state/next.deb" >/dev/null

cat >"$state/inside" <<'END'
set -e
dpkg -i /packages/first.deb
runsc --version | head -n 1
mkdir -p /b/rootfs/bin && cp /bin/busybox /b/rootfs/bin/ 2>/dev/null || cp /packages/busybox /b/rootfs/bin/busybox
ln -s busybox /b/rootfs/bin/sleep && ln -s busybox /b/rootfs/bin/echo
cat >/b/config.json <<'CONFIG'
{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "process": {"args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/"},
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]}}
CONFIG
runsc run --detach --bundle /b one </dev/null >/dev/null 2>&1
dpkg -i /packages/next.deb
runsc state one | grep -q running
runsc exec one echo still here
runsc delete --force one
dpkg -r runsc-sandbox
[ ! -e /usr/bin/runsc ]
dpkg --purge runsc-sandbox
[ ! -e /usr/share/doc/runsc-sandbox ]
echo all is well
END
# A root of its own by pivot_root: in a chroot there are no user namespaces.
cat >"$state/outside" <<END
set -e
mount --make-rprivate /
mkdir -p "$state/o"
mount -t tmpfs none "$state/o"
cd "$state/o"
mkdir up work root
mount -t overlay overlay -o "lowerdir=$ROOTFS,upperdir=up,workdir=work" root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount --rbind /sys root/sys
mkdir root/packages root/old
cp "$deb" root/packages/first.deb
cp "$state/next.deb" "$state/inside" "$(command -v busybox)" root/packages/
cd root
pivot_root . old
umount -l /old
exec bash /packages/inside
END
installs() {
    local said
    said=$(unshare --mount --pid --ipc --fork --kill-child -- bash "$state/outside" 2>&1)
    contains "$said" "still here" && contains "$said" "all is well"
}
check installs_upgrades_and_goes installs

# ---- registration with clients ----
registers() {
    local d=$state/register
    mkdir -p "$d"
    echo '{"log-driver": "json-file", "runtimes": {"other": {"path": "/usr/bin/other"}}}' >"$d/daemon.json"
    printf 'version = 2\n[grpc]\n  address = "/run/c.sock"\n' >"$d/config.toml"
    cp "$d/daemon.json" "$d/daemon.before" && cp "$d/config.toml" "$d/config.before"
    "$RUNSC" install -c docker --config "$d/daemon.json" -- --platform=ptrace >/dev/null && "$RUNSC" install -c containerd --config "$d/config.toml" >/dev/null &&
        "$RUNSC" install -c podman --config "$d/50-runsc.conf" >/dev/null || return 1
    python3 - "$d/daemon.json" <<'END' || return 1
import json, sys
c = json.load(open(sys.argv[1]))
assert c["log-driver"] == "json-file" and c["runtimes"]["other"]["path"] == "/usr/bin/other"
assert c["runtimes"]["runsc"]["runtimeArgs"] == ["--platform=ptrace"]
END
    contains "$(cat "$d/config.toml")" 'BinaryName' && contains "$(cat "$d/50-runsc.conf")" "runsc = [" || return 1
    contains "$("$RUNSC" install -c containerd --config "$d/config.toml")" "nothing to do" || return 1
    "$RUNSC" uninstall -c docker --config "$d/daemon.json" >/dev/null && "$RUNSC" uninstall -c containerd --config "$d/config.toml" >/dev/null &&
        "$RUNSC" uninstall -c podman --config "$d/50-runsc.conf" >/dev/null || return 1
    python3 -c 'import json,sys; sys.exit(json.load(open(sys.argv[1])) != json.load(open(sys.argv[2])))' "$d/daemon.json" "$d/daemon.before" &&
        cmp "$d/config.toml" "$d/config.before" && [ ! -e "$d/50-runsc.conf" ]
}
check install_and_uninstall registers
broken_config() { echo '{"runtimes": ' >"$state/bad.json"; refused "no JSON object" "$RUNSC" install -c docker --config "$state/bad.json" && equal "$(cat "$state/bad.json")" '{"runtimes": '; }
check install_leaves_broken_files_alone broken_config
