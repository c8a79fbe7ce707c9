"""A global that is switched between objects with names of their own is each in turn."""

# expect: [(1, 'dev', 'a', 2), (2, 'prod', 'b', 3), (1, 'dev', 'a', 2), (2, 'prod', 'b', 3)]
# expect: [1, 'gone', 1]
# expect: [2, 'NameError', 2, 3]
import os

from enact_pool import Pool


class Place:
    def __init__(self, name):
        self.name = name


def a():
    return "a"


def b():
    return "b"


small, large, dev, prod = [1], [1, 2], Place("dev"), Place("prod")
data, place, strategy = small, dev, a
rows, jobs = [1], [1, 2]


def seen(_):
    return len(data), place.name, strategy(), len(data) + len(small)


def count(_):
    try:
        return len(rows)
    except NameError:
        return "gone"


def number(_):
    return len(jobs)


with Pool(1) as pool:
    found = []
    for chosen in [(small, dev, a), (large, prod, b)] * 2:
        data, place, strategy = chosen
        found.append(pool.run_parallel([seen], 0)[0].output.unwrap())
    print(found)
    found = [pool.run_parallel([count], 0)[0].output.unwrap()]
    kept = rows
    del rows
    found.append(pool.run_parallel([count], 0)[0].output.unwrap())
    rows = kept
    found.append(pool.run_parallel([count], 0)[0].output.unwrap())
    print(found)
    found = [pool.run_parallel([number], 0)[0].output.unwrap()]
    with open(os.devnull) as file:
        jobs.append(file)
        found.append(pool.run_parallel([number], 0)[0].output.type)
        jobs.pop()
    found.append(pool.run_parallel([number], 0)[0].output.unwrap())
    jobs.append(3)
    found.append(pool.run_parallel([number], 0)[0].output.unwrap())
    print(found)
