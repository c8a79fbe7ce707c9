import importlib
import sys
import time
from pathlib import Path

from variation_checks import equals, fails, same

sys.path.insert(0, str(Path.cwd()))


def imported(name, text):
    Path(f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    return importlib.import_module(name)


# Modules that only prepare something when they are imported.
lazy = imported(
    "lazy_pool",
    """
from enact_pool import Pool, PoolExecutor, map_parallel
POOL = Pool(1)
EXECUTOR = PoolExecutor(1)
def square(x): return x * x
def run(x): return [r.output.unwrap() for r in map_parallel(square, [x], pool=POOL)]
def call(x): return EXECUTOR.submit(square, x).result()
""",
)
equals(lambda _: lazy.square(3), 9)
same(lambda _: lazy.square(4))
assert lazy.run(3) == [9]
assert lazy.call(3) == 9
lazy.EXECUTOR.shutdown()
lazy.POOL.close()

# A run of functions that the module being imported does not define.
others = imported(
    "runs_others",
    """
import math
from enact_pool import PoolExecutor, map_parallel
ROOTS = [r.output.unwrap() for r in map_parallel(math.isqrt, [4, 9])]
with PoolExecutor(1) as executor:
    SIZE = executor.submit(len, "abc").result()
def roots(_): return ROOTS
""",
)
assert (others.ROOTS, others.SIZE) == ([2, 3], 3)
fails(lambda _: others.ROOTS, "'runs_others' runs callables while a worker imports it")

# An import that fails says so, and is not tried without end.
Path("counted.txt").touch()
broken = imported(
    "broken_later",
    """
import os
if os.path.exists("broken"):
    with open("counted.txt", "a") as file:
        file.write("x")
    raise ImportError("broken on purpose")
def f(x): return x
""",
)


def uses_broken(_):
    import broken_later

    return broken_later.f(1)


Path("broken").touch()


def caught(_):
    try:
        return uses_broken(0)
    except ImportError as error:
        return str(error)


equals(caught, "broken on purpose")
equals(lambda _: len(Path("counted.txt").read_text()) <= 4, True)
Path("broken").unlink()
equals(uses_broken, 1)


def slow(_):
    time.sleep(0.01)
    return __name__


equals(slow, "__main__")
