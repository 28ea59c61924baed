# SPDX-License-Identifier: Apache-2.0
# Terminals as conmon and containerd's shim use them: the master by the console socket, consoleSize, resizes, a second terminal for exec, hang-up;
# pids that the caller's subreaper can wait for.
. "$(dirname "$0")/../lib.sh"

bundle=$state/bundle
mkdir -p "$bundle"
cat >"$bundle/config.json" <<END
{"ociVersion": "1.0.2", "root": {"path": "$ROOTFS", "readonly": true},
 "process": {"terminal": true, "consoleSize": {"height": 30, "width": 100}, "args": ["/bin/bash", "--norc"], "env": ["PATH=/bin:/usr/bin"], "cwd": "/"},
 "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts"}],
 "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}]}}
END
echo '{"args": ["/bin/sh"], "cwd": "/", "env": ["PATH=/bin"], "terminal": true}' >"$bundle/process.json"
cat >"$state/client.py" <<'END'
import array, ctypes, fcntl, os, select, socket, struct, subprocess, sys, termios, time
runsc, platform, root, bundle = sys.argv[1:]
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
def call(*args):
    subprocess.run([runsc, "--root", root, "--platform=" + platform, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=30)
def with_console(*args):
    path = bundle + "/socket"
    if os.path.exists(path): os.unlink(path)
    s = socket.socket(socket.AF_UNIX); s.bind(path); s.listen(1)
    call(*args, "--console-socket", path, "--pid-file", bundle + "/pid", "box")
    data, anc, _, _ = s.accept()[0].recvmsg(100, socket.CMSG_LEN(4))
    assert data and len(anc) == 1
    master = array.array("i", anc[0][2])[0]
    text = open(bundle + "/pid").read()
    assert text.isdigit()
    parent = open("/proc/%s/stat" % text).read().rsplit(")", 1)[1].split()[1]
    assert int(parent) == os.getpid(), "the parent is %s" % parent
    return master, int(text)
def until(fd, text, sent=None):
    if sent: os.write(fd, sent)
    got, end = b"", time.time() + 10
    while text not in got and time.time() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try: got += os.read(fd, 4096)
            except OSError: break
    assert text in got, "%r is not in %r" % (text, got)
master, pid = with_console("create", "--bundle", bundle)
call("start", "box")
until(master, b"30 100", b"stty size\n")
until(master, b"/dev/pts/0", b"tty\n")
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
for _ in range(50):
    try: until(master, b"40 120", b"stty size\n"); break
    except AssertionError: time.sleep(0.1)
second, exec_pid = with_console("exec", "--detach", "--process", bundle + "/process.json")
until(second, b"/dev/pts/1", b"tty; exit 6\n")
assert os.waitpid(exec_pid, 0)[1] == 6 << 8
os.close(master)  # hangs up
status = os.waitpid(pid, 0)[1]
assert status == 129 << 8, hex(status)
call("delete", "--force", "box")
print("all well")
END
client() { works && contains "$(timeout 60 python3 "$state/client.py" "$RUNSC" "$PLATFORM" "$state/root" "$bundle" 2>&1)" "all well"; }
check console_socket client
