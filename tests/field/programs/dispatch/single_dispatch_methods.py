"""Generic methods dispatch in a task, and instances of their class come and go."""

# expect: Ok(('int', 'other', 'class list'))
# expect: Ok('int')
# expect: True
from functools import singledispatchmethod

from enact_pool import Pool


class Shown:
    @singledispatchmethod
    def show(self, x):
        return "other"

    @show.register
    def _(self, x: int):
        return "int"

    @singledispatchmethod
    @classmethod
    def of_class(cls, x):
        return "class other"

    @of_class.register
    @classmethod
    def _(cls, x: list):
        return "class list"


def show_all(_):
    return Shown().show(1), Shown().show("x"), Shown.of_class([])


def show(shown):
    return shown.show(2)


def same(shown):
    return shown


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([show_all], 0)[0].output)
    print(pool.run_parallel([show], Shown())[0].output)
    print(type(pool.run_parallel([same], Shown())[0].output.unwrap()) is Shown)
