import copy
import enum
import functools
import io
import json
import marshal
import pickle
from collections import namedtuple
from dataclasses import dataclass
from typing import NamedTuple

from variation_checks import equals, same

Pair = namedtuple("Pair", "a b")


class Named(NamedTuple):
    a: int


@dataclass(frozen=True)
class Row:
    n: int


class Letter(enum.Enum):
    A = 1


class Reduced:
    def __init__(self, n):
        self.n = n

    def __reduce__(self):
        return make, (self.n,)

    def __eq__(self, other):
        return type(other) is Reduced and other.n == self.n

    __hash__ = None


class Global:
    def __reduce__(self):
        return "GLOBAL"


GLOBAL = Global()


class Outer:
    class Inner:
        def __eq__(self, other):
            return type(other) is Outer.Inner

        __hash__ = None


class OwnError(Exception):
    pass


def make(n):
    return Reduced(n)


def again(value):
    return pickle.loads(pickle.dumps(value))


def objects(_):
    values = [Pair(1, 2), Named(1), Row(3), Letter.A, Reduced(4), Outer.Inner()]
    return all(again(value) == value for value in values)


def definitions(_):
    values = [Pair, Row, Letter, Outer.Inner, make, again, Row.__init__]
    return all(again(value) is value for value in values)


def partials(_):
    return again(functools.partial(make, 5))().n


def bound(_):
    return again(Reduced(6).__reduce__)()[1]


def a_name(_):
    return again(GLOBAL) is GLOBAL


def errors(_):
    return again(OwnError("x")).args


def every_protocol(_):
    return [pickle.loads(pickle.dumps(Row(1), protocol)) == Row(1) for protocol in range(6)]


def in_python(_):
    return pickle._loads(pickle._dumps(Row(1))) == Row(1)


def by_hand(_):
    buffer = io.BytesIO()
    pickle.Pickler(buffer, protocol=4).dump({"row": Row(1)})
    buffer.seek(0)
    return pickle.Unpickler(buffer).load()["row"].n


def copies(_):
    return copy.deepcopy({"a": [Row(1)]})["a"][0] == Row(1), copy.copy(Letter.A) is Letter.A


def others(_):
    return json.dumps(Pair(1, 2)), marshal.loads(marshal.dumps(make.__code__)) == make.__code__


same(objects, definitions, partials, bound, a_name, errors, every_protocol, in_python, by_hand)
same(copies, others)
stored = pickle.dumps([Row(7), Letter.A, make, Outer.Inner])
same(lambda _: pickle.loads(stored))
equals(lambda _: pickle.dumps(Row(7)), pickle.dumps(Row(7)))
