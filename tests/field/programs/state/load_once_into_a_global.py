"""What a task has put into a global is there for all later tasks of that worker."""

# expect: executor: 1 load
# expect: map_parallel: 1 load
# expect: run_parallel: 1 load
# expect: four runs: 1 load
# expect: the caller's: None
# ways: -c stdin
from pathlib import Path

from enact_pool import Pool, PoolExecutor, map_parallel

LOADS = Path("loads.txt")  # that a worker forgets what it has loaded must not hide a load
model = None


def work(x):
    global model
    if model is None:
        with LOADS.open("a") as file:
            file.write("x")
        model = "loaded"
    return x


def tell(name):
    print(f"{name}: {len(LOADS.read_text())} load")
    LOADS.unlink()


# --- run ---
with PoolExecutor(1) as executor:
    list(executor.map(work, range(12)))
tell("executor")
with Pool(1) as pool:
    map_parallel(work, range(12), pool=pool)
tell("map_parallel")
with Pool(1) as pool:
    pool.run_parallel([work] * 12, 0)
tell("run_parallel")
with Pool(1) as pool:
    for _ in range(4):
        map_parallel(work, range(3), pool=pool)
tell("four runs")
print("the caller's:", model)
