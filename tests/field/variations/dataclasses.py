import dataclasses
from dataclasses import KW_ONLY, InitVar, dataclass, field
from typing import ClassVar

from variation_checks import instance, same


@dataclass(order=True)
class Ordered:
    n: int
    text: str = field(default="", compare=False)


@dataclass(frozen=True)
class Frozen:
    n: int = 1
    tags: frozenset = frozenset({"a"})


@dataclass
class Base:
    a: int
    b: list = field(default_factory=lambda: [1])
    kind: ClassVar[str] = "base"


@dataclass
class Derived(Base):
    c: int = 3
    b: list = field(default_factory=list, repr=False)
    kind: ClassVar[str] = "derived"


@dataclass
class Initial:
    n: int
    factor: InitVar[int] = 2
    product: int = field(init=False)

    def __post_init__(self, factor):
        self.product = self.n * factor


@dataclass
class Keywords:
    a: int
    _: KW_ONLY
    b: int = 2
    c: int = field(default=3, metadata={"unit": "m"})


@dataclass(kw_only=True, eq=False)
class OnlyKeywords:
    a: int = 1


@dataclass
class Tree:
    name: str
    children: list["Tree"] = field(default_factory=list)
    parent: "Tree | None" = field(default=None, repr=False, compare=False)


@dataclass(unsafe_hash=True)
class Hashed:
    n: int


Made = dataclasses.make_dataclass("Made", [("x", int), ("y", int, field(default=2))])
KNOWN = {Hashed(1): "one"}


def fields_of(cls):
    missing = dataclasses.MISSING
    return [
        (f.name, f.default is missing, f.default_factory is missing, f.kw_only, dict(f.metadata))
        for f in dataclasses.fields(cls)
    ]


def all_fields(_):
    kinds = (Ordered, Frozen, Base, Derived, Initial, Keywords, OnlyKeywords, Tree, Made)
    return [fields_of(kind) for kind in kinds]


def comparisons(_):
    return (
        Ordered(1, "b") < Ordered(2, "a"),
        Ordered(1, "x") == Ordered(1, "y"),
        Frozen() == Frozen(),
    )


def frozen(_):
    try:
        Frozen().n = 2
    except dataclasses.FrozenInstanceError as error:
        return str(error), hash(Frozen()) == hash(Frozen())


def defaults(_):
    return Derived(1), Base(1).b is not Base(1).b, Derived.kind, Keywords(1), Initial(3).product


def missing_arguments(_):
    refused = []
    for kind in (Ordered, Base, Derived, Initial, Keywords, Tree, Made):
        try:
            kind()
        except TypeError:
            refused.append(kind.__name__)
    return refused


def tools(_):
    changed = dataclasses.replace(Keywords(1), b=5)
    return dataclasses.asdict(changed), dataclasses.astuple(Derived(1)), Keywords.__match_args__


def cycles(_):
    root = Tree("root")
    root.children.append(Tree("leaf", parent=root))
    return root.children[0].parent is root, repr(root)


def keys(_):
    return KNOWN[Hashed(1)]


same(all_fields, comparisons, frozen, defaults, missing_arguments, tools, cycles, keys)
for kind in (Ordered, Derived, Initial, Keywords, Tree, Made):
    instance(lambda _, kind=kind: dataclasses.replace(kind(1)), kind)
for value in (Ordered(1), Frozen(), Derived(1), Initial(1), Keywords(1), Tree("t"), Made(1)):
    instance(lambda _, value=value: value, type(value))
    same(lambda _, value=value: value)
# After all those results, the classes here are as they were.
same(all_fields, missing_arguments)
