"""Libraries refuse an object without a required field, also after an instance has come back."""

# needs: attrs
# needs: dacite
# needs: msgspec
# needs: pydantic
# expect: in the task ['dacite', 'msgspec', 'pydantic', 'attrs 1 2']
# expect: in the caller ['dacite', 'msgspec', 'pydantic', 'attrs 1 2']
import dataclasses

import attrs
import dacite
import msgspec
import pydantic

from enact_pool import Pool


@dataclasses.dataclass
class Point:
    x: int


@attrs.define
class Defined:
    a: int


def refusals(_):
    told = []
    for name, build in [
        ("dacite", lambda: dacite.from_dict(Point, {})),
        ("msgspec", lambda: msgspec.convert({}, Point)),
        ("pydantic", lambda: pydantic.TypeAdapter(Point).validate_python({})),
    ]:
        try:
            told.append(build())
        except (dacite.MissingValueError, msgspec.ValidationError, pydantic.ValidationError):
            told.append(name)

    @attrs.define
    class Derived(Defined):
        b: int

    derived = Derived(1, 2)
    return [*told, f"attrs {derived.a} {derived.b}"]


# --- run ---
with Pool(1) as pool:
    print("in the task", pool.run_parallel([refusals], 0)[0].output.unwrap())
    pool.run_parallel([Point], 1)
print("in the caller", refusals(0))
