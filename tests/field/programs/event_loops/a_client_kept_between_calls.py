"""Coroutines of one worker share an event loop, so a client can be kept between calls."""

# stderr: a client that nothing closes may complain when its worker exits
# expect: [Ok(b'X\n'), Ok(b'X\n'), Ok(b'X\n')]
# expect: [Ok(b'X\n'), Ok(b'X\n'), Ok(b'X\n')]
# expect: executor [b'X\n', b'X\n']
import asyncio
import socketserver
import threading

from enact_pool import Pool, PoolExecutor, map_parallel

connection = None


async def call(path):
    global connection
    if connection is None:
        connection = await asyncio.open_unix_connection(path)
    reader, writer = connection
    writer.write(b"x\n")
    await writer.drain()
    return await reader.readline()


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


# --- run ---
with Server("socket", Echo) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Pool(1) as pool:
        print([result.output for result in pool.run_parallel([call] * 3, "socket")])
        print([result.output for result in map_parallel(call, ["socket"] * 3, pool=pool)])
    with PoolExecutor(1) as executor:
        print("executor", list(executor.map(call, ["socket"] * 2)))
    server.shutdown()
