"""What the caller draws between runs does not make workers draw the same numbers again."""

# expect: 40 different numbers of 40
import random
import time

from enact_pool import Pool, map_parallel

rng = random.Random()


class Model:
    rng = random.Random()

    def sample(self):
        return self.rng.random()


def draw(_):
    time.sleep(0.01)
    return rng.random(), Model().sample()


numbers = []
with Pool(2) as pool:
    for _ in range(3):
        for result in map_parallel(draw, range(6), pool=pool):
            numbers.extend(result.output.unwrap())
        numbers.append(rng.random())
numbers.append(Model.rng.random())
print(len(set(numbers)), "different numbers of", len(numbers))
