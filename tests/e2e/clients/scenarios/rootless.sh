# SPDX-License-Identifier: Apache-2.0
# podman and `runsc do` as an ordinary user (u COMMAND).
p() { u podman --runtime "$work/bin/$RT" "$@"; }
I=localhost/bb:1

quick_run() {
    p run --rm --network none $I sh -c 'id -u; touch /x; chown 5:5 /x; ls -ln /x | tr -s " " | cut -d" " -f3,4'
    rc p run --rm --network none $I sh -c 'exit 7'
    fails "not found" p run --rm --network none $I nosuch
}
long_detached() {
    p run -d --name one --network none $I sleep 1000 >/dev/null
    p exec one echo in exec
    echo text | p exec -i one cat
    p stop -t 0 one >/dev/null
    p rm one >/dev/null
}
long_volume() {
    u mkdir -p "$work/home/volume"
    p run --rm --network none -v "$work/home/volume:/mnt" $I sh -c 'echo from inside >/mnt/file'
    u cat "$work/home/volume/file"
    stat -c %U "$work/home/volume/file"
}
long_do() { # what the control cannot
    if [ "$RT" = runsc ]; then u "$work/bin/runsc" do -- sh -c 'id -u; hostname; exit 3' || echo "rc $?"; else printf '0\nrunsc\nrc 3\n'; fi
}
