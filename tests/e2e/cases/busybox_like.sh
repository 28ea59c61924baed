# SPDX-License-Identifier: Apache-2.0
# Signals, pipes and descriptors among many small processes; limits; big pipelines.
seq 100 | xargs -P 8 -n 1 sh -c 'echo $((0 + $0))' | sort -n | sha256sum
for i in $(seq 50); do (echo $i >f$i; exit $((i % 7))) & done; wait; cat f* | sort -n | tail -1
cat /dev/zero | head -c 50000000 | tr '\0' x | sha256sum
(for i in $(seq 20); do sleep 0.02 & done; wait); echo waited
find /usr/bin -type f | head -200 | xargs file -b | sort | uniq -c | wc -l | awk '{ print ($1 > 2) }'
yes 2>/dev/null | head -100000 | wc -l
ulimit -u 2>/dev/null | grep -c .
flock lockfile sh -c 'flock -n lockfile echo no || echo locked'
(flock 9; echo held) 9>lockfile
setsid sh -c 'ps -o sid= -p $$ | tr -d " " | sed "s/^$$\$/leader/"' | cat
nice -n 5 nice; nohup sh -c 'echo nohup' 2>/dev/null; env -i A=b env; printenv HOME
mktemp -d | sed 's/\..*//'; date -u -d @1000000000 +%FT%T; TZ=UTC date -d '2020-02-30' 2>&1 | head -1
timeout -s INT 0.1 sh -c 'trap "echo int; exit 3" INT; while :; do sleep 0.05; done'; echo $?
sh -c 'kill -SEGV $$'; echo $?; sh -c 'ulimit -t 1; while :; do :; done' 2>/dev/null; echo $?
