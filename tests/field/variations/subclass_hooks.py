import abc
import typing

from variation_checks import equals, instance, own, same

registry = {}
order = []


class Base:
    def __init_subclass__(cls, /, tag=None, **options):
        super().__init_subclass__(**options)
        order.append(cls.__name__)
        registry[tag or cls.__name__] = cls
        cls.tag = tag


class Plain(Base):
    pass


class Tagged(Base, tag="t"):
    pass


class Deep(Tagged, tag="d"):
    def up(self):
        return super().tag


class Mixin:
    pass


class Both(Mixin, Deep, tag="b"):
    pass


class Registering(type):
    known = []

    def __init__(cls, name, bases, namespace, **options):
        super().__init__(name, bases, namespace)
        Registering.known.append(name)

    def __new__(mcs, name, bases, namespace, **options):
        namespace["options"] = options
        return super().__new__(mcs, name, bases, namespace)

    @classmethod
    def __prepare__(mcs, name, bases, **options):
        return {"prepared": sorted(options)}

    def __len__(cls):
        return 7

    def __getattr__(cls, name):
        if name == "dynamic":
            return cls.__name__.lower()
        raise AttributeError(name)

    def __instancecheck__(cls, instance):
        return instance == "yes" or super().__instancecheck__(instance)


class Made(metaclass=Registering, a=1, b=2):
    pass


class MadeToo(Made, c=3):
    pass


class Guarding(type):
    def __setattr__(cls, name, value):
        raise AttributeError("it cannot be changed")


class Guarded(metaclass=Guarding):
    n = 1


class Final:
    def __init_subclass__(cls):
        raise TypeError("nothing inherits from this")


class Named:
    def __set_name__(self, owner, name):
        order.append(f"{owner.__name__}.{name}")
        self.name = name


class Owner:
    field = Named()


class AbstractBase(abc.ABC):
    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        order.append(cls.__name__)

    @abc.abstractmethod
    def go(self): ...


class Concrete(AbstractBase):
    def go(self):
        return 1


class Slotted(Base, tag="slotted"):
    __slots__ = ("x",)


class OwnError(Base, Exception, tag="error"):
    pass


class Items(Base, dict, tag="items"):
    pass


T = typing.TypeVar("T")


class Box(Base, typing.Generic[T], tag="box"):
    pass


class IntBox(Box[int], tag="intbox"):
    pass


class Singleton(type):
    only = {}

    def __call__(cls):
        return Singleton.only.setdefault(cls, super().__call__())


class Single(metaclass=Singleton):
    pass


ORDER = list(order)


def registered(_):
    return registry


def calls(_):
    return order == ORDER, Registering.known


def tags(_):
    return Plain.tag, Tagged.tag, Deep().up(), Both.tag, [c.__name__ for c in Both.__mro__]


def metaclass(_):
    return (
        Made.options,
        MadeToo.options,
        MadeToo.prepared,
        len(Made),
        Made.dynamic,
        isinstance("yes", Made),
    )


def guarded(_):
    try:
        Guarded.n = 2
    except AttributeError as error:
        return str(error), Guarded.n


def final(_):
    try:
        type("Heir", (Final,), {})
    except TypeError as error:
        return str(error)


def names(_):
    return Owner.__dict__["field"].name


def bases(_):
    return sorted(c.__name__ for c in Base.__subclasses__()), IntBox.__orig_bases__ == (Box[int],)


def single(_):
    return Single() is Single()


def heirs(_):
    type("Heir", (Base,), {}, tag="made in a task")
    return sorted(registry)[-1], order[-1]


same(registered, calls, tags, metaclass, guarded, final, names, bases, single)
kinds = (
    Plain,
    Tagged,
    Deep,
    Both,
    Made,
    MadeToo,
    Guarded,
    Final,
    Owner,
    Concrete,
    Items,
    Box,
    IntBox,
)
for kind in (*kinds, Slotted, OwnError):
    instance(lambda _, kind=kind: kind(), kind)
    own(lambda _, kind=kind: kind, kind)
equals(heirs, ("t", "Heir"))
same(lambda _: 0)
equals(lambda _: (order[-1], "made in a task" in registry), ("Heir", True))
assert order == ORDER, "no hook has run in the caller"
assert "made in a task" not in registry
