# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts of this folder. check NAME COMMAND...: "ok NAME" if the command succeeds. $RUNSC, $PLATFORM and $ROOTFS are set by
# tests/e2e/run.
state=$(mktemp -d /tmp/runsc-e2e-XXXXXX)
cleanup() {
    local id
    for id in $("$RUNSC" --root "$state/root" list -q 2>/dev/null); do "$RUNSC" --root "$state/root" delete --force "$id" >&2; done
    rm -rf "$state"
}
trap cleanup EXIT
runsc() { "$RUNSC" --root "$state/root" --platform="$PLATFORM" "$@"; }
# In the background, so that $! is runsc itself and not a shell around it: `runsc_itself do ... &`.
runsc_itself() { exec "$RUNSC" --root "$state/root" --platform="$PLATFORM" "$@"; }

check() {
    local name=$1 status
    shift
    if "$@" >"$state/out" 2>&1; then
        echo "ok $name"
    else
        status=$?
        echo "not ok $name status $status: $(head -c 300 "$state/out" | tr '\n' ' ')"
    fi
}

equal() { [ "$1" = "$2" ] || { printf 'got "%s", wanted "%s"\n' "$1" "$2"; return 1; }; }
contains() { [[ $1 == *"$2"* ]] || { printf '"%s" does not contain "%s"\n' "$1" "$2"; return 1; }; }
# refused TEXT COMMAND...: the command fails and says TEXT (in any case) on standard error.
refused() {
    local text=$1
    shift
    "$@" >/dev/null 2>"$state/refused" && { echo "did not fail"; return 1; }
    grep -qiF -- "$text" "$state/refused" || { printf 'said "%s", not "%s"\n' "$(head -c 200 "$state/refused")" "$text"; return 1; }
}
# How many containers have left something in --root. (resolv.conf is one for all of them, and stays.)
left_in_root() { ls "$state/root" 2>/dev/null | grep -vxc resolv.conf; }
# Without a sandbox that runs at all, what must fail or leave nothing would pass for nothing.
works() { [ "$(runsc do -- echo works 2>/dev/null)" = works ]; }
