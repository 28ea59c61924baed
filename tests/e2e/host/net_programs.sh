# SPDX-License-Identifier: Apache-2.0
# limit: 600
# Programs that speak to each other over loopback in one sandbox, the host's own: what is not installed is skipped by name. Each script
# waits until its server listens, and says at the end what the check compares.
. "$(dirname "$0")/../lib.sh"

installed() { # NAME TOOL...
    local tool
    for tool in "${@:2}"; do
        command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || { echo "ok $1_skipped_without_$tool"; return 1; }
    done
}
inside() { # SCRIPT: with listens PORT and udp_listens PORT, in an empty directory
    timeout -k 5 120 "$RUNSC" --root "$state/root" --platform="$PLATFORM" do -- bash -c '
        PATH=$PATH:/usr/sbin:/sbin
        mkdir /tmp/case && cd /tmp/case
        seen() { grep -q "$(printf ":%04X [0-9A-F:]* $2" "$1")" /proc/net/$3 /proc/net/${3}6; }
        listens() { local i; for i in $(seq 600); do seen "$1" 0A tcp && return; sleep 0.05; done; echo "nobody listens on $1"; exit 1; }
        udp_listens() { local i; for i in $(seq 600); do seen "$1" 07 udp && return; sleep 0.05; done; echo "nobody listens on $1"; exit 1; }
        '"$1"
}

# Packet sockets' rings: version 3, and version 2 (immediate mode).
captured() { # OPTIONS
    equal "$(inside "tcpdump -i lo -n -q -t -c 3 $1 udp port 4000 >seen 2>said & "'
        until grep -q "listening on" said; do kill -0 $! || { cat said; exit 1; }; sleep 0.05; done
        for text in a bb ccc; do printf $text >/dev/udp/127.0.0.1/4000; done
        wait $!
        sed "s/127.0.0.1.[0-9]* >/from >/" seen')" "$(for n in 1 2 3; do echo "IP from > 127.0.0.1.4000: UDP, length $n"; done)"
}
if installed tcpdump tcpdump; then
    check tcpdump_ring captured ''
    check tcpdump_immediate captured --immediate-mode
    saved() {
        contains "$(inside 'tcpdump -i any -n -c 2 -w file udp port 4001 2>said &
            until grep -q "listening on" said; do kill -0 $! || { cat said; exit 1; }; sleep 0.05; done
            for text in a b; do printf $text >/dev/udp/127.0.0.1/4001; done
            wait $!
            tcpdump -n -r file 2>/dev/null | grep -c "127.0.0.1.4001: UDP, length 1"')" 2
    }
    check tcpdump_file saved
fi

iperf() { # OPTIONS ADDRESS
    inside "iperf3 -s -1 >server & listens 5201; iperf3 -c $2 -n 20M $1 >out || { cat out server; exit 1; }"'; wait; grep -q receiver out && ! grep -q " 0.00 Bytes.*receiver" out'
}
if installed iperf3 iperf3; then
    check iperf3_one iperf '' 127.0.0.1
    check iperf3_reverse iperf -R 127.0.0.1
    check iperf3_8 iperf '-P 8' 127.0.0.1
    check iperf3_ipv6 iperf '-6 -R' ::1
    check iperf3_udp iperf '-u -b 20M -l 1200' 127.0.0.1
fi

redis() {
    equal "$(inside 'redis-server --save "" --port 6379 >server & listens 6379
        redis-benchmark -q -n 500 -c 20 -t set,get,lpush >out || exit 1
        redis-cli set key value; redis-cli get key; redis-cli llen mylist; redis-cli shutdown nosave; wait')" "$(printf 'OK\nvalue\n500')"
}
installed redis redis-server redis-benchmark && check redis redis

web() {
    equal "$(inside 'head -c 1024 /dev/zero | tr "\0" a >index.html
        cat >nginx.conf <<END
daemon off; pid nginx.pid; worker_processes 2; error_log stderr;
events { worker_connections 128; }
http { access_log off; server { listen 127.0.0.1:8080; listen [::1]:8080; root /tmp/case; } }
END
        chmod 755 . && nginx -p /tmp/case -c nginx.conf & listens 8080
        wrk -t2 -c16 -d1 http://127.0.0.1:8080/ >out || exit 1
        wrk -t1 -c4 -d1 "http://[::1]:8080/" >out6 || exit 1
        grep -h -c "requests in" out out6; grep -h -E "Socket errors|Non-2xx" out out6; kill %1; wait')" "$(printf '1\n1')"
}
installed nginx nginx wrk && check nginx web

names() {
    equal "$(inside 'dnsmasq -k --no-resolv --no-hosts --address=/four.example/10.1.2.3 --address=/six.example/fd00::5 -p 5353 -u root --listen-address=127.0.0.1 --bind-interfaces & udp_listens 5353
        dig +short -p 5353 @127.0.0.1 four.example; dig +short +tcp -p 5353 @127.0.0.1 six.example AAAA; kill %1; wait')" "$(printf '10.1.2.3\nfd00::5')"
}
installed dnsmasq dnsmasq dig && check dnsmasq names

trace() { # OPTIONS
    contains "$(inside "traceroute -n -q 1 $1")" " 1  $2 "
}
if installed traceroute traceroute; then
    check traceroute_udp trace 127.0.0.1 127.0.0.1
    check traceroute_icmp trace '-I 127.0.0.1' 127.0.0.1
    check traceroute_tcp trace '-T 127.0.0.1' 127.0.0.1
    check traceroute_ipv6 trace ::1 ::1
fi

tls() {
    equal "$(inside 'openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost 2>/dev/null
        head -c 3000000 /dev/zero >file
        openssl s_server -accept 4433 -cert cert -key key -WWW -quiet 2>/dev/null & listens 4433
        printf "GET /file HTTP/1.0\r\n\r\n" | openssl s_client -quiet -CAfile cert -connect localhost:4433 2>/dev/null | tail -c 3000000 | md5sum
        kill %1; wait')" "$(head -c 3000000 /dev/zero | md5sum)"
}
installed openssl openssl && check openssl tls

secure_shell() {
    equal "$(inside 'mkdir -p /run/sshd /root/.ssh && chmod 700 /root/.ssh
        ssh-keygen -q -t ed25519 -N "" -f host && ssh-keygen -q -t ed25519 -N "" -f me && cp me.pub allowed
        /usr/sbin/sshd -D -e -p 2222 -h /tmp/case/host -o PidFile=none -o UsePAM=no -o StrictModes=no -o PermitRootLogin=yes -o AuthorizedKeysFile=/tmp/case/allowed 2>log & listens 2222
        ssh -q -p 2222 -i me -o StrictHostKeyChecking=no -o UserKnownHostsFile=known root@127.0.0.1 "echo there; head -c 1000000 /dev/zero" | (read -r line; echo "$line"; wc -c) || cat log
        kill %1; wait')" "$(printf 'there\n1000000')"
}
installed ssh sshd ssh && check ssh secure_shell
