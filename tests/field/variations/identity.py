import enum
import functools
import types
from collections import namedtuple
from typing import Generic, NamedTuple, TypeVar

from variation_checks import equals, instance, own, same

T = TypeVar("T")


class Outer:
    class Middle:
        class Inner:
            pass

        @staticmethod
        def static():
            return 1

    @property
    def size(self):
        return 2


class Box(Generic[T]):
    pass


class Named(NamedTuple):
    a: int = 1


class Meta(type):
    pass


class Made(metaclass=Meta):
    pass


class Letter(enum.Enum):
    A = "a"


class OwnError(ValueError):
    pass


class Items(list):
    pass


Pair = namedtuple("Pair", "a b")
Dynamic = type("Dynamic", (), {"n": 1})
renamed = Outer
square = lambda x: x * x  # noqa: E731 - as users write it
aliased = square


def decorated(function):
    @functools.wraps(function)
    def inner(*arguments):
        return function(*arguments)

    return inner


@decorated
@decorated
def twice(_):
    return 2


@decorated
class Factory:
    pass


def holder(_):
    return types.SimpleNamespace(cls=Outer.Middle, function=twice)


for definition in (
    Outer,
    Outer.Middle.Inner,
    Box,
    Named,
    Made,
    Meta,
    Letter.A,
    Pair,
    Dynamic,
    twice,
):
    own(lambda _, definition=definition: definition, definition)
own(lambda _: renamed, Outer)
own(lambda _: aliased, square)
own(lambda _: Outer.Middle.static, Outer.Middle.static)
own(lambda _: Factory, Factory)
own(lambda _: T, T)
for kind in (Outer, Outer.Middle.Inner, Box, Named, Made, OwnError, Items, Dynamic):
    instance(lambda _, kind=kind: kind(), kind)
instance(lambda _: Pair(1, 2), Pair)
instance(lambda _: Factory(), Factory.__wrapped__)


def isinstance_holds(_):
    return isinstance(Made(), Made), isinstance(Items(), list), issubclass(OwnError, ValueError)


def one_object_stays_one(_):
    both = [Items()]
    both.append(both[0])
    return both


same(isinstance_holds)
equals(lambda _: holder(0).cls is Outer.Middle and holder(0).function is twice, True)
own(lambda _: type(holder(0)), types.SimpleNamespace)
