"""Ctrl-C while globals are compared reaches the caller, and nothing is lost or half sent."""

# expect: [1, 1]
# expect: interrupted
# expect: [2, 3]
# expect: interrupted
# expect: [3, 4]
import signal

from enact_pool import Pool


class Counter:
    interrupts = False

    def __init__(self):
        self.value = 1

    def __getstate__(self):
        if Counter.interrupts:
            Counter.interrupts = False
            signal.raise_signal(signal.SIGINT)
        return {"value": self.value}


before = [1]
counter = Counter()
after = {"size": 0}


def seen(_):
    return [counter.value, len(before) + after["size"]]


def try_it(pool):
    try:
        print(pool.run_parallel([seen], 0)[0].output.unwrap())
    except KeyboardInterrupt:
        print("interrupted")


with Pool(1) as pool:
    try_it(pool)
    for size in (1, 2):
        counter.value += 1
        before.append(size)
        after["size"] = after["size"] + 1 - (size == 2)
        Counter.interrupts = True
        try_it(pool)
        try_it(pool)
