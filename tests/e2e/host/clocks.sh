# SPDX-License-Identifier: Apache-2.0
# long: ten minutes
# limit: 800
# The guest's clocks after ten minutes: monotonic, and within 10 us of the host's (plus what two readings cost).
. "$(dirname "$0")/../lib.sh"

cat >"$state/drift.py" <<'END'
import sys, time
end, last = time.monotonic() + float(sys.argv[1]), 0
while time.monotonic() < end:
    for _ in range(100000):
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        if now < last: sys.exit("went back by %d ns" % (last - now))
        last = now
    time.sleep(0.5)
print("ready", flush=True)
# The host sends a line and reads its clock before and after: our reading must lie between, give or take 10 us.
for line in sys.stdin:
    print(time.clock_gettime_ns(time.CLOCK_REALTIME), time.clock_gettime_ns(time.CLOCK_MONOTONIC), flush=True)
END
within() {
    python3 - "$RUNSC" "$PLATFORM" "$ROOTFS" "$state" <<'END'
import subprocess, sys, time
runsc, platform, rootfs, state = sys.argv[1:]
p = subprocess.Popen([runsc, "--root", state + "/root", "--platform=" + platform, "do", "--rootfs", rootfs, "--", "python3", "-c",
                      open(state + "/drift.py").read(), "600"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
assert p.stdout.readline() == "ready\n"
best = 1 << 60
for _ in range(500):
    before = time.clock_gettime_ns(time.CLOCK_REALTIME)
    p.stdin.write("x\n"); p.stdin.flush()
    real, mono = map(int, p.stdout.readline().split())
    after = time.clock_gettime_ns(time.CLOCK_REALTIME)
    error = max(before - real, real - after, 0)
    best = min(best, error)
    if error > 10000: sys.exit("off by %d ns" % error)
p.stdin.close(); sys.exit(p.wait())
END
}
check realtime_within_10_us_after_10_minutes within
