"""Subclasses of arrays and slices of them arrive as they are, and change nothing here."""

# needs: numpy
# expect: Ok(('Labelled', 'metres', 6.0))
# expect: Ok(('MaskedArray', 2, 4.0))
# expect: Ok(('memmap', 10))
# expect: Ok((10, 45.0))
# expect: Labelled metres True
# expect: [0. 1. 2.]
import numpy as np

from enact_pool import Pool


class Labelled(np.ndarray):
    def __array_finalize__(self, array):
        self.label = getattr(array, "label", None)

    def __reduce__(self):
        function, arguments, state = super().__reduce__()
        return function, arguments, (state, self.label)

    def __setstate__(self, state):
        super().__setstate__(state[0])
        self.label = state[1]


def described(array):
    return type(array).__name__, array.label, float(array.sum())


def masked(array):
    return type(array).__name__, int(array.count()), float(array.sum())


def mapped(array):
    return type(array).__name__, len(array)


def sliced(array):
    total = float(array.sum())
    array[:] = 0
    return len(array), total


def labelled(_):
    array = np.arange(3.0).view(Labelled)
    array.label = "metres"
    return array


# --- run ---
array = np.arange(4.0).view(Labelled)
array.label = "metres"
whole = np.arange(30.0)
with Pool(1) as pool:
    print(pool.run_parallel([described], array)[0].output)
    hidden = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
    print(pool.run_parallel([masked], hidden)[0].output)
    file = np.memmap("map.dat", "u1", "w+", shape=(10,))
    print(pool.run_parallel([mapped], file)[0].output)
    print(pool.run_parallel([sliced], (whole / 3)[::3])[0].output)
    back = pool.run_parallel([labelled], 0)[0].output.unwrap()
print(type(back).__name__, back.label, type(back) is Labelled)
print(whole[:3])
