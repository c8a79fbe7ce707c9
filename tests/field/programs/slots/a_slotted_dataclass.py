"""An instance of a slotted dataclass can be a result, in every interface."""

# expect: [Ok(Point(x=2)), Ok(Point(x=3))]
# expect: [Ok([Point(x=1)])]
# expect: Point(x=5) True
# expect: [Ok(Frozen(x=1, y=[]))]
# expect: False
# ways: -c stdin
import dataclasses

from enact_pool import Pool, PoolExecutor, iter_parallel, map_parallel


@dataclasses.dataclass(slots=True)
class Point:
    x: int


@dataclasses.dataclass(slots=True, frozen=True)
class Frozen:
    x: int
    y: list = dataclasses.field(default_factory=list)


def shift(point):
    return Point(point.x + 1)


def listed(point):
    return [point]


def frozen(_):
    return Frozen(1)


def has_dict(_):
    return hasattr(Point(1), "__dict__")


# --- run ---
with Pool(1) as pool:
    print([result.output for result in map_parallel(shift, [Point(1), Point(2)], pool=pool)])
    print([result.output for result in iter_parallel([listed], Point(1), pool=pool)])
    with PoolExecutor(1) as executor:
        result = executor.submit(shift, Point(4)).result()
    print(result, type(result) is Point)
    print([result.output for result in pool.run_parallel([frozen], 0)])
    print(pool.run_parallel([has_dict], 0)[0].output.unwrap())
