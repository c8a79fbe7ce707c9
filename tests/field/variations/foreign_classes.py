# needs: attrs
import abc
import collections
import ctypes
import dataclasses
import enum
import functools
from typing import NamedTuple

import attrs
from variation_checks import equals, instance, own, same


class Pair(collections.namedtuple("Pair", "a b", defaults=[2])):
    __slots__ = ()

    def total(self):
        return self.a + self.b


class Typed(NamedTuple):
    a: int
    b: str = "b"

    def both(self):
        return f"{self.a}{self.b}"


class Lazy(enum.Enum):
    A = 1
    B = 2

    @functools.cached_property
    def double(self):
        return self.value * 2


class Field:
    def __set_name__(self, owner, name):
        self.owner, self.name = owner, name

    def __get__(self, instance, owner=None):
        return self.owner.__name__, self.name, owner is self.owner


class Holder:
    one = Field()
    two = Field()


class Plugin(abc.ABC):
    registry = {}

    def __init_subclass__(cls, key=None, **keywords):
        super().__init_subclass__(**keywords)
        if key:
            cls.registry[key] = cls

    @abc.abstractmethod
    def run(self): ...


class First(Plugin, key="first"):
    def run(self):
        return sorted(self.registry)


class Second(First, key="second"):
    def run(self):
        return [*super().run(), "more"]


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
    b: list = dataclasses.field(default_factory=list)


@attrs.define(slots=True)
class Cached:
    a: int = 1
    b: list = attrs.field()

    @b.default
    def _b(self):
        return [self.a]

    @functools.cached_property
    def twice(self):
        return self.a * 2


class Tree(ctypes.Structure):
    def depth(self):
        return 1 + (self.child[0].depth() if self.child else 0)


Tree._fields_ = [("value", ctypes.c_int), ("child", ctypes.POINTER(Tree))]


class Wide(ctypes.Union):
    _fields_ = [("trees", Tree * 2), ("byte", ctypes.c_uint8)]


class Size(ctypes.Union):
    _fields_ = [("whole", ctypes.c_uint32), ("bytes", ctypes.c_uint8 * 4)]


def a_tree(_):
    return Tree(1, ctypes.pointer(Tree(2))).depth()


def kinds_in_a_tree(_):
    return Tree._fields_[1][1] is ctypes.POINTER(Tree), ctypes.sizeof(Wide), Wide.byte.size


same(
    lambda _: (Pair(1).total(), Pair(1), Pair._field_defaults),
    lambda _: (Typed(3).both(), Typed(3)._replace(a=4), list(Typed.__annotations__)),
    lambda _: (Lazy.A.double, Lazy.B.double, Lazy.A.double),
    lambda _: (Holder.one, Holder().two),
    lambda _: (First().run(), Second().run(), Plugin.registry["second"] is Second),
    lambda _: (Slotted(1), hasattr(Slotted(1), "__dict__"), dataclasses.replace(Slotted(1), a=3)),
    lambda _: (Cached(3).twice, Cached(3).b, attrs.evolve(Cached(3), b=[])),
    a_tree,
    kinds_in_a_tree,
)
equals(lambda _: issubclass(Second, Plugin), True)
own(lambda _: Plugin.registry["first"], First)
own(lambda _: ctypes.POINTER(Tree), ctypes.POINTER(Tree))
own(lambda _: Tree * 2, Tree * 2)
own(lambda _: Holder.__dict__["one"].owner, Holder)
instance(lambda _: Pair(1), Pair)
instance(lambda _: Size(), Size)
instance(lambda _: Cached(2), Cached)
instance(lambda _: Slotted(2), Slotted)
