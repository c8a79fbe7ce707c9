"""Objects of an importable class whose `__reduce__` returns the name of a global of the script."""

# expect: Ok(2)
# expect: Ok(('first', True))
# expect: Ok('first')
# expect: Ok(2)
from pathlib import Path

from enact_pool import Pool

Path("foreign_callables.py").write_text(
    """
import functools

class Counted:
    def __init__(self, function):
        functools.update_wrapper(self, function)

    def __reduce__(self):
        return self.__name__

    def __call__(self, *args):
        return self.__wrapped__(*args)

class Marker:
    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return self.name
"""
)
import foreign_callables  # noqa: E402


@foreign_callables.Counted
def increased(n):
    return n + 1


first = foreign_callables.Marker("first")


def of_marker(_):
    return first.name, first is globals()["first"]


def name_of(marker):
    return marker.name


def increased_once(n):
    return increased(n)


with Pool(1) as pool:
    print(pool.run_parallel([increased], 1)[0].output)
    print(pool.run_parallel([of_marker], 1)[0].output)
    print(pool.run_parallel([name_of], first)[0].output)
    print(pool.run_parallel([increased_once], 1)[0].output)
