"""A task can pickle and unpickle what the script defines, also what its code does not name."""

# expect: saved [Ok(None), Ok(None)]
# expect: Row(n=1) Row(n=2) True
# expect: Ok('Unnamed(n=7)')
# expect: Ok(True)
# expect: the same bytes True
# ways: -c stdin
import pickle
from dataclasses import dataclass
from pathlib import Path

from enact_pool import Pool, map_parallel


@dataclass
class Row:
    n: int


@dataclass
class Unnamed:
    n: int


def save(n):
    with open(f"row{n}.pkl", "wb") as file:
        pickle.dump(Row(n), file)


def load(name):
    with open(name, "rb") as file:
        return pickle.load(file)


def shown(name):
    return repr(load(name))


def function_again(_):
    return pickle.loads(pickle.dumps(load)) is load


# --- run ---
with Pool(1) as pool:
    print("saved", [result.output for result in map_parallel(save, [1, 2], pool=pool)])
    one, two = (r.output.unwrap() for r in map_parallel(load, ["row1.pkl", "row2.pkl"], pool=pool))
    print(one, two, type(one) is Row)
    Path("unnamed.pkl").write_bytes(pickle.dumps(Unnamed(7)))
    print(map_parallel(shown, ["unnamed.pkl"], pool=pool)[0].output)
    print(pool.run_parallel([function_again], 0)[0].output)
print("the same bytes", Path("row1.pkl").read_bytes() == pickle.dumps(Row(1)))
