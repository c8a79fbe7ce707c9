# needs: numpy
import numpy as np
from variation_checks import equals, same


class Labelled(np.ndarray):
    label = "of the class"

    def __array_finalize__(self, array):
        self.own = getattr(array, "own", "default")

    def double(self):
        return self * 2


class Record(np.recarray):
    pass


LARGE = np.arange(1_000_000.0)
SMALL = np.arange(3.0)
VIEW = LARGE[::2]
MAPPED = np.memmap("map.dat", "i4", "w+", shape=(100_000,))
MAPPED[:] = 7
OFFSET = np.memmap("map.dat", "i4", "r", offset=4000, shape=(10, 10))
FORTRAN = np.asfortranarray(np.arange(6.0).reshape(2, 3))
STRUCTURED = np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
MASKED = np.ma.masked_greater(np.arange(5), 2)
OBJECTS = np.array([{"a": 1}, Labelled], dtype=object)
LABELLED = np.arange(3.0).view(Labelled)
RECORD = np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]).view(Record)
READ_ONLY = np.arange(3)
READ_ONLY.flags.writeable = False
EMPTY, ZERO = np.empty((0, 3)), np.array(5)
TEXTS, DATES = np.array(["a", "ü"]), np.array(["2024-01-01"], dtype="M8[D]")
plus = np.vectorize(lambda x: x + 1)


def add(x):
    return x + 1


UFUNC = np.frompyfunc(add, 1, 1)


def sums(_):
    return [float(a.sum()) for a in (LARGE, VIEW, MAPPED, OFFSET, FORTRAN, MASKED, LABELLED)]


def shapes(_):
    return [a.shape for a in (OFFSET, FORTRAN, STRUCTURED, EMPTY, ZERO, RECORD, OBJECTS)]


def values(_):
    return STRUCTURED["b"].tolist(), MASKED.tolist(), OBJECTS[0], TEXTS.tolist(), str(DATES[0])


def kinds(_):
    return [type(a).__name__ for a in (MASKED, LABELLED, RECORD, ZERO[()])], OBJECTS[1] is Labelled


def labels(_):
    return (
        LABELLED.label,
        LABELLED.own,
        LABELLED.double().tolist(),
        type(LABELLED.double()) is Labelled,
    )


def functions(_):
    return plus(np.array([1, 2])).tolist()


def flags(_):
    return FORTRAN.flags.f_contiguous, READ_ONLY.tolist()


def written(_):
    SMALL[0] = -1
    return float(SMALL[0])


same(sums, shapes, values, kinds, labels, functions, flags)
equals(written, -1.0)
equals(lambda _: float(SMALL[0]), -1.0)
assert SMALL[0] == 0, "a task's change is not the caller's"
LARGE[0] = SMALL[0] = 5
same(sums, lambda _: float(LARGE[0]), lambda _: float(SMALL[0]))
MAPPED[:10] = 1
MAPPED.flush()
same(sums)
for array in (LARGE, VIEW, OFFSET, FORTRAN, STRUCTURED, EMPTY, TEXTS, DATES, LABELLED):
    equals(
        lambda _, a=array: (a.shape, str(a.dtype), a.tolist()[:3]),
        (array.shape, str(array.dtype), array.tolist()[:3]),
    )
