# SPDX-License-Identifier: Apache-2.0
# limit: 600
# --network=sandbox on namespaces made by hand as docker's bridge, netavark and CNI leave them: two containers and the host's own stack on
# one bridge, everything in namespaces of this script's own, which go when it ends.
. "$(dirname "$0")/../lib.sh"

for tool in ip busybox python3; do
    command -v $tool >/dev/null || { echo "ok skipped_without_$tool"; exit 0; }
done
lan=e2e-lan-$$ one=e2e-one-$$ two=e2e-two-$$
remove_namespaces() {
    cleanup
    for ns in "$one" "$two" "$lan"; do ip netns del "$ns" 2>/dev/null; done
}
trap remove_namespaces EXIT
host() { timeout 60 ip netns exec "$lan" "$@"; }

# ---- as docker's bridge does it: a bridge with the gateway's address, a veth pair for each container, a default route ----

ip netns add "$lan"
ip -n "$lan" link set lo up
ip -n "$lan" link add br0 type bridge
ip -n "$lan" addr add 10.88.0.1/16 dev br0
ip -n "$lan" addr add fd88::1/64 dev br0 nodad
ip -n "$lan" link set br0 up
join() { # NAMESPACE NUMBER
    ip netns add "$1"
    ip -n "$lan" link add "v$2" type veth peer name eth0 netns "$1"
    ip -n "$lan" link set "v$2" master br0 up
    ip -n "$1" link set lo up
    ip -n "$1" link set eth0 address "02:42:0a:58:00:0$2"
    ip -n "$1" addr add "10.88.0.$2/16" brd 10.88.255.255 dev eth0
    ip -n "$1" addr add "fd88::$2/64" dev eth0 nodad
    ip -n "$1" link set eth0 up
    ip -n "$1" route add default via 10.88.0.1
    ip -n "$1" -6 route add default via fd88::1
    ip -n "$1" route add 192.0.2.0/24 via 10.88.0.77 table 77
}
join "$one" 2
join "$two" 3

bundle=$state/bundle
mkdir -p "$bundle/rootfs"/{bin,proc,dev,sys,tmp,etc}
cp "$(command -v busybox)" "$bundle/rootfs/bin/busybox"
mkfifo "$bundle/rootfs/fifo"
for name in sh cat sleep ifconfig route ping nc md5sum head seq tr grep; do ln -s busybox "$bundle/rootfs/bin/$name"; done
head -c 3000000 /dev/urandom >"$bundle/rootfs/data"
sum=$(md5sum <"$bundle/rootfs/data")
config() { # NAMESPACE SCRIPT
    local script=${2//\\/\\\\}
    cat >"$bundle/config.json" <<END
{"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "hostname": "e2e",
 "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/sh", "-c", "${script//\"/\\\"}"], "env": ["PATH=/bin"], "cwd": "/",
  "capabilities": {"bounding": ["CAP_NET_RAW"], "effective": ["CAP_NET_RAW"], "permitted": ["CAP_NET_RAW"]}},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
  {"destination": "/sys", "type": "sysfs", "source": "sysfs"}],
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"$1}]}}
END
}
in_namespace() { # NAMESPACE SCRIPT: a foreground run
    config ", \"path\": \"/run/netns/$1\"" "$2"
    timeout -k 5 60 "$RUNSC" --root "$state/root" --platform="$PLATFORM" run --bundle "$bundle" "run-$RANDOM$RANDOM"
}
start() { # ID NAMESPACE SCRIPT
    config ", \"path\": \"/run/netns/$2\"" "$3"
    runsc create --bundle "$bundle" "$1" </dev/null >"$state/$1.out" 2>&1 && runsc start "$1"
}
stop() { runsc delete --force "$1"; }

# ---- what the container sees ----

has_addresses() {
    local text
    text=$(in_namespace "$one" 'ifconfig eth0')
    contains "$text" "inet addr:10.88.0.2  Bcast:10.88.255.255  Mask:255.255.0.0" && contains "$text" "HWaddr 02:42:0A:58:00:02" &&
        contains "$text" "MTU:1500" && contains "$text" UP
}
check addresses has_addresses
none_has_no_link() {
    config ", \"path\": \"/run/netns/$one\"" 'ifconfig -a; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo loopback'
    local text
    text=$(timeout -k 5 60 "$RUNSC" --root "$state/root" --platform="$PLATFORM" --network=none run --bundle "$bundle" none)
    contains "$text" loopback && ! contains "$text" eth0 >/dev/null
}
check none none_has_no_link

