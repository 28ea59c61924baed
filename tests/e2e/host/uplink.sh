# SPDX-License-Identifier: Apache-2.0
# limit: 600
# `runsc do` without a network namespace of its own: the uplink process. The "host" is a namespace of this script's own, with addresses on
# its loopback, a resolver, echo servers; it goes when the script ends.
. "$(dirname "$0")/../lib.sh"

for tool in ip busybox python3 unshare; do
    command -v $tool >/dev/null || { echo "ok skipped_without_$tool"; exit 0; }
done
wan=e2e-wan-$$
servers=
remove_namespace() {
    cleanup
    [ -n "$servers" ] && kill "$servers" 2>/dev/null
    ip netns del "$wan" 2>/dev/null
}
trap remove_namespace EXIT
ip netns add "$wan"
ip -n "$wan" link set lo up
ip -n "$wan" addr add 198.51.100.1/24 dev lo
ip -n "$wan" addr add 198.51.100.2/24 dev lo
ip -n "$wan" addr add 2001:db8::1/64 dev lo nodad
host() { timeout 60 ip netns exec "$wan" "$@"; }
host sh -c 'echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range'

cat >"$state/servers.py" <<'END'
# Port 7: echo (TCP, UDP). Port 8: tells who the peer is. 127.0.0.53:53: every name that ends in .test is 198.51.100.1.
import asyncio, socket, struct

async def echo(r, w):
    while d := await r.read(65536):
        w.write(d)
        await w.drain()
    w.close()

async def who(r, w):
    w.write((w.get_extra_info('peername')[0] + '\n').encode())
    w.close()

class Echo(asyncio.DatagramProtocol):
    def connection_made(self, t): self.t = t
    def datagram_received(self, d, a): self.t.sendto(d, a)

class Names(Echo):
    def datagram_received(self, d, a):
        end = d.index(0, 12) + 5
        known = d[12:end - 4].endswith(b'\4test\0') and d[end - 4:end - 2] == b'\0\1'
        answer = b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4' + socket.inet_aton('198.51.100.1') if known else b''
        self.t.sendto(d[:2] + b'\x81\x80\0\1' + struct.pack('>H', known) + b'\0\0\0\0' + d[12:end] + answer, a)

