"""A module that only the caller could import works in tasks: its functions and its classes."""

# expect: [Ok(4), Ok(6)]
# expect: Ok(8)
# expect: True 1
# expect: executor 10
# expect: Ok(12)
import importlib.util
import sys
from pathlib import Path

from enact_pool import Pool, PoolExecutor, map_parallel

Path("elsewhere").mkdir()
Path("elsewhere/plug.py").write_text(
    "FACTOR = 2\n"
    "def double(x): return FACTOR * x\n"
    "class Thing:\n"
    "    def __init__(self, n): self.n = n\n"
    "    def doubled(self): return double(self.n)\n"
)
specification = importlib.util.spec_from_file_location("plug", "elsewhere/plug.py")
plug = importlib.util.module_from_spec(specification)
sys.modules["plug"] = plug
specification.loader.exec_module(plug)


def of_the_module(x):
    return plug.double(x)


def doubled(thing):
    return thing.doubled()


with Pool(1) as pool:
    print([result.output for result in map_parallel(plug.double, [2, 3], pool=pool)])
    print(pool.run_parallel([of_the_module], 4)[0].output)
    thing = pool.run_parallel([plug.Thing], 1)[0].output.unwrap()
    print(type(thing) is plug.Thing, thing.n)
    with PoolExecutor(1) as executor:
        print("executor", executor.submit(plug.double, 5).result())
    print(pool.run_parallel([doubled], plug.Thing(6))[0].output)
