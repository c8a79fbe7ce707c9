import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

from variation_checks import equals, same

with open("runs.txt", "a") as file:
    file.write("x")

FACTOR = 3


class Number:
    def __init__(self, n):
        self.n = n

    def times(self, x):
        return Number(self.n * x * FACTOR)


def times(n):
    return n * FACTOR


def put(queue, number):
    queue.put(number.times(2))


def fail(_):
    raise ValueError("in the inner process")


def pool_of(method):
    with multiprocessing.get_context(method).Pool(1) as inner:
        return inner.map(times, [1, 2]), inner.apply(Number(1).times, (2,)).n


def executor_of(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context, initializer=times, initargs=(1,)) as inner:
        return list(inner.map(times, [1, 2])), str(inner.submit(fail, 0).exception())


def process_of(method):
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    process = context.Process(target=put, args=(queue, Number(1)))
    process.start()
    number = queue.get()
    process.join()
    return type(number) is Number, number.n, process.exitcode


for method in ("fork", "spawn"):
    equals(lambda _, method=method: pool_of(method), ([3, 6], 6))
    equals(lambda _, method=method: executor_of(method), ([3, 6], "in the inner process"))
    equals(lambda _, method=method: process_of(method), (True, 6, 0))


def threads(_):
    with ThreadPoolExecutor(2) as inner:
        return list(inner.map(times, [1, 2]))


def other_programs(_):
    told = subprocess.run(
        [sys.executable, "-c", "print(__name__)"], capture_output=True, text=True, check=True
    )
    return told.stdout


def forked(_):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, str(times(5)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as file:
        return file.read()


same(threads, other_programs, forked)
assert Path("runs.txt").read_text() == "x", "no process has run the script"
