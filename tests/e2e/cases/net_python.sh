# SPDX-License-Identifier: Apache-2.0
# limit: 180
# Servers and clients of Python's own library over loopback, in threads and in processes.
echo page one >one.txt
head -c 3000000 /dev/zero | tr '\0' z >big.bin
cat >servers.py <<'END'
import asyncio, functools, hashlib, http.server, os, select, socket, socketserver, threading, urllib.request, xmlrpc.client, xmlrpc.server

class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *a): pass

httpd = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
threading.Thread(target=httpd.serve_forever, daemon=True).start()
base = 'http://127.0.0.1:%d/' % httpd.server_address[1]
print(urllib.request.urlopen(base + 'one.txt').read())
print(hashlib.sha256(urllib.request.urlopen(base + 'big.bin').read()).hexdigest())
try:
    urllib.request.urlopen(base + 'none')
except urllib.error.HTTPError as e:
    print(e.code)
httpd.shutdown()

async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def client(port, n):
    reader, writer = await asyncio.open_connection('::1', port)
    writer.write(bytes([n]) * 200000)
    writer.write_eof()
    data = await reader.read()
    writer.close()
    return len(data), set(data) == {n}

async def main():
    server = await asyncio.start_server(echo, '::1', 0)
    port = server.sockets[0].getsockname()[1]
    print(await asyncio.gather(*(client(port, n) for n in range(20))))
    server.close()
asyncio.run(main())

class Upper(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data.upper(), self.client_address)

with socketserver.ThreadingUDPServer(('127.0.0.1', 0), Upper) as udp:
    threading.Thread(target=udp.serve_forever, daemon=True).start()
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(20)
    for word in (b'one', b'two', b'x' * 9000):
        s.sendto(word, udp.server_address)
        print(len(s.recv(10000)))
    udp.shutdown()

rpc = xmlrpc.server.SimpleXMLRPCServer(('127.0.0.1', 0), logRequests=False)
rpc.register_function(lambda a, b: a * b, 'times')
threading.Thread(target=rpc.serve_forever, daemon=True).start()
print(xmlrpc.client.ServerProxy('http://127.0.0.1:%d' % rpc.server_address[1]).times(6, 7))

listener = socket.create_server(('127.0.0.1', 0))
children = []
for i in range(4):
    pid = os.fork()
    if pid == 0:
        c = socket.create_connection(listener.getsockname())
        c.sendall(b'%d' % i * 1000)
        os._exit(0 if c.recv(10) == b'thanks' else 1)
    children.append(pid)
poll, fds, total = select.epoll(), {}, 0
poll.register(listener, select.EPOLLIN)
while total < 4000:
    for fd, event in poll.poll(20):
        if fd == listener.fileno():
            c, _ = listener.accept()
            fds[c.fileno()] = [c, 0]
            poll.register(c, select.EPOLLIN)
        else:
            n = len(fds[fd][0].recv(512))
            if n == 0:
                poll.unregister(fd)
            total += n
            fds[fd][1] += n
            if n and fds[fd][1] == 1000:
                fds[fd][0].sendall(b'thanks')
print([os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in children])
for family, port in ((socket.AF_INET, 80), (socket.AF_INET6, 443)):
    print(socket.getaddrinfo(None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST))
print('lo' in [name for _, name in socket.if_nameindex()])
END
python3 servers.py
