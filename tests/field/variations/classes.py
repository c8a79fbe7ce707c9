import abc
import collections.abc
import contextlib
import functools
import operator
import typing
from typing import Generic, NamedTuple, TypeVar

from variation_checks import equals, instance, own, same

T = TypeVar("T")


class Node:
    def link(self):
        return Leaf()


class Leaf(Node):
    parent = Node


Node.child = Leaf


class Vector:
    def __init__(self, *parts):
        self.parts = parts

    def __add__(self, other):
        return Vector(*map(operator.add, self.parts, other.parts))

    def __eq__(self, other):
        return isinstance(other, Vector) and self.parts == other.parts

    def __hash__(self):
        return hash(self.parts)

    def __class_getitem__(cls, n):
        return f"{cls.__name__} of {n}"


class Validated:
    def __set_name__(self, owner, name):
        self.name = f"_{name}"

    def __get__(self, instance, owner=None):
        return self if instance is None else getattr(instance, self.name, 0)

    def __set__(self, instance, value):
        if value < 0:
            raise ValueError(f"{self.name[1:]} is negative")
        setattr(instance, self.name, value)


class Account:
    balance = Validated()
    __secret = 5

    def secret(self):
        return self.__secret


class Dynamic:
    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return name.upper()

    def __dir__(self):
        return ["dynamic"]


class Mapping(collections.abc.Mapping):
    def __init__(self, **values):
        self.values_ = values

    def __getitem__(self, key):
        return self.values_[key]

    def __iter__(self):
        return iter(self.values_)

    def __len__(self):
        return len(self.values_)


class Stack(Generic[T]):
    kinds: typing.ClassVar[dict] = {}

    def __init__(self):
        self.items: list[T] = []

    def push(self, item: T) -> "Stack[T]":
        self.items.append(item)
        return self


class IntStack(Stack[int]):
    def push(self, item):
        return super().push(item + 1)


Stack.kinds["int"] = IntStack


class Inner(NamedTuple):
    n: int = 1

    def double(self):
        return self.n * 2


class Outer:
    Inner = Inner

    class Nested(Inner):
        class Deep:
            level = 3


class Managed(contextlib.ContextDecorator):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return True


class Ordered:
    def __init__(self, n=1):
        self.n = n

    def __lt__(self, other):
        return self.n < other.n


Ordered = functools.total_ordering(Ordered)


class OwnError(Exception):
    def __init__(self, text, *, code=1):
        super().__init__(text)
        self.code = code

    def __reduce__(self):
        return functools.partial(OwnError, code=self.code), self.args


class Template(abc.ABC):
    @property
    @abc.abstractmethod
    def name(self): ...

    def greet(self):
        return f"hi {self.name}"


class Filled(Template):
    name = "filled"


class Text(str):
    def shout(self):
        return Text(self.upper())


def local():
    class Local:
        n = 1

    return Local


Local = local()
Made = type("Made", (Vector,), {"kind": "made", "get": lambda self: self.kind})


def linked(_):
    return type(Node().link()) is Leaf, Node.child is Leaf, Leaf.parent is Node


def operators(_):
    return Vector(1, 2) + Vector(3, 4), {Vector(1): "a"}[Vector(1)], Vector[3]


def validated(_):
    account = Account()
    account.balance = 3
    try:
        account.balance = -1
    except ValueError as error:
        return account.balance, str(error), account.secret(), isinstance(Account.balance, Validated)


def dynamic(_):
    return Dynamic().anything, dir(Dynamic()), dict(Mapping(a=1)), "a" in Mapping(a=1)


def generic(_):
    return IntStack().push(1).items, Stack[str]().push("a").items, Stack.kinds["int"] is IntStack


def nested(_):
    return (
        Outer.Inner is Inner,
        Outer.Nested(4).double(),
        Outer.Nested.Deep.level,
        Inner(5).double(),
    )


def managed(_):
    with Managed():
        raise ValueError("it is suppressed")
    return Ordered(1) <= Ordered(2), Filled().greet(), Text("a").shout()


def errors(_):
    try:
        raise OwnError("text", code=5)
    except OwnError as error:
        return error.code, error.args


def locals_(_):
    return Local().n, local()().n, Made(1).get(), isinstance(Made(), Vector)


same(linked, operators, validated, dynamic, generic, nested, managed, errors, locals_)
for kind in (Node, Leaf, Vector, Account, Dynamic, Mapping, Stack, IntStack, Inner, Outer.Nested):
    instance(lambda _, kind=kind: kind(), kind)
    own(lambda _, kind=kind: kind, kind)
for kind in (Outer.Nested.Deep, Managed, Ordered, Filled, Text, Made, Local):
    instance(lambda _, kind=kind: kind(), kind)
instance(lambda _: OwnError("x", code=7), OwnError)
equals(lambda _: type(local()()).__name__, "Local")
