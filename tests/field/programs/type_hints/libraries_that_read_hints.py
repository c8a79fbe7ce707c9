"""Libraries that build objects from hints build the script's classes in a task."""

# needs: cattrs
# needs: dacite
# needs: msgspec
# needs: pydantic
# expect: dacite A(b=B(n=1)) True
# expect: cattrs A(b=B(n=2)) True
# expect: msgspec A(b=B(n=3)) True
# expect: pydantic A(b=B(n=4)) True
from __future__ import annotations

from dataclasses import dataclass

import cattrs
import dacite
import msgspec
import pydantic

from enact_pool import Pool


@dataclass
class A:
    b: B


@dataclass
class B:
    n: int


def by_dacite(n):
    return dacite.from_dict(A, {"b": {"n": n}})


def by_cattrs(n):
    return cattrs.structure({"b": {"n": n}}, A)


def by_msgspec(n):
    return msgspec.convert({"b": {"n": n}}, A)


def by_pydantic(n):
    return pydantic.TypeAdapter(A).validate_python({"b": {"n": n}})


# --- run ---
with Pool(1) as pool:
    for n, function in enumerate([by_dacite, by_cattrs, by_msgspec, by_pydantic], 1):
        built = pool.run_parallel([function], n)[0].output.unwrap()
        print(function.__name__.removeprefix("by_"), built, type(built) is A)