# ---- out ----

check ping_out in_namespace "$one" 'ping -c 2 -W 5 10.88.0.1'
check ping6_out in_namespace "$one" 'ping -c 2 -W 5 fd88::1'
listen_host() { # PORT COMMAND: one connection
    host python3 - "$1" "$2" <<'END' &
import socket, subprocess, sys
l = socket.socket(socket.AF_INET6)
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(('::', int(sys.argv[1])))
l.listen()
c, _ = l.accept()
p = subprocess.run(sys.argv[2], shell=True, stdin=c.fileno(), stdout=c.fileno())
c.shutdown(socket.SHUT_WR)
END
    local i
    for i in $(seq 100); do host ss -ltn 2>/dev/null | grep -q ":$1 " && return; sleep 0.05; done
}
tcp_down() { # ADDRESS
    listen_host 7001 "cat $bundle/rootfs/data"
    local got
    got=$(in_namespace "$one" "nc $1 7001 </dev/null | md5sum")
    wait $!
    equal "$got" "$sum"
}
check tcp_from_host tcp_down 10.88.0.1
check tcp6_from_host tcp_down fd88::1
tcp_up() { # ADDRESS
    listen_host 7002 md5sum
    local got
    got=$(in_namespace "$one" "nc $1 7002 </data")
    wait $!
    equal "$got" "$sum"
}
check tcp_to_host tcp_up 10.88.0.1
check tcp6_to_host tcp_up fd88::1

# ---- in, and between two containers ----

