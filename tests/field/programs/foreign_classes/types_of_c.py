"""The types of ctypes work in a task as those of a module do."""

import ctypes

from enact_pool import Pool


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double)]

    def total(self):
        return self.x + self.y


class Box(ctypes.Structure):
    """Two corners."""

    _fields_ = [("corners", Point * 2), ("name", ctypes.c_char * 8)]


class Number(ctypes.Union):
    _fields_ = [("whole", ctypes.c_int32), ("parts", ctypes.c_uint8 * 4)]


class Packed(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _anonymous_ = ["number"]
    _fields_ = [("kind", ctypes.c_uint8), ("number", Number)]


class Point3(Point):
    _fields_ = [("z", ctypes.c_float)]
    origin = 0


class Bits(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint, 3), ("high", ctypes.c_uint, 5)]


class Node(ctypes.Structure):
    pass


Node._fields_ = [("value", ctypes.c_int), ("next", ctypes.POINTER(Node))]


class Big(ctypes.BigEndianStructure):
    _fields_ = [("a", ctypes.c_uint16), ("b", ctypes.c_uint32)]


class Opaque(ctypes.Structure):
    pass


class Handle(ctypes.c_void_p):
    def name(self):
        return f"handle {self.value}"


class Numbers(ctypes.Array):
    _type_ = ctypes.c_int
    _length_ = 3


Points = Point * 3
PointPointer = ctypes.POINTER(Point)
Compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
Visit = ctypes.CFUNCTYPE(None, ctypes.POINTER(Node), use_errno=True)
Called = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int)
A_POINT = Point(3, 4)


def points(_):
    p = Point(1, 2.5)
    return p.x, p.y, p.total(), ctypes.sizeof(Point), Point.x.offset, Point.y.offset, A_POINT.x


def boxes(_):
    box = Box((Point(1, 2), Point(3, 4)), b"abc")
    return box.corners[1].total(), box.name, ctypes.sizeof(Box), Box.__doc__, bytes(box)[:4]


def packed(_):
    p = Packed(1, Number(0x01020304))
    return p.whole, list(p.parts), p.number.whole, ctypes.sizeof(Packed), Packed._pack_


def inherited(_):
    p = Point3(1, 2, 3)
    return p.total(), p.z, ctypes.sizeof(Point3), isinstance(p, Point), Point3.origin


def bits(_):
    b = Bits(7, 31)
    b.low += 1
    return b.low, b.high, ctypes.sizeof(Bits)


def nodes(_):
    last = Node(2)
    first = Node(1, ctypes.pointer(last))
    return first.next.contents.value, bool(last.next), ctypes.sizeof(Node)


def big(_):
    return bytes(Big(1, 2)), Big(1, 2).b


def others(_):
    pointer = PointPointer(Point(5, 6))
    values = (ctypes.c_int * 3)(3, 1, 2)
    compare = Compare(lambda a, b: a[0] - b[0])
    ctypes.CDLL(None).qsort(values, 3, ctypes.sizeof(ctypes.c_int), compare)
    seen = []
    Visit(lambda node: seen.append(node[0].value))(Node(4))
    return (
        pointer.contents.x,
        list(values),
        seen,
        Called(lambda n: n + 1)(2),
        Handle(3).name(),
        [p.x for p in Points(Point(1), Point(2))],
        ctypes.POINTER(Point) is PointPointer,
        Points is Point * 3,
        ctypes.sizeof(Opaque),
        list(Numbers(1, 2)),
    )


def arrays(_):
    return [p.total() for p in Points(Point(1, 1), Point(2, 2))]


def a_copy(point):
    return Point.from_buffer_copy(bytes(point)), point, Points(point)


# --- run ---
with Pool(1) as pool:
    for check in (
        arrays, points, boxes, packed, inherited, bits, nodes, big, others
    ):  # fmt: skip
        print(pool.run_parallel([check], None)[0].output.unwrap())
    one, two, three = pool.run_parallel([a_copy], A_POINT)[0].output.unwrap()
    print(type(one) is Point, two.x, one.total(), type(three) is Points, three[0].y)
