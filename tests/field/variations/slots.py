# needs: attrs
import abc
import dataclasses
import enum
from typing import Generic, TypeVar

import attrs
from variation_checks import instance, same

T = TypeVar("T")


class Plain:
    __slots__ = ("a",)

    def __init__(self, a=1):
        self.a = a

    def __eq__(self, other):
        return type(other) is type(self) and other.a == self.a

    __hash__ = None


class Text:
    __slots__ = "only"

    def __init__(self):
        self.only = "one"


class Described:
    __slots__ = {"a": "documented"}

    def __init__(self):
        self.a = 1


class Empty:
    __slots__ = ()


class WithState:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, 2

    def __getstate__(self):
        return {"a": self.a}

    def __setstate__(self, state):
        self.a, self.b = state["a"], "restored"


class WithDict(Plain):
    __slots__ = ("__dict__",)


class Box(Generic[T]):
    __slots__ = ("content",)

    def __init__(self, content=1):
        self.content = content


class Abstract(abc.ABC):
    __slots__ = ("a",)

    @abc.abstractmethod
    def go(self): ...


class Concrete(Abstract):
    __slots__ = ("b",)

    def __init__(self):
        self.a, self.b = 1, 2

    def go(self):
        return self.a + self.b


class Guarded:
    __slots__ = ("_a",)

    def __init__(self):
        object.__setattr__(self, "_a", 1)

    def __setattr__(self, name, value):
        raise AttributeError(f"{name} cannot be set")

    def __reduce__(self):
        return Guarded, ()


class OwnInt(int):
    __slots__ = ()


class OwnError(Exception):
    __slots__ = ("code",)


@dataclasses.dataclass(slots=True, order=True)
class Ordered:
    n: int = 1
    own: list = dataclasses.field(default_factory=list, compare=False)


@dataclasses.dataclass(slots=True)
class Derived(Ordered):
    m: int = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    n: int = 1


@attrs.define
class Defined:
    n: int = 1


@attrs.frozen
class AttrsFrozen(Defined):
    m: int = attrs.field(default=2, repr=False)


class Letter(enum.Enum):
    A = Frozen(5)


KINDS = (
    *(Plain, Text, Described, Empty, WithState, WithDict, Box, Concrete, Guarded, OwnInt, OwnError),
    *(Ordered, Derived, Frozen, Defined, AttrsFrozen),
)


def slots(_):
    return [getattr(kind, "__slots__", None) for kind in KINDS]


def without_dict(_):
    return [hasattr(kind(), "__dict__") for kind in KINDS]


def refusals(_):
    refused = []
    for kind in (Plain, Text, Described, Empty, Ordered, Derived, Frozen, Defined):
        try:
            kind().new = 1
        except (AttributeError, TypeError):
            refused.append(kind.__name__)
    return refused


def contents(_):
    with_dict = WithDict(3)
    with_dict.free = 4
    return (
        Concrete().go(),
        Box[int](2).content,
        vars(with_dict),
        Described.a.__doc__,
        Letter.A.value.n,
    )


def values(_):
    return [Plain(2), Ordered(2), Derived(2, m=3), Frozen(2), Defined(2), AttrsFrozen(2), OwnInt(3)]


def nested(_):
    return {"a": (Plain(1), [Ordered(own=[Frozen()])])}


same(slots, without_dict, refusals, contents, values, nested)
for kind in KINDS:
    instance(lambda _, kind=kind: kind(), kind)
    made = kind()
    instance(lambda _, made=made: made, kind)
same(values)
