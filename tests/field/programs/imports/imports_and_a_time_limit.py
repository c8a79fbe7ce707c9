"""What a function, an input or an argument imports does not count as running time."""

# expect: map_parallel: the function ['Ok', 'Ok', 'Ok']
# expect: imap_parallel: the function ['Ok']
# expect: map_parallel: the inputs ['Ok', 'Ok']
# expect: run_parallel: the callable ['Ok']
# expect: run_parallel: the input ['Ok']
# expect: executor: the function 2
# expect: executor: the argument 1
# expect: still kept: timeout
import sys
import time
from pathlib import Path

from enact_pool import Pool, PoolExecutor, imap_parallel, map_parallel, run_parallel

sys.path.insert(0, str(Path.cwd()))
Path("slow_to_import.py").write_text(
    "import os, time\n"
    "if os.path.exists('slow'):\n"
    "    time.sleep(.6)\n"
    "def double(x): return 2 * x\n"
    "class Thing:\n"
    "    n = 1\n"
)
import slow_to_import  # noqa: E402 - it is written above

Path("slow").touch()


def uses_it(x):
    return slow_to_import.double(x)


def number(thing):
    return thing.n


def kinds(results):
    return [type(result.output).__name__ for result in results]


things = [slow_to_import.Thing(), slow_to_import.Thing()]
with Pool(1) as pool:
    results = map_parallel(uses_it, range(3), timeout=0.3, pool=pool)
    print("map_parallel: the function", kinds(results))
with Pool(1) as pool:
    results = imap_parallel(slow_to_import.double, [1], timeout=0.3, pool=pool)
    print("imap_parallel: the function", kinds(results))
with Pool(1) as pool:
    print("map_parallel: the inputs", kinds(map_parallel(number, things, timeout=0.3, pool=pool)))
with Pool(1) as pool:
    print("run_parallel: the callable", kinds(run_parallel([uses_it], 1, timeout=0.3, pool=pool)))
with Pool(1) as pool:
    print(
        "run_parallel: the input", kinds(run_parallel([number], things[0], timeout=0.3, pool=pool))
    )
with PoolExecutor(1, timeout=0.3) as executor:
    print("executor: the function", executor.submit(slow_to_import.double, 1).result())
with PoolExecutor(1, timeout=0.3) as executor:
    print("executor: the argument", executor.submit(number, things[0]).result())
with Pool(1) as pool:
    (result,) = map_parallel(time.sleep, [20], timeout=0.3, pool=pool)
    print("still kept:", result.error.category)
