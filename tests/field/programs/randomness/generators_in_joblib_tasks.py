"""Tasks of joblib that draw from a global generator draw different numbers."""

# needs: joblib
# expect: 20
import random
import time

import joblib

import enact_pool.joblib

rng = random.Random()


def draw(_):
    time.sleep(0.01)
    return rng.random()


# --- run ---
enact_pool.joblib.register()
with joblib.parallel_config(backend="enact", n_jobs=2):
    numbers = joblib.Parallel()(joblib.delayed(draw)(i) for i in range(20))
print(len(set(numbers)))
