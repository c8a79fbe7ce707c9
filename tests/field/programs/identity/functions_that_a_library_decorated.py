"""A global that a decorator of a library has made is the caller's own object in a result."""

# expect: True True True
import contextlib
from unittest import mock

from enact_pool import Pool


@contextlib.contextmanager
def managed(x):
    yield x


@contextlib.asynccontextmanager
async def managed_later(x):
    yield x


@mock.patch("os.getcwd")
def patched(getcwd):
    return getcwd


def all_three(_):
    with managed(3) as x:
        assert x == 3
    return managed, managed_later, patched


# --- run ---
with Pool(1) as pool:
    first, second, third = pool.run_parallel([all_three], 0)[0].output.unwrap()
    print(first is managed, second is managed_later, third is patched)
