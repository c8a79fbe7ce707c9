"""The caller's dataclass can be inherited from after an instance of it has come back."""

# expect: True
# expect: [Ok(Point(x=1)), Ok(Point(x=2))]
# expect: True
# expect: Point3(x=1, z=2)
# expect: Point.__init__() missing 1 required positional argument: 'x'
# ways: -c stdin
import dataclasses

from enact_pool import Pool, map_parallel


@dataclasses.dataclass
class Point:
    x: int


# --- run ---
print(dataclasses.fields(Point)[0].default is dataclasses.MISSING)
with Pool(1) as pool:
    print([result.output for result in map_parallel(Point, [1, 2], pool=pool)])
print(dataclasses.fields(Point)[0].default is dataclasses.MISSING)


@dataclasses.dataclass
class Point3(Point):
    z: int


print(Point3(1, 2))
try:
    Point()
except TypeError as error:
    print(error)
