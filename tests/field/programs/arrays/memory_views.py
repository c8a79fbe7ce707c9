"""A memoryview keeps its format and its shape, as an input, an item, a global and a result."""

# expect: 4.0 4.0 4.0
# expect: ('d', (2,), False) ('B', (3, 4), True) ('i', (0,), False)
# expect: ('d', (2,), False) [1.5, 2.5]
# expect: 9.0
# expect: True
from array import array

from enact_pool import map_parallel, run_parallel

VIEW = memoryview(array("d", [1.5, 2.5]))
TABLE = memoryview(bytes(12)).cast("B", (3, 4))
EMPTY = memoryview(array("i"))


def total(view):
    return sum(view)


def form(view):
    return view.format, view.shape, view.readonly


def write(view):
    view[0] = 6.5
    return sum(view)


def value(function, given):
    (result,) = run_parallel([function], given)
    return result.output.unwrap()


# --- run ---
(mapped,) = map_parallel(total, [VIEW])
print(value(total, VIEW), mapped.output.unwrap(), value(lambda _: total(VIEW), 0))
print(*(value(form, view) for view in (VIEW, TABLE, EMPTY)))
returned = value(lambda _: VIEW, 0)
print(form(returned), returned.tolist())
print(value(write, VIEW))
odd = memoryview(memoryview(bytes(8)).cast("q"))[::-1]
print(value(list, odd) == odd.tolist())
