"""The structs of msgspec work in a task as those of a module do."""

# needs: msgspec
import enum
from typing import Generic, Optional, TypeVar

import msgspec

from enact_pool import Pool

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct, order=True):
    x: int
    y: int = 1


class Line(msgspec.Struct, frozen=True, order=True):
    start: Point
    end: Point = msgspec.field(default_factory=lambda: Point(5))
    color: Color = Color.RED
    tags: list[str] = []

    def length(self):
        return self.end.x - self.start.x

    @classmethod
    def unit(cls):
        return cls(Point(0), Point(1))


class Node(msgspec.Struct, omit_defaults=True):
    value: int
    next: Optional["Node"] = None
    other: "Optional[Later]" = None


class Later(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    first_name: str
    last_name: str = "none"
    here: int = msgspec.field(default=3, name="there")


class Deeper(Later, forbid_unknown_fields=True):
    level: int
    a_size: int = 2  # renamed too


class Shape(msgspec.Struct, tag=True):
    pass


class Circle(Shape):
    radius: float


class Square(Shape, tag="sq", tag_field="kind"):
    side: float

    def __post_init__(self):
        super().__init__()
        if self.side < 0:
            raise ValueError("negative")


class Row(msgspec.Struct, array_like=True, gc=False):
    a: int
    b: str = "b"


class Plain(msgspec.Struct, dict=True, weakref=True, eq=False):
    a: int = 0
    limit = None


class Box(msgspec.Struct, Generic[T]):
    content: T
    more: list[T] = []


class Doubled(Box[int]):
    twice: int = 2


Made = msgspec.defstruct("Made", [("a", int), ("b", str, "x")], module=__name__)
A_LINE = Line(Point(7))
DECODER = msgspec.json.Decoder(Point)


def points(_):
    return Point(2), Point(2) == Point(2, 1), Point(x=1, y=4).y


def lines(_):
    line = Line(Point(1))
    return line, line.length(), Line.unit().length(), line < Line(Point(2)), hash(Color.RED) != 0


def frozen(_):
    try:
        Line(Point(1)).start = 3
    except AttributeError as error:
        return str(error)


def encoded(_):
    values = [Line(Point(1)), Node(1, Node(2)), Later(first_name="A"), Circle(1.5), Square(2.0)]
    values += [Row(1), Box("x"), Doubled(3), Deeper(1, first_name="f"), Made(1), A_LINE]
    return [msgspec.json.encode(value) for value in values]


def decoded(_):
    texts = {
        Line: b'{"start":{"x":3},"color":"blue"}',
        Node: b'{"value":1,"next":{"value":2},"other":{"firstName":"A"}}',
        Later: b'{"firstName":"a","there":7}',
        Deeper: b'{"firstName":"a","level":7,"aSize":4}',
        Row: b'[3,"c"]',
        Box[int]: b'{"content":3}',
        Doubled: b'{"content":3,"more":[4]}',
        Made: b'{"a":3}',
    }
    return [msgspec.json.decode(text, type=kind) for kind, text in texts.items()]


def refused(_):
    errors = []
    for kind, text in [
        (Deeper, b'{"firstName":"a","level":7,"other":4}'),
        (Box[int], b'{"content":"a"}'),
        (Square, b'{"kind":"sq","side":-1}'),
        (Circle, b'{"type":"Square","radius":1}'),
        (Point, b"{}"),
    ]:
        try:
            msgspec.json.decode(text, type=kind)
        except msgspec.ValidationError as error:
            errors.append(str(error))
    return errors


def a_union(_):
    return msgspec.json.decode(b'[{"type":"Circle","radius":1}]', type=list[Circle])


def described(_):
    kinds = [Point, Line, Node, Later, Deeper, Circle, Square, Row, Plain, Box, Doubled, Made]
    return [
        (
            kind.__struct_fields__,
            kind.__struct_encode_fields__,
            kind.__match_args__,
            [getattr(kind.__struct_config__, name) for name in ("tag", "tag_field", "frozen")],
            [
                (one.name, getattr(one.type, "__name__", ""), one.required)
                for one in msgspec.structs.fields(kind)
            ],
            kind.__doc__,
            kind.__module__ == __name__,
        )
        for kind in kinds
    ]


def attributes(_):
    plain = Plain(1)
    plain.b = 2
    return plain.__dict__, Plain.limit, plain == Plain(1)


def fresh_defaults(_):
    Line(Point(1)).tags.append("x")
    return Line(Point(1)).tags, Point.__struct_defaults__


def converted(_):
    return msgspec.convert({"x": 4}, Point), msgspec.structs.replace(A_LINE, color=Color.BLUE)


def of_an_input(line):
    return line, line.length(), type(line) is Line


# --- run ---
with Pool(1) as pool:
    for check in (
        points, lines, frozen, encoded, decoded, refused, a_union, described, attributes,
        fresh_defaults, converted,
    ):  # fmt: skip
        print(pool.run_parallel([check], None)[0].output.unwrap())
    line, length, same = pool.run_parallel([of_an_input], A_LINE)[0].output.unwrap()
    print(type(line) is Line, line == A_LINE, length, same, line.end)
