"""A task can write and read joblib's and NumPy's files of the script's objects."""

# needs: joblib
# needs: numpy
# expect: Ok((1, 6))
# expect: Ok([1, 2])
# expect: True
import joblib
import numpy as np

from enact_pool import Pool


class Model:
    def __init__(self, n):
        self.n = n


def triple(x):
    return 3 * x


def by_joblib(_):
    joblib.dump({"model": Model(1), "function": triple}, "model.joblib")
    loaded = joblib.load("model.joblib")
    return loaded["model"].n, loaded["function"](2)


def by_numpy(_):
    np.save("models.npy", np.array([Model(1), Model(2)], dtype=object))
    return [model.n for model in np.load("models.npy", allow_pickle=True)]


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([by_joblib], 0)[0].output)
    print(pool.run_parallel([by_numpy], 0)[0].output)
print(type(joblib.load("model.joblib")["model"]) is Model)
