# SPDX-License-Identifier: Apache-2.0
# What ps, top, pgrep, free and friends make of /proc.
sleep 30 & a=$!; sleep 31 & b=$!
until [ "$(pgrep -xc sleep)" = 2 ]; do sleep 0.05; done
ps -C sleep -o comm=,stat= | sed 's/ *$//'
pgrep -xf 'sleep 30' | wc -l; ps -e --no-headers | wc -l | awk '{ print ($1 >= 4) }'
ps -o ppid= -p $a | tr -d ' ' | sed "s/^$$\$/parent/"
ps -o args= -p $b; pkill -xf 'sleep 31'; wait $b; echo "status $?"
kill $a; wait $a; echo "status $?"
free | awk 'NR == 2 { print ($2 > 0) }'; uptime -p >/dev/null && echo uptime; vmstat | wc -l; top -bn1 | head -1 | cut -c1-5
w -h | wc -l; cat /proc/loadavg | wc -w; nproc | grep -c .; id; whoami; hostname | wc -l; uname -sm; tty; pwd
readlink /proc/$$/exe; tr '\0' ' ' </proc/self/cmdline; echo; grep -c . /proc/self/maps | awk '{ print ($1 > 10) }'
