"""Classes of many kinds are themselves in tasks, and their instances come back as theirs."""

# expect: Ok((1, 'z'))
# expect: Ok((True, 'went'))
# expect: Ok(('field', 'Outer.Inner', 'Outer'))
# expect: [True, True, True, True, True, True]
import abc
import collections
import typing

from enact_pool import Pool

T = typing.TypeVar("T")


class Named(typing.NamedTuple):
    a: int
    b: str = "z"


Point = collections.namedtuple("Point", "x y")


class Runs(typing.Protocol):
    def go(self): ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    def go(self): ...


class Concrete(Abstract):
    def go(self):
        return super().go() or "went"


class Box(typing.Generic[T]):
    def __init__(self, value):
        self.value = value


class Field:
    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner):
        return self.name


class Outer:
    field = Field()

    class Inner:
        def who(self):
            return __class__.__qualname__

    @classmethod
    def own(cls):
        return cls.__name__


class Mapping(dict):
    pass


def tuples(_):
    return Named(1).a, Named(1).b


def abstract(_):
    try:
        Abstract()
    except TypeError:
        return isinstance(Concrete(), Abstract), Concrete().go()
    return "an abstract class was made"


def nested(_):
    return Outer.field, Outer.Inner().who(), Outer.own()


def instances(_):
    return [Named(1), Point(1, 2), Concrete(), Box[int](1), Outer.Inner(), Mapping(a=1)]


# --- run ---
with Pool(1) as pool:
    for function in (tuples, abstract, nested):
        print(pool.run_parallel([function], 0)[0].output)
    back = pool.run_parallel([instances], 0)[0].output.unwrap()
kinds = [Named, Point, Concrete, Box, Outer.Inner, Mapping]
print([type(one) is kind for one, kind in zip(back, kinds, strict=True)])
