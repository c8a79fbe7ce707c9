import ctypes
import itertools
from array import array
from collections import deque
from functools import partial

import numpy as np
from variation_checks import received

from enact_pool import PoolExecutor, imap_parallel, iter_parallel, map_parallel, run_parallel

COUNT = 200


def values(results):
    return [result.output.unwrap() for result in results]


def refilled(buffer, fill):
    for number in range(COUNT):
        fill(buffer, number)
        yield buffer


def set_first(buffer, number):
    buffer[0] = number


def set_key(buffer, number):
    buffer["number"] = number


def set_attribute(buffer, number):
    buffer.number = number


class Box:
    def __init__(self):
        self.number = None


class Frame(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int)]


def first(buffer):
    return int(buffer[0])


BUFFERS = {
    "a list": (lambda: [0], set_first, first),
    "an array": (lambda: np.zeros(1000), set_first, first),
    "an array of the library": (lambda: array("d", [0]), set_first, first),
    "a bytearray": (lambda: bytearray(1), set_first, first),
    "a deque": (lambda: deque([0]), set_first, first),
    "a dict": (dict, set_key, lambda buffer: buffer["number"]),
    "an instance": (Box, set_attribute, lambda buffer: buffer.number),
    "a structure": (Frame, set_attribute, lambda buffer: buffer.number),
}

for name, (make, fill, read) in BUFFERS.items():
    received(f"map {name}", values(map_parallel(read, refilled(make(), fill))), [*range(COUNT)])
    received(f"imap {name}", values(imap_parallel(read, refilled(make(), fill))), [*range(COUNT)])
    with PoolExecutor(2) as executor:
        received(f"executor {name}", [*executor.map(read, refilled(make(), fill))], [*range(COUNT)])


def inside(pair):
    number, (buffer, *_) = pair
    return number == buffer[0]


pairs = ((number, (buffer, "rest")) for number, buffer in enumerate(refilled([0], set_first)))
received("in a tuple", values(imap_parallel(inside, pairs)), [True] * COUNT)

lambdas = (lambda x: x * number for number in range(COUNT))
received("run lambdas", values(run_parallel(lambdas, 10)), [*range(0, 10 * COUNT, 10)])
lambdas = (lambda x, y=2: x * y * number for number in range(COUNT))
received("iter lambdas", values(iter_parallel(lambdas, 10)), [*range(0, 20 * COUNT, 20)])


def functions():
    text = ""
    for number in range(COUNT):

        def function(x, *, unit="m"):
            return f"{x}{text}{number}{unit}"

        yield function
        text = "-"


expected = ["x0m", *(f"x-{number}m" for number in range(1, COUNT))]
received("functions", values(iter_parallel(functions(), "x")), expected)
partials = (partial(pow, number) for number in range(COUNT))
received("partials", values(iter_parallel(partials, 2)), [number**2 for number in range(COUNT)])

table = np.arange(3 * COUNT).reshape(COUNT, 3)
received("rows", values(map_parallel(np.sum, table)), [int(row.sum()) for row in table])
chained = itertools.chain(refilled([0], set_first), [[1], [2]])
received("chained", values(map_parallel(first, chained)), [*range(COUNT), 1, 2])
large = (bytearray([number]) * 3_000_000 for number in range(20))
received("large", values(imap_parallel(first, large)), [*range(20)])
