"""A cache of a method of an importable class, which the object makes for itself."""

# expect: (3, 3, 1)
# expect: At(n=1)
# needs: cattrs
from fractions import Fraction
from functools import lru_cache

import attrs
import cattrs

from enact_pool import Pool


class Sums:
    def __init__(self):
        self.add = lru_cache(None)(Fraction(1).__add__)


@attrs.define
class At:
    n: int


sums = Sums()
converter = cattrs.Converter()


def add(_):
    return int(sums.add(2)), int(sums.add(2)), sums.add.cache_info().hits


def structure(_):
    return converter.structure({"n": 1}, At)


# --- run ---
with Pool(1) as pool:
    for function in (add, structure):
        print(pool.run_parallel([function], 0)[0].output.unwrap())
