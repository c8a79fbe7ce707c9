"""Random programs: definitions that refer to each other, and a run that uses them."""

from __future__ import annotations

from drawn_definitions import definition
from hypothesis import strategies as st
from user_programs import RUN

__all__ = ["programs"]

HEADER = '''\
import abc, collections, contextvars, dataclasses, datetime, decimal, enum, fractions, functools
import operator, pathlib, re, threading, typing, uuid
from functools import cached_property

HOOKED = []


class Hooked:
    def __init_subclass__(cls, tag="untagged", **options):
        super().__init_subclass__(**options)
        HOOKED.append((cls.__name__, tag))


class Meta(type):
    def __new__(mcs, name, bases, namespace, **options):
        cls = super().__new__(mcs, name, bases, namespace)
        cls.options = options
        return cls


def plain(value, depth=0):
    """Return a description of an object that is the same in each process."""
    if depth > 6:
        return "..."
    more = functools.partial(plain, depth=depth + 1)
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, dict):
        return {more(k): more(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(str(more(v)) for v in value)
    if isinstance(value, (list, tuple, collections.deque)):
        return type(value).__name__, [more(v) for v in value]
    if isinstance(value, type) or hasattr(value, "__qualname__"):
        return f"<{value.__qualname__}>"
    if type(value).__module__ == Hooked.__module__:
        return type(value).__name__, [
            (name, more(getattr(value, name)))
            for name in ("n", "held", "summed", "doubled", "first", "second")
            if hasattr(value, name)
        ]
    if isinstance(value, functools.partial):
        return "partial", more(value.func), more(value.args)
    if isinstance(value, contextvars.ContextVar):
        return "variable", more(value.get(None))
    if type(value).__name__ in ("lock", "RLock"):
        with value:
            return "lock"
    return repr(value)

'''

# What a run does with the definitions, which have the names `NAMES`. At the end, the program checks
# that the caller's definitions are unchanged: the globals, and what classes and functions own.
TAIL = '''\
from enact_pool import Pool, PoolExecutor

CONTAINERS = (list, dict, set, collections.deque)


def owned(value):
    """Return the objects that belong to a definition, by name."""
    if isinstance(value, type):
        # Pickle itself sets this attribute of a class whose instances it pickles.
        return {name: own for name, own in vars(value).items() if name != "__slotnames__"}
    if hasattr(value, "__code__"):
        own = {"code": value.__code__, "defaults": value.__defaults__, "globals": value.__globals__}
        return {**own, **vars(value)}
    if isinstance(value, CONTAINERS):
        return dict(enumerate(value.items() if isinstance(value, dict) else value))
    if type(value).__module__ == Hooked.__module__ and hasattr(value, "__dict__"):
        return dict(vars(value))
    return {}


def snapshot():
    names = [*NAMES, "HOOKED", "Hooked", "Meta", "plain"]
    return {name: (globals()[name], owned(globals()[name])) for name in names}


def is_same(one, other):
    # The pairs of a dict are new each time; their contents are not.
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(map(is_same, one, other))
    return one is other or (type(one) is type(other) and one == other)


def changes(before, after):
    for name, (value, own) in before.items():
        if after[name][0] is not value:
            yield name
        now = after[name][1]
        if own.keys() != now.keys():
            yield f"{name}: {sorted(map(str, own.keys() ^ now.keys()))}"
        else:
            yield from (f"{name}.{key}" for key in own if not is_same(own[key], now[key]))


def has_no_name(value):
    """Return whether a value is a lambda or nested function, which a module cannot name."""
    return "<" in getattr(value, "__qualname__", "")


def is_callers_own(made, here):
    """Return whether a result is the caller's own object, or an instance of its own class."""
    if isinstance(here, (type, enum.Enum)) or hasattr(here, "__code__"):
        return made is here
    return type(made) is type(here)


functions = [globals()[f"{what}_{name}"] for name in NAMES for what in ("show", "make")]
inputs = [make(None) for make in functions[1::2]]
before = snapshot()
with Pool(1) as pool, PoolExecutor(1) as executor:
    outcomes = [result.output for result in pool.run_parallel(functions, None)]
    futures = [executor.submit(function, None) for function in functions]
    errors = [future.exception() for future in futures]
    named = [made for made in inputs if not has_no_name(made)]
    passed = [pool.run_parallel([plain], made)[0].output for made in named]
changed = sorted(changes(before, snapshot()))
for function, output, future in zip(functions, outcomes, futures):
    name = function.__name__
    for way, value in (("run", output.unwrap), ("executor", future.result)):
        if name.startswith("make") and has_no_name(function(None)):
            continue
        try:
            value = value()
        except Exception:  # say, a lock that is part of a result
            print(name, way, "FAILED")
            continue
        if name.startswith("make"):
            print(name, way, plain(value), is_callers_own(value, function(None)))
        else:
            print(name, way, value, "as here", value == function(None))
for output in passed:
    print("passed", output if output.is_ok else "FAILED")
print("changed:", changed)
'''


@st.composite
def programs(draw: st.DrawFn) -> str:
    """Draw a program: definitions that refer to each other, and a run that uses them."""
    others: list[tuple[str, str]] = []
    texts = []
    for number in range(draw(st.integers(3, 8))):
        kind, name, text = draw(definition(number, others))
        others.append((kind, name))
        texts.append(text)
    names = [name for _, name in others]
    return "\n".join([HEADER, *texts, f"NAMES = {names}", RUN + TAIL])
