"""A module that was made in memory works in tasks."""

# expect: [Ok(4), Ok(6)]
# expect: Ok(8)
# expect: True
import sys
import types

from enact_pool import Pool, map_parallel

made = types.ModuleType("made_in_memory")
sys.modules["made_in_memory"] = made
exec("class Thing: pass\ndef double(x): return 2 * x\ndef thing(_): return Thing()", vars(made))


def of_the_module(x):
    return made.double(x)


with Pool(1) as pool:
    print([result.output for result in map_parallel(made.double, [2, 3], pool=pool)])
    print(pool.run_parallel([of_the_module], 4)[0].output)
    print(type(pool.run_parallel([made.thing], 0)[0].output.unwrap()) is made.Thing)
