"""Attributes and mutable defaults of a function keep what a task has put there."""

# expect: [1, 2, 3, 4]
# expect: [1, 2, 3, 4]
# expect: [1, 2, 3, 4]
# expect: caller {} () 0
from enact_pool import Pool, map_parallel


def counted(_):
    counted.calls = getattr(counted, "calls", 0) + 1
    return counted.calls


def collected(x, seen=[]):  # noqa: B006 - that it is kept is what is tried
    seen.append(x)
    return len(seen)


class Tally:
    def __init__(self):
        self.n = 0

    def more(self):
        self.n += 1
        return self.n


TALLY = Tally()


def tallied(_):
    return TALLY.more()


# --- run ---
with Pool(1) as pool:
    for function in (counted, collected, tallied):
        runs = [map_parallel(function, range(2), pool=pool) for _ in range(2)]
        print([r.output.unwrap() for run in runs for r in run])
print("caller", vars(counted), tuple(collected.__defaults__[0]), TALLY.n)
