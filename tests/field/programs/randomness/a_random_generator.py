"""Tasks that draw from a global generator draw different numbers, in every interface."""

# expect: map_parallel 20
# expect: executor 20
# expect: run_parallel 20
# expect: two runs 20
# expect: the caller's generator is as it was: True
import random
import time

from enact_pool import Pool, PoolExecutor, map_parallel, run_parallel

rng = random.Random()


def draw(_):
    time.sleep(0.01)
    return rng.random()


# --- run ---
before = rng.getstate()
print("map_parallel", len({r.output.unwrap() for r in map_parallel(draw, range(20))}))
with PoolExecutor(2) as executor:
    print("executor", len(set(executor.map(draw, range(20)))))
print("run_parallel", len({r.output.unwrap() for r in run_parallel([draw] * 20, 0)}))
with Pool(2) as pool:
    runs = [map_parallel(draw, range(10), pool=pool) for _ in range(2)]
    print("two runs", len({r.output.unwrap() for run in runs for r in run}))
print("the caller's generator is as it was:", rng.getstate() == before)
