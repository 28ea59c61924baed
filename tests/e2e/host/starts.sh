# SPDX-License-Identifier: Apache-2.0
# long: 600 sandboxes take a while
# limit: 900
# 200 sandboxes in a row each for sh, bash and python3; none fails and none leaves anything.
. "$(dirname "$0")/../lib.sh"

many() {
    local i
    for i in $(seq 200); do
        equal "$(runsc do --rootfs "$ROOTFS" -- "$@" 2>&1)" 4711 || { echo "start $i"; return 1; }
    done
}
check sh many sh -c 'echo 4711'
check bash many bash -c 'echo $((4700 + 11))'
check python3 many python3 -c 'print(4711)'
left() { ! pgrep -f "runsc.*--root $state" && equal "$(left_in_root)" 0; }
check nothing_left left
