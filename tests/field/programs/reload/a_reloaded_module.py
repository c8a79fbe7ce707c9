"""After a reload, all tasks of a run use the new code, whichever way they come to it."""

# expect: Ok('old')
# expect: Ok('new, longer')
# expect: {'new, longer'}
# expect: executor new, longer
# expect: back {'old'}
import importlib
import sys
import time
from pathlib import Path

from enact_pool import PoolExecutor, map_parallel

sys.path.insert(0, str(Path.cwd()))
source = Path("helper_x.py")
source.write_text("def f(x): return 'old'\n")
import helper_x  # noqa: E402 - it is written above


def slow(x):
    time.sleep(0.05)
    return helper_x.f(x)


with PoolExecutor(1) as executor:
    executor.submit(helper_x.f, 1).result()
    print(map_parallel(helper_x.f, [1])[0].output)
    source.write_text("def f(x): return 'new, longer'\n")
    importlib.reload(helper_x)
    print(map_parallel(helper_x.f, [1])[0].output)
    print({r.output.unwrap() for r in map_parallel(slow, range(6))})
    print("executor", executor.submit(helper_x.f, 1).result())
    source.write_text("def f(x): return 'old'\n")
    importlib.reload(helper_x)
    print("back", {r.output.unwrap() for r in map_parallel(slow, range(6))})
