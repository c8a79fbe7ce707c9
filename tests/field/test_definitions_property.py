"""Random definitions behave the same in a script and in a module, and results change none."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from user_programs import RUN, Program, run_program

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
print(passed)
print("changed:", changed)
'''

VALUES = st.sampled_from(
    [
        *("7", "'text'", "None", "True", "1.5", "b'bytes'", "2 + 3j", "range(3)", "slice(1, 2)"),
        *("decimal.Decimal('1.5')", "fractions.Fraction(1, 3)", "pathlib.Path('a/b')"),
        *("datetime.date(2024, 1, 1)", "datetime.timedelta(1)", "uuid.UUID(int=1)", "..."),
        *("re.compile('a+')", "operator.itemgetter(1)", "len", "collections.Counter('aab')"),
        *("bytearray(b'x')", "typing.Optional[int]", "int", "collections.OrderedDict(a=1)"),
    ]
)
UNSENDABLE = ("threading.Lock()", "threading.RLock()", "contextvars.ContextVar('v', default=3)")
KINDS = (
    *("value", "container", "special", "function", "cached", "closure", "partial", "lambda"),
    *("class", "subclass", "slotted", "abstract", "made by a metaclass", "hooked", "generic"),
    *("enum", "enum with attributes", "flag", "dataclass", "slotted dataclass", "named tuple"),
    *("new type", "instance", "alias", "registry", "dispatched"),
)


@st.composite
def definition(draw: st.DrawFn, number: int, others: list[tuple[str, str]]) -> tuple[str, str, str]:
    """Draw a definition: its kind, its name, and its text with two functions that use it.

    Args:
        number: the number in its name.
        others: the kinds and names of earlier definitions, which it may refer to.
    """
    kind, name = draw(st.sampled_from(KINDS)), f"d{number}"
    names = [other for _, other in others]
    classes = [other for sort, other in others if sort in ("class", "subclass", "hooked")]
    reference = draw(st.sampled_from(names)) if names else draw(VALUES)
    other = draw(st.sampled_from(names)) if names else draw(VALUES)
    value = draw(VALUES)
    base = draw(st.sampled_from(classes)) if classes else "Hooked"
    # A function may also refer to a later definition.
    later = f"d{number + draw(st.integers(0, 2))}"
    late = f"plain(globals().get('{later}', None) and {later})" if later != name else "0"
    text, make = f"{name} = {value}", name
    if kind == "container":
        form = draw(st.sampled_from(["[{0}, {1}, 1]", "{{'a': {0}, 'b': [{1}]}}", "({0}, [{1}])"]))
        text = f"{name} = {form.format(reference, other)}"
    elif kind == "special":
        text, make = f"{name} = {draw(st.sampled_from(UNSENDABLE))}", "None"
    elif kind == "function":
        text = (
            f"def {name}(x={reference}, *rest, key={value}):\n"
            f"    return [plain(x), plain(key), plain({other}), {late}]\n"
            f"{name}.note = {value}"
        )
    elif kind == "cached":
        text = f"@functools.cache\ndef {name}(n=3):\n    return n and n + {name}(n - 1)"
    elif kind == "closure":
        text = (
            f"def outer_{name}(held):\n    def inner(x=1):\n"
            f"        return plain(held), x, plain({other})\n    return inner\n"
            f"{name} = outer_{name}({reference})"
        )
        make = f"outer_{name}(2)()"
    elif kind == "partial":
        text = f"{name} = functools.partial(plain, {reference})"
    elif kind == "lambda":
        text = f"{name} = lambda x={reference}: (plain(x), plain({other}))"
    elif kind in ("class", "subclass"):
        bases = f"({base})" if kind == "subclass" else ""
        text = (
            f"class {name}{bases}:\n    held = {reference}\n    n = {value}\n"
            f"    def __init__(self): self.own = {other}\n"
            f"    def shown(self): return plain(self.held), plain({other}), __class__.__name__\n"
            f"    @cached_property\n    def first(self): return plain(self.own)\n"
            f"    @classmethod\n    def made(cls): return cls()\n"
            f"    @staticmethod\n    def second(): return plain({reference})\n"
        )
        make = f"{name}.made()"
    elif kind == "slotted":
        text = (
            f"class {name}:\n    __slots__ = ('n', 'held')\n"
            f"    def __init__(self): self.n, self.held = 1, {reference}"
        )
        make = f"{name}()"
    elif kind == "abstract":
        text = (
            f"class {name}_abstract(abc.ABC):\n    @abc.abstractmethod\n    def go(self): ...\n"
            f"class {name}({name}_abstract):\n    def go(self): return plain({reference})\n"
            f"    @property\n    def summed(self): return self.go(), super().go()"
        )
        make = f"{name}()"
    elif kind == "made by a metaclass":
        text = f"class {name}(metaclass=Meta, option={value!r}):\n    held = {reference}"
        make = f"{name}()"
    elif kind == "hooked":
        text = f"class {name}(Hooked, tag={value!r}):\n    held = {reference}\n    n = 1"
        make = f"{name}()"
    elif kind == "generic":
        text = (
            f"T{name} = typing.TypeVar('T{name}')\nclass {name}(typing.Generic[T{name}]):\n"
            f"    def __init__(self, n=1): self.n = n\n    def get(self) -> T{name}: return self.n"
        )
        make = f"{name}[int]({reference})"
    elif kind == "enum":
        # A module's members are pickled by value, and found by comparing values.
        value = draw(VALUES.filter(lambda text: text != "operator.itemgetter(1)"))
        text = f"class {name}(enum.Enum):\n    A = 1\n    ALIAS = 1\n    B = ({value}, 'b')"
        make = draw(st.sampled_from([f"{name}.A", f"{name}.ALIAS", f"{name}.B"]))
    elif kind == "enum with attributes":
        text = (
            f"class {name}(enum.Enum):\n    A = (1, 'a')\n    B = (2, 'b')\n"
            f"    def __init__(self, n, text): self.n, self.text = n, text\n"
            f"    @property\n    def shown(self): return plain({reference})"
        )
        make = f"{name}.B"
    elif kind == "flag":
        text = f"class {name}(enum.Flag):\n    R = 1\n    W = 2\n    RW = 3"
        make = f"{name}.R | {name}.W"
    elif kind in ("dataclass", "slotted dataclass"):
        options = "slots=True" if kind == "slotted dataclass" else "order=True"
        text = (
            f"@dataclasses.dataclass({options})\nclass {name}:\n    n: int\n"
            f"    held: object = dataclasses.field(default_factory=lambda: {reference})\n"
            f"    missing: bool = dataclasses.MISSING is None"
        )
        make = f"{name}(5)"
    elif kind == "named tuple":
        text = f"class {name}(typing.NamedTuple):\n    n: int\n    held: object = {value}"
        make = f"{name}(1)"
    elif kind == "new type":
        text = (
            f"{name} = typing.NewType('{name}', int)\n"
            f"def of_{name}(x: {name}) -> {name}: return {name}(x)"
        )
        make = f"of_{name}(3)"
    elif kind == "instance":
        text = f"{name} = {base if classes else 'collections.Counter'}()"
    elif kind == "alias":
        text = f"{name} = {reference}"
    elif kind == "registry":
        text = (
            f"{name} = {{}}\ndef register_{name}(f):\n    {name}[f.__name__] = f\n    return f\n"
            f"@register_{name}\ndef of_{name}(x): return plain({reference})"
        )
        make = f"{name}['of_{name}'](1)"
    elif kind == "dispatched":
        text = (
            f"@functools.singledispatch\ndef {name}(x=None): return 'other'\n"
            f"@{name}.register\ndef _(x: list): return plain({reference})"
        )
        make = f"({name}([]), {name}(1))"
    shown = {"function": f"{name}()", "cached": f"{name}()", "lambda": f"{name}()"}.get(kind, name)
    text += (
        f"\ndef show_{name}(_):\n    return plain({shown}), plain({make})\n"
        f"def make_{name}(_):\n    return {make}\n"
    )
    return kind, name, text


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


@pytest.mark.timeout(300)
@given(text=programs())
@settings(
    max_examples=15,
    deadline=None,
    # No shrinking: each step would start two processes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_a_script_and_a_module_with_the_same_definitions_print_the_same_results(text: str) -> None:
    program = Program("property", "drawn", text)
    with tempfile.TemporaryDirectory() as folder:
        control = run_program(program.write_control(Path(folder)), Path(folder))
        outcome = run_program(text, Path(folder))
    assert control.code == 0, f"{text}\n\n{control}"
    assert control.lines[-1] == "changed: []", f"{text}\n\n{control}"
    assert outcome == control, f"{text}\n\n" + "\n".join(
        f"script: {mine}\nmodule: {theirs}"
        for mine, theirs in zip(outcome.lines, control.lines, strict=False)
        if mine != theirs
    )
