"""Random definitions of all kinds, each with a function that shows it and one that makes it."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["definition"]

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
