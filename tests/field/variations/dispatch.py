import abc
import enum
import functools
import json
import operator
from collections.abc import Sized
from functools import singledispatch, singledispatchmethod

from variation_checks import own, same


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Square(Shape):
    def area(self):
        return 4


class Virtual:
    pass


Shape.register(Virtual)


class Letter(enum.Enum):
    A = 1


@singledispatch
def kind(x, *, more=""):
    """Tell what kind of object this is."""
    return f"object{more}"


@kind.register(int)
@kind.register(float)
def number(x, *, more=""):
    return f"number{more}"


@kind.register
def _(x: Sized, *, more=""):
    return f"sized{more}"


@kind.register
def _(x: Shape, *, more=""):
    return f"shape{more}"


@kind.register
def _(x: Letter, *, more=""):
    return f"letter{more}"


kind.register(type(None), lambda x, more="": "none")


class Encoder(json.JSONEncoder):
    def default(self, o):
        return encode(o)


@singledispatch
def encode(o):
    raise TypeError(type(o).__name__)


@encode.register
def _(o: Square):
    return {"area": o.area()}


class Visitor:
    def __init__(self):
        self.seen = []

    @singledispatchmethod
    def visit(self, node):
        self.seen.append("node")
        return self

    @visit.register
    def _(self, node: Shape):
        self.seen.append("shape")
        return self

    @visit.register(list)
    def _(self, nodes):
        for node in nodes:
            self.visit(node)
        return self


class LoudVisitor(Visitor):
    @Visitor.visit.register
    def _(self, node: str):
        self.seen.append(node.upper())
        return self


handlers = {}


def handles(*names):
    def register(function):
        handlers.update(dict.fromkeys(names, function))
        return function

    return register


@handles("add", "plus")
def add(a, b):
    return a + b


@handles("call")
def call(name, *arguments):
    return handlers[name](*arguments)


handlers["multiply"] = operator.mul
handlers["partial"] = functools.partial(add, 1)


def kinds(_):
    return [kind(x) for x in (1, 1.5, "a", object(), Square(), Virtual(), Letter.A, None, True)]


def keywords(_):
    return kind(1, more="!"), kind("x", more="?")


def described(_):
    return kind.__name__, kind.__doc__, kind.dispatch(bool) is number, len(kind.registry)


def encoded(_):
    return json.dumps([Square()], cls=Encoder)


def visited(_):
    return Visitor().visit([Square(), 1, [Virtual()]]).seen, LoudVisitor().visit(["a", 1]).seen


def handled(_):
    called = call("plus", 1, 2), call("call", "multiply", 3, 4), call("partial", 5)
    return called, handlers["add"] is add, sorted(handlers)


same(kinds, keywords, described, encoded, visited, handled)
own(lambda _: number, number)
own(lambda _: handlers["plus"], add)
own(lambda _: kind, kind)
kind.register(dict, lambda x, more="": "dict")
same(lambda _: (kind({}), kind([])))
handlers["late"] = lambda: "late"
same(lambda _: call("late"))
