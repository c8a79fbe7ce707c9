"""An enum whose `__new__` sets the values works as an input, in a task and as a result."""

# expect: Ok(('P.Y', b'\x01', 'PY'))
# expect: Ok('P.X')
# expect: True True
# expect: Ok('red')
from enum import Enum

from enact_pool import Pool


class Coordinate(bytes, Enum):
    def __new__(cls, value, label):
        member = bytes.__new__(cls, [value])
        member._value_ = value
        member.label = label
        return member

    PX = (0, "P.X")
    PY = (1, "P.Y")


class Counted(Enum):
    def __new__(cls, *_):
        member = object.__new__(cls)
        member._value_ = len(cls.__members__) + 1
        return member

    ONE = ()
    TWO = ()


class Colour(Enum):
    RED = "red"

    @classmethod
    def _missing_(cls, value):
        return cls.RED


def by_name(_):
    return Coordinate.PY.label, bytes(Coordinate.PY), Coordinate(1).name


def label(coordinate):
    return coordinate.label


def members(_):
    return Coordinate.PX, Counted(2)


def missing(_):
    return Colour("green").value


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([by_name], 0)[0].output)
    print(pool.run_parallel([label], Coordinate.PX)[0].output)
    coordinate, counted = pool.run_parallel([members], 0)[0].output.unwrap()
    print(coordinate is Coordinate.PX, counted is Counted.TWO)
    print(pool.run_parallel([missing], 0)[0].output)
