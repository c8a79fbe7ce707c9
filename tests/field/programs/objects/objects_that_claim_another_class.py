"""Objects, and metaclasses, that answer questions about themselves in their own way."""

# expect: (2, True)
# expect: (1, 2)
# expect: A
# expect: 3
from unittest import mock

from enact_pool import Pool


class Claiming:
    @property
    def __class__(self):
        return int

    def __init__(self):
        self.x = 2


class ClaimingDict(dict):
    def __setitem__(self, key, value):
        raise TypeError("read-only")

    @property
    def __class__(self):
        return list


class Meta(type):
    def __getattribute__(cls, name):
        return super().__getattribute__(name)


class A(metaclass=Meta):
    def __getattribute__(self, name):
        return super().__getattribute__(name)


claiming = Claiming()
pairs = ClaimingDict(((1, 2),))
client = mock.AsyncMock(return_value=3)


def of_claiming(_):
    return claiming.x, type(claiming) is Claiming


def of_pairs(_):
    return next(iter(dict.items(pairs)))


def of_meta(_):
    return A.__name__


async def of_mock(_):
    return await client(1)


# --- run ---
with Pool(1) as pool:
    for function in (of_claiming, of_pairs, of_meta, of_mock):
        print(pool.run_parallel([function], 0)[0].output.unwrap())
