"""Patches of a script's classes, functions and globals hold in tasks for as long as here."""

# expect: ('real', 'real', 1, {'a': 1})
# expect: ('patched', 'patched', 2, {'a': 1, 'b': 2})
# expect: executor ('patched', 'patched', 2, {'a': 1, 'b': 2})
# expect: ('real', 'real', 1, {'a': 1})
# expect: executor ('real', 'real', 1, {'a': 1})
from unittest import mock

from enact_pool import Pool, PoolExecutor

LIMIT = 1
TABLE = {"a": 1}


class Own:
    def get(self):
        return "real"


def helper():
    return "real"


def ask(_):
    return Own().get(), helper(), LIMIT, dict(TABLE)


with Pool(1) as pool, PoolExecutor(1) as executor:
    print(pool.run_parallel([ask], 0)[0].output.unwrap())
    with (
        mock.patch.object(Own, "get", lambda self: "patched"),
        mock.patch(f"{__name__}.helper", lambda: "patched"),
        mock.patch(f"{__name__}.LIMIT", 2),
        mock.patch.dict(TABLE, b=2),
    ):
        print(pool.run_parallel([ask], 0)[0].output.unwrap())
        print("executor", executor.submit(ask, 0).result())
    print(pool.run_parallel([ask], 0)[0].output.unwrap())
    print("executor", executor.submit(ask, 0).result())
