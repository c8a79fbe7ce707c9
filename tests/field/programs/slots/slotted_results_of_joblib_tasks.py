"""Instances of a slotted class, and of a dataclass, come back from tasks of joblib."""

# needs: joblib
# expect: [Point(x=1), Point(x=2)] True
# expect: [1, 2]
# expect: True
import dataclasses

import joblib

import enact_pool.joblib


@dataclasses.dataclass(slots=True)
class Point:
    x: int


class Plain:
    __slots__ = ("n",)

    def __init__(self, n):
        self.n = n


def shift(point):
    return Point(point.x + 1)


# --- run ---
enact_pool.joblib.register()
with joblib.parallel_config(backend="enact", n_jobs=2):
    points = joblib.Parallel()(joblib.delayed(shift)(Point(n)) for n in range(2))
    plain = joblib.Parallel()(joblib.delayed(Plain)(n) for n in (1, 2))
print(points, type(points[0]) is Point)
print([one.n for one in plain])
print(dataclasses.fields(Point)[0].default is dataclasses.MISSING)
