"""Bit generators, seed sequences and subclasses of generators: no two workers draw the same."""

# needs: numpy
# expect: [2, 2, 2, 2, 2]
# expect: Ok(7)
import random
from time import sleep

import numpy as np

from enact_pool import Pool, map_parallel


class OwnGenerator(np.random.Generator):
    pass


bits = np.random.PCG64(7)
seeds = np.random.SeedSequence(7)
generator = OwnGenerator(np.random.PCG64(7))
state = np.random.RandomState(7)
system = random.SystemRandom()


def draw(_):
    sleep(0.2)  # so that each worker runs one
    return (
        int(bits.random_raw()),
        float(np.random.default_rng(seeds.spawn(1)[0]).random()),
        float(generator.random()),
        float(state.random_sample()),
        system.random(),
    )


def entropy(_):
    return seeds.entropy


with Pool(2) as pool:
    drawn = [result.output.unwrap() for result in map_parallel(draw, range(2), pool=pool)]
    print([len(set(each)) for each in zip(*drawn, strict=True)])
    print(pool.run_parallel([entropy], 0)[0].output)
