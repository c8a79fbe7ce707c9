"""Generic models, and others that refer to each other, work in a task as those of a module do."""

# needs: pydantic
import enum
from typing import Annotated, Generic, NamedTuple, Optional, TypeVar

import pydantic
import pydantic.dataclasses as pdc

from enact_pool import Pool

T = TypeVar("T")


class Lazy(enum.Enum):
    A = 1


class Typed(NamedTuple):
    a: int
    b: str = "b"


class Model(pydantic.BaseModel, Generic[T]):
    content: T
    more: Optional["Other"] = None


class Other(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
    x: Annotated[int, pydantic.Field(gt=0)]
    inner: list[Model[int]] = []
    _private: int = pydantic.PrivateAttr(default=4)

    @pydantic.field_validator("x")
    @classmethod
    def even(cls, v):
        if v % 2:
            raise ValueError("odd")
        return v

    @pydantic.model_validator(mode="after")
    def whole(self):
        return self

    @pydantic.computed_field
    @property
    def double(self) -> int:
        return self.x * 2

    @pydantic.field_serializer("inner")
    def ser(self, v):
        return len(v)


IntModel = Model[int]


@pdc.dataclass
class PD:
    a: int
    b: Optional["PD"] = None

    @pydantic.field_validator("a")
    @classmethod
    def plus(cls, v):
        return v + 1


class Root(pydantic.RootModel[list[int]]):
    pass


ADAPTER = pydantic.TypeAdapter(list[PD])


class Settings(pydantic.BaseModel):
    root: Root = Root([1])
    pd: PD = PD(1)
    color: Lazy = Lazy.A
    t: Typed = Typed(1)


def models(_):
    m = Model[int](content="3", more={"x": 2})
    errors = []
    for data in ({"x": 3}, {"x": 0}, {"x": 2, "y": 1}, {"x": 2, "inner": [{"content": "a"}]}):
        try:
            Other.model_validate(data)
        except pydantic.ValidationError as e:
            errors.append([x["msg"] for x in e.errors()])
    return (
        m,
        errors,
        m.more.double,
        m.more._private,
        m.model_dump(),
        IntModel is Model[int],
        type(m).__name__,
        Other.model_json_schema(),
        Other(x=2, inner=[m]).model_dump_json(),
        Model[str](content="a"),
        Model(content=1.5),
    )


def pds(_):
    return (
        PD("3", PD(1)),
        ADAPTER.validate_python([{"a": 1}]),
        Root([1, "2"]).model_dump(),
        Settings().model_dump(),
    )


def a_submodel(_):
    class Sub(Other):
        z: int = 3

    return Sub(x=2).model_dump()


def parametrized(_):
    return Model[int](content=4), Model[str](content="s"), Model[list[int]](content=[1])


def of_an_input(values):
    return values


# --- run ---
with Pool(1) as pool:
    for check in (models, pds, a_submodel):
        print(pool.run_parallel([check], None)[0].output.unwrap())
    values = [Model[int](content=1), Other(x=2), PD(1), Root([1]), Settings()]
    back = pool.run_parallel([of_an_input], values)[0].output.unwrap()
    print([type(a) is type(b) for a, b in zip(back, values, strict=True)], back == values)
    for _ in range(2):
        a, b, c = pool.run_parallel([parametrized], None)[0].output.unwrap()
        print(type(a) is IntModel, type(b) is Model[str], type(c) is Model[list[int]], c)
