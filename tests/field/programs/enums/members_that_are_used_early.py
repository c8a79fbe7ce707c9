"""Members in attributes of their own enum, and flags that were inverted before a run."""

# expect: Ok('late')
# expect: Ok((True, 'two'))
# expect: Ok(('R', True))
# expect: Ok(6)
from enum import Enum, Flag, IntFlag, auto

from enact_pool import Pool


class Late(Enum):
    A = 1
    B = 2


class Hashed(Enum):
    ONE = "one"
    TWO = "two"

    def __hash__(self):
        return hash(self.value)


class Permission(Flag):
    R = auto()
    W = auto()
    X = auto()


class Mode(IntFlag):
    A = 1
    B = 2
    C = 4


Late.texts = {Late.A: "late"}
Hashed.some = frozenset([Hashed.TWO])
rest = ~Permission.R
others = ~Mode.A


def text(_):
    return Late.texts[Late.A]


def some(_):
    (only,) = Hashed.some
    return only is Hashed.TWO, only.value


def inverted(_):
    return Permission.R.name, rest == ~Permission.R


def mode(_):
    return int(~Mode.A) & 7


# --- run ---
with Pool(1) as pool:
    for function in (text, some, inverted, mode):
        print(pool.run_parallel([function], 0)[0].output)
