"""Aliases and named combinations are known in a task, and can be returned."""

# expect: Ok('A')
# expect: True
# expect: Ok(('RW', True))
# expect: True True
# expect: Ok(['A', 'FIRST', 'B'])
# expect: Ok(True)
from enum import Enum, Flag, IntFlag

from enact_pool import Pool


class Alias(Enum):
    A = 1
    FIRST = 1
    B = 2


class Permission(Flag):
    R = 1
    W = 2
    RW = 3


class Mode(IntFlag):
    X = 1
    Y = 2
    BOTH = X | Y


def alias_name(_):
    return Alias["FIRST"].name


def alias(_):
    return Alias.FIRST


def combined(_):
    both = Permission.R | Permission.W
    return both.name, both is Permission.RW


def flags(_):
    return Permission.RW, Mode.BOTH


def all_names(_):
    return list(Alias.__members__)


def is_alias(member):
    return member is Alias.A


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([alias_name], 0)[0].output)
    print(pool.run_parallel([alias], 0)[0].output.unwrap() is Alias.A)
    print(pool.run_parallel([combined], 0)[0].output)
    permission, mode = pool.run_parallel([flags], 0)[0].output.unwrap()
    print(permission is Permission.RW, mode is Mode.BOTH)
    print(pool.run_parallel([all_names], 0)[0].output)
    print(pool.run_parallel([is_alias], Alias.FIRST)[0].output)
