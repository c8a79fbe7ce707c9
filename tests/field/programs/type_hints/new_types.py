"""Functions and fields may have hints of the script's own types, and call them."""

# expect: Ok(1)
# expect: True
# expect: Ok(True)
# expect: Ok(3)
# expect: executor 4
from dataclasses import dataclass
from typing import NewType, get_type_hints

from enact_pool import Pool, PoolExecutor

UserId = NewType("UserId", int)
AdminId = NewType("AdminId", UserId)


@dataclass
class User:
    id: UserId


def same(user: UserId) -> UserId:
    return UserId(user)


def the_type(_):
    return UserId


def hints_are_the_type(_):
    return get_type_hints(same)["user"] is UserId and AdminId.__supertype__ is UserId


def id_of(user: User) -> UserId:
    return user.id


# --- run ---
with Pool(1) as pool:
    print(pool.run_parallel([same], 1)[0].output)
    print(pool.run_parallel([the_type], 0)[0].output.unwrap() is UserId)
    print(pool.run_parallel([hints_are_the_type], 0)[0].output)
    print(pool.run_parallel([id_of], User(UserId(3)))[0].output)
with PoolExecutor(1) as executor:
    print("executor", executor.submit(same, UserId(4)).result())
