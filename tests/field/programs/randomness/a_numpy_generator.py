"""Tasks that draw from a global generator of NumPy draw different numbers."""

# needs: numpy
# expect: default_rng 20
# expect: RandomState 20
# expect: np.random 20
# expect: random 20
import random
import time

import numpy as np

from enact_pool import Pool, PoolExecutor, map_parallel

rng = np.random.default_rng()
state = np.random.RandomState()


def draw(_):
    time.sleep(0.01)
    return float(rng.random())


def draw_from_state(_):
    time.sleep(0.01)
    return float(state.random_sample())


def draw_from_numpy(_):
    return float(np.random.random())


def draw_from_random(_):
    return random.random()


# --- run ---
with PoolExecutor(2) as executor:
    print("default_rng", len(set(executor.map(draw, range(20)))))
with Pool(2) as pool:
    for name, function in [
        ("RandomState", draw_from_state),
        ("np.random", draw_from_numpy),
        ("random", draw_from_random),
    ]:
        print(name, len({r.output.unwrap() for r in map_parallel(function, range(20), pool=pool)}))
