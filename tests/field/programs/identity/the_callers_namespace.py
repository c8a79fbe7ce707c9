"""After results have come, every object in the caller's namespace is the one it was."""

# expect: unchanged: globals True, attributes True, registry True
# expect: of the caller's classes: True True
import dataclasses
import enum

from enact_pool import Pool

REGISTRY = {}
LIMIT = 3


class Plugin:
    names = ["a"]

    def __init_subclass__(cls, **options):
        REGISTRY[cls.__name__] = cls

    def limit(self):
        return LIMIT


class First(Plugin):
    pass


class Level(enum.IntEnum):
    LOW = 1
    BOTTOM = 1


@dataclasses.dataclass
class Point:
    x: int
    tags: list = dataclasses.field(default_factory=list)


def everything(_):
    Plugin.names.append("worker")
    REGISTRY["worker"] = None
    return [First(), Level.BOTTOM, Point(1), Plugin, everything]


def snapshot():
    owners = {"globals": globals(), **{c.__name__: vars(c) for c in (Plugin, First, Level, Point)}}
    return {owner: dict(names) for owner, names in owners.items()}


def same_objects(one, other):
    return one.keys() == other.keys() and all(one[name] is other[name] for name in one)


before, after, results, registry = {}, {}, [], {}
with Pool(2) as pool:
    registry.update(REGISTRY)
    before.update(snapshot())
    results.extend(pool.run_parallel([everything] * 3, 0))
    after.update(snapshot())
print(
    f"unchanged: globals {same_objects(before['globals'], after['globals'])},",
    f"attributes {all(same_objects(before[owner], after[owner]) for owner in before)},",
    f"registry {same_objects(registry, REGISTRY) and Plugin.names == ['a']}",
)
for result in results[:1]:
    first, level, *_ = result.output.unwrap()
    print("of the caller's classes:", type(first) is First, level is Level.LOW)
