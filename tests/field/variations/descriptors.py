import multiprocessing
import os
import socket
import tempfile
from pathlib import Path

from variation_checks import equals

from enact_pool import Pool, PoolExecutor


def nothing(_):
    return "nothing"


def write_to(file):
    file.write("from a task")
    return "written"


def told(right):
    """Make a function that says what was seen here."""
    return lambda _: right


# The caller's temporary files survive each way of being sent; none is written to.
with (
    Pool(1) as pool,
    PoolExecutor(1) as executor,
    tempfile.TemporaryDirectory() as folder,
):
    for mode in ("w+", "r+", "a+", "w+b", "w"):
        for make in (tempfile.NamedTemporaryFile, tempfile.SpooledTemporaryFile):
            if make is tempfile.SpooledTemporaryFile and mode == "r+":
                continue
            with make(mode=mode, dir=folder) as file:
                content = b"kept" if "b" in mode else "kept"
                file.write(content)
                file.flush()
                pool.run_parallel([nothing], file)
                pool.run_parallel([lambda _, file=file: write_to(file)], 0)
                executor.submit(write_to, file).exception()
                executor.submit(nothing, other=file).exception()
                name = getattr(file, "name", None)
                if isinstance(name, str):
                    equals(told(os.path.exists(name)), True)
                    equals(told(Path(name).read_text()), "kept")
                equals(told(file.closed), False)

    # What is open for writing is refused.
    with open("own.txt", "w") as file:
        file.write("kept")
        equals(told(pool.run_parallel([write_to], file)[0].output.is_ok), False)
        equals(told(executor.submit(write_to, file).exception() is not None), True)
    equals(told(Path("own.txt").read_text()), "kept")

    # Sockets and pipes that an executor passes are open here, too.
    for family in (socket.AF_INET, socket.AF_UNIX):
        with socket.socket(family) as one:
            equals(told(executor.submit(socket.socket.fileno, one).result() >= 0), True)
            equals(told(one.fileno() >= 0), True)
    mine, other = socket.socketpair()
    for text in (b"one", b"two"):
        executor.submit(socket.socket.sendall, other, text).result()
        equals(told(mine.recv(10)), text)
    mine.close()
    other.close()

    for duplex in (True, False):
        receiving, sending = multiprocessing.Pipe(duplex)
        error = executor.submit(type(sending).send, sending, "half").exception()
        arrived = error is None and receiving.poll(5) and receiving.recv() == "half"
        equals(told(arrived or "pickle" in str(error) or repr(error)), True)
        receiving.close()
        sending.close()
    equals(told(executor.submit(nothing, 0).result()), "nothing")
