"""What the caller registers between two runs counts in the second one."""

# expect: Ok(('other', False))
# expect: Ok(('text', True))
from abc import ABC
from functools import singledispatch

from enact_pool import Pool


class Textual(ABC):  # noqa: B024 - what belongs to it is registered
    pass


@singledispatch
def kind(x):
    return "other"


def ask(x):
    return kind(x), isinstance(x, Textual)


with Pool(1) as pool:
    print(pool.run_parallel([ask], "a")[0].output)

    @kind.register
    def _(x: str):
        return "text"

    Textual.register(str)
    print(pool.run_parallel([ask], "a")[0].output)
