"""A module that has become importable since the pool began can be imported in tasks."""

# expect: 1
# expect: Ok('late 1')
# expect: [Ok('late 1'), Ok('late 2')]
# expect: executor late 3
import sys
from pathlib import Path

from enact_pool import PoolExecutor, map_parallel


def imports(x):
    import late_helper

    return late_helper.late(x)


with PoolExecutor(1) as executor:
    print(executor.submit(abs, -1).result())
    map_parallel(abs, [-1, -2, -3])
    Path("late").mkdir()
    Path("late/late_helper.py").write_text("def late(x): return f'late {x}'\n")
    sys.path.insert(0, str(Path("late").resolve()))
    import late_helper

    print(map_parallel(late_helper.late, [1])[0].output)
    print([r.output for r in map_parallel(imports, [1, 2])])
    print("executor", executor.submit(late_helper.late, 3).result())
