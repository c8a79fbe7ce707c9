"""An executor passes sockets to its calls, and the caller's stay open."""

# expect: address True
# expect: echoed b'FROM A TASK'
# expect: still open True
import socket

from enact_pool import PoolExecutor


def talk(connection):
    with connection:
        connection.sendall(connection.recv(100).upper())


# --- run ---
server = socket.create_server(("127.0.0.1", 0))
mine, other = socket.socketpair()
with PoolExecutor(1) as executor:
    address = executor.submit(socket.socket.getsockname, server).result()
    print("address", address == server.getsockname())
    mine.sendall(b"from a task")
    executor.submit(talk, other).result()
    mine.settimeout(5)
    print("echoed", mine.recv(100))
print("still open", server.fileno() >= 0 and other.fileno() >= 0)
for one in (server, mine, other):
    one.close()
