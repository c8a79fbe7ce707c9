"""A container that the caller has made anew is empty in the worker too, whatever was in it."""

# expect: [True, False, False]
# expect: [False, False, False]
# expect: [True, False, False]
from enact_pool import Pool, map_parallel

seen = set()


def is_new(key):
    new = key not in seen
    seen.add(key)
    return new


with Pool(1) as pool:
    print([r.output.unwrap() for r in map_parallel(is_new, ["a", "a", "a"], pool=pool)])
    print([r.output.unwrap() for r in map_parallel(is_new, ["a", "a", "a"], pool=pool)])
    seen = set()  # as when a cell of a notebook is executed again
    print([r.output.unwrap() for r in map_parallel(is_new, ["a", "a", "a"], pool=pool)])
