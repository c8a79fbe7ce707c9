import enum
from enum import Enum, Flag, IntEnum, IntFlag, auto, unique

from variation_checks import equals, own, same


@unique
class Automatic(Enum):
    A = auto()
    B = auto()


class Ordered(Enum):
    LOW = 1
    HIGH = 2

    def __lt__(self, other):
        return self.value < other.value

    @property
    def next(self):
        return Ordered(self.value + 1)

    @classmethod
    def highest(cls):
        return cls.HIGH

    @staticmethod
    def count():
        return len(Ordered)


class Text(str, Enum):
    A = "a"
    ALSO_A = "a"


class Generated(Enum):
    def _generate_next_value_(name, start, count, last):
        return name.lower()

    X = auto()
    Y = auto()


class Kept(IntFlag):
    ONE = 1
    TWO = 2
    ALL = ONE | TWO
    NONE = 0


class Unhashable(Enum):
    LIST = [1]
    DICT = {"a": 1}


class WithMembersOfItself(Enum):
    A = "b"
    B = "a"

    @property
    def other(self):
        return WithMembersOfItself(self.value)


class Ignoring(Enum):
    _ignore_ = ["n"]
    n = 0
    FIRST = 1


class Mixed(float, Enum):
    HALF = 0.5

    def __init__(self, value):
        self.double = value * 2


class Described(Enum):
    """An enum that is described."""

    A = (1, "first")
    B = (2, "second")

    def __new__(cls, number, text):
        member = object.__new__(cls)
        member._value_ = number
        member.text = text
        return member


Functional = Enum("Functional", "P Q")
FunctionalFlag = Flag("FunctionalFlag", ["P", "Q"])
Number = IntEnum("Number", {"ONE": 1, "UNO": 1})
KNOWN = {Ordered.LOW: "low", Text.A: "a"}


def values(_):
    kinds = (Automatic, Ordered, Text, Generated, Unhashable, Functional, Number, Ignoring, Mixed)
    return [[(m.name, m.value) for m in kind] for kind in kinds]


def names(_):
    return [list(kind.__members__) for kind in (Text, Number, Kept, Described)]


def methods(_):
    return (
        Ordered.LOW < Ordered.HIGH,
        Ordered.LOW.next.name,
        Ordered.highest().name,
        Ordered.count(),
    )


def flags(_):
    both = Kept.ONE | Kept.TWO
    return (
        both.name,
        both == Kept.ALL,
        Kept.ONE in both,
        (Kept.ONE & Kept.TWO).value,
        ~Kept.ONE == Kept.TWO,
    )


def lookups(_):
    return Described(2).text, Described["A"].text, Mixed(0.5).double, Text("a").upper()


def keys(_):
    return KNOWN[Ordered.LOW], KNOWN[Text.ALSO_A], Ordered.HIGH in KNOWN


def identities(_):
    return (
        Text.A is Text.ALSO_A,
        WithMembersOfItself.A.other is WithMembersOfItself.B,
        Number.UNO is Number.ONE,
    )


def matched(_):
    match Ordered(2):
        case Ordered.HIGH:
            return "high"


same(values, names, methods, flags, lookups, keys, identities, matched)
for member in (
    Automatic.B,
    Ordered.LOW,
    Text.ALSO_A,
    Generated.Y,
    Kept.ALL,
    Unhashable.LIST,
    Mixed.HALF,
):
    own(lambda _, member=member: member, member)
for member in (Described.B, Functional.P, FunctionalFlag.Q, Number.UNO, Ignoring.FIRST):
    own(lambda _, member=member: member, member)
own(lambda _: Described, Described)
own(lambda _: list(Functional)[1], Functional.Q)
equals(lambda _: type(Kept.ONE | Kept.TWO), Kept)
equals(lambda _: isinstance(Ordered.LOW, Ordered) and isinstance(Ordered, enum.EnumMeta), True)
