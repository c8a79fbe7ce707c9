"""Members that have attributes of their own keep them, and stay the caller's members."""

# expect: Ok((5.9, 11.8))
# expect: [True, True, True]
# expect: Ok('EARTH')
# expect: Ok((3, 5))
# expect: executor True
# ways: -c stdin
from enum import Enum

from enact_pool import Pool, PoolExecutor


class Planet(Enum):
    EARTH = (5.9, 6.3)
    MARS = (1, 2)

    def __init__(self, mass, radius):
        self.mass, self.radius = mass, radius

    def double(self):
        return self.mass * 2


def add(a, b):
    return a + b


class Operation(Enum):
    ADD = (add,)

    def __init__(self, function):
        self.function = function


Operation.ADD.extra = 5


def weigh(planet):
    return planet.mass, planet.double()


def planets(_):
    return [Planet.EARTH, Planet((1, 2)), Planet["MARS"]]


def name(planet):
    return planet.name


def operate(operation):
    return operation.function(1, 2), operation.extra


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([weigh], Planet.EARTH)[0].output)
    back = pool.run_parallel([planets], 0)[0].output.unwrap()
    print([a is b for a, b in zip(back, [Planet.EARTH, Planet.MARS, Planet.MARS], strict=True)])
    print(pool.run_parallel([name], Planet.EARTH)[0].output)
    print(pool.run_parallel([operate], Operation.ADD)[0].output)
with PoolExecutor(1) as executor:
    print("executor", executor.submit(planets, 0).result()[0] is Planet.EARTH)
