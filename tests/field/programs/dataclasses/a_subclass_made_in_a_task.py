"""A task can inherit from the script's dataclass, by decorator and by `make_dataclass`."""

# expect: Ok('Sub(a=1, b=[], c=3, d=4)')
# expect: Ok('missing')
# expect: Ok('Made(x=1, y=2)')
# expect: Ok(('KW_ONLY', True))
import dataclasses

from enact_pool import Pool


@dataclasses.dataclass
class Base:
    a: int = 1
    b: list = dataclasses.field(default_factory=list)
    c: int = 3


@dataclasses.dataclass
class Required:
    x: int


@dataclasses.dataclass
class Keywords:
    _: dataclasses.KW_ONLY
    n: int = 1


def by_decorator(_):
    @dataclasses.dataclass
    class Sub(Base):
        d: int = 4

    return repr(Sub()).rpartition(".")[2]


def without_an_argument(_):
    @dataclasses.dataclass
    class Sub(Required):
        y: int

    try:
        Sub(y=1)
    except TypeError as error:
        return str(error).split()[1]
    return "accepted"


def by_function(_):
    return repr(dataclasses.make_dataclass("Made", [("y", int)], bases=(Required,))(1, 2))


def keyword_only(_):
    try:
        Keywords(1)
    except TypeError:
        return Keywords.__match_args__ or "KW_ONLY", dataclasses.fields(Keywords)[0].kw_only
    return "accepted"


# --- run ---
with Pool(1) as pool:
    for function in (by_decorator, without_an_argument, by_function, keyword_only):
        print(pool.run_parallel([function], 0)[0].output)
