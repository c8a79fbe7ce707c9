"""A process that a task spawns knows the script's definitions, and does not run the script."""

# expect: pool [9, 16]
# expect: futures [25]
# expect: process Row(n=7)
# expect: the script ran once
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from enact_pool import Pool

with open("runs.txt", "a") as file:
    file.write("x")


@dataclass
class Row:
    n: int


def square(x):
    return x * x


def put(queue, n):
    queue.put(Row(n))


def by_pool(numbers):
    with multiprocessing.get_context("spawn").Pool(1) as inner:
        return inner.map(square, numbers)


def by_futures(numbers):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as inner:
        return list(inner.map(square, numbers))


def by_process(n):
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=put, args=(queue, n))
    process.start()
    row = queue.get()
    process.join()
    return row


with Pool(1) as pool:
    print("pool", pool.run_parallel([by_pool], [3, 4])[0].output.unwrap())
    print("futures", pool.run_parallel([by_futures], [5])[0].output.unwrap())
    print("process", pool.run_parallel([by_process], 7)[0].output.unwrap())
print("the script ran", {1: "once"}.get(len(Path("runs.txt").read_text()), "again"))
