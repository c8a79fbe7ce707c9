import inspect
import sys
import typing
from collections.abc import Callable
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NewType,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
)

from variation_checks import own, same

P = ParamSpec("P")
T = TypeVar("T", bound="Base")
Key = NewType("Key", str)
Nested = NewType("Nested", Key)
Alias = dict[Key, "list[Base]"]
Optional = typing.Optional["Base"]
Handler = Callable[[Key], "Base"]
Marked = Annotated[Key, "mark"]


class Base:
    key: Key
    next: "Base | None"
    many: Alias


class Movie(TypedDict, total=False):
    name: Key


class Runs(Protocol[T]):
    def run(self, key: Key) -> T: ...


class Box(Generic[T]):
    content: T

    def get(self: "Box[T]") -> T: ...


@typing.runtime_checkable
class Sized(Protocol):
    def size(self) -> int: ...


class Counted:
    def size(self) -> Nested:
        return Nested(Key("x"))


def function(
    key: Key, base: "Base", handler: Handler, mode: Literal["a"], *, rest: Marked = Key("r")
) -> Optional:
    """Have hints of many kinds."""
    return None


def typed(f: Callable[P, Any]) -> Callable[P, Any]:
    return f


@typing.overload
def loaded(x: int) -> Key: ...
@typing.overload
def loaded(x: str) -> Nested: ...
def loaded(x):
    return x


def hints_of_a_function(_):
    hints = typing.get_type_hints(function, include_extras=True)
    return hints["key"] is Key, hints["base"] is Base, sorted(hints), str(hints["mode"])


def hints_of_a_class(_):
    hints = typing.get_type_hints(Base)
    return hints["key"] is Key, hints["many"] == dict[Key, list["Base"]], sorted(hints)


def hints_of_others(_):
    return sorted(typing.get_type_hints(Movie)), typing.get_type_hints(Box)["content"] is T


def signatures(_):
    return str(inspect.signature(Counted.size)), list(inspect.signature(function).parameters)


def parameters(_):
    return Box.__parameters__ == (T,), Box[Base].__args__ == (Base,), P.args.__origin__ is P


def protocols(_):
    return isinstance(Counted(), Sized), isinstance(Base(), Sized)


def calls(_):
    return Nested(Key("x")), typed(loaded)(1), Movie(name=Key("y"))


def documents(_):
    return inspect.getdoc(function), inspect.getsource(protocols), inspect.getsource(Movie)


def places(_):
    return (
        Counted.__module__,
        Key.__module__,
        function.__module__,
        sys.modules["__main__"].Key is Key,
    )


same(hints_of_a_function, hints_of_a_class, hints_of_others, signatures, parameters)
same(protocols, calls, documents, places)
own(lambda _: Nested, Nested)
own(lambda _: P, P)
own(lambda _: Movie, Movie)
