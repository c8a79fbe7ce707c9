"""What a task has put on a class is there for all later tasks of that worker."""

# expect: 1 load
# expect: 2 loads
# expect: None
from pathlib import Path

from enact_pool import Pool, PoolExecutor

LOADS = Path("loads.txt")


class Model:
    weights = None

    @classmethod
    def predict(cls, x):
        if cls.weights is None:
            with LOADS.open("a") as file:
                file.write("x")
            cls.weights = [1, 2, 3]
        return cls.weights[x]


def predict(x):
    return Model.predict(x % 3)


# --- run ---
with PoolExecutor(1) as executor:
    list(executor.map(predict, range(8)))
print(len(LOADS.read_text()), "load")
with Pool(1) as pool:
    for _ in range(3):
        pool.run_parallel([predict] * 3, 0)
print(len(LOADS.read_text()), "loads")
print(Model.weights)
