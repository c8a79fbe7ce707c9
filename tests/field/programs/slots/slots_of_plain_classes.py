"""Instances of classes with `__slots__`, also inherited ones, keep what they hold."""

# expect: Ok((1, 2, False))
# expect: 1 unset
# expect: 1 2 3
# expect: 1 {'free': 4}
# expect: AttributeError
from enact_pool import Pool


class Base:
    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a


class Derived(Base):
    __slots__ = ("b", "__weakref__", "_Derived__hidden")

    def __init__(self, a, b):
        super().__init__(a)
        self.b = b
        self.__hidden = 3

    def hidden(self):
        return self.__hidden


class Open(Base):
    pass


class Unset:
    __slots__ = ("a", "b")


def values(derived):
    return derived.a, derived.b, hasattr(derived, "__dict__")


def unset(_):
    made = Unset()
    made.a = 1
    return made


def derived(_):
    return Derived(1, 2)


def open_one(_):
    made = Open(1)
    made.free = 4
    return made


def refused(_):
    Base(1).new = 2


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([values], Derived(1, 2))[0].output)
    back = pool.run_parallel([unset], 0)[0].output.unwrap()
    print(back.a, getattr(back, "b", "unset"))
    back = pool.run_parallel([derived], 0)[0].output.unwrap()
    print(back.a, back.b, back.hidden())
    back = pool.run_parallel([open_one], 0)[0].output.unwrap()
    print(back.a, vars(back))
    print(pool.run_parallel([refused], 0)[0].output.type)
