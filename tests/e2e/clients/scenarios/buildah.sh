# SPDX-License-Identifier: Apache-2.0
# buildah run and bud.
b() { buildah --storage-driver overlay --root "$work/podman/root" --runroot "$work/podman/run" "$@"; }
quick_run() {
    local id
    id=$(b from --pull-never localhost/bb:1)
    b run --runtime "$work/bin/$RT" --network none "$id" sh -c 'echo ran; echo kept >/data/kept'
    rc b run --runtime "$work/bin/$RT" --network none "$id" sh -c 'exit 4'
    b run --runtime "$work/bin/$RT" --network none "$id" cat /data/kept
    b rm "$id" >/dev/null
}
long_bud() {
    cat >Dockerfile <<'END'
FROM localhost/bb:1 AS base
RUN mkdir /made && echo stage one >/made/one
FROM localhost/bb:1
COPY --from=base /made /made
RUN cat /made/one && id -u
END
    b bud --runtime "$work/bin/$RT" --network none --isolation oci --pull-never -t localhost/budded:1 . 2>&1 | grep -E '^(stage one|0)$'
    b rmi localhost/budded:1 >/dev/null 2>&1
}
