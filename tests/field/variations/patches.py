import functools
from unittest import mock

from variation_checks import equals, same

LIMIT = 1
TABLE = {"a": {"b": 1}}
NAMES = ["a"]


class Base:
    kind = "base"

    def get(self):
        return "real"

    @staticmethod
    def static():
        return "static"

    @property
    def size(self):
        return 1


class Derived(Base):
    def get(self):
        return f"derived {super().get()}"


class Service:
    def __init__(self):
        self.client = Base()

    def ask(self):
        return self.client.get()


SERVICE = Service()


def helper(x=1):
    return x


def default():
    return LIMIT


@functools.wraps(helper)
def wrapped(*arguments):
    return helper(*arguments)


def everything(_):
    return [
        *(LIMIT, dict(TABLE), list(NAMES), Base.kind, Derived.kind, Base().get(), Derived().get()),
        *(
            Base.static(),
            Base().size,
            SERVICE.ask(),
            Service().ask(),
            helper(),
            default(),
            wrapped(),
        ),
        hasattr(Derived, "extra"),
    ]


def patched(_):
    return Base().get()


before = everything(0)
same(everything)
for patch in (
    mock.patch(f"{__name__}.LIMIT", 2),
    mock.patch.dict(TABLE, {"c": 3}),
    mock.patch.dict(TABLE, {"d": 4}, clear=True),
    mock.patch.object(Base, "get", lambda self: "patched"),
    mock.patch.object(Derived, "get", lambda self: "patched"),
    mock.patch.object(Base, "static", staticmethod(lambda: "patched")),
    mock.patch.object(Base, "size", 5),
    mock.patch.object(Derived, "extra", 1, create=True),
    mock.patch.object(Derived, "kind", "derived"),
    mock.patch(f"{__name__}.helper", lambda x=7: x),
    mock.patch.object(helper, "__defaults__", (8,)),
    mock.patch.multiple(Base, kind="many", get=lambda self: "many"),
    mock.patch.object(SERVICE, "client", Derived()),
):
    with patch:
        assert everything(0) != before, "it patches something"
        same(everything)
    same(everything)
assert everything(0) == before

original = Base.get
Base.get = lambda self: f"wrapped {original(self)}"
same(everything)
Base.get = original
same(everything)
Base.__call__ = lambda self: "called"
same(lambda _: Base()())
del Base.__call__
equals(lambda _: callable(Base()), False)
NAMES[:] = ["b", "c"]
same(everything)
