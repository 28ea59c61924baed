# SPDX-License-Identifier: Apache-2.0
# limit: 300
# iptables, iptables-legacy and nft inside a sandbox, and in a network namespace of the host's: what they list, and what packets meet,
# must be the same. What is not installed is skipped by name.
. "$(dirname "$0")/../lib.sh"

same() { # SCRIPT: its output natively is what it must be
    local natively
    natively=$(timeout -k 5 60 unshare -n bash -c 'PATH=$PATH:/usr/sbin:/sbin; ip link set lo up; '"$1" 2>&1)
    equal "$(timeout -k 5 120 "$RUNSC" --root "$state/root" --network=none --platform="$PLATFORM" do -- \
        bash -c 'PATH=$PATH:/usr/sbin:/sbin; ip link set lo up; '"$1" 2>&1)" "$natively"
}
probe='python3 -c "
import socket, threading
l = socket.create_server((\"127.0.0.1\", 8000))
def serve():
    while True:
        c, a = l.accept(); c.sendall(b\"hello\"); c.close()
threading.Thread(target=serve, daemon=True).start()
for port in 8000, 90, 81:
    s = socket.socket(); s.settimeout(20)
    try:
        s.connect((\"127.0.0.1\", port)); print(port, s.getpeername(), s.recv(9))
    except OSError as e:
        print(port, e)
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    print(u.sendto(b\"x\", (\"127.0.0.1\", 82)))
except OSError as e:
    print(e)
"'
# Dates, and counters of what differs from stack to stack, are not compared.
rules() { # IPTABLES
    echo "
$1 -P FORWARD DROP
$1 -A INPUT -p tcp --dport 81 -m comment --comment hi -j REJECT --reject-with tcp-reset
$1 -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
$1 -N foo
$1 -A INPUT -i lo -j foo
$1 -A foo -p udp -m mark --mark 7 -j RETURN
$1 -A OUTPUT -p udp --dport 82 -j DROP
$1 -A OUTPUT -m owner --uid-owner 33 -p tcp -m multiport --dports 1:5,7 -j DROP
$1 -t nat -A OUTPUT -p tcp --dport 90 -j REDIRECT --to-ports 8000
$1 -t nat -A POSTROUTING -s 10.1.0.0/16 ! -o docker0 -j MASQUERADE
$1 -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j ACCEPT
$1 -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$1 -t mangle -A OUTPUT -j MARK --set-mark 7
$1 -C FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; echo \$?
$1 -D FORWARD 7; echo \$?
$1 -X foo; echo \$?
$1 -I INPUT 2 -p icmp -j ACCEPT
$1 -D INPUT 2
for t in filter nat mangle; do $1 -t \$t -S; done
$probe
$1 -t nat -L OUTPUT -n -v | awk '{print \$1, \$3}' | tail -n 1
$1 -F; $1 -X; $1 -P FORWARD ACCEPT; $1 -S"
}
if [ "$(id -u)" != 0 ]; then
    echo 'ok netfilter_skipped_without_root'
elif ! PATH=$PATH:/usr/sbin command -v iptables-legacy >/dev/null; then
    echo 'ok netfilter_skipped_without_iptables'
else
    check iptables_legacy same "$(rules iptables-legacy)"
    check iptables_nft same "$(rules iptables-nft)"
    check ip6tables_nft same 'ip6tables-nft -A INPUT -p icmpv6 -j ACCEPT; ip6tables-nft -t nat -A POSTROUTING -j MASQUERADE
        ip6tables-nft -S; ip6tables-nft -t nat -S'
fi
if PATH=$PATH:/usr/sbin command -v nft >/dev/null && [ "$(id -u)" = 0 ]; then
    check nft same 'cat >/tmp/rules.$$ <<END
table inet t {
  set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.168.1.1-192.168.1.9 } }
  map m { type inet_service : verdict; elements = { 22 : accept, 23 : drop } }
  chain d { return; }
  chain c { type filter hook input priority 0; policy drop;
    iifname "lo" ct state established,related accept
    ip saddr @s counter drop
    tcp dport { 80, 443, 8000-8010 } accept
    tcp dport vmap @m
    ip saddr . tcp dport { 1.2.3.4 . 80, 5.6.7.8 . 90 } accept
    meta l4proto icmp limit rate 10/second accept
    udp dport 53 reject
    fib daddr type local jump d
  }
}
table ip n {
  chain p { type nat hook prerouting priority dstnat; tcp dport 80 dnat to 10.0.0.1:8080; }
  chain q { type nat hook postrouting priority srcnat; oifname "eth0" masquerade random; }
}
END
        nft -f /tmp/rules.$$; rm /tmp/rules.$$
        nft -a list ruleset
        nft add element inet t s "{ 1.2.3.4 }"
        nft get element inet t s "{ 10.3.4.5 }"
        nft delete rule inet t c handle 9
        nft list set inet t s
        nft delete table ip n
        nft delete chain inet t d 2>/dev/null; echo $?
        nft insert rule inet t c position 10 tcp dport 9 accept
        nft list chain inet t c
        nft flush ruleset
        nft list ruleset'
fi
