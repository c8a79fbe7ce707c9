"""A function finds its globals through its own module in `sys.modules`."""

# expect: Ok([6, 'default', True, 'helper'])
# expect: Ok(7)
# expect: 1
import sys

from enact_pool import Pool

LIMIT = 6
count = 0


def helper():
    return "helper"


def found(_):
    module = sys.modules[__name__]
    return [
        module.LIMIT,
        getattr(module, "MISSING", "default"),
        module.found is found,
        getattr(module, "hel" + "per")(),
    ]


def set_there(value):
    sys.modules[__name__].count = value
    return count


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([found], 0)[0].output)
    print(pool.run_parallel([set_there], 7)[0].output)
    print(1 if count == 0 else "changed here")