async def main():
    for ip in '198.51.100.1', '2001:db8::1', '127.0.0.1':
        await asyncio.start_server(echo, ip, 7)
        await asyncio.start_server(who, ip, 8)
        await asyncio.get_running_loop().create_datagram_endpoint(Echo, (ip, 7))
    await asyncio.get_running_loop().create_datagram_endpoint(Names, ('127.0.0.53', 53))
    print('ready', flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
END
ip netns exec "$wan" python3 "$state/servers.py" >"$state/servers" 2>&1 &
servers=$!
for i in $(seq 200); do grep -q ready "$state/servers" && break; sleep 0.05; done

echo 'nameserver 127.0.0.53' >"$state/resolv.conf"
inside() { # [do's options...] -- COMMAND...: in the Debian root, with the namespace's own resolv.conf
    timeout -k 5 60 ip netns exec "$wan" unshare -m sh -c "mount --bind $state/resolv.conf /etc/resolv.conf; exec \"\$@\"" sh \
        "$RUNSC" --root "$state/root" --platform="$PLATFORM" do --rootfs "$ROOTFS" "$@" </dev/null
}
python() { inside "${options[@]}" -- python3 -c "import socket, sys, errno
$1"; }
options=()

big='
d = bytes(range(256)) * 8000
s = socket.create_connection((HOST, 7), 30)
import threading
t = threading.Thread(target=lambda: (s.sendall(d), s.shutdown(socket.SHUT_WR)))
t.start()
got = b""
while x := s.recv(65536): got += x
t.join()
assert got == d, len(got)'
check tcp_echo python "HOST = '198.51.100.1'$big"
check tcp6_echo python "HOST = '2001:db8::1'$big"
check udp_echo python "
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); s.connect(('198.51.100.1', 7))
for n in 1, 1000, 1472, 9000: s.send(b'x' * n); assert len(s.recv(65536)) == n"
check name python "assert socket.gethostbyname('any.test') == '198.51.100.1'"
refuses() { # ADDRESS ERRNO
    python "
s = socket.socket(socket.AF_INET6 if ':' in '$1' else socket.AF_INET); s.settimeout(20)
assert s.connect_ex(('$1', 9)) == errno.$2, s.connect_ex(('$1', 9))"
}
check refused_is_refused refuses 198.51.100.1 ECONNREFUSED
check refused6_is_refused refuses 2001:db8::1 ECONNREFUSED
check no_route_is_told refuses 203.0.113.1 ENETUNREACH
check loopback_of_the_host_is_not_reached refuses 127.0.0.1 ECONNREFUSED
no_back_door() { python "
s = socket.socket(); s.settimeout(5)
try: s.connect(('10.0.2.2', 7)); sys.exit(1)
except OSError: pass"; }
check gateway_is_no_way_to_the_host no_back_door

ping_python() { python "
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); s.settimeout(20)
m = bytearray(b'\\x08\\0\\0\\0\\x12\\x34\\0\\1' + b'p' * 20)
c = sum(int.from_bytes(m[i:i + 2], 'big') for i in range(0, len(m), 2)); c = (c & 0xffff) + (c >> 16)
m[2:4] = (~c & 0xffff).to_bytes(2, 'big')
s.sendto(m, ('198.51.100.1', 0))
d = s.recv(1000)
assert d[20] == 0 and d[24:26] == b'\\x12\\x34' and d[28:] == b'p' * 20, d"; }
check ping ping_python
many() { python "
import select
all = [socket.create_connection(('198.51.100.1', 7), 20) for _ in range(200)]
for i, s in enumerate(all): s.sendall(b'%d' % i)
for i, s in enumerate(all): assert s.recv(10) == b'%d' % i"; }
check two_hundred_connections many

# ---- published ports ----

serve="
l = socket.socket(socket.AF_INET6); l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); l.bind(('::', 80)); l.listen()
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.bind(('::', 81))
print('listening', flush=True)
c, peer = l.accept(); c.sendall(peer[0].encode() + b'\\n'); c.sendall(c.recv(100)); c.close()
d, peer = u.recvfrom(100); u.sendto(d + b' back', peer)"
published() {
    options=(--publish 198.51.100.2:8080:80 -p 8081:81/udp)
    python "$serve" >"$state/published" 2>&1 &
    options=()
    local i
    for i in $(seq 200); do grep -q listening "$state/published" && break; sleep 0.05; done
    equal "$(host python3 -c '
import socket
s = socket.create_connection(("198.51.100.2", 8080), 20, ("198.51.100.1", 0)); s.sendall(b"hello"); s.shutdown(1)
t = b""
while d := s.recv(100): t += d
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(20); u.connect(("198.51.100.1", 8081)); u.send(b"there and")
print(t.decode().replace("\n", " "), u.recv(100).decode())')" "::ffff:198.51.100.1 hello there and back"
    local r=$?
    wait $!
    return $r
}
check publish published
check publish_taken_fails refused "publishing" inside --publish 198.51.100.1:7:80 -- true
check publish_nonsense_fails refused "--publish takes" inside --publish 80 -- true

# ---- egress ----

cat >"$state/policy" <<'END'
# names and addresses
allow tcp good.test 7
allow udp 198.51.100.1 7
END
options=(--egress "$state/policy")
check egress_allows_by_name python "assert socket.create_connection(('good.test', 7), 20)"
check egress_other_port_is_denied python "
socket.gethostbyname('good.test')
s = socket.socket(); s.settimeout(20); e = s.connect_ex(('198.51.100.1', 8)); assert e == errno.EHOSTUNREACH, e"
check egress_without_the_name_is_denied python "
s = socket.socket(); s.settimeout(20); e = s.connect_ex(('198.51.100.1', 7)); assert e == errno.EHOSTUNREACH, e"
check egress_other_name_is_refused python "
try: socket.gethostbyname('evil.test'); sys.exit(1)
except socket.gaierror: pass"
check egress_udp_by_address python "
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); s.connect(('198.51.100.1', 7)); s.send(b'x'); assert s.recv(10) == b'x'"
echo 'allow tcp' >"$state/policy"
check egress_bad_file_fails_closed refused "line 1 of the egress policy" inside --egress "$state/policy" -- true
check egress_missing_file_fails_closed refused "opening the egress policy" inside --egress "$state/none" -- true
options=()
none() { local text; text=$(timeout -k 5 60 "$RUNSC" --root "$state/root" --platform="$PLATFORM" --network=none do --rootfs "$ROOTFS" -- python3 -c '
import socket, errno
s = socket.socket(); print(s.connect_ex(("198.51.100.1", 7)) == errno.ENETUNREACH)') && equal "$text" True; }
check none_reaches_nothing none
capture() {
    timeout -k 5 60 ip netns exec "$wan" "$RUNSC" --root "$state/root" --platform="$PLATFORM" --pcap "$state/pcap" do --rootfs "$ROOTFS" -- \
        python3 -c "import socket; s = socket.create_connection(('198.51.100.1', 7), 20); s.sendall(b'seen by pcap'); s.recv(20)" &&
        equal "$(head -c 4 "$state/pcap" | od -An -tx4 | tr -d ' ')" a1b23c4d && grep -aq 'seen by pcap' "$state/pcap"
}
check pcap capture
# The uplink lives in this namespace: besides the servers nobody may be there.
left() { local i; for i in $(seq 100); do [ "$(ip netns pids "$wan")" = "$servers" ] && return 0; sleep 0.05; done; ip netns pids "$wan"; return 1; }
check no_process_is_left left
