# SPDX-License-Identifier: Apache-2.0
# python3: threading, subprocess, multiprocessing, signals, select, asyncio.
cat >t.py <<'END'
import asyncio, multiprocessing, os, queue, select, signal, socket, subprocess, sys, threading, time
q, done = queue.Queue(), []
def worker():
    while (n := q.get()) is not None:
        done.append(n * n)
threads = [threading.Thread(target=worker) for _ in range(8)]
[t.start() for t in threads]
[q.put(n) for n in range(1000)]
[q.put(None) for _ in threads]
[t.join() for t in threads]
print(len(done), sum(done))
e = threading.Event(); threading.Timer(0.05, e.set).start(); print(e.wait(5))
print(subprocess.run(["sort", "-n"], input="3\n1\n2\n", capture_output=True, text=True).stdout.split())
p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE); print(p.communicate(b"x" * 300000)[0] == b"x" * 300000, p.returncode)
print(subprocess.run("exit 4", shell=True).returncode, subprocess.run(["sh", "-c", "kill -9 $$"]).returncode)
try: subprocess.run(["sleep", "5"], timeout=0.1)
except subprocess.TimeoutExpired: print("timeout")
def square(n): return n * n
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(4) as pool: print(sum(pool.map(square, range(500))))
    signal.signal(signal.SIGUSR1, lambda *a: print("usr1")); os.kill(os.getpid(), signal.SIGUSR1)
    signal.setitimer(signal.ITIMER_REAL, 0.05); signal.signal(signal.SIGALRM, lambda *a: print("alarm")); time.sleep(0.2)
    a, b = socket.socketpair(); a.send(b"hi"); print(select.select([b], [], [], 1)[0] == [b], b.recv(9))
    async def tick(n):
        await asyncio.sleep(0.01 * n); return n
    async def main():
        print(await asyncio.gather(*[tick(n) for n in range(10)]))
        proc = await asyncio.create_subprocess_exec("echo", "async", stdout=asyncio.subprocess.PIPE); print((await proc.communicate())[0])
    asyncio.run(main())
    pid = os.fork()
    if pid == 0: os._exit(9)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
python3 t.py
