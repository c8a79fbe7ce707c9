"""A task runs the module that the caller has, not another file of that name."""

# expect: Ok('the right one')
# expect: Ok('the right one')
# expect: executor the right one
import importlib.util
import sys
from pathlib import Path

from enact_pool import Pool, PoolExecutor

Path("plug2.py").write_text("def which(_): return 'another file of that name'\n")
Path("elsewhere").mkdir()
Path("elsewhere/plug2.py").write_text("def which(_): return 'the right one'\n")
specification = importlib.util.spec_from_file_location("plug2", "elsewhere/plug2.py")
plug2 = importlib.util.module_from_spec(specification)
sys.modules["plug2"] = plug2
specification.loader.exec_module(plug2)


def of_the_module(x):
    return plug2.which(x)


with Pool(1) as pool:
    print(pool.run_parallel([plug2.which], 0)[0].output)
    print(pool.run_parallel([of_the_module], 0)[0].output)
with PoolExecutor(1) as executor:
    print("executor", executor.submit(plug2.which, 0).result())
