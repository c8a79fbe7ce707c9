"""Loky's workers in a task know the script's definitions, and do not run the script."""

# needs: loky
# stderr: loky keeps its resource tracker, and a task is told what it leaves running
# expect: [9, 16]
# expect: the script ran once
from pathlib import Path

import loky

from enact_pool import Pool

with open("runs.txt", "a") as file:
    file.write("x")


class Number:
    def __init__(self, n):
        self.n = n


def square(number):
    return Number(number.n**2)


def by_loky(numbers):
    with loky.ProcessPoolExecutor(1) as inner:
        return [number.n for number in inner.map(square, numbers)]


with Pool(1) as pool:
    print(pool.run_parallel([by_loky], [Number(3), Number(4)])[0].output.unwrap())
print("the script ran", {1: "once"}.get(len(Path("runs.txt").read_text()), "again"))