check start_server start server "$one" 'while :; do nc -l -p 7003 </data; done'
ping_in() { host busybox ping -c 2 -W 5 10.88.0.2 | grep -q "2 packets received" && host busybox ping -c 2 -W 5 fd88::2 | grep -q "2 packets received"; }
check ping_in ping_in
no_doubles() { ! host busybox ping -c 3 -W 5 10.88.0.2 | grep -q DUP; }
check host_kernel_is_silent no_doubles
# Neither client says that it has nothing to send: busybox's nc ends on that.
tcp_in() { equal "$(host python3 -c 'import socket, sys
s = socket.create_connection((sys.argv[1], 7003))
while d := s.recv(65536): sys.stdout.buffer.write(d)' "$1" | md5sum)" "$sum"; }
check tcp_in tcp_in 10.88.0.2
check tcp6_in tcp_in fd88::2
closed() { host python3 -c 'import socket
try: socket.create_connection(("10.88.0.2", 9), 5)
except ConnectionRefusedError: pass'; }
check closed_port_refuses closed
talk() { equal "$(in_namespace "$two" "nc 10.88.0.2 7003 <>/fifo | md5sum")" "$sum"; }
check two_containers_talk talk
check ping_between in_namespace "$two" 'ping -c 2 -W 5 10.88.0.2'

# ---- bad weather, on the host's side ----

lossy() {
    host iptables -A INPUT -i br0 -m statistic --mode random --probability 0.05 -j DROP || return 1
    host iptables -A OUTPUT -o br0 -m statistic --mode random --probability 0.05 -j DROP || return 1
    tcp_in 10.88.0.2
    local r=$?
    host iptables -F
    return $r
}
if host iptables -m statistic -h >/dev/null 2>&1; then check loss_of_5_percent lossy; fi

malformed() {
    host python3 - <<'END'
import random, socket
random.seed(1)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('br0', 0))
head = bytes.fromhex('02420a580002') + b'\2\0\0\0\0\1'
for i in range(3000):
    body = bytearray(random.randbytes(random.randrange(0, 1400)))
    kind = random.choice([b'\x08\0', b'\x08\6', b'\x86\xdd', random.randbytes(2)])
    if kind == b'\x08\0' and len(body) >= 20:
        body[0] = random.choice([0x45, 0x46, 0x4f, 0x40])
        body[9] = random.choice([1, 2, 6, 17, 255])
        body[12:20] = socket.inet_aton('10.88.0.1') + socket.inet_aton('10.88.0.2')
    s.send(head + kind + bytes(body))
END
    ping_in && tcp_in 10.88.0.2
}
check malformed_frames malformed
check stop_server stop server

mtu() { # MTU
    local ns
    for ns in "$lan" "$one"; do
        ip -n "$lan" link set v2 mtu "$1" && ip -n "$lan" link set br0 mtu "$1" && ip -n "$one" link set eth0 mtu "$1" || return 1
    done
    contains "$(in_namespace "$one" 'ifconfig eth0')" "MTU:$1" && tcp_down 10.88.0.1 && tcp_up 10.88.0.1
}
check mtu_9000 mtu 9000
check mtu_1280 mtu 1280
mtu 1500 >/dev/null 2>&1

# ---- what is left ----

as_before() {
    contains "$(ip -n "$one" addr show eth0)" "10.88.0.2/16" && contains "$(ip -n "$one" route)" "default via 10.88.0.1" || return 1
    host busybox ping -c 2 -W 5 10.88.0.2 # the host's kernel answers again
}
check namespace_is_given_back as_before

# ---- as dockerd does it: interfaces come between create and start ----

late() {
    local pid
    config "" 'ping -c 2 -W 5 10.88.0.1 && nc 10.88.0.1 7001 </dev/null | md5sum'
    runsc create --bundle "$bundle" --pid-file "$state/pid" late </dev/null >"$state/late" || return 1
    pid=$(cat "$state/pid")
    ip -n "$lan" link add v9 type veth peer name tmp9 && ip -n "$lan" link set tmp9 netns "$pid" || return 1
    ip -n "$lan" link set v9 master br0 up
    nsenter -t "$pid" -n sh -c 'ip link set tmp9 name eth0 && ip link set lo up && ip addr add 10.88.0.9/16 dev eth0 && ip link set eth0 up &&
        ip route add default via 10.88.0.1' || return 1
    listen_host 7001 "cat $bundle/rootfs/data"
    runsc start late && runsc wait late
    wait $!
    stop late
    contains "$(cat "$state/late")" "$sum"
}
check interfaces_after_create late

# ---- a resolver on the namespace's own loopback, as docker's user networks have it ----

resolver() {
    ip netns exec "$one" python3 - >"$state/resolver" 2>&1 <<'END' &
import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(('127.0.0.11', 53))
print('ready', flush=True)
while True:
    d, a = u.recvfrom(4096)
    end = d.index(0, 12) + 5
    u.sendto(d[:2] + b'\x81\x80\0\1\0\1\0\0\0\0' + d[12:end] + b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4' + socket.inet_aton('10.88.0.1'), a)
END
    local pid=$! i r text
    for i in $(seq 200); do grep -q ready "$state/resolver" && break; sleep 0.05; done
    echo 'nameserver 127.0.0.11' >"$state/resolv.conf"
    : >"$bundle/rootfs/etc/resolv.conf"
    config ", \"path\": \"/run/netns/$one\"" 'nslookup -type=a gateway.test'
    sed -i "s#\"mounts\": \[#&{\"destination\": \"/etc/resolv.conf\", \"type\": \"bind\", \"source\": \"$state/resolv.conf\", \"options\": [\"rbind\"]}, #" \
        "$bundle/config.json"
    text=$(timeout -k 5 60 "$RUNSC" --root "$state/root" --platform="$PLATFORM" run --bundle "$bundle" names 2>&1)
    kill $pid
    contains "$text" 10.88.0.1
}
ln -sf busybox "$bundle/rootfs/bin/nslookup"
check resolver_on_loopback resolver

# ---- port forwarding, to a container without a network ----

forward() {
    config "" 'while :; do nc -l -p 7009 </data; done'
    runsc --network=none create --bundle "$bundle" forwarded </dev/null >"$state/forwarded" 2>&1 && runsc start forwarded || return 1
    ip netns exec "$lan" "$RUNSC" --root "$state/root" port-forward forwarded 0:7009 >"$state/port" 2>&1 &
    local pid=$! port i got
    for i in $(seq 200); do grep -q 127 "$state/port" && break; sleep 0.05; done
    port=$(sed -n 's/.*://p' "$state/port")
    for i in $(seq 100); do
        got=$(host python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while d := s.recv(65536): sys.stdout.buffer.write(d)' "$port" | md5sum)
        [ "$got" = "$sum" ] && break # nobody listened yet
        sleep 0.1
    done
    kill $pid
    stop forwarded
    equal "$got" "$sum"
}
check port_forward forward
