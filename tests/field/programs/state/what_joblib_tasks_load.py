"""A joblib task finds what an earlier one has loaded in that worker."""

# needs: joblib
# expect: each worker loads once: True
import os
import time
from pathlib import Path

import joblib

import enact_pool.joblib

LOADS = Path("loads.txt")
model = None


def work(x):
    global model
    if model is None:
        with LOADS.open("a") as file:
            file.write(f"{os.getpid()}\n")
        model = "loaded"
    time.sleep(0.01)
    return x


# --- run ---
enact_pool.joblib.register()
with joblib.parallel_config(backend="enact", n_jobs=2):
    joblib.Parallel()(joblib.delayed(work)(i) for i in range(16))
workers = LOADS.read_text().split()
print("each worker loads once:", len(workers) == len(set(workers)) or workers)
